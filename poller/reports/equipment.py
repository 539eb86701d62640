"""The figures of devices and services over one period. Pure but for the store they are read from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from poller.alerts.servicelevel import ServiceLevel
from poller.estate import Estate
from poller.percentiles import ceiling_rank
from poller.reports.periods import Period
from poller.reports.reading import Records
from poller.reports.tenantfigures import in_parts

SLOT_SECONDS: Final = 300


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


def device_figures(estate: Estate, records: Records, period: Period) -> tuple[DeviceFigures, ...]:
    """Every device that the store knows, in the order of the estate."""
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


def service_figures(
    estate: Estate, rows: Mapping[str, pl.DataFrame], period: Period, level: Callable[[str, str], ServiceLevel]
) -> tuple[ServiceFigures, ...]:
    """Every service of which there are rows; level tells the service level of a subject, by kind and id."""
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


def observed(rows: pl.DataFrame, period: Period) -> float:
    """The part of a period that rows with their coverage stand for."""
    inside = rows.filter(pl.col("time_ns").is_between(period.start_ns, period.end_ns, closed="left"))
    return min(1.0, float(inside["coverage_ratio"].sum()) * SLOT_SECONDS * 10**9 / (period.end_ns - period.start_ns))


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
