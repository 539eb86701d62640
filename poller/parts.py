"""The parts of a daemon, built from one configuration and able to follow another (R72).

A restart and a reload are one way: what a part learned is kept by what it is about - device, series, account, alert -
and what a configuration says is put around it. follow() happens between two ticks of the loop; whatever can fail for
reasons outside (secrets, sockets, disk) has been done before it, in poller.equipment and in Parts.move.

    alerting, live, pipeline      rules, incidents, slots, circuits, tenants
    asking, rounds, looking       who is asked by SNMP, and when; polls under way of unchanged devices end as they began
    echoes, services, paths       the other probes
    notified                      notifications
    outbox, login, people         mails, and the wall's door
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from poller.alerts.engine import Alerting
from poller.alerts.outbox import Outbox
from poller.alerts.pictured import Pictures
from poller.alerts.records import AuditEntry, append_audit
from poller.alerts.store import Store as AlertStore
from poller.asking import Asking
from poller.echoes import EchoWatch
from poller.equipment import Equipment
from poller.log import tell
from poller.looking import Looking
from poller.notified import Notified, flood_limits
from poller.paths import PathFinder
from poller.pipeline import Pipeline
from poller.profiles import load_profiles
from poller.rounds import Answer, Rounds
from poller.schedule import start_schedule
from poller.services import Services
from poller.storage.history import open_history
from poller.storage.journal import Journal
from poller.trap_sources import start_engine
from poller.wall.live import LiveState
from poller.wall.login import Login
from poller.wall.people import People
from poller.wall.server import WallServer
from poller.wall.users import session_key
from probes.path import Path as TracedPath
from probes.snmp import Snmp
from traps.flood import Flood
from traps.intake import Intake
from traps.security import Security

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ground:
    """What stands under every configuration."""

    journal: Journal
    alerts: AlertStore
    snmp: Snmp
    clock_ns: Callable[[], int] = time.time_ns


class Parts:
    """Everything that lives from the start to the end of a daemon; tasks are begun by whoever built it.

    saved: the checkpoint's parts, empty on a first start. Raises OSError.
    """

    def __init__(self, equipment: Equipment, ground: Ground, saved: Mapping[str, Any]) -> None:
        estate, state = equipment.estate, equipment.state
        journal, alerts, snmp, clock_ns = ground.journal, ground.alerts, ground.snmp, ground.clock_ns
        self.equipment = equipment
        self._clock_ns = clock_ns
        self.journal = journal
        self.history = open_history(state / "store")
        self.live = LiveState(estate)
        self.alerting = Alerting(estate, alerts, alarms_with_end=equipment.alarms_with_end)
        self.alerting.illustrate(Pictures(estate, self.history))
        self.pipeline = Pipeline(estate, journal.append, self.alerting, self.live)
        interval = estate.polling.interval
        self.asking = Asking(
            snmp, load_profiles(), equipment.targets, interval_seconds=interval, clock_ns=self._clock_ns
        )
        self.notified = self._notified()
        self.pipeline.restore(saved.get("pipeline", {}))
        self.asking.restore(saved.get("discoveries", {}))
        self.notified.restore(saved.get("notifications", {}), clock_ns())
        schedule = start_schedule(equipment.intervals, clock_ns(), first_start=not saved)
        self.rounds = Rounds(schedule, self.asking, self._accept, clock_ns=clock_ns, stopped=self.alerting.stopped)
        self.looking = Looking(
            self.asking,
            lambda device, interface, status: self.pipeline.see_interface(device, interface, status, clock_ns()),
            self.rounds.ask_now,
            lambda device: self.alerting.stopped(device, clock_ns()),
        )
        self.notified.look = self.looking.look
        self.echoes = EchoWatch(estate, self.pipeline, clock_ns, self.rounds.ask_now, self.alerting.resting)
        self.services = Services(
            estate,
            equipment.directory,
            lambda samples: self.pipeline.publish(samples, clock_ns()),
            clock_ns,
            self.alerting.resting,
        )
        self.services.restore(saved.get("services", {}), clock_ns())
        self.paths = PathFinder(estate, self.pipeline.take_lost, self._found)
        self.outbox = Outbox(alerts, equipment.mail, equipment.directory, ways=equipment.ways)
        self.login = self._login(alerts)
        self.people = People(self.alerting, estate, state, clock_ns=clock_ns, identify=self.login.who)
        listen, port = str(estate.wall.listen), estate.wall.port
        self.wall = WallServer(self.live, listen, port, history=self.history, notified=self.notified, clock_ns=clock_ns)
        self.wall.serve_behind(self.login, equipment.tls)
        self.wall.serve_also(self.people.routes())

    def save(self) -> dict[str, Any]:
        """What must survive a restart, as plain values."""
        return {
            "pipeline": self.pipeline.save(),
            "discoveries": self.asking.save(),
            "notifications": self.notified.save(self._clock_ns()),
            "services": self.services.save(self._clock_ns()),
        }

    async def move(self, wanted: Equipment) -> None:
        """Listen where another configuration says, and deliver to its stores; only what changed is opened anew.

        Raises OSError or JournalUnavailable: then everything is as it was.
        """
        async with AsyncExitStack() as undo:
            wall, place = wanted.estate.wall, None
            if wanted.tls is not None or _wall_place(wanted) != _wall_place(self.equipment):
                place = await self.wall.open(str(wall.listen), wall.port, wanted.tls)
                undo.push_async_callback(place.site.stop)
            sockets = self.notified.open(wanted.estate.notifications)
            for opened in sockets or ():
                undo.callback(opened.close)
            await self.journal.flush()
            undo.pop_all()
        if place is not None:
            await self.wall.settle(place)
        if sockets is not None:
            self.notified.listen(sockets, self._clock_ns)

    def follow(self, equipment: Equipment) -> None:
        """Go on by another configuration; call it after move()."""
        estate, directory = equipment.estate, equipment.directory
        self.equipment = equipment
        self.alerting.follow(estate, equipment.alarms_with_end)
        self.alerting.illustrate(Pictures(estate, self.history))
        self.live.follow(estate)
        self.pipeline.follow(estate, self._clock_ns())
        changed = self.asking.follow(equipment.targets, estate.polling.interval)
        self.rounds.follow(equipment.intervals, changed)
        self.echoes.follow(estate)
        self.services.follow(estate, directory)
        self.paths.follow(estate)
        self.notified.follow(estate, equipment.sources, equipment.catalogue)
        self.outbox.follow(equipment.mail, directory, equipment.ways)
        self.login.follow(estate.wall, equipment.users)
        self.people.follow(estate)

    def _accept(self, answer: Answer) -> None:
        self.pipeline.accept(answer, self._clock_ns())

    def _found(self, subject: str, path: TracedPath) -> None:
        self.pipeline.see_path(subject, path, self._clock_ns())

    def _notified(self) -> Notified:
        """What receives notifications, by the sockets of systemd or by one of our own where the settings say so."""
        equipment = self.equipment
        settings = equipment.estate.notifications
        engine_id, boots = start_engine(equipment.state / "engine.json", settings.engine_id)
        security = Security(engine_id, boots, self._clock_ns() / 1e9)
        intake = Intake(equipment.sources, equipment.catalogue, security, Flood(flood_limits(settings)))
        return Notified(equipment.estate, intake, self.pipeline, self.journal, self.asking)

    def _login(self, alerts: AlertStore) -> Login:
        """The wall's door; who comes and goes is kept in the audit log."""

        def audit(entry: AuditEntry) -> None:
            alerts.call(lambda connection: append_audit(connection, entry)).add_done_callback(tell_failure)

        def tell_failure(done: Future[int]) -> None:
            if done.exception() is not None:
                tell(_log, logging.ERROR, "login_not_kept", reason=str(done.exception()))

        key = session_key(self.equipment.state)
        return Login(self.equipment.estate.wall, self.equipment.users, key, audit, clock_ns=self._clock_ns)


def _wall_place(equipment: Equipment) -> object:
    """What the wall's socket hangs on."""
    wall = equipment.estate.wall
    return wall.listen, wall.port, wall.certificate, wall.key
