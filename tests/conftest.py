"""Shared by all tests: which files begin first, and mails held against what people found good."""

import os
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import pytest

with suppress(ImportError):
    from playwright.async_api import expect

    expect.set_options(timeout=30_000)  # a browser on a busy machine is slow, which is no fault of a page

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
"""Files of half a minute and more, so that those who share the work end together; a new one stands wherever it is until
somebody looks at --durations."""
_SHOWN: Final = ("Subject", "To", "X-Hinomi-Severity", "X-Hinomi-Reason")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file only: within one, the order is that of its lines."""
    rank = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def _check(message: EmailMessage, name: str) -> None:
    headers = "".join(f"{header}: {message[header]}\n" for header in _SHOWN if message[header] is not None)
    body = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    text = f"{headers}\n{body}"
    path = Path(__file__).parent / "golden" / f"mail.{name}"
    if os.environ.get("HINOMI_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.fixture(scope="session")
def golden():
    """golden(message, name): as its reader sees it, the mail is tests/golden/mail.NAME.

    HINOMI_GOLDEN=write keeps what it is now.
    """
    return _check
