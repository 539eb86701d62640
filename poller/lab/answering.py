"""What an agent answers to a request: RFC 3416, 4.2 (v2c and v3), RFC 1157, 4.1 and RFC 3584, 4.2 (v1). Pure."""

from typing import Final

from poller.lab.mib import Readable
from probes.snmp.message import V1, Pdu, PduKind, answer
from probes.snmp.oid import Oid
from probes.snmp.values import Missing, Tag, VarBind

TOO_BIG, NO_SUCH_NAME, GENERAL_ERROR, NOT_WRITABLE = 1, 2, 5, 17
"""Error statuses (RFC 3416, 3)."""

_VARBIND_FRAME: Final = 8
"""Octets of tags and lengths around a name and its value, at most."""
_LARGEST_NUMBER: Final = 9


def answer_request(view: Readable, request: Pdu, version: int, time_ns: int, room: int) -> Pdu | None:
    """The response to a request, None where an agent is silent; room is the octets its varbinds may take."""
    if request.kind is PduKind.SET:
        return answer(request, request.varbinds, NO_SUCH_NAME if version == V1 else NOT_WRITABLE, 1)
    if request.kind is PduKind.GET:
        found = [view.get(entry.oid, time_ns) for entry in request.varbinds]
    elif request.kind is PduKind.GET_NEXT:
        step = _next_of_v1 if version == V1 else _next
        found = [step(view, entry.oid, time_ns) for entry in request.varbinds]
    elif request.kind is PduKind.GET_BULK and version != V1:
        return answer(request, _bulk(view, request, time_ns, room))
    else:
        return None
    if version == V1:
        for place, entry in enumerate(found, start=1):
            if isinstance(entry.value, Missing) or entry.tag == Tag.COUNTER64:
                return answer(request, request.varbinds, NO_SUCH_NAME, place)
    if sum(map(octets_of, found)) > room:
        return answer(request, request.varbinds if version == V1 else [], TOO_BIG)
    return answer(request, found)


def octets_of(entry: VarBind) -> int:
    """Octets a varbind takes at most."""
    name = sum(1 if arc < 0x80 else 2 if arc < 0x4000 else 5 for arc in entry.oid)  # noqa: PLR2004 - groups of 7 bits
    value = entry.value
    if isinstance(value, bytes):
        return name + len(value) + _VARBIND_FRAME
    if isinstance(value, tuple):
        return name + 5 * len(value) + _VARBIND_FRAME
    return name + _LARGEST_NUMBER + _VARBIND_FRAME


def _next(view: Readable, oid: Oid, time_ns: int) -> VarBind:
    return view.next(oid, time_ns)


def _next_of_v1(view: Readable, oid: Oid, time_ns: int) -> VarBind:
    """The next object that v1 can carry: Counter64 is passed over (RFC 3584, 4.2.2.1)."""
    entry = view.next(oid, time_ns)
    while entry.tag == Tag.COUNTER64:
        entry = view.next(entry.oid, time_ns)
    return entry


def _bulk(view: Readable, request: Pdu, time_ns: int, room: int) -> list[VarBind]:
    """RFC 3416, 4.2.3: as many whole or cut rows as there is room for."""
    alone = max(0, min(request.error_status, len(request.varbinds)))
    found = [view.next(entry.oid, time_ns) for entry in request.varbinds[:alone]]
    room -= sum(map(octets_of, found))
    names = [entry.oid for entry in request.varbinds[alone:]]
    for _ in range(max(0, request.error_index) if names else 0):
        row = [view.next(oid, time_ns) for oid in names]
        for entry in row:
            room -= octets_of(entry)
            if room < 0:
                return found
            found.append(entry)
        if all(entry.tag == Missing.END_OF_MIB_VIEW.value for entry in row):
            return found
        names = [entry.oid for entry in row]
    return found
