"""Echoes to 1,000 targets on loopback, side by side: this prober, Debian's fping, icmplib.

Paced: every target once a second, all spread over it; the daily work, though that is five times slower.
Burst: all 1,000 once, as fast as they go. A limit of packets per second forbids it in daily work, but it shows whose
delays hold when the machine is busy. icmplib keeps no pace over 1,000 targets (three echoes a second apart lose two of
three answers), so it is measured in bursts only: all at once as the others, and 50 at a time, its cheapest.

CPU is user + system of the measured process, pinned to one core: ours over a whole slot, in which the statistics of the
slot before are told; fping's and icmplib's over a whole run, fping's less that of a run with one target. Each run has a
process of its own, rounds are interleaved, medians are taken.

    python -m benchmarks.icmp [--quick] [--json]
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from probes.icmp import EchoEvent, EchoPlan, EchoProber, EchoStatistics, EchoTarget

TARGETS: Final = 1000
FIRST: Final = IPv4Address("127.99.0.1")
QUICK_SECONDS: Final = 50.0
"""--quick ends within this: another round begins only where there is time for one like the last."""
ADDRESSES: Final = [str(FIRST + index) for index in range(TARGETS)]


@dataclass(frozen=True)
class Figures:
    """One run: CPU seconds for 1,000 echoes, median round trip in microseconds, echoes answered of those sent."""

    cpu_seconds: float
    median_us: float
    sent: int
    answered: int


@dataclass(frozen=True)
class Load:
    """Each target `echoes` times, once per interval."""

    interval_seconds: float
    echoes: int


async def _ours_paced(load: Load) -> Figures:
    """CPU over one whole slot as long as the run; its round trips are told a timeout later."""
    length = load.interval_seconds * load.echoes
    plan = EchoPlan(interval_seconds=load.interval_seconds, timeout_seconds=0.5, slot_seconds=length)
    told: list[EchoStatistics] = []
    done = asyncio.Event()
    start_ns = 0

    def tell(event: EchoEvent) -> None:
        if isinstance(event, EchoStatistics) and event.slot_start_ns == start_ns:
            told.append(event)
            if len(told) == TARGETS:
                done.set()

    async with EchoProber(_targets(), tell, plan):
        await asyncio.sleep(length - time.time() % length)
        start_ns = round(time.time() / length) * round(length * 1e9)
        before = time.process_time()
        await asyncio.sleep(length - time.time() % length)
        spent = time.process_time() - before
        await done.wait()
        return _ours(told, spent)


async def _ours_burst(_: Load) -> Figures:
    """The loop stands still for an interval, so that all are due at once: one turn sends them in a row.

    The first such turn warms up, as every turn but the first of a daemon's life is warm; the second is measured.
    """
    slot = 0.5
    plan = EchoPlan(interval_seconds=1.0, timeout_seconds=0.3, slot_seconds=slot, packets_per_second=1e6)
    told: list[EchoStatistics] = []
    done = asyncio.Event()
    burst_ns = -1

    def tell(event: EchoEvent) -> None:
        if isinstance(event, EchoStatistics) and event.slot_start_ns == burst_ns:
            told.append(event)
            if len(told) == TARGETS:
                done.set()

    async with EchoProber(_targets(), tell, plan):
        await asyncio.sleep(1.5)
        for _round in range(2):
            time.sleep(2 - time.time() % 1)  # noqa: ASYNC251 - the loop shall stand still, until a slot begins
            burst_ns = int(time.time() // slot) * round(slot * 1e9)
            before = time.process_time()
            for _step in range(5):  # enough for the one turn that is overdue, and too short for another
                await asyncio.sleep(0)
            spent = time.process_time() - before
        await done.wait()
        return replace(_ours(told, spent), cpu_seconds=spent / TARGETS * 1000)


def _targets() -> list[EchoTarget]:
    return [EchoTarget(address, IPv4Address(address)) for address in ADDRESSES]


def _ours(told: Sequence[EchoStatistics], cpu_seconds: float) -> Figures:
    sent = sum(event.sent for event in told)
    medians = [event.delays.median_seconds for event in told if event.delays is not None]
    return Figures(
        cpu_seconds / sent * 1000,
        statistics.median(medians) * 1e6,
        sent,
        sum(event.received for event in told),
    )


def _fping(load: Load, gap_ms: str) -> Figures:
    arguments = ["-C", str(load.echoes), "-p", str(round(load.interval_seconds * 1000)), "-i", gap_ms]
    idle, _ = _run_fping([*arguments[:2], ADDRESSES[0]])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(ADDRESSES))
        file.flush()
        cpu_seconds, said = _run_fping([*arguments, "-f", file.name])
    answers = [word for line in said.splitlines() if " : " in line for word in line.split(" : ")[1].split()]
    delays_ms = [float(word) for word in answers if word != "-"]
    sent = TARGETS * load.echoes
    cpu = (cpu_seconds - idle) / sent * 1000
    return Figures(cpu, statistics.median(delays_ms) * 1000, sent, len(delays_ms))


def _run_fping(arguments: Sequence[str]) -> tuple[float, str]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(["fping", "-q", *arguments], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ran.stderr


def _icmplib(load: Load, at_once: int) -> Figures:
    from icmplib import multiping  # noqa: PLC0415 - the others do not pay for it

    before = time.process_time()
    hosts = multiping(ADDRESSES, count=load.echoes, interval=load.interval_seconds, timeout=2, concurrent_tasks=at_once)
    cpu_seconds = time.process_time() - before
    delays_ms = [delay for host in hosts for delay in host.rtts]
    sent = TARGETS * load.echoes
    return Figures(cpu_seconds / sent * 1000, statistics.median(delays_ms) * 1000, sent, len(delays_ms))


RUNS: Final[dict[str, Callable[[Load], Figures]]] = {
    "ours paced": lambda load: asyncio.run(_ours_paced(load)),
    "fping paced": lambda load: _fping(load, f"{load.interval_seconds * 1000 / TARGETS:g}"),
    "ours burst": lambda load: asyncio.run(_ours_burst(load)),
    "fping burst": lambda load: _fping(Load(load.interval_seconds, 1), "0"),
    "icmplib burst": lambda load: _icmplib(Load(load.interval_seconds, 1), TARGETS),
    "icmplib by 50": lambda load: _icmplib(Load(load.interval_seconds, 1), 50),
}


def _child(name: str, load: Load) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(vars(RUNS[name](load))))


def _measure(name: str, load: Load) -> Figures:
    """In a process of its own, so that nobody profits from another's warm-up."""
    command = [sys.executable, "-m", "benchmarks.icmp", "--child", name]
    command += ["--interval", str(load.interval_seconds), "--echoes", str(load.echoes)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent)
    return Figures(**json.loads(ran.stdout.splitlines()[-1]))


def _median(runs: Sequence[Figures]) -> Figures:
    return Figures(
        statistics.median(run.cpu_seconds for run in runs),
        statistics.median(run.median_us for run in runs),
        sum(run.sent for run in runs),
        sum(run.answered for run in runs),
    )


def _table(figures: dict[str, Figures], load: Load, rounds: int) -> str:
    said = subprocess.run(["fping", "-v"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    lines = [
        f"1,000 targets on loopback, {load.echoes} echoes each at one per {load.interval_seconds:g} s; {rounds} rounds",
        ", ".join(
            (
                f"CPython {platform.python_version()}",
                f"Linux {platform.release()}",
                f"{os.cpu_count()} cores",
                said.split(": ")[-1].replace("Version", "fping"),
                f"icmplib {version('icmplib')}",
            )
        ),
        "",
        "| run | CPU s per 1,000 echoes | median round trip, us | answered |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one.cpu_seconds:.4f} | {one.median_us:.1f} | {one.answered} of {one.sent} |"
        for name, one in figures.items()
    ]
    return "\n".join(lines)


def _ratios(figures: dict[str, Figures]) -> dict[str, float]:
    paced, burst = (abs(figures[f"ours {k}"].median_us - figures[f"fping {k}"].median_us) for k in ("paced", "burst"))
    cpu = {name: one.cpu_seconds for name, one in figures.items()}
    return {
        "cpu_over_fping": round(cpu["ours paced"] / cpu["fping paced"], 3),
        "cpu_over_fping_burst": round(cpu["ours burst"] / cpu["fping burst"], 3),
        "cpu_over_icmplib": round(cpu["ours burst"] / cpu["icmplib burst"], 3),
        "cpu_over_icmplib_by_50": round(cpu["ours burst"] / cpu["icmplib by 50"], 3),
        "rtt_error_us": round(max(paced, burst), 1),
        "rtt_error_us_paced": round(paced, 1),
        "rtt_error_us_burst": round(burst, 1),
    }


def _rounds(load: Load, rounds: int, limit_seconds: float | None) -> dict[str, list[Figures]]:
    """So many rounds, or as many as there is time for."""
    runs: dict[str, list[Figures]] = {name: [] for name in RUNS}
    begun = last = time.monotonic()
    for _ in range(rounds):
        for name, kept in runs.items():
            kept.append(_measure(name, load))
        took, last = time.monotonic() - last, time.monotonic()
        if limit_seconds is not None and last - begun + took > limit_seconds:
            break
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within 50 s")
    parser.add_argument("--json", action="store_true", help="the ratios as the last line")
    parser.add_argument("--child", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--interval", type=float, default=1.0, help=argparse.SUPPRESS)
    parser.add_argument("--echoes", type=int, default=10, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        _child(asked.child, Load(asked.interval, asked.echoes))
        return
    load, rounds = (Load(1.0, 3), 2) if asked.quick else (Load(asked.interval, asked.echoes), 5)
    runs = _rounds(load, rounds, QUICK_SECONDS if asked.quick else None)
    figures = {name: _median(kept) for name, kept in runs.items()}
    print(_table(figures, load, len(runs["ours paced"])))
    if asked.json:
        print(json.dumps(_ratios(figures)))


if __name__ == "__main__":
    main()
