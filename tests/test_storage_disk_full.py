"""A full disk: the daemon goes on, says so, loses nothing it promised, and recovers by itself."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from poller.sample import Sample
from poller.storage.delivery import DeliverySettings, DeliveryState, run_reader
from poller.storage.errors import JournalUnavailable
from poller.storage.history import open_history
from poller.storage.journal import Journal, JournalLimits
from poller.storage.parquet import ParquetStore

_T = 20_000 * 86_400 * 10**9


def _fill(folder: Path) -> Path:
    """Take what is left of the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def _samples(first: int, count: int) -> list[Sample]:
    return [
        Sample("service", (("service", "dns"), ("kind", "dns")), {"response_seconds": float(n)}, _T + n)
        for n in range(first, first + count)
    ]


async def _until_done(state: DeliveryState, count: int) -> None:
    async with asyncio.timeout(60):
        while state.done_total < count:  # noqa: ASYNC110 - the state is plain numbers on purpose
            await asyncio.sleep(0.01)


async def test_on_a_full_disk_samples_wait_and_arrive_when_there_is_room(small_disk: Path) -> None:
    """A full disk is said, not suffered (R69)."""
    limits = JournalLimits(commit_seconds=0.02, keep_free_octets=0)
    state = DeliveryState()
    settings = DeliverySettings(max_seconds=0.01, first_retry_seconds=0.02, longest_retry_seconds=0.05)
    async with Journal(small_disk / "journal.sqlite", ["parquet"], limits) as journal:
        store = ParquetStore(small_disk / "parquet", now_ns=lambda: _T)
        journal.append(_samples(0, 100))
        await journal.flush()
        ballast = _fill(small_disk)
        appended = 100
        while journal.state.last_error is None:
            journal.append(_samples(appended, 5_000))
            appended += 5_000
            with contextlib.suppress(JournalUnavailable):
                await journal.flush()
        assert "full" in (journal.state.last_error or "")
        assert (5_000, 0) == (journal.state.waiting_samples, journal.state.drops_total)
        task = asyncio.create_task(run_reader(journal.reader("parquet"), store, settings, state))
        async with asyncio.timeout(60):
            while state.failed_total == 0:  # noqa: ASYNC110 - the state is plain numbers on purpose
                await asyncio.sleep(0.01)
        assert (state.last_error or "").startswith("disk_full")
        ballast.unlink()
        await journal.flush()
        assert (None, 0) == (journal.state.last_error, journal.state.waiting_samples)
        await _until_done(state, appended)
        task.cancel()
        assert state.last_error is None
    frame = open_history(small_disk / "parquet").read("service", ["response_seconds"], start_ns=_T, end_ns=_T + 10**9)
    assert [float(n) for n in range(appended)] == frame["response_seconds"].to_list()


async def test_below_its_reserve_the_journal_leaves_the_room_to_the_alerts(small_disk: Path) -> None:
    limits = JournalLimits(keep_free_octets=2**40)
    async with Journal(small_disk / "journal.sqlite", ["parquet"], limits) as journal:
        journal.append(_samples(0, 10))
        with pytest.raises(JournalUnavailable, match="kept for alerts"):
            await journal.flush()
        assert (0, 10) == (journal.state.depth, journal.state.waiting_samples)


async def test_while_nothing_can_be_written_the_oldest_are_dropped_last_and_counted(small_disk: Path) -> None:
    """Drops are the last resort and counted (R69)."""
    limits = JournalLimits(keep_free_octets=2**40, max_waiting_octets=2_000, record_samples=100, commit_seconds=3600)
    async with Journal(small_disk / "journal.sqlite", ["parquet"], limits) as journal:
        for first in range(0, 1_000, 100):
            journal.append(_samples(first, 100))
        with pytest.raises(JournalUnavailable):
            await journal.flush()
        state = journal.state
        assert 1_000 == state.drops_total + state.waiting_samples
        assert 0 < state.waiting_samples < 1_000
