"""How fast each store catches up after an outage, and how fast the server alone could take the same lines.

Servers are Debian's InfluxDB 1.6 and VictoriaMetrics, started here on loopback; one that is not installed is left out.
"""

import asyncio
import gzip
import http.client
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from poller.sample import Sample
from poller.storage.delivery import DeliveryState, Store, run_reader
from poller.storage.encoding import encode, make_blocks
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal, JournalLimits
from poller.storage.lines import LineEncoder
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record

INTERFACES = 48
REAL_TIME = 1_000 * INTERFACES / 60
"""Samples a second of 1,000 devices that are asked once a minute."""
LIMITS = JournalLimits(keep_free_octets=0)
_MINUTE = 60 * 10**9
_BATCH = 5_000


@dataclass
class Report:
    """The figures, and the rows of the table."""

    figures: dict[str, float] = field(default_factory=dict)
    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, value: float, text: str) -> None:
        """One figure and what it says to people."""
        self.figures[key] = round(value, 3)
        self.rows.append((key, text))


async def _drain(folder: Path, store: Store, polls: Sequence[Sequence[Sample]], minutes: int) -> tuple[float, float]:
    """Samples a second, and our CPU us a sample, out of a full journal into a store that knows the series already."""
    total = sum(map(len, polls))
    samples = [sample for poll in polls for sample in poll]
    known = Record(0, tuple(make_blocks(samples)), total, 0, encode(samples))
    await store.write([known])
    total = 0
    async with Journal(folder / "journal.sqlite", ["store"], LIMITS) as journal:
        for minute in range(1, minutes + 1):
            for samples in polls:
                journal.append(_later(samples, minute))
                total += len(samples)
            await journal.flush()
        state = DeliveryState()
        begun, cpu = time.perf_counter(), time.process_time()
        task = asyncio.create_task(
            run_reader(journal.reader("store"), store, replace(store.delivery, max_seconds=0.1), state)
        )
        while state.done_total < total:  # noqa: ASYNC110 - plain numbers on purpose
            await asyncio.sleep(0.01)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if state.failed_total:
        print(f"{state.failed_total} requests had to be tried again: {store}", file=sys.stderr)
    return total / seconds, cpu / total * 1e6


def measure_stores(report: Report, polls: Sequence[Sequence[Sample]], minutes: int) -> None:
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
            with tempfile.TemporaryDirectory() as name, Server(kind, Path(name)) as server:
                rate, cpu = asyncio.run(_drain_influx(Path(name), kind, server.url, polls, minutes))
                more = range(minutes + 1, minutes + 1 + (minutes + 1) // 2)
                limit = _limit(kind, server.url, polls, more)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            theirs = spent / (more.stop * sum(map(len, polls))) * 1e6
            _add_rate(report, command, rate, f"{cpu:.0f} us CPU a sample ours, {theirs:.0f} us the server's")
            _add_rate(
                report, f"{command} alone", limit, "the same lines made and compressed before, one request at a time"
            )


def _limit(kind: str, url: str, polls: Sequence[Sequence[Sample]], minutes: range) -> float:
    """Samples a second that the server takes in batches of 5,000 by the minute, when nobody else needs a processor."""
    encoder = LineEncoder(texts=kind != "victoria")
    bodies: list[bytes] = []
    for minute in minutes:
        samples = [sample for poll in polls for sample in _later(poll, minute)]
        lines = [line for block in make_blocks(samples) for line in encoder.lines(block)]
        parts = (lines[start : start + _BATCH] for start in range(0, len(lines), _BATCH))
        bodies.extend(gzip.compress("\n".join(part).encode(), 1) for part in parts)
    client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    path = "/write?db=hinomi" if kind == "1" else "/api/v2/write"
    begun = time.perf_counter()
    for body in bodies:
        client.request("POST", path, body, {"Content-Encoding": "gzip"})
        answer = client.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.NO_CONTENT:
            raise RuntimeError(f"{url} answers {answer.status}")
    seconds = time.perf_counter() - begun
    client.close()
    return len(minutes) * sum(map(len, polls)) / seconds


def _later(samples: Sequence[Sample], minutes: int) -> list[Sample]:
    return [Sample(s.measurement, s.tags, s.fields, s.time_ns + minutes * _MINUTE) for s in samples]


async def _drain_influx(
    folder: Path, kind: str, url: str, polls: Sequence[Sequence[Sample]], minutes: int
) -> tuple[float, float]:
    sink = open_influx(InfluxSettings(url, kind=kind), folder / "dead_letters")  # type: ignore[arg-type]
    try:
        return await _drain(folder, sink, polls, minutes)
    finally:
        await sink.close()


def _add_rate(report: Report, name: str, rate: float, cpu: str) -> None:
    text = f"{rate:,.0f} samples/s, {rate / REAL_TIME:.1f} x real time of 48,000 interfaces; {cpu}"
    report.add(f"{name.replace('-', '_').replace(' ', '_')}_over_real_time", rate / REAL_TIME, text)


class Server:
    """A fresh server of a kind ("1" or "victoria") with its files in the folder; killed, it can be started again."""

    def __init__(self, kind: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
            port, rpc = first.getsockname()[1], second.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._kind = kind
        self._running: subprocess.Popen[bytes] | None = None
        if kind == "1":
            config = folder / "influxdb.conf"
            config.write_text(
                f'reporting-enabled = false\nbind-address = "127.0.0.1:{rpc}"\n[meta]\n  dir = "{folder}/meta"\n'
                f'[data]\n  dir = "{folder}/data"\n  wal-dir = "{folder}/wal"\n[monitor]\n  store-enabled = false\n'
                f'[http]\n  bind-address = "127.0.0.1:{port}"\n  log-enabled = false\n'
            )
            self._command = ["influxd", "-config", str(config)]
        else:
            options = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/victoria"]
            self._command = ["victoria-metrics", *options]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._running = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/ping", timeout=1).close()
                break
            except OSError:
                if time.monotonic() > ends or self._running.poll() is not None:
                    raise
                time.sleep(0.05)
        if self._kind == "1":
            urllib.request.urlopen(f"{self.url}/query", data=b"q=CREATE+DATABASE+hinomi", timeout=30).close()

    def kill(self) -> None:
        """End it as a crash does."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
