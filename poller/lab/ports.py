"""Which interfaces a simulated device has: those the estate names, and more of the same kind, as on real boxes."""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from poller.estate import Device, Estate, Role
from poller.lab.traffic import Curve, Shape

_SPEEDS: Final = (10**7, 10**8, 10**9, 10**10, 10**11)
BACKGROUNDS: Final = 12
"""How many different curves the background has."""
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Port:
    """An interface as its device describes it; background is (number of the curve, millionths of it in, out)."""

    name: str
    alias: str
    speed: int
    background: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Fitting:
    """What a device of a role has beside named interfaces: pattern, how many, speed, load of the busiest."""

    pattern: str
    count: int
    speed: int
    load: int


_FITTINGS: Final[Mapping[Role, _Fitting]] = {
    Role.FIREWALL: _Fitting("port{}", 6, 10**10, 220_000_000),
    Role.ROUTER: _Fitting("GigabitEthernet0/0/{}", 4, 10**9, 60_000_000),
    Role.SWITCH: _Fitting("GigabitEthernet1/0/{}", 24, 10**9, 40_000_000),
    Role.NETWORK_DEVICE: _Fitting("GigabitEthernet0/0/{}", 4, 10**9, 90_000_000),
    Role.PROXY: _Fitting("eth{}", 2, 10**10, 260_000_000),
    Role.DNS: _Fitting("eth{}", 2, 10**9, 3_000_000),
    Role.MAIL_RELAY: _Fitting("eth{}", 2, 10**9, 12_000_000),
    Role.NTP: _Fitting("eth{}", 1, 10**9, 200_000),
    Role.WAF: _Fitting("eth{}", 2, 10**10, 90_000_000),
    Role.LOAD_BALANCER: _Fitting("eth{}", 2, 10**10, 120_000_000),
    Role.LOG_STORE: _Fitting("eth{}", 2, 10**10, 70_000_000),
    Role.SERVER: _Fitting("eth{}", 2, 10**9, 20_000_000),
    Role.UPS: _Fitting("eth{}", 1, 10**8, 2_000),
}

_NUMBERED: Final = re.compile(r"(?P<stem>.*[/A-Za-z-])(?P<number>\d+)")


def make_ports(estate: Estate, device: Device) -> tuple[Port, ...]:
    """The interfaces of a device in the order of their first ifIndex."""
    named = dict(_named_ports(estate, device.id))
    for name in [name for name in named if "." in name]:
        parent = name.rpartition(".")[0]
        named.setdefault(parent, Port(parent, "trunk", max(named[name].speed, 10**10)))
    fitting = _FITTINGS[device.role]
    pattern, speed = _like(named, fitting)
    ports = list(named.values())
    number = 0 if pattern.endswith(("eth{}", "/{}")) else 1
    while len(ports) < len(named) + fitting.count:
        name = pattern.format(number)
        number += 1
        if name not in named:
            ports.append(_background_port(device, Port(name, "", speed), fitting.load, len(ports) - len(named)))
    return tuple(ports)


def _named_ports(estate: Estate, device: str) -> Iterator[tuple[str, Port]]:
    for circuit in estate.circuits.values():
        if circuit.measured_by.device == device:
            name = circuit.measured_by.interface
            yield name, Port(name, f"{circuit.name.en} {circuit.contract_number}".strip(), _speed(circuit.ceiling_rate))
    for tenant in estate.tenants.values():
        for entry in tenant.attachments:
            if entry.device == device:
                yield entry.interface, Port(entry.interface, f"{tenant.name.en}: {entry.line}", 10**9)
    for group in estate.line_groups.values():
        for part in group.parts:
            if part.measured_by is not None and part.measured_by.device == device:
                name = part.measured_by.interface
                yield name, Port(name, part.name.en, _speed(max(part.needed_rate, 10**9)))


def _like(named: Mapping[str, Port], fitting: _Fitting) -> tuple[str, int]:
    """How this device names its ports, learnt from those that the estate names, and how fast they are."""
    for name, port in named.items():
        match = _NUMBERED.fullmatch(name)
        if match is not None and "." not in name and not name.lower().startswith(("vlan", "tun", "lo")):
            return match["stem"] + "{}", port.speed
    return fitting.pattern, fitting.speed


def _background_port(device: Device, port: Port, load: int, number: int) -> Port:
    draw = zlib.crc32(f"{device.id}/{port.name}".encode())
    share = load * (5 + draw % 96) // 100 // (1 + number) * MILLION // 10**9
    return replace(port, background=(draw % BACKGROUNDS, share, share * (20 + draw // 7 % 60) // 100))


def background_curve(number: int, seed: int = 0) -> Curve:
    """One of the curves ports without a name in the estate have a share of: 1 Gbps at the peak."""
    return Curve(f"background/{number}", 10**9, (Shape.OFFICE, Shape.OFFICE, Shape.STEADY)[number % 3], seed=seed)


def _speed(rate: int) -> int:
    return next((speed for speed in _SPEEDS if speed >= max(rate, 10**9)), _SPEEDS[-1])
