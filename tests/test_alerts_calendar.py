"""Business days, maintenance windows and digests on the Japanese calendar."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from poller.alerts.calendar import BUSINESS, is_open, next_opening
from poller.alerts.maintenance import is_open as is_window_open
from poller.estate import Calendar, Maintenance

JST = ZoneInfo("Asia/Tokyo")
SECOND = 1_000_000_000


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=JST).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("after", "opening"),
    [
        ("2026-11-18 10:00", "2026-11-19 08:30"),
        ("2026-11-18 08:29", "2026-11-18 08:30"),
        ("2026-11-18 08:30", "2026-11-19 08:30"),
        ("2026-11-20 18:00", "2026-11-24 08:30"),  # the 23rd is a holiday
        ("2026-12-28 12:00", "2027-01-04 08:30"),  # 29 December to 3 January
        ("2027-04-28 18:00", "2027-04-30 08:30"),  # Showa Day
        ("2027-05-01 00:00", "2027-05-06 08:30"),  # Constitution, Greenery and Children's Day
    ],
)
def test_the_digest_leaves_on_the_next_business_day(after, opening) -> None:
    """Japanese holidays, 29 December to 3 January (R57)."""
    assert next_opening(BUSINESS, ns(after), time(8, 30), JST) == ns(opening)


def test_a_calendar_that_never_opens_holds_nothing_for_ever() -> None:
    never = Calendar.model_validate({"id": "never", "name": {"ja": "x", "en": "x"}})
    assert next_opening(never, ns("2026-11-18 10:00"), time(8, 30), JST) == ns("2026-11-19 10:00")


@pytest.mark.parametrize(
    ("moment", "opened"),
    [
        ("2026-11-18 08:30", True),
        ("2026-11-18 17:14", True),
        ("2026-11-18 17:15", False),
        ("2026-11-21 10:00", False),
        ("2026-11-23 10:00", False),
        ("2026-12-30 10:00", False),
    ],
)
def test_hours_are_half_open_and_holidays_closed(moment, opened) -> None:
    assert is_open(BUSINESS, datetime.fromisoformat(moment).replace(tzinfo=JST)) is opened


@pytest.mark.parametrize(
    ("repeat", "moment", "opened"),
    [
        (None, "2026-12-12 21:59", False),
        (None, "2026-12-12 22:00", True),
        (None, "2026-12-13 01:59", True),
        (None, "2026-12-13 02:00", False),
        (None, "2026-12-19 23:00", False),
        ("weekly", "2026-12-05 23:00", False),
        ("weekly", "2026-12-19 23:00", True),
        ("weekly", "2026-12-27 01:00", True),
        ("weekly", "2026-12-27 03:00", False),
        ("monthly", "2027-01-12 23:00", True),
        ("monthly", "2027-01-13 01:00", True),
        ("monthly", "2027-01-19 23:00", False),
        ("monthly", "2027-03-13 01:30", True),
    ],
)
def test_a_window_repeats_as_it_says(repeat, moment, opened) -> None:
    """Recurring maintenance (R55)."""
    window = Maintenance.model_validate(
        {
            "id": "w",
            "name": {"ja": "w", "en": "w"},
            "start": "2026-12-12 22:00",
            "end": "2026-12-13 02:00",
            "repeat": repeat,
        }
    )
    assert is_window_open(window, ns(moment), JST) is opened


def test_a_monthly_window_of_the_31st_is_left_out_where_there_is_none() -> None:
    window = Maintenance.model_validate(
        {
            "id": "w",
            "name": {"ja": "w", "en": "w"},
            "start": "2026-10-31 22:00",
            "end": "2026-11-01 02:00",
            "repeat": "monthly",
        }
    )
    assert not is_window_open(window, ns("2026-12-01 01:00"), JST)
    assert is_window_open(window, ns("2027-01-01 01:00"), JST)
