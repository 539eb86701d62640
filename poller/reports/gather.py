"""Everything a report about the shared network is made of, read once and computed once. No text here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from poller.alerts.servicelevel import ServiceLevel, service_level
from poller.alerts.subjects import Subject
from poller.estate import Circuit, Estate, LineGroup
from poller.forecast import DayFigure, Forecast, Refusal, forecast
from poller.reports.equipment import DeviceFigures, ServiceFigures, device_figures, observed, service_figures
from poller.reports.figures import (
    WAYS,
    DayLine,
    HourLine,
    Series,
    Traffic,
    WayFigures,
    day_lines,
    hour_lines,
    series_of,
    traffic_of,
)
from poller.reports.incidents import PastIncident, outages, past_incidents
from poller.reports.periods import Kind, Period, add_months
from poller.reports.reading import Records
from poller.reports.standins import StandIn, stand_ins
from poller.reports.tenantfigures import TenantFigures

FORECAST_MONTHS: Final = 6
"""How far back the forecast looks."""


@dataclass(frozen=True, slots=True)
class LineFigures:
    """One line group or circuit: its contract and its figures, now and before. limit: committed, else ceiling rate."""

    id: str
    is_group: bool
    committed_rate: int | None
    ceiling_rate: int
    now: Traffic
    before: Traffic | None
    year_before: Traffic | None
    months: tuple[Traffic, ...]
    days: Mapping[str, list[DayLine]]
    hours: Sequence[HourLine]
    forecasts: Mapping[str, Forecast | Refusal]

    @property
    def limit(self) -> int:
        """What use is held against: the committed rate, else the ceiling rate."""
        return self.committed_rate or self.ceiling_rate


@dataclass(frozen=True, slots=True)
class Gathered:
    """All of it, for one period."""

    estate: Estate
    period: Period
    lines: tuple[LineFigures, ...]
    tenants: tuple[TenantFigures, ...]
    devices: tuple[DeviceFigures, ...]
    services: tuple[ServiceFigures, ...]
    levels: tuple[ServiceLevel, ...]
    level_months: Mapping[str, tuple[ServiceLevel, ...]]
    """Of a period of several months: month by month, by subject, of everything with a target."""
    level_coverage: Mapping[str, tuple[float, ...]]
    """By subject, the part of each of those months (or of the one there is) that was observed."""
    stand_ins: tuple[StandIn, ...]
    incidents: tuple[PastIncident, ...]
    notifications: pl.DataFrame

    def line(self, id_: str) -> LineFigures:
        """The line of that id; KeyError where there is none."""
        for each in self.lines:
            if each.id == id_:
                return each
        raise KeyError(id_)


def gather_shared(
    estate: Estate, records: Records, period: Period, progress: Callable[[str], None] = lambda _: None
) -> Gathered:
    """What every report of the period needs, a tenant's too: services, their level, incidents."""
    span = (period.start_ns, period.end_ns)
    progress("services")
    incidents = past_incidents(records.alerts(span), records.incidents(span), span)
    down = outages(incidents, estate, period.end_ns)

    def level(kind: str, id_: str, of: Period = period) -> ServiceLevel:
        outage = down.get(f"{kind}/{id_}", [])
        return service_level(Subject(kind, id_), outage, estate, (of.start_ns, of.end_ns))

    service_rows = records.services(list(estate.services), span)
    service_coverage = {
        id_: tuple(observed(rows, month) for month in period.months) for id_, rows in service_rows.items()
    }
    services = service_figures(estate, service_rows, period, level)
    levels = tuple(level("circuit", id_) for id_ in estate.circuits)
    promised = [each.subject for each in (*levels, *(each.level for each in services)) if each.target is not None]
    months = period.months if len(period.months) > 1 else []

    return Gathered(
        estate=estate,
        period=period,
        lines=(),
        tenants=(),
        devices=(),
        services=services,
        levels=levels,
        level_months={
            subject: tuple(level(kind, id_, month) for month in months)
            for subject in promised
            for kind, _, id_ in [subject.partition("/")]
        },
        level_coverage={f"service/{id_}": parts for id_, parts in service_coverage.items()},
        stand_ins=(),
        incidents=tuple(incidents),
        notifications=records.notifications(span),
    )


def gather(
    shared: Gathered, records: Records, tenants: Sequence[TenantFigures], progress: Callable[[str], None]
) -> Gathered:
    """Everything about the whole network in one period; tenants: the figures of all of them."""
    estate, period = shared.estate, shared.period
    progress("lines")
    lines, standing_in = _lines(estate, records, period)
    progress("devices")
    return replace(
        shared,
        lines=tuple(lines),
        level_coverage={
            **shared.level_coverage,
            **{
                f"circuit/{line.id}": tuple(each.coverage_ratio for each in line.months)
                for line in lines
                if not line.is_group
            },
        },
        stand_ins=tuple(standing_in),
        tenants=tuple(tenants),
        devices=device_figures(estate, records, period),
    )


# ---- lines


def _lines(estate: Estate, records: Records, period: Period) -> tuple[list[LineFigures], list[StandIn]]:
    first = min(add_months(period.after, -FORECAST_MONTHS), period.before.first)
    whole = (Period(Kind.MONTHLY, first, period.zone).start_ns, period.end_ns)
    year = (period.year_before.start_ns, period.year_before.end_ns)
    found: list[LineFigures] = []
    standing_in: list[StandIn] = []
    for is_group, measurement, tag, entries in (
        (True, "line_group_5m", "line_group", estate.line_groups),
        (False, "circuit_5m", "circuit", estate.circuits),
    ):
        rows = records.traffic(measurement, tag, list(entries), whole)
        old = records.traffic(measurement, tag, list(entries), year)
        for id_, entry in entries.items():
            frame = rows.get(id_)
            line = _line(entry, frame if frame is not None else _EMPTY, old.get(id_), period, is_group=is_group)
            found.append(_with_peak_minutes(line, records, measurement.removesuffix("_5m"), tag))
        if not is_group:
            standing_in = stand_ins(estate, rows, period)
    return found, standing_in


_EMPTY: Final = series_of(())


def _line(
    entry: Circuit | LineGroup, rows: Series, old: Series | None, period: Period, *, is_group: bool
) -> LineFigures:
    limit = entry.committed_rate or entry.ceiling_rate
    history = Period(Kind.SEMIANNUAL, add_months(period.after, -FORECAST_MONTHS), period.zone)
    days = {way: day_lines(rows, way, history) for way in WAYS}
    before = traffic_of(rows, period.before, limit)
    year_before = traffic_of(old, period.year_before, limit) if old is not None else None
    return LineFigures(
        id=entry.id,
        is_group=is_group,
        committed_rate=entry.committed_rate,
        ceiling_rate=entry.ceiling_rate,
        now=traffic_of(rows, period, limit),
        before=before if before.bins else None,
        year_before=year_before if year_before is not None and year_before.bins else None,
        months=tuple(traffic_of(rows, month, limit) for month in period.months),
        days=days,
        hours=hour_lines(rows, period),
        forecasts={
            way: forecast([DayFigure(each.day, each.percentile_95) for each in days[way]], limit)
            for way in (WAYS if is_group else ())
        },
    )


def _with_peak_minutes(line: LineFigures, records: Records, measurement: str, tag: str) -> LineFigures:
    ways = {
        way: with_peak_minute(figures, records, measurement, {tag: line.id}, way)
        for way, figures in line.now.ways.items()
    }
    return replace(line, now=replace(line.now, ways=ways))


def with_peak_minute(
    figures: WayFigures, records: Records, measurement: str, where: dict[str, str], way: str
) -> WayFigures:
    """The figures with the peak's minute, where minutes are still kept; else its five minutes stay."""
    peak = figures.peak
    if peak is None:
        return figures
    minute = records.peak_minute(measurement, where, f"{way}_bits_per_second", peak.time_ns)
    return figures if minute is None else replace(figures, peak=replace(peak, time_ns=minute, seconds=60))
