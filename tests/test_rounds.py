"""The rounds: one poll a device, overruns named, no device delays another."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from poller.readings import MAINTENANCE, FailedPoll
from poller.rounds import Answer, Rounds
from poller.schedule import SECOND_NS, Schedule

NOON = 1_795_230_000 * SECOND_NS


class SteppedClock:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = NOON

    def __call__(self) -> int:
        return self.now_ns


class Asked:
    """An asker whose devices answer at once, except those that wait for the test."""

    def __init__(self, slow: frozenset[str] = frozenset(), broken: frozenset[str] = frozenset()) -> None:
        self.slow = slow
        self.broken = broken
        self.asked: list[tuple[str, int, float]] = []
        self.release = asyncio.Event()

    async def ask(self, device: str, due_ns: int, deadline_seconds: float) -> Answer:
        self.asked.append((device, due_ns, deadline_seconds))
        if device in self.broken:
            raise ZeroDivisionError
        if device in self.slow:
            await self.release.wait()
        return FailedPoll(device, due_ns, "no_answer", "nobody answered")


@asynccontextmanager
async def running(rounds: Rounds) -> AsyncIterator[None]:
    task = asyncio.create_task(rounds.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def step(rounds: Rounds, clock: SteppedClock, seconds: float, until: Callable[[], bool]) -> None:
    """Move the clock and let the loop turn until the condition holds (the test's time limit ends a wait in vain)."""
    clock.now_ns += round(seconds * SECOND_NS)
    while not until():
        rounds.wake()
        await asyncio.sleep(0)


def watch(clock: SteppedClock, asker: Asked, *devices: str) -> tuple[Rounds, list[Answer]]:
    schedule = Schedule()
    for device in devices:
        schedule.add(device, 60, clock.now_ns)
    answers: list[Answer] = []
    return Rounds(schedule, asker, answers.append, clock_ns=clock), answers


async def test_a_device_that_does_not_end_delays_no_other() -> None:
    """(R4)"""
    clock, asker = SteppedClock(), Asked(slow=frozenset({"dead"}))
    rounds, answers = watch(clock, asker, "dead", "fw-1", "fw-2")
    async with running(rounds):
        await step(rounds, clock, 60, lambda: len(answers) == 2)
        asker.release.set()
        await step(rounds, clock, 0, lambda: len(answers) == 3)
    assert {"fw-1", "fw-2"} == {answer.device for answer in answers[:2]}


async def test_with_a_third_of_ten_thousand_devices_silent_every_other_one_starts_in_its_second() -> None:
    """For two minutes of 10,000 devices, 30 % of them without end, no poll of another is late or left out (R1, R4).

    Started together are never more than twice the average of a second, so that the load is even.
    """
    names = [f"sw-{number}" for number in range(10_000)]
    clock, asker = SteppedClock(), Asked(slow=frozenset(names[::10] + names[3::10] + names[7::10]))
    rounds, answers = watch(clock, asker, *names)
    schedule = rounds._schedule
    in_second: Counter[int] = Counter()
    async with running(rounds):
        for _ in range(120):
            due_ns = schedule.wake_ns() or 0
            clock.now_ns = due_ns
            before = rounds.statistics.started + rounds.statistics.overruns.total()
            while schedule.wake_ns() == due_ns:
                rounds.wake()
                await asyncio.sleep(0)
            in_second[due_ns] += rounds.statistics.started + rounds.statistics.overruns.total() - before
        await step(rounds, clock, 0, lambda: len(answers) == 14_000)
    healthy = Counter(device for device, _, _ in asker.asked if device not in asker.slow)
    assert {2} == set(healthy.values())
    assert 7_000 == len(healthy)
    assert 0.0 == rounds.statistics.lag_seconds
    assert 20_000 == in_second.total()
    assert max(in_second.values()) < 2 * 10_000 / 60
    assert set(rounds.statistics.overruns) == asker.slow


@asynccontextmanager
async def overtaken() -> AsyncIterator[tuple[Rounds, SteppedClock, Asked, list[Answer]]]:
    """A device that is asked a second before its regular time, and has not answered when that comes."""
    clock, asker = SteppedClock(), Asked(slow=frozenset({"slow"}))
    rounds, answers = watch(clock, asker, "slow")
    regular_ns = rounds._schedule.wake_ns()
    assert regular_ns is not None
    clock.now_ns = regular_ns - SECOND_NS
    async with running(rounds):
        rounds.ask_now("slow")
        await step(rounds, clock, 0, lambda: len(asker.asked) == 1)
        await step(rounds, clock, 1, lambda: rounds._schedule.wake_ns() != regular_ns)
        yield rounds, clock, asker, answers


async def test_a_regular_poll_follows_the_one_beside_the_schedule_that_was_under_way() -> None:
    """The reading of the regular time is there, late by what the other took; a second one missed is an overrun."""
    async with overtaken() as (rounds, clock, asker, answers):
        regular_ns = clock.now_ns
        assert 0 == rounds.statistics.overruns.total()
        await step(rounds, clock, 60, lambda: rounds.statistics.overruns["slow"] == 1)
        asker.release.set()
        await step(rounds, clock, 0, lambda: len(answers) == 2)
        await step(rounds, clock, 60, lambda: len(answers) == 3)
    due = [due_ns for _, due_ns, _ in asker.asked]
    assert [regular_ns - SECOND_NS, regular_ns, regular_ns + 120 * SECOND_NS] == due


async def test_nothing_follows_for_a_device_that_is_asked_no_more() -> None:
    async with overtaken() as (rounds, clock, asker, answers):
        rounds.follow({})
        await step(rounds, clock, 0, lambda: rounds.running == 0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (1, []) == (len(asker.asked), answers)


async def test_an_overrun_is_counted_by_name_and_not_started_twice() -> None:
    """R3: three more intervals pass while the first poll still runs."""
    clock, asker = SteppedClock(), Asked(slow=frozenset({"slow"}))
    rounds, answers = watch(clock, asker, "slow")
    async with running(rounds):
        await step(rounds, clock, 60, lambda: len(asker.asked) == 1)
        for count in (1, 2, 3):
            await step(rounds, clock, 60, lambda count=count: rounds.statistics.overruns["slow"] == count)
        asker.release.set()
        await step(rounds, clock, 0, lambda: len(answers) == 1)
        await step(rounds, clock, 60, lambda: len(asker.asked) == 2)
    assert {"slow": 3} == dict(rounds.statistics.overruns)


async def test_a_device_that_is_being_worked_on_is_not_asked_and_its_history_says_why() -> None:
    """Maintenance that stops polling (R55): skipped by the schedule and by whoever wants to ask at once."""
    clock, asker = SteppedClock(), Asked()
    works = {"fw-1": "fw-works"}
    schedule = Schedule()
    for device in ("fw-1", "fw-2"):
        schedule.add(device, 60, clock.now_ns)
    answers: list[Answer] = []
    rounds = Rounds(schedule, asker, answers.append, clock_ns=clock, stopped=lambda device, _now_ns: works.get(device))
    async with running(rounds):
        await step(rounds, clock, 60, lambda: len(answers) == 2)
        rounds.ask_now("fw-1")
        await step(rounds, clock, 0, lambda: len(answers) == 3)
        told = {(each.device, each.reason, each.text, each.answered) for each in answers if each.device == "fw-1"}
        assert {("fw-1", MAINTENANCE, "fw-works", None)} == told
        assert ["fw-2"] == [device for device, _, _ in asker.asked]
        assert 1 == rounds.statistics.started
        works.clear()
        await step(rounds, clock, 60, lambda: len(answers) == 5)
    assert Counter({"fw-2": 2, "fw-1": 1}) == Counter(device for device, _, _ in asker.asked)


async def test_the_deadline_is_80_percent_of_the_interval() -> None:
    clock, asker = SteppedClock(), Asked()
    rounds, answers = watch(clock, asker, "fw-1")
    async with running(rounds):
        await step(rounds, clock, 60, lambda: bool(answers))
    assert [48.0] == [deadline for _, _, deadline in asker.asked]


async def test_a_fault_of_ours_in_one_poll_is_told_and_ends_nothing() -> None:
    clock, asker = SteppedClock(), Asked(broken=frozenset({"odd"}))
    rounds, answers = watch(clock, asker, "odd", "fw-1")
    async with running(rounds):
        await step(rounds, clock, 60, lambda: len(answers) == 2)
        await step(rounds, clock, 60, lambda: len(answers) == 4)
    reasons = {answer.device: answer.reason for answer in answers if isinstance(answer, FailedPoll)}
    assert {"odd": "internal_error", "fw-1": "no_answer"} == reasons


async def test_polls_are_stamped_with_the_time_they_were_due() -> None:
    clock, asker = SteppedClock(), Asked()
    rounds, answers = watch(clock, asker, "fw-1")
    async with running(rounds):
        await step(rounds, clock, 60.7, lambda: bool(answers))
    (answer,) = answers
    assert answer.due_ns % SECOND_NS == 0
    assert NOON < answer.due_ns <= NOON + 60 * SECOND_NS


async def test_a_suspect_is_asked_at_once_and_keeps_its_schedule() -> None:
    """Parents are probed again before a child is declared down (R53)."""
    clock, asker = SteppedClock(), Asked()
    rounds, answers = watch(clock, asker, "fw-1")
    async with running(rounds):
        rounds.ask_now("fw-1")
        await step(rounds, clock, 0, lambda: len(answers) == 1)
        await step(rounds, clock, 60, lambda: len(answers) == 2)
    assert [NOON, NOON + 15 * SECOND_NS] == [due for _, due, _ in asker.asked]


async def test_a_suspect_that_is_being_asked_is_no_overrun() -> None:
    clock, asker = SteppedClock(), Asked(slow=frozenset({"slow"}))
    rounds, answers = watch(clock, asker, "slow")
    async with running(rounds):
        await step(rounds, clock, 60, lambda: len(asker.asked) == 1)
        rounds.ask_now("slow")
        asker.release.set()
        await step(rounds, clock, 0, lambda: len(answers) == 1)
    assert {} == dict(rounds.statistics.overruns)
