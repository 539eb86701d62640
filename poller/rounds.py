"""The rounds: start every poll when it is due, one at a time for a device, and never let one device delay another.

Each poll is a task of its own with a deadline of 80 % of its interval over all its requests and retries (R5). A device
that is still being asked when its next time comes is counted and named (R3). Was it asked beside its schedule, its
regular poll follows at once, so that no series has a hole because we were curious. Nothing here knows SNMP.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from poller.log import tell
from poller.readings import MAINTENANCE, DeviceReading, FailedPoll
from poller.schedule import SECOND_NS, Due, Schedule

_log: Final = logging.getLogger(__name__)
DEADLINE_RATIO: Final = 0.8
"""Part of the interval after which a poll is given up (R5)."""
_LONGEST_NAP_SECONDS: Final = 1.0
"""The wall clock may jump while we sleep: look at it at least this often."""

Answer: TypeAlias = DeviceReading | FailedPoll


async def nap(wake_ns: int | None, now_ns: int, changed: asyncio.Event) -> None:
    """Sleep until a schedule's next due time, or until it was changed; an empty one is looked at every second too."""
    seconds = _LONGEST_NAP_SECONDS
    if wake_ns is not None:
        seconds = min(seconds, max(0.0, (wake_ns - now_ns) / SECOND_NS))
    changed.clear()
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass


class Asker(Protocol):
    """Asks one device once; time runs out at the deadline, which is not an error but an answer."""

    async def ask(self, device: str, due_ns: int, deadline_seconds: float) -> Answer:
        """One poll by the production path."""
        ...


@dataclass(slots=True)
class RoundsStatistics:
    """Counted since the start, except the maxima and the lags, which take() resets.

    lags, lag_seconds: the delays between due and started, and the largest.
    busy_ratio: the largest poll duration over its interval.
    """

    started: int = 0
    failed: int = 0
    missed: int = 0
    lag_seconds: float = 0.0
    lags: list[float] = field(default_factory=list)
    busy_ratio: float = 0.0
    seconds: float = 0.0
    overruns: Counter[str] = field(default_factory=Counter)

    @property
    def lag_p99_seconds(self) -> float:
        """The delay that 99 of 100 polls since take() did not exceed; 0 where there was none."""
        ranked = sorted(self.lags)
        return ranked[math.ceil(0.99 * len(ranked)) - 1] if ranked else 0.0

    def take(self) -> "RoundsStatistics":
        """A copy; the maxima and the duration begin anew."""
        copy = RoundsStatistics(
            self.started,
            self.failed,
            self.missed,
            self.lag_seconds,
            self.lags,
            self.busy_ratio,
            self.seconds,
            self.overruns.copy(),
        )
        self.lag_seconds = self.busy_ratio = self.seconds = 0.0
        self.lags = []
        return copy


class Rounds:
    """Runs a schedule against an asker and hands every answer on, in the order of arrival."""

    def __init__(
        self,
        schedule: Schedule,
        asker: Asker,
        accept: Callable[[Answer], None],
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        stopped: Callable[[str, int], str | None] = lambda _device, _now_ns: None,
    ) -> None:
        """Stopped says why a device must not be asked at a moment (the id of a maintenance window), or None."""
        self._stopped = stopped
        self._schedule = schedule
        self._asker = asker
        self._accept = accept
        self._clock_ns = clock_ns
        self._running: dict[str, asyncio.Task[None]] = {}
        self._beside: set[str] = set()
        self._following: dict[str, Due] = {}
        self._changed = asyncio.Event()
        self.statistics = RoundsStatistics()

    def follow(self, intervals: Mapping[str, float], changed: Collection[str] = ()) -> None:
        """Ask these devices and no others (seconds by device); what is under way to the others goes on.

        changed: those that are asked in another way now. A poll of theirs that is under way is given up without an
        answer, because it would be about what was, and they are asked again at once.
        """
        for device in [each for each in self._running if each not in intervals or each in changed]:
            self._running.pop(device).cancel()
            self._following.pop(device, None)
        self._schedule.follow(intervals, self._clock_ns(), changed, new=True)
        self._changed.set()

    def ask_now(self, device: str) -> None:
        """Ask the device at once, beside its schedule, unless it is being asked."""
        if device not in self._running:
            self._schedule.ask_now(device, self._clock_ns())
            self._changed.set()

    @property
    def running(self) -> int:
        """Polls under way."""
        return len(self._running)

    def late_seconds(self, now_ns: int) -> float:
        """How long the next poll has been due and not begun; 0 while the schedule is kept."""
        wake_ns = self._schedule.wake_ns()
        return 0.0 if wake_ns is None else max(0.0, (now_ns - wake_ns) / SECOND_NS)

    def wake(self) -> None:
        """Look at the schedule again: something was added to it."""
        self._changed.set()

    async def run(self) -> None:
        """Make the rounds until cancelled."""
        async with asyncio.TaskGroup() as group:
            try:
                await self._start_when_due(group)
            finally:
                self._following.clear()

    async def _start_when_due(self, group: asyncio.TaskGroup) -> None:
        latest_ns = 0
        while True:
            now_ns = self._clock_ns()
            if now_ns < latest_ns - SECOND_NS:
                tell(_log, logging.WARNING, "clock_went_back", seconds=(latest_ns - now_ns) / SECOND_NS)
                self._schedule.clock_went_back(now_ns)
            latest_ns = now_ns
            for due in self._schedule.due(now_ns):
                self._start(group, due, now_ns)
            await nap(self._schedule.wake_ns(), self._clock_ns(), self._changed)

    def _start(self, group: asyncio.TaskGroup, due: Due, now_ns: int) -> None:
        statistics = self.statistics
        if due.missed:
            statistics.missed += due.missed
            tell(_log, logging.WARNING, "polls_missed", device=due.device, count=due.missed)
        if due.device in self._running:
            if due.device in self._beside and due.device not in self._following:
                self._following[due.device] = due
                return
            statistics.overruns[due.device] += 1
            tell(_log, logging.WARNING, "overrun", device=due.device, total=statistics.overruns[due.device])
            return
        window = self._stopped(due.device, now_ns)
        if window is not None:
            self._accept(FailedPoll(due.device, due.due_ns, MAINTENANCE, window, None))
            return
        statistics.started += 1
        lag_seconds = (now_ns - due.due_ns) / SECOND_NS
        statistics.lag_seconds = max(statistics.lag_seconds, lag_seconds)
        statistics.lags.append(lag_seconds)
        interval_seconds = self._schedule.interval_ns(due.device, now_ns) / SECOND_NS
        task = group.create_task(self._one(due, interval_seconds), name=f"poll {due.device}")
        self._running[due.device] = task
        (self._beside.add if due.beside else self._beside.discard)(due.device)
        task.add_done_callback(lambda done: self._end(group, due.device, done))

    def _end(self, group: asyncio.TaskGroup, device: str, task: asyncio.Task[None]) -> None:
        if self._running.get(device) is not task:
            return
        del self._running[device]
        following = self._following.pop(device, None)
        if following is not None and not task.cancelled():
            self._start(group, following, self._clock_ns())

    async def _one(self, due: Due, interval_seconds: float) -> None:
        begun = time.monotonic()
        try:
            answer = await self._asker.ask(due.device, due.due_ns, interval_seconds * DEADLINE_RATIO)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one poll must not end the watch over the others
            _log.exception("poll_broken device=%s", due.device)
            answer = FailedPoll(
                due.device, due.due_ns, "internal_error", f"{type(error).__name__} in our own code", None
            )
        took = time.monotonic() - begun
        self.statistics.seconds += took
        self.statistics.busy_ratio = max(self.statistics.busy_ratio, took / interval_seconds)
        self.statistics.failed += isinstance(answer, FailedPoll)
        try:
            self._accept(answer)
        except Exception:  # noqa: BLE001 - told with its trace; the next answer may be fine
            self.statistics.failed += 1
            _log.exception("answer_broken device=%s", due.device)
