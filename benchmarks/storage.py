"""Storage: how fast samples become durable and lines are made, how long the loop stalls, how fast stores catch up.

python -m benchmarks.storage [--quick] [--json]: the workload is one poll of 1,000 devices x 48 interfaces (48,000
samples of 20 fields; --quick: 250 devices), which comes once a minute: 800 samples a second are "real time". InfluxDB
1.6 and VictoriaMetrics are Debian's, started here on loopback; a row whose server is not installed is left out.
"""

import argparse
import asyncio
import gc
import importlib.metadata
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from influxdb_client import Point

from benchmarks import loop_stall
from benchmarks.storage_stores import INTERFACES, LIMITS, REAL_TIME, Report, measure_stores
from poller.sample import FieldValue, Sample
from poller.schema import SCHEMA
from poller.storage.encoding import make_blocks
from poller.storage.journal import Journal
from poller.storage.lines import LineEncoder

_BUSY = 4


def polls_of(devices: int, at_ns: int, seed: int = 1) -> list[list[Sample]]:
    """What one poll yields: a list of samples a device, counters and rates of a busy network."""
    chance = random.Random(seed)
    fields = SCHEMA["interface"].fields
    polls: list[list[Sample]] = []
    for device in range(devices):
        samples: list[Sample] = []
        for interface in range(INTERFACES):
            values: dict[str, FieldValue] = {}
            for entry in fields:
                if entry.kind is int:
                    values[entry.name] = 1 if entry.name == "oper_status" else chance.randrange(2**44)
                elif entry.kind is float:
                    values[entry.name] = 0.0 if "err" in entry.name or "disc" in entry.name else chance.random() * 1e8
            values["quality"] = "observed"
            tags = (("device", f"sw-{device:04d}"), ("interface", f"Gi1/0/{interface}"))
            samples.append(Sample("interface", tags, values, at_ns))
        polls.append(samples)
    return polls


def _fields(polls: Sequence[Sequence[Sample]]) -> int:
    return sum(len(sample.fields) for samples in polls for sample in samples)


async def _journal_once(folder: Path, polls: Sequence[Sequence[Sample]]) -> tuple[float, float, int]:
    """Wall and CPU seconds from the first append to the acknowledged last record, and octets on disk."""
    total = sum(map(len, polls))
    async with Journal(folder / "journal.sqlite", ["reader"], LIMITS) as journal:
        reader = journal.reader("reader")
        begun, cpu = time.perf_counter(), time.process_time()
        for samples in polls:
            journal.append(samples)
        await journal.flush()
        octets = journal.state.octets
        seen = 0
        while seen < total:
            record = await reader.next()
            seen += record.sample_count
            reader.acknowledge(record.number)
        await journal.flush()
        assert journal.state.depth == 0
        return time.perf_counter() - begun, time.process_time() - cpu, octets


def measure_journal(report: Report, polls: Sequence[Sequence[Sample]], rounds: int) -> None:
    """Samples to acknowledged records."""
    times: list[tuple[float, float, int]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            times.append(asyncio.run(_journal_once(Path(folder), polls)))
    fields, samples = _fields(polls), sum(map(len, polls))
    wall, cpu = statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)
    text = f"{fields / wall:,.0f} fields/s, {samples / wall:,.0f} samples/s; CPU {cpu / fields * 1e6:.2f} us a field"
    report.add("fields_per_second", fields / wall, text)
    octets = times[0][2] / samples
    report.add("journal_octets_per_sample", octets, f"{octets:.0f} octets a sample of 20 fields (random values)")


def measure_encoding(report: Report, polls: Sequence[Sequence[Sample]], rounds: int) -> None:
    """Our lines against influxdb-client's Point.to_line_protocol, by turns, the same samples."""
    samples = [sample for poll in polls for sample in poll][:2_000]
    blocks = make_blocks(samples)
    encoder = LineEncoder()

    def ours() -> int:
        return sum(len(encoder.lines(block)) for block in blocks)

    def ours_from_samples() -> int:
        return sum(len(encoder.lines(block)) for block in make_blocks(samples))

    def point() -> int:
        count = 0
        for sample in samples:
            built = Point(sample.measurement)
            for name, text in sample.tags:
                built.tag(name, text)
            for name, value in sample.fields.items():
                built.field(name, value)
            count += bool(built.time(sample.time_ns).to_line_protocol())
        return count

    seconds = _by_turns([ours, ours_from_samples, point], 5 * rounds)
    per_line = [s / len(samples) * 1e6 for s in seconds]
    ratio = seconds[2] / seconds[0]
    report.add(
        "encode_over_point",
        ratio,
        f"{ratio:.1f} x as fast: {per_line[0]:.2f} us a line of 20 fields, Point {per_line[2]:.0f}",
    )
    whole = seconds[2] / seconds[1]
    report.add("encode_from_samples_over_point", whole, f"{whole:.1f} x, tables made from samples included")


def _by_turns(ways: Sequence[Callable[[], int]], rounds: int) -> list[float]:
    """The least seconds of each, measured in turn: what the machine's other work adds is not the code's."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for way, seconds in zip(ways, times, strict=True):
            begun = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - begun)
    return [min(seconds) for seconds in times]


def measure_stall(report: Report, polls: Sequence[Sequence[Sample]], seconds: float, rounds: int) -> None:
    """The loop's longest stall with journal, Parquet and lines at ten times real time; also on a busy machine."""
    without, calm, crowded = loop_stall.Longest(), loop_stall.Longest(), loop_stall.Longest()
    for _ in range(rounds):
        without.take(loop_stall.measure(polls, seconds, None))
        calm.take(loop_stall.measure(polls, seconds, 10 * REAL_TIME))
        with loop_stall.busy(_BUSY):
            crowded.take(loop_stall.measure(polls, seconds, 10 * REAL_TIME))
    worst = max(calm.ours, crowded.ours)
    text = f"{worst:.1f} ms of our own doing, in the worst of {2 * rounds} runs at 10 x real time; "
    report.add("loop_stall_ms", worst, text + f"{max(calm.computed, crowded.computed):.1f} ms in the loop's own thread")
    for key, found, where in (
        ("loop_stall_wall_ms", calm, "waiting for a processor included"),
        ("loop_stall_busy_wall_ms", crowded, f"the same beside {_BUSY} processes that compute all the time"),
        ("loop_stall_empty_wall_ms", without, "the same loop without storage"),
    ):
        report.add(key, found.wall, f"{found.wall:.1f} ms by the clock, {where}")


def _machine() -> str:
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("msgspec", "polars", "influxdb-client")
    )
    build = "with PGO" if "pgo" in (sys.flags and str(platform.python_build())).lower() else ""
    return (
        f"CPython {platform.python_version()} {build}".strip()
        + f", {versions}, {platform.machine()}, {platform.system()}"
    )


def main() -> None:
    """Measure, print the table, and as the last line the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smaller workload, under 50 s")
    options.add_argument("--json", action="store_true", help="only the last line")
    chosen = options.parse_args()
    devices, rounds, minutes = (250, 3, 2) if chosen.quick else (1_000, 7, 5)
    polls = polls_of(devices, int(time.time()) // 60 * 60 * 10**9 - 3600 * 10**9)
    gc.collect()
    gc.freeze()  # the workload itself is no garbage: walking it would be counted as a stall of storage
    report = Report()
    measure_journal(report, polls, rounds)
    measure_encoding(report, polls, rounds)
    measure_stall(report, polls, 1.5 if chosen.quick else 10.0, 2 if chosen.quick else 3)
    measure_stores(report, polls, minutes)
    if not chosen.json:
        print(f"{_machine()}; {devices} devices x {INTERFACES} interfaces\n\n| what | measured |\n|---|---|")
        for key, text in report.rows:
            print(f"| {key} | {text} |")
    print(json.dumps(report.figures))


if __name__ == "__main__":
    main()
