"""kill -9 at random moments under load: what was promised is there, and nothing is there twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from poller.storage.influx import InfluxSettings
from poller.storage.influx_history import open_influx_history
from poller.storage.layout import files_in_force

_ROOT = Path(__file__).parents[1]
_KILLS = 50


@pytest.fixture
def influx(tmp_path: Path, running_influxd) -> Iterator[str]:
    """The URL of an InfluxDB 1.6 that lives on while its writer is killed."""
    with running_influxd(tmp_path / "influx") as url:
        yield url


class _Victim:
    """The process that is killed again and again."""

    def __init__(self, directory: Path, url: str) -> None:
        self._starter = subprocess.Popen(
            [sys.executable, str(_ROOT / "tests" / "storage_load.py"), str(directory), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def live(self, *bounds: int, kill_after: float | None = None) -> tuple[int, int]:
        """One life: the last number it promised (0: none), and how it ended (-9: killed)."""
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(" ".join(map(str, bounds)).encode() + b"\n")
        self._starter.stdin.flush()
        promised = 0
        for line in self._starter.stdout:
            word, _, value = line.decode().partition(" ")
            if word == "ended":
                return promised, int(value)
            if word == "ready" and kill_after is not None:
                time.sleep(kill_after)
                os.kill(int(value), signal.SIGKILL)
            elif word != "ready":
                promised = int(word)
        raise AssertionError("the victim's starter has ended")

    def close(self) -> None:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.close()
        self._starter.wait()
        self._starter.stdout.close()


@pytest.fixture
def victim(tmp_path: Path, influx: str) -> Iterator[_Victim]:
    made = _Victim(tmp_path, influx)
    yield made
    made.close()


def _stored(directory: Path) -> list[int]:
    """Every row of every file in force, nothing merged."""
    numbers: list[int] = []
    for folder in (directory / "parquet" / "service").glob("day=*"):
        for name in files_in_force(path.name for path in folder.iterdir()):
            numbers.extend(pl.read_parquet(folder / name)["time_ns"].to_list())
    return numbers


@pytest.mark.timeout(400)
def test_after_fifty_kills_each_promised_sample_is_in_every_store_exactly_once(
    tmp_path: Path, influx: str, victim: _Victim
) -> None:
    """Journal and stores keep what was promised, once, at whatever moment the process ends (R69, R73)."""
    moments = random.Random(20261121)
    begun = 0
    gaps: list[tuple[int, int]] = []
    for _ in range(_KILLS):
        promised, status = victim.live(begun, kill_after=moments.uniform(0.0, 0.25))
        assert -signal.SIGKILL == status
        stored = _stored(tmp_path)
        assert len(stored) == len(set(stored))
        # What was under way at the kill may be there or not: the next life begins well behind it.
        promised = max(promised, begun)
        begun = promised + 100_000
        gaps.append((promised, begun))
    assert (begun + 100, 0) == victim.live(begun, begun + 100)
    stored = sorted(_stored(tmp_path))
    assert len(stored) == len(set(stored))
    lost = set(range(begun + 100)) - set(stored) - {n for first, end in gaps for n in range(first, end)}
    assert set() == lost
    history = open_influx_history(InfluxSettings(influx, kind="1"))
    frame = history.read("service", ["response_seconds"], start_ns=0, end_ns=begun + 100)
    assert stored == sorted(frame["time_ns"].to_list())
    assert [float(n) for n in frame["time_ns"]] == frame["response_seconds"].to_list()
