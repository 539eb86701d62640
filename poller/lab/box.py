"""A simulated device from within: its ports with their counters, its boots, and the objects that show them.

Standard objects only: system, IF-MIB, SNMP-FRAMEWORK-MIB, hrSystemUptime. What a vendor adds comes as more columns.
"""

import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from poller.lab.meters import Meter
from poller.lab.mib import Column, View, constant, scalar
from poller.lab.ports import Port
from probes.snmp.oid import Oid
from probes.snmp.values import Tag

TICK_NS: Final = 10**7
"""sysUpTime counts hundredths of a second."""
UP, DOWN = 1, 2
"""ifOperStatus and ifAdminStatus (RFC 2863)."""

_SYSTEM: Final[Oid] = (1, 3, 6, 1, 2, 1, 1)
_IF_TABLE: Final[Oid] = (1, 3, 6, 1, 2, 1, 2, 2, 1)
_IF_X_TABLE: Final[Oid] = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
_ENGINE: Final[Oid] = (1, 3, 6, 1, 6, 3, 10, 2, 1)
_TICKS: Final = 1 << 32
_WIDE: Final = 1 << 64
_ETHERNET, _VLAN = 6, 135
"""ifType: ethernetCsmacd, l2vlan (IANAifType-MIB)."""
_SERVICES: Final = 78
"""sysServices of a box that routes and serves."""
_OCTETS_AN_ERROR: Final = 400 * 10**9
_OCTETS_A_DISCARD: Final = 90 * 10**9
_UNICAST_A_MULTICAST, _UNICAST_A_BROADCAST = 61, 307


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says of itself."""

    name: str
    description: str
    object_id: Oid
    location: str = ""
    contact: str = "noc@example.jp"


@dataclass(slots=True)
class PortState:
    """One interface as it is now. Moments are UTC unix nanoseconds; discontinuity 0: none since the start."""

    port: Port
    if_index: int
    inbound: Meter
    outbound: Meter
    oper_status: int = UP
    admin_status: int = UP
    last_change_ns: int = 0
    discontinuity_ns: int = 0
    in_packet_octets: int = 800
    out_packet_octets: int = 500


@dataclass(frozen=True, slots=True)
class Extension:
    """What a vendor adds: columns, made anew after every start, and meters behind them that a start sets to 0."""

    columns: Callable[[], Iterable[Column]] = tuple
    meters: Sequence[Meter] = ()


class Box:
    """A device."""

    def __init__(
        self,
        identity: Identity,
        ports: Sequence[PortState],
        boot_ns: int,
        engine_id: bytes,
        extension: Extension | None = None,
    ) -> None:
        self.identity = identity
        self.ports = list(ports)
        self.boot_ns = boot_ns
        self.engine_id = engine_id
        self.engine_boots = 1 + zlib.crc32(engine_id) % 40
        self.table_changed_ns = boot_ns
        self._extension = extension or Extension()
        self.view = self._view()

    def port(self, name: str) -> PortState:
        """The port of this ifName; KeyError where there is none."""
        for entry in self.ports:
            if entry.port.name == name:
                return entry
        raise KeyError(f"{self.identity.name} has no interface {name}")

    def uptime_ticks(self, time_ns: int) -> int:
        """SysUpTime at a moment."""
        return (time_ns - self.boot_ns) // TICK_NS % _TICKS

    def engine_seconds(self, time_ns: int) -> int:
        """SnmpEngineTime at a moment."""
        return (time_ns - self.boot_ns) // 10**9

    def reboot(self, time_ns: int, shuffle_seed: int | None = None) -> None:
        """Start anew at a moment: uptime and counters begin at 0, boots go up, and the ifIndexes may be dealt again."""
        self.boot_ns = time_ns
        self.engine_boots += 1
        self.table_changed_ns = time_ns
        for entry in self.ports:
            entry.inbound.reset(time_ns)
            entry.outbound.reset(time_ns)
            entry.discontinuity_ns = 0
            entry.last_change_ns = time_ns
        for meter in self._extension.meters:
            meter.reset(time_ns)
        if shuffle_seed is not None:
            self._shuffle(shuffle_seed)
        self.view = self._view()

    def clear_counters(self, time_ns: int, interface: str | None = None) -> None:
        """Let counters begin at 0 without a restart, as "clear counters" does, and show it as a discontinuity."""
        for entry in self.ports:
            if interface in {None, entry.port.name}:
                entry.inbound.reset(time_ns)
                entry.outbound.reset(time_ns)
                entry.discontinuity_ns = time_ns

    def set_status(self, interface: str, oper_status: int, time_ns: int) -> None:
        """Let an interface go up or down."""
        entry = self.port(interface)
        if entry.oper_status != oper_status:
            entry.oper_status = oper_status
            entry.last_change_ns = time_ns

    def _shuffle(self, seed: int) -> None:
        """Deal the ifIndexes again, so that none of the first two keeps its own."""
        indexes = [entry.if_index for entry in self.ports]
        dealt = indexes[1:] + indexes[:1]
        random.Random(seed).shuffle(dealt)  # noqa: S311 - a game, not a secret
        if len(dealt) > 1 and dealt[0] == indexes[0]:
            dealt[0], dealt[1] = dealt[1], dealt[0]
        for entry, index in zip(self.ports, dealt, strict=True):
            entry.if_index = index

    def _view(self) -> View:
        return View([*self._system(), *self._interfaces(), *self._extension.columns()])

    def _ticks_of(self, moment_ns: int) -> int:
        """A moment as sysUpTime was then; 0 for what was before the start."""
        return max(0, moment_ns - self.boot_ns) // TICK_NS % _TICKS

    def _system(self) -> Iterable[Column]:
        me = self.identity
        yield constant((*_SYSTEM, 1), Tag.OCTET_STRING, me.description.encode())
        yield constant((*_SYSTEM, 2), Tag.OBJECT_IDENTIFIER, me.object_id)
        yield scalar((*_SYSTEM, 3), Tag.TIME_TICKS, self.uptime_ticks)
        yield constant((*_SYSTEM, 4), Tag.OCTET_STRING, me.contact.encode())
        yield constant((*_SYSTEM, 5), Tag.OCTET_STRING, me.name.encode())
        yield constant((*_SYSTEM, 6), Tag.OCTET_STRING, me.location.encode())
        yield constant((*_SYSTEM, 7), Tag.INTEGER, _SERVICES)
        yield constant((1, 3, 6, 1, 2, 1, 2, 1), Tag.INTEGER, len(self.ports))
        yield scalar((1, 3, 6, 1, 2, 1, 31, 1, 5), Tag.TIME_TICKS, lambda _now: self._ticks_of(self.table_changed_ns))
        yield scalar((1, 3, 6, 1, 2, 1, 25, 1, 1), Tag.TIME_TICKS, self.uptime_ticks)
        yield constant((*_ENGINE, 1), Tag.OCTET_STRING, self.engine_id)
        yield scalar((*_ENGINE, 2), Tag.INTEGER, lambda _now: self.engine_boots)
        yield scalar((*_ENGINE, 3), Tag.INTEGER, self.engine_seconds)
        yield constant((*_ENGINE, 4), Tag.INTEGER, 65507)

    def _interfaces(self) -> Iterable[Column]:
        ports = sorted(self.ports, key=lambda entry: entry.if_index)
        rows = tuple((entry.if_index,) for entry in ports)
        for number, tag, read in _IF_COLUMNS:
            yield Column((*_IF_TABLE, number), rows, tag, _reader(ports, read))
        for number, tag, read in _IF_X_COLUMNS:
            yield Column((*_IF_X_TABLE, number), rows, tag, _reader(ports, read))
        ticks = self._ticks_of
        yield Column((*_IF_TABLE, 9), rows, Tag.TIME_TICKS, lambda row, _now: ticks(ports[row].last_change_ns))
        yield Column((*_IF_X_TABLE, 19), rows, Tag.TIME_TICKS, lambda row, _now: ticks(ports[row].discontinuity_ns))


_Reading = Callable[[PortState, int], "int | bytes | Oid"]


def _reader(ports: Sequence[PortState], read: _Reading) -> Callable[[int, int], "int | bytes | Oid"]:
    return lambda row, time_ns: read(ports[row], time_ns)


def _narrow(read: Callable[[PortState, int], int]) -> _Reading:
    return lambda entry, time_ns: read(entry, time_ns) % _TICKS


def _wide(read: Callable[[PortState, int], int]) -> _Reading:
    return lambda entry, time_ns: read(entry, time_ns) % _WIDE


def _in_octets(entry: PortState, time_ns: int) -> int:
    return entry.inbound.read(time_ns)


def _out_octets(entry: PortState, time_ns: int) -> int:
    return entry.outbound.read(time_ns)


def _in_share(octets: int = 0, packets: int = 1) -> Callable[[PortState, int], int]:
    """Something that happens every so many octets, or every so many packets, that come in."""
    return lambda entry, time_ns: entry.inbound.read(time_ns) // (octets or entry.in_packet_octets * packets)


def _out_share(octets: int = 0, packets: int = 1) -> Callable[[PortState, int], int]:
    """The same for what goes out."""
    return lambda entry, time_ns: entry.outbound.read(time_ns) // (octets or entry.out_packet_octets * packets)


def _hardware_address(entry: PortState, _time_ns: int) -> bytes:
    return b"\x02\x00" + zlib.crc32(f"{entry.port.alias}/{entry.port.name}".encode()).to_bytes(4, "big")


_ANY_IN: Final = _in_share(packets=_UNICAST_A_MULTICAST)
_ANY_OUT: Final = _out_share(packets=_UNICAST_A_MULTICAST)

_IF_COLUMNS: Final[Sequence[tuple[int, int, _Reading]]] = (
    (1, Tag.INTEGER, lambda entry, _: entry.if_index),
    (2, Tag.OCTET_STRING, lambda entry, _: entry.port.name.encode()),
    (3, Tag.INTEGER, lambda entry, _: _VLAN if "." in entry.port.name or "vlan" in entry.port.name else _ETHERNET),
    (4, Tag.INTEGER, lambda _entry, _: 1500),
    (5, Tag.GAUGE32, lambda entry, _: min(entry.port.speed, _TICKS - 1)),
    (6, Tag.OCTET_STRING, _hardware_address),
    (7, Tag.INTEGER, lambda entry, _: entry.admin_status),
    (8, Tag.INTEGER, lambda entry, _: entry.oper_status),
    (10, Tag.COUNTER32, _narrow(_in_octets)),
    (11, Tag.COUNTER32, _narrow(_in_share())),
    (12, Tag.COUNTER32, _narrow(_ANY_IN)),
    (13, Tag.COUNTER32, _narrow(_in_share(_OCTETS_A_DISCARD))),
    (14, Tag.COUNTER32, _narrow(_in_share(_OCTETS_AN_ERROR))),
    (15, Tag.COUNTER32, lambda _entry, _: 0),
    (16, Tag.COUNTER32, _narrow(_out_octets)),
    (17, Tag.COUNTER32, _narrow(_out_share())),
    (18, Tag.COUNTER32, _narrow(_ANY_OUT)),
    (19, Tag.COUNTER32, _narrow(_out_share(_OCTETS_A_DISCARD))),
    (20, Tag.COUNTER32, _narrow(_out_share(_OCTETS_AN_ERROR))),
)
"""ifTable without ifLastChange: number of the column, tag, value."""

_IF_X_COLUMNS: Final[Sequence[tuple[int, int, _Reading]]] = (
    (1, Tag.OCTET_STRING, lambda entry, _: entry.port.name.encode()),
    (2, Tag.COUNTER32, _narrow(_ANY_IN)),
    (3, Tag.COUNTER32, _narrow(_in_share(packets=_UNICAST_A_BROADCAST))),
    (4, Tag.COUNTER32, _narrow(_ANY_OUT)),
    (5, Tag.COUNTER32, _narrow(_out_share(packets=_UNICAST_A_BROADCAST))),
    (6, Tag.COUNTER64, _wide(_in_octets)),
    (7, Tag.COUNTER64, _wide(_in_share())),
    (8, Tag.COUNTER64, _wide(_ANY_IN)),
    (9, Tag.COUNTER64, _wide(_in_share(packets=_UNICAST_A_BROADCAST))),
    (10, Tag.COUNTER64, _wide(_out_octets)),
    (11, Tag.COUNTER64, _wide(_out_share())),
    (12, Tag.COUNTER64, _wide(_ANY_OUT)),
    (13, Tag.COUNTER64, _wide(_out_share(packets=_UNICAST_A_BROADCAST))),
    (14, Tag.INTEGER, lambda _entry, _: 1),
    (15, Tag.GAUGE32, lambda entry, _: entry.port.speed // 10**6),
    (16, Tag.INTEGER, lambda _entry, _: 2),
    (17, Tag.INTEGER, lambda entry, _: 2 if "." in entry.port.name or "vlan" in entry.port.name else 1),
    (18, Tag.OCTET_STRING, lambda entry, _: entry.port.alias.encode()[:64]),
)
"""ifXTable without ifCounterDiscontinuityTime."""
