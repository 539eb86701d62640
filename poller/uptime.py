"""Did the device go on counting between two readings? Reboots, wraps and other units, by sysUpTime and its witnesses.

Theory. sysUpTime counts 1/100 s modulo 2^32, so it falls to zero every 497.1 days without anything having happened. It
is compared with what our own clock lets us expect:

    as expected, and not fallen                          continued
    as expected, fallen, and the wrap was due            continued, unless a witness saw a restart
    otherwise, and the engine's time went on             jumped: the agent runs, its sysUpTime or our clock is wrong
    otherwise, and it could have started since           restarted: rebooted, or the agent alone if the system went on
    otherwise, fallen                                    replaced: another unit answers, up for longer than we waited
    otherwise                                            jumped

The witnesses are snmpEngineBoots with snmpEngineTime (RFC 3414, 2.2) and hrSystemUptime (HOST-RESOURCES-MIB).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TICK_NS: Final = 10_000_000
UPTIME_SPAN: Final = 1 << 32
SPAN_NS: Final = UPTIME_SPAN * TICK_NS
"""497.1 days: after that TimeTicks start again (SNMPv2-SMI, RFC 2578, 7.1.8)."""
TOLERANCE_NS: Final = 60 * 10**9
"""How far sysUpTime may be from what we expect (R29); a thousandth of the time waited comes on top, for poor clocks."""

YOUNG_TOLERANCE_NS: Final = 15 * 10**9
"""The same for an agent that may have started since the last reading: not more than a late reply explains."""


class Continuity(StrEnum):
    """What happened to the agent between two readings."""

    CONTINUED = "continued"
    JUMPED = "jumped"
    """It ran on, but the two clocks disagree: time is taken from our clock, and a falling counter is no wrap."""
    REBOOTED = "rebooted"
    AGENT_RESTARTED = "agent_restarted"
    """sysUpTime began anew while the system went on (hrSystemUptime)."""
    REPLACED = "replaced"
    """Another unit answers at this address, for example after a failover."""


RESTARTS: Final = frozenset((Continuity.REBOOTED, Continuity.AGENT_RESTARTED, Continuity.REPLACED))
"""After these no counter is comparable, and the index map must be read again (R30)."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What tells of a restart of the whole device, with the time of the reading (UTC unix nanoseconds)."""

    seen_ns: int
    uptime_ticks: int | None = None
    engine_boots: int | None = None
    engine_seconds: int | None = None
    system_uptime_ticks: int | None = None


def judge_device(before: Witness, after: Witness) -> Continuity:
    """What two readings of a whole device say."""
    if before.uptime_ticks is None or after.uptime_ticks is None or after.seen_ns <= before.seen_ns:
        return Continuity.JUMPED
    return judge_uptime(before.uptime_ticks, after.uptime_ticks, after.seen_ns - before.seen_ns, before, after)


def engine_continued(before: Witness, after: Witness) -> bool | None:
    """Whether the SNMP engine ran on: same boots and time not fallen; None where either reading does not say."""
    if before.engine_boots is None or after.engine_boots is None:
        return None
    if before.engine_boots != after.engine_boots:
        return False
    if before.engine_seconds is None or after.engine_seconds is None:
        return None
    return after.engine_seconds >= before.engine_seconds


def system_continued(before: Witness, after: Witness) -> bool | None:
    """Whether the system ran on by hrSystemUptime, as expected modulo 2^32; None where either reading does not say."""
    if before.system_uptime_ticks is None or after.system_uptime_ticks is None:
        return None
    elapsed_ns = after.seen_ns - before.seen_ns
    off_ns = _deviation_ns(before.system_uptime_ticks, after.system_uptime_ticks, elapsed_ns)
    return abs(off_ns) <= tolerance_ns(elapsed_ns)


def judge_uptime(before_ticks: int, after_ticks: int, elapsed_ns: int, before: Witness, after: Witness) -> Continuity:
    """What two readings of sysUpTime say, elapsed_ns apart by our clock; the witnesses are asked where in doubt."""
    allowed_ns = tolerance_ns(elapsed_ns)
    fell = after_ticks < before_ticks
    young = after_ticks * TICK_NS <= elapsed_ns + allowed_ns
    if young:
        allowed_ns = min(allowed_ns, YOUNG_TOLERANCE_NS)
    if abs(_deviation_ns(before_ticks, after_ticks, elapsed_ns)) <= allowed_ns:
        if not fell:
            return Continuity.CONTINUED
        if before_ticks * TICK_NS + elapsed_ns + allowed_ns >= SPAN_NS:
            engine, system = engine_continued(before, after), system_continued(before, after)
            restarted = engine is False or (engine is None and system is False)
            return Continuity.REBOOTED if restarted else Continuity.CONTINUED
    if engine_continued(before, after):
        return Continuity.JUMPED
    if young:
        return Continuity.AGENT_RESTARTED if system_continued(before, after) else Continuity.REBOOTED
    return Continuity.REPLACED if fell else Continuity.JUMPED


def tolerance_ns(elapsed_ns: int) -> int:
    """How far an uptime may be off after elapsed_ns and still be as expected."""
    return TOLERANCE_NS + abs(elapsed_ns) // 1000


def _deviation_ns(before_ticks: int, after_ticks: int, elapsed_ns: int) -> int:
    half = SPAN_NS // 2
    return ((after_ticks - before_ticks) * TICK_NS - elapsed_ns + half) % SPAN_NS - half
