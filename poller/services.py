"""Services for the daemon: each checked at its own second of its interval, doubts repeated, samples handed on.

    schedule -> probe_service -> service_states.advance -> service_sample -> publish

Checks of one service never overlap; one that is slow delays no other.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.subjects import Subject
from poller.estate import Calendar, Estate, Service
from poller.log import tell
from poller.questions import question_of
from poller.sample import Sample
from poller.schedule import SECOND_NS, Due, Schedule
from poller.service_samples import service_sample, suppressed_sample
from poller.service_states import Check, Decision, Reason, Standing, Told, advance, repeat_ns
from probes.result import ProbeResult, Question, ServiceState
from probes.services import probe_service

_log: Final = logging.getLogger(__name__)
_LONGEST_NAP_SECONDS: Final = 1.0
"""The wall clock may jump while we sleep: look at it at least this often."""
Publish = Callable[[Sequence[Sample]], None]


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
        self._estate = estate
        self._directory = directory
        self._publish = publish
        self._clock_ns = clock_ns
        self._zone = ZoneInfo(estate.organisation.timezone)
        self._schedule = Schedule()
        self._standings = {key: Standing() for key in estate.services}
        self._running: set[str] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Check on schedule, the first time within a few seconds."""
        now_ns = self._clock_ns()
        for key, service in self._estate.services.items():
            self._schedule.add(key, service.interval, now_ns)
            self._schedule.ask_soon(key, now_ns)
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
                    elif due.device not in self._running:  # a check that is under way answers for this moment too
                        self._running.add(due.device)
                        group.create_task(self._check(due), name=f"service {due.device}")
                await self._nap()

    @property
    def checking(self) -> frozenset[str]:
        """The services that are being asked at this moment."""
        return frozenset(self._running)

    def wake(self) -> None:
        """Look at the clock and the schedule again."""
        self._changed.set()

    async def _nap(self) -> None:
        wake_ns = self._schedule.wake_ns()
        seconds = _LONGEST_NAP_SECONDS
        if wake_ns is not None:
            seconds = min(seconds, max(0.0, (wake_ns - self._clock_ns()) / SECOND_NS))
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

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
        service = self._estate.services[due.device]
        try:
            result = await self._probe(service)
        finally:
            self._running.discard(service.id)
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
        question = question_of(service, self._directory)
        try:
            return await probe_service(service.kind, question)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one probe must not end the watch over the others
            _log.exception("probe_broken service=%s", service.id)
            return _broken(service, question, error)


def _broken(service: Service, question: Question, error: Exception) -> ProbeResult:
    facts = {"detail": f"{type(error).__name__} in our own code"}
    return ProbeResult(service.kind, question.target, ServiceState.UNKNOWN, None, {}, "not_asked", facts)


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
