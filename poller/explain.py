"""What a poll does, in words for whoever must find out why a device is not read as it should be."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from poller.discovery import Discovery
from poller.polling import PollPlan
from poller.profile_values import as_text
from poller.profiles import Profile
from probes.snmp import Missing, SnmpError, SnmpTarget, format_oid
from probes.snmp.message import CommunityMessage, Pdu, PduKind, TrapV1Pdu, V3Message, decode_message
from probes.snmp.statistics import Statistics
from probes.snmp.usm import localize_keys, unseal
from probes.snmp.values import VarBind

_FIRST: Final = 4
"""Varbinds that are shown of a datagram; the rest is counted, unless all are asked for."""
_LONGEST_TEXT: Final = 60

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


class Tracer:
    """A trace for Snmp: writes a line, and the varbinds, for every datagram sent and received."""

    def __init__(self, target: SnmpTarget, write: Callable[[str], None], *, every_varbind: bool = False) -> None:
        self._target = target
        self._write = write
        self._every = every_varbind
        self._began: float | None = None
        self._sent: dict[int, float] = {}

    def __call__(self, direction: str, address: Address, datagram: bytes, now: float) -> None:
        """As transport.Trace."""
        self._began = now if self._began is None else self._began
        number, text, varbinds = self._read(datagram)
        took = ""
        if direction == "sent":
            self._sent[number] = now
        elif number in self._sent:
            took = f", after {(now - self._sent[number]) * 1000:.1f} ms"
        arrow = "->" if direction == "sent" else "<-"
        self._write(
            f"{now - self._began:8.4f} s {arrow} {address[0]}:{address[1]} {len(datagram)} octets, {text}{took}"
        )
        shown = varbinds if self._every else varbinds[:_FIRST]
        for one in shown:
            self._write(f"             {format_oid(one.oid)}{_value(one) if direction != 'sent' else ''}")
        if len(varbinds) > len(shown):
            self._write(f"             ... and {len(varbinds) - len(shown)} more")

    def _read(self, datagram: bytes) -> tuple[int, str, list[VarBind]]:
        """Its request id (v3: msgID), what it is, and its varbinds as far as they can be read."""
        try:
            message = decode_message(datagram)
            if isinstance(message, CommunityMessage):
                number = 0 if isinstance(message.pdu, TrapV1Pdu) else message.pdu.request_id
                return number, f"{_version(message.version)} {_pdu(message.pdu)}", message.pdu.varbinds
            engine = (
                f"engine {message.security.engine_id.hex() or 'not known yet'} boots {message.security.engine_boots}"
            )
            pdu = self._open(datagram, message)
        except SnmpError as error:
            return -1, f"not readable: {error}", []
        if pdu is None:
            return message.msg_id, f"v3 encrypted, {engine}", []
        return message.msg_id, f"v3 {_pdu(pdu)}, {engine}", pdu.varbinds

    def _open(self, datagram: bytes, message: V3Message) -> Pdu | TrapV1Pdu | None:
        user = self._target.user
        if user is None:
            return None
        try:
            return unseal(datagram, message, localize_keys(user, message.security.engine_id)).pdu
        except SnmpError:
            return None


def _version(number: int) -> str:
    return "v1" if number == 0 else "v2c"


def _pdu(pdu: Pdu | TrapV1Pdu) -> str:
    if isinstance(pdu, TrapV1Pdu):
        return "trap"
    text = f"{pdu.kind.name.lower()} of {len(pdu.varbinds)}"
    if pdu.kind is PduKind.GET_BULK:
        return f"{text}, max-repetitions {pdu.error_index}"
    return f"{text}, error status {pdu.error_status} at {pdu.error_index}" if pdu.error_status else text


def _value(one: VarBind) -> str:
    if isinstance(one.value, Missing):
        return f" = {one.value.name.lower().replace('_', ' ')}"
    text = as_text(one.value)
    if isinstance(one.value, bytes) and "\N{REPLACEMENT CHARACTER}" in text:
        text = one.value.hex()
    return f" = {text[:_LONGEST_TEXT]}{'...' if len(text) > _LONGEST_TEXT else ''}"


def explain_discovery(found: Discovery) -> Iterable[str]:
    """What the device is and why we think so."""
    yield f"name            {found.name or '-'}"
    yield f"sysDescr        {found.description or '-'}"
    yield f"sysObjectID     {format_oid(found.object_id) if found.object_id else '-'}"
    yield f"profile         {found.family}: {found.family_reason}"
    wide = sum(interface.wide for interface in found.interfaces)
    yield f"interfaces      {len(found.interfaces)}, {wide} with 64-bit counters"
    for table, reason in found.failures.items():
        yield f"could not ask {table}: {reason}"


def explain_plan(plan: PollPlan, profile: Profile, found: Discovery) -> Iterable[str]:
    """What a steady poll asks, and for what."""
    for entry in plan.bound:
        objects = ", ".join(str(thing) for thing in entry.reading.operands)
        rows = "" if entry.reading.scalar else f", {len(entry.rows)} rows, {entry.reading.rows}"
        yield f"{entry.field:<16}{entry.reading.as_} of {objects}{rows}"
    for name, reason in plan.missing.items():
        yield f"{name:<16}cannot be read: {reason}"
    for name in sorted({"cpu_ratio", "memory_ratio", "sessions", "ha_role"} - set(profile.fields)):
        yield f"{name:<16}the profile {found.family} knows no object for it"
    oids = sum(len(group) for group in plan.groups)
    device, interfaces = len(plan.device_oids), len(plan.layout.names)
    yield f"asked for       {oids} objects: {device} of the device, the rest of {interfaces} interfaces"
    for note in profile.notes:
        yield f"note            {note}"


def explain_statistics(statistics: Statistics) -> str:
    """What it took."""
    return (
        f"{statistics.sent} datagrams sent ({statistics.octets_sent} octets), {statistics.received} received "
        f"({statistics.octets_received} octets), {statistics.retries} retries, {statistics.late} late; replies of the "
        f"poll: {statistics.fast} by shape, {statistics.in_order} in order, {statistics.general} by the general codec"
    )
