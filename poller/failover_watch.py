"""Watches a redundant group while people switch it: ten echoes a second, SNMP of its members once a second (N16).

The prober, the way of asking and the counters are the daemon's own, and only the plan is faster; both may run at once.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, TypeAlias

from poller.alerts.words import clean
from poller.asking import Asking
from poller.circuit_state import POINTS
from poller.estate import Device, Estate
from poller.failover import EchoTick, MemberReading, Recorder
from poller.profiles import load_profiles
from poller.readings import DeviceReading
from poller.targets import snmp_target
from probes.errors import LocalError
from probes.icmp import EchoEvent, EchoPlan, EchoProber, EchoTarget
from probes.icmp_statistics import EchoStatistics
from probes.snmp import Snmp, SnmpTarget

Address: TypeAlias = IPv4Address | IPv6Address
ECHO_SECONDS: Final = 0.1
PLAN: Final = EchoPlan(
    interval_seconds=ECHO_SECONDS, timeout_seconds=1.0, burst_interval_seconds=ECHO_SECONDS, slot_seconds=ECHO_SECONDS
)
ASK_SECONDS: Final = 1.0
_ASK_DEADLINE_SECONDS: Final = 0.9
_FIRST_CONTACT_SECONDS: Final = 20.0
_TIMEOUT_SECONDS: Final = 0.8
_IF_UP, _IF_DOWN = 1, 2


@dataclass(frozen=True, slots=True)
class Member:
    """One member: the device that tells of it and, of a circuit, its interface; device None where nobody is asked."""

    id: str
    device: str | None
    interface: str | None = None
    inward: str = "in"


@dataclass(frozen=True, slots=True)
class Wish:
    """What to watch: targets by key with their addresses, those that stand for the group, and its members."""

    group: str
    members: tuple[Member, ...]
    targets: Mapping[str, Address]
    watched: frozenset[str]
    named: bool


class NothingToWatch(Exception):  # noqa: N818 - it says what is the matter
    """The group cannot be rehearsed; one sentence."""


def wish_of(estate: Estate, group: str, named: Iterable[Address] = ()) -> Wish:
    """What to watch of a redundancy group; named: places its users need, which then stand for it.

    Raises NothingToWatch where there is no such group, or nobody of it can be asked.
    """
    if group not in estate.redundancy_groups:
        known = ", ".join(estate.redundancy_groups) or "none"
        raise NothingToWatch(f"there is no redundancy group '{group}'; there are: {known}")
    members: list[Member] = []
    targets: dict[str, Address] = {str(address): address for address in named}
    watched = set(targets)
    for device in estate.devices.values():
        if device.redundancy_group == group:
            members.append(Member(device.id, device.id if device.credentials is not None else None))
            if device.ping:
                targets[device.id] = device.addresses[0]
    for circuit in estate.circuits.values():
        if circuit.redundancy_group == group:
            at = circuit.measured_by
            asked = estate.devices[at.device].credentials is not None
            members.append(Member(circuit.id, at.device if asked else None, at.interface, at.inward))
            for point in POINTS:
                addresses: Sequence[Address] = getattr(circuit.probe, point)
                if addresses:
                    targets[f"{circuit.id}.{point}"] = addresses[0]
    if not targets:
        raise NothingToWatch(f"nobody of '{group}' can be pinged; name places its users need with --target")
    furthest = watched or _furthest(members, targets)
    return Wish(group, tuple(members), targets, frozenset(furthest), bool(watched))


def _furthest(members: Iterable[Member], targets: Mapping[str, Address]) -> set[str]:
    """Of each member the place furthest away that is pinged."""
    found = set()
    for member in members:
        keys = [key for key in (*(f"{member.id}.{point}" for point in POINTS), member.id) if key in targets]
        found.update(keys[-1:] if member.id not in keys else [member.id])
    return found


def name_of(estate: Estate, lang: str, key: str) -> str:
    """What people call a member or a target; an address stays one."""
    id_, _, point = key.partition(".")
    entry = estate.circuits.get(id_) or estate.devices.get(id_)
    if entry is None or (point and point not in POINTS):
        return key
    points = {"near": ("当方の端", "our edge"), "far": ("契約の向こう端", "far edge"), "beyond": ("その先", "beyond")}
    word = points[point][lang == "en"] if point else ""
    return f"{clean(entry.name.lang(lang), 40)} {word}".rstrip()


def member_readings(
    estate: Estate, members: Iterable[Member], before: DeviceReading | None, after: DeviceReading | None, at_ns: int
) -> list[MemberReading]:
    """What two readings of one device say of the members on it; after None: the device did not answer."""
    found = []
    for member in members:
        if after is None:
            found.append(MemberReading(member.id, at_ns))
            continue
        role = str(after.values["ha_role"]) if "ha_role" in after.values else None
        if member.interface is None:
            rows = _own_rows(estate, member.id, after)
            ways = [_rates(before, after, row, inward) for row, inward in rows]
            found.append(
                MemberReading(member.id, at_ns, True, role, _sum(way[0] for way in ways), _sum(way[1] for way in ways))
            )
        elif member.interface in after.layout.names:
            row = after.layout.names.index(member.interface)
            status = after.oper_status[row]
            up = True if status == _IF_UP else False if status == _IF_DOWN else None
            found.append(MemberReading(member.id, at_ns, up, role, *_rates(before, after, row, member.inward)))
    return found


def _own_rows(estate: Estate, device: str, reading: DeviceReading) -> list[tuple[int, str]]:
    """The rows that count a device's traffic, with the way that is inward: where circuits end or tenants are attached.

    Of a device that has neither, all of its interfaces, and no way can be told from the other.
    """
    named = {
        each.measured_by.interface: each.measured_by.inward
        for each in estate.circuits.values()
        if each.measured_by.device == device
    }
    for tenant in estate.tenants.values():
        for entry in tenant.attachments:
            if entry.device == device:
                named.setdefault(entry.interface, "out" if entry.inward == "out" else "in")
    rows = [(row, str(named[name])) for row, name in enumerate(reading.layout.names) if name in named]
    return rows or [(row, "in") for row in range(len(reading.layout.names))]


def _rates(
    before: DeviceReading | None, after: DeviceReading, row: int, inward: str
) -> tuple[float | None, float | None]:
    """Bits per second towards the estate and away from it, between two readings; None where they cannot be compared."""
    if before is None or before.layout is not after.layout:
        return None, None
    seconds = (after.received_ns[row] - before.received_ns[row]) / 1e9
    width = len(after.counters) // max(1, len(after.layout.names))
    rates: list[float | None] = []
    for index in (0, 1):
        old, new = before.counters[row * width + index], after.counters[row * width + index]
        usable = old is not None and new is not None and new >= old and seconds > 0
        rates.append((new - old) * 8 / seconds if usable and new is not None and old is not None else None)
    return (rates[0], rates[1]) if inward == "in" else (rates[1], rates[0])


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


class FailoverWatch:
    """Runs until cancelled, feeding a recorder; changed is called after every round of readings."""

    def __init__(self, estate: Estate, directory: Path, wish: Wish, changed: Callable[[Recorder], None]) -> None:
        self._estate = estate
        self._directory = directory
        self._wish = wish
        self._changed = changed
        self.complaints: list[str] = []
        members = tuple(member.id for member in wish.members)
        self.recorder = Recorder(wish.group, members, wish.watched, wish.named, time.time_ns())

    async def run(self) -> None:
        """Watch until cancelled. Raises LocalError where echoes cannot be sent."""

        def tell(event: EchoEvent) -> None:
            if isinstance(event, EchoStatistics) and event.sent:
                self.recorder.see_tick(EchoTick(event.target, event.slot_start_ns, event.sent, event.received))

        targets = [EchoTarget(key, address) for key, address in self._wish.targets.items()]
        async with EchoProber(targets, tell, PLAN) as prober, Snmp() as snmp, asyncio.TaskGroup() as group:
            group.create_task(prober.wait())
            group.create_task(self._show())
            asked = self._targets()
            asking = Asking(snmp, load_profiles(), asked, interval_seconds=ASK_SECONDS)
            for device, (_, target) in asked.items():
                group.create_task(self._ask(device, target, snmp, asking))

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(ASK_SECONDS)
            self._changed(self.recorder)

    def _targets(self) -> dict[str, tuple[Device, SnmpTarget]]:
        """The members' devices, asked once and with little patience; only what is asked for of each."""
        found = {}
        for key in dict.fromkeys(member.device for member in self._wish.members if member.device is not None):
            device = self._estate.devices[key]
            assert device.credentials is not None
            credentials = self._estate.credentials[device.credentials]
            target = snmp_target(device, credentials, self._estate.polling, self._directory)
            patient = replace(target, timeout_seconds=_TIMEOUT_SECONDS, tries=1)
            found[key] = (device, patient)
        return found

    async def _ask(self, device: str, target: SnmpTarget, snmp: Snmp, asking: Asking) -> None:
        """Ask one device on every whole second, so that members are compared at the same moments."""
        members = [member for member in self._wish.members if member.device == device]
        before: DeviceReading | None = None
        deadline = _FIRST_CONTACT_SECONDS
        while True:
            now_ns = time.time_ns()
            due_ns = (now_ns // 10**9 + 1) * 10**9
            await asyncio.sleep((due_ns - now_ns) / 1e9)
            snmp.device(target).silent = None  # the daemon would leave it alone for a minute; people are waiting here
            answer = await asking.ask(device, due_ns, deadline)
            reading = answer if isinstance(answer, DeviceReading) else None
            if reading is not None:
                deadline = _ASK_DEADLINE_SECONDS
            elif not isinstance(answer, DeviceReading) and deadline == _FIRST_CONTACT_SECONDS:
                self.complaints.append(f"{device}: {answer.text}")
            for each in member_readings(self._estate, members, before, reading, due_ns):
                self.recorder.see_reading(each)
            before = reading or before  # a reading that was missed is covered by the rates of the next


def named_addresses(texts: Iterable[str]) -> list[Address]:
    """The addresses of --target; LocalError where one is none."""
    found = []
    for text in texts:
        try:
            found.append(ip_address(text))
        except ValueError:
            raise LocalError(f"--target {text} is not an IPv4 or IPv6 address") from None
    return found
