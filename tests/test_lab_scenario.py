"""Scenarios: when things happen, what is undone, and what is said about a file that is wrong."""

import datetime as dt
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poller.config import ConfigurationError, load
from poller.lab.scenario import EVENTS, Scenario, timeline
from poller.lab.scenario_file import load_scenario

EXAMPLES = Path(__file__).resolve().parent.parent / "config" / "examples"
ESTATE = load(EXAMPLES / "prefecture").estate
SECOND = 10**9
START = int(dt.datetime(2026, 11, 20, 14, tzinfo=ZoneInfo("Asia/Tokyo")).timestamp()) * SECOND


class _Recorder:
    """A stage that writes down what is played on it."""

    def __init__(self) -> None:
        self.played: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> object:
        return lambda *given, **named: self.played.append((name, *given, *named.values()))


def _play(text: str, tmp_path: Path, steps: int = 1000) -> list[tuple[float, tuple[object, ...]]]:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    scenario = load_scenario(path, ESTATE)
    stage = _Recorder()
    moments = []
    for moment, step in islice(timeline(scenario.events, START, scenario.loop), steps):
        before = len(stage.played)
        step.act(stage)  # type: ignore[arg-type]
        moments += [(moment - START) / SECOND] * (len(stage.played) - before)
    return list(zip(moments, stage.played, strict=True))


def test_what_lasts_is_undone_and_events_interleave(tmp_path: Path) -> None:
    text = """
    events:
      - {do: surge, tenant: tsu, times: 4, at: 10s, for: 1m}
      - {do: fail_circuit, circuit: int-1, at: 20s, for: 30s}
      - {do: dead_agent, device: fw-1, at: 5s}
    """
    assert _play(text, tmp_path) == [
        (5, ("silence", "fw-1")),
        (10, ("multiply_tenant", "tsu", 4.0, None)),
        (20, ("fail_circuit", "int-1")),
        (50, ("restore_circuit", "int-1")),
        (70, ("multiply_tenant", "tsu", 1.0, None)),
    ]


def test_a_surge_to_the_cap_ends_as_any_other(tmp_path: Path) -> None:
    text = "events:\n  - {do: surge, tenant: tsu, line: internet, to_cap: 110%, at: 10s, for: 1m}\n"
    assert _play(text, tmp_path) == [
        (10, ("fill_cap", "tsu", "internet", 1.1)),
        (70, ("multiply_tenant", "tsu", 1.0, "internet")),
    ]


def test_a_loop_begins_again_and_what_runs_over_its_end_still_ends(tmp_path: Path) -> None:
    text = "loop: 1m\nevents:\n  - {do: slow_agent, device: fw-1, delay: 2s, at: 50s, for: 15s}\n"
    assert _play(text, tmp_path, 4) == [
        (50, ("delay", "fw-1", 2.0)),
        (65, ("delay", "fw-1", 0)),
        (110, ("delay", "fw-1", 2.0)),
        (125, ("delay", "fw-1", 0)),
    ]


def test_a_clock_is_japans_and_comes_every_day(tmp_path: Path) -> None:
    text = """
    events:
      - {do: fail_over, group: fw, clock: "14:05"}
      - {do: clear_counters, device: fw-1, clock: "13:00"}
    """
    assert _play(text, tmp_path, 4) == [
        (300, ("fail_over", "fw", None)),
        (82_800, ("clear_counters", "fw-1", None)),
        (86_700, ("fail_over", "fw", None)),
        (169_200, ("clear_counters", "fw-1", None)),
    ]


def test_a_restart_is_silent_first(tmp_path: Path) -> None:
    text = "events:\n  - {do: reboot, device: ar-owase, at: 1m, silent_for: 75s, reshuffle: true}\n"
    assert _play(text, tmp_path) == [
        (60, ("silence", "ar-owase")),
        (135, ("wake", "ar-owase")),
        (135, ("reboot", "ar-owase", True)),
    ]


def test_a_flapping_port_ends_up(tmp_path: Path) -> None:
    text = "events:\n  - {do: flap, device: fw-1, interface: port1, at: 0s, times: 2, every: 4s}\n"
    assert _play(text, tmp_path) == [
        (0, ("set_interface", "fw-1", "port1", False)),
        (2, ("set_interface", "fw-1", "port1", True)),
        (4, ("set_interface", "fw-1", "port1", False)),
        (6, ("set_interface", "fw-1", "port1", True)),
    ]


@pytest.mark.parametrize(("count", "per_second"), [(1000, 300), (7, 2), (1, 1), (50_000, 20_000)])
def test_a_storm_sends_what_was_asked_for_at_that_rate(tmp_path: Path, count: int, per_second: float) -> None:
    text = f"events:\n  - {{do: trap_storm, device: fw-1, at: 0s, count: {count}, per_second: {per_second}}}\n"
    played = _play(text, tmp_path, 100_000)
    assert sum(int(str(call[2])) for _, call in played) == count
    for moment in range(1, int(played[-1][0])):
        sent = sum(int(str(call[2])) for at, call in played if at <= moment)
        assert abs(sent - per_second * moment) <= 1
    assert played[-1][0] == pytest.approx(count / per_second, abs=0.11)


BROKEN = {
    "lop: 1m": "1:1: lop: is no setting of this event or section",
    "events:\n  - {do: fail_circuitt, circuit: int-1, at: 3s}": (
        f"2:5: events[0]: \"fail_circuitt\" is no event; events are {', '.join(EVENTS)}. Did you mean 'fail_circuit'?"
    ),
    "events:\n  - {at: 3s}": f"2:5: events[0]: say what happens, do: one of {', '.join(EVENTS)}",
    "events:\n  - {do: surge, tenant: tsu, times: x, at: 4s}": '2:37: events[0].times: must be a number, not "x"',
    "events:\n  - {do: flap, device: fw-1, at: 1s}": "2:5: events[0].interface: is missing",
    "events:\n  - {do: dead_agent, device: fw-1}": (
        '2:5: events[0]: say when: either at: "90s" after the start, or clock: "14:05" every day'
    ),
    "events:\n  - {do: dead_agent, device: fw-1, at: 3}": (
        '2:40: events[0].at: 3 is not a duration: write "60s", "5m" or "1h30m"'
    ),
    "events:\n  - {do: surge, tenant: tsuu, times: 2, at: 4s}": (
        "2:25: events[0].tenant: the estate has no tenant \"tsuu\". Did you mean 'tsu'?"
    ),
    "events:\n  - {do: surge, tenant: tsu, at: 4s}": (
        "2:5: events[0]: say how much: either times: 4 as usual, or to_cap: 110% of the tenant's cap"
    ),
    "events:\n  - {do: surge, tenant: tsu, line: internet, times: 2, to_cap: 110%, at: 4s}": (
        "2:5: events[0]: say how much: either times: 4 as usual, or to_cap: 110% of the tenant's cap"
    ),
    "events:\n  - {do: surge, tenant: tsu, to_cap: 110%, at: 4s}": (
        "2:5: events[0]: say of which line: to_cap needs line"
    ),
    "events:\n  - {do: surge, tenant: tsu, line: internet, to_cap: much, at: 4s}": (
        "2:54: events[0].to_cap: 'much' is not a ratio: write \"80%\" or 0.8"
    ),
    "events:\n  - {do: surge, tenant: tsu, line: internet, to_cap: 110, at: 4s}": (
        "2:54: events[0].to_cap: must be 10 or less, not 110"
    ),
    "events:\n  - {do: surge, tenant: tsu, line: intrnet, to_cap: 110%, at: 4s}": (
        '2:36: events[0].line: tenant tsu is not attached to "intrnet"; it is to internet, breakout.'
        " Did you mean 'internet'?"
    ),
    "events:\n  - {do: fail_over, group: int-lines, at: 4s}": (
        '2:28: events[0].group: the estate has no redundancy group of devices "int-lines".'
    ),
    "notifications: {receiver: 127.0.0.1:99999}": (
        '1:27: notifications.receiver: "127.0.0.1:99999" is no receiver: '
        "write an IPv4 address and a port, such as 127.0.0.1:16162"
    ),
    "recordings: {fw-1: no.snmprec}": '1:20: recordings.fw-1: there is no file "no.snmprec" beside the scenario',
}


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_is_said_with_its_place(text: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path, ESTATE)
    assert [f"{path}:{BROKEN[text]}"] == [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*/scenario*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_the_scenarios_that_travel_with_the_product_can_be_played(path: Path) -> None:
    scenario = load_scenario(path, load(path.parent).estate)
    assert scenario.loop is not None
    last = max((event.at or 0.0) + max(step.after_seconds for step in event.steps()) for event in scenario.events)
    assert last <= scenario.loop
    assert min(event.at or 0.0 for event in scenario.events) < 180


def test_a_cap_that_is_not_there_cannot_be_filled(tmp_path: Path) -> None:
    capless = ESTATE.model_copy(update={"tenants": {"tsu": ESTATE.tenants["tsu"].model_copy(update={"caps": ()})}})
    path = tmp_path / "scenario.yaml"
    path.write_text("events:\n  - {do: surge, tenant: tsu, line: internet, to_cap: 110%, at: 4s}\n")
    with pytest.raises(ConfigurationError, match="tsu has no sustained_rate towards it on internet: write times"):
        load_scenario(path, capless)


def test_the_demo_begins_with_an_outage_that_is_mailed_at_once() -> None:
    """Both circuits of a line are down together for longer than the rule waits, within five minutes of the start."""
    scenario = load_scenario(EXAMPLES / "prefecture" / "scenario.yaml", ESTATE)
    rule = ESTATE.rules["line-down"]
    down: dict[str, list[float]] = {}
    for moment, step in islice(timeline(scenario.events, START), 4):
        words = step.text.split()
        down.setdefault(words[1], []).append((moment - START) / SECOND)
    both = [down[circuit] for circuit in ESTATE.line_groups["breakout"].members]
    begin, end = max(first for first, _ in both), min(last for _, last in both)
    assert rule.severity == "serious"
    assert end - begin > rule.raise_for + 60
    assert begin + rule.raise_for + 60 < 300
    assert rule.clear_for >= ESTATE.rules["circuit-down"].clear_for + 60  # one mail that says all is over
    assert all(event.at is None or event.at >= end + rule.clear_for for event in scenario.events[2:])


def test_every_event_is_in_the_demo() -> None:
    scenario = load_scenario(EXAMPLES / "prefecture" / "scenario.yaml", ESTATE)
    assert isinstance(scenario, Scenario)
    assert {event.do for event in scenario.events} == set(EVENTS)
