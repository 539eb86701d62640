"""The journal's file: SQLite in write-ahead mode, blocking; one thread writes, others read.

One table of records (number, body) and one of readers (name, highest number acknowledged). Numbers rise and are never
used twice, not even after the file was lost: a new file starts at the milliseconds of its birth, which no older file
reaches at less than 1,000 records a second.
"""

import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.storage.errors import JournalTooNew

_APPLICATION_ID: Final = 0x48494E4A
_VERSION: Final = 1
_MILLISECOND_NS: Final = 10**6

_SCHEMA: Final = f"""
    CREATE TABLE IF NOT EXISTS record (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        written_ns INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        size INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS reader (name TEXT PRIMARY KEY, acknowledged INTEGER NOT NULL) WITHOUT ROWID;
    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {_VERSION};
"""

_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_damage(error: sqlite3.Error) -> bool:
    """True where the file itself is broken, as against a disk that is full or a lock that is held."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


@dataclass(frozen=True, slots=True)
class PackedRecord:
    """A record before it has a number: an encoded body, the samples in it, when it was packed (UTC, ns)."""

    body: bytes
    samples: int
    packed_ns: int


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it stands in the file; intact tells whether the body is what was written."""

    number: int
    body: bytes
    samples: int
    written_ns: int
    intact: bool


@dataclass(frozen=True, slots=True)
class FileState:
    """Records on disk: how many, their octets, the moment of the oldest (None: empty) and the highest number."""

    depth: int
    octets: int
    oldest_ns: int | None
    last_number: int


class JournalFile:
    """The writing side. Every method is one transaction: done and on the disk when it returns, or not at all.

    Raises sqlite3.Error; is_damage tells a broken file from a disk that will take it later.
    """

    def __init__(self, path: Path, born_ns: int) -> None:
        self.path = path
        self._connection = connect(path)
        try:
            self._prepare(born_ns)
            self._count()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, born_ns: int) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise JournalTooNew(f"{self.path} has format {version}, this program writes {_VERSION}: upgrade or move it")
        if version == 0:
            # auto_vacuum has to be chosen before the first table: what an outage of days filled is given back
            self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA wal_autocheckpoint = 2000")
        self._connection.execute("PRAGMA journal_size_limit = 16777216")
        if version == 0:
            self._connection.executescript(_SCHEMA)
            with self._transaction():
                if self._connection.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'record'").fetchone() is None:
                    self._connection.execute(
                        "INSERT INTO sqlite_sequence (name, seq) VALUES ('record', ?)", (born_ns // _MILLISECOND_NS,)
                    )

    def _count(self) -> None:
        depth, octets = self._connection.execute("SELECT count(*), total(size) FROM record").fetchone()
        self._depth, self._octets = int(depth), int(octets)
        found = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
        self._last_number = int(found[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in."""
        self._connection.close()

    def state(self) -> FileState:
        """What is on the disk."""
        oldest = self._connection.execute("SELECT written_ns FROM record ORDER BY number LIMIT 1").fetchone()
        return FileState(self._depth, self._octets, oldest and oldest[0], self._last_number)

    def set_readers(self, names: Collection[str]) -> dict[str, int]:
        """Exactly these readers from now on, with what each has acknowledged; a new one gets all that is still here."""
        with self._transaction():
            known = dict(self._connection.execute("SELECT name, acknowledged FROM reader").fetchall())
            for name in known.keys() - set(names):
                self._connection.execute("DELETE FROM reader WHERE name = ?", (name,))
            for name in names:
                self._connection.execute("INSERT OR IGNORE INTO reader VALUES (?, 0)", (name,))
        return {name: int(known.get(name, 0)) for name in names}

    def add(self, records: Sequence[PackedRecord], acknowledged: Mapping[str, int]) -> None:
        """Store the records and the readers' cursors, and remove what every reader has passed."""
        octets = sum(len(record.body) for record in records)
        with self._transaction():
            last = self._last_number
            for record in records:
                cursor = self._connection.execute(
                    "INSERT INTO record (written_ns, samples, size, checksum, body) VALUES (?, ?, ?, ?, ?)",
                    (record.packed_ns, record.samples, len(record.body), zlib.crc32(record.body), record.body),
                )
                last = cursor.lastrowid or last
            self._connection.executemany(
                "UPDATE reader SET acknowledged = ? WHERE name = ?",
                [(number, name) for name, number in acknowledged.items()],
            )
            removed, freed = self._remove_up_to(min(acknowledged.values())) if acknowledged else (0, 0)
        self._last_number = last
        self._depth += len(records) - removed
        self._octets += octets - freed
        if removed:
            self._connection.execute("PRAGMA incremental_vacuum(1000)").fetchall()

    def _remove_up_to(self, number: int) -> tuple[int, int]:
        found = self._connection.execute(
            "SELECT count(*), total(size) FROM record WHERE number <= ?", (number,)
        ).fetchone()
        if found[0]:
            self._connection.execute("DELETE FROM record WHERE number <= ?", (number,))
        return int(found[0]), int(found[1])

    def drop_oldest(self, max_octets: int, not_before_ns: int) -> int:
        """Remove the oldest records until the bound holds; how many samples were lost by it."""
        oldest = self._connection.execute("SELECT written_ns FROM record ORDER BY number LIMIT 1").fetchone()
        if oldest is None or (self._octets <= max_octets and oldest[0] >= not_before_ns):
            return 0
        excess, last = self._octets - max_octets, 0
        for number, size, written_ns in self._connection.execute(
            "SELECT number, size, written_ns FROM record ORDER BY number"
        ):
            if excess <= 0 and written_ns >= not_before_ns:
                break
            excess, last = excess - size, number
        with self._transaction():
            lost = self._connection.execute("SELECT total(samples) FROM record WHERE number <= ?", (last,)).fetchone()
            removed, freed = self._remove_up_to(last)
        self._depth -= removed
        self._octets -= freed
        return int(lost[0])

    def restore(self, records: Iterable[StoredRecord], acknowledged: Mapping[str, int], last_number: int) -> int:
        """Take over what was salvaged, numbers kept; how many records."""
        with self._transaction():
            count = 0
            for record in records:
                count += self._connection.execute(
                    "INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        record.number,
                        record.written_ns,
                        record.samples,
                        len(record.body),
                        zlib.crc32(record.body),
                        record.body,
                    ),
                ).rowcount
            for name, number in acknowledged.items():
                self._connection.execute("INSERT OR REPLACE INTO reader VALUES (?, ?)", (name, number))
            self._connection.execute(
                "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'record'", (last_number,)
            )
        self._count()
        return count


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that may be handed from thread to thread (never used by two at once)."""
    # mode=rw: a reader must not make an empty file where a salvage is about to put the new one
    where = f"{path.absolute().as_uri()}?mode={'rw' if read_only else 'rwc'}"
    connection = sqlite3.connect(where, timeout=10.0, isolation_level=None, check_same_thread=False, uri=True)
    connection.execute("PRAGMA cache_size = -256")  # KiB: records are written once and read once, in order
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def read_after(connection: sqlite3.Connection, number: int, max_records: int, max_octets: int) -> list[StoredRecord]:
    """The records that follow the number, in order: at most so many, and no further one beyond so many octets."""
    found: list[StoredRecord] = []
    octets = 0
    for row in connection.execute(
        "SELECT number, body, samples, written_ns, checksum FROM record WHERE number > ? ORDER BY number LIMIT ?",
        (number, max_records),
    ):
        found.append(StoredRecord(row[0], row[1], row[2], row[3], zlib.crc32(row[1]) == row[4]))
        octets += len(row[1])
        if octets >= max_octets:
            break
    return found
