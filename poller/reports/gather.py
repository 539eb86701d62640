"""Everything a report about the shared network is made of, read once and computed once. No text here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from poller.alerts.servicelevel import ServiceLevel, service_level
from poller.alerts.subjects import Subject
from poller.estate import Circuit, Estate, LineGroup
from poller.forecast import DayFigure, Forecast, Refusal, forecast
from poller.percentiles import ceiling_rank
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

FORECAST_MONTHS: Final = 6
"""How far back the forecast looks."""
SLOT_SECONDS: Final = 300
TENANT_MONTHS: Final = 102
"""Tenants (or devices) times months that are read at once: about 150 MB."""


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
class Violation:
    """A stretch of five-minute averages above a tenant's sustained cap; value is the highest of them."""

    tenant: str
    line: str
    direction: str
    since_ns: int
    seconds: float
    value: float
    limit: int


@dataclass(frozen=True, slots=True)
class TenantFigures:
    """One tenant on one line ("total": all). caps: sustained bits per second by direction; months: each by itself.

    octets_before: of the period before, of "total" alone and where it was asked for.
    """

    tenant: str
    line: str
    now: Traffic
    octets_before: int | None
    months: tuple[Traffic, ...]
    days: Mapping[str, list[DayLine]]
    caps: Mapping[str, int]
    monthly_cap: int | None
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class DeviceFigures:
    """One device: 95th percentile and highest of its ratios, None where nothing is known."""

    device: str
    cpu_95: float | None
    cpu_max: float | None
    memory_max: float | None
    sessions_max: int | None
    sessions_limit: int | None
    coverage_ratio: float


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """One service: mean and 95th percentile of the response in seconds, and the part of checks within 3 s and 5 s."""

    service: str
    mean: float | None
    percentile_95: float | None
    within_3: float | None
    within_5: float | None
    certificate_days: float | None
    level: ServiceLevel
    coverage_ratio: float


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

    services = _services(estate, records, period, level)
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
        stand_ins=tuple(standing_in),
        tenants=tuple(tenants),
        devices=_devices(estate, records, period),
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


# ---- tenants


def in_parts(ids: list[str], period: Period) -> list[list[str]]:
    """Tenants or devices in parts that fit in memory."""
    size = max(1, TENANT_MONTHS // len(period.months))
    return [ids[at : at + size] for at in range(0, len(ids), size)]


def tenant_figures(
    estate: Estate, records: Records, period: Period, ids: list[str], *, with_before: bool
) -> list[TenantFigures]:
    """The figures of some tenants, line by line in the order of their attachments, "total" last.

    with_before: how much it was in the period before as well.
    """
    rows = records.tenants(ids, (period.start_ns, period.end_ns))
    past = period.before
    before = records.tenants_octets(ids, (past.start_ns, past.end_ns)) if with_before else {}
    found: list[TenantFigures] = []
    for id_ in ids:
        tenant = estate.tenants[id_]
        lines = [*dict.fromkeys(attachment.line for attachment in tenant.attachments), "total"]
        for line in lines:
            series = rows.pop((id_, line), None)
            if series is None:
                continue
            caps, monthly = caps_of(estate, id_, line)
            found.append(
                TenantFigures(
                    tenant=id_,
                    line=line,
                    now=traffic_of(series, period),
                    octets_before=before.get(id_) if line == "total" else None,
                    months=tuple(traffic_of(series, month) for month in period.months),
                    days={way: day_lines(series, way, period) for way in WAYS},
                    caps=caps,
                    monthly_cap=monthly,
                    violations=tuple(_violations(series, id_, line, caps, period)),
                )
            )
    return found


def caps_of(estate: Estate, tenant: str, line: str) -> tuple[dict[str, int], int | None]:
    """The sustained caps of a tenant on a line by direction, and its cap on a month's octets."""
    sustained: dict[str, int] = {}
    monthly: int | None = None
    for cap in estate.tenants[tenant].caps:
        if (cap.line or "total") != line:
            continue
        for way in WAYS if cap.direction == "each" else (cap.direction,):
            if cap.sustained_rate is not None:
                sustained[way] = min(cap.sustained_rate, sustained.get(way, cap.sustained_rate))
        if cap.monthly_volume is not None:
            monthly = min(cap.monthly_volume, monthly or cap.monthly_volume)
    return sustained, monthly


def _violations(series: Series, tenant: str, line: str, caps: Mapping[str, int], period: Period) -> list[Violation]:
    inside = series.within(period.start_ns, period.end_ns)
    found: list[Violation] = []
    for way, limit in caps.items():
        above = np.flatnonzero(inside.known(way) & (inside.means[way] > limit))
        times = inside.time_ns[above]
        borders = np.flatnonzero(np.diff(times) != SLOT_SECONDS * 10**9) + 1
        for run in np.split(above, borders):
            if run.size:
                highest, seconds = float(inside.means[way][run].max()), run.size * float(SLOT_SECONDS)
                found.append(Violation(tenant, line, way, int(inside.time_ns[run[0]]), seconds, highest, limit))
    return sorted(found, key=lambda each: each.since_ns)


# ---- devices and services


def _devices(estate: Estate, records: Records, period: Period) -> tuple[DeviceFigures, ...]:
    expected = (period.end_ns - period.start_ns) / (SLOT_SECONDS * 1e9)
    found: list[DeviceFigures] = []
    for ids in in_parts(list(estate.devices), period):
        rows = records.devices(ids, (period.start_ns, period.end_ns))
        found += [_device(id_, rows[id_], expected) for id_ in ids if id_ in rows]
    return tuple(found)


def _device(id_: str, rows: pl.DataFrame, expected: float) -> DeviceFigures:
    known = rows.filter(pl.col("coverage_ratio") > 0)
    return DeviceFigures(
        device=id_,
        cpu_95=_rank_95(known["cpu_ratio_mean"]),
        cpu_max=_highest(known["cpu_ratio_max"]),
        memory_max=_highest(known["memory_ratio_max"]),
        sessions_max=_whole(known["sessions_max"]),
        sessions_limit=_whole(known["sessions_limit_max"]),
        coverage_ratio=min(1.0, float(rows["coverage_ratio"].sum()) / expected),
    )


def _services(
    estate: Estate, records: Records, period: Period, level: Callable[[str, str], ServiceLevel]
) -> tuple[ServiceFigures, ...]:
    rows = records.services(list(estate.services), (period.start_ns, period.end_ns))
    expected = (period.end_ns - period.start_ns) / (SLOT_SECONDS * 1e9)
    return tuple(_service(id_, rows[id_], level("service", id_), expected) for id_ in estate.services if id_ in rows)


def _service(id_: str, rows: pl.DataFrame, level: ServiceLevel, expected: float) -> ServiceFigures:
    mean = rows["response_seconds_mean"].drop_nulls()
    days = rows["certificate_days_max"].drop_nulls()
    average = mean.mean()
    return ServiceFigures(
        service=id_,
        mean=average if isinstance(average, float) else None,
        percentile_95=_rank_95(mean),
        within_3=_share_within(mean, 3.0),
        within_5=_share_within(mean, 5.0),
        certificate_days=None if days.is_empty() else float(days[-1]),
        level=level,
        coverage_ratio=min(1.0, float(rows["coverage_ratio"].sum()) / expected),
    )


def _share_within(values: pl.Series, limit: float) -> float | None:
    return None if values.is_empty() else len(values.filter(values <= limit)) / len(values)


def _rank_95(values: pl.Series) -> float | None:
    known = values.drop_nulls().sort()
    return None if known.is_empty() else float(known[ceiling_rank(len(known)) - 1])


def _highest(values: pl.Series) -> float | None:
    top = values.max()
    return float(top) if isinstance(top, int | float) else None


def _whole(values: pl.Series) -> int | None:
    top = values.max()
    return int(top) if isinstance(top, int | float) else None
