"""NTP on the wire, as far as a client needs it (RFC 5905, 7.3). Pure: bytes in, values out."""

import struct
from dataclasses import dataclass
from typing import Final

_PACKET: Final = struct.Struct("!BBbb3I4Q")
"""LI VN mode, stratum, poll, precision; root delay, root dispersion, reference id; four times of 64 bits."""
UNIX_EPOCH: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""
_ERA: Final = 1 << 32
_VERSION: Final = 4
_CLIENT, _SERVER = 3, 4
UNSYNCHRONISED: Final = 3
"""Leap indicator: alarm, the clock is not synchronised."""
LARGEST_STRATUM: Final = 15


class Malformed(ValueError):  # noqa: N818 - it says what is the matter
    """The octets are no NTP answer; the text says why."""


@dataclass(frozen=True, slots=True)
class NtpReply:
    """A server's answer. receive and transmit are unix seconds of the server's clock; root values are seconds."""

    leap: int
    stratum: int
    reference: bytes
    root_delay_seconds: float
    root_dispersion_seconds: float
    origin: int
    receive_seconds: float
    transmit_seconds: float

    @property
    def kiss_code(self) -> str:
        """The four letters of a kiss-o'-death (RFC 5905, 7.4), "" of any other answer."""
        return self.reference.rstrip(b"\0").decode("ascii", "replace") if self.stratum == 0 else ""

    def offset_seconds(self, sent_seconds: float, received_seconds: float) -> float:
        """How far the server is ahead of us (RFC 5905, 8)."""
        return ((self.receive_seconds - sent_seconds) + (self.transmit_seconds - received_seconds)) / 2


def encode_query(nonce: int) -> bytes:
    """A client's packet whose transmit time is the nonce: it comes back as origin and tells nobody our time."""
    return _PACKET.pack(_VERSION << 3 | _CLIENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, nonce)


def decode_reply(datagram: bytes, now_seconds: float) -> NtpReply:
    """The answer in the datagram; now_seconds chooses the era of its times. Raises Malformed."""
    if len(datagram) < _PACKET.size:
        raise Malformed(f"{len(datagram)} octets, and it takes {_PACKET.size}")
    first, stratum, _, _, delay, dispersion, reference, _, origin, receive, transmit = _PACKET.unpack_from(datagram)
    if first & 7 != _SERVER:
        raise Malformed(f"mode {first & 7}, and not a server's")
    return NtpReply(
        first >> 6,
        stratum,
        reference.to_bytes(4, "big"),
        delay / 65536,
        dispersion / 65536,
        origin,
        _unix(receive, now_seconds),
        _unix(transmit, now_seconds),
    )


def encode_reply(query: bytes, now_seconds: float, stratum: int) -> bytes | None:
    """A server's answer; stratum 0 is that of a clock which is not synchronised. None where there is no query."""
    if len(query) < _PACKET.size:
        return None
    stamp = int((now_seconds + UNIX_EPOCH) * _ERA) % (1 << 64)
    (nonce,) = struct.unpack_from("!Q", query, _PACKET.size - 8)
    leap = 0 if stratum else UNSYNCHRONISED
    return _PACKET.pack(leap << 6 | _VERSION << 3 | _SERVER, stratum, 6, -20, 0, 0, 0, stamp, nonce, stamp, stamp)


def _unix(stamp: int, now_seconds: float) -> float:
    """Unix seconds of a 64-bit time, in the era nearest to now (2036 is one era's end)."""
    seconds = (stamp >> 32) - UNIX_EPOCH + (stamp & 0xFFFFFFFF) / _ERA
    return seconds + round((now_seconds - seconds) / _ERA) * _ERA
