"""When the state of a service changes: the table of the module's theory, row by row (R40)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.service_states import REPEAT_NS, REPEATS, Check, Reason, Standing, advance, repeat_ns
from probes.result import ProbeResult, ServiceState

SECOND = 10**9
STATES = {"U": ServiceState.UP, "D": ServiceState.DOWN, "?": ServiceState.UNKNOWN}
WORDS = {True: "U", False: "D", None: "?"}


def check(letter: str, at: int = 0) -> Check:
    facts = {"target": "x:1", "peer": "x:1", "detail": "-"}
    reason = {"U": "connects", "D": "refused", "?": "not_asked"}[letter]
    return Check(at * SECOND, ProbeResult("tcp", "x:1", STATES[letter], None, {}, reason, facts))


def play(letters: str) -> tuple[list[str], list[str]]:
    """What is told at each check ("-" for nothing), and what stands after it."""
    standing, told, stands = Standing(), [], []
    for at, letter in enumerate(letters):
        decision = advance(standing, check(letter, at))
        standing = decision.standing
        told.append("".join(WORDS[each.up] for each in decision.told) or "-")
        stands.append(WORDS[standing.up])
    return told, stands


@pytest.mark.parametrize(
    ("checks", "told", "stands"),
    [
        # the first word counts where it is good
        ("U", "U", "U"),
        ("UUU", "U U U", "UUU"),
        # down from the start: three repeats, then all four are told as down
        ("DDDD", "- - - DDDD", "???D"),
        ("DU", "- ?U", "?U"),
        ("DDDU", "- - - ???U", "???U"),
        # up, and a doubt that one of its repeats does not confirm
        ("UDU", "U - UU", "UUU"),
        ("UDDU", "U - - UUU", "UUUU"),
        ("UDDDU", "U - - - UUUU", "UUUUU"),
        ("UDUDDUDDD", "U - UU - - UUU - - -", "UUUUUUUUU"),
        # up, and a doubt that every repeat confirms
        ("UDDDD", "U - - - DDDD", "UUUUD"),
        ("UDDDDD", "U - - - DDDD D", "UUUUDD"),
        # and back, by the same measure
        ("UDDDDUD", "U - - - DDDD - DD", "UUUUDDD"),
        ("UDDDDUUUU", "U - - - DDDD - - - UUUU", "UUUUDDDDU"),
        # what could not be asked confirms nothing, and says so
        ("?", "?", "?"),
        ("U?U", "U ? U", "UUU"),
        ("UD?", "U - ??", "UUU"),
        ("UDD?DDDD", "U - - ??? - - - DDDD", "UUUUUUUD"),
        ("UDDDD?U", "U - - - DDDD ? -", "UUUUDDD"),
    ],
)
def test_the_state_changes_only_when_every_repeat_says_so(checks, told, stands):
    """(R40)."""
    assert (told.split(), list(stands)) == play(checks)


@pytest.mark.parametrize(
    ("checks", "reasons"),
    [
        ("UU", [Reason.FIRST, Reason.AGREES]),
        ("UDU", [Reason.FIRST, Reason.DOUBTED, Reason.NOT_CONFIRMED]),
        ("DDDD", [Reason.DOUBTED, Reason.DOUBTED, Reason.DOUBTED, Reason.CONFIRMED]),
        ("?", [Reason.COULD_NOT_ASK]),
    ],
)
def test_every_decision_has_its_reason_and_only_a_doubt_is_repeated(checks, reasons):
    standing, found = Standing(), []
    for letter in checks:
        decision = advance(standing, check(letter))
        standing = decision.standing
        found.append(decision.reason)
        assert (decision.reason is Reason.DOUBTED) == decision.again
    assert reasons == found


@given(st.text("UD?", max_size=60))
def test_every_check_is_told_once_in_the_order_of_its_time_and_doubts_are_few(letters):
    standing, told = Standing(), []
    for at, letter in enumerate(letters):
        decision = advance(standing, check(letter, at))
        standing = decision.standing
        told.extend(each.check.at_ns // SECOND for each in decision.told)
        assert len(standing.doubts) <= REPEATS
    assert list(range(len(letters))) == told + [each.at_ns // SECOND for each in standing.doubts]


def test_a_doubt_is_repeated_three_times_at_five_seconds():
    """(R40)."""
    assert (3, 5 * SECOND) == (REPEATS, REPEAT_NS)
    assert 5 * SECOND == repeat_ns(check("D", 0), SECOND // 10)
    assert 12 * SECOND == repeat_ns(check("D", 0), 12 * SECOND)
