"""What hangs on what: essential parents, redundancy groups, and whom a fault reaches (R53, R56, R64a).

"Down" is a set of subjects ("device/fw-1"). A redundancy group serves while `needed` of its members are
not down. A device whose parent (a device, a circuit or a group) is down cannot be judged: its alert is inhibited by the
parent's. Everything here is a pure function of the estate and that set; a loop in the estate (refused at load) would
end the walk, not hang it.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from poller.alerts.isolation import ISOLATION
from poller.alerts.subjects import Subject
from poller.estate import Estate, LineGroup, RedundancyGroup, Rule

_DOWN: Final = frozenset(
    {
        ("device.up", False),
        ("circuit.state", "down"),
        ("line_group.state", "down"),
        ("service.up", False),
        ("daemon.isolated", True),
    }
)
_ISOLATION: Final = str(ISOLATION)
_FAULT_FIELDS: Final = (
    frozenset({"up", "ipv4_up", "ipv6_up", "state", "oper_status", "ha_role", "active", "text", "isolated"})
    | frozenset({"near", "far", "beyond", "fault"})
    | frozenset({"standby_carries", "committed_delivered", "raised"})
)


def is_fault(rule: Rule) -> bool:
    """True for rules on reachability and state; the others are about load. A fault and an overload have two causes."""
    return rule.on.rpartition(".")[2] in _FAULT_FIELDS


def standby_helps(rule: Rule) -> bool:
    """True for faults that weigh less while a standby serves; a line that carries and is held back has no such help."""
    return is_fault(rule) and not rule.on.endswith(".committed_delivered")


def says_down(rule: Rule) -> bool:
    """True where the rule firing means that its subject does not serve at all."""
    return (rule.on, rule.equals) in _DOWN


def redundancy_tells(rule: Rule) -> bool:
    """True where it matters to the reader what redundancy is left: something is down, or its standby carries."""
    return says_down(rule) or rule.on.endswith((".standby_carries", ".oper_status"))


@dataclass(frozen=True, slots=True)
class Affected:
    """Whom a fault reaches; ids in the order of the estate."""

    tenants: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    circuits: tuple[str, ...] = ()


class Dependencies:
    """The estate, asked about causes and effects."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._members: dict[str, list[str]] = {group: [] for group in estate.redundancy_groups}
        self._group_of: dict[str, RedundancyGroup] = {}
        self._ancestors: dict[Subject, tuple[str, ...]] = {}
        self._circuit_of: dict[tuple[str, str], str] = {}
        for device in estate.devices.values():
            self._join(device.redundancy_group, f"device/{device.id}")
        for circuit in estate.circuits.values():
            self._join(circuit.redundancy_group, f"circuit/{circuit.id}")
            self._circuit_of[circuit.measured_by.device, circuit.measured_by.interface] = circuit.id
        leaves = [Subject("device", id_) for id_ in estate.devices] + [
            Subject("circuit", id_) for id_ in estate.circuits
        ]
        leaves += [Subject("service", id_) for id_ in estate.services]
        self._carrying = frozenset(node for leaf in leaves for node in self.ancestors(leaf))

    def _join(self, group: str | None, node: str) -> None:
        if group is not None and group in self._estate.redundancy_groups:
            self._members[group].append(node)
            self._group_of[node] = self._estate.redundancy_groups[group]

    def group_of(self, subject: Subject) -> RedundancyGroup | None:
        """The redundancy group of a device or circuit, or of the circuit that an interface measures."""
        return self._group_of.get(str(self.standing_for(subject)))

    def members(self, group: RedundancyGroup) -> tuple[str, ...]:
        """The members' subjects, in the order of the estate."""
        return tuple(self._members.get(group.id, ()))

    def serves(self, group: RedundancyGroup, down: AbstractSet[str]) -> bool:
        """True while the group has the members it needs."""
        members = self.members(group)
        return sum(member not in down for member in members) >= min(group.needed, len(members))

    def standing_for(self, subject: Subject) -> Subject:
        """The circuit that an interface measures; else the subject itself."""
        circuit = self._circuit_of.get((subject.id, subject.part)) if subject.kind == "interface" else None
        return Subject("circuit", circuit) if circuit else subject

    def anchor(self, subject: Subject) -> str:
        """What alerts with one cause have in common: the group, circuit or device they come from.

        A line whose circuits are one redundancy group is that group.
        """
        subject = self.standing_for(subject)
        if subject.kind in {"interface", "notification"}:
            subject = Subject("device", subject.id)
        if subject.kind == "line_group":
            circuits = self.circuits_of(subject.id)
            groups = {self._group_of.get(f"circuit/{circuit}") for circuit in circuits}
            if len(groups) == 1 and None not in groups:
                subject = Subject("circuit", circuits[0])
        group = self._group_of.get(str(subject))
        if group is not None:
            return f"group/{group.id}"
        return str(subject if subject.kind == "service_level" else Subject(subject.kind, subject.id))

    def inhibitor(self, subject: Subject, down: AbstractSet[str]) -> str | None:
        """The subject highest up that is down and without which this one cannot be judged; None where there is none."""
        if _ISOLATION in down:
            return None if subject.kind == "daemon" else _ISOLATION
        seen: set[str] = {str(subject)}
        found: str | None = None
        ahead = list(self._needs(subject, down))
        while ahead:
            node = ahead.pop(0)
            if node in seen:
                continue
            seen.add(node)
            if node in down:
                found = node
            ahead.extend(self._needs(Subject.parse(node), down))
        return found

    def ancestors(self, subject: Subject) -> tuple[str, ...]:
        """Everything that the subject hangs on, nearest first; of a group, all members."""
        found = self._ancestors.get(subject)
        if found is None:
            found = self._ancestors[subject] = self._find_ancestors(subject)
        return found

    def carries(self, node: str) -> bool:
        """True where something may hang on the node: its interfaces, what has it as parent, or everything."""
        return node in self._carrying or node == _ISOLATION

    def _find_ancestors(self, subject: Subject) -> tuple[str, ...]:
        seen: dict[str, None] = {}
        ahead = list(self._needs(subject, None))
        while ahead:
            node = ahead.pop(0)
            if node not in seen:
                seen[node] = None
                ahead.extend(self._needs(Subject.parse(node), None))
        seen.pop(str(subject), None)
        return tuple(seen)

    def _needs(self, subject: Subject, down: AbstractSet[str] | None) -> Iterator[str]:
        """What must be up for the subject to be judged; of a group only if it does not serve (down None: all)."""
        if subject.kind == "interface":
            yield f"device/{subject.id}"
        elif subject.kind == "circuit" and subject.id in self._estate.circuits:
            yield f"device/{self._estate.circuits[subject.id].measured_by.device}"
        elif subject.kind == "service" and subject.id in self._estate.services:
            yield from (f"device/{device}" for device in self._estate.services[subject.id].devices)
        elif subject.kind == "device" and subject.id in self._estate.devices:
            for parent in self._estate.devices[subject.id].parents:
                group = self._estate.redundancy_groups.get(parent)
                if group is None:
                    yield f"circuit/{parent}" if parent in self._estate.circuits else f"device/{parent}"
                elif down is None or not self.serves(group, down):
                    yield from self.members(group)

    def circuits_of(self, line: str) -> tuple[str, ...]:
        """The circuits of a line: itself, or the members of the line group, nested groups included."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        ahead = [line]
        while ahead:
            name = ahead.pop(0)
            group: LineGroup | None = self._estate.line_groups.get(name)
            if name in self._estate.circuits:
                found[name] = None
            elif group is not None and name not in seen:
                seen.add(name)
                ahead.extend(group.members)
        return tuple(found)

    def lines_over(self, circuit: str) -> tuple[str, ...]:
        """The line groups that a circuit is a part of."""
        return tuple(line for line in self._estate.line_groups if circuit in self.circuits_of(line))

    def affected(self, subjects: Iterable[Subject], down: AbstractSet[str]) -> Affected:
        """Whom these subjects' fault reaches, given everything that is down.

        A tenant is affected when one of its lines has no circuit left, or no attachment left on a device that can be
        reached, and the fault is among the causes; or when it is itself the subject. A redundant path keeps it out.
        """
        asked = [self.standing_for(subject) for subject in subjects]
        within = [
            Subject("circuit", circuit)
            for subject in asked
            if subject.kind == "line_group" and str(subject) in down
            for circuit in self.circuits_of(subject.id)
        ]
        asked += within
        down = {*down, *map(str, within)}  # a line that is down as a whole has no circuit left
        tenants = {subject.id for subject in asked if subject.kind == "tenant"}
        services = {subject.id for subject in asked if subject.kind == "service"}
        causes = {str(subject) for subject in asked if subject.kind in {"device", "circuit", "interface"}} & down
        if causes:
            tenants.update(self._tenants_cut_off(causes, down))
            services.update(
                service.id
                for service in self._estate.services.values()
                if service.devices
                and all(self._lost(device, down) for device in service.devices)
                and any(self._hangs_on(device, causes, down) for device in service.devices)
            )
        return Affected(
            tuple(tenant for tenant in self._estate.tenants if tenant in tenants),
            tuple(service for service in self._estate.services if service in services),
            tuple(dict.fromkeys(subject.id for subject in asked if subject.kind == "circuit")),
        )

    def _tenants_cut_off(self, causes: AbstractSet[str], down: AbstractSet[str]) -> Iterator[str]:
        for tenant in self._estate.tenants.values():
            for line in dict.fromkeys(attachment.line for attachment in tenant.attachments):
                circuits = self.circuits_of(line)
                nodes = [f"circuit/{circuit}" for circuit in circuits]
                line_cut = bool(nodes) and all(node in down for node in nodes) and not causes.isdisjoint(nodes)
                ways = [entry for entry in tenant.attachments if entry.line == line]
                ways_cut = all(self._way_lost(entry.device, entry.interface, down) for entry in ways) and any(
                    self._hangs_on(entry.device, causes, down)
                    or f"interface/{entry.device}/{entry.interface}" in causes
                    for entry in ways
                )
                if line_cut or ways_cut:
                    yield tenant.id
                    break

    def _way_lost(self, device: str, interface: str, down: AbstractSet[str]) -> bool:
        return f"interface/{device}/{interface}" in down or self._lost(device, down)

    def _lost(self, device: str, down: AbstractSet[str]) -> bool:
        subject = Subject("device", device)
        return str(subject) in down or self.inhibitor(subject, down) is not None

    def _hangs_on(self, device: str, causes: AbstractSet[str], down: AbstractSet[str]) -> bool:
        node = f"device/{device}"
        if node in causes:
            return True
        found = self.inhibitor(Subject("device", device), down)
        return found is not None and (
            found in causes or not causes.isdisjoint(self.ancestors(Subject("device", device)))
        )
