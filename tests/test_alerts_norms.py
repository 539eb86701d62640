"""Rules that compare a series with itself: its own median, and changes."""

import pytest

from poller.alerts.norms import FEWEST, LastValue, OwnMedian
from poller.alerts.rules import RuleIndex, Verdict, compile_judge
from poller.estate import Estate, Rule
from poller.sample import Sample

MINUTE = 60 * 10**9
DAY = 1440 * MINUTE


def described(**more):
    fields = {
        "id": "delay",
        "name": {"ja": "遅延", "en": "delay"},
        "on": "device.round_trip_delay_seconds",
        "above_median": 3,
        "clear_median": 2,
        "margin": 0.005,
        "severity": "minor",
    }
    return fields | more


def delay_rule(**more):
    return Rule.model_validate(described(**more))


def taught(value: float, minutes: int = FEWEST) -> OwnMedian:
    memory = OwnMedian()
    for minute in range(minutes):
        memory.add(value, minute * MINUTE)
    return memory


def test_too_little_gives_no_median() -> None:
    assert taught(0.01, FEWEST - 1).median(DAY) is None


def test_the_median_is_within_a_percent_and_an_hour_of_trouble_does_not_move_it() -> None:
    memory = taught(0.0123, 1440)
    for minute in range(60):
        memory.add(2.0, DAY + minute * MINUTE)
    assert memory.median(DAY + 60 * MINUTE) == pytest.approx(0.0123, rel=0.011)


def test_after_a_week_the_new_is_the_usual() -> None:
    memory = taught(0.01, 1440)
    for minute in range(8 * 1440):
        memory.add(0.05, DAY + minute * MINUTE)
    assert (len(memory.days), memory.median(10 * DAY)) == (7, pytest.approx(0.05, rel=0.011))


@pytest.mark.parametrize(
    ("usual", "value", "verdict"),
    [
        (0.010, 0.031, Verdict.RAISE),
        (0.010, 0.025, Verdict.BETWEEN),
        (0.010, 0.019, Verdict.CLEAR),
        (0.001, 0.0055, Verdict.CLEAR),  # five times as much, and still next to nothing
        (0.001, 0.0065, Verdict.RAISE),
    ],
)
def test_delay_is_judged_against_its_own_median_and_a_margin(usual, value, verdict) -> None:
    """A rule against the series' own median (R51)."""
    judge = compile_judge(delay_rule()).judge
    for minute in range(FEWEST):
        judge(usual, minute * MINUTE)
    assert judge(value, FEWEST * MINUTE) is verdict


def test_a_change_raises_once_and_unknown_is_no_change() -> None:
    """A rule on changes (R51)."""
    rule = delay_rule(on="device.ha_role", above_median=None, clear_median=None, margin=0, changes=True)
    judge = compile_judge(rule).judge
    values = ["active", "active", "unknown", "active", "standby", "standby"]
    expected = [Verdict.CLEAR, Verdict.CLEAR, Verdict.UNKNOWN, Verdict.CLEAR, Verdict.RAISE, Verdict.CLEAR]
    assert expected == [judge(value, 0) for value in values]


def test_what_was_learned_of_each_series_survives_a_restart() -> None:
    """State survives (R73)."""
    changing = {"on": "device.ha_role", "above_median": None, "clear_median": None, "margin": 0, "changes": True}
    rules = {"delay": described(), "ha": described(id="ha", **changing)}
    estate = Estate.model_validate({"organisation": {"name": {"ja": "x", "en": "x"}}, "rules": rules})

    def verdicts(index: RuleIndex, minute: int, fields) -> dict[str, Verdict]:
        sample = Sample("device", (("device", "fw-1"), ("role", "firewall"), ("site", "dc")), fields, minute * MINUTE)
        return {
            watch.rule.id: watch.judge(fields[watch.field], sample.time_ns)
            for watch in index.watches(sample)
            if watch.field in fields
        }

    first = RuleIndex(estate)
    for minute in range(FEWEST):
        verdicts(first, minute, {"round_trip_delay_seconds": 0.01, "ha_role": "active"})
    second = RuleIndex(estate)
    second.restore(first.save())
    found = verdicts(second, FEWEST, {"round_trip_delay_seconds": 0.5, "ha_role": "standby"})
    assert {"delay": Verdict.RAISE, "ha": Verdict.RAISE} == found


def test_a_last_value_is_remembered_as_it_was() -> None:
    memory = LastValue()
    memory.restore(LastValue("active").save())
    assert [memory.changed("active"), memory.changed("standby")] == [False, True]


def test_a_count_that_begins_anew_with_its_program_is_no_loss() -> None:
    rule = delay_rule(on="daemon.drops_total", above_median=None, clear_median=None, margin=0, changes=True)
    judge = compile_judge(rule).judge
    expected = [Verdict.CLEAR, Verdict.RAISE, Verdict.CLEAR, Verdict.CLEAR, Verdict.RAISE]
    assert expected == [judge(value, 0) for value in (5, 9, 9, 0, 1)]
