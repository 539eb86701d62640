"""The composition root: opens what outlives every configuration, builds the parts and runs them in one task group.

What is built here is built once and handed down; no module keeps state of its own. Tasks:
    rounds     polls, each a task of its own          echoes   ICMP, on its own schedule
    services   checks of services, each its own task
    beat       pipeline.tick once a second            outbox   mails, from disk
    paths      how far packets get, when asked
    daybook    forecasts and service levels, once an hour
    stores     one reader of the journal each         saver    the checkpoint, once a minute and at the end
    notified   notifications: durable, then acknowledged
    heartbeat  a sign of life to a receiver outside   disk     how much room is left, every ten minutes
    reloader   another configuration, when told by SIGHUP; `hinomi reload` comes by the control socket
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any, Final

from poller import __version__, checkpoint
from poller.alerts.outbox import run_outbox
from poller.alerts.store import Store as AlertStore
from poller.config import Configuration, ConfigurationError, Place, Problem, load
from poller.config.loading import MAIN
from poller.control import Control
from poller.daybook import entries, run_daybook
from poller.equipment import UNFIT, Equipment, equip
from poller.heartbeat import Heartbeat
from poller.log import tell
from poller.memory import release_free_memory
from poller.parts import Ground, Parts
from poller.pipeline import Pipeline
from poller.sample import FieldValue
from poller.selfwatch import SelfWatch, Watched
from poller.status import status
from poller.storage.errors import JournalUnavailable
from poller.storage.history import open_history
from poller.storage.journal import Journal
from poller.stores import Deliveries
from poller.systemd import Systemd
from poller.usepast import past_use
from poller.wall.past import past_of_lines
from probes.snmp import Snmp
from traps.receiver import inherited_sockets

_log: Final = logging.getLogger(__name__)
BEAT_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 60.0
LATE_SECONDS: Final = 30.0
"""A schedule further behind than this is not kept: the watchdog is no longer fed, and the heartbeat stops."""
STILL_SECONDS: Final = 10.0
"""The same of a beat that fails."""


class Daemon:
    """One daemon for one configuration directory; run() returns after stop() or a signal.

    of_terminal: it ends with the terminal that it was begun in, by SIGHUP; otherwise SIGHUP makes it reload.
    """

    _parts: Parts
    _watch: SelfWatch
    _deliveries: Deliveries
    _heartbeat: Heartbeat

    def __init__(
        self, configuration: Configuration, *, clock_ns: Callable[[], int] = time.time_ns, of_terminal: bool = False
    ) -> None:
        self._configuration = configuration
        self._clock_ns = clock_ns
        self._stopping = asyncio.Event()
        self._told_to_reload = asyncio.Event()
        self._hung_up = self.stop if of_terminal else self._told_to_reload.set
        self._reloading = asyncio.Lock()
        self._state = configuration.state_directory
        self._begun_ns = clock_ns()
        self._beaten = 0.0
        self._systemd = Systemd.of_environment()

    def stop(self) -> None:
        """End the run in good order: what was measured is durable before run() returns."""
        self._systemd.stopping()
        self._stopping.set()

    async def run(self, ready: Callable[[str], None]) -> None:
        """Watch until stopped; `ready` is called with the wall's address once everything runs.

        Raises one of equipment.UNFIT where the daemon cannot begin.
        """
        self._state.mkdir(parents=True, exist_ok=True)
        self._beaten = asyncio.get_running_loop().time()
        inherited = inherited_sockets()
        equipment = equip(self._configuration, receiving=bool(inherited))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hung_up)
        async with AsyncExitStack() as stack:
            journal = await stack.enter_async_context(
                Journal(self._state / "journal.sqlite", equipment.stores, equipment.journal_limits)
            )
            alerts = AlertStore(self._state / "alerts.sqlite")
            stack.callback(alerts.close)
            snmp = await stack.enter_async_context(Snmp(wall_clock_ns=self._clock_ns))
            saved = checkpoint.load(self._state / "checkpoint")
            self._parts = parts = Parts(equipment, Ground(journal, alerts, snmp, self._clock_ns), saved)
            stack.callback(parts.notified.close)
            parts.notified.begin(inherited, self._clock_ns)
            await self._remember(None if "tenants" in saved.get("pipeline", {}) else parts.pipeline)
            await stack.enter_async_context(parts.wall)
            async with asyncio.TaskGroup() as group:
                self._deliveries = Deliveries(journal, group)
                await self._deliveries.follow(equipment.stores, equipment.journal_limits)
                self._watch = SelfWatch(
                    parts.pipeline, Watched(journal, parts.rounds, parts.services, self._deliveries.states, alerts)
                )
                self._watch.also("snmp", lambda: _snmp_fields(snmp))
                self._watch.also("paths", lambda: {"drops_total": parts.paths.dropped})
                self._heartbeat = Heartbeat(equipment.estate.heartbeat, equipment.directory, self._ill, self._sign)
                self._watch.also("heartbeat", self._heartbeat.state.fields)
                tasks = self._begin(group)
                await stack.enter_async_context(
                    Control(self._configuration.directory, self._status, self._reload_by_control)
                )
                self._tell_watching("watching")
                ready(parts.wall.url)
                await self._stopping.wait()
                for task in tasks:
                    task.cancel()
                await self._deliveries.close()
            await parts.notified.finish(self._clock_ns)
            await journal.flush()
            self._save_now(parts.save())
            tell(_log, logging.INFO, "stopped")

    def _begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        parts = self._parts
        tasks = {
            "rounds": parts.rounds.run(),
            "looking": parts.looking.run(),
            "echoes": parts.echoes.run(),
            "services": parts.services.run(),
            "paths": parts.paths.run(),
            "beat": self._beat(),
            "saver": self._save(),
            "notified": parts.notified.run(self._clock_ns),
            "daybook": self._daybook(),
            "outbox": run_outbox(parts.outbox, self._clock_ns),
            "reloader": self._reload_when_told(),
            "heartbeat": self._heartbeat.run(),
            "disk": self._watch.look_at_disk(self._state),
        }
        return [group.create_task(task, name=name) for name, task in tasks.items()]

    def _tell_watching(self, event: str) -> None:
        devices = len(self._parts.equipment.targets)
        tell(_log, logging.INFO, event, devices=devices, wall=self._parts.wall.url)
        self._systemd.ready(f"watching {devices} devices")

    # Reload

    async def reload(self) -> Sequence[Problem]:
        """Follow the configuration as it is in its directory now; what is wrong with it, where the old one stays (R72).

        Nothing has changed where anything is returned. Series, incidents, mails and sockets of what did not change go
        on as if nothing had happened.
        """
        async with self._reloading:
            self._systemd.reloading()
            begun = time.monotonic()
            problems, equipment = await self._read_anew()
            if equipment is None:
                for problem in problems:
                    tell(_log, logging.ERROR, "reload_refused", problem=str(problem))
            else:
                self._parts.follow(equipment)
                self._heartbeat.follow(equipment.estate.heartbeat, equipment.directory)
                tell(_log, logging.INFO, "reloaded", seconds=time.monotonic() - begun)
            self._watch.see_configuration(problems, self._clock_ns())
            self._tell_watching("watching")
            return problems

    async def _read_anew(self) -> tuple[Sequence[Problem], Equipment | None]:
        """The new configuration with everything opened that it needs; None, with the problems, where it is wrong."""
        try:
            found = await asyncio.to_thread(load, self._configuration.directory)
            equipment = await asyncio.to_thread(equip, found, receiving=self._parts.notified.receives)
            fixed = _fixed(self._parts.equipment, equipment)
            if fixed:
                return fixed, None
            await self._parts.move(equipment)
            await self._deliveries.follow(equipment.stores, equipment.journal_limits)
        except ConfigurationError as error:
            return error.problems, None
        except (*UNFIT, JournalUnavailable) as error:
            return [Problem(Place(str(self._configuration.directory)), "", str(error))], None
        return [], equipment

    async def _reload_by_control(self) -> Mapping[str, Any]:
        begun = time.monotonic()
        problems = await self.reload()
        told = [{**asdict(each.place), "path": each.path, "text": each.text} for each in problems]
        return {"problems": told, "seconds": time.monotonic() - begun}

    async def _reload_when_told(self) -> None:
        while True:
            await self._told_to_reload.wait()
            self._told_to_reload.clear()
            await self.reload()

    def _status(self) -> Mapping[str, Any]:
        return status(self._parts, self._watch, self._begun_ns, self._clock_ns())

    def _ill(self) -> str | None:
        """Why nobody should believe that we watch; None while all is well."""
        behind = self._parts.rounds.late_seconds(self._clock_ns())
        if behind > LATE_SECONDS:
            return f"polls begin {behind:.0f} s late"
        still = asyncio.get_running_loop().time() - self._beaten
        return f"the last beat was {still:.0f} s ago" if still > STILL_SECONDS else None

    def _sign(self) -> Mapping[str, Any]:
        """What a heartbeat says."""
        now_ns = self._clock_ns()
        whole = self._parts.live.whole(now_ns)
        state = {word: whole[word] for word in ("word", "answering", "asked", "serious", "minor")}
        return {"node": socket.gethostname(), "version": __version__, "time_ns": now_ns, **state}

    # Time

    async def _remember(self, beginner: Pipeline | None) -> None:
        """Give the wall the last hours of its lines, so that a restart does not empty the picture.

        A pipeline that begins without a checkpoint learns what tenants have used: no month begins in its middle.
        """
        directory, estate = self._state / "store", self._configuration.estate
        if not directory.is_dir():
            return
        history = open_history(directory)
        past = await asyncio.to_thread(past_of_lines, history, list(estate.line_groups), self._clock_ns())
        for group, points in past.items():
            self._parts.live.remember(group, points)
        if beginner is not None:
            beginner.remember(await asyncio.to_thread(past_use, history, estate, self._clock_ns()))

    async def _beat(self) -> None:
        """Once a second; the time the loop did not turn shows as the beat's own lateness."""
        loop, parts = asyncio.get_running_loop(), self._parts
        expected = loop.time()
        while True:
            expected = max(expected + BEAT_SECONDS, loop.time())
            await asyncio.sleep(expected - loop.time())
            late = loop.time() - expected
            now_ns = self._clock_ns()
            try:
                for suspect in parts.pipeline.tick(now_ns):
                    parts.rounds.ask_now(suspect)
                for engine, who in parts.pipeline.take_accepted_engines():
                    parts.notified.accept_engine(engine, who)
                parts.notified.tick(now_ns)
                self._watch.beat(now_ns, late)
                self._beaten = loop.time()
                self._feed_watchdog()
            except Exception:  # noqa: BLE001 - told with its trace; the next second may be fine, silence never is
                _log.exception("tick_broken")

    def _feed_watchdog(self) -> None:
        """Tell systemd that we live, but only while polls begin when they are due: a daemon that does not is dead."""
        statistics, ill = self._parts.rounds.statistics, self._ill()
        if ill is None:
            self._systemd.alive(f"{statistics.started} polls begun, {statistics.failed} failed")
        else:
            tell(_log, logging.ERROR, "schedule_not_kept", reason=ill)

    async def _daybook(self) -> None:
        parts = self._parts
        await run_daybook(
            lambda now_ns: entries(parts.history, parts.equipment.estate, self._state, now_ns),
            lambda samples: parts.pipeline.publish(list(samples), self._clock_ns()),
            self._clock_ns,
        )

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await asyncio.to_thread(self._save_now, self._parts.save())
            except OSError as error:
                tell(_log, logging.ERROR, "checkpoint_failed", reason=str(error))

    def _save_now(self, parts: dict[str, Any]) -> None:
        checkpoint.save(self._state / "checkpoint", parts)
        parts.clear()
        release_free_memory()  # what was saved was the most of a minute


def _snmp_fields(snmp: Snmp) -> Mapping[str, FieldValue]:
    """What all sessions together count."""
    counted = snmp.statistics
    return {
        "done_total": counted.sent,
        "failed_total": counted.send_failed,
        "retries_total": counted.retries,
        "timeouts_total": counted.timeouts,
    }


def _fixed(now: Equipment, wanted: Equipment) -> list[Problem]:
    """Settings that only a restart can change, where the new configuration changes them."""
    found = []
    if wanted.state != now.state:
        text = f"cannot become {wanted.state} while running: stop, move the files, start"
        found.append(Problem(Place(MAIN), "storage.directory", text))
    if wanted.estate.notifications.engine_id != now.estate.notifications.engine_id:
        text = "devices know us by it: it changes with a restart only"
        found.append(Problem(Place(MAIN), "notifications.engine_id", text))
    return found
