"""The codec: what is written is read back, what is hostile is refused, and no error but its own ever comes out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.snmp.ber import decode_oid, encode_oid
from probes.snmp.errors import BadRequest, MalformedMessage
from probes.snmp.message import (
    CommunityMessage,
    Pdu,
    PduKind,
    ScopedPdu,
    TrapV1Pdu,
    UsmParameters,
    V3Message,
    decode_message,
    decode_scoped_pdu,
    encode_message,
    encode_scoped_pdu,
)
from probes.snmp.oid import format_oid, parse_oid
from probes.snmp.prepared import find_request_id
from probes.snmp.values import Missing, Tag, VarBind, decode_opaque_float

ARCS = st.integers(0, 2**32 - 1)
OIDS = st.builds(
    lambda first, second, rest: (first, second, *rest),
    st.integers(0, 2),
    st.integers(0, 39),
    st.lists(ARCS, max_size=20),
)
UNSIGNED = st.sampled_from([Tag.COUNTER32, Tag.GAUGE32, Tag.TIME_TICKS, Tag.UINTEGER32])
VARBINDS = st.one_of(
    st.builds(VarBind, OIDS, st.integers(-(2**31), 2**31 - 1), st.just(Tag.INTEGER)),
    st.builds(VarBind, OIDS, st.integers(0, 2**32 - 1), UNSIGNED),
    st.builds(VarBind, OIDS, st.integers(0, 2**64 - 1), st.just(Tag.COUNTER64)),
    st.builds(VarBind, OIDS, st.binary(max_size=300), st.sampled_from([Tag.OCTET_STRING, Tag.OPAQUE])),
    st.builds(VarBind, OIDS, st.binary(min_size=4, max_size=4), st.just(Tag.IP_ADDRESS)),
    st.builds(VarBind, OIDS, OIDS, st.just(Tag.OBJECT_IDENTIFIER)),
    st.builds(VarBind, OIDS, st.none(), st.just(Tag.NULL)),
    st.sampled_from(Missing).flatmap(
        lambda missing: st.builds(VarBind, OIDS, st.just(missing), st.just(missing.value))
    ),
)
IDS = st.integers(-(2**31), 2**31 - 1)
PDUS = st.builds(
    Pdu,
    st.sampled_from([kind for kind in PduKind if kind is not PduKind.TRAP_V1]),
    IDS,
    st.lists(VARBINDS, max_size=6),
    st.integers(0, 18),
    st.integers(0, 100),
)
TRAPS = st.builds(
    TrapV1Pdu,
    OIDS,
    st.binary(min_size=4, max_size=4),
    st.integers(0, 6),
    IDS,
    st.integers(0, 2**32 - 1),
    st.lists(VARBINDS, max_size=4),
)
POSITIVE = st.integers(0, 2**31 - 1)


@given(st.sampled_from([0, 1]), st.binary(max_size=200), st.one_of(PDUS, TRAPS))
def test_community_messages_are_read_as_written(version: int, community: bytes, pdu: Pdu) -> None:
    message = CommunityMessage(version, community, pdu)
    assert message == decode_message(encode_message(message))


@given(
    st.builds(
        UsmParameters, st.binary(max_size=32), POSITIVE, POSITIVE, st.binary(max_size=32), st.binary(max_size=48)
    ),
    PDUS,
    POSITIVE,
    st.integers(484, 65507),
)
def test_v3_messages_are_read_as_written(security: UsmParameters, pdu: Pdu, msg_id: int, max_size: int) -> None:
    scoped = ScopedPdu(b"engine", b"context", pdu)
    message = decode_message(encode_message(V3Message(msg_id, max_size, 4, security, encode_scoped_pdu(scoped))))
    assert isinstance(message, V3Message)
    assert (msg_id, max_size, security) == (message.msg_id, message.max_size, message.security)
    assert scoped == decode_scoped_pdu(message.scoped)


@given(st.integers(0x0100_0000, 0x7FFF_FFFF), PDUS, st.binary(max_size=200))
def test_request_id_is_found_without_decoding(request_id: int, pdu: Pdu, community: bytes) -> None:
    pdu = Pdu(PduKind.RESPONSE, request_id, pdu.varbinds)
    assert request_id == find_request_id(encode_message(CommunityMessage(1, community, pdu)))
    outside = V3Message(request_id, 65507, 4, UsmParameters(), encode_scoped_pdu(ScopedPdu(b"", b"", pdu)))
    assert request_id == find_request_id(encode_message(outside))


@given(st.binary(max_size=400))
@settings(max_examples=500)
def test_any_octets_are_read_or_refused(datagram: bytes) -> None:
    find_request_id(datagram)
    try:
        decode_message(datagram)
    except MalformedMessage:
        return


@given(st.one_of(PDUS, TRAPS), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=1000)
def test_mutated_messages_are_read_or_refused(pdu: Pdu, changes: list[tuple[int, int]]) -> None:
    datagram = bytearray(encode_message(CommunityMessage(1, b"public", pdu)))
    for place, octet in changes:
        datagram[place % len(datagram)] = octet
    find_request_id(bytes(datagram))
    try:
        decode_message(bytes(datagram))
    except MalformedMessage:
        return


@given(OIDS)
def test_oids_survive_text_and_octets(oid: tuple[int, ...]) -> None:
    assert oid == parse_oid(format_oid(oid))
    assert oid == decode_oid(encode_oid(oid))


def test_deep_nesting_is_refused_without_recursion() -> None:
    datagram = b""
    for _ in range(10_000):
        datagram = b"\x30\x84" + len(datagram).to_bytes(4, "big") + datagram
    with pytest.raises(MalformedMessage):
        decode_message(datagram)


@pytest.mark.parametrize("text", ["", "1", "1.3.x", "3.1", "1.40", "1.3.4294967296", "1..3", "sysName", "１.3"])
def test_bad_oid_gets_a_sentence(text: str) -> None:
    with pytest.raises(BadRequest, match="is not an OID"):
        parse_oid(text)


def test_numbers_without_their_leading_zero_are_unsigned() -> None:
    """Some agents write Counter32 4294967295 in four octets."""
    wire = (
        bytes.fromhex("30270201010406")
        + b"public"
        + bytes.fromhex("a21a020400000001020100020100300c300a06022b064104ffffffff")
    )
    message = decode_message(wire)
    assert isinstance(message, CommunityMessage)
    assert [VarBind((1, 3, 6), 2**32 - 1, Tag.COUNTER32)] == message.pdu.varbinds


def test_floats_inside_opaque_are_read() -> None:
    assert 0.5 == decode_opaque_float(bytes.fromhex("9f78043f000000"))
    assert decode_opaque_float(b"\x9f\x78\x04") is None


def test_community_does_not_show() -> None:
    assert "secret" not in repr(CommunityMessage(1, b"secret", Pdu(PduKind.GET, 1, [])))
