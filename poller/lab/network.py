"""Who carries whose traffic: from an estate to streams and routes. Pure: what is broken is an argument.

A stream is one direction of one tenant's use of one line. It leaves through one circuit of the line and is counted at
one attachment of the tenant, so that a circuit's interface carries exactly the sum of its tenants and of those parts of
the line (web publishing) that belong to none. Hand-over circuits stand between the tenants and all lines: they carry
every stream of a tenant once more. Other circuits no tenant is attached to have streams of their own.

    routes(plan, conditions)     for each named interface, the streams it carries in and out
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from poller.estate import Attachment, Circuit, CircuitKind, Estate, LinePart, MeasuredBy
from poller.lab.traffic import Curve, Shape

InterfaceKey: TypeAlias = tuple[str, str]
"""Device id and ifName."""

_TENANTS_SHARE: Final = 0.6
"""Of a line's committed rate, what its tenants together take at the peak."""
_CAP_SHARE: Final = 0.55
"""Of a tenant's cap, what it takes at most at a usual peak."""
_OWN_SHARE: Final = 0.3
"""Of a circuit's committed rate, where no tenant is attached to it."""
_BEST_EFFORT_SHARE: Final = 0.06
"""The same of its ceiling, where nothing is committed."""
_UP_TO_DOWN: Final = {Shape.OFFICE: 0.14, Shape.STEADY: 0.35}
_PUBLIC_DOWN_TO_UP: Final = 0.08
_PUBLIC_SHARE: Final = 0.5
"""Of the rate that a part of a line needs, what is used of it at the summit."""
_KIND_WEIGHT: Final = {"prefecture": 200.0, "city": 70.0, "town": 18.0, "union": 8.0, "site": 20.0, "other": 20.0}


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction of one user's traffic over one line; inward: towards the estate and its tenants."""

    curve: Curve
    line: str
    tenant: str | None
    inward: bool
    part: MeasuredBy | None = None
    """Where it is counted too, when it belongs to no tenant but to a part of the line, such as web publishing."""
    member: int = 0
    """Which of the line's circuits it prefers, where each carries a part."""

    @property
    def name(self) -> str:
        """Unique within the plan."""
        return self.curve.name


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is not as usual. active: device by redundancy group, where it is not the first member."""

    down_circuits: frozenset[str] = frozenset()
    down_interfaces: frozenset[InterfaceKey] = frozenset()
    active: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from the estate alone."""

    streams: Mapping[str, Stream]
    lines: Mapping[str, tuple[Circuit, ...]]
    """Circuits of each line, in the order of preference."""
    standing_by: frozenset[str]
    """Lines of which one circuit carries all; of the others every circuit carries a part."""
    attachments: Mapping[tuple[str, str], tuple[Attachment, ...]]
    groups: Mapping[str, tuple[str, ...]]
    """Devices of each redundancy group."""
    handover: tuple[Circuit, ...] = ()
    """Circuits that share what the tenants send and receive over all lines; none where tenants are reached directly."""


@dataclass(slots=True)
class Carried:
    """Names of the streams an interface carries in its own two directions."""

    inbound: list[str] = field(default_factory=list)
    outbound: list[str] = field(default_factory=list)

    def add(self, stream: Stream, inward: str) -> None:
        """Count a stream; inward says which direction of the interface flows towards the estate or tenant."""
        (self.inbound if stream.inward == (inward == "in") else self.outbound).append(stream.name)


def make_plan(estate: Estate, seed: int = 0) -> Plan:
    """The plan of an estate; the seed changes the noise of the traffic and nothing else."""
    attachments: dict[tuple[str, str], tuple[Attachment, ...]] = {}
    for tenant in estate.tenants.values():
        for entry in tenant.attachments:
            attachments[tenant.id, entry.line] = (*attachments.get((tenant.id, entry.line), ()), entry)
    handover = _handover(estate, {line for _, line in attachments})
    lines = _lines(estate, {line for _, line in attachments}, handover)
    streams = {stream.name: stream for stream in _streams(estate, lines, attachments, seed)}
    groups: dict[str, tuple[str, ...]] = {}
    for device in estate.devices.values():
        if device.redundancy_group is not None:
            groups[device.redundancy_group] = (*groups.get(device.redundancy_group, ()), device.id)
    return Plan(
        streams=streams,
        lines=lines,
        standing_by=frozenset(line for line, members in lines.items() if _one_carries_all(estate, members)),
        attachments=attachments,
        groups=groups,
        handover=handover,
    )


def routes(plan: Plan, conditions: Conditions) -> tuple[dict[InterfaceKey, Carried], frozenset[str]]:
    """What every named interface carries, and the streams that find no way."""
    carried: dict[InterfaceKey, Carried] = {}
    stopped: set[str] = set()
    for stream in plan.streams.values():
        hops = tuple(_hops(plan, conditions, stream))
        if not hops:
            stopped.add(stream.name)
        for device, interface, inward in hops:
            carried.setdefault((device, interface), Carried()).add(stream, inward)
    return carried, frozenset(stopped)


def circuit_of(plan: Plan, conditions: Conditions, stream: Stream) -> Circuit | None:
    """The circuit that carries a stream, None where all of its line are down."""
    up = [circuit for circuit in plan.lines[stream.line] if circuit_is_up(circuit, conditions)]
    if not up:
        return None
    if stream.line in plan.standing_by:
        return up[0]
    preferred = plan.lines[stream.line][stream.member]
    return preferred if preferred in up else up[stream.member % len(up)]


def handover_of(plan: Plan, conditions: Conditions, stream: Stream) -> Circuit | None:
    """The hand-over circuit that a tenant's stream crosses: one of them by its name, another where that is down.

    None where all are down, and where nothing is handed over.
    """
    if stream.tenant is None or not plan.handover:
        return None
    number = zlib.crc32(stream.name.encode())
    preferred = plan.handover[number % len(plan.handover)]
    if circuit_is_up(preferred, conditions):
        return preferred
    up = [circuit for circuit in plan.handover if circuit_is_up(circuit, conditions)]
    return up[number % len(up)] if up else None


def circuit_is_up(circuit: Circuit, conditions: Conditions) -> bool:
    """Whether it can carry: neither it nor its interface is down."""
    at = circuit.measured_by
    return circuit.id not in conditions.down_circuits and (at.device, at.interface) not in conditions.down_interfaces


def active_device(plan: Plan, conditions: Conditions, group: str) -> str:
    """The device of a redundancy group that does the work."""
    return conditions.active.get(group) or plan.groups[group][0]


def _hops(plan: Plan, conditions: Conditions, stream: Stream) -> Iterator[tuple[str, str, str]]:
    """Interfaces on the way of a stream, with the direction that is inward there; nothing where the way is broken."""
    circuit = circuit_of(plan, conditions, stream)
    if circuit is None:
        return
    at = circuit.measured_by
    way = [(at.device, at.interface, str(at.inward))]
    if stream.tenant is not None:
        entry = _attachment(plan, conditions, plan.attachments[stream.tenant, stream.line], at.device)
        if entry is None:
            return
        if (entry.device, entry.interface) != way[0][:2]:
            way.append((entry.device, entry.interface, str(entry.inward)))
        if plan.handover:
            crossing = handover_of(plan, conditions, stream)
            if crossing is None:
                return
            at = crossing.measured_by  # what goes towards the tenants goes away from the estate
            way.append((at.device, at.interface, "out" if at.inward == "in" else "in"))
    if stream.part is not None:
        way.append((stream.part.device, stream.part.interface, str(stream.part.inward)))
    yield from dict.fromkeys(way)


def _attachment(
    plan: Plan, conditions: Conditions, entries: Iterable[Attachment], exit_device: str
) -> Attachment | None:
    """Where a tenant is counted: on the device the circuit leaves from, else on an active one."""
    able = [entry for entry in entries if (entry.device, entry.interface) not in conditions.down_interfaces]
    active = {active_device(plan, conditions, group) for group in plan.groups}
    standing = {device for members in plan.groups.values() for device in members} - active
    by_preference = sorted(able, key=lambda entry: (entry.device != exit_device, entry.device in standing))
    return by_preference[0] if by_preference else None


def _handover(estate: Estate, attached: set[str]) -> tuple[Circuit, ...]:
    """Access circuits that share a load and have no tenant of their own, where tenants are attached to lines."""
    own = {circuit.id for line in attached for circuit in _circuits(estate, line)}
    return tuple(
        circuit
        for circuit in estate.circuits.values()
        if attached and circuit.kind is CircuitKind.ACCESS and circuit.id not in own
        if circuit.redundancy_group and not _stands_by(estate, circuit.redundancy_group)
    )


def _lines(estate: Estate, attached: set[str], handover: tuple[Circuit, ...]) -> dict[str, tuple[Circuit, ...]]:
    """The circuits of each line that has tenants, then those of every line that has none."""
    lines = {line: tuple(_circuits(estate, line)) for line in sorted(attached)}
    used = {circuit.id for members in (*lines.values(), handover) for circuit in members}
    alone: dict[str, tuple[Circuit, ...]] = {}
    for circuit in estate.circuits.values():
        if circuit.id not in used:
            line = circuit.redundancy_group if _stands_by(estate, circuit.redundancy_group) else circuit.id
            alone[line or circuit.id] = (*alone.get(line or circuit.id, ()), circuit)
    lines |= alone
    return {line: tuple(sorted(members, key=lambda one: one.preferred)) for line, members in lines.items()}


def _circuits(estate: Estate, line: str) -> Iterator[Circuit]:
    if line in estate.circuits:
        yield estate.circuits[line]
    else:
        for member in estate.line_groups[line].members:
            yield from _circuits(estate, member)


def _stands_by(estate: Estate, group: str | None) -> bool:
    return group is not None and estate.redundancy_groups[group].mode == "active_standby"


def _one_carries_all(estate: Estate, members: tuple[Circuit, ...]) -> bool:
    groups = {circuit.redundancy_group for circuit in members}
    return len(groups) == 1 and _stands_by(estate, next(iter(groups)))


@dataclass(frozen=True, slots=True)
class _User:
    """Whose streams are being made."""

    name: str
    line: str
    tenant: str | None
    seed: int
    parts: int = 1
    """Circuits that share the load."""

    def pairs(self, peak: float, shape: Shape) -> Iterator[Stream]:
        """Both directions, in as many parts as circuits share the line."""
        for member in range(self.parts):
            name = f"{self.name}/{member}" if self.parts > 1 else self.name
            down, up = int(peak / self.parts), int(peak / self.parts * _UP_TO_DOWN[shape])
            yield Stream(Curve(f"{name}/in", down, shape, seed=self.seed), self.line, self.tenant, True, member=member)
            yield Stream(Curve(f"{name}/out", up, shape, seed=self.seed), self.line, self.tenant, False, member=member)


def _part_streams(line: str, number: int, part: LinePart, seed: int) -> Iterator[Stream]:
    """Citizens who read published pages: little comes in, much goes out, and no tenant is charged for it."""
    peak = part.needed_rate * _PUBLIC_SHARE
    name = f"{line}/part-{number}"
    asked = Curve(f"{name}/in", int(peak * _PUBLIC_DOWN_TO_UP), Shape.PUBLIC, seed=seed)
    pages = Curve(f"{name}/out", int(peak), Shape.PUBLIC, seed=seed)
    yield Stream(asked, line, None, True, part.measured_by)
    yield Stream(pages, line, None, False, part.measured_by)


def _streams(
    estate: Estate,
    lines: Mapping[str, tuple[Circuit, ...]],
    attachments: Mapping[tuple[str, str], tuple[Attachment, ...]],
    seed: int,
) -> Iterator[Stream]:
    tenants_of: dict[str, list[str]] = {}
    for tenant, line in attachments:
        tenants_of.setdefault(line, []).append(tenant)
    for line, circuits in lines.items():
        shared = 1 if _one_carries_all(estate, circuits) else len(circuits)
        if line in tenants_of:
            users = [_User(f"{tenant}/{line}", line, tenant, seed, shared) for tenant in tenants_of[line]]
            yield from _tenant_streams(estate, line, users)
            line_parts = estate.line_groups[line].parts if line in estate.line_groups else ()
            for number, part in enumerate(line_parts, start=1):
                if part.measured_by is not None:
                    yield from _part_streams(line, number, part, seed)
        else:
            rate = circuits[0].committed_rate
            peak = circuits[0].ceiling_rate * _BEST_EFFORT_SHARE if rate is None else rate * _OWN_SHARE
            yield from _User(line, line, None, seed, shared).pairs(peak, Shape.STEADY)


def _tenant_streams(estate: Estate, line: str, users: list[_User]) -> Iterator[Stream]:
    contract = estate.line_groups.get(line) or estate.circuits[line]
    rate = contract.committed_rate or contract.ceiling_rate
    caps = [_cap(estate, user.tenant or "", line) for user in users]
    kinds = [_KIND_WEIGHT[estate.tenants[user.tenant or ""].kind] for user in users]
    weights = [cap or kind * 10**6 for cap, kind in zip(caps, kinds, strict=True)]
    for user, cap, weight in zip(users, caps, weights, strict=True):
        peak = rate * _TENANTS_SHARE * weight / sum(weights) * _uneven(user.name)
        yield from user.pairs(min(peak, cap * _CAP_SHARE) if cap else peak, Shape.OFFICE)


def _cap(estate: Estate, tenant: str, line: str) -> int:
    """The lowest sustained cap that applies to this tenant on this line, 0 where there is none."""
    caps = (cap.sustained_rate for cap in estate.tenants[tenant].caps if cap.line in {None, line})
    return min((cap for cap in caps if cap is not None), default=0)


def _uneven(name: str) -> float:
    """A factor of 0.7 to 1.1 that belongs to a name: no two tenants use the same part of their cap."""
    return 0.7 + zlib.crc32(name.encode()) % 401 / 1000
