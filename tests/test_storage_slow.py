"""A database that takes 30 seconds for every answer: it gets each batch once, and nobody else waits for it."""

import asyncio
import selectors
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from poller.sample import Sample
from poller.storage.delivery import DeliverySettings, DeliveryState, run_reader
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal, JournalLimits
from poller.storage.reader import Record

SPEED = 20
"""How many seconds of the loop's clock a second lasts: time limits shrink with the waits, their order stays."""
ANSWER_SECONDS = 30.0


class _QuickSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[Any]:
        return super().select(timeout and timeout / SPEED)


class _QuickLoop(asyncio.SelectorEventLoop):
    """A loop on a clock that runs fast."""

    def __init__(self) -> None:
        super().__init__(_QuickSelector())

    def time(self) -> float:
        return super().time() * SPEED


class _Collecting:
    """A store that takes everything at once and says when."""

    delivery = DeliverySettings(max_seconds=0.1)

    def __init__(self) -> None:
        self.taken: list[tuple[float, int]] = []

    async def write(self, records: Sequence[Record]) -> None:
        now = asyncio.get_running_loop().time()
        self.taken += [(now, sample.time_ns) for record in records for sample in record.samples()]


def _samples(first: int, count: int) -> list[Sample]:
    return [Sample("device", (("device", "fw-1"),), {"sessions": n}, n) for n in range(first, first + count)]


async def _deliver(folder: Path) -> tuple[list[list[str]], DeliveryState, list[tuple[float, int]], list[float]]:
    """Two batches through a slow server, and beside it a quick store."""
    loop = asyncio.get_running_loop()
    requests: list[list[str]] = []
    answered: list[float] = []

    async def answer_late(request: web.Request) -> web.Response:
        requests.append((await request.read()).decode().split("\n"))
        await asyncio.sleep(ANSWER_SECONDS)
        answered.append(loop.time())
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/write", answer_late)
    server = TestServer(application)
    await server.start_server()
    quick, state = _Collecting(), DeliveryState()
    sink = open_influx(InfluxSettings(str(server.make_url("")).rstrip("/"), kind="1"), folder / "dead_letters")
    async with Journal(folder / "journal.sqlite", ["influx", "quick"], JournalLimits(commit_seconds=0.01)) as journal:
        tasks = [
            asyncio.create_task(run_reader(journal.reader("influx"), sink, DeliverySettings(max_seconds=0.1), state)),
            asyncio.create_task(run_reader(journal.reader("quick"), quick)),
        ]
        for batch in range(2):
            journal.append(_samples(5 * batch, 5))
            await journal.flush()
            while len(requests) <= batch:  # noqa: ASYNC110 - a plain list on purpose
                await asyncio.sleep(0.1)
        while state.done_total < 10:  # noqa: ASYNC110 - plain numbers on purpose
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
    await sink.close()
    await server.close()
    return requests, state, quick.taken, answered


def test_an_answer_after_30_seconds_is_an_answer_and_delays_nobody_else(tmp_path: Path) -> None:
    """Nothing is sent twice because its answer is late, and the other stores keep their own pace (R69)."""
    with asyncio.Runner(loop_factory=_QuickLoop) as runner:
        requests, state, quick, answered = runner.run(_deliver(tmp_path))
    lines = [f"device,device=fw-1 sessions={n}i {n}" for n in range(10)]
    assert [lines[:5], lines[5:]] == requests
    assert (0, 10, None) == (state.failed_total, state.done_total, state.last_error)
    assert list(range(10)) == [number for _, number in quick]
    assert all(moment < answered[0] for moment, number in quick if number < 5)
    assert answered[1] - answered[0] >= ANSWER_SECONDS
