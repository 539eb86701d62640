"""ICMP echoes as bytes (RFC 792, RFC 4443): requests prepared once per target, replies and refusals recognised.

An echo carries a token, a keyed hash that nobody off the path can guess, and its whole 32-bit sequence; identifier and
16-bit sequence of the header are filled as every ping does, but nothing is believed because of them.

    0      4           8        16         20
    | type, code, sum | id, seq | token    | sequence | padding ...
"""

import hashlib
import struct
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

TOKEN_OCTETS: Final = 8
SMALLEST_PAYLOAD: Final = TOKEN_OCTETS + 4
"""Octets of payload that the token and the sequence need."""

_HEADER_OCTETS: Final = 8
_SHORTEST: Final = _HEADER_OCTETS + SMALLEST_PAYLOAD
_IPV4_SMALLEST: Final = 20
_IPV6_HEADER: Final = 40

_REQUEST_V4, _REPLY_V4 = 8, 0
_REQUEST_V6, _REPLY_V6 = 128, 129
_REFUSALS_V4: Final = frozenset({3, 11})  # destination unreachable, time exceeded
_REFUSALS_V6: Final = frozenset({1, 3})  # the same of RFC 4443

_pack_changes: Final = struct.Struct(f"!HHH{TOKEN_OCTETS}sI").pack_into
"""Sum, identifier, sequence, token, sequence: what changes, and what stands between, in one call."""
_unpack_echo: Final[Callable[[bytes, int], tuple[bytes, int]]] = struct.Struct(f"!{TOKEN_OCTETS}sI").unpack_from


class Framing(Enum):
    """What a socket hands over: a raw IPv4 socket puts the IP header in front, every other one does not."""

    IPV4_RAW = "raw IPv4"
    IPV4_PING = "ping IPv4"
    IPV6 = "IPv6"


_RAW: Final = Framing.IPV4_RAW
_V6: Final = Framing.IPV6


class EchoRefusal(NamedTuple):
    """Somebody on the way said that our echo cannot be delivered: ICMP type and code of what they said."""

    token: bytes
    sequence: int
    type: int
    code: int


def token_of(key: bytes, target: bytes) -> bytes:
    """The token of a target under the key of this prober (BLAKE2s, 64 bits)."""
    return hashlib.blake2s(target, key=key, digest_size=TOKEN_OCTETS).digest()


class PreparedEcho:
    """The echo request to one target, made once; each sending changes sequence and checksum only.

    payload_octets: what follows the 8-octet ICMP header, at least SMALLEST_PAYLOAD.
    """

    __slots__ = ("_identifier", "_octets", "_sum", "_token")

    def __init__(self, *, ipv6: bool, identifier: int, token: bytes, payload_octets: int) -> None:
        padding = bytes(index & 0xFF for index in range(payload_octets - SMALLEST_PAYLOAD))
        request = _REQUEST_V6 if ipv6 else _REQUEST_V4
        self._octets = bytearray(struct.pack("!BBHHH", request, 0, 0, identifier, 0) + token + bytes(4) + padding)
        self._identifier = identifier
        self._token = token
        self._sum = _sum_of_words(self._octets)

    def numbered(self, sequence: int) -> bytearray:
        """The datagram of the echo with this 32-bit sequence; it is overwritten by the next call.

        The checksum is that of RFC 1071; for ICMPv6 the kernel replaces it, since it covers addresses we do not choose.
        """
        low = sequence & 0xFFFF
        total = self._sum + (sequence >> 16) + low + low  # the low half stands in the header and in the payload
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        octets = self._octets
        _pack_changes(octets, 2, total ^ 0xFFFF, self._identifier, low, self._token, sequence)
        return octets


def decode_reply(datagram: bytes, framing: Framing) -> tuple[bytes, int] | None:
    """Token and sequence of an echo that came back; None where it is none, or too short to tell.

    The token is not checked here: who knows the tokens looks it up.
    """
    if framing is _RAW:
        start = (datagram[0] & 0x0F) * 4 if datagram else 0
        kind = _REPLY_V4
    else:
        start = 0
        kind = _REPLY_V6 if framing is _V6 else _REPLY_V4
    if len(datagram) < start + _SHORTEST or datagram[start] != kind:
        return None
    return _unpack_echo(datagram, start + _HEADER_OCTETS)


def decode_refusal(datagram: bytes, framing: Framing) -> EchoRefusal | None:
    """What somebody on the way says of an echo of ours; None where that is nothing, or too short to tell."""
    start = (datagram[0] & 0x0F) * 4 if framing is _RAW and datagram else 0
    ipv6 = framing is _V6
    if len(datagram) <= start or datagram[start] not in (_REFUSALS_V6 if ipv6 else _REFUSALS_V4):
        return None
    return _decode_refusal(datagram, start, ipv6=ipv6)


def decode_sent(datagram: bytes, payload_octets: int) -> tuple[bytes, int] | None:
    """Token and sequence of an echo of ours that the kernel hands back as it left; None where it is too short.

    Whatever headers of link and network stand in front, the payload stands at the end.
    """
    start = len(datagram) - payload_octets
    return None if start < 0 or payload_octets < SMALLEST_PAYLOAD else _unpack_echo(datagram, start)


def _decode_refusal(datagram: bytes, start: int, *, ipv6: bool) -> EchoRefusal | None:
    """The echo quoted in an error message: the IP header and what it carried (RFC 1812, 4.3.2.3; RFC 4443, 2.4 c).

    A router that quotes only the 8 octets of RFC 792 leaves the token out, and is not believed.
    """
    quoted = start + _HEADER_OCTETS
    smallest = _IPV6_HEADER if ipv6 else _IPV4_SMALLEST
    if len(datagram) < quoted + smallest:
        return None
    echo = quoted + (_IPV6_HEADER if ipv6 else (datagram[quoted] & 0x0F) * 4)
    if len(datagram) < echo + _HEADER_OCTETS + SMALLEST_PAYLOAD:
        return None
    if datagram[echo] != (_REQUEST_V6 if ipv6 else _REQUEST_V4):
        return None
    token, sequence = _unpack_echo(datagram, echo + _HEADER_OCTETS)
    return EchoRefusal(token, sequence, datagram[start], datagram[start + 1])


def _sum_of_words(octets: bytes | bytearray) -> int:
    """Sum of the 16-bit words (RFC 1071), folded once so that adding three words keeps it under 32 bits."""
    padded = octets + b"\0" if len(octets) % 2 else octets
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    return (total & 0xFFFF) + (total >> 16)
