"""Single variables and subtrees of a device, by OID: for a look at what no profile reads (yet)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from poller.profile_values import as_text
from probes.snmp import Missing, Oid, Snmp, SnmpTarget, VarBind, format_oid
from probes.snmp.values import Value, decode_opaque_float

LONGEST_SUBTREE: Final = 10_000
"""Variables of one subtree that are shown; a whole routing table is nobody's intention."""


async def read_variables(snmp: Snmp, target: SnmpTarget, oids: Sequence[Oid]) -> AsyncIterator[VarBind]:
    """Each variable asked for, or where there is none everything below that OID; Missing where neither exists.

    Raises SnmpError where the device does not answer, or says that it cannot.
    """
    for varbind in await snmp.get(target, oids):
        if not isinstance(varbind.value, Missing):
            yield varbind
            continue
        below = 0
        async for one in snmp.walk(target, varbind.oid):
            yield one
            below += 1
            if below == LONGEST_SUBTREE:
                break
        if not below:
            yield varbind


def as_plain(varbind: VarBind) -> dict[str, Any]:
    """For scripts: numbers as numbers, OIDs dotted, octets as text where they are text, else in hexadecimal."""
    return {"oid": format_oid(varbind.oid), "value": _plain(varbind.value)}


def _plain(value: Value) -> int | float | str | None:
    if isinstance(value, bytes):
        number, text = decode_opaque_float(value), as_text(value)
        if number is not None:
            return number
        return value.hex() if "\N{REPLACEMENT CHARACTER}" in text or b"\0" in value else text
    if isinstance(value, tuple):
        return format_oid(value)
    return value if isinstance(value, int) else None
