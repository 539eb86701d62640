"""The composition root: builds every part of the daemon and runs them in one task group.

What is built here is built once and handed down; no module keeps state of its own. Tasks:
    rounds     polls, each a task of its own          echoes   ICMP, on its own schedule
    services   checks of services, each its own task
    beat       pipeline.tick once a second            outbox   mails, from disk
    paths      how far packets get, when asked
    daybook    forecasts and service levels, once an hour
    stores     one reader of the journal each         saver    the checkpoint, once a minute and at the end
    notified   notifications: durable, then acknowledged
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from poller import checkpoint
from poller.alerts.engine import Alerting
from poller.alerts.outbox import Outbox, run_outbox
from poller.alerts.pictured import Pictures
from poller.alerts.records import AuditEntry, append_audit
from poller.alerts.store import Store as AlertStore
from poller.alerts.ways import ways_of
from poller.asking import Asking
from poller.config import Configuration
from poller.daybook import entries, run_daybook
from poller.echoes import run_echoes
from poller.estate import Device, Estate
from poller.log import tell
from poller.looking import Looking
from poller.notified import Notified
from poller.paths import PathFinder
from poller.pipeline import Pipeline
from poller.profiles import load_profiles
from poller.rounds import Answer, Rounds
from poller.schedule import start_schedule
from poller.secrets import SecretUnavailable
from poller.selfwatch import SelfWatch
from poller.services import Services
from poller.storage.delivery import DeliveryState, run_reader
from poller.storage.history import History, open_history
from poller.storage.journal import Journal, JournalLimits
from poller.stores import open_stores, store_names
from poller.systemd import Systemd
from poller.targets import snmp_target
from poller.trap_sources import load_installed_catalogue, start_engine, trap_sources
from poller.usepast import past_use
from poller.wall.live import LiveState
from poller.wall.login import Login
from poller.wall.past import past_of_lines
from poller.wall.people import People
from poller.wall.server import WallServer
from poller.wall.users import known_users, session_key, tls_context
from probes.path import Path as TracedPath
from probes.snmp import Snmp, SnmpTarget
from traps.catalogue import Catalogue
from traps.flood import Flood, Limits
from traps.intake import Intake
from traps.receiver import inherited_sockets, open_socket
from traps.security import Security
from traps.sources import Sources

_log: Final = logging.getLogger(__name__)
BEAT_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 60.0
LATE_SECONDS: Final = 30.0
"""A schedule further behind than this is not kept: the watchdog is no longer fed."""


class Daemon:
    """One daemon for one configuration; run() returns after stop() or a signal."""

    def __init__(self, configuration: Configuration, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._configuration = configuration
        self._estate: Estate = configuration.estate
        self._clock_ns = clock_ns
        self._stopping = asyncio.Event()
        self._state = configuration.state_directory
        self._systemd = Systemd.of_environment()

    def stop(self) -> None:
        """End the run in good order: what was measured is durable before run() returns."""
        self._systemd.stopping()
        self._stopping.set()

    async def run(self, ready: Callable[[str], None]) -> None:
        """Watch until stopped; `ready` is called with the wall's address once everything runs.

        Raises SecretUnavailable or OSError where the daemon cannot begin.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        targets = self._targets()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        async with AsyncExitStack() as stack:
            journal = await stack.enter_async_context(
                Journal(self._state / "journal.sqlite", store_names(self._configuration), self._limits())
            )
            alerts = AlertStore(self._state / "alerts.sqlite")
            stack.callback(alerts.close)
            live = LiveState(self._estate)
            catalogue = load_installed_catalogue(self._configuration)
            alerting = Alerting(self._estate, alerts, alarms_with_end={one.alarm for one in catalogue if one.has_end})
            pipeline = Pipeline(self._estate, journal.append, alerting, live)
            snmp = await stack.enter_async_context(Snmp(wall_clock_ns=self._clock_ns))
            interval = self._estate.polling.interval
            asking = Asking(snmp, load_profiles(), targets, interval_seconds=interval, clock_ns=self._clock_ns)
            saved = checkpoint.load(self._state / "checkpoint")
            pipeline.restore(saved.get("pipeline", {}))
            asking.restore(saved.get("discoveries", {}))
            notified = self._notified(catalogue, pipeline, journal, asking)
            stack.callback(notified.close)
            notified.restore(saved.get("notifications", {}), self._clock_ns())
            await self._remember(live, None if "tenants" in saved.get("pipeline", {}) else pipeline)
            rounds = self._rounds(asking, pipeline, alerting, first_start=not saved)
            looking = self._looking(asking, pipeline, alerting, rounds)
            notified.look = looking.look
            stores = await stack.enter_async_context(open_stores(self._configuration))
            deliveries = {name: DeliveryState() for name in stores}
            watch = SelfWatch(pipeline, journal, rounds, deliveries, alerts)
            paths = PathFinder(self._estate, pipeline.take_lost, self._found(pipeline))
            listen, port = str(self._estate.wall.listen), self._estate.wall.port
            history = open_history(self._state / "store")
            alerting.illustrate(Pictures(self._estate, history))
            wall = WallServer(live, listen, port, history=history, notified=notified, clock_ns=self._clock_ns)
            login = self._login(alerts)
            wall.serve_behind(login, tls_context(self._estate.wall, self._configuration.directory))
            people = People(alerting, self._estate, self._state, clock_ns=self._clock_ns, identify=login.who)
            wall.serve_also(people.routes())
            await stack.enter_async_context(wall)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(rounds.run(), name="rounds"),
                    group.create_task(looking.run(), name="looking"),
                    group.create_task(
                        run_echoes(self._estate, pipeline, self._clock_ns, rounds.ask_now), name="echoes"
                    ),
                    group.create_task(self._services(pipeline).run(), name="services"),
                    group.create_task(paths.run(), name="paths"),
                    group.create_task(self._beat(pipeline, watch, rounds, notified), name="beat"),
                    group.create_task(self._save(pipeline, asking, notified), name="saver"),
                    group.create_task(notified.run(self._clock_ns), name="notified"),
                    group.create_task(self._daybook(pipeline, history), name="daybook"),
                    group.create_task(run_outbox(self._outbox(alerts), self._clock_ns), name="outbox"),
                    *(
                        group.create_task(run_reader(journal.reader(name), store, state=deliveries[name]), name=name)
                        for name, store in stores.items()
                    ),
                ]
                tell(_log, logging.INFO, "watching", devices=len(targets), wall=wall.url)
                ready(wall.url)
                self._systemd.ready(f"watching {len(targets)} devices")
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
            await notified.finish(self._clock_ns)
            await journal.flush()
            self._save_now(pipeline.save(), asking.save(), notified.save(self._clock_ns()))
            tell(_log, logging.INFO, "stopped")

    def _found(self, pipeline: Pipeline) -> Callable[[str, TracedPath], None]:
        return lambda subject, path: pipeline.see_path(subject, path, self._clock_ns())

    def _targets(self) -> Mapping[str, tuple[Device, SnmpTarget]]:
        """Whom to ask by SNMP, with credentials read; a secret that is not there is told with its device."""
        targets = {}
        for key, device in self._estate.devices.items():
            if device.credentials is None:
                continue
            credentials = self._estate.credentials[device.credentials]
            try:
                target = snmp_target(device, credentials, self._estate.polling, self._configuration.directory)
            except SecretUnavailable as error:
                raise SecretUnavailable(f"credentials.{credentials.id}, needed for {key}: {error}") from None
            targets[key] = (device, target)
        return targets

    def _notified(self, catalogue: Catalogue, pipeline: Pipeline, journal: Journal, asking: Asking) -> Notified:
        """What receives notifications: by the sockets of systemd, else by one of our own where the settings say so."""
        settings = self._estate.notifications
        engine_id, boots = start_engine(self._state / "engine.json", settings.engine_id)
        security = Security(engine_id, boots, self._clock_ns() / 1e9)
        limits = Limits(settings.per_second, settings.storm_per_second, settings.sum_within, settings.storm_calm)
        sockets = inherited_sockets()
        sources = Sources()
        if not sockets and settings.listen is not None:
            sockets = [open_socket(str(settings.listen), settings.port)]
        if sockets:
            sources = trap_sources(self._configuration)
        notified = Notified(
            self._estate, Intake(sources, catalogue, security, Flood(limits)), pipeline, journal, asking
        )
        notified.listen(sockets, self._clock_ns)
        return notified

    def _login(self, alerts: AlertStore) -> Login:
        """The wall's door; who comes and goes is kept in the audit log."""
        users = known_users(self._estate, self._configuration.directory)

        def audit(entry: AuditEntry) -> None:
            alerts.call(lambda connection: append_audit(connection, entry)).add_done_callback(tell_failure)

        def tell_failure(done: Future[int]) -> None:
            if done.exception() is not None:
                tell(_log, logging.ERROR, "login_not_kept", reason=str(done.exception()))

        return Login(self._estate.wall, users, session_key(self._state), audit, clock_ns=self._clock_ns)

    def _limits(self) -> JournalLimits:
        storage = self._estate.storage
        return JournalLimits(max_octets=storage.journal_bytes, max_age_seconds=storage.journal_days * 86400.0)

    def _outbox(self, alerts: AlertStore) -> Outbox:
        directory = self._configuration.directory
        return Outbox(alerts, self._mail(), directory, ways=ways_of(self._estate, directory))

    def _mail(self) -> Any:  # noqa: ANN401 - the settings with the maildir made absolute
        mail = self._estate.mail
        if mail.maildir is None:
            return mail
        return mail.model_copy(update={"maildir": str(self._state / mail.maildir)})

    def _rounds(self, asking: Asking, pipeline: Pipeline, alerting: Alerting, *, first_start: bool) -> Rounds:
        """Every device that is asked by SNMP, in its rhythm."""
        default = self._estate.polling.interval
        asked = {key: each for key, each in self._estate.devices.items() if each.credentials is not None}
        intervals = {key: each.interval or default for key, each in asked.items()}
        schedule = start_schedule(intervals, self._clock_ns(), first_start=first_start)

        def accept(answer: Answer) -> None:
            pipeline.accept(answer, self._clock_ns())

        return Rounds(schedule, asking, accept, clock_ns=self._clock_ns, stopped=alerting.stopped)

    def _looking(self, asking: Asking, pipeline: Pipeline, alerting: Alerting, rounds: Rounds) -> Looking:
        """Single interfaces, when notifications speak of them."""
        return Looking(
            asking,
            lambda device, interface, status: pipeline.see_interface(device, interface, status, self._clock_ns()),
            rounds.ask_now,
            lambda device: alerting.stopped(device, self._clock_ns()),
        )

    def _services(self, pipeline: Pipeline) -> Services:
        return Services(
            self._estate,
            self._configuration.directory,
            lambda samples: pipeline.publish(samples, self._clock_ns()),
            self._clock_ns,
        )

    async def _remember(self, live: LiveState, beginner: Pipeline | None) -> None:
        """Give the wall the last hours of its lines, so that a restart does not empty the picture.

        A pipeline that begins without a checkpoint learns what tenants have used: no month begins in its middle.
        """
        directory = self._state / "store"
        if not directory.is_dir():
            return
        history = open_history(directory)
        past = await asyncio.to_thread(past_of_lines, history, list(self._estate.line_groups), self._clock_ns())
        for group, points in past.items():
            live.remember(group, points)
        if beginner is not None:
            beginner.remember(await asyncio.to_thread(past_use, history, self._estate, self._clock_ns()))

    async def _beat(self, pipeline: Pipeline, watch: SelfWatch, rounds: Rounds, notified: Notified) -> None:
        """Once a second; the time the loop did not turn shows as the beat's own lateness."""
        loop = asyncio.get_running_loop()
        expected = loop.time()
        while True:
            expected = max(expected + BEAT_SECONDS, loop.time())
            await asyncio.sleep(expected - loop.time())
            late = loop.time() - expected
            now_ns = self._clock_ns()
            try:
                for suspect in pipeline.tick(now_ns):
                    rounds.ask_now(suspect)
                for engine, who in pipeline.take_accepted_engines():
                    notified.accept_engine(engine, who)
                notified.tick(now_ns)
                watch.beat(now_ns, late)
                self._feed_watchdog(rounds, now_ns)
            except Exception:  # noqa: BLE001 - told with its trace; the next second may be fine, silence never is
                _log.exception("tick_broken")

    def _feed_watchdog(self, rounds: Rounds, now_ns: int) -> None:
        """Tell systemd that we live, but only while polls begin when they are due: a daemon that does not is dead."""
        behind = rounds.late_seconds(now_ns)
        if behind <= LATE_SECONDS:
            self._systemd.alive(f"{rounds.statistics.started} polls begun, {rounds.statistics.failed} failed")
        else:
            tell(_log, logging.ERROR, "schedule_not_kept", late_seconds=behind)

    async def _daybook(self, pipeline: Pipeline, history: History) -> None:
        await run_daybook(
            lambda now_ns: entries(history, self._estate, self._state, now_ns),
            lambda samples: pipeline.publish(list(samples), self._clock_ns()),
            self._clock_ns,
        )

    async def _save(self, pipeline: Pipeline, asking: Asking, notified: Notified) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                parts = pipeline.save(), asking.save(), notified.save(self._clock_ns())
                await asyncio.to_thread(self._save_now, *parts)
            except OSError as error:
                tell(_log, logging.ERROR, "checkpoint_failed", reason=str(error))

    def _save_now(self, pipeline: dict[str, Any], discoveries: dict[str, bytes], notifications: dict[str, Any]) -> None:
        parts = {"pipeline": pipeline, "discoveries": discoveries, "notifications": notifications}
        checkpoint.save(Path(self._state / "checkpoint"), parts)
