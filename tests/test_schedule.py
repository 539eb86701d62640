"""The schedule: fixed rate, evenly spread, deterministic, and honest about what it missed."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from poller.schedule import SECOND_NS, Schedule, next_due_ns, offset_seconds, start_schedule
from poller.settings import Polling

NOON = 1_795_230_000 * SECOND_NS


def test_offsets_are_spread_evenly_over_the_interval() -> None:
    """6,000 devices over 60 s: 100 a second, and no second has twice its share (R2)."""
    counts = Counter(offset_seconds(f"sw-{number}", 60) for number in range(6000))
    assert set(range(60)) == set(counts)
    assert max(counts.values()) < 150
    assert min(counts.values()) > 60


def test_the_offset_of_a_device_never_changes() -> None:
    assert [offset_seconds(name, 60) for name in ("fw-1", "fw-2", "int-rt-1")] == [15, 45, 15]


@given(st.integers(0, 2**62), st.integers(1, 3600), st.integers(0, 3599))
def test_the_next_due_time_is_the_first_congruent_one(now_ns: int, interval: int, offset: int) -> None:
    offset %= interval
    due = next_due_ns(now_ns, offset, interval)
    assert now_ns <= due < now_ns + interval * SECOND_NS
    assert due % (interval * SECOND_NS) == offset * SECOND_NS


def test_a_late_poll_does_not_shift_the_ones_after_it() -> None:
    """Fixed rate: asked 7 s late, the next due time is where it always was.(R2, R6)"""
    schedule = Schedule()
    schedule.add("fw-1", 60, NOON)
    first = schedule.wake_ns()
    assert first is not None
    assert [first] == [due.due_ns for due in schedule.due(first + 7 * SECOND_NS)]
    assert first + 60 * SECOND_NS == schedule.wake_ns()


def test_intervals_that_passed_unasked_are_counted() -> None:
    schedule = Schedule()
    schedule.add("fw-1", 60, NOON)
    first = schedule.wake_ns()
    assert first is not None
    (due,) = schedule.due(first + 200 * SECOND_NS)
    assert (3, first + 180 * SECOND_NS) == (due.missed, due.due_ns)


def test_each_device_is_due_once_an_interval_whatever_wakes_us() -> None:
    schedule = Schedule()
    for number in range(100):
        schedule.add(f"sw-{number}", 60, NOON)
    asked = Counter(
        due.device for second in range(600) for due in schedule.due(NOON + second * SECOND_NS + 123_456_789)
    )
    assert {10} == set(asked.values())
    assert 100 == len(asked)


def test_asking_at_once_comes_beside_the_schedule() -> None:
    schedule = Schedule()
    schedule.add("fw-1", 60, NOON)
    regular = schedule.wake_ns()
    assert regular is not None
    now = regular - 20 * SECOND_NS
    schedule.ask_now("fw-1", now)
    assert ["fw-1"] == [due.device for due in schedule.due(now)]
    assert regular == schedule.wake_ns()


def test_hastening_ends_by_itself() -> None:
    """Every 10 s for a while, then as before (R7)."""
    schedule = Schedule()
    schedule.add("fw-1", 60, NOON)
    schedule.hasten("fw-1", 10, NOON + 60 * SECOND_NS, NOON)
    asked = [due.due_ns for second in range(240) for due in schedule.due(NOON + second * SECOND_NS)]
    gaps = [(after - before) // SECOND_NS for before, after in pairwise(asked)]
    assert {10} == set(gaps[:6])
    assert [60, 60] == gaps[-2:]


def test_devices_are_asked_every_minute_and_every_five_where_they_say_so() -> None:
    """Lines, firewalls and proxies need no word in the configuration for 60 s; 300 s is a word of the device (R7)."""
    assert 60.0 == Polling().interval
    schedule = Schedule()
    schedule.add("fw-1", Polling().interval, NOON)
    schedule.add("sw-1", 300, NOON)
    asked = Counter(due.device for second in range(3600) for due in schedule.due(NOON + second * SECOND_NS))
    assert {"fw-1": 60, "sw-1": 12} == asked


def test_a_removed_device_is_not_asked() -> None:
    schedule = Schedule()
    schedule.add("fw-1", 60, NOON)
    schedule.remove("fw-1")
    assert schedule.wake_ns() is None
    assert [] == schedule.due(NOON + 3600 * SECOND_NS)


def test_a_clock_set_back_does_not_silence_the_schedule() -> None:
    schedule = Schedule()
    schedule.add("fw-1", 60, NOON)
    earlier = NOON - 86_400 * SECOND_NS
    schedule.clock_went_back(earlier)
    wake = schedule.wake_ns()
    assert wake is not None
    assert earlier <= wake < earlier + 60 * SECOND_NS


def test_a_first_start_asks_more_often_for_a_minute_and_nobody_less_often() -> None:
    """(R7)"""
    schedule = start_schedule({"fw-1": 60, "probe-1": 2}, NOON, first_start=True)
    asked = Counter(due.device for second in range(60) for due in schedule.due(NOON + second * SECOND_NS))
    assert {"fw-1": 7, "probe-1": 30} == dict(asked)  # the first of the seven beside the rhythm
    later = [due.device for second in range(60, 240) for due in schedule.due(NOON + second * SECOND_NS)]
    assert {"fw-1": 4, "probe-1": 90} == dict(Counter(later))  # one more ten seconds after the minute, then three


def test_the_first_round_is_over_in_five_seconds_and_spread_over_them() -> None:
    schedule = Schedule()
    for number in range(500):
        schedule.add(f"sw-{number}", 300, NOON)
        schedule.ask_soon(f"sw-{number}", NOON)
    counts = [len(schedule.due(NOON + second * SECOND_NS)) for second in range(6)]
    assert 500 <= sum(counts) < 515
    assert max(counts) < 140
