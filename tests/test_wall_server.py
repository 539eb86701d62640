"""The wall's server as a client meets it: what it gives, what it refuses, and that a deaf client delays nobody."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from poller.config import load
from poller.sample import Sample
from poller.wall.live import LiveState
from poller.wall.metrics import _escaped
from poller.wall.server import WallServer

NOON_NS = 1_795_230_000 * 10**9
CONFIGURATION = """\
organisation: {name: Our network}
sites: {hall: {}}
credentials: {core: {version: "2c", community: "env:COMMUNITY"}}
devices: {fw-1: {addresses: [192.0.2.1], role: firewall, site: hall, credentials: core}}
"""
TAGS = (("device", "fw-1"), ("role", "firewall"), ("site", "hall"))
METRIC = re.compile(
    r"# (HELP|TYPE) hinomi_[a-z_]+ .+|"
    r'hinomi_[a-z_]+\{([a-z_]+="[^"\\\n]*")(,[a-z_]+="[^"\\\n]*")*\} (-?[0-9.]+(e[+-][0-9]+)?|nan|inf)'
)
HEADERS = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control")


def device(cpu: float, text: str = "") -> Sample:
    return Sample("device", TAGS, {"up": True, "quality": "observed", "cpu_ratio": cpu, "reason": text}, NOON_NS)


@pytest.fixture
def live(tmp_path: Path) -> LiveState:
    (tmp_path / "hinomi.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return LiveState(load(tmp_path, ()).estate)


@pytest.fixture
async def server(live: LiveState) -> AsyncIterator[WallServer]:
    async with WallServer(live, "127.0.0.1", 0, clock_ns=lambda: NOON_NS) as wall:
        yield wall


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def event(answer: aiohttp.ClientResponse) -> dict:
    """The next event of a stream."""
    line = await answer.content.readline()
    assert b"\n" == await answer.content.readline()
    return json.loads(line.removeprefix(b"data: "))


@pytest.mark.parametrize(
    "path", ["", "static/wall.js", "api/v1/wall", "healthz", "readyz", "metrics", "nothing/here", "static/none.js"]
)
async def test_every_answer_carries_the_security_policy(server: WallServer, client, path: str) -> None:
    """R76: refusals too."""
    async with client.get(server.url + path) as answer:
        assert {} == {name: None for name in HEADERS if name not in answer.headers}
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


@pytest.mark.parametrize("path", ["", "login", "search", "service-level", "notifications", "device/fw-1"])
async def test_every_page_comes_in_the_language_of_the_organisation(
    server: WallServer, client, live: LiveState, path: str
) -> None:
    """The door too, where nobody is known yet; and another configuration may say another."""
    for lang in ("ja", "en", "ja"):
        organisation = live.estate.organisation.model_copy(update={"lang": lang})
        live.follow(live.estate.model_copy(update={"organisation": organisation}))
        async with client.get(server.url + path) as answer:
            page = await answer.text()
            assert (200, "text/html") == (answer.status, answer.content_type)
        assert [lang] == re.findall(r'<html lang="(..)">', page)
        assert page.endswith("</html>\n")


async def test_the_stream_carries_the_policy_and_is_never_kept(server: WallServer, client) -> None:
    async with client.get(server.url + "api/v1/stream") as answer:
        assert [] == [name for name in HEADERS if name not in answer.headers]
        assert "text/event-stream" == answer.headers["Content-Type"]


@pytest.mark.parametrize(
    "path",
    [
        "static/../server.py",
        "static/%2e%2e/server.py",
        "static/vendor/%2e%2e",
        "static/..%2fserver.py",
        "static/vendor/..%2f..%2fserver.py",
        "static//etc/passwd",
        "static/%2fetc%2fpasswd",
        "static/vendor",
        "static/vendor/uPlot.LICENSE",
        "static/wall.html%00.js",
    ],
)
async def test_nothing_outside_the_pages_is_served(server: WallServer, client, path: str) -> None:
    async with client.get(URL(server.url + path, encoded=True)) as answer:
        assert 404 == answer.status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_the_wall_takes_nothing(server: WallServer, client, method: str) -> None:
    async with client.request(method, server.url + "api/v1/wall") as answer:
        assert (405, True) == (answer.status, "Content-Security-Policy" in answer.headers)


async def test_the_snapshot_is_the_live_state(server: WallServer, client, live: LiveState) -> None:
    live.observe([device(0.31)])
    async with client.get(server.url + "api/v1/wall") as answer:
        snapshot = await answer.json()
    assert json.loads(json.dumps(live.snapshot(NOON_NS))) == snapshot
    assert 0.31 == snapshot["devices"][0]["cpu"]


async def test_a_rate_that_is_no_number_is_still_json(server: WallServer, client, live: LiveState) -> None:
    live.observe([device(float("nan"))])
    async with client.get(server.url + "api/v1/wall") as answer:
        assert None is (await answer.json())["devices"][0]["cpu"]


async def test_it_is_ready_once_something_was_measured_lately(live: LiveState, client) -> None:
    """Alive and ready are two things: a daemon that measures nothing is alive only."""
    now_ns = NOON_NS
    async with WallServer(live, "127.0.0.1", 0, clock_ns=lambda: now_ns) as wall:

        async def status() -> int:
            async with client.get(wall.url + "readyz") as answer:
                return answer.status

        assert 503 == await status()
        live.observe([device(0.31)])
        assert 200 == await status()
        now_ns = NOON_NS + 200 * 10**9
        assert 503 == await status()
        async with client.get(wall.url + "healthz") as answer:
            assert 200 == answer.status


async def test_metrics_are_prometheus_text_and_leave_out_what_is_old(live: LiveState, client) -> None:
    """R75: a value is never repeated as if it were new."""
    now_ns = NOON_NS
    live.observe([device(0.31)])
    live.observe([Sample("daemon", (("node", "n"), ("part", "loop")), {"stall_seconds": 0.004}, NOON_NS)])
    async with WallServer(live, "127.0.0.1", 0, clock_ns=lambda: now_ns) as wall:
        async with client.get(wall.url + "metrics") as answer:
            text = await answer.text()
            assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["Content-Type"]
        lines = text.splitlines()
        assert [] == [line for line in lines if not METRIC.fullmatch(line)]
        assert 'hinomi_device_up{device="fw-1",role="firewall",site="hall"} 1.0' in lines
        assert 'hinomi_device_cpu_ratio{device="fw-1"} 0.31' in lines
        assert 'hinomi_daemon_stall_seconds{part="loop"} 0.004' in lines
        assert 'hinomi_incidents_open{severity="serious"} 0.0' in lines
        assert len(lines) == len(set(lines))
        now_ns = NOON_NS + 200 * 10**9
        async with client.get(wall.url + "metrics") as answer:
            assert "hinomi_device_up{" not in await answer.text()


def test_a_label_is_escaped() -> None:
    assert 'a\\\\b\\"c\\nd' == _escaped('a\\b"c\nd')


async def test_the_stream_gives_everything_first_and_then_what_changes(server, client, live: LiveState) -> None:
    async with client.get(server.url + "api/v1/stream") as answer:
        first = await event(answer)
        live.observe([device(0.5)])
        changed = await event(answer)
        beat = await event(answer)
    assert {"devices", "circuits", "tenants", "services", "incidents", "organisation"} <= set(first)
    assert (0.5, False) == (changed["devices"][0]["cpu"], "tenants" in changed)
    assert "devices" not in beat
    assert NOON_NS == beat["now_ns"]


async def test_a_stream_that_is_closed_is_forgotten(server: WallServer, client, live: LiveState) -> None:
    async with client.get(server.url + "api/v1/stream") as leaving:
        await event(leaving)
    async with client.get(server.url + "api/v1/stream") as staying:
        for _ in range(4):
            await event(staying)
        assert 1 == len(server._streams)


async def test_a_wall_that_does_not_read_is_dropped_and_delays_nobody(server, client, live: LiveState) -> None:
    """Its buffer is filled with events of a megabyte; the other wall keeps getting each of them."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    url = URL(server.url)
    with deaf:
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, (url.host, url.port))
        await loop.sock_sendall(deaf, b"GET /api/v1/stream HTTP/1.1\r\nHost: wall\r\n\r\n")
        async with client.get(server.url + "api/v1/stream", read_bufsize=2**24) as answer:
            assert "devices" in await event(answer)
            seen = []
            for turn in range(8):
                live.observe([device(turn / 10, "x" * 2_000_000)])
                while (entries := (await event(answer)).get("devices")) is None:
                    pass
                seen.append(entries[0]["cpu"])
            assert [turn / 10 for turn in range(8)] == seen
            assert 1 == len(server._streams)
