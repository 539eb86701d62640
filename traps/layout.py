"""Where things lie in the octets of a notification, and what its likes have in common: the fast path. Pure.

A device sends the same notification again and again: other request id, other sysUpTime, other instance, other values,
and every other octet where it was. A Shape is such a message seen once: its mask has ones where octets are fixed, so
one exclusive-or of big integers proves that another message is of this shape and therefore well formed, from the same
community and of the same meaning. Only then are values cut out, where they lie.

Inside what is variable the mask holds what keeps the grammar: the high bits of OID octets (they end the numbers) and
the leading octet of numbers that fill their type. So a message that fits is one that the general codec reads, alike.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from probes.snmp.ber import decode_oid, decode_value, encode_oid, expect, read_header
from probes.snmp.message import PduKind
from probes.snmp.oid import Oid
from probes.snmp.values import Tag, Value, VarBind
from traps.catalogue import Catalogue, Meaning
from traps.notification import SYS_UPTIME, TRAP_ADDRESS, TRAP_OID, Notification
from traps.oddities import Gap

_UNSIGNED_ROOM: Final[dict[int, int]] = {
    Tag.COUNTER32: 4,
    Tag.GAUGE32: 4,
    Tag.TIME_TICKS: 4,
    Tag.UINTEGER32: 4,
    Tag.COUNTER64: 8,
}
_MEASURED: Final = frozenset((Tag.COUNTER32, Tag.GAUGE32, Tag.TIME_TICKS, Tag.COUNTER64))
"""Values that say how much, not what: two notifications that differ only in these are the same."""
_FRAME: Final = frozenset((SYS_UPTIME, TRAP_OID, TRAP_ADDRESS))
_OF_THE_FRAME: Final = frozenset(oid[:-1] for oid in _FRAME)
_LONG_ARC: Final = 5
"""Octets of a sub-identifier above 28 bits; its first octet is held fixed, so that it cannot pass 32 bits."""


class Row(NamedTuple):
    """One varbind in the octets: where it begins, its OID's content, its value's tag and content, its end."""

    at: int
    oid_start: int
    oid_stop: int
    tag: int
    start: int
    stop: int


class Layout(NamedTuple):
    """Where the parts of a notification's PDU lie. For v1, rows are its varbinds and uptime is a field of its own."""

    kind: int
    request_id: tuple[int, int]
    uptime: tuple[int, int] | None
    rows: list[Row]


def lay_out(octets: bytes, at: int) -> Layout:
    """Find the parts of the PDU at an offset; MalformedMessage where it is none (octets a codec has read do not)."""
    kind, at, stop = read_header(octets, at, len(octets))
    if kind == PduKind.TRAP_V1:
        for tag in (0x06, 0x40, 0x02, 0x02):
            _, at = expect(octets, at, stop, tag)
        start, at = expect(octets, at, stop, 0x43)
        return Layout(kind, (at, at), (start, at), _rows(octets, at, stop))
    start, at = expect(octets, at, stop, 0x02)
    request_id = (start, at)
    for _ in range(2):
        _, at = expect(octets, at, stop, 0x02)
    return Layout(kind, request_id, None, _rows(octets, at, stop))


def _rows(octets: bytes, at: int, end: int) -> list[Row]:
    at, stop = expect(octets, at, end, 0x30)
    rows = []
    while at < stop:
        begin = at
        start, row_stop = expect(octets, at, stop, 0x30)
        oid_start, oid_stop = expect(octets, start, row_stop, 0x06)
        tag, start, at = read_header(octets, oid_stop, row_stop)
        rows.append(Row(begin, oid_start, oid_stop, tag, start, at))
    return rows


@lru_cache(maxsize=65536)
def _suffix(octets: bytes) -> Oid:
    """Sub-identifiers of the end of an OID, whose first octets are known."""
    arcs: list[int] = []
    arc = 0
    for octet in octets:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    return tuple(arcs)


class Shape:
    """A notification as it looked, with what its likes share: meaning, key, and how to read them.

    key(octets) names what the notification is about; two with the same key within a short time are one, repeated.
    fits only where `mask` is not zero: others have a form that is not worth remembering.
    """

    __slots__ = (
        "_added",
        "_agent_address",
        "_cuts",
        "_kind",
        "_plan",
        "_unpack",
        "_uptime",
        "fixed",
        "gap",
        "head",
        "mask",
        "meaning",
        "oid",
        "size",
        "tally",
        "version",
    )

    def __init__(self, octets: bytes, pdu_at: int, notification: Notification, catalogue: Catalogue) -> None:
        layout = lay_out(octets, pdu_at)
        self.meaning: Meaning = catalogue.meaning(notification.oid)
        self.tally: list[int] = [0]
        """How many were received of this notification from this source; shared among its shapes."""
        self.gap: Gap | None = None
        """Where the notification is counted if no catalogue names it."""
        self.version = ""
        self.size = len(octets)
        self.oid = notification.oid
        self.head = encode_oid(notification.oid) + (notification.agent_address or b"")
        self._kind = notification.kind
        self._agent_address = notification.agent_address
        told = [row for row in layout.rows if not _is_frame(octets, row)] if layout.uptime is None else layout.rows
        self._cuts = _cuts(_key_rows(octets, told, self.meaning, catalogue))
        self._added = notification.varbinds[len(layout.rows) :] if layout.uptime is not None else ()
        self.mask, self.fixed = 0, 0
        self._plan: list[tuple[Oid, int]] = []
        self._unpack = struct.Struct("").unpack_from
        self._uptime = (0, 0)
        self._learn(octets, layout, catalogue)

    def _learn(self, octets: bytes, layout: Layout, catalogue: Catalogue) -> None:
        frame = [row.tag for row in layout.rows if _is_frame(octets, row)]
        usual = [] if layout.uptime is not None else [Tag.TIME_TICKS, Tag.OBJECT_IDENTIFIER]
        if layout.kind == PduKind.INFORM or frame != usual:
            return
        mask = bytearray(b"\xff") * len(octets)
        if not _open_number(mask, *layout.request_id):
            return
        if layout.uptime is not None:
            self._uptime = layout.uptime
            if not _open_number(mask, *layout.uptime):
                return
        formats, done = [">"], 0
        for row in layout.rows:
            if not _open_value(octets, row, mask):
                return
            if _is_frame(octets, row):
                self._uptime = (row.start, row.stop) if row.tag == Tag.TIME_TICKS else self._uptime
                continue
            suffix_at = _open_instance(octets, row, mask, catalogue)
            formats.append(f"{suffix_at - done}x{row.oid_stop - suffix_at}s")
            formats.append(f"{row.start - row.oid_stop}x{row.stop - row.start}s")
            done = row.stop
            self._plan.append((decode_oid(octets[row.oid_start : suffix_at]), row.tag))
        self._unpack = struct.Struct("".join(formats)).unpack_from
        self.mask = int.from_bytes(mask, "big")
        self.fixed = int.from_bytes(octets, "big") & self.mask

    def key(self, octets: bytes) -> bytes:
        """What the notification is about, as octets that are equal where it is the same."""
        cuts = self._cuts
        if len(cuts) == 1:
            start, stop = cuts[0]
            return self.head + octets[start:stop]
        return self.head + b"".join([octets[start:stop] for start, stop in cuts])

    def read(self, octets: bytes) -> Notification:
        """The notification in octets that fit this shape."""
        varbinds = []
        fields = iter(self._unpack(octets))
        number = int.from_bytes
        for (prefix, tag), suffix, content in zip(self._plan, fields, fields):  # noqa: B905 - two fields each, by _learn
            oid = prefix + _suffix(suffix) if suffix else prefix
            if tag == 0x02:  # noqa: PLR2004 INTEGER, most of all
                value: Value = number(content, "big", signed=True)
            else:
                value = content if tag == 0x04 else decode_value(tag, content)  # noqa: PLR2004 OCTET STRING
            varbinds.append(_new(VarBind, (oid, value, tag)))
        start, stop = self._uptime
        uptime = number(octets[start:stop], "big")
        told = (*varbinds, *self._added) if self._added else tuple(varbinds)
        return _new(Notification, (self._kind, self.oid, uptime, told, self._agent_address))


_new: Final = tuple.__new__
"""Makes a named tuple without the call of its own __new__: half the time of reading a notification."""


def _is_frame(octets: bytes, row: Row) -> bool:
    """Whether the row is sysUpTime or snmpTrapOID, which every notification has."""
    return decode_oid(octets[row.oid_start : row.oid_stop]) in {SYS_UPTIME, TRAP_OID}


def _key_rows(octets: bytes, rows: Sequence[Row], meaning: Meaning, catalogue: Catalogue) -> list[Row]:
    """The varbinds that say what it is about: those the catalogue names, else all that are no measured values."""
    if meaning.key:
        named = [
            row
            for place, row in enumerate(rows)
            if catalogue.name_varbind(meaning, place, decode_oid(octets[row.oid_start : row.oid_stop])) in meaning.key
        ]
        if named:
            return named
    return [row for row in rows if row.tag not in _MEASURED]


def _cuts(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Where the rows lie, neighbours in one piece."""
    cuts: list[tuple[int, int]] = []
    for row in rows:
        if cuts and cuts[-1][1] == row.at:
            cuts[-1] = (cuts[-1][0], row.stop)
        else:
            cuts.append((row.at, row.stop))
    return cuts


def _open_instance(octets: bytes, row: Row, mask: bytearray, catalogue: Catalogue) -> int:
    """Let the instance of a known object vary, number by number; the answer is where it begins."""
    oid = decode_oid(octets[row.oid_start : row.oid_stop])
    known = catalogue.object_of(oid)
    if known is None or len(known.oid) >= len(oid) or known.oid in _OF_THE_FRAME or oid in _FRAME:
        return row.oid_stop
    at = row.oid_start + len(encode_oid(known.oid))
    if octets[row.oid_start : at] != encode_oid(known.oid):  # written in a longer way than needed
        return row.oid_stop
    first = at
    for place in range(at, row.oid_stop):
        mask[place] = 0x80
        if not octets[place] & 0x80:
            if place - first + 1 >= _LONG_ARC:
                mask[first] = 0xFF
            first = place + 1
    return at


def _open_number(mask: bytearray, start: int, stop: int) -> bool:
    """Let a number of at most 32 bits vary; False where it has more octets than it needs."""
    if stop - start > 4:  # noqa: PLR2004 32 bits
        return False
    mask[start:stop] = bytes(stop - start)
    return True


def _open_value(octets: bytes, row: Row, mask: bytearray) -> bool:
    """Let the value vary within its type and length; False where such a value cannot be read by shape."""
    size = row.stop - row.start
    oid = decode_oid(octets[row.oid_start : row.oid_stop])
    if oid in {TRAP_OID, TRAP_ADDRESS} or row.tag == Tag.OBJECT_IDENTIFIER:
        return True
    if row.tag == Tag.INTEGER:
        return _open_number(mask, row.start, row.stop)
    if row.tag in _UNSIGNED_ROOM:
        extra = max(0, size - _UNSIGNED_ROOM[row.tag])
        mask[row.start + extra : row.stop] = bytes(size - extra)
    elif row.tag in {Tag.OCTET_STRING, Tag.IP_ADDRESS, Tag.OPAQUE}:
        mask[row.start : row.stop] = bytes(size)
    return True
