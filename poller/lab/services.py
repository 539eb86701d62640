"""The services of an estate, served on loopback: small servers that say what their probe expects, or something wrong.

One server for each address and port that a service names; services that share it (a page and its certificate, two pages
behind one proxy) are served by the same. A server that is asked once a minute costs nothing worth naming.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from poller.estate import Estate
from poller.lab.authority import Authority
from poller.service import Service
from probes.ntp_packet import encode_reply
from probes.target import split_target

Fault: TypeAlias = Literal["refused", "silent", "wrong"]
Where: TypeAlias = tuple[str, int]
"""Address and port."""
_PORTS: Final[Mapping[str, int | None]] = {"dns": 53, "smtp": 25, "ntp": 123, "tls": 443, "tcp": None}
_LENGTH: Final = struct.Struct("!H")
_ELSEWHERE: Final = "192.0.2.99"
"""What a DNS server that is wrong answers (RFC 5737)."""
_BLOCK_PAGE: Final = "<p>このページへの接続は規則により遮断しました。</p>"
_LONGEST_WAIT_SECONDS: Final = 30.0
_CERTIFIED: Final = timedelta(days=90)
_STRATUM: Final = 2


def where_served(service: Service) -> Where | None:
    """Address and port that the service's probe connects to; None for what is not on loopback."""
    if service.proxy is not None or service.kind == "http":
        url = urlsplit(service.proxy or service.target)
        host, port = url.hostname or "", url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    else:
        host, port = split_target(service.target, _PORTS[service.kind])
    try:
        return (host, port) if ip_address(host).is_loopback else None
    except ValueError:
        return None


@dataclass(slots=True)
class _Place:
    """One address and port, with the services that are asked there."""

    where: Where
    services: list[Service]
    streams: asyncio.Server | None = None
    datagrams: asyncio.DatagramTransport | None = None
    open_now: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def kinds(self) -> set[str]:
        """The kinds asked here."""
        return {service.kind for service in self.services}

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken here from the start."""
        return "tls" in self.kinds or any(
            service.kind == "http" and service.proxy is None and service.target.startswith("https:")
            for service in self.services
        )


class LabServices:
    """Serves until closed; what cannot be served is told and left out.

    certificate: the authority's, PEM, for the ca_file of those who ask.
    """

    def __init__(self, estate: Estate) -> None:
        self._faults: dict[str, Fault] = {}
        places: dict[Where, _Place] = {}
        for service in estate.services.values():
            where = where_served(service)
            if where is not None:
                places.setdefault(where, _Place(where, [])).services.append(service)
        self._places = places
        self._authority = Authority("Hinomi lab", datetime.now(UTC))

    @property
    def certificate(self) -> bytes:
        """The authority that its certificates come from."""
        return self._authority.certificate

    @property
    def serving(self) -> tuple[str, ...]:
        """The services that are served."""
        return tuple(
            service.id
            for place in self._places.values()
            if place.streams is not None or place.datagrams is not None
            for service in place.services
        )

    async def start(self) -> list[str]:
        """Serve; the answer is a sentence for each place that cannot be had."""
        problems = []
        for place in self._places.values():
            try:
                await self._open(place)
            except OSError as error:
                names = ", ".join(service.id for service in place.services)
                problems.append(f"{names}: {place.where[0]} port {place.where[1]}: {error.strerror or error}")
                self._close(place)
        return problems

    def close(self) -> None:
        """Serve no more."""
        for place in self._places.values():
            self._close(place)

    async def fail(self, service: str, how: Fault) -> None:
        """Let a service be broken: nobody listens, nobody answers, or the answer is wrong."""
        self._faults[service] = how
        if how == "refused":
            for place in self._of(service):
                self._close(place)

    async def restore(self, service: str) -> None:
        """It serves as before."""
        self._faults.pop(service, None)
        for place in self._of(service):
            if place.streams is None and place.datagrams is None:
                with suppress(OSError):
                    await self._open(place)

    def _of(self, service: str) -> Iterable[_Place]:
        return [place for place in self._places.values() if any(one.id == service for one in place.services)]

    def _fault(self, services: Iterable[Service]) -> Fault | None:
        return next((self._faults[service.id] for service in services if service.id in self._faults), None)

    # ---- sockets

    async def _open(self, place: _Place) -> None:
        host, port = place.where
        loop = asyncio.get_running_loop()
        answer: Callable[[bytes, _Place], bytes | None] | None = None
        if "ntp" in place.kinds:
            answer = self._ntp
        elif "dns" in place.kinds:
            answer = self._dns
        if answer is not None:
            made = await loop.create_datagram_endpoint(lambda: _Datagrams(place, answer), local_addr=place.where)
            place.datagrams = made[0]
        if "ntp" not in place.kinds:
            context = None
            if place.secure:
                now = datetime.now(UTC)
                context = self._authority.issue([host], now - timedelta(days=1), now + _CERTIFIED).context()
            place.streams = await asyncio.start_server(
                lambda reader, writer: self._converse(place, reader, writer), host, port, ssl=context
            )

    def _close(self, place: _Place) -> None:
        if place.streams is not None:
            place.streams.close()
        if place.datagrams is not None:
            place.datagrams.close()
        place.streams = place.datagrams = None
        for writer in list(place.open_now):
            writer.close()

    async def _converse(self, place: _Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place.open_now.add(writer)
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                if place.kinds & {"http", "tls"}:
                    await self._http(place, reader, writer)
                elif "smtp" in place.kinds:
                    await self._smtp(place, reader, writer)
                elif "dns" in place.kinds:
                    await self._dns_stream(place, reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):  # whoever asked went away, or asked for too much
            pass
        finally:
            place.open_now.discard(writer)
            writer.close()

    # ---- what is answered

    async def _http(self, place: _Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked = head.split(b" ", 2)[1].decode("ascii", "replace")
        service = self._page_of(place, asked)
        fault = self._fault(place.services if service is None else [service])
        if fault == "silent":
            await reader.read()
            return
        status, page = "200 OK", f"<html><p>{service.expect or 'OK'}</p></html>" if service is not None else "OK"
        if service is None and "://" in asked:
            status, page = "502 Bad Gateway", "unknown to the lab"
        elif service is not None and service.blocked and fault is None:
            status, page = "403 Forbidden", f"<html>{_BLOCK_PAGE}<p>{service.expect or ''}</p></html>"
        elif fault == "wrong" and (service is None or not service.blocked):
            status, page = "500 Internal Server Error", "out of order"
        body = page.encode()
        kind = "Content-Type: text/html; charset=utf-8\r\nConnection: close"
        writer.write(f"HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    def _page_of(self, place: _Place, asked: str) -> Service | None:
        """The service whose page was asked for: by its URL at a proxy, by its path otherwise."""
        for service in place.services:
            url = urlsplit(service.target)
            if service.kind == "http" and asked in {service.target, url.path or "/", url.netloc}:
                return service
        return None

    async def _smtp(self, place: _Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._fault(place.services)
        if fault == "silent":
            await reader.read()
            return
        writer.write(b"421 4.3.2 Too busy\r\n" if fault == "wrong" else b"220 relay ESMTP\r\n")
        while fault is None and (line := await reader.readline()):
            verb = line[:4].upper()
            writer.write({b"QUIT": b"221 Bye\r\n", b"DATA": b"554 Not here\r\n"}.get(verb, b"250 OK\r\n"))
            await writer.drain()
            if verb == b"QUIT":
                return

    async def _dns_stream(self, place: _Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        reply = self._dns(await reader.readexactly(length), place)
        if reply is None:
            await reader.read()
            return
        writer.write(_LENGTH.pack(len(reply)) + reply)
        await writer.drain()

    def _dns(self, wire: bytes, place: _Place) -> bytes | None:
        try:
            query = dns.message.from_wire(wire)
            reply = dns.message.make_response(query, recursion_available=True)
        except dns.exception.DNSException:
            return None
        name = query.question[0].name if query.question else None
        service = next((one for one in place.services if name == dns.name.from_text(one.query or "")), None)
        fault = self._fault(place.services if service is None else [service])
        if fault == "silent":
            return None
        record = None if service is None or service.expect == "NXDOMAIN" else service.expect or "127.0.0.1"
        if fault == "wrong":
            record = _ELSEWHERE
        if record is None or name is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif query.question[0].rdtype == (dns.rdatatype.AAAA if ":" in record else dns.rdatatype.A):
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", query.question[0].rdtype, record))
        return reply.to_wire()

    def _ntp(self, query: bytes, place: _Place) -> bytes | None:
        fault = self._fault(place.services)
        if fault == "silent":
            return None
        return encode_reply(query, time.time(), 0 if fault == "wrong" else _STRATUM)


class _Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram, or not."""

    def __init__(self, place: _Place, answer: Callable[[bytes, _Place], bytes | None]) -> None:
        self._place = place
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio gives us the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question."""
        reply = self._answer(data, self._place)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)
