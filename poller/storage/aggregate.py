"""From rows to steps: the one arithmetic behind every store's history, so that their answers are equal. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import polars as pl

from poller.sample import Quality
from poller.schema import Measurement
from poller.storage.errors import HistoryError
from poller.storage.layout import KEY

Aggregate: TypeAlias = Literal["mean", "max", "min", "sum", "last", "p95"]
COVERAGE: Final = "coverage_ratio"
_ROLLUP_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Step:
    """How rows become steps: aligned to origin_ns, seconds long; interval_seconds: how often a raw row is expected."""

    seconds: int
    aggregate: Aggregate
    origin_ns: int
    interval_seconds: float


def columns_needed(entry: Measurement, fields: Sequence[str]) -> list[str]:
    """The columns to read for these fields, coverage included; HistoryError for a field that is not in the schema."""
    known = [field.name for field in entry.fields]
    for name in fields:
        if name not in known:
            raise HistoryError(f"{entry.name} has no field {name}: it has {', '.join(known)}")
    witness = [name for name in (COVERAGE, "quality") if name in known][:1]
    return [KEY, *entry.tags, *dict.fromkeys([*fields, *witness])]


def with_coverage(frame: pl.DataFrame, entry: Measurement, fields: Sequence[str]) -> pl.DataFrame:
    """Rows as they are kept, ordered by series and time, each with the part of it that was observed, 0..1.

    A row that says nothing about the fields, not even why, is left out: some stores cannot give it. No tag is "".
    """
    said = [name for name in frame.columns if name not in (KEY, *entry.tags)]
    frame = frame.filter(pl.any_horizontal(pl.col(said).is_not_null()))
    if COVERAGE in frame.columns:
        coverage = pl.col(COVERAGE).fill_null(0.0)
    elif "quality" in frame.columns:
        coverage = (pl.col("quality").fill_null(Quality.OBSERVED.value) == Quality.OBSERVED.value).cast(pl.Float64)
    else:
        coverage = pl.lit(1.0)
    wanted = [name for name in fields if name != COVERAGE]
    tags = [pl.col(tag).fill_null("") for tag in entry.tags]
    return frame.select(KEY, *tags, *wanted, coverage.alias(COVERAGE)).sort([*entry.tags, KEY])


def into_steps(frame: pl.DataFrame, entry: Measurement, step: Step) -> pl.DataFrame:
    """Rows of with_coverage as one row a series and step; a step without a row has no row.

    coverage_ratio becomes the part of the step that was observed. p95 is by ceiling rank (R63), nulls left out.
    """
    keys = [KEY, *entry.tags]
    step_ns = step.seconds * 10**9
    interval = _ROLLUP_SECONDS if entry.name.endswith("_5m") else step.interval_seconds
    start = (pl.col(KEY) - step.origin_ns).floordiv(step_ns) * step_ns + step.origin_ns
    fields = [name for name in frame.columns if name not in (*keys, COVERAGE)]
    kinds = {field.name: field.kind for field in entry.fields}
    values = [_aggregated(name, kinds[name], step.aggregate) for name in fields]
    coverage = (pl.col(COVERAGE).sum() * interval / step.seconds).clip(0.0, 1.0)
    stepped = frame.with_columns(start).group_by(keys, maintain_order=True).agg(*values, coverage)
    return stepped.select(*keys, *fields, COVERAGE).sort([*entry.tags, KEY])


def _aggregated(name: str, kind: type, aggregate: Aggregate) -> pl.Expr:
    column = pl.col(name).drop_nulls()
    if aggregate == "last":
        return column.last()
    if kind is str:
        raise HistoryError(f"{name} is text: only its last value can be asked for")
    number = column.cast(pl.Float64) if kind is bool else column
    ways: Mapping[str, pl.Expr] = {
        "mean": number.mean(),
        "max": number.max(),
        "min": number.min(),
        # none known is not known, not zero
        "sum": pl.when(pl.col(name).count() > 0).then(number.sum()),
        "p95": number.sort().get(((number.len() * 95 + 99) // 100).cast(pl.Int64) - 1, null_on_oob=True),
    }
    if aggregate not in ways:
        raise HistoryError(f"there is no aggregate {aggregate}: {', '.join([*ways, 'last'])}")
    return ways[aggregate]
