"""Room on the disk of the state directory, and how many days it lasts at the rate at which measurements come."""

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.storage.journal_file import connect

DAY_SECONDS: Final = 86_400
_NS: Final = 10**9
_RECENT_RECORDS: Final = 2_000
_SHORTEST_SPAN_SECONDS: Final = 60.0
"""Polls and slots come in minutes: what was written in less says nothing about a day."""


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """free_octets: for us. octets_per_day: None where too little was written to tell."""

    free_octets: int
    octets_per_day: float | None

    @property
    def days_left(self) -> float | None:
        """None where it cannot be told."""
        return self.free_octets / self.octets_per_day if self.octets_per_day else None


def disk_room(state: Path) -> DiskRoom:
    """Look at the disk on which the state directory is, or will be. Raises OSError. Blocking."""
    return DiskRoom(shutil.disk_usage(nearest_folder(state)).free, _octets_per_day(state))


def nearest_folder(path: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def _octets_per_day(state: Path) -> float | None:
    """By what the journal holds; where it is emptied as quickly as it fills, by the last whole day of the store."""
    return _journal_rate(state / "journal.sqlite") or _store_rate(state / "store")


def _journal_rate(path: Path) -> float | None:
    try:
        connection = connect(path, read_only=True)
        try:
            octets, first_ns, last_ns = connection.execute(
                "SELECT sum(size), min(written_ns), max(written_ns)"
                " FROM (SELECT size, written_ns FROM record ORDER BY number DESC LIMIT ?)",
                (_RECENT_RECORDS,),
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    if octets is None or last_ns - first_ns < _SHORTEST_SPAN_SECONDS * _NS:
        return None
    return float(octets * DAY_SECONDS * _NS / (last_ns - first_ns))


def _store_rate(store: Path) -> float | None:
    """Octets of the last day but one in which something was kept: the last one is not over."""
    folders = list(store.glob("*/day=*"))
    days = sorted({folder.name for folder in folders})
    if len(days) < 2:  # noqa: PLR2004 - the running day and one before
        return None
    whole = days[-2]
    files = (file for folder in folders if folder.name == whole for file in folder.glob("*.parquet"))
    return float(sum(file.stat().st_size for file in files)) or None
