"""Shared by all tests: the files that take longest begin first, so that those who share the work end together."""

from typing import Final

import pytest

_LONGEST_FIRST: Final = (
    "test_systemd",
    "test_demo",
    "test_faults_namespaces",
    "test_end_to_end",
    "test_alerts_scenarios",
    "test_failover_watch",
    "test_dashboards_influx",
    "test_reports",
    "test_storage_kill",
    "test_icmp_namespaces",
    "test_snmp_codec",
)
"""Files of half a minute and more; a new one stands wherever it is until somebody looks at --durations."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file only: within one, the order is that of its lines."""
    rank = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
