"""Real stores from Debian: InfluxDB 1.6 and VictoriaMetrics take what Parquet takes, and give it back equal."""

import asyncio
import json
import random
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest

from poller.free_ports import free_port
from poller.sample import FieldValue, Sample
from poller.storage.delivery import DeliverySettings, DeliveryState, run_reader
from poller.storage.encoding import encode, make_blocks
from poller.storage.history import History, open_history
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.influx_history import open_influx_history
from poller.storage.journal import Journal, JournalLimits
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record

_MINUTE = 60 * 10**9
_WEEK_ENDS = int(time.time()) // 604_800 * 604_800 * 10**9
_WEEK_BEGINS = _WEEK_ENDS - 7 * 86_400 * 10**9


class _Server:
    """A process that can be killed and started again at the same place."""

    def __init__(self, command: Sequence[str], port: int, ready: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = command
        self._ready = ready
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._running = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + 60
        while True:
            try:
                self.get(self._ready)
            except OSError:
                assert self._running.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.02)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._running is not None:
            self._running.send_signal(number)
            self._running.wait()
            self._running = None

    def get(self, path: str, **parameters: str) -> str:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=60) as answer:
            return str(answer.read().decode())

    def write(self, line: str) -> None:
        with urllib.request.urlopen(f"{self.url}/write?db=hinomi", data=line.encode(), timeout=30):
            pass

    def influxql(self, question: str) -> None:
        body = urllib.parse.urlencode({"q": question}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data=body, timeout=30) as answer:
            assert "error" not in answer.read().decode()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        # the state is plain numbers on purpose
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
def influx(tmp_path: Path, influxd) -> Iterator[_Server]:
    server = _Server(*influxd(tmp_path / "influx"), "/ping")
    server.start()
    server.influxql("CREATE DATABASE hinomi")
    yield server
    server.stop()


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[_Server]:
    port = free_port()
    options = [f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={tmp_path}/victoria", "-retentionPeriod=10y"]
    server = _Server(["victoria-metrics", *options], port, "/health")
    server.start()
    yield server
    server.stop()


def _week() -> list[Sample]:
    """A week: roll-ups of three tenants, a firewall every five minutes with failed polls, a counter beyond 2^63."""
    chance = random.Random(6)
    samples: list[Sample] = []
    for slot in range(7 * 288):
        at = _WEEK_BEGINS + slot * 5 * _MINUTE
        for tenant in ("Tsu city", "伊勢市", "a,b=c"):
            rate = chance.random() * 1e9
            samples.append(
                Sample(
                    "tenant_5m",
                    (("tenant", tenant), ("line", "internet")),
                    {"in_octets": int(rate * 37.5), "in_bits_per_second_mean": rate, "coverage_ratio": chance.random()},
                    at,
                )
            )
        fields: dict[str, FieldValue] = {"up": False, "quality": "failed", "reason": 'no "answer"'}
        if chance.random() < 0.9:
            fields = {"up": True, "cpu_ratio": chance.random(), "sessions": slot, "quality": "observed"}
        samples.append(Sample("device", (("device", "fw-1"), ("role", "firewall"), ("site", "dc")), fields, at))
        counter = {"in_octets_total": 2**63 - 1000 + slot, "quality": "observed"}
        samples.append(Sample("interface", (("device", "fw-1"), ("interface", "Gi1/0/1")), counter, at))
    return samples


def _records(samples: Sequence[Sample], size: int = 1_000) -> list[Record]:
    parts = [samples[start : start + size] for start in range(0, len(samples), size)]
    return [Record(n, tuple(make_blocks(part)), len(part), 0, encode(part)) for n, part in enumerate(parts, 1)]


_QUESTIONS = [
    ("tenant_5m", ["in_octets", "in_bits_per_second_mean"], {}, None, "mean"),
    ("tenant_5m", ["in_octets"], {"tenant": {"伊勢市", "a,b=c"}}, 86_400, "sum"),
    ("tenant_5m", ["in_bits_per_second_mean"], {"tenant": "Tsu city"}, 604_800, "p95"),
    ("device", ["up", "cpu_ratio", "sessions", "reason"], {}, None, "mean"),
    ("device", ["cpu_ratio", "sessions"], {}, 3_600, "max"),
    ("device", ["reason"], {"device": "fw-1"}, 3_600, "last"),
    ("interface", ["in_octets_total"], {}, None, "mean"),
    ("interface", ["in_octets_total"], {"device": "fw-2"}, None, "mean"),
]


def _ask(history: History, question: tuple[str, list[str], dict[str, str], int | None, str]) -> pl.DataFrame:
    measurement, fields, where, step, aggregate = question
    return history.read(
        measurement,
        fields,
        where,
        start_ns=_WEEK_BEGINS,
        end_ns=_WEEK_ENDS,
        step_seconds=step,
        aggregate=aggregate,  # type: ignore[arg-type]
    )


async def test_a_week_reads_back_equal_from_parquet_and_influxdb(tmp_path: Path, influx: _Server) -> None:
    """Mean, max, coverage and percentile are the same from either store (R68), counters to 2^64 included (R34)."""
    records = _records(_week())
    settings = InfluxSettings(influx.url, kind="1")
    await ParquetStore(tmp_path / "parquet").write(records)
    sink = open_influx(settings, tmp_path / "dead_letters")
    await sink.write(records)
    await sink.write(records[:2])
    await sink.close()
    parquet, remote = open_history(tmp_path / "parquet"), open_influx_history(settings)
    for question in _QUESTIONS:
        assert _ask(parquet, question).equals(_ask(remote, question)), question
    assert 7 * 288 * 3 == _ask(parquet, _QUESTIONS[0]).height
    assert 2**63 + 1015 == _ask(remote, _QUESTIONS[6])["in_octets_total"].max()


async def test_a_week_reads_back_equal_from_victoria_metrics(tmp_path: Path, victoria: _Server) -> None:
    records = _records([sample for sample in _week() if sample.measurement != "interface"])
    await ParquetStore(tmp_path / "parquet").write(records)
    sink = open_influx(InfluxSettings(victoria.url, kind="victoria"), tmp_path / "dead_letters")
    await sink.write(records)
    await sink.close()
    victoria.get("/internal/force_flush")
    parquet = open_history(tmp_path / "parquet")
    for measurement, field, tag in (
        ("tenant_5m", "in_octets", "tenant"),
        ("tenant_5m", "in_bits_per_second_mean", "tenant"),
        ("device", "sessions", "device"),
        ("device", "up", "device"),
    ):
        frame = parquet.read(measurement, [field], start_ns=_WEEK_BEGINS, end_ns=_WEEK_ENDS).drop_nulls(field)
        expected = {(row[0] // 10**6, row[1]): float(row[2]) for row in frame.select("time_ns", tag, field).rows()}
        found: dict[tuple[int, str], float] = {}
        for line in victoria.get("/api/v1/export", **{"match[]": f"{measurement}_{field}"}).splitlines():
            series = json.loads(line)
            name = series["metric"][tag]
            found |= {(t, name): float(v) for t, v in zip(series["timestamps"], series["values"], strict=True)}
        assert found.keys() == expected.keys()
        assert [expected[key] for key in sorted(expected)] == pytest.approx(
            [found[k] for k in sorted(found)], rel=1e-11
        )


def _outage(hours: int, devices: int) -> Iterator[list[Sample]]:
    """Every minute of so many hours, all devices."""
    for minute in range(hours * 60):
        at = _WEEK_BEGINS + minute * _MINUTE
        yield [
            Sample("device", (("device", f"sw-{n}"),), {"sessions": minute, "cpu_ratio": 0.5}, at)
            for n in range(devices)
        ]


async def test_after_72_hours_without_influxdb_everything_arrives_once_even_if_it_is_killed_on_the_way(
    tmp_path: Path, influx: _Server
) -> None:
    """Store and forward: in order, the same timestamps on every resend (R69)."""
    influx.stop(signal.SIGTERM)
    devices, state = 10, DeliveryState()
    settings = InfluxSettings(influx.url, kind="1", batch=500, timeout_seconds=20)
    limits = JournalLimits(record_samples=600, commit_seconds=0.05)
    async with Journal(tmp_path / "journal.sqlite", ["influx"], limits) as journal:
        sink = open_influx(settings, tmp_path / "dead_letters")
        delivery = DeliverySettings(max_seconds=0.05, first_retry_seconds=0.05, longest_retry_seconds=0.2)
        task = asyncio.create_task(run_reader(journal.reader("influx"), sink, delivery, state))
        for samples in _outage(72, devices):
            journal.append(samples)
        await journal.flush()
        await _until(lambda: state.failed_total > 0)
        assert (0, True) == (state.done_total, (state.last_error or "").startswith("unreachable"))
        for goal in (10_000, 25_000, 72 * 60 * devices):
            await asyncio.to_thread(influx.start)
            await _until(lambda goal=goal: state.done_total >= goal)
            if goal < 72 * 60 * devices:
                influx.stop()
        task.cancel()
        await sink.close()
    frame = open_influx_history(settings).read("device", ["sessions"], start_ns=_WEEK_BEGINS, end_ns=_WEEK_ENDS)
    assert (72 * 60 * devices, 0) == (frame.height, sink.dead_letters.total)
    for _, series in frame.group_by("device"):
        assert list(range(72 * 60)) == series["sessions"].to_list()


async def test_influxdb_refuses_a_field_of_another_type_and_takes_the_rest(tmp_path: Path, influx: _Server) -> None:
    influx.write(f'device,device=old sessions="many" {_WEEK_BEGINS}')
    settings = InfluxSettings(influx.url, kind="1")
    sink = open_influx(settings, tmp_path / "dead_letters")
    samples = [
        Sample("device", (("device", f"sw-{n}"),), {"sessions": n} if n % 2 else {"cpu_ratio": n / 100}, _WEEK_BEGINS)
        for n in range(100)
    ]
    await sink.write(_records(samples))
    await sink.close()
    frame = open_influx_history(settings).read("device", ["cpu_ratio"], start_ns=_WEEK_BEGINS, end_ns=_WEEK_ENDS)
    assert (50, 50) == (frame.filter(pl.col("device") != "old").height, sink.dead_letters.total)


async def test_a_database_that_is_missing_is_a_matter_for_the_operator_and_loses_nothing(
    tmp_path: Path, influx: _Server
) -> None:
    settings = InfluxSettings(influx.url, kind="1", bucket="later")
    state = DeliveryState()
    async with Journal(tmp_path / "journal.sqlite", ["influx"], JournalLimits(commit_seconds=0.05)) as journal:
        sink = open_influx(settings, tmp_path / "dead_letters")
        delivery = DeliverySettings(max_seconds=0.01, first_retry_seconds=0.05)
        task = asyncio.create_task(run_reader(journal.reader("influx"), sink, delivery, state))
        journal.append([Sample("device", (("device", "sw-1"),), {"sessions": 5}, _WEEK_BEGINS)])
        await _until(lambda: state.failed_total > 0)
        assert (state.last_error or "").startswith("missing")
        await asyncio.to_thread(influx.influxql, "CREATE DATABASE later")
        await _until(lambda: state.done_total > 0)
        task.cancel()
        await sink.close()
    frame = open_influx_history(settings).read("device", ["sessions"], start_ns=_WEEK_BEGINS, end_ns=_WEEK_ENDS)
    assert [5] == frame["sessions"].to_list()
