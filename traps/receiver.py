"""The socket that notifications come in by: one, drained per wake-up, its losses counted (R42).

    own or inherited socket -> recvfrom until it would block -> waiting -> Intake.take -> deliver(batch)

Reading costs a twentieth of what making use costs, so all that the kernel holds is read first and waits here, and is
taken a few hundred at a time between other work: the socket's buffer must last only as long as the loop does not turn.
What waits is bounded; beyond it datagrams stay with the kernel, whose losses are counted.

The kernel tells with SO_RXQ_OVFL how many datagrams it had no room for; it is read with the first datagram of each
wake-up, so the figure is at most one wake-up old. Answers that wait for nothing (reports) are sent at once; responses
to informs are handed on, to be sent when what they acknowledge is durable.
"""

import asyncio
import logging
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from traps.funnel import Drop
from traps.intake import Accepted, Answer, Intake, Peer

_log: Final = logging.getLogger(__name__)
LARGEST: Final = 65_535
AT_ONCE: Final = 256
"""Datagrams taken before others get their turn: about 3 ms, and with all that is done with them 20."""
READ_AT_ONCE: Final = 4_096
"""Datagrams read before others get their turn: about 6 ms."""
WAITING_MOST: Final = 32_768
WAITING_OCTETS_MOST: Final = 32 << 20
"""What may wait; 16 s of 2,000 a second."""
RECEIVE_BUFFER: Final = 16 << 20
_SO_RXQ_OVFL: Final = 40
_SO_RCVBUFFORCE: Final = 33
_ROOM: Final = socket.CMSG_SPACE(4)
_FIRST_INHERITED: Final = 3
"""SD_LISTEN_FDS_START (sd_listen_fds(3))."""

Deliver: TypeAlias = Callable[[list[Accepted], list[Answer], "Receiver"], None]
"""Called on the loop with what one wake-up brought: notifications, and responses to send when they are durable."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """What was asked for and what the kernel granted, octets of payload and bookkeeping; most: its limit, if known."""

    asked: int
    granted: int
    most: int | None

    @property
    def warning(self) -> str | None:
        """A sentence for the operator where the kernel gave less than was asked for."""
        if self.granted >= self.asked:
            return None
        return (
            f"the kernel gives the socket for notifications {self.granted} octets instead of {self.asked}: "
            f"set net.core.rmem_max to {self.asked} or more (sysctl), or a burst will be lost"
        )


def inherited_sockets(environment: Mapping[str, str] = os.environ, pid: int | None = None) -> list[socket.socket]:
    """UDP sockets that systemd handed over (LISTEN_FDS), so that port 162 needs no privilege; mostly none."""
    if environment.get("LISTEN_PID") != str(os.getpid() if pid is None else pid):
        return []
    text = environment.get("LISTEN_FDS", "")
    count = int(text) if text.isascii() and text.isdigit() else 0
    sockets = []
    for number in range(_FIRST_INHERITED, _FIRST_INHERITED + count):
        found = socket.socket(fileno=os.dup(number))
        if found.type == socket.SOCK_DGRAM and found.family in {socket.AF_INET, socket.AF_INET6}:
            sockets.append(found)
        else:
            found.close()
    return sockets


def open_socket(address: str, port: int) -> socket.socket:
    """A bound UDP socket of our own; "::" takes IPv4 too. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


def ask_for_buffer(opened: socket.socket, octets: int) -> Buffer:
    """Ask for a receive buffer, beyond the limit where we may, and say what came of it."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
    granted = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel tells twice what it was asked
    try:
        most = int(Path("/proc/sys/net/core/rmem_max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        most = None
    return Buffer(octets, granted, most)


class Receiver:
    """Receives by one socket until closed; made on a running loop. Several may share an intake (IPv4 and IPv6)."""

    def __init__(
        self,
        opened: socket.socket,
        intake: Intake,
        deliver: Deliver,
        *,
        buffer_octets: int = RECEIVE_BUFFER,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        self.buffer = ask_for_buffer(opened, buffer_octets)
        self._socket = opened
        self._intake = intake
        self._deliver = deliver
        self._clock_ns = clock_ns
        self._latest_ns = 0
        self._waiting: deque[tuple[bytes, Peer, int]] = deque()
        self._waiting_octets = 0
        self._going_on = False
        self._overflown = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(opened.fileno(), self._drain)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port, *_ = self._socket.getsockname()
        return host, port

    def send(self, answers: list[Answer]) -> int:
        """Send answers; how many the kernel took. What it does not take is lost: the sender asks again."""
        sent = 0
        for answer in answers:
            try:
                self._socket.sendto(answer.datagram, answer.peer)
                sent += 1
            except OSError as error:
                _log.warning("answer not sent peer=%s error=%s", answer.peer[0], error)
        return sent

    @property
    def waiting(self) -> int:
        """Datagrams that were read and not yet taken."""
        return len(self._waiting)

    def stop(self) -> None:
        """Read no more, and take what was read: a socket of systemd's keeps what was not. Answers can still be sent."""
        self._loop.remove_reader(self._socket.fileno())
        while self._waiting:
            self._take_some()

    def close(self) -> None:
        """Stop receiving for good."""
        self.stop()
        self._socket.close()

    def _drain(self) -> None:
        self._read()
        self._take_some()
        if self._waiting and not self._going_on:
            self._going_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Take more of what waits, after others had their turn."""
        self._going_on = False
        if self._waiting:
            self._drain()

    def _read(self) -> None:
        """Read what there is, up to READ_AT_ONCE: the rest wakes us up again at once."""
        waiting, read = self._waiting, self._socket.recvfrom
        room = min(READ_AT_ONCE, WAITING_MOST - len(waiting))
        if room <= 0 or self._waiting_octets > WAITING_OCTETS_MOST:
            return
        now_ns = max(self._clock_ns(), self._latest_ns + 1)
        self._latest_ns = now_ns + room
        octets = 0
        try:
            datagram, ancillary, _flags, peer = self._socket.recvmsg(LARGEST, _ROOM)
            self._note_overflow(ancillary)
            waiting.append((datagram, peer, now_ns))
            octets = len(datagram)
            for time_ns in range(now_ns + 1, now_ns + room):  # a nanosecond later each, so that each has its own
                datagram, peer = read(LARGEST)
                waiting.append((datagram, peer, time_ns))
                octets += len(datagram)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:  # an ICMP error for something we answered
            _log.debug("socket error %s", error)
        self._waiting_octets += octets

    def _take_some(self) -> None:
        intake, waiting = self._intake, self._waiting
        take, following = intake.take, waiting.popleft
        octets = 0
        for _ in range(min(AT_ONCE, len(waiting))):
            datagram, peer, time_ns = following()
            octets += len(datagram)
            take(datagram, peer, time_ns)
        self._waiting_octets -= octets
        if intake.accepted or intake.answers:
            self._hand_over()

    def _hand_over(self) -> None:
        intake = self._intake
        accepted, intake.accepted = intake.accepted, []
        answers, intake.answers = intake.answers, []
        at_once = [answer for answer in answers if answer.window is None]
        if at_once:
            self.send(at_once)
        self._deliver(accepted, [answer for answer in answers if answer.window is not None], self)

    def _note_overflow(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        """The kernel's counter is of 32 bits and counts since the socket was opened."""
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                (overflown,) = struct.unpack("=I", content[:4])
                lost = (overflown - self._overflown) & 0xFFFF_FFFF
                self._overflown = overflown
                if lost:
                    self._intake.funnel.dropped[Drop.KERNEL] += lost
