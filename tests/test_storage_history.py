"""What history answers: aggregates, steps, and how much of them was observed."""

import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.schema import SCHEMA
from poller.storage.aggregate import Step, into_steps
from poller.storage.errors import HistoryError
from poller.storage.history import History, open_history
from poller.storage.parquet import ParquetStore

_T = 1_800_000_000 * 10**9
_FIVE = 300 * 10**9


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Two tenants, one hour of roll-ups; the second has no data in its second half."""
    rows = [
        {
            "time_ns": _T + n * _FIVE,
            "tenant": tenant,
            "line": "internet",
            "in_octets": n,
            "in_bits_per_second_mean": n / 2,
            "coverage_ratio": 0.5 if n == 0 else 1.0,
        }
        for tenant, count in (("city", 12), ("town", 6))
        for n in range(count)
    ]
    ParquetStore(tmp_path).write_frame("tenant_5m", pl.DataFrame(rows))
    return open_history(tmp_path)


def test_rows_come_as_they_are_kept_by_series_then_time(history: History) -> None:
    frame = history.read("tenant_5m", ["in_octets"], {"tenant": {"town"}}, start_ns=_T + _FIVE, end_ns=_T + 3 * _FIVE)
    assert frame.columns == ["time_ns", "tenant", "line", "in_octets", "coverage_ratio"]
    assert frame.rows() == [(_T + _FIVE, "town", "internet", 1, 1.0), (_T + 2 * _FIVE, "town", "internet", 2, 1.0)]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("sum", [15, 51, 15]),
        ("max", [5, 11, 5]),
        ("min", [0, 6, 0]),
        ("mean", [2.5, 8.5, 2.5]),
        ("last", [5, 11, 5]),
        ("p95", [5, 11, 5]),
    ],
)
def test_steps_are_aggregated_by_series(history: History, aggregate: str, expected: list[float]) -> None:
    frame = history.read(
        "tenant_5m",
        ["in_octets"],
        start_ns=_T,
        end_ns=_T + 12 * _FIVE,
        step_seconds=1800,
        aggregate=aggregate,  # type: ignore[arg-type]
    )
    assert frame["tenant"].to_list() == ["city", "city", "town"]
    assert expected == frame["in_octets"].to_list()


def test_a_step_says_how_much_of_it_was_observed(history: History) -> None:
    frame = history.read("tenant_5m", ["in_octets"], start_ns=_T, end_ns=_T + 12 * _FIVE, step_seconds=3600)
    assert pytest.approx(frame["coverage_ratio"].to_list()) == [11.5 / 12, 5.5 / 12]


def test_polls_that_failed_cover_nothing(tmp_path: Path) -> None:
    minute = 60 * 10**9
    frame = pl.DataFrame(
        {
            "time_ns": [_T, _T + minute, _T + 2 * minute],
            "device": "fw",
            "role": "firewall",
            "site": "dc",
            "cpu_ratio": [0.5, None, 0.7],
            "quality": ["observed", "failed", "observed"],
        }
    )
    ParquetStore(tmp_path).write_frame("device", frame)
    answer = open_history(tmp_path).read("device", ["cpu_ratio"], start_ns=_T, end_ns=_T + 4 * minute, step_seconds=240)
    assert [pytest.approx(row) for row in answer.select("cpu_ratio", "coverage_ratio").rows()] == [(0.6, 0.5)]


def test_steps_can_begin_at_midnight_in_japan(history: History) -> None:
    frame = history.read(
        "tenant_5m",
        ["in_octets"],
        {"tenant": "city"},
        start_ns=_T,
        end_ns=_T + 12 * _FIVE,
        step_seconds=86_400,
        aggregate="sum",
        origin_ns=-9 * 3600 * 10**9,
    )
    assert [(t + 9 * 3600 * 10**9) % (86_400 * 10**9) for t in frame["time_ns"]] == [0]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=1, max_size=200))
def test_the_95th_percentile_is_by_ceiling_rank(values: list[float | None]) -> None:
    entry = SCHEMA["tenant_5m"]
    frame = pl.DataFrame(
        {
            "time_ns": [0] * len(values),
            "tenant": "t",
            "line": "l",
            "in_bits_per_second_mean": values,
            "coverage_ratio": 1.0,
        },
        schema_overrides={"in_bits_per_second_mean": pl.Float64},
    )
    known = sorted(v for v in values if v is not None)
    expected = known[math.ceil(len(known) * 19 / 20) - 1] if known else None
    assert [expected] == into_steps(frame, entry, Step(300, "p95", 0, 60.0))["in_bits_per_second_mean"].to_list()


def test_the_95th_percentile_of_thirty_days_is_the_8208th_of_8640(tmp_path: Path) -> None:
    """By ceiling rank over 5-minute slots (R63, R68)."""
    frame = pl.DataFrame(
        {
            "time_ns": [n * _FIVE for n in range(8640)],
            "tenant": "t",
            "line": "l",
            "in_bits_per_second_mean": [float(n + 1) for n in range(8640)],
        }
    )
    ParquetStore(tmp_path).write_frame("tenant_5m", frame)
    answer = open_history(tmp_path).read(
        "tenant_5m",
        ["in_bits_per_second_mean"],
        start_ns=0,
        end_ns=8640 * _FIVE,
        step_seconds=30 * 86_400,
        aggregate="p95",
    )
    assert answer["in_bits_per_second_mean"].to_list() == [8208.0]


def test_a_step_where_nothing_is_known_is_null_and_not_zero(tmp_path: Path) -> None:
    ParquetStore(tmp_path).write_frame(
        "tenant_5m", pl.DataFrame({"time_ns": [_T], "tenant": "t", "line": "l", "coverage_ratio": 0.0})
    )
    answer = open_history(tmp_path).read(
        "tenant_5m", ["in_octets"], start_ns=_T, end_ns=_T + 1, step_seconds=300, aggregate="sum"
    )
    assert answer.select("in_octets", "coverage_ratio").rows() == [(None, 0.0)]


@pytest.mark.parametrize(
    ("measurement", "fields", "where"),
    [("tenants", ["x"], {}), ("tenant_5m", ["in_bytes"], {}), ("tenant_5m", ["in_octets"], {"customer": "x"})],
)
def test_a_question_for_what_does_not_exist_says_what_does(
    tmp_path: Path, measurement: str, fields: list[str], where: dict[str, str]
) -> None:
    with pytest.raises(HistoryError, match="tenant"):
        open_history(tmp_path).read(measurement, fields, where, start_ns=0, end_ns=1)


def test_an_empty_store_answers_with_no_rows_and_all_columns(tmp_path: Path) -> None:
    frame = open_history(tmp_path / "none").read(
        "device", ["up"], start_ns=0, end_ns=_T, step_seconds=300, aggregate="max"
    )
    assert (frame.columns, frame.height) == (["time_ns", "device", "role", "site", "up", "coverage_ratio"], 0)
