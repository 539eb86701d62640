"""Five-minute rows as tables, for those who want to calculate themselves. Pure."""

from collections.abc import Mapping

import polars as pl

from poller.reports.document import Column, Form, Table
from poller.reports.figures import WAYS
from poller.reports.periods import Period
from poller.reports.telling import Teller


def raw_tables(rows: Mapping[str, pl.DataFrame], period: Period, teller: Teller) -> tuple[Table, ...]:
    """One table a line (of a tenant, or a line group): time, mean, peak and octets of both directions, coverage."""
    return tuple(_raw(line, frame, period, teller) for line, frame in rows.items())


def _raw(line: str, frame: pl.DataFrame, period: Period, teller: Teller) -> Table:
    say = teller.say
    inside = frame.filter(pl.col("time_ns").is_between(period.start_ns, period.end_ns, closed="left")).sort("time_ns")
    names, columns = ["time_ns"], [Column(say("時刻", "time"), Form.MOMENT)]
    for way in WAYS:
        short = teller.short_way(way)
        names += [f"{way}_bits_per_second_mean", f"{way}_bits_per_second_max", f"{way}_octets"]
        columns += [
            Column(say(f"{short} 平均", f"{short} mean"), Form.RATE),
            Column(say(f"{short} 最大", f"{short} peak"), Form.RATE),
            Column(say(f"{short} オクテット", f"{short} octets"), Form.COUNT),
        ]
    columns.append(Column(say("観測率", "observed"), Form.RATIO))
    title = say(f"5分値 {teller.line(line)}", f"5 min {teller.line(line)}")
    return Table(f"raw-{line}", title, tuple(columns), tuple(inside.select(*names, "coverage_ratio").iter_rows()))
