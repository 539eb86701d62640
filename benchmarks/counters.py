"""What counting costs: 48,000 interfaces x 8 counters from values to closed slots, tenant sums and caps; CPU, memory.

Run `python -m benchmarks.counters` for the table of docs/performance.md, `--quick --json` for one JSON line at the end.

1,000 devices of 48 interfaces, polled once a minute, spread evenly over it; a reading comes in 8 PDUs of 6 interfaces.
Every interface is attached to one of 33 tenants, so that all of them go through the slots. The ledger is asked once a
simulated second whether slots can be closed, as the daemon does. Readings are made outside the measured time. CPU is
user + sys of this process. Memory is what tracemalloc finds alive after six hours when the readings are gone: the
baselines with their counters, the open slots, and everything of the tenants; interface names belong to the discovery.
"""

import argparse
import gc
import json
import platform
import random
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from poller.accounts import KEEP_SLOTS, Member
from poller.contracts import CapContract, CircuitContract, Contracts, LineGroupContract, TenantContract
from poller.interfaces import interface_samples
from poller.rates import Rates
from poller.readings import DeviceReading, InterfaceLayout
from poller.rollups import InterfaceRollups
from poller.slots import SlotLedger
from poller.tenants import Tenants

SECOND = 10**9
MINUTE = 60 * SECOND
START = 30_000_000 * MINUTE
INTERFACES = 48
ROWS_A_PDU = 6
TENANTS = 33
GOAL_CPU_SECONDS = 0.5
GOAL_BYTES = 1000


def layouts(devices: int, rows: int = INTERFACES) -> list[InterfaceLayout]:
    return [
        InterfaceLayout(
            tuple(f"GigabitEthernet0/{number}" for number in range(rows)),
            tuple(range(1, rows + 1)),
            (10**9,) * rows,
            (True,) * rows,
        )
        for _ in range(devices)
    ]


def contracts(devices: int, interfaces: int = INTERFACES, *, dead: bool = False) -> Contracts:
    """Every interface of every device belongs to a tenant, and all tenants share one line; dead: see measure_memory."""
    tenants = {}
    for number in range(TENANTS):
        members = tuple(
            Member(f"device-{device}", f"GigabitEthernet0/{interface}", reversed=True)
            for device in range(number, devices, TENANTS)
            for interface in range(interfaces)
        )
        if dead:
            members += (Member(f"dead-{number}", "GigabitEthernet0/0"),)
        cap = CapContract("internet", "each", sustained_rate=10**9, monthly_volume=10**15, percentile_95=10**9)
        tenants[f"tenant-{number}"] = TenantContract(f"tenant-{number}", {"internet": members}, (cap,))
    uplink = Member("device-0", "GigabitEthernet0/0")
    return Contracts(
        circuits={"inet": CircuitContract("inet", "internet", 4 * 10**9, uplink, 10**9, "internet")},
        line_groups={"internet": LineGroupContract("internet", ("inet",), 4 * 10**9, 10**9)},
        redundancy_groups={},
        tenants=tenants,
    )


@dataclass
class Network:
    """Devices whose counters grow at random by up to a tenth of the line's speed."""

    layouts: list[InterfaceLayout]
    dice: random.Random = field(default_factory=lambda: random.Random(29))
    counters: list[list[int]] = field(default_factory=list)

    def minute(self, number: int) -> Iterator[DeviceReading]:
        """One poll of every device, in the order of the schedule."""
        rows = len(self.layouts[0].names)
        if not self.counters:
            self.counters = [[self.dice.randrange(2**44) for _ in range(8 * rows)] for _ in self.layouts]
        for device, layout in enumerate(self.layouts):
            grown = self.dice.choices(range(10**6, 75 * 10**6, 997), k=rows)
            kept = self.counters[device]
            for row, octets in enumerate(grown):
                here = row * 8
                kept[here] += octets
                kept[here + 1] += octets // 3
                kept[here + 2] += octets // 700
                kept[here + 3] += octets // 900
                for counter in range(4, 8):  # every counter moves, or its integer would cost no memory
                    kept[here + counter] += 1 + (octets >> counter & 3)
            due = START + number * MINUTE + device * MINUTE // len(self.layouts)
            ticks = 10**8 + (due - START) // 10**7
            pdus = [row // ROWS_A_PDU for row in range(rows)]
            received = [due + (pdu + 1) * 3_000_000 for pdu in range(-(-rows // ROWS_A_PDU))]
            yield DeviceReading(
                device=f"device-{device}",
                due_ns=due,
                layout=layout,
                received_ns=[received[pdu] for pdu in pdus],
                uptime_ticks=[ticks + pdu // 3 for pdu in pdus],
                counters=kept.copy(),
                oper_status=[1] * rows,
                discontinuity_ticks=[None] * rows,
            )


class Counting:
    """The part of the pipeline under measurement, second by second."""

    def __init__(self, made: Contracts) -> None:
        self.rates = Rates()
        self.ledger = SlotLedger(made.accounts())
        self.tenants = Tenants(made, ZoneInfo("Asia/Tokyo"))
        self.seconds = dict.fromkeys(("rates", "slots", "closing", "tenants"), 0.0)
        self.slots = 0

    def count(self, readings: list[DeviceReading], *, fill: bool = False) -> None:
        """One minute of readings, tenants with their caps as slots close; to fill, all at once."""
        a_second = len(readings) if fill else -(-len(readings) // 60)
        for at in range(0, len(readings), a_second):
            tick = readings[at : at + a_second]
            with self._measured("rates"):
                rates = [self.rates.update(reading) for reading in tick]
            with self._measured("slots"):
                for each in rates:
                    self.ledger.add(each)
            with self._measured("closing"):
                totals = self.ledger.close(tick[-1].received_ns[-1])
            self.slots += len(totals)
            with self._measured("tenants"):
                self.tenants.update(totals, self.ledger.totals)

    @contextmanager
    def _measured(self, part: str) -> Iterator[None]:
        before = time.process_time()
        yield
        self.seconds[part] += time.process_time() - before


def measure_cpu(devices: int, minutes: int, *, straight: bool = True) -> dict[str, float]:
    """CPU seconds of one minute by part, the median of so many minutes after three to settle."""
    network, counting = Network(layouts(devices)), Counting(contracts(devices))
    if not straight:
        counting.rates = Rates(straight=False)
    runs: list[dict[str, float]] = []
    for minute in range(3 + minutes):
        readings = list(network.minute(minute))
        gc.collect()
        before = dict(counting.seconds)
        closed = counting.slots
        counting.count(readings)
        if minute >= 3:
            assert counting.slots - closed == 2 * TENANTS + 2, "every account must have closed one slot"
            assert len(counting.tenants.caps()) >= 3 * TENANTS, "every cap must have been held against the use"
            runs.append({part: counting.seconds[part] - before[part] for part in before})
    result = {part: statistics.median(run[part] for run in runs) for part in runs[0]}
    result["all"] = statistics.median(sum(run.values()) for run in runs)
    return result


def measure_memory(devices: int, minutes: int, *, dead: bool = False) -> float:
    """Octets that stay alive per interface, with six hours of closed slots of every account.

    The six hours come from a network of one interface a tenant, which makes as many slots and takes less time. dead:
    a member of every account is never heard of, so that each slot remembers what it lacks.
    """
    few = contracts(TENANTS, 1, dead=dead)
    filled, small = Counting(few), Network(layouts(TENANTS, 1))
    for minute in range(KEEP_SLOTS + 3):
        filled.count(list(small.minute(minute)), fill=True)
    saved = json.dumps([filled.ledger.save(), filled.tenants.save()])
    network, made = Network(layouts(devices)), contracts(devices, dead=dead)
    del filled, small, few
    gc.collect()
    tracemalloc.start()
    counting = Counting(made)
    counting.ledger.restore(json.loads(saved)[0])
    counting.tenants.restore(json.loads(saved)[1])
    for minute in range(KEEP_SLOTS, KEEP_SLOTS + minutes):
        counting.count(list(network.minute(minute)))
    network.counters = []
    gc.collect()
    alive, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return alive / (devices * INTERFACES)


def measure_beside(devices: int) -> dict[str, float]:
    """CPU seconds of what the same readings also become: samples, and columns of five minutes."""
    network, rates, rollups = Network(layouts(devices)), Rates(), InterfaceRollups()
    for minute in range(2):
        readings = list(network.minute(minute))
        pairs = [(reading, rates.update(reading)) for reading in readings]
    seconds = {}
    before = time.process_time()
    for reading, counted in pairs:
        rollups.add(reading, counted)
    seconds["roll-up columns"] = time.process_time() - before
    before = time.process_time()
    samples = sum(len(interface_samples(reading, counted)) for reading, counted in pairs)
    seconds["interface samples"] = time.process_time() - before
    assert samples == devices * INTERFACES
    return seconds


def machine() -> str:
    """Processor, cores and Python that a figure is for."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].partition(":")[2].strip() if names else platform.machine()
    return f"{model}, {len(names)} cores, {platform.python_implementation()} {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer minutes")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    devices = 1000
    cpu = measure_cpu(devices, 5 if arguments.quick else 21)
    octets = measure_memory(devices, 3 if arguments.quick else 6)
    print(f"{machine()}; {devices * INTERFACES:,} interfaces x 8 counters, one minute of polls")
    for part, seconds in cpu.items():
        print(f"| {part:18} | {seconds:.3f} |")
    print(f"octets of state per interface: {octets:.0f}")
    result: dict[str, object] = {"cpu_seconds": round(cpu["all"], 4), "bytes_per_interface": round(octets)}
    if not arguments.quick:
        lacking = measure_memory(devices, 3, dead=True)
        print(f"where every slot lacks a member: {lacking:.0f}")
        result["bytes_per_interface_lacking"] = round(lacking)
        by_rows = measure_cpu(devices, 7, straight=False)
        print(f"| {'all, row by row':18} | {by_rows['all']:.3f} |")
        for part, seconds in measure_beside(devices).items():
            print(f"| {part:18} | {seconds:.3f} |")
        result["cpu_seconds_by_rows"] = round(by_rows["all"], 4)
    result |= {f"cpu_seconds_{part}": round(seconds, 4) for part, seconds in cpu.items() if part != "all"}
    result |= {
        "interfaces": devices * INTERFACES,
        "goal_cpu_seconds": GOAL_CPU_SECONDS,
        "goal_bytes_per_interface": GOAL_BYTES,
        "machine": machine(),
    }
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
