"""The record of a rehearsed failover, from invented echoes and readings whose truth is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.failover import Break, EchoTick, FailoverRecord, MemberReading, Recorder, breaks_of

SECOND = 10**9
TENTH = SECOND // 10


def ticks(target: str, answered: str) -> list[EchoTick]:
    """One echo a tenth of a second: "." answered, "x" lost, " " none sent."""
    return [EchoTick(target, index * TENTH, int(sign != " "), int(sign == ".")) for index, sign in enumerate(answered)]


def readings(member: str, rates: list[float | None], role: str = "", up: str = "") -> list[MemberReading]:
    roles = role or "-" * len(rates)
    states = up or "u" * len(rates)
    return [
        MemberReading(
            member,
            index * SECOND,
            {"u": True, "d": False, "?": None}[state],
            {"a": "active", "s": "standby", "-": None}[word],
            rate,
            None if rate is None else rate / 2,
        )
        for index, (rate, word, state) in enumerate(zip(rates, roles, states, strict=True))
    ]


def record(*series: list, watched: set[str] | None = None, named: bool = False, now: int = 60) -> FailoverRecord:
    recorder = Recorder("lines", ("a", "b"), frozenset(watched or {"far-a", "far-b"}), named, 0)
    for each in [one for part in series for one in part]:
        if isinstance(each, EchoTick):
            recorder.see_tick(each)
        else:
            recorder.see_reading(each)
    return recorder.record(now * SECOND)


def test_a_break_lasts_from_the_first_echo_lost_to_the_next_answered() -> None:
    assert (Break(2 * TENTH, 7 * TENTH, 5),) == breaks_of(ticks("t", "..xxxxx..."))
    assert (Break(2 * TENTH, None, 4),) == breaks_of(ticks("t", "..xxxx"))
    assert (Break(1 * TENTH, 6 * TENTH, 4),) == breaks_of(ticks("t", ".xx xx.."))


def test_one_or_two_echoes_lost_are_losses_and_no_break() -> None:
    (target,) = record(ticks("far-a", "..x...xx...")).targets
    assert (11, 3, ()) == (target.sent, target.lost, target.breaks)


@given(st.text(alphabet=".x ", max_size=80))
def test_breaks_hold_no_answer_and_never_more_losses_than_there_are(answered: str) -> None:
    series = ticks("t", answered)
    breaks = breaks_of(series)
    assert sum(one.lost for one in breaks) <= answered.count("x")
    for one in breaks:
        within = [
            tick for tick in series if one.start_ns <= tick.at_ns and (one.end_ns is None or tick.at_ns < one.end_ns)
        ]
        assert 0 == sum(tick.answered for tick in within)
        assert one.lost == sum(tick.sent for tick in within)


def test_the_group_is_broken_while_nothing_behind_any_member_answers() -> None:
    """One circuit dies for good, the other comes up eight tenths later: that is what the users lost."""
    found = record(ticks("far-a", "....xxxxxxxxxxxxxxxx"), ticks("far-b", "xxxxxxxxxxxx........"))
    assert (Break(4 * TENTH, 12 * TENTH, 8),) == found.breaks
    assert found.restored_ns is None


def test_a_place_that_was_named_counts_by_itself() -> None:
    found = record(ticks("10.0.0.9", "...xxxx....."), ticks("far-a", "............"), watched={"10.0.0.9"}, named=True)
    assert (Break(3 * TENTH, 7 * TENTH, 4),) == found.breaks


def test_who_carried_before_and_after_comes_from_the_traffic() -> None:
    found = record(
        readings("a", [8e6] * 10 + [0.0] * 10),
        readings("b", [1e3] * 10 + [1e3, 4e6] + [8e6] * 8),
    )
    assert ("a", "b") == (found.carrier_before, found.carrier_after)
    (change,) = [each for each in found.changes if each.what == "carrier"]
    assert (11 * SECOND, "a", "b") == (change.at_ns, change.before, change.after)
    assert found.restored_ns is None


def test_without_traffic_the_role_tells_who_carries() -> None:
    found = record(readings("a", [None] * 4, role="aass"), readings("b", [None] * 4, role="ssaa"))
    assert ("a", "b") == (found.carrier_before, found.carrier_after)
    assert {("role", "a"), ("role", "b"), ("carrier", "b")} == {(each.what, each.member) for each in found.changes}


def test_the_directions_break_apart_where_the_counters_say_so() -> None:
    inward = [8e6] * 10 + [0.0] * 3 + [8e6] * 5
    series = [MemberReading("a", index * SECOND, True, None, rate, 4e6) for index, rate in enumerate(inward)]
    into, out = record(series).ways
    assert (Break(9 * SECOND, 12 * SECOND),) == into.breaks
    assert () == out.breaks
    assert pytest.approx(8e6) == into.usual_bits_per_second


def test_a_reading_missed_of_the_member_that_carries_is_no_break_and_its_silence_is_one() -> None:
    """The standby carries nothing: what both carry together is nothing only where the other is silent for longer."""
    standby = readings("b", [0.0] * 20)
    once = record(readings("a", [8e6] * 10 + [None, None] + [8e6] * 8), standby)
    dead = record(readings("a", [8e6] * 10 + [None] * 3 + [8e6] * 7), standby)
    for_good = record(readings("a", [8e6] * 17 + [None] * 3), standby)
    just_now = record(readings("a", [8e6] * 18 + [None] * 2), standby)
    assert [(), ()] == [way.breaks for way in once.ways]
    assert [(Break(9 * SECOND, 12 * SECOND),)] * 2 == [way.breaks for way in dead.ways]
    assert [(Break(16 * SECOND, None),)] * 2 == [way.breaks for way in for_good.ways]
    assert [(), ()] == [way.breaks for way in just_now.ways]


def test_with_too_little_traffic_no_direction_is_judged() -> None:
    ways = record(readings("a", [2e3] * 10 + [0.0] * 10)).ways
    assert [(None, ()), (None, ())] == [(way.usual_bits_per_second, way.breaks) for way in ways]


def test_it_is_as_before_once_everything_is_back() -> None:
    found = record(
        ticks("far-a", "." * 20 + "x" * 30 + "." * 50),
        ticks("far-b", "." * 100),
        readings("a", [8e6] * 2 + [0.0] * 5 + [8e6] * 5, up="uudddduuuuuu"),
        readings("b", [0.0] * 2 + [8e6] * 5 + [0.0] * 5),
    )
    assert ("a", "a") == (found.carrier_before, found.carrier_after)
    assert () == found.breaks  # the other one carried
    assert 7 * SECOND == found.restored_ns


def test_nothing_that_happened_is_no_restoration() -> None:
    found = record(ticks("far-a", "." * 50), readings("a", [8e6] * 5))
    assert not found.disturbed
    assert found.restored_ns is None


def test_a_member_that_says_nothing_changes_nothing() -> None:
    found = record(readings("a", [8e6, None, None, 8e6], up="u??u"))
    assert () == found.changes
