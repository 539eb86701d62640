"""The user-based security model (RFC 3414, 3826, 7860), pure, for both sides: poller and agent.

A poller calls localize_keys once per engine, then seal for what it sends and unseal for what it gets. An agent or a
trap receiver does the same with the keys of its users; what to report and which time is timely its caller decides.
AES-192 and AES-256 exist with two key extensions: the one of draft-blumenthal-aes-usm-04 (net-snmp, most vendors) and
the one of draft-reeder-snmpv3-usm-3desede-00 (Cisco and others), here called REEDER.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:  # before cryptography 43
    from cryptography.hazmat.primitives.ciphers.algorithms import TripleDES
try:
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:  # before cryptography 47
    from cryptography.hazmat.primitives.ciphers.modes import CFB

from probes.snmp.errors import BadRequest, MalformedMessage, NotAuthentic, WrongPrivacyPassword
from probes.snmp.message import (
    FLAG_AUTH,
    FLAG_PRIV,
    FLAG_REPORTABLE,
    ScopedPdu,
    UsmParameters,
    V3Message,
    decode_message,
    decode_scoped_pdu,
    encode_message,
    encode_scoped_pdu,
)
from probes.snmp.oid import Oid

SHORTEST_PASSWORD = 8
"""RFC 3414, 11.2."""

_PASSWORD_STREAM = 1 << 20
"""Octets of repeated password that are hashed into a key (RFC 3414, A.2)."""

_DES_BLOCK = 8


class AuthProtocol(Enum):
    """Hash name in hashlib, and octets of the digest in a message (RFC 3414, 6 and 7; RFC 7860, 4)."""

    MD5 = ("md5", 12)
    SHA1 = ("sha1", 12)
    SHA224 = ("sha224", 16)
    SHA256 = ("sha256", 24)
    SHA384 = ("sha384", 32)
    SHA512 = ("sha512", 48)

    @property
    def hash_name(self) -> str:
        """Name for hashlib."""
        return self.value[0]

    @property
    def digest_size(self) -> int:
        """Octets of msgAuthenticationParameters."""
        return self.value[1]


class PrivProtocol(Enum):
    """Cipher, octets of its key as localised, and how a shorter localised key is extended to that."""

    DES = ("des", 16, "none")
    AES128 = ("aes", 16, "none")
    AES192 = ("aes", 24, "blumenthal")
    AES256 = ("aes", 32, "blumenthal")
    AES192_REEDER = ("aes", 24, "reeder")
    AES256_REEDER = ("aes", 32, "reeder")

    @property
    def key_size(self) -> int:
        """Octets of the localised key; of DES 8 are the key and 8 the start of the vector."""
        return self.value[1]

    @property
    def extension(self) -> str:
        """Name of the key extension."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class UsmUser:
    """A v3 identity. Without auth it is noAuthNoPriv, without priv authNoPriv; passwords never show in its repr."""

    security_name: str
    auth: AuthProtocol | None = None
    auth_password: bytes = field(default=b"", repr=False)
    priv: PrivProtocol | None = None
    priv_password: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        """Refuse what no agent would accept."""
        if self.priv is not None and self.auth is None:
            raise BadRequest(f"User {self.security_name} has a privacy protocol but no authentication protocol.")
        if not 1 <= len(self.security_name.encode()) <= 32:  # noqa: PLR2004 RFC 3414, 5: usmUserName
            raise BadRequest(f"The security name '{self.security_name}' has not between 1 and 32 octets.")
        for protocol, password in ((self.auth, self.auth_password), (self.priv, self.priv_password)):
            if protocol is not None and len(password) < SHORTEST_PASSWORD:
                raise BadRequest(
                    f"The {protocol.name} password of user {self.security_name} has {len(password)} octets; "
                    f"SNMPv3 asks for {SHORTEST_PASSWORD} or more."
                )

    @property
    def flags(self) -> int:
        """Auth and priv bits of msgFlags."""
        return (FLAG_AUTH if self.auth else 0) | (FLAG_PRIV if self.priv else 0)


@dataclass(frozen=True, slots=True)
class UsmKeys:
    """A user's keys, localised to one engine; never printed."""

    auth: AuthProtocol | None = None
    auth_key: bytes = field(default=b"", repr=False)
    priv: PrivProtocol | None = None
    priv_key: bytes = field(default=b"", repr=False)

    @property
    def flags(self) -> int:
        """Auth and priv bits of msgFlags."""
        return (FLAG_AUTH if self.auth else 0) | (FLAG_PRIV if self.priv else 0)


NO_KEYS: Final = UsmKeys()
"""For noAuthNoPriv and for discovery."""

USM_STATS: Final[dict[str, Oid]] = {
    "unsupported_level": (1, 3, 6, 1, 6, 3, 15, 1, 1, 1, 0),
    "not_in_time_window": (1, 3, 6, 1, 6, 3, 15, 1, 1, 2, 0),
    "unknown_user": (1, 3, 6, 1, 6, 3, 15, 1, 1, 3, 0),
    "unknown_engine": (1, 3, 6, 1, 6, 3, 15, 1, 1, 4, 0),
    "wrong_password": (1, 3, 6, 1, 6, 3, 15, 1, 1, 5, 0),
    "wrong_privacy_password": (1, 3, 6, 1, 6, 3, 15, 1, 1, 6, 0),
}
"""The counters that a report names (SNMP-USER-BASED-SM-MIB), by the reason of our error for it."""


@lru_cache(maxsize=4096)
def password_to_key(auth: AuthProtocol, password: bytes) -> bytes:
    """Ku of RFC 3414, A.2: the hash of one MiB of the password repeated."""
    repeated = password * (_PASSWORD_STREAM // len(password) + 1)
    return hashlib.new(auth.hash_name, repeated[:_PASSWORD_STREAM], usedforsecurity=False).digest()


def localize_key(auth: AuthProtocol, key: bytes, engine_id: bytes) -> bytes:
    """Kul of RFC 3414, 2.6: a user's key made good for one engine only."""
    return hashlib.new(auth.hash_name, key + engine_id + key, usedforsecurity=False).digest()


def localize_priv_key(auth: AuthProtocol, priv: PrivProtocol, password: bytes, engine_id: bytes) -> bytes:
    """Localised privacy key, extended where the hash is shorter than the cipher's key."""
    key = localize_key(auth, password_to_key(auth, password), engine_id)
    while len(key) < priv.key_size:
        if priv.extension == "reeder":
            key += localize_key(auth, password_to_key(auth, key[-hashlib.new(auth.hash_name).digest_size :]), engine_id)
        else:
            key += hashlib.new(auth.hash_name, key, usedforsecurity=False).digest()
    return key[: priv.key_size]


@lru_cache(maxsize=65536)
def localize_keys(user: UsmUser, engine_id: bytes) -> UsmKeys:
    """Both keys of a user for an engine; remembered, because hashing a MiB takes a millisecond."""
    if user.auth is None:
        return NO_KEYS
    auth_key = localize_key(user.auth, password_to_key(user.auth, user.auth_password), engine_id)
    if user.priv is None:
        return UsmKeys(user.auth, auth_key)
    return UsmKeys(
        user.auth, auth_key, user.priv, localize_priv_key(user.auth, user.priv, user.priv_password, engine_id)
    )


def authenticate(auth: AuthProtocol, key: bytes, message: bytes) -> bytes:
    """Digest of a whole message whose digest field is zero (RFC 3414, 6.3.1; RFC 7860, 4.2)."""
    return hmac.digest(key, message, auth.hash_name)[: auth.digest_size]


def encrypt(keys: UsmKeys, engine_boots: int, engine_time: int, salt: int, plain: bytes) -> tuple[bytes, bytes]:
    """Cipher text and msgPrivacyParameters; salt must not repeat under one key (RFC 3414, 8.1.1; RFC 3826, 3.1).

    A DES salt is made of engine_boots and the low 32 bits of salt, an AES one of its 64 bits.
    """
    if keys.priv is PrivProtocol.DES:
        salt_octets = (engine_boots & 0xFFFF_FFFF).to_bytes(4, "big") + (salt & 0xFFFF_FFFF).to_bytes(4, "big")
        padded = plain + bytes(-len(plain) % _DES_BLOCK)
        encryptor = _des(keys.priv_key, salt_octets).encryptor()
        return encryptor.update(padded) + encryptor.finalize(), salt_octets
    salt_octets = (salt & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")
    cipher = _aes(keys.priv_key, engine_boots, engine_time, salt_octets)
    return cipher.encryptor().update(plain), salt_octets


def decrypt(keys: UsmKeys, engine_boots: int, engine_time: int, salt_octets: bytes, encrypted: bytes) -> bytes:
    """Plain text, with the padding of DES still at its end; raises WrongPrivacyPassword where it cannot be."""
    if len(salt_octets) != 8 or (keys.priv is PrivProtocol.DES and len(encrypted) % _DES_BLOCK):  # noqa: PLR2004 the salt of DES and AES
        raise WrongPrivacyPassword("The message is not encrypted with the privacy protocol that is configured.")
    if keys.priv is PrivProtocol.DES:
        return _des(keys.priv_key, salt_octets).decryptor().update(encrypted)
    return _aes(keys.priv_key, engine_boots, engine_time, salt_octets).decryptor().update(encrypted)


def open_cipher(algorithm: AES, vector: bytes) -> Cipher[CFB]:
    """AES in CFB mode with its vector: engine boots and time, then the salt (RFC 3826, 3.1.2.1)."""
    return Cipher(algorithm, CFB(vector))


def _aes(key: bytes, engine_boots: int, engine_time: int, salt_octets: bytes) -> Cipher[CFB]:
    return open_cipher(AES(key), engine_boots.to_bytes(4, "big") + engine_time.to_bytes(4, "big") + salt_octets)


def _des(key: bytes, salt_octets: bytes) -> Cipher[CBC]:
    vector = bytes(a ^ b for a, b in zip(key[8:16], salt_octets, strict=True))
    # Three equal keys make triple DES the single DES of RFC 3414, 8.2.
    return Cipher(TripleDES(key[:8] * 3), CBC(vector))


@dataclass(frozen=True, slots=True)
class Envelope:
    """The outside of a message to be sealed: everything that is neither key nor content."""

    msg_id: int
    engine_id: bytes
    engine_boots: int
    engine_time: int
    user_name: bytes
    max_size: int = 65507
    reportable: bool = True


def seal(envelope: Envelope, scoped: ScopedPdu, keys: UsmKeys, salt: int) -> bytes:
    """Encode, encrypt and sign a whole v3 message, as far as the keys go (RFC 3414, 3.1)."""
    flags = keys.flags | (FLAG_REPORTABLE if envelope.reportable else 0)
    content, salt_octets = encode_scoped_pdu(scoped), b""
    if keys.priv is not None:
        content, salt_octets = encrypt(keys, envelope.engine_boots, envelope.engine_time, salt, content)
    digest = bytes(keys.auth.digest_size) if keys.auth is not None else b""
    security = UsmParameters(
        envelope.engine_id, envelope.engine_boots, envelope.engine_time, envelope.user_name, digest, salt_octets
    )
    message = encode_message(V3Message(envelope.msg_id, envelope.max_size, flags, security, content))
    if keys.auth is None:
        return message
    return sign(message, keys)


def sign(message: bytes, keys: UsmKeys) -> bytes:
    """Fill in the digest of an encoded message whose digest field is zero."""
    outside = decode_message(message)
    assert isinstance(outside, V3Message)
    assert keys.auth is not None
    at, size = outside.digest_at, keys.auth.digest_size
    return message[:at] + authenticate(keys.auth, keys.auth_key, message) + message[at + size :]


def unseal(datagram: bytes, message: V3Message, keys: UsmKeys) -> ScopedPdu:
    """Check the digest of a received message and decrypt it, as far as its own flags say (RFC 3414, 3.2).

    The caller has looked up keys by engine id and user, and decides afterwards whether the level is enough and the time
    window right. Raises NotAuthentic, WrongPrivacyPassword (it does not decrypt to a PDU) or MalformedMessage.
    """
    if message.flags & FLAG_AUTH:
        check_digest(datagram, message, keys)
    if not message.flags & FLAG_PRIV:
        return decode_scoped_pdu(message.scoped)
    return decode_decrypted(open_scoped(message, keys))


def check_digest(datagram: bytes, message: V3Message, keys: UsmKeys) -> None:
    """Raise NotAuthentic unless the digest of the datagram is ours."""
    size = len(message.security.digest)
    if keys.auth is None or size != keys.auth.digest_size:
        raise NotAuthentic("The message is signed with another authentication protocol than the configured one.")
    at = message.digest_at
    blank = datagram[:at] + bytes(size) + datagram[at + size :]
    if not hmac.compare_digest(authenticate(keys.auth, keys.auth_key, blank), message.security.digest):
        raise NotAuthentic("The digest of the message does not match: its authentication password is another one.")


def open_scoped(message: V3Message, keys: UsmKeys) -> bytes:
    """Octets of the scoped PDU of an encrypted message, decrypted."""
    if keys.priv is None:
        raise WrongPrivacyPassword("The message is encrypted, but no privacy protocol is configured for its user.")
    security = message.security
    return decrypt(keys, security.engine_boots, security.engine_time, security.salt, message.scoped)


def decode_decrypted(plain: bytes) -> ScopedPdu:
    """Read a decrypted scoped PDU; what makes no sense was decrypted with the wrong key (RFC 3414, 3.2, step 8)."""
    try:
        return decode_scoped_pdu(plain)
    except MalformedMessage as error:
        raise WrongPrivacyPassword("The message does not decrypt: its privacy password is another one.") from error
