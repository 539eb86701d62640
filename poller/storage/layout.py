"""The embedded store's folders, file names and columns. Pure.

    <directory>/<measurement>/day=<YYYY-MM-DD>/records-<first>-<last>.parquet     rows of those journal records
    <directory>/<measurement>/day=<YYYY-MM-DD>/frame-<source>.parquet             rows written in bulk under that name

The day is the UTC day of time_ns. Columns are those of poller.schema, always all of them: time_ns, then tags, then
fields; a field that is not known is null. A file appears at once and whole, and never changes afterwards.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

import polars as pl

from poller.schema import SCHEMA, Measurement

DAY_NS: Final = 86_400 * 10**9
KEY: Final = "time_ns"

_RECORDS: Final = re.compile(r"records-(\d{20})-(\d{20})\.parquet")
_FRAME: Final = re.compile(r"frame-([A-Za-z0-9_.-]+)\.parquet")
_SOURCE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

DTypes: TypeAlias = dict[str, pl.DataType]

_DTYPES: Final[dict[type, pl.DataType]] = {
    # Every whole number of the schema is a count, and octet counters need all 64 bits.
    int: pl.UInt64(),
    float: pl.Float64(),
    bool: pl.Boolean(),
    str: pl.String(),
}


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The journal records (first to last, both included) whose rows one file holds."""

    first: int
    last: int

    @property
    def file_name(self) -> str:
        """The file's name; names sort as the records do."""
        return f"records-{self.first:020d}-{self.last:020d}.parquet"

    def covers(self, other: "Range") -> bool:
        """True where all of the other is in here and they are not the same."""
        return self != other and self.first <= other.first and self.last >= other.last


def parse_range(file_name: str) -> Range | None:
    """The range in a file's name; None where it is another kind of file."""
    match = _RECORDS.fullmatch(file_name)
    return Range(int(match[1]), int(match[2])) if match else None


def is_frame(file_name: str) -> bool:
    """True for a file written in bulk."""
    return _FRAME.fullmatch(file_name) is not None


def frame_file_name(source: str) -> str:
    """The file's name for rows written in bulk; ValueError where the source is no plain word."""
    if not _SOURCE.fullmatch(source):
        raise ValueError(f"{source!r} cannot name a source: letters, digits, _ . - only")
    return f"frame-{source}.parquet"


def split_superseded(ranges: Iterable[Range]) -> tuple[list[Range], list[Range]]:
    """The ranges in force in order, and those that a compaction has replaced but not yet removed."""
    live: list[Range] = []
    superseded: list[Range] = []
    for candidate in sorted(ranges, key=lambda r: (r.first, -r.last)):
        if live and live[-1].covers(candidate):
            superseded.append(candidate)
        else:
            live.append(candidate)
    return live, superseded


def files_in_force(file_names: Iterable[str]) -> list[str]:
    """The files to read, in order: where two hold the same point, the later one is right; frames are later than all."""
    names = list(file_names)
    live, _ = split_superseded(r for r in map(parse_range, names) if r is not None)
    return [r.file_name for r in live] + sorted(name for name in names if is_frame(name))


def day_of(time_ns: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).date()


def day_folder(day: date) -> str:
    """The folder of a day."""
    return f"day={day.isoformat()}"


def parse_day(folder: str) -> date | None:
    """The day of a folder; None where it is no such folder."""
    if not folder.startswith("day="):
        return None
    try:
        return date.fromisoformat(folder.removeprefix("day="))
    except ValueError:
        return None


def columns_of(measurement: Measurement) -> DTypes:
    """Every column of the measurement's files in order, with its type."""
    return {
        KEY: pl.Int64(),
        **{tag: pl.String() for tag in measurement.tags},
        **{field.name: _DTYPES[field.kind] for field in measurement.fields},
    }


def measurement_of(name: str) -> Measurement:
    """The schema's entry; KeyError says which name is unknown."""
    try:
        return SCHEMA[name]
    except KeyError:
        raise KeyError(f"there is no measurement {name}") from None


def merge_points(frame: pl.DataFrame, tags: Sequence[str]) -> pl.DataFrame:
    """One row a point: where several rows have the same time and tags, the latest known value of each field stands."""
    keys = [KEY, *tags]
    doubled = frame.select(keys).is_duplicated()
    if not doubled.any():
        return frame
    merged = frame.filter(doubled).group_by(keys, maintain_order=True).agg(pl.all().drop_nulls().last())
    return pl.concat([frame.filter(~doubled), merged.select(frame.columns)])


def compaction_run(sizes: Sequence[int], least: int, max_octets: int) -> int:
    """How many of the newest files (sizes in order of age) to merge into one; 0 for none.

    A file joins while it is at most twice what is newer than it, so every octet is rewritten about log2 times a day.
    Fewer than the least are merged where they fill a file.
    """
    total = count = 0
    for size in reversed(sizes):
        if count > 1 and total + size > max_octets and total >= max_octets // 2:
            return count
        if count and (size > 2 * total or total + size > max_octets):
            break
        total += size
        count += 1
    return count if count >= least else 0
