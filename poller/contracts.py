"""What was contracted and where it is counted: circuits, line groups, tenants; mapped from the estate once per reload.

Accounts of the slot ledger have ids made of these: "circuit/inet-1", "line_group/internet", "tenant/tsu/internet" and
"tenant/tsu" for all lines of a tenant together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from poller.accounts import SLOT_NS, Account, Member
from poller.estate import Attachment, Circuit, Estate, MeasuredBy


@dataclass(frozen=True, slots=True)
class CircuitContract:
    """One contracted line; rates in bits per second, committed_rate None where all is best effort."""

    id: str
    kind: str
    ceiling_rate: int
    member: Member
    committed_rate: int | None = None
    line_group: str = ""
    redundancy_group: str | None = None
    preferred_active: bool = True
    scope: str = "outside"


@dataclass(frozen=True, slots=True)
class LineGroupContract:
    """Several circuits as one line; circuits are those of nested groups too, each once.

    parts: where the measured parts of the line are counted that belong to no tenant, such as web publishing.
    """

    id: str
    circuits: tuple[str, ...]
    ceiling_rate: int
    committed_rate: int | None = None
    parts: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class RedundancyContract:
    """Circuits that stand in for one another; needed of them must be up for the group to serve."""

    id: str
    circuits: tuple[str, ...]
    mode: Literal["active_standby", "shared"] = "active_standby"
    needed: int = 1


@dataclass(frozen=True, slots=True)
class CapContract:
    """What a tenant may use, on one line or (None) on all together; rates in bits per second, volume in octets."""

    line: str | None = None
    direction: Literal["in", "out", "each"] = "each"
    sustained_rate: int | None = None
    burst_rate: int | None = None
    monthly_volume: int | None = None
    percentile_95: int | None = None


@dataclass(frozen=True, slots=True)
class TenantContract:
    """A connected organisation: where it is counted, by line, and what it may use."""

    id: str
    attachments: Mapping[str, tuple[Member, ...]]
    caps: tuple[CapContract, ...] = ()


@dataclass(frozen=True, slots=True)
class Contracts:
    """All contracts by id; interval_ns is each device's polling interval, one minute where it is not named."""

    circuits: Mapping[str, CircuitContract]
    line_groups: Mapping[str, LineGroupContract]
    redundancy_groups: Mapping[str, RedundancyContract]
    tenants: Mapping[str, TenantContract]
    interval_ns: Mapping[str, int] = field(default_factory=dict)

    def grounds(self) -> object:
        """All that counting against contracts rests on, to be compared; devices that no contract names are no part."""
        return self.circuits, self.line_groups, self.redundancy_groups, self.tenants, self.accounts()

    def accounts(self) -> list[Account]:
        """What the slot ledger is to sum."""
        return [replace(each, interval_ns=self._slowest_ns(each)) for each in self._accounts()]

    def _slowest_ns(self, account: Account) -> int:
        return max((self.interval_ns.get(each.device, SLOT_NS) for each in account.members), default=SLOT_NS)

    def _accounts(self) -> list[Account]:
        return [
            *(Account(circuit_account(each.id), (each.member,)) for each in self.circuits.values()),
            *(
                Account(line_group_account(each.id), tuple(self.circuits[circuit].member for circuit in each.circuits))
                for each in self.line_groups.values()
            ),
            *(Account(parts_account(each.id), each.parts) for each in self.line_groups.values() if each.parts),
            *(account for each in self.tenants.values() for account in _tenant_accounts(each)),
        ]

    def line_account(self, line: str) -> str:
        """The account of a line, which is a line group or a circuit."""
        return line_group_account(line) if line in self.line_groups else circuit_account(line)


def circuit_account(circuit: str) -> str:
    """The account id of a circuit."""
    return f"circuit/{circuit}"


def line_group_account(line_group: str) -> str:
    """The account id of a line group."""
    return f"line_group/{line_group}"


def parts_account(line_group: str) -> str:
    """The account id of what a line group carries for no tenant."""
    return f"line_parts/{line_group}"


def tenant_account(tenant: str, line: str | None = None) -> str:
    """The account id of a tenant on one line, or on all lines together."""
    return f"tenant/{tenant}" if line is None else f"tenant/{tenant}/{line}"


def _tenant_accounts(tenant: TenantContract) -> Iterable[Account]:
    for line, members in tenant.attachments.items():
        yield Account(tenant_account(tenant.id, line), members)
    yield Account(tenant_account(tenant.id), tuple(member for each in tenant.attachments.values() for member in each))


def contracts_of(estate: Estate) -> Contracts:
    """The estate's contracts; every reference in an Estate leads somewhere."""
    groups = {
        group.id: LineGroupContract(
            id=group.id,
            circuits=tuple(dict.fromkeys(_circuits_of(estate, group.id))),
            ceiling_rate=group.ceiling_rate,
            committed_rate=group.committed_rate,
            parts=tuple(_member(part.measured_by) for part in group.parts if part.measured_by is not None),
        )
        for group in estate.line_groups.values()
    }
    direct = {member: group.id for group in reversed(list(estate.line_groups.values())) for member in group.members}
    return Contracts(
        circuits={each.id: _circuit(each, direct.get(each.id, "")) for each in estate.circuits.values()},
        line_groups=groups,
        redundancy_groups=_redundancy(estate),
        interval_ns={
            each.id: round((each.interval or estate.polling.interval) * 1e9) for each in estate.devices.values()
        },
        tenants={
            each.id: TenantContract(
                id=each.id,
                attachments=_by_line(each.attachments),
                caps=tuple(CapContract(**cap.model_dump()) for cap in each.caps),
            )
            for each in estate.tenants.values()
        },
    )


def _circuits_of(estate: Estate, line: str) -> Iterable[str]:
    if line not in estate.line_groups:
        yield line
        return
    for member in estate.line_groups[line].members:
        yield from _circuits_of(estate, member)


def _circuit(circuit: Circuit, line_group: str) -> CircuitContract:
    return CircuitContract(
        id=circuit.id,
        kind=str(circuit.kind),
        ceiling_rate=circuit.ceiling_rate,
        member=_member(circuit.measured_by),
        committed_rate=circuit.committed_rate,
        line_group=line_group,
        redundancy_group=circuit.redundancy_group,
        preferred_active=circuit.preferred == "active",
        scope=str(circuit.scope),
    )


def _member(where: MeasuredBy | Attachment) -> Member:
    return Member(where.device, where.interface, where.inward == "out")


def _by_line(attachments: Iterable[Attachment]) -> dict[str, tuple[Member, ...]]:
    lines: dict[str, tuple[Member, ...]] = {}
    for attachment in attachments:
        lines[attachment.line] = (*lines.get(attachment.line, ()), _member(attachment))
    return lines


def _redundancy(estate: Estate) -> dict[str, RedundancyContract]:
    found: dict[str, RedundancyContract] = {}
    for group in estate.redundancy_groups.values():
        circuits = tuple(each.id for each in estate.circuits.values() if each.redundancy_group == group.id)
        if circuits:
            found[group.id] = RedundancyContract(group.id, circuits, group.mode, group.needed)
    return found
