"""Fuzz the decoders for as many seconds as are given (default 600): mutated messages of every kind, and noise.

    python -m benchmarks.snmp_fuzz [SECONDS] [SEED]

Ends with status 1 at the first exception that is none of probes.snmp.errors, and prints the datagram. The short form of
this is in the test run (tests/test_snmp_codec.py, tests/test_snmp_sessions.py).
"""

import contextlib
import itertools
import random
import sys
import time

from probes.snmp.engine import EngineClock
from probes.snmp.errors import SnmpError
from probes.snmp.message import (
    CommunityMessage,
    Pdu,
    PduKind,
    ScopedPdu,
    TrapV1Pdu,
    V3Message,
    decode_message,
    encode_message,
)
from probes.snmp.prepared import (
    ShapeCache,
    decode_in_order,
    encode_template,
    find_pdu,
    find_request_id,
    find_scoped_pdu,
)
from probes.snmp.sealed import SealedConversation
from probes.snmp.usm import AuthProtocol, Envelope, PrivProtocol, UsmUser, localize_keys, seal, unseal
from probes.snmp.values import Missing, VarBind

ENGINE_ID = b"\x80\0\0\0\1fuzz"
OIDS = [(1, 3, 6, 1, 2, 1, 1, 3, 0), (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6, 200), (2, 999, 3)]
VARBINDS = [
    VarBind(OIDS[0], 4711, 0x43),
    VarBind(OIDS[1], 1 << 63, 0x46),
    VarBind(OIDS[2], b"x" * 200, 0x04),
    VarBind(OIDS[1], OIDS[2], 0x06),
    VarBind(OIDS[1], b"\x7f\0\0\1", 0x40),
    VarBind(OIDS[1], -5, 0x02),
    VarBind(OIDS[1], Missing.END_OF_MIB_VIEW, 0x82),
    VarBind(OIDS[1]),
]
USERS = [
    UsmUser("none"),
    UsmUser("auth", AuthProtocol.SHA256, b"authentic-words"),
    UsmUser("des", AuthProtocol.MD5, b"authentic-words", PrivProtocol.DES, b"private-words"),
    UsmUser("aes", AuthProtocol.SHA1, b"authentic-words", PrivProtocol.AES128, b"private-words"),
]


def seeds() -> list[bytes]:
    """One good message of each kind."""
    pdus = [Pdu(kind, 0x0102_0304, VARBINDS) for kind in PduKind if kind is not PduKind.TRAP_V1]
    pdus.append(Pdu(PduKind.RESPONSE, 0x0102_0304, VARBINDS[:3]))
    trap = TrapV1Pdu((1, 3, 6, 1, 4, 1, 9), b"\x7f\0\0\1", 6, 1, 4711, VARBINDS)
    plain = [encode_message(CommunityMessage(version, b"public", pdu)) for version in (0, 1) for pdu in (*pdus, trap)]
    sealed = [
        seal(
            Envelope(0x0102_0304, ENGINE_ID, 1, 1000, user.security_name.encode()),
            ScopedPdu(ENGINE_ID, b"", pdu),
            localize_keys(user, ENGINE_ID),
            9,
        )
        for user in USERS
        for pdu in pdus
    ]
    return plain + sealed


def mutate(dice: random.Random, message: bytes) -> bytes:
    """A few octets changed, cut out, doubled or cut off."""
    changed = bytearray(message)
    for _ in range(dice.randrange(1, 6)):
        if not changed:
            break
        at = dice.randrange(len(changed))
        what = dice.random()
        if what < 0.6:
            changed[at] = dice.choice((0, 1, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xFF, 0x30, dice.randrange(256)))
        elif what < 0.75:
            del changed[at : at + dice.randrange(1, 9)]
        elif what < 0.9:
            changed[at:at] = changed[at : at + dice.randrange(1, 30)]
        else:
            del changed[at:]
    return bytes(changed)


class Readers:
    """All that reads octets from the network, as sessions and receivers use it."""

    def __init__(self) -> None:
        engine = EngineClock(ENGINE_ID)
        engine.set(1, 1000, 0.0)
        self._template = encode_template(OIDS, 1, b"public")
        self._cache = ShapeCache()
        self._conversations = [SealedConversation(user, "", engine) for user in USERS]

    def read(self, datagram: bytes) -> None:
        """Read a datagram in every way; raises what the readers raise."""
        if find_request_id(datagram) >= 0:
            self._read_prepared(datagram)
        message = decode_message(datagram)
        if isinstance(message, V3Message):
            for user in USERS:
                with contextlib.suppress(SnmpError):
                    unseal(datagram, message, localize_keys(user, ENGINE_ID))

    def _read_prepared(self, datagram: bytes) -> None:
        found = decode_in_order(datagram, find_pdu(datagram), self._template)
        if found is not None:
            self._cache.learn(datagram, found.id_at, found.spans)
        for conversation in self._conversations:
            plain = conversation.open_reply(datagram, 1.0)
            if plain is not None:
                decode_in_order(plain, find_scoped_pdu(plain), self._template)


def main() -> None:
    """Run until the time is up."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    messages, readers = seeds(), Readers()
    until, good = time.monotonic() + seconds, 0
    for count in itertools.count(1):
        datagram = dice.randbytes(dice.randrange(200)) if dice.random() < 0.02 else mutate(dice, dice.choice(messages))
        try:
            readers.read(datagram)
            good += 1
        except SnmpError:
            pass
        except Exception:
            print(f"after {count} datagrams: {datagram.hex()}")
            raise
        if count % 1000 == 0 and time.monotonic() > until:
            break
    print(f"{count} datagrams, {good} of them still messages, no exception but our own")


if __name__ == "__main__":
    main()
