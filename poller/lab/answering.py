"""What an agent answers to a request: RFC 3416, 4.2 (v2c and v3), RFC 1157, 4.1 and RFC 3584, 4.2 (v1). Pure."""

from functools import lru_cache

from poller.lab.mib import Readable
from probes.snmp.ber import encode_oid
from probes.snmp.message import V1, Pdu, PduKind, answer
from probes.snmp.oid import Oid
from probes.snmp.values import Missing, Tag, VarBind

TOO_BIG, NO_SUCH_NAME, GENERAL_ERROR, NOT_WRITABLE = 1, 2, 5, 17
"""Error statuses (RFC 3416, 3)."""


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
    """Octets a varbind takes (X.690, 8.1), long forms of lengths included."""
    value = entry.value
    if isinstance(value, int):
        content = (value + (value < 0)).bit_length() // 8 + 1
    elif isinstance(value, bytes):
        content = len(value)
    else:
        content = _oid_octets(value) if isinstance(value, tuple) else 0
    return _framed(_framed(_oid_octets(entry.oid)) + _framed(content))


@lru_cache(maxsize=65536)
def _oid_octets(oid: Oid) -> int:
    return len(encode_oid(oid))


def _framed(content: int) -> int:
    return content + (2 if content < 0x80 else 3 if content < 0x100 else 4)  # noqa: PLR2004 - limits of the forms


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
