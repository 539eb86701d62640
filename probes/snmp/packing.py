"""What a device is asked at each poll, packed into PDUs, and what a poll brings back."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from probes.snmp.device import Device
from probes.snmp.errors import SnmpError
from probes.snmp.oid import Oid
from probes.snmp.prepared import FastValue, Shape, ShapeCache, Template
from probes.snmp.reply_size import reply_octets, room_for_varbinds
from probes.snmp.target import SnmpTarget
from probes.snmp.transport import Transport, resolve
from probes.snmp.values import Missing

if TYPE_CHECKING:
    from probes.snmp.session import Snmp

SYS_UPTIME: Final[Oid] = (1, 3, 6, 1, 2, 1, 1, 3, 0)
"""sysUpTime.0 (SNMPv2-MIB)."""

ASK_MISSING_EVERY = 30
"""Polls after which variables that did not exist are asked for again."""

WIRE_VERSIONS: Final = {"1": 0, "2c": 1, "3": 3}


T = TypeVar("T")


class ByGroup(Protocol):
    """Turns a list by PDU into one by group."""

    def __call__(self, by_pdu: Sequence[T], /) -> Sequence[T]:
        """Give each group what its PDU has."""


@lru_cache(maxsize=1024)
def _pick(owners: tuple[int, ...]) -> ByGroup:
    """Equal ones are one object, because devices of one kind have them in common."""
    return itemgetter(*owners) if len(owners) > 1 else lambda by_pdu: [by_pdu[owner] for owner in owners]


class PreparedPdu:
    """One GET of a prepared poll. Its values belong to places first..stop of the flat list, or to places if given."""

    __slots__ = ("first", "places", "shape", "stop", "template")

    def __init__(self, template: Template, places: Sequence[int]) -> None:
        self.template = template
        self.shape: Shape | None = None
        self.first = places[0]
        self.stop = places[-1] + 1
        self.places = places if self.stop - self.first != len(places) else None

    def all_places(self) -> Sequence[int]:
        """Places of its values in the flat list."""
        return self.places or range(self.first, self.stop)


class PreparedPoll:
    """What a device is asked at each poll; made by Snmp.prepare, kept by the caller, good for one target.

    count is the number of values, groups the number of groups. The rest is the engine's.
    """

    __slots__ = (
        "_cut_for",
        "_groups_in",
        "_missing_oids",
        "_polls",
        "_route",
        "_stops",
        "address",
        "count",
        "groups",
        "missing",
        "pdus",
        "shapes",
        "target",
    )

    def __init__(self, target: SnmpTarget, stops: Sequence[int], shapes: ShapeCache) -> None:
        self.target = target
        self.address = resolve(target)
        self.count = stops[-1] if stops else 0
        self.groups = len(stops)
        self.shapes = shapes
        self.pdus: list[PreparedPdu] = []
        self.missing: dict[int, Missing] = {}
        self._missing_oids: dict[int, Oid] = {}
        self._stops = tuple(stops)
        self._groups_in: tuple[Sequence[PreparedPdu], ByGroup] | None = None
        self._route: tuple[Transport, socket.socket, Device] | None = None
        self._cut_for = 0
        self._polls = 0

    def route(self, snmp: "Snmp") -> tuple[Transport, socket.socket, Device]:
        """What is used to ask this target; looked up once, and again when the sessions were opened anew."""
        if self._route is None or self._route[0] is not snmp.transport:
            self._route = (snmp.transport, snmp.transport.socket_for(self.target), snmp.device(self.target))
        return self._route

    def by_group(self, pdus: Sequence[PreparedPdu]) -> ByGroup:
        """What turns a list by PDU, whose last item is None, into one by group: the PDU of its first value counts."""
        if self._groups_in is not None and self._groups_in[0] is pdus:
            return self._groups_in[1]
        owner = {place: index for index, pdu in enumerate(pdus) for place in pdu.all_places()}
        begins = (0, *self._stops[:-1])
        found = _pick(
            tuple(
                next((owner[place] for place in range(begin, stop) if place in owner), -1)
                for begin, stop in zip(begins, self._stops, strict=True)
            )
        )
        self._groups_in = (pdus, found)
        return found

    def oids(self) -> list[Oid]:
        """All OIDs in the order asked."""
        oids: list[Oid] = [self._missing_oids.get(place, ()) for place in range(self.count)]
        for pdu in self.pdus:
            for place, oid in zip(pdu.all_places(), pdu.template.oids()[1:], strict=True):
                oids[place] = oid
        return oids

    def cut(self, oids: Sequence[Oid], device: Device) -> None:
        """Pack groups into PDUs, as many as fit; a group is torn only when it does not fit alone (R14, R15)."""
        self._cut_for = device.size.limit
        v3 = self.target.version == "3"
        packing = _Packing(
            oids, room_for_varbinds(device, v3=v3) - reply_octets(SYS_UPTIME), max(1, device.size.limit - 1)
        )
        begin = 0
        for stop in self._stops:
            packing.add([place for place in range(begin, stop) if oids[place] and place not in self.missing])
            begin = stop
        version, community = WIRE_VERSIONS[self.target.version], None if v3 else self.target.community
        self.pdus = [
            PreparedPdu(self.shapes.template([SYS_UPTIME, *(oids[place] for place in run)], version, community), run)
            for run in packing.finish()
        ]

    def begin(self, device: Device) -> None:
        """Cut anew, before a poll, when the device's size has changed or the missing are to be asked for again."""
        self._polls += 1
        again = bool(self.missing) and self._polls % ASK_MISSING_EVERY == 0
        if self._cut_for == device.size.limit and not again:
            return
        oids = self.oids()
        if again:
            self.missing.clear()
            self._missing_oids.clear()
        self.cut(oids, device)

    def leave_out(self, missing: Mapping[int, Missing], device: Device) -> None:
        """Ask no longer for what does not exist, so that the rest is read the fast way again."""
        oids = self.oids()
        self.missing.update(missing)
        self._missing_oids.update({place: oids[place] for place in missing})
        self.cut(oids, device)


class _Packing:
    """Fills PDUs with groups in order."""

    def __init__(self, oids: Sequence[Oid], room: int, limit: int) -> None:
        self._oids, self._room, self._limit = oids, room, limit
        self._runs: list[list[int]] = []
        self._run: list[int] = []
        self._used = 0

    def add(self, group: Sequence[int]) -> None:
        """Put a group into the present PDU, or into a new one, or into several."""
        octets = sum(reply_octets(self._oids[place]) for place in group)
        if self._run and (self._used + octets > self._room or len(self._run) + len(group) > self._limit):
            self._close()
        for place in group:
            size = reply_octets(self._oids[place])
            if self._run and (self._used + size > self._room or len(self._run) >= self._limit):
                self._close()
            self._run.append(place)
            self._used += size

    def finish(self) -> list[list[int]]:
        """Places of each PDU."""
        if self._run:
            self._close()
        return self._runs

    def _close(self) -> None:
        self._runs.append(self._run)
        self._run, self._used = [], 0


def prepare_poll(
    target: SnmpTarget, groups: Sequence[Sequence[Oid]], shapes: ShapeCache, device: Device
) -> PreparedPoll:
    """See Snmp.prepare."""
    oids = [oid for group in groups for oid in group]
    stops: list[int] = []
    for group in groups:
        stops.append((stops[-1] if stops else 0) + len(group))
    prepared = PreparedPoll(target, stops, shapes)
    prepared.cut(oids, device)
    return prepared


@dataclass(slots=True)
class PollAnswer:
    """What a poll brought.

    values: flat, in the order of prepare's groups; int or bytes, None where there is no value. missing: by place, what
    the agent said does not exist. failures: by place, why a value that should exist is not here. uptime_ticks and
    received_ns: per group, sysUpTime of its PDU in hundredths of a second and UTC unix nanoseconds, or None.
    requests, retries and fallbacks count datagrams, tries beyond the first, and replies that took the general codec.
    """

    values: list[FastValue | None]
    uptime_ticks: Sequence[FastValue | None]
    received_ns: Sequence[int | None]
    missing: dict[int, Missing] = field(default_factory=dict)
    failures: dict[int, SnmpError] = field(default_factory=dict)
    requests: int = 0
    retries: int = 0
    fallbacks: int = 0
    seconds: float = 0.0
    round_trip_seconds: float | None = None
    engine_changed: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing failed."""
        return not self.failures
