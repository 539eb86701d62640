"""What an agent's variable can be: SNMP's types as cheap Python values, with the tag beside them."""

import struct
from enum import Enum, IntEnum
from typing import Final, NamedTuple, TypeAlias

from probes.snmp.oid import Oid


class Tag(IntEnum):
    """BER tags of SNMP's types (RFC 3416, 3; RFC 2578, 7.1); a VarBind's tag compares equal to these."""

    INTEGER = 0x02
    OCTET_STRING = 0x04
    NULL = 0x05
    OBJECT_IDENTIFIER = 0x06
    SEQUENCE = 0x30
    IP_ADDRESS = 0x40
    COUNTER32 = 0x41
    GAUGE32 = 0x42
    TIME_TICKS = 0x43
    OPAQUE = 0x44
    COUNTER64 = 0x46
    UINTEGER32 = 0x47
    NO_SUCH_OBJECT = 0x80
    NO_SUCH_INSTANCE = 0x81
    END_OF_MIB_VIEW = 0x82


class Missing(Enum):
    """The three answers that say "there is no value" (RFC 3416, 3)."""

    NO_SUCH_OBJECT = 0x80
    NO_SUCH_INSTANCE = 0x81
    END_OF_MIB_VIEW = 0x82


Value: TypeAlias = int | bytes | Oid | Missing | None
"""int for all numbers; bytes for OctetString, IpAddress (4 octets) and Opaque; Oid; Missing; None for Null."""


class VarBind(NamedTuple):
    """One name and its value; tag tells Counter32 from Gauge32 and OctetString from IpAddress (see Tag)."""

    oid: Oid
    value: Value = None
    tag: int = 0x05


UNSIGNED_LIMITS: Final = {0x41: 1 << 32, 0x42: 1 << 32, 0x43: 1 << 32, 0x46: 1 << 64, 0x47: 1 << 32}
"""One more than the largest value, by tag."""

_OPAQUE_FLOAT = b"\x9f\x78\x04"
_OPAQUE_DOUBLE = b"\x9f\x79\x08"


def decode_opaque_float(content: bytes) -> float | None:
    """Read the float or double that net-snmp wraps into an Opaque (UCD-SNMP-MIB's Float); None for anything else."""
    if content.startswith(_OPAQUE_FLOAT) and len(content) == 7:  # noqa: PLR2004 three octets of header, four of IEEE 754
        return float(struct.unpack(">f", content[3:])[0])
    if content.startswith(_OPAQUE_DOUBLE) and len(content) == 11:  # noqa: PLR2004 three octets of header, eight of IEEE 754
        return float(struct.unpack(">d", content[3:])[0])
    return None
