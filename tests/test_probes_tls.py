"""The TLS and TCP probes against real TLS servers with certificates of an authority of our own."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import uvloop

from poller.free_ports import free_port
from poller.lab.authority import Authority
from probes.certificates import warning_level
from probes.errors import BadQuestion
from probes.result import ProbeResult, Question, ServiceState
from probes.services import probe_service

NOW = datetime.now(UTC)
AUTHORITY = Authority("Test authority", NOW)


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    path.write_bytes(AUTHORITY.certificate)
    return str(path)


def certified(days: float, *names: str, begun_days: float = -1) -> ssl.SSLContext:
    """A server whose certificate ends in so many days."""
    begins = NOW + timedelta(days=begun_days if days > 0 else days - 30)
    return AUTHORITY.issue(names or ["127.0.0.1"], begins, NOW + timedelta(days=days, hours=1)).context()


@asynccontextmanager
async def server(context: ssl.SSLContext | None = None, hello: bytes = b"") -> AsyncIterator[str]:
    """A TLS server, or a plain one that says hello."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hello)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def ask(target: str, kind: str = "tls", **options: object) -> ProbeResult:
    return await probe_service(kind, Question(target, **({"timeout_seconds": 5} | options)))


# ---- TLS, healthy


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_valid_certificate_is_up_with_its_days_on_both_loops(run, ca_file):
    """(R39)."""

    async def healthy() -> tuple[str, ProbeResult]:
        async with server(certified(90)) as target:
            return target, await ask(target, ca_file=ca_file)

    target, result = run(healthy())
    assert ServiceState.UP == result.state
    assert f"{target} の証明書は有効です（127.0.0.1、残り 90 日）。" == result.sentence("ja")
    assert f"The certificate of {target} is valid (127.0.0.1, 90 days left)." == result.sentence("en")
    assert {"connect", "tls"} == set(result.phases)
    assert 90 < result.certificate_days < 90.1
    day = NOW + timedelta(days=90, hours=1)
    assert ("valid", f"{NOW - timedelta(days=1):%Y-%m-%d} - {day:%Y-%m-%d}") in result.evidence


async def test_the_name_that_the_certificate_must_have_can_be_given(ca_file):
    async with server(certified(90, "www.pref.example.jp")) as target:
        result = await ask(target, ca_file=ca_file, server_name="www.pref.example.jp")
    assert ServiceState.UP == result.state


@pytest.mark.parametrize(("days", "limit"), [(29, 30), (13, 14), (6, 7), (0, 7)])
async def test_a_certificate_that_ends_soon_is_up_and_says_so(days, limit, ca_file):
    """(R39)."""
    async with server(certified(days)) as target:
        result = await ask(target, ca_file=ca_file)
    assert ServiceState.UP == result.state
    until = f"{NOW + timedelta(days=days, hours=1):%Y-%m-%d}"
    sentence = f"{target} の証明書は残り {days} 日です（{limit} 日を切りました。127.0.0.1、期限 {until}）。"
    assert sentence == result.sentence("ja")
    sentence = f"The certificate of {target} ends in {days} days (less than {limit}; 127.0.0.1, until {until})."
    assert sentence == result.sentence("en")


@pytest.mark.parametrize(
    ("days", "level"), [(30, None), (29.99, 30), (14, 30), (13.99, 14), (7, 14), (6.99, 7), (-1, 7)]
)
def test_warnings_begin_below_30_14_and_7_days(days, level):
    assert level == warning_level(days)


# ---- TLS, broken


async def test_an_expired_certificate_is_down_and_its_days_are_known(ca_file):
    async with server(certified(-2)) as target:
        result = await ask(target, ca_file=ca_file)
    assert ServiceState.DOWN == result.state
    assert f"{target} の証明書は期限が切れています（certificate has expired）。" == result.sentence("ja")
    assert f"The certificate of {target} has expired (certificate has expired)." == result.sentence("en")
    assert -2 < result.certificate_days < -1.9


async def test_a_certificate_of_the_future_is_down(ca_file):
    async with server(certified(90, begun_days=5)) as target:
        result = await ask(target, ca_file=ca_file)
    sentence = f"{target} の証明書はまだ有効期間に入っていません（certificate is not yet valid）。"
    assert sentence == result.sentence("ja")


async def test_a_certificate_for_another_name_is_down_and_its_names_are_evidence(ca_file):
    async with server(certified(90, "www.pref.example.jp")) as target:
        result = await ask(target, ca_file=ca_file, server_name="mail.pref.example.jp")
    detail = "Hostname mismatch, certificate is not valid for 'mail.pref.example.jp'."
    assert f"{target} の証明書は mail.pref.example.jp のものではありません（{detail}）。" == result.sentence("ja")
    assert f"The certificate of {target} is not for mail.pref.example.jp ({detail})." == result.sentence("en")
    assert ("certificate", "www.pref.example.jp; issued by Test authority") in result.evidence


async def test_a_certificate_of_an_unknown_authority_is_down():
    async with server(certified(90)) as target:
        result = await ask(target)
    detail = "unable to get local issuer certificate"
    assert f"{target} の証明書は信頼できる認証局のものではありません（{detail}）。" == result.sentence("ja")
    assert 90 < result.certificate_days


async def test_a_server_that_speaks_no_tls_is_down(ca_file):
    async with server(hello=b"220 mail.example.jp ESMTP\r\n") as target:
        result = await ask(target, ca_file=ca_file)
    assert ServiceState.DOWN == result.state
    assert f"{target} とTLSの通信を確立できません（wrong version number）。" == result.sentence("ja")
    assert f"TLS cannot be set up with {target} (wrong version number)." == result.sentence("en")


async def test_a_server_that_closes_in_the_handshake_is_down(ca_file):
    async with server() as target:
        result = await ask(target, ca_file=ca_file)
    assert f"{target} は途中で接続を切りました（TLSの確立の段階）。" == result.sentence("ja")
    assert f"{target} closed the connection (while setting up TLS)." == result.sentence("en")


async def test_a_server_that_keeps_silent_in_the_handshake_is_down_at_the_deadline(ca_file):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        result = await ask(target, ca_file=ca_file, timeout_seconds=0.2)
    assert f"{target} から 0.2 秒以内に応答がありません（TLSの確立の段階）。" == result.sentence("ja")


# ---- TCP


async def test_an_open_port_is_up():
    """(R39)."""
    async with server() as target:
        result = await ask(target, "tcp")
    assert ServiceState.UP == result.state
    assert f"{target} に接続できます。" == result.sentence("ja")
    assert f"{target} accepts connections." == result.sentence("en")
    assert {"connect"} == set(result.phases)


async def test_a_closed_port_is_down():
    target = f"127.0.0.1:{free_port()}"
    result = await ask(target, "tcp")
    assert f"{target} は接続を拒否しました。このポートで待ち受けるプログラムがありません。" == result.sentence("ja")


async def test_a_port_whose_queue_is_full_is_down_at_the_deadline():
    """Nobody accepts: the kernel drops the SYN, as a firewall would."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        target = f"127.0.0.1:{full.getsockname()[1]}"
        result = await ask(target, "tcp", timeout_seconds=0.2)
        for one in waiting:
            one.close()
    assert f"{target} から 0.2 秒以内に応答がありません（接続の段階）。" == result.sentence("ja")
    assert f"{target} gave no answer within 0.2 s (while connecting)." == result.sentence("en")


async def test_a_name_without_an_address_is_down():
    result = await ask("no-such-host.invalid:80", "tcp", timeout_seconds=20)
    if result.state is ServiceState.UNKNOWN:
        pytest.skip(f"this machine resolves no names: {result.sentence('en')}")
    assert "名前 no-such-host.invalid のアドレスが見つかりません。" == result.sentence("ja")
    assert "The name no-such-host.invalid has no address." == result.sentence("en")


async def test_the_second_address_of_a_host_is_tried_where_the_first_refuses():
    """localhost is ::1 and 127.0.0.1 on most machines; the server is on the second alone."""
    async with server() as target:
        result = await ask(target.replace("127.0.0.1", "localhost"), "tcp")
    assert ServiceState.UP == result.state
    assert ("connected", target) in result.evidence


@pytest.mark.parametrize(("family", "state"), [("ipv4", ServiceState.UP), ("ipv6", ServiceState.DOWN)])
@pytest.mark.parametrize("kind", ["tcp", "http"])
async def test_a_name_is_asked_by_the_family_that_is_given(family, state, kind):
    """IPv4 and IPv6 of one target are probed apart (R38); this server listens on IPv4 alone."""
    hello = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if kind == "http" else b""
    async with server(hello=hello) as target:
        name = target.replace("127.0.0.1", "localhost")
        result = await ask(f"http://{name}/" if kind == "http" else name, kind, family=family)
    assert state == result.state, result.sentence("en")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine speaks no IPv6")
async def test_an_ipv6_target_is_asked_and_written_in_brackets():
    """(R38)."""
    listening = await asyncio.start_server(lambda _, writer: writer.close(), "::1", 0)
    target = f"[::1]:{listening.sockets[0].getsockname()[1]}"
    up = await ask(target, "tcp")
    listening.close()
    down = await ask(target, "tcp")
    assert [f"{target} accepts connections.", "connects"] == [up.sentence("en"), up.reason]
    assert ("connected", target) in up.evidence
    assert f"{target} は接続を拒否しました。このポートで待ち受けるプログラムがありません。" == down.sentence("ja")


@pytest.mark.parametrize("target", ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "[::1", "a b:80", ""])
async def test_a_target_without_sense_is_refused(target):
    with pytest.raises(BadQuestion):
        await ask(target, "tcp")
