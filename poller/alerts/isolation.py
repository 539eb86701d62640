"""Whether it is the network, or us (R54).

When most of what is watched stops answering at once, the likely cause is the watcher's own uplink. Then there is one
alarm, "monitoring isolated", and every other fault is explained by it until it is over.
"""

from collections.abc import Mapping
from typing import Final

from poller.alerts.subjects import Subject
from poller.estate import Estate, Rule, Runbook, Severity
from poller.settings import Name

ISOLATION: Final = Subject("daemon", "self", "isolation")
ISOLATED: Final = Rule(
    id="monitoring-isolated",
    name=Name(ja="監視装置の孤立（監視対象の大半に到達不可）", en="monitoring isolated, most targets out of reach"),
    on="daemon.isolated",
    equals=True,
    severity=Severity.SERIOUS,
    runbook=Runbook(
        ja="監視装置の上位回線と最寄りのスイッチを確認する\n監視装置以外から主要機器への到達性を確認する\n"
        "復旧するまで、ほかの障害は検知できないものとして扱う",
        en="Look at the uplink of the monitoring server and at its nearest switch\n"
        "Check from another place that the main devices can be reached\n"
        "Until it is over, take it that no other fault can be detected",
    ),
)
"""The built-in rule; a rule of the same id in the configuration replaces it."""
FEWEST: Final = 4
"""Fewer devices than these say nothing about us."""


def is_isolated(answering: Mapping[str, bool], estate: Estate) -> bool:
    """True where more than half of all devices are silent, and more than half of those nearest to us.

    Nearest are devices without parents: a dead switch with many children behind it is no isolation.
    """
    if len(answering) < FEWEST:
        return False
    if not _most_are_silent(list(answering.values())):
        return False
    known = estate.devices
    return _most_are_silent([up for device, up in answering.items() if device in known and not known[device].parents])


def _most_are_silent(answers: list[bool]) -> bool:
    return answers.count(False) * 2 > len(answers)
