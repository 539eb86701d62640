"""What is known about one target: its echoes under way, its minute, and the verdict. Pure; time is an argument.

The verdict (R37) - a first loss is a question, a row of losses the answer:

    unknown  --answer-->  up
    unknown, up  --loss-->  doubtful: echoes follow fast
    up  --somebody doubts it-->  doubtful
    doubtful  --answer-->  what it was before
    doubtful  --the echo that raised the doubt and a whole burst lost-->  down, since the first of them was sent
    down  --answer-->  returning: echoes follow fast
    returning  --loss-->  down
    returning  --RETURN_ANSWERS in a row-->  up, since the first of them arrived

With an echo every 5 s, a timeout of 2 s and a burst of 5 at 0.5 s, a target that dies right after an answer is down
after 5 + 2 + 4 x 0.5 + 2 = 11 s at most. One lost echo in a hundred would have to be followed by five more.

An echo that a router refused counts as lost here; one that could not be sent says nothing about the target. After
UNSENT_TRIES of those in a row nothing is known any more: every state becomes unknown, and that is told.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from probes.icmp_statistics import EchoStatistics, summarise

RETURN_ANSWERS: Final = 3
UNSENT_TRIES: Final = 3
_LOST_KEPT: Final = 64
"""Lost echoes that are remembered per target, so that a late answer is known as late."""


class Standing(StrEnum):
    """What the echoes say about a target."""

    UNKNOWN = "unknown"
    UP = "up"
    DOUBTFUL = "doubtful"
    DOWN = "down"
    RETURNING = "returning"


_UP: Final = Standing.UP  # asked at every answer; the lookup in an enumeration costs more than the question


@dataclass(frozen=True, slots=True)
class EchoDown:
    """A target was declared down.

    since_ns: when the first echo of the unanswered row was sent; declared_ns: when we were sure. The prober gives
    both as UTC unix nanoseconds.
    lost: echoes of the row; refused: those of them that a router on the way said it cannot deliver.
    """

    target: str
    since_ns: int
    declared_ns: int
    lost: int
    refused: int


@dataclass(frozen=True, slots=True)
class EchoUp:
    """A target answers, for the first time or again; since_ns is its first answer. Times as in EchoDown."""

    target: str
    since_ns: int
    declared_ns: int


@dataclass(frozen=True, slots=True)
class EchoUnsent:
    """Nothing can be sent to a target: that says nothing of it, but of us. Times as in EchoDown; why is a word."""

    target: str
    since_ns: int
    declared_ns: int
    why: str


class Minute:
    """One minute of one target while it is being counted."""

    __slots__ = ("delays_ns", "duplicates", "late", "refused", "send_error", "send_failed", "sent", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.sent = 0
        self.send_failed = 0
        self.refused = 0
        self.duplicates = 0
        self.late = 0
        self.delays_ns: list[int] = []
        self.send_error = ""

    def statistics(self, target: str) -> EchoStatistics:
        """The numbers; call it once every echo of the minute is answered or lost."""
        return EchoStatistics(
            target=target,
            slot_start_ns=self.start_ns,
            sent=self.sent,
            received=len(self.delays_ns),
            lost=self.sent - len(self.delays_ns) - self.refused,
            refused=self.refused,
            send_failed=self.send_failed,
            duplicates=self.duplicates,
            late=self.late,
            delays=summarise(self.delays_ns),
            send_error=self.send_error,
        )


class Verdict:
    """The state machine of the module's table for one target.

    burst_echoes: losses beyond the first that it takes to declare the target down.
    """

    __slots__ = (
        "_answers",
        "_burst_echoes",
        "_known_up",
        "_losses",
        "_refused",
        "_since_ns",
        "_standing",
        "_target",
        "urgent",
    )

    def __init__(self, target: str, burst_echoes: int) -> None:
        self._standing = Standing.UNKNOWN
        self.urgent = False
        """Echoes are to follow fast."""
        self._target = target
        self._burst_echoes = burst_echoes
        self._known_up = False
        self._losses = 0
        self._refused = 0
        self._answers = 0
        self._since_ns = 0

    @property
    def standing(self) -> Standing:
        """Where the target stands now."""
        return self._standing

    def answered(self, at_ns: int) -> EchoUp | None:
        """An answer arrived; the event where this changes the verdict."""
        if self._standing is _UP:
            return None
        self._losses = self._refused = 0
        if self._standing in {Standing.UNKNOWN, Standing.DOUBTFUL}:
            first, self._known_up = not self._known_up, True
            self._move(_UP)
            return EchoUp(self._target, at_ns, at_ns) if first else None
        if self._standing is Standing.DOWN:
            self._move(Standing.RETURNING)
            self._answers, self._since_ns = 0, at_ns
        self._answers += 1
        if self._answers < RETURN_ANSWERS:
            return None
        self._move(_UP)
        self._known_up = True
        return EchoUp(self._target, self._since_ns, at_ns)

    def lost(self, sent_ns: int, now_ns: int, *, refused: bool = False) -> EchoDown | None:
        """The echo sent then stayed without answer; the event where this changes the verdict."""
        if self._standing in {Standing.DOWN, Standing.RETURNING}:
            self._move(Standing.DOWN)
            return None
        if self._losses == 0:
            self._since_ns = sent_ns
        self._losses += 1
        self._refused += refused
        if self._losses <= self._burst_echoes:
            self._move(Standing.DOUBTFUL)
            return None
        self._move(Standing.DOWN)
        self._known_up = False
        return EchoDown(self._target, self._since_ns, now_ns, self._losses, self._refused)

    def doubt(self) -> None:
        """Ask again fast, because something near it fell silent; an answer ends that without a word."""
        if self._standing is _UP:
            self._move(Standing.DOUBTFUL)

    def unsent(self, since_ns: int, now_ns: int, why: str) -> EchoUnsent:
        """Nothing is known of it any more; its next answer is told as the first."""
        self._move(Standing.UNKNOWN)
        self._known_up = False
        self._losses = self._refused = 0
        return EchoUnsent(self._target, since_ns, now_ns, why)

    def _move(self, standing: Standing) -> None:
        self._standing = standing
        self.urgent = standing in {Standing.DOUBTFUL, Standing.RETURNING}


class EchoTrack:
    """The echoes of one target: which are under way, and what became of the others.

    Times are nanoseconds of one clock that never jumps; the events are in the same clock.
    """

    __slots__ = ("_lost", "_under_way", "_unsent", "_unsent_ns", "minute", "sequence", "verdict")

    def __init__(self, verdict: Verdict, minute: Minute) -> None:
        self.verdict = verdict
        self.minute = minute
        self.sequence = 0
        """The sequence of the next echo."""
        self._under_way: dict[int, tuple[int, Minute]] = {}
        self._lost: dict[int, Minute] = {}
        self._unsent = 0
        self._unsent_ns = 0

    def sent(self, at_ns: int) -> None:
        """The echo with the present sequence is on its way."""
        self._under_way[self.sequence] = (at_ns, self.minute)
        self.minute.sent += 1
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        self._unsent = 0

    def left(self, sequence: int, at_ns: int) -> None:
        """The kernel says when an echo that is under way left; that cannot be before it was asked to send it."""
        under_way = self._under_way.get(sequence)
        if under_way is not None and at_ns > under_way[0]:
            self._under_way[sequence] = (at_ns, under_way[1])

    def send_failed(self, why: str, at_ns: int) -> EchoUnsent | None:
        """It could not be sent; its sequence is used again. The event where this was once too often."""
        self.minute.send_failed += 1
        self.minute.send_error = why
        if self._unsent == 0:
            self._unsent_ns = at_ns
        self._unsent += 1
        if self._unsent != UNSENT_TRIES:
            return None
        return self.verdict.unsent(self._unsent_ns, at_ns, why)

    def answered(self, sequence: int, at_ns: int) -> EchoUp | None:
        """An answer to one of our echoes arrived: in time, late, or once more."""
        under_way = self._under_way.pop(sequence, None)
        if under_way is not None:
            sent_ns, minute = under_way
            minute.delays_ns.append(at_ns - sent_ns if at_ns > sent_ns else 0)
        elif (lost_in := self._lost.pop(sequence, None)) is not None:
            lost_in.late += 1
        else:
            self.minute.duplicates += 1
            return None
        return self.verdict.answered(at_ns)

    def refused(self, sequence: int, now_ns: int) -> EchoDown | None:
        """A router said that it cannot deliver this echo."""
        under_way = self._under_way.pop(sequence, None)
        if under_way is None:
            return None
        sent_ns, minute = under_way
        minute.refused += 1
        return self.verdict.lost(sent_ns, now_ns, refused=True)

    def expired(self, sequence: int, now_ns: int) -> EchoDown | None:
        """The timeout of this echo is over; nothing happens where it has been answered."""
        under_way = self._under_way.pop(sequence, None)
        if under_way is None:
            return None
        sent_ns, minute = under_way
        self._lost[sequence] = minute
        if len(self._lost) > _LOST_KEPT:
            del self._lost[next(iter(self._lost))]
        return self.verdict.lost(sent_ns, now_ns)

    def next_minute(self, start_ns: int) -> Minute:
        """Begin another minute; the one that ends is returned, and counts on until its last echo is resolved."""
        ended, self.minute = self.minute, Minute(start_ns)
        return ended
