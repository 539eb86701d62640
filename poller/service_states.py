"""When the state of a service changes: not at the first word (R40).

A check that contradicts the state that stands is a doubt. It is repeated REPEATS times, REPEAT_NS apart; only if every
repeat says the same does the state change. Until that is decided the doubtful checks are held back, so that what is
told of them is what was decided, at the times at which they were made: an outage begins with its first failed check.

    stands       the check says up              says down                       could not be made
    nothing yet  up at once                     doubt, repeated                 told as unknown
    up           told as up; doubts too         doubt; after REPEATS: down,     told as unknown; doubts too:
                                                all doubts told as down         nobody could confirm them
    down         doubt; after REPEATS: up       told as down; doubts too        as above

Nothing here reads a clock; times are arguments.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from probes.result import ProbeResult, ServiceState

REPEATS: Final = 3
REPEAT_NS: Final = 5 * 10**9
_SAYS: Final = {ServiceState.UP: True, ServiceState.DOWN: False, ServiceState.UNKNOWN: None}


class Reason(StrEnum):
    """Why advance() decided as it did."""

    AGREES = "as before"
    FIRST = "first check, and it serves"
    DOUBTED = "not as before: repeated before it counts"
    CONFIRMED = "every repeat said the same"
    NOT_CONFIRMED = "a repeat said otherwise: as before"
    COULD_NOT_ASK = "could not be asked: nothing is known"


@dataclass(frozen=True, slots=True)
class Check:
    """One check that was made; at_ns is when it was due, UTC unix nanoseconds."""

    at_ns: int
    result: ProbeResult


@dataclass(frozen=True, slots=True)
class Told:
    """A check with what was decided of it; up None: unknown."""

    check: Check
    up: bool | None


@dataclass(frozen=True, slots=True)
class Standing:
    """The state that stands, None before anything is known, and the checks in a row that contradict it."""

    up: bool | None = None
    doubts: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a check. told is in the order of time; again: repeat soon."""

    standing: Standing
    told: tuple[Told, ...]
    again: bool
    reason: Reason


def advance(standing: Standing, check: Check) -> Decision:
    """What a check does to what stands."""
    says = _SAYS[check.result.state]
    if says is None:
        told = tuple(Told(each, None) for each in (*standing.doubts, check))
        return Decision(Standing(standing.up), told, again=False, reason=Reason.COULD_NOT_ASK)
    if says == standing.up or (standing.up is None and says):
        told = (*(Told(each, standing.up) for each in standing.doubts), Told(check, says))
        reason = Reason.FIRST if standing.up is None else Reason.NOT_CONFIRMED if standing.doubts else Reason.AGREES
        return Decision(Standing(says), told, again=False, reason=reason)
    doubts = (*standing.doubts, check)
    if len(doubts) <= REPEATS:
        return Decision(Standing(standing.up, doubts), (), again=True, reason=Reason.DOUBTED)
    told = tuple(Told(each, says) for each in doubts)
    return Decision(Standing(says), told, again=False, reason=Reason.CONFIRMED)


def repeat_ns(check: Check, now_ns: int) -> int:
    """When a doubtful check is repeated: REPEAT_NS after it was due, or at once where it took longer."""
    return max(check.at_ns + REPEAT_NS, now_ns)
