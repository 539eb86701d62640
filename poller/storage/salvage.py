"""A damaged journal is moved aside, never wiped, and everything that can still be read goes into a new one."""

import logging
import mmap
import sqlite3
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from poller.storage.journal_file import JournalFile, StoredRecord, connect
from poller.storage.pages import page_size, table_rows, wal_pages

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 100
"""Records in one transaction of the new file."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came out of a damaged file: where it lies now, and the records and cursors that could be read."""

    aside: Path
    records: int
    acknowledged: dict[str, int]


def open_or_salvage(path: Path, readers: Collection[str], now_ns: int) -> tuple[JournalFile, Salvaged | None]:
    """The journal's file, a new one with what could be saved where it was damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = JournalFile(path, now_ns)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        _log.error("journal damaged path=%s error=%s", path, error)
        return salvage(path, readers, now_ns)
    return file, None


def salvage(path: Path, readers: Collection[str], now_ns: int) -> tuple[JournalFile, Salvaged]:
    """Move the file aside (with its write-ahead log) and begin a new one with every record that is still whole."""
    stamp = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    acknowledged = _read_cursors(aside, readers)
    file = JournalFile(path, now_ns)
    floor = min(acknowledged.values(), default=0)
    last = max(acknowledged.values(), default=0)
    count = 0
    wanted = (record for record in _read_records(aside) if record.number > floor)
    while records := list(islice(wanted, _AT_ONCE)):
        count += file.restore(records, {}, max(record.number for record in records))
    file.restore([], acknowledged, last)
    _log.warning("journal salvaged path=%s aside=%s records=%d", path, aside, count)
    return file, Salvaged(aside, count, acknowledged)


def _read_cursors(aside: Path, readers: Collection[str]) -> dict[str, int]:
    """The readers' cursors; 0 (everything again) where they cannot be read: the stores know what they have."""
    try:
        connection = connect(aside, read_only=True)
        try:
            found = dict(connection.execute("SELECT name, acknowledged FROM reader").fetchall())
        finally:
            connection.close()
    except sqlite3.Error:
        found = {}
    return {name: int(found.get(name, 0)) for name in readers}


def _read_records(aside: Path) -> Iterator[StoredRecord]:
    """Every record whose body is what was written, in no order, some of them twice."""
    with _mapped(aside) as file, _mapped(aside.with_name(f"{aside.name}-wal")) as wal:
        size = page_size(file)
        for number, columns in table_rows(file, wal_pages(wal, size), size):
            match columns:
                case (None, int(written_ns), int(samples), int(), int(checksum), bytes(body)):
                    if zlib.crc32(body) == checksum:
                        yield StoredRecord(number, body, samples, written_ns, intact=True)
                case _:
                    continue


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """The file's bytes without reading them all; none where there is no such file."""
    if not path.exists() or path.stat().st_size == 0:
        yield memoryview(b"")
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        try:
            yield view
        finally:
            view.release()
