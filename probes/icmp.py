"""Echoes to many targets from one socket per address family (R36-R38): on schedule, whether answered or not.

One turn, ten a second while something is under way, does everything in this order:

    1. read what arrived; the kernel stamped each answer, so that our being late does not lengthen a delay. It stamped
       each echo as it left, too: that is looked at where we were interrupted while sending it
    2. send what is due, within the limit of packets per second
    3. read what arrived meanwhile (on loopback the answers are there already)
    4. what was sent a timeout ago and is not answered is lost
    5. close minutes whose last echo is resolved, some targets a turn

Waking up costs more than an echo, so there are few turns, and answers wait for them in the socket with their stamps.
Sending never waits for an answer. Each target keeps its own phase within the interval, by a hash of its id, so that a
restart or another target changes nothing in it.
"""

import asyncio
import hashlib
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from heapq import heappop, heappush, heapreplace
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from probes.errors import LocalError
from probes.icmp_packet import EchoRefusal, PreparedEcho, decode_refusal, decode_reply, token_of
from probes.icmp_plan import EchoPlan, EchoTarget, begins_slot
from probes.icmp_socket import ANCILLARY_OCTETS, EchoSocket, kernel_time_ns, open_echo_socket
from probes.icmp_statistics import EchoStatistics
from probes.icmp_track import EchoDown, EchoTrack, EchoUnsent, EchoUp, Minute, Standing, Verdict

__all__ = ["EchoDown", "EchoEvent", "EchoPlan", "EchoProber", "EchoStatistics", "EchoTarget", "EchoUnsent", "EchoUp"]

EchoEvent: TypeAlias = EchoStatistics | EchoDown | EchoUp | EchoUnsent
Tell: TypeAlias = Callable[[EchoEvent], None]

_LONGEST_SLEEP_SECONDS: Final = 0.25
_CLOSED_A_TURN: Final = 100
_DATAGRAM_OCTETS: Final = 448
"""Enough for an answer with IP options, and for the part of a refusal that is read."""
_NEVER_NS: Final = -1
_UNINTERRUPTED_NS: Final = 2_000
_LONG_SENDING_NS: Final = 100_000
"""The kernel takes 5 to 10 us to send an echo. Where it took longer, its stamp says when the echo left."""
_STEP_NS: Final = 1_000_000
_SLEW: Final = 1000
"""Clocks that part by more than _STEP_NS and one _SLEW-th of the time gone by were set, not slewed (500 ppm)."""

_LOG: Final = logging.getLogger(__name__)


class _Target:
    """One target with all that sending to it needs."""

    __slots__ = ("address", "due_ns", "echo", "id", "phase_ns", "send", "token", "track")

    def __init__(self, wanted: EchoTarget, line: EchoSocket, plan: EchoPlan, key: bytes) -> None:
        ipv6 = line.socket.family == socket.AF_INET6
        self.id = wanted.id
        self.address = _sockaddr(wanted.address)
        self.send = line.sender(wanted.source_address)
        self.token = token_of(key, f"{wanted.id} {wanted.address}".encode())
        self.echo = PreparedEcho(
            ipv6=ipv6, identifier=line.identifier, token=self.token, payload_octets=plan.payload_octets
        )
        self.track = EchoTrack(Verdict(wanted.id, plan.burst_echoes), Minute(0))
        share = int.from_bytes(hashlib.blake2s(wanted.id.encode(), digest_size=4).digest()) / 2**32
        self.phase_ns = round(share * plan.interval_seconds * 1e9)
        self.due_ns = _NEVER_NS


class EchoProber:
    """Keeps echoes going to its targets and tells what becomes of them.

        async with EchoProber(targets, tell, EchoPlan(interval_seconds=5.0)) as prober:
            prober.add(EchoTarget("fw-1", IPv4Address("192.0.2.1")))

    tell is called on the loop with an EchoStatistics for each target and minute, a timeout after the minute's end, and
    with EchoDown, EchoUp and EchoUnsent at once; it must not block. Raises LocalError where nothing can be sent at all.
    """

    def __init__(
        self,
        targets: Iterable[EchoTarget],
        tell: Tell,
        plan: EchoPlan | None = None,
        *,
        open_socket: Callable[[socket.AddressFamily], EchoSocket] = open_echo_socket,
    ) -> None:
        self._wanted = tuple(targets)
        self._tell = tell
        self._plan = plan or EchoPlan()
        self._open_socket = open_socket
        self._turn_seconds = self._plan.turn_seconds
        self._interval_ns = round(self._plan.interval_seconds * 1e9)
        self._slot_ns = round(self._plan.slot_seconds * 1e9)
        self._timeout_ns = round(self._plan.timeout_seconds * 1e9)
        self._burst_interval_ns = min(self._interval_ns, round(self._plan.burst_interval_seconds * 1e9))
        self._key = secrets.token_bytes(16)
        self._lines: dict[socket.AddressFamily, EchoSocket] = {}
        self._targets: dict[str, _Target] = {}
        self._by_token: dict[bytes, _Target] = {}
        self._due: list[tuple[int, int, _Target]] = []
        self._serial = 0
        self._under_way: deque[tuple[int, _Target, int]] = deque()
        self._closing: deque[tuple[int, _Target, Minute]] = deque()
        self._minute_start_ns = 0
        self._wall_offset_ns = 0
        self._clocks_read_ns = 0
        self._stamps_hold = True
        self._interrupted: set[bytes] = set()
        self._allowance = 1.0
        self._allowance_at_ns = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._plan.check(len(self._wanted))
        self._read_clocks()
        self._minute_start_ns = (time.time_ns() // self._slot_ns) * self._slot_ns
        self._allowance_at_ns = time.monotonic_ns()
        try:
            for wanted in self._wanted:
                self.add(wanted)
        except BaseException:
            self._close()
            raise
        self._task = asyncio.create_task(self._run(), name="icmp echoes")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._close()
        if task is not None and not task.cancelled() and (failure := task.exception()) is not None:
            raise failure

    @property
    def kernel_timestamps(self) -> bool:
        """Delays are by the kernel's clock; False where a socket had to fall back to ours."""
        return all(line.kernel_timestamps for line in self._lines.values())

    async def wait(self) -> None:
        """Wait for ever; raises what ended the probing, should anything. It lets a task group watch over it."""
        assert self._task is not None, "not entered"
        await asyncio.shield(self._task)

    def add(self, wanted: EchoTarget) -> None:
        """Begin to ask a target. Raises LocalError: no socket for its family, the limit exceeded, or the id taken."""
        if wanted.id in self._targets:
            raise LocalError(f"two echo targets have the id {wanted.id!r}")
        self._plan.check(len(self._targets) + 1)
        target = _Target(wanted, self._line(_family(wanted.address)), self._plan, self._key)
        target.track.next_minute(self._minute_start_ns)
        self._targets[wanted.id] = target
        self._by_token[target.token] = target
        self._schedule(target, self._next_of_grid(target, time.monotonic_ns()))

    def standing(self, target_id: str) -> Standing:
        """What is known of a target now, doubts included. KeyError where there is no such target."""
        return self._targets[target_id].track.verdict.standing

    def hurry(self, target_id: str) -> None:
        """Ask a target at once and fast until it answers or is down: a neighbour fell silent. KeyError as standing."""
        target = self._targets[target_id]
        target.track.verdict.doubt()
        if target.track.verdict.urgent:
            self._schedule(target, time.monotonic_ns())

    def remove(self, target_id: str) -> None:
        """Stop asking; what is under way is forgotten. KeyError where there is no such target."""
        gone = self._targets.pop(target_id)
        del self._by_token[gone.token]
        gone.due_ns = _NEVER_NS

    def _line(self, family: socket.AddressFamily) -> EchoSocket:
        line = self._lines.get(family)
        if line is None:
            line = self._lines[family] = self._open_socket(family)
            if not line.kernel_timestamps:
                asyncio.get_running_loop().add_reader(line.socket.fileno(), self._receive, line)
        return line

    def _close(self) -> None:
        for line in self._lines.values():
            if not line.kernel_timestamps:
                asyncio.get_running_loop().remove_reader(line.socket.fileno())
            line.socket.close()
        self._lines.clear()

    async def _run(self) -> None:
        while True:
            self._turn()
            await asyncio.sleep(self._pause_seconds())

    def _pause_seconds(self) -> float:
        if self._under_way:
            return self._turn_seconds
        if not self._due:
            return _LONGEST_SLEEP_SECONDS
        until_due = (self._due[0][0] - time.monotonic_ns()) / 1e9
        return min(max(until_due, self._turn_seconds), _LONGEST_SLEEP_SECONDS)

    def _turn(self) -> None:
        began_ns = time.monotonic_ns()
        self._read_clocks()
        self._begin_minute(began_ns)
        self._receive_all()
        if self._send_due(began_ns):
            self._receive_all()
        self._expire(began_ns)
        self._close_minutes(began_ns)

    def _read_clocks(self) -> None:
        """How far the wall clock is ahead of ours: both read close together, at best uninterrupted.

        Where the wall clock was set since the last turn, the stamps of answers waiting now are of no use.
        """
        best = None
        offset = 0
        for _ in range(3):
            before = time.monotonic_ns()
            wall = time.time_ns()
            after = time.monotonic_ns()
            if best is None or after - before < best:
                best, offset = after - before, wall - (before + after) // 2
            if best < _UNINTERRUPTED_NS:
                break
        elapsed_ns, self._clocks_read_ns = after - self._clocks_read_ns, after
        self._stamps_hold = abs(offset - self._wall_offset_ns) <= _STEP_NS + elapsed_ns // _SLEW
        self._wall_offset_ns = offset

    def _receive_all(self) -> None:
        for line in tuple(self._lines.values()):  # a listener may add the first target of another family
            if line.send_timestamps:
                self._see_sent(line)
            self._receive(line)
        self._interrupted.clear()

    def _see_sent(self, line: EchoSocket) -> None:
        """When echoes left whose sending was interrupted; read before the answers, which come later."""
        if not self._interrupted:
            line.forget_sent()
            return
        for token, sequence, stamp in line.take_sent(self._plan.payload_octets, self._interrupted):
            target = self._by_token.get(token)
            if target is not None and self._stamps_hold:
                target.track.left(sequence, stamp - self._wall_offset_ns)

    def _receive(self, line: EchoSocket) -> None:
        """Read until the socket is empty."""
        receive, framing = line.socket.recvmsg, line.framing
        known, stamps_hold = self._by_token, self._stamps_hold
        while True:
            try:
                datagram, ancillary, _flags, _sender = receive(_DATAGRAM_OCTETS, ANCILLARY_OCTETS)
            except BlockingIOError:
                return
            except OSError as error:
                _LOG.debug("icmp receive error=%s", error.strerror)
                return
            stamp = kernel_time_ns(ancillary) if stamps_hold else None
            at_ns = time.monotonic_ns() if stamp is None else stamp - self._wall_offset_ns
            reply = decode_reply(datagram, framing)
            if reply is None:
                self._refused(decode_refusal(datagram, framing), at_ns)
                continue
            target = known.get(reply[0])
            if target is not None:
                track = target.track
                event = track.answered(reply[1], at_ns)
                if event is not None or track.verdict.urgent:
                    self._changed(target, event, at_ns)

    def _refused(self, said: EchoRefusal | None, at_ns: int) -> None:
        target = None if said is None else self._by_token.get(said.token)
        if said is not None and target is not None:
            event = target.track.refused(said.sequence, at_ns)
            if event is not None or target.track.verdict.urgent:
                self._changed(target, event, at_ns)

    def _send_due(self, now_ns: int) -> bool:
        """Send what is due, as far as the limit allows; the rest stays due. True where anything was sent."""
        due, burst_ns = self._due, self._burst_interval_ns
        most = max(1.0, self._plan.packets_per_second * self._turn_seconds)
        earned = (now_ns - self._allowance_at_ns) / 1e9 * self._plan.packets_per_second
        allowance = min(most, self._allowance + earned)
        before = allowance
        while due and due[0][0] <= now_ns and allowance >= 1.0:
            due_ns, _, target = due[0]
            if due_ns != target.due_ns:  # rescheduled, or removed
                heappop(due)
                continue
            allowance -= 1.0
            self._send(target)
            urgent = target.track.verdict.urgent
            target.due_ns = now_ns + burst_ns if urgent else self._next_of_grid(target, now_ns)
            self._serial += 1
            heapreplace(due, (target.due_ns, self._serial, target))
        self._allowance = allowance
        self._allowance_at_ns = now_ns
        return allowance < before

    def _send(self, target: _Target) -> None:
        track = target.track
        sequence = track.sequence
        octets = target.echo.numbered(sequence)
        sent_ns = time.monotonic_ns()
        try:
            target.send(octets, target.address)
            if time.monotonic_ns() - sent_ns > _LONG_SENDING_NS:
                self._interrupted.add(target.token)
        except OSError as error:
            event = track.send_failed(error.strerror or type(error).__name__, sent_ns)
            if event is not None:
                self._changed(target, event, sent_ns)
            return
        track.sent(sent_ns)
        self._under_way.append((sent_ns + self._timeout_ns, target, sequence))

    def _expire(self, now_ns: int) -> None:
        under_way = self._under_way
        while under_way and under_way[0][0] <= now_ns:
            _, target, sequence = under_way.popleft()
            event = target.track.expired(sequence, now_ns)
            if event is not None or target.track.verdict.urgent:
                self._changed(target, event, now_ns)

    def _changed(self, target: _Target, event: EchoDown | EchoUp | EchoUnsent | None, now_ns: int) -> None:
        """The verdict moved: tell it, and ask again at once where it is urgent and no fast echo is planned."""
        if self._targets.get(target.id) is not target:  # removed while this echo was under way
            return
        if target.track.verdict.urgent and target.due_ns > now_ns + self._burst_interval_ns:
            self._schedule(target, now_ns)
        if event is not None:
            offset = self._wall_offset_ns
            self._say(replace(event, since_ns=event.since_ns + offset, declared_ns=event.declared_ns + offset))

    def _schedule(self, target: _Target, due_ns: int) -> None:
        target.due_ns = due_ns
        self._serial += 1
        heappush(self._due, (due_ns, self._serial, target))

    def _next_of_grid(self, target: _Target, now_ns: int) -> int:
        """The next time of the target's fixed grid: its phase plus a multiple of the interval, whatever went before."""
        interval = self._interval_ns
        return now_ns + interval - (now_ns - target.phase_ns) % interval

    def _begin_minute(self, now_ns: int) -> None:
        wall_ns = now_ns + self._wall_offset_ns
        start_ns = wall_ns - wall_ns % self._slot_ns
        if not begins_slot(start_ns, self._minute_start_ns, self._slot_ns):
            return
        self._minute_start_ns = start_ns
        close_ns = now_ns + self._timeout_ns + round(self._turn_seconds * 1e9)
        self._closing.extend(
            (close_ns, target, target.track.next_minute(start_ns)) for target in self._targets.values()
        )

    def _close_minutes(self, now_ns: int) -> None:
        for _ in range(_CLOSED_A_TURN):
            if not self._closing or self._closing[0][0] > now_ns:
                return
            _, target, minute = self._closing.popleft()
            if self._targets.get(target.id) is target:
                self._say(minute.statistics(target.id))

    def _say(self, event: EchoEvent) -> None:
        try:
            self._tell(event)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong, the probing goes on
            _LOG.exception("icmp listener failed event=%s", type(event).__name__)


def _family(address: IPv4Address | IPv6Address) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6


def _sockaddr(address: IPv4Address | IPv6Address) -> Any:  # noqa: ANN401 - the socket module's own union
    """What sendto wants; numeric only, no name is ever asked for."""
    answers = socket.getaddrinfo(str(address), 0, family=_family(address), flags=socket.AI_NUMERICHOST)
    return answers[0][4]
