"""The wall: how soon a page is usable, how soon an update is on it, what fifty open walls cost, whether one grows.

python -m benchmarks.wall [--quick] [--json]: 1,000 devices of 48 interfaces polled once a minute, 33 tenants, served
by a process of its own and fed as the pipeline feeds it. The page runs in Debian's chromium; the fifty walls are
readers of the stream. CPU is what the serving process used with them, less what it used without. Growth: a page that
took 20,000 updates (--quick: 300) against the same page after its first 200. Eight screens: as many pages at once, how
soon an update is on them, and what one page costs the machine that shows it.
"""

import argparse
import asyncio
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, async_playwright

from poller.config import load
from poller.sample import Sample
from poller.wall.live import LiveState
from poller.wall.server import WallServer

_DEVICES, _TENANTS, _WALLS, _SCREENS = 1_000, 33, 50, 8
_MARK_SECONDS = 1.37
"""Slower than the pushes, and out of step with them, so that each mark is shown and its delay is anybody's."""
_WATCH = """() => {
  window.delays = [];
  new MutationObserver(() => {
    const mark = document.querySelector(".incident .title")?.textContent.match(/[0-9]{13}/)?.[0];
    if (!mark || mark === window.mark) return;
    window.mark = mark;
    requestAnimationFrame(() => window.delays.push(Date.now() - mark));
  }).observe(document.querySelector("#incident-list"), { childList: true });
}"""
_HOLD = """window.EventSource = class { constructor() { window.stream = this; } close() {} };"""
_REPLAY = """async ([first, change, count]) => {
  if (first) await window.stream.onmessage({ data: first });
  for (let number = 0; number < count; number += 1) {
    await window.stream.onmessage({ data: change });
    if (number % 100 === 0) await new Promise((resume) => setTimeout(resume));
  }
}"""


def estate(folder: Path) -> LiveState:
    """The live state of a network of the size named above."""
    lines = [
        'sites: {hall: {}}\ncredentials: {core: {version: "2c", community: "env:COMMUNITY"}}',
        "circuits: {int-1: {kind: internet, ceiling_rate: 4G, measured_by: {device: sw-1, interface: wan1}}}",
        "line_groups: {internet: {members: [int-1], ceiling_rate: 4G}}\ndevices:",
    ]
    lines.extend(
        f"  sw-{k}: {{addresses: [10.0.{k // 250}.{k % 250 + 1}], role: switch, site: hall, credentials: core}}"
        for k in range(1, _DEVICES + 1)
    )
    lines.append("tenants:")
    lines.extend(
        f"  tenant-{k}: {{attachments: [{{line: internet, device: sw-{k}, interface: vlan1}}]}}"
        for k in range(1, _TENANTS + 1)
    )
    (folder / "hinomi.yaml").write_text("organisation: {name: Benchmark}\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return LiveState(load(folder, ()).estate)


def device(number: int, time_ns: int) -> Sample:
    tags = (("device", f"sw-{number}"), ("role", "switch"), ("site", "hall"))
    fields = {"up": True, "quality": "observed", "cpu_ratio": 0.31, "memory_ratio": 0.4}
    return Sample("device", tags, fields, time_ns)


def minute(time_ns: int) -> list[Sample]:
    """What a closed slot brings."""
    rates = {"in_bits_per_second": 1.4e9, "out_bits_per_second": 3e8}
    return [
        Sample("line_group", (("line_group", "internet"),), rates, time_ns),
        *(
            Sample("tenant", (("tenant", f"tenant-{k}"), ("line", line)), {**rates, "in_cap_ratio": 0.5}, time_ns)
            for k in range(1, _TENANTS + 1)
            for line in ("internet", "total")
        ),
    ]


def mark(now_ns: int) -> dict[str, Any]:
    """An incident whose title is the moment it was told."""
    title = str(now_ns // 10**6)
    return {"id": "1", "severity": "minor", "title": {"ja": title, "en": title}, "since_ns": now_ns, "scope": "inside"}


async def serve() -> None:
    """Feed and serve until the standard input closes; the address is the first line of output."""
    with tempfile.TemporaryDirectory() as folder:
        live = estate(Path(folder))
    now_ns = time.time_ns()
    past = [(now_ns - k * 60 * 10**9, 1.4e9, 3e8) for k in range(359, 0, -1)]
    live.remember("internet", past)
    live.observe([device(k, now_ns) for k in range(1, _DEVICES + 1)])
    live.observe(minute(now_ns))
    async with WallServer(live, "127.0.0.1", 0) as wall:
        print(wall.url, flush=True)
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        number, told, slot = 0, 0.0, 0.0
        while not ended.done():
            await asyncio.sleep(60 / _DEVICES)
            now_ns, moment = time.time_ns(), time.monotonic()
            number = number % _DEVICES + 1
            live.observe([device(number, now_ns)])
            if moment - told >= _MARK_SECONDS:
                told = moment
                live.show_incidents([mark(now_ns)])
            if moment - slot >= 60:
                slot = moment
                live.observe(minute(now_ns))


@asynccontextmanager
async def served() -> AsyncIterator[tuple[str, int]]:
    """Address and process id of a server as above."""
    command = (sys.executable, "-m", "benchmarks.wall", "--serve")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.stdin.close()
        await process.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident_mb(pid: int) -> float:
    """What a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * 4096 / 1e6, 1)


async def page_seconds(browser: Browser, url: str, turns: int) -> list[float]:
    """From asking for the page to all tenants, devices and the chart drawn; a fresh profile each time."""
    found = []
    for _ in range(turns):
        context = await browser.new_context(viewport={"width": 1920, "height": 1080})
        page = await context.new_page()
        began = time.perf_counter()
        await page.goto(url, wait_until="commit")
        await page.locator(".tenant").nth(_TENANTS - 1).wait_for()
        await page.locator("#chart canvas").wait_for()
        found.append(time.perf_counter() - began)
        await context.close()
    return found


async def update_seconds(browser: Browser, url: str, seconds: float) -> list[float]:
    """From the moment something is known to the frame that shows it."""
    page = await browser.new_page(viewport={"width": 1920, "height": 1080})
    await page.goto(url)
    await page.wait_for_selector(".incident")
    await page.evaluate(_WATCH)
    await asyncio.sleep(seconds)
    delays = await page.evaluate("window.delays")
    await page.close()
    return [delay / 1000 for delay in delays]


async def screens(browser: Browser, url: str, seconds: float) -> tuple[list[float], float]:
    """Delays on eight pages at once, and the part of a core that one page keeps busy (scripts, layout, drawing)."""
    pages = [await browser.new_page(viewport={"width": 1920, "height": 1080}) for _ in range(_SCREENS)]
    tools = []
    for page in pages:
        await page.goto(url)
        await page.wait_for_selector(".incident")
        await page.evaluate(_WATCH)
        tools.append(await page.context.new_cdp_session(page))
        await tools[-1].send("Performance.enable")

    async def busy() -> float:
        told = [(await each.send("Performance.getMetrics"))["metrics"] for each in tools]
        return sum(metric["value"] for each in told for metric in each if metric["name"] == "TaskDuration")

    before, began = await busy(), time.perf_counter()
    await asyncio.sleep(seconds)
    ratio = (await busy() - before) / (time.perf_counter() - began) / _SCREENS
    delays = [delay / 1000 for page in pages for delay in await page.evaluate("window.delays")]
    for page in pages:
        await page.close()
    return delays, ratio


async def cpu_ratio(url: str, pid: int, seconds: float) -> tuple[float, float]:
    """Of one core, without a wall and with fifty; each wall reads all it is sent."""

    async def used() -> float:
        before, began = cpu_seconds(pid), time.perf_counter()
        await asyncio.sleep(seconds)
        return (cpu_seconds(pid) - before) / (time.perf_counter() - began)

    async def wall(session: aiohttp.ClientSession) -> None:
        async with session.get(url + "api/v1/stream") as answer:
            async for _ in answer.content.iter_any():
                pass

    alone = await used()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        walls = [asyncio.create_task(wall(session)) for _ in range(_WALLS)]
        await asyncio.sleep(2)
        together = await used()
        assert not any(each.done() for each in walls)
        for each in walls:
            each.cancel()
        await asyncio.gather(*walls, return_exceptions=True)
    return alone, together


async def growth(browser: Browser, url: str, updates: int) -> dict[str, float]:
    """Bytes of the page's heap and nodes of its document, after the first 200 updates and after them all."""
    page = await browser.new_page(viewport={"width": 1920, "height": 1080})
    await page.add_init_script(_HOLD)
    await page.goto(url)
    async with aiohttp.ClientSession() as session, session.get(url + "api/v1/wall") as answer:
        snapshot = await answer.json()
    change = {key: value for key, value in snapshot.items() if key not in {"organisation", "lang"}}
    change["devices"] = change["devices"][:17]
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable")

    async def size() -> dict[str, float]:
        await devtools.send("HeapProfiler.collectGarbage")
        found = {each["name"]: each["value"] for each in (await devtools.send("Performance.getMetrics"))["metrics"]}
        return {"heap": found["JSHeapUsedSize"], "nodes": found["Nodes"]}

    while not await page.evaluate("!!window.stream?.onmessage"):
        await page.wait_for_timeout(50)
    await page.evaluate(_REPLAY, [json.dumps(snapshot), json.dumps(change), 200])
    before = await size()
    await page.evaluate(_REPLAY, ["", json.dumps(change), updates])
    after = await size()
    await page.close()
    return {"heap_before": before["heap"], "heap_after": after["heap"], "nodes_grown": after["nodes"] - before["nodes"]}


def p99(values: list[float]) -> float:
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]


async def measure(*, quick: bool) -> dict[str, Any]:
    async with served() as (url, pid), async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        pages = await page_seconds(browser, url, 4 if quick else 20)
        delays = await update_seconds(browser, url, 8 if quick else 140)
        version = browser.version
        grown = await growth(browser, url, 300 if quick else 20_000)
        resident = resident_mb(pid)
        eight, page_cpu = await screens(browser, url, 5 if quick else 60)
        await browser.close()
        alone, together = await cpu_ratio(url, pid, 3 if quick else 60)
        resident_after = resident_mb(pid)
    return {
        "page_seconds": round(statistics.median(pages), 3),
        "page_seconds_worst": round(max(pages), 3),
        "update_seconds_p99": round(p99(delays), 3),
        "update_seconds_median": round(statistics.median(delays), 3),
        "updates": len(delays),
        "cpu_ratio_50_walls": round(together - alone, 4),
        "cpu_ratio_no_wall": round(alone, 4),
        "update_seconds_p99_8_screens": round(p99(eight), 3),
        "page_cpu_ratio_of_8": round(page_cpu, 4),
        "server_mb_before_walls": resident,
        "server_mb_after_walls": resident_after,
        **grown,
        "chromium": version,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="some 40 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--serve", action="store_true", help="be the server that is measured")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    found = asyncio.run(measure(quick=options.quick))
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
