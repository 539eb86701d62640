"""The pages of the shift in a real browser: taking incidents, finding things, service level; and who can read them."""

import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.config import load
from poller.estate import Estate
from poller.sample import Sample
from poller.storage.history import open_history
from poller.wall.incidents import incident_entry
from poller.wall.live import LiveState
from poller.wall.people import People
from poller.wall.server import WallServer

expect.set_options(timeout=20_000)  # a busy machine is no fault
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if os.environ.get("CI") != "true":
    pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

PREFECTURE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
SECOND_NS = 10**9
SIZES = {"desk": (1920, 1080), "4k": (3840, 2160), "phone": (390, 844)}
EVIL = "<img src=x onerror=window.broken=1> 電源断"


@dataclass
class Desk:
    """A daemon's wall with one incident, and a browser before it. now_ns: the time of its clocks."""

    page: Page
    url: str
    estate: Estate
    live: LiveState
    alerting: Alerting
    server: WallServer
    incident: str
    now_ns: int
    complaints: list[str] = field(default_factory=list)

    def see(self, *, up: bool, seconds: int) -> None:
        """One word on the broken service, and so many seconds of the daemon."""
        tags = (("service", "dns-internal-1"), ("kind", "dns"))
        for second in range(seconds):
            if second % 60 == 0:
                self.alerting.observe([Sample("service", tags, {"up": up}, self.now_ns)], self.now_ns)
            self.now_ns += SECOND_NS
            self.alerting.tick(self.now_ns)
        self.live.show_incidents([incident_entry(each, self.estate) for each in self.alerting.open_incidents()])

    async def open(self, path: str, size: str = "desk") -> None:
        width, height = SIZES[size]
        await self.page.set_viewport_size({"width": width, "height": height})
        await self.page.goto(self.url + path)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        await browser.close()


@pytest.fixture
async def desk(tmp_path: Path, browser: Browser) -> AsyncIterator[Desk]:
    estate = load(PREFECTURE).estate
    live, store = LiveState(estate), Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(estate, store)
    server = WallServer(live, "127.0.0.1", 0, history=open_history(tmp_path), clock_ns=lambda: made.now_ns)
    server.serve_also(People(alerting, estate, tmp_path, clock_ns=lambda: made.now_ns).routes())
    made = Desk(await browser.new_page(), "", estate, live, alerting, server, "", time.time_ns() - 600 * SECOND_NS)
    made.see(up=False, seconds=60)
    (incident,) = alerting.open_incidents()
    made.incident = incident.id
    complaints = made.complaints
    made.page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    made.page.on("pageerror", lambda error: complaints.append(str(error)))
    async with server:
        made.url = server.url
        yield made
    store.close()


async def test_an_incident_is_taken_and_commented_from_its_page(desk: Desk) -> None:
    """What somebody writes is text, is kept, and says who; nobody stays unnamed."""
    page = desk.page
    await desk.open(f"incident/{desk.incident}")
    await expect(page.locator("h1")).to_contain_text("内部DNS")
    await page.locator("#acknowledge").click()
    await expect(page.locator("#answer")).to_have_text("お名前を入力してください。")
    assert None is desk.alerting.incident(desk.incident).acknowledged_by
    await page.locator("#person").fill("当番A")
    await page.locator("#text").fill(EVIL)
    await page.locator("#comment").click()
    await expect(page.locator("#answer")).to_have_text("コメントを記録しました。")
    await expect(page.locator("#story")).to_contain_text(EVIL)
    await page.locator("#acknowledge").click()
    await expect(page.locator("#answer")).to_have_text("確認済みにしました。")
    desk.see(up=False, seconds=1)
    await desk.open(f"incident/{desk.incident}")
    await expect(page.locator("#facts")).to_contain_text("当番A")
    await expect(page.locator("#acknowledge")).to_be_hidden()
    remarks = [(each.kind, each.who, each.text) for each in desk.alerting.incident(desk.incident).remarks]
    assert [("comment", "当番A", EVIL), ("acknowledge", "当番A", "")] == remarks
    assert None is await page.evaluate("window.broken ?? null")
    await desk.open("")
    await expect(page.locator("a.incident .more")).to_contain_text("当番A 確認")
    assert [] == desk.complaints


async def test_an_incident_that_is_over_keeps_its_page(desk: Desk) -> None:
    """A link that was mailed at night is read in the morning."""
    desk.see(up=True, seconds=600)
    assert [] == desk.alerting.open_incidents()
    await desk.open(f"incident/{desk.incident}")
    await expect(desk.page.locator("h1")).to_contain_text("内部DNS")
    await expect(desk.page.locator("#age")).to_have_text("復旧済み")
    await expect(desk.page.locator("#story")).to_contain_text("利用不可")
    await expect(desk.page.locator("#act")).to_be_hidden()
    moment = await desk.page.locator("#story tbody td").first.inner_text()
    assert re.fullmatch(r"20\d\d年\d{1,2}月\d{1,2}日 \d\d:\d\d:\d\d", moment)
    await desk.open("search")
    await desk.page.locator("#closed a", has_text=desk.incident).click()
    await expect(desk.page.locator("#age")).to_have_text("復旧済み")
    assert [] == desk.complaints


async def test_things_are_found_as_they_are_typed_and_the_link_finds_them_again(desk: Desk) -> None:
    page = desk.page
    await desk.open("search")
    await expect(page.locator("#open")).to_contain_text(desk.incident)
    await page.locator("#text").fill("ＦＷ－1")
    first = page.locator("#found tbody tr").first
    await expect(first).to_contain_text("ファイアウォール1号機")
    await page.reload()
    await expect(first).to_contain_text("ファイアウォール1号機")
    await page.locator("#text").fill("津市")
    await expect(page.locator("#found tbody tr", has_text="接続団体")).to_have_count(1)
    await page.locator("#text").fill("no such thing <b>")
    await expect(page.locator("#found")).to_contain_text("「no such thing <b>」に該当するものはありません。")
    await page.locator("#text").fill("int-1")
    await page.locator("#found a", has_text="int-1").first.click()
    await expect(page.locator("h1")).to_have_text("インターネット接続回線 主")
    await page.locator("#more a", has_text="インターネット接続").last.click()
    await expect(page.locator("#facts")).to_contain_text("上限")
    assert [] == desk.complaints


async def test_the_service_level_says_what_was_promised_and_what_came(desk: Desk) -> None:
    page = desk.page
    await desk.open("service-level")
    row = page.locator("#levels tr", has=page.locator('a[href="/service/dns-internal-1"]'))
    await expect(row).to_contain_text("99.900%")
    await expect(row).to_contain_text("達成")
    await expect(row.locator("a").last).to_have_text(desk.incident)
    await expect(page.locator("#period")).to_contain_text("令和")
    await page.locator("#spans a", has_text="年度").first.click()
    await expect(page.locator("#period")).to_contain_text("年度（令和")
    assert "period=FY" in page.url
    await desk.open("service-level?period=yesterday")
    await expect(page.locator("#trouble")).to_have_text("その期間は指定できません")


async def test_pages_take_turns_where_asked_and_a_serious_incident_holds_the_wall(desk: Desk) -> None:
    page = desk.page
    alone = {"id": "1", "severity": "serious", "title": {"ja": "全断", "en": "all down"}, "since_ns": desk.now_ns}
    desk.live.show_incidents([])
    await desk.open("?rotate=5&pages=/service-level,https://evil.example/,//evil.example/")
    frame = page.frame_locator("#turn iframe")
    await expect(frame.locator("h1")).to_have_text("サービス水準", timeout=20_000)
    await expect(page.locator("#whole .word")).to_be_visible()
    desk.live.show_incidents([alone])
    await expect(page.locator("#turn")).to_be_hidden(timeout=20_000)
    assert 0 == await page.evaluate("frames.length")


PAGES = {
    "wall": "",
    "incident": "incident/{incident}",
    "device": "device/fw-1",
    "circuit": "circuit/int-1",
    "line_group": "line_group/outside",
    "tenant": "tenant/tsu",
    "service": "service/dns-internal-1",
    "search": "search?q=1",
    "service-level": "service-level",
    "notifications": "notifications",
}


SHOWN = {
    "wall": ".tenant",
    "search": "#found tr",
    "service-level": "#levels tr",
    "notifications": "h1",
}
"""What is there once a page is drawn; the others have facts."""


@pytest.mark.parametrize("size", list(SIZES))
async def test_every_page_fits_its_screen_and_speaks_one_language(desk: Desk, size: str) -> None:
    """Nothing sticks out sideways; no key of the catalogue stands for its word, nothing English is Japanese."""
    keys = set(re.findall(r'"([a-z_]+)": "', (static() / "messages.en.json").read_text(encoding="utf-8")))
    keys = {key for key in keys if "_" in key}
    wrong = []
    for name, path in PAGES.items():
        for lang in ("ja", "en"):
            query = "&" if "?" in path else "?"
            await desk.open(f"{path.format(incident=desk.incident)}{query}lang={lang}", size)
            await expect(desk.page.locator("h1")).not_to_be_empty()
            await expect(desk.page.locator(SHOWN.get(name, "#facts tr")).first).to_be_visible()
            if artefacts := os.environ.get("WALL_SCREENSHOTS"):
                await desk.page.screenshot(path=f"{artefacts}/page-{name}-{size}-{lang}.png", full_page=size == "phone")
            if not await desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
                wrong.append((name, lang, "sticks out"))
            text = await desk.page.locator("body").inner_text()
            wrong += [(name, lang, word) for word in re.findall(r"\b[a-z]+_[a-z_]+\b", text) if word in keys]
            if lang == "en":
                wrong += [(name, lang, word) for word in re.findall(r"[ぁ-ヿ一-鿿]+", text)]
    assert [] == wrong
    assert [] == desk.complaints


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_no_page_keeps_anybody_out(desk: Desk, theme: str) -> None:
    """axe-core finds no fault that is serious or critical: contrast, names of controls, headings, language."""
    found = []
    for name, path in PAGES.items():
        query = "&" if "?" in path else "?"
        await desk.open(f"{path.format(incident=desk.incident)}{query}theme={theme}")
        await expect(desk.page.locator(SHOWN.get(name, "#facts tr")).first).to_be_visible()
        results = await Axe().run(desk.page, options={"resultTypes": ["violations"]})
        assert len(results.response["passes"]) > 10, name  # it has looked
        found += [
            (name, each["id"], node["html"][:120], node["any"][0]["message"] if node["any"] else "")
            for each in results.response["violations"]
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"][:3]
        ]
    assert [] == found


def static() -> Path:
    return Path(__file__).parent.parent / "poller" / "wall" / "static"


def test_the_two_catalogues_have_the_same_words() -> None:
    """And every word that a page asks for is in them."""
    japanese, english = (
        set(re.findall(r'"([^"]+)": "', (static() / f"messages.{lang}.json").read_text(encoding="utf-8")))
        for lang in ("ja", "en")
    )
    assert japanese == english
    asked = set()
    for page in (*static().glob("*.js"), *static().glob("*.html")):
        text = page.read_text(encoding="utf-8")
        asked |= set(re.findall(r'\bt\("([a-z_-]+)"', text)) | set(re.findall(r'data-text="([a-z_-]+)"', text))
    assert set() == asked - japanese
    assert len(asked) > 60
