"""One UDP socket for hundreds of addresses: it hears what is sent to any of them and answers from the one asked.

Bound to 0.0.0.0 and to the loopback interface, with IP_PKTINFO (ip(7)) telling the address of each datagram, so that
300 agents cost one file descriptor. Datagrams are drained in a loop at each wake-up.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

Peer: TypeAlias = tuple[str, int]
Hear: TypeAlias = Callable[[bytes, str, Peer], None]
"""Called with a datagram, the address of ours it was sent to, and who sent it."""

_PACKET_INFO: Final = struct.Struct("=I4s4s")
"""struct in_pktinfo: interface, local address, address of the header (ip(7))."""
_IP_PKTINFO: Final = 8
_LARGEST: Final = 65_535
_AT_ONCE: Final = 256
"""Datagrams read before others get their turn."""
_RECEIVE_BUFFER: Final = 4 << 20
_ANCILLARY_ROOM: Final = socket.CMSG_SPACE(_PACKET_INFO.size)


class Ears:
    """The socket; `hear` is called from the running loop."""

    def __init__(self, port: int, hear: Hear) -> None:
        self._hear = hear
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            with contextlib.suppress(PermissionError):  # old kernels ask for a privilege; addresses are checked anyway
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
            self._socket.bind(("0.0.0.0", port))  # noqa: S104 - on the loopback interface only, see above
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._drain)

    @property
    def port(self) -> int:
        """The UDP port."""
        return int(self._socket.getsockname()[1])

    def send(self, datagram: bytes, source: str, peer: Peer) -> None:
        """Send from one of our addresses; what the kernel does not take is lost, as on a network."""
        ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, _PACKET_INFO.pack(0, socket.inet_aton(source), bytes(4)))]
        with contextlib.suppress(OSError):
            self._socket.sendmsg([datagram], ancillary, 0, peer)

    def close(self) -> None:
        """Stop hearing."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _drain(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                datagram, ancillary, _flags, peer = self._socket.recvmsg(_LARGEST, _ANCILLARY_ROOM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error for something we sent
                continue
            for level, kind, content in ancillary:
                if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                    _interface, _local, header = _PACKET_INFO.unpack(content[: _PACKET_INFO.size])
                    self._hear(datagram, socket.inet_ntoa(header), peer)
