"""One poll of one device: what is asked, and how the flat answers become a DeviceReading.

    plan_poll(discovery, profile, patterns) -> PollPlan           pure, once per discovery
    poll_device(snmp, prepared, plan, ...)  -> DeviceReading      awaits the agent
    read_poll(plan, answers, ...)           -> DeviceReading      pure, the hot path: slices of flat lists

An interface is one group, so that the session keeps it in one PDU with its own sysUpTime: octets, packets, errors and
discards of both directions, ifOperStatus and ifCounterDiscontinuityTime. Packets are the sum of the 64-bit unicast,
multicast and broadcast counters; where an agent has not all of them, or only 32 bits, unicast stands alone: a sum of
counters that wrap could not be unwrapped.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from operator import add
from types import NoneType
from typing import Any, Final, Protocol, TypeAlias

from poller.discovery import (
    ENGINE_BOOTS,
    ENGINE_TIME,
    HR_SYSTEM_UPTIME,
    IF_NUMBER,
    IF_TABLE_LAST_CHANGE,
    SYS_NAME,
    Discovery,
)
from poller.iftable import IF_ENTRY, IF_X_ENTRY, Interface, Packets
from poller.profile_values import Bound, bind_profile, evaluate_all
from poller.profiles import BadProfile, Profile
from poller.readings import COUNTERS, DeviceReading, FailedPoll, InterfaceLayout
from probes.snmp.errors import NoAnswer, NotAsked, RemoteError, SnmpError
from probes.snmp.oid import Oid
from probes.snmp.values import Value

Group: TypeAlias = tuple[Oid, ...]
Columns: TypeAlias = tuple[Oid, ...]

_DEVICE_GROUP: Final = 20
"""Device-level values that stay together in one PDU."""

OPER_STATUS: Final = (*IF_ENTRY, 8)
"""ifOperStatus; an ifIndex follows."""
_DISCONTINUITY: Final = (*IF_X_ENTRY, 19)
_OCTETS: Final[Mapping[bool, tuple[Oid, Oid]]] = {
    True: ((*IF_X_ENTRY, 6), (*IF_X_ENTRY, 10)),
    False: ((*IF_ENTRY, 10), (*IF_ENTRY, 16)),
}
"""In and out, by wide."""
_PACKETS: Final[Mapping[str, tuple[Columns, Columns]]] = {
    "casts": (
        ((*IF_X_ENTRY, 7), (*IF_X_ENTRY, 8), (*IF_X_ENTRY, 9)),
        ((*IF_X_ENTRY, 11), (*IF_X_ENTRY, 12), (*IF_X_ENTRY, 13)),
    ),
    "none": ((), ()),
    "unicast": (((*IF_X_ENTRY, 7),), ((*IF_X_ENTRY, 11),)),
    "narrow": (((*IF_ENTRY, 11),), ((*IF_ENTRY, 17),)),
}
"""In and out, by Interface.packets; ifHC* and ifInUcastPkts, ifOutUcastPkts."""
_ERRORS_AND_DISCARDS: Final = ((*IF_ENTRY, 14), (*IF_ENTRY, 20), (*IF_ENTRY, 13), (*IF_ENTRY, 19))
"""ifInErrors, ifOutErrors, ifInDiscards, ifOutDiscards."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows that are asked for with the same columns: width columns a row, casts of them in a packet sum."""

    rows: int
    width: int
    casts: int
    discontinuity: bool


@dataclass(frozen=True, slots=True)
class PollPlan:
    """What a steady poll of a device asks, and how its answers are read.

    groups: OIDs that stay together in one PDU; the first device_groups of them hold device_oids, the others a row each.
    static: values that were read at discovery and are not asked again. missing: fields that cannot be read, and why.
    """

    device: str
    layout: InterfaceLayout
    blocks: tuple[Block, ...]
    groups: tuple[Group, ...]
    device_groups: int
    device_oids: tuple[Oid, ...]
    bound: tuple[Bound, ...]
    static: Mapping[Oid, Value] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    interval_ns: int = 60_000_000_000


class Answers(Protocol):
    """What a poll by the SNMP session brings.

    values: in the order asked, None for "no such". uptime_ticks, received_ns: per group. failures: by place in values.
    """

    @property
    def values(self) -> Sequence[Any]: ...  # noqa: D102 - told above
    @property
    def uptime_ticks(self) -> Sequence[int | None]: ...  # noqa: D102 - told above
    @property
    def received_ns(self) -> Sequence[int | None]: ...  # noqa: D102 - told above
    @property
    def failures(self) -> Mapping[int, SnmpError]: ...  # noqa: D102 - told above


# ---- plan


def choose_interfaces(interfaces: Sequence[Interface], patterns: Sequence[str]) -> tuple[Interface, ...]:
    """Those whose name one of the expressions matches as a whole; all where there is no expression."""
    if not patterns:
        return tuple(interfaces)
    compiled = [re.compile(pattern) for pattern in patterns]
    return tuple(one for one in interfaces if any(pattern.fullmatch(one.name) for pattern in compiled))


def plan_poll(
    discovery: Discovery,
    profile: Profile,
    patterns: Sequence[str] = (),
    *,
    interval_seconds: float = 60.0,
    unverified: bool = False,
) -> PollPlan:
    """The plan for a device; equal input gives an equal plan, so that it may be prepared once and kept.

    Raises BadProfile where the discovery was kept from before a change of the profile: what it reads by is not there.
    """
    if discovery.fingerprint not in {"", profile.fingerprint}:
        raise BadProfile(f"the profile {profile.family} has changed since {discovery.device} was discovered")
    chosen = sorted(choose_interfaces(discovery.interfaces, patterns), key=_shape)
    known = dict(discovery.values)
    bound, missing = bind_profile(profile, known, unverified=unverified)
    device_oids = tuple(dict.fromkeys([*_device_wide(discovery), *(oid for entry in bound for oid in entry.oids)]))
    device_oids = device_oids or (SYS_NAME,)
    device_groups = [device_oids[at : at + _DEVICE_GROUP] for at in range(0, len(device_oids), _DEVICE_GROUP)]
    return PollPlan(
        device=discovery.device,
        layout=_layout(chosen, discovery.at_ns),
        blocks=_blocks(chosen),
        groups=(*device_groups, *(row_oids(interface) for interface in chosen)),
        device_groups=len(device_groups),
        device_oids=device_oids,
        bound=tuple(bound),
        static={oid: value for oid, value in known.items() if oid not in set(device_oids)},
        missing=missing,
        interval_ns=round(interval_seconds * 1e9),
    )


def _device_wide(discovery: Discovery) -> list[Oid]:
    """Beside the profile's objects: what tells that interfaces were renumbered or the device restarted."""
    asked = [IF_NUMBER] if discovery.if_number is not None else []
    if discovery.if_table_last_change is not None:
        asked.append(IF_TABLE_LAST_CHANGE)
    return [*asked, *discovery.witnesses]


def _shape(interface: Interface) -> tuple[bool, str, bool]:
    return not interface.wide, interface.packets, not interface.discontinuity


def row_oids(interface: Interface) -> Group:
    """All that is asked of one interface, in the order that read_poll expects."""
    return _row(interface.wide, interface.packets, interface.discontinuity, interface.if_index)


@lru_cache(maxsize=10_000)
def _row(wide: bool, packets: Packets, discontinuity: bool, if_index: int) -> Group:  # noqa: FBT001 - a key
    """Shared by all devices with such an interface: a thousand of 48 interfaces would have 50 MB of equal OIDs."""
    inward, outward = _PACKETS[packets]
    columns = [*_OCTETS[wide], *inward, *outward, *_ERRORS_AND_DISCARDS, OPER_STATUS]
    if discontinuity:
        columns.append(_DISCONTINUITY)
    return tuple((*column, if_index) for column in columns)


def _layout(chosen: Sequence[Interface], at_ns: int) -> InterfaceLayout:
    return InterfaceLayout(
        names=tuple(one.name for one in chosen),
        if_indexes=tuple(one.if_index for one in chosen),
        speeds=tuple(one.speed for one in chosen),
        wide=tuple(one.wide for one in chosen),
        aliases=tuple(one.alias for one in chosen),
        discovered_ns=at_ns,
    )


def _blocks(chosen: Sequence[Interface]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    previous = None
    for one in chosen:
        if _shape(one) == previous:
            last = blocks[-1]
            blocks[-1] = Block(last.rows + 1, last.width, last.casts, last.discontinuity)
        else:
            casts = len(_PACKETS[one.packets][0])
            blocks.append(Block(1, len(row_oids(one)), casts, one.discontinuity))
        previous = _shape(one)
    return tuple(blocks)


# ---- read


async def poll_device(
    poll: Callable[[], Any], plan: PollPlan, due_ns: int, before: DeviceReading | None = None
) -> DeviceReading | FailedPoll:
    """Await one poll (a call that yields Answers) and read it; every failure becomes a FailedPoll with its sentence."""
    try:
        answers: Answers = await poll()
    except SnmpError as error:
        return failed_poll(plan.device, due_ns, error)
    return read_poll(plan, answers, due_ns, before)


def failed_poll(device: str, due_ns: int, error: SnmpError) -> FailedPoll:
    """The failure as the poll's outcome, with who is to blame: silence, a wrong answer, or ourselves.

    A device that was silent and whose next cheap question is not due yet (R23) is still silent.
    """
    if isinstance(error, NoAnswer | NotAsked):
        return FailedPoll(device, due_ns, error.reason, str(error), answered=False)
    answered = True if isinstance(error, RemoteError) else None
    return FailedPoll(device, due_ns, error.reason, str(error), answered)


def read_poll(plan: PollPlan, answers: Answers, due_ns: int, before: DeviceReading | None = None) -> DeviceReading:
    """The reading that the answers make; before is the last reading of the device, for device-level rates."""
    known = len(plan.device_oids)
    flat = answers.values
    counters, oper_status, discontinuity = read_rows(plan.blocks, _numbers(flat[known:] if known else flat))
    given: dict[Oid, Value] = dict(zip(plan.device_oids, flat, strict=False))
    read = evaluate_all(plan.bound, {**plan.static, **given} if plan.static else given)
    failures = {**read.missing, **_failures(plan, answers)} if answers.failures else read.missing
    received, uptime, rows = answers.received_ns, answers.uptime_ticks, plan.device_groups
    reading = DeviceReading(
        device=plan.device,
        due_ns=due_ns,
        layout=plan.layout,
        received_ns=[when or due_ns for when in received[rows:]],
        uptime_ticks=uptime[rows:],
        counters=counters,
        oper_status=oper_status,
        discontinuity_ticks=discontinuity,
        engine_boots=_whole(given.get(ENGINE_BOOTS)),
        engine_seconds=_whole(given.get(ENGINE_TIME)),
        system_uptime_ticks=_whole(given.get(HR_SYSTEM_UPTIME)),
        values=read.values,
        totals=read.totals,
        if_number=_whole(given.get(IF_NUMBER)),
        if_table_last_change=_whole(given.get(IF_TABLE_LAST_CHANGE)),
        device_uptime_ticks=uptime[0],
        device_received_ns=received[0] or due_ns,
        failures=failures,
        interval_ns=plan.interval_ns,
    )
    read.values.update(device_rates(before, reading))
    return reading


def _whole(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _failures(plan: PollPlan, answers: Answers) -> dict[str, str]:
    """By table: the device's own values, or "interfaces" with how many rows it is about (R20)."""
    failures: dict[str, str] = {}
    ends = list(accumulate(len(group) for group in plan.groups))
    rows: dict[int, SnmpError] = {}
    for place, error in answers.failures.items():
        group = bisect_right(ends, place)
        if group < plan.device_groups:
            failures["device"] = str(error)
        else:
            rows.setdefault(group - plan.device_groups, error)
    if rows:
        first = min(rows)
        failures["interfaces"] = (
            f"{len(rows)} of {len(plan.layout.names)}, {plan.layout.names[first]} first: {rows[first]}"
        )
    return failures


_PLAIN: Final = frozenset({int, NoneType})


def _numbers(flat: Sequence[Any]) -> Sequence[int | None]:
    """Counters that came as text or octets, against their definition, are no counters."""
    if _PLAIN.issuperset(map(type, flat)):
        return flat
    return [value if isinstance(value, int) else None for value in flat]


def read_rows(
    blocks: Sequence[Block], flat: Sequence[int | None]
) -> tuple[list[int | None], list[int], list[int | None]]:
    """Counters (row-major), ifOperStatus and ifCounterDiscontinuityTime of all rows, from the values as asked."""
    counters: list[int | None] = []
    oper_status: list[int] = []
    discontinuity: list[int | None] = []
    start = 0
    for block in blocks:
        width, casts = block.width, block.casts
        end = start + block.rows * width
        out: list[int | None] = [None] * (block.rows * len(COUNTERS))
        out[0::8] = flat[start:end:width]
        out[1::8] = flat[start + 1 : end : width]
        out[2::8] = _sums(flat, (start + 2, end, width), casts)
        out[3::8] = _sums(flat, (start + 2 + casts, end, width), casts)
        rest = start + 2 + 2 * casts
        for place in range(4, 8):
            out[place::8] = flat[rest + place - 4 : end : width]
        counters += out
        oper_status += [status or 0 for status in flat[rest + 4 : end : width]]
        discontinuity += flat[rest + 5 : end : width] if block.discontinuity else [None] * block.rows
        start = end
    return counters, oper_status, discontinuity


def _sums(flat: Sequence[int | None], where: tuple[int, int, int], casts: int) -> Sequence[int | None]:
    """Per row the sum of so many neighbouring columns, None where one of them is missing."""
    start, end, width = where
    if not casts:
        return [None] * ((end - start + width - 1) // width)
    columns = [flat[start + cast : end : width] for cast in range(casts)]
    total: Any = columns[0]
    try:
        for column in columns[1:]:
            total = list(map(add, total, column))
    except TypeError:
        return [None if None in row else sum(row) for row in zip(*columns, strict=True)]
    result: Sequence[int | None] = total
    return result


_TICKS: Final = 2**32
_LARGEST_GAP_TICKS: Final = 360_000
"""An hour: a rate over a longer gap says nothing about now."""


def device_rates(before: DeviceReading | None, reading: DeviceReading) -> dict[str, float]:
    """Device-level fields per second from their totals in two readings; nothing after a restart, a reset or a wrap."""
    if before is None or before.device_uptime_ticks is None or reading.device_uptime_ticks is None:
        return {}
    ticks = (reading.device_uptime_ticks - before.device_uptime_ticks) % _TICKS
    if not 0 < ticks <= _LARGEST_GAP_TICKS:
        return {}
    deltas = {name: total - before.totals[name] for name, total in reading.totals.items() if name in before.totals}
    return {name: delta * 100 / ticks for name, delta in deltas.items() if delta >= 0}
