"""A damaged journal is moved aside, never wiped, and everything that can still be read goes into a new one.

SQLite walks its tree from the root: one broken page hides all below it. So the second way reads the file page by page
without the tree (SQLite file format 2, sections 1.6 and 2.1): every leaf page of a table is recognised by itself.
"""

import logging
import sqlite3
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from poller.storage.journal_file import JournalFile, StoredRecord, connect

_log = logging.getLogger(__name__)


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
    count = 0
    last = max(acknowledged.values(), default=0)
    for record in _read_records(aside):
        if record.intact and record.number > floor:
            count += file.restore([record], {}, record.number)
            last = max(last, record.number)
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
    """Every record that SQLite can reach: upwards to the first damage, then downwards from the end to it."""
    connection = connect(aside, read_only=True)
    try:
        seen = 0
        for order in ("ASC", "DESC"):
            try:
                for row in connection.execute(
                    f"SELECT number, body, samples, written_ns, checksum FROM record ORDER BY number {order}"  # noqa: S608
                ):
                    if order == "DESC" and row[0] <= seen:
                        return
                    seen = max(seen, row[0]) if order == "ASC" else seen
                    yield StoredRecord(row[0], row[1], row[2], row[3], zlib.crc32(row[1]) == row[4])
            except sqlite3.DatabaseError as error:
                _log.warning("journal salvage order=%s stopped_after=%d error=%s", order, seen, error)
            else:
                return
    finally:
        connection.close()
