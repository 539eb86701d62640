"""When each device is asked: spread evenly, the same moment in every interval, never "interval after finish" (R2).

Theory: a device's due times are the unix times congruent to its offset modulo its interval. The offset comes from a
hash of the device's id, so it survives restarts, and two daemons ask (and stamp) at the same moments. Offsets are whole
seconds: devices that share one start together, which costs a poller a third of what single starts cost, and timestamps
are readable. Time is an argument; this module knows no clock.
"""

import heapq
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

SECOND_NS: Final = 1_000_000_000
FIRST_SECONDS: Final = 5
"""The first round after a start is spread over so many seconds."""
FIRST_MINUTE_NS: Final = 60 * SECOND_NS
FIRST_MINUTE_SECONDS: Final = 10
"""Between two polls in the first minute of a first start."""


def offset_seconds(device: str, interval_seconds: int) -> int:
    """Second within the interval at which the device is due: 0..interval-1, evenly spread, always the same."""
    digest = blake2b(device.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % interval_seconds


def next_due_ns(now_ns: int, offset: int, interval_seconds: int) -> int:
    """The first due time at or after now; unix nanoseconds."""
    interval_ns = interval_seconds * SECOND_NS
    offset_ns = offset * SECOND_NS
    return -((offset_ns - now_ns) // interval_ns) * interval_ns + offset_ns


@dataclass(frozen=True, slots=True)
class Due:
    """A device whose time has come; missed counts the intervals that passed unasked (the clock jumped, we slept).

    beside: not at its regular time, which may come while this poll is under way.
    """

    device: str
    due_ns: int
    missed: int
    beside: bool = False


@dataclass(slots=True)
class _Beat:
    interval_seconds: int
    offset: int
    faster_seconds: int | None = None
    faster_until_ns: int = 0

    def interval_at(self, now_ns: int) -> int:
        if self.faster_seconds is not None and now_ns < self.faster_until_ns:
            return self.faster_seconds
        return self.interval_seconds


class Schedule:
    """Due times of all devices. Intervals never lengthen under load (R6): what is late is counted, not stretched."""

    def __init__(self) -> None:
        self._beats: dict[str, _Beat] = {}
        self._heap: list[tuple[int, str]] = []
        self._planned: dict[str, int] = {}
        self._beside: set[str] = set()

    def add(self, device: str, interval_seconds: float, now_ns: int) -> None:
        """Ask the device every interval (whole seconds, at least 1) from its next due time on."""
        whole = _whole(interval_seconds)
        self._beats[device] = _Beat(whole, offset_seconds(device, whole))
        self._plan(device, now_ns)

    def remove(self, device: str) -> None:
        """Never ask it again."""
        self._beats.pop(device, None)
        self._planned.pop(device, None)
        self._beside.discard(device)

    def follow(self, intervals: Mapping[str, float], now_ns: int, changed: Collection[str] = (), *, new: bool) -> None:
        """Ask these devices and no others (seconds by device); who stays as it was keeps its times.

        Others are asked within five seconds: those that are new, whose interval is another, or that are among changed.
        new: readings of new devices begin here, so that they are asked every ten seconds for a minute. So traffic is
        known within the minute, even of interfaces that stand by, whose still counters are believed after 39 s (R32).
        """
        for device in self._beats.keys() - intervals.keys():
            self.remove(device)
        for device, seconds in intervals.items():
            beat = self._beats.get(device)
            if beat is not None and beat.interval_seconds == _whole(seconds) and device not in changed:
                continue
            self.add(device, seconds, now_ns)
            if beat is None and new and seconds > FIRST_MINUTE_SECONDS:
                self.hasten(device, FIRST_MINUTE_SECONDS, now_ns + FIRST_MINUTE_NS, now_ns)
            self.ask_soon(device, now_ns)

    def ask_now(self, device: str, now_ns: int) -> None:
        """Ask once at once, beside the schedule; the next regular time stays."""
        if device in self._beats:
            heapq.heappush(self._heap, (now_ns, device))
            self._planned[device] = now_ns
            self._beside.add(device)

    def ask_soon(self, device: str, now_ns: int) -> None:
        """Ask for the first time within five seconds, at the device's own second of five, if it is not due sooner."""
        first_ns = next_due_ns(now_ns, self._beats[device].offset % FIRST_SECONDS, FIRST_SECONDS)
        if first_ns < self._planned[device]:
            self.ask_now(device, first_ns)

    def hasten(self, device: str, interval_seconds: int, until_ns: int, now_ns: int) -> None:
        """Ask faster for a while (R7), for instance every 10 s during a rehearsal."""
        beat = self._beats[device]
        beat.faster_seconds, beat.faster_until_ns = interval_seconds, until_ns
        self._plan(device, now_ns)

    def interval_ns(self, device: str, now_ns: int) -> int:
        """The interval in force, nanoseconds."""
        return self._beats[device].interval_at(now_ns) * SECOND_NS

    def due(self, now_ns: int) -> list[Due]:
        """Every device whose time has come, in order of due time; each is planned anew before this returns."""
        ready: list[Due] = []
        while self._heap and self._heap[0][0] <= now_ns:
            due_ns, device = heapq.heappop(self._heap)
            if self._planned.get(device) != due_ns:
                continue
            missed = (now_ns - due_ns) // self.interval_ns(device, now_ns)
            beside = device in self._beside
            self._plan(device, now_ns + 1)
            ready.append(Due(device, due_ns + missed * self.interval_ns(device, now_ns), missed, beside))
        return ready

    def wake_ns(self) -> int | None:
        """When the next device is due, unix nanoseconds; None where there is nothing to ask."""
        while self._heap and self._planned.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def clock_went_back(self, now_ns: int) -> None:
        """Plan everything anew after the wall clock was set back, or nothing would be asked until it has caught up."""
        for device in self._beats:
            self._plan(device, now_ns)

    def _plan(self, device: str, now_ns: int) -> None:
        beat = self._beats[device]
        interval = beat.interval_at(now_ns)
        due_ns = next_due_ns(now_ns, beat.offset % interval, interval)
        self._planned[device] = due_ns
        self._beside.discard(device)
        heapq.heappush(self._heap, (due_ns, device))


def start_schedule(intervals: Mapping[str, float], now_ns: int, *, first_start: bool) -> Schedule:
    """Every device within five seconds and then in its interval (seconds, by device).

    On a first start, which has no readings to count from, every ten seconds for a minute: so traffic is known within
    the minute, even of interfaces that stand by, whose still counters are believed after 39 s (R32).
    """
    schedule = Schedule()
    schedule.follow(intervals, now_ns, new=first_start)
    return schedule


def _whole(interval_seconds: float) -> int:
    return max(1, round(interval_seconds))
