"""SNMPv3 notifications: who is authoritative, which clock holds, and what was seen before (RFC 3414, RFC 3412). Pure.

    trap     the sender is authoritative: its engine id is in the message, its keys are localised to it, and its clock
             is learned from its first authentic message and held from then on
    inform   we are authoritative: the sender discovers our engine id and clock by our reports, then signs for us

Engine ids are learned only from authentic messages and up to a bound, the longest silent forgotten first. Within the
time window of 150 s a signed message is accepted once: the digest of each is remembered. What cannot be authenticated
(noAuthNoPriv) has neither clock nor replay protection.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from probes.snmp.engine import TIME_WINDOW_SECONDS, EngineClock
from probes.snmp.errors import MalformedMessage, WrongPrivacyPassword
from probes.snmp.message import (
    FLAG_AUTH,
    FLAG_PRIV,
    FLAG_REPORTABLE,
    USM,
    Pdu,
    PduKind,
    ScopedPdu,
    V3Message,
)
from probes.snmp.sealed import Signer
from probes.snmp.usm import (
    NO_KEYS,
    USM_STATS,
    Envelope,
    PrivProtocol,
    UsmKeys,
    UsmUser,
    decrypt,
    localize_keys,
    open_cipher,
    seal,
)
from probes.snmp.values import Tag, VarBind
from traps.funnel import Drop
from traps.resets import Resets

ENGINES_MOST: Final = 4096
SEEN_MOST: Final = 100_000
_ENGINE_ID_SIZES: Final = range(5, 33)
"""Octets of an engine id (RFC 3411, SnmpEngineID)."""
_LEVEL: Final = FLAG_AUTH | FLAG_PRIV
_STATS: Final = {
    Drop.UNKNOWN_ENGINE: "unknown_engine",
    Drop.UNKNOWN_USER: "unknown_user",
    Drop.UNSUPPORTED_LEVEL: "unsupported_level",
    Drop.WRONG_PASSWORD: "wrong_password",
    Drop.WRONG_PRIVACY_PASSWORD: "wrong_privacy_password",
    Drop.NOT_IN_TIME_WINDOW: "not_in_time_window",
}


class Opened(NamedTuple):
    """An accepted v3 message: its scoped PDU in the clear, who signed it, and what to answer with.

    own: it was signed for our engine, as informs are.
    """

    scoped: bytes
    user: UsmUser
    keys: UsmKeys
    engine_id: bytes
    own: bool


class Refused(NamedTuple):
    """A v3 message that is not accepted; report is the answer that its sender should get, if any."""

    reason: Drop
    report: bytes | None = None


@dataclass(slots=True)
class _Conversation:
    """One user's keys for one engine, with what makes checking quick."""

    user: UsmUser
    keys: UsmKeys
    signer: Signer | None
    aes: AES | None


@dataclass(slots=True)
class Engine:
    """A sender's engine: its clock, its users' keys."""

    clock: EngineClock
    conversations: dict[UsmUser, _Conversation] = field(default_factory=dict)


class Security:
    """Our engine, and the engines of all senders. now is a monotonic clock in seconds."""

    def __init__(self, engine_id: bytes, boots: int, started: float, engines_most: int = ENGINES_MOST) -> None:
        self.engine_id = engine_id
        self._own = Engine(EngineClock(engine_id))
        self._own.clock.set(boots, 0, started)
        self._engines: OrderedDict[bytes, Engine] = OrderedDict()
        self._engines_most = engines_most
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self.resets = Resets()
        self._reports: dict[Drop, int] = dict.fromkeys(_STATS, 0)
        self._salt = int.from_bytes(engine_id[-4:], "big") << 32 | boots << 20

    @property
    def engines(self) -> int:
        """How many senders' engines are known."""
        return len(self._engines)

    def open(
        self, datagram: bytes, message: V3Message, users: Mapping[bytes, Sequence[UsmUser]], now: float
    ) -> Opened | Refused:
        """Check a message that decode_message has read, against the users its source may be (RFC 3414, 3.2)."""
        engine_id = message.security.engine_id
        own = engine_id == self.engine_id
        if message.security_model != USM or not (own or len(engine_id) in _ENGINE_ID_SIZES):
            return self._refuse(Drop.UNKNOWN_ENGINE, message, NO_KEYS, now)
        candidates = users.get(message.security.user_name, ())
        if not candidates:
            return self._not_ours(Drop.UNKNOWN_USER, message, own=own, now=now)
        level = message.flags & _LEVEL
        fitting = [user for user in candidates if user.flags == level]
        if not fitting:
            return self._not_ours(Drop.UNSUPPORTED_LEVEL, message, own=own, now=now)
        engine = self._own if own else self._engines.get(engine_id) or Engine(EngineClock(engine_id))
        for user in fitting:
            conversation = _converse(engine, user)
            if conversation.signer is not None and not _is_authentic(datagram, message, conversation.signer):
                continue
            return self._open_authentic(message, engine, conversation, now)
        return self._not_ours(Drop.WRONG_PASSWORD, message, own=own, now=now)

    def _open_authentic(self, message: V3Message, engine: Engine, talk: _Conversation, now: float) -> Opened | Refused:
        own = engine is self._own
        if talk.signer is not None:
            if not self._is_timely(message, engine, now):
                if not own:
                    told = (message.security.engine_boots, message.security.engine_time)
                    self.resets.note(engine.clock.engine_id, told, engine.clock.read(now), now)
                return self._refuse(Drop.NOT_IN_TIME_WINDOW, message, talk.keys, now, talk.user)
            if not own:
                self._keep(engine)
                if self.resets:
                    self.resets.settle(engine.clock.engine_id)
                if self._is_replayed(message.security.digest, now):
                    return Refused(Drop.REPLAYED)
        try:
            scoped = _decrypt(message, talk)
        except (WrongPrivacyPassword, MalformedMessage):
            return self._not_ours(Drop.WRONG_PRIVACY_PASSWORD, message, own=own, now=now)
        return Opened(scoped, talk.user, talk.keys, engine.clock.engine_id, own)

    def _is_timely(self, message: V3Message, engine: Engine, now: float) -> bool:
        boots, time = message.security.engine_boots, message.security.engine_time
        if engine is not self._own:
            return engine.clock.check(boots, time, now)
        own_boots, own_time = engine.clock.read(now)
        return boots == own_boots and abs(time - own_time) <= TIME_WINDOW_SECONDS

    def _keep(self, engine: Engine) -> None:
        """Remember the engine of an authentic message; the one that was silent longest makes room."""
        engine_id = engine.clock.engine_id
        self._engines[engine_id] = engine
        self._engines.move_to_end(engine_id)
        if len(self._engines) > self._engines_most:
            self._engines.popitem(last=False)

    def _is_replayed(self, digest: bytes, now: float) -> bool:
        seen = self._seen
        if digest in seen:
            return True
        seen[digest] = now
        if len(seen) > SEEN_MOST:
            seen.popitem(last=False)
        return False

    def forget(self, now: float) -> None:
        """Drop digests that the time window refuses by itself; call it now and then."""
        self.resets.forget(now)
        seen = self._seen
        while seen:
            digest, at = next(iter(seen.items()))
            if now - at <= 2 * TIME_WINDOW_SECONDS:
                return
            del seen[digest]

    def accept_anew(self, engine_id: bytes) -> bool:
        """Forget an engine's clock, so that its next authentic message sets it; False where it is not known."""
        self.resets.settle(engine_id)
        return self._engines.pop(engine_id, None) is not None

    def prove(self, engine_id: bytes, boots: int, time: int, now: float) -> None:
        """Take over a clock that an authenticated answer to a question of ours has just told: that is the present."""
        if engine_id in self._engines:
            self._engines[engine_id].clock.set(boots, time, now)
            self.resets.settle(engine_id)

    # Answers

    def acknowledge(self, message: V3Message, opened: Opened, response: ScopedPdu, now: float) -> bytes:
        """The response to an inform, sealed as the inform was."""
        return self._seal(message, response, opened.keys, opened.user.security_name.encode(), now)

    def _not_ours(self, reason: Drop, message: V3Message, *, own: bool, now: float) -> Refused:
        """Refuse; whoever expects an answer from another engine than ours is first told who we are (discovery)."""
        return self._refuse(reason if own else Drop.UNKNOWN_ENGINE, message, NO_KEYS, now)._replace(reason=reason)

    def _refuse(
        self, reason: Drop, message: V3Message, keys: UsmKeys, now: float, user: UsmUser | None = None
    ) -> Refused:
        """Count, and report where the sender asks for it; only notInTimeWindows is signed (RFC 3414, 3.2)."""
        if not message.flags & FLAG_REPORTABLE or reason not in _STATS:
            return Refused(reason)
        self._reports[reason] += 1
        counter = VarBind(USM_STATS[_STATS[reason]], self._reports[reason], Tag.COUNTER32)
        scoped = ScopedPdu(self.engine_id, b"", Pdu(PduKind.REPORT, 0, [counter]))
        signed = UsmKeys(keys.auth, keys.auth_key)
        if reason is not Drop.NOT_IN_TIME_WINDOW or message.security.engine_id != self.engine_id:
            signed = NO_KEYS
        name = user.security_name.encode() if user is not None else message.security.user_name
        return Refused(reason, self._seal(message, scoped, signed, name, now))

    def _seal(self, message: V3Message, scoped: ScopedPdu, keys: UsmKeys, name: bytes, now: float) -> bytes:
        boots, time = self._own.clock.read(now)
        envelope = Envelope(message.msg_id, self.engine_id, boots, time, name, reportable=False)
        self._salt += 1
        return seal(envelope, scoped, keys, self._salt)

    # What must survive a restart

    def save(self, now: float) -> list[tuple[bytes, int, int]]:
        """Clocks of the engines as plain values, so that a restart opens no door for old messages."""
        return [(engine_id, *engine.clock.read(now)) for engine_id, engine in self._engines.items()]

    def restore(self, saved: Sequence[Any], now: float) -> None:
        """Go on from what save() gave; the time that passed in between counts as none, which only refuses less."""
        for engine_id, boots, time in saved:
            clock = EngineClock(engine_id)
            clock.set(boots, time, now)
            self._engines[engine_id] = Engine(clock)


def _converse(engine: Engine, user: UsmUser) -> _Conversation:
    found = engine.conversations.get(user)
    if found is None:
        keys = localize_keys(user, engine.clock.engine_id)
        signer = Signer(keys.auth, keys.auth_key) if keys.auth is not None else None
        aes = AES(keys.priv_key) if keys.priv not in {None, PrivProtocol.DES} else None
        found = engine.conversations[user] = _Conversation(user, keys, signer, aes)
    return found


def _is_authentic(datagram: bytes, message: V3Message, signer: Signer) -> bool:
    digest, at = message.security.digest, message.digest_at
    if len(digest) != signer.size:
        return False
    blank = datagram[:at] + bytes(signer.size) + datagram[at + signer.size :]
    return compare_digest(signer.digest(blank), digest)


def _decrypt(message: V3Message, talk: _Conversation) -> bytes:
    if not message.flags & FLAG_PRIV:
        return message.scoped
    security = message.security
    if talk.aes is None or len(security.salt) != 8:  # noqa: PLR2004 - RFC 3826, 3.1.2.1
        plain = decrypt(talk.keys, security.engine_boots, security.engine_time, security.salt, message.scoped)
    else:
        vector = security.engine_boots.to_bytes(4, "big") + security.engine_time.to_bytes(4, "big") + security.salt
        plain = open_cipher(talk.aes, vector).decryptor().update(message.scoped)
    if not plain or plain[0] != 0x30:  # noqa: PLR2004 - a scoped PDU is a SEQUENCE
        raise WrongPrivacyPassword("The message does not decrypt: its privacy password is another one.")
    return plain
