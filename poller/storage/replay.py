"""The past again: out of the embedded store into files, into another store, or into roll-ups made anew.

All work goes day by day, so memory stays flat, and tells its progress after each day.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, TypeAlias

import polars as pl

from poller.devicerates import CACHED, GAP
from poller.rollups import DEADLINE_NS, WINDOW_NS, Rollups
from poller.sample import Quality
from poller.schema import ROLLED_UP, SCHEMA, Measurement
from poller.storage.delivery import Store
from poller.storage.encoding import Block, block_samples, encode
from poller.storage.errors import HistoryError
from poller.storage.history import ParquetRows, Where, wanted_tags
from poller.storage.layout import DAY_NS, KEY, columns_of
from poller.storage.lines import LineEncoder
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record
from poller.storage.tables import frame_blocks, frames_of

Format: TypeAlias = Literal["csv", "lines", "parquet"]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with days done and days in all."""

REMADE: Final = "remade"
"""The source under which roll-ups made anew are written; they stand over those of the journal."""
_RECORD_ROWS: Final = 5_000
_LOOK_BACK_NS: Final = 3600 * 10**9
"""For the reading before a period."""
_SPAN32: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Period:
    """start_ns <= time_ns < end_ns of one measurement, of the tags that are wanted."""

    measurement: str
    start_ns: int
    end_ns: int
    where: Where | None = None

    @property
    def entry(self) -> Measurement:
        """The schema's entry; HistoryError where there is none."""
        if self.measurement not in SCHEMA:
            raise HistoryError(f"there is no measurement {self.measurement}: there are {', '.join(SCHEMA)}")
        return SCHEMA[self.measurement]


def export(directory: Path, period: Period, form: Format, out: IO[bytes], progress: Progress | None = None) -> int:
    """Write the rows to a binary file; how many.

    csv: a head, time in ISO 8601 (UTC) and time_ns, tags, fields. lines: InfluxDB's line protocol. parquet: one file,
    collected in memory before it is written.
    """
    rows = 0
    encoder = LineEncoder()
    kept: list[pl.DataFrame] = []
    for frame in _days(directory, period, progress):
        if form == "csv":
            time = pl.from_epoch(KEY, time_unit="ns").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").alias("time")
            frame.select(time, pl.all()).write_csv(out, include_header=rows == 0)
        elif form == "lines":
            for block in frame_blocks(frame, period.entry):
                out.write("".join(f"{line}\n" for line in encoder.lines(block)).encode())
        else:
            kept.append(frame)
        rows += frame.height
    if form == "parquet":
        empty = pl.DataFrame(schema=columns_of(period.entry))
        pl.concat([empty, *kept]).write_parquet(out)
    elif form == "csv" and rows == 0:
        out.write(",".join(["time", *columns_of(period.entry)]).encode() + b"\n")
    return rows


async def replay(directory: Path, period: Period, store: Store, progress: Progress | None = None) -> int:
    """Give the rows to another store (InfluxDB, MQTT) as if they came from the journal; how many.

    Their timestamps are those of the first time, so a point that is there already stays one point. Raises what the
    store raises: begin again, nothing is doubled.
    """
    rows = 0
    for frame in _days(directory, period, progress):
        for start in range(0, frame.height, _RECORD_ROWS):
            blocks = tuple(frame_blocks(frame[start : start + _RECORD_ROWS], period.entry))
            await store.write([_record(blocks, rows + start)])
        rows += frame.height
    return rows


def remake_rollups(
    directory: Path, period: Period, interval_seconds: float = 60.0, progress: Progress | None = None
) -> int:
    """Make the roll-ups of a raw measurement anew for the windows that lie wholly in the period; how many points.

    The same arithmetic as in the daemon (poller.rollups); interval_seconds is the time that one raw sample stands for.
    """
    if period.measurement not in ROLLED_UP:
        raise HistoryError(f"{period.measurement} has no roll-up: {', '.join(ROLLED_UP)} have")
    start_ns = -(-period.start_ns // WINDOW_NS) * WINDOW_NS
    whole = Period(period.measurement, start_ns, period.end_ns // WINDOW_NS * WINDOW_NS, period.where)
    store, points = ParquetStore(directory), 0
    last = _last_readings(directory, whole) if period.measurement == "interface" else pl.DataFrame()
    for frame in _days(directory, whole, progress):
        if period.measurement == "interface":
            made = _interface_windows(frame, last, interval_seconds)
            last = frame.group_by(period.entry.tags).last()
        else:
            made = _windows(frame, period.entry, int(interval_seconds * 10**9))
        if not made.is_empty():
            points += store.write_frame(f"{period.measurement}_5m", made, REMADE)
    return points


def _days(directory: Path, period: Period, progress: Progress | None) -> Iterator[pl.DataFrame]:
    """The rows of each UTC day by time, all columns; days without rows are passed over."""
    entry, rows = period.entry, ParquetRows(directory)
    where = wanted_tags(entry, period.where or {})
    edges = range(period.start_ns // DAY_NS * DAY_NS, period.end_ns, DAY_NS)
    for done, edge in enumerate(edges, 1):
        start_ns, end_ns = max(edge, period.start_ns), min(edge + DAY_NS, period.end_ns)
        frame = rows.rows(entry, list(columns_of(entry)), where, start_ns, end_ns)
        if not frame.is_empty():
            yield frame.sort([KEY, *entry.tags])
        if progress is not None:
            progress(done, len(edges))


def _record(blocks: Sequence[Block], number: int) -> Record:
    samples = list(itertools.chain.from_iterable(map(block_samples, blocks)))
    return Record(number, tuple(blocks), len(samples), 0, encode(samples))


def _windows(frame: pl.DataFrame, entry: Measurement, interval_ns: int) -> pl.DataFrame:
    """A day's roll-ups by the daemon's own way; the day is fed in order and closed as a whole."""
    rollups = Rollups()
    made = []
    windows = frame.with_columns((pl.col(KEY) // WINDOW_NS).alias("window"))
    for part in windows.partition_by("window", maintain_order=True):
        for block in frame_blocks(part.drop("window"), entry):
            for sample in block_samples(block):
                rollups.add(sample, interval_ns)
        end_ns = (part[KEY][0] // WINDOW_NS + 1) * WINDOW_NS
        made += rollups.close(end_ns + DEADLINE_NS)
    return frames_of(made).get(f"{entry.name}_5m", pl.DataFrame())


def _last_readings(directory: Path, period: Period) -> pl.DataFrame:
    """The last rows before a period, which its first octets are counted from."""
    before = Period(period.measurement, period.start_ns - _LOOK_BACK_NS, period.start_ns, period.where)
    frames = list(_days(directory, before, None))
    return pl.concat(frames).group_by(period.entry.tags).last() if frames else pl.DataFrame()


def _with_octets(frame: pl.DataFrame, last: pl.DataFrame) -> pl.DataFrame:
    """Rows with what each reading counted since the one before it, as the raw counters and the reasons tell."""
    tags = list(SCHEMA["interface"].tags)
    known = pl.concat([last.select(frame.columns), frame]) if not last.is_empty() else frame
    counted = pl.col("reason").fill_null("").is_in(["", GAP, CACHED]) & pl.col("quality").is_not_null()
    columns = []
    for way in ("in", "out"):
        total = pl.col(f"{way}_octets_total")
        before = total.forward_fill().shift(1).over(tags)
        grown = pl.when(total >= before).then(total - before).when(before < _SPAN32).then(total + _SPAN32 - before)
        columns.append(pl.when(counted).then(grown).alias(f"{way}_octets"))
    first_ns = frame[KEY].min()
    return known.sort(KEY).with_columns(columns).filter(pl.col(KEY) >= first_ns)


def _interface_windows(frame: pl.DataFrame, last: pl.DataFrame, interval_seconds: float) -> pl.DataFrame:
    """A day's roll-ups of interfaces in columns: mean and max of every rate, the highest status, octets, coverage.

    last: the last row of each interface before the day.
    """
    entry, kept = SCHEMA["interface"], {field.name for field in SCHEMA["interface_5m"].fields}
    ways = []
    for field in entry.fields:
        for way, value in (("mean", pl.col(field.name).mean()), ("max", pl.col(field.name).max())):
            if f"{field.name}_{way}" in kept:
                ways.append(value.alias(f"{field.name}_{way}"))
    observed = (pl.col("quality").fill_null(Quality.OBSERVED.value) == Quality.OBSERVED.value).sum()
    coverage = (observed * interval_seconds / (WINDOW_NS // 10**9)).clip(0.0, 1.0).alias("coverage_ratio")
    octets = (pl.col("in_octets"), pl.col("out_octets"))
    ways += [pl.when(each.count() > 0).then(each.sum()) for each in octets]
    windows = _with_octets(frame, last).with_columns(pl.col(KEY) // WINDOW_NS * WINDOW_NS)
    return windows.group_by([KEY, *entry.tags]).agg(*ways, coverage)
