"""Circuits, line groups, redundancy and delivery by table."""

import json
from dataclasses import replace

import pytest

from poller.accounts import Member, SlotTotals
from poller.circuit_state import Evidence, PointEvidence, ProbeEvidence, judge_circuit, judge_group
from poller.circuits import Circuits
from poller.contracts import CircuitContract, Contracts, LineGroupContract, RedundancyContract
from poller.delivery import LineSlot, judge_delivery
from poller.faults import Answer
from poller.readings import DeviceReading, FailedPoll, InterfaceLayout
from poller.redundancy import RedundancyTracker, State
from poller.sample import FieldValue, Sample
from poller.schema import SCHEMA

SECOND = 10**9
MINUTE = 60 * SECOND
NOW = 30_000_000 * MINUTE
GIGABIT = 10**9


def totals(account: str, in_bits: float, out_bits: float, *, at: int = NOW, amended: bool = False) -> SlotTotals:
    octets_in, octets_out = int(in_bits * 60 / 8), int(out_bits * 60 / 8)
    previous = SlotTotals(account, at, 0, 0, 0, 0, 0, 0, 1) if amended else None
    return SlotTotals(account, at, octets_in, octets_out, 0, 0, MINUTE, MINUTE, 1, previous=previous)


def circuit(id_: str, device: str, *, preferred: bool = True, group: str | None = None) -> CircuitContract:
    return CircuitContract(
        id=id_,
        kind="internet",
        ceiling_rate=4 * GIGABIT,
        member=Member(device, "wan0"),
        committed_rate=GIGABIT,
        line_group="internet",
        redundancy_group=group,
        preferred_active=preferred,
    )


@pytest.fixture
def contracts() -> Contracts:
    return Contracts(
        circuits={
            "inet-1": circuit("inet-1", "rt-1", group="pair"),
            "inet-2": circuit("inet-2", "rt-2", preferred=False, group="pair"),
        },
        line_groups={"internet": LineGroupContract("internet", ("inet-1", "inet-2"), 4 * GIGABIT, GIGABIT)},
        redundancy_groups={"pair": RedundancyContract("pair", ("inet-1", "inet-2"))},
        tenants={},
    )


def polled(device: str, oper_status: int, at: int = NOW) -> DeviceReading:
    layout = InterfaceLayout(("lo0", "wan0"), (1, 2), (0, 10 * GIGABIT), (True, True))
    return DeviceReading(device, at, layout, [at] * 2, [100] * 2, [0] * 16, [1, oper_status], [None] * 2)


def by_tag(samples: list[Sample], value: str) -> Sample:
    (found,) = [sample for sample in samples if sample.tags[0][1] == value]
    return found


def test_ratios_are_against_the_contract_and_not_the_interface(contracts: Contracts) -> None:
    """(R61)"""
    (sample,) = Circuits(contracts).samples([totals("circuit/inet-1", 800e6, 200e6)], NOW)
    assert sample.fields == {
        "in_octets": 6_000_000_000,
        "out_octets": 1_500_000_000,
        "coverage_ratio": 1.0,
        "in_bits_per_second": 800e6,
        "out_bits_per_second": 200e6,
        "in_committed_ratio": 0.8,
        "out_committed_ratio": 0.2,
        "in_ceiling_ratio": 0.2,
        "out_ceiling_ratio": 0.05,
        "committed_delivered": True,
    }
    assert sample.tags == (("circuit", "inet-1"), ("kind", "internet"), ("line_group", "internet"))
    assert set(sample.fields) <= {field.name for field in SCHEMA["circuit"].fields}


def test_a_line_group_is_held_against_its_own_ceiling(contracts: Contracts) -> None:
    """(R61, R62)"""
    (sample,) = Circuits(contracts).samples([totals("line_group/internet", 3e9, 1e9)], NOW)
    assert (sample.fields["in_ceiling_ratio"], sample.time_ns) == (0.75, NOW)
    assert set(sample.fields) <= {field.name for field in SCHEMA["line_group"].fields}


def test_a_slot_without_data_has_no_traffic_fields(contracts: Contracts) -> None:
    empty = SlotTotals("circuit/inet-1", NOW, 0, 0, 0, 0, 0, 0, 1)
    (sample,) = Circuits(contracts).samples([empty], NOW)
    assert {"coverage_ratio": 0.0} == sample.fields


def told(samples: list[Sample]) -> list[tuple[str, dict[str, FieldValue], int]]:
    """Whose, what, and seconds after NOW."""
    return [(sample.tags[0][1], dict(sample.fields), (sample.time_ns - NOW) // SECOND) for sample in samples]


def test_states_are_told_as_of_the_moment_of_the_evidence(contracts: Contracts) -> None:
    """(R51)"""
    circuits = Circuits(contracts)
    found = []
    for device, status, second in (("rt-1", 1, 7), ("rt-2", 1, 31), ("rt-1", 2, 67)):
        at = NOW + second * SECOND
        circuits.see_reading(polled(device, status, at))
        found += told(circuits.state_samples(at, circuits.on_device(device)))
    assert [
        ("inet-1", {"state": "up"}, 7),
        ("internet", {"state": "degraded"}, 7),
        ("inet-2", {"state": "up", "active": False, "standby_carries": False}, 31),
        ("internet", {"state": "up"}, 31),
        ("inet-1", {"state": "down", "active": False}, 67),
        ("inet-2", {"state": "up", "active": True, "standby_carries": True, "switch_over": "inet-1 is down"}, 67),
        ("internet", {"state": "degraded"}, 67),
    ] == found
    assert {"inet-1": False, "inet-2": True} == circuits.active()


def test_an_answer_that_comes_late_is_told_with_the_moment_that_was_told_before_it(contracts: Contracts) -> None:
    """The line is down once the last of its circuits is; a sample of an earlier moment would be ignored (R51)."""
    circuits = Circuits(contracts)
    found = []
    for device, second in (("rt-2", 8), ("rt-1", 3)):
        circuits.see_reading(polled(device, 2, NOW + second * SECOND))
        found += told(circuits.state_samples(NOW + second * SECOND, circuits.on_device(device)))
    assert [
        ("inet-2", {"state": "down"}, 8),
        ("internet", {"state": "degraded"}, 8),
        ("inet-1", {"state": "down", "active": False}, 3),
        ("internet", {"state": "down"}, 8),
    ] == found


def test_a_device_without_circuits_and_an_unknown_circuit_say_nothing(contracts: Contracts) -> None:
    circuits = Circuits(contracts)
    assert [] == circuits.state_samples(NOW, circuits.on_device("sw-1"))
    assert [] == circuits.state_samples(NOW, ["gone"])


@pytest.mark.parametrize(
    ("interface", "loss", "lossy", "expected"),
    [
        (True, None, False, State.UP),
        (True, 0.0, False, State.UP),
        (None, 0.0, False, State.UP),
        (True, 0.08, False, State.UP),
        (True, 0.08, True, State.DEGRADED),
        (True, 1.0, True, State.DOWN),
        (False, 0.0, False, State.DOWN),
        (False, None, False, State.DOWN),
        (None, None, False, State.UNKNOWN),
    ],
)
def test_the_state_follows_interface_and_probe(
    interface: bool | None,  # noqa: FBT001 - a column of the table
    loss: float | None,
    lossy: bool,  # noqa: FBT001 - the same
    expected: State,
) -> None:
    """(R35)"""
    evidence = Evidence(interface, NOW, None if loss is None else ProbeEvidence(NOW, loss, lossy=lossy))
    assert judge_circuit(evidence, NOW + MINUTE)[0] is expected


@pytest.mark.parametrize(
    ("interface", "near", "far", "beyond", "expected"),
    [
        (Answer.UP, Answer.UP, Answer.UP, Answer.UP, State.UP),
        (Answer.UP, Answer.UP, Answer.DOWN, Answer.DOWN, State.DOWN),
        (Answer.UP, Answer.DOWN, Answer.DOWN, Answer.DOWN, State.DOWN),
        (Answer.UP, Answer.UP, Answer.UP, Answer.DOWN, State.DEGRADED),
        (Answer.DOWN, Answer.UP, Answer.UP, Answer.UP, State.DOWN),
        (Answer.UNKNOWN, Answer.UP, Answer.UP, Answer.UNKNOWN, State.UP),
        (Answer.UNKNOWN, Answer.UP, Answer.UNKNOWN, Answer.UNKNOWN, State.UNKNOWN),
        (Answer.UP, Answer.DOWN, Answer.UP, Answer.UP, State.UP),
    ],
)
def test_the_state_follows_the_three_points(interface, near, far, beyond, expected) -> None:
    """(R41)"""
    points = {name: PointEvidence(answer, NOW) for name, answer in (("near", near), ("far", far), ("beyond", beyond))}
    up = {Answer.UP: True, Answer.DOWN: False, Answer.UNKNOWN: None}[interface]
    evidence = Evidence(up, NOW, points=points)
    assert expected is judge_circuit(evidence, NOW + MINUTE)[0]
    assert State.UNKNOWN is judge_circuit(evidence, NOW + MINUTE, isolated=True)[0]


def test_a_point_that_never_answered_is_unknown_and_one_that_did_before_a_restart_is_down(contracts: Contracts) -> None:
    """(R41)"""
    circuits = Circuits(contracts)
    circuits.see_point("inet-1", "far", Answer.DOWN, NOW)
    assert Answer.UNKNOWN is circuits.fault("inet-1", NOW).vector.far
    circuits.see_point("inet-1", "far", Answer.UP, NOW)
    again = Circuits(contracts)
    again.restore(json.loads(json.dumps(circuits.save())))
    again.see_point("inet-1", "far", Answer.DOWN, NOW)
    assert Answer.DOWN is again.fault("inet-1", NOW).vector.far
    assert Answer.UNKNOWN is again.fault("inet-1", NOW + 5 * MINUTE).vector.far


def test_an_isolated_monitoring_says_unknown_of_every_circuit_and_class_isolated(contracts: Contracts) -> None:
    """(R54)"""
    circuits = Circuits(contracts)
    for point, answer in (("near", Answer.UP), ("far", Answer.UP), ("far", Answer.DOWN)):
        circuits.see_point("inet-1", point, answer, NOW)
    assert circuits.see_isolation(isolated=True)
    assert not circuits.see_isolation(isolated=True)
    (sample, *_) = circuits.state_samples(NOW, ["inet-1"])
    assert ("unknown", "isolated") == (sample.fields["state"], sample.fields["fault"])


def test_old_evidence_says_nothing() -> None:
    """(R35)"""
    evidence = Evidence(interface_up=True, interface_ns=NOW, probe=ProbeEvidence(NOW, 0.0))
    assert judge_circuit(evidence, NOW + 200 * SECOND)[0] is State.UNKNOWN


def test_what_is_polled_every_five_minutes_is_known_for_two_intervals(contracts: Contracts) -> None:
    circuits = Circuits(replace(contracts, interval_ns={"rt-1": 300 * SECOND}))
    for device in ("rt-1", "rt-2"):
        circuits.see_reading(polled(device, 1))
    known = {circuit: state for circuit, (state, _) in circuits.states(NOW + 10 * MINUTE).items()}
    assert known == {"inet-1": State.UP, "inet-2": State.UNKNOWN}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.UP, State.UP], State.UP),
        ([State.UP, State.DOWN], State.DEGRADED),
        ([State.DOWN, State.DOWN], State.DOWN),
        ([State.UNKNOWN, State.UNKNOWN], State.UNKNOWN),
        ([State.UP, State.UNKNOWN], State.DEGRADED),
        ([], State.UNKNOWN),
    ],
)
def test_a_group_is_as_its_members(states: list[State], expected: State) -> None:
    assert judge_group(states) is expected


def test_a_device_that_does_not_answer_leaves_its_circuit_unknown(contracts: Contracts) -> None:
    """(R35)"""
    circuits = Circuits(contracts)
    circuits.see_reading(polled("rt-1", 1))
    circuits.see_failure(FailedPoll("rt-1", NOW + MINUTE, "no_answer", "nobody answered"))
    assert circuits.states(NOW + MINUTE)["inet-1"][0] is State.UNKNOWN


def test_a_failover_is_minor_and_the_loss_of_both_is_serious_and_the_history_tells(contracts: Contracts) -> None:
    """(R64a)"""
    circuits = Circuits(contracts)

    def minute(number: int, first: int, second: int, bits: tuple[float, float]) -> tuple[tuple[str, ...], str]:
        at = NOW + number * MINUTE
        circuits.see_reading(polled("rt-1", first, at))
        circuits.see_reading(polled("rt-2", second, at))
        slots = [totals("circuit/inet-1", bits[0], 0, at=at), totals("circuit/inet-2", bits[1], 0, at=at)]
        circuits.samples(slots, at)
        (view,) = circuits.follow(at)
        return view.active, view.severity

    assert [
        minute(0, 1, 1, (500e6, 1e3)),
        minute(1, 2, 1, (300e6, 1e3)),
        minute(2, 2, 1, (0.0, 500e6)),
        minute(3, 1, 1, (1e3, 500e6)),
        minute(5, 1, 1, (500e6, 1e3)),
        minute(6, 1, 2, (500e6, 0.0)),
        minute(7, 2, 2, (0.0, 0.0)),
    ] == [
        (("inet-1",), ""),
        (("inet-2",), "minor"),
        (("inet-2",), "minor"),
        (("inet-2",), "minor"),
        (("inet-1",), ""),
        (("inet-1",), "minor"),
        ((), "serious"),
    ]
    assert [((each.at_ns - NOW) // MINUTE, each.before, each.after) for each in circuits.switch_overs()] == [
        (1, "inet-1", "inet-2"),
        (5, "inet-2", "inet-1"),
        (7, "inet-1", ""),
    ]
    again = Circuits(contracts)
    again.restore(json.loads(json.dumps(circuits.save())))
    assert again.switch_overs() == circuits.switch_overs()


def test_traffic_from_before_a_switch_over_does_not_take_it_back(contracts: Contracts) -> None:
    """inet-1 fails for a minute, and the standby goes on carrying; slots are told after they have ended. (R64a)"""
    circuits = Circuits(contracts)
    octets = [500e6, 490e6, 5e6, *[1e3] * 7]
    for number, bits in enumerate(octets):
        now = NOW + (number + 1) * MINUTE
        circuits.see_reading(polled("rt-1", 2 if number == 1 else 1, now))
        circuits.see_reading(polled("rt-2", 1, now))
        circuits.follow(now)
        slots = {"circuit/inet-1": bits, "circuit/inet-2": 500e6 - bits}
        told = [totals(account, rate, 0, at=now - MINUTE) for account, rate in slots.items()]
        circuits.samples(told, now + 5 * SECOND)
    assert [((each.at_ns - NOW) // MINUTE, each.after) for each in circuits.switch_overs()] == [(2, "inet-2")]


def test_after_a_start_nobody_is_active_before_every_member_was_seen(contracts: Contracts) -> None:
    """R64a: the standby that answers first has not taken over."""
    tracker = RedundancyTracker(contracts.redundancy_groups["pair"], contracts.circuits)
    early = tracker.update(NOW, {"inet-1": State.UNKNOWN, "inet-2": State.UP}, {"inet-1": None, "inet-2": 0.0})
    later = tracker.update(NOW + 1, {"inet-1": State.UP, "inet-2": State.UP}, {"inet-1": None, "inet-2": 0.0})
    assert ((), ("inet-1",), []) == (early.active, later.active, tracker.history)


def test_traffic_alone_reveals_a_failover_that_left_both_interfaces_up(contracts: Contracts) -> None:
    """(R64a)"""
    tracker = RedundancyTracker(contracts.redundancy_groups["pair"], contracts.circuits)
    up = {"inet-1": State.UP, "inet-2": State.UP}
    tracker.update(NOW, up, {"inet-1": 300e6, "inet-2": 2e3})
    view = tracker.update(NOW + MINUTE, up, {"inet-1": 3e3, "inet-2": 280e6})
    assert (view.active, view.took_over, view.severity, view.spare) == (("inet-2",), True, "minor", 1)
    assert view.reason == "the standby inet-2 took over"


def test_traffic_that_both_members_share_is_no_switch_over(contracts: Contracts) -> None:
    """(R64a)"""
    tracker = RedundancyTracker(contracts.redundancy_groups["pair"], contracts.circuits)
    up = {"inet-1": State.UP, "inet-2": State.UP}
    tracker.update(NOW, up, {"inet-1": 300e6, "inet-2": 2e3})
    view = tracker.update(NOW + MINUTE, up, {"inet-1": 50e6, "inet-2": 250e6})
    assert (("inet-1",), []) == (view.active, tracker.history)


def test_unknown_members_are_no_proof_that_a_group_is_down(contracts: Contracts) -> None:
    """(R64a)"""
    tracker = RedundancyTracker(contracts.redundancy_groups["pair"], contracts.circuits)
    view = tracker.update(NOW, {"inet-1": State.DOWN, "inet-2": State.UNKNOWN}, {})
    assert (view.serving, view.severity) == (None, "minor")


def test_in_a_shared_group_all_that_run_are_active(contracts: Contracts) -> None:
    """(R64a)"""
    tracker = RedundancyTracker(RedundancyContract("pair", ("inet-1", "inet-2"), "shared", 2), contracts.circuits)
    view = tracker.update(NOW, {"inet-1": State.UP, "inet-2": State.DEGRADED}, {})
    assert (view.active, view.severity) == (("inet-1", "inet-2"), "")
    view = tracker.update(NOW, {"inet-1": State.UP, "inet-2": State.DOWN}, {})
    assert (view.active, view.severity) == (("inet-1",), "serious")


def line(rates: list[float | None], loss: float | None = 0.0, delay: float | None = 0.004) -> list[LineSlot]:
    return [LineSlot(NOW + number * MINUTE, rate, loss, delay) for number, rate in enumerate(rates)]


def hole(slots: list[LineSlot]) -> list[LineSlot]:
    """The second half ten hours later."""
    return [replace(slot, start_ns=slot.start_ns + 600 * MINUTE * (at >= 6)) for at, slot in enumerate(slots)]


def test_a_plateau_below_the_committed_rate_with_loss_is_not_delivered_and_says_why() -> None:
    """(R61)"""
    found = judge_delivery(line([300e6] * 5 + [700e6, 705e6] * 6, loss=0.02), GIGABIT, 0.004)
    assert found is not None
    assert (found.signs, found.slots, found.from_ns) == (("loss",), 12, NOW + 5 * MINUTE)
    assert found.sentence() == "flat at 70% of the committed rate for 12 min, 2.0% of the echoes lost"


def test_a_plateau_a_tenth_below_the_committed_rate_is_not_delivered() -> None:
    """(R61)"""
    found = judge_delivery(line([900e6] * 12, loss=0.02), GIGABIT, 0.004)
    assert found is not None
    assert found.plateau_bits_per_second == 900e6


def test_a_plateau_with_grown_delay_is_not_delivered() -> None:
    found = judge_delivery(line([700e6] * 12, delay=0.055), GIGABIT, 0.004)
    assert found is not None
    assert found.sentence() == "flat at 70% of the committed rate for 12 min, delay 55 ms instead of 4 ms"


def watched(contracts: Contracts, *, reload_at: int = -1) -> tuple[Circuits, list[dict[str, FieldValue]]]:
    """Forty minutes of inet-1, from the twentieth on held at 600 Mbps; what its samples say of the delivery."""
    circuits, told = Circuits(contracts), []
    for number in range(40):
        if number == reload_at:
            saved = json.loads(json.dumps(circuits.save()))
            circuits = Circuits(contracts)
            circuits.restore(saved)
        at = NOW + number * MINUTE
        held = number >= 20
        circuits.see_probe("inet-1", ProbeEvidence(at, 0.0, 0.060 if held else 0.004))
        bits = 600e6 + number * 1e5 if held else 50e6
        (sample,) = circuits.samples([totals("circuit/inet-1", bits, 1e6, at=at)], at)
        assert set(sample.fields) <= {field.name for field in SCHEMA["circuit"].fields}
        told.append({name: value for name, value in sample.fields.items() if name.startswith(("committed_d", "text_"))})
    return circuits, told


def test_a_circuit_held_below_its_committed_rate_is_found_by_its_usual_delay_and_its_samples_say_so(
    contracts: Contracts,
) -> None:
    """(R56, R61)"""
    circuits, told = watched(contracts)
    found = circuits.not_delivered()
    assert set(found) == {("inet-1", "in")}
    said = "flat at 60% of the committed rate for 20 min, delay 60 ms instead of 4 ms"
    assert said == found["inet-1", "in"].sentence()
    assert "帯域確保の60%で20分間頭打ち、遅延60ミリ秒（通常4ミリ秒）" == found["inet-1", "in"].sentence("ja")
    assert [{"committed_delivered": True}] * 29 == told[:29]
    assert told[-1] == {
        "committed_delivered": False,
        "text_ja": "下り：帯域確保の60%で20分間頭打ち、遅延60ミリ秒（通常4ミリ秒）",
        "text_en": f"in: {said}",
    }


@pytest.mark.parametrize("reload_at", [5, 25, 35, 39])
def test_a_restart_takes_no_evidence_of_what_is_not_delivered(contracts: Contracts, reload_at: int) -> None:
    """(R73)"""
    circuits, told = watched(contracts)
    again, told_again = watched(contracts, reload_at=reload_at)
    assert told == told_again
    assert circuits.not_delivered() == again.not_delivered()


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("no loss and no delay: there is no more demand", line([700e6] * 12)),
        ("varying traffic with loss", line([500e6, 700e6] * 6, loss=0.02)),
        ("at the committed rate", line([970e6] * 12, loss=0.02)),
        ("above it", line([1.5e9] * 12, loss=0.02)),
        ("hardly used", line([50e6] * 12, loss=0.02)),
        ("too short", line([700e6] * 9, loss=0.02)),
        ("interrupted by hours of which nothing was told", hole(line([700e6] * 12, loss=0.02))),
        ("interrupted by a slot without data", line([700e6] * 6 + [None] + [700e6] * 6, loss=0.02)),
    ],
)
def test_what_proves_nothing_is_no_finding(name: str, slots: list[LineSlot]) -> None:
    assert judge_delivery(slots, GIGABIT, 0.004) is None, name
