"""What is known of a circuit between slots, and the state that follows. Pure; time is an argument.

Three witnesses: our interface to it (SNMP), echoes to its three points as they fall silent and return (R41), and the
share that is lost of those to its far edge. What is older than its time says nothing (R35).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from poller.faults import Answer, Vector
from poller.redundancy import State

STALE_NS: Final = 150 * 10**9
"""Evidence older than two intervals of 60 s and a poll's own time says nothing any more (R35)."""
LOSS_DOWN: Final = 1.0
POINTS: Final = ("near", "far", "beyond")
"""The places at which a circuit is probed (R41)."""


def point_answer(answers: Mapping[str, Answer | None], ever: Collection[str]) -> Answer:
    """What its addresses say of one point: up while one answers, down when all that have ever answered are silent.

    answers: by address, of all that are asked now; None where nothing is known yet. ever: those that have answered
    since the start; where none of the point has, all that could be sent to must be silent, and whether any ever
    answered is for others to know.
    """
    if Answer.UP in answers.values():
        return Answer.UP
    heard = {answer for key, answer in answers.items() if key in ever}
    heard = heard or {answer for answer in answers.values() if answer is not Answer.UNKNOWN}
    return Answer.DOWN if heard == {Answer.DOWN} else Answer.UNKNOWN


@dataclass(frozen=True, slots=True)
class ProbeEvidence:
    """What echoes to the far edge of the contract say of one minute; delay is None where nothing came back.

    lossy: more is being lost than chance explains (poller.echoloss).
    """

    seen_ns: int
    loss_ratio: float
    delay_seconds: float | None = None
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class PointEvidence:
    """The last word on one probe point, and when it was confirmed."""

    answer: Answer
    seen_ns: int


@dataclass(slots=True)
class Evidence:
    """The latest that is known of one circuit; interface_up None is unknown, and counts for stale_ns."""

    interface_up: bool | None = None
    interface_ns: int = 0
    probe: ProbeEvidence | None = None
    bits_per_second: float | None = None
    slot_ns: int = 0
    stale_ns: int = STALE_NS
    points: dict[str, PointEvidence] = field(default_factory=dict)
    scope: str = "outside"

    def save(self) -> dict[str, Any]:
        """What was seen, as plain values; restore takes it over. What is too old by then says nothing by itself."""
        probe = self.probe
        return {
            "interface": [self.interface_up, self.interface_ns],
            "probe": None if probe is None else [probe.seen_ns, probe.loss_ratio, probe.delay_seconds, probe.lossy],
            "bits_per_second": self.bits_per_second,
            "points": {point: [str(each.answer), each.seen_ns] for point, each in self.points.items()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what save gave."""
        self.interface_up, self.interface_ns = saved["interface"]
        self.probe = None if saved["probe"] is None else ProbeEvidence(*saved["probe"])
        self.bits_per_second = saved["bits_per_second"]
        self.points = {
            point: PointEvidence(Answer(answer), seen_ns) for point, (answer, seen_ns) in saved["points"].items()
        }

    def vector(self, at_ns: int, *, isolated: bool = False) -> Vector:
        """What is known at a moment; what is older than its time is unknown."""
        known = {point: each.answer for point, each in self.points.items() if abs(at_ns - each.seen_ns) <= STALE_NS}
        interface = self.interface_up if at_ns - self.interface_ns <= self.stale_ns else None
        return Vector(
            **known,
            interface=Answer.UNKNOWN if interface is None else Answer.UP if interface else Answer.DOWN,
            gateway=Answer.DOWN if isolated else Answer.UNKNOWN,
        )


def judge_circuit(evidence: Evidence, at_ns: int, *, isolated: bool = False) -> tuple[State, str]:  # noqa: PLR0911 - one a case
    """The state of a circuit at a moment, with the sentence behind it.

    A far edge that answers while nothing behind it does leaves a circuit that runs and serves nobody: degraded.
    """
    if isolated:
        return State.UNKNOWN, "monitoring is isolated"
    vector = evidence.vector(at_ns)
    probe = evidence.probe
    if probe is not None and at_ns - probe.seen_ns > STALE_NS:
        probe = None
    if vector.interface is Answer.DOWN:
        return State.DOWN, "its interface is down"
    if vector.far is Answer.DOWN or (probe is not None and probe.loss_ratio >= LOSS_DOWN):
        near = " and neither does our edge" if vector.near is Answer.DOWN else ""
        return State.DOWN, f"the far edge does not answer{near}"
    if vector.far is Answer.UP and vector.beyond is Answer.DOWN:
        return State.DEGRADED, "the far edge answers, but nothing beyond it"
    if probe is not None and probe.lossy:
        return State.DEGRADED, f"echoes to the far edge are being lost, {probe.loss_ratio:.1%} in the last minute"
    if vector.interface is Answer.UP:
        return State.UP, "its interface is up"
    if probe is not None or vector.far is Answer.UP:
        return State.UP, "the far edge answers"
    return State.UNKNOWN, "neither its interface nor its far edge has been seen lately"


_JA: Final = (
    (re.compile("monitoring is isolated"), "監視装置が孤立しています"),
    (re.compile("its interface is down"), "インターフェースがダウンしています"),
    (re.compile("the far edge does not answer and neither does our edge"), "向こう端も当方の端も応答がありません"),
    (re.compile("the far edge does not answer"), "向こう端の応答がありません"),
    (re.compile("the far edge answers, but nothing beyond it"), "向こう端は応答しますが、その先の応答がありません"),
    (
        re.compile(r"echoes to the far edge are being lost, ([0-9.]+%) in the last minute"),
        r"向こう端へのエコーが失われています（直近1分 \1）",
    ),
    (re.compile("its interface is up"), "インターフェースはアップです"),
    (re.compile("the far edge answers"), "向こう端は応答しています"),
    (
        re.compile("neither its interface nor its far edge has been seen lately"),
        "インターフェースも向こう端も、しばらく確認できていません",
    ),
)


def reason_ja(reason: str) -> str:
    """A sentence of judge_circuit in Japanese; any other as it stands."""
    return next((match.expand(ja) for known, ja in _JA if (match := known.fullmatch(reason))), reason)


def judge_group(states: Iterable[State]) -> State:
    """Up when all members are, down when all are, unknown when nothing is known of any; degraded between."""
    found = set(states)
    if len(found) == 1:
        return found.pop()
    return State.DEGRADED if found else State.UNKNOWN
