"""Forecasts: known lines are found again, little data is refused, and the words say what the figures say."""

import random
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.forecast import DayFigure, Forecast, Refusal, forecast, hour_season
from poller.forecastwords import words

MONDAY = date(2026, 4, 6)
LIMIT = 1_000_000_000


def days(count: int, start: float, per_day: float, *, noise: float = 0.0, weekend: float = 0.0) -> list[DayFigure]:
    """A line with a weekend effect and noise, always the same for the same arguments."""
    dice = random.Random(count)
    return [
        DayFigure(day, start + per_day * number + dice.gauss(0, noise) - (weekend if day.weekday() >= 5 else 0.0))
        for number in range(count)
        for day in (MONDAY + timedelta(number),)
    ]


def made(given_days: list[DayFigure]) -> Forecast:
    found = forecast(given_days, LIMIT)
    assert isinstance(found, Forecast)
    return found


def test_a_straight_line_reaches_its_limits_on_the_day_that_arithmetic_says() -> None:
    """(R65)"""
    found = made(days(60, 400e6, 2e6))
    assert [each.day for each in found.reached] == [MONDAY + timedelta(200), MONDAY + timedelta(300)]
    assert found.trend_per_day == pytest.approx(2e6)
    assert (found.days, found.first, found.last, found.provisional) == (60, MONDAY, MONDAY + timedelta(59), False)


def test_weekends_do_not_bend_the_trend_and_the_limit_is_reached_on_a_working_day() -> None:
    """(R65)"""
    found = made(days(90, 400e6, 2e6, weekend=300e6))
    assert found.trend_per_day == pytest.approx(2e6)
    for reached in found.reached:
        assert reached.day is not None
        assert reached.day.weekday() < 5
    assert found.weekday_levels[6] < found.weekday_levels[0] - 250e6


def test_holidays_and_floods_do_not_bend_the_trend() -> None:
    figures = days(90, 400e6, 2e6)
    for number in (10, 29, 30, 31, 60):
        figures[number] = DayFigure(figures[number].day, 50e6)
    figures[45] = DayFigure(figures[45].day, 3e9)
    assert made(figures).trend_per_day == pytest.approx(2e6, rel=0.02)


@pytest.mark.parametrize("noise", [10e6, 40e6])
def test_the_true_day_lies_within_the_interval(noise: float) -> None:
    found = made(days(120, 400e6, 2e6, noise=noise, weekend=100e6))
    for reached, truth in zip(found.reached, (200, 300), strict=True):
        assert reached.earliest is not None
        assert reached.latest is not None
        assert reached.earliest <= MONDAY + timedelta(truth + 2)
        assert reached.latest >= MONDAY + timedelta(truth)


def test_the_interval_holds_the_true_day_about_as_often_as_it_promises() -> None:
    """90 % are promised; of 100 lines with noise at least 80 must hold, and it may not be by being endless. (R65)"""
    held, widths = 0, []
    for seed in range(100):
        dice = random.Random(seed)
        figures = [
            DayFigure(MONDAY + timedelta(number), 400e6 + 2e6 * number + dice.gauss(0, 40e6)) for number in range(90)
        ]
        reached = made(figures).reached[0]
        assert reached.earliest is not None
        assert reached.latest is not None
        held += reached.earliest <= MONDAY + timedelta(206) and reached.latest >= MONDAY + timedelta(194)
        widths.append((reached.latest - reached.earliest).days)
    assert held >= 80
    assert sorted(widths)[50] < 120


def test_under_seven_days_it_refuses_and_says_why() -> None:
    """(R65)"""
    found = forecast(days(6, 400e6, 2e6), LIMIT)
    assert found == Refusal(6)
    assert found.sentence("en") == "No forecast: 6 days of data, at least 7 are needed."
    assert "6日分" in found.sentence()
    assert forecast([], LIMIT) == Refusal(0)


def test_from_7_to_29_days_it_is_provisional() -> None:
    found = made(days(7, 400e6, 2e6))
    assert (found.provisional, found.back_test) == (True, None)
    assert "参考値" in "".join(words(found))


def test_only_the_last_180_days_count() -> None:
    """(R65)"""
    old = [DayFigure(MONDAY - timedelta(number), 5e9) for number in range(1, 400)]
    found = made(old + days(180, 400e6, 1e6))
    assert (found.days, found.trend_per_day) == (180, pytest.approx(1e6))


def test_a_falling_line_reaches_nothing() -> None:
    found = made(days(60, 400e6, -2e6))
    assert [each.day for each in found.reached] == [None, None]
    assert "is not expected to be reached within three years" in words(found, "en")[1]


def test_a_line_that_has_fallen_below_a_limit_has_not_reached_it() -> None:
    """It was above 80 % until the day before yesterday, and is still above 75 %. (R65)"""
    figures = days(60, 916e6, -2e6)
    fallen = forecast(figures, LIMIT, (0.8, 0.75))
    assert isinstance(fallen, Forecast)
    below, above = fallen.reached
    assert (below.day, below.earliest, below.latest) == (None, None, None)
    assert above.day is not None
    assert above.day <= fallen.last


def test_a_full_line_is_full_already() -> None:
    found = made(days(60, 950e6, 1e5))
    assert words(found, "en")[1] == "80% of the limit is reached already."
    assert words(found)[1] == "上限の80%には、すでに達しています。"


def test_a_flat_line_has_no_trend_and_says_so() -> None:
    found = made(days(90, 400e6, 0, noise=20e6))
    assert words(found, "en")[0] == "No clear trend."
    assert words(found)[0] == "はっきりした増減の傾向はありません。"


def test_the_back_test_tells_good_from_bad() -> None:
    """(R65)"""
    good = made(days(120, 400e6, 2e6, noise=20e6)).back_test
    assert good is not None
    assert (good.days, good.mean_error_ratio < 0.05, good.within_ratio > 0.8) == (28, True, True)
    broken = days(120, 400e6, 2e6, noise=5e6)
    broken[92:] = [DayFigure(each.day, each.value * 2) for each in broken[92:]]
    bad = made(broken).back_test
    assert bad is not None
    assert (bad.mean_error_ratio > 0.4, bad.within_ratio) == (True, 0.0)


def test_the_words_say_date_interval_data_and_test() -> None:
    told = words(made(days(60, 400e6, 2e6)), "en")
    assert told == [
        "Rising by 60.0 Mbps a month.",
        "80% of the limit is expected to be reached on 2026-10-23 (between 2026-10-23 and 2026-10-23).",
        "100% of the limit is expected to be reached on 2027-01-31 (between 2027-01-31 and 2027-01-31).",
        "From 60 days of data, 2026-04-06 to 2026-06-04.",
        "The last 28 days would have been predicted with a mean error of 0%, 100% of them within the bounds.",
    ]
    assert words(made(days(60, 400e6, 2e6)))[1].startswith("上限の80%には、2026-10-23に達する見込みです")


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.floats(0, 1e11)), min_size=0, max_size=80, unique_by=lambda each: each[0]
    )
)
@settings(deadline=None)
def test_whatever_the_data_are_there_is_an_answer(figures: list[tuple[int, float]]) -> None:
    found = forecast([DayFigure(MONDAY + timedelta(at), value) for at, value in figures], LIMIT)
    if isinstance(found, Refusal):
        assert found.days < 7
        return
    assert all(words(found, lang) for lang in ("ja", "en"))
    for each in found.reached:
        if each.day is not None:
            assert each.earliest is not None
            assert each.earliest <= each.day
        if each.latest is not None:
            assert each.day is not None
            assert each.day <= each.latest


def test_the_season_of_the_week_knows_its_busiest_hour() -> None:
    start = datetime(2026, 4, 6, 0, 0)  # noqa: DTZ001 - local time, as the officer reads it
    hours = [
        (start + timedelta(hours=number), 100.0 if number % 24 != 10 else 300.0 + (number // 24 % 7 == 2))
        for number in range(14 * 24)
    ]
    season = hour_season(hours)
    assert season is not None
    assert season.busiest() == (2, 10)
    assert season.ratio(0, 3) == pytest.approx(100 / (sum(value for _, value in hours) / len(hours)))
    assert hour_season(hours[:100]) is None
