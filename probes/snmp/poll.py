"""A prepared poll: all that a device is asked each time, in few PDUs, read the fast way (see prepared.py).

prepare --> PDUs, each a Template, sysUpTime.0 first
poll:  at most in_flight PDUs under way; a reply is read by shape, or in order, or put aside for the general codec
       all PDUs answered or given up -> those put aside are asked again with Snmp.ask_each -> PollAnswer
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from probes.snmp.device import LARGEST_PDU_VARBINDS
from probes.snmp.dialect import STRAY, read_answer
from probes.snmp.errors import (
    DeadlinePassed,
    NoAnswer,
    NotAsked,
    NotInTimeWindow,
    Refused,
    SendFailed,
    SnmpError,
    UnknownEngine,
    UsmReport,
)
from probes.snmp.message import Pdu, PduKind
from probes.snmp.packing import SYS_UPTIME, PollAnswer, PreparedPdu, PreparedPoll
from probes.snmp.prepared import FastValue, decode_in_order, find_pdu, find_scoped_pdu
from probes.snmp.sealed import SealedConversation
from probes.snmp.values import Missing, VarBind

if TYPE_CHECKING:
    from probes.snmp.session import Snmp

PROBE_INTERVAL_SECONDS = 50.0
"""A silent device gets one cheap question in this time, so that a poll every minute sees its recovery (R23)."""

SIMPLE_TIMEOUTS = 8
"""With so many first timeouts left to its deadline, a poll without retries need not compare times for each PDU."""


class PollRun:
    """One poll under way: an Owner of its requests, which sends the next one from within the answer to the last."""

    __slots__ = (
        "_address", "_aside", "_deadline", "_device", "_ended", "_failures", "_fast", "_future", "_last_sent_at",
        "_left", "_next", "_pdus", "_prepared", "_received", "_requests", "_resynchronised", "_retried", "_retries",
        "_round_trip_seconds", "_sealed", "_simple", "_snmp", "_socket", "_timeout", "_transport", "_unanswered",
        "_uptimes", "_values", "addresses",
    )  # fmt: skip

    def __init__(self, snmp: "Snmp", prepared: PreparedPoll, deadline: float | None) -> None:
        target = prepared.target
        self.addresses = target.reply_addresses
        self._snmp, self._prepared, self._deadline = snmp, prepared, deadline
        self._transport, self._socket, self._device = prepared.route(snmp)
        self._address = prepared.address
        self._timeout = target.timeout_seconds
        # Whether all requests so far are first tries, unpaced, that no deadline can cut short.
        self._simple = target.packets_per_second is None and (
            deadline is None or deadline > snmp.clock() + SIMPLE_TIMEOUTS * self._timeout
        )
        self._sealed: SealedConversation | None = None
        self._next = self._left = self._fast = self._requests = self._retries = 0
        self._retried: dict[int, list[int]] = {}
        self._aside: list[int] = []
        self._failures: dict[int, SnmpError] = {}
        self._unanswered: SnmpError | None = None
        self._ended = self._resynchronised = False
        self._last_sent_at: float | None = None
        self._round_trip_seconds: float | None = None
        self._values: list[FastValue | None] = [None] * prepared.count

    async def result(self) -> PollAnswer:
        """Run to the end. Raises SnmpError when the device as a whole cannot be asked."""
        target, device, clock = self._prepared.target, self._device, self._snmp.clock
        began = clock()
        self._future: asyncio.Future[None] = self._transport.loop.create_future()
        if not device.slots.try_take(target.in_flight, target.in_flight):
            await device.slots.take(target.in_flight, target.in_flight)
        try:
            if device.silent is not None:
                await self._probe(device.silent)
            self._prepared.begin(device)
            await self._ask_all()
            if self._aside:
                await self._ask_again()
        except (NoAnswer, UsmReport) as error:
            if not isinstance(error, DeadlinePassed):
                device.silent, device.probed_at = error, clock()
            raise
        finally:
            self._end()
            device.packets += self._requests
            device.retries += self._retries
            device.slots.free(target.in_flight)
        return self._finished(clock() - began)

    async def _probe(self, silent: SnmpError) -> None:
        """One cheap question to a device that was silent; raises unless it answers (R23)."""
        now, target = self._snmp.clock(), self._prepared.target
        if now - self._device.probed_at < PROBE_INTERVAL_SECONDS:
            raise NotAsked(f"{target} is asked again once a minute only, because of its last answer: {silent}")
        if not await self._snmp.answers(target, SYS_UPTIME, self._deadline):
            raise NoAnswer(f"{target} still does not answer.")
        self._device.silent = None

    async def _ask_all(self) -> None:
        pdus = self._pdus = self._prepared.pdus
        self._left = len(pdus)
        # The last place stands for groups of which nothing exists.
        self._uptimes: list[FastValue | None] = [None] * (len(pdus) + 1)
        self._received: list[int | None] = [None] * (len(pdus) + 1)
        if not pdus:
            return
        if self._prepared.target.version == "3":
            self._sealed = await self._converse()
        for _ in range(min(self._prepared.target.in_flight, len(pdus))):
            self._send_next()
        await self._future

    async def _converse(self) -> SealedConversation:
        """Conversation with a v3 engine whose clock is set; asks once in the general way where it is not."""
        target, device = self._prepared.target, self._device
        assert target.user is not None
        if device.engine is None or (target.user.auth is not None and not device.engine.is_set):
            await self._snmp.ask(target, Pdu(PduKind.GET, 0, [VarBind(SYS_UPTIME)]), self._deadline)
        if device.sealed is None or not device.sealed.fits(target.user, target.context_name, device.engine):
            assert device.engine is not None
            device.sealed = SealedConversation(target.user, target.context_name, device.engine)
        return device.sealed

    def _send_next(self) -> None:
        index = self._next
        self._next = index + 1
        self._pace(index)

    def _pace(self, index: int) -> None:
        rate = self._prepared.target.packets_per_second
        delay = 0.0 if rate is None else self._device.pace(self._transport.clock(), rate)
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self._send, index)
        else:
            self._send(index)

    def _send(self, index: int) -> None:
        transport = self._transport
        if self._ended:
            return
        if not transport.has_room():
            transport.when_room(partial(self._send, index))
            return
        request_id, now = next(transport.request_ids), transport.clock()
        datagram = self._write(index, request_id, now)
        due = self._ends_at(index, request_id, now)
        transport.send(self._socket, datagram, request_id, (self, index, now, self._address, due))
        self._requests += 1

    def _write(self, index: int, request_id: int, now: float) -> bytes:
        template = self._pdus[index].template
        if self._sealed is not None:
            return self._sealed.seal(template, request_id, now, self._snmp.next_salt())
        return template.prefix + request_id.to_bytes(4, "big") + template.suffix

    def _ends_at(self, index: int, request_id: int, now: float) -> float:
        """When this try is over; remembers it when it is not the first."""
        tries, timeout = self._retried.get(index), self._timeout
        if tries is not None:
            timeout *= 2 ** len(tries)
            tries.append(request_id)
        return now + timeout if self._deadline is None else min(now + timeout, self._deadline)

    def on_reply(self, index: int, datagram: bytes, request_id: int, sent_at: float) -> bool:
        """Read a reply the fast way, or put its PDU aside; then send the next."""
        transport, pdu, sealed = self._transport, self._pdus[index], self._sealed
        if sealed is not None:
            plain = sealed.open_reply(datagram, transport.now)
            if plain is None:
                return self._read_refusal(index, datagram, request_id)
            datagram = plain
        shape = pdu.shape
        values = None if shape is None else shape.read_backwards(datagram)
        if values is None:
            values = self._read_in_order(pdu, datagram)
        else:
            self._fast += 1
        self._last_sent_at = sent_at
        if values is None:
            self._aside.append(index)
        else:
            self._uptimes[index] = values[-1]
            self._received[index] = transport.now_ns
            if pdu.places is None:
                self._values[pdu.first : pdu.stop] = values[-2::-1]
            else:
                for place, value in zip(pdu.places, values[-2::-1], strict=True):
                    self._values[place] = value
        if self._retried:
            self._forget_tries(index, request_id)
        index = self._next
        if not self._simple or index == len(self._pdus):
            self._one_done()
            return True
        # As _one_done, _send and Transport.send, without their questions: the place of the answered request is free,
        # the timer is on since it was sent, and what is sent from here is flushed when all replies are read.
        self._next = index + 1
        self._left -= 1
        self._requests += 1
        request_id, now = next(transport.request_ids), transport.now
        datagram = self._write(index, request_id, now)
        entry = transport.pending[request_id] = (self, index, now, self._address, now + self._timeout)
        transport.outbox.append((self._socket, datagram, request_id, entry))
        return True

    def _read_in_order(self, pdu: PreparedPdu, datagram: bytes) -> Sequence[FastValue] | None:
        at = find_pdu(datagram) if self._sealed is None else find_scoped_pdu(datagram)
        found = decode_in_order(datagram, at, pdu.template)
        if found is None:
            return None
        self._transport.statistics.in_order += 1
        pdu.shape = self._prepared.shapes.learn(datagram, found.id_at, found.spans)
        return found.values[::-1]

    def _read_refusal(self, index: int, datagram: bytes, request_id: int) -> bool:
        """Take a v3 message that is no plain reply: a report, a message that is not authentic, or a new outside."""
        transport, target = self._transport, self._prepared.target
        try:
            read_answer(target, self._device, datagram, request_id, transport.clock())
        except STRAY:
            transport.statistics.not_authentic += 1
            return False
        except NotInTimeWindow as error:
            if self._resynchronised:
                self._give_up(error)
            else:
                self._resynchronised = True
                transport.statistics.resynchronised += 1
                self._forget_tries(index, request_id)
                self._send(index)
            return True
        except UnknownEngine:
            # Another unit answers now: everything is asked again in the general way, which finds its engine (R11).
            self._snmp.note_engine_change(self._device)
            self._aside.extend(range(self._next, len(self._pdus)))
            self._left -= len(self._pdus) - self._next
            self._next = len(self._pdus)
        except SnmpError as error:
            self._give_up(error)
            return True
        self._aside.append(index)
        self._forget_tries(index, request_id)
        self._one_done()
        return True

    def _forget_tries(self, index: int, request_id: int) -> None:
        tries = self._retried.pop(index, None)
        if tries is None:
            return
        if request_id != tries[-1]:
            self._transport.statistics.late_accepted += 1
        for other in tries:
            self._transport.forget(other)

    def _one_done(self) -> None:
        self._left -= 1
        if self._next < len(self._pdus):
            self._send_next()
        elif self._left == 0 and not self._future.done():
            if self._last_sent_at is not None:
                self._round_trip_seconds = self._transport.clock() - self._last_sent_at
            self._future.set_result(None)

    def on_timeout(self, index: int, request_id: int) -> None:
        """Ask again with doubled timeout; after the last try put the PDU aside, or give up a silent device."""
        tries = self._retried.setdefault(index, [request_id])
        self._simple = False
        if request_id != tries[-1]:
            return
        self._device.timeouts += 1
        now, target = self._transport.clock(), self._prepared.target
        if self._deadline is not None and now >= self._deadline:
            self._give_up(DeadlinePassed(f"{target} did not answer everything before its time was used up."))
        elif len(tries) < target.tries:
            self._retries += 1
            self._transport.statistics.retries += 1
            self._pace(index)
        else:
            self._forget_tries(index, request_id)
            self._aside.append(index)
            # No reply so far: most likely nobody is there, so the rest is not sent after it.
            if not any(self._received) and self._unanswered is None:
                self._unanswered = NoAnswer(f"{target} did not answer {target.tries} requests in time.")
                self._aside.extend(range(self._next, len(self._pdus)))
                self._left -= len(self._pdus) - self._next
                self._next = len(self._pdus)
            self._one_done()

    def on_refused(self, index: int, request_id: int, sentence: str) -> None:
        """Nobody is there: waiting cannot help."""
        del index, request_id
        self._give_up(Refused(sentence))

    def on_send_failed(self, index: int, error: SendFailed) -> None:
        """The operating system does not take our datagrams."""
        del index
        self._give_up(error)

    def _give_up(self, error: SnmpError) -> None:
        if not self._future.done():
            self._future.set_exception(error)

    def _end(self) -> None:
        self._ended = True
        if self._left == 0 and not self._retried:
            return
        transport = self._transport
        for request_id in [key for key, entry in transport.pending.items() if entry[0] is self]:
            transport.forget(request_id)
        transport.let_waiting_go()

    async def _ask_again(self) -> None:
        """Ask what was put aside with the general codec: exceptions, errors, sizes, orders (R14, R19, R20)."""
        snmp, target, pdus = self._snmp, self._prepared.target, self._pdus
        if self._unanswered is not None and not await snmp.answers(target, SYS_UPTIME, self._deadline):
            raise self._unanswered
        missing: dict[int, Missing] = {}
        for index in self._aside:
            snmp.statistics.general += 1
            pdu = pdus[index]
            if self._unanswered is not None:
                self._device.size.halve(pdu.template.count)
            results = await snmp.ask_each(target, pdu.template.oids(), self._deadline)
            self._received[index] = snmp.wall_clock_ns()
            uptime = results[0]
            if isinstance(uptime, VarBind) and isinstance(uptime.value, int):
                self._uptimes[index] = uptime.value
            for place, result in zip(pdu.all_places(), results[1:], strict=True):
                self._store(place, result, missing)
        if missing:
            self._prepared.leave_out(missing, self._device)

    def _store(self, place: int, result: VarBind | SnmpError, missing: dict[int, Missing]) -> None:
        if isinstance(result, SnmpError):
            self._failures[place] = result
        elif isinstance(result.value, Missing):
            missing[place] = result.value
        elif isinstance(result.value, int | bytes):
            self._values[place] = result.value

    def _finished(self, seconds: float) -> PollAnswer:
        """Spread what is known per PDU over the groups, and note what the device has learned."""
        prepared, device, pdus = self._prepared, self._device, self._pdus
        self._transport.statistics.fast += self._fast
        if self._round_trip_seconds is not None:
            device.round_trip_seconds = self._round_trip_seconds
        if device.size.limit < LARGEST_PDU_VARBINDS and not self._aside:
            device.size.succeeded(device.size.limit if len(pdus) > 1 else 0)
        changed, device.engine_changed = device.engine_changed, False
        by_group = prepared.by_group(pdus)
        return PollAnswer(
            values=self._values,
            uptime_ticks=by_group(self._uptimes),
            received_ns=by_group(self._received),
            missing=dict(prepared.missing),
            failures=self._failures,
            requests=self._requests,
            retries=self._retries,
            fallbacks=len(self._aside),
            seconds=seconds,
            round_trip_seconds=self._round_trip_seconds,
            engine_changed=changed,
        )
