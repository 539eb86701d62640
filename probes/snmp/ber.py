"""BER as SNMP uses it (X.690; RFC 3417, 8): definite lengths, a fixed grammar, no recursion.

Accepted although not minimal, because agents in the field send it and its meaning is plain: long forms of short
lengths, integers with redundant leading octets, unsigned numbers without their leading zero octet.
"""

from functools import lru_cache
from typing import Final

from probes.snmp.errors import BadRequest, MalformedMessage
from probes.snmp.oid import LARGEST_ARC, LONGEST_OID, Oid, check_oid
from probes.snmp.values import UNSIGNED_LIMITS, Missing, Value, VarBind

_INTEGER, _OCTET_STRING, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_IP_ADDRESS, _OPAQUE = 0x40, 0x44
_MISSING: Final = {item.value: item for item in Missing}
_LONGEST_LENGTH = 4
_LONGEST_NUMBER = 9


def encode_length(length: int) -> bytes:
    """Octets of a length, in the shortest form (X.690, 8.1.3)."""
    if length < 0x80:  # noqa: PLR2004 the short form's limit
        return bytes((length,))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def tlv(tag: int, content: bytes) -> bytes:
    """Tag, length and content."""
    return bytes((tag,)) + encode_length(len(content)) + content


def encode_integer(value: int, tag: int = _INTEGER) -> bytes:
    """Encode a number in two's complement, shortest form (X.690, 8.3), with its tag and length."""
    size = (value + (value < 0)).bit_length() // 8 + 1
    return bytes((tag, size)) + value.to_bytes(size, "big", signed=True)


@lru_cache(maxsize=16384)
def encode_oid(oid: Oid) -> bytes:
    """Content octets of an OID (X.690, 8.19); raises BadRequest when BER cannot carry it."""
    check_oid(oid)
    octets = bytearray()
    for arc in (oid[0] * 40 + oid[1], *oid[2:]):
        if arc < 0x80:  # noqa: PLR2004 fits seven bits
            octets.append(arc)
            continue
        groups = (arc.bit_length() + 6) // 7
        octets.extend(0x80 | (arc >> 7 * place & 0x7F) for place in range(groups - 1, 0, -1))
        octets.append(arc & 0x7F)
    return bytes(octets)


@lru_cache(maxsize=16384)
def decode_oid(content: bytes) -> Oid:
    """Read the content octets of an OID; none at all mean 0.0, as net-snmp has it."""
    if not content:
        return (0, 0)
    arcs: list[int] = []
    arc = 0
    for octet in content:
        arc = arc << 7 | octet & 0x7F
        if octet & 0x80:
            continue
        if arc > LARGEST_ARC:
            raise MalformedMessage(f"The message has an OID with the number {arc}, larger than {LARGEST_ARC}.")
        arcs.append(arc)
        arc = 0
    if content[-1] & 0x80 or len(arcs) >= LONGEST_OID:
        raise MalformedMessage("The message has an OID that is cut short or has more than 128 numbers.")
    first = min(arcs[0] // 40, 2)
    return (first, arcs[0] - 40 * first, *arcs[1:])


def read_header(octets: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag, start and stop of the content of the element at an offset; it must lie before end."""
    if at + 2 > end:
        raise MalformedMessage(f"The message ends at octet {at}, where another element should begin.")
    tag, length = octets[at], octets[at + 1]
    start = at + 2
    if length >= 0x80:  # noqa: PLR2004 the long form
        size = length & 0x7F
        if not 1 <= size <= _LONGEST_LENGTH or start + size > end:
            raise MalformedMessage(f"The message has an impossible length at octet {at + 1}.")
        length = int.from_bytes(octets[start : start + size], "big")
        start += size
    if start + length > end:
        raise MalformedMessage(f"The element at octet {at} is longer than what holds it.")
    return tag, start, start + length


def expect(octets: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Start and stop of the content of an element that must have this tag."""
    found, start, stop = read_header(octets, at, end)
    if found != tag:
        raise MalformedMessage(f"Octet {at} is of type 0x{found:02x}, where 0x{tag:02x} belongs.")
    return start, stop


def read_integer(octets: bytes, at: int, end: int) -> tuple[int, int]:
    """Value of an INTEGER of at most 32 bits, and the offset after it."""
    start, stop = expect(octets, at, end, _INTEGER)
    return decode_number(_INTEGER, octets[start:stop]), stop


def read_octets(octets: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Content of an OCTET STRING, and the offset after it."""
    start, stop = expect(octets, at, end, _OCTET_STRING)
    return octets[start:stop], stop


def decode_number(tag: int, content: bytes) -> int:
    """Value of INTEGER, Counter, Gauge, TimeTicks or Unsigned; outside its range it is malformed."""
    if not 1 <= len(content) <= _LONGEST_NUMBER:
        raise MalformedMessage(f"The message has a number of {len(content)} octets.")
    value = int.from_bytes(content, "big", signed=True)
    if tag == _INTEGER:
        if not -0x8000_0000 <= value <= 0x7FFF_FFFF:  # noqa: PLR2004 RFC 2578, 7.1.1
            raise MalformedMessage(f"The message has the INTEGER {value}, which does not fit 32 bits.")
        return value
    limit = UNSIGNED_LIMITS[tag]
    if value < 0:
        value += 1 << 8 * len(content)
    if value >= limit:
        raise MalformedMessage(f"The message has the unsigned number {value}, which does not fit its type.")
    return value


def decode_value(tag: int, content: bytes) -> Value:
    """Value of a variable; a type that SNMP does not know is malformed."""
    if tag in UNSIGNED_LIMITS or tag == _INTEGER:
        return decode_number(tag, content)
    if tag in (_OCTET_STRING, _OPAQUE) or (tag == _IP_ADDRESS and len(content) == 4):  # noqa: PLR2004 a chain is faster than a set here; an address has four octets
        return content
    if tag == _OID:
        return decode_oid(content)
    if tag == _NULL and not content:
        return None
    missing = _MISSING.get(tag)
    if missing is None or content:
        raise MalformedMessage(
            f"The message has a value of type 0x{tag:02x} with {len(content)} octets, unknown to SNMP."
        )
    return missing


def encode_value(value: Value, tag: int) -> bytes:
    """Encode a value under its tag; raises BadRequest where the two do not fit."""
    if isinstance(value, int):
        limit = UNSIGNED_LIMITS.get(tag)
        if (tag == _INTEGER and -0x8000_0000 <= value <= 0x7FFF_FFFF) or (limit is not None and 0 <= value < limit):  # noqa: PLR2004 RFC 2578, 7.1.1
            return encode_integer(value, tag)
    elif isinstance(value, bytes):
        if tag in {_OCTET_STRING, _OPAQUE} or (tag == _IP_ADDRESS and len(value) == 4):  # noqa: PLR2004 an address has four octets
            return tlv(tag, value)
    elif isinstance(value, tuple):
        if tag == _OID:
            return tlv(tag, encode_oid(value))
    elif isinstance(value, Missing):
        if value.value == tag:
            return bytes((tag, 0))
    elif tag == _NULL:
        return b"\x05\x00"
    raise BadRequest(f"The value {value!r} cannot be written as type 0x{tag:02x}.")


def encode_varbinds(varbinds: list[VarBind]) -> bytes:
    """Encode a VarBindList (RFC 3416, 3)."""
    rows = (
        tlv(_SEQUENCE, tlv(_OID, encode_oid(varbind.oid)) + encode_value(varbind.value, varbind.tag))
        for varbind in varbinds
    )
    return tlv(_SEQUENCE, b"".join(rows))


def decode_varbinds(octets: bytes, at: int, end: int) -> tuple[list[VarBind], int]:
    """Read a VarBindList, and the offset after it."""
    at, stop = expect(octets, at, end, _SEQUENCE)
    varbinds: list[VarBind] = []
    while at < stop:
        start, row_stop = expect(octets, at, stop, _SEQUENCE)
        oid_start, oid_stop = expect(octets, start, row_stop, _OID)
        tag, value_start, at = read_header(octets, oid_stop, row_stop)
        if at != row_stop:
            raise MalformedMessage(f"The varbind that ends at octet {row_stop} has more than a name and a value.")
        value = decode_value(tag, octets[value_start:at])
        varbinds.append(VarBind(decode_oid(octets[oid_start:oid_stop]), value, tag))
    return varbinds, stop
