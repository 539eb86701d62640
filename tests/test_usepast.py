"""What tenants used before the first start: from the store into volumes and percentiles, each octet once."""

import asyncio
import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from poller import checkpoint
from poller.config import load
from poller.contracts import contracts_of
from poller.daemon import Daemon
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore
from poller.tenants import Tenants
from poller.usepast import past_use

JST = ZoneInfo("Asia/Tokyo")
SECOND = 10**9
MINUTE = 60 * SECOND
WINDOW = 5 * MINUTE
NETWORK = """\
organisation: {name: Our network}
storage: {directory: state}
wall: {port: 0}
sites: {hall: {}}
devices: {fw-1: {addresses: [127.0.0.1], role: firewall, site: hall}}
contacts: {provider: {role: provider}}
circuits:
  inet: {kind: internet, ceiling_rate: 1G, measured_by: {device: fw-1, interface: wan}}
tenants:
  tsu:
    name: {ja: 津市, en: Tsu City}
    attachments: [{device: fw-1, interface: wan.1, line: inet}]
    caps: [{line: inet, direction: in, monthly_volume: 1TB, percentile_95: 100M}]
"""


def at(day: int, hour: int = 0, minute: int = 0, month: int = 11) -> int:
    return int(dt.datetime(2026, month, day, hour, minute, tzinfo=JST).timestamp()) * SECOND


def keep(
    folder: Path, name: str, starts: Sequence[int], octets: int, *, tenant: str = "tsu", coverage: float = 1.0
) -> None:
    """Rows of one tenant's line; the rate is that of the octets over the observed time, unless there is none."""
    length, mean = (WINDOW, "_mean") if name.endswith("_5m") else (MINUTE, "")
    rate = octets * 8e9 / (length * coverage) if coverage else None
    columns: dict[str, Any] = {
        "time_ns": list(starts),
        "tenant": tenant,
        "line": "inet",
        "in_octets": octets,
        "out_octets": 1,
        "coverage_ratio": coverage,
    }
    frame = pl.DataFrame(columns).with_columns(pl.lit(rate, pl.Float64).alias(f"in_bits_per_second{mean}"))
    ParquetStore(folder).write_frame(name, frame, f"{tenant}-{starts[0]}")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "hinomi.yaml").write_text(NETWORK, encoding="utf-8")
    return tmp_path


def learnt(network: Path, now_ns: int) -> Tenants:
    estate = load(network).estate
    tenants = Tenants(contracts_of(estate), JST)
    tenants.remember(past_use(open_history(network / "store"), estate, now_ns))
    return tenants


def figures(tenants: Tenants) -> dict[str, tuple[float, int | None]]:
    return {status.kind: (status.value, status.projected) for status in tenants.caps()}


def test_the_month_goes_on_from_windows_and_from_the_minutes_after_them(network: Path) -> None:
    """Minutes that a window holds already do not count twice; last month's do not count at all (R64)."""
    store = network / "store"
    keep(store, "tenant_5m", [at(31, 23, 55, month=10)], 7_000_000)
    keep(store, "tenant_5m", [at(1, 0, 0), at(1, 0, 5), at(20, 12, 0)], 1_000_000)
    keep(store, "tenant", [at(20, 12, 0), at(20, 12, 4), at(20, 12, 5), at(20, 12, 6)], 200_000)
    keep(store, "tenant_5m", [at(20, 12, 0)], 99_000_000, tenant="unattributed")
    tenants = learnt(network, at(20, 12, 8))
    assert 3_400_000.0 == figures(tenants)["monthly_volume"][0]


def test_the_percentile_of_the_month_knows_its_bins_before_the_start(network: Path) -> None:
    """Octets of a gap are part of the volume and of no bin (R33, R63)."""
    store = network / "store"
    starts = [at(1) + number * WINDOW for number in range(288)]
    keep(store, "tenant_5m", starts[:270], 37_500_000)
    keep(store, "tenant_5m", starts[270:287], 375_000_000)
    keep(store, "tenant_5m", starts[287:], 9_000_000_000, coverage=0.0)
    tenants = learnt(network, starts[-1] + WINDOW)
    (status,) = [each for each in tenants.caps() if each.kind == "percentile_95"]
    assert (10_000_000.0, False) == (status.value, status.provisional)  # rank 273 of 287 is the first of 10M
    assert 270 * 37_500_000 + 17 * 375_000_000 + 9_000_000_000 == figures(tenants)["monthly_volume"][0]


def test_typical_days_of_the_past_project_the_month(network: Path) -> None:
    """Ten whole days of the same use: the month will have thirty of them."""
    starts = [at(1) + number * WINDOW for number in range(10 * 288)]
    keep(network / "store", "tenant_5m", starts, 1_000_000)
    value, projected = figures(learnt(network, at(11)))["monthly_volume"]
    assert 10 * 288 * 1e6 == value
    assert pytest.approx(30 * 288 * 10**6, rel=1e-5) == projected  # a second of the tenth day is still to come


def test_without_a_store_nothing_was_used(network: Path) -> None:
    assert {} == figures(learnt(network, at(11)))


async def test_a_daemon_without_a_checkpoint_learns_what_was_used_and_does_so_once(network: Path) -> None:
    now_ns = time.time_ns()
    keep(network / "state" / "store", "tenant_5m", [now_ns // WINDOW * WINDOW - WINDOW], 1_000_000)
    for _ in range(2):
        daemon = Daemon(load(network))
        ready = asyncio.Event()
        task = asyncio.create_task(daemon.run(lambda _url, ready=ready: ready.set()))
        await asyncio.wait({task, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        daemon.stop()
        await task
        usage = checkpoint.load(network / "state" / "checkpoint")["pipeline"]["tenants"]["usage"]
        assert [[1_000_000, 1]] == [day[1:3] for day in usage["tenant/tsu/inet"]["volumes"]]
