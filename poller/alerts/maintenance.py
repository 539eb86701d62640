"""Maintenance windows (R55): when they are open, and which subjects lie in them. Local time, half-open."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.rules import EstateFacts, matches
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.estate import Estate, Maintenance

_MONTHS: Final = 12


def is_open(window: Maintenance, now_ns: int, zone: ZoneInfo) -> bool:
    """True within the window, or within one of its weekly or monthly repetitions."""
    now = datetime.fromtimestamp(now_ns / SECOND, zone)
    return any(start <= now < end for start, end in occurrences(window, now, now, zone))


def occurrences(
    window: Maintenance, since: datetime, until: datetime, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    """Start and end of every repetition that touches since..until, oldest first.

    A monthly window of a day that a month does not have (the 31st) is left out in that month.
    """
    start, end = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (window.start, window.end))
    length = end - start
    for begin in _beginnings(start, since - length, until, window.repeat):
        if begin <= until and begin + length >= since:
            yield begin, begin + length


def _beginnings(start: datetime, since: datetime, until: datetime, repeat: str | None) -> Iterator[datetime]:
    """The beginnings in since..until and perhaps a few around, wall clock time, none before the first."""
    if repeat is None:
        yield start
    elif repeat == "weekly":
        week = max(0, (since.replace(tzinfo=None) - start.replace(tzinfo=None)) // timedelta(weeks=1))
        while (begin := start + timedelta(weeks=week)) <= until:
            yield begin
            week += 1
    else:
        first = max(since.year * _MONTHS + since.month, start.year * _MONTHS + start.month) - 1
        for month in range(first, until.year * _MONTHS + until.month):
            try:
                begin = start.replace(year=month // _MONTHS, month=month % _MONTHS + 1)
            except ValueError:
                continue
            yield begin


@dataclass(slots=True)
class Windows:
    """All windows of an estate; those that are open are found once a second, not once an incident."""

    estate: Estate
    facts: EstateFacts
    zone: ZoneInfo
    _open: tuple[int, list[Maintenance]] = field(default_factory=lambda: (-1, []))

    @classmethod
    def of(cls, estate: Estate) -> "Windows":
        """The windows of the estate."""
        return cls(estate, EstateFacts(estate), ZoneInfo(estate.organisation.timezone))

    def muting(self, subjects: Iterable[Subject], now_ns: int) -> str | None:
        """The window that mutes mails about all of these subjects now; None where one of them is in none."""
        if self._open[0] != now_ns:
            muting = (window for window in self.estate.maintenance.values() if window.mute_mails)
            self._open = (now_ns, [window for window in muting if is_open(window, now_ns, self.zone)])
        windows = self._open[1]
        if not windows:
            return None
        found: str | None = None
        for subject in subjects:
            facts: Mapping[str, frozenset[str]] = self.facts.of(subject)
            found = next((window.id for window in windows if matches(window.where, facts)), None)
            if found is None:
                return None
        return found
