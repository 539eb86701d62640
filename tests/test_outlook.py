"""The outlook of lines from five-minute roll-ups in a real store, and the command that tells it."""

import json
import math
import re
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from typer.testing import CliRunner

from poller.cli import app
from poller.config import load
from poller.forecast import Forecast, Refusal
from poller.outlook import Line, Outlook, lines_of, outlook
from poller.percentiles import ceiling_rank
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore

EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"
TOKYO = ZoneInfo("Asia/Tokyo")
TODAY = date(2026, 11, 21)
LIMIT = 10**9
BUSY = (0, 10)
"""Monday, ten o'clock."""


def rate(at: datetime, days: int) -> float:
    """Bits per second: a working day's hump, weekends 150 Mbps lower, 2 Mbps more a day, and some rough of its own."""
    hump = 1.0 + 0.8 * math.exp(-(((at.hour + at.minute / 60 - 10.5) / 3) ** 2))
    if (at.weekday(), at.hour) == BUSY:
        hump *= 1.1
    rough = 1.0 + 0.02 * math.sin(at.toordinal() * 2.3)
    return 3e8 * hump / 1.8 * rough + 2e6 * days - (1.5e8 if at.weekday() > 4 else 0.0)


def write(directory: Path, days: int, *, holes: frozenset[int] = frozenset()) -> dict[date, list[float]]:
    """So many days before TODAY, and ten hours of it; of days in holes only the first half. By day, the means."""
    start = datetime.combine(TODAY - timedelta(days=days), datetime.min.time(), TOKYO)
    rows = []
    means: dict[date, list[float]] = {}
    for number in range(days * 288 + 120):
        at = start + timedelta(minutes=5 * number)
        day = number // 288
        if day in holes and number % 288 >= 144:
            continue
        value = rate(at, day)
        rows.append((int(at.timestamp()) * 10**9, value, value * 1.25, value / 4, value / 2, 1.0))
        means.setdefault(at.date(), []).append(value)
    names = ("time_ns", "in_bits_per_second_mean", "in_bits_per_second_max")
    names += ("out_bits_per_second_mean", "out_bits_per_second_max", "coverage_ratio")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64) | {"time_ns": pl.Int64}, orient="row")
    store = ParquetStore(directory)
    store.write_frame("line_group_5m", frame.with_columns(line_group=pl.lit("internet")))
    return means


def asked(directory: Path) -> Outlook:
    now_ns = int(datetime.combine(TODAY, datetime.min.time(), TOKYO).timestamp()) * 10**9 + 10 * 3600 * 10**9
    return outlook(
        open_history(directory), Line("internet", is_group=True, limit=LIMIT, against="committed"), now_ns, TOKYO
    )


def test_days_of_local_time_make_the_percentile_and_the_peak_and_the_limit_is_reached_when_arithmetic_says(
    tmp_path: Path,
) -> None:
    """The 95th percentile grows by 2 Mbps a day; today, which is not over, is no day. (R65)"""
    means = write(tmp_path, 120)
    found = asked(tmp_path).directions["in"]
    p95, peak = found.percentile_95, found.peak
    assert isinstance(p95, Forecast)
    assert isinstance(peak, Forecast)
    assert (p95.days, p95.first, p95.last) == (120, TODAY - timedelta(days=120), TODAY - timedelta(days=1))
    by_hand = {day: sorted(each)[ceiling_rank(len(each)) - 1] for day, each in means.items() if day < TODAY}
    last_week = [by_hand[TODAY - timedelta(days=back)] for back in range(7, 0, -1)]
    levels = [p95.weekday_levels[(TODAY - timedelta(days=back)).weekday()] for back in range(7, 0, -1)]
    assert levels == pytest.approx(last_week, rel=0.03)
    assert peak.weekday_levels[2] == pytest.approx(1.25 * max(means[TODAY - timedelta(days=3)]), rel=0.03)
    # a working day's highest hours carry about 3e8 + 2e6 x day, so 80 % is at day 250
    assert p95.reached[0].day is not None
    assert abs((p95.reached[0].day - (TODAY - timedelta(days=120) + timedelta(days=250))).days) <= 14
    assert p95.reached[0].earliest is not None
    assert p95.reached[0].earliest <= p95.reached[0].day
    assert p95.back_test is not None
    assert p95.back_test.mean_error_ratio < 0.05
    assert (peak.reached[0].day or TODAY) < p95.reached[0].day


def test_days_of_which_too_little_was_observed_are_left_out_and_said(tmp_path: Path) -> None:
    """(R63, R65)"""
    write(tmp_path, 40, holes=frozenset({3, 20, 21}))
    found = asked(tmp_path)
    p95 = found.directions["in"].percentile_95
    assert isinstance(p95, Forecast)
    assert (p95.days, found.left_out) == (37, 3)


def test_the_busiest_hour_of_the_week_is_found_in_local_time(tmp_path: Path) -> None:
    """(R65)"""
    write(tmp_path, 28)
    busiest = asked(tmp_path).directions["out"].busiest
    assert busiest is not None
    assert busiest[:2] == BUSY
    assert busiest[2] > 1.5


def test_only_half_a_year_is_read_and_under_a_week_there_is_a_refusal(tmp_path: Path) -> None:
    """(R65)"""
    write(tmp_path / "long", 200)
    found = asked(tmp_path / "long").directions["in"].percentile_95
    assert found.days == 180
    write(tmp_path / "short", 6)
    assert asked(tmp_path / "short").directions["in"].percentile_95 == Refusal(6)
    assert asked(tmp_path / "nothing").directions["out"].peak == Refusal(0)


def test_lines_are_held_against_the_committed_rate_where_there_is_one() -> None:
    """(R61)"""
    estate = load(EXAMPLE).estate
    known, ceiling, committed = lines_of(estate), lines_of(estate, "ceiling"), lines_of(estate, "committed")
    assert known.keys() == ceiling.keys() == estate.line_groups.keys() | estate.circuits.keys()
    assert known["internet"].limit == estate.line_groups["internet"].committed_rate
    assert ceiling["internet"].limit == estate.line_groups["internet"].ceiling_rate
    assert committed.keys() < known.keys()
    assert all(each.against == "committed" for each in committed.values())


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    directory = shutil.copytree(EXAMPLE, tmp_path / "configuration", ignore=shutil.ignore_patterns("demo"))
    write(load(directory).state_directory / "store", 120)
    return directory


def told(configuration: Path, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(
        app, ["forecast", "-c", str(configuration), "--until", TODAY.isoformat(), *words], env={"COLUMNS": "300"}
    )
    return done.exit_code, done.stdout, " ".join(done.stderr.replace("│", " ").split())


def test_the_command_tells_date_interval_data_and_back_test_in_both_languages(configuration: Path) -> None:
    """(R65)"""
    status, english, _ = told(configuration, "internet", "--lang", "en")
    assert status == 0
    assert "against its committed rate 1.00 Gbps" in english
    assert "inbound, daily 95th percentile" in english
    assert "inbound, daily peak (one minute)" in english
    assert (
        len(re.findall(r"80% of the limit is expected to be reached on 202[67]-\d\d-\d\d \(between 20", english)) == 2
    )
    assert "From 120 days of data, 2026-07-24 to 2026-11-20." in english
    assert "The last 28 days would have been predicted with a mean error of" in english
    assert "Busiest on Monday from 10:00 to 11:00" in english
    status, japanese, _ = told(configuration, "internet", "--lang", "ja")
    assert status == 0
    assert "下り　1日の95パーセンタイル" in japanese
    assert "上限の80%には、2027-" in japanese
    assert "2026-07-24から2026-11-20までの120日分のデータによります。" in japanese
    assert "最も混むのは月曜日の10時台で" in japanese


def test_the_command_gives_json_of_all_lines_and_refuses_politely_where_there_is_no_data(configuration: Path) -> None:
    status, text, _ = told(configuration, "--json", "--lang", "en")
    plain = {each["line"]: each for each in json.loads(text)}
    assert status == 0
    assert plain.keys() == lines_of(load(configuration).estate).keys()
    p95 = plain["internet"]["directions"]["in"]["percentile_95"]
    assert (p95["refused"], p95["days"], p95["last"]) == (False, 120, "2026-11-20")
    assert [each["share"] for each in p95["reached"]] == [0.8, 1.0]
    assert date.fromisoformat(p95["reached"][0]["earliest"]) <= date.fromisoformat(p95["reached"][0]["day"])
    assert p95["back_test"]["days"] == 28
    refused = plain["breakout"]["directions"]["in"]["peak"]
    assert refused == {
        "refused": True,
        "days": 0,
        "words": ["No forecast: 0 days of data, at least 7 are needed."],
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["internt"], "Did you mean 'internet'?"),
        (["internet", "--against", "speed"], "--against is committed or ceiling, not 'speed'"),
        (["internet", "--until", "tomorrow"], "--until is a day such as 2026-11-21, not 'tomorrow'"),
    ],
)
def test_the_command_says_what_cannot_be_asked(configuration: Path, words: list[str], said: str) -> None:
    status, _, error = told(configuration, *words)
    assert (2, True) == (status, said in error), error
