"""Caps that hold for a calendar month (R64): its volume, and its 95th percentile, each against what was used. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poller.estate import Estate
from poller.reports.document import Block, Cell, Column, Form, Table
from poller.reports.figures import WAYS, Traffic
from poller.reports.periods import Period
from poller.reports.telling import Teller, mark_of, provisional


@dataclass(frozen=True, slots=True)
class MonthUse:
    """One month of a tenant on a line against one cap; way "": octets of both directions, else bits per second."""

    tenant: str
    line: str
    way: str
    month: Period
    value: float
    limit: int
    traffic: Traffic

    @property
    def ratio(self) -> float:
        """Use of the cap; above 1 it was exceeded."""
        return self.value / self.limit


def month_uses(estate: Estate, place: tuple[str, str], months: Sequence[Traffic], period: Period) -> list[MonthUse]:
    """Every month with data against every such cap; place: tenant and line ("total": all lines)."""
    tenant, line = place
    found: list[MonthUse] = []
    for cap in estate.tenants[tenant].caps:
        if (cap.line or "total") != line:
            continue
        for month, traffic in zip(period.months, months, strict=True):
            if not traffic.bins:
                continue
            if cap.monthly_volume is not None:
                found.append(MonthUse(tenant, line, "", month, traffic.octets, cap.monthly_volume, traffic))
            for way in WAYS if cap.direction == "each" else (cap.direction,):
                known = traffic.ways[way].percentile_95
                if cap.percentile_95 is not None and known is not None:
                    found.append(MonthUse(tenant, line, way, month, known.value, cap.percentile_95, traffic))
    return found


def month_cap_tables(uses: Sequence[MonthUse], teller: Teller, *, with_tenant: bool) -> Iterator[Block]:
    """One table of volumes and one of percentiles, where there are such caps."""
    say = teller.say
    volumes = [each for each in uses if not each.way]
    percentiles = [each for each in uses if each.way]
    for name, title, form, found in (
        ("volume-caps", say("月間通信量と上限", "Volume of a month and its cap"), Form.VOLUME, volumes),
        (
            "percentile-caps",
            say("月の95パーセンタイル値と上限", "95th percentile of a month and its cap"),
            Form.RATE,
            percentiles,
        ),
    ):
        if not found:
            continue
        yield Table(
            name,
            title,
            (
                *((Column(say("接続団体", "tenant"), wide=True),) if with_tenant else ()),
                Column(say("回線", "line"), wide=True),
                *((Column(say("方向", "way")),) if form is Form.RATE else ()),
                Column(say("月", "month")),
                Column(say("実績", "used"), form),
                Column(say("上限", "cap"), form),
                Column(say("上限比", "of cap"), Form.RATIO),
            ),
            tuple(
                (
                    *((teller.tenant(each.tenant),) if with_tenant else ()),
                    teller.line(each.line),
                    *((teller.short_way(each.way),) if form is Form.RATE else ()),
                    each.month.label(teller.lang),
                    provisional(each.value, each.traffic),
                    each.limit,
                    Cell(each.ratio, mark=mark_of(each.ratio)),
                )
                for each in found
            ),
            (say("上限比の高いものから示しています。", "The highest use first.") if with_tenant else "")
            + (teller.coverage_note() if any(each.traffic.provisional for each in found) else ""),
        )
