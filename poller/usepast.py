"""What tenants used before the daemon began to count, from history: for a start without a checkpoint."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from poller.accounts import SLOT_NS, SlotTotals
from poller.caps import PastUse
from poller.contracts import tenant_account
from poller.estate import Estate
from poller.percentiles import BIN_NS
from poller.storage.history import History
from poller.tenants import TOTAL
from poller.volumes import KEEP_DAYS, month_bounds_ns

_SECOND_NS: Final = 10**9
_DAY_NS: Final = 86_400 * _SECOND_NS
_DAYS_AT_ONCE: Final = 10
_KEYS: Final = ("tenant", "line")
_OCTETS: Final = ("in_octets", "out_octets")
_RATES: Final = ("in_bits_per_second", "out_bits_per_second")


def past_use(history: History, estate: Estate, now_ns: int) -> Mapping[str, PastUse]:
    """By account, the use that Usage keeps: 70 days, and the bins of this month where a percentile is capped."""
    zone = ZoneInfo(estate.organisation.timezone)
    month_ns, _ = month_bounds_ns(datetime.fromtimestamp(now_ns // _SECOND_NS, zone).date(), zone)
    binned = {
        (tenant.id, cap.line or TOTAL)
        for tenant in estate.tenants.values()
        for cap in tenant.caps
        if cap.percentile_95 is not None
    }
    days: dict[str, list[SlotTotals]] = {}
    windows: dict[str, list[SlotTotals]] = {}
    until: dict[str, int] = {}
    for rows in _rows(history, estate, now_ns):
        for day in _by_day(rows, zone).iter_rows(named=True):
            account = _account(day["tenant"], day["line"])
            until[account] = max(day["until_ns"], until.get(account, 0))
            days.setdefault(account, []).append(_totals(account, day))
        month = rows.filter(pl.col("time_ns") >= month_ns) if binned else rows.clear()
        for window in month.iter_rows(named=True):
            if (window["tenant"], window["line"]) in binned:
                account = _account(window["tenant"], window["line"])
                windows.setdefault(account, []).append(_totals(account, window))
    return {
        account: PastUse(until[account], tuple(each), tuple(windows.get(account, ()))) for account, each in days.items()
    }


def _rows(history: History, estate: Estate, now_ns: int) -> Iterator[pl.DataFrame]:
    """Windows of five minutes some days at a time, so that memory stays flat; then the minutes after the last."""
    told: dict[tuple[str, str], int] = {}
    names = [f"{name}_mean" for name in _RATES]
    where = {"tenant": list(estate.tenants)}
    start_ns = now_ns - KEEP_DAYS * _DAY_NS
    for begin_ns in range(start_ns, now_ns, _DAYS_AT_ONCE * _DAY_NS):
        end_ns = min(now_ns, begin_ns + _DAYS_AT_ONCE * _DAY_NS)
        frame = history.read("tenant_5m", [*_OCTETS, *names], where, start_ns=begin_ns, end_ns=end_ns)
        for tenant, line, last_ns in frame.group_by(_KEYS).agg(pl.col("time_ns").max()).iter_rows():
            told[tenant, line] = last_ns + BIN_NS
        yield _used(frame.rename(dict(zip(names, _RATES, strict=True))), BIN_NS)
    frame = history.read("tenant", [*_OCTETS, *_RATES], where, start_ns=now_ns - _DAY_NS, end_ns=now_ns)
    after = [row[2] >= told.get(row[:2], 0) for row in frame.select(*_KEYS, "time_ns").iter_rows()]
    yield _used(frame.filter(pl.Series(after, dtype=pl.Boolean)), SLOT_NS)


def _used(frame: pl.DataFrame, length_ns: int) -> pl.DataFrame:
    """Octets, those of them of which nobody knows the moment, and the observed time of each row."""
    observed = (pl.col("coverage_ratio") * length_ns).round(0).cast(pl.Int64)
    frame = frame.with_columns(pl.col(_OCTETS).fill_null(0), observed.alias("observed_ns"))
    gaps = [
        (pl.col(octets) - (pl.col(rate).fill_null(0.0) * pl.col("observed_ns") / 8e9).round(0).cast(pl.Int64))
        .clip(lower_bound=0)
        .alias(octets.replace("_octets", "_gap_octets"))
        for octets, rate in zip(_OCTETS, _RATES, strict=True)
    ]
    return frame.with_columns(*gaps, (pl.col("time_ns") + length_ns).alias("until_ns"))


def _by_day(rows: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """One row a tenant, line and local day; its time_ns is that of the day's first row."""
    local = pl.from_epoch(pl.col("time_ns") // _SECOND_NS, time_unit="s").dt.replace_time_zone("UTC")
    date = local.dt.convert_time_zone(zone.key).dt.date().alias("date")
    sums = pl.col(*_OCTETS, "in_gap_octets", "out_gap_octets", "observed_ns").sum()
    return rows.group_by(*_KEYS, date).agg(pl.col("time_ns").min(), pl.col("until_ns").max(), sums)


def _totals(account: str, row: Mapping[str, int]) -> SlotTotals:
    observed_ns = row["observed_ns"]
    return SlotTotals(
        account,
        start_ns=row["time_ns"],
        in_octets=row["in_octets"],
        out_octets=row["out_octets"],
        in_gap_octets=row["in_gap_octets"],
        out_gap_octets=row["out_gap_octets"],
        covered_ns=observed_ns,
        observed_ns=observed_ns,
        members=1,
        slot_ns=row["until_ns"] - row["time_ns"],
    )


def _account(tenant: str, line: str) -> str:
    return tenant_account(tenant, None if line == TOTAL else line)
