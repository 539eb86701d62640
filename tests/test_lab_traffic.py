"""The traffic of the lab: exact, monotone, the same at every asking, and shaped like people's days."""

import datetime as dt
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from poller.lab.traffic import Curve, Integral, Shape, activity, day_of, day_start_ns

JST = ZoneInfo("Asia/Tokyo")


def _day(year: int, month: int, day: int) -> int:
    return (dt.date(year, month, day) - dt.date(1970, 1, 1)).days


def _ns(*when: int) -> int:
    return int(dt.datetime(*when, tzinfo=JST).timestamp()) * 10**9


TSU = Curve("tsu/internet/down", 300_000_000)
FRIDAY = _day(2026, 11, 20)


def test_a_day_begins_at_midnight_in_japan() -> None:
    assert day_of(_ns(2026, 11, 20, 0, 0)) == FRIDAY
    assert day_of(_ns(2026, 11, 20, 0, 0) - 1) == FRIDAY - 1
    assert day_start_ns(FRIDAY) == _ns(2026, 11, 20, 0, 0)


def test_the_octets_at_the_end_of_each_slot_are_the_sum_of_the_slots() -> None:
    integral = Integral(TSU, FRIDAY)
    total = 0
    for number, octets in enumerate(TSU.slots(FRIDAY) + TSU.slots(FRIDAY + 1)):
        assert integral.until(day_start_ns(FRIDAY) + number * 300 * 10**9) == total
        total += octets


@given(st.lists(st.integers(0, 3 * 86_400 * 10**9), min_size=2))
def test_octets_never_go_back_and_do_not_depend_on_the_order_of_asking(moments: list[int]) -> None:
    start = day_start_ns(FRIDAY)
    one = Integral(TSU, FRIDAY)
    asked = {moment: one.until(start + moment) for moment in moments}
    other = Integral(TSU, FRIDAY)
    in_order = [other.until(start + moment) for moment in sorted(moments)]
    assert in_order == [asked[moment] for moment in sorted(moments)]
    assert in_order == sorted(in_order)


def test_another_first_day_moves_the_origin_and_nothing_else() -> None:
    late, early = Integral(TSU, FRIDAY), Integral(TSU, FRIDAY - 3)
    moments = [day_start_ns(FRIDAY) + second * 1_234_567_891 for second in range(0, 60_000, 997)]
    assert {early.until(at) - late.until(at) for at in moments} == {sum(sum(TSU.slots(FRIDAY - n)) for n in (1, 2, 3))}


def test_the_peak_of_a_working_day_is_the_rate_that_was_asked_for() -> None:
    busiest = sorted(TSU.slots(FRIDAY))[-12:]
    mean_bits_per_second = sum(busiest) * 8 / 12 / 300
    assert 0.95 < mean_bits_per_second / TSU.peak_bits_per_second < 1.6


def test_people_have_lunch() -> None:
    assert activity(Shape.OFFICE, _ns(2026, 11, 20, 12, 30)) < 0.75 * activity(Shape.OFFICE, _ns(2026, 11, 20, 11, 30))


def test_a_holiday_is_quiet_and_so_are_the_first_days_of_a_year() -> None:
    workday = sum(TSU.slots(FRIDAY))
    for closed in (_day(2026, 11, 23), _day(2027, 1, 2), _day(2026, 12, 30), _day(2026, 11, 22)):
        assert sum(TSU.slots(closed)) < 0.3 * workday


def test_citizens_come_in_the_evening() -> None:
    assert activity(Shape.PUBLIC, _ns(2026, 11, 20, 21, 0)) > 0.9
    assert activity(Shape.OFFICE, _ns(2026, 11, 20, 21, 0)) < 0.25


def test_traffic_grows_over_a_year_by_what_was_said() -> None:
    before, after = (sum(sum(TSU.slots(day)) for day in range(first, first + 84)) for first in (FRIDAY - 364, FRIDAY))
    assert 1.10 < after / before < 1.20


def test_another_seed_gives_another_past_of_the_same_size() -> None:
    other = Curve(TSU.name, TSU.peak_bits_per_second, seed=7)
    assert other.slots(FRIDAY) != TSU.slots(FRIDAY)
    assert 0.8 < sum(other.slots(FRIDAY)) / sum(TSU.slots(FRIDAY)) < 1.25


def test_neighbouring_slots_differ_and_tenants_do_not_move_in_step() -> None:
    ise = Curve("ise/internet/down", TSU.peak_bits_per_second)
    assert len(set(TSU.slots(FRIDAY))) > 250
    steps = [b - a for a, b in zip(TSU.slots(FRIDAY)[120:140], TSU.slots(FRIDAY)[121:141], strict=True)]
    others = [b - a for a, b in zip(ise.slots(FRIDAY)[120:140], ise.slots(FRIDAY)[121:141], strict=True)]
    assert sum((a > 0) == (b > 0) for a, b in zip(steps, others, strict=True)) < 18
