"""The figures of tenants over one period: traffic, caps and what was above them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from poller.estate import Estate
from poller.reports.figures import WAYS, DayLine, Series, Traffic, day_lines, traffic_of
from poller.reports.periods import Period
from poller.reports.reading import Records

SLOT_SECONDS: Final = 300
TENANT_MONTHS: Final = 102
"""Tenants (or devices) times months that are read at once: about 150 MB."""


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
class Burst:
    """How many windows of five minutes had a minute above a burst cap; the highest minute, and its window."""

    tenant: str
    line: str
    direction: str
    windows: int
    value: float
    time_ns: int
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
    violations: tuple[Violation, ...]
    bursts: tuple[Burst, ...]


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
            caps = caps_of(estate, id_, line)
            found.append(
                TenantFigures(
                    tenant=id_,
                    line=line,
                    now=traffic_of(series, period),
                    octets_before=before.get(id_) if line == "total" else None,
                    months=tuple(traffic_of(series, month) for month in period.months),
                    days={way: day_lines(series, way, period) for way in WAYS},
                    caps=caps,
                    bursts=tuple(bursts_of(estate, (id_, line), series, period)),
                    violations=tuple(_violations(series, id_, line, caps, period)),
                )
            )
    return found


def caps_of(estate: Estate, tenant: str, line: str) -> dict[str, int]:
    """The sustained caps of a tenant on a line by direction, bits per second."""
    sustained: dict[str, int] = {}
    for cap in estate.tenants[tenant].caps:
        if (cap.line or "total") != line or cap.sustained_rate is None:
            continue
        for way in WAYS if cap.direction == "each" else (cap.direction,):
            sustained[way] = min(cap.sustained_rate, sustained.get(way, cap.sustained_rate))
    return sustained


def bursts_of(estate: Estate, place: tuple[str, str], series: Series, period: Period) -> list[Burst]:
    """Every burst cap that a minute was above; place: tenant and line."""
    inside = series.within(period.start_ns, period.end_ns)
    found: list[Burst] = []
    for cap in estate.tenants[place[0]].caps:
        if (cap.line or "total") != place[1] or cap.burst_rate is None:
            continue
        for way in WAYS if cap.direction == "each" else (cap.direction,):
            above = np.flatnonzero(inside.maxima[way] > cap.burst_rate)
            if above.size:
                at = int(above[np.argmax(inside.maxima[way][above])])
                highest, when = float(inside.maxima[way][at]), int(inside.time_ns[at])
                found.append(Burst(*place, way, above.size, highest, when, cap.burst_rate))
    return found


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
