"""A reader of the journal: one contiguous cursor, in order, each record until it is acknowledged."""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from poller.sample import Sample
from poller.storage.dead_letters import DeadLetters
from poller.storage.encoding import Block, block_samples, decode
from poller.storage.errors import UnreadableRecord
from poller.storage.journal_file import StoredRecord, connect, is_damage, read_after

_log = logging.getLogger(__name__)
_READ_RECORDS: Final = 8
_READ_OCTETS: Final = 2 * 2**20
_RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its number, its samples as tables, how many, and the body as it lies on disk."""

    number: int
    blocks: tuple[Block, ...]
    sample_count: int
    written_ns: int
    body: bytes = field(repr=False)

    def samples(self) -> Iterator[Sample]:
        """The samples one by one; tables are faster."""
        for block in self.blocks:
            yield from block_samples(block)


class Source(Protocol):
    """What a reader needs of its journal."""

    path: Path
    threads: Executor
    generation: int
    dead_letters: DeadLetters

    def acknowledge(self, name: str, number: int) -> None:
        """Move the cursor of that reader."""

    def report_damage(self, generation: int) -> None:
        """The file of that generation is broken."""


class Reader:
    """One store's way through the journal; made by Journal.reader, used by one task."""

    def __init__(self, source: Source, name: str, acknowledged: int) -> None:
        self.name = name
        self._source = source
        self._position = acknowledged
        self._acknowledged = acknowledged
        self._ahead: deque[Record] = deque()
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: sqlite3.Connection | None = None
        self._generation = -1

    async def next(self) -> Record:
        """The record after the last one returned; waits until there is one.

        A record that cannot be decoded goes to the dead letters and is passed over.
        """
        self._loop = asyncio.get_running_loop()
        while not self._ahead:
            self._arrived.clear()
            self._ahead.extend(await self._loop.run_in_executor(self._source.threads, self._read))
            if not self._ahead:
                await self._arrived.wait()
        record = self._ahead.popleft()
        self._position = record.number
        return record

    def acknowledge(self, number: int) -> None:
        """Everything up to this number is durable elsewhere; it is not read again after a restart."""
        self._acknowledged = max(self._acknowledged, number)
        self._source.acknowledge(self.name, number)

    def rewind(self) -> None:
        """Go back to the first record that is not acknowledged."""
        self._ahead.clear()
        self._position = self._acknowledged

    def wake(self) -> None:
        """There is something new; called by the journal's writing thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # In a thread.

    def _read(self) -> list[Record]:
        generation = self._source.generation
        try:
            if self._connection is None or generation != self._generation:
                self.close()
                self._connection = connect(self._source.path, read_only=True)
                self._generation = generation
            found = read_after(self._connection, self._position, _READ_RECORDS, _READ_OCTETS)
        except sqlite3.Error as error:
            _log.warning("journal read failed reader=%s error=%s", self.name, error)
            self.close()
            if is_damage(error):
                self._source.report_damage(generation)
            elif self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.call_later, _RETRY_SECONDS, self._arrived.set)
            return []
        return [self._record(stored) for stored in found]

    def _record(self, stored: StoredRecord) -> Record:
        """The record decoded; an empty one, and a dead letter, where that cannot be done."""
        blocks: tuple[Block, ...] = ()
        if not stored.intact:
            self._bury(stored.number, stored.body, "the checksum does not match")
        else:
            try:
                blocks = tuple(decode(stored.body))
            except UnreadableRecord as error:
                self._bury(stored.number, stored.body, str(error))
        return Record(stored.number, blocks, stored.samples, stored.written_ns, stored.body)

    def _bury(self, number: int, body: bytes, reason: str) -> None:
        _log.warning("journal record unreadable number=%d reason=%s", number, reason)
        try:
            self._source.dead_letters.add(reason, [{"number": number, "body": body.hex()}])
        except OSError as error:
            _log.warning("journal dead letter lost number=%d error=%s", number, error)
