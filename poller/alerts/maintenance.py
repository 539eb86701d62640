"""Maintenance windows (R55): when they are open, and which subjects lie in them. Local time, half-open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.rules import EstateFacts, matches
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.estate import Estate, Maintenance

_MONTHS: Final = 12


def is_open(window: Maintenance, now_ns: int, zone: ZoneInfo) -> bool:
    """True within the window, or within one of its weekly or monthly repetitions.

    A monthly window of a day that a month does not have (the 31st) is left out in that month.
    """
    start, end = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (window.start, window.end))
    now = datetime.fromtimestamp(now_ns / SECOND, zone)
    if now < start or window.repeat is None:
        return start <= now < end
    length = end - start
    return any(begin <= now < begin + length for begin in _latest(start, now, window.repeat))


def _latest(start: datetime, now: datetime, repeat: str) -> Iterable[datetime]:
    """The beginnings of the latest repetitions at or before now, wall clock time."""
    if repeat == "weekly":
        weeks = (now.replace(tzinfo=None) - start.replace(tzinfo=None)) // timedelta(weeks=1)
        yield start + timedelta(weeks=weeks)
        return
    for back in (0, 1):
        month = now.year * _MONTHS + now.month - 1 - back
        try:
            begin = start.replace(year=month // _MONTHS, month=month % _MONTHS + 1)
        except ValueError:
            continue
        if begin >= start:
            yield begin


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of an estate."""

    estate: Estate
    facts: EstateFacts
    zone: ZoneInfo

    @classmethod
    def of(cls, estate: Estate) -> "Windows":
        """The windows of the estate."""
        return cls(estate, EstateFacts(estate), ZoneInfo(estate.organisation.timezone))

    def muting(self, subjects: Iterable[Subject], now_ns: int) -> str | None:
        """The window that mutes mails about all of these subjects now; None where one of them is in none."""
        windows = [w for w in self.estate.maintenance.values() if w.mute_mails and is_open(w, now_ns, self.zone)]
        if not windows:
            return None
        found: str | None = None
        for subject in subjects:
            facts: Mapping[str, frozenset[str]] = self.facts.of(subject)
            found = next((window.id for window in windows if matches(window.where, facts)), None)
            if found is None:
                return None
        return found
