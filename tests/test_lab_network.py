"""Who carries whose traffic: sums agree to the octet, whatever is broken."""

import datetime as dt
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.config import load
from poller.estate import Estate
from poller.lab.network import Conditions, circuit_of, handover_of, make_plan, routes
from poller.lab.world import UnknownName, World
from poller.profiles import load_profiles

EXAMPLES = Path(__file__).resolve().parent.parent / "config" / "examples"
ESTATE = load(EXAMPLES / "prefecture").estate
PROFILES = load_profiles()
START = int(dt.datetime(2026, 11, 20, 14, tzinfo=ZoneInfo("Asia/Tokyo")).timestamp()) * 10**9
"""In the middle of a working day."""
MINUTE = 60 * 10**9


def _octets(world: World, device: str, interface: str, now: int) -> tuple[int, int]:
    port = world.box(device).port(interface)
    return port.inbound.read(now), port.outbound.read(now)


def _line(world: World, line: str, now: int) -> tuple[int, int]:
    """Octets of all circuits of a line towards the estate and away from it."""
    into = out = 0
    for circuit in world.plan.lines[line]:
        at = circuit.measured_by
        first, second = _octets(world, at.device, at.interface, now)
        into, out = into + (first if at.inward == "in" else second), out + (second if at.inward == "in" else first)
    return into, out


def _tenants_and_parts(world: World, line: str, now: int) -> tuple[int, int]:
    """The same at every attachment of every tenant, and at the line's parts."""
    estate = world.estate
    places = [entry for tenant in estate.tenants.values() for entry in tenant.attachments if entry.line == line]
    places += [part.measured_by for part in estate.line_groups[line].parts if part.measured_by]
    into = out = 0
    for at in places:
        first, second = _octets(world, at.device, at.interface, now)
        into, out = into + (first if at.inward == "in" else second), out + (second if at.inward == "in" else first)
    return into, out


def test_tenants_and_parts_add_up_to_the_line_through_every_event() -> None:
    world = World(ESTATE, PROFILES, START)
    now = START
    before = {
        line: (_line(world, line, now), _tenants_and_parts(world, line, now)) for line in ("internet", "breakout")
    }
    events = [
        lambda: world.fail_circuit("int-1", now),
        lambda: world.multiply_tenant("tsu", 7.3, now, "internet"),
        lambda: world.fill_cap("ise", "breakout", 1.3, now),
        lambda: world.fail_over("fw", now),
        lambda: world.fail_circuit("bo-1", now),
        lambda: world.restore_circuit("int-1", now),
        lambda: world.fail_circuit("bo-2", now),
        lambda: world.multiply_tenant("tsu", 1.0, now),
        lambda: world.set_interface("fw-2", "vlan105", now, up=False),
        lambda: world.restore_circuit("bo-1", now),
        lambda: world.multiply_tenant("ise", 1.0, now),
    ]
    for number, event in enumerate(events):
        now += 37 * 10**9 + number
        event()
        now += MINUTE + 7 * number
        for line, (line_before, tenants_before) in before.items():
            carried = [b - a for a, b in zip(line_before, _line(world, line, now), strict=True)]
            counted = [b - a for a, b in zip(tenants_before, _tenants_and_parts(world, line, now), strict=True)]
            assert carried == counted
            assert carried[0] > 10**8


def test_the_hand_over_carries_what_the_tenants_carry_through_every_event() -> None:
    """Towards the tenants is away from the estate there; both circuits share it, and one alone carries all."""
    world = World(ESTATE, PROFILES, START)
    places = [entry for tenant in ESTATE.tenants.values() for entry in tenant.attachments]
    handover = [ESTATE.circuits[name].measured_by for name in ("handover-1", "handover-2")]

    def tenants(now: int) -> tuple[int, int]:
        counts = [(_octets(world, at.device, at.interface, now), at.inward) for at in places]
        down = sum(inbound if inward == "in" else outbound for (inbound, outbound), inward in counts)
        return down, sum(outbound if inward == "in" else inbound for (inbound, outbound), inward in counts)

    def crossing(now: int) -> list[tuple[int, int]]:
        return [_octets(world, at.device, at.interface, now)[::-1] for at in handover]

    events: list[tuple[Callable[[int], object], float, float]] = [
        (lambda _at: None, 0.3, 0.7),
        (lambda at: world.fail_circuit("handover-1", at), 0.0, 0.0),
        (lambda at: world.fill_cap("tsu", "internet", 1.1, at), 0.0, 0.0),
        (lambda at: world.fail_circuit("bo-1", at), 0.0, 0.0),
        (lambda at: world.fail_circuit("bo-2", at), 0.0, 0.0),
        (lambda at: world.restore_circuit("handover-1", at), 0.3, 0.7),
        (lambda at: world.fail_over("fw", at), 0.3, 0.7),
    ]
    now = START
    for event, least, most in events:
        event(now)
        used, crossed = tenants(now), crossing(now)
        now += 3 * MINUTE
        down, up = (b - a for a, b in zip(used, tenants(now), strict=True))
        first, second = (
            [b - a for a, b in zip(*pair, strict=True)] for pair in zip(crossed, crossing(now), strict=True)
        )
        assert (down, up) == (first[0] + second[0], first[1] + second[1])
        assert down > 10**9
        assert least <= first[0] / down <= most
    world.fail_circuit("handover-1", now)
    world.fail_circuit("handover-2", now)
    before = tenants(now)
    assert before == tenants(now + MINUTE)


def test_access_circuits_of_branches_hand_nothing_over() -> None:
    assert make_plan(load(EXAMPLES / "cityhall").estate).handover == ()


def test_the_standby_carries_what_the_dead_circuit_carried() -> None:
    world = World(ESTATE, PROFILES, START)
    main, backup = (ESTATE.circuits[name].measured_by for name in ("int-1", "int-2"))
    idle = _octets(world, backup.device, backup.interface, START + MINUTE)
    assert _octets(world, backup.device, backup.interface, START + 2 * MINUTE) == idle
    world.fail_circuit("int-1", START + 2 * MINUTE)
    dead = _octets(world, main.device, main.interface, START + 2 * MINUTE)
    assert _octets(world, main.device, main.interface, START + 5 * MINUTE) == dead
    rate = (_octets(world, backup.device, backup.interface, START + 5 * MINUTE)[0] - idle[0]) * 8 / 180
    assert 200e6 < rate < 900e6
    assert world.box(main.device).port(main.interface).oper_status == 2


def test_nothing_flows_when_the_whole_line_is_dead() -> None:
    world = World(ESTATE, PROFILES, START)
    world.fail_circuit("bo-1", START)
    world.fail_circuit("bo-2", START)
    before = _tenants_and_parts(world, "breakout", START)
    assert _tenants_and_parts(world, "breakout", START + 10 * MINUTE) == before


def test_a_surge_multiplies_one_tenant_and_no_other() -> None:
    usual, surged = World(ESTATE, PROFILES, START), World(ESTATE, PROFILES, START)
    surged.multiply_tenant("tsu", 5, START, "internet")
    for tenant, factor in (("tsu", 5), ("ise", 1)):
        at = ESTATE.tenants[tenant].attachments[0]
        octets = [
            _octets(world, at.device, at.interface, START + MINUTE)[1]
            - _octets(world, at.device, at.interface, START)[1]
            for world in (usual, surged)
        ]
        assert octets[1] == pytest.approx(octets[0] * factor, abs=5)


@pytest.mark.parametrize("hour", [3, 14, 23])
def test_a_surge_to_the_cap_passes_it_at_any_hour_and_is_over_when_it_ends(hour: int) -> None:
    """Of 120 Mbps the tenant takes 110 % in every minute, exactly; then as much as if nothing had been."""
    start = START + (hour - 14) * 60 * MINUTE
    usual, surged = World(ESTATE, PROFILES, start), World(ESTATE, PROFILES, start)
    at = ESTATE.tenants["tsu"].attachments[0]
    surged.fill_cap("tsu", "internet", 1.1, start)
    counts = [_octets(surged, at.device, at.interface, start + minute * MINUTE) for minute in range(6)]
    assert [b[1] - a[1] for a, b in pairwise(counts)] == [120_000_000 * 11 // 10 * 60 // 8] * 5
    surged.multiply_tenant("tsu", 1.0, start + 5 * MINUTE, "internet")
    before = [_octets(world, at.device, at.interface, start + 5 * MINUTE) for world in (usual, surged)]
    after = [_octets(world, at.device, at.interface, start + 9 * MINUTE) for world in (usual, surged)]
    calm, over = ([b - a for a, b in zip(*pair, strict=True)] for pair in zip(before, after, strict=True))
    assert over == pytest.approx(calm, abs=2)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stream_has_one_way_or_none(data: st.DataObject) -> None:
    """With any circuits down, a stream is at most at one attachment, and is there exactly when circuits carry it."""
    plan = make_plan(ESTATE)
    down = frozenset(data.draw(st.sets(st.sampled_from(sorted(ESTATE.circuits)))))
    conditions = Conditions(down_circuits=down, active={"fw": data.draw(st.sampled_from(["fw-1", "fw-2"]))})
    carried, stopped = routes(plan, conditions)
    attached = {(entry.device, entry.interface) for entries in plan.attachments.values() for entry in entries}
    for stream in plan.streams.values():
        seen = [key for key, one in carried.items() if stream.name in one.inbound + one.outbound]
        circuit, crossing = circuit_of(plan, conditions, stream), handover_of(plan, conditions, stream)
        blocked = circuit is None or (stream.tenant is not None and crossing is None)
        assert blocked == (stream.name in stopped)
        assert blocked == (not seen)
        if circuit is not None and crossing is not None:
            assert not {circuit.id, crossing.id} & down
            assert len([key for key in seen if key in attached]) == 1


@pytest.mark.parametrize("name", ["prefecture", "cityhall"])
def test_no_circuit_is_asked_for_more_than_it_can_carry(name: str) -> None:
    estate: Estate = load(EXAMPLES / name).estate
    plan = make_plan(estate)
    for circuit in estate.circuits.values():
        streams = [one for one in plan.streams.values() if circuit_of(plan, Conditions(), one) == circuit]
        for inward in (True, False):
            peak = sum(one.curve.peak_bits_per_second for one in streams if one.inward == inward)
            assert peak <= 0.75 * circuit.ceiling_rate


def test_names_that_do_not_exist_are_said() -> None:
    world = World(ESTATE, PROFILES, START)
    with pytest.raises(UnknownName, match="no circuit int-9"):
        world.fail_circuit("int-9", START)
    with pytest.raises(UnknownName, match="fw-1 has no interface port99"):
        world.set_interface("fw-1", "port99", START, up=False)
    with pytest.raises(UnknownName, match="tsu has no sustained cap on closed-network"):
        world.fill_cap("tsu", "closed-network", 1.1, START)
    with pytest.raises(UnknownName, match="no tenant osaka"):
        world.multiply_tenant("osaka", 2, START)


def test_a_restart_resets_counters_and_deals_the_indexes_again() -> None:
    world = World(ESTATE, PROFILES, START)
    box = world.box("ar-owase")
    indexes = {entry.port.name: entry.if_index for entry in box.ports}
    boots, uptime = box.engine_boots, box.uptime_ticks(START)
    world.reboot("ar-owase", START + MINUTE, reshuffle=True)
    after = {entry.port.name: entry.if_index for entry in box.ports}
    assert sorted(after.values()) == sorted(indexes.values())
    assert after != indexes
    assert box.uptime_ticks(START + MINUTE + 10**9) == 100 < uptime
    assert box.engine_boots == boots + 1
    for entry in box.ports:
        assert entry.inbound.read(START + MINUTE) == 0
        assert entry.inbound.read(START + 10 * MINUTE) < 10**10


def test_cleared_counters_show_a_discontinuity_and_the_uptime_goes_on() -> None:
    world = World(ESTATE, PROFILES, START)
    box = world.box("sw-core-1")
    name = box.ports[0].port.name
    world.clear_counters("sw-core-1", START + MINUTE, name)
    assert box.port(name).inbound.read(START + MINUTE) == 0
    oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 19, box.port(name).if_index)
    assert box.view.get(oid, START + 2 * MINUTE).value == box.uptime_ticks(START + MINUTE)
    assert box.ports[1].inbound.read(START + MINUTE) > 0
    assert box.view.get((*oid[:-1], box.ports[1].if_index), START + 2 * MINUTE).value == 0


def test_counters_of_all_columns_never_go_back() -> None:
    world = World(ESTATE, PROFILES, START)
    draw = random.Random(1)
    box = world.box("int-rt-1")
    counters = [(1, 3, 6, 1, 2, 1, 31, 1, 1, 1, column, 1) for column in range(6, 14)]
    now, last = START, dict.fromkeys(counters, 0)
    for _ in range(200):
        now += draw.randrange(1, 20 * 10**9)
        for oid in counters:
            value = box.view.get(oid, now).value
            assert isinstance(value, int)
            assert value >= last[oid]
            last[oid] = value
