"""Octets by calendar day and month in local time, and where the month will end (R64)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from poller.accounts import SlotTotals

KEEP_DAYS: Final = 70
"""The month before this one, for comparison, and four weeks for the typical day."""
TYPICAL_DAYS: Final = 28
COMPLETE_SHARE: Final = 0.95
"""Of a day that must have been observed for it to count as typical."""
SATURDAY: Final = 5


@dataclass(slots=True)
class Day:
    """Octets of a local calendar day and how much of it was observed."""

    in_octets: int = 0
    out_octets: int = 0
    observed_ns: int = 0

    def of(self, direction: str) -> int:
        """Octets of a direction: "in", "out" or both."""
        return (self.in_octets if direction != "out" else 0) + (self.out_octets if direction != "in" else 0)


@dataclass(frozen=True, slots=True)
class Projection:
    """Octets that the month will have had at its end; days is how many typical days it rests on."""

    octets: int
    so_far: int
    days: int


@lru_cache(maxsize=4096)
def local_date(at_ns: int, zone: ZoneInfo) -> date:
    """The calendar day of a moment."""
    return datetime.fromtimestamp(at_ns // 10**9, zone).date()


def month_bounds_ns(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Begin and end of the day's month, UTC unix nanoseconds."""
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    start, end = (datetime(each.year, each.month, 1, tzinfo=zone) for each in (first, following))
    return int(start.timestamp()) * 10**9, int(end.timestamp()) * 10**9


def is_weekday(day: date) -> bool:
    """Monday to Friday; a calendar with holidays can stand in for this."""
    return day.weekday() < SATURDAY


@dataclass(slots=True)
class Volumes:
    """The days of one account."""

    days: dict[date, Day] = field(default_factory=dict)

    def add(self, totals: SlotTotals, zone: ZoneInfo) -> None:
        """Enter a closed slot, or correct an amended one."""
        today = local_date(totals.start_ns, zone)
        day = self.days.get(today)
        if day is None:
            day = self.days[today] = Day()
            oldest = max(self.days) - timedelta(days=KEEP_DAYS)
            self.days = {each: figures for each, figures in self.days.items() if each >= oldest}
        for sign, each in ((1, totals), (-1, totals.previous)):
            if each is not None:
                day.in_octets += sign * each.in_octets
                day.out_octets += sign * each.out_octets
                day.observed_ns += sign * each.observed_ns

    def month(self, day: date, direction: str = "each") -> int:
        """Octets of the day's calendar month so far."""
        month = (day.year, day.month)
        return sum(figures.of(direction) for each, figures in self.days.items() if (each.year, each.month) == month)

    def project(
        self, now: datetime, direction: str = "each", workday: Callable[[date], bool] = is_weekday
    ) -> Projection | None:
        """The month's octets at its end; None before one whole day was observed.

        What is left of the month is filled with typical days: the mean of the last four weeks' working days, or of
        their other days; where one kind was not seen yet, of both.
        """
        today = now.date()
        whole = [
            (workday(day), figures.of(direction))
            for day, figures in self.days.items()
            if today - timedelta(days=TYPICAL_DAYS) <= day < today
            and figures.observed_ns >= COMPLETE_SHARE * 86_400 * 10**9
        ]
        if not whole:
            return None
        rest = 0.0
        day = today
        while (day.year, day.month) == (today.year, today.month):
            same = [octets for kind, octets in whole if kind == workday(day)] or [octets for _, octets in whole]
            rest += sum(same) / len(same) * (1.0 if day > today else _left_of_day(now))
            day += timedelta(days=1)
        so_far = self.month(today, direction)
        return Projection(so_far + round(rest), so_far, len(whole))

    def save(self) -> list[list[Any]]:
        """A structure of plain JSON types."""
        return [
            [day.isoformat(), figures.in_octets, figures.out_octets, figures.observed_ns]
            for day, figures in self.days.items()
        ]

    @classmethod
    def load(cls, saved: list[list[Any]]) -> "Volumes":
        """What save gave."""
        return cls({date.fromisoformat(day): Day(*figures) for day, *figures in saved})


def _left_of_day(now: datetime) -> float:
    return 1.0 - (now.hour * 3600 + now.minute * 60 + now.second) / 86_400
