"""What happens in the lab, and when: a strict file, unrolled into steps. Pure.

    loop: 30m                       begin again after this long; without it every event happens once
    notifications:                  where traps go; without it none are sent
      receiver: 127.0.0.1:16162
      community: public
    events:
      - {do: fail_circuit, circuit: int-1, at: 3m, for: 4m}
      - {do: surge, tenant: tsu, line: internet, to_cap: 110%, clock: "14:00", for: 30m}

`at` counts from the start of the lab, or of the loop; `clock` is a time of day in Japan and happens every day. `for`
says when an event is over and what it did is undone.
"""

import datetime as dt
import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from typing import Annotated, Final, Literal, Protocol, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from poller.lab.traffic import day_of, day_start_ns
from poller.units import Duration, Ratio

_SECOND_NS: Final = 10**9
_HIGHEST_PORT: Final = 65_535


class Stage(Protocol):
    """What can be made to happen; the lab is one. Everything happens now."""

    def fail_circuit(self, circuit: str) -> None:
        """A circuit dies."""

    def restore_circuit(self, circuit: str) -> None:
        """It is repaired."""

    def set_interface(self, device: str, interface: str, *, up: bool) -> None:
        """An interface goes up or down, with its notification."""

    def multiply_tenant(self, tenant: str, factor: float, line: str | None = None) -> None:
        """A tenant uses so many times as much as usual; 1 is as usual."""

    def fill_cap(self, tenant: str, line: str, ratio: float) -> None:
        """A tenant takes this part of its cap on a line, until it is multiplied again."""

    def fail_over(self, group: str, to: str | None = None) -> str:
        """Another device of the group takes over; returns which."""

    def reboot(self, device: str, *, reshuffle: bool = False) -> None:
        """A device starts anew."""

    def clear_counters(self, device: str, interface: str | None = None) -> None:
        """Somebody clears counters."""

    def silence(self, device: str) -> None:
        """Its agent is dead."""

    def wake(self, device: str) -> None:
        """Its agent answers again."""

    def delay(self, device: str, seconds: float) -> None:
        """Its agent takes that long for an answer."""

    def break_service(self, service: str, how: Literal["refused", "silent", "wrong"]) -> None:
        """A service is broken."""

    def mend_service(self, service: str) -> None:
        """It serves again."""

    def notify(self, device: str, count: int) -> None:
        """It sends so many notifications at once."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens so many seconds after its event began; text says it to people."""

    after_seconds: float
    text: str
    act: Callable[[Stage], object]


class Entry(BaseModel):
    """Frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


ClockTime: TypeAlias = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Event(Entry):
    """When: exactly one of at and clock."""

    at: Duration | None = None
    clock: ClockTime | None = None

    @model_validator(mode="after")
    def _one_moment(self) -> "Event":
        if (self.at is None) == (self.clock is None):
            raise ValueError('say when: either at: "90s" after the start, or clock: "14:05" every day')
        return self

    def steps(self) -> Iterator[Step]:
        """What happens, in order."""
        raise NotImplementedError


class Lasting(Event):
    """An event that is over after a while; without `for` it stays."""

    lasts: Duration | None = Field(default=None, alias="for")

    def _ends(self, text: str, act: Callable[[Stage], object]) -> Iterator[Step]:
        if self.lasts is not None:
            yield Step(self.lasts, text, act)


class FailCircuit(Lasting):
    """A circuit dies and its standby takes over."""

    do: Literal["fail_circuit"]
    circuit: str

    def steps(self) -> Iterator[Step]:
        """Down, and up again."""
        yield Step(0, f"circuit {self.circuit} dies", lambda stage: stage.fail_circuit(self.circuit))
        yield from self._ends(f"circuit {self.circuit} is repaired", lambda stage: stage.restore_circuit(self.circuit))


class Surge(Lasting):
    """A tenant uses so many times as much as usual, or a part of its cap on a line, whatever the hour."""

    do: Literal["surge"]
    tenant: str
    times: Annotated[float, Field(ge=0, le=1000)] | None = None
    to_cap: Annotated[Ratio, Field(gt=0, le=10)] | None = None
    line: str | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> "Surge":
        if (self.times is None) == (self.to_cap is None):
            raise ValueError("say how much: either times: 4 as usual, or to_cap: 110% of the tenant's cap")
        if self.to_cap is not None and self.line is None:
            raise ValueError("say of which line: to_cap needs line")
        return self

    def steps(self) -> Iterator[Step]:
        """Up, and back."""
        if self.to_cap is not None:
            text = f"tenant {self.tenant} takes {self.to_cap:.0%} of its cap on {self.line}"
        else:
            text = f"tenant {self.tenant} uses {self.times:g} times as much"
        yield Step(0, text, self._begin)
        yield from self._ends(
            f"tenant {self.tenant} is as usual", lambda stage: stage.multiply_tenant(self.tenant, 1.0, self.line)
        )

    def _begin(self, stage: Stage) -> None:
        if self.to_cap is not None and self.line is not None:
            stage.fill_cap(self.tenant, self.line, self.to_cap)
        elif self.times is not None:
            stage.multiply_tenant(self.tenant, self.times, self.line)


class FailOver(Lasting):
    """Another device of a redundancy group takes over; at the end the next one does, which of two is the first."""

    do: Literal["fail_over"]
    group: str
    to: str | None = None

    def steps(self) -> Iterator[Step]:
        """There, and back."""
        yield Step(0, f"{self.group} fails over", lambda stage: stage.fail_over(self.group, self.to))
        yield from self._ends(f"{self.group} fails back", lambda stage: stage.fail_over(self.group))


class Reboot(Event):
    """A device starts anew: silent for a while, then with counters and uptime from 0, perhaps with other ifIndexes."""

    do: Literal["reboot"]
    device: str
    silent_for: Duration = 60.0
    reshuffle: bool = False

    def steps(self) -> Iterator[Step]:
        """Silent, then new."""
        yield Step(0, f"device {self.device} goes down for a restart", lambda stage: stage.silence(self.device))
        yield Step(self.silent_for, f"device {self.device} has started", self._start)

    def _start(self, stage: Stage) -> None:
        stage.wake(self.device)
        stage.reboot(self.device, reshuffle=self.reshuffle)


class ClearCounters(Event):
    """Somebody clears the counters of a device or of one interface."""

    do: Literal["clear_counters"]
    device: str
    interface: str | None = None

    def steps(self) -> Iterator[Step]:
        """Once."""
        text = f"counters of {self.device} {self.interface or ''} are cleared".replace("  ", " ")
        yield Step(0, text, lambda stage: stage.clear_counters(self.device, self.interface))


class Flap(Event):
    """A port goes down and up again, so many times, with a notification each."""

    do: Literal["flap"]
    device: str
    interface: str
    times: Annotated[int, Field(ge=1, le=1000)] = 10
    every: Duration = 4.0

    def steps(self) -> Iterator[Step]:
        """Down at once, up after half of `every`."""
        for number in range(self.times):
            for half, up in ((0.0, False), (0.5, True)):
                text = f"{self.device} {self.interface} is {'up' if up else 'down'} ({number + 1} of {self.times})"
                yield Step((number + half) * self.every, text, self._set(up=up))

    def _set(self, *, up: bool) -> Callable[[Stage], object]:
        return lambda stage: stage.set_interface(self.device, self.interface, up=up)


class TrapStorm(Event):
    """A device sends notifications without end: count of them, so many per second."""

    do: Literal["trap_storm"]
    device: str
    count: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    per_second: Annotated[float, Field(ge=1, le=100_000)] = 200.0

    def steps(self) -> Iterator[Step]:
        """As many as are due, every tenth of a second."""
        sent = 0
        for number in count(1):
            due = min(self.count, int(self.per_second * number / 10))
            if due > sent:
                text = f"{self.device} begins to send {self.count} notifications" if sent == 0 else ""
                yield Step(number / 10, text, self._send(due - sent))
                sent = due
            if sent == self.count:
                return

    def _send(self, some: int) -> Callable[[Stage], object]:
        return lambda stage: stage.notify(self.device, some)


class SlowAgent(Lasting):
    """An agent takes long for every answer."""

    do: Literal["slow_agent"]
    device: str
    delay: Duration

    def steps(self) -> Iterator[Step]:
        """Slow, and as before."""
        text = f"the agent of {self.device} takes {self.delay:g} s for an answer"
        yield Step(0, text, lambda stage: stage.delay(self.device, self.delay))
        yield from self._ends(
            f"the agent of {self.device} is as fast as before", lambda stage: stage.delay(self.device, 0)
        )


class DeadAgent(Lasting):
    """An agent does not answer."""

    do: Literal["dead_agent"]
    device: str

    def steps(self) -> Iterator[Step]:
        """Silent, and back."""
        yield Step(0, f"the agent of {self.device} is dead", lambda stage: stage.silence(self.device))
        yield from self._ends(f"the agent of {self.device} answers again", lambda stage: stage.wake(self.device))


class BreakService(Lasting):
    """A service refuses, keeps silent, or answers wrong."""

    do: Literal["break_service"]
    service: str
    how: Literal["refused", "silent", "wrong"] = "refused"

    def steps(self) -> Iterator[Step]:
        """Broken, and mended."""
        text = {"refused": "is not there", "silent": "does not answer", "wrong": "answers wrong"}[self.how]
        yield Step(0, f"service {self.service} {text}", lambda stage: stage.break_service(self.service, self.how))
        yield from self._ends(f"service {self.service} serves again", lambda stage: stage.mend_service(self.service))


AnyEvent: TypeAlias = Annotated[
    FailCircuit | Surge | FailOver | Reboot | ClearCounters | Flap | TrapStorm | SlowAgent | DeadAgent | BreakService,
    Field(discriminator="do"),
]
EVENTS: Final = (
    "fail_circuit",
    "surge",
    "fail_over",
    "reboot",
    "clear_counters",
    "flap",
    "trap_storm",
    "slow_agent",
    "dead_agent",
    "break_service",
)


def _peer(text: object) -> str:
    """The text, where it is an IPv4 address and a port; ValueError says how to write them."""
    address, _, port = str(text).rpartition(":")
    try:
        IPv4Address(address)
        known = port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT
    except ValueError:
        known = False
    if not known:
        raise ValueError(f'"{text}" is no receiver: write an IPv4 address and a port, such as 127.0.0.1:16162')
    return str(text)


class Notifications(Entry):
    """Where SNMPv2 notifications of simulated devices go."""

    receiver: Annotated[str, BeforeValidator(_peer)]
    community: str = "public"

    @property
    def peer(self) -> tuple[str, int]:
        """Address and port."""
        address, _, port = self.receiver.rpartition(":")
        return address, int(port)


class Scenario(Entry):
    """All that happens."""

    loop: Duration | None = None
    notifications: Notifications | None = None
    recordings: dict[str, str] = {}
    """Devices that replay a recording: a `.snmprec` file, relative to the scenario, by device id."""
    events: tuple[AnyEvent, ...] = ()


def timeline(events: Iterable[Event], start_ns: int, loop_seconds: float | None = None) -> Iterator[tuple[int, Step]]:
    """Every step with its moment (UTC, unix nanoseconds), in order; endless where a loop or a clock is given."""
    order = count()
    heap: list[tuple[int, int, Step]] = []
    again: list[tuple[int, int, Event]] = []
    for event in events:
        heapq.heappush(again, (_first(event, start_ns), next(order), event))
    while heap or again:
        while again and (not heap or again[0][0] <= heap[0][0]):
            begin_ns, _, event = heapq.heappop(again)
            for step in event.steps():
                heapq.heappush(heap, (begin_ns + int(step.after_seconds * _SECOND_NS), next(order), step))
            period = 86_400.0 if event.clock is not None else loop_seconds
            if period is not None:
                heapq.heappush(again, (begin_ns + int(period * _SECOND_NS), next(order), event))
        moment, _, step = heapq.heappop(heap)
        yield moment, step


def _first(event: Event, start_ns: int) -> int:
    if event.clock is None:
        return start_ns + int((event.at or 0.0) * _SECOND_NS)
    hours, minutes = map(int, event.clock.split(":"))
    offset = int(dt.timedelta(hours=hours, minutes=minutes).total_seconds()) * _SECOND_NS
    today = day_start_ns(day_of(start_ns)) + offset
    return today if today >= start_ns else today + 86_400 * _SECOND_NS
