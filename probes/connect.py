"""Reach a target: its addresses, a TCP stream with or without TLS, a UDP exchange. Each step is a timed phase.

Foreign errors leave this module as they are; probes.foreign maps them once.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, cast

from probes.errors import RemoteError
from probes.result import Observation
from probes.target import is_address, join_target

_MOST_ADDRESSES: Final = 4
_WAITING: Final = 64
"""Datagrams kept until somebody reads them; what is more is dropped."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An open connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def line(self, protocol: str, longest: int = 4096) -> bytes:
        """The next line with its end; raises RemoteError for one that does not end, IncompleteReadError at the end."""
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            line = b" " * (longest + 1)
        if len(line) > longest:
            raise RemoteError(
                "malformed", peer=self.peer, protocol=protocol, detail=("行が長すぎます", "its lines do not end")
            )
        return line

    @property
    def peer(self) -> str:
        """The address and port we are connected to."""
        name = self.writer.get_extra_info("peername")
        return join_target(*name[:2]) if name else "?"


async def addresses_of(host: str, port: int, kind: socket.SocketKind, observation: Observation) -> list[str]:
    """The addresses of a host, at most four, in the system's order of preference."""
    if is_address(host):
        return [host]
    observation.enter("resolve")
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind, family=observation.family)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))[:_MOST_ADDRESSES]
    observation.see("addresses", ", ".join(addresses))
    return addresses


@asynccontextmanager
async def open_stream(host: str, port: int, observation: Observation) -> AsyncIterator[Stream]:
    """A TCP connection to the first address of the host that accepts one."""
    addresses = await addresses_of(host, port, socket.SOCK_STREAM, observation)
    observation.enter("connect")
    for last, address in enumerate(addresses, 1 - len(addresses)):
        observation.tell(f"connecting to {join_target(address, port)}")
        try:
            stream = Stream(*await asyncio.open_connection(address, port))
        except OSError as error:
            observation.tell(f"{address}: {error.strerror or error}")
            if last == 0:
                raise
        else:
            break
    try:
        observation.tell("connected")
        yield stream
    finally:
        stream.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(1.0):
                await stream.writer.wait_closed()


class Exchange(asyncio.DatagramProtocol):
    """A UDP socket connected to one target; what comes from elsewhere the kernel keeps away."""

    def __init__(self) -> None:
        self._received: asyncio.Queue[bytes | Exception] = asyncio.Queue(_WAITING)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio gives us the socket; its transports do not all descend from the class that describes them."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        """An answer, or something else from the target."""
        with contextlib.suppress(asyncio.QueueFull):
            self._received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """The network says that nobody is there (ICMP)."""
        with contextlib.suppress(asyncio.QueueFull):
            self._received.put_nowait(exc)

    def send(self, datagram: bytes) -> None:
        """Send to the target."""
        assert self._transport is not None
        self._transport.sendto(datagram)

    async def receive(self) -> bytes:
        """The next datagram from the target; raises OSError where the network says that nobody is there."""
        received = await self._received.get()
        if isinstance(received, Exception):
            raise received
        return received


@asynccontextmanager
async def open_exchange(host: str, port: int, observation: Observation) -> AsyncIterator[Exchange]:
    """A UDP socket for one target, at the first of its addresses."""
    addresses = await addresses_of(host, port, socket.SOCK_DGRAM, observation)
    observation.enter("first_byte")
    transport, exchange = await asyncio.get_running_loop().create_datagram_endpoint(
        Exchange, remote_addr=(addresses[0], port)
    )
    try:
        yield exchange
    finally:
        transport.close()
