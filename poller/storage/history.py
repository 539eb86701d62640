"""History: the one way to read the past, whatever store it is in.

Reports and dashboards ask here; alerts and wall never do. Every answer carries its coverage, so that a figure can say
how much of its period was observed.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import polars as pl

from poller.schema import SCHEMA, Measurement
from poller.storage.aggregate import Aggregate, Step, columns_needed, into_steps, with_coverage
from poller.storage.errors import HistoryError
from poller.storage.layout import DAY_NS, KEY, columns_of, day_folder, day_of, files_in_force, merge_points

Where: TypeAlias = Mapping[str, str | Collection[str]]
"""Tag name to the value, or to all values, that are wanted."""

_TRIES: Final = 5


class Rows(Protocol):
    """What a store has to give: the kept rows of a measurement, nothing computed."""

    def rows(
        self, entry: Measurement, columns: Sequence[str], where: Mapping[str, Sequence[str]], start_ns: int, end_ns: int
    ) -> pl.DataFrame:
        """The columns (time_ns, tags, fields) of every point with start_ns <= time_ns < end_ns, one row a point."""


class History:
    """Reads one store; interval_seconds is how often raw rows are expected where they do not say it themselves."""

    def __init__(self, store: Rows, interval_seconds: float = 60.0) -> None:
        self._store = store
        self._interval_seconds = interval_seconds

    def read(  # noqa: PLR0913 - the one question has what, which, when and how; every part is named at the call
        self,
        measurement: str,
        fields: Sequence[str],
        where: Where | None = None,
        *,
        start_ns: int,
        end_ns: int,
        step_seconds: int | None = None,
        aggregate: Aggregate = "mean",
        origin_ns: int = 0,
    ) -> pl.DataFrame:
        """Columns time_ns, tags, the fields asked for, coverage_ratio; ordered by series, then time.

        start_ns <= time_ns < end_ns. Without step_seconds: the rows as kept. With it: one row a series and step, the
        step's beginning as time_ns, aligned to origin_ns (0: the epoch; for days in Japan -9 h); nothing is made up for
        a step without rows. aggregate: mean, max, min, sum, last or p95 (ceiling rank), null values left out.
        coverage_ratio: the part of the row or step that was observed. Raises HistoryError for what does not exist.
        """
        entry = SCHEMA.get(measurement)
        if entry is None:
            raise HistoryError(f"there is no measurement {measurement}: there are {', '.join(SCHEMA)}")
        columns = columns_needed(entry, fields)
        rows = self._store.rows(entry, columns, wanted_tags(entry, where or {}), start_ns, end_ns)
        covered = with_coverage(rows, entry, fields)
        if step_seconds is None:
            return covered
        if step_seconds <= 0:
            raise HistoryError(f"a step of {step_seconds} s is no step")
        return into_steps(covered, entry, Step(step_seconds, aggregate, origin_ns, self._interval_seconds))


class ParquetRows:
    """Rows of the embedded store; safe while a daemon writes to it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def rows(
        self, entry: Measurement, columns: Sequence[str], where: Mapping[str, Sequence[str]], start_ns: int, end_ns: int
    ) -> pl.DataFrame:
        """See Rows."""
        schema = columns_of(entry)
        for attempt in range(1, _TRIES + 1):
            files = self._files(entry, start_ns, end_ns)
            if not files:
                break
            wanted = (pl.col(KEY) >= start_ns) & (pl.col(KEY) < end_ns)
            for tag, values in where.items():
                wanted &= pl.col(tag).is_in(values)
            scan = pl.scan_parquet(
                files, schema=schema, missing_columns="insert", extra_columns="ignore", hive_partitioning=False
            )
            try:
                return merge_points(scan.filter(wanted).select(columns).collect(), entry.tags)
            except FileNotFoundError:
                # a compaction replaced files between listing and opening
                if attempt == _TRIES:
                    raise
        return pl.DataFrame(schema={name: schema[name] for name in columns})

    def _files(self, entry: Measurement, start_ns: int, end_ns: int) -> list[Path]:
        files: list[Path] = []
        for number in range(start_ns // DAY_NS, (end_ns - 1) // DAY_NS + 1):
            folder = self._directory / entry.name / day_folder(day_of(number * DAY_NS))
            try:
                names = [found.name for found in folder.iterdir()]
            except FileNotFoundError:
                continue
            files.extend(folder / name for name in files_in_force(names))
        return files


def open_history(directory: Path, interval_seconds: float = 60.0) -> History:
    """The history in an embedded store's directory; one that does not exist yet is an empty one."""
    return History(ParquetRows(directory), interval_seconds)


def wanted_tags(entry: Measurement, where: Where) -> dict[str, list[str]]:
    """Every tag with a list of its values; HistoryError for a tag that the measurement has not."""
    wanted: dict[str, list[str]] = {}
    for tag, values in where.items():
        if tag not in entry.tags:
            raise HistoryError(f"{entry.name} has no tag {tag}: it has {', '.join(entry.tags)}")
        wanted[tag] = [values] if isinstance(values, str) else sorted(values)
    return wanted
