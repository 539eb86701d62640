"""The victim of the kill -9 test: fills a journal, delivers it to Parquet, and says what was promised as durable.

python storage_load.py DIRECTORY FIRST LAST: appends the samples FIRST, FIRST + 1 ... (one series, time = number) and
writes a line "<number>" when everything below is durable; with LAST it stops there, once all is delivered.
"""

import asyncio
import os
import sys
from pathlib import Path

from poller.sample import Sample
from poller.storage.delivery import DeliverySettings, run_reader
from poller.storage.journal import Journal, JournalLimits
from poller.storage.parquet import ParquetStore

_BATCH = 50


def _sample(number: int) -> Sample:
    return Sample("service", (("service", "dns"), ("kind", "dns")), {"response_seconds": float(number)}, number)


async def _run(directory: Path, first: int, last: int | None) -> None:
    limits = JournalLimits(commit_seconds=0.01, record_samples=20)
    async with Journal(directory / "journal.sqlite", ["parquet"], limits) as journal:
        store = ParquetStore(directory / "parquet", now_ns=lambda: 0)
        settings = DeliverySettings(max_samples=200, max_seconds=0.01, first_retry_seconds=0.01)
        delivery = asyncio.create_task(run_reader(journal.reader("parquet"), store, settings))
        number = first
        os.write(1, b"ready\n")
        while last is None or number < last:
            journal.append([_sample(n) for n in range(number, number + _BATCH)])
            number += _BATCH
            await journal.flush()
            os.write(1, f"{number}\n".encode())
        while journal.state.lags["parquet"]:
            await journal.flush()
            await asyncio.sleep(0.005)
        delivery.cancel()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
