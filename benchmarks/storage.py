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
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from influxdb_client import Point

from poller.sample import FieldValue, Sample
from poller.schema import SCHEMA
from poller.storage.delivery import DeliverySettings, DeliveryState, Store, run_reader
from poller.storage.encoding import encode, make_blocks
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal, JournalLimits
from poller.storage.lines import LineEncoder
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record

_INTERFACES = 48
_REAL_TIME = 1_000 * _INTERFACES / 60
_LIMITS = JournalLimits(keep_free_octets=0)


@dataclass
class _Report:
    """The figures, and the rows of the table."""

    figures: dict[str, float] = field(default_factory=dict)
    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, value: float, text: str) -> None:
        self.figures[key] = round(value, 3)
        self.rows.append((key, text))


def _polls(devices: int, at_ns: int, seed: int = 1) -> list[list[Sample]]:
    """What one poll yields: a list of samples a device, counters and rates of a busy network."""
    chance = random.Random(seed)
    fields = SCHEMA["interface"].fields
    polls: list[list[Sample]] = []
    for device in range(devices):
        samples: list[Sample] = []
        for interface in range(_INTERFACES):
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
    async with Journal(folder / "journal.sqlite", ["reader"], _LIMITS) as journal:
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


def measure_journal(report: _Report, polls: Sequence[Sequence[Sample]], rounds: int) -> None:
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


def measure_encoding(report: _Report, polls: Sequence[Sequence[Sample]], rounds: int) -> None:
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


async def _stall_once(folder: Path, polls: Sequence[Sequence[Sample]], seconds: float, stores: int) -> float:
    """The longest turn of the loop, ms, while polls stream in at ten times real time (stores 0: the empty loop)."""
    longest = 0.0
    running = True

    async def tick() -> None:
        nonlocal longest
        while running:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before - 0.001)

    ticking = asyncio.create_task(tick())
    if not stores:
        await asyncio.sleep(seconds)
    else:
        names = [f"parquet{n}" for n in range(stores)]
        async with Journal(folder / "journal.sqlite", names, _LIMITS) as journal:
            tasks = [
                asyncio.create_task(run_reader(journal.reader(name), ParquetStore(folder / name))) for name in names
            ]
            ends = time.perf_counter() + seconds
            pause = _INTERFACES / (10 * _REAL_TIME)
            while time.perf_counter() < ends:
                for samples in polls:
                    journal.append(samples)
                    await asyncio.sleep(pause)
                    if time.perf_counter() >= ends:
                        break
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    running = False
    await ticking
    return longest * 1e3


def measure_stall(report: _Report, polls: Sequence[Sequence[Sample]], seconds: float, rounds: int) -> None:
    """The loop's longest stall with journal and Parquet at ten times real time, and without them."""
    stalls: list[float] = []
    empty: list[float] = []
    for _ in range(rounds):
        for stores, found in ((0, empty), (1, stalls)):
            with tempfile.TemporaryDirectory() as folder:
                found.append(asyncio.run(_stall_once(Path(folder), polls, seconds, stores)))
    # what storage does comes in every run, what else the machine does comes in some: the calmest run tells
    calm = f"in the calmest of {rounds} runs, {max(stalls):.1f} in the worst"
    report.add("loop_stall_ms", min(stalls), f"{min(stalls):.1f} ms the longest stall at 10 x real time, {calm}")
    idle = f"{min(empty):.1f} ms on the same loop without storage, {max(empty):.1f} in the worst"
    report.add("loop_stall_empty_ms", min(empty), idle)


async def _drain(folder: Path, store: Store, polls: Sequence[Sequence[Sample]], minutes: int) -> tuple[float, float]:
    """Samples a second, and our CPU us a sample, out of a full journal into a store that knows the series already."""
    total = sum(map(len, polls))
    samples = [sample for poll in polls for sample in poll]
    known = Record(0, tuple(make_blocks(samples)), total, 0, encode(samples))
    await store.write([known])
    total = 0
    async with Journal(folder / "journal.sqlite", ["store"], _LIMITS) as journal:
        for minute in range(1, minutes + 1):
            for samples in polls:
                journal.append(
                    [Sample(s.measurement, s.tags, s.fields, s.time_ns + minute * 60 * 10**9) for s in samples]
                )
                total += len(samples)
            await journal.flush()
        state = DeliveryState()
        begun, cpu = time.perf_counter(), time.process_time()
        task = asyncio.create_task(
            run_reader(journal.reader("store"), store, DeliverySettings(max_samples=20_000, max_seconds=0.1), state)
        )
        while state.done_total < total and state.failed_total == 0:  # noqa: ASYNC110 - plain numbers on purpose
            await asyncio.sleep(0.01)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if state.last_error:
        raise RuntimeError(state.last_error)
    return total / seconds, cpu / total * 1e6


def measure_stores(report: _Report, polls: Sequence[Sequence[Sample]], minutes: int) -> None:
    """How fast each store catches up after an outage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rate, cpu = asyncio.run(_drain(folder, ParquetStore(folder / "parquet"), polls, minutes))
        _add_rate(report, "parquet", rate, f"{cpu:.0f} us CPU a sample")
        files = list((folder / "parquet").rglob("*.parquet"))
        octets = sum(path.stat().st_size for path in files) / ((minutes + 1) * sum(map(len, polls)))
        report.add("parquet_octets_per_sample", octets, f"{octets:.0f} octets a sample of 20 fields (random values)")
    for kind, command in (("1", "influxd"), ("victoria", "victoria-metrics")):
        if shutil.which(command):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            with tempfile.TemporaryDirectory() as name, _server(kind, Path(name)) as url:
                rate, cpu = asyncio.run(_drain_influx(Path(name), kind, url, polls, minutes))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            theirs = spent / ((minutes + 1) * sum(map(len, polls))) * 1e6
            _add_rate(report, command, rate, f"{cpu:.0f} us CPU a sample ours, {theirs:.0f} us the server's")


async def _drain_influx(
    folder: Path, kind: str, url: str, polls: Sequence[Sequence[Sample]], minutes: int
) -> tuple[float, float]:
    sink = open_influx(InfluxSettings(url, kind=kind), folder / "dead_letters")  # type: ignore[arg-type]
    try:
        return await _drain(folder, sink, polls, minutes)
    finally:
        await sink.close()


def _add_rate(report: _Report, name: str, rate: float, cpu: str) -> None:
    text = f"{rate:,.0f} samples/s, {rate / _REAL_TIME:.1f} x real time of 48,000 interfaces; {cpu}"
    report.add(f"{name.replace('-', '_')}_over_real_time", rate / _REAL_TIME, text)


@contextmanager
def _server(kind: str, folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, rpc = first.getsockname()[1], second.getsockname()[1]
    if kind == "1":
        config = folder / "influxdb.conf"
        config.write_text(
            f'reporting-enabled = false\nbind-address = "127.0.0.1:{rpc}"\n[meta]\n  dir = "{folder}/meta"\n'
            f'[data]\n  dir = "{folder}/data"\n  wal-dir = "{folder}/wal"\n[monitor]\n  store-enabled = false\n'
            f'[http]\n  bind-address = "127.0.0.1:{port}"\n  log-enabled = false\n'
        )
        command = ["influxd", "-config", str(config)]
    else:
        command = ["victoria-metrics", f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/victoria"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        ends = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=1).close()
                break
            except OSError:
                if time.monotonic() > ends or running.poll() is not None:
                    raise
                time.sleep(0.05)
        if kind == "1":
            urllib.request.urlopen(f"{url}/query", data=b"q=CREATE+DATABASE+hinomi", timeout=10).close()
        yield url
    finally:
        running.terminate()
        running.wait()


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
    polls = _polls(devices, int(time.time()) // 60 * 60 * 10**9 - 3600 * 10**9)
    gc.collect()
    gc.freeze()  # the workload itself is no garbage: walking it would be counted as a stall of storage
    report = _Report()
    measure_journal(report, polls, rounds)
    measure_encoding(report, polls, rounds)
    measure_stall(report, polls, 2.0 if chosen.quick else 10.0, 3)
    measure_stores(report, polls, minutes)
    if not chosen.json:
        print(f"{_machine()}; {devices} devices x {_INTERFACES} interfaces\n\n| what | measured |\n|---|---|")
        for key, text in report.rows:
            print(f"| {key} | {text} |")
    print(json.dumps(report.figures))


if __name__ == "__main__":
    main()
