"""The arithmetic of one interface between two readings: how long, how many, and whether that can be true."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from poller.readings import COUNTERS
from poller.uptime import TICK_NS, UPTIME_SPAN, Continuity, Witness, judge_uptime

WIDTH: Final = len(COUNTERS)
OCTETS: Final = 2
"""The first two counters: in and out octets."""
TRAFFIC: Final = 4
"""The first four counters, octets and packets, are judged together: if one of them falls, none can be compared."""
SPAN32: Final = 1 << 32
FASTEST: Final = 1_600_000_000_000
"""Bits per second assumed where a device does not tell an interface's speed: the fastest Ethernet there is."""
SMALLEST_PACKET: Final = 20
"""Octets: an IPv4 header alone; bounds packets, errors and discards by the line's speed."""
CACHE_NS: Final = 30 * 10**9
"""Agents keep counters for up to so long before they read them again (R32)."""
LATE_NS: Final = 15 * 10**9
"""A reply is not later than this after the agent's counting; more is a clock that went another way."""


class Moment(NamedTuple):
    """When a row was read: by our clock, by the agent's, and where the interval counted last ended on our axis."""

    received_ns: int
    uptime_ticks: int | None
    placed_ns: int


@dataclass(frozen=True, slots=True)
class Step:
    """The time between two readings of a row.

    elapsed_ns: what rates are taken over (R28); 0 where the new reading is not later than the old.
    placed_ns: where the interval ends on the axis of our clock; it begins where the last one ended.
    """

    continuity: Continuity
    elapsed_ns: int
    placed_ns: int


def time_step(before: Moment, after: Moment, witnesses: tuple[Witness, Witness]) -> Step:
    """The step between two readings of a row; witnesses are those of the device's last reading and of this."""
    waited_ns = after.received_ns - before.received_ns
    if before.uptime_ticks is None or after.uptime_ticks is None:
        return Step(Continuity.JUMPED, max(waited_ns, 0), after.received_ns)
    if waited_ns <= 0:
        return Step(Continuity.JUMPED, 0, after.received_ns)
    continuity = judge_uptime(before.uptime_ticks, after.uptime_ticks, waited_ns, *witnesses)
    counted_ns = ((after.uptime_ticks - before.uptime_ticks) % UPTIME_SPAN) * TICK_NS
    if continuity is not Continuity.CONTINUED or not _sane(counted_ns, waited_ns):
        return Step(continuity, waited_ns, after.received_ns)
    return Step(continuity, counted_ns, place(before.placed_ns, counted_ns, after.received_ns))


def _sane(counted_ns: int, waited_ns: int) -> bool:
    """Whether the agent's clock can be believed for a duration: a stuck one or one in other units cannot."""
    off_ns = abs(counted_ns - waited_ns)
    return off_ns <= LATE_NS + waited_ns // 100 and waited_ns <= 4 * counted_ns and counted_ns <= 4 * waited_ns


def place(last_ns: int, counted_ns: int, received_ns: int) -> int:
    """Where an interval of counted_ns that began at last_ns ends on our axis.

    Never after its receipt; where it seems to end earlier it follows our clock by one part in a hundred, so that a
    single late reply moves nothing and a slow clock of the agent does not run away.
    """
    late_ns = received_ns - last_ns - counted_ns
    if late_ns <= 0 or late_ns > LATE_NS:
        return received_ns
    return last_ns + counted_ns + min(late_ns, counted_ns // 100)


def place_first(last_ns: int, due_ns: int, received_ns: int) -> int:
    """Where counting begins on our axis: when the reading was due, as far back as a reply can be late.

    Placed at its receipt, a late one would press the next interval's octets into less time than they took. Not before
    last_ns, where the last interval ended, unless our clock was set back.
    """
    return min(received_ns, max(due_ns, received_ns - LATE_NS, last_ns))


def differences(
    before: Sequence[int | None], after: Sequence[int | None], *, wide: bool, may_wrap: bool
) -> list[int | None] | None:
    """What each counter of a row counted; None for one that cannot be told, None for all at a discontinuity (R26, R27).

    A Counter32 that fell is taken as wrapped once if may_wrap; a Counter64 never is.
    """
    counted: list[int | None] = []
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        if old is None or new is None:
            counted.append(None)
            continue
        difference = new - old
        if difference < 0:
            narrow = index >= TRAFFIC or not wide
            if may_wrap and narrow and old < SPAN32:
                difference += SPAN32
            elif index < TRAFFIC:
                return None
            else:
                counted.append(None)
                continue
        counted.append(difference)
    return counted


def plausible_octets(speed: int, elapsed_ns: int) -> int:
    """The most octets that a direction of an interface can count in that time: 1.05 x its speed (R31)."""
    return (speed or FASTEST) * elapsed_ns * 105 // (8 * 100 * 10**9)


def ambiguous(speed: int, elapsed_ns: int) -> bool:
    """Whether a Counter32 of octets can pass the same value twice in that time (R25): 34.4 s at 1 Gbps.

    Where the speed is unknown (ifSpeed 0) it may be any, so that it always can: 2^32 octets in 60 s are 573 Mbps, and
    what looks like 94 Mbps may be 667 Mbps. Such an interface is counted only if the agent has its Counter64.
    """
    return plausible_octets(speed, elapsed_ns) >= SPAN32


def plausible(counted: Sequence[int | None], most_octets: int) -> bool:
    """Whether octets and packets of a row are within what the line can carry."""
    most = (most_octets, most_octets, most_octets // SMALLEST_PACKET, most_octets // SMALLEST_PACKET)
    return all(value is None or value <= limit for value, limit in zip(counted[:TRAFFIC], most, strict=True))


def per_second(counted: Sequence[int | None], elapsed_ns: int, most_octets: int) -> list[float | None]:
    """Rates of a row: bits for the octets; errors and discards that the line cannot have carried are None."""
    most = most_octets // SMALLEST_PACKET
    rates: list[float | None] = []
    for index, value in enumerate(counted):
        if value is None or (index >= TRAFFIC and value > most):
            rates.append(None)
        else:
            rates.append(value / (elapsed_ns / (8e9 if index < OCTETS else 1e9)))
    return rates
