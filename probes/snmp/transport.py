"""The shared UDP sockets: datagrams out, replies matched by request id and address, timeouts, a common window.

One socket per address family and source address serves all devices (R78). It is drained per wake-up. Replies are given
to the Owner of their request.

Two limits hold requests back. The window is what the receive buffer holds of replies. Within it, FRESH_REQUESTS may be
younger than FRESH_SECONDS: more than that would only wait in queues, here and at the agents, while values and datagrams
leave the processor's cache (a fifth of the cost of a burst). What is older is slow or silent and holds up nobody. But
while replies wait here to be read, it may just as well have been answered, and only BEHIND_SECONDS tell.
"""

import asyncio
import contextlib
import ipaddress
import math
import random
import socket
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeAlias

from probes.snmp.errors import SendFailed
from probes.snmp.prepared import find_request_id
from probes.snmp.statistics import Statistics
from probes.snmp.target import SnmpTarget

SockAddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Trace: TypeAlias = Callable[[str, SockAddr, bytes, float], None]
"""Gets direction ("sent" or "received"), address, datagram and the time on the session's clock."""

RECEIVE_BUFFER_OCTETS = 4 << 20
REPLY_FOOTPRINT_OCTETS = 2304
"""What the kernel charges for one reply of up to 1.4 kB."""

LARGEST_DATAGRAM = 65535
FIRST_REQUEST_ID, LAST_REQUEST_ID = 0x0100_0000, 0x7FFF_FFFF
"""All these take four octets in BER, so that a prepared request can be patched in place."""

FRESH_REQUESTS, FRESH_SECONDS = 32, 0.005
BEHIND_SECONDS = 0.1
"""Reading a full receive buffer takes less."""

_REMEMBERED_LATE = 4096
_ID_WITHIN = 64
"""Octets of a message that hold its request id, with a community of common length."""
_SHORTEST_TIMER_SECONDS = 0.01
_read_request_id = struct.Struct(">I").unpack_from

_DRAIN_AT_MOST = 256
"""Replies read before what they lead to is sent, in about FRESH_SECONDS. Where there are more, we are what is slow."""
_IP_RECVERR, _IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h
_SO_EE_ORIGIN_ICMP: Final = {2: "ICMP", 3: "ICMPv6"}
_SOCK_EXTENDED_ERR = struct.Struct("=IBBBBII")


class Owner(Protocol):
    """Who asked: a single exchange, or the run of a prepared poll."""

    addresses: frozenset[str]

    def on_reply(self, index: int, datagram: bytes, request_id: int, sent_at: float) -> bool:
        """Take a reply; False lets the request wait on, because this was not its answer.

        It came at Transport.now, or now_ns in UTC unix nanoseconds. What is sent from within leaves with all that the
        other replies lead to.
        """

    def on_timeout(self, index: int, request_id: int) -> None:
        """Nobody answered within the timeout of this try."""

    def on_refused(self, index: int, request_id: int, sentence: str) -> None:
        """The network says that nobody is there."""

    def on_send_failed(self, index: int, error: SendFailed) -> None:
        """The operating system did not take the datagram."""


Entry: TypeAlias = tuple[Owner, int, float, SockAddr, float]
"""A waiting request: its owner, the owner's index for it, when it was sent, where to, when its try is over.

The last is infinite once the owner was told; until the owner forgets it, a late reply is still taken (R13).
"""


def resolve(target: SnmpTarget) -> SockAddr:
    """Socket address of a target, as the kernel will report it for its replies."""
    info = socket.getaddrinfo(
        target.address, target.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )
    return info[0][4]  # type: ignore[return-value]  # typeshed allows for families without numbers


class Transport:
    """Sockets, waiting requests and their timers, within one event loop."""

    def __init__(
        self,
        clock: Callable[[], float],
        wall_clock_ns: Callable[[], int],
        statistics: Statistics,
        trace: Trace | None,
    ) -> None:
        self.pending: dict[int, Entry] = {}
        self.clock = clock
        self.now, self.now_ns = clock(), wall_clock_ns()
        self._wall_clock_ns = wall_clock_ns
        self.statistics = statistics
        self.window = 0
        self.outbox: list[tuple[socket.socket, bytes, int, Entry]] = []
        self.request_ids = self._count_request_ids()
        self._room = 0
        self._draining = False
        self._id_at = 0
        self._trace = trace
        self.loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf
        self._sockets: dict[tuple[int, str | None], socket.socket] = {}
        self._given_up: OrderedDict[int, None] = OrderedDict()
        self._waiting: deque[Callable[[], None]] = deque()
        self._widening: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close the sockets; requests still waiting are left to their owners."""
        for timer in (self._timer, self._widening):
            if timer is not None:
                timer.cancel()
        for sock in self._sockets.values():
            self.loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()
        self.pending.clear()

    def _count_request_ids(self) -> Iterator[int]:
        """Request ids that nothing waits for, from a random one on."""
        begin = random.SystemRandom().randint(FIRST_REQUEST_ID, LAST_REQUEST_ID)
        while True:
            for request_id in range(begin, LAST_REQUEST_ID + 1):
                if request_id not in self.pending:
                    yield request_id
            begin = FIRST_REQUEST_ID

    def socket_for(self, target: SnmpTarget) -> socket.socket:
        """Shared socket for a target's family and source address."""
        family = socket.AF_INET6 if ipaddress.ip_address(target.address).version == 6 else socket.AF_INET  # noqa: PLR2004 IPv6
        key = (int(family), target.source_address)
        if key not in self._sockets:
            self._sockets[key] = self._open(family, target.source_address)
        return self._sockets[key]

    def _open(self, family: socket.AddressFamily, source_address: str | None) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
            with contextlib.suppress(OSError):  # beyond rmem_max for the privileged only
                sock.setsockopt(socket.SOL_SOCKET, 33, RECEIVE_BUFFER_OCTETS)  # SO_RCVBUFFORCE
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            if source_address is not None:
                sock.bind((source_address, 0))
        except OSError as error:
            sock.close()
            raise SendFailed(f"No socket could be opened from {source_address or 'any address'}: {error}.") from error
        held = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // REPLY_FOOTPRINT_OCTETS
        self.window = min(self.window or held, held)
        self._room = min(self.window, FRESH_REQUESTS)
        self.loop.add_reader(sock.fileno(), self._drain, sock)
        return sock

    def has_room(self) -> bool:
        """Whether another request may leave now."""
        return len(self.pending) < self._room

    def when_room(self, resume: Callable[[], None]) -> None:
        """Call back once there is room."""
        self._waiting.append(resume)
        if self._widening is None:
            self._widening = self.loop.call_later(FRESH_SECONDS, self._widen)

    def let_waiting_go(self) -> None:
        """Resume who waits for room, as far as it goes."""
        while self._waiting and len(self.pending) < self._room:
            self._waiting.popleft()()

    def _widen(self) -> None:
        """Make room for those who wait, as much as older requests take up: those are slow or silent."""
        now = self.clock()
        old = self._count_older(now - FRESH_SECONDS)
        behind = [self._drain(sock) for sock in tuple(self._sockets.values())]
        if any(behind):  # or else reading what more requests bring would take longer than FRESH_SECONDS for good
            old = self._count_older(now - BEHIND_SECONDS)
        self._room = min(self.window, old + FRESH_REQUESTS)
        self.let_waiting_go()
        self._widening = self.loop.call_later(FRESH_SECONDS, self._widen) if self._waiting else None

    def _count_older(self, before: float) -> int:
        """Requests sent before a moment; they are in the order of time."""
        count = 0
        for entry in self.pending.values():
            if entry[2] > before:
                break
            count += 1
        return count

    def send(self, sock: socket.socket, datagram: bytes, request_id: int, entry: Entry) -> None:
        """Enter a request and send it with all others of this turn of the loop.

        Sending many together costs half: the peer is woken once, not for each datagram.
        """
        self.pending[request_id] = entry
        self.wake_by(entry[4])
        if not self.outbox and not self._draining:
            self.loop.call_soon(self._flush)
        self.outbox.append((sock, datagram, request_id, entry))

    def _flush(self) -> None:
        outbox, self.outbox = self.outbox, []
        trace, octets = self._trace, 0
        for sock, datagram, request_id, entry in outbox:
            try:
                sock.sendto(datagram, entry[3])
            except OSError as error:
                self._send_again(sock, datagram, request_id, entry, error)
                continue
            octets += len(datagram)
            if trace is not None:
                trace("sent", entry[3], datagram, entry[2])
        self.statistics.sent += len(outbox)
        self.statistics.octets_sent += octets

    def _send_again(self, sock: socket.socket, datagram: bytes, request_id: int, entry: Entry, error: OSError) -> None:
        """Send once more when the error was about somebody else's datagram, as ICMP errors are; else tell the owner."""
        try:
            if not self._read_errors(sock):
                raise error
            sock.sendto(datagram, entry[3])
            self.statistics.octets_sent += len(datagram)
        except OSError as last:
            self.statistics.sent -= 1
            self.statistics.send_failed += 1
            if self.pending.pop(request_id, None) is not None:
                entry[0].on_send_failed(entry[1], SendFailed(f"A request to {entry[3][0]} could not be sent: {last}."))

    def forget(self, request_id: int) -> None:
        """Wait no longer for this request; its answer will count as late."""
        if self.pending.pop(request_id, None) is not None:
            self._given_up[request_id] = None
            if len(self._given_up) > _REMEMBERED_LATE:
                self._given_up.popitem(last=False)

    def wake_by(self, due: float) -> None:
        """See that the timer goes off by then; never later than it would have."""
        if due >= self._wakes_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = due
        self._timer = self.loop.call_later(max(due - self.clock(), _SHORTEST_TIMER_SECONDS), self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._wakes_at = None, math.inf
        self.expire(self.clock())
        # A look at all that wait is cheaper than an entry in a queue for each of the many that are answered in time.
        due = min((entry[4] for entry in self.pending.values()), default=math.inf)
        if due < math.inf:
            self.wake_by(due)

    def expire(self, now: float) -> None:
        """Tell the owners of all requests that are due, once."""
        for request_id, entry in [found for found in self.pending.items() if found[1][4] <= now]:
            if request_id in self.pending:
                self.pending[request_id] = (*entry[:4], math.inf)
                self.statistics.timeouts += 1
                entry[0].on_timeout(entry[1], request_id)
        self.let_waiting_go()

    def _drain(self, sock: socket.socket) -> bool:  # noqa: C901 the hottest loop: written out on purpose
        """Take what has come. The owners' next requests are sent together afterwards. True when more may be there."""
        receive, pending, trace = sock.recvfrom, self.pending, self._trace
        self._draining = not self.outbox
        self.now, self.now_ns = self.clock(), self._wall_clock_ns()
        count = octets = 0
        for _ in range(_DRAIN_AT_MOST):
            try:
                datagram, address = receive(LARGEST_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:
                if not self._read_errors(sock):
                    break
                continue
            count += 1
            octets += len(datagram)
            if trace is not None:
                trace("received", address, datagram, self.now)
            # Replies of one kind of device have the request id at one place: look there first.
            try:
                request_id = _read_request_id(datagram, self._id_at)[0]
                entry = pending.pop(request_id)
            except (KeyError, struct.error):
                found, request_id = self._look_up(datagram)
                if found is None:
                    continue
                entry = found
            if address != entry[3] and address[0] not in entry[0].addresses:
                self.statistics.unmatched += 1
                pending[request_id] = entry
            elif not entry[0].on_reply(entry[1], datagram, request_id, entry[2]):
                pending[request_id] = entry
            if len(pending) == len(self.outbox):
                break  # nothing that was sent waits for an answer, so there is nothing more to read
        self.statistics.received += count
        self.statistics.octets_received += octets
        if self._waiting:
            self.let_waiting_go()
        if self._draining:
            self._draining = False
            self._flush()
        return count == _DRAIN_AT_MOST

    def _look_up(self, datagram: bytes) -> tuple[Entry | None, int]:
        """Entry of a datagram by reading where its request id is; a stray one is counted."""
        request_id = find_request_id(datagram)
        entry = self.pending.pop(request_id, None)
        if entry is None:
            self._count_stray(request_id)
        else:
            self._id_at = max(0, datagram.find(request_id.to_bytes(4, "big"), 0, _ID_WITHIN))
        return entry, request_id

    def _count_stray(self, request_id: int) -> None:
        if request_id < 0:
            self.statistics.malformed += 1
        elif request_id in self._given_up:
            self.statistics.late += 1
        else:
            self.statistics.unmatched += 1

    def _read_errors(self, sock: socket.socket) -> bool:
        """Read the socket's queue of ICMP errors; each tells the owner of its request (RFC 1122, 3.2.2.1)."""
        found = False
        while True:
            try:
                datagram, ancillary, _, address = sock.recvmsg(LARGEST_DATAGRAM, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return found
            found = True
            for _, _, content in ancillary:
                if len(content) >= _SOCK_EXTENDED_ERR.size:
                    self._tell_refused(datagram, address, _SOCK_EXTENDED_ERR.unpack_from(content))

    def _tell_refused(self, datagram: bytes, address: SockAddr, error: tuple[int, ...]) -> None:
        number, origin = error[0], error[1]
        entry = self.pending.get(find_request_id(datagram))
        if entry is None or origin not in _SO_EE_ORIGIN_ICMP:
            return
        self.statistics.refused += 1
        words = {111: "nobody listens on its SNMP port", 113: "no route leads to it", 101: "its network is unreachable"}
        reason = words.get(number, f"the network reports error {number}")
        entry[0].on_refused(entry[1], find_request_id(datagram), f"{address[0]} refuses SNMP: {reason}.")
