"""What polling costs: CPU seconds of our engine beside others and beside a C program that does only what must be done.

    python -m benchmarks.snmp [--quick] [--json] [--curve docs/snmp_cpu.png]

One poll is 1,000 simulated devices x 48 interfaces x 8 counters + sysUpTime, in 8,000 GETs of 49 varbinds, against one
responder in C (benchmarks/snmp_peers, compiled here with gcc). The responder and the poller have a core each. All
figures are medians of rounds within one run; the machine drifts between runs, so ratios count. With --json the last
line is one JSON object.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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

    def limit(self, port: int, rounds: int) -> float:
        """CPU seconds of the C program."""
        command = [*pin(0), str(self.folder / "limit"), *map(str, (port, DEVICES, INTERFACES, COUNTERS, rounds))]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        seconds = median(float(line.split()[0]) for line in lines)
        self.note("the limit: C, sendmmsg, recvmmsg, decode", seconds, DEVICES * PDUS, "")
        return seconds

    def poller(self, name: str, port: int, devices: int, rounds: int, *how: str) -> dict[str, Any]:
        """What a child of snmp_pollers measured; cpu is the median of its rounds."""
        command = [
            *pin(0),
            sys.executable,
            "-m",
            "benchmarks.snmp_pollers",
            name,
            *map(str, (port, devices, rounds)),
            *how,
        ]
        found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        result: dict[str, Any] = json.loads(found.splitlines()[-1])
        result["cpu"] = median(result["cpu"])
        return result

    def note(self, what: str, seconds: float, requests: int, remark: str) -> None:
        """Keep a line for the table."""
        self.rows.append((what, seconds, seconds / requests * 1e6, remark))
        print(f"{what:58} {seconds:9.3f} CPU s {seconds / requests * 1e6:9.1f} us a request  {remark}", flush=True)


def measure_burst(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """All devices at once."""
    others = [("pysnmp", 10 if quick else 100, 1)] + ([] if quick else [("puresnmp", 100, 1)])
    costs: dict[str, list[float]] = {"ours": [], "gufo": [], "limit": []}
    with bench.responder() as port:
        for _ in range(1 if quick else 3):
            costs["limit"].append(bench.limit(port, 5))
            for name in ("ours", "gufo"):
                found = bench.poller(name, port, DEVICES, 5, "burst", "uvloop")
                costs[name].append(found["cpu"])
                remark = f"resident +{found['resident'] >> 20} MiB, {found['descriptors']} descriptors"
                bench.note(f"{name}, burst, uvloop", found["cpu"], DEVICES * PDUS, remark)
        if not quick:
            found = bench.poller("ours", port, DEVICES, 5, "burst", "asyncio")
            bench.note("ours, burst, asyncio", found["cpu"], DEVICES * PDUS, "")
        for name, devices, rounds in others:
            found = bench.poller(name, port, devices, rounds, "burst", "asyncio")
            scaled = found["cpu"] * DEVICES / devices
            bench.note(f"{name}, burst, {devices} devices, scaled", scaled, DEVICES * PDUS, "")
            figures[f"ours_over_{name}_burst"] = median(costs["ours"]) / scaled
        if not quick:
            measure_programs(bench, port, figures, median(costs["ours"]))
        found = bench.poller("ours", port, 300, 2, "memory", "uvloop")
    ours = median(costs["ours"])
    figures["ours_over_gufo_burst"] = ours / median(costs["gufo"])
    figures["ours_over_limit_burst"] = ours / median(costs["limit"])
    figures["bytes_per_interface"] = found["kept"] / (300 * INTERFACES)


def measure_programs(bench: Bench, port: int, figures: dict[str, float], ours: float) -> None:
    """Pollers that are programs of their own, on 100 devices; each that is not installed is named."""
    for name, what in (("exporter", measure_exporter), ("spine", measure_spine)):
        try:
            scaled = median(what(port, 100, 5, pin(0))) * DEVICES / 100
        except NotInstalled as error:
            print(f"{name}: not measured, because {error}", flush=True)
            continue
        bench.note(f"{name}, burst, 100 devices, scaled", scaled, DEVICES * PDUS, "")
        figures[f"ours_over_{name}_burst"] = ours / scaled


def measure_alike(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """All devices at once, their counters of equal lengths: shapes are shared, and stay in the processor's cache."""
    costs: dict[str, list[float]] = {"ours": [], "gufo": [], "limit": []}
    with bench.responder(alike=True) as port:
        for _ in range(1 if quick else 3):
            costs["limit"].append(bench.limit(port, 5))
            for name in ("ours", "gufo"):
                found = bench.poller(name, port, DEVICES, 5, "burst", "uvloop")
                costs[name].append(found["cpu"])
                remark = f"resident +{found['resident'] >> 20} MiB"
                bench.note(f"{name}, burst, uvloop, devices alike", found["cpu"], DEVICES * PDUS, remark)
        found = bench.poller("ours", port, 300, 2, "memory", "uvloop")
    figures["alike_over_gufo_burst"] = median(costs["ours"]) / median(costs["gufo"])
    figures["alike_over_limit_burst"] = median(costs["ours"]) / median(costs["limit"])
    figures["alike_bytes_per_interface"] = found["kept"] / (300 * INTERFACES)


def measure_spread(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """Each device at its second of four, answering after 5 ms."""
    costs: dict[str, list[float]] = {"ours": [], "gufo": []}
    with bench.responder(delay_ms=5) as port:
        for _ in range(1 if quick else 3):
            for name, seen in costs.items():
                seen.append(bench.poller(name, port, DEVICES, 1 if quick else 3, "spread", "uvloop")["cpu"])
                bench.note(f"{name}, spread over 4 s, 5 ms latency, uvloop", seen[-1], DEVICES * PDUS, "")
    figures["ours_over_gufo_spread"] = median(costs["ours"]) / median(costs["gufo"])


def measure_v3(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """SNMPv3 authPriv, with one and with 32 requests in flight; the worse of the two hashes counts."""
    with bench.responder() as port:
        for devices, key in ((1, "v3_over_gufo_1"), (32, "v3_over_gufo_32")):
            rounds = (1600 if quick else 3200) // (devices * PDUS)
            ratios = []
            for user in ("bench-sha1", "bench-sha256"):
                pairs = []
                for _ in range(1 if quick else 5):
                    cost = {}
                    for name in ("ours", "gufo"):
                        cost[name] = bench.poller(name, port, devices, rounds, "again", "uvloop", user)["cpu"]
                        what = f"{name}, v3 authPriv, {user[6:]} and aes128, {devices} in flight"
                        bench.note(what, cost[name], devices * PDUS * rounds, "")
                    pairs.append(cost["ours"] / cost["gufo"])
                ratios.append(median(pairs))
            figures[key] = max(ratios)


def measure_losses(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """1 % of replies lost while the counters move."""
    with bench.responder(loss_per_mille=10) as port:
        found = bench.poller("ours", port, 200 if quick else DEVICES, 1 if quick else 5, "burst", "uvloop")
    fast, in_order, general = found["ways"]
    figures["fast_way_ratio"] = fast / (fast + in_order + general)
    print(f"1 % lost, counters moving: {fast} replies by shape, {in_order} in order, {general} by the general codec")


def measure_black_holes(bench: Bench, figures: dict[str, float], *, quick: bool) -> None:
    """30 % of the devices never answer; all are asked for the first time, at once."""
    del quick
    with bench.responder(black_holes=30) as port:
        found = bench.poller("ours", port, DEVICES, 1, "holes", "uvloop")
    figures["healthy_p99_seconds"] = found["p99"]
    print(f"30 % silent: {found['answered']} devices answered, 99 % of them done after {found['p99']:.2f} s")


def draw_curve(bench: Bench, path: Path) -> None:
    """CPU seconds of one poll by number of devices."""
    from matplotlib.figure import Figure  # noqa: PLC0415 wanted for the picture only

    points = []
    with bench.responder() as port:
        for devices in (100, 300, 1000, 3000, 10_000):
            found = bench.poller("ours", port, devices, 5, "burst", "uvloop")
            points.append((devices, found["cpu"]))
            bench.note(
                f"ours, burst, {devices} devices", found["cpu"], devices * PDUS, f"{found['descriptors']} descriptors"
            )
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([devices for devices, _ in points], [seconds for _, seconds in points], marker="o")
    axes.set(xlabel="devices of 48 interfaces x 8 counters", ylabel="CPU seconds of one poll", xlim=0, ylim=0)
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)


def print_table(bench: Bench, figures: dict[str, float]) -> None:
    """The table as docs/performance.md keeps it."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("gufo-snmp", "pysnmp", "puresnmp", "uvloop", "cryptography")
    )
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, CPython {platform.python_version()}, {packages}\n")
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
