"""The sessions: one object that asks any number of agents over a few shared sockets, within one event loop."""

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from probes.snmp.device import Device
from probes.snmp.dialect import read_answer, read_discovery, write_discovery, write_request
from probes.snmp.engine import EngineClock
from probes.snmp.errors import (
    BadRequest,
    ErrorStatus,
    NoAnswer,
    NotInTimeWindow,
    SnmpError,
    UnexpectedAnswer,
    UnknownEngine,
    WrongPrivacyPassword,
    name_error_status,
)
from probes.snmp.exchange import Exchange, Question
from probes.snmp.message import Pdu, PduKind
from probes.snmp.oid import Oid, format_oid
from probes.snmp.packing import PollAnswer, PreparedPoll, prepare_poll
from probes.snmp.poll import PollRun
from probes.snmp.prepared import ShapeCache
from probes.snmp.reply_size import cut_to_size
from probes.snmp.statistics import Statistics
from probes.snmp.target import SnmpTarget
from probes.snmp.transport import Trace, Transport
from probes.snmp.values import Missing, VarBind
from probes.snmp.walk import DEFAULT_LIMITS, Table, WalkLimits, read_table, walk_subtree

T = TypeVar("T")

TOO_BIG, NO_SUCH_NAME = 1, 2
"""Error status (RFC 3416, 3)."""

SYS_UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
"""sysUpTime.0 (SNMPv2-MIB)."""


class Snmp:
    """Ask agents. Use as `async with Snmp() as snmp`; every method may run many times at once.

    clock counts seconds, monotonic; deadlines are on it. wall_clock_ns stamps what is received. trace sees every
    datagram (see transport.Trace). statistics counts everything. Errors are those of probes.snmp.errors.
    """

    def __init__(
        self,
        *,
        trace: Trace | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.statistics = Statistics()
        self.clock = clock
        self.wall_clock_ns = wall_clock_ns
        self.shapes = ShapeCache()
        self._trace = trace
        self._transport: Transport | None = None
        self._devices: dict[tuple[str, int], Device] = {}
        self._salt = random.SystemRandom().getrandbits(64)

    async def __aenter__(self) -> Self:
        self._transport = Transport(self.clock, self.wall_clock_ns, self.statistics, self._trace)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def transport(self) -> Transport:
        """The sockets; only inside `async with`."""
        if self._transport is None:
            raise BadRequest("The SNMP sessions are closed: use them inside 'async with'.")
        return self._transport

    def device(self, target: SnmpTarget) -> Device:
        """What is known of an agent; one state per address and port, whoever asks."""
        key = (target.address, target.port)
        device = self._devices.get(key)
        if device is None:
            device = self._devices[key] = Device()
        return device

    def forget(self, target: SnmpTarget) -> None:
        """Drop all that was learned about an agent, for example because it left the configuration."""
        self._devices.pop((target.address, target.port), None)

    def next_salt(self) -> int:
        """A salt that was not used before (RFC 3414, 8.1.1.1)."""
        self._salt = self._salt + 1 & 0xFFFF_FFFF_FFFF_FFFF
        return self._salt

    def note_engine_change(self, device: Device) -> None:
        """Count that an agent came back with another engine id, for the next PollAnswer to tell (R11)."""
        self.statistics.engine_changed += 1
        device.engine_changed = True

    def shared_engines(self) -> Mapping[bytes, tuple[tuple[str, int], ...]]:
        """Engine ids that more than one address gave, with the addresses: a cloned or wrongly set agent (R11)."""
        owners: dict[bytes, list[tuple[str, int]]] = {}
        for key, device in self._devices.items():
            if device.engine is not None:
                owners.setdefault(device.engine.engine_id, []).append(key)
        return {engine_id: tuple(keys) for engine_id, keys in owners.items() if len(keys) > 1}

    async def get(self, target: SnmpTarget, oids: Sequence[Oid], *, deadline: float | None = None) -> list[VarBind]:
        """Read variables, in the order asked; what does not exist comes back as a Missing, in every version (R19)."""
        varbinds = []
        for result in await self.get_each(target, oids, deadline=deadline):
            if isinstance(result, SnmpError):
                raise result
            varbinds.append(result)
        return varbinds

    async def get_each(
        self, target: SnmpTarget, oids: Sequence[Oid], *, deadline: float | None = None
    ) -> list[VarBind | SnmpError]:
        """As get, but a variable that the agent fails to give carries its own error (R20); raises on silence."""
        device = self.device(target)
        await device.slots.take(1, target.in_flight)
        try:
            return await self.ask_each(target, oids, deadline)
        finally:
            device.slots.free(1)

    async def ask_each(
        self, target: SnmpTarget, oids: Sequence[Oid], deadline: float | None
    ) -> list[VarBind | SnmpError]:
        """As get_each, for a caller that holds the device's slot."""
        results: list[VarBind | SnmpError] = [VarBind(oid) for oid in oids]
        device = self.device(target)
        rest = cut_to_size(oids, range(len(oids)), device, v3=target.version == "3")
        while rest:
            places = rest.pop(0)
            asked = [oids[place] for place in places]
            try:
                answer = await self.ask(target, Pdu(PduKind.GET, 0, [VarBind(oid) for oid in asked]), deadline)
            except NoAnswer:
                # Too large a reply may be lost on its way every time; one small question tells it from a dead device.
                if len(places) == 1 or not await self.answers(target, asked[0], deadline):
                    raise
                device.size.halve(len(places))
                rest[:0] = _halves(places)
                continue
            if answer.error_status:
                rest[:0] = self._sort_out(target, places, answer, results)
                continue
            device.size.succeeded(len(places))
            for place, varbind in zip(places, answer.varbinds, strict=True):
                results[place] = varbind
        return results

    def _sort_out(
        self, target: SnmpTarget, places: Sequence[int], answer: Pdu, results: list[VarBind | SnmpError]
    ) -> list[Sequence[int]]:
        """Places to ask again after an error status: without the varbind to blame, or in halves (R14, R19).

        The blamed one is asked again alone: some agents name the wrong one.
        """
        status, index = answer.error_status, answer.error_index
        if status == TOO_BIG:
            self.device(target).size.halve(len(places))
        if len(places) > 1:
            if status == TOO_BIG or not 1 <= index <= len(places):
                return _halves(places)
            return [[*places[: index - 1], *places[index:]], [places[index - 1]]]
        asked = results[places[0]]
        assert isinstance(asked, VarBind)
        if status == NO_SUCH_NAME and target.version == "1":
            results[places[0]] = VarBind(asked.oid, Missing.NO_SUCH_OBJECT, Missing.NO_SUCH_OBJECT.value)
        else:
            name = name_error_status(status)
            results[places[0]] = ErrorStatus(f"{target} answered {name} for {format_oid(asked.oid)}.", status, index)
        return []

    async def get_next(
        self, target: SnmpTarget, oids: Sequence[Oid], *, deadline: float | None = None
    ) -> list[VarBind]:
        """Read the successor of each OID, in one PDU; raises ErrorStatus (v1: noSuchName at the end of the MIB)."""
        answer = await self.request(target, Pdu(PduKind.GET_NEXT, 0, [VarBind(oid) for oid in oids]), deadline)
        _raise_status(target, answer)
        return answer.varbinds

    async def get_bulk(
        self,
        target: SnmpTarget,
        oids: Sequence[Oid],
        *,
        non_repeaters: int = 0,
        max_repetitions: int | None = None,
        deadline: float | None = None,
    ) -> list[VarBind]:
        """Read successors in bulk, in one PDU (RFC 3416, 4.2.3); not for v1."""
        if target.version == "1":
            raise BadRequest(f"{target} speaks SNMPv1, which has no GETBULK.")
        repetitions = target.max_repetitions if max_repetitions is None else max_repetitions
        names = [VarBind(oid) for oid in oids]
        answer = await self.request(target, Pdu(PduKind.GET_BULK, 0, names, non_repeaters, repetitions), deadline)
        _raise_status(target, answer)
        return answer.varbinds

    def walk(
        self,
        target: SnmpTarget,
        root: Oid,
        *,
        limits: WalkLimits = DEFAULT_LIMITS,
        deadline: float | None = None,
    ) -> AsyncIterator[VarBind]:
        """Iterate over a subtree (R16, R17); what was read before an error was yielded before it is raised."""
        return walk_subtree(self, target, root, limits, deadline)

    async def table(
        self,
        target: SnmpTarget,
        columns: Sequence[Oid],
        *,
        limits: WalkLimits = DEFAULT_LIMITS,
        deadline: float | None = None,
    ) -> Table:
        """Read columns of a table, rows by index; a column that fails keeps its rows and its error (R20)."""
        return await read_table(self, target, columns, limits, deadline)

    def prepare(self, target: SnmpTarget, groups: Sequence[Sequence[Oid]]) -> PreparedPoll:
        """Encode what a device is asked at every poll. The OIDs of a group travel in one PDU, after sysUpTime.0."""
        return prepare_poll(target, groups, self.shapes, self.device(target))

    async def poll(self, prepared: PreparedPoll, *, deadline: float | None = None) -> PollAnswer:
        """Ask all that was prepared; raises when the device as a whole cannot be asked or does not answer."""
        return await PollRun(self, prepared, deadline).result()

    async def answers(self, target: SnmpTarget, oid: Oid = SYS_UPTIME, deadline: float | None = None) -> bool:
        """Whether an agent answers one small question, tried once; for a caller that holds the device's slot."""
        try:
            await self.ask(target, Pdu(PduKind.GET, 0, [VarBind(oid)]), deadline, tries=1)
        except NoAnswer:
            return False
        return True

    async def request(
        self,
        target: SnmpTarget,
        pdu: Pdu,
        deadline: float | None = None,
        *,
        shrink: Callable[[Pdu], Pdu] | None = None,
    ) -> Pdu:
        """Ask one PDU (its request id is set here) and return the response, whatever its error status.

        shrink makes the PDU of the next try after a timeout.
        """
        device = self.device(target)
        await device.slots.take(1, target.in_flight)
        try:
            return await self.ask(target, pdu, deadline, shrink=shrink)
        finally:
            device.slots.free(1)

    async def ask(
        self,
        target: SnmpTarget,
        pdu: Pdu,
        deadline: float | None = None,
        *,
        tries: int | None = None,
        shrink: Callable[[Pdu], Pdu] | None = None,
    ) -> Pdu:
        """As request, for a caller that holds the device's slot. Finds a v3 engine and sets its clock (R9-R12)."""
        device, asking = self.device(target), _Asking(pdu, shrink)
        forgiven: set[type[SnmpError]] = set()
        while True:
            if target.version == "3" and device.engine is None:
                await self._discover(target, device, deadline, tries or target.tries)
            was_set = device.engine is not None and device.engine.is_set
            try:
                return await self._ask(target, device, asking, deadline, tries or target.tries)
            except (NotInTimeWindow, UnknownEngine) as error:
                if type(error) in forgiven:
                    raise
                forgiven.add(type(error))
                if isinstance(error, UnknownEngine):
                    self.note_engine_change(device)
                elif was_set:
                    self.statistics.resynchronised += 1
            except NoAnswer as error:
                if await self._hears_plain(target, device, deadline):
                    raise WrongPrivacyPassword(_why_silent(target)) from error
                raise

    async def _hears_plain(self, target: SnmpTarget, device: Device, deadline: float | None) -> bool:
        """Whether an agent that never answered an encrypted request answers a signed one.

        Some agents drop what they cannot decrypt without a report (net-snmp does); a request outside the time window
        makes them prove that they know the user and its authentication password.
        """
        engine, user = device.engine, target.user
        if user is None or user.priv is None or engine is None or device.privacy_proved:
            return False
        plain = replace(target, user=replace(user, priv=None, priv_password=b""))
        asking = _Asking(Pdu(PduKind.GET, 0, [VarBind(SYS_UPTIME)]), None)
        try:
            await self._ask(plain, Device(EngineClock(engine.engine_id)), asking, deadline, 1)
        except NotInTimeWindow:
            return True
        except SnmpError:
            return False
        return True

    async def _ask(
        self, target: SnmpTarget, device: Device, asking: "_Asking", deadline: float | None, tries: int
    ) -> Pdu:
        def write(request_id: int) -> bytes:
            return write_request(target, device, asking.with_id(request_id), self.clock(), self.next_salt())

        def read(datagram: bytes, request_id: int) -> Pdu:
            answer = read_answer(target, device, datagram, request_id, self.clock())
            asking.check(answer, target)
            device.privacy_proved = True
            return answer

        question = Question(write, read, tries, deadline, asking.make_smaller)
        return await Exchange(self.transport, target, device, question).result()

    async def _discover(self, target: SnmpTarget, device: Device, deadline: float | None, tries: int) -> None:
        """Learn an agent's engine id (RFC 3414, 4); its clock stays unset."""
        question = Question(
            write_discovery,
            lambda datagram, request_id: read_discovery(datagram, request_id, str(target)),
            tries,
            deadline,
        )
        self.statistics.discoveries += 1
        engine_id = await Exchange(self.transport, target, device, question).result()
        if device.engine is None or device.engine.engine_id != engine_id:
            device.engine = EngineClock(engine_id)


class _Asking:
    """A PDU on its way, which may become smaller from try to try."""

    __slots__ = ("_pdu", "_shrink")

    def __init__(self, pdu: Pdu, shrink: Callable[[Pdu], Pdu] | None) -> None:
        self._pdu = pdu
        self._shrink = shrink

    def with_id(self, request_id: int) -> Pdu:
        pdu = self._pdu
        return Pdu(pdu.kind, request_id, pdu.varbinds, pdu.error_status, pdu.error_index)

    def make_smaller(self) -> None:
        if self._shrink is not None:
            self._pdu = self._shrink(self._pdu)

    def check(self, answer: Pdu, target: SnmpTarget) -> None:
        """Raise UnexpectedAnswer when a GET is answered with other OIDs than it asked for."""
        if self._pdu.kind is not PduKind.GET or answer.error_status:
            return
        if [varbind.oid for varbind in answer.varbinds] != [varbind.oid for varbind in self._pdu.varbinds]:
            raise UnexpectedAnswer(f"{target} answered with other OIDs than it was asked for.")


def _why_silent(target: SnmpTarget) -> str:
    """Why an agent may be silent on encrypted requests only, for the operator."""
    context = f", or it has no context '{target.context_name}'" if target.context_name else ""
    return (
        f"{target} answers signed requests but is silent on encrypted ones: "
        f"most likely its privacy password or protocol is another one{context}."
    )


def _raise_status(target: SnmpTarget, answer: Pdu) -> None:
    if answer.error_status:
        name = name_error_status(answer.error_status)
        raise ErrorStatus(f"{target} answered {name}.", answer.error_status, answer.error_index)


def _halves(places: Sequence[int]) -> list[Sequence[int]]:
    middle = len(places) // 2
    return [places[:middle], places[middle:]]
