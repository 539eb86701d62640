"""The fast path reads what the codec reads, or nothing at all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from probes.snmp.errors import MalformedMessage
from probes.snmp.message import CommunityMessage, Pdu, PduKind, TrapV1Pdu, decode_message, encode_message
from probes.snmp.prepared import find_pdu
from probes.snmp.values import Tag, VarBind
from traps.catalogue import Catalogue, KnownObject, Meaning
from traps.layout import Shape
from traps.notification import SYS_UPTIME, TRAP_OID, read_pdu

LINK_DOWN = (1, 3, 6, 1, 6, 3, 1, 1, 5, 3)
IF_ENTRY = (1, 3, 6, 1, 2, 1, 2, 2, 1)
CATALOGUE = Catalogue(
    [KnownObject((*IF_ENTRY, 1), "ifIndex"), KnownObject((*IF_ENTRY, 10), "ifInOctets")],
    [Meaning(LINK_DOWN, "linkDown", key=("ifIndex",), alarm="linkDown")],
)
VALUES = st.one_of(
    st.tuples(st.integers(-(2**31), 2**31 - 1), st.just(Tag.INTEGER)),
    st.tuples(st.integers(0, 2**32 - 1), st.sampled_from([Tag.COUNTER32, Tag.GAUGE32, Tag.TIME_TICKS])),
    st.tuples(st.integers(0, 2**64 - 1), st.just(Tag.COUNTER64)),
    st.tuples(st.binary(max_size=20), st.just(Tag.OCTET_STRING)),
    st.tuples(st.binary(min_size=4, max_size=4), st.just(Tag.IP_ADDRESS)),
    st.tuples(st.tuples(st.just(1), st.just(3), st.integers(0, 2**32 - 1)), st.just(Tag.OBJECT_IDENTIFIER)),
)
OIDS = st.builds(
    lambda root, instance: (*root, *instance),
    st.sampled_from([(*IF_ENTRY, 1), (*IF_ENTRY, 10), (1, 3, 6, 1, 4, 1, 9, 1)]),
    st.lists(st.integers(0, 2**32 - 1), max_size=3),
)
VARBINDS = st.lists(st.builds(lambda oid, value: VarBind(oid, *value), OIDS, VALUES), max_size=4)


def v2c(request_id: int, uptime: int, varbinds: list[VarBind]) -> bytes:
    frame = [VarBind(SYS_UPTIME, uptime, Tag.TIME_TICKS), VarBind(TRAP_OID, LINK_DOWN, Tag.OBJECT_IDENTIFIER)]
    return encode_message(CommunityMessage(1, b"public", Pdu(PduKind.TRAP_V2, request_id, [*frame, *varbinds])))


def v1(_request_id: int, uptime: int, varbinds: list[VarBind]) -> bytes:
    pdu = TrapV1Pdu((1, 3, 6, 1, 4, 1, 9), b"\x0a\0\0\1", 2, 0, uptime, varbinds)
    return encode_message(CommunityMessage(0, b"public", pdu))


def shape_of(datagram: bytes) -> Shape:
    message = decode_message(datagram)
    assert isinstance(message, CommunityMessage)
    return Shape(datagram, find_pdu(datagram), read_pdu(message.pdu), CATALOGUE)


def fits(shape: Shape, datagram: bytes) -> bool:
    same = int.from_bytes(datagram, "big") & shape.mask == shape.fixed
    return bool(shape.mask) and len(datagram) == shape.size and same


@settings(max_examples=300)
@given(
    st.sampled_from([v1, v2c]),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**32 - 1),
    VARBINDS,
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12),
)
def test_what_fits_a_shape_is_read_as_the_codec_reads_it(make, request_id, uptime, varbinds, changes) -> None:
    """Octets are changed at random: either the shape refuses, or both readings are the same."""
    datagram = make(request_id, uptime, varbinds)
    shape = shape_of(datagram)
    for at, octet in changes:
        changed = bytearray(datagram)
        changed[at % len(changed)] = octet
        other = bytes(changed)
        if fits(shape, other):
            message = decode_message(other)
            assert isinstance(message, CommunityMessage)
            assert read_pdu(message.pdu) == shape.read(other)
            assert shape.key(other) == shape_of(other).key(other)


@given(st.integers(128, 16_383), st.integers(0x4000, 0x7FFF), st.integers(1 << 24, (1 << 31) - 1))
def test_another_interface_request_and_uptime_are_the_same_shape(index: int, request_id: int, uptime: int) -> None:
    def of(index: int) -> list[VarBind]:
        return [VarBind((*IF_ENTRY, 1, index), index, Tag.INTEGER)]

    first = v2c(0x5000, 1 << 25, of(200))
    assert fits(shape_of(first), v2c(request_id, uptime, of(index))) is (
        len(v2c(request_id, uptime, of(index))) == len(first)
    )


def test_a_counter_beside_the_key_does_not_make_it_another_notification() -> None:
    def of(octets: int) -> list[VarBind]:
        index = VarBind((*IF_ENTRY, 1, 4), 4, Tag.INTEGER)
        return [index, VarBind((*IF_ENTRY, 10, 4), octets, Tag.COUNTER32)]

    first, second = v2c(1, 100, of(1000)), v2c(2, 200, of(2_000_000))
    assert shape_of(first).key(first) == shape_of(second).key(second)


@settings(max_examples=300)
@given(st.binary(max_size=120))
def test_no_octets_break_the_codec(datagram: bytes) -> None:
    """MalformedMessage and nothing else (R77)."""
    try:
        message = decode_message(datagram)
        if isinstance(message, CommunityMessage):
            read_pdu(message.pdu)
    except MalformedMessage:
        pass
