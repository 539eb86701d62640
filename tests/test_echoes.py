"""Echoes of the daemon: whom it asks, and what their answers become, through the whole pipeline on simulated time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.incidents import Incident
from poller.alerts.records import AuditEntry
from poller.alerts.store import Store
from poller.alerts.words import value_text
from poller.circuit_state import STALE_NS
from poller.config import load
from poller.echoes import Asked, Echoes, EchoWatch, Part, at_rest, echo_targets
from poller.estate import Estate, Maintenance, ProbePoints
from poller.pipeline import Pipeline
from poller.sample import Sample
from poller.schema import SCHEMA
from poller.settings import Name
from poller.wall.live import LiveState
from probes.icmp import EchoDown, EchoProber, EchoStatistics, EchoTarget, EchoUnsent, EchoUp
from probes.icmp_statistics import Delays
from probes.icmp_track import Standing
from probes.path import Hop, Said, Way, WayFound
from probes.path import Path as Trace

SECOND = 10**9
MINUTE = 60 * SECOND
START = 30_000_000 * MINUTE
GATEWAY, NEAR, FAR, BEYOND = "10.8.1.2", "10.8.2.2", "10.8.3.2", "10.8.4.2"
CONFIG = """\
organisation: {name: {ja: 試験網, en: Test network}}
polling: {interval: 60s, gateways: [10.8.1.2]}
storage: {directory: state}
mail: {maildir: mail}
contacts:
  shift: {role: operator, email: shift@example.jp}
  carrier: {role: provider, email: noc@carrier.example.jp}
sites: {hall: {}}
credentials: {core: {version: "2c", community: "file:community"}}
devices:
  rt-1: {addresses: [10.8.2.2], role: router, site: hall, credentials: core}
  dual-1: {addresses: [10.8.2.9, "fd08:2::9"], role: server, site: hall}
  srv-1: {addresses: [10.8.2.10], role: server, site: hall}
  srv-2: {addresses: [10.8.2.11], role: server, site: hall, ping: false}
circuits:
  line-1:
    name: {ja: 回線1, en: Line 1}
    kind: internet
    provider: carrier
    ceiling_rate: 1G
    measured_by: {device: rt-1, interface: eth0}
    probe: {near: 10.8.2.2, far: 10.8.3.2, beyond: 10.8.4.2}
rules:
  circuit-down: {name: 回線断, on: circuit.state, equals: down, raise_for: 15s, clear_for: 60s, severity: serious}
  beyond-down: {name: 回線の先に届かない, on: circuit.beyond, equals: down, raise_for: 15s, severity: serious}
  device-down: {name: 応答なし, on: device.up, equals: false, raise_for: 15s, clear_for: 60s, severity: serious}
  v6-down: {name: IPv6の応答なし, on: device.ipv6_up, equals: false, raise_for: 15s, severity: minor}
"""


@dataclass
class Scene:
    """A pipeline with its real neighbours; what the prober would tell is told by hand."""

    estate: Estate
    pipeline: Pipeline
    alerting: Alerting
    live: LiveState
    journal: list[Sample]
    echoes: Echoes = field(init=False)
    asked: dict[str, Asked] = field(init=False)
    asked_by_snmp: list[str] = field(default_factory=list)
    standings: dict[str, Standing] = field(default_factory=dict)
    hurried: list[str] = field(default_factory=list)
    second: int = 0

    def __post_init__(self) -> None:
        self.asked = echo_targets(self.estate)
        self.echoes = Echoes(self.estate, self.pipeline, self.asked, self.now_ns, self._ask)

    def now_ns(self) -> int:
        return START + self.second * SECOND

    def _ask(self, device: str) -> None:
        """SNMP answers where echoes are answered; where not, its timeout is longer than these tests."""
        self.asked_by_snmp.append(device)
        if self.standings.get(NEAR) is Standing.UP:
            tags = (("device", device), ("role", "router"), ("site", "hall"))
            sample = Sample("device", tags, {"up": True, "quality": "observed"}, self.now_ns())
            self.pipeline.publish([sample], self.now_ns())

    def states(self, since_ns: int) -> set[object]:
        samples = [each for each in self.journal if each.measurement == "circuit" and each.time_ns >= since_ns]
        return {each.fields["state"] for each in samples if "state" in each.fields}

    def say(self, kind: type, *targets: str) -> None:
        now = self.now_ns()
        for target in targets:
            event = {
                EchoUp: EchoUp(target, now, now),
                EchoDown: EchoDown(target, now, now, 6, 0),
                EchoUnsent: EchoUnsent(target, now, now, "Network is unreachable"),
            }[kind]
            self.standings[target] = {
                EchoUp: Standing.UP,
                EchoDown: Standing.DOWN,
                EchoUnsent: Standing.UNKNOWN,
            }[kind]
            self.echoes.take(event, self)

    def standing(self, target: str) -> Standing:
        return self.standings.get(target, Standing.UNKNOWN)

    def hurry(self, target: str) -> None:
        self.hurried.append(target)

    def minute(self, target: str, sent: int, lost: int) -> None:
        start_ns = self.now_ns() // MINUTE * MINUTE - MINUTE
        delays = Delays(0.004, 0.005, 0.006, 0.007, 0.001) if lost < sent else None
        minute = EchoStatistics(target, start_ns, sent, sent - lost, lost, 0, 0, 0, 0, delays)
        self.echoes.take(minute, self)

    def run(self, until: int) -> None:
        while self.second < until:
            self.second += 1
            self.pipeline.tick(self.now_ns())
            if self.second % 60 == 2:
                self._ask("rt-1")
                for target, standing in self.standings.items():
                    if standing is not Standing.UNKNOWN:
                        self.minute(target, 12, 0 if standing is Standing.UP else 12)

    def all_up(self) -> None:
        self.say(EchoUp, *self.asked)
        self.run(130)

    def incidents(self) -> dict[str, Incident]:
        return {incident.root[1]: incident for incident in self.alerting.open_incidents()}

    def last(self, measurement: str, key: str, name: str) -> object:
        found = [
            sample.fields[name]
            for sample in self.journal
            if sample.measurement == measurement and sample.tags[0][1] == key and name in sample.fields
        ]
        return found[-1] if found else None


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "community").write_text("secret\n")
    (tmp_path / "hinomi.yaml").write_text(CONFIG, encoding="utf-8")
    estate = load(tmp_path).estate
    store = Store(tmp_path / "alerts.sqlite")
    journal: list[Sample] = []
    alerting, live = Alerting(estate, store), LiveState(estate)
    yield Scene(estate, Pipeline(estate, journal.extend, alerting, live), alerting, live, journal)
    store.close()


def test_every_address_is_asked_once_whatever_parts_it_plays(scene: Scene) -> None:
    """IPv4 and IPv6 of one device are asked apart (R38); a device that may not be pinged is not."""
    assert [GATEWAY, NEAR, "10.8.2.9", "fd08:2::9", "10.8.2.10", FAR, BEYOND] == list(scene.asked)
    assert (Part("rt-1", "device"), Part("line-1", "near")) == scene.asked[NEAR].parts
    assert (Part("dual-1", "device", first=False),) == scene.asked["fd08:2::9"].parts
    assert EchoTarget(GATEWAY, ip_address(GATEWAY)) == scene.asked[GATEWAY].target


@pytest.mark.parametrize(
    ("silent", "root", "scope", "evidence"),
    [
        ((BEYOND,), "circuit/line-1", "outside", ["当方の端 応答あり", "契約の向こう端 応答あり", "その先 応答なし"]),
        ((NEAR, FAR, BEYOND), None, "inside", ["当方の端 応答なし", "契約の向こう端 応答なし", "その先 応答なし"]),
        ((FAR, BEYOND), "circuit/line-1", "undetermined", ["当方の端 応答あり", "契約の向こう端 応答なし"]),
    ],
)
def test_points_that_fall_silent_make_an_incident_of_their_class_with_the_evidence(
    scene: Scene, silent, root, scope, evidence
) -> None:
    """Nothing is known of the interface here, so between near and far nobody can say whose it is (R41)."""
    scene.all_up()
    assert {} == scene.incidents()
    scene.say(EchoDown, *silent)
    scene.run(170)
    incidents = scene.incidents()
    incident = incidents[root] if root is not None else next(iter(incidents.values()))
    assert scope == incident.scope
    told = [value_text("circuit", each.field, each.value, "ja") for each in incident.evidence]
    assert [] == [line for line in evidence if line not in told]
    (circuit,) = scene.live.snapshot(scene.now_ns())["circuits"]
    assert scope == circuit["fault"]
    assert scope == scene.last("circuit", "line-1", "fault")


def test_where_one_falls_silent_its_neighbours_are_asked_at_once(scene: Scene) -> None:
    """So that the first mail has the class that all points agree on (R41)."""
    scene.all_up()
    scene.say(EchoDown, FAR)
    assert {NEAR, BEYOND, GATEWAY} == set(scene.hurried)
    scene.hurried.clear()
    scene.say(EchoDown, "10.8.2.10")
    assert [GATEWAY] == scene.hurried


def test_points_that_fall_silent_one_by_one_have_the_class_of_all_in_the_end(scene: Scene) -> None:
    scene.all_up()
    scene.say(EchoDown, FAR)
    scene.run(146)
    scene.say(EchoDown, NEAR, BEYOND)
    scene.run(150)
    assert {"inside"} == {incident.scope for incident in scene.incidents().values()}


def test_the_class_of_an_open_incident_does_not_follow_points_that_return_one_by_one(scene: Scene) -> None:
    """Between us and near it was inside, although near answers some seconds before the others do again."""
    scene.all_up()
    scene.say(EchoDown, NEAR, FAR, BEYOND)
    scene.run(170)
    scene.say(EchoUp, NEAR)
    scene.run(176)
    scene.say(EchoUp, FAR, BEYOND)
    scene.run(190)
    assert {"inside"} == {incident.scope for incident in scene.incidents().values()}
    scene.run(300)
    assert {} == scene.incidents()


def test_without_an_answer_from_our_own_gateway_monitoring_is_isolated_and_nothing_else_is_told(scene: Scene) -> None:
    """History says unknown, not down (R54)."""
    scene.all_up()
    before = len(scene.journal)
    scene.standings[GATEWAY] = Standing.DOUBTFUL  # the order in which they are declared down is anybody's guess
    scene.say(EchoDown, *reversed(scene.asked))
    scene.run(200)
    (incident,) = scene.incidents().values()
    assert "monitoring-isolated" == incident.root[0]
    assert ("gateway/10.8.1.2", False) in [(each.subject, each.value) for each in incident.evidence]
    later = scene.journal[before:]
    assert [] == [sample for sample in later if sample.measurement == "device" and sample.fields.get("up") is False]
    assert "unknown" == scene.last("circuit", "line-1", "state")
    assert "isolated" == scene.last("circuit", "line-1", "fault")
    scene.say(EchoUp, *scene.asked)
    scene.run(320)
    assert {} == scene.incidents()
    assert "up" == scene.last("circuit", "line-1", "state")


def test_a_cable_of_our_own_that_is_out_isolates_too_though_no_echo_was_lost(scene: Scene) -> None:
    """(R54)"""
    scene.all_up()
    scene.say(EchoUnsent, *scene.asked)
    scene.run(140)
    assert ["monitoring-isolated"] == [incident.root[0] for incident in scene.incidents().values()]


def test_a_device_that_is_only_pinged_is_down_at_once_and_up_again_by_its_answers(scene: Scene) -> None:
    """(R37)"""
    scene.all_up()
    scene.say(EchoDown, "10.8.2.10")
    scene.run(150)
    assert ["device/srv-1"] == list(scene.incidents())
    scene.say(EchoUp, "10.8.2.10")
    scene.run(300)
    assert {} == scene.incidents()


def test_a_device_with_snmp_is_asked_at_once_and_what_it_says_is_the_last_word(scene: Scene) -> None:
    scene.all_up()
    scene.asked_by_snmp.clear()
    scene.say(EchoDown, NEAR)
    assert ["rt-1"] == scene.asked_by_snmp
    assert scene.last("device", "rt-1", "up") is False
    scene.say(EchoUp, NEAR)
    assert ["rt-1", "rt-1"] == scene.asked_by_snmp
    assert scene.last("device", "rt-1", "up") is True


def works(scene: Scene, seconds: int, **where) -> AuditEntry:
    """A window that begins now, in which nothing is asked."""
    zone = ZoneInfo(scene.estate.organisation.timezone)
    start, end = (
        f"{datetime.fromtimestamp((scene.now_ns() + each * SECOND) // SECOND, zone):%Y-%m-%d %H:%M}"
        for each in (0, seconds)
    )
    window = Maintenance(
        id="works", name=Name(ja="作業", en="works"), start=start, end=end, stop_polling=True, where=where
    )
    return AuditEntry(scene.now_ns(), "当番A", "cli", "maintenance", "works", window.model_dump_json())


@pytest.mark.parametrize(
    ("where", "resting"),
    [
        ({"devices": ["srv-1"]}, ["10.8.2.10"]),
        ({"circuits": ["line-1"]}, [FAR, BEYOND]),  # the near point is a device too, on which nobody works
        ({"circuits": ["line-1"], "devices": ["rt-1"]}, [NEAR, FAR, BEYOND]),
        ({}, [NEAR, "10.8.2.9", "fd08:2::9", "10.8.2.10", FAR, BEYOND]),  # our own gateway is asked for ever
    ],
)
def test_what_is_being_worked_on_gets_no_echoes(scene: Scene, where, resting) -> None:
    """Maintenance that stops polling (R55)."""
    scene.run(60 - scene.second)
    assert set() == at_rest(scene.asked, scene.alerting.resting, scene.now_ns())
    scene.alerting.carry_out(works(scene, 600, **where))
    assert set(resting) == at_rest(scene.asked, scene.alerting.resting, scene.now_ns())
    scene.run(700)
    assert set() == at_rest(scene.asked, scene.alerting.resting, scene.now_ns())


def test_a_circuit_at_rest_is_unknown_and_asked_again_afterwards(scene: Scene) -> None:
    """Works that stop polling leave no fault behind (R55)."""
    scene.all_up()
    scene.echoes.leave([FAR, BEYOND])
    scene.say(EchoDown, NEAR)  # whose neighbours are asked at once, but for those at rest
    assert [GATEWAY] == scene.hurried
    scene.say(EchoUp, NEAR)
    scene.run(scene.second + 2 * STALE_NS // SECOND)
    assert {} == scene.incidents()
    assert "unknown" == scene.pipeline._circuits.fault("line-1", scene.now_ns()).vector.far
    scene.echoes.leave([])
    scene.say(EchoUp, FAR, BEYOND)
    assert "up" == scene.pipeline._circuits.fault("line-1", scene.now_ns()).vector.far


async def test_the_running_prober_lets_targets_rest_and_begins_again(scene: Scene, monkeypatch) -> None:
    """Every few seconds it is looked whether somebody works on what is asked (R55)."""
    asked: set[str] = set()
    turns: list[set[str]] = []
    resting = {"device/srv-1": "works"}

    class Watched(EchoProber):
        async def wait(self) -> None:
            turns.append(set(asked))
            if len(turns) > 1:
                resting.clear()
            if len(turns) > 2:
                raise KeyboardInterrupt
            raise TimeoutError

        def add(self, wanted: EchoTarget) -> None:
            asked.add(wanted.id)

        def remove(self, target_id: str) -> None:
            asked.remove(target_id)

    monkeypatch.setattr("poller.echoes.EchoProber", Watched)
    with pytest.raises(KeyboardInterrupt):
        await EchoWatch(scene.estate, scene.pipeline, resting=lambda subject, _now_ns: resting.get(str(subject))).run()
    everything = set(scene.asked)
    assert [everything - {"10.8.2.10"}, everything - {"10.8.2.10"}, everything] == turns


def test_one_family_that_dies_is_told_apart_from_the_other(scene: Scene) -> None:
    """(R38)"""
    scene.all_up()
    scene.say(EchoDown, "fd08:2::9")
    scene.run(160)
    assert ["v6-down"] == [incident.root[0] for incident in scene.incidents().values()]
    assert scene.last("device", "dual-1", "ipv4_up") is True
    assert scene.last("device", "dual-1", "up") is True


FAR_V6 = "fd08:3::2"


@pytest.fixture
def both(scene: Scene) -> Scene:
    """The far edge of the circuit over both families."""
    line = scene.estate.circuits["line-1"]
    probe = ProbePoints(near=NEAR, far=[FAR, FAR_V6], beyond=BEYOND)
    circuits = {"line-1": line.model_copy(update={"probe": probe})}
    scene.estate = scene.estate.model_copy(update={"circuits": circuits})
    scene.__post_init__()
    return scene


def test_a_point_is_asked_apart_over_both_families_and_kept_apart(both: Scene) -> None:
    """(R38, R41)"""
    assert [(FAR, "ipv4"), (FAR_V6, "ipv6")] == [
        (key, each.family) for key, each in both.asked.items() if Part("line-1", "far") in each.parts
    ]
    both.all_up()
    for target, lost in ((FAR, 0), (FAR_V6, 12)):
        both.minute(target, 12, lost)
    kept = {tuple(sample.tags): sample.fields["lost"] for sample in both.journal if sample.measurement == "echo"}
    tags = {family: (("target", "line-1"), ("point", "far"), ("family", family)) for family in ("ipv4", "ipv6")}
    assert (0, 12) == (kept[tags["ipv4"]], kept[tags["ipv6"]])


@pytest.mark.parametrize("dead", [FAR, FAR_V6])
def test_a_point_is_there_while_either_family_answers_and_down_when_none_does(both: Scene, dead: str) -> None:
    """(R38)"""
    both.all_up()
    both.say(EchoDown, dead)
    assert {BEYOND, GATEWAY, NEAR, FAR, FAR_V6} - {dead} == set(both.hurried)
    both.run(400)
    assert ("up", "up", {}) == (*(both.last("circuit", "line-1", name) for name in ("far", "state")), both.incidents())
    both.say(EchoDown, FAR, FAR_V6)
    assert "down" == both.last("circuit", "line-1", "far")
    both.run(520)
    assert ["circuit/line-1"] == list(both.incidents())
    both.say(EchoUp, dead)
    assert "up" == both.last("circuit", "line-1", "far")
    both.run(720)
    assert ("up", {}) == (both.last("circuit", "line-1", "state"), both.incidents())


@pytest.mark.parametrize("kind", [EchoDown, EchoUnsent])
def test_a_family_that_never_answered_holds_no_point_up(both: Scene, kind: type) -> None:
    """This machine or the provider may have no IPv6 at all."""
    both.say(EchoUp, *both.asked.keys() - {FAR_V6})
    both.say(kind, FAR_V6)
    both.run(130)
    assert "up" == both.last("circuit", "line-1", "far")
    both.say(EchoDown, FAR)
    assert "down" == both.last("circuit", "line-1", "far")


def test_a_family_that_cannot_be_asked_any_more_leaves_a_point_unknown_and_not_down(both: Scene) -> None:
    both.all_up()
    both.say(EchoUnsent, FAR_V6)
    both.say(EchoDown, FAR)
    assert "unknown" == both.last("circuit", "line-1", "far")
    both.echoes.leave({FAR_V6})  # it is not even tried: what is left decides
    both.say(EchoDown, FAR)
    assert "down" == both.last("circuit", "line-1", "far")


def test_a_start_in_the_middle_of_an_outage_waits_for_both_families(both: Scene) -> None:
    both.all_up()
    both.__post_init__()  # the circuits remember who has answered, as they do over a restart; echoes begin anew
    both.say(EchoDown, FAR)
    assert "unknown" == both.last("circuit", "line-1", "far")
    both.say(EchoUnsent, FAR_V6)
    both.say(EchoDown, FAR)
    assert "down" == both.last("circuit", "line-1", "far")


def test_loss_to_the_far_edge_is_that_of_the_first_family_that_answers(both: Scene) -> None:
    """Not of the one and the other by turns, which would change the circuit's state every minute (R37)."""
    both.all_up()
    for minute in range(5):
        both.second = 182 + 60 * minute
        both.minute(FAR, 12, 0)
        both.minute(FAR_V6, 12, 6)
    assert {"up"} == both.states(START + 180 * SECOND)
    both.say(EchoDown, FAR)
    for minute in range(5, 10):
        both.second = 182 + 60 * minute
        both.minute(FAR, 12, 12)
        both.minute(FAR_V6, 12, 6)
    assert "degraded" == both.last("circuit", "line-1", "state")


def test_what_never_answered_echoes_accuses_nobody(scene: Scene) -> None:
    """A far edge that may not answer, and a device that answers SNMP alone."""
    scene.say(EchoUp, GATEWAY, NEAR)
    scene.say(EchoDown, FAR, BEYOND)
    scene.run(200)
    assert {} == scene.incidents()
    assert "unknown" == scene.last("circuit", "line-1", "far")


def test_one_lost_echo_in_a_hundred_never_degrades_and_one_in_ten_does(scene: Scene) -> None:
    """(R37)"""
    scene.all_up()
    for minute in range(60):
        scene.second = 182 + 60 * minute
        scene.minute(FAR, 12, 1 if minute % 8 == 0 else 0)
    assert {"up"} == scene.states(scene.now_ns() - 3540 * SECOND)
    for minute in range(60, 70):
        scene.second = 182 + 60 * minute
        scene.minute(FAR, 12, 2)
    assert "degraded" == scene.last("circuit", "line-1", "state")


def test_a_minute_is_kept_whole_for_each_part(scene: Scene) -> None:
    """Loss, min, median, p95, max, variation and duplicates, by names of the schema (R36)."""
    scene.say(EchoUp, NEAR)
    scene.run(61)
    scene.minute(NEAR, 12, 3)
    kept = [sample for sample in scene.journal if sample.measurement == "echo"][-2:]
    assert [("rt-1", "device"), ("line-1", "near")] == [(each.tags[0][1], each.tags[1][1]) for each in kept]
    names = {entry.name for entry in SCHEMA["echo"].fields}
    for sample in kept:
        assert names == set(sample.fields)
        assert (12, 9, 3, 0.25) == tuple(
            sample.fields[name] for name in ("sent", "received", "lost", "round_trip_loss_ratio")
        )
        assert tuple(name for name, _ in sample.tags) == SCHEMA["echo"].tags


def test_points_of_which_nothing_is_heard_any_more_are_unknown(scene: Scene) -> None:
    scene.all_up()
    scene.second += STALE_NS // SECOND + 120
    assert "unknown" == scene.pipeline._circuits.fault("line-1", scene.now_ns()).vector.far


def test_a_path_is_asked_for_once_per_fault_and_stands_in_the_evidence(scene: Scene) -> None:
    """(R41)"""
    scene.all_up()
    scene.say(EchoDown, BEYOND)
    scene.run(132)
    assert ["circuit/line-1"] == list(scene.pipeline.take_lost())
    assert [] == list(scene.pipeline.take_lost())
    hop = (Hop(3, FAR, Said.PASSED, 0.01),)
    trace = Trace(BEYOND, (WayFound(Way.ICMP, None, hop), WayFound(Way.UDP, 33434, hop), WayFound(Way.TCP, 443, ())))
    scene.pipeline.see_path("circuit/line-1", trace, scene.now_ns())
    scene.run(170)
    incident = scene.incidents()["circuit/line-1"]
    (found,) = [each for each in incident.evidence if each.field == "path"]
    assert "経路調査：ICMP、UDP/33434 10.8.3.2（3ホップ目）まで、TCP/443 どこからも応答なし" == value_text(
        "circuit", "path", found.value, "ja"
    )
    assert "path: ICMP, UDP/33434 gets as far as 10.8.3.2, hop 3; TCP/443 nobody answers" == value_text(
        "circuit", "path", found.value, "en"
    )


async def test_probing_that_breaks_is_told_and_begun_anew(scene: Scene, monkeypatch, caplog) -> None:
    """The prober's own task ends; nobody else would notice."""
    begun: list[int] = []

    class Broken(EchoProber):
        async def wait(self) -> None:
            begun.append(1)
            if len(begun) > 1:
                raise KeyboardInterrupt
            raise RuntimeError("a fault of ours")

    monkeypatch.setattr("poller.echoes.EchoProber", Broken)
    monkeypatch.setattr("poller.echoes._AGAIN_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        await EchoWatch(scene.estate, scene.pipeline).run()
    assert 2 == len(begun)
    assert "echoes_broken" in caplog.text
