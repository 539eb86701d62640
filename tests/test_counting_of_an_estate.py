"""The example prefecture with the lab's exact traffic: through a failover every account counts what truly flowed."""

from collections import defaultdict
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poller.accounts import Member
from poller.circuits import Circuits
from poller.config import load
from poller.contracts import Contracts, contracts_of
from poller.estate import Estate
from poller.lab.meters import Flow, Meter
from poller.lab.network import Conditions, Plan, make_plan, routes
from poller.lab.traffic import Integral, day_of
from poller.rates import Rates
from poller.readings import DeviceReading, InterfaceLayout
from poller.sample import Sample
from poller.slots import SlotLedger
from poller.tenants import Tenants

SECOND = 10**9
MINUTE = 60 * SECOND
START = 1_800_000_000 * SECOND // MINUTE * MINUTE
MINUTES = 50
FAILOVER = START + 20 * MINUTE + 17 * SECOND
EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"


class World:
    """The counters of every interface that the contracts name, and when each device is polled."""

    def __init__(self, plan: Plan, contracts: Contracts) -> None:
        self._plan = plan
        self._flows = {
            name: Flow(Integral(stream.curve, day_of(START)), START) for name, stream in plan.streams.items()
        }
        members = {member for account in contracts.accounts() for member in account.members}
        self.interfaces: defaultdict[str, list[str]] = defaultdict(list)
        for device, interface in sorted({(member.device, member.interface) for member in members}):
            self.interfaces[device].append(interface)
        self._meters: dict[tuple[str, str, str], Meter] = {}
        self.turn(Conditions(), START)
        self.layouts = {
            device: InterfaceLayout(
                tuple(names), tuple(range(len(names))), (40 * 10**9,) * len(names), (True,) * len(names)
            )
            for device, names in self.interfaces.items()
        }

    def turn(self, conditions: Conditions, at_ns: int) -> None:
        """From now on the streams take these ways; the counters go on from where they are."""
        carried, _ = routes(self._plan, conditions)
        meters = {}
        for device, names in self.interfaces.items():
            for name in names:
                streams = carried.get((device, name))
                for way, flows in (
                    (("in", streams.inbound), ("out", streams.outbound)) if streams else (("in", []), ("out", []))
                ):
                    before = self._meters.get((device, name, way))
                    start = 0 if before is None else before.read(at_ns)
                    meters[device, name, way] = Meter([self._flows[each] for each in flows], at_ns, start)
        self._meters = meters

    def poll(self, device: str, at_ns: int) -> DeviceReading:
        names = self.interfaces[device]
        values = [
            value
            for name in names
            for value in (*(self._meters[device, name, way].read(at_ns) for way in ("in", "out")), 0, 0, 0, 0, 0, 0)
        ]
        return DeviceReading(
            device=device,
            due_ns=at_ns,
            layout=self.layouts[device],
            received_ns=[at_ns] * len(names),
            uptime_ticks=[10**8 + (at_ns - START) // 10**7] * len(names),
            counters=values,
            oper_status=[1] * len(names),
            discontinuity_ticks=[None] * len(names),
        )


@pytest.fixture
def estate() -> Estate:
    return load(EXAMPLE).estate


def failed_over(plan: Plan) -> Conditions:
    """Every group of devices works on its second member, and of every line the first circuit is gone."""
    second = {group: devices[1] for group, devices in plan.groups.items() if len(devices) > 1}
    return Conditions(down_circuits=frozenset(circuits[0].id for circuits in plan.lines.values()), active=second)


def test_through_a_failover_every_account_counts_what_truly_flowed_and_the_lines_add_up(estate: Estate) -> None:
    """(R62, R62a, R64)"""
    contracts, plan = contracts_of(estate), make_plan(estate)
    world = World(plan, contracts)
    rates, ledger = Rates(), SlotLedger(contracts.accounts())
    tenants, circuits = Tenants(contracts, ZoneInfo("Asia/Tokyo")), Circuits(contracts)
    devices = sorted(world.interfaces)
    polls = sorted(
        (START + minute * MINUTE + (number * 7919 + minute * 131) % 5900 * 10**7, device)
        for minute in range(MINUTES)
        for number, device in enumerate(devices)
    )
    first: dict[str, DeviceReading] = {}
    last: dict[str, DeviceReading] = {}
    summed: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    samples: list[Sample] = []
    turned = False
    for at_ns, device in [*polls, (START + (MINUTES + 10) * MINUTE, "")]:
        if at_ns >= FAILOVER and not turned:
            turned = True
            world.turn(failed_over(plan), FAILOVER)
        if device:
            last[device] = world.poll(device, at_ns)
            first.setdefault(device, last[device])
            ledger.add(rates.update(last[device]))
            circuits.see_reading(last[device])
        totals = ledger.close(at_ns)
        for each in totals:
            for place, octets in enumerate((each.in_octets, each.out_octets)):
                before = 0 if each.previous is None else (each.previous.in_octets, each.previous.out_octets)[place]
                summed[each.account][place] += octets - before
        samples += [*circuits.samples(totals, at_ns), *tenants.update(totals, ledger.totals)]
        if at_ns == polls[-1][0]:
            assert tenants.findings() == []
            assert {rest.line for rest in tenants.rests()} == {
                line for each in contracts.tenants.values() for line in each.attachments
            }

    def truly(member: Member) -> tuple[int, int]:
        row = world.interfaces[member.device].index(member.interface) * 8
        into, out = (
            last[member.device].counters[row + way] - first[member.device].counters[row + way] for way in (0, 1)
        )
        return (out, into) if member.reversed else (into, out)

    for account in contracts.accounts():
        truth = [truly(member) for member in dict.fromkeys(account.members)]
        assert summed[account.id] == [sum(into for into, _ in truth), sum(out for _, out in truth)], account.id
    assert sum(summed["line_group/internet"]) > 10**9
    assert all(sample.fields.get("in_octets", 0) >= 0 for sample in samples)
