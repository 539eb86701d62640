"""kill -9 at random moments under load: what was promised is there, and nothing is there twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from poller.storage.layout import files_in_force

_ROOT = Path(__file__).parents[1]
_KILLS = 50


def _start(directory: Path, *arguments: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(_ROOT / "tests" / "storage_load.py"), str(directory), *map(str, arguments)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "POLARS_MAX_THREADS": "1"},
    )


def _kill_at(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Let it run for so long after it is ready, kill it, and return the last number it promised."""
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().splitlines(keepends=True)
    child.wait()
    child.stdout.close()
    promised = [line for line in rest if line.endswith(b"\n")]
    return int(promised[-1]) if promised else None


def _stored(directory: Path) -> list[int]:
    """Every row of every file in force, nothing merged."""
    numbers: list[int] = []
    for folder in (directory / "parquet" / "service").glob("day=*"):
        for name in files_in_force(path.name for path in folder.iterdir()):
            numbers.extend(pl.read_parquet(folder / name)["time_ns"].to_list())
    return numbers


@pytest.mark.timeout(400)
def test_after_fifty_kills_each_promised_sample_is_stored_exactly_once(tmp_path: Path) -> None:
    """Journal and store keep what was promised, once, at whatever moment the process ends (R73)."""
    moments = random.Random(20261121)
    begun = promised = 0
    gaps: list[tuple[int, int]] = []
    for _ in range(_KILLS):
        child = _start(tmp_path, begun)
        last = _kill_at(child, moments.uniform(0.0, 0.25))
        promised = max(promised, last or 0)
        stored = _stored(tmp_path)
        assert len(stored) == len(set(stored))
        # What was under way at the kill may be there or not: the next life begins well behind it.
        gaps.append((promised, promised + 100_000))
        begun = promised = promised + 100_000
    assert _start(tmp_path, begun, begun + 100).wait(timeout=60) == 0
    stored = sorted(_stored(tmp_path))
    assert len(stored) == len(set(stored))
    lost = set(range(begun + 100)) - set(stored) - {n for first, end in gaps for n in range(first, end)}
    assert lost == set()
