"""From the journal into one store: read, write, acknowledge; and the one place that tries again."""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from poller.storage.errors import StoreUnavailable
from poller.storage.reader import Reader, Record

_log = logging.getLogger(__name__)


class Store(Protocol):
    """What takes records: Parquet, InfluxDB, MQTT."""

    @property
    def delivery(self) -> "DeliverySettings":
        """How this store likes its batches; asked before each."""

    async def write(self, records: Sequence[Record]) -> None:
        """Durable in the store when it returns; the same records again change nothing. StoreUnavailable: later."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """A batch closes at max_samples or max_seconds after its first record, whichever is first.

    first_retry_seconds doubles up to longest_retry_seconds, with a quarter of chance in it; a store's own Retry-After
    wins.
    """

    max_samples: int = 5_000
    max_seconds: float = 1.0
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 60.0


@dataclass(slots=True)
class DeliveryState:
    """How one store's task does, for metrics: last_error is None while the store takes what it gets."""

    last_error: str | None = None
    done_total: int = 0
    failed_total: int = 0
    last_number: int = 0


class _Collector:
    """Gathers records into batches without losing the one it waits for when time is up."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._waiting: asyncio.Task[Record] | None = None

    async def batch(self, settings: DeliverySettings) -> list[Record]:
        """At least one record."""
        records = [await self._next()]
        samples = records[0].sample_count
        ends = asyncio.get_running_loop().time() + settings.max_seconds
        while samples < settings.max_samples:
            left = ends - asyncio.get_running_loop().time()
            task = self._task()
            if not task.done():
                await asyncio.wait([task], timeout=max(left, 0.0))
            if not task.done():
                break
            records.append(await self._next())
            samples += records[-1].sample_count
        return records

    def _task(self) -> asyncio.Task[Record]:
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._reader.next())
        return self._waiting

    async def _next(self) -> Record:
        record = await self._task()
        self._waiting = None
        return record

    def close(self) -> None:
        """Wait no longer."""
        if self._waiting is not None:
            self._waiting.cancel()


async def run_reader(
    reader: Reader, store: Store, settings: DeliverySettings | None = None, state: DeliveryState | None = None
) -> None:
    """One task per store, until it is cancelled: the same batch again and again until the store has it, in order.

    settings: where not those of the store. What was not acknowledged at the end comes again at the next start.
    """
    state = state or DeliveryState()
    collector = _Collector(reader)
    try:
        while True:
            wanted = settings or store.delivery
            records = await collector.batch(wanted)
            await _write_until_taken(reader.name, store, records, wanted, state)
            reader.acknowledge(records[-1].number)
            state.done_total += sum(record.sample_count for record in records)
            state.last_number = records[-1].number
            await asyncio.to_thread(_let_go, records)
    finally:
        collector.close()


def _let_go(records: list[Record]) -> None:
    """Free the records one by one in a thread: millions of values freed at once would hold up the loop."""
    while records:
        records.pop()


async def _write_until_taken(
    name: str, store: Store, records: Sequence[Record], settings: DeliverySettings, state: DeliveryState
) -> None:
    pause = settings.first_retry_seconds
    while True:
        wait: float | None = None
        try:
            await store.write(records)
        except StoreUnavailable as error:
            wait, text = error.retry_after_seconds, str(error)
        except Exception as error:  # noqa: BLE001 - a store's own fault must not end the task, and never skips a record
            _log.exception("store failed store=%s", name)
            text = f"{type(error).__name__}: {error}"
        else:
            if state.last_error is not None:
                _log.info("store takes again store=%s number=%d", name, records[-1].number)
            state.last_error = None
            return
        if text != state.last_error:
            _log.warning("store unavailable store=%s error=%s", name, text)
        state.last_error = text
        state.failed_total += 1
        await asyncio.sleep(wait if wait is not None else pause * random.uniform(0.75, 1.0))  # noqa: S311 - no secret
        pause = min(pause * 2, settings.longest_retry_seconds)
