"""Services for the daemon: each checked at its own second of its interval, doubts repeated, samples handed on.

    schedule -> ask_service -> service_states.advance -> service_sample -> publish

Checks of one service never overlap; one that is slow delays no other.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from poller.alerts.subjects import Subject
from poller.estate import Calendar, Estate
from poller.log import tell
from poller.questions import ask_service, not_asked, question_of
from poller.rounds import nap
from poller.sample import Sample
from poller.schedule import SECOND_NS, Due, Schedule
from poller.service import Service
from poller.service_samples import service_sample, suppressed_sample
from poller.service_states import Check, Decision, Reason, Standing, Told, advance, repeat_ns
from probes.result import ProbeResult, ServiceState

_log: Final = logging.getLogger(__name__)
"""The wall clock may jump while we sleep: look at it at least this often."""
_KNOWN_FOR_NS: Final = 3600 * SECOND_NS
"""What stood longer ago than this when we were stopped is known no more."""
Publish = Callable[[Sequence[Sample]], None]


@dataclass(slots=True)
class ServicesStatistics:
    """Counted since the start, except lag and duration, which take() resets.

    checked: checks that ended, repeats included; unknown: those of them that we could not make, for a reason of ours.
    missed: due times that passed unasked, because the check before was still under way or the clock jumped.
    lag_seconds: the largest delay between due and begun; seconds: what the checks took, all together.
    """

    checked: int = 0
    unknown: int = 0
    missed: int = 0
    lag_seconds: float = 0.0
    seconds: float = 0.0

    def take(self) -> "ServicesStatistics":
        """A copy; lag and duration begin anew."""
        copy = replace(self)
        self.lag_seconds = self.seconds = 0.0
        return copy


class Services:
    """Checks every service of an estate until cancelled; publish gets the samples in the order of each one's time.

    directory: the configuration's, for the files it names. resting says why a service must not be asked at a moment
    (the id of a maintenance window), or None.
    """

    def __init__(
        self,
        estate: Estate,
        directory: Path,
        publish: Publish,
        clock_ns: Callable[[], int] = time.time_ns,
        resting: Callable[[Subject, int], str | None] = lambda _subject, _now_ns: None,
    ) -> None:
        self._resting = resting
        self._publish = publish
        self._clock_ns = clock_ns
        self._schedule = Schedule()
        self._standings: dict[str, Standing] = {}
        self._running: set[str] = set()
        self.statistics = ServicesStatistics()
        self._changed = asyncio.Event()
        self._estate = estate
        self.follow(estate, directory)

    def follow(self, estate: Estate, directory: Path) -> None:
        """Check these services and no others; who stays keeps its standing, and who stays as it was its times too.

        What a check finds that began before its service was changed is not used.
        """
        before, self._estate = self._estate, estate
        self._directory = directory
        self._zone = ZoneInfo(estate.organisation.timezone)
        self._standings = {key: self._standings.get(key, Standing()) for key in estate.services}
        changed = [key for key, service in estate.services.items() if before.services.get(key, service) != service]
        intervals = {key: service.interval for key, service in estate.services.items()}
        self._schedule.follow(intervals, self._clock_ns(), changed, new=False)
        self.wake()

    async def run(self) -> None:
        """Check on schedule, the first time within a few seconds."""
        latest_ns = 0
        async with asyncio.TaskGroup() as group:
            while True:
                now_ns = self._clock_ns()
                if now_ns < latest_ns - SECOND_NS:
                    self._schedule.clock_went_back(now_ns)
                latest_ns = now_ns
                for due in self._schedule.due(now_ns):
                    if self._resting(Subject("service", due.device), now_ns) is not None:
                        self._rest(due)
                    else:
                        self._begin(due, now_ns, group)
                await nap(self._schedule.wake_ns(), self._clock_ns(), self._changed)

    def save(self, now_ns: int) -> dict[str, Any]:
        """What stands, as plain values, so that a restart neither forgets an outage nor tells its end at one answer.

        Doubts are not among it: after a restart they begin anew.
        """
        standing = {
            key: [_asked(self._estate.services[key]), each.up]
            for key, each in self._standings.items()
            if each.up is not None
        }
        return {"saved_ns": now_ns, "standing": standing}

    def restore(self, saved: Mapping[str, Any], now_ns: int) -> None:
        """Go on from what save() gave, for services that are asked the same as then; call it before run()."""
        if not 0 <= now_ns - saved.get("saved_ns", 0) <= _KNOWN_FOR_NS:
            return
        for key, (asked, up) in saved["standing"].items():
            if key in self._standings and asked == _asked(self._estate.services[key]):
                self._standings[key] = Standing(up)

    @property
    def checking(self) -> frozenset[str]:
        """The services that are being asked at this moment."""
        return frozenset(self._running)

    def wake(self) -> None:
        """Look at the clock and the schedule again."""
        self._changed.set()

    def _begin(self, due: Due, now_ns: int, group: asyncio.TaskGroup) -> None:
        self.statistics.missed += due.missed
        if due.device in self._running:  # the check that is under way answers for this moment too
            self.statistics.missed += 1
            return
        self.statistics.lag_seconds = max(self.statistics.lag_seconds, (now_ns - due.due_ns) / SECOND_NS)
        self._running.add(due.device)
        group.create_task(self._check(due), name=f"service {due.device}")

    def _rest(self, due: Due) -> None:
        """Nobody is asked during works; what was in doubt stays undecided, and history says suppressed (R55)."""
        service, standing = self._estate.services[due.device], self._standings[due.device]
        self._standings[service.id] = Standing(standing.up)
        samples = [self._sample(service, Told(each, None)) for each in standing.doubts]
        self._publish([*samples, suppressed_sample(service, due.due_ns, self._calendar(service), self._zone)])

    def _calendar(self, service: Service) -> Calendar | None:
        return None if service.calendar is None else self._estate.calendars[service.calendar]

    def _sample(self, service: Service, told: Told) -> Sample:
        return service_sample(service, told, self._calendar(service), self._zone)

    async def _check(self, due: Due) -> None:
        service = self._estate.services.get(due.device)
        begun = asyncio.get_running_loop().time()
        try:
            result = await self._probe(service) if service is not None else None
        finally:
            self._running.discard(due.device)
        if service is None or result is None or self._estate.services.get(service.id) != service:
            self._schedule.ask_now(due.device, self._clock_ns())  # where it is still there, but is another now
            return
        self.statistics.checked += 1
        self.statistics.unknown += result.state is ServiceState.UNKNOWN
        self.statistics.seconds += asyncio.get_running_loop().time() - begun
        check = Check(due.due_ns, result)
        before = self._standings[service.id]
        decision = advance(before, check)
        self._standings[service.id] = decision.standing
        _log_decision(service, before, check, decision)
        if decision.again:
            self._schedule.ask_now(service.id, repeat_ns(check, self._clock_ns()))
            self.wake()
        try:
            self._publish([self._sample(service, told) for told in decision.told])
        except Exception:  # noqa: BLE001 - told with its trace; the next check may be fine
            _log.exception("service_broken service=%s", service.id)

    async def _probe(self, service: Service) -> ProbeResult:
        try:
            return await ask_service(service, self._directory)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one probe must not end the watch over the others
            _log.exception("probe_broken service=%s", service.id)
            name = type(error).__name__
            return not_asked(service, f"プログラムの誤り {name}", f"{name} in our own code")


def _asked(service: Service) -> str:
    """What is asked of a service, to know whether it is the same; no secret is in it."""
    return f"{service.kind} {question_of(service, Path())!r}"


def _log_decision(service: Service, before: Standing, check: Check, decision: Decision) -> None:
    """One line where something happened; a service that goes on as it was says nothing."""
    if decision.reason is Reason.AGREES:
        return
    changed = decision.standing.up is not before.up
    level = logging.WARNING if changed and not decision.standing.up else logging.INFO
    tell(
        _log,
        level,
        "service_state" if changed else "service_check",
        service=service.id,
        up=decision.standing.up,
        reason=decision.reason.value,
        found=check.result.reason,
        text=check.result.sentence("en"),
    )
