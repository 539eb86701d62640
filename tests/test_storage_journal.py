"""The journal: what flush has promised is read by every reader, in order, until it is acknowledged."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from poller.sample import Sample
from poller.storage.errors import JournalInUse, JournalTooNew, JournalUnavailable
from poller.storage.journal import Journal, JournalLimits
from poller.storage.reader import Reader

_T = 1_800_000_000 * 10**9


def _samples(count: int, first: int = 0) -> list[Sample]:
    return [
        Sample("device", (("device", "fw-1"), ("role", "firewall"), ("site", "dc")), {"sessions": n}, _T + n)
        for n in range(first, first + count)
    ]


async def _read(reader: Reader, count: int) -> list[int]:
    """The values of the next count samples, everything acknowledged."""
    values: list[int] = []
    while len(values) < count:
        record = await asyncio.wait_for(reader.next(), 10)
        values.extend(int(sample.fields["sessions"]) for sample in record.samples())
        reader.acknowledge(record.number)
    return values


def _contents(folder: Path, pattern: str) -> bytes:
    (path,) = folder.glob(pattern)
    return path.read_bytes()


def _remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


async def test_a_reader_gets_everything_in_order(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.sqlite", ["parquet"]) as journal:
        journal.append(_samples(10))
        await journal.flush()
        journal.append(_samples(10, 10))
        await journal.flush()
        assert list(range(20)) == await _read(journal.reader("parquet"), 20)


async def test_a_waiting_reader_wakes_without_flush(tmp_path: Path) -> None:
    limits = JournalLimits(commit_seconds=0.01)
    async with Journal(tmp_path / "journal.sqlite", ["parquet"], limits) as journal:
        waiting = asyncio.create_task(journal.reader("parquet").next())
        await asyncio.sleep(0)
        journal.append(_samples(1))
        record = await asyncio.wait_for(waiting, 10)
        assert _samples(1) == list(record.samples())


async def test_what_is_not_acknowledged_comes_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Journal(path, ["parquet"], JournalLimits(record_samples=1)) as journal:
        journal.append(_samples(3))
        await journal.flush()
        reader = journal.reader("parquet")
        first = await reader.next()
        await reader.next()
        reader.acknowledge(first.number)
    async with Journal(path, ["parquet"]) as journal:
        assert await _read(journal.reader("parquet"), 2) == [1, 2]


async def test_rewind_returns_to_the_first_record_not_acknowledged(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.sqlite", ["parquet"], JournalLimits(record_samples=1)) as journal:
        journal.append(_samples(3))
        await journal.flush()
        reader = journal.reader("parquet")
        reader.acknowledge((await reader.next()).number)
        second = await reader.next()
        await reader.next()
        reader.rewind()
        assert second == await reader.next()


async def test_a_record_stays_until_the_slowest_reader_has_passed(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.sqlite", ["parquet", "influx"]) as journal:
        journal.append(_samples(5))
        await journal.flush()
        assert list(range(5)) == await _read(journal.reader("parquet"), 5)
        await journal.flush()
        assert (journal.state.depth, dict(journal.state.lags)) == (1, {"parquet": 0, "influx": 1})
        assert list(range(5)) == await _read(journal.reader("influx"), 5)
        await journal.flush()
        assert (journal.state.depth, dict(journal.state.lags)) == (0, {"parquet": 0, "influx": 0})


async def test_a_reader_that_is_configured_no_more_holds_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Journal(path, ["parquet", "influx"]) as journal:
        journal.append(_samples(5))
        await journal.flush()
    async with Journal(path, ["parquet"]) as journal:
        await _read(journal.reader("parquet"), 5)
        await journal.flush()
        assert journal.state.depth == 0


async def test_a_new_reader_gets_what_is_still_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Journal(path, ["parquet"]) as journal:
        journal.append(_samples(5))
    async with Journal(path, ["parquet", "influx"]) as journal:
        assert list(range(5)) == await _read(journal.reader("influx"), 5)


async def test_numbers_go_on_rising_when_the_file_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Journal(path, ["parquet"]) as journal:
        journal.append(_samples(1))
        await journal.flush()
        before = (await journal.reader("parquet").next()).number
    _remove(tmp_path, "journal.sqlite*")
    async with Journal(path, ["parquet"]) as journal:
        journal.append(_samples(1))
        await journal.flush()
        assert before < (await journal.reader("parquet").next()).number


async def test_close_makes_durable_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = Journal(path, ["parquet"], JournalLimits(commit_seconds=3600))
    journal.append(_samples(3))
    await journal.close()
    async with Journal(path, ["parquet"]) as again:
        assert await _read(again.reader("parquet"), 3) == [0, 1, 2]


async def test_beyond_the_bound_in_octets_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    """Drops are the last resort and counted (R69)."""
    limits = JournalLimits(max_octets=1_000, record_samples=10)
    async with Journal(tmp_path / "journal.sqlite", ["parquet"], limits) as journal:
        journal.append(_samples(200))
        await journal.flush()
        state = journal.state
        assert state.octets <= 1_000
        assert state.drops_total + 10 * state.depth == 200
        kept = await _read(journal.reader("parquet"), 10 * state.depth)
        assert list(range(200))[-len(kept) :] == kept


async def test_beyond_the_bound_in_days_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    now = [_T]
    limits = JournalLimits(max_age_seconds=3600, commit_seconds=3600)
    async with Journal(tmp_path / "journal.sqlite", ["parquet"], limits, now_ns=lambda: now[0]) as journal:
        journal.append(_samples(5))
        await journal.flush()
        now[0] += 3601 * 10**9
        journal.append(_samples(5, 5))
        await journal.flush()
        assert (journal.state.depth, journal.state.drops_total) == (1, 5)
        assert list(range(5, 10)) == await _read(journal.reader("parquet"), 5)


async def test_memory_is_bounded_while_nothing_can_be_written(tmp_path: Path) -> None:
    limits = JournalLimits(commit_seconds=3600, max_waiting_samples=10)
    async with Journal(tmp_path / "journal.sqlite", ["parquet"], limits) as journal:
        for first in range(0, 30, 5):
            journal.append(_samples(5, first))
        assert (journal.state.waiting_samples, journal.state.drops_total) == (10, 20)
        await journal.flush()
        assert list(range(20, 30)) == await _read(journal.reader("parquet"), 10)


async def test_a_sample_that_cannot_be_kept_ends_in_the_dead_letters_alone(tmp_path: Path) -> None:
    async with Journal(tmp_path / "journal.sqlite", ["parquet"]) as journal:
        journal.append([*_samples(1), Sample("device", (), {"sessions": 2**70}, _T), *_samples(1, 1)])
        await journal.flush()
        assert await _read(journal.reader("parquet"), 2) == [0, 1]
        assert journal.state.drops_total == 1
    assert str(2**70).encode() in _contents(tmp_path, "dead_letters/*")


async def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    await Journal(path, ["parquet"]).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalTooNew):
        Journal(path, ["parquet"])
    assert before == path.read_bytes()


@pytest.fixture
def no_database(tmp_path: Path) -> Path:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    return path


async def test_a_file_that_is_no_database_is_moved_aside_whole(no_database: Path) -> None:
    async with Journal(no_database, ["parquet"]) as journal:
        journal.append(_samples(2))
        await journal.flush()
        assert await _read(journal.reader("parquet"), 2) == [0, 1]
    assert _contents(no_database.parent, "journal.sqlite.damaged-*") == b"not a database at all" * 100


async def test_a_journal_in_use_is_refused_and_free_again_when_closed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with Journal(path, ["parquet"]):
        with pytest.raises(JournalInUse):
            Journal(path, ["parquet"])
    await Journal(path, ["parquet"]).close()


async def test_a_closed_journal_promises_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", ["parquet"])
    await journal.close()
    with pytest.raises(JournalUnavailable):
        await journal.flush()
