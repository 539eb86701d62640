"""The wall in a real browser: Debian's chromium, driven by playwright, on a live state that the test feeds."""

import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from poller.config import load
from poller.sample import Sample
from poller.wall.live import LiveState
from poller.wall.server import WallServer

expect.set_options(timeout=20_000)  # a busy machine is no fault
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if os.environ.get("CI") != "true":
    pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

SECOND_NS = 10**9
PREFECTURE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
SIZES = {"full": (1920, 1080), "4k": (3840, 2160), "phone": (390, 844)}
CUT = """() => {
  const cut = [];
  for (const element of document.querySelectorAll("body *")) {
    if (!element.offsetParent || element.children.length || !element.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(element);
    const text = range.getBoundingClientRect();
    if (text.width === 0) continue;
    const panel = element.closest(".panel, header, #figures").getBoundingClientRect();
    const shortened = getComputedStyle(element).textOverflow === "ellipsis";
    if ((!shortened && (text.right > panel.right + 1 || text.left < panel.left - 1))
        || element.getBoundingClientRect().bottom > panel.bottom + 1
        || panel.right > innerWidth + 1 || (innerWidth > 900 && panel.bottom > innerHeight + 1))
      cut.push(`${element.className}: ${element.textContent}`);
  }
  return cut;
}"""
"""Texts that stick out of their panel, or whose panel sticks out of the screen."""


@dataclass
class Clock:
    """The server's clock; the test moves it."""

    ahead_ns: int = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead_ns


@dataclass
class Shown:
    """An open wall with all that can be said of it."""

    page: Page
    live: LiveState
    clock: Clock
    server: WallServer
    complaints: list[str]
    foreign: list[str] = field(default_factory=list)

    def now_ns(self) -> int:
        return self.clock()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        await browser.close()


@pytest.fixture
def live() -> LiveState:
    return LiveState(load(PREFECTURE).estate)


@asynccontextmanager
async def shown(browser: Browser, live: LiveState, query: str = "", size: str = "full") -> AsyncIterator[Shown]:
    """The page, open and past its first snapshot."""
    clock = Clock()
    width, height = SIZES[size]
    async with WallServer(live, "127.0.0.1", 0, clock_ns=clock) as server:
        page = await browser.new_page(viewport={"width": width, "height": height})
        wall = Shown(page, live, clock, server, [])
        page.on("console", lambda message: wall.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wall.complaints.append(str(error)))
        page.on("request", lambda request: wall.foreign.append(request.url))
        await page.goto(server.url + query)
        await expect(page.locator("#whole .word")).not_to_be_empty()
        yield wall
        await page.close()


def device(key: str, time_ns: int, **fields: float | str | bool) -> Sample:
    tags = (("device", key), ("role", "firewall"), ("site", "dc"))
    return Sample("device", tags, {"up": True, "quality": "observed", **fields}, time_ns)


def line_group(key: str, time_ns: int, into: float, out: float) -> Sample:
    rates = {"in_bits_per_second": into, "out_bits_per_second": out, "in_committed_ratio": into / 1e9}
    return Sample("line_group", (("line_group", key),), rates, time_ns)


def tenant(key: str, time_ns: int, ratio: float) -> list[Sample]:
    return [
        Sample("tenant", (("tenant", key), ("line", line)), {"in_bits_per_second": 3e8, "in_cap_ratio": ratio}, time_ns)
        for line in ("internet", "total")
    ]


def incident(severity: str, title: str, since_ns: int, *, by: str | None = None) -> dict:
    return {
        "id": f"2026-1121-{title[:3]}",
        "severity": severity,
        "title": {"ja": title, "en": title},
        "since_ns": since_ns,
        "scope": "outside",
        "acknowledged_by": by,
    }


def busy(live: LiveState, now_ns: int) -> None:
    """A working day at eleven: full bars, long incidents, a failed device."""
    minute = now_ns // (60 * SECOND_NS) * 60 * SECOND_NS
    estate = live._estate
    for group in estate.line_groups:
        live.remember(group, [(minute - k * 60 * SECOND_NS, 2.4e9 - k * 4e6, 3e8 + k * 1e6) for k in range(355, 0, -1)])
        live.observe([line_group(group, minute, 2.42e9, 3.1e8)])
    for row, key in enumerate(estate.tenants):
        live.observe(tenant(key, minute, (row * 37 % 120) / 100))
    figures = {"cpu_ratio": 0.88, "memory_ratio": 0.91, "sessions_ratio": 0.83, "sessions": 830_000}
    for key, each in estate.devices.items():
        role = "standby" if key.endswith("2") else "active"
        live.observe([device(key, minute, **figures, ha_role=role, up=each.role != "ups")])
    for key, circuit in estate.circuits.items():
        rates = {"in_bits_per_second": 9.876e8, "out_bits_per_second": 4.44e8, "in_committed_ratio": 0.99}
        tags = (("circuit", key), ("kind", circuit.kind), ("line_group", "internet"))
        live.observe([Sample("circuit", tags, rates, minute)])
    live.show_states({key: ("down" if key == "bo-2" else "up", "carrier lost") for key in estate.circuits})
    live.show_active({key: not key.endswith("2") for key in estate.circuits})
    for key, service in estate.services.items():
        tags = (("service", key), ("kind", service.kind))
        live.observe([Sample("service", tags, {"up": key != "ntp-1", "response_seconds": 0.0042}, minute)])
    for part in ("rounds", "loop", "journal", "parquet"):
        fields = {"lag_seconds": 0.02, "stall_seconds": 0.004, "queue_depth": 12, "drops_total": 0, "overruns_total": 0}
        live.observe([Sample("daemon", (("node", "watch-1"), ("part", part)), fields, minute)])
    live.observe([Sample("notification", (("device", "fw-1"), ("name", "linkDown")), {}, now_ns) for _ in range(4)])
    live.show_incidents(
        [
            incident("serious", "三重県後期高齢者医療広域連合 接続ルーター 応答なし", now_ns - 8000 * SECOND_NS),
            incident("minor", "ブレイクアウト接続回線 副 断", now_ns - 1860 * SECOND_NS, by="当番A"),
            incident("notice", "証明書 12日 mail-gw", now_ns - 200_000 * SECOND_NS, by="当番B"),
        ]
    )


async def test_numbers_appear_and_follow_what_is_measured(browser: Browser, live: LiveState) -> None:
    """An update reaches the page by the stream, without a reload; and the page complains of nothing."""
    async with shown(browser, live) as wall:
        live.observe([line_group("outside", wall.now_ns(), 1.42e9, 3.1e8)])
        figures = wall.page.locator("#lines-now .rate")
        await expect(figures).to_have_text(["1.42 Gbps", "310 Mbps"])
        live.observe([line_group("outside", wall.now_ns(), 1.53e9, 3.2e8)])
        await expect(figures).to_have_text(["1.53 Gbps", "320 Mbps"])
        assert [] == wall.complaints


async def test_nothing_comes_from_anywhere_else(browser: Browser, live: LiveState) -> None:
    """The page works where there is no internet: it asks its own server only."""
    async with shown(browser, live) as wall:
        busy(live, wall.now_ns())
        await expect(wall.page.locator(".incident")).to_have_count(3)
        assert [] == [url for url in wall.foreign if not url.startswith(wall.server.url)]
        assert len(wall.foreign) > 5


async def test_what_grows_old_turns_grey_and_says_since_when(browser: Browser, live: LiveState) -> None:
    """R75: two intervals without data, and nothing is green any more."""
    async with shown(browser, live) as wall:
        busy(live, wall.now_ns())
        tsu = wall.page.locator(".tenant", has_text="津市")
        await expect(tsu).to_contain_text("%")
        assert 0 == await wall.page.locator(".tenant.old").count()
        wall.clock.ahead_ns = 3 * 3600 * SECOND_NS
        tenants = len(live._estate.tenants)
        await expect(wall.page.locator(".tenant.old")).to_have_count(tenants, timeout=15_000)
        await expect(tsu).to_contain_text("3時間")
        await expect(tsu).not_to_contain_text("%")
        assert await wall.page.locator(".device.old").count() == await wall.page.locator(".device").count() > 0
        assert 0 == await wall.page.locator(".circuit:not(.old)").count()
        assert 0 == await wall.page.locator("#device-grid .normal").count()


async def test_the_state_of_the_whole_is_word_sign_and_reason(browser: Browser, live: LiveState) -> None:
    """Colour is never the only sign."""
    async with shown(browser, live) as wall:
        whole = wall.page.locator("#whole")
        await expect(whole).to_contain_text("？不明")
        await expect(whole).to_contain_text("データがありません")
        live.observe([device(key, wall.now_ns()) for key in live._estate.devices])
        await expect(whole.locator(".word")).to_have_text("正常")
        live.show_incidents([incident("serious", "全断", wall.now_ns())])
        await expect(whole).to_have_text("■重大全断")
        assert "96px" == await whole.locator(".word").evaluate("element => getComputedStyle(element).fontSize")


async def test_text_from_the_network_is_shown_as_text(browser: Browser, live: LiveState) -> None:
    """R77: markup in a name is letters, wherever it comes from."""
    evil = "<script>window.broken=1</script><img src=x onerror=window.broken=1>"
    async with shown(browser, live) as wall:
        live.show_incidents([incident("minor", evil, wall.now_ns(), by=evil)])
        live.show_states({"int-1": ("down", evil)})
        live.observe([device("fw-1", wall.now_ns(), up=False, reason=evil)])
        await expect(wall.page.locator(".incident .title")).to_contain_text(evil)
        await expect(wall.page.locator(".incident .more")).to_contain_text(evil)
        assert None is await wall.page.evaluate("window.broken ?? null")
        assert 0 == await wall.page.locator("main img, main script").count()
        assert [] == wall.complaints


async def test_english_on_request(browser: Browser, live: LiveState) -> None:
    async with shown(browser, live, "?lang=en") as wall:
        busy(live, wall.now_ns())
        await expect(wall.page.locator("#whole .word")).to_have_text("Serious")
        await expect(wall.page.locator(".incident .more").nth(1)).to_contain_text("outside")
        await expect(wall.page.locator(".tenant", has_text="Tsu City")).to_have_count(1)
        for panel in ("#figures", "#lines", "#tenants", "#circuits", "#devices"):
            text = await wall.page.locator(panel).inner_text()
            assert [] == [letter for letter in text if "぀" <= letter <= "鿿"], panel


async def test_a_lost_daemon_is_told_in_the_largest_letters_and_recovers(browser: Browser, live: LiveState) -> None:
    """R75: the page never shows old figures as if they were new."""
    async with shown(browser, live) as wall:
        await expect(wall.page.locator("#lost")).to_be_hidden()
        port = int(wall.server.url.rsplit(":", 1)[1].strip("/"))
        await wall.server.__aexit__()
        await expect(wall.page.locator("#lost")).to_be_visible(timeout=15_000)
        await expect(wall.page.locator("#lost")).to_contain_text("監視サーバーと通信できません")
        sizes = await wall.page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter((element) => element.textContent.trim())
            .map((element) => [parseFloat(getComputedStyle(element).fontSize), !!element.closest("#lost")])"""
        )
        assert max(size for size, lost in sizes if lost) > max(size for size, lost in sizes if not lost)
        async with WallServer(live, "127.0.0.1", port, clock_ns=wall.clock):
            await expect(wall.page.locator("#lost")).to_be_hidden(timeout=15_000)
            live.observe([line_group("outside", wall.now_ns(), 1.42e9, 3.1e8)])
            await expect(wall.page.locator("#lines-now .rate").first).to_have_text("1.42 Gbps")


@pytest.mark.parametrize("lang", ["ja", "en"])
@pytest.mark.parametrize("size", list(SIZES))
async def test_on_a_busy_day_nothing_is_cut(browser: Browser, live: LiveState, size: str, lang: str) -> None:
    async with shown(browser, live, f"?lang={lang}", size) as wall:
        busy(live, wall.now_ns())
        await expect(wall.page.locator(".incident")).to_have_count(3)
        await expect(wall.page.locator("#chart canvas")).to_have_count(1)
        if artefacts := os.environ.get("WALL_SCREENSHOTS"):
            await wall.page.screenshot(path=f"{artefacts}/wall-{size}-{lang}.png", full_page=size == "phone")
        assert [] == await wall.page.evaluate(CUT)
        bottom = await wall.page.evaluate("document.querySelector('#chart').getBoundingClientRect().bottom")
        canvas = await wall.page.evaluate("document.querySelector('#chart canvas').getBoundingClientRect().bottom")
        assert canvas <= bottom + 1


async def test_of_seventy_circuits_and_forty_four_sites_nothing_is_cut_and_the_broken_one_is_first(
    browser: Browser,
) -> None:
    """The city hall's wall; of a crowd the well are counted, and whatever is not well is drawn."""
    live = LiveState(load(PREFECTURE.parent / "cityhall").estate)
    broken = list(live.estate.circuits)[-1]
    async with shown(browser, live) as wall:
        busy(live, wall.now_ns())
        live.show_states(
            {key: ("down" if key == broken else "up", "its interface is down") for key in live.estate.circuits}
        )
        await expect(wall.page.locator("#circuit-row a").first).to_have_attribute("href", f"/circuit/{broken}")
        await expect(wall.page.locator("#circuit-row .count")).to_contain_text("正常 69／全 70 回線")
        await expect(wall.page.locator(".circuit .why")).to_have_text("インターフェースがダウンしています")
        assert (44, 12) == (await wall.page.locator(".tenant").count(), await wall.page.locator(".circuit").count())
        await expect(wall.page.locator("#chart canvas")).to_have_count(1)
        if artefacts := os.environ.get("WALL_SCREENSHOTS"):
            await wall.page.screenshot(path=f"{artefacts}/wall-cityhall.png")
        assert [] == await wall.page.evaluate(CUT)
