"""Silences: what people asked not to be mailed about for a while. The audit log is where they live (R60)."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

from poller.alerts.incidents import Incident
from poller.alerts.records import AuditEntry

SILENCE_ACTIONS: Final = frozenset({"silence", "unsilence"})


class Silences:
    """The silences in force, made from "silence" and "unsilence" entries in their order.

    A target is an incident's id or a subject with * and ? ("circuit/bo-*", "device/fw-1").
    """

    def __init__(self, entries: Iterable[AuditEntry] = ()) -> None:
        self._until: dict[str, tuple[int, str]] = {}
        for entry in entries:
            self.take(entry)

    def take(self, entry: AuditEntry) -> None:
        """Begin or end a silence."""
        if entry.action == "silence" and entry.until_ns is not None:
            self._until[entry.target] = (entry.until_ns, entry.who)
        elif entry.action == "unsilence":
            self._until.pop(entry.target, None)

    def muting(self, incident: Incident, now_ns: int) -> str | None:
        """Who silenced every cause of the incident that is still bad; None where something is not silenced."""
        patterns = [(target, who) for target, (until, who) in self._until.items() if now_ns < until]
        causes = [member for member in incident.active if member.inhibited_by is None] or incident.active
        subjects = [member.subject for member in causes]
        if not patterns or not subjects:
            return None
        by = [_silenced_by(incident.id, subject, patterns) for subject in subjects]
        return None if None in by else f"silence by {by[0]}"


def _silenced_by(incident: str, subject: str, patterns: Sequence[tuple[str, str]]) -> str | None:
    for target, who in patterns:
        if target == incident or fnmatchcase(subject, target):
            return who
    return None
