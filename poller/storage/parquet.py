"""The embedded store: Parquet files by measurement and day (poller.storage.layout), no server, any tool can read them.

Exactly once: a file's name says which journal records it holds, so a record that comes again after a crash is known.
"""

import asyncio
import errno
import io
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final, TypeAlias

import polars as pl

from poller.schema import SCHEMA
from poller.storage.dead_letters import DeadLetters
from poller.storage.delivery import DeliverySettings
from poller.storage.encoding import Block, block_samples
from poller.storage.errors import StoreUnavailable
from poller.storage.layout import (
    DAY_NS,
    KEY,
    Range,
    columns_of,
    compaction_run,
    day_folder,
    day_of,
    frame_file_name,
    measurement_of,
    merge_points,
    parse_day,
    parse_range,
    split_superseded,
)
from poller.storage.reader import Record
from poller.storage.tables import blocks_frame, chosen_rows, with_all_columns

_log = logging.getLogger(__name__)
_MAINTENANCE_NS: Final = 3600 * 10**9
_LEAST_RUN: Final = 8
_MAX_FILE_OCTETS: Final = 2 * 2**20
"""Merging takes memory for a moment: 36 MB for a file of 2 MB, 420 MB for one of 40."""
_ROW_GROUP: Final = 65_536

_Place: TypeAlias = tuple[str, date]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long days are kept: raw measurements, and those for the contract's life (None: for ever).

    for_life: measurements beside every *_5m that are as small and as valuable.
    """

    raw_days: int = 90
    life_days: int | None = None
    for_life: frozenset[str] = frozenset({"alert", "incident", "notification", "service_level", "forecast"})

    def days(self, measurement: str) -> int | None:
        """The number of days for one measurement."""
        return self.life_days if measurement.endswith("_5m") or measurement in self.for_life else self.raw_days


@dataclass(slots=True)
class _Day:
    """What a day's folder holds of the journal: ranges in order with the octets of each file."""

    ranges: list[Range] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.ranges[-1].last if self.ranges else -1


class ParquetStore:
    """One writer of one directory; readers need no permission and no lock."""

    delivery = DeliverySettings(max_samples=5_000, max_seconds=10.0)
    """A file a measurement every ten seconds: what is read is at most that old, and compaction has little to do.

    The samples bound the memory: 1 KB each while they become a frame.
    """

    def __init__(
        self,
        directory: Path,
        retention: Retention = Retention(),
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.directory = directory
        self.dead_letters = DeadLetters(directory / "dead_letters", "parquet", now_ns)
        self._retention = retention
        self._now_ns = now_ns
        self._days: dict[_Place, _Day] = {}
        self._maintained_ns = 0

    async def write(self, records: Sequence[Record]) -> None:
        """Durable when it returns; records that are already here are passed over. StoreUnavailable: try again."""
        writing = asyncio.create_task(asyncio.to_thread(self.write_now, records))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # the thread cannot be stopped: its end has to be seen, or the next store would meet it at work
            await asyncio.wait([writing])
            if writing.exception() is not None:
                _log.warning("parquet write failed at the end error=%s", writing.exception())
            raise

    def write_now(self, records: Sequence[Record]) -> None:
        """As write, blocking."""
        try:
            for (measurement, day), numbers, frame in self._new_rows(records):
                self._write_range(measurement, day, Range(min(numbers), max(numbers)), frame)
            if self._now_ns() - self._maintained_ns >= _MAINTENANCE_NS:
                self.maintain()
        except OSError as error:
            reason = "disk_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "failed"
            raise StoreUnavailable(reason, f"{self.directory}: {error}") from error

    def write_frame(self, measurement: str, frame: pl.DataFrame, source: str = "bulk") -> int:
        """Write many points at once in columns; the rows written.

        frame: time_ns, tags and fields by their names in poller.schema; a missing field is null everywhere. Each day
        gets one file named after the source: the same source again replaces its rows of that day, and other sources and
        the journal's rows stay. Where points coincide, a frame stands over the journal, fields that are null do not.
        Raises KeyError for unknown measurements or columns, polars errors for wrong types, OSError.
        """
        entry = measurement_of(measurement)
        columns = columns_of(entry)
        unknown = set(frame.columns) - columns.keys()
        if unknown or KEY not in frame.columns:
            raise KeyError(f"{measurement} has no column {', '.join(sorted(unknown))}" if unknown else "no time_ns")
        name = frame_file_name(source)
        whole = with_all_columns(frame, entry).cast(columns)  # type: ignore[arg-type] # names and types, as it wants
        for day, part in _frames_of_days(whole):
            rows = merge_points(part, entry.tags).sort([*entry.tags, KEY])
            self._put(self._folder(measurement, day) / name, rows)
        return frame.height

    def maintain(self) -> None:
        """Remove days beyond their retention and pack the days that are over; called by write once an hour."""
        self._maintained_ns = self._now_ns()
        today = day_of(self._maintained_ns)
        for measurement, day in self._all_days():
            keep = self._retention.days(measurement)
            if keep is not None and day < today - timedelta(days=keep):
                self._remove_day(measurement, day)
            elif day < today - timedelta(days=1):
                self._pack(measurement, day)

    def _new_rows(self, records: Sequence[Record]) -> Iterator[tuple[_Place, list[int], pl.DataFrame]]:
        """What is not here yet: one frame for a measurement and day, because frames cost more than their rows."""
        found: dict[_Place, tuple[list[int], list[Block]]] = defaultdict(lambda: ([], []))
        for record in records:
            for block in filter(self._is_known, record.blocks):
                for day, part in _split_days(block):
                    place = (block.measurement, day)
                    if record.number > self._day(*place).last:
                        numbers, blocks = found[place]
                        numbers.append(record.number)
                        blocks.append(part)
        for place, (numbers, blocks) in found.items():
            yield place, numbers, self._table(blocks)

    def _is_known(self, block: Block) -> bool:
        """Whether the schema has such rows; what it does not know goes to the dead letters."""
        entry = SCHEMA.get(block.measurement)
        if entry is None or not set(block.tag_names) <= set(entry.tags):
            self._bury(f"the schema has no {block.measurement} with {', '.join(block.tag_names)}", block)
            return False
        if unknown := set(block.field_names) - columns_of(entry).keys():
            self._bury(f"{block.measurement} has no field {', '.join(sorted(unknown))}", block)
        return True

    def _table(self, blocks: Sequence[Block]) -> pl.DataFrame:
        """The rows of a measurement's blocks with all its columns; values of a wrong type go to the dead letters."""
        entry = SCHEMA[blocks[0].measurement]
        frame, refused = blocks_frame(blocks, entry)
        for block, rows in refused:
            self._bury(f"a value of {entry.name} is not of its field's type", block, rows)
        return frame

    def _bury(self, reason: str, block: Block, rows: Collection[int] | None = None) -> None:
        """Keep the block's samples (None: all) as dead letters."""
        _log.warning("parquet dead letter measurement=%s reason=%s", block.measurement, reason)
        letters = [
            (sample.measurement, sample.tags, dict(sample.fields), sample.time_ns)
            for row, sample in enumerate(block_samples(block))
            if rows is None or row in rows
        ]
        self.dead_letters.add(reason, letters)

    def _write_range(self, measurement: str, day: date, numbers: Range, frame: pl.DataFrame) -> None:
        known = self._day(measurement, day)
        size = self._put(self._folder(measurement, day) / numbers.file_name, frame)
        known.ranges.append(numbers)
        known.sizes.append(size)
        if run := compaction_run(known.sizes, _LEAST_RUN, _MAX_FILE_OCTETS):
            self._merge(measurement, day, len(known.ranges) - run, len(known.ranges))

    def _pack(self, measurement: str, day: date) -> None:
        """Merge a day's files from the oldest on into as few as the bound on size allows."""
        known = self._day(measurement, day)
        start = 0
        while start < len(known.ranges):
            stop, total = start + 1, known.sizes[start]
            while stop < len(known.ranges) and total + known.sizes[stop] <= _MAX_FILE_OCTETS:
                total += known.sizes[stop]
                stop += 1
            if stop - start > 1:
                self._merge(measurement, day, start, stop)
            start += 1

    def _merge(self, measurement: str, day: date, start: int, stop: int) -> None:
        """Replace neighbouring files by one: the new one first, so that a crash leaves both and the name tells."""
        known, folder, entry = self._day(measurement, day), self._folder(measurement, day), SCHEMA[measurement]
        old = known.ranges[start:stop]
        whole = pl.concat(with_all_columns(pl.read_parquet(folder / r.file_name), entry) for r in old)
        rows = merge_points(whole, entry.tags).sort([*entry.tags, KEY])
        del whole
        merged = Range(old[0].first, old[-1].last)
        size = self._put(folder / merged.file_name, rows)
        known.ranges[start:stop] = [merged]
        known.sizes[start:stop] = [size]
        for superseded in old:
            (folder / superseded.file_name).unlink()

    def _put(self, path: Path, frame: pl.DataFrame) -> int:
        """Write a file so that it is there wholly or not at all, power loss included; its octets."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", compression_level=3, row_group_size=_ROW_GROUP)
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync_folder(path.parent.parent)
            _sync_folder(path.parent.parent.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(buffer.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        return buffer.tell()

    def _folder(self, measurement: str, day: date) -> Path:
        return self.directory / measurement / day_folder(day)

    def _day(self, measurement: str, day: date) -> _Day:
        """What the folder holds, read once; leftovers of a crash are removed."""
        found = self._days.get((measurement, day))
        if found is not None:
            return found
        folder = self._folder(measurement, day)
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        live, superseded = split_superseded(r for r in map(parse_range, names) if r is not None)
        for leftover in [r.file_name for r in superseded] + [n for n in names if n.startswith(".records-")]:
            (folder / leftover).unlink(missing_ok=True)
        found = _Day(live, [(folder / r.file_name).stat().st_size for r in live])
        self._days[(measurement, day)] = found
        return found

    def _all_days(self) -> list[_Place]:
        places: list[_Place] = []
        for measurement in sorted(SCHEMA):
            folder = self.directory / measurement
            days = [parse_day(entry.name) for entry in folder.iterdir()] if folder.is_dir() else []
            places.extend((measurement, day) for day in sorted(d for d in days if d is not None))
        return places

    def _remove_day(self, measurement: str, day: date) -> None:
        """Remove a day's files; the highest number stays known, a record that comes again is not stored again."""
        folder = self._folder(measurement, day)
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()
        _log.info("parquet day removed measurement=%s day=%s", measurement, day)


def _split_days(block: Block) -> Iterator[tuple[date, Block]]:
    """The rows of each UTC day; almost always all are of one."""
    days = [time_ns // DAY_NS for time_ns in block.times_ns]
    different = sorted(set(days))
    for number in different:
        part = block if len(different) == 1 else chosen_rows(block, [day == number for day in days])
        yield day_of(number * DAY_NS), part


def _frames_of_days(frame: pl.DataFrame) -> Iterator[tuple[date, pl.DataFrame]]:
    """The rows of each UTC day."""
    days = (frame[KEY] // DAY_NS).alias("day")
    for number in days.unique().sort():
        yield day_of(number * DAY_NS), frame.filter(days == number)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
