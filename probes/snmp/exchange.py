"""One request and its tries: sent, repeated with doubled timeout, answered, refused or given up (R13, R23)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from probes.snmp.device import Device
from probes.snmp.dialect import STRAY
from probes.snmp.errors import DeadlinePassed, MalformedMessage, NoAnswer, Refused, SendFailed, SnmpError
from probes.snmp.target import SnmpTarget
from probes.snmp.transport import Transport, resolve

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What one exchange asks: write gives the datagram for a request id, read turns its answer into a result.

    write is called anew for each try and may raise LocalError. shrink is told of each timeout before the next try.
    deadline is on the transport's clock.
    """

    write: Callable[[int], bytes]
    read: Callable[[bytes, int], T]
    tries: int
    deadline: float | None = None
    shrink: Callable[[], None] | None = None


class Exchange(Generic[T]):
    """An Owner for one request. Its future gets the result, or an SnmpError."""

    def __init__(self, transport: Transport, target: SnmpTarget, device: Device, question: Question[T]) -> None:
        self.addresses = target.reply_addresses
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._transport = transport
        self._target = target
        self._device = device
        self._question = question
        self._address = resolve(target)
        self._socket = transport.socket_for(target)
        self._timeout = target.timeout_seconds
        self._sent_ids: list[int] = []
        self._stray: SnmpError | None = None

    async def result(self) -> T:
        """Send, and wait for the end; the exchange is forgotten when its waiter is cancelled."""
        try:
            self._start()
            return await self.future
        finally:
            self._forget()

    def _start(self) -> None:
        """Wait for the device's pace, then for room in the window, then send."""
        if self._target.packets_per_second is not None:
            delay = self._device.pace(self._transport.clock(), self._target.packets_per_second)
            if delay > 0:
                asyncio.get_running_loop().call_later(delay, self._send)
                return
        self._send()

    def _send(self) -> None:
        if self.future.done():
            return
        transport, now, deadline = self._transport, self._transport.clock(), self._question.deadline
        if deadline is not None and now >= deadline:
            self._fail(DeadlinePassed(f"The time for {self._target} was used up."))
            return
        if not transport.has_room():
            transport.when_room(self._send)
            return
        request_id = next(transport.request_ids)
        due = now + self._timeout if deadline is None else min(now + self._timeout, deadline)
        try:
            datagram = self._question.write(request_id)
            transport.send(self._socket, datagram, request_id, (self, 0, now, self._address, due))
        except SnmpError as error:
            self._fail(error)
            return
        self._sent_ids.append(request_id)
        self._device.packets += 1

    def on_reply(self, index: int, datagram: bytes, request_id: int, sent_at: float) -> bool:
        """Read an answer to any try."""
        del index
        statistics = self._transport.statistics
        try:
            result = self._question.read(datagram, request_id)
        except STRAY as error:
            self._stray = error
            if isinstance(error, MalformedMessage):
                statistics.malformed += 1
            else:
                statistics.not_authentic += 1
            return False
        except SnmpError as error:
            self._fail(error)
            return True
        if request_id != self._sent_ids[-1]:
            statistics.late_accepted += 1
        self._device.round_trip_seconds = self._transport.clock() - sent_at
        if not self.future.done():
            self.future.set_result(result)
        return True

    def on_timeout(self, index: int, request_id: int) -> None:
        """Try again, or give up."""
        del index
        if self.future.done() or request_id != self._sent_ids[-1]:
            return
        self._device.timeouts += 1
        deadline = self._question.deadline
        if len(self._sent_ids) < self._question.tries and (deadline is None or self._transport.clock() < deadline):
            self._timeout *= 2
            self._transport.statistics.retries += 1
            self._device.retries += 1
            if self._question.shrink is not None:
                self._question.shrink()
            self._start()
        elif self._stray is not None:
            self._fail(self._stray)
        elif deadline is not None and self._transport.clock() >= deadline:
            self._fail(DeadlinePassed(f"{self._target} did not answer before its time was used up."))
        else:
            tries = len(self._sent_ids)
            self._fail(NoAnswer(f"{self._target} did not answer {tries} request{'s' if tries > 1 else ''} in time."))

    def on_refused(self, index: int, request_id: int, sentence: str) -> None:
        """Give up at once: waiting cannot help when nobody is there."""
        del index, request_id
        self._fail(Refused(sentence))

    def on_send_failed(self, index: int, error: SendFailed) -> None:
        """Give up: the operating system did not take the datagram."""
        del index
        self._fail(error)

    def _fail(self, error: SnmpError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def _forget(self) -> None:
        for request_id in self._sent_ids:
            self._transport.forget(request_id)
        self._transport.let_waiting_go()
