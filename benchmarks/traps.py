"""Trap receivers side by side: how many notifications one core takes, the whole way from the socket.

    ours        v2c linkDown with 6 varbinds -> catalogue, device, limit, repeats -> accepted
    ours, v3    the same as authPriv (SHA-256, AES-128)
    durable     the same through text, alerting and wall into the journal on disk
    snmptrapd   Debian's, writing to a file, numeric, no MIBs to load, no access checks
    pysnmp      its notification receiver with a callback that counts

Every notification comes from one of 1,200 addresses and tells of another interface, so none repeats another and no
source is in a storm: nothing is saved by summing. The sender (another core) keeps the receiver's socket filled, and
looks into /proc/net/udp so that nothing is lost; a loss would be counted and told. A figure is notifications over CPU
seconds (user and system) of the receiving process, so it does not depend on who else uses the machine; runs are
interleaved and the median of the ratios is told.

    python -m benchmarks.traps --quick --json      within 50 s; the last line is JSON
    python -m benchmarks.traps --steady            2,000/s for 60 s and a burst of 10,000 while 72 devices are polled
    python -m benchmarks.traps --storm             10,000 in 2 s from three sources, and a linkDown from a fourth
"""

import argparse
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.trap_receivers import FIRST, SOURCES, USER
from poller.free_ports import free_port
from probes.snmp.message import CommunityMessage, Pdu, PduKind, ScopedPdu, encode_message
from probes.snmp.usm import Envelope, localize_keys, seal
from probes.snmp.values import VarBind

TICKS = os.sysconf("SC_CLK_TCK")
IF_ENTRY = (1, 3, 6, 1, 2, 1, 2, 2, 1)
IF_NAME = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1)
FILLED = 1_000_000
"""Octets of the receiver's buffer that the sender keeps filled; the kernel counts 832 for such a datagram."""
SMALL = 20_000
"""The same for snmptrapd and pysnmp, which have the default buffer of 212,992 octets."""


def link_down(index: int, number: int) -> Pdu:
    """A linkDown as IF-MIB has it, with the interface's name: six varbinds."""
    varbinds = [
        VarBind((1, 3, 6, 1, 2, 1, 1, 3, 0), 0x1000_0000 + number, 0x43),
        VarBind((1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0), (1, 3, 6, 1, 6, 3, 1, 1, 5, 3), 6),
        VarBind((*IF_ENTRY, 1, index), index, 2),
        VarBind((*IF_ENTRY, 7, index), 1, 2),
        VarBind((*IF_ENTRY, 8, index), 2, 2),
        VarBind((*IF_NAME, index), b"GigabitEthernet1/0/%05d" % index, 4),
    ]
    return Pdu(PduKind.TRAP_V2, 0x1000_0000 + number, varbinds)


def v2c_datagrams(count: int) -> list[tuple[int, bytes]]:
    """Source and octets of so many notifications, every one about another interface of its source."""
    made = []
    for number in range(count):
        round_, source = divmod(number, SOURCES)
        made.append((source, encode_message(CommunityMessage(1, b"public", link_down(200 + round_, number)))))
    return made


def v3_datagrams(count: int) -> list[tuple[int, bytes]]:
    """The same, each signed and encrypted by the engine of its source."""
    engines = [bytes.fromhex("80001f8804") + b"%04d" % source for source in range(SOURCES)]
    keys = [localize_keys(USER, engine) for engine in engines]
    made = []
    for number in range(count):
        round_, source = divmod(number, SOURCES)
        envelope = Envelope(number, engines[source], 1, 1000, b"bench", reportable=False)
        scoped = ScopedPdu(engines[source], b"", link_down(200 + round_, number))
        made.append((source, seal(envelope, scoped, keys[source], number)))
    return made


@dataclass
class Receiver:
    """A receiving process: where it listens, and what it counted."""

    process: "subprocess.Popen[str]"
    port: int
    room: int = FILLED
    counts: dict[str, int] = field(default_factory=dict)

    def cpu_seconds(self) -> float:
        words = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICKS

    def queued(self) -> tuple[int, int]:
        """Octets in its socket, and datagrams that the kernel dropped there."""
        wanted = f":{self.port:04X}"
        for line in Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[1].endswith(wanted):
                return int(words[4].partition(":")[2], 16), int(words[12])
        return 0, 0


@contextmanager
def python_receiver(which: str) -> Iterator[Receiver]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.trap_receivers", which, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise SystemExit(f"{which} did not start: {process.communicate()[1]}")
    receiver = Receiver(process, port, SMALL if which == "pysnmp" else FILLED)
    try:
        yield receiver
    finally:
        process.terminate()
        output, errors = process.communicate(timeout=30)
        if errors and which == "ours":
            print(errors, file=sys.stderr)
        receiver.counts = json.loads(output.splitlines()[-1]) if output.strip() else {}


@contextmanager
def snmptrapd() -> Iterator[Receiver]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log, settings = Path(folder) / "traps.log", Path(folder) / "snmptrapd.conf"
        settings.write_text("disableAuthorization yes\n", encoding="ascii")
        command = [
            "snmptrapd",
            "-f",
            "-n",
            "-m",
            "",
            "-C",
            "-c",
            str(settings),
            "-Lf",
            str(log),
            f"udp:127.0.0.1:{port}",
        ]
        environment = {**os.environ, "SNMP_PERSISTENT_DIR": folder}
        process = subprocess.Popen(command, text=True, env=environment)
        receiver = Receiver(process, port, SMALL)
        while not log.exists() or "NET-SNMP version" not in log.read_text(errors="replace"):
            time.sleep(0.01)
        try:
            yield receiver
        finally:
            process.terminate()
            process.wait(30)
            told = log.read_bytes().count(b".3.6.1.6.3.1.1.5.3")
            receiver.counts = {"received": told, "accepted": told}


class Sender:
    """One socket for each source address."""

    def __init__(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limit[1]), limit[1]))
        self.sockets = []
        for number in range(SOURCES):
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind((str(IPv4Address(FIRST + number)), 0))
            self.sockets.append(opened)

    def flow(self, datagrams: list[tuple[int, bytes]], receiver: Receiver) -> tuple[float, float, int]:
        """Send all, never more than the receiver has room for; seconds, its CPU seconds, and what was lost."""
        sockets, target = self.sockets, ("127.0.0.1", receiver.port)
        begun, cpu = time.monotonic(), receiver.cpu_seconds()
        batch = 100 if receiver.room == SMALL else 200
        for start in range(0, len(datagrams), batch):
            for source, datagram in datagrams[start : start + batch]:
                sockets[source].sendto(datagram, target)
            while receiver.queued()[0] > receiver.room:
                time.sleep(0.0005)
        while receiver.queued()[0]:
            time.sleep(0.001)
        seconds, spent = time.monotonic() - begun, -1.0
        while spent != receiver.cpu_seconds():  # what it read it may still be busy with
            spent = receiver.cpu_seconds()
            time.sleep(0.1)
        return seconds, spent - cpu, receiver.queued()[1]


@dataclass(frozen=True)
class Figure:
    """One run: notifications accepted by CPU second of the receiver, and by second of the clock."""

    per_cpu_second: float
    per_second: float
    count: int
    lost: int


def run_once(which: str, sender: Sender, datagrams: list[tuple[int, bytes]]) -> Figure:
    with snmptrapd() if which == "snmptrapd" else python_receiver(which) as receiver:
        first = min(SOURCES, len(datagrams) // 4)  # once from every source, so that nobody is measured while it learns
        sender.flow(datagrams[:first], receiver)
        seconds, cpu, lost = sender.flow(datagrams[first:], receiver)
    accepted = receiver.counts.get("accepted", 0) - receiver.counts.get("canaries", 0)
    if accepted != len(datagrams) - lost:
        raise SystemExit(f"{which}: {len(datagrams)} sent, {lost} lost, and {receiver.counts}")
    if which in {"ours", "durable"} and receiver.counts["summed"]:
        raise SystemExit(f"{which} summed what is different: {receiver.counts}")
    measured = accepted - first
    return Figure(measured / cpu, measured / seconds, measured, lost)


RUNS = (("ours", "v2c"), ("snmptrapd", "v2c"), ("pysnmp", "small"), ("ours", "v3"), ("durable", "v2c"))


QUICK_ROUNDS = 2
QUICK_SECONDS = 36


def measure(rounds: int, count: int) -> dict[tuple[str, str], list[Figure]]:
    plain = v2c_datagrams(count)
    flows = {"v2c": plain, "small": plain[: count // 30], "v3": v3_datagrams(count // 3)}
    sender = Sender()
    figures: dict[tuple[str, str], list[Figure]] = {run: [] for run in RUNS}
    begun = time.monotonic()
    for number in range(rounds):
        if rounds <= QUICK_ROUNDS and number and time.monotonic() - begun > QUICK_SECONDS / rounds:
            break  # a busy machine: one round says as much, and --quick is quick
        for run in RUNS:
            if run[0] != "durable" or rounds > QUICK_ROUNDS:
                figures[run].append(run_once(run[0], sender, flows[run[1]]))
    return {run: found for run, found in figures.items() if found}


def median(figures: list[Figure]) -> float:
    return statistics.median(figure.per_cpu_second for figure in figures)


def versions() -> str:
    found = subprocess.run(["snmptrapd", "-v"], capture_output=True, text=True, check=False)
    words = next(
        (
            line.split()[-1]
            for line in (found.stdout + found.stderr).splitlines()
            if "Version" in line or "version" in line
        ),
        "?",
    )
    import pysnmp  # noqa: PLC0415 - for its version

    return (
        f"CPython {platform.python_version()}, snmptrapd {words}, pysnmp {pysnmp.__version__}, "
        f"Linux {platform.release()}, {os.cpu_count()} cores"
    )


def summary(figures: dict[tuple[str, str], list[Figure]]) -> dict[str, float]:
    ours, trapd, pysnmp_ = (figures[run] for run in RUNS[:3])
    over = [
        statistics.median(a.per_cpu_second / b.per_cpu_second for a, b in zip(ours, other, strict=True))
        for other in (trapd, pysnmp_)
    ]
    found = {
        "traps_per_second": round(median(ours)),
        "over_snmptrapd": round(over[0], 2),
        "over_pysnmp": round(over[1], 1),
        "v3_traps_per_second": round(median(figures["ours", "v3"])),
        "snmptrapd_per_second": round(median(trapd)),
        "pysnmp_per_second": round(median(pysnmp_)),
        "lost": sum(figure.lost for run in figures.values() for figure in run),
    }
    if ("durable", "v2c") in figures:
        found["durable_traps_per_second"] = round(median(figures["durable", "v2c"]))
    return found


def show(figures: dict[tuple[str, str], list[Figure]]) -> None:
    print(versions())
    print("| receiver | notifications / CPU s, median (lowest-highest) | by the clock | lost |\n|---|---|---|---|")
    names = {"ours": "Hinomi, to accepted", "durable": "Hinomi, to the disk"}
    for (which, kind), runs in figures.items():
        rates = [figure.per_cpu_second for figure in runs]
        clock = statistics.median(figure.per_second for figure in runs)
        name = names.get(which, which) + (", v3 authPriv" if kind == "v3" else "")
        spread = f"{min(rates):,.0f}-{max(rates):,.0f}"
        print(f"| {name} | {median(runs):,.0f} ({spread}) | {clock:,.0f} | {sum(figure.lost for figure in runs)} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two rounds, within 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--storm", action="store_true", help="a storm from three sources, a linkDown from a fourth")
    parser.add_argument("--steady", action="store_true", help="the steady flow and the burst beside polling")
    asked = parser.parse_args()
    if asked.storm:
        from benchmarks.traps_storm import main as storm  # noqa: PLC0415 - needs the whole daemon

        storm()
        return
    if asked.steady:
        from benchmarks.traps_steady import main as steady  # noqa: PLC0415 - needs the whole daemon

        steady()
        return
    if shutil.which("snmptrapd", path="/usr/sbin:/usr/bin:/sbin") is None:
        raise SystemExit("snmptrapd is not installed (apt-get install snmptrapd)")
    figures = measure(QUICK_ROUNDS if asked.quick else 7, 24_000 if asked.quick else 96_000)
    show(figures)
    if asked.json:
        print(json.dumps(summary(figures)))


if __name__ == "__main__":
    main()
