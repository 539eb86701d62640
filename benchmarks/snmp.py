"""What polling costs: CPU seconds of our engine beside others and beside a C program that does only what must be done.

    python -m benchmarks.snmp [--quick] [--json] [--curve docs/snmp_cpu.png]

One poll is 1,000 simulated devices x 48 interfaces x 8 counters + sysUpTime, in 8,000 GETs of 49 varbinds, against one
responder in C (benchmarks/snmp_peers, compiled here with gcc). The responder and the poller have a core each. The
machine drifts, so ours and gufo-snmp take turns of about a second, and a ratio is the median of the turns' ratios;
figures in seconds are the medians of the turns. With --json the last line is one JSON object.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.snmp_others import NotInstalled, measure_exporter, measure_spine

PEERS = Path(__file__).parent / "snmp_peers"
ROOT = PEERS.parent.parent
DEVICES, INTERFACES, COUNTERS, PDUS = 1000, 48, 8, 8
SPEED = 300
"""Counters move this much faster than in life, because a round takes a fraction of the minute it stands for."""


def compile_peers(folder: Path) -> None:
    """Build responder and limit; without gcc there is nothing to measure against."""
    for name, libraries in (("responder", ["-lcrypto"]), ("limit", [])):
        command = ["gcc", "-O2", "-o", str(folder / name), str(PEERS / f"{name}.c"), *libraries]
        subprocess.run(command, check=True)


def pin(core: int) -> list[str]:
    """Command prefix that keeps a child on one core."""
    return ["taskset", "-c", str(core % (os.cpu_count() or 1))]


@dataclass(frozen=True)
class Run:
    """What a child of snmp_pollers is to measure, and how often; again is the polls of a turn of that arrival."""

    port: int
    devices: int
    turns: int
    arrival: str
    loop: str = "uvloop"
    user: str = ""
    again: int = 1

    def command(self, poller: str) -> list[str]:
        """Its command line."""
        words = [poller, *map(str, (self.port, self.devices, self.again)), self.arrival, self.loop, self.user]
        return [*pin(0), sys.executable, "-m", "benchmarks.snmp_pollers", *words]


@dataclass(frozen=True)
class Found:
    """CPU seconds of a poller's turns, and what else it told at its end."""

    turns: list[float]
    told: dict[str, Any]

    @property
    def cpu(self) -> float:
        """The median turn."""
        return median(self.turns)

    def over(self, other: "Found") -> float:
        """The median of the turns' ratios: those of one turn were measured side by side."""
        return median(ours / theirs for ours, theirs in zip(self.turns, other.turns, strict=True))


class Bench:
    """Runs pollers against responders and remembers the figures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[tuple[str, float, float, str]] = []

    @contextmanager
    def responder(
        self, *, delay_ms: int = 0, loss_per_mille: int = 0, black_holes: int = 0, alike: bool = False
    ) -> Iterator[int]:
        """Port of a running responder."""
        arguments = ["0", str(delay_ms), str(loss_per_mille), str(black_holes), str(SPEED), str(int(alike))]
        command = [*pin(1), str(self.folder / "responder"), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            try:
                yield int(child.stdout.readline())
            finally:
                child.kill()

    def limit(self, port: int, rounds: int) -> list[float]:
        """CPU seconds of the C program, by round."""
        command = [*pin(0), str(self.folder / "limit"), *map(str, (port, DEVICES, INTERFACES, COUNTERS, rounds))]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return [float(line.split()[0]) for line in lines]

    def take_turns(self, pollers: Sequence[str], run: Run) -> list[Found]:
        """Measure pollers in turns; the answer is in their order."""
        with ExitStack() as stack:
            children = []
            for poller in pollers:
                piped = subprocess.Popen(
                    run.command(poller), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
                )
                children.append(stack.enter_context(piped))
                assert ask(piped) == "ready", f"{poller} did not start"
            seconds: list[list[float]] = [[] for _ in pollers]
            for _ in range(run.turns):
                for child, turns in zip(children, seconds, strict=True):
                    turns.append(float(ask(child, "\n")))
            return [Found(turns, json.loads(end(child))) for child, turns in zip(children, seconds, strict=True)]

    def note(self, what: str, seconds: float, requests: int, remark: str = "") -> None:
        """Keep a line for the table."""
        self.rows.append((what, seconds, seconds / requests * 1e6, remark))
        print(f"{what:58} {seconds:9.3f} CPU s {seconds / requests * 1e6:9.1f} us a request  {remark}", flush=True)


def ask(child: "subprocess.Popen[str]", line: str = "") -> str:
    """The next line of a child, after it was given one."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(line)
    child.stdin.flush()
    return child.stdout.readline().strip()


def end(child: "subprocess.Popen[str]") -> str:
    """The last line of a child that gets no more turns."""
    return child.communicate()[0].strip()


def measure_burst(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """All devices at once."""
    others = [("pysnmp", 10 if quick else 100)] + ([] if quick else [("puresnmp", 100)])
    with bench.responder() as port:
        ours = measure_pair(bench, figures, port, quick=quick)
        if not quick:
            (found,) = bench.take_turns(["ours"], Run(port, DEVICES, 9, "burst", "asyncio"))
            bench.note("ours, burst, asyncio", found.cpu, DEVICES * PDUS)
        for name, devices in others:
            (found,) = bench.take_turns([name], Run(port, devices, 1, "burst", "asyncio"))
            scaled = found.cpu * DEVICES / devices
            bench.note(f"{name}, burst, {devices} devices, scaled", scaled, DEVICES * PDUS)
            figures[f"ours_over_{name}_burst"] = ours / scaled
        if not quick:
            measure_programs(bench, port, figures, ours)


def measure_alike(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """All devices at once, their counters of equal lengths: shapes are shared, and stay in the processor's cache."""
    with bench.responder(alike=True) as port:
        measure_pair(bench, figures, port, quick=quick, alike=True)


def measure_pair(bench: Bench, figures: dict[str, float], port: int, *, quick: bool, alike: bool = False) -> float:
    """Ours and gufo-snmp in turns, and the limit before and after them; our CPU seconds."""
    which, before = (", devices alike", "alike") if alike else ("", "ours")
    limit = bench.limit(port, 3)
    ours, gufo = bench.take_turns(["ours", "gufo"], Run(port, DEVICES, 5 if quick else 21, "burst"))
    limit += bench.limit(port, 3)
    (kept,) = bench.take_turns(["ours"], Run(port, 200 if quick else 300, 1, "memory"))
    bench.note(f"the limit: C, sendmmsg, recvmmsg, decode{which}", median(limit), DEVICES * PDUS)
    for name, found in (("ours", ours), ("gufo", gufo)):
        remark = f"resident +{found.told['resident'] >> 20} MiB, {found.told['descriptors']} descriptors"
        bench.note(f"{name}, burst, uvloop{which}", found.cpu, DEVICES * PDUS, remark)
    figures[f"{before}_over_gufo_burst"] = ours.over(gufo)
    figures[f"{before}_over_limit_burst"] = ours.cpu / median(limit)
    octets = kept.told["kept"] / ((200 if quick else 300) * INTERFACES)
    figures["alike_bytes_per_interface" if alike else "bytes_per_interface"] = octets
    return ours.cpu


def measure_programs(bench: Bench, port: int, figures: dict[str, float], ours: float) -> None:
    """Pollers that are programs of their own, on 100 devices; each that is not installed is named."""
    for name, what in (("exporter", measure_exporter), ("spine", measure_spine)):
        try:
            scaled = median(what(port, 100, 5, pin(0))) * DEVICES / 100
        except NotInstalled as error:
            print(f"{name}: not measured, because {error}", flush=True)
            continue
        bench.note(f"{name}, burst, 100 devices, scaled", scaled, DEVICES * PDUS)
        figures[f"ours_over_{name}_burst"] = ours / scaled


def measure_spread(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """Each device at its second of four, answering after 5 ms."""
    with bench.responder(delay_ms=5) as port:
        ours, gufo = bench.take_turns(["ours", "gufo"], Run(port, DEVICES, 1 if quick else 7, "spread"))
    for name, found in (("ours", ours), ("gufo", gufo)):
        bench.note(f"{name}, spread over 4 s, 5 ms latency, uvloop", found.cpu, DEVICES * PDUS)
    figures["ours_over_gufo_spread"] = ours.over(gufo)


def measure_v3(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """SNMPv3 authPriv, with one and with 32 requests in flight; the worse of the two hashes counts."""
    requests = 1024 if quick else 3072
    with bench.responder() as port:
        for devices, key in ((1, "v3_over_gufo_1"), (32, "v3_over_gufo_32")):
            ratios = []
            for user in ("bench-sha1", "bench-sha256"):
                run = Run(port, devices, 7 if quick else 21, "again", "uvloop", user, requests // (devices * PDUS))
                ours, gufo = bench.take_turns(["ours", "gufo"], run)
                for name, found in (("ours", ours), ("gufo", gufo)):
                    bench.note(f"{name}, v3 authPriv, {user[6:]} and aes128, {devices} in flight", found.cpu, requests)
                ratios.append(ours.over(gufo))
            figures[key] = max(ratios)


def measure_losses(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """1 % of replies lost while the counters move."""
    with bench.responder(loss_per_mille=10) as port:
        (found,) = bench.take_turns(["ours"], Run(port, 200 if quick else DEVICES, 1 if quick else 5, "burst"))
    fast, in_order, general = found.told["ways"]
    figures["fast_way_ratio"] = fast / (fast + in_order + general)
    print(f"1 % lost, counters moving: {fast} replies by shape, {in_order} in order, {general} by the general codec")


def measure_black_holes(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """30 % of the devices never answer; all are asked for the first time, at once."""
    del quick
    with bench.responder(black_holes=30) as port:
        (found,) = bench.take_turns(["ours"], Run(port, DEVICES, 0, "holes"))
    figures["healthy_p99_seconds"] = found.told["p99"]
    print(f"30 % silent: {found.told['answered']} devices answered, 99 % of them done after {found.told['p99']:.2f} s")


def draw_curve(bench: Bench, path: Path) -> None:
    """CPU seconds of one poll by number of devices."""
    from matplotlib.figure import Figure  # noqa: PLC0415 wanted for the picture only

    points = []
    with bench.responder() as port:
        for devices in (100, 300, 1000, 3000, 10_000):
            (found,) = bench.take_turns(["ours"], Run(port, devices, 5, "burst"))
            points.append((devices, found.cpu))
            remark = f"{found.told['descriptors']} descriptors"
            bench.note(f"ours, burst, {devices} devices", found.cpu, devices * PDUS, remark)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([devices for devices, _ in points], [seconds for _, seconds in points], marker="o")
    axes.set(xlabel="devices of 48 interfaces x 8 counters", ylabel="CPU seconds of one poll", xlim=0, ylim=0)
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)


def name_python() -> str:
    """Which CPython this is: they differ by a factor of up to two by how they were built, Debian's is a fast one."""
    return f"CPython {platform.python_version()} of {sys.base_prefix} ({platform.python_compiler()})"


def print_table(bench: Bench, figures: dict[str, float]) -> None:
    """The table as docs/performance.md keeps it."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("gufo-snmp", "pysnmp", "puresnmp", "uvloop", "cryptography")
    )
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, load {load}, {name_python()}, {packages}\n")
    print("| poller | CPU s | us a request | remark |\n|---|---|---|---|")
    for what, seconds, each, remark in bench.rows:
        print(f"| {what} | {seconds:.3f} | {each:.1f} | {remark} |")
    print("\n| figure | value |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:.4g} |")


def main() -> None:
    """Measure all, print the table and, on request, JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and pollers: within 50 seconds")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON in the last line")
    parser.add_argument("--curve", type=Path, help="also draw the cost from 100 to 10,000 devices into this PNG")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        compile_peers(bench.folder)
        for part in (measure_burst, measure_alike, measure_spread, measure_v3, measure_losses, measure_black_holes):
            if not options.quick or part not in {measure_alike, measure_black_holes}:
                part(bench, figures, quick=options.quick)
        if options.curve is not None:
            draw_curve(bench, options.curve)
    print_table(bench, figures)
    if options.json:
        print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
