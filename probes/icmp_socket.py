"""The one socket of an address family through which all echoes go, raw or ping, with the kernel's timestamps.

It stamps answers as they arrive (SO_TIMESTAMPNS), and echoes as they leave for the driver: those it hands back on the
socket's error queue (SO_TIMESTAMPING, Documentation/networking/timestamping.rst of Linux).
"""

import array
import contextlib
import errno
import logging
import secrets
import socket
import struct
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from probes.errors import LocalError
from probes.icmp_packet import Framing, decode_sent

_LOG: Final = logging.getLogger(__name__)

_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; Python names it from 3.13 on
_SO_TIMESTAMPING: Final = 37  # the same
_STAMP_SENT: Final = 1 << 1 | 1 << 4  # linux/net_tstamp.h: SOF_TIMESTAMPING_TX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE
_LONGEST_SENT: Final = 512
_SO_RCVBUFFORCE: Final = 33  # the same; needs CAP_NET_ADMIN
_IP_PKTINFO: Final = 8  # linux/in.h; Python does not name it
_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1  # linux/icmp.h: a set bit blocks the type
_ICMP6_FILTER: Final = 1  # linux/icmpv6.h, RFC 3542, 3.2: the same with 256 types
_PASSED_V4: Final = (0, 3, 11)
_PASSED_V6: Final = (1, 3, 129)

RECEIVE_BUFFER_OCTETS: Final = 4 * 1024 * 1024
"""Holds about 5,000 answers, ten seconds of 500 a second, should the loop stand still."""

NOT_PERMITTED: Final = (
    "not allowed to send ICMP echoes: give the daemon the capability CAP_NET_RAW (systemd: "
    "AmbientCapabilities=CAP_NET_RAW), or its group the right to ping sockets "
    '(sysctl net.ipv4.ping_group_range="GID GID")'
)


@dataclass(frozen=True, slots=True)
class EchoSocket:
    """An open, non-blocking socket.

    identifier: what stands in the echo header; a ping socket's is chosen by the kernel.
    kernel_timestamps: False means that delays come from our own clock, and are too long by the time we were busy.
    send_timestamps: False means that a delay begins when we ask the kernel to send, and is too long where we are
    interrupted then, or where the echo waits for the line.
    """

    socket: socket.socket
    framing: Framing
    identifier: int
    kernel_timestamps: bool
    send_timestamps: bool = False

    def take_sent(self, payload_octets: int, tokens: Container[bytes]) -> Iterator[tuple[bytes, int, int]]:
        """Token, sequence and the kernel's wall clock (ns) of echoes with these tokens that left since the last call.

        Those of others are thrown away. A driver that does not stamp hands nothing back.
        """
        receive, queue = self.socket.recvmsg, socket.MSG_ERRQUEUE
        while True:
            try:  # the stamp stands first; what the kernel would tell beside it there is no room for
                datagram, ancillary, _, _ = receive(_LONGEST_SENT, ANCILLARY_OCTETS, queue)
            except OSError:  # nothing more
                return
            echo = decode_sent(datagram, payload_octets)
            if echo is not None and echo[0] in tokens and (stamp := kernel_time_ns(ancillary)) is not None:
                yield *echo, stamp

    def forget_sent(self) -> None:
        """Throw away what take_sent() would give, which costs less than to look at it."""
        receive, queue = self.socket.recv, socket.MSG_ERRQUEUE
        with contextlib.suppress(OSError):  # nothing more
            while True:
                receive(1, queue)

    def sender(self, source: IPv4Address | IPv6Address | None) -> Callable[[bytearray, Any], int]:
        """How to send a datagram to a socket address, from this address of ours where one is given."""
        if source is None:
            return self.socket.sendto
        if isinstance(source, IPv4Address):  # struct in_pktinfo of ip(7): the middle one is where we send from
            told = (socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("@i4s4x", 0, source.packed))
        else:  # struct in6_pktinfo, RFC 3542, 6.1
            told = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("@16sI", source.packed, 0))
        send = self.socket.sendmsg
        return lambda octets, address: send((octets,), (told,), 0, address)


def open_echo_socket(family: socket.AddressFamily) -> EchoSocket:
    """A raw socket, else a ping socket. Raises LocalError, with what to do, where neither is allowed."""
    try:
        return _raw(family)
    except PermissionError:
        pass
    except OSError as error:
        raise _no_socket(family, error) from error
    try:
        return _ping(family)
    except PermissionError as error:
        raise LocalError(NOT_PERMITTED) from error
    except OSError as error:
        raise _no_socket(family, error) from error


def open_ping_socket(family: socket.AddressFamily) -> EchoSocket:
    """A ping socket (ping_group_range), for a daemon without CAP_NET_RAW; refusals by routers stay unknown to it."""
    try:
        return _ping(family)
    except PermissionError as error:
        raise LocalError(NOT_PERMITTED) from error
    except OSError as error:
        raise _no_socket(family, error) from error


def kernel_time_ns(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The kernel's wall clock at arrival or departure (SCM_TIMESTAMPNS: struct timespec), None where it did not say."""
    for level, kind, value in ancillary:
        if kind == _SO_TIMESTAMPNS and level == _SOL_SOCKET and len(value) == _TIMESPEC_OCTETS:
            seconds, nanoseconds = _unpack_timespec(value)
            whole: int = seconds * 1_000_000_000 + nanoseconds
            return whole
    return None


_SOL_SOCKET: Final = socket.SOL_SOCKET
_TIMESPEC: Final = struct.Struct("@ll")
_TIMESPEC_OCTETS: Final = _TIMESPEC.size
_unpack_timespec: Final = _TIMESPEC.unpack
ANCILLARY_OCTETS: Final = socket.CMSG_SPACE(_TIMESPEC.size)


def _raw(family: socket.AddressFamily) -> EchoSocket:
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    opened = socket.socket(family, socket.SOCK_RAW, protocol)
    if family == socket.AF_INET6:
        words = array.array("I", [0xFFFFFFFF] * 8)
        for passed in _PASSED_V6:
            words[passed // 32] &= ~(1 << passed % 32) & 0xFFFFFFFF
        opened.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, words.tobytes())
        return _ready(opened, Framing.IPV6, secrets.randbits(16))
    blocked = ~sum(1 << passed for passed in _PASSED_V4) & 0xFFFFFFFF
    opened.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("@I", blocked))
    return _ready(opened, Framing.IPV4_RAW, secrets.randbits(16))


def _ping(family: socket.AddressFamily) -> EchoSocket:
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    opened = socket.socket(family, socket.SOCK_DGRAM, protocol)
    opened.bind(("", 0))
    identifier = opened.getsockname()[1]
    return _ready(opened, Framing.IPV6 if family == socket.AF_INET6 else Framing.IPV4_PING, identifier)


def _ready(opened: socket.socket, framing: Framing, identifier: int) -> EchoSocket:
    opened.setblocking(False)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_OCTETS)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_OCTETS)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError as error:
        _LOG.warning(
            "icmp kernel_timestamps=no reason=%r delays are taken from our own clock and are too long when we are busy",
            error.strerror,
        )
        return EchoSocket(opened, framing, identifier, kernel_timestamps=False)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _STAMP_SENT)
    except OSError as error:
        _LOG.warning("icmp send_timestamps=no reason=%r delays begin at our own clock", error.strerror)
        return EchoSocket(opened, framing, identifier, kernel_timestamps=True)
    return EchoSocket(opened, framing, identifier, kernel_timestamps=True, send_timestamps=True)


def _no_socket(family: socket.AddressFamily, error: OSError) -> LocalError:
    name = "IPv6" if family == socket.AF_INET6 else "IPv4"
    if error.errno == errno.EAFNOSUPPORT:
        return LocalError(f"this machine has no {name}: the {name} targets cannot be probed")
    return LocalError(f"no {name} socket for ICMP echoes: {error.strerror}")
