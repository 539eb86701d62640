"""The HTTP probe against aiohttp with and without TLS, Debian's tinyproxy, and servers wrong in their own ways."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from poller.free_ports import free_port
from poller.lab.authority import Authority
from probes.errors import BadQuestion
from probes.result import ProbeResult, Question, ServiceState
from probes.services import probe_service

pytestmark = pytest.mark.filterwarnings("ignore:.*(BasicAuth|proxy_auth).*:DeprecationWarning")
TINYPROXY = shutil.which("tinyproxy", path="/usr/bin:/usr/sbin")
NOW = datetime.now(UTC)
AUTHORITY = Authority("Test authority", NOW)
VALID = AUTHORITY.issue(["127.0.0.1", "localhost"], NOW - timedelta(days=1), NOW + timedelta(days=90)).context()


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    path.write_bytes(AUTHORITY.certificate)
    return str(path)


async def page(request: web.Request) -> web.Response:
    charset = request.query.get("charset", "utf-8")
    return web.Response(body="<p>三重県からのお知らせ</p>".encode(charset), content_type="text/html")


async def moved(_: web.Request) -> web.Response:
    raise web.HTTPFound("/")


async def circling(request: web.Request) -> web.Response:
    raise web.HTTPFound(f"/round?{int(request.query_string or 0) + 1}")


async def broken(_: web.Request) -> web.Response:
    raise web.HTTPInternalServerError


async def slow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"<p>")
    await asyncio.sleep(60)
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65_536)


async def block_page(_: web.Request) -> web.Response:
    return web.Response(text="このページは規則により遮断しました", status=200)


@asynccontextmanager
async def site(context=None) -> AsyncIterator[str]:
    """A real aiohttp site; its URL without a path."""
    app = web.Application()
    routes = {"/": page, "/moved": moved, "/round": circling, "/broken": broken, "/slow": slow, "/endless": endless}
    for path, answer in {**routes, "/blocked": block_page}.items():
        app.router.add_get(path, answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    where = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await where.start()
    port = where._server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[str]:
    """A server that answers every connection with these octets and ends it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def ask(target: str, **options: object) -> ProbeResult:
    return await probe_service("http", Question(target, **({"timeout_seconds": 8} | options)))


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real explicit proxy with a filter: it blocks what has "forbidden" in its URL; CONNECT to any port."""
    with proxying(tmp_path_factory.mktemp("proxy")) as url:
        yield url


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, and it wants a login: desk, hunter2."""
    with proxying(tmp_path_factory.mktemp("guarded"), "BasicAuth desk hunter2\n") as url:
        yield url


@contextmanager
def proxying(folder: Path, more: str = "") -> Iterator[str]:
    if TINYPROXY is None:
        pytest.skip("tinyproxy is not installed (apt-get install tinyproxy)")
    port = free_port()
    (folder / "filter").write_text("forbidden\n")
    (folder / "blocked.html").write_text("<p>有害サイトのため遮断しました</p>\n")
    (folder / "conf").write_text(
        f'Port {port}\nListen 127.0.0.1\nTimeout 20\nMaxClients 20\nAllow 127.0.0.1\nFilter "{folder}/filter"\n'
        f'FilterURLs On\nErrorFile 403 "{folder}/blocked.html"\nLogFile "{folder}/log"\nStatHost "stats.invalid"\n'
        f"{more}"
    )
    server = subprocess.Popen((TINYPROXY, "-d", "-c", str(folder / "conf")), stdout=subprocess.DEVNULL)
    try:
        while True:
            assert server.poll() is None, "tinyproxy ended"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                continue
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


# ---- healthy


async def test_a_page_with_the_text_expected_is_up():
    """(R39)."""
    async with site() as url:
        result = await ask(f"{url}/", expect="三重県")
    assert ServiceState.UP == result.state
    assert f"{url}/ は正常です（状態コード 200）。" == result.sentence("ja")
    assert f"{url}/ answers (status 200)." == result.sentence("en")
    assert {"connect", "first_byte"} == set(result.phases)
    assert result.response_seconds >= sum(result.phases.values()) * 0.999


@pytest.mark.parametrize("charset", ["cp932", "euc_jp", "iso2022_jp"])
async def test_the_text_is_found_in_whatever_encoding_the_office_writes(charset):
    async with site() as url:
        result = await ask(f"{url}/?charset={charset}", expect="三重県")
    assert ServiceState.UP == result.state


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_https_is_verified_and_its_phases_are_told_apart_on_both_loops(run, ca_file):
    async def healthy() -> ProbeResult:
        async with site(VALID) as url:
            return await ask(f"{url}/", expect="三重県", ca_file=ca_file)

    result = run(healthy())
    assert ServiceState.UP == result.state
    assert {"connect", "tls", "first_byte"} == set(result.phases)
    assert 89 < result.certificate_days < 91
    assert ("certificate", "127.0.0.1, localhost; issued by Test authority") in result.evidence


async def test_a_name_is_resolved_in_a_phase_of_its_own():
    async with site() as url:
        result = await ask(url.replace("127.0.0.1", "localhost") + "/")
    assert ServiceState.UP == result.state
    assert {"resolve", "connect", "first_byte"} == set(result.phases)


async def test_a_redirect_is_followed_and_a_status_can_be_expected():
    async with site() as url:
        assert ServiceState.UP == (await ask(f"{url}/moved", expect="三重県")).state
        assert ServiceState.UP == (await ask(f"{url}/broken", status=500)).state


async def test_an_endless_page_ends_at_its_limit():
    """(R77)."""
    async with site() as url:
        result = await ask(f"{url}/endless")
    assert ServiceState.UP == result.state


async def test_an_allowed_page_is_up_through_the_proxy(tinyproxy):
    """(R39)."""
    async with site() as url:
        result = await ask(f"{url}/", proxy=tinyproxy, expect="三重県")
    assert ServiceState.UP == result.state
    assert f"{url}/ は正常です（状態コード 200）。" == result.sentence("ja")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_allowed_https_page_is_up_through_connect_on_both_loops(run, tinyproxy, ca_file):
    async def healthy() -> ProbeResult:
        async with site(VALID) as url:
            return await ask(f"{url}/", proxy=tinyproxy, expect="三重県", ca_file=ca_file)

    result = run(healthy())
    assert ServiceState.UP == result.state, result.sentence("en")
    assert {"connect", "tls", "first_byte"} == set(result.phases)


async def test_what_must_be_blocked_and_is_counts_as_up(tinyproxy):
    """(R39)."""
    result = await ask("http://forbidden.example.jp/", proxy=tinyproxy, blocked=True)
    assert ServiceState.UP == result.state
    assert "http://forbidden.example.jp/ は遮断されています（状態コード 403）。" == result.sentence("ja")
    assert "http://forbidden.example.jp/ is blocked (status 403)." == result.sentence("en")


async def test_a_block_page_is_known_by_its_text_whatever_its_status(tinyproxy):
    result = await ask("http://forbidden.example.jp/", proxy=tinyproxy, blocked=True, expect="遮断しました")
    assert "http://forbidden.example.jp/ は遮断されています（「遮断しました」）。" == result.sentence("ja")
    async with site() as url:
        assert ServiceState.UP == (await ask(f"{url}/blocked", blocked=True, expect="遮断しました")).state


async def test_what_must_be_blocked_by_connect_and_is_counts_as_up(tinyproxy):
    result = await ask("https://forbidden.example.jp/", proxy=tinyproxy, blocked=True)
    assert "https://forbidden.example.jp/ は遮断されています（状態コード 403）。" == result.sentence("ja")


# ---- broken


async def test_a_site_that_is_not_there_refuses():
    where = f"127.0.0.1:{free_port()}"
    result = await ask(f"http://{where}/")
    assert (ServiceState.DOWN, None) == (result.state, result.response_seconds)
    sentence = f"http://{where}/ は接続を拒否しました。このポートで待ち受けるプログラムがありません。"
    assert sentence == result.sentence("ja")


async def test_a_page_that_fails_is_down_with_its_status():
    async with site() as url:
        result = await ask(f"{url}/broken")
    assert f"{url}/broken は状態コード 500 を返しました（期待は 200）。" == result.sentence("ja")
    assert f"{url}/broken answered with status 500 (expected: 200)." == result.sentence("en")
    assert result.response_seconds is not None


async def test_a_page_without_the_text_is_down():
    async with site() as url:
        result = await ask(f"{url}/", expect="津市")
    assert f"{url}/ のページに「津市」がありません（状態コード 200）。" == result.sentence("ja")
    assert f"The page at {url}/ lacks the text '津市' (status 200)." == result.sentence("en")


async def test_a_page_that_stops_in_the_middle_is_down_at_the_deadline():
    async with site() as url:
        result = await ask(f"{url}/slow", timeout_seconds=0.3)
    assert f"{url}/slow から 0.3 秒以内に応答がありません（応答の受信の段階）。" == result.sentence("ja")
    assert f"{url}/slow gave no answer within 0.3 s (while reading the answer)." == result.sentence("en")


async def test_a_site_that_redirects_in_a_circle_is_down():
    async with site() as url:
        result = await ask(f"{url}/round")
    assert f"{url}/round は転送を 5 回以上繰り返します。" == result.sentence("ja")
    assert f"{url}/round redirects 5 times and more." == result.sentence("en")


async def test_a_connection_that_ends_without_an_answer_is_told():
    async with answering(b"") as url:
        result = await ask(f"{url}/")
    assert f"{url}/ は途中で接続を切りました（応答待ちの段階）。" == result.sentence("ja")


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 302 Found\r\nLocation: gopher://[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_told_and_nothing_else_happens(reply):
    """(R77)."""
    async with answering(reply) as url:
        result = await ask(f"{url}/")
    assert (ServiceState.DOWN, "malformed") == (result.state, result.reason), result.sentence("en")
    assert result.sentence("ja").startswith(f"{url}/ の応答は HTTP として読めません（")
    assert result.sentence("ja").isprintable()


async def test_a_certificate_of_somebody_unknown_is_told():
    async with site(VALID) as url:
        result = await ask(f"{url}/")
    assert ServiceState.DOWN == result.state
    detail = "unable to get local issuer certificate"
    assert f"{url}/ の証明書は信頼できる認証局のものではありません（{detail}）。" == result.sentence("ja")
    assert f"The certificate of {url}/ does not come from a trusted authority ({detail})." == result.sentence("en")


async def test_a_proxy_that_is_not_there_is_named(tinyproxy):
    where = f"127.0.0.1:{free_port()}"
    result = await ask("http://www.example.jp/", proxy=f"http://{where}")
    sentence = f"プロキシ {where} は接続を拒否しました。このポートで待ち受けるプログラムがありません。"
    assert sentence == result.sentence("ja")
    assert f"Proxy {where} refused the connection: nothing listens on that port." == result.sentence("en")


async def test_a_page_that_must_be_blocked_and_is_shown_is_down(tinyproxy):
    """(R39)."""
    async with site() as url:
        result = await ask(f"{url}/", proxy=tinyproxy, blocked=True)
    assert ServiceState.DOWN == result.state
    assert f"遮断されるはずの {url}/ が表示できます（状態コード 200）。" == result.sentence("ja")
    assert f"{url}/ must be blocked and can be seen (status 200)." == result.sentence("en")


async def test_a_filter_that_cannot_be_put_to_the_test_is_down(tinyproxy):
    """A proxy that fails blocks everything, and proves nothing."""
    result = await ask(f"http://127.0.0.1:{free_port()}/", proxy=tinyproxy, blocked=True)
    assert (ServiceState.DOWN, "http_status") == (result.state, result.reason)


async def test_a_proxy_that_declines_to_connect_is_told(tinyproxy):
    where = tinyproxy.removeprefix("http://")
    result = await ask("https://forbidden.example.jp/", proxy=tinyproxy)
    sentence = f"プロキシ {where} は https://forbidden.example.jp/ への接続を状態コード 403 で断りました。"
    assert sentence == result.sentence("ja")
    assert f"Proxy {where} declined to connect to https://forbidden.example.jp/ (status 403)." == result.sentence("en")


async def test_a_proxy_that_wants_a_login_is_told():
    async with answering(b"HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n") as proxy:
        plain = await ask("http://www.example.jp/", proxy=proxy)
        by_connect = await ask("https://www.example.jp/", proxy=proxy)
    sentence = f"プロキシ {proxy.removeprefix('http://')} が認証を求めています（状態コード 407）。"
    assert [sentence, sentence] == [plain.sentence("ja"), by_connect.sentence("ja")]


LOGIN = {"proxy_user": "desk", "proxy_password": "hunter2"}


async def test_a_proxy_that_wants_a_login_lets_us_through_with_it(guarded, ca_file):
    """Plain and by CONNECT, an allowed page and one that must be blocked (R39); the password is shown nowhere."""
    steps: list[str] = []
    async with site() as plain, site(VALID) as secured:
        asked = [
            (f"{plain}/", {"expect": "三重県"}),
            (f"{secured}/", {"expect": "三重県", "ca_file": ca_file}),
            (f"{plain}/forbidden", {"blocked": True}),
            ("https://forbidden.example.jp/", {"blocked": True}),
        ]
        results = [
            await probe_service(
                "http", Question(target, proxy=guarded, timeout_seconds=8, **LOGIN, **more), steps.append
            )
            for target, more in asked
        ]
    assert ["http_answers", "http_answers", "http_blocks", "http_blocks"] == [result.reason for result in results]
    assert "hunter2" not in f"{results} {steps} {Question('http://a/', **LOGIN)}"


@pytest.mark.parametrize("blocked", [False, True])
async def test_without_a_login_it_is_said_that_one_is_wanted(guarded, blocked):
    async with site() as plain:
        result = await ask(f"{plain}/", proxy=guarded, blocked=blocked)
    by_connect = await ask("https://www.example.jp/", proxy=guarded, blocked=blocked)
    sentence = f"Proxy {guarded.removeprefix('http://')} asks for a login (status 407)."
    assert [sentence, sentence] == [result.sentence("en"), by_connect.sentence("en")]
    assert {ServiceState.DOWN} == {result.state, by_connect.state}


async def test_a_login_that_a_proxy_declines_is_named_by_its_user_alone():
    """By a proxy that answers as RFC 9110, 15.5.8 wants it; tinyproxy answers a wrong password with 401."""
    async with answering(b"HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n") as proxy:
        plain = await ask("http://www.example.jp/", proxy=proxy, **LOGIN)
        by_connect = await ask("https://www.example.jp/", proxy=proxy, **LOGIN)
    sentence = f"プロキシ {proxy.removeprefix('http://')} は利用者 desk での認証を断りました（状態コード 407）。"
    assert [sentence, sentence] == [plain.sentence("ja"), by_connect.sentence("ja")]


async def test_an_authority_that_cannot_be_read_is_our_own_fault(tmp_path):
    file = tmp_path / "a.pem"
    none = await ask("https://127.0.0.1/", ca_file=str(file))
    file.write_text("nothing of the kind")
    empty = await ask("https://127.0.0.1/", ca_file=str(file))
    assert (ServiceState.UNKNOWN, ServiceState.UNKNOWN) == (none.state, empty.state)
    missing = none.sentence("ja").replace(none.facts["file"], "FILE")
    assert "認証局のファイル FILE を読めず、確認できませんでした（no such file or directory）。" == missing
    assert empty.sentence("ja").endswith("を読めず、確認できませんでした（証明書がありません）。")
    assert empty.sentence("en").endswith(" cannot be read, so nobody was asked (no certificate in it).")


@pytest.mark.parametrize("target", ["127.0.0.1", "ftp://127.0.0.1/", "http://", "http://[::1", "http://a:b/"])
async def test_a_target_that_is_no_url_is_refused(target):
    with pytest.raises(BadQuestion):
        await ask(target)
