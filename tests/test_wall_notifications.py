"""The page, the API and the command line of notifications, by a daemon's whole way with simulated devices."""

import asyncio
import json
import logging
import os
import re
import shutil
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright, expect
from typer.testing import CliRunner

from poller.cli import app
from poller.config import load
from poller.daemon import Daemon
from poller.estate import Rule
from poller.free_ports import free_port
from poller.lab.scenario import Notifications
from poller.lab.server import Lab, LabOptions
from poller.settings import Name
from poller.share import share

expect.set_options(timeout=20_000)  # a busy machine is no fault
DEVICES = ("ho-sw-1", "sw-mgmt-1", "int-rt-1", "int-rt-2")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
without_browser = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="Debian's chromium is not installed"
)
LINK = Rule(
    id="link-down",
    name=Name(ja="リンク断", en="link down"),
    on="interface.oper_status",
    equals=2,
    severity="serious",
    where={"devices": ["ho-sw-1"]},
)


@pytest.fixture
async def watched(tmp_path: Path):
    """A daemon over four simulated devices and a pair of circuits, with its wall's address and the lab that plays."""
    configuration = load(share("config/examples/prefecture"))
    estate = configuration.estate
    chosen = {key: estate.devices[key].model_copy(update={"parents": ()}) for key in DEVICES}
    for router in ("int-rt-1", "int-rt-2"):  # two readings make traffic, and no test waits a minute for the second
        chosen[router] = chosen[router].model_copy(update={"interval": 5.0})
    circuits = {key: estate.circuits[key] for key in ("int-1", "int-2")}
    groups = {"int-lines": estate.redundancy_groups["int-lines"]}
    told = free_port()
    heard = estate.notifications.model_copy(update={"listen": IPv4Address("127.0.0.1"), "port": told})
    changed = {
        "devices": chosen, "circuits": circuits, "line_groups": {"internet": estate.line_groups["internet"]},
        "tenants": {}, "services": {}, "redundancy_groups": groups,
        "rules": {LINK.id: LINK}, "maintenance": {}, "notifications": heard,
        "wall": estate.wall.model_copy(update={"port": 0}),
        "storage": estate.storage.model_copy(update={"directory": str(tmp_path)}),
    }  # fmt: skip
    chosen_devices = {key: one.model_copy(update={"redundancy_group": None}) for key, one in chosen.items()}
    estate = estate.model_copy(update={**changed, "devices": chosen_devices})
    full = load(share("config/examples/prefecture")).estate
    options = LabOptions(port=0, notifications=Notifications(receiver=f"127.0.0.1:{told}", community="lab-only-notify"))
    async with Lab(full, share("config/examples/prefecture"), options) as lab:
        polling = estate.polling.model_copy(update={"port": lab.ports[0]})
        estate = estate.model_copy(update={"polling": polling})
        daemon = Daemon(replace(configuration, estate=estate))
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(daemon.run(ready.set_result))
        done, _ = await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        assert running not in done, running.exception()
        yield await ready, lab
        daemon.stop()
        await running


async def until(url: str, path: str, fits) -> dict:
    """The answer of the API as soon as it fits; the test's own time limit ends the wait."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}{path}") as response:
                state = await response.json()
            if fits(state):
                return state
            await asyncio.sleep(0.05)


async def test_a_link_that_fails_is_an_incident_by_a_poll_at_once_in_the_middle_of_a_storm(
    watched, caplog: pytest.LogCaptureFixture
) -> None:
    """R47, R48, R49: the state comes from asking for that interface at once, long before the next regular poll."""
    caplog.set_level(logging.INFO, "poller.looking")
    url, lab = watched
    await until(url, "api/v1/wall", lambda state: all(one["up"] for one in state["devices"]))
    lab.notify("sw-mgmt-1", 3_000)
    begun = time.monotonic()
    lab.set_interface("ho-sw-1", "Ethernet1/0", up=False)
    await until(url, "api/v1/wall", lambda state: any("ho-sw-1" in json.dumps(one) for one in state["incidents"]))
    assert time.monotonic() - begun < 30  # the regular poll is a minute apart
    assert "looked device=ho-sw-1 interface=Ethernet1/0 oper_status=2" in caplog.text
    told = await until(
        url, "api/v1/notifications", lambda state: state["funnel"]["committed"] == state["funnel"]["accepted"]
    )
    assert "sw-mgmt-1" in told["storm"]
    funnel = told["funnel"]
    assert funnel["received"] == funnel["accepted"] + sum(funnel["dropped"].values())
    assert 3_002 == funnel["received"] == 3_000 + 1 + 1  # the storm, the link, the canary
    result = await asyncio.to_thread(
        CliRunner().invoke, app,
        ["traps", "-c", str(share("config/examples/prefecture")), "--url", url, "--lang", "en"],
    )  # fmt: skip
    assert 0 == result.exit_code, result.output
    assert "ho-sw-1 minor linkDown" in result.output
    assert "Interface went down: Ethernet1/0" in result.output
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}notifications") as page:
            assert "notifications.js" in await page.text()
        async with session.get(f"{url}api/v1/notifications?since=x") as refused:
            assert 400 == refused.status


@pytest.fixture
async def page():
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        # A browser of another country: times are Japan's all the same.
        context = await browser.new_context(timezone_id="America/New_York", viewport={"width": 1920, "height": 1080})
        yield await context.new_page()
        await browser.close()


@without_browser
async def test_a_failover_and_what_was_told_of_it_are_on_the_wall(watched, page: Page) -> None:
    """Within seconds, 1.8 s where polls were a minute apart; and the page of notifications says what was told (R47)."""
    url, lab = watched
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    main, backup = page.locator('a[href="/circuit/int-1"]'), page.locator('a[href="/circuit/int-2"]')
    await expect(main).to_contain_text("●", timeout=60_000)
    assert "主" in (await main.inner_text()).split()
    begun = time.monotonic()
    lab.set_interface("int-rt-1", "TenGigabitEthernet0/0/0", up=False)
    await expect(main).to_contain_text("断", timeout=30_000)
    await expect(backup).to_contain_text("●", timeout=30_000)
    assert time.monotonic() - begun < 30
    await page.goto(f"{url}notifications")
    row = page.locator("#latest tr", has_text="TenGigabitEthernet0/0/0").first
    await expect(row).to_contain_text("インターフェースがダウンした")
    await expect(row).to_contain_text("▲")
    now = time.strftime("%Y年%-m月%-d日", time.gmtime(time.time() + 9 * 3600))
    assert re.match(rf"{now} \d\d:\d\d:\d\d", await row.locator("td").first.inner_text())
    await expect(page.locator("#funnel tbody td").first).to_have_text(re.compile("[1-9]"))
    await expect(page.locator("#sources")).to_contain_text("int-rt-1")
    await row.locator("a", has_text="int-rt-1").click()
    await expect(page.locator("h1")).to_have_text("インターネットルーター1号機")
    await expect(page.locator("#more")).to_contain_text("インターネット接続回線 主")
    assert [] == complaints
