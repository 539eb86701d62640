"""Take the picture of the wall that the README opens with, on a Friday morning: `python -m docs.picture [FILE]`.

The example prefecture is simulated and watched on a clock of its own, with twenty days of the past; the main internet
line fails and one tenant runs over its cap. Needs Debian's chromium and the ports of the example's services.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from playwright.async_api import async_playwright

from poller.cli_lab import AUTHORITY
from poller.config import load
from poller.daemon import Daemon
from poller.free_ports import free_port
from poller.lab.history import Wish, invent
from poller.lab.server import Lab, LabOptions, simulated
from poller.lab.service_ports import free_shift, shifted
from poller.share import share
from poller.storage.parquet import ParquetStore

PICTURE: Final = Path(__file__).resolve().parent / "images" / "wall.png"
BEGIN_NS: Final = int(datetime(2026, 11, 20, 1, 28, tzinfo=UTC).timestamp()) * 10**9
SETTLED_SECONDS, TROUBLE_SECONDS = 80, 190
"""Until all traffic is there, and until slots with the trouble are closed."""


async def main() -> None:
    """Watch, make trouble, and take the picture."""
    started_ns = time.time_ns()

    def clock() -> int:
        return BEGIN_NS + time.time_ns() - started_ns

    with tempfile.TemporaryDirectory() as folder:
        found = load(shutil.copytree(share("config/examples/prefecture"), Path(folder) / "config"))
        estate = shifted(found.estate, free_shift(found.estate))
        here = {
            "wall": estate.wall.model_copy(update={"port": 0}),
            "polling": estate.polling.model_copy(update={"port": free_port(), "interval": 20.0}),
            "notifications": estate.notifications.model_copy(update={"port": free_port()}),
        }
        configuration = replace(found, estate=estate.model_copy(update=here))
        estate, state = configuration.estate, configuration.state_directory
        await asyncio.to_thread(invent, simulated(estate), ParquetStore(state / "store"), Wish(20, BEGIN_NS, 1))
        async with Lab(estate, found.directory, LabOptions(port=estate.polling.port, services=True), clock) as lab:
            assert lab.services is not None
            (state / AUTHORITY).write_bytes(lab.services.certificate)
            daemon = Daemon(configuration, clock_ns=clock)
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            running = asyncio.create_task(daemon.run(ready.set_result))
            url = await ready
            await asyncio.sleep(SETTLED_SECONDS)
            lab.fail_circuit("int-1")
            lab.multiply_tenant("tsu", 3.0)
            await asyncio.sleep(TROUBLE_SECONDS)
            await take(url, clock() // 10**6, Path(sys.argv[1]) if sys.argv[1:] else PICTURE)
            daemon.stop()
            await running


async def take(url: str, now_ms: int, path: Path) -> None:
    """A picture of the page as a wall of 1920 x 1080 shows it, with the clock of the watch."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1920, "height": 1080})
        await page.clock.install(time=now_ms)
        await page.goto(url)
        await page.wait_for_timeout(5_000)
        await page.screenshot(path=path)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
