"""What reports read from a store, whichever it is: five-minute rows by series, and the changes of alerts."""

from collections.abc import Collection, Sequence
from typing import Final

import polars as pl

from poller.storage.errors import HistoryError
from poller.storage.history import History

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
    "memory_ratio_mean",
    "memory_ratio_max",
    "sessions_max",
    "sessions_limit_max",
    "sessions_ratio_max",
    "round_trip_loss_ratio_mean",
)
SERVICE: Final = ("response_seconds_mean", "response_seconds_max", "certificate_days_max")
INCIDENT: Final = (
    "incident",
    "scope",
    "title_ja",
    "title_en",
    "tenants",
    "first_notice_seconds",
    "second_notice_seconds",
    "acknowledged_by",
    "merged_into",
)
_ALERTS_BEFORE_NS: Final = 62 * DAY_NS
"""How long before a period a fault may have begun that still lasted in it."""

Span = tuple[int, int]
"""Half-open, UTC unix nanoseconds."""


class Records:
    """The one way of a report to a store; every answer is a mapping from a series to its rows in order of time."""

    def __init__(self, history: History) -> None:
        self._history = history

    def traffic(self, measurement: str, tag: str, ids: Collection[str], span: Span) -> dict[str, pl.DataFrame]:
        """Rows (time_ns, TRAFFIC, coverage_ratio) of circuits or line groups by id; an id without rows is absent."""
        rows = self._read(measurement, TRAFFIC, {tag: ids}, span)
        return {str(key[0]): frame for key, frame in rows.partition_by(tag, as_dict=True).items()}

    def tenants(self, ids: Collection[str], span: Span) -> dict[tuple[str, str], pl.DataFrame]:
        """Rows of tenants by (tenant, line); line "total" is all lines together."""
        rows = self._read("tenant_5m", TRAFFIC, {"tenant": ids}, span)
        groups = rows.partition_by("tenant", "line", as_dict=True)
        return {(str(tenant), str(line)): frame for (tenant, line), frame in groups.items()}

    def devices(self, ids: Collection[str], span: Span) -> dict[str, pl.DataFrame]:
        """Rows (time_ns, DEVICE, coverage_ratio) by device."""
        rows = self._read("device_5m", DEVICE, {"device": ids}, span)
        return {str(key[0]): frame for key, frame in rows.partition_by("device", as_dict=True).items()}

    def services(self, ids: Collection[str], span: Span) -> dict[str, pl.DataFrame]:
        """Rows (time_ns, SERVICE, coverage_ratio) by service."""
        rows = self._read("service_5m", SERVICE, {"service": ids}, span)
        return {str(key[0]): frame for key, frame in rows.partition_by("service", as_dict=True).items()}

    def alerts(self, span: Span) -> pl.DataFrame:
        """Changes of alerts (time_ns, rule, subject, severity, state, incident) that may touch the span, by time."""
        rows = self._history.read("alert", ("state", "incident"), start_ns=span[0] - _ALERTS_BEFORE_NS, end_ns=span[1])
        return rows.sort("time_ns")

    def incidents(self, span: Span) -> pl.DataFrame:
        """What is kept of each incident that may touch the span (columns INCIDENT)."""
        rows = self._history.read("incident", INCIDENT, start_ns=span[0] - _ALERTS_BEFORE_NS, end_ns=span[1])
        return rows.sort("time_ns")

    def notifications(self, span: Span) -> pl.DataFrame:
        """Number of notifications by device, name and severity (columns device, name, severity, count)."""
        rows = self._history.read("notification", ("text",), start_ns=span[0], end_ns=span[1])
        return (
            rows.group_by("device", "name", "severity").len("count").sort("count", "device", descending=[True, False])
        )

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
        for measurement in ("line_group_5m", "circuit_5m", "tenant_5m", "device_5m"):
            if not self._history.read(measurement, ("coverage_ratio",), start_ns=span[0], end_ns=span[1]).is_empty():
                return True
        return False

    def _read(
        self, measurement: str, fields: Sequence[str], where: dict[str, Collection[str]], span: Span
    ) -> pl.DataFrame:
        return self._history.read(measurement, fields, where, start_ns=span[0], end_ns=span[1])
