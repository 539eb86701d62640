"""What reports read from a store, whichever it is: five-minute rows by series, and the changes of alerts."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import polars as pl

from poller.reports.figures import Series, series_of
from poller.storage.errors import HistoryError
from poller.storage.history import History, Where

DAY_NS: Final = 86400 * 10**9
TRAFFIC: Final = (
    "in_bits_per_second_mean",
    "in_bits_per_second_max",
    "out_bits_per_second_mean",
    "out_bits_per_second_max",
    "in_octets",
    "out_octets",
)
DEVICE: Final = (
    "cpu_ratio_mean",
    "cpu_ratio_max",
    "memory_ratio_max",
    "sessions_max",
    "sessions_limit_max",
)
SERVICE: Final = ("response_seconds_mean", "certificate_days_max")
INCIDENT: Final = (
    "incident",
    "scope",
    "title_ja",
    "title_en",
    "tenants",
    "excluded",
    "first_notice_seconds",
    "second_notice_seconds",
    "acknowledged_by",
    "merged_into",
)
_ALERTS_BEFORE_NS: Final = 62 * DAY_NS
"""How long before a period a fault may have begun that still lasted in it."""

_LEAST_DAYS, _MOST_DAYS = 8, 64
_SERIES_DAYS: Final = 300
"""How much is read at once: days times things asked for, each of which may have three series; about 100 MB."""

Span = tuple[int, int]
"""Half-open, UTC unix nanoseconds."""


class Records:
    """The one way of a report to a store; every answer is a mapping from a series to its rows in order of time."""

    def __init__(self, history: History) -> None:
        self._history = history

    def traffic(self, measurement: str, tag: str, ids: Collection[str], span: Span) -> dict[str, Series]:
        """Rows of circuits or line groups by id; an id without rows is absent."""
        return {key[0]: series for key, series in self._series(measurement, {tag: ids}, (tag,), span)}

    def tenants(self, ids: Collection[str], span: Span) -> dict[tuple[str, str], Series]:
        """Rows of tenants by (tenant, line); line "total" is all lines together."""
        found = self._series("tenant_5m", {"tenant": ids}, ("tenant", "line"), span)
        return {(key[0], key[1]): series for key, series in found}

    def _series(
        self, measurement: str, where: Where, tags: Sequence[str], span: Span
    ) -> Iterator[tuple[tuple[str, ...], Series]]:
        found = self._by_series(measurement, TRAFFIC, where, tags, span)
        while found:  # what was taken over is let go, so that nothing is held twice
            key, frames = found.popitem()
            yield key, series_of(frames)

    def tenants_octets(self, ids: Collection[str], span: Span) -> dict[str, int]:
        """Octets of tenants over all lines and both directions; a tenant without rows is absent."""
        octets: dict[str, int] = {}
        where = {"tenant": ids, "line": ["total"]}
        for rows in self._in_order("tenant_5m", ("in_octets", "out_octets"), where, span):
            both = rows.group_by("tenant").agg(pl.col("in_octets", "out_octets").sum())
            for tenant, in_octets, out_octets in both.iter_rows():
                octets[tenant] = octets.get(tenant, 0) + in_octets + out_octets
        return octets

    def devices(self, ids: Collection[str], span: Span) -> dict[str, pl.DataFrame]:
        """Rows (time_ns, DEVICE, coverage_ratio) by device."""
        found = self._by_series("device_5m", DEVICE, {"device": ids}, ("device",), span)
        return {key[0]: pl.concat(frames) for key, frames in found.items()}

    def services(self, ids: Collection[str], span: Span) -> dict[str, pl.DataFrame]:
        """Rows (time_ns, SERVICE, coverage_ratio) by service."""
        found = self._by_series("service_5m", SERVICE, {"service": ids}, ("service",), span)
        return {key[0]: pl.concat(frames) for key, frames in found.items()}

    def alerts(self, span: Span) -> pl.DataFrame:
        """Changes of alerts (time_ns, rule, subject, severity, state, incident) that may touch the span, by time."""
        rows = self._history.read("alert", ("state", "incident"), start_ns=span[0] - _ALERTS_BEFORE_NS, end_ns=span[1])
        return rows.sort("time_ns")

    def incidents(self, span: Span) -> pl.DataFrame:
        """What is kept of each incident that may touch the span (columns INCIDENT)."""
        rows = self._history.read("incident", INCIDENT, start_ns=span[0] - _ALERTS_BEFORE_NS, end_ns=span[1])
        return rows.sort("time_ns")

    def notifications(self, span: Span) -> pl.DataFrame:
        """Number of notifications by device, name and severity (columns device, name, severity, count).

        What one stands for is counted too: repeats within seconds are kept as one with their number (R47).
        """
        rows = self._history.read("notification", ("text", "count"), start_ns=span[0], end_ns=span[1])
        known = rows.group_by("device", "name", "severity").agg(pl.col("count").fill_null(1).sum())
        return known.sort("count", "device", descending=[True, False])

    def peak_minute(self, measurement: str, where: dict[str, str], field: str, window_ns: int) -> int | None:
        """The minute of the highest value within a five-minute window, where raw rows are still kept."""
        try:
            rows = self._history.read(measurement, (field,), where, start_ns=window_ns, end_ns=window_ns + 300 * 10**9)
        except HistoryError:
            return None
        known = rows.filter(pl.col(field).is_not_null())
        if known.is_empty():
            return None
        return int(known.sort(field, "time_ns", descending=[True, False])["time_ns"][0])

    def has_rows(self, span: Span) -> bool:
        """Whether anything at all is kept of the span."""
        return any(
            not rows.is_empty()
            for measurement in ("line_group_5m", "circuit_5m", "tenant_5m", "device_5m")
            for rows in self._in_order(measurement, ("coverage_ratio",), {}, span)
        )

    def _by_series(
        self, measurement: str, fields: Sequence[str], where: Where, tags: Sequence[str], span: Span
    ) -> dict[tuple[str, ...], list[pl.DataFrame]]:
        """The rows of every series in frames in order of time."""
        found: dict[tuple[str, ...], list[pl.DataFrame]] = {}
        for rows in self._in_order(measurement, fields, where, span):
            for key, frame in rows.partition_by(tags, as_dict=True, include_key=False).items():
                found.setdefault(tuple(map(str, key)), []).append(frame.select("time_ns", *fields, "coverage_ratio"))
        return found

    def _in_order(self, measurement: str, fields: Sequence[str], where: Where, span: Span) -> Iterator[pl.DataFrame]:
        """The span in parts that fit in memory; a part holds every series, so that each file is opened once."""
        things = max((len(values) for values in where.values()), default=1)
        part_ns = min(_MOST_DAYS, max(_LEAST_DAYS, _SERIES_DAYS // max(1, things))) * DAY_NS
        for start_ns in range(span[0], span[1], part_ns):
            end_ns = min(span[1], start_ns + part_ns)
            yield self._history.read(measurement, fields, where, start_ns=start_ns, end_ns=end_ns)
