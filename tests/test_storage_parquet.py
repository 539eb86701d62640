"""The embedded store and the way to read it."""

import threading
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest

from poller.sample import FieldValue, Sample
from poller.schema import SCHEMA
from poller.storage.encoding import encode, make_blocks
from poller.storage.history import open_history
from poller.storage.layout import Range, compaction_run, files_in_force
from poller.storage.parquet import ParquetStore, Retention
from poller.storage.reader import Record

_DAY = 86_400 * 10**9
_T = 20_000 * _DAY
_MINUTE = 60 * 10**9


def _store(directory: Path, now_ns: int = _T) -> ParquetStore:
    return ParquetStore(directory, now_ns=lambda: now_ns)


def _record(number: int, samples: Iterable[Sample]) -> Record:
    samples = list(samples)
    return Record(number, tuple(make_blocks(samples)), len(samples), 0, encode(samples))


def _tenant(minute: int, tenant: str = "town", **fields: float) -> Sample:
    return Sample(
        "tenant", (("tenant", tenant), ("line", "internet")), fields or {"in_octets": minute}, _T + minute * _MINUTE
    )


def _octets(directory: Path) -> list[int]:
    frame = open_history(directory).read("tenant", ["in_octets"], start_ns=_T, end_ns=_T + 2 * _DAY)
    return frame["in_octets"].to_list()


def test_records_read_back_and_come_twice_without_doubling(tmp_path: Path) -> None:
    store = _store(tmp_path)
    records = [_record(n, [_tenant(n)]) for n in range(1, 6)]
    store.write_now(records[:3])
    store.write_now(records)
    _store(tmp_path).write_now(records)
    assert _octets(tmp_path) == [1, 2, 3, 4, 5]
    assert sorted(path.name for path in (tmp_path / "tenant").rglob("*.parquet")) == [
        "records-00000000000000000001-00000000000000000003.parquet",
        "records-00000000000000000004-00000000000000000005.parquet",
    ]


def test_a_day_is_a_folder_and_a_record_over_midnight_is_in_both(tmp_path: Path) -> None:
    _store(tmp_path).write_now([_record(1, [_tenant(1439), _tenant(1440)])])
    assert sorted(path.name for path in (tmp_path / "tenant").iterdir()) == ["day=2024-10-04", "day=2024-10-05"]
    assert _octets(tmp_path) == [1439, 1440]


def test_counters_keep_all_64_bits(tmp_path: Path) -> None:
    """The embedded store is unsigned (R34)."""
    sample = Sample("interface", (("device", "sw"), ("interface", "1")), {"in_octets_total": 2**64 - 1}, _T)
    _store(tmp_path).write_now([_record(1, [sample])])
    frame = open_history(tmp_path).read("interface", ["in_octets_total"], start_ns=_T, end_ns=_T + 1)
    assert frame["in_octets_total"].to_list() == [2**64 - 1]


def test_small_files_are_merged_and_nothing_changes_for_readers(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for number in range(1, 101):
        store.write_now([_record(number, [_tenant(number)])])
    assert len(list((tmp_path / "tenant").rglob("*.parquet"))) < 25
    assert list(range(1, 101)) == _octets(tmp_path)


def test_a_merge_that_was_cut_short_shows_nothing_twice_and_is_cleaned_up(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write_now([_record(1, [_tenant(1)])])
    store.write_now([_record(2, [_tenant(2)])])
    (folder,) = (tmp_path / "tenant").iterdir()
    pl.concat([pl.read_parquet(path) for path in sorted(folder.iterdir())]).write_parquet(
        folder / Range(1, 2).file_name
    )
    assert _octets(tmp_path) == [1, 2]
    _store(tmp_path).write_now([_record(3, [_tenant(3)])])
    assert _octets(tmp_path) == [1, 2, 3]
    assert len(list(folder.iterdir())) == 2


def test_the_same_point_again_fills_in_and_the_later_value_stands(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write_now([_record(1, [_tenant(1, in_octets=5, coverage_ratio=0.5)])])
    store.write_now([_record(2, [_tenant(1, in_octets=7)])])
    frame = open_history(tmp_path).read("tenant", ["in_octets"], start_ns=_T, end_ns=_T + _DAY)
    assert frame.drop("time_ns").rows() == [("town", "internet", 7, 0.5)]


def test_a_frame_written_again_replaces_and_leaves_the_journals_rows(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write_now([_record(1, [_tenant(1)])])
    past = pl.DataFrame(
        {"time_ns": [_T + 2 * _MINUTE, _T + 3 * _MINUTE], "tenant": "town", "line": "internet", "in_octets": [20, 30]}
    )
    assert store.write_frame("tenant", past, source="past") == 2
    assert store.write_frame("tenant", past, source="past") == 2
    assert _octets(tmp_path) == [1, 20, 30]


def test_a_frame_stands_over_the_journal_where_points_coincide(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write_frame(
        "tenant",
        pl.DataFrame({"time_ns": [_T + _MINUTE], "tenant": "town", "line": "internet", "in_octets": [99]}),
        "remade",
    )
    store.write_now([_record(1, [_tenant(1)])])
    assert _octets(tmp_path) == [99]


def test_a_frame_with_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="in_bytes"):
        _store(tmp_path).write_frame("tenant", pl.DataFrame({"time_ns": [1], "in_bytes": [1]}))


def test_days_end_by_their_retention_and_rollups_stay(tmp_path: Path) -> None:
    now = [_T]
    store = ParquetStore(tmp_path, Retention(raw_days=90), now_ns=lambda: now[0])
    rollup = Sample("tenant_5m", (("tenant", "town"), ("line", "internet")), {"in_octets": 1}, _T)
    store.write_now([_record(1, [_tenant(1), rollup])])
    now[0] += 90 * _DAY
    store.maintain()
    assert _octets(tmp_path) == [1]
    now[0] += _DAY
    store.maintain()
    assert (_octets(tmp_path), len(list((tmp_path / "tenant_5m").rglob("*.parquet")))) == ([], 1)


@pytest.mark.parametrize("measurement", ["alert", "incident", "notification", "service_level", "forecast"])
def test_what_a_half_years_report_counts_outlives_the_raw_days(tmp_path: Path, measurement: str) -> None:
    now = [_T]
    store = ParquetStore(tmp_path, Retention(raw_days=90), now_ns=lambda: now[0])
    entry = SCHEMA[measurement]
    field = entry.fields[0]
    value: FieldValue = "text" if field.kind is str else field.kind(1)
    sample = Sample(measurement, tuple((tag, "one") for tag in entry.tags), {field.name: value}, _T)
    store.write_now([_record(1, [sample])])
    now[0] += 400 * _DAY
    store.maintain()
    frame = open_history(tmp_path).read(measurement, [field.name], start_ns=_T, end_ns=_T + _DAY)
    assert [value] == frame[field.name].to_list()


def test_a_day_that_is_over_is_packed_into_one_file(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path, now_ns=lambda: _T)
    for number in range(1, 6):
        store.write_now([_record(number, [_tenant(number)])])
    later = ParquetStore(tmp_path, now_ns=lambda: _T + 2 * _DAY)
    later.maintain()
    assert (_octets(tmp_path), len(list((tmp_path / "tenant").rglob("*.parquet")))) == ([1, 2, 3, 4, 5], 1)
    later.write_now([_record(5, [_tenant(5)]), _record(6, [_tenant(6)])])
    assert _octets(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_what_the_schema_does_not_know_is_a_dead_letter_and_the_rest_is_kept(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write_now(
        [
            _record(
                1,
                [
                    Sample("weather", (), {"rain": True}, _T),
                    _tenant(1, in_octets=5, colour=3),
                    _tenant(2, in_octets=-5),
                    _tenant(3),
                ],
            )
        ]
    )
    assert _octets(tmp_path) == [5, 3]
    assert store.dead_letters.total == 3
    (letters,) = (tmp_path / "dead_letters").iterdir()
    assert len(letters.read_text().splitlines()) == 3


def test_whole_numbers_are_taken_for_float_fields(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write_now([_record(1, [_tenant(1, in_bits_per_second=5), _tenant(2, in_bits_per_second=2.5)])])
    frame = open_history(tmp_path).read("tenant", ["in_bits_per_second"], start_ns=_T, end_ns=_T + _DAY)
    assert (frame["in_bits_per_second"].to_list(), store.dead_letters.total) == ([5.0, 2.5], 0)


def test_files_are_read_in_the_order_of_records_and_frames_last() -> None:
    names = [
        "frame-b.parquet",
        Range(5, 9).file_name,
        Range(1, 4).file_name,
        Range(1, 2).file_name,
        ".x.tmp",
        "frame-a.parquet",
    ]
    assert [Range(1, 4).file_name, Range(5, 9).file_name, "frame-a.parquet", "frame-b.parquet"] == files_in_force(names)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 0),
        ([1] * 7, 0),
        ([1] * 8, 8),
        ([100, *[1] * 8], 8),
        ([8, *[1] * 8], 9),
        ([90, *[1] * 11], 11),
        ([60, 30, 10, 1, 1], 0),
        ([90, 20, 20, 20], 3),
        ([90, 20, 20], 0),
        ([20, 20, 20, 20, 20], 0),
        ([20, 20, 20, 20, 20, 20], 5),
        ([100, 60], 0),
    ],
)
def test_files_are_merged_with_those_of_like_size(sizes: list[int], expected: int) -> None:
    assert expected == compaction_run(sizes, 8, 100)


def test_a_reader_beside_a_busy_writer_sees_each_row_once(tmp_path: Path) -> None:
    store = _store(tmp_path)
    done = threading.Event()

    def write() -> None:
        try:
            for number in range(1, 151):
                store.write_now([_record(number, [_tenant(number)])])
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not done.is_set():
        seen = _octets(tmp_path)
        assert seen == list(range(1, len(seen) + 1))
        reads += 1
    writer.join()
    assert _octets(tmp_path) == list(range(1, 151))
    assert reads > 0
