"""Maintenance windows (R55): when they are open, and which subjects lie in them. Local time, half-open."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.records import AuditEntry
from poller.alerts.rules import EstateFacts, matches
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.estate import Estate, Maintenance, Selector

_MONTHS: Final = 12
WINDOW_ACTIONS: Final = frozenset({"maintenance", "end_maintenance"})
"""Entries of the audit log that are about windows."""
_LONGEST: Final = timedelta(days=32)
_NAMING: Final = ("devices", "circuits", "line_groups", "tenants", "services")


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
    start, length = datetime.fromisoformat(window.start).replace(tzinfo=zone), _length(window)
    for begin in _beginnings(start, since - length, until, window.repeat):
        if begin <= until and begin + length >= since:
            yield begin, begin + length


def _length(window: Maintenance) -> timedelta:
    return datetime.fromisoformat(window.end) - datetime.fromisoformat(window.start)


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


def covers(where: Selector, facts: Mapping[str, frozenset[str]]) -> bool:
    """True where a window concerns the subject of these facts.

    Lines that name things (devices, circuits, services ...) are alternatives: a window about a proxy and its service
    covers both. Lines that describe (roles, sites, kinds, an interface of a device) must all match.
    """
    named = [line for line in _NAMING if getattr(where, line)]
    described = where.model_copy(update=dict.fromkeys(_NAMING, ()))
    if not matches(described, facts):
        return False
    return not named or any(matches(Selector(**{line: getattr(where, line)}), facts) for line in named)


class Windows:
    """The windows of the configuration and those that people planned; open ones are found once a second.

    What people planned lives in the audit log: "maintenance" with the window as JSON, "end_maintenance" with its id.
    """

    def __init__(self, estate: Estate, entries: Iterable[AuditEntry] = ()) -> None:
        self._planned: dict[str, Maintenance] = {}
        self.follow(estate)
        for entry in entries:
            with suppress(ValueError):  # of another version, or ended twice: no reason not to begin
                self.take(entry)

    def follow(self, estate: Estate) -> None:
        """The windows of another estate, and those that people planned."""
        self._configured = estate.maintenance
        self._facts = EstateFacts(estate)
        self._zone = ZoneInfo(estate.organisation.timezone)
        self._open: tuple[int, list[Maintenance]] = (-1, [])

    def all(self) -> dict[str, Maintenance]:
        """Every window by its id, also those that are over: the service level looks back."""
        return {**self._planned, **self._configured}

    def take(self, entry: AuditEntry) -> None:
        """Plan a window, or end one that people planned; ValueError where the entry is about neither."""
        self._open = (-1, [])
        if entry.action == "maintenance":
            window = Maintenance.model_validate_json(entry.text)
            self._planned[window.id] = window
        elif entry.target in self._planned:
            ended = self._ended(self._planned[entry.target], entry.at_ns)
            if ended is None:
                del self._planned[entry.target]
            else:
                self._planned[entry.target] = ended
        else:
            raise ValueError(f"nobody planned {entry.target!r}")

    def _ended(self, window: Maintenance, at_ns: int) -> Maintenance | None:
        """The window as far as it came; None where it had not begun. Repetitions before the last are forgotten."""
        now = datetime.fromtimestamp(at_ns / SECOND, self._zone)
        begun = [start for start, _ in occurrences(window, now - _LONGEST, now, self._zone) if start <= now]
        if not begun:
            return None
        end = min(now, begun[-1] + _length(window))
        written = {"start": f"{begun[-1]:%Y-%m-%d %H:%M}", "end": f"{end:%Y-%m-%d %H:%M}", "repeat": None}
        return window.model_copy(update=written)

    def muting(self, subjects: Iterable[Subject], now_ns: int) -> str | None:
        """The window that mutes mails about all of these subjects now; None where one of them is in none."""
        windows = [window for window in self._now(now_ns) if window.mute_mails]
        found: str | None = None
        for subject in subjects if windows else ():
            found = next((window.id for window in windows if covers(window.where, self._facts.of(subject))), None)
            if found is None:
                return None
        return found

    def stopped(self, device: str, now_ns: int) -> str | None:
        """The window in which the device is not polled now."""
        return self.resting(Subject("device", device), now_ns)

    def resting(self, subject: Subject, now_ns: int) -> str | None:
        """The window in which nothing is asked of a device, circuit or service now."""
        windows = [window for window in self._now(now_ns) if window.stop_polling]
        if not windows:
            return None
        facts = self._facts.of(subject)
        return next((window.id for window in windows if covers(window.where, facts)), None)

    def excluded(self, subject: Subject, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """When windows that are left out of the service level covered the subject."""
        facts = self._facts.of(subject)
        for window in self.all().values():
            if window.exclude_from_service_level and covers(window.where, facts):
                yield from occurrences(window, since, until, self._zone)

    def _now(self, now_ns: int) -> list[Maintenance]:
        second = now_ns // SECOND
        if self._open[0] != second:
            open_now = [window for window in self.all().values() if is_open(window, now_ns, self._zone)]
            self._open = (second, open_now)
        return self._open[1]
