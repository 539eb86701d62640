"""What silent devices cost the others (R4): start delay and CPU of the healthy ones, with none and with 30 % silent.

    python -m benchmarks.snmp_silent [--interval 10] [--rounds 4] [--json]

1,000 simulated devices x 48 interfaces x 8 counters are asked by poller.rounds.Rounds at the times of
poller.schedule.Schedule, every 10 s, through the production sessions; one responder in C answers. Silent devices are
there from the start and never answer: their polls run into all their retries or their deadline. A start is late by
the time from due until the poll's first line runs; an end until its last value is there. The first round, which learns
all shapes, is not counted. Each figure is the worse of its runs; CPU seconds are those of the whole process over all
its polls, the silent ones included.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.snmp import DEVICES, Bench, compile_peers
from benchmarks.snmp_pollers import address, cpu_seconds, groups
from poller.readings import FailedPoll
from poller.rounds import Answer, Rounds
from poller.schedule import SECOND_NS, Schedule
from probes.snmp import PreparedPoll, Snmp, SnmpError, SnmpTarget

SILENT_PER_CENT: Final = 30


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run has found; seconds, CPU in milliseconds."""

    healthy_polls: int
    silent_polls: int
    start_p50: float
    start_p99: float
    start_worst: float
    end_p99: float
    cpu_ms_per_healthy_poll: float
    overruns: int


@dataclass(slots=True)
class Asking:
    """An Asker (see poller.rounds) which notes when each poll began and ended after it was due."""

    snmp: Snmp
    prepared: dict[str, PreparedPoll]
    started: list[tuple[float, float]] = field(default_factory=list)
    silent: int = 0

    async def ask(self, device: str, due_ns: int, deadline_seconds: float) -> Answer:
        """One poll; what it read is dropped, which Rounds does not mind."""
        late = (time.time_ns() - due_ns) / SECOND_NS
        try:
            await self.snmp.poll(self.prepared[device], deadline=self.snmp.clock() + deadline_seconds)
        except SnmpError:
            self.silent += 1
        else:
            self.started.append((late, (time.time_ns() - due_ns) / SECOND_NS))
        return FailedPoll(device, due_ns, "not_kept", "A benchmark keeps no readings", None)


async def run(port: int, interval_seconds: int, rounds: int) -> Figures:
    """Make the rounds against a responder that is running."""
    async with Snmp() as snmp:
        asked = groups()
        prepared = {
            f"device-{number}": snmp.prepare(SnmpTarget(address(number), port, "2c", b"public"), asked)
            for number in range(DEVICES)
        }
        asking, schedule = Asking(snmp, prepared), Schedule()
        for device in prepared:
            schedule.add(device, interval_seconds, time.time_ns())
        asked_in_turn = Rounds(schedule, asking, lambda _: None)
        making = asyncio.ensure_future(asked_in_turn.run())
        await asyncio.sleep(interval_seconds)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        asking.started.clear()
        asking.silent, began_cpu = 0, cpu_seconds()
        await asyncio.sleep(interval_seconds * rounds)
        cpu = cpu_seconds() - began_cpu
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
    count = len(asking.started)
    starts, ends = sorted(start for start, _ in asking.started), sorted(end for _, end in asking.started)
    return Figures(
        count,
        asking.silent,
        starts[count // 2],
        starts[int(0.99 * count)],
        starts[-1],
        ends[int(0.99 * count)],
        cpu / count * 1000,
        asked_in_turn.statistics.overruns.total(),
    )


def main() -> None:
    """Measure with and without silent devices, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interval", type=int, default=10, help="seconds between two polls of a device")
    parser.add_argument("--rounds", type=int, default=4, help="rounds that count, after the first")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON in the last line")
    options = parser.parse_args()
    os.sched_setaffinity(0, {0})
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        compile_peers(bench.folder)
        for silent in (0, SILENT_PER_CENT):
            with (
                bench.responder(black_holes=silent) as port,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
            ):
                figures = found[f"silent_{silent}"] = loop.run(run(port, options.interval, options.rounds))
            sys.stdout.write(f"{silent:3} % silent: {figures}\n")
    if options.json:
        sys.stdout.write(json.dumps({name: asdict(figures) for name, figures in found.items()}) + "\n")


if __name__ == "__main__":
    main()
