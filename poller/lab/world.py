"""The simulated network as it is now: boxes, flows, what is broken; everything that can happen to it, with its moment.

    world = World(estate, load_profiles(), time_ns)
    world.fail_circuit("int-1", time_ns)     the standby takes over, the tenants' octets follow

No socket and no clock: the lab's server and the tests give the moment. Moments must not go back.
"""

import random
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from poller.estate import Device, Estate
from poller.lab.box import DOWN, UP, Box, Extension, Identity, PortState
from poller.lab.meters import MILLION, Flow, Meter
from poller.lab.network import Carried, Conditions, InterfaceKey, Plan, make_plan, routes
from poller.lab.past import sustained_caps
from poller.lab.ports import BACKGROUNDS, background_curve, make_ports
from poller.lab.traffic import Integral, day_of
from poller.lab.vendor import Truth, likeness, vendor_columns
from poller.lab.vitals import Vitals, usual_uptime_seconds
from poller.profiles import AUTO, Profiles

_WORK_A_SESSION: Final = 60_000
"""Octets of the background after which a box with room for two million sessions has opened another one."""
_ANY_PROFILE: Final = "host_resources"
"""What a device is like whose profile is to be detected."""
_ENTERPRISE: Final = 32473
"""The enterprise number for examples (RFC 5612)."""


class UnknownName(ValueError):  # noqa: N818 - it says what is the matter
    """Something was to happen to a thing the estate does not have; the text names it."""


class World:
    """All boxes of an estate and what flows between them."""

    def __init__(self, estate: Estate, profiles: Profiles, time_ns: int, seed: int = 0) -> None:
        self.estate = estate
        self._profiles = profiles
        self.plan: Plan = make_plan(estate, seed)
        self.conditions = Conditions()
        self._seed = seed
        self._first_day = day_of(time_ns)
        self._factors: dict[str, int] = {}
        self._held: dict[str, int] = {}
        """Bits per second of the streams that do not follow their curve."""
        self.flows: Mapping[str, Flow] = {
            name: Flow(Integral(stream.curve, self._first_day), time_ns) for name, stream in self.plan.streams.items()
        }
        self._background = [Integral(background_curve(number, seed), self._first_day) for number in range(BACKGROUNDS)]
        self.boxes: Mapping[str, Box] = {
            device.id: self._make_box(device, time_ns) for device in estate.devices.values()
        }
        self._carried: dict[InterfaceKey, Carried] = {}
        self._reroute(time_ns)

    # ---- what can happen

    def fail_circuit(self, circuit: str, time_ns: int) -> None:
        """A circuit dies: its interface goes down, its redundancy group's next member carries its traffic."""
        self._need(circuit, self.estate.circuits, "circuit")
        self.conditions = replace(self.conditions, down_circuits=self.conditions.down_circuits | {circuit})
        self._show_circuit(circuit, DOWN, time_ns)

    def restore_circuit(self, circuit: str, time_ns: int) -> None:
        """It is repaired; the preferred member carries again."""
        self._need(circuit, self.estate.circuits, "circuit")
        self.conditions = replace(self.conditions, down_circuits=self.conditions.down_circuits - {circuit})
        self._show_circuit(circuit, UP, time_ns)

    def set_interface(self, device: str, interface: str, time_ns: int, *, up: bool) -> None:
        """An interface goes up or down, and its traffic with it."""
        self.box(device)
        self._port(device, interface)
        key = (device, interface)
        down = self.conditions.down_interfaces
        self.conditions = replace(self.conditions, down_interfaces=down - {key} if up else down | {key})
        self.boxes[device].set_status(interface, UP if up else DOWN, time_ns)
        self._reroute(time_ns)

    def fail_over(self, group: str, time_ns: int, to: str | None = None) -> str:
        """Another device of a redundancy group does the work; without `to` the next one. Returns its id."""
        self._need(group, self.plan.groups, "redundancy group of devices")
        members = self.plan.groups[group]
        active = self.active(group)
        target = to or members[(members.index(active) + 1) % len(members)]
        self._need(target, members, f"device in the redundancy group {group}")
        self.conditions = replace(self.conditions, active={**self.conditions.active, group: target})
        self._reroute(time_ns)
        return target

    def multiply_tenant(self, tenant: str, factor: float, time_ns: int, line: str | None = None) -> None:
        """From now on a tenant uses so many times as much; 1 is as usual."""
        self._need(tenant, self.estate.tenants, "tenant")
        for name, stream in self.plan.streams.items():
            if stream.tenant == tenant and line in {None, stream.line}:
                self._factors[name] = round(factor * MILLION)
                self._held.pop(name, None)
        self._reroute(time_ns)

    def fill_cap(self, tenant: str, line: str, ratio: float, time_ns: int) -> None:
        """From now on a tenant takes this part of its cap, steadily, at any hour; multiply_tenant ends it.

        ratio: of the lowest sustained rate towards the tenant, above 1 to exceed it. What it sends grows with it.
        """
        self._need(tenant, self.estate.tenants, "tenant")
        cap = sustained_caps(self.estate).get((tenant, line, "in"))
        if cap is None:
            raise UnknownName(f"tenant {tenant} has no sustained cap on {line}")
        streams = {name: one for name, one in self.plan.streams.items() if (one.tenant, one.line) == (tenant, line)}
        usual = sum(one.curve.peak_bits_per_second for one in streams.values() if one.inward)
        for name, stream in streams.items():
            self._factors.pop(name, None)
            self._held[name] = round(cap * ratio * stream.curve.peak_bits_per_second / usual)
        self._reroute(time_ns)

    def reboot(self, device: str, time_ns: int, *, reshuffle: bool = False) -> None:
        """A device starts anew."""
        box = self.box(device)
        box.reboot(time_ns, zlib.crc32(f"{device}/{box.engine_boots}".encode()) if reshuffle else None)

    def clear_counters(self, device: str, time_ns: int, interface: str | None = None) -> None:
        """Somebody clears counters."""
        if interface is not None:
            self._port(device, interface)
        self.box(device).clear_counters(time_ns, interface)

    # ---- what is

    def box(self, device: str) -> Box:
        """The box of a device; raises UnknownName."""
        self._need(device, self.boxes, "device")
        return self.boxes[device]

    def active(self, group: str) -> str:
        """The device of a group that does the work."""
        return self.conditions.active.get(group) or self.plan.groups[group][0]

    def stands_by(self, device: str) -> bool:
        """Whether a device waits for its partner to fail."""
        group = self.estate.devices[device].redundancy_group
        if group is None or self.estate.redundancy_groups[group].mode != "active_standby":
            return False
        return self.active(group) != device

    # ---- within

    def _show_circuit(self, circuit: str, status: int, time_ns: int) -> None:
        at = self.estate.circuits[circuit].measured_by
        self.boxes[at.device].set_status(at.interface, status, time_ns)
        self._reroute(time_ns)

    def _reroute(self, time_ns: int) -> None:
        """Let every meter carry what its interface carries now; only what changed is touched."""
        carried, stopped = routes(self.plan, self.conditions)
        for name, flow in self.flows.items():
            wanted = 0 if name in stopped else self._factors.get(name, MILLION)
            if flow.millionths != wanted:
                flow.scale(wanted, time_ns)
            if flow.held_at != self._held.get(name):
                flow.hold(self._held.get(name), time_ns)
        nothing = Carried()
        for key in self._carried.keys() | carried.keys():
            now, before = carried.get(key, nothing), self._carried.get(key, nothing)
            if now != before:
                port = self._port(*key)
                port.inbound.carry([self.flows[name] for name in now.inbound], time_ns)
                port.outbound.carry([self.flows[name] for name in now.outbound], time_ns)
        self._carried = carried

    def _make_box(self, device: Device, time_ns: int) -> Box:
        draw = random.Random(f"{self._seed}/{device.id}/ports")  # noqa: S311 - weather, not secrets
        boot_ns = time_ns - usual_uptime_seconds(device.id, self._seed) * 10**9
        ports = []
        for place, port in enumerate(make_ports(self.estate, device), start=1):
            start = port.speed // 8 * draw.randrange(20_000, 2_000_000)
            flows: list[list[Flow]] = [[], []]
            if port.background is not None:
                number, share_in, share_out = port.background
                integral = self._background[number]
                flows = [[Flow(integral, time_ns, share_in)], [Flow(integral, time_ns, share_out)]]
            inbound, outbound = (Meter(some, time_ns, start) for some in flows)
            sizes = {"in_packet_octets": draw.randrange(600, 1100), "out_packet_octets": draw.randrange(350, 800)}
            ports.append(PortState(port, place, inbound, outbound, **sizes))
        profile = self._profiles[_ANY_PROFILE if device.profile == AUTO else device.profile]
        look = likeness(profile)
        site = self.estate.sites[device.site]
        work = Meter([Flow(self._background[0], time_ns)], time_ns, start=10**12)
        truth = self._truth(device, work)
        return Box(
            Identity(device.id, look.description, look.object_id, site.name.en),
            ports,
            boot_ns,
            engine_id_of(device.id),
            Extension(lambda: vendor_columns(profile, truth), [work]),
        )

    def _truth(self, device: Device, work: Meter) -> Truth:
        """What the vendor's objects of a device must come to."""
        vitals = Vitals.of(device)
        alone = device.redundancy_group is None
        shared = not alone and self.estate.redundancy_groups[device.redundancy_group or ""].mode == "shared"

        def waits() -> bool:
            return self.stands_by(device.id)

        def role() -> str:
            if alone:
                return "alone"
            return "member" if shared else "standby" if waits() else "active"

        return Truth(
            {
                "cpu_ratio": lambda now: vitals.cpu_ratio(now, stands_by=waits()),
                "memory_ratio": vitals.memory_ratio,
                "sessions": vitals.sessions,
                "sessions_limit": lambda _now: vitals.sessions_limit,
                "session_rate": lambda now: vitals.session_rate(now, stands_by=waits()),
            },
            opened=lambda now: work.read(now) // (_WORK_A_SESSION * 2_000_000 // vitals.sessions_limit),
            ha_role=role,
        )

    def _port(self, device: str, interface: str) -> PortState:
        try:
            return self.box(device).port(interface)
        except KeyError:
            raise UnknownName(f"device {device} has no interface {interface}") from None

    @staticmethod
    def _need(name: str, known: Iterable[str], what: str) -> None:
        if name not in known:
            raise UnknownName(f"the estate has no {what} {name}")


def engine_id_of(device: str) -> bytes:
    """The engine id of a simulated device: text under the enterprise for examples (RFC 3411, SnmpEngineID)."""
    return (0x8000_0000 | _ENTERPRISE).to_bytes(4, "big") + b"\x04" + device.encode()[:27]
