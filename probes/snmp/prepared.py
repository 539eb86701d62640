"""Prepared requests, the hot path, pure: a GET encoded once, and its reply decoded by what is known of it.

Three ways to read a reply, each refusing what it does not understand:
1. By remembered shape (Shape): same length, and every octet that is neither value nor request id is equal to the last
   time, proved by one exclusive-or of big integers. Then one struct.unpack reads all values.
2. In order (decode_in_order): a loop that knows the order of the OIDs and checks each; it learns the shape.
3. Neither fits: the caller takes the general codec.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from probes.snmp.ber import decode_oid, encode_oid, tlv
from probes.snmp.oid import Oid

FastValue: TypeAlias = int | bytes
ValueSpan: TypeAlias = tuple[int, int, int]
"""Start, length and tag of a value in a reply."""

_ZERO_STATUS = b"\x02\x01\x00\x02\x01\x00"
_SEQUENCE, _INTEGER, _OCTET_STRING, _RESPONSE = 0x30, 0x02, 0x04, 0xA2
_ID_SIZE = 4
_CODES: Final = {1: ("B", 1), 2: ("H", 2), 3: ("I", 4), 4: ("I", 4), 5: ("Q", 8), 6: ("Q", 8), 7: ("Q", 8), 8: ("Q", 8)}
"""By octets of a value: struct code that covers it, and the octets that code reads."""

_LIMITS: Final = {0x02: 1 << 31, 0x41: 1 << 32, 0x42: 1 << 32, 0x43: 1 << 32, 0x46: 1 << 64, 0x47: 1 << 32}


def find_request_id(datagram: bytes) -> int:
    """Request id (v1, v2c) or msgID (v3) of a message of ours, without decoding it; -1 where there is none."""
    try:
        at = datagram[1]
        at = 2 if at < 0x80 else at - 0x7E  # noqa: PLR2004 octets of tag and length, short or long form
        if datagram[at + 2] == 3:  # noqa: PLR2004 v3: the global header follows
            at += 3
            size = datagram[at + 1]
            at += 2 if size < 0x80 else size - 0x7E  # noqa: PLR2004 as above
        else:
            at += datagram[at + 4] + 5
            size = datagram[at + 1]
            at += 2 if size < 0x80 else size - 0x7E  # noqa: PLR2004 as above
        if datagram[at] != _INTEGER or datagram[at + 1] != _ID_SIZE:
            return -1
        return int.from_bytes(datagram[at + 2 : at + 6], "big", signed=True)
    except IndexError:
        return -1


def find_pdu(datagram: bytes) -> int:
    """Offset of the PDU in a v1 or v2c message that find_request_id has understood."""
    at = _after_header(datagram, 0) + 4
    return at + datagram[at] + 1


def find_scoped_pdu(scoped: bytes) -> int:
    """Offset of the PDU in a scoped PDU in the clear; 0, where no PDU begins, when it is none."""
    try:
        at = _after_header(scoped, 0)
        at += scoped[at + 1] + 2
        return at + scoped[at + 1] + 2
    except IndexError:
        return 0


class Template:
    """A GET for a fixed list of OIDs, all but its request id: PDU octets are prefix + four octets + suffix.

    Equal templates are one object (TemplateCache), so that devices of one kind share them.
    """

    __slots__ = ("__weakref__", "count", "prefix", "suffix")

    def __init__(self, prefix: bytes, suffix: bytes, count: int) -> None:
        self.prefix = prefix
        self.suffix = suffix
        self.count = count

    def oids(self) -> list[Oid]:
        """Read the OIDs back from the octets; they are not kept as tuples, which would take ten times the memory."""
        suffix = self.suffix
        at = _after_header(suffix, len(_ZERO_STATUS))
        oids = []
        while at < len(suffix):
            at = _after_header(suffix, at)
            size = suffix[at + 1]
            start = at + 2
            if size >= 0x80:  # noqa: PLR2004 long form, one octet: an OID has 635 octets at most, ours below 256
                size, start = suffix[at + 2], at + 3
            oids.append(decode_oid(suffix[start : start + size]))
            at = start + size + 2
        return oids


def _after_header(octets: bytes, at: int) -> int:
    size = octets[at + 1]
    return at + 2 if size < 0x80 else at + size - 0x7E  # noqa: PLR2004 short or long form of the length


@lru_cache(maxsize=16384)
def _encode_row(oid: Oid) -> bytes:
    return tlv(_SEQUENCE, tlv(0x06, encode_oid(oid)) + b"\x05\x00")


def encode_template(oids: Sequence[Oid], version: int, community: bytes | None) -> Template:
    """Encode a GET of these OIDs; with community as a whole v1 or v2c message, without it as a bare PDU for v3."""
    rows = b"".join(map(_encode_row, oids))
    suffix = _ZERO_STATUS + tlv(_SEQUENCE, rows)
    id_header = bytes((_INTEGER, _ID_SIZE))
    pdu = tlv(0xA0, id_header + bytes(_ID_SIZE) + suffix)
    if community is not None:
        pdu = tlv(_SEQUENCE, bytes((_INTEGER, 1, version)) + tlv(_OCTET_STRING, community) + pdu)
    return Template(pdu[: len(pdu) - len(suffix) - _ID_SIZE], suffix, len(oids))


class Shape:
    """A reply as it looked last time; see the module's docstring.

    mask has ones where octets are fixed, and fixed is the reply under it, both as numbers, least octet first. A reply
    of this shape, exclusive-or fixed, is zero in all these octets, so that a struct code may cover some of them before
    its value and still read the value. The result is written the other way round: then the octets of each value lie as
    the processor has them, which reads a third faster, and the last value comes first.
    """

    __slots__ = ("__weakref__", "_strings", "_unpack", "fixed", "mask", "size")

    def __init__(self, reply: bytes, mask: int, formats: str) -> None:
        self.mask = mask
        self.fixed = int.from_bytes(reply, "little") & mask
        self.size = len(reply)
        self._unpack = struct.Struct(formats).unpack
        self._strings = "s" in formats

    def read_backwards(self, reply: bytes) -> Sequence[FastValue] | None:
        """Values of a reply, the one asked last first, or None when it has another shape."""
        size = self.size
        if len(reply) != size:
            return None
        differing = int.from_bytes(reply, "little") ^ self.fixed
        if differing & self.mask:
            return None
        values = self._unpack(differing.to_bytes(size, "big"))
        return values if not self._strings else [value[::-1] if type(value) is bytes else value for value in values]


class ShapeCache:
    """Templates and shapes that are in use, each kept once; what nobody uses any more is dropped."""

    def __init__(self) -> None:
        self._templates: WeakValueDictionary[tuple[bytes, bytes], Template] = WeakValueDictionary()
        self._shapes: WeakValueDictionary[int, Shape] = WeakValueDictionary()

    def template(self, oids: Sequence[Oid], version: int, community: bytes | None) -> Template:
        """Encode a template, or find the one that is equal."""
        new = encode_template(oids, version, community)
        return self._templates.setdefault((new.prefix, new.suffix), new)

    def learn(self, reply: bytes, id_at: int, spans: Sequence[ValueSpan]) -> Shape | None:
        """Shape of a reply whose values were found in order; None where it cannot be read by shape."""
        formats = _plan(reply, spans)
        if formats is None:
            return None
        mask = _make_mask(reply, id_at, spans)
        shape = self._shapes.get(int.from_bytes(reply, "little") & mask)
        if shape is None or shape.mask != mask or shape.size != len(reply):
            shape = Shape(reply, mask, formats)
            self._shapes[shape.fixed] = shape
        return shape


def _plan(reply: bytes, spans: Sequence[ValueSpan]) -> str | None:
    """Struct format of the values in the reversed reply; None where there is a negative number.

    Each code covers its value and as much of the fixed octets before it, after it when reversed, as it takes.
    """
    formats, done = ["<"], 0
    for start, length, tag in reversed(spans):
        at = len(reply) - start - length
        if tag == _OCTET_STRING:
            code, size = f"{length}s", length
        else:
            first = reply[start]
            octets = length - 1 if first == 0 and length > 1 else length
            if first >= 0x80 or octets > 8:  # noqa: PLR2004 the sign bit; 64 bits
                return None
            code, size = _CODES[octets]
        formats.append(f"{at - done}x{code}")
        done = at + size
    formats.append(f"{len(reply) - done}x")
    return "".join(formats)


def _make_mask(reply: bytes, id_at: int, spans: Sequence[ValueSpan]) -> int:
    mask = bytearray(b"\xff") * len(reply)
    mask[id_at : id_at + _ID_SIZE] = bytes(_ID_SIZE)
    for start, length, tag in spans:
        mask[start : start + length] = bytes(length)
        if tag != _OCTET_STRING:
            # Fixed inside a number: its leading zero octet, or else its sign bit; both keep it from being misread.
            mask[start] = 0xFF if reply[start] == 0 and length > 1 else 0x80
    return int.from_bytes(mask, "little")


class InOrder:
    """Values of a reply found in the order asked, where they lie, and where the request id lies."""

    __slots__ = ("id_at", "spans", "values")

    def __init__(self, values: list[FastValue], spans: list[ValueSpan], id_at: int) -> None:
        self.values = values
        self.spans = spans
        self.id_at = id_at


def decode_in_order(reply: bytes, at: int, template: Template) -> InOrder | None:
    """Read the response PDU at an offset when it holds exactly the OIDs asked, each with a number or a string.

    None for everything else: an error, an exception, another OID, another order, octets too many or too few.
    """
    try:
        return _decode_in_order(reply, at, template)
    except IndexError:
        return None


def _decode_in_order(reply: bytes, at: int, template: Template) -> InOrder | None:
    id_at = _after_header(reply, at) + 2
    status_at = id_at + _ID_SIZE
    asked = template.suffix
    if reply[at] != _RESPONSE or reply[id_at - 2] != _INTEGER or reply[id_at - 1] != _ID_SIZE:
        return None
    if not reply.startswith(_ZERO_STATUS, status_at):
        return None
    at = _after_header(reply, status_at + len(_ZERO_STATUS))
    ask_at = _after_header(asked, len(_ZERO_STATUS))
    values: list[FastValue] = []
    spans: list[ValueSpan] = []
    for _ in range(template.count):
        # Written out, not called: this loop runs for each value of each new shape.
        size = asked[ask_at + 1]
        ask_at += 2 if size < 0x80 else size - 0x7E  # noqa: PLR2004 short or long form of the length
        name = asked[ask_at : ask_at + asked[ask_at + 1] + 2]
        ask_at += len(name) + 2
        size = reply[at + 1]
        name_at = at + (2 if size < 0x80 else size - 0x7E)  # noqa: PLR2004 as above
        if reply[at] != _SEQUENCE or not reply.startswith(name, name_at):
            return None
        start = name_at + len(name) + 2
        tag, length = reply[start - 2], reply[start - 1]
        at = start + length
        content = reply[start:at]
        value = content if tag == _OCTET_STRING else _read_number(tag, content)
        if value is None or len(content) != length:
            return None
        values.append(value)
        spans.append((start, length, tag))
    return InOrder(values, spans, id_at) if at == len(reply) else None


def _read_number(tag: int, content: bytes) -> int | None:
    limit = _LIMITS.get(tag)
    if limit is None or not 1 <= len(content) <= 9:  # noqa: PLR2004 64 bits and a leading zero
        return None
    value = int.from_bytes(content, "big", signed=True)
    if value < 0 and tag != _INTEGER:
        return None
    return value if -_LIMITS[_INTEGER] <= value < limit else None
