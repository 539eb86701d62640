"""The SMTP probe against aiosmtpd, with and without STARTTLS, and against servers that are wrong in their own ways."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from poller.lab.authority import Authority
from probes.errors import BadQuestion
from probes.result import ProbeResult, Question, ServiceState
from probes.services import probe_service

NOW = datetime.now(UTC)
AUTHORITY = Authority("Test authority", NOW)
VALID = AUTHORITY.issue(["127.0.0.1", "mail.pref.example.jp"], NOW - timedelta(days=1), NOW + timedelta(days=60))


class Mailbox:
    """Takes mail for pref.example.jp and remembers what was said and delivered."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.delivered: list[Envelope] = []

    async def handle_MAIL(  # noqa: N802 - aiosmtpd asks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        self.said.append(f"MAIL {address}")
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd asks for this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        self.said.append(f"RCPT {address}")
        if not address.endswith("@pref.example.jp"):
            return "550 5.7.1 Relaying denied"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd asks for this name
        self.delivered.append(envelope)
        return "250 OK"

    async def handle_RSET(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd asks for this name
        self.said.append("RSET")
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd asks for this name
        self.said.append("QUIT")
        return "221 Bye"


class FreePort(Controller):
    """A controller on a port of the kernel's choice."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(params=[None, VALID], ids=["plain", "starttls"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Mailbox]]:
    yield from serving(request.param.context() if request.param else None)


@pytest.fixture
def plain() -> Iterator[tuple[str, Mailbox]]:
    yield from serving(None)


@pytest.fixture
def secured() -> Iterator[tuple[str, Mailbox]]:
    yield from serving(VALID.context())


def serving(context) -> Iterator[tuple[str, Mailbox]]:
    mailbox = Mailbox()
    controller = FreePort(mailbox, hostname="127.0.0.1", port=0, tls_context=context)
    controller.start()
    yield f"127.0.0.1:{controller.port}", mailbox
    controller.stop()


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    path.write_bytes(AUTHORITY.certificate)
    return str(path)


@asynccontextmanager
async def answering(*replies: bytes) -> AsyncIterator[str]:
    """A server that says its replies in turn, one a line heard, and then closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(replies):
            if number:
                await reader.readline()
            writer.write(reply)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def ask(target: str, **options: object) -> ProbeResult:
    return await probe_service("smtp", Question(target, **({"timeout_seconds": 5} | options)))


# ---- healthy


async def test_a_relay_that_takes_the_recipient_is_up_and_nothing_is_delivered(server):
    """(R39)."""
    target, mailbox = server
    result = await ask(target, recipient="monitor@pref.example.jp", sender="hinomi@noc.example.jp")
    assert ServiceState.UP == result.state
    assert f"{target} はメールを受け付けます（RCPT まで確認）。" == result.sentence("ja")
    assert f"{target} takes mail (tried up to RCPT)." == result.sentence("en")
    assert ["MAIL hinomi@noc.example.jp", "RCPT monitor@pref.example.jp", "RSET", "QUIT"] == mailbox.said
    assert [] == mailbox.delivered
    assert {"connect", "first_byte"} == set(result.phases)


async def test_without_a_recipient_the_greeting_is_enough(plain):
    result = await ask(plain[0])
    assert f"{plain[0]} はメールを受け付けます（EHLO まで確認）。" == result.sentence("ja")


async def test_starttls_is_set_up_and_the_certificate_is_known(secured):
    result = await ask(secured[0], starttls=True)
    assert ServiceState.UP == result.state
    assert f"{secured[0]} はメールを受け付けます（STARTTLS まで確認）。" == result.sentence("ja")
    assert "tls" in result.phases
    assert 59 < result.certificate_days < 61


async def test_starttls_is_verified_where_an_authority_is_given(secured, ca_file):
    result = await ask(secured[0], starttls=True, ca_file=ca_file, recipient="monitor@pref.example.jp")
    assert f"{secured[0]} はメールを受け付けます（RCPT まで確認）。" == result.sentence("ja")


# ---- broken


async def test_a_relay_that_declines_the_recipient_is_down_with_its_words(plain):
    result = await ask(plain[0], recipient="somebody@elsewhere.example")
    assert ServiceState.DOWN == result.state
    words = "RCPT TO を断りました（550 5.7.1 Relaying denied）"
    assert f"{plain[0]} は {words}。" == result.sentence("ja")
    assert f"{plain[0]} declined RCPT TO (550 5.7.1 Relaying denied)." == result.sentence("en")


async def test_a_relay_that_is_too_busy_to_greet_is_down():
    async with answering(b"421 4.3.2 Too busy\r\n") as target:
        result = await ask(target)
    assert f"{target} は 挨拶 を断りました（421 4.3.2 Too busy）。" == result.sentence("ja")
    assert f"{target} declined the greeting (421 4.3.2 Too busy)." == result.sentence("en")


async def test_a_relay_without_starttls_is_down_where_it_is_asked_for(plain):
    result = await ask(plain[0], starttls=True)
    assert f"{plain[0]} は STARTTLS に対応していません。" == result.sentence("ja")
    assert f"{plain[0]} does not offer STARTTLS." == result.sentence("en")


async def test_a_certificate_that_is_not_trusted_is_down_where_it_is_verified(secured):
    result = await ask(secured[0], starttls=True, server_name="mail.pref.example.jp")
    sentence = "の証明書は信頼できる認証局のものではありません（unable to get local issuer certificate）。"
    assert f"{secured[0]} {sentence}" == result.sentence("ja")


async def test_a_relay_that_is_not_there_refuses():
    async with answering() as target:
        pass
    result = await ask(target)
    assert f"{target} は接続を拒否しました。このポートで待ち受けるプログラムがありません。" == result.sentence("ja")


async def test_a_relay_that_never_greets_is_down_at_the_deadline():
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    target = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    result = await ask(target, timeout_seconds=0.2)
    listening.close()
    assert f"{target} から 0.2 秒以内に応答がありません（応答待ちの段階）。" == result.sentence("ja")


async def test_a_relay_that_hangs_up_in_the_middle_is_down():
    async with answering(b"220 ready\r\n") as target:
        result = await ask(target)
    assert f"{target} は途中で接続を切りました（応答の受信の段階）。" == result.sentence("ja")


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"\xff\xfe\x1b[31m\x00\r\n", "��[31m"),
        (b"220-more\r\n" * 100, "終わりのない応答"),
        (b"220 " + b"x" * 100_000, "行が長すぎます"),
        (b"220 " + b"x" * 5_000 + b"\r\n", "行が長すぎます"),
    ],
)
async def test_what_is_no_smtp_is_told_in_clean_letters(reply, detail):
    """(R77)."""
    async with answering(reply) as target:
        result = await ask(target)
    assert f"{target} の応答は SMTP として読めません（{detail}）。" == result.sentence("ja")


@pytest.mark.parametrize("address", ["a@b\r\nDATA", "a b@c", "<a@b>", "a\0@b"])
async def test_an_address_that_would_be_a_command_is_refused(address):
    with pytest.raises(BadQuestion):
        await ask("127.0.0.1:1025", recipient=address)
