"""Whose fault it is: the three probe points of a circuit and its interface become a place and a class (R41). Pure.

    us ---- near ========= far ---- beyond
    |  ours  |   circuit    | beyond |

near is our edge, far the far edge of the contract, beyond something behind it. What answers proves the way up to it;
the first silence behind that is where to look. The table below is complete and literal, so that people can disagree
with a line of it; docs/faults.md is made from it. A circuit's own stretch is inside or outside as the estate's `scope`
of the circuit says. When none of our own gateways answers, nothing behind them can be judged: monitoring is isolated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Answer(StrEnum):
    """What is known of a probe point or an interface."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Place(StrEnum):
    """Where the fault is, as far as the readings tell."""

    NOWHERE = "nowhere"
    OURS = "ours"
    CIRCUIT = "circuit"
    BEYOND = "beyond"
    UNDETERMINED = "undetermined"
    ISOLATED = "isolated"


class FaultClass(StrEnum):
    """Which side of the demarcation point; NONE where no fault is seen, ISOLATED where we cannot see at all."""

    NONE = "none"
    INSIDE = "inside"
    OUTSIDE = "outside"
    UNDETERMINED = "undetermined"
    ISOLATED = "isolated"


_UP, _DOWN, _UNKNOWN = Answer
_NOWHERE, _OURS, _CIRCUIT, _BEYOND, _OPEN = (
    Place.NOWHERE,
    Place.OURS,
    Place.CIRCUIT,
    Place.BEYOND,
    Place.UNDETERMINED,
)

INTERFACE_COLUMNS: Final = (_UP, _DOWN, _UNKNOWN)
"""What the three columns of the table stand for: the state of our interface to the circuit."""
TABLE: Final[Mapping[tuple[Answer, Answer, Answer], tuple[Place, Place, Place]]] = {
    # near, far, beyond                 interface up, down, unknown
    (_UP, _UP, _UP): (_NOWHERE, _OPEN, _NOWHERE),
    (_UP, _UP, _DOWN): (_BEYOND, _OPEN, _BEYOND),
    (_UP, _UP, _UNKNOWN): (_NOWHERE, _OPEN, _NOWHERE),
    (_UP, _DOWN, _UP): (_OPEN, _OPEN, _OPEN),
    (_UP, _DOWN, _DOWN): (_CIRCUIT, _OPEN, _OPEN),
    (_UP, _DOWN, _UNKNOWN): (_CIRCUIT, _OPEN, _OPEN),
    (_UP, _UNKNOWN, _UP): (_NOWHERE, _OPEN, _NOWHERE),
    (_UP, _UNKNOWN, _DOWN): (_OPEN, _OPEN, _OPEN),
    (_UP, _UNKNOWN, _UNKNOWN): (_NOWHERE, _OPEN, _NOWHERE),
    (_DOWN, _UP, _UP): (_NOWHERE, _OURS, _NOWHERE),
    (_DOWN, _UP, _DOWN): (_BEYOND, _OPEN, _BEYOND),
    (_DOWN, _UP, _UNKNOWN): (_NOWHERE, _OURS, _NOWHERE),
    (_DOWN, _DOWN, _UP): (_OPEN, _OURS, _OPEN),
    (_DOWN, _DOWN, _DOWN): (_OURS, _OURS, _OURS),
    (_DOWN, _DOWN, _UNKNOWN): (_OURS, _OURS, _OURS),
    (_DOWN, _UNKNOWN, _UP): (_NOWHERE, _OURS, _NOWHERE),
    (_DOWN, _UNKNOWN, _DOWN): (_OURS, _OURS, _OURS),
    (_DOWN, _UNKNOWN, _UNKNOWN): (_OURS, _OURS, _OURS),
    (_UNKNOWN, _UP, _UP): (_NOWHERE, _OPEN, _NOWHERE),
    (_UNKNOWN, _UP, _DOWN): (_BEYOND, _OPEN, _BEYOND),
    (_UNKNOWN, _UP, _UNKNOWN): (_NOWHERE, _OPEN, _NOWHERE),
    (_UNKNOWN, _DOWN, _UP): (_OPEN, _OPEN, _OPEN),
    (_UNKNOWN, _DOWN, _DOWN): (_OPEN, _OPEN, _OPEN),
    (_UNKNOWN, _DOWN, _UNKNOWN): (_OPEN, _OPEN, _OPEN),
    (_UNKNOWN, _UNKNOWN, _UP): (_NOWHERE, _OPEN, _NOWHERE),
    (_UNKNOWN, _UNKNOWN, _DOWN): (_OPEN, _OPEN, _OPEN),
    (_UNKNOWN, _UNKNOWN, _UNKNOWN): (_NOWHERE, _OPEN, _NOWHERE),
}
"""All 81 combinations. A column each for our interface to the circuit: up, down, unknown."""

_CLASSES: Final[Mapping[Place, FaultClass]] = {
    Place.NOWHERE: FaultClass.NONE,
    Place.OURS: FaultClass.INSIDE,
    Place.BEYOND: FaultClass.OUTSIDE,
    Place.UNDETERMINED: FaultClass.UNDETERMINED,
    Place.ISOLATED: FaultClass.ISOLATED,
}
SENTENCES: Final[Mapping[Place, tuple[str, str]]] = {
    Place.NOWHERE: ("障害は見えない", "no fault is seen"),
    Place.OURS: (
        "監視装置から当方の端（near）までの間、または当方の端そのもの",
        "between the monitoring and our edge (near), or our edge itself",
    ),
    Place.CIRCUIT: (
        "当方の端（near）と契約範囲の向こう端（far）の間、つまり回線区間",
        "between our edge (near) and the far edge of the contract (far): the circuit itself",
    ),
    Place.BEYOND: (
        "契約範囲の向こう端（far）より先",
        "behind the far edge of the contract (far)",
    ),
    Place.UNDETERMINED: (
        "応答の組合せからは決められない",
        "the readings do not decide it",
    ),
    Place.ISOLATED: (
        "当方のゲートウェイが応答しないため、その先は判定できない（監視装置の孤立）",
        "none of our own gateways answers, so nothing behind them can be judged: monitoring is isolated",
    ),
}
"""Each place in Japanese and English."""


@dataclass(frozen=True, slots=True)
class Vector:
    """What is known at one moment of a circuit's three points, of our interface to it, and of our own gateways."""

    near: Answer = Answer.UNKNOWN
    far: Answer = Answer.UNKNOWN
    beyond: Answer = Answer.UNKNOWN
    interface: Answer = Answer.UNKNOWN
    gateway: Answer = Answer.UNKNOWN

    @property
    def probed(self) -> bool:
        """Whether any of the three points is known."""
        return not self.near == self.far == self.beyond == Answer.UNKNOWN


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a fault is and whose it is, with the readings it was judged by."""

    place: Place
    fault_class: FaultClass
    vector: Vector


def classify(vector: Vector, circuit_scope: str) -> Fault:
    """The fault of a circuit; circuit_scope ("inside" or "outside") is the estate's word on whose the circuit is."""
    if vector.gateway is Answer.DOWN:
        place = Place.ISOLATED
    else:
        row = TABLE[vector.near, vector.far, vector.beyond]
        place = row[INTERFACE_COLUMNS.index(vector.interface)]
    return Fault(place, fault_class(place, circuit_scope), vector)


def fault_class(place: Place, circuit_scope: str) -> FaultClass:
    """Which side of the demarcation point a place is on."""
    return FaultClass(circuit_scope) if place is Place.CIRCUIT else _CLASSES[place]


def gateway_answer(gateways: Mapping[str, Answer]) -> Answer:
    """Our own gateways together: one that answers is enough; all must be down to say so."""
    states = set(gateways.values())
    if Answer.UP in states:
        return Answer.UP
    return Answer.DOWN if states == {Answer.DOWN} else Answer.UNKNOWN
