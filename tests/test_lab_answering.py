"""What an agent answers: order, ends, what v1 cannot carry, what is too big, and who may ask."""

import dataclasses

import pytest

from poller.lab.agent import Access, Agent
from poller.lab.answering import GENERAL_ERROR, NO_SUCH_NAME, NOT_WRITABLE, TOO_BIG, answer_request, octets_of
from poller.lab.mib import Column, RecordedView, View, constant
from probes.snmp.ber import encode_varbinds
from probes.snmp.message import (
    FLAG_REPORTABLE,
    V1,
    V2C,
    CommunityMessage,
    Pdu,
    PduKind,
    ScopedPdu,
    UsmParameters,
    V3Message,
    decode_message,
    decode_scoped_pdu,
    encode_message,
    encode_scoped_pdu,
)
from probes.snmp.usm import (
    NO_KEYS,
    USM_STATS,
    AuthProtocol,
    Envelope,
    PrivProtocol,
    UsmKeys,
    UsmUser,
    localize_keys,
    seal,
    unseal,
)
from probes.snmp.values import Missing, Tag, VarBind

ROWS = ((2,), (9,), (10,), (100,))
VIEW = View(
    [
        Column((1, 3, 9, 2), ROWS, Tag.COUNTER64, lambda row, now: row + now),
        constant((1, 3, 9, 4), Tag.OCTET_STRING, b"last"),
        Column((1, 3, 9, 1), ROWS, Tag.INTEGER, lambda row, _now: row),
        Column((1, 3, 9, 3), (), Tag.INTEGER, lambda row, _now: row),
    ]
)
LISTED = [
    *((1, 3, 9, 1, *row) for row in ROWS),
    *((1, 3, 9, 2, *row) for row in ROWS),
    (1, 3, 9, 4, 0),
]


def _walk(view: View | RecordedView, start: tuple[int, ...] = (0,)) -> list[tuple[int, ...]]:
    found = []
    entry = view.next(start, 0)
    while entry.value is not Missing.END_OF_MIB_VIEW:
        found.append(entry.oid)
        entry = view.next(entry.oid, 0)
    return found


def test_a_walk_sees_every_object_once_in_the_order_of_numbers() -> None:
    assert LISTED == _walk(VIEW)
    assert len(VIEW) == len(LISTED)


def test_a_recording_is_walked_like_any_other() -> None:
    objects = [VarBind(oid, 1, Tag.INTEGER) for oid in LISTED]
    assert LISTED == _walk(RecordedView(objects))


@pytest.mark.parametrize("view", [VIEW, RecordedView([VIEW.get(oid, 0) for oid in LISTED])])
@pytest.mark.parametrize(
    ("oid", "expected"),
    [
        ((1, 3, 9, 1, 9), 1),
        ((1, 3, 9, 1, 8), Missing.NO_SUCH_INSTANCE),
        ((1, 3, 9, 9, 1), Missing.NO_SUCH_OBJECT),
        ((1, 3, 8), Missing.NO_SUCH_OBJECT),
        ((1, 3, 9, 4, 0), b"last"),
    ],
)
def test_a_get_gives_the_value_or_says_what_is_missing(
    view: View | RecordedView, oid: tuple[int, ...], expected: object
) -> None:
    assert expected == view.get(oid, 0).value


@pytest.mark.parametrize(
    "start", [(0,), (1, 3, 9, 1), (1, 3, 9, 1, 9), (1, 3, 9, 1, 9, 5), (1, 3, 9, 3, 7), (1, 3, 9, 4)]
)
def test_the_next_object_is_the_first_behind_the_name(start: tuple[int, ...]) -> None:
    expected = min(oid for oid in LISTED if oid > start)
    assert expected == VIEW.next(start, 0).oid
    assert VIEW.next((1, 3, 9, 4, 0), 0).value is Missing.END_OF_MIB_VIEW


def _ask(kind: PduKind, *oids: tuple[int, ...], version: int = V2C, room: int = 10_000, **numbers: int) -> Pdu | None:
    return answer_request(VIEW, Pdu(kind, 7, [VarBind(oid) for oid in oids], **numbers), version, 1000, room)


def test_v1_passes_over_what_it_cannot_carry() -> None:
    found = _ask(PduKind.GET_NEXT, (1, 3, 9, 1, 100), version=V1)
    assert found is not None
    assert [(1, 3, 9, 4, 0)] == [entry.oid for entry in found.varbinds]
    refused = _ask(PduKind.GET, (1, 3, 9, 1, 2), (1, 3, 9, 2, 2), version=V1)
    assert refused is not None
    assert (NO_SUCH_NAME, 2) == (refused.error_status, refused.error_index)
    end = _ask(PduKind.GET_NEXT, (1, 3, 9, 4, 0), version=V1)
    assert end is not None
    assert (NO_SUCH_NAME, 1) == (end.error_status, end.error_index)
    assert _ask(PduKind.GET_BULK, (1, 3), version=V1) is None


def test_a_bulk_gives_single_objects_first_and_then_rows() -> None:
    found = _ask(PduKind.GET_BULK, (1, 3, 9, 4), (1, 3, 9, 1), (1, 3, 9, 2), error_status=1, error_index=3)
    assert found is not None
    expected = [(1, 3, 9, 4, 0)]
    for row in ROWS[:3]:
        expected += [(1, 3, 9, 1, *row), (1, 3, 9, 2, *row)]
    assert expected == [entry.oid for entry in found.varbinds]


def test_a_bulk_is_cut_where_the_message_is_full() -> None:
    expected = [(1, 3, 9, 1, 2), (1, 3, 9, 2, 2), (1, 3, 9, 1, 9)]
    room = sum(octets_of(VIEW.get(oid, 1000)) for oid in expected)
    for more, count in ((0, 3), (-1, 2), (20, 4)):
        found = _ask(PduKind.GET_BULK, (1, 3, 9, 1), (1, 3, 9, 2), error_index=50, room=room + more)
        assert found is not None
        assert count == len(found.varbinds)
        assert expected[:count] == [entry.oid for entry in found.varbinds][:3]


def test_a_bulk_ends_when_every_column_has_ended() -> None:
    found = _ask(PduKind.GET_BULK, (1, 3, 9, 4), error_index=1000)
    assert found is not None
    assert [b"last", Missing.END_OF_MIB_VIEW] == [entry.value for entry in found.varbinds]


def test_an_answer_that_does_not_fit_is_too_big() -> None:
    found = _ask(PduKind.GET, (1, 3, 9, 1, 2), (1, 3, 9, 1, 9), room=20)
    assert found is not None
    assert (TOO_BIG, []) == (found.error_status, found.varbinds)


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        *((number, Tag.COUNTER64) for number in (0, 127, 128, 2**31, 2**63, 2**64 - 1)),
        *((number, Tag.INTEGER) for number in (-1, -128, -129, -(2**31))),
        *((b"x" * size, Tag.OCTET_STRING) for size in (0, 90, 110, 127, 128, 255, 256, 300)),
        ((1, 3, 6, 2**32 - 1), Tag.OBJECT_IDENTIFIER),
        (Missing.END_OF_MIB_VIEW, 0x82),
    ],
)
def test_the_size_of_a_varbind_is_known_before_it_is_encoded(value: int | bytes, tag: int) -> None:
    entry = VarBind((1, 3, 6, 1, 4, 1, 32473, 2**32 - 1, 128), value, tag)
    octets = encode_varbinds([entry])
    assert octets_of(entry) == len(octets) - (2 if len(octets) < 0x80 + 2 else 3 if len(octets) < 0x100 + 3 else 4)


def test_nothing_can_be_written() -> None:
    for version, status in ((V1, NO_SUCH_NAME), (V2C, NOT_WRITABLE)):
        found = _ask(PduKind.SET, (1, 3, 9, 1, 2), version=version)
        assert found is not None
        assert status == found.error_status != GENERAL_ERROR


# ---- who may ask


@dataclasses.dataclass
class _Box:
    engine_id: bytes = b"\x80\x00\x7e\xd9\x04box"
    engine_boots: int = 3
    view: View = VIEW

    def engine_seconds(self, time_ns: int) -> int:
        return time_ns // 10**9


USER = UsmUser("hinomi", AuthProtocol.SHA256, b"auth-password", PrivProtocol.AES128, b"priv-password")
NOW = 5000 * 10**9


def _agent() -> Agent:
    return Agent(_Box(), Access(frozenset({b"public"}), {b"hinomi": USER}))


def _request(user: UsmUser, *, engine_id: bytes = _Box.engine_id, boots: int = 3, seconds: int = 5000) -> bytes:
    envelope = Envelope(99, engine_id, boots, seconds, user.security_name.encode())
    pdu = Pdu(PduKind.GET, 7, [VarBind((1, 3, 9, 4, 0))])
    return seal(envelope, ScopedPdu(engine_id, b"", pdu), localize_keys(user, engine_id), 1)


def _answer(datagram: bytes, keys: UsmKeys) -> tuple[V3Message, Pdu]:
    found = _agent().receive(datagram, NOW)
    assert found is not None
    message = decode_message(found)
    assert isinstance(message, V3Message)
    pdu = unseal(found, message, keys).pdu
    assert isinstance(pdu, Pdu)
    return message, pdu


def test_a_user_with_the_right_keys_is_answered_by_the_same_keys() -> None:
    message, pdu = _answer(_request(USER), localize_keys(USER, _Box.engine_id))
    assert message.msg_id == 99
    assert [b"last"] == [entry.value for entry in pdu.varbinds]
    assert (3, 5000) == (message.security.engine_boots, message.security.engine_time)


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (_request(USER, engine_id=b"\x80\x00\x7e\xd9\x04other"), "unknown_engine"),
        (_request(dataclasses.replace(USER, security_name="stranger")), "unknown_user"),
        (_request(dataclasses.replace(USER, auth_password=b"other-password")), "wrong_password"),
        (_request(dataclasses.replace(USER, priv_password=b"other-password")), "wrong_privacy_password"),
        (_request(dataclasses.replace(USER, priv=None)), "unsupported_level"),
        (_request(USER, boots=2), "not_in_time_window"),
        (_request(USER, seconds=4849), "not_in_time_window"),
    ],
)
def test_whoever_is_refused_is_told_why(datagram: bytes, reason: str) -> None:
    signed = localize_keys(dataclasses.replace(USER, priv=None), _Box.engine_id)
    _, pdu = _answer(datagram, signed if reason == "not_in_time_window" else NO_KEYS)
    assert pdu.kind is PduKind.REPORT
    assert [(USM_STATS[reason], 1)] == [(entry.oid, entry.value) for entry in pdu.varbinds]


def test_discovery_gives_the_engine_id_and_keeps_the_request_id() -> None:
    scoped = encode_scoped_pdu(ScopedPdu(b"", b"", Pdu(PduKind.GET, 4711, [])))
    datagram = encode_message(V3Message(1, 65507, FLAG_REPORTABLE, UsmParameters(), scoped))
    message, pdu = _answer(datagram, NO_KEYS)
    assert (_Box.engine_id, 3) == (message.security.engine_id, message.security.engine_boots)
    assert pdu.request_id == 4711
    assert decode_scoped_pdu(message.scoped).context_engine_id == _Box.engine_id


def test_what_may_not_be_reported_and_what_is_rubbish_get_no_answer() -> None:
    scoped = encode_scoped_pdu(ScopedPdu(b"", b"", Pdu(PduKind.GET, 1, [])))
    assert _agent().receive(encode_message(V3Message(1, 65507, 0, UsmParameters(), scoped)), NOW) is None
    assert _agent().receive(b"\x30\x03\x02\x01\x01", NOW) is None
    stranger = CommunityMessage(V2C, b"private", Pdu(PduKind.GET, 1, [VarBind((1, 3, 9, 4, 0))]))
    assert _agent().receive(encode_message(stranger), NOW) is None
