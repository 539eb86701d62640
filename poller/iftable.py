"""The interfaces of a device: rows of IF-MIB's two tables (RFC 2863) joined, and named once and for all. Pure."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from poller.profile_values import as_text
from probes.snmp.oid import Oid, parse_oid

Kept: TypeAlias = int | bytes | Oid
"""A value worth keeping: what an agent has, not what it lacks."""

IF_ENTRY: Final = parse_oid("1.3.6.1.2.1.2.2.1")
IF_X_ENTRY: Final = parse_oid("1.3.6.1.2.1.31.1.1.1")
COLUMNS: Final[Mapping[str, Oid]] = {
    "ifDescr": (*IF_ENTRY, 2),
    "ifType": (*IF_ENTRY, 3),
    "ifSpeed": (*IF_ENTRY, 5),
    "ifInOctets": (*IF_ENTRY, 10),
    "ifName": (*IF_X_ENTRY, 1),
    "ifHCInOctets": (*IF_X_ENTRY, 6),
    "ifHCInUcastPkts": (*IF_X_ENTRY, 7),
    "ifHCInMulticastPkts": (*IF_X_ENTRY, 8),
    "ifHighSpeed": (*IF_X_ENTRY, 15),
    "ifAlias": (*IF_X_ENTRY, 18),
    "ifCounterDiscontinuityTime": (*IF_X_ENTRY, 19),
}
_MEGA: Final = 10**6
_SPEED_SATURATED: Final = 0xFFFF_FFFF
"""ifSpeed says this where the interface is faster than it can count (RFC 2863)."""


Packets: TypeAlias = Literal["casts", "unicast", "none", "narrow"]


@dataclass(frozen=True, slots=True)
class Interface:
    """One row of the interfaces tables.

    name: unique in the device, the key of the series. speed: bits per second, 0 unknown.
    wide: octets as Counter64. counted: has octets at all. discontinuity: has ifCounterDiscontinuityTime.
    packets: what is asked beside 64-bit octets, "casts" for unicast, multicast and broadcast, "unicast" for that one
    only, "none" where there is no 64-bit counter, for widths are not mixed in a row; "narrow" beside 32-bit octets.
    """

    name: str
    if_index: int
    alias: str = ""
    description: str = ""
    if_type: int = 0
    speed: int = 0
    wide: bool = False
    counted: bool = True
    packets: Packets = "narrow"
    discontinuity: bool = False

    def __post_init__(self) -> None:
        """Share the names: a thousand switches have the same."""
        for name in ("name", "alias", "description"):
            object.__setattr__(self, name, sys.intern(getattr(self, name)))


def build_interfaces(columns: Mapping[str, Mapping[int, Kept]]) -> tuple[Interface, ...]:
    """Rows of the interfaces tables, joined by ifIndex (an outer join: some agents leave rows out of ifXTable)."""
    indexes = sorted({*columns["ifDescr"], *columns["ifName"], *columns["ifHCInOctets"]})
    names = unique_names(
        [(index, as_text(columns["ifName"].get(index)), as_text(columns["ifDescr"].get(index))) for index in indexes]
    )
    return tuple(_interface(columns, index, name) for index, name in zip(indexes, names, strict=True))


def _interface(columns: Mapping[str, Mapping[int, Kept]], index: int, name: str) -> Interface:
    def number(column: str) -> int | None:
        return _whole(columns[column].get(index))

    high, low = number("ifHighSpeed") or 0, number("ifSpeed") or 0
    wide = number("ifHCInOctets") is not None
    return Interface(
        name=name,
        if_index=index,
        alias=as_text(columns["ifAlias"].get(index)),
        description=as_text(columns["ifDescr"].get(index)),
        if_type=number("ifType") or 0,
        speed=high * _MEGA or (0 if low == _SPEED_SATURATED else low),
        wide=wide,
        counted=wide or number("ifInOctets") is not None,
        packets=_packets(number) if wide else "narrow",
        discontinuity=number("ifCounterDiscontinuityTime") is not None,
    )


def _packets(number: Callable[[str], int | None]) -> Packets:
    if number("ifHCInUcastPkts") is None:
        return "none"
    return "casts" if number("ifHCInMulticastPkts") is not None else "unicast"


def unique_names(rows: Sequence[tuple[int, str, str]]) -> list[str]:
    """Names of interfaces from (ifIndex, ifName, ifDescr).

    ifName, else ifDescr; where two would be equal, ifName and ifDescr together; and where even these are equal,
    numbered in order of ifIndex, for there is nothing better.
    """
    names = [name or description or f"if{index}" for index, name, description in rows]
    shared = Counter(names)
    names = [
        f"{name} {description}" if shared[name] > 1 and description not in {"", name} else name
        for name, (_, _, description) in zip(names, rows, strict=True)
    ]
    shared = Counter(names)
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name}~{seen[name]}" if shared[name] > 1 else name)
    return unique


def _whole(value: Kept | None) -> int | None:
    return value if isinstance(value, int) else None
