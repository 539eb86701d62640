"""The SNMP software of a simulated device: a datagram in, a datagram out or silence. Knows no socket and no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from poller.lab.answering import answer_request
from poller.lab.mib import Readable
from probes.snmp.errors import MalformedMessage, NotAuthentic, WrongPrivacyPassword
from probes.snmp.message import (
    FLAG_AUTH,
    FLAG_PRIV,
    FLAG_REPORTABLE,
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
from probes.snmp.usm import NO_KEYS, USM_STATS, Envelope, UsmKeys, UsmUser, check_digest, localize_keys, seal, unseal
from probes.snmp.values import Tag, VarBind

ROOM: Final = 1472
"""Octets of the largest message an agent sends unless told otherwise: what Ethernet takes unfragmented."""
_OUTSIDE: Final = 60
"""Octets of a v1 or v2c message beside community and varbinds, at most."""
_OUTSIDE_V3: Final = 200
_TIME_WINDOW_SECONDS: Final = 150
"""RFC 3414, 2.2.3."""


class Engine(Protocol):
    """What an agent must know of its box (Box is one)."""

    engine_id: bytes
    engine_boots: int

    @property
    def view(self) -> Readable:
        """The objects at present."""

    def engine_seconds(self, time_ns: int) -> int:
        """SnmpEngineTime."""


@dataclass(slots=True)
class Access:
    """Who may ask: communities of v1 and v2c, users of v3 by name."""

    communities: frozenset[bytes] = frozenset()
    users: Mapping[bytes, UsmUser] = field(default_factory=dict)


class Agent:
    """Answers for one box; `room` is the largest message it sends."""

    def __init__(self, engine: Engine, access: Access, room: int = ROOM) -> None:
        self.engine = engine
        self.access = access
        self.room = room
        self.requests = 0
        self._reports: dict[str, int] = dict.fromkeys(USM_STATS, 0)
        self._salt = 0

    def receive(self, datagram: bytes, time_ns: int) -> bytes | None:
        """The answer to a datagram at a moment; None for what an agent leaves without one."""
        try:
            message = decode_message(datagram)
        except MalformedMessage:
            return None
        self.requests += 1
        if isinstance(message, CommunityMessage):
            return self._community(message, time_ns)
        return self._usm(datagram, message, time_ns)

    def _community(self, message: CommunityMessage, time_ns: int) -> bytes | None:
        if message.community not in self.access.communities or not isinstance(message.pdu, Pdu):
            return None
        room = self.room - _OUTSIDE - len(message.community)
        response = answer_request(self.engine.view, message.pdu, message.version, time_ns, room)
        return (
            None if response is None else encode_message(CommunityMessage(message.version, message.community, response))
        )

    def _usm(self, datagram: bytes, message: V3Message, time_ns: int) -> bytes | None:
        """RFC 3414, 3.2, in its order: engine, user, level, digest, time window, privacy."""
        reason, keys = self._refusal(datagram, message, time_ns)
        if reason is not None:
            signed = UsmKeys(keys.auth, keys.auth_key) if reason == "not_in_time_window" else NO_KEYS
            return self._report(reason, message, signed, time_ns)
        try:
            scoped = unseal(datagram, message, keys)
        except (WrongPrivacyPassword, MalformedMessage):
            return self._report("wrong_privacy_password", message, NO_KEYS, time_ns)
        if not isinstance(scoped.pdu, Pdu):
            return None
        room = min(self.room, message.max_size) - _OUTSIDE_V3
        response = answer_request(self.engine.view, scoped.pdu, V2C, time_ns, room)
        if response is None:
            return None
        return self._seal(message, ScopedPdu(self.engine.engine_id, scoped.context_name, response), keys, time_ns)

    def _refusal(self, datagram: bytes, message: V3Message, time_ns: int) -> tuple[str | None, UsmKeys]:
        """Why the message is refused, and the keys of its user."""
        security = message.security
        if security.engine_id != self.engine.engine_id:
            return "unknown_engine", NO_KEYS
        user = self.access.users.get(security.user_name)
        if user is None:
            return "unknown_user", NO_KEYS
        if message.flags & (FLAG_AUTH | FLAG_PRIV) != user.flags:
            return "unsupported_level", NO_KEYS
        keys = localize_keys(user, self.engine.engine_id)
        return self._mistrust(datagram, message, keys, time_ns), keys

    def _mistrust(self, datagram: bytes, message: V3Message, keys: UsmKeys, time_ns: int) -> str | None:
        """Why a message of a known user is not believed."""
        if keys.auth is None:
            return None
        try:
            check_digest(datagram, message, keys)
        except NotAuthentic:
            return "wrong_password"
        security = message.security
        late = abs(security.engine_time - self.engine.engine_seconds(time_ns)) > _TIME_WINDOW_SECONDS
        return "not_in_time_window" if late or security.engine_boots != self.engine.engine_boots else None

    def _report(self, reason: str, message: V3Message, keys: UsmKeys, time_ns: int) -> bytes | None:
        """A report (RFC 3412, 7.1.3): to reportable messages only; one for a wrong time window is signed."""
        self._reports[reason] += 1
        if not message.flags & FLAG_REPORTABLE:
            return None
        varbind = VarBind(USM_STATS[reason], self._reports[reason], Tag.COUNTER32)
        pdu = Pdu(PduKind.REPORT, _request_id(message), [varbind])
        return self._seal(message, ScopedPdu(self.engine.engine_id, b"", pdu), keys, time_ns)

    def _seal(self, message: V3Message, scoped: ScopedPdu, keys: UsmKeys, time_ns: int) -> bytes:
        self._salt += 1
        envelope = Envelope(
            message.msg_id,
            self.engine.engine_id,
            self.engine.engine_boots,
            self.engine.engine_seconds(time_ns),
            message.security.user_name,
            reportable=False,
        )
        return seal(envelope, scoped, keys, self._salt)


def _request_id(message: V3Message) -> int:
    """The request id of a message in the clear, 0 where it is hidden or unreadable (RFC 3412, 7.1.3 c)."""
    if message.flags & FLAG_PRIV:
        return 0
    try:
        pdu = decode_scoped_pdu(message.scoped).pdu
    except MalformedMessage:
        return 0
    return pdu.request_id if isinstance(pdu, Pdu) else 0
