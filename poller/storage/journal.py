"""The journal: durable first. Samples go in on the loop, a thread of its own makes them durable about once a second.

    append -> inbox (memory) -> encoded records (memory) -> one transaction -> record on disk -> readers' cursors

What cannot be written (disk full) waits in memory as encoded records, is tried again every second, and only beyond
max_waiting_octets is the oldest dropped and counted. On disk the oldest is dropped beyond max_octets or
max_age_seconds.
The loop never waits for the disk: append touches memory only, and reading is done in threads.
"""

import asyncio
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from poller.sample import Sample
from poller.storage.dead_letters import DeadLetters
from poller.storage.encoding import encode, split_encodable
from poller.storage.errors import JournalInUse, JournalUnavailable
from poller.storage.journal_file import FileState, PackedRecord, is_damage
from poller.storage.reader import Reader
from poller.storage.salvage import open_or_salvage, salvage

_log = logging.getLogger(__name__)
_NS: Final = 10**9
_COMMIT_OCTETS: Final = 32 * 2**20
"""One transaction's most: after a full disk the backlog goes in steps, each soon durable."""


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """Bounds, all of them generous: reaching one is an alarm.

    max_octets, max_age_seconds: of records on disk. keep_free_octets: below this the disk counts as full, so that the
    outbox of alerts still has room. max_waiting_octets: of encoded records in memory. max_waiting_samples: not yet
    encoded. record_samples: the largest record; encoding one holds the interpreter for 2 to 3 ms.
    """

    max_octets: int = 16 * 2**30
    max_age_seconds: float = 14 * 86400.0
    keep_free_octets: int = 256 * 2**20
    max_waiting_octets: int = 64 * 2**20
    max_waiting_samples: int = 1_000_000
    record_samples: int = 2_000
    commit_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class JournalState:
    """How the journal is, for metrics, status and the alert on itself.

    depth, octets, oldest_ns: records on disk that a reader still needs. waiting_samples: in memory, not durable yet.
    drops_total: samples lost since the start (bounds reached, or values that cannot be encoded).
    last_error: why nothing can be made durable now; None while all is well. last_commit_ns: the latest success.
    lags: per reader, records not yet acknowledged.
    """

    depth: int
    octets: int
    oldest_ns: int | None
    waiting_samples: int
    drops_total: int
    last_error: str | None
    last_commit_ns: int
    lags: Mapping[str, int]


class Journal:
    """The durable queue between the daemon and its stores; see the module's first lines.

    path: the SQLite file, made where absent, moved aside and salvaged where damaged. readers: the names of all stores
    in force; a name that is gone no longer holds records back. Opening raises JournalInUse, JournalTooNew, or OSError
    and sqlite3.OperationalError where the place cannot be used at all.
    """

    def __init__(
        self,
        path: Path,
        readers: Collection[str],
        limits: JournalLimits = JournalLimits(),
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = path
        self.dead_letters = DeadLetters(path.parent / "dead_letters", "journal", now_ns)
        self.threads: Executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="journal-read")
        self.generation = 0
        self._limits = limits
        self._now_ns = now_ns
        self._lock_file = _locked(path)
        try:
            self._file, _ = open_or_salvage(path, readers, now_ns())
            self._acknowledged = self._file.set_readers(readers)
        except BaseException:
            self._lock_file.close()
            raise
        self._readers: dict[str, Reader] = {}
        self._wanted: tuple[str, ...] | None = None
        self._inbox: deque[tuple[Sample, ...]] = deque()
        self._inbox_samples = 0
        self._waiting: deque[PackedRecord] = deque()
        self._flushes: deque[asyncio.Future[None]] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._damaged = False
        self._cursors_moved = False
        self._drops_total = 0
        self._last_error: str | None = None
        self._last_commit_ns = now_ns()
        self._disk: FileState = self._file.state()
        self._thread = threading.Thread(target=self._write_until_closed, name="journal-write", daemon=True)
        self._thread.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def append(self, samples: Sequence[Sample]) -> None:
        """Take samples in; called on the loop, memory only. Durable about a second later, or when flush returns.

        The samples' fields must not be changed afterwards. Beyond max_waiting_samples the oldest are dropped.
        """
        if not samples:
            return
        with self._lock:
            self._inbox.append(tuple(samples))
            self._inbox_samples += len(samples)
            while self._inbox_samples > self._limits.max_waiting_samples:
                lost = len(self._inbox.popleft())
                self._inbox_samples -= lost
                self._drops_total += lost

    async def flush(self) -> None:
        """Everything appended so far is on the disk when this returns; JournalUnavailable where that cannot be.

        Calls at the same time share one commit. After an error the samples still wait and are tried again.
        """
        if self._closing:
            raise JournalUnavailable("the journal is closed")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append(future)
        self._wake.set()
        await future

    async def follow(self, readers: Collection[str], limits: JournalLimits) -> None:
        """Hold records for these readers and no others, within these limits; a new reader gets all that is still here.

        Close the task of a reader that is gone before. Returns when it is so, on the disk; JournalUnavailable else.
        """
        self._limits = limits
        if set(readers) == self._acknowledged.keys():
            return
        self._wanted = tuple(readers)
        await self.flush()

    def reader(self, name: str) -> Reader:
        """The one reader of that name; KeyError where the journal was not opened with it."""
        if name not in self._readers:
            self._readers[name] = Reader(self, name, self._acknowledged[name])
        return self._readers[name]

    @property
    def state(self) -> JournalState:
        """How the journal is, from memory: no disk is touched."""
        disk, last = self._disk, self._disk.last_number
        first = last - disk.depth
        lags = {name: last - max(number, first) for name, number in self._acknowledged.items()}
        waiting = self._inbox_samples + sum(record.samples for record in tuple(self._waiting))
        return JournalState(
            depth=disk.depth,
            octets=disk.octets,
            oldest_ns=disk.oldest_ns,
            waiting_samples=waiting,
            drops_total=self._drops_total,
            last_error=self._last_error,
            last_commit_ns=self._last_commit_ns,
            lags=lags,
        )

    async def close(self) -> None:
        """Make durable what waits, as far as the disk takes it, and stop; twice is once."""
        self._closing = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join)
        for reader in self._readers.values():
            reader.close()
        self.threads.shutdown(wait=False)
        self._lock_file.close()

    def acknowledge(self, name: str, number: int) -> None:
        """Move a reader's cursor (Reader.acknowledge is the way to call it); on disk with the next commit."""
        if number > self._acknowledged.get(name, number):
            self._acknowledged[name] = number
            self._cursors_moved = True

    def report_damage(self, generation: int) -> None:
        """A reader found the file broken: the writing thread moves it aside and salvages."""
        if generation == self.generation:
            self._damaged = True
            self._wake.set()

    # From here on: the writing thread.

    def _write_until_closed(self) -> None:
        while True:
            self._wake.wait(self._limits.commit_seconds)
            self._wake.clear()
            closing = self._closing
            flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
            error = self._write_once()
            for future in flushes:
                _settle(future, error)
            if closing and not self._flushes:
                break
        try:
            self._file.close()
        except sqlite3.Error as error:
            _log.warning("journal close path=%s error=%s", self.path, error)

    def _write_once(self) -> JournalUnavailable | None:
        """Encode and commit all there is; the error where the disk does not take it now."""
        text: str | None = None
        try:
            self._pack()
            if self._damaged:
                self._salvage()
            self._take_readers()
            self._commit()
        except sqlite3.Error as error:
            self._damaged = self._damaged or is_damage(error)
            if self._damaged:
                self._wake.set()
            text = f"{type(error).__name__}: {error}"
        except (OSError, JournalUnavailable) as error:
            text = str(error)
        except Exception as error:  # noqa: BLE001 - the thread must live: nothing else makes samples durable
            _log.exception("journal write failed")
            text = f"{type(error).__name__}: {error}"
        if text != self._last_error:
            _log.log(logging.WARNING if text else logging.INFO, "journal state error=%s", text)
        self._last_error = text
        return JournalUnavailable(text) if text else None

    def _take_readers(self) -> None:
        wanted = self._wanted
        if wanted is None:
            return
        kept = self._file.set_readers(wanted)
        self._acknowledged = {name: self._acknowledged.get(name, number) for name, number in kept.items()}
        self._wanted = None

    def _pack(self) -> None:
        with self._lock:
            batches = tuple(self._inbox)
            self._inbox.clear()
            self._inbox_samples = 0
        samples = [sample for batch in batches for sample in batch]
        for start in range(0, len(samples), self._limits.record_samples):
            part = samples[start : start + self._limits.record_samples]
            try:
                body = encode(part)
            except (TypeError, ValueError, OverflowError, AttributeError):
                part, bad = split_encodable(part)
                self._bury(bad)
                body = encode(part)
            if part:
                self._waiting.append(PackedRecord(body, len(part), self._now_ns()))
        self._shed()

    def _shed(self) -> None:
        """Hold the bound in memory: the oldest go, because the newest are what an outage is judged by."""
        octets = sum(len(record.body) for record in self._waiting)
        while octets > self._limits.max_waiting_octets:
            lost = self._waiting.popleft()
            octets -= len(lost.body)
            self._drops_total += lost.samples
            _log.warning("journal drop where=memory samples=%d", lost.samples)

    def _bury(self, bad: Sequence[tuple[Sample, str]]) -> None:
        self._drops_total += len(bad)
        for sample, reason in bad:
            try:
                self.dead_letters.add(reason, [(sample.measurement, sample.tags, dict(sample.fields), sample.time_ns)])
            except OSError as error:
                _log.warning("journal dead letter lost measurement=%s error=%s", sample.measurement, error)

    def _commit(self) -> None:
        while self._waiting or self._cursors_moved:
            full = self._disk_is_full() if self._waiting else None
            batch = () if full else self._next_batch()
            moved, self._cursors_moved = self._cursors_moved, False
            try:
                self._file.add(batch, dict(self._acknowledged))
            except BaseException:
                self._cursors_moved = moved
                raise
            for _ in batch:
                self._waiting.popleft()
            self._last_commit_ns = self._now_ns()
            self._disk = self._file.state()
            if batch:
                self._tell_readers()
            if full:
                raise JournalUnavailable(full)
        self._hold_bounds()

    def _next_batch(self) -> tuple[PackedRecord, ...]:
        batch: list[PackedRecord] = []
        octets = 0
        for record in self._waiting:
            batch.append(record)
            octets += len(record.body)
            if octets >= _COMMIT_OCTETS:
                break
        return tuple(batch)

    def _disk_is_full(self) -> str | None:
        numbers = os.statvfs(self.path.parent)
        free = numbers.f_bavail * numbers.f_frsize
        if free >= self._limits.keep_free_octets:
            return None
        return f"disk full: {free // 2**20} MiB free, {self._limits.keep_free_octets // 2**20} MiB are kept for alerts"

    def _hold_bounds(self) -> None:
        oldest_allowed = self._now_ns() - int(self._limits.max_age_seconds * _NS)
        if self._disk.octets > self._limits.max_octets or (self._disk.oldest_ns or oldest_allowed) < oldest_allowed:
            lost = self._file.drop_oldest(self._limits.max_octets, oldest_allowed)
            self._drops_total += lost
            self._disk = self._file.state()
            _log.warning("journal drop where=disk samples=%d", lost)

    def _salvage(self) -> None:
        try:
            self._file.close()
        except sqlite3.Error as error:
            _log.warning("journal close path=%s error=%s", self.path, error)
        self._file, _ = salvage(self.path, tuple(self._acknowledged), self._now_ns())
        self._cursors_moved = True
        self._damaged = False
        self.generation += 1
        self._disk = replace(self._file.state())
        self._tell_readers()

    def _tell_readers(self) -> None:
        for reader in tuple(self._readers.values()):
            reader.wake()


def _locked(path: Path) -> IO[bytes]:
    """The lock beside the file, held until it is closed or the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f"{path.name}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise JournalInUse(f"{path} is in use by another process") from None
    return file


def _settle(future: asyncio.Future[None], error: JournalUnavailable | None) -> None:
    """Answer a flush from the writing thread; a loop that is gone needs no answer."""

    def answer() -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    try:
        future.get_loop().call_soon_threadsafe(answer)
    except RuntimeError:
        _log.debug("flush unanswered: its loop is closed")
