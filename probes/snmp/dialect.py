"""One request written and its answer read, in the version of the target: pure, the time is an argument.

For v3 this is where the engine's clock is used and set. Errors that read_answer raises are of two sorts: STRAY ones say
that the datagram was no answer to this request, so it waits on; all others end the request.
"""

from typing import Final

from probes.snmp.device import Device
from probes.snmp.engine import EngineClock, read_report
from probes.snmp.errors import MalformedMessage, NotAuthentic, NotInTimeWindow, UnexpectedAnswer, UnknownEngine
from probes.snmp.message import (
    FLAG_AUTH,
    FLAG_PRIV,
    V1,
    V2C,
    CommunityMessage,
    Pdu,
    PduKind,
    ScopedPdu,
    V3Message,
    decode_message,
    decode_scoped_pdu,
    encode_message,
)
from probes.snmp.target import SnmpTarget
from probes.snmp.usm import NO_KEYS, Envelope, UsmKeys, check_digest, decode_decrypted, localize_keys, open_scoped, seal

STRAY: Final = (MalformedMessage, NotAuthentic, UnexpectedAnswer)
"""Errors of a datagram that leave its request waiting."""

WIRE_VERSIONS: Final = {"1": V1, "2c": V2C}


def keys_for(target: SnmpTarget, engine_id: bytes) -> UsmKeys:
    """Keys of the target's user, localised to its engine."""
    assert target.user is not None
    return localize_keys(target.user, engine_id)


def write_discovery(request_id: int) -> bytes:
    """Request that makes an agent tell its engine id (RFC 3414, 4)."""
    empty = ScopedPdu(b"", b"", Pdu(PduKind.GET, request_id, []))
    return seal(Envelope(request_id, b"", 0, 0, b""), empty, NO_KEYS, 0)


def write_request(target: SnmpTarget, device: Device, pdu: Pdu, now: float, salt: int) -> bytes:
    """Octets of a request; for v3 the device's engine must be known."""
    if target.version != "3":
        assert target.community is not None
        return encode_message(CommunityMessage(WIRE_VERSIONS[target.version], target.community, pdu))
    assert target.user is not None
    assert device.engine is not None
    engine_id = device.engine.engine_id
    boots, time = device.engine.read(now)
    envelope = Envelope(pdu.request_id, engine_id, boots, time, target.user.security_name.encode())
    scoped = ScopedPdu(engine_id, target.context_name.encode(), pdu)
    return seal(envelope, scoped, keys_for(target, engine_id), salt)


def read_discovery(datagram: bytes, request_id: int, who: str) -> bytes:
    """Engine id from the answer to a discovery."""
    message = decode_message(datagram)
    if not isinstance(message, V3Message) or message.msg_id != request_id:
        raise UnexpectedAnswer(f"{who} answered something else than its engine id.")
    if not message.security.engine_id:
        raise UnexpectedAnswer(f"{who} gave no engine id.")
    return message.security.engine_id


def read_answer(target: SnmpTarget, device: Device, datagram: bytes, request_id: int, now: float) -> Pdu:
    """Response PDU in a datagram; reports are raised as their errors, with the engine's clock already set."""
    message = decode_message(datagram)
    if target.version == "3":
        if not isinstance(message, V3Message):
            raise UnexpectedAnswer(f"{target} answered a v3 request in another version.")
        pdu = _read_v3(target, device, datagram, message, now)
    else:
        assert isinstance(message, V3Message | CommunityMessage)
        if isinstance(message, V3Message) or message.version != WIRE_VERSIONS[target.version]:
            raise UnexpectedAnswer(f"{target} answered in another SNMP version than {target.version}.")
        if not isinstance(message.pdu, Pdu):
            raise UnexpectedAnswer(f"{target} answered with a trap.")
        pdu = message.pdu
    if pdu.kind is not PduKind.RESPONSE or pdu.request_id != request_id:
        raise UnexpectedAnswer(f"{target} answered with something else than a response to the request.")
    return pdu


def _read_v3(target: SnmpTarget, device: Device, datagram: bytes, message: V3Message, now: float) -> Pdu:
    assert target.user is not None
    engine = device.engine
    if engine is None:
        raise UnexpectedAnswer(f"{target} answered before its engine id was known.")
    keys = keys_for(target, engine.engine_id)
    same_engine = message.security.engine_id == engine.engine_id
    if message.flags & FLAG_AUTH:
        if not same_engine or message.security.user_name != target.user.security_name.encode():
            raise NotAuthentic(f"{target} answered for another engine or user.")
        check_digest(datagram, message, keys)
    scoped = (
        decode_decrypted(open_scoped(message, keys)) if message.flags & FLAG_PRIV else decode_scoped_pdu(message.scoped)
    )
    if not isinstance(scoped.pdu, Pdu):
        raise UnexpectedAnswer(f"{target} answered with a trap.")
    if scoped.pdu.kind is PduKind.REPORT:
        _take_report(target, device, message, scoped.pdu, now)
    if message.flags & (FLAG_AUTH | FLAG_PRIV) != target.user.flags or not same_engine:
        raise NotAuthentic(f"{target} answered with another security level or engine than it was asked with.")
    security = message.security
    if keys.auth is not None and not engine.check(security.engine_boots, security.engine_time, now):
        raise NotAuthentic(f"{target} answered with a message from the past.")
    device.max_size = message.max_size
    return scoped.pdu


def _take_report(target: SnmpTarget, device: Device, message: V3Message, report: Pdu, now: float) -> None:
    """Learn what a report teaches, and raise its error."""
    error = read_report(report, str(target))
    security = message.security
    if isinstance(error, NotInTimeWindow) and message.flags & FLAG_AUTH:
        assert device.engine is not None
        device.engine.set(security.engine_boots, security.engine_time, now)
    if isinstance(error, UnknownEngine) and security.engine_id:
        device.engine = EngineClock(security.engine_id)
    raise error
