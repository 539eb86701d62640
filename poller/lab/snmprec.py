"""Recordings of real agents: `.snmprec`, one object a line as OID|type|value (the format of snmpsim).

The type is the BER tag in decimal; an "x" behind it says that the value is written as hexadecimal octets:
2 INTEGER, 4 OCTET STRING, 5 NULL, 6 OBJECT IDENTIFIER, 64 IpAddress, 65 Counter32, 66 Gauge32, 67 TimeTicks, 68 Opaque,
70 Counter64. Of snmpsim's variation modules ("67:numeric|...") a plain value is read, anything else refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from probes.snmp.errors import BadRequest
from probes.snmp.oid import parse_oid
from probes.snmp.values import UNSIGNED_LIMITS, Tag, Value, VarBind

_NUMBERS: Final = frozenset({Tag.INTEGER, Tag.COUNTER32, Tag.GAUGE32, Tag.TIME_TICKS, Tag.COUNTER64, Tag.UINTEGER32})
_OCTETS: Final = frozenset({Tag.OCTET_STRING, Tag.OPAQUE})
_ADDRESS_OCTETS: Final = 4


class BadRecording(ValueError):  # noqa: N818 - it says what is the matter
    """A line that is no recorded object."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds: objects in lexicographic order, each OID once; refused says of each unreadable line why."""

    objects: tuple[VarBind, ...]
    refused: tuple[str, ...]


def parse_recording(text: str) -> Recording:
    """The objects of a recording; where an OID is given twice the last one counts.

    A line that cannot be read is refused by itself: shared recordings have values blackened by hand ("<private>").
    """
    by_oid: dict[tuple[int, ...], VarBind] = {}
    refused: list[str] = []
    for number, line in _lines(text):
        try:
            entry = parse_line(line)
        except BadRecording as error:
            refused.append(f"line {number}: {error}")
        else:
            by_oid[entry.oid] = entry
    return Recording(tuple(by_oid[oid] for oid in sorted(by_oid)), tuple(refused))


def parse_line(line: str) -> VarBind:
    """One line; raises BadRecording."""
    parts = line.split("|", 2)
    if len(parts) != 3:  # noqa: PLR2004 - OID, type, value
        raise BadRecording("not OID|type|value")
    kind = parts[1].partition(":")[0]
    try:
        tag = Tag(int(kind.removesuffix("x")))
        value = _value_of_octets(tag, bytes.fromhex(parts[2])) if kind.endswith("x") else _value_of_text(tag, parts[2])
        return VarBind(parse_oid(parts[0]), value, tag)
    except (ValueError, BadRequest) as error:
        raise BadRecording(str(error)) from None


def _lines(text: str) -> Iterable[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        clean = line.rstrip("\r")
        if clean.strip() and not clean.startswith("#"):
            yield number, clean


def _value_of_octets(tag: Tag, octets: bytes) -> Value:
    if tag in _OCTETS or (tag is Tag.IP_ADDRESS and len(octets) == _ADDRESS_OCTETS):
        return octets
    if tag in _NUMBERS:
        return int.from_bytes(octets, signed=tag is Tag.INTEGER)
    raise ValueError(f"a value of type {int(tag)} cannot be written as these hexadecimal octets")


def _value_of_text(tag: Tag, text: str) -> Value:
    if tag in _NUMBERS:
        value = int(text)
        limit = UNSIGNED_LIMITS.get(tag)
        return value if limit is None else value % limit
    if tag in _OCTETS:
        return text.encode()
    if tag is Tag.OBJECT_IDENTIFIER:
        return parse_oid(text)
    if tag is Tag.IP_ADDRESS:
        return IPv4Address(text.strip()).packed
    if tag is Tag.NULL:
        return None
    raise ValueError(f"a recording has no values of type {int(tag)}")
