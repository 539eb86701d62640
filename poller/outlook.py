"""The outlook of a line: its days out of the history, and what they let us expect (R65).

    outlook(history, line, span) -> Outlook: of either direction the forecasts of its 95th percentile and of its peak

Days are those of local time, made of the roll-ups of five minutes: the 95th percentile by ceiling rank over their means
(R63), the peak as the highest minute in them. A day of which too little was observed is left out, and so is one that is
not over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

import polars as pl

from poller.estate import Estate
from poller.forecast import MOST_DAYS, DayFigure, Forecast, HourSeason, Refusal, forecast, hour_season
from poller.percentiles import BIN_NS, OBSERVED_SHARE, percentile
from poller.storage.history import History

WAYS: Final = ("in", "out")
COVERED_SHARE: Final = 0.8
"""Of a day's five-minute slots that must have been observed for it to count."""
Against: TypeAlias = Literal["committed", "ceiling"]


@dataclass(frozen=True, slots=True)
class Line:
    """What is asked about: a circuit or line group, and the rate of its contract that it is held against."""

    id: str
    is_group: bool
    limit: int
    against: Against


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a line: forecasts of its days' 95th percentile and peak; season: the shape of its week."""

    percentile_95: Forecast | Refusal
    peak: Forecast | Refusal
    season: HourSeason | None

    @property
    def busiest(self) -> tuple[int, int, float] | None:
        """Weekday (0 is Monday) and hour of the highest mean, and how many times the week's mean that is."""
        if self.season is None or not any(self.season.means.values()):
            return None
        weekday, hour = self.season.busiest()
        return weekday, hour, self.season.ratio(weekday, hour)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Both directions of a line. left_out: days with data of which too little was observed."""

    line: Line
    directions: Mapping[str, Direction]
    left_out: int


def lines_of(estate: Estate, against: Against | None = None) -> dict[str, Line]:
    """Line groups and circuits by id; against None: the committed rate, and the ceiling rate where there is none.

    Against the committed rate alone, lines without one are left out.
    """
    found: dict[str, Line] = {}
    for is_group, entries in ((True, estate.line_groups), (False, estate.circuits)):
        for id_, entry in entries.items():
            if entry.committed_rate is not None and against != "ceiling":
                found[id_] = Line(id_, is_group, entry.committed_rate, "committed")
            elif against != "committed":
                found[id_] = Line(id_, is_group, entry.ceiling_rate, "ceiling")
    return found


def outlook(history: History, line: Line, now_ns: int, zone: ZoneInfo) -> Outlook:
    """What the whole days before now let us expect of a line. Raises HistoryError where the store cannot be read."""
    today = datetime.fromtimestamp(now_ns // 10**9, zone).date()
    start = datetime.combine(today - timedelta(days=MOST_DAYS), datetime.min.time(), zone)
    end = datetime.combine(today, datetime.min.time(), zone)
    kind = "line_group" if line.is_group else "circuit"
    rows = history.read(
        f"{kind}_5m",
        [f"{way}_bits_per_second_{what}" for way in WAYS for what in ("mean", "max")],
        {kind: line.id},
        start_ns=int(start.timestamp()) * 10**9,
        end_ns=int(end.timestamp()) * 10**9,
    )
    at = pl.from_epoch("time_ns", time_unit="ns").dt.replace_time_zone("UTC").dt.convert_time_zone(zone.key)
    known = rows.filter(pl.col("coverage_ratio") >= OBSERVED_SHARE).with_columns(at.alias("at"))
    known = known.with_columns(pl.col("at").dt.date().alias("day"))
    seen = known.group_by("day").len().filter(pl.col("len") >= COVERED_SHARE * 86_400 * 10**9 / BIN_NS)
    days = known.join(seen.select("day"), on="day").sort("time_ns")
    return Outlook(
        line, {way: _direction(days, way, line.limit) for way in WAYS}, known["day"].n_unique() - seen.height
    )


def _direction(rows: pl.DataFrame, way: str, limit: int) -> Direction:
    mean, highest = f"{way}_bits_per_second_mean", f"{way}_bits_per_second_max"
    percentiles: list[DayFigure] = []
    peaks: list[DayFigure] = []
    for part in rows.partition_by("day", maintain_order=True):
        day = part["day"][0]
        found = percentile(part[mean])
        top = part[highest].max()
        if found is not None and isinstance(top, int | float):
            percentiles.append(DayFigure(day, found.value))
            peaks.append(DayFigure(day, float(top)))
    hours = rows.drop_nulls(mean).group_by(pl.col("at").dt.truncate("1h")).agg(pl.col(mean).mean()).sort("at")
    return Direction(
        percentile_95=forecast(percentiles, limit),
        peak=forecast(peaks, limit),
        season=hour_season(zip(hours["at"].to_list(), hours[mean].to_list(), strict=True)),
    )
