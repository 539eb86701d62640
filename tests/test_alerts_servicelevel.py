"""Availability within service hours, with what is left out and why."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.alerts.servicelevel import Outage, intersect, merge, service_level, subtract
from poller.alerts.servicereport import Period, ServiceReport
from poller.alerts.subjects import Subject
from poller.daybook import level_samples
from poller.estate import Estate
from poller.schema import SCHEMA

JST = ZoneInfo("Asia/Tokyo")
SECOND = 1_000_000_000
NAME = {"ja": "x", "en": "x"}
WEB = Subject("service", "web")
ESTATE = Estate.model_validate(
    {
        "organisation": {"name": NAME},
        "calendars": {
            "office": {
                "id": "office",
                "name": NAME,
                "hours": dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), "07:00-22:00"),
            }
        },
        "services": {
            "web": {
                "id": "web",
                "name": NAME,
                "kind": "http",
                "target": "http://web",
                "calendar": "office",
                "availability": "99.5%",
            },
            "dns": {"id": "dns", "name": NAME, "kind": "dns", "target": "192.0.2.1", "availability": "99.9%"},
        },
        "maintenance": {
            "works": {
                "id": "works",
                "name": NAME,
                "start": "2026-11-10 21:00",
                "end": "2026-11-10 23:00",
                "where": {"services": ["web"]},
            }
        },
    }
)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=JST).timestamp()) * SECOND


NOVEMBER = (ns("2026-11-01"), ns("2026-12-01"))


def outage(start: str, end: str, excluded: str = "") -> Outage:
    return Outage((ns(f"2026-11-{start}"), ns(f"2026-11-{end}")), "2026-1101-001", excluded)


def test_only_service_hours_count() -> None:
    """Availability within service hours (R60a)."""
    level = service_level(WEB, [outage("04 21:30", "05 08:00")], ESTATE, NOVEMBER)
    assert level.service_seconds == 19 * 15 * 3600  # 21 weekdays, the 3rd and the 23rd are holidays
    assert level.down_seconds == 30 * 60 + 3600
    assert level.allowance_left_seconds == pytest.approx(19 * 15 * 3600 * 0.005 - 5400)


@pytest.mark.parametrize(
    ("outages", "down", "excluded"),
    [
        ([], 0, (0, 0, 0, 0)),
        ([("10 20:30", "10 21:30", "")], 1800, (1800, 0, 0, 0)),
        ([("11 10:00", "11 11:00", "other_party")], 0, (0, 3600, 0, 0)),
        ([("11 10:00", "11 11:00", "unknown")], 0, (0, 0, 0, 3600)),
        ([("10 21:00", "10 22:00", "other_party")], 0, (3600, 0, 0, 0)),
        ([("11 10:00", "11 11:00", ""), ("11 10:30", "11 11:30", "")], 5400, (0, 0, 0, 0)),
        ([("08 10:00", "08 11:00", "")], 0, (0, 0, 0, 0)),  # a Sunday
        ([("11 10:00", "11 11:00", "disaster")], 0, (0, 0, 3600, 0)),
    ],
)
def test_what_is_left_out_has_its_reason(outages, down, excluded) -> None:
    """Exclusions by reason (R60a)."""
    level = service_level(WEB, [outage(*each) for each in outages], ESTATE, NOVEMBER)
    assert level.down_seconds == down
    assert tuple(level.excluded_seconds.values()) == excluded


def test_around_the_clock_a_month_of_three_nines_allows_forty_three_minutes() -> None:
    level = service_level(Subject("service", "dns"), [outage("08 03:00", "08 03:10")], ESTATE, NOVEMBER)
    assert level.availability == pytest.approx(1 - 600 / (30 * 86400))
    assert level.allowance_left_seconds == pytest.approx(43.2 * 60 - 600)


def test_the_hour_s_sample_says_how_much_of_the_allowance_is_left() -> None:
    """What rules look at (R60a): 10 of 43.2 minutes are used; below nothing once the promise is missed."""
    subject = Subject("service", "dns")
    levels = tuple(
        service_level(subject, [outage("08 03:00", end)], ESTATE, NOVEMBER) for end in ("08 03:10", "08 04:00")
    )
    report = ServiceReport(Period("2026-11", *NOVEMBER), NOVEMBER[1], levels, ())
    samples = level_samples(report, NOVEMBER[1])
    assert [(("kind", "service"), ("subject", "dns"))] * 2 == [sample.tags for sample in samples]
    left = [sample.fields["allowance_left_ratio"] for sample in samples]
    assert pytest.approx([1 - 10 / 43.2, 1 - 60 / 43.2]) == left
    known = {field.name for field in SCHEMA["service_level"].fields}
    assert all(set(sample.fields) <= known for sample in samples)


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6)


@given(spans, spans)
def test_spans_are_sets_of_moments(one, other) -> None:
    def moments(given):
        return {moment for start, end in given for moment in range(start, end)}

    first, second = merge(one), merge(other)
    assert moments(first) == moments(one)
    assert moments(intersect(first, second)) == moments(one) & moments(other)
    assert moments(subtract(first, second)) == moments(one) - moments(other)
