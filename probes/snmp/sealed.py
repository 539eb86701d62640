"""Prepared requests in SNMPv3: the constant parts of sealing and opening, kept per agent and user. Pure.

What differs from request to request is written into remembered octets: msgID, request id, time, salt, digest, cipher
text. The outside of a reply is compared with the remembered outside of the last one; any difference - a report, another
level, another engine - is left to the general codec (open_reply returns None).
"""

import hmac
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hmac import HMAC

from probes.snmp.ber import encode_integer, encode_length, tlv
from probes.snmp.engine import EngineClock
from probes.snmp.errors import MalformedMessage
from probes.snmp.message import FLAG_AUTH, FLAG_PRIV, FLAG_REPORTABLE, V3Message, decode_message
from probes.snmp.prepared import Template
from probes.snmp.usm import AuthProtocol, PrivProtocol, UsmUser, decrypt, encrypt, localize_keys, open_cipher

MAX_SIZE = 65507
_HASHES: Final[Mapping[AuthProtocol, hashes.HashAlgorithm]] = {
    AuthProtocol.MD5: hashes.MD5(),  # noqa: S303 old agents know nothing better; "check" warns
    AuthProtocol.SHA1: hashes.SHA1(),  # noqa: S303 as above
    AuthProtocol.SHA224: hashes.SHA224(),
    AuthProtocol.SHA256: hashes.SHA256(),
    AuthProtocol.SHA384: hashes.SHA384(),
    AuthProtocol.SHA512: hashes.SHA512(),
}
_SALT_SIZE = 8
_AES_BLOCK = 16
_VERSION_3 = b"\x02\x01\x03"


class Signer:
    """HMAC with its key already taken in (RFC 2104, 4); half the cost of hmac.digest for a packet."""

    __slots__ = ("_keyed", "size")

    def __init__(self, auth: AuthProtocol, key: bytes) -> None:
        self._keyed = HMAC(key, _HASHES[auth])
        self.size = auth.digest_size

    def digest(self, message: bytes) -> bytes:
        """Truncated digest of a message whose digest field is zero."""
        signing = self._keyed.copy()
        signing.update(message)
        return signing.finalize()[: self.size]


class Enciphering:
    """AES in CFB mode with a lasting cipher object, because a new one for each message costs three times the cipher.

    CFB enciphers its last cipher text to get the next key stream (NIST SP 800-38A, 6.3). So a block that enciphers to
    the vector of a message makes what follows it the message enciphered with that vector.
    """

    __slots__ = ("_cfb", "_ecb", "_last")

    def __init__(self, key: bytes) -> None:
        algorithm = AES(key)
        self._last = bytes(_AES_BLOCK)
        self._ecb = Cipher(algorithm, ECB()).encryptor()  # noqa: S305 for single blocks of CFB
        self._cfb = open_cipher(algorithm, self._last).encryptor()

    def encrypt(self, vector: bytes, content: bytes) -> bytes:
        """Cipher text of as many octets as the content."""
        stream = self._ecb.update(self._last)
        lead = (int.from_bytes(stream, "little") ^ int.from_bytes(vector, "little")).to_bytes(_AES_BLOCK, "little")
        encrypted = self._cfb.update(b"".join((lead, content, bytes(-len(content) % _AES_BLOCK))))
        self._last = encrypted[-_AES_BLOCK:]
        return encrypted[_AES_BLOCK : _AES_BLOCK + len(content)]

    def decrypt(self, vector: bytes, encrypted: bytes) -> bytes:
        """What was encrypted: CFB decrypts by enciphering what it has, all blocks at once."""
        size = len(encrypted)
        stream = self._ecb.update((vector + encrypted)[: size + _AES_BLOCK - 1 & -_AES_BLOCK])
        plain = int.from_bytes(encrypted, "little") ^ int.from_bytes(stream[:size], "little")
        return plain.to_bytes(size, "little")


class SealedConversation:
    """Seals prepared requests to one agent for one user and context, and opens its replies."""

    def __init__(self, user: UsmUser, context_name: str, engine: EngineClock) -> None:
        self.user = user
        self.context_name = context_name
        self.engine = engine
        self._keys = localize_keys(user, engine.engine_id)
        self._signer = Signer(self._keys.auth, self._keys.auth_key) if self._keys.auth else None
        self._aes = Enciphering(self._keys.priv_key) if self._keys.priv not in {None, PrivProtocol.DES} else None
        flags = bytes((self._keys.flags | FLAG_REPORTABLE,))
        tail = encode_integer(MAX_SIZE) + tlv(0x04, flags) + b"\x02\x01\x03"
        self._before_id = _VERSION_3 + bytes((0x30, 6 + len(tail))) + b"\x02\x04"
        self._after_id = tail
        self._context = tlv(0x04, engine.engine_id) + tlv(0x04, context_name.encode())
        self._user = tlv(0x04, user.security_name.encode())
        self._blank = bytes(self._signer.size) if self._signer else b""
        self._time: tuple[int, int] | None = None
        self._security = b""
        self._reply_head = b""
        self._reply_tail = b""

    def fits(self, user: UsmUser, context_name: str, engine: EngineClock | None) -> bool:
        """Whether this is the conversation for such a target."""
        return self.engine is engine and self.user is user and self.context_name == context_name

    def seal(self, template: Template, request_id: int, now: float, salt: int) -> bytes:
        """Whole message for a prepared request."""
        id_octets = request_id.to_bytes(4, "big")
        boots, time = self.engine.read(now)
        if self._time != (boots, time):
            self._remember_time(boots, time)
        content = b"".join((self._context, template.prefix, id_octets, template.suffix))
        content = b"\x30" + encode_length(len(content)) + content
        salt_octets = b""
        if self._aes is not None:
            salt_octets = salt.to_bytes(_SALT_SIZE, "big")
            vector = boots.to_bytes(4, "big") + time.to_bytes(4, "big") + salt_octets
            content = self._aes.encrypt(vector, content)
        elif self._keys.priv is not None:
            content, salt_octets = encrypt(self._keys, boots, time, salt, content)
        if self._keys.priv is not None:
            content = b"\x04" + encode_length(len(content)) + content
        front = b"".join((self._before_id, id_octets, self._after_id, self._security))
        back = b"".join((b"\x04", bytes((len(salt_octets),)), salt_octets, content))
        front = b"\x30" + encode_length(len(front) + len(self._blank) + len(back)) + front
        if self._signer is None:
            return front + back
        return front + self._signer.digest(b"".join((front, self._blank, back))) + back

    def _remember_time(self, boots: int, time: int) -> None:
        """Write the security parameters up to the digest; good for one second of the engine."""
        self._time = (boots, time)
        digest_header = bytes((0x04, len(self._blank)))
        inside = (
            tlv(0x04, self.engine.engine_id) + encode_integer(boots) + encode_integer(time) + self._user + digest_header
        )
        salt_size = 2 + (_SALT_SIZE if self._keys.priv is not None else 0)
        length = len(inside) + len(self._blank) + salt_size
        sequence = b"\x30" + encode_length(length) + inside
        self._security = b"\x04" + encode_length(length + len(sequence) - len(inside)) + sequence

    def open_reply(self, datagram: bytes, now: float) -> bytes | None:
        """Scoped PDU in the clear; None unless the reply is authentic, timely, of our level, engine and user."""
        try:
            found = self._look(datagram)
        except IndexError:
            return None
        if found is None:
            return None
        digest_at, salt_at, content_at, time = found
        if self._signer is not None:
            after = digest_at + self._signer.size
            blank = b"".join((datagram[:digest_at], self._blank, datagram[after:]))
            if not hmac.compare_digest(self._signer.digest(blank), datagram[digest_at:after]):
                return None
            if not self.engine.check(self.engine.boots, time, now):
                return None
        if self._keys.priv is None:
            return datagram[content_at:]
        return self._decrypt(datagram, salt_at, time)

    def _decrypt(self, datagram: bytes, salt_at: int, time: int) -> bytes | None:
        salt = datagram[salt_at : salt_at + _SALT_SIZE]
        start = salt_at + _SALT_SIZE
        size = datagram[start + 1]
        start += 2 if size < 0x80 else size - 0x7E  # noqa: PLR2004 short or long form of the length
        boots = self.engine.boots
        if self._aes is None:
            plain = decrypt(self._keys, boots, time, salt, datagram[start:])
            size = plain[1]
            at = 2 if size < 0x80 else size - 0x7E  # noqa: PLR2004 as above
            length = size if at == 2 else int.from_bytes(plain[2:at], "big")  # noqa: PLR2004 the short form
            return plain[: at + length]
        return self._aes.decrypt(boots.to_bytes(4, "big") + time.to_bytes(4, "big") + salt, datagram[start:])

    def _look(self, datagram: bytes) -> tuple[int, int, int, int] | None:
        """Offsets of digest, salt and what follows the security parameters, and the time, by the remembered outside."""
        at = datagram[1]
        at = 2 if at < 0x80 else at - 0x7E  # noqa: PLR2004 octets of tag and length, short or long form
        after_id = at + len(_VERSION_3) + 2 + 6
        head = self._reply_head
        if not head or not datagram.startswith(head, after_id):
            if not self._remember_outside(datagram, after_id):
                return None
            head = self._reply_head
        at = after_id + len(head)
        time_size = datagram[at]
        time = int.from_bytes(datagram[at + 1 : at + 1 + time_size], "big")
        at += 1 + time_size
        if not datagram.startswith(self._reply_tail, at):
            return None
        digest_at = at + len(self._reply_tail)
        salt_at = digest_at + len(self._blank) + 2
        salt_size = datagram[salt_at - 1]
        if datagram[salt_at - 2] != 0x04 or salt_size != (_SALT_SIZE if self._keys.priv is not None else 0):  # noqa: PLR2004 OCTET STRING
            return None
        return digest_at, salt_at, salt_at + salt_size, time

    def _remember_outside(self, datagram: bytes, after_id: int) -> bool:
        """Learn how this agent writes the outside of a reply of our level, engine and user."""
        try:
            message = decode_message(datagram)
        except MalformedMessage:
            return False
        if not isinstance(message, V3Message) or message.flags & (FLAG_AUTH | FLAG_PRIV) != self._keys.flags:
            return False
        security = message.security
        if security.engine_id != self.engine.engine_id or len(security.digest) != len(self._blank):
            return False
        if self._signer is not None and security.engine_boots != self.engine.boots:
            return False
        tail = self._user + bytes((0x04, len(self._blank)))
        user_at = datagram.find(tail, after_id)
        time_field = encode_integer(security.engine_time)
        time_at = user_at - len(time_field)
        if user_at < 0 or datagram[time_at:user_at] != time_field:
            return False
        self._reply_head, self._reply_tail = datagram[after_id : time_at + 1], tail
        return True
