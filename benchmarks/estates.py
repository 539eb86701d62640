"""Invented estates of any size, lab and daemon as processes of their own, and what was kept of their watch.

Shared by benchmarks/reload.py, kill.py and whole.py.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from poller.control import NoDaemon, ask
from poller.sample import Sample
from poller.storage.history import open_history
from poller.storage.journal import Journal, JournalLimits

ROOT: Final = Path(__file__).resolve().parent.parent
SECOND: Final = 10**9
INTERFACE: Final = "GigabitEthernet1/0/1"
"""Every simulated switch has it; what is counted there is checked."""
_COMMUNITY: Final = "benchmark"
_MAIN: Final = """\
organisation: {{name: {{ja: 試験網, en: Benchmark}}}}
include: [devices.yaml, people.yaml, lines.yaml]
polling: {{interval: {interval}s, timeout: 500ms, tries: 3, port: {port}, echo_interval: 5s}}
storage: {{directory: state{influx}}}
wall: {{port: 0}}
mail: {{sender: hinomi@example.jp, {mail}}}
sites: {{hall: {{}}}}
"""
_PEOPLE: Final = """\
contacts: {{shift: {{role: operator, email: shift@example.jp, severities: [serious, minor]}}}}
rules:
  down: {{name: {{ja: 応答なし, en: does not answer}}, on: device.up, equals: false, raise_for: 2s, clear_for: 5s,
         severity: serious}}
  busy: {{name: {{ja: 負荷, en: load}}, on: device.cpu_ratio, above: {level}%, raise_for: 5m, severity: minor}}
"""


@dataclass
class Wishes:
    """What an estate is to be; secrets: credentials by name, everybody but the last device has the first."""

    devices: int
    interval: int = 60
    relay: int | None = None
    influx: str | None = None
    level: int = 95
    cap: int = 300
    ceiling: int = 1000
    names: dict[str, str] = field(default_factory=dict)
    more: frozenset[int] = frozenset()


def free_port() -> int:
    """A UDP port that nobody has at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_estate(folder: Path, port: int, wishes: Wishes) -> None:
    """The configuration's files; each is replaced whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("core", "edge"):
        if not (folder / name).exists():
            (folder / name).write_text(f"{_COMMUNITY}\n")
    mail = (
        "maildir: mails" if wishes.relay is None else f"relays: [{{host: 127.0.0.1, port: {wishes.relay}, tls: none}}]"
    )
    influx = "" if wishes.influx is None else f', influx: {{url: "{wishes.influx}", kind: "1"}}'
    _put(folder / "hinomi.yaml", _MAIN.format(interval=wishes.interval, port=port, mail=mail, influx=influx))
    _put(folder / "people.yaml", _PEOPLE.format(level=wishes.level))
    _put(folder / "devices.yaml", "\n".join(_devices(wishes)) + "\n")
    _put(folder / "lines.yaml", "\n".join(_lines(wishes)) + "\n")


def device(number: int) -> str:
    """The id of a device."""
    return f"sw-{number:04}"


def _devices(wishes: Wishes) -> Iterator[str]:
    yield 'credentials: {core: {version: "2c", community: "file:core"}, edge: {version: "2c", community: "file:edge"}}'
    yield "devices:"
    for number in [*range(wishes.devices), *sorted(wishes.more)]:
        credentials = "edge" if number == wishes.devices - 1 else "core"
        yield (
            f"  {device(number)}: {{addresses: [127.18.{number // 200}.{number % 200 + 1}], role: switch, site: hall,"
            f" credentials: {credentials}}}"
        )


def _lines(wishes: Wishes) -> Iterator[str]:
    yield "circuits:"
    for number in (1, 2):
        yield (
            f"  int-{number}: {{name: 回線{number}, kind: internet, ceiling_rate: {wishes.ceiling}M,"
            f' committed_rate: 100M, measured_by: {{device: {device(number)}, interface: "{INTERFACE}"}}}}'
        )
    yield f"line_groups: {{internet: {{name: 回線, members: [int-1, int-2], ceiling_rate: {2 * wishes.ceiling}M}}}}"
    yield "tenants:"
    for number in range(3, 9):
        name = wishes.names.get(f"t-{number}", f"団体{number}")
        yield (
            f"  t-{number}: {{name: {name}, kind: city, caps: [{{line: internet, sustained_rate: {wishes.cap}M}}],"
            f' attachments: [{{line: internet, device: {device(number)}, interface: "{INTERFACE}"}}]}}'
        )


def _put(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@dataclass
class Watch:
    """The daemon as a process; log: where it writes to."""

    folder: Path
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> float:
        """Start it and wait until it watches; the seconds that took."""
        begun = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "poller.cli", "run", "-c", str(self.folder)),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(b"wall: "):
            said = self.log.read_text(errors="replace").splitlines()[-20:]
            raise RuntimeError("\n".join(["the daemon did not begin:", *said]))
        return time.monotonic() - begun

    def end(self, number: int = signal.SIGTERM) -> None:
        """Stop or kill it, and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, method: str = "GET", path: str = "/status") -> dict[str, Any]:
        """What the daemon says by its control socket."""
        return asyncio.run(ask(self.folder, method, path))

    def until_answers(self) -> dict[str, Any]:
        """Its status, as soon as it answers."""
        while True:
            try:
                return self.ask()
            except NoDaemon:
                time.sleep(0.05)

    def usage(self) -> tuple[float, int]:
        """CPU seconds of all its threads so far, and resident octets now (proc(5))."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")

    def peak(self) -> int:
        """The most resident octets at any moment since it began (proc(5), VmHWM)."""
        assert self.process is not None
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(told.partition("VmHWM:")[2].split()[0]) * 1024


@contextmanager
def lab(folder: Path, port: int, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Agents for the devices of a configuration, in a process of their own."""
    process = subprocess.Popen(
        (sys.executable, "-m", "poller.cli", "lab", "-c", str(folder), "--port", str(port), *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(b"lab ready"), line
        yield process
    finally:
        process.kill()
        process.communicate()


def kept(state: Path) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Every reading of INTERFACE that is in the store or waits in the journal, by device and time in nanoseconds.

    Call it while no daemon runs there.
    """
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    fields = ["in_octets_total", "in_bits_per_second", "quality"]
    if (state / "store").is_dir():
        rows = open_history(state / "store").read(
            "interface", fields, {"interface": INTERFACE}, start_ns=0, end_ns=time.time_ns() + 3600 * SECOND
        )
        for row in rows.iter_rows(named=True):
            found.setdefault(row["device"], {})[row["time_ns"]] = row
    for sample in asyncio.run(_waiting(state)):
        tags = dict(sample.tags)
        if sample.measurement == "interface" and tags["interface"] == INTERFACE:
            found.setdefault(tags["device"], {})[sample.time_ns] = sample.fields
    return found


async def _waiting(state: Path) -> list[Sample]:
    async with Journal(state / "journal.sqlite", ["parquet"], JournalLimits(keep_free_octets=0)) as journal:
        reader = journal.reader("parquet")
        samples: list[Sample] = []
        last = 0
        while journal.state.lags["parquet"] and last < journal._disk.last_number:  # noqa: SLF001 - a closed book is read
            record = await reader.next()
            last = record.number
            samples += record.samples()
        return samples
