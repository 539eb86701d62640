"""How long a loop does not turn because of storage, told apart from a machine that has no processor free for it.

One turn is a sleep of a millisecond and whatever comes between. Of its length three things are known: the whole, the
time the loop's thread was ready and waited for a processor (the kernel's account, the second figure of
/proc/thread-self/schedstat), and how long all threads of this process computed during the turn. What we did to the loop
ourselves is at most the whole less that wait, and at most what we computed: a thread that holds the interpreter while
the loop wants it computes, unless the machine takes its processor away, and that is the machine's doing.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from poller.sample import Sample
from poller.storage.dead_letters import DeadLetters
from poller.storage.delivery import Store, run_reader
from poller.storage.influx import Answer, InfluxSink
from poller.storage.journal import Journal, JournalLimits
from poller.storage.lines import LineEncoder
from poller.storage.parquet import ParquetStore

_TURN_SECONDS = 0.001
_LIMITS = JournalLimits(keep_free_octets=0)


@dataclass
class Longest:
    """The longest turns in milliseconds: by the clock, of our own doing, and computed by the loop's own thread."""

    wall: float = 0.0
    ours: float = 0.0
    computed: float = 0.0

    def take(self, other: "Longest") -> None:
        """The longer of both."""
        self.wall = max(self.wall, other.wall)
        self.ours = max(self.ours, other.ours)
        self.computed = max(self.computed, other.computed)


class _Waits:
    """How long this thread has waited for a processor so far, in seconds; 0 where the kernel does not say."""

    def __enter__(self) -> Self:
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self._file = -1
        return self

    def __call__(self) -> float:
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9 if self._file >= 0 else 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            os.close(self._file)


class _Nowhere:
    """A server that takes everything at once: encoding and compressing are ours, the rest is not measured here."""

    async def post(self, body: bytes) -> Answer:
        del body
        return Answer(204, "", None)

    async def close(self) -> None:
        pass


def measure(polls: Sequence[Sequence[Sample]], seconds: float, rate: float | None) -> Longest:
    """The longest turns of a loop while polls stream in at so many samples a second, into journal, Parquet and lines.

    rate None: the same loop without any storage.
    """
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), polls, seconds, rate))


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes beside us that compute all the time."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


async def _measure(folder: Path, polls: Sequence[Sequence[Sample]], seconds: float, rate: float | None) -> Longest:
    if rate is None:
        return await _watched(asyncio.sleep(seconds))
    stores: dict[str, Store] = {
        "parquet": ParquetStore(folder / "parquet"),
        "lines": InfluxSink(_Nowhere(), DeadLetters(folder, "lines", time.time_ns), LineEncoder()),
    }
    async with Journal(folder / "journal.sqlite", list(stores), _LIMITS) as journal:
        tasks = [asyncio.create_task(run_reader(journal.reader(name), store)) for name, store in stores.items()]
        longest = await _watched(_stream(journal, polls, seconds, rate))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return longest


async def _stream(journal: Journal, polls: Sequence[Sequence[Sample]], seconds: float, rate: float) -> None:
    """The polls again and again, a device at a time, at the rate that was asked for."""
    begun = time.perf_counter()
    sent = 0
    while True:
        for samples in polls:
            journal.append(samples)
            sent += len(samples)
            await asyncio.sleep(begun + sent / rate - time.perf_counter())
            if time.perf_counter() - begun >= seconds:
                return


async def _watched(work: Awaitable[None]) -> Longest:
    """The longest turns of the loop until the work is done."""
    longest = Longest()
    ends = asyncio.ensure_future(work)
    with _Waits() as waited:
        while not ends.done():
            wall, process, computed, wait = time.perf_counter(), time.process_time(), time.thread_time(), waited()
            await asyncio.sleep(_TURN_SECONDS)
            turn = time.perf_counter() - wall - _TURN_SECONDS
            ours = min(turn - (waited() - wait), time.process_time() - process)
            longest.take(Longest(turn * 1e3, ours * 1e3, (time.thread_time() - computed) * 1e3))
    await ends
    return longest
