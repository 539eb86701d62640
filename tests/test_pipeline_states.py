"""States of circuits and lines through the whole pipeline on simulated time: when they are told, and what follows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.circuit_state import ProbeEvidence
from poller.config import load
from poller.estate import Estate
from poller.pipeline import Pipeline
from poller.readings import DeviceReading, FailedPoll, InterfaceLayout
from poller.sample import Sample
from poller.wall.live import LiveState

SECOND = 10**9
MINUTE = 60 * SECOND
START = 30_000_000 * MINUTE
EXAMPLES = Path(__file__).parents[1] / "config" / "examples"
ANSWER_SECONDS = 1


@dataclass
class Scene:
    """A pipeline with its real neighbours; devices are polled at fixed seconds of their interval and answer a second
    later. What a device says is oper_status, None for no answer."""

    pipeline: Pipeline
    alerting: Alerting
    live: LiveState
    estate: Estate
    journal: list[Sample]
    polls: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By device, the second of its polls and their interval."""
    says: dict[str, int | None] = field(default_factory=dict)
    carries: dict[str, int] = field(default_factory=dict)
    """By device, octets a second from now on in both directions; 1,000,000 where nothing is said."""
    attached: set[tuple[str, str]] = field(default_factory=set)
    """Further devices and interfaces that are measured."""
    second: int = 0
    _octets: dict[str, tuple[int, int]] = field(default_factory=dict)

    def watch(self, circuit: str, second: int, every: int = 60) -> str:
        device = self.estate.circuits[circuit].measured_by.device
        self.polls[device], self.says[device] = (second, every), 1
        return device

    def run(self, until: int) -> None:
        while self.second < until:
            self.second += 1
            for device, (phase, every) in self.polls.items():
                due = self.second - ANSWER_SECONDS
                if due >= phase and (due - phase) % every == 0:
                    self._answer(device, START + due * SECOND, every * SECOND)
            self.pipeline.tick(START + self.second * SECOND)

    def _answer(self, device: str, due_ns: int, interval_ns: int) -> None:
        now_ns, status = due_ns + ANSWER_SECONDS * SECOND, self.says[device]
        if status is None:
            self.pipeline.accept(FailedPoll(device, due_ns, "no_answer", "nobody answered"), now_ns)
            return
        names = [
            each.measured_by.interface for each in self.estate.circuits.values() if each.measured_by.device == device
        ]
        names += sorted({interface for where, interface in self.attached if where == device} - set(names))
        rows = len(names)
        layout = InterfaceLayout(tuple(names), tuple(range(rows)), (10**10,) * rows, (True,) * rows)
        before, last = self._octets.get(device, (0, 0))
        octets = before + ((due_ns - START) // SECOND - last) * self.carries.get(device, 1_000_000)
        self._octets[device] = octets, (due_ns - START) // SECOND
        reading = DeviceReading(
            device=device,
            due_ns=due_ns,
            layout=layout,
            received_ns=[due_ns] * rows,
            uptime_ticks=[10**8 + (due_ns - START) // 10**7] * rows,
            counters=[octets, octets, 0, 0, 0, 0, 0, 0] * rows,
            oper_status=[status] * rows,
            discontinuity_ticks=[None] * rows,
            interval_ns=interval_ns,
        )
        self.pipeline.accept(reading, now_ns)

    def states(self, measurement: str, key: str) -> list[tuple[int, object]]:
        """(second, state) of every state sample in the journal."""
        return [
            (_second(sample.time_ns), sample.fields["state"])
            for sample in self.journal
            if sample.measurement == measurement and sample.tags[0][1] == key and "state" in sample.fields
        ]

    def alerts(self, subject: str) -> list[tuple[int, str, object]]:
        """(second, rule, state) of every step of the alerts on a subject."""
        return [
            (_second(sample.time_ns), sample.tags[0][1], sample.fields["state"])
            for sample in self.journal
            if sample.measurement == "alert" and sample.tags[1][1] == subject
        ]

    def shown(self, circuit: str) -> dict[str, Any]:
        entries = self.live.snapshot(START + self.second * SECOND)["circuits"]
        (entry,) = [each for each in entries if each["id"] == circuit]
        return dict(entry)


def _second(time_ns: int) -> int:
    return (time_ns - START) // SECOND


Begin = Callable[..., Scene]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    stores: list[Store] = []

    def scene(example: str, slow: Sequence[str] = ()) -> Scene:
        estate = load(EXAMPLES / example).estate
        for device in slow:
            estate.devices[device] = estate.devices[device].model_copy(update={"interval": 300.0})
        store = Store(tmp_path / "alerts.sqlite")
        stores.append(store)
        journal: list[Sample] = []
        alerting, live = Alerting(estate, store), LiveState(estate)
        return Scene(Pipeline(estate, journal.extend, alerting, live), alerting, live, estate, journal)

    yield scene
    for each in stores:
        each.close()


@pytest.mark.parametrize(
    ("example", "first", "second", "line"),
    [("prefecture", "bo-1", "bo-2", "breakout"), ("cityhall", "hall-1", "hall-2", "hall-lines")],
)
def test_a_line_that_fails_is_told_at_its_times_and_fires_when_raise_for_has_passed(
    begin: Begin, example: str, first: str, second: str, line: str
) -> None:
    """The examples' rules say raise_for 3s; times are those of the readings, not of their slots (R51, R56)."""
    scene = begin(example)
    one, two = scene.watch(first, 7), scene.watch(second, 31)
    scene.run(180)
    scene.says[one] = 2
    scene.run(189)
    assert [(7, "up"), (67, "up"), (127, "up"), (187, "down")] == scene.states("circuit", first)
    assert [(188, "circuit-down", "pending")] == scene.alerts(f"circuit/{first}")
    assert [] == scene.alerting.open_incidents()
    scene.run(205)
    assert [(188, "circuit-down", "pending"), (190, "circuit-down", "firing")] == scene.alerts(f"circuit/{first}")
    (incident,) = scene.alerting.open_incidents()
    assert 187 == _second(incident.begun_ns)

    scene.says[two] = 2
    scene.run(300)
    assert [(187, "degraded"), (211, "down"), (247, "down"), (271, "down")] == scene.states("line_group", line)[-4:]
    assert [(212, "line-down", "pending"), (214, "line-down", "firing")] == scene.alerts(f"line_group/{line}")

    scene.says[one] = scene.says[two] = 1
    scene.run(900)
    calm = {"prefecture": 60, "cityhall": 300}[example]
    longer = {"prefecture": 60, "cityhall": 0}[example]  # so that two that recover together are one recovery
    assert (308 + calm, "circuit-down", "resolved") == scene.alerts(f"circuit/{first}")[-1]
    up = 308 + calm + longer
    assert (up, "line-down", "resolved") == scene.alerts(f"line_group/{line}")[-1]  # one of the two serves
    assert [] == scene.alerting.open_incidents()


def test_a_far_edge_that_falls_silent_is_told_at_the_end_of_its_minute(begin: Begin) -> None:
    """(R35, R51)"""
    scene = begin("prefecture")
    scene.watch("int-1", 7)
    scene.run(121)
    scene.pipeline.see_probe("int-1", ProbeEvidence(START + 120 * SECOND, 1.0), START + 121 * SECOND)
    scene.run(122)
    assert [(7, "up"), (67, "up"), (120, "down")] == scene.states("circuit", "int-1")
    assert [] == scene.alerting.open_incidents()
    scene.run(136)
    (incident,) = scene.alerting.open_incidents()
    assert (120, 123) == (_second(incident.begun_ns), _second(incident.opened_ns))


def test_a_router_that_does_not_answer_leaves_its_circuit_unknown_from_that_poll_on(begin: Begin) -> None:
    """(R35)"""
    scene = begin("prefecture")
    device = scene.watch("int-1", 7)
    scene.run(60)
    scene.says[device] = None
    scene.run(200)
    assert [(7, "up"), (67, "unknown"), (127, "unknown"), (187, "unknown")] == scene.states("circuit", "int-1")
    assert [] == scene.alerts("circuit/int-1")


def test_a_circuit_asked_every_five_minutes_clears_when_it_has_been_up_for_clear_for(begin: Begin) -> None:
    """A reading holds for two intervals of its device (R51)."""
    scene = begin("prefecture", slow=["int-rt-1"])
    device = scene.watch("int-1", 7, every=300)
    scene.run(200)
    scene.says[device] = 2
    scene.run(400)
    scene.says[device] = 1
    scene.run(1000)
    assert [
        (308, "circuit-down", "pending"),
        (310, "circuit-down", "firing"),
        (908, "circuit-down", "resolved"),
    ] == scene.alerts("circuit/int-1")


def test_slots_carry_traffic_and_states_leave_the_traffic_on_the_wall_and_in_the_rollups_alone(begin: Begin) -> None:
    """(R68, R75)"""
    scene = begin("prefecture")
    scene.watch("int-1", 7)
    scene.watch("int-2", 31)
    scene.run(900)
    slots = [
        sample
        for sample in scene.journal
        if sample.measurement in ("circuit", "line_group") and sample.time_ns % MINUTE == 0
    ]
    assert slots
    assert all("coverage_ratio" in sample.fields and not {"state", "active"} & sample.fields.keys() for sample in slots)
    shown = scene.shown("int-1")
    assert (pytest.approx(8e6), "up") == (shown["in"], shown["state"])
    assert shown["active"] is not None
    rolled = [
        sample.fields["coverage_ratio"]
        for sample in scene.journal
        if sample.measurement == "circuit_5m" and sample.tags[0][1] == "int-1"
    ]
    assert pytest.approx(293 / 300) == rolled[0]


def test_a_circuit_held_below_its_committed_rate_raises_a_serious_alert_with_the_evidence(begin: Begin) -> None:
    """From the counters to the rule, the wall and the incident. (R56, R61)"""
    scene = begin("prefecture")
    device = scene.watch("int-1", 7)
    circuit = scene.estate.circuits["int-1"]
    assert circuit.committed_rate is not None
    for minute in range(1, 41):
        held = minute > 15
        scene.carries[device] = circuit.committed_rate * 6 // 80 if held else 1_000_000
        scene.run(60 * minute)
        now_ns = START + scene.second * SECOND
        evidence = ProbeEvidence(now_ns, 0.002, 0.080 if held else 0.005)
        scene.pipeline.see_probe("int-1", evidence, now_ns)
    steps = [(rule, state) for _, rule, state in scene.alerts("circuit/int-1")]
    assert [("line-not-delivered", "pending"), ("line-not-delivered", "firing")] == steps
    assert ("in", "out") == tuple(each["direction"] for each in scene.shown("int-1")["not_delivered"])
    (incident,) = scene.alerting.open_incidents()
    assert "serious" == incident.severity.value
    assert any("遅延80ミリ秒" in each.words[0] and "delay 80 ms" in each.words[1] for each in incident.evidence)
    stored = [each.fields for each in scene.journal if each.fields.get("committed_delivered") is False]
    assert "下り：帯域確保の60%" in str(stored[-1]["text_ja"])
    assert "out: flat at 60% of the committed rate" in str(stored[-1]["text_en"])


def test_a_standby_that_takes_over_is_a_minor_alert_and_the_switch_over_is_stored_and_shown(begin: Begin) -> None:
    """(R64a)"""
    scene = begin("prefecture")
    first = scene.watch("int-1", 7)
    scene.watch("int-2", 31)
    scene.run(200)
    scene.says[first] = 2
    scene.run(500)
    steps = [(rule, state) for _, rule, state in scene.alerts("circuit/int-2")]
    assert [("standby-carries", "pending"), ("standby-carries", "firing")] == steps
    told = [(_second(each.time_ns), each.tags[0][1]) for each in scene.journal if "switch_over" in each.fields]
    assert [(247, "int-2")] == told
    (shown,) = scene.shown("int-2")["switch_overs"]
    assert ("int-1", "int-2", "int-1 is down") == (shown["before"], shown["after"], shown["reason"])
    assert [shown] == scene.shown("int-1")["switch_overs"]


def test_caps_and_rests_reach_the_wall_and_a_restart_takes_nothing_from_it(begin: Begin, tmp_path: Path) -> None:
    """(R64, R73)"""
    scene = begin("prefecture")
    tenant = next(each for each in scene.estate.tenants.values() if each.caps)
    for attachment in tenant.attachments:
        scene.polls[attachment.device], scene.says[attachment.device] = (7, 60), 1
    scene.attached = {(each.device, each.interface) for each in tenant.attachments}
    scene.run(1500)
    (entry,) = [each for each in scene.live.snapshot(START)["tenants"] if each["id"] == tenant.id]
    assert entry["caps"]
    assert {"line", "kind", "direction", "value", "limit", "ratio", "exceeded", "projected", "provisional"} == set(
        entry["caps"][0]
    )
    saved = msgpack.decode(msgpack.encode(scene.pipeline.save()))
    live = LiveState(scene.estate)
    Pipeline(scene.estate, lambda _: None, scene.alerting, live).restore(saved)
    (again,) = [each for each in live.snapshot(START)["tenants"] if each["id"] == tenant.id]
    assert entry["caps"] == again["caps"]


def test_a_part_of_another_version_begins_anew_and_the_others_go_on(begin: Begin) -> None:
    """An upgrade must not keep the daemon from starting. (R73)"""
    scene = begin("prefecture")
    scene.watch("int-1", 7)
    scene.run(300)
    saved = scene.pipeline.save()
    saved["slots"] = {"version": 99}
    fresh = Pipeline(scene.estate, lambda _: None, scene.alerting, LiveState(scene.estate))
    fresh.restore(saved)
    assert fresh.save()["rates"] == saved["rates"]


def test_while_we_are_cut_off_history_says_unknown_and_never_down(begin: Begin) -> None:
    """The one who cannot see does not write "down" into the history of others (R54)."""
    scene = begin("prefecture")
    devices = [key for key, device in scene.estate.devices.items() if not device.parents]
    devices += [key for key in scene.estate.devices if key not in devices][:4]
    for key in devices:
        scene.polls[key], scene.says[key] = (1, 60), 1
    scene.run(70)
    scene.says.update(dict.fromkeys(devices, None))
    scene.run(310)
    assert scene.alerting.isolated
    lately = [
        (sample.fields.get("up"), sample.fields["quality"])
        for sample in scene.journal
        if sample.measurement == "device" and _second(sample.time_ns) > 190
    ]
    assert {(None, "suppressed")} == set(lately)
    scene.says.update(dict.fromkeys(devices, 1))
    scene.run(700)
    assert not scene.alerting.isolated
