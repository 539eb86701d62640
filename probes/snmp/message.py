"""SNMP messages, read and written: v1 (RFC 1157), v2c (RFC 1901) and v3 (RFC 3412), every PDU type.

Pure: bytes in, values out. Used by the sessions, by the trap receiver and to write agents. A v3 message is read in two
steps, because its inside may be encrypted: decode_message gives the outside, probes.snmp.usm opens the rest.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TypeAlias

from probes.snmp.ber import (
    decode_oid,
    decode_varbinds,
    encode_integer,
    encode_oid,
    encode_varbinds,
    expect,
    read_header,
    read_integer,
    read_octets,
    tlv,
)
from probes.snmp.errors import BadRequest, MalformedMessage
from probes.snmp.oid import Oid
from probes.snmp.values import VarBind

V1, V2C, V3 = 0, 1, 3
"""Version numbers on the wire."""

FLAG_AUTH, FLAG_PRIV, FLAG_REPORTABLE = 1, 2, 4
"""Bits of msgFlags (RFC 3412, 6.4)."""

USM = 3
"""Security model number of the user-based security model (RFC 3411, 5)."""


class PduKind(IntEnum):
    """BER tags of the PDUs (RFC 3416, 3; RFC 1157, 4.1)."""

    GET = 0xA0
    GET_NEXT = 0xA1
    RESPONSE = 0xA2
    SET = 0xA3
    TRAP_V1 = 0xA4
    GET_BULK = 0xA5
    INFORM = 0xA6
    TRAP_V2 = 0xA7
    REPORT = 0xA8


_KINDS = {kind.value: kind for kind in PduKind}


@dataclass(frozen=True, slots=True)
class Pdu:
    """Any PDU but the v1 trap. In a GET_BULK error_status is non-repeaters and error_index is max-repetitions."""

    kind: PduKind
    request_id: int
    varbinds: list[VarBind]
    error_status: int = 0
    error_index: int = 0


@dataclass(frozen=True, slots=True)
class TrapV1Pdu:
    """RFC 1157, 4.1.6. agent_address is four octets; uptime_ticks is in hundredths of a second."""

    enterprise: Oid
    agent_address: bytes
    generic_trap: int
    specific_trap: int
    uptime_ticks: int
    varbinds: list[VarBind]
    kind: PduKind = PduKind.TRAP_V1


AnyPdu: TypeAlias = Pdu | TrapV1Pdu


@dataclass(frozen=True, slots=True)
class CommunityMessage:
    """A v1 or v2c message; its repr does not show the community."""

    version: int
    community: bytes = field(repr=False)
    pdu: AnyPdu


@dataclass(frozen=True, slots=True)
class UsmParameters:
    """msgSecurityParameters (RFC 3414, 2.4)."""

    engine_id: bytes = b""
    engine_boots: int = 0
    engine_time: int = 0
    user_name: bytes = b""
    digest: bytes = b""
    salt: bytes = b""


@dataclass(frozen=True, slots=True)
class ScopedPdu:
    """RFC 3412, 6.8."""

    context_engine_id: bytes
    context_name: bytes
    pdu: AnyPdu


@dataclass(frozen=True, slots=True)
class V3Message:
    """The outside of a v3 message (RFC 3412, 6).

    scoped: the octets of the scoped PDU as they stand in the message, or of its cipher text when flags has FLAG_PRIV.
    digest_at: where the digest begins in the datagram; usm needs it to check and to sign.
    """

    msg_id: int
    max_size: int
    flags: int
    security: UsmParameters
    scoped: bytes
    security_model: int = USM
    digest_at: int = 0


Message: TypeAlias = CommunityMessage | V3Message


def encode_pdu(pdu: AnyPdu) -> bytes:
    """Octets of a PDU."""
    if isinstance(pdu, TrapV1Pdu):
        content = (
            tlv(0x06, encode_oid(pdu.enterprise))
            + tlv(0x40, pdu.agent_address)
            + encode_integer(pdu.generic_trap)
            + encode_integer(pdu.specific_trap)
            + encode_integer(pdu.uptime_ticks, 0x43)
        )
    else:
        content = encode_integer(pdu.request_id) + encode_integer(pdu.error_status) + encode_integer(pdu.error_index)
    return tlv(pdu.kind, content + encode_varbinds(pdu.varbinds))


def decode_pdu(octets: bytes, at: int, end: int) -> tuple[AnyPdu, int]:
    """Read the PDU at an offset, and the offset after it."""
    tag, start, stop = read_header(octets, at, end)
    kind = _KINDS.get(tag)
    if kind is None:
        raise MalformedMessage(f"The message has a PDU of unknown type 0x{tag:02x}.")
    if kind is PduKind.TRAP_V1:
        return _decode_trap_v1(octets, start, stop), stop
    request_id, at = read_integer(octets, start, stop)
    error_status, at = read_integer(octets, at, stop)
    error_index, at = read_integer(octets, at, stop)
    varbinds, at = decode_varbinds(octets, at, stop)
    if at != stop:
        raise MalformedMessage("The PDU has octets after its varbinds.")
    return Pdu(kind, request_id, varbinds, error_status, error_index), stop


def _decode_trap_v1(octets: bytes, at: int, end: int) -> TrapV1Pdu:
    start, at = expect(octets, at, end, 0x06)
    enterprise = decode_oid(octets[start:at])
    start, at = expect(octets, at, end, 0x40)
    agent_address = octets[start:at]
    if len(agent_address) != 4:  # noqa: PLR2004 an IpAddress has four octets
        raise MalformedMessage(f"The trap has an agent address of {len(agent_address)} octets.")
    generic_trap, at = read_integer(octets, at, end)
    specific_trap, at = read_integer(octets, at, end)
    start, at = expect(octets, at, end, 0x43)
    uptime_ticks = int.from_bytes(octets[start:at], "big")
    if uptime_ticks >= 1 << 32:
        raise MalformedMessage(f"The trap has the uptime {uptime_ticks}, which does not fit 32 bits.")
    varbinds, at = decode_varbinds(octets, at, end)
    if at != end:
        raise MalformedMessage("The trap has octets after its varbinds.")
    return TrapV1Pdu(enterprise, agent_address, generic_trap, specific_trap, uptime_ticks, varbinds)


def encode_message(message: Message) -> bytes:
    """Octets of a whole message; a v3 message is written as it stands, neither signed nor encrypted (see usm.seal)."""
    if isinstance(message, CommunityMessage):
        return tlv(0x30, encode_integer(message.version) + tlv(0x04, message.community) + encode_pdu(message.pdu))
    if message.security_model != USM:
        raise BadRequest(f"Security model {message.security_model} cannot be written, only USM ({USM}).")
    encrypted = message.flags & FLAG_PRIV
    return tlv(
        0x30,
        b"\x02\x01\x03"
        + tlv(0x30, _encode_global(message))
        + tlv(0x04, _encode_security(message.security))
        + (tlv(0x04, message.scoped) if encrypted else message.scoped),
    )


def _encode_global(message: V3Message) -> bytes:
    return (
        encode_integer(message.msg_id)
        + encode_integer(message.max_size)
        + tlv(0x04, bytes((message.flags,)))
        + encode_integer(message.security_model)
    )


def _encode_security(security: UsmParameters) -> bytes:
    return tlv(
        0x30,
        tlv(0x04, security.engine_id)
        + encode_integer(security.engine_boots)
        + encode_integer(security.engine_time)
        + tlv(0x04, security.user_name)
        + tlv(0x04, security.digest)
        + tlv(0x04, security.salt),
    )


def encode_scoped_pdu(scoped: ScopedPdu) -> bytes:
    """Octets of a scoped PDU in the clear (RFC 3412, 6.8)."""
    return tlv(0x30, tlv(0x04, scoped.context_engine_id) + tlv(0x04, scoped.context_name) + encode_pdu(scoped.pdu))


def decode_scoped_pdu(octets: bytes) -> ScopedPdu:
    """Read a scoped PDU in the clear; octets after it are the padding of a block cipher and are passed over."""
    at, stop = expect(octets, 0, len(octets), 0x30)
    context_engine_id, at = read_octets(octets, at, stop)
    context_name, at = read_octets(octets, at, stop)
    pdu, at = decode_pdu(octets, at, stop)
    if at != stop:
        raise MalformedMessage("The scoped PDU has octets after its PDU.")
    return ScopedPdu(context_engine_id, context_name, pdu)


def decode_message(datagram: bytes) -> Message:
    """Read one datagram; raises MalformedMessage and nothing else, whatever the bytes are."""
    at, end = expect(datagram, 0, len(datagram), 0x30)
    if end != len(datagram):
        raise MalformedMessage(f"The datagram has {len(datagram) - end} octets after its message.")
    version, at = read_integer(datagram, at, end)
    if version in {V1, V2C}:
        community, at = read_octets(datagram, at, end)
        pdu, at = decode_pdu(datagram, at, end)
        if at != end:
            raise MalformedMessage("The message has octets after its PDU.")
        return CommunityMessage(version, community, pdu)
    if version != V3:
        raise MalformedMessage(f"The message has version number {version}; SNMP has 0 (v1), 1 (v2c) and 3.")
    return _decode_v3(datagram, at, end)


def _decode_v3(datagram: bytes, at: int, end: int) -> V3Message:
    at, stop = expect(datagram, at, end, 0x30)
    msg_id, at = read_integer(datagram, at, stop)
    max_size, at = read_integer(datagram, at, stop)
    flags, at = read_octets(datagram, at, stop)
    security_model, at = read_integer(datagram, at, stop)
    if at != stop or len(flags) != 1 or msg_id < 0:
        raise MalformedMessage("The header of the v3 message is malformed.")
    start, stop = expect(datagram, at, end, 0x04)
    security, digest_at = UsmParameters(), 0
    if security_model == USM:
        security, digest_at = _decode_security(datagram, start, stop)
    tag, scoped_start, scoped_stop = read_header(datagram, stop, end)
    encrypted = flags[0] & FLAG_PRIV
    if scoped_stop != end or tag != (0x04 if encrypted else 0x30):
        raise MalformedMessage("The v3 message does not hold one scoped PDU, plain or encrypted as its flags say.")
    scoped = datagram[scoped_start:end] if encrypted else datagram[stop:end]
    return V3Message(msg_id, max_size, flags[0], security, scoped, security_model, digest_at)


def _decode_security(datagram: bytes, at: int, end: int) -> tuple[UsmParameters, int]:
    at, stop = expect(datagram, at, end, 0x30)
    engine_id, at = read_octets(datagram, at, stop)
    engine_boots, at = read_integer(datagram, at, stop)
    engine_time, at = read_integer(datagram, at, stop)
    user_name, at = read_octets(datagram, at, stop)
    digest, at = read_octets(datagram, at, stop)
    digest_at = at - len(digest)
    salt, at = read_octets(datagram, at, stop)
    if at != stop or stop != end or engine_boots < 0 or engine_time < 0:
        raise MalformedMessage("The security parameters of the v3 message are malformed.")
    return UsmParameters(engine_id, engine_boots, engine_time, user_name, digest, salt), digest_at


def answer(request: Pdu, varbinds: list[VarBind], error_status: int = 0, error_index: int = 0) -> Pdu:
    """Build the response to a request, as an agent does (RFC 3416, 4.2)."""
    return replace(
        request, kind=PduKind.RESPONSE, varbinds=varbinds, error_status=error_status, error_index=error_index
    )
