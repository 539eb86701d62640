"""Rules on recorded series."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poller.alerts.rehearsal import rehearse
from poller.cli_rules import read_samples, rules
from poller.config import load
from poller.sample import Sample

SECOND = 1_000_000_000
NOON = 1_795_000_000 * SECOND
EXAMPLE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
TAGS = (("device", "fw-1"), ("role", "firewall"), ("site", "dc"))


def cpu(*ratios):
    """One reading a minute."""
    return [
        Sample("device", TAGS, {"cpu_ratio": ratio}, NOON + minute * 60 * SECOND) for minute, ratio in enumerate(ratios)
    ]


@pytest.fixture(scope="module")
def estate():
    return load(EXAMPLE).estate


def test_a_busy_quarter_of_an_hour_fires_once_with_its_worst_value(estate) -> None:
    result = rehearse(estate, cpu(*[0.3] * 5, *[0.83] * 7, 0.88, *[0.82] * 3, *[0.5] * 10))
    assert [
        (f.rule, f.subject, (f.since_ns - NOON) // SECOND, (f.fired_ns - NOON) // SECOND, f.worst)
        for f in result.firings
    ] == [("cpu-high", "device/fw-1", 300, 600, 0.88)]
    assert result.firings[0].resolved_ns == NOON + 16 * 60 * SECOND
    assert result.series["cpu-high"] == 1


def test_four_busy_minutes_do_not_fire(estate) -> None:
    assert rehearse(estate, cpu(*[0.3] * 5, *[0.95] * 4, *[0.3] * 5)).firings == ()


def test_what_lasts_to_the_end_is_told_as_lasting(estate) -> None:
    firings = rehearse(estate, cpu(*[0.95] * 20)).firings
    assert [(f.rule, f.resolved_ns) for f in firings] == [("cpu-critical", None), ("cpu-high", None)]


def test_hourly_forecasts_are_rehearsed_as_the_daemon_judges_them(estate) -> None:
    """A day that comes nearer fires; an hour without a day for the share says "not in three years", and clears."""
    tags = (("line_group", "internet"), ("direction", "in"))
    hours = [{"days_to_80": 95.0}, {"days_to_80": 84.0}, {"days_to_80": 80.0}, {"days_used": 200}, {"days_used": 201}]
    samples = [Sample("forecast", tags, fields, NOON + at * 3600 * SECOND) for at, fields in enumerate(hours)]
    assert [("forecast-80", "forecast/internet/in", NOON + 3600 * SECOND, 80.0)] == [
        (firing.rule, firing.subject, firing.fired_ns, firing.worst)
        for firing in rehearse(estate, samples).firings
        if firing.resolved_ns is not None
    ]


def test_the_command_prints_and_gives_json(tmp_path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(
        "\n".join(
            json.dumps({"measurement": s.measurement, "tags": dict(s.tags), "fields": s.fields, "time_ns": s.time_ns})
            for s in cpu(*[0.3] * 3, *[0.85] * 10)
        ),
        encoding="utf-8",
    )
    app = typer.Typer()
    app.add_typer(rules, name="rules")
    done = CliRunner().invoke(app, ["rules", "test", str(file), "-c", str(EXAMPLE), "--json"])
    assert done.exit_code == 0, done.output
    assert [(entry["rule"], entry["worst"]) for entry in json.loads(done.stdout)["firings"]] == [("cpu-high", 0.85)]
    shown = CliRunner().invoke(app, ["rules", "test", str(file), "-c", str(EXAMPLE), "--lang", "ja"])
    assert "cpu-high: 1 系列に 1 回" in shown.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"measurement": "device"}', "sample 1: a sample has measurement, tags, fields and time_ns"),
        ('{"measurement": "device"}\nnonsense', "line 2: Expecting value"),
    ],
)
def test_a_line_that_is_no_sample_is_named(tmp_path, text, says) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        list(read_samples(file))
