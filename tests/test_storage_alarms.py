"""What storage does to alerts: nothing while it fails, except that its own failing is told."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.config import load
from poller.pipeline import Pipeline
from poller.readings import FailedPoll
from poller.rounds import Rounds
from poller.sample import Sample
from poller.schedule import Schedule
from poller.selfwatch import SelfWatch, Watched
from poller.services import Services
from poller.storage.delivery import DeliverySettings, DeliveryState, run_reader
from poller.storage.errors import JournalUnavailable
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal, JournalLimits
from poller.wall.live import LiveState

SECOND = 10**9
MINUTE = 60 * SECOND
START = 29_920_680 * MINUTE
"""A Monday, 10:00 in Japan."""
CONFIGURATION = """\
organisation: {name: {ja: 試験網, en: Test network}}
storage: {directory: state}
mail: {sender: hinomi@example.jp}
contacts: {shift: {role: operator, email: shift@example.jp}}
sites: {dc: {}}
devices:
  fw-1: {addresses: [192.0.2.1], role: firewall, site: dc}
  sw-1: {addresses: [192.0.2.2], role: switch, site: dc}
rules:
  down: {name: 応答なし, on: device.up, equals: false, clear_for: 2m, severity: serious}
  self-busy: {name: 負荷, on: daemon.busy_ratio, above: 9, severity: notice}
"""
"""The load is measured against the real clock, and on simulated time there is no rest: nothing is to be told of it."""
LIMITS = JournalLimits(keep_free_octets=0, commit_seconds=0.02)


class _Nobody:
    """An asker that is never asked."""

    async def ask(self, device: str, due_ns: int, deadline_seconds: float) -> FailedPoll:
        raise AssertionError((device, due_ns, deadline_seconds))


@dataclass
class _Daemon:
    """The parts that alerts go through, on simulated time, over a real journal."""

    journal: Journal
    pipeline: Pipeline
    watch: SelfWatch
    alerting: Alerting
    store: Store
    deliveries: dict[str, DeliveryState]
    now_ns: int = START

    def run(self, minutes: int, say: Callable[[int], list[Sample]] = lambda _now: []) -> None:
        for _ in range(minutes):
            self.now_ns += MINUTE
            self.pipeline.publish(say(self.now_ns), self.now_ns)
            self.pipeline.tick(self.now_ns)
            self.watch.beat(self.now_ns, 0.0)

    def mails(self) -> list[tuple[int, str, str]]:
        """(minute, recipient, subject) of every mail that left or will."""
        rows = self.store.call(
            lambda db: db.execute("SELECT created_ns, recipient, message FROM outbox ORDER BY id").fetchall()
        ).result()
        return [
            ((created - START) // MINUTE, to, message_from_bytes(message, policy=default)["Subject"])
            for created, to, message in rows
        ]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[Journal], _Daemon]]:
    stores: list[Store] = []

    def build(journal: Journal) -> _Daemon:
        (tmp_path / "hinomi.yaml").write_text(CONFIGURATION, encoding="utf-8")
        estate = load(tmp_path).estate
        store = Store(tmp_path / f"alerts-{len(stores)}.sqlite")
        stores.append(store)
        alerting = Alerting(estate, store)
        pipeline = Pipeline(estate, journal.append, alerting, LiveState(estate))
        deliveries = {"influx": DeliveryState()}
        rounds = Rounds(Schedule(), _Nobody(), lambda _answer: None)
        services = Services(estate, tmp_path, lambda _samples: None)
        watched = Watched(journal, rounds, services, deliveries, store)
        # every look a minute later: else it would be told that the test leaves no moment idle
        watch = SelfWatch(pipeline, watched)
        daemon = _Daemon(journal, pipeline, watch, alerting, store, deliveries)
        daemon.watch.beat(START, 0.0)
        return daemon

    yield build
    for store in stores:
        store.close()


def _outages(now_ns: int) -> list[Sample]:
    """Two devices once a minute; one is silent in the 10th hour, the other in the 40th and 41st."""
    hour = (now_ns - START) // (60 * MINUTE)
    silent = {"fw-1": hour == 10, "sw-1": hour in {40, 41}}
    return [_device(device, now_ns, up=not down) for device, down in silent.items()]


def _device(device: str, now_ns: int, *, up: bool) -> Sample:
    tags = (("device", device), ("role", "router"), ("site", "dc"))
    return Sample("device", tags, {"up": up, "quality": "observed" if up else "failed"}, now_ns)


async def test_72_hours_without_influxdb_change_no_alert_and_no_mail(
    tmp_path: Path, begin: Callable[[Journal], _Daemon], unused_tcp_port: int
) -> None:
    """The same mails at the same moments as without any database (R70)."""
    told: dict[bool, list[tuple[int, str, str]]] = {}
    for dead in (False, True):
        async with Journal(tmp_path / f"{dead}" / "journal.sqlite", ["influx"] if dead else [], LIMITS) as journal:
            daemon = begin(journal)
            tasks = []
            if dead:
                sink = open_influx(InfluxSettings(f"http://127.0.0.1:{unused_tcp_port}", kind="1"), tmp_path)
                settings = DeliverySettings(max_seconds=0.01, first_retry_seconds=0.01)
                reading = run_reader(journal.reader("influx"), sink, settings, daemon.deliveries["influx"])
                tasks.append(asyncio.create_task(reading))
            for _ in range(72):
                daemon.run(60, _outages)
                await journal.flush()
            for task in tasks:
                task.cancel()
                await sink.close()
        told[dead] = [mail for mail in daemon.mails() if "応答なし" in mail[2]]
        undelivered = [incident.title_ja for incident in daemon.alerting.open_incidents()]
        assert ["保存先が測定値を受け付けない（influx）"] * dead == undelivered
    assert told[False] == told[True]
    assert {10, 11, 40, 42} <= {minute // 60 for minute, _, _ in told[True]}


async def test_a_full_disk_is_told_by_mail_and_so_is_its_end(
    tmp_path: Path, begin: Callable[[Journal], _Daemon], small_disk: Path
) -> None:
    """Alerting goes on, a mail says why nothing can be kept, and what waited is durable afterwards (R69)."""
    async with Journal(small_disk / "journal.sqlite", ["parquet"], LIMITS) as journal:
        daemon = begin(journal)
        daemon.run(2)
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 65_536))
        while journal.state.last_error is None:
            journal.append([Sample("device", (("device", "fw-1"),), {"sessions": n}, n) for n in range(5_000)])
            with contextlib.suppress(JournalUnavailable):
                await journal.flush()
        daemon.run(2)
        waiting = journal.state.waiting_samples
        told = [subject for _, _, subject in daemon.mails()]
        daemon.run(5, lambda now_ns: [_device("fw-1", now_ns, up=False)])
        fault = [subject for _, _, subject in daemon.mails()[len(told) :]]
        ballast.unlink()
        await journal.flush()
        daemon.run(3, lambda now_ns: [_device("fw-1", now_ns, up=False)])
        recovered = [subject for _, _, subject in daemon.mails()]
        assert (None, 0) == (journal.state.last_error, journal.state.drops_total)
    assert waiting >= 5_000
    assert any("ディスク満杯" in subject and "重大" in subject for subject in told)
    assert any("fw-1" in subject for subject in fault)
    assert any("ディスク満杯" in subject and "復旧" in subject for subject in recovered)


async def test_what_is_lost_is_told_by_mail(tmp_path: Path, begin: Callable[[Journal], _Daemon]) -> None:
    """Drops are the last resort, counted and alarmed (R69)."""
    limits = JournalLimits(keep_free_octets=0, max_waiting_samples=10, commit_seconds=3600)
    async with Journal(tmp_path / "journal.sqlite", ["parquet"], limits) as journal:
        daemon = begin(journal)
        daemon.run(2)
        quiet = daemon.mails()
        journal.append([Sample("device", (("device", "fw-1"),), {"sessions": 1}, START)] * 11)
        daemon.run(2)
        assert 11 <= journal.state.drops_total
    assert [] == quiet
    assert any("取りこぼし" in subject for _, _, subject in daemon.mails())


async def test_a_store_that_takes_nothing_is_told_after_ten_minutes_by_its_name(
    tmp_path: Path, begin: Callable[[Journal], _Daemon]
) -> None:
    """Minor: it waits on disk and arrives later, so nobody is woken for it."""
    async with Journal(tmp_path / "journal.sqlite", ["influx"], LIMITS) as journal:
        daemon = begin(journal)
        daemon.deliveries["influx"].last_error = "unreachable: nobody listens"
        daemon.run(9)
        early = daemon.alerting.open_incidents()
        daemon.run(3)
        late = [(incident.title_ja, incident.severity.value) for incident in daemon.alerting.open_incidents()]
    assert [] == early
    assert [("保存先が測定値を受け付けない（influx）", "minor")] == late
