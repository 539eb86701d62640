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

from poller.storage.journal_file import JournalFile, StoredRecord, connect, is_damage
from poller.storage.pages import page_size, table_rows, wal_pages

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 100
"""Records in one transaction of the new file."""
_PARTS: Final = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came out of a damaged file: where it lies now, and the records and cursors that could be read."""

    aside: Path
    records: int
    acknowledged: dict[str, int]


def open_or_salvage(path: Path, readers: Collection[str], now_ns: int) -> tuple[JournalFile, Salvaged | None]:
    """The journal's file, a new one with what could be saved where it was damaged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _finish_salvage(path, now_ns)
    try:
        file = JournalFile(path, now_ns)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        _log.error("journal damaged path=%s error=%s", path, error)
        return salvage(path, readers, now_ns)
    return file, None


def salvage(path: Path, readers: Collection[str], now_ns: int) -> tuple[JournalFile, Salvaged]:
    """Write every record that is still whole into a new file, move the damaged one aside, and take the new one.

    In this order, so that a crash at any point leaves either the damaged file to begin again with, or the new one.
    """
    new = _new(path)
    _remove(new)
    acknowledged = _read_cursors(path, readers)
    file = JournalFile(new, now_ns)
    try:
        floor = min(acknowledged.values(), default=0)
        last = max(acknowledged.values(), default=0)
        count = 0
        wanted = (record for record in _read_records(path) if record.number > floor)
        while records := list(islice(wanted, _AT_ONCE)):
            count += file.restore(records, {}, max(record.number for record in records))
        file.restore([], acknowledged, last)
    finally:
        file.close()
    aside = move_aside(path, now_ns)
    new.rename(path)
    _log.warning("journal salvaged path=%s aside=%s records=%d", path, aside, count)
    return JournalFile(path, now_ns), Salvaged(aside, count, acknowledged)


def _finish_salvage(path: Path, now_ns: int) -> None:
    """End what a crash interrupted: without the journal the new file is whole, beside it the new file is not."""
    if not _new(path).exists():
        return
    if path.exists():
        _remove(_new(path))
    else:
        move_aside(path, now_ns)  # what belonged to the damaged file would be taken for the new one's
        _new(path).rename(path)


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.salvaged")


def _remove(path: Path) -> None:
    for suffix in _PARTS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def move_aside(path: Path, now_ns: int) -> Path:
    """The file's new name; its write-ahead log goes with it."""
    stamp = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in _PARTS:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _read_cursors(damaged: Path, readers: Collection[str]) -> dict[str, int]:
    """The readers' cursors; 0 (everything again) where they cannot be read: the stores know what they have."""
    try:
        connection = connect(damaged, read_only=True)
        try:
            found = dict(connection.execute("SELECT name, acknowledged FROM reader").fetchall())
        finally:
            connection.close()
    except sqlite3.Error:
        found = {}
    return {name: int(found.get(name, 0)) for name in readers}


def _read_records(damaged: Path) -> Iterator[StoredRecord]:
    """Every record whose body is what was written, in no order, some of them twice."""
    with _mapped(damaged) as file, _mapped(damaged.with_name(f"{damaged.name}-wal")) as wal:
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
