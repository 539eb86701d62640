"""Prepared requests: whatever way a reply is read, the values are the same, and nothing unproved is believed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from probes.snmp.ber import encode_integer, encode_oid, tlv
from probes.snmp.message import CommunityMessage, Pdu, PduKind, decode_message, encode_message
from probes.snmp.prepared import ShapeCache, Template, decode_in_order, encode_template, find_pdu
from probes.snmp.values import VarBind

OIDS = [(1, 3, 6, 1, 2, 1, 1, 3, 0), *((1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6, index) for index in (1, 127, 128, 70000))]
TEMPLATE = encode_template(OIDS, 1, b"public")
LIMITS = {0x02: 2**31, 0x41: 2**32, 0x42: 2**32, 0x43: 2**32, 0x46: 2**64}
NUMBERS = st.sampled_from(sorted(LIMITS)).flatmap(
    lambda tag: st.builds(
        lambda value, bits: (value >> bits, tag),
        st.integers(0, LIMITS[tag] - 1),
        st.integers(0, LIMITS[tag].bit_length()),
    )
)
STRINGS = st.tuples(st.binary(max_size=20), st.just(0x04))
ROWS = st.lists(st.one_of(NUMBERS, NUMBERS, NUMBERS, STRINGS), min_size=len(OIDS), max_size=len(OIDS))


def make_reply(rows: list[tuple[int | bytes, int]], oids: list[tuple[int, ...]] = OIDS) -> bytes:
    varbinds = [VarBind(oid, value, tag) for oid, (value, tag) in zip(oids, rows, strict=True)]
    return encode_message(CommunityMessage(1, b"public", Pdu(PduKind.RESPONSE, 0x0102_0304, varbinds)))


def read_in_order(reply: bytes, template: Template = TEMPLATE) -> list[int | bytes] | None:
    found = decode_in_order(reply, find_pdu(reply), template)
    return None if found is None else found.values


def test_template_is_what_the_codec_writes() -> None:
    pdu = Pdu(PduKind.GET, 0x0102_0304, [VarBind(oid) for oid in OIDS])
    whole = TEMPLATE.prefix + bytes.fromhex("01020304") + TEMPLATE.suffix
    assert encode_message(CommunityMessage(1, b"public", pdu)) == whole
    assert OIDS == TEMPLATE.oids()


def test_equal_templates_are_one_object() -> None:
    cache = ShapeCache()
    kept = cache.template(OIDS, 1, b"public")
    assert kept is cache.template(list(OIDS), 1, b"public")
    assert kept is not cache.template(OIDS, 1, b"other")


@given(ROWS)
def test_in_order_reads_what_was_written(rows: list[tuple[int | bytes, int]]) -> None:
    assert [value for value, _ in rows] == read_in_order(make_reply(rows))


@given(ROWS, st.data())
@settings(max_examples=400)
def test_a_shape_reads_other_values_of_the_same_lengths(
    rows: list[tuple[int | bytes, int]], data: st.DataObject
) -> None:
    first = make_reply(rows)
    found = decode_in_order(first, find_pdu(first), TEMPLATE)
    assert found is not None
    shape = ShapeCache().learn(first, found.id_at, found.spans)
    assert shape is not None
    assert list(found.values) == list(shape.read_backwards(first) or [])[::-1]
    reply = bytearray(first)
    reply[found.id_at : found.id_at + 4] = b"\x7f\xfe\xfd\xfc"
    for start, length, _ in found.spans:
        reply[start : start + length] = data.draw(st.binary(min_size=length, max_size=length))
    values = shape.read_backwards(bytes(reply))
    if values is not None:
        assert list(values)[::-1] == read_in_order(bytes(reply))


@given(ROWS, st.integers(0, 2000), st.integers(1, 255))
@settings(max_examples=400)
def test_a_changed_octet_is_never_believed(rows: list[tuple[int | bytes, int]], place: int, change: int) -> None:
    """Whatever a shape accepts, the loop and the general codec read the same way."""
    first = make_reply(rows)
    found = decode_in_order(first, find_pdu(first), TEMPLATE)
    assert found is not None
    shape = ShapeCache().learn(first, found.id_at, found.spans)
    assert shape is not None
    reply = bytearray(first)
    reply[place % len(reply)] ^= change
    values = shape.read_backwards(bytes(reply))
    if values is None:
        return
    message = decode_message(bytes(reply))
    assert isinstance(message, CommunityMessage)
    assert [varbind.value for varbind in message.pdu.varbinds] == list(values)[::-1]
    assert list(OIDS) == [varbind.oid for varbind in message.pdu.varbinds]


def test_another_order_another_oid_an_error_and_an_exception_are_left_to_the_general_codec() -> None:
    rows: list[tuple[int | bytes, int]] = [(5, 0x46)] * len(OIDS)
    assert read_in_order(make_reply(rows, [OIDS[1], OIDS[0], *OIDS[2:]])) is None
    assert read_in_order(make_reply(rows, [*OIDS[:-1], (1, 3, 6, 1, 9)])) is None
    assert read_in_order(make_reply(rows[1:], OIDS[1:])) is None
    pdu = Pdu(PduKind.RESPONSE, 0x0102_0304, [VarBind(oid) for oid in OIDS], 5, 1)
    assert read_in_order(encode_message(CommunityMessage(1, b"public", pdu))) is None
    exceptional = tlv(0x30, tlv(0x06, encode_oid(OIDS[0])) + b"\x81\x00")
    assert (
        read_in_order(make_reply(rows).replace(tlv(0x30, tlv(6, encode_oid(OIDS[0])) + b"\x46\x01\x05"), exceptional))
        is None
    )


def test_a_negative_number_is_read_but_gives_no_shape() -> None:
    rows: list[tuple[int | bytes, int]] = [(5, 0x43), (-5, 0x02), (1, 2), (2, 2), (3, 2)]
    reply = make_reply(rows)
    found = decode_in_order(reply, find_pdu(reply), TEMPLATE)
    assert found is not None
    assert [5, -5, 1, 2, 3] == found.values
    assert ShapeCache().learn(reply, found.id_at, found.spans) is None


def test_shapes_are_shared_and_dropped_with_their_last_user() -> None:
    cache = ShapeCache()
    reply = make_reply([(7, 0x46)] * len(OIDS))
    found = decode_in_order(reply, find_pdu(reply), TEMPLATE)
    assert found is not None
    first = cache.learn(reply, found.id_at, found.spans)
    assert first is cache.learn(reply, found.id_at, found.spans)
    assert encode_integer(7, 0x46) in reply
