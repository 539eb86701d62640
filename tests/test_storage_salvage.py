"""A broken journal: moved aside, and every record whose bytes are whole is in the new one."""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from poller.sample import Sample
from poller.storage.journal import Journal, JournalLimits

_PAGE = 4096


def _samples(count: int) -> list[Sample]:
    noise = random.Random(1)
    return [
        Sample("device", (("device", f"fw-{n}"),), {"sessions": n, "reason": noise.randbytes(150).hex()}, n)
        for n in range(count)
    ]


async def _fill(path: Path) -> None:
    async with Journal(path, ["parquet"], JournalLimits(record_samples=10)) as journal:
        journal.append(_samples(1000))
        await journal.flush()


async def _read_all(path: Path) -> list[int]:
    values: list[int] = []
    async with Journal(path, ["parquet"]) as journal:
        reader = journal.reader("parquet")
        for _ in range(journal.state.depth):
            record = await asyncio.wait_for(reader.next(), 10)
            values.extend(int(sample.fields["sessions"]) for sample in record.samples())
    return values


def _overwrite(path: Path, page: int, pages: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * _PAGE)
        file.write(b"\xa5" * _PAGE * pages)


def _make_folder(path: Path) -> None:
    path.mkdir()


def _asides(folder: Path) -> int:
    return len(list(folder.glob("journal.sqlite.damaged-*[0-9]")))


def _exists(path: Path) -> bool:
    return path.exists()


def _octets(path: Path) -> int:
    return path.stat().st_size


def _root_of_records(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'").fetchone()[0])
    finally:
        connection.close()


def _break_header(path: Path) -> None:
    _overwrite(path, 1)


def _break_root(path: Path) -> None:
    _overwrite(path, _root_of_records(path))


@pytest.mark.parametrize("damage", [_break_header, _break_root])
async def test_records_outlive_the_tree_that_led_to_them(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A broken file costs only what is broken (R73)."""
    path = tmp_path / "journal.sqlite"
    await _fill(path)
    damage(path)
    assert await _read_all(path) == list(range(1000))
    assert 1 == _asides(tmp_path)


async def test_records_in_the_write_ahead_log_are_salvaged_too(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal.sqlite", tmp_path / "copy"
    _make_folder(copy)
    async with Journal(path, ["parquet"], JournalLimits(record_samples=10)) as journal:
        journal.append(_samples(200))
        await journal.flush()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", copy / f"journal.sqlite{suffix}")
    assert _octets(copy / "journal.sqlite-wal") > 10 * _PAGE
    _overwrite(copy / "journal.sqlite", 1)
    assert await _read_all(copy / "journal.sqlite") == list(range(200))


async def test_a_broken_stretch_costs_only_the_records_in_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    await _fill(path)
    _break_root(path)
    _overwrite(path, 40, 3)
    kept = await _read_all(path)
    assert 1000 - 3 * 2 * 10 <= len(kept) < 1000  # three pages of two records of ten samples
    assert kept == sorted(set(kept))


async def test_damage_while_running_is_salvaged_and_the_reader_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    await _fill(path)
    root = _root_of_records(path)
    async with Journal(path, ["parquet"]) as journal:
        _overwrite(path, root)
        reader = journal.reader("parquet")
        values: list[int] = []
        while len(values) < 1000:
            record = await asyncio.wait_for(reader.next(), 10)
            values.extend(int(sample.fields["sessions"]) for sample in record.samples())
            reader.acknowledge(record.number)
        journal.append(_samples(1))
        await journal.flush()
        assert next(iter((await asyncio.wait_for(reader.next(), 10)).samples())).fields["sessions"] == 0
    assert values == list(range(1000))


async def test_a_flipped_bit_in_a_body_costs_one_record_and_is_kept_as_a_dead_letter(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    await _fill(path)
    connection = sqlite3.connect(path)
    number = connection.execute("SELECT min(number) + 50 FROM record").fetchone()[0]
    connection.execute("UPDATE record SET body = zeroblob(size) WHERE number = ?", (number,))
    connection.commit()
    connection.close()
    assert await _read_all(path) == [n for n in range(1000) if n // 10 != 50]
    assert str(number) in next((tmp_path / "dead_letters").iterdir()).read_text()


async def test_a_salvage_cut_short_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    await _fill(path)
    _break_root(path)
    (tmp_path / "journal.sqlite.salvaged").write_bytes(b"half of a new file")
    assert await _read_all(path) == list(range(1000))
    assert not _exists(tmp_path / "journal.sqlite.salvaged")


async def test_a_salvage_cut_short_before_its_last_step_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    await _fill(path)
    path.rename(tmp_path / "journal.sqlite.salvaged")
    (tmp_path / "journal.sqlite-wal").write_bytes(b"the damaged file's log")
    assert await _read_all(path) == list(range(1000))
    assert not _exists(tmp_path / "journal.sqlite.salvaged")
