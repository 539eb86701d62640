"""A day of the example prefecture in simulated time with 25 faults: every expected mail, no other, and memory flat.

    python -m benchmarks.day [--hours 24] [--limit 0]

The clock is stepped second by second and waits for answers, so a day takes as long as the machine needs; in 60 x real
time that would be 24 minutes. Everything between is the product's: agents of the lab by SNMP on
loopback, polls, rates, slots, states, rules, incidents, outbox, journal, Parquet. Echoes and services need real time
and are left out. Each fault says which incident it must make, or that it must make none; what the outbox has sent is
held against it: a serious one is told at once and at its end, minor ones together at 08:30 on the next business day.
"""

import argparse
import asyncio
import logging
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.estates import ROOT, free_port
from poller.alerts.engine import Alerting
from poller.alerts.incidents import Incident
from poller.alerts.outbox import Outbox
from poller.alerts.store import Store as AlertStore
from poller.asking import Asking
from poller.config import Configuration, load
from poller.equipment import equip
from poller.lab.server import Lab, LabOptions
from poller.memory import give_back_memory, memory_fields
from poller.pipeline import Pipeline
from poller.profiles import load_profiles
from poller.schedule import SECOND_NS, start_schedule
from poller.storage.delivery import run_reader
from poller.storage.journal import Journal
from poller.storage.parquet import ParquetStore
from poller.wall.live import LiveState
from probes.snmp import Snmp

ZONE = ZoneInfo("Asia/Tokyo")
BEGUN = datetime(2026, 11, 25, tzinfo=ZONE)
"""A Wednesday between two business days."""
DIGEST_NS = int(BEGUN.replace(hour=8, minute=30).timestamp()) * SECOND_NS
SETTLE_SECONDS = 1800
"""After the last fault is over, for recoveries to be told."""
FAULT_SECONDS = 600


@dataclass(frozen=True)
class Fault:
    """begin and end act on the lab; about: words of its incident's subject; None: there must be no incident."""

    name: str
    begin: Callable[[Lab], object]
    end: Callable[[Lab], object] = lambda _lab: None
    about: str | None = None
    severity: str = "minor"


def faults() -> list[Fault]:
    """Twenty-five, each over before the next."""
    found = [_lines(line) for line in ("bo", "int", "bo", "int", "bo", "int")]
    found += [_circuit(circuit) for circuit in ("int-1", "bo-1", "bo-2", "int-2")]
    found += [_dead(each) for each in ("ar-owase", "ar-shima", "ar-kumano", "ar-toba", "ar-nabari")]
    found += [_dead(each) for each in ("dns-int-1", "proxy-1", "sw-mgmt-1")]
    found += [_fail_over("fw"), _fail_over("fw")]
    found += [
        Fault(f"{each} restarts", lambda lab, each=each: lab.reboot(each, reshuffle=True))
        for each in ("ar-iga", "ar-ise")
    ]
    found += [
        Fault(f"counters of {each} are cleared", lambda lab, each=each: lab.clear_counters(each))
        for each in ("sw-core-1", "ho-sw-1")
    ]
    found.append(Fault("an agent is slow", lambda lab: lab.delay("ar-tsu", 0.02), lambda lab: lab.delay("ar-tsu", 0.0)))
    return [found[index * 7 % len(found)] for index in range(len(found))]


def _lines(line: str) -> Fault:
    circuits = (f"{line}-1", f"{line}-2")
    return Fault(
        f"both circuits of {line} die",
        lambda lab: [lab.fail_circuit(each) for each in circuits],
        lambda lab: [lab.restore_circuit(each) for each in circuits],
        circuits[0],
        "serious",
    )


def _circuit(circuit: str) -> Fault:
    return Fault(
        f"{circuit} dies", lambda lab: lab.fail_circuit(circuit), lambda lab: lab.restore_circuit(circuit), circuit
    )


def _dead(device: str) -> Fault:
    return Fault(f"{device} is dead", lambda lab: lab.silence(device), lambda lab: lab.wake(device), device)


def _fail_over(group: str) -> Fault:
    return Fault(f"{group} fails over", lambda lab: lab.fail_over(group), lambda lab: lab.fail_over(group), f"{group}-")


def _restart(device: str) -> Fault:
    return Fault(f"{device} restarts", lambda lab: lab.reboot(device, reshuffle=True))


def _cleared(device: str) -> Fault:
    return Fault(f"counters of {device} are cleared", lambda lab: lab.clear_counters(device))


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = int(BEGUN.timestamp()) * SECOND_NS

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Day:
    """What is needed to let a second pass."""

    clock: Clock
    lab: Lab
    snmp: Snmp
    pipeline: Pipeline
    asking: Asking
    outbox: Outbox

    async def second(self, due: Sequence[tuple[str, int]]) -> None:
        """Polls that are due, then a tick; once a minute the outbox."""
        for agent in self.snmp._devices.values():  # noqa: SLF001 - its clock is the real one: always ask a silent one
            agent.probed_at = float("-inf")
        for answer in await asyncio.gather(*(self.asking.ask(device, at_ns, 60.0) for device, at_ns in due)):
            self.pipeline.accept(answer, self.clock())
        self.pipeline.tick(self.clock())
        if self.clock() // SECOND_NS % 60 == 0:
            await self.outbox.send_due(self.clock())


async def run(folder: Path, hours: float, limit: int) -> tuple[list[tuple[int, Fault]], list[int]]:
    """Live through the day; the faults with the second in which each began, and the resident memory of every hour."""
    configuration, clock = prepare(folder), Clock()
    estate, state = configuration.estate, configuration.state_directory
    state.mkdir(parents=True, exist_ok=True)
    plan = faults()[: limit or None]
    every = int((hours * 3600 - SETTLE_SECONDS - 300) / len(plan))
    assert every > FAULT_SECONDS, "the faults do not fit into so few hours: give --limit"
    equipment = await asyncio.to_thread(equip, configuration, receiving=False)
    alerts = AlertStore(state / "alerts.sqlite")
    options = LabOptions(port=estate.polling.port)
    async with (
        Journal(state / "journal.sqlite", ["parquet"], equipment.journal_limits, now_ns=clock) as journal,
        Lab(estate, configuration.directory, options, clock) as lab,
        Snmp(wall_clock_ns=clock) as snmp,
    ):
        pipeline = Pipeline(estate, journal.append, Alerting(estate, alerts), LiveState(estate))
        asking = Asking(snmp, load_profiles(), equipment.targets, clock_ns=clock)
        outbox = Outbox(alerts, equipment.mail, configuration.directory)
        store = asyncio.create_task(run_reader(journal.reader("parquet"), ParquetStore(state / "store", now_ns=clock)))
        day = Day(clock, lab, snmp, pipeline, asking, outbox)
        schedule = start_schedule(equipment.intervals, clock(), first_start=True)
        memory: list[int] = []
        begun: list[tuple[int, Fault]] = []
        for second in range(int(hours * 3600)):
            clock.now_ns += SECOND_NS
            number, within = divmod(second - 300, every)
            if 0 <= number < len(plan) and within == 0:
                plan[number].begin(lab)
                begun.append((second, plan[number]))
            if 0 <= number < len(plan) and within == FAULT_SECONDS:
                plan[number].end(lab)
            await day.second([(each.device, each.due_ns) for each in schedule.due(clock())])
            if second % 3600 == 3599:
                memory.append(int(str(memory_fields()["memory_octets"])))
        await outbox.send_due(clock())
        await journal.flush()
        store.cancel()
    alerts.close()
    return begun, memory


def prepare(folder: Path) -> Configuration:
    """The example on a free port, with mails into a folder and without what needs real time."""
    shutil.copytree(ROOT / "config" / "examples" / "prefecture", folder, ignore=shutil.ignore_patterns("demo"))
    loaded = load(folder)
    estate = loaded.estate
    changes: dict[str, object] = {
        "polling": estate.polling.model_copy(update={"port": free_port(), "timeout": 0.1, "tries": 2}),
        "mail": estate.mail.model_copy(update={"maildir": "mails", "relays": ()}),
        "services": {},
        "maintenance": {},
    }
    return replace(loaded, estate=estate.model_copy(update=changes))


def judge(state: Path, begun: Sequence[tuple[int, Fault]], ended_ns: int) -> list[str]:
    """What is not as it should be, a sentence each."""
    store = AlertStore(state / "alerts.sqlite")
    incidents = list(store.load().incidents)
    store.close()
    with closing(sqlite3.connect(state / "alerts.sqlite")) as connection:
        mails = connection.execute("SELECT incident, kind, state, subject FROM outbox").fetchall()
        each_to = connection.execute("SELECT incident, kind, contact FROM outbox").fetchall()
    told: dict[str, Counter[str]] = {}
    for incident, kind, _, _ in mails:
        told.setdefault(incident, Counter())[kind] += 1
    twice = [key for key, count in Counter(each_to).items() if count > 1]
    wrong = [f"not sent: {subject}" for _, _, done, subject in mails if done != "sent"]
    wrong += [f"told twice: {key}" for key in twice]
    early = [each for each in incidents if each.worst.value == "minor" and each.begun_ns < DIGEST_NS]
    digests = told.get("", Counter())["digest"]
    if bool(early and ended_ns > DIGEST_NS) != bool(digests):
        wrong.append(f"{len(early)} minor incidents before 08:30, and {digests} digests")
    explained: set[str] = set()
    for second, fault in begun:
        at_ns = int((BEGUN.timestamp() + second) * SECOND_NS)
        own = [
            each
            for each in incidents
            if at_ns <= each.begun_ns <= at_ns + (FAULT_SECONDS + 900) * SECOND_NS and _is_about(each, fault)
        ]
        explained.update(each.id for each in own)
        wrong += _expected(fault, own, told)
    wrong += [f"nobody expected {each.id}: {each.title_en}" for each in incidents if each.id not in explained]
    wrong += [f"still open: {each.id}: {each.title_en}" for each in incidents if each.closed_ns is None]
    wrong += [f"nobody expected the mail {subject}" for id_, _, _, subject in mails if id_ and id_ not in explained]
    return wrong


def _is_about(incident: Incident, fault: Fault) -> bool:
    words = " ".join(f"{member.subject} {incident.anchor}" for member in incident.members)
    return fault.about is not None and (fault.about in words or fault.about.rpartition("-")[0] in incident.anchor)


def _expected(fault: Fault, own: Sequence[Incident], told: dict[str, Counter[str]]) -> list[str]:
    if fault.about is None:
        return []
    if not own:
        return [f"{fault.name}: no incident"]
    wrong = []
    serious = [each for each in own if each.worst.value == "serious"]
    if fault.severity == "serious" and len(serious) != 1:
        wrong.append(f"{fault.name}: {len(serious)} serious incidents")
    for each in own:
        kinds = set(told.get(each.id, ()))
        over = kinds & {"eased", "recovered"}  # eased: one circuit is back, and what is left waits for the morning
        if each.worst.value == "serious" and (not over or kinds - over != {"first"}):
            wrong.append(f"{fault.name}: {each.title_en} was told by {sorted(kinds)}, expected a first and its end")
        if each.worst.value != "serious" and kinds:
            wrong.append(
                f"{fault.name}: {each.title_en} was told by {sorted(kinds)}, expected the morning's digest only"
            )
    if fault.severity != "serious" and serious:
        wrong.append(f"{fault.name}: serious, {serious[0].title_en}")
    return wrong


def main() -> None:
    """Live through it, judge, print; exit status 1 where anything is not as expected."""
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--limit", type=int, default=0, help="Only so many of the faults.")
    given = parser.parse_args()
    give_back_memory()  # as `hinomi run` does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "config"
        started = time.monotonic()
        begun, memory = asyncio.run(run(folder, given.hours, given.limit))
        seconds = time.monotonic() - started
        state = load(folder).state_directory
        ended_ns = int((BEGUN.timestamp() + given.hours * 3600) * SECOND_NS)
        wrong = judge(state, begun, ended_ns)
        with closing(sqlite3.connect(state / "alerts.sqlite")) as connection:
            kinds = Counter(kind for (kind,) in connection.execute("SELECT kind FROM outbox"))
    print(f"{given.hours:g} hours in {seconds:.0f} s ({given.hours * 3600 / seconds:.0f} x), {len(begun)} faults")
    print("mails: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    print("resident memory by hour, MiB: " + " ".join(f"{each / 2**20:.0f}" for each in memory))
    for sentence in wrong:
        print(f"WRONG {sentence}")
    print("as expected" if not wrong else f"{len(wrong)} things are not as expected")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
