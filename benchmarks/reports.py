"""What reports cost: 33 tenants x 6 months of five-minute data, two lines, both directions, as PDF and XLSX.

Run `python -m benchmarks.reports` for the table of docs/performance.md, `--quick --json` for one JSON line at the end.

The estate is the example of the prefecture; the half-year is invented by `hinomi lab history` (tenants, lines,
circuits, 72 devices, 14 services, alerts). Each run is the command itself in a process of its own, from its start to
its end. Memory is the largest sum over all its processes, looked at every 50 ms (what two of them share counts once).
--quick invents the half-year of tenants and lines alone and measures each once; where the machine is so busy that one
tenant takes long, it measures nine and goes on in proportion to 33, and its JSON says so.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from poller.config import load
from poller.estate import Estate
from poller.reports.periods import Kind, Period
from poller.schema import SCHEMA
from poller.storage.parquet import ParquetStore

HERE = Path(__file__).parent.parent
EXAMPLE = HERE / "config" / "examples" / "prefecture"
HALF = Period(Kind.SEMIANNUAL, date(2026, 4, 1), ZoneInfo("Asia/Tokyo"))
SLOT_NS = 300 * 10**9
TENANTS = 33
QUICK_TENANTS = 9
AT_ONCE = 11
"""Tenants in one file of a day: a compacted store has few."""
BUSY_SECONDS = 5.0
"""One tenant taking longer than this, all of them would not be done in the time that --quick has."""
GOAL_ALL, GOAL_ONE, GOAL_MB = 60.0, 3.0, 1000


def invent_quickly(estate: Estate, store: ParquetStore) -> None:
    """Every tenant and line of the half-year with plain curves: what the reports of tenants read."""
    slots = pl.int_range(HALF.start_ns // SLOT_NS, HALF.end_ns // SLOT_NS, eager=True)
    wave = ((slots % 288) * 37 % 101).cast(pl.Float64) / 100
    tenants = list(enumerate(estate.tenants.values(), 1))
    for first in range(0, len(tenants), AT_ONCE):
        frames = [
            frame_of("tenant_5m", {"tenant": tenant.id, "line": line}, slots, wave * number * 1e6)
            for number, tenant in tenants[first : first + AT_ONCE]
            for line in [*dict.fromkeys(entry.line for entry in tenant.attachments), "total"]
        ]
        store.write_frame("tenant_5m", pl.concat(frames), f"tenants{first}")
    for group in estate.line_groups:
        store.write_frame("line_group_5m", frame_of("line_group_5m", {"line_group": group}, slots, wave * 5e8), group)


def frame_of(measurement: str, tags: dict[str, str], slots: pl.Series, rate: pl.Series) -> pl.DataFrame:
    kinds = {entry.name: pl.Int64 if entry.kind is int else pl.Float64 for entry in SCHEMA[measurement].fields}
    known = {"coverage_ratio": rate * 0 + 1.0}
    for way in ("in", "out"):
        known |= {
            f"{way}_octets": (rate * 300 / 8).cast(pl.Int64),
            f"{way}_bits_per_second_mean": rate,
            f"{way}_bits_per_second_max": rate * 1.3,
        }
    return pl.DataFrame({"time_ns": slots * SLOT_NS}).with_columns(
        *(pl.lit(value).alias(name) for name, value in tags.items()),
        *(known[name].alias(name) if name in known else pl.lit(None, kind).alias(name) for name, kind in kinds.items()),
    )


def invent_whole(store: Path) -> None:
    """A past of everything, long enough to hold the half-year."""
    days = (date.today() - HALF.first).days + 1  # noqa: DTZ011 - a day more or less does not matter
    run("lab", "history", "-c", str(EXAMPLE), "--days", str(days), "--store", str(store), "--seed", "1")


def run(*arguments: str) -> tuple[float, float]:
    """Run the command; seconds and the largest megabytes of all its processes."""
    begun = time.perf_counter()
    command = (sys.executable, "-m", "poller.cli", *arguments)
    process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL)
    most = 0.0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.05):
            most = max(most, resident_mb(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.perf_counter() - begun
    over.set()
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return seconds, most


def resident_mb(pid: int) -> float:
    """Resident memory of a process and all its descendants; what two of them share counts once (Pss)."""
    total = 0.0
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
            children = Path(f"/proc/{each}/task/{each}/children").read_text(encoding="ascii").split()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1000
        waiting += [int(child) for child in children]
    return total


def report(store: Path, out: Path, tenants: list[str]) -> tuple[float, float]:
    shutil.rmtree(out, ignore_errors=True)
    chosen = [part for tenant in tenants for part in ("--tenant", tenant)]
    options = ("--store", str(store), "--out", str(out), "--period", HALF.key, "--format", "pdf,xlsx")
    return run("report", "semiannual", "-c", str(EXAMPLE), *options, *chosen)


def measure(folder: Path, *, quick: bool) -> dict[str, float]:
    estate = load(EXAMPLE).estate
    store, out = folder / "store", folder / "out"
    everybody = list(estate.tenants)
    counted = TENANTS
    if quick:
        invent_quickly(estate, ParquetStore(store))
        one, _ = report(store, out, everybody[:1])
        if one <= BUSY_SECONDS:
            seconds, most = report(store, out, everybody)
        else:
            counted = QUICK_TENANTS
            some, most = report(store, out, everybody[:counted])
            seconds = one + (some - one) / (counted - 1) * (TENANTS - 1)
    else:
        invent_whole(store)
        one = statistics.median(report(store, out, everybody[:1])[0] for _ in range(3))
        seconds, most = report(store, out, everybody)
    return {
        "seconds_33_tenants": round(seconds, 2),
        "seconds_one_tenant": round(one, 2),
        "peak_mb": round(most),
        "tenants_measured": counted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hinomi-reports-") as folder:
        found = measure(Path(folder), quick=asked.quick)
    goals = {"seconds_33_tenants": GOAL_ALL, "seconds_one_tenant": GOAL_ONE, "peak_mb": GOAL_MB}
    print("| figure | measured | goal |\n|---|---|---|")
    for name, goal in goals.items():
        print(f"| {name} | {found[name]} | at most {goal:g} |")
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"\nPython {platform.python_version()}, polars {pl.__version__}, {machine}")
    if asked.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
