"""Real senders: net-snmp's snmptrap and snmpinform against the receiver, every version and pair of protocols."""

import asyncio
import shutil
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from itertools import product
from pathlib import Path

import pytest

from probes.snmp.message import USM, V3Message, decode_message
from probes.snmp.usm import AuthProtocol, PrivProtocol, UsmUser
from traps.catalogue import Catalogue, KnownObject, Meaning
from traps.funnel import Drop
from traps.intake import Accepted, Answer, Intake
from traps.notification import Kind
from traps.receiver import Receiver, open_socket
from traps.security import Security
from traps.sources import Identity, Sources

pytestmark = pytest.mark.skipif(shutil.which("snmptrap") is None, reason="net-snmp's snmptrap is not installed")

ENGINE = bytes.fromhex("80007ed905") + b"hinomi-test"
SENDER_ENGINE = "0x80001f8880aabbccdd"
LINK_DOWN = (1, 3, 6, 1, 6, 3, 1, 1, 5, 3)
IF_INDEX = (1, 3, 6, 1, 2, 1, 2, 2, 1, 1)
AUTHS = {
    "MD5": AuthProtocol.MD5, "SHA": AuthProtocol.SHA1, "SHA-224": AuthProtocol.SHA224, "SHA-256": AuthProtocol.SHA256,
    "SHA-384": AuthProtocol.SHA384, "SHA-512": AuthProtocol.SHA512,
}  # fmt: skip
PRIVS = {
    "DES": PrivProtocol.DES, "AES": PrivProtocol.AES128, "AES-192": PrivProtocol.AES192, "AES-256": PrivProtocol.AES256,
    "AES-192-C": PrivProtocol.AES192_REEDER, "AES-256-C": PrivProtocol.AES256_REEDER,
}  # fmt: skip
PAIRS = [(None, None), *((auth, None) for auth in AUTHS), *product(AUTHS, PRIVS)]


def user_of(auth: str | None, priv: str | None) -> UsmUser:
    return UsmUser(
        f"u-{auth}-{priv}",
        AUTHS[auth] if auth else None,
        b"authentic-secret" if auth else b"",
        PRIVS[priv] if priv else None,
        b"private-secret" if priv else b"",
    )


class Listener:
    """A receiver that is durable at once, unless told otherwise, and keeps what it got."""

    def __init__(self) -> None:
        users = [user_of(*pair) for pair in PAIRS]
        identity = Identity(frozenset([b"public"]), {user.security_name.encode(): (user,) for user in users})
        catalogue = Catalogue(
            [KnownObject(IF_INDEX, "ifIndex")],
            [Meaning(LINK_DOWN, "linkDown", key=("ifIndex",), alarm="linkDown")],
        )
        loop = asyncio.get_running_loop()
        self.intake = Intake(
            Sources({ip_address("127.0.0.1"): "here"}, shared=identity), catalogue, Security(ENGINE, 7, loop.time())
        )
        self.receiver = Receiver(open_socket("127.0.0.1", 0), self.intake, self.deliver)
        self.got: list[Accepted] = []
        self.durable = True
        self.waiting: list[Answer] = []
        self.came = asyncio.Event()

    @property
    def where(self) -> str:
        return f"udp:127.0.0.1:{self.receiver.address[1]}"

    def deliver(self, accepted: list[Accepted], answers: list[Answer], receiver: Receiver) -> None:
        self.got += accepted
        if self.durable:
            self.intake.funnel.acknowledged += receiver.send(answers)
        else:
            self.waiting += answers
        self.came.set()

    async def one(self) -> Accepted:
        """The next notification; a test's own time limit ends the wait."""
        while not self.got:
            self.came.clear()
            await self.came.wait()
        return self.got.pop(0)

    async def accepted(self, count: int) -> None:
        """Repeats are accepted and not told: until there are so many."""
        while self.intake.funnel.accepted < count:  # noqa: ASYNC110 - a counter wakes nobody
            await asyncio.sleep(0.005)

    async def dropped(self, reason: Drop) -> int:
        """How many were dropped for the reason, as soon as there is one."""
        while not self.intake.funnel.dropped[reason]:  # noqa: ASYNC110 - a counter wakes nobody
            await asyncio.sleep(0.005)
        return self.intake.funnel.dropped[reason]


@pytest.fixture
async def listener():
    made = Listener()
    yield made
    made.receiver.close()


Run = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a net-snmp command with a memory of its own, so that tests share no engine."""

    async def call(*words: str) -> tuple[int, str]:
        environment = {
            "SNMP_PERSISTENT_DIR": str(tmp_path),
            "SNMPCONFPATH": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "MIBS": "",
        }
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace")

    return call


WHAT = ("", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.4", "i", "4")


def v3_words(auth: str | None, priv: str | None) -> list[str]:
    words = ["-v3", "-u", f"u-{auth}-{priv}", "-l", "authPriv" if priv else "authNoPriv" if auth else "noAuthNoPriv"]
    words += ["-a", auth, "-A", "authentic-secret"] if auth else []
    return words + (["-x", priv, "-X", "private-secret"] if priv else [])


async def test_a_v2c_trap_is_accepted_with_name_and_device(listener: Listener, run: Run) -> None:
    """R44, R46."""
    await run("snmptrap", "-v2c", "-c", "public", listener.where, *WHAT)
    told = await listener.one()
    assert ("here", "2c", "linkDown") == (told.device, told.version, told.meaning.name)
    assert [((*IF_INDEX, 4), 4, 2)] == list(told.notification.varbinds)


async def test_a_v1_trap_is_mapped_to_the_form_of_v2(listener: Listener, run: Run) -> None:
    """R46: RFC 3584, 3.1."""
    where = listener.where
    await run("snmptrap", "-v1", "-c", "public", where, "1.3.6.1.4.1.8072.3", "127.0.0.1", "2", "0", "4711", *WHAT[2:])
    await run("snmptrap", "-v1", "-c", "public", where, "1.3.6.1.4.1.318", "127.0.0.1", "6", "7", "4712")
    generic, specific = await listener.one(), await listener.one()
    assert ("1", LINK_DOWN, 4711) == (generic.version, generic.notification.oid, generic.notification.uptime_ticks)
    assert (1, 3, 6, 1, 4, 1, 318, 0, 7) == specific.notification.oid
    assert bytes((127, 0, 0, 1)) == specific.notification.agent_address


@pytest.mark.parametrize(("auth", "priv"), PAIRS)
async def test_a_v3_trap_of_every_pair_is_accepted(
    listener: Listener, run: Run, auth: str | None, priv: str | None
) -> None:
    """R44: the sender's engine is authoritative, and learned."""
    await run("snmptrap", "-e", SENDER_ENGINE, *v3_words(auth, priv), listener.where, *WHAT)
    told = await listener.one()
    assert ("3", "linkDown", Kind.TRAP) == (told.version, told.meaning.name, told.notification.kind)
    assert (1 if auth else 0) == listener.intake.security.engines


@pytest.mark.parametrize(("auth", "priv"), PAIRS)
async def test_a_v3_inform_of_every_pair_discovers_our_engine_and_is_acknowledged(
    listener: Listener, run: Run, auth: str | None, priv: str | None
) -> None:
    """R44: we are authoritative; snmpinform ends well only when it is answered."""
    status, output = await run("snmpinform", *v3_words(auth, priv), listener.where, *WHAT)
    assert 0 == status, output
    assert Kind.INFORM == (await listener.one()).notification.kind
    assert 1 == listener.intake.funnel.acknowledged


async def test_a_v2c_inform_is_acknowledged_only_when_it_is_durable(listener: Listener, run: Run) -> None:
    """R44: sent again while the disk is slow, it is one notification, and every one is answered."""
    listener.durable = False
    sending = asyncio.create_task(
        run("snmpinform", "-v2c", "-c", "public", "-t", "0.3", "-r", "9", listener.where, *WHAT)
    )
    while len(listener.waiting) < 3:
        listener.came.clear()
        await listener.came.wait()
    assert not sending.done()
    listener.durable = True
    assert 3 == listener.receiver.send(listener.waiting)
    status, output = await sending
    assert 0 == status, output
    assert 1 == len(listener.got)
    assert 2 <= listener.intake.funnel.repeated_informs


async def test_a_v3_inform_sent_again_is_one_notification(listener: Listener, run: Run) -> None:
    """R44: sent again, a v3 inform has another message id and another digest."""
    listener.durable = False
    words = ("snmpinform", *v3_words("SHA-256", "AES"), "-t", "0.3", "-r", "9", listener.where, *WHAT)
    sending = asyncio.create_task(run(*words))
    while len(listener.waiting) < 3:
        listener.came.clear()
        await listener.came.wait()
    listener.durable = True
    assert 3 == listener.receiver.send(listener.waiting)
    status, output = await sending
    assert 0 == status, output
    assert 1 == len(listener.got)


async def test_a_wrong_password_is_refused_and_counted(listener: Listener, run: Run) -> None:
    words = v3_words("SHA", "AES")
    words[words.index("authentic-secret")] = "another-secret"
    await run("snmptrap", "-e", SENDER_ENGINE, *words, listener.where, *WHAT)
    assert 1 == await listener.dropped(Drop.WRONG_PASSWORD)
    status, output = await run("snmpinform", "-r", "1", "-t", "1", *words, listener.where, *WHAT)
    assert 0 != status
    assert "Authentication failure" in output
    assert ([], 0) == (listener.got, listener.intake.security.engines)


async def test_a_wrong_privacy_password_is_refused_and_counted(listener: Listener, run: Run) -> None:
    words = v3_words("SHA", "AES")
    words[words.index("private-secret")] = "another-secret"
    await run("snmptrap", "-e", SENDER_ENGINE, *words, listener.where, *WHAT)
    assert 1 == await listener.dropped(Drop.WRONG_PRIVACY_PASSWORD)
    assert [] == listener.got


async def test_an_unknown_user_is_refused_and_told_so(listener: Listener, run: Run) -> None:
    words = v3_words("SHA", None)
    words[2] = "nobody"
    status, output = await run("snmpinform", "-r", "1", "-t", "1", *words, listener.where, *WHAT)
    assert 0 != status
    assert "Unknown user name" in output
    assert 1 <= await listener.dropped(Drop.UNKNOWN_USER)


async def test_a_user_who_must_encrypt_is_not_heard_in_the_clear(listener: Listener, run: Run) -> None:
    words = v3_words("SHA", None)
    words[2] = "u-SHA-AES"
    await run("snmptrap", "-e", SENDER_ENGINE, *words, listener.where, *WHAT)
    assert 1 == await listener.dropped(Drop.UNSUPPORTED_LEVEL)


async def test_a_wrong_community_is_refused_and_counted(listener: Listener, run: Run) -> None:
    await run("snmptrap", "-v2c", "-c", "guess", listener.where, *WHAT)
    assert 1 == await listener.dropped(Drop.WRONG_COMMUNITY)


async def test_a_replayed_v3_trap_is_refused(listener: Listener, run: Run) -> None:
    """R44: the very octets of an accepted message, sent a second time, change nothing."""
    tap = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tap.setblocking(False)
    tap.bind(("127.0.0.1", 0))
    await run(
        "snmptrap", "-e", SENDER_ENGINE, *v3_words("SHA-256", "AES"), f"udp:127.0.0.1:{tap.getsockname()[1]}", *WHAT
    )
    datagram = await asyncio.get_running_loop().sock_recv(tap, 65535)
    message = decode_message(datagram)
    assert isinstance(message, V3Message)
    assert USM == message.security_model
    tap.sendto(datagram, listener.receiver.address)
    await listener.one()
    tap.sendto(datagram, listener.receiver.address)
    assert 1 == await listener.dropped(Drop.REPLAYED)
    assert [] == listener.got
    tap.close()


def clock_of(boots: int, seconds: int) -> tuple[str, ...]:
    """A v3 trap of the user with SHA-256 and AES whose engine says these engineBoots and engineTime."""
    return ("snmptrap", "-e", SENDER_ENGINE, "-Z", f"{boots},{seconds}", *v3_words("SHA-256", "AES"))


async def test_a_sender_whose_boots_were_reset_is_told_and_heard_again_when_a_person_says_so(
    listener: Listener, run: Run
) -> None:
    """R44: a replaced or reset device counts its boots from one again; only a person can tell that from a replay."""
    security = listener.intake.security
    await run(*clock_of(5, 1000), listener.where, *WHAT)
    await listener.one()
    await run(*clock_of(1, 10), listener.where, *WHAT)
    assert 1 == await listener.dropped(Drop.NOT_IN_TIME_WINDOW)
    (reset,) = security.resets
    engine_id = bytes.fromhex(SENDER_ENGINE[2:])
    expected = (engine_id, 1, 10, 5, 1, "here", "127.0.0.1")
    told = (reset.engine_id, reset.boots, reset.time, reset.seen_boots, reset.count, reset.device, reset.address)
    assert expected == told
    assert security.accept_anew(engine_id)
    await run(*clock_of(1, 12), listener.where, *WHAT)
    await listener.accepted(2)
    assert 0 == len(security.resets)
    assert not security.accept_anew(b"nobody-knows-me")


async def test_a_sender_whose_clock_a_poll_has_proved_is_heard_again_and_an_old_message_is_not(
    listener: Listener, run: Run
) -> None:
    """R44: an authenticated answer to our own question is of the present, whatever its boots say."""
    security, engine_id = listener.intake.security, bytes.fromhex(SENDER_ENGINE[2:])
    await run(*clock_of(5, 1000), listener.where, *WHAT)
    await listener.one()
    await run(*clock_of(1, 4000), listener.where, *WHAT)
    assert 1 == await listener.dropped(Drop.NOT_IN_TIME_WINDOW)
    security.prove(engine_id, 1, 4001, listener.receiver._clock_ns() / 1e9)
    assert 0 == len(security.resets)
    await run(*clock_of(1, 4002), listener.where, *WHAT)
    await listener.accepted(2)
    await run(*clock_of(1, 3000), listener.where, *WHAT)
    while 2 > listener.intake.funnel.dropped[Drop.NOT_IN_TIME_WINDOW]:  # noqa: ASYNC110 - a counter wakes nobody
        await asyncio.sleep(0.005)
    security.prove(b"nobody-knows-me", 1, 1, 0.0)
    assert 1 == security.engines
