"""Business days in Japan: weekends, public holidays (jpholiday) and 29 December to 3 January are none (R57)."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import jpholiday

from poller.estate import Calendar
from poller.settings import Name

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BUSINESS: Final = Calendar(
    id="business",
    name=Name(ja="開庁日", en="Business days"),
    hours=dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), "08:30-17:15"),
    closed=("12-29", "12-30", "12-31", "01-01", "01-02", "01-03"),
)
"""Used where the configuration has no calendar "business"."""
_NANO: Final = 1_000_000_000


def is_open_day(calendar: Calendar, day: date) -> bool:
    """True where the calendar has hours on that day."""
    if _DAYS[day.weekday()] not in calendar.hours or day.strftime("%m-%d") in calendar.closed:
        return False
    return not (calendar.japanese_holidays and jpholiday.is_holiday(day))


def is_open(calendar: Calendar, moment: datetime) -> bool:
    """True within the calendar's hours (half-open); moment is local time."""
    if not is_open_day(calendar, moment.date()):
        return False
    start, end = opening_hours(calendar, moment.date())
    now = timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second)
    return start <= now < end


def opening_hours(calendar: Calendar, day: date) -> tuple[timedelta, timedelta]:
    """Opening and closing of an open day, from its midnight; "00:00-24:00" is the whole day."""
    start, end = (_time(part) for part in calendar.hours[_DAYS[day.weekday()]].split("-"))
    return start, end


def next_opening(calendar: Calendar, after_ns: int, at: time, zone: ZoneInfo) -> int:
    """The next `at` o'clock, local, of an open day, strictly after after_ns; unix nanoseconds.

    A calendar without an open day within a year (all days closed) gives the next day: nothing is held for ever.
    """
    moment = datetime.fromtimestamp(after_ns // _NANO, zone)
    for days in range(366):
        day = moment.date() + timedelta(days=days)
        opening = datetime.combine(day, at, zone)
        if opening > moment and is_open_day(calendar, day):
            return int(opening.timestamp()) * _NANO
    return int((moment + timedelta(days=1)).timestamp()) * _NANO


def _time(text: str) -> timedelta:
    hours, minutes = text.strip().split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))
