"""The victim of the kill -9 test: fills a journal, delivers it to Parquet and InfluxDB, and says what was promised.

python storage_load.py DIRECTORY URL, then a line "FIRST" or "FIRST LAST" on standard input for every life: a process of
its own (forked, so that its start costs nothing) appends the samples FIRST, FIRST + 1 ... (one series, time = number)
and writes a line "<number>" when everything below is durable; with LAST it stops there, once all is delivered. Before
its first sample it writes "ready <process>"; when it has ended, however, "ended <status>" follows.
"""

import asyncio
import os
import sys
from pathlib import Path

from poller.sample import Sample
from poller.storage.delivery import DeliverySettings, run_reader
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal, JournalLimits

_BATCH = 50


def _sample(number: int) -> Sample:
    return Sample("service", (("service", "dns"), ("kind", "dns")), {"response_seconds": float(number)}, number)


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def _run(directory: Path, url: str, first: int, last: int | None) -> None:
    from poller.storage.parquet import ParquetStore  # noqa: PLC0415 - polars starts threads, which no fork survives

    limits = JournalLimits(commit_seconds=0.01, record_samples=20)
    settings = DeliverySettings(max_samples=200, max_seconds=0.01, first_retry_seconds=0.01)
    async with Journal(directory / "journal.sqlite", ["parquet", "influx"], limits) as journal:
        sink = open_influx(InfluxSettings(url, kind="1", batch=50), directory / "dead_letters")
        stores = {"parquet": ParquetStore(directory / "parquet", now_ns=lambda: 0), "influx": sink}
        tasks = [
            asyncio.create_task(run_reader(journal.reader(name), store, settings)) for name, store in stores.items()
        ]
        number = first
        _say(f"ready {os.getpid()}")
        while last is None or number < last:
            journal.append([_sample(n) for n in range(number, number + _BATCH)])
            number += _BATCH
            await journal.flush()
            _say(f"{number}")
        while any(journal.state.lags.values()):
            await journal.flush()
            await asyncio.sleep(0.005)
        for task in tasks:
            task.cancel()
        await sink.close()


def _live(directory: Path, url: str, bounds: list[int]) -> None:
    """One life in a process of its own."""
    child = os.fork()
    if child == 0:
        asyncio.run(_run(directory, url, bounds[0], bounds[1] if len(bounds) > 1 else None))
        os._exit(0)
    _say(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


if __name__ == "__main__":
    assert 1 == len(list(Path("/proc/self/task").iterdir())), "only a single thread may fork"
    for line in sys.stdin:
        _live(Path(sys.argv[1]), sys.argv[2], [int(word) for word in line.split()])
