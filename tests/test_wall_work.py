"""Pages for work: the last readings and the past of one thing, from a real store, in a real browser."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import polars as pl
import pytest
from playwright.async_api import ConsoleMessage, async_playwright, expect

from poller.config import load
from poller.sample import Sample
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore
from poller.wall.live import LiveState
from poller.wall.server import WallServer
from poller.wall.work import SPANS, _with_gaps

expect.set_options(timeout=20_000)  # a busy machine is no fault
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
without_browser = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="Debian's chromium is not installed"
)
MINUTE_NS = 60 * 10**9
NOON_NS = 1_795_230_000 * 10**9
CONFIGURATION = """\
organisation: {name: Our network}
sites: {hall: {}}
credentials: {core: {version: "2c", community: "env:COMMUNITY"}}
devices:
  fw-1: {addresses: [192.0.2.1], role: firewall, site: hall, credentials: core, name: {ja: 火壁, en: Fire wall}}
circuits: {int-1: {kind: internet, ceiling_rate: 1G, measured_by: {device: fw-1, interface: wan1}}}
line_groups: {internet: {members: [int-1], ceiling_rate: 1G}}
tenants: {tsu: {name: {ja: 津市, en: Tsu}, attachments: [{line: internet, device: fw-1, interface: vlan1}]}}
"""
INCIDENT = {
    "id": "2026-1121-001",
    "severity": "minor",
    "title": {"ja": "インターネット接続回線 断", "en": "Internet circuit down"},
    "since_ns": NOON_NS - 10 * MINUTE_NS,
    "scope": "outside",
    "acknowledged_by": "duty",
    "tenants": ["tsu"],
    "members": [
        {
            "rule": "circuit-down",
            "subject": "circuit/int-1",
            "severity": "minor",
            "since_ns": NOON_NS - 10 * MINUTE_NS,
            "resolved_ns": None,
        }
    ],
    "evidence": [
        {"subject": "circuit/int-1", "field": "state", "value": "down", "at_ns": NOON_NS, "reason": "<b>no carrier</b>"}
    ],
    "remarks": [{"kind": "acknowledge", "who": "duty", "text": "on my way", "at_ns": NOON_NS - 5 * MINUTE_NS}],
}


@pytest.fixture
def live(tmp_path: Path) -> LiveState:
    (tmp_path / "hinomi.yaml").write_text(CONFIGURATION, encoding="utf-8")
    live = LiveState(load(tmp_path, ()).estate)
    tags = (("device", "fw-1"), ("role", "firewall"), ("site", "hall"))
    live.observe([Sample("device", tags, {"up": True, "quality": "observed", "cpu_ratio": 0.31}, NOON_NS)])
    return live


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three hours of minutes of a device, one of them without a figure, and two days of five minutes of a tenant."""
    writer = ParquetStore(tmp_path / "store")
    times = [NOON_NS - k * MINUTE_NS for k in range(180, 0, -1)]
    device = {"time_ns": times, "device": "fw-1", "role": "firewall", "site": "hall", "quality": "observed"}
    cpu = [None if k == 100 else k / 200 for k in range(180)]
    writer.write_frame("device", pl.DataFrame({**device, "cpu_ratio": cpu, "memory_ratio": 0.5}))
    rows = [
        {
            "time_ns": NOON_NS - k * 5 * MINUTE_NS,
            "tenant": "tsu",
            "line": line,
            "in_bits_per_second_mean": 1e6 * k,
            "out_bits_per_second_mean": 5e5,
            "coverage_ratio": 1.0,
        }
        for line in ("internet", "total")
        for k in range(576, 0, -1)
    ]
    writer.write_frame("tenant_5m", pl.DataFrame(rows))
    return tmp_path / "store"


@pytest.fixture
async def server(live: LiveState, store: Path) -> AsyncIterator[WallServer]:
    async with WallServer(live, "127.0.0.1", 0, history=open_history(store), clock_ns=lambda: NOON_NS) as wall:
        yield wall


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def test_the_past_of_a_device_is_what_was_kept_and_its_gap(server: WallServer, client) -> None:
    async with client.get(server.url + "api/v1/device/fw-1/history?span=1h") as answer:
        past = await answer.json()
    (ratios,) = past["graphs"]
    assert ("ratio", 60, 3600) == (ratios["unit"], len(ratios["time"]), past["to"] - past["from"])
    assert [120 / 200, 179 / 200] == [ratios["series"]["cpu_ratio"][0], ratios["series"]["cpu_ratio"][-1]]
    async with client.get(server.url + "api/v1/device/fw-1/history?span=6h") as answer:
        (ratios,) = (await answer.json())["graphs"]
    assert (180, None, 0.5) == (
        len(ratios["time"]),
        ratios["series"]["cpu_ratio"][100],
        ratios["series"]["memory_ratio"][100],
    )


async def test_the_time_before_the_first_raw_reading_is_drawn_from_what_was_rolled_up(
    server: WallServer, store: Path, client
) -> None:
    """After a move, a restart of the store or the end of its 90 days a page is not empty."""
    began_ns = NOON_NS - 20 * MINUTE_NS
    raw = [{"time_ns": began_ns + k * MINUTE_NS, "tenant": "tsu", "line": "internet"} for k in range(20)]
    frame = pl.DataFrame(raw).with_columns(in_bits_per_second=pl.lit(7.5e6), out_bits_per_second=pl.lit(1e6))
    ParquetStore(store).write_frame("tenant", frame.with_columns(coverage_ratio=pl.lit(1.0)))
    async with client.get(server.url + "api/v1/tenant/tsu/history?span=1h") as answer:
        graphs = {graph["which"]: graph for graph in (await answer.json())["graphs"]}
    times, into = graphs["internet"]["time"], graphs["internet"]["series"]["in_bits_per_second"]
    assert (8, 20) == (sum(value != 7.5e6 for value in into), into.count(7.5e6))
    assert sorted(set(times)) == times
    assert 12 == len(graphs["total"]["time"])  # of which nothing is kept raw: rolled up to the end


def test_no_line_runs_over_what_nobody_saw() -> None:
    graph = {"time": [0, 60, 3600, 3660, 9000], "series": {"cpu_ratio": [0.1, 0.2, 0.3, 0.4, 0.5]}}
    expected = {
        "time": [0, 60, 61, 3600, 3660, 3661, 9000],
        "series": {"cpu_ratio": [0.1, 0.2, None, 0.3, 0.4, None, 0.5]},
    }
    assert expected == _with_gaps(graph, 750)


async def test_a_tenant_has_a_graph_for_each_line(server: WallServer, client) -> None:
    async with client.get(server.url + "api/v1/tenant/tsu/history?span=1d") as answer:
        graphs = (await answer.json())["graphs"]
    assert {"internet", "total"} == {graph["which"] for graph in graphs}
    assert {288} == {len(graph["time"]) for graph in graphs}
    assert 1e6 == graphs[0]["series"]["in_bits_per_second"][-1]


@pytest.mark.parametrize("span", list(SPANS))
async def test_every_span_is_answered_with_few_points(server: WallServer, client, span: str) -> None:
    async with client.get(server.url + f"api/v1/tenant/tsu/history?span={span}") as answer:
        assert 200 == answer.status
        assert all(len(graph["time"]) <= 400 for graph in (await answer.json())["graphs"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("device/fw-1", 200),
        ("incident/2020-0101-001", 200),
        ("device/none", 404),
        ("tenant/fw-1", 404),
        ("api/v1/device/none", 404),
        ("api/v1/device/none/history", 404),
        ("api/v1/incident/none", 404),
        ("api/v1/device/fw-1/history?span=9y", 400),
        ("api/v1/incident/2026-1121-001/history", 404),
    ],
)
async def test_what_there_is_not_is_said(server: WallServer, client, path: str, status: int) -> None:
    async with client.get(server.url + path) as answer:
        assert (status, True) == (answer.status, "Content-Security-Policy" in answer.headers)


async def test_a_daemon_without_a_store_says_so(live: LiveState, client) -> None:
    async with (
        WallServer(live, "127.0.0.1", 0) as wall,
        client.get(wall.url + "api/v1/device/fw-1/history") as answer,
    ):
        assert (503, {"error": "this daemon keeps no history"}) == (answer.status, await answer.json())


def is_complaint(message: ConsoleMessage) -> bool:
    """Not that this server, which has no store of alerts, knows no story."""
    return message.type == "error" and not message.location["url"].endswith("/story")


@without_browser
@pytest.mark.parametrize("width", [390, 1920])
async def test_from_the_wall_to_a_page_and_to_its_past(server: WallServer, live: LiveState, width: int) -> None:
    """The pages hang together by links; nothing is complained of, and nothing sticks out sideways."""
    live.show_incidents([INCIDENT])
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(viewport={"width": width, "height": 1080})
        page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(server.url)
        await page.locator("a.incident").click()
        await expect(page.locator("h1")).to_have_text("インターネット接続回線 断")
        await expect(page.locator("#story")).to_contain_text("<b>no carrier</b>")
        await expect(page.locator("#story")).to_contain_text("on my way")
        await page.locator("#story a", has_text="津市").click()
        await expect(page.locator("h1")).to_have_text("津市")
        await page.locator("#spans a", has_text="1日").first.click()
        await expect(page.locator(".graph canvas")).to_have_count(2)
        await page.goto(server.url + "device/fw-1?lang=en")
        await expect(page.locator("h1")).to_have_text("Fire wall")
        await expect(page.locator("#facts")).to_contain_text("31%")
        await expect(page.locator(".graph canvas")).to_have_count(1)
        if artefacts := os.environ.get("WALL_SCREENSHOTS"):
            await page.screenshot(path=f"{artefacts}/work-{width}.png")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await browser.close()
    assert [] == complaints
