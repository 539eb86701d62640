"""Five-minute rows as tables, for those who want to calculate themselves. Pure."""

from collections.abc import Mapping

import numpy as np

from poller.reports.document import Column, Form, Table
from poller.reports.figures import WAYS, Floats, Series
from poller.reports.periods import Period
from poller.reports.telling import Teller


def raw_tables(rows: Mapping[str, Series], period: Period, teller: Teller) -> tuple[Table, ...]:
    """One table a line (of a tenant, or a line group): time, mean, peak and octets of both directions, coverage."""
    return tuple(_raw(line, series, period, teller) for line, series in rows.items())


def _raw(line: str, series: Series, period: Period, teller: Teller) -> Table:
    say = teller.say
    inside = series.within(period.start_ns, period.end_ns)
    columns, values = [Column(say("時刻", "time"), Form.MOMENT)], [inside.time_ns.tolist()]
    for way in WAYS:
        short = teller.short_way(way)
        columns += [
            Column(say(f"{short} 平均", f"{short} mean"), Form.RATE),
            Column(say(f"{short} 最大", f"{short} peak"), Form.RATE),
            Column(say(f"{short} オクテット", f"{short} octets"), Form.COUNT),
        ]
        values += [_or_none(inside.means[way]), _or_none(inside.maxima[way]), inside.octets[way].tolist()]
    columns.append(Column(say("観測率", "observed"), Form.RATIO))
    values.append(inside.coverage.tolist())
    title = say(f"5分値 {teller.line(line)}", f"5 min {teller.line(line)}")
    return Table(f"raw-{line}", title, tuple(columns), tuple(zip(*values, strict=True)))


def _or_none(values: Floats) -> list[float | None]:
    return [None if unknown else value for value, unknown in zip(values.tolist(), np.isnan(values), strict=True)]
