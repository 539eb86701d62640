"""The state machine as tables: verdicts in, states and reasons out."""

import pytest

from poller.alerts.rules import RuleIndex, Verdict, compile_judge, matches
from poller.alerts.states import (
    FLAP_CALM,
    SECOND,
    Alert,
    Reading,
    Reason,
    State,
    advance,
    is_spent,
    pass_time,
    raise_for_no_data,
    retire,
)
from poller.estate import Estate, Rule, Selector

R, B, C, U = Verdict.RAISE, Verdict.BETWEEN, Verdict.CLEAR, Verdict.UNKNOWN
I, P, F, X = State.INACTIVE, State.PENDING, State.FIRING, State.RESOLVED  # noqa: E741 - a table's column


def rule(**more) -> Rule:
    given = {"id": "r", "name": {"ja": "r", "en": "r"}, "on": "device.cpu_ratio", "severity": "minor"}
    if not {"above", "below", "equals"} & more.keys():
        more["above"] = 0.8
    return Rule.model_validate(given | more)


def play(verdicts, **times):
    """States after one reading a minute."""
    chosen = rule(**{"raise_for": "2m", "clear_for": "2m"} | times)
    alert = Alert("r", "device/fw-1")
    states = []
    for minute, verdict in enumerate(verdicts):
        at_ns = minute * 60 * SECOND
        alert, _ = advance(alert, chosen, Reading(verdict, 1.0, at_ns), at_ns)
        states.append(alert.state)
    return states


@pytest.mark.parametrize(
    ("verdicts", "states"),
    [
        ([C, C], [I, I]),
        ([R, R, R], [P, P, F]),
        ([R, C, R], [P, I, P]),
        ([R, B, R], [P, I, P]),
        ([R, R, R, B, B, B, B], [P, P, F, F, F, F, F]),
        ([R, R, R, C, C, C], [P, P, F, F, F, X]),
        ([R, R, R, C, B, C, C, C], [P, P, F, F, F, F, F, X]),
        ([R, R, R, C, R, C, C, C], [P, P, F, F, F, F, F, X]),
        ([R, R, R, C, U, C, C, C], [P, P, F, F, F, F, F, X]),
        ([R, R, R, U, U, U, U], [P, P, F, F, F, F, F]),
        ([R, U, U, R, R, R], [P, P, P, P, F, F]),
        ([R, R, R, C, C, C, R, R, R], [P, P, F, F, F, X, P, P, F]),
    ],
)
def test_the_table_of_states_holds(verdicts, states) -> None:
    """Raise and clear level and time; no data never clears (R51)."""
    assert play(verdicts) == states


def test_without_raise_for_the_first_reading_fires() -> None:
    alert, step = advance(Alert("r", "s"), rule(raise_for="0s"), Reading(R, 0.9, 5), 7)
    assert (alert.state, alert.since_ns, alert.fired_ns) == (F, 5, 7)
    assert step is not None
    assert (step.before, step.after, step.reason, step.value) == (I, F, Reason.RAISED, 0.9)


def test_the_end_of_an_alert_is_when_its_condition_ended() -> None:
    alert = Alert("r", "s")
    for minute, verdict in enumerate([R, C, C, C]):
        now_ns = minute * 60 * SECOND
        alert, step = advance(
            alert, rule(raise_for="0s", clear_for="2m"), Reading(verdict, 0.5, now_ns), now_ns + SECOND
        )
    assert (alert.state, alert.resolved_ns) == (X, 60 * SECOND)
    assert step is not None
    assert step.reason is Reason.CLEARED


def test_the_clock_alone_fires_a_pending_alert_but_never_clears_one() -> None:
    """Time raises, only a reading clears (R51)."""
    chosen = rule(raise_for="30s", clear_for="30s")
    alert, _ = advance(Alert("r", "s"), chosen, Reading(R, 0.9, 0), 0)
    alert, step = pass_time(alert, chosen, 150 * SECOND, 30 * SECOND)
    assert step is not None
    assert (alert.state, step.reason) == (F, Reason.HELD)
    alert, _ = advance(alert, chosen, Reading(C, 0.1, 60 * SECOND), 60 * SECOND)
    for second in range(61, 3600, 10):
        alert, step = pass_time(alert, chosen, 150 * SECOND, second * SECOND)
        assert step is None
    assert (alert.state, alert.clear_since_ns) == (F, None)


def test_a_stale_pending_alert_waits_instead_of_firing() -> None:
    chosen = rule(raise_for="10m")
    alert, _ = advance(Alert("r", "s"), chosen, Reading(R, 0.9, 0), 0)
    for minute in range(1, 60):
        alert, step = pass_time(alert, chosen, 150 * SECOND, minute * 60 * SECOND)
        assert step is None
    assert alert.state is P


def test_readings_that_come_late_change_nothing() -> None:
    alert, _ = advance(Alert("r", "s"), rule(raise_for="0s"), Reading(R, 0.9, 100), 100)
    assert advance(alert, rule(raise_for="0s"), Reading(C, 0.1, 99), 101) == (alert, None)


def test_six_turns_in_ten_minutes_are_flapping_and_one_step() -> None:
    """Flapping is one step (R52)."""
    chosen = rule(raise_for="0s", clear_for="0s")
    alert = Alert("r", "s")
    reasons = []
    for second in range(20):
        alert, step = advance(alert, chosen, Reading(R if second % 2 == 0 else C, None, second), second * 3 * SECOND)
        reasons.append(step.reason if step else None)
    assert reasons.count(Reason.FLAPPING) == 1
    assert reasons[6:] == [None] * 14
    assert (alert.state, alert.flapping_since_ns) == (F, 5 * 3 * SECOND)


@pytest.mark.parametrize(("last", "state"), [(C, X), (R, F)])
def test_flapping_ends_once_with_what_is_true_then(last, state) -> None:
    """Its end is one step, with the true state (R52)."""
    chosen = rule(raise_for="0s", clear_for="60s")
    alert = Alert("r", "s")
    for second in range(20):
        alert, _ = advance(alert, chosen, Reading([R, C][second % 2], None, second * SECOND), second * SECOND)
    reasons = []
    for second in range(20, 20 + FLAP_CALM // SECOND + 60, 10):
        now_ns = second * SECOND
        alert, step = advance(alert, chosen, Reading(last, None, now_ns), now_ns)
        reasons += [step.reason] if step else []
        alert, step = pass_time(alert, chosen, 150 * SECOND, now_ns)
        reasons += [step.reason] if step else []
    assert reasons == [Reason.CALM]
    assert (alert.state, alert.flapping_since_ns) == (state, None)


def test_silence_raises_only_where_the_rule_says_so_and_a_reading_clears_it() -> None:
    """The no-data policy (R51)."""
    chosen = rule(raise_for="1m", clear_for="0s", no_data="raise")
    alert, first = raise_for_no_data(Alert("r", "s"), chosen, 1000 * SECOND)
    alert, second = raise_for_no_data(alert, chosen, 1059 * SECOND)
    alert, third = raise_for_no_data(alert, chosen, 1060 * SECOND)
    assert [step and step.reason for step in (first, second, third)] == [Reason.NO_DATA, None, Reason.NO_DATA]
    alert, step = advance(alert, chosen, Reading(C, 0.2, 1100 * SECOND), 1100 * SECOND)
    assert (alert.state, step and step.reason) == (X, Reason.CLEARED)


def test_an_alert_whose_rule_is_gone_ends_without_having_cleared() -> None:
    alert, _ = advance(Alert("r", "s"), rule(raise_for="0s"), Reading(R, 0.9, 5), 7)
    _, step = retire(alert, 9)
    assert step is not None
    assert (step.after, step.reason) == (X, Reason.RULE_GONE)


def test_a_calm_inactive_alert_is_forgotten_and_a_lately_turning_one_is_not() -> None:
    turning = Alert("r", "s", I, turns=(100 * SECOND,))
    assert not is_spent(turning, 101 * SECOND)
    assert is_spent(turning, 100 * SECOND + FLAP_CALM)
    assert not is_spent(Alert("r", "s", F), 10**18)


@pytest.mark.parametrize(
    ("given", "value", "verdict"),
    [
        ({"above": 0.8, "clear_below": 0.7}, 0.81, R),
        ({"above": 0.8, "clear_below": 0.7}, 0.8, B),
        ({"above": 0.8, "clear_below": 0.7}, 0.71, B),
        ({"above": 0.8, "clear_below": 0.7}, 0.7, C),
        ({"above": 0.8}, 0.8, C),
        ({"above": 0.8}, "unknown", U),
        ({"below": 14, "clear_above": 60}, 13.9, R),
        ({"below": 14, "clear_above": 60}, 14, B),
        ({"below": 14, "clear_above": 60}, 60, C),
        ({"equals": False}, False, R),
        ({"equals": False}, 0, C),
        ({"equals": False}, True, C),
        ({"equals": 2}, 2, R),
        ({"equals": "down"}, "down", R),
        ({"equals": "down"}, "degraded", C),
        ({"equals": "down"}, "unknown", U),
        ({"equals": "unknown"}, "unknown", R),
    ],
)
def test_a_rule_judges_a_value(given, value, verdict) -> None:
    assert compile_judge(rule(**given)).judge(value, 0) is verdict


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({}, True),
        ({"devices": ["fw-*"]}, True),
        ({"devices": ["fw-2", "fw-1"]}, True),
        ({"devices": ["fw-?"], "roles": ["router"]}, False),
        ({"devices": ["fw-?"], "roles": ["firewall", "router"]}, True),
        ({"tenants": ["*"]}, False),
    ],
)
def test_every_line_of_a_selector_must_match(selector, fits) -> None:
    facts = {"device": frozenset({"fw-1"}), "role": frozenset({"firewall"})}
    assert matches(Selector.model_validate(selector), facts) is fits


def test_a_rule_on_a_field_that_the_schema_does_not_have_is_refused() -> None:
    estate = Estate.model_validate({"organisation": {"name": {"ja": "x", "en": "x"}}})
    broken = estate.model_copy(update={"rules": {"r": rule(on="device.cpu_load")}})
    with pytest.raises(ValueError, match=r"rules\.r\.on: the schema has no 'device\.cpu_load'"):
        RuleIndex(broken)
