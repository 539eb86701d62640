"""The figures of a report, from five-minute rows: percentile, peak, mean, volume, busy hours, coverage. Pure.

A row counts for rates when at least half of its five minutes was observed (R63); octets always count, those of a gap
too (R33), because they went over the line whether somebody looked or not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from poller.percentiles import BIN_NS, OBSERVED_SHARE, PROVISIONAL_BELOW, Percentile, ceiling_rank
from poller.reports.periods import Period, midnight_ns

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

BUSY_RATIO: Final = 0.8
"""Of the limit, above which an hour is told as busy."""
WAYS: Final = ("in", "out")
DAYS_OF_WEEK: Final = 7
HOURS: Final = 24
HOUR_NS: Final = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Series:
    """Five-minute rows of one series as arrays in order of time; NaN where a rate is not known.

    means, maxima: bits per second, octets: counted, each by direction. coverage: part of the row that was observed.
    """

    time_ns: Integers
    means: Mapping[str, Floats]
    maxima: Mapping[str, Floats]
    octets: Mapping[str, Integers]
    coverage: Floats

    def within(self, start_ns: int, end_ns: int) -> "Series":
        """The rows with start_ns <= time < end_ns; nothing is copied."""
        first, after = np.searchsorted(self.time_ns, (start_ns, end_ns))
        return Series(
            self.time_ns[first:after],
            {way: self.means[way][first:after] for way in WAYS},
            {way: self.maxima[way][first:after] for way in WAYS},
            {way: self.octets[way][first:after] for way in WAYS},
            self.coverage[first:after],
        )

    def known(self, way: str) -> npt.NDArray[np.bool_]:
        """Which rows count for rates: at least half observed (R63)."""
        return (self.coverage >= OBSERVED_SHARE) & ~np.isnan(self.means[way])


def series_of(frames: Sequence[pl.DataFrame]) -> Series:
    """The rows of one series, in frames in order of time.

    Columns: time_ns, {in,out}_bits_per_second_{mean,max}, {in,out}_octets, coverage_ratio.
    """

    def floats(column: str) -> Floats:
        return np.concatenate([frame[column].cast(pl.Float64).to_numpy() for frame in frames] or [np.empty(0)])

    def integers(column: str) -> Integers:
        whole = [frame[column].fill_null(0).to_numpy() for frame in frames]
        return np.concatenate(whole or [np.empty(0, dtype=np.int64)])

    return Series(
        integers("time_ns"),
        {way: floats(f"{way}_bits_per_second_mean") for way in WAYS},
        {way: floats(f"{way}_bits_per_second_max") for way in WAYS},
        {way: integers(f"{way}_octets") for way in WAYS},
        floats("coverage_ratio"),
    )


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


@dataclass(frozen=True, slots=True)
class HourLine:
    """One hour of a series: when it began, and the mean bits per second of either direction, None where unknown."""

    time_ns: int
    means: Mapping[str, float | None]


def traffic_of(series: Series, period: Period, limit: int | None = None) -> Traffic:
    """The figures of one series in one period. limit: bits per second that busy hours are held against."""
    inside = series.within(period.start_ns, period.end_ns)
    expected = (period.end_ns - period.start_ns) // BIN_NS
    ways = {way: _way(inside, way, expected, period, limit) for way in WAYS}
    bins = max((each.percentile_95.bins for each in ways.values() if each.percentile_95 is not None), default=0)
    return Traffic(ways, bins, expected)


def _way(inside: Series, way: str, expected: int, period: Period, limit: int | None) -> WayFigures:
    known = inside.known(way)
    values = inside.means[way][known]
    return WayFigures(
        percentile_95=percentile_95(values, expected),
        peak=_peak(inside, way),
        mean=float(values.mean()) if values.size else None,
        octets=int(inside.octets[way].sum()),
        busy_seconds=float(np.count_nonzero(values > BUSY_RATIO * limit)) * 300.0 if limit else None,
        profile=_profile(inside.time_ns[known], values, period),
    )


def percentile_95(known: Floats, expected: int) -> Percentile | None:
    """By ceiling rank over the known five-minute averages (R63)."""
    if not known.size:
        return None
    rank = ceiling_rank(known.size)
    return Percentile(float(np.partition(known, rank - 1)[rank - 1]), rank, known.size, expected)


def _peak(inside: Series, way: str) -> Peak | None:
    highest = inside.maxima[way]
    if not highest.size or np.isnan(highest).all():
        return None
    at = int(np.nanargmax(highest))
    return Peak(float(highest[at]), int(inside.time_ns[at]))


def _profile(times: Integers, values: Floats, period: Period) -> tuple[tuple[float | None, ...], ...]:
    cells = _hours_of_week(period)[(times - period.start_ns) // HOUR_NS]
    counts = np.bincount(cells, minlength=DAYS_OF_WEEK * HOURS)
    sums = np.bincount(cells, weights=values, minlength=DAYS_OF_WEEK * HOURS)
    means = [total / count if count else None for total, count in zip(sums.tolist(), counts.tolist(), strict=True)]
    return tuple(tuple(means[day * HOURS : (day + 1) * HOURS]) for day in range(DAYS_OF_WEEK))


@lru_cache(maxsize=64)
def _hours_of_week(period: Period) -> Integers:
    """Of every hour of the period, counted from its begin, the hour of the week in local time (Monday 0:00 is 0)."""
    begins = range(period.start_ns, period.end_ns, HOUR_NS)
    local = (datetime.fromtimestamp(each // 10**9, period.zone) for each in begins)
    return np.array([each.weekday() * HOURS + each.hour for each in local], dtype=np.int64)


def day_lines(series: Series, way: str, period: Period) -> list[DayLine]:
    """95th percentile and peak of every day with data, in order."""
    days = [period.first + timedelta(days=number) for number in range((period.after - period.first).days)]
    borders = [midnight_ns(day, period.zone) for day in (*days, period.after)]
    inside = series.within(borders[0], borders[-1])
    known = inside.known(way)
    times, means, highest = inside.time_ns[known], inside.means[way][known], inside.maxima[way][known]
    at = np.searchsorted(times, borders).tolist()
    found: list[DayLine] = []
    for day, first, after in zip(days, at, at[1:], strict=False):
        if first < after:
            rank = ceiling_rank(after - first)
            percentile = float(np.partition(means[first:after], rank - 1)[rank - 1])
            found.append(DayLine(day, percentile, float(np.fmax.reduce(highest[first:after]))))
    return found


def hour_lines(series: Series, period: Period) -> list[HourLine]:
    """Means by the hour, of every hour with data, in order."""
    inside = series.within(period.start_ns, period.end_ns)
    means: dict[str, dict[int, float]] = {}
    for way in WAYS:
        known = inside.known(way)
        hours = (inside.time_ns[known] - period.start_ns) // HOUR_NS
        counts = np.bincount(hours)
        sums = np.bincount(hours, weights=inside.means[way][known])
        means[way] = {hour: float(sums[hour] / counts[hour]) for hour in np.flatnonzero(counts).tolist()}
    every = sorted({hour for each in means.values() for hour in each})
    return [HourLine(period.start_ns + hour * HOUR_NS, {w: means[w].get(hour) for w in WAYS}) for hour in every]


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
