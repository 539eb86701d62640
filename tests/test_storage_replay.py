"""The past again: exported, given to another store, and rolled up anew."""

import io
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from poller.interfaces import interface_samples
from poller.rates import DeviceCounters
from poller.readings import DeviceReading, InterfaceLayout
from poller.rollups import DEADLINE_NS, WINDOW_NS, InterfaceRollups, Rollups
from poller.sample import FieldValue, Sample
from poller.storage.delivery import DeliverySettings
from poller.storage.encoding import encode, make_blocks
from poller.storage.errors import HistoryError
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record
from poller.storage.replay import Period, export, remake_rollups, replay

_DAY = 86_400 * 10**9
_MINUTE = 60 * 10**9
_T = 20_000 * _DAY


def _store(directory: Path, samples: Sequence[Sample]) -> None:
    store = ParquetStore(directory, now_ns=lambda: _T)
    store.write_now([Record(1, tuple(make_blocks(samples)), len(samples), 0, encode(samples))])


def _devices() -> list[Sample]:
    """Two days, a device that does not always answer."""
    chance = random.Random(3)
    samples: list[Sample] = []
    for minute in range(2880):
        fields: dict[str, FieldValue] = {"quality": "failed", "reason": "no_answer"}
        if chance.random() < 0.9:
            fields = {"quality": "observed", "cpu_ratio": chance.random(), "sessions": chance.randrange(1000)}
        tags = (("device", "fw-1"), ("role", "firewall"), ("site", "dc"))
        samples.append(Sample("device", tags, fields, _T + minute * _MINUTE))
    return samples


class _Collecting:
    """A store that remembers."""

    delivery = DeliverySettings()

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    async def write(self, records: Sequence[Record]) -> None:
        self.samples.extend(sample for record in records for sample in record.samples())


async def test_replay_gives_every_sample_as_it_was(tmp_path: Path) -> None:
    samples, store = _devices(), _Collecting()
    _store(tmp_path, samples)
    told: list[tuple[int, int]] = []
    period = Period("device", _T, _T + 2 * _DAY)
    assert 2880 == await replay(tmp_path, period, store, lambda done, total: told.append((done, total)))
    assert samples == sorted(
        (Sample(s.measurement, s.tags, dict(sorted(s.fields.items())), s.time_ns) for s in store.samples),
        key=lambda sample: sample.time_ns,
    )
    assert [(1, 2), (2, 2)] == told


def test_export_as_csv_has_one_head_and_all_rows(tmp_path: Path) -> None:
    _store(tmp_path, _devices())
    out = io.BytesIO()
    assert 1440 == export(tmp_path, Period("device", _T + 720 * _MINUTE, _T + 2160 * _MINUTE), "csv", out)
    lines = out.getvalue().decode().splitlines()
    assert (1441, True) == (len(lines), lines[0].startswith("time,time_ns,device,role,site,up,cpu_ratio"))
    assert lines[1].startswith(f"2024-10-04T12:00:00Z,{_T + 720 * _MINUTE},fw-1,firewall,dc,")


def test_export_of_nothing_is_a_head_alone(tmp_path: Path) -> None:
    out = io.BytesIO()
    assert 0 == export(tmp_path, Period("alert", _T, _T + _DAY), "csv", out)
    assert b"time,time_ns,rule,subject,severity,state,incident,reason\n" == out.getvalue()


def test_export_as_lines_says_only_what_is_known(tmp_path: Path) -> None:
    tags = (("tenant", "town"), ("line", "internet"))
    _store(
        tmp_path,
        [Sample("tenant", tags, {"in_octets": 5}, _T), Sample("tenant", tags, {"coverage_ratio": 0.5}, _T + 1)],
    )
    out = io.BytesIO()
    assert 2 == export(tmp_path, Period("tenant", _T, _T + 2, {"tenant": "town"}), "lines", out)
    head = "tenant,tenant=town,line=internet"
    assert [f"{head} in_octets=5i {_T}", f"{head} coverage_ratio=0.5 {_T + 1}"] == out.getvalue().decode().splitlines()


def test_export_as_parquet_is_one_file_of_all_days(tmp_path: Path) -> None:
    _store(tmp_path, _devices())
    out = io.BytesIO()
    assert 2880 == export(tmp_path, Period("device", _T, _T + 2 * _DAY), "parquet", out)
    assert 2880 == pl.read_parquet(io.BytesIO(out.getvalue())).height


def test_rollups_made_anew_are_those_the_daemon_made(tmp_path: Path) -> None:
    """Down-sampling has one arithmetic (R68)."""
    samples = _devices()
    _store(tmp_path, samples)
    live = Rollups()
    expected: list[Sample] = []
    for sample in samples:
        live.add(sample)
        expected += live.close(sample.time_ns)
    expected += live.close(_T + 2 * _DAY + WINDOW_NS + DEADLINE_NS)
    assert 576 == remake_rollups(tmp_path, Period("device", _T, _T + 2 * _DAY))
    fields = ["cpu_ratio_mean", "cpu_ratio_max", "sessions_max", "coverage_ratio"]
    frame = open_history(tmp_path).read("device_5m", fields, start_ns=_T, end_ns=_T + 2 * _DAY)
    found = {row["time_ns"]: [row[name] for name in fields] for row in frame.iter_rows(named=True)}
    assert {s.time_ns: [s.fields.get(name) for name in fields] for s in expected} == found


def test_rollups_made_anew_stand_over_the_old_and_twice_is_once(tmp_path: Path) -> None:
    tags = (("device", "sw"), ("interface", "1"))
    raw = [
        Sample(
            "interface",
            tags,
            {"in_bits_per_second": float(n), "oper_status": 1, "quality": "observed"},
            _T + n * _MINUTE,
        )
        for n in range(5)
    ]
    _store(tmp_path, [*raw, Sample("interface_5m", tags, {"in_bits_per_second_mean": 99.0}, _T)])
    for _ in range(2):
        assert 1 == remake_rollups(tmp_path, Period("interface", _T - 1, _T + WINDOW_NS + 1))
    fields = ["in_bits_per_second_mean", "in_bits_per_second_max", "oper_status_max"]
    frame = open_history(tmp_path).read("interface_5m", fields, start_ns=_T, end_ns=_T + _DAY)
    assert [(2.0, 4.0, 1, 1.0)] == frame.select(*fields, "coverage_ratio").rows()


def test_octets_of_interfaces_made_anew_are_those_the_daemon_counted(tmp_path: Path) -> None:
    """Over midnight, a gap, a restart and a Counter32 that wraps (R27, R33, R68)"""
    layout = InterfaceLayout(("1", "2"), (1, 2), (10**9, 10**8), (True, False))
    counters, live, raw, expected = DeviceCounters(), InterfaceRollups(), [], []
    wide, narrow, ticks = 10**15, 2**32 - 10**9, 10**8
    start = _T + _DAY - 30 * _MINUTE
    for minute in range(60):
        wide, narrow, ticks = wide + 10**9 + minute, (narrow + 30_000_000 + minute) % 2**32, ticks + 6000
        if minute == 40:
            wide, narrow, ticks = 5, 7, 100
            layout = replace(layout, discovered_ns=start)
        if 10 < minute < 15:
            continue
        at = start + minute * _MINUTE
        row = [wide, wide // 2, *[0] * 6, narrow, narrow, *[0] * 6]
        reading = DeviceReading("sw", at, layout, [at] * 2, [ticks] * 2, row, [1] * 2, [None] * 2)
        rates = counters.update(reading)
        live.add(reading, rates)
        raw += interface_samples(reading, rates)
        expected += live.close(at)
    expected += live.close(_T + 2 * _DAY)
    _store(tmp_path, raw)
    remake_rollups(tmp_path, Period("interface", start + WINDOW_NS, _T + 2 * _DAY))
    frame = open_history(tmp_path).read("interface_5m", ["in_octets", "out_octets"], start_ns=_T, end_ns=_T + 2 * _DAY)
    found = {(row["interface"], row["time_ns"]): row["in_octets"] for row in frame.iter_rows(named=True)}
    known = {(s.tags[1][1], s.time_ns): s.fields.get("in_octets") for s in expected if s.time_ns >= start + WINDOW_NS}
    assert known == found
    assert len(known) > 15


def test_a_measurement_without_rollup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="alert has no roll-up"):
        remake_rollups(tmp_path, Period("alert", _T, _T + _DAY))
