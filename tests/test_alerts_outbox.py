"""The outbox against real SMTP servers: healthy, refusing, hanging, dying, and with the sender killed in between."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from poller.alerts.outbox import BACK_OFF, GIVE_UP, Outbox, QueuedMail, back_off_seconds, try_every_way
from poller.alerts.records import Batch, OutgoingMail
from poller.alerts.store import Store
from poller.free_ports import free_port
from poller.settings import Mail

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
MESSAGE = b"From: hinomi@noc.example.jp\r\nTo: noc@example.jp\r\nMessage-ID: <2026-1121-001.1.noc@noc>\r\n\r\nhello\r\n"


class Inbox:
    """A handler that keeps what it accepted; answers can be set per command."""

    def __init__(self, *, rcpt: str = "", data: str = "", die_in_data: bool = False) -> None:
        self.rcpt, self.data, self.die_in_data = rcpt, data, die_in_data
        self.received: list[bytes] = []
        self.on_data = lambda: None

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.die_in_data:
            server.transport.abort()
            await asyncio.sleep(0)
            return "451 gone"
        if self.data:
            return self.data
        self.received.append(envelope.content)
        self.on_data()
        return "250 2.0.0 taken as 7FA1"


@asynccontextmanager
async def smtp_server(handler, **options):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, loop=loop, hostname="mx", **options), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def silent_server():
    """Accepts connections and never says a word."""
    server = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(3600), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def relays(*ports, **options) -> Mail:
    entries = [{"host": "127.0.0.1", "port": port, "tls": "none", **options} for port in ports]
    return Mail.model_validate({"sender": "hinomi@noc.example.jp", "relays": entries})


def outgoing(number: int = 1, message: bytes = MESSAGE) -> OutgoingMail:
    return OutgoingMail(
        f"<{number}@noc>", "2026-1121-001", "noc", "noc@example.jp", "first", "new", "subject", lambda: message, NOW
    )


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "alerts.db")
    opened.submit(Batch(mails=[outgoing()])).result()
    yield opened
    opened.close()


def fate(store: Store) -> list[tuple]:
    """State, tries and the number that the server answered, of every mail."""
    rows = store.call(lambda db: db.execute("SELECT state, tries, answer FROM outbox ORDER BY id").fetchall()).result()
    return [(state, tries, (answer or "")[:3]) for state, tries, answer in rows]


async def test_a_mail_is_sent_when_the_server_said_250(store, tmp_path) -> None:
    """Accepted means the server answered 250 (R59)."""
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        assert await Outbox(store, relays(port), tmp_path).send_due(NOW) == 1
    assert fate(store) == [("sent", 1, "250")]
    assert inbox.received == [MESSAGE]


async def test_a_sent_mail_is_not_sent_again(store, tmp_path) -> None:
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        outbox = Outbox(store, relays(port), tmp_path)
        await outbox.send_due(NOW)
        await outbox.send_due(NOW + 3600 * SECOND)
        assert await outbox.recover() == 0
    assert len(inbox.received) == 1


async def test_a_temporary_refusal_is_tried_again_after_the_back_off(store, tmp_path) -> None:
    inbox = Inbox(rcpt="451 greylisted, come back")
    async with smtp_server(inbox) as port:
        outbox = Outbox(store, relays(port), tmp_path)
        await outbox.send_due(NOW)
        assert fate(store) == [("waiting", 1, "451")]
        inbox.rcpt = ""
        await outbox.send_due(NOW + int((BACK_OFF[0] - 1) * SECOND))
        assert fate(store) == [("waiting", 1, "451")]
        await outbox.send_due(NOW + int(BACK_OFF[0] * SECOND))
    assert fate(store) == [("sent", 2, "250")]


@pytest.mark.parametrize("refusal", [{"rcpt": "550 no such user"}, {"data": "554 looks like spam"}])
async def test_a_permanent_refusal_is_a_dead_letter_at_once(store, tmp_path, refusal) -> None:
    """What a server refuses for good is kept and shown (R59)."""
    second = Inbox()
    async with smtp_server(Inbox(**refusal)) as port, smtp_server(second) as other:
        await Outbox(store, relays(port, other), tmp_path).send_due(NOW)
    assert [state for state, _, _ in fate(store)] == ["dead"]
    assert second.received == []


async def test_the_second_relay_takes_over_when_the_first_is_gone(store, tmp_path) -> None:
    """The second relay (R59)."""
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        await Outbox(store, relays(free_port(), port), tmp_path).send_due(NOW)
    assert fate(store) == [("sent", 1, "250")]


async def test_a_hanging_relay_costs_one_timeout_and_is_then_asked_last(store, tmp_path) -> None:
    inbox = Inbox()
    async with silent_server() as silent, smtp_server(inbox) as port:
        outbox = Outbox(store, relays(silent, port), tmp_path, timeout=0.3)
        await outbox.send_due(NOW)
        store.submit(Batch(mails=[outgoing(2)])).result()
        before = asyncio.get_running_loop().time()
        await outbox.send_due(NOW + SECOND)
        assert asyncio.get_running_loop().time() - before < 0.3
    assert fate(store) == [("sent", 1, "250"), ("sent", 1, "250")]


async def test_a_server_that_dies_in_data_has_accepted_nothing(store, tmp_path) -> None:
    inbox = Inbox(die_in_data=True)
    async with smtp_server(inbox) as port:
        outbox = Outbox(store, relays(port), tmp_path)
        await outbox.send_due(NOW)
        assert [state for state, _, _ in fate(store)] == ["waiting"]
        inbox.die_in_data = False
        await outbox.send_due(NOW + 60 * SECOND)
    assert fate(store) == [("sent", 2, "250")]
    assert inbox.received == [MESSAGE]


async def test_mail_waits_through_an_outage_of_a_day_and_a_bit(store, tmp_path) -> None:
    """Retried for 24 h and more (R59)."""
    outbox = Outbox(store, relays(free_port()), tmp_path)
    now_ns = NOW
    while now_ns < NOW + 25 * 3600 * SECOND:
        await outbox.send_due(now_ns)
        now_ns += 900 * SECOND
    assert [state for state, _, _ in fate(store)] == ["waiting"]
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        await Outbox(store, relays(port), tmp_path).send_due(now_ns)
    assert inbox.received == [MESSAGE]


async def test_after_two_days_a_mail_is_a_dead_letter_with_its_last_reason(store, tmp_path) -> None:
    await Outbox(store, relays(free_port()), tmp_path).send_due(NOW + GIVE_UP)
    state, answer = store.call(lambda db: db.execute("SELECT state, answer FROM outbox").fetchone()).result()
    assert state == "dead"
    assert "refused" in answer.lower() or "connect" in answer.lower()


def test_the_back_off_grows_and_then_stays() -> None:
    assert [back_off_seconds(tries) for tries in (1, 2, 3, 4, 5, 6, 100)] == [5, 15, 60, 300, 900, 900, 900]


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "mx.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return path, context


async def test_starttls_and_login_with_a_secret_from_a_file(store, tmp_path, certificate, monkeypatch) -> None:
    path, context = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    (tmp_path / "relay-password").write_text("小さな秘密\n", encoding="utf-8")
    seen = []

    def check(_server, _session, _envelope, _mechanism, data):
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    inbox = Inbox()
    options = {"tls_context": context, "require_starttls": True, "authenticator": check, "auth_required": True}
    async with smtp_server(inbox, **options) as port:
        settings = relays(port, tls="starttls", username="hinomi", password="file:relay-password")
        await Outbox(store, settings, tmp_path).send_due(NOW)
    assert fate(store) == [("sent", 1, "250")]
    assert seen == [(b"hinomi", "小さな秘密".encode())]


async def test_a_certificate_nobody_signed_gets_no_mail(store, tmp_path, certificate) -> None:
    inbox = Inbox()
    async with smtp_server(inbox, tls_context=certificate[1]) as port:
        await Outbox(store, relays(port, tls="starttls"), tmp_path).send_due(NOW)
    assert [state for state, _, _ in fate(store)] == ["waiting"]
    assert inbox.received == []


async def test_a_relay_without_starttls_gets_no_mail_in_the_clear(store, tmp_path) -> None:
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        await Outbox(store, relays(port, tls="starttls"), tmp_path).send_due(NOW)
    assert [state for state, _, _ in fate(store)] == ["waiting"]
    assert inbox.received == []


async def test_a_missing_secret_is_told_and_the_mail_waits(store, tmp_path) -> None:
    async with smtp_server(Inbox()) as port:
        settings = relays(port, username="hinomi", password="file:nowhere")
        await Outbox(store, settings, tmp_path).send_due(NOW)
    state, answer = store.call(lambda db: db.execute("SELECT state, answer FROM outbox").fetchone()).result()
    assert (state, "file:nowhere" in answer) == ("waiting", True)


async def test_a_maildir_gets_the_mail_once_however_often_it_is_delivered(store, tmp_path) -> None:
    settings = Mail.model_validate({"maildir": str(tmp_path / "mail")})
    outbox = Outbox(store, settings, tmp_path)
    assert await outbox.send_due(NOW) == 1
    store.call(lambda db: db.execute("UPDATE outbox SET state = 'sending'")).result()
    await outbox.recover()
    assert await outbox.send_due(NOW + 10 * SECOND) == 1
    files = [path.read_bytes() for path in (tmp_path / "mail" / "new").iterdir()]
    assert files == [MESSAGE.replace(b"\r\n", b"\n")]


async def test_a_test_mail_asks_every_relay_and_tells_each_answer(store, tmp_path) -> None:
    mail = QueuedMail(0, "<test@noc>", "noc@example.jp", MESSAGE, NOW, 1)
    async with smtp_server(Inbox()) as good, smtp_server(Inbox(rcpt="550 who?")) as bad:
        outcomes = await try_every_way(relays(bad, good), tmp_path, mail)
    assert [(outcome.accepted, outcome.refused, outcome.answer[:3]) for outcome in outcomes] == [
        (False, True, "550"),
        (True, False, "250"),
    ]


CHILD = """
import asyncio, sys, time
from pathlib import Path
from poller.alerts.outbox import Outbox, run_outbox
from poller.alerts.store import Store
from poller.settings import Mail
path, port = Path(sys.argv[1]), int(sys.argv[2])
relay = {"host": "127.0.0.1", "port": port, "tls": "none"}
mail = Mail.model_validate({"sender": "hinomi@noc.example.jp", "relays": [relay]})
asyncio.run(run_outbox(Outbox(Store(path), mail, path.parent), time.time_ns))
"""


async def test_kill_between_the_servers_250_and_our_record_sends_the_same_message_id_again(tmp_path) -> None:
    """State survives kill -9 (R59, R73)."""
    path = tmp_path / "alerts.db"
    store = Store(path)
    store.submit(Batch(mails=[outgoing()])).result()
    store.close()
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        command = [sys.executable, "-c", CHILD, str(path), str(port)]
        child = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parent.parent, stderr=subprocess.PIPE)
        inbox.on_data = lambda: os.kill(child.pid, signal.SIGKILL)
        assert await asyncio.wait_for(child.wait(), 30) == -signal.SIGKILL
        inbox.on_data = lambda: None
        store = Store(path)
        assert fate(store) == [("sending", 1, "")]
        outbox = Outbox(store, relays(port), tmp_path)
        assert await outbox.recover() == 1
        assert await outbox.send_due(NOW) == 1
    assert fate(store) == [("sent", 2, "250")]
    store.close()
    identities = [message_from_bytes(content, policy=default)["Message-ID"] for content in inbox.received]
    assert identities == ["<2026-1121-001.1.noc@noc>"] * 2
