"""The figures of a report, from five-minute rows: percentile, peak, mean, volume, busy hours, coverage. Pure.

A row counts for rates when at least half of its five minutes was observed (R63); octets always count, those of a gap
too (R33), because they went over the line whether somebody looked or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from poller.percentiles import BIN_NS, OBSERVED_SHARE, PROVISIONAL_BELOW, Percentile, ceiling_rank
from poller.reports.periods import Period

BUSY_RATIO: Final = 0.8
"""Of the limit, above which an hour is told as busy."""
WAYS: Final = ("in", "out")
DAYS_OF_WEEK: Final = 7
HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest rate: bits per second, and when; seconds is how long the moment is (60 or 300)."""

    value: float
    time_ns: int
    seconds: int = 300


@dataclass(frozen=True, slots=True)
class WayFigures:
    """One direction of one series over one period; None where nothing was observed.

    percentile_95 and mean: bits per second over five-minute averages. octets: whole period, gaps included.
    busy_seconds: time above 80 % of the limit; None without a limit. profile: mean bits per second by weekday (Monday
    first) and hour, 7 x 24.
    """

    percentile_95: Percentile | None
    peak: Peak | None
    mean: float | None
    octets: int
    busy_seconds: float | None
    profile: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Both directions of one series over one period, with the share of its bins that were observed."""

    ways: Mapping[str, WayFigures]
    bins: int
    expected: int

    @property
    def coverage_ratio(self) -> float:
        """Part of the period that was observed, 0..1."""
        return self.bins / self.expected if self.expected else 0.0

    @property
    def provisional(self) -> bool:
        """Whether too much is missing for the figures to be final (R63)."""
        return self.coverage_ratio < PROVISIONAL_BELOW

    @property
    def octets(self) -> int:
        """Both directions together."""
        return sum(each.octets for each in self.ways.values())


@dataclass(frozen=True, slots=True)
class DayLine:
    """One day of a series in one direction: 95th percentile and highest, bits per second."""

    day: date
    percentile_95: float
    peak: float


def traffic_of(rows: pl.DataFrame, period: Period, limit: int | None = None) -> Traffic:
    """The figures of one series from its *_5m rows, those of other periods left out.

    rows: time_ns, {in,out}_bits_per_second_{mean,max}, {in,out}_octets, coverage_ratio. limit: bits per second.
    """
    inside = rows.filter(pl.col("time_ns").is_between(period.start_ns, period.end_ns, closed="left"))
    counted = inside.filter(pl.col("coverage_ratio") >= OBSERVED_SHARE)
    expected = (period.end_ns - period.start_ns) // BIN_NS
    ways = {way: _way(inside, counted, way, expected, period, limit) for way in WAYS}
    bins = max((each.percentile_95.bins for each in ways.values() if each.percentile_95 is not None), default=0)
    return Traffic(ways, bins, expected)


def _way(  # noqa: PLR0913, PLR0917 - the parts of one computation, named at the only call
    inside: pl.DataFrame, counted: pl.DataFrame, way: str, expected: int, period: Period, limit: int | None
) -> WayFigures:
    mean, highest = f"{way}_bits_per_second_mean", f"{way}_bits_per_second_max"
    known = counted.filter(pl.col(mean).is_not_null())
    busy = known.filter(pl.col(mean) > BUSY_RATIO * limit).height * 300.0 if limit else None
    average = known[mean].mean()
    return WayFigures(
        percentile_95=percentile_95(known[mean], expected),
        peak=_peak(inside, highest),
        mean=average if isinstance(average, float) else None,
        octets=int(inside[f"{way}_octets"].sum() or 0),
        busy_seconds=busy,
        profile=_profile(known, mean, period),
    )


def percentile_95(known: pl.Series, expected: int) -> Percentile | None:
    """By ceiling rank over the known five-minute averages (R63)."""
    if known.is_empty():
        return None
    rank = ceiling_rank(len(known))
    return Percentile(float(known.sort()[rank - 1]), rank, len(known), expected)


def _peak(rows: pl.DataFrame, column: str) -> Peak | None:
    known = rows.filter(pl.col(column).is_not_null())
    if known.is_empty():
        return None
    top = known.sort(column, "time_ns", descending=[True, False]).row(0, named=True)
    return Peak(float(top[column]), int(top["time_ns"]))


def _profile(known: pl.DataFrame, column: str, period: Period) -> tuple[tuple[float | None, ...], ...]:
    local = pl.from_epoch("time_ns", time_unit="ns").dt.replace_time_zone("UTC").dt.convert_time_zone(str(period.zone))
    cells = (
        known.with_columns(local.dt.weekday().alias("weekday"), local.dt.hour().alias("hour"))
        .group_by("weekday", "hour")
        .agg(pl.col(column).mean())
    )
    found = {(weekday, hour): value for weekday, hour, value in cells.iter_rows()}
    return tuple(tuple(found.get((weekday, hour)) for hour in range(HOURS)) for weekday in range(1, DAYS_OF_WEEK + 1))


def day_lines(rows: pl.DataFrame, way: str, period: Period) -> list[DayLine]:
    """95th percentile and peak of every day with data, in order."""
    mean, highest = f"{way}_bits_per_second_mean", f"{way}_bits_per_second_max"
    local = pl.from_epoch("time_ns", time_unit="ns").dt.replace_time_zone("UTC").dt.convert_time_zone(str(period.zone))
    inside = rows.filter(pl.col("time_ns").is_between(period.start_ns, period.end_ns, closed="left"))
    known = inside.filter((pl.col("coverage_ratio") >= OBSERVED_SHARE) & pl.col(mean).is_not_null())
    rank = (pl.len() * 95 + 99) // 100 - 1
    days = (
        known.group_by(local.dt.date().alias("day"))
        .agg(pl.col(mean).sort().get(rank).alias("percentile"), pl.col(highest).max().alias("peak"))
        .sort("day")
    )
    return [DayLine(*row) for row in days.iter_rows()]


def busiest_hour(profile: Iterable[tuple[float | None, ...]]) -> tuple[int, int, float] | None:
    """Weekday (0 Monday), hour and mean of the busiest hour of the week."""
    cells = [
        (value, weekday, hour)
        for weekday, row in enumerate(profile)
        for hour, value in enumerate(row)
        if value is not None
    ]
    if not cells:
        return None
    value, weekday, hour = max(cells, key=lambda cell: (cell[0], -cell[1], -cell[2]))
    return weekday, hour, value


def change_ratio(now: float | None, before: float | None) -> float | None:
    """By what part something grew; None where there is nothing to compare."""
    return now / before - 1.0 if now is not None and before else None
