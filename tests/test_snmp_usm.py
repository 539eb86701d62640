"""USM against the vectors of RFC 3414, and both of its sides against each other."""

import itertools

import pytest

from probes.snmp.device import Device
from probes.snmp.dialect import read_answer
from probes.snmp.engine import EngineClock
from probes.snmp.errors import BadRequest, NotAuthentic, NotInTimeWindow, WrongPrivacyPassword
from probes.snmp.message import Pdu, PduKind, ScopedPdu, V3Message, decode_message
from probes.snmp.prepared import encode_template
from probes.snmp.sealed import SealedConversation
from probes.snmp.target import SnmpTarget
from probes.snmp.usm import (
    NO_KEYS,
    USM_STATS,
    AuthProtocol,
    Envelope,
    PrivProtocol,
    UsmUser,
    localize_key,
    localize_keys,
    password_to_key,
    seal,
    unseal,
)
from probes.snmp.values import Tag, VarBind

ENGINE_ID = bytes.fromhex("000000000000000000000002")
SCOPED = ScopedPdu(ENGINE_ID, b"context", Pdu(PduKind.GET, 0x0102_0304, [VarBind((1, 3, 6, 1, 2, 1, 1, 5, 0))]))
PAIRS = list(itertools.product(AuthProtocol, [None, *PrivProtocol]))


def make_user(auth: AuthProtocol | None, priv: PrivProtocol | None, words: bytes = b"private-words") -> UsmUser:
    return UsmUser("user", auth, b"authentic-words" if auth else b"", priv, words if priv else b"")


@pytest.mark.parametrize(
    ("auth", "key", "localised"),
    [
        (AuthProtocol.MD5, "9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"),
        (AuthProtocol.SHA1, "9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"),
    ],
)
def test_keys_are_those_of_rfc_3414_a_3(auth: AuthProtocol, key: str, localised: str) -> None:
    made = password_to_key(auth, b"maplesyrup")
    assert key == made.hex()
    assert localised == localize_key(auth, made, ENGINE_ID).hex()


@pytest.mark.parametrize(("auth", "priv"), PAIRS)
def test_sealed_messages_are_unsealed_by_the_other_side(auth: AuthProtocol, priv: PrivProtocol | None) -> None:
    keys = localize_keys(make_user(auth, priv), ENGINE_ID)
    datagram = seal(Envelope(77, ENGINE_ID, 3, 1234, b"user"), SCOPED, keys, 42)
    message = decode_message(datagram)
    assert isinstance(message, V3Message)
    assert SCOPED == unseal(datagram, message, keys)
    for place in range(len(datagram)):
        tampered = datagram[:place] + bytes((datagram[place] ^ 0x20,)) + datagram[place + 1 :]
        with pytest.raises(Exception, match=r".") as raised:
            unseal(tampered, _read(tampered), keys)
        assert raised.type.__module__ == "probes.snmp.errors"


def _read(datagram: bytes) -> V3Message:
    message = decode_message(datagram)
    if not isinstance(message, V3Message) or not message.flags & 1:
        raise NotAuthentic("It is no signed v3 message any more.")
    return message


@pytest.mark.parametrize(("auth", "priv"), [(None, None), *PAIRS])
def test_prepared_requests_are_sealed_like_others(auth: AuthProtocol | None, priv: PrivProtocol | None) -> None:
    user = make_user(auth, priv)
    engine = EngineClock(ENGINE_ID)
    engine.set(3, 1234, 100.0)
    conversation = SealedConversation(user, "context", engine)
    template = encode_template([varbind.oid for varbind in SCOPED.pdu.varbinds], 3, None)
    datagram = conversation.seal(template, 0x0102_0304, 100.5, 42)
    assert (
        seal(Envelope(0x0102_0304, ENGINE_ID, 3, 1234, b"user"), SCOPED, localize_keys(user, ENGINE_ID), 42) == datagram
    )


@pytest.mark.parametrize("priv", PrivProtocol)
def test_wrong_privacy_password_is_told(priv: PrivProtocol) -> None:
    keys = localize_keys(make_user(AuthProtocol.SHA256, priv), ENGINE_ID)
    other = localize_keys(make_user(AuthProtocol.SHA256, priv, b"other-words"), ENGINE_ID)
    datagram = seal(Envelope(77, ENGINE_ID, 3, 1234, b"user"), SCOPED, keys, 42)
    with pytest.raises(WrongPrivacyPassword):
        unseal(datagram, _read(datagram), other)


def test_time_window_opens_and_closes() -> None:
    """It is asked for its time by a local clock, which authenticated messages set (R9)."""
    clock = EngineClock(ENGINE_ID)
    assert (0, 0) == clock.read(50.0)
    clock.set(5, 1000, 50.0)
    assert (5, 1010) == clock.read(60.9)
    assert clock.check(5, 860, 60.0)
    assert not clock.check(5, 859, 60.0)
    assert not clock.check(4, 5000, 60.0)
    assert clock.check(6, 3, 60.0)
    assert (6, 3) == clock.read(60.0)


@pytest.mark.parametrize("signed", [True, False])
def test_a_clock_is_set_by_authentic_messages_only(*, signed: bool) -> None:
    """A forged notInTimeWindows would otherwise set our clock to where an old message is timely again (R9)."""
    user = make_user(AuthProtocol.SHA1, None)
    target = SnmpTarget("127.0.0.1", version="3", user=user)
    device = Device(EngineClock(ENGINE_ID))
    assert device.engine is not None
    device.engine.set(5, 1000, 50.0)
    report = ScopedPdu(
        ENGINE_ID, b"", Pdu(PduKind.REPORT, 77, [VarBind(USM_STATS["not_in_time_window"], 1, Tag.COUNTER32)])
    )
    keys = localize_keys(user, ENGINE_ID) if signed else NO_KEYS
    datagram = seal(Envelope(77, ENGINE_ID, 2, 9, b"user"), report, keys, 1)
    with pytest.raises(NotInTimeWindow):
        read_answer(target, device, datagram, 77, 60.0)
    assert ((2, 9) if signed else (5, 1010)) == device.engine.read(60.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"priv": PrivProtocol.DES, "priv_password": b"long-enough"}, "no authentication"),
        ({"auth": AuthProtocol.MD5, "auth_password": b"short"}, "has 5 octets"),
    ],
)
def test_impossible_users_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        UsmUser("user", **fields)


def test_secrets_do_not_show() -> None:
    user = make_user(AuthProtocol.SHA1, PrivProtocol.AES128)
    shown = repr(SnmpTarget("127.0.0.1", version="3", user=user)) + repr(SnmpTarget("::1", community=b"hush"))
    shown += repr(localize_keys(user, ENGINE_ID))
    assert not any(word in shown for word in ("words", "hush", localize_keys(user, ENGINE_ID).auth_key.hex()))
