"""Slots: no octet lost, none counted twice, however polls are phased, late, lost or out of step."""

import itertools
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from poller.accounts import Account, Member, SlotTotals, shares
from poller.devicerates import DeviceRates
from poller.rates import DeviceCounters
from poller.readings import DeviceReading, InterfaceLayout
from poller.sample import Quality
from poller.slots import SlotLedger

SECOND = 10**9
MINUTE = 60 * SECOND
START = 30_000_000 * MINUTE
NAMES = ("Gi0/1", "Gi0/2")


def counted(device: str, from_s: float, to_s: float, *octets: tuple[int, int], reason: str = "") -> DeviceRates:
    """Rates of a device that counted so many octets in and out on each of its interfaces."""
    rows = len(octets)
    return DeviceRates(
        device=device,
        due_ns=START + int(to_s * SECOND),
        layout=InterfaceLayout(NAMES[:rows], tuple(range(rows)), (0,) * rows, (True,) * rows),
        rates=[None] * (8 * rows),
        quality=[Quality.OBSERVED] * rows,
        reason=[reason] * rows,
        in_octets=[into for into, _ in octets],
        out_octets=[out for _, out in octets],
        from_ns=[START + int(from_s * SECOND)] * rows,
        to_ns=[START + int(to_s * SECOND)] * rows,
    )


def account(id_: str, *members: tuple[str, str] | tuple[str, str, bool]) -> Account:
    return Account(id_, tuple(Member(*member) for member in members))


def ledger_of(*accounts: Account) -> SlotLedger:
    return SlotLedger(accounts)


def told(totals: list[SlotTotals]) -> list[tuple[float, int, int, float, bool]]:
    return [
        ((each.start_ns - START) / SECOND, each.in_octets, each.out_octets, each.coverage_ratio, each.amended)
        for each in totals
    ]


@given(st.integers(0, 2**64), st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
@settings(deadline=None)
def test_shares_are_proportional_to_the_octet_and_add_up_exactly(octets: int, parts: list[int]) -> None:
    """(R62a)"""
    result = shares(octets, parts)
    assert sum(result) == octets
    assert all(abs(share * sum(parts) - octets * part) < sum(parts) for share, part in zip(result, parts, strict=True))


def test_an_interval_is_shared_over_its_slots_and_they_close_when_it_has_passed() -> None:
    """(R62a)"""
    ledger = ledger_of(account("line", ("r1", "Gi0/1")))
    ledger.add(counted("r1", 0, 45, (4500, 450)))
    ledger.add(counted("r1", 45, 105, (6000, 600)))
    assert told(ledger.close(START + 106 * SECOND)) == [(0.0, 6000, 600, 1.0, False)]
    (second,) = ledger.close(START + 240 * SECOND)
    assert told([second]) == [(60.0, 4500, 450, 0.75, False)]
    assert (second.in_bits_per_second, second.out_bits_per_second) == (800.0, 80.0)


def test_a_reversed_member_counts_its_out_as_in() -> None:
    ledger = ledger_of(account("tenant", ("r1", "Gi0/1"), ("r1", "Gi0/2", True)))
    ledger.add(counted("r1", 0, 60, (100, 10), (7, 3)))
    assert told(ledger.close(START + 60 * SECOND)) == [(0.0, 103, 17, 1.0, False)]


def test_a_series_listed_twice_counts_once() -> None:
    """(R64)"""
    ledger = ledger_of(account("tenant", ("r1", "Gi0/1"), ("r1", "Gi0/1")))
    ledger.add(counted("r1", 0, 60, (100, 10)))
    assert told(ledger.close(START + 60 * SECOND)) == [(0.0, 100, 10, 1.0, False)]


def test_a_slot_waits_for_all_members_until_the_deadline() -> None:
    """(R62a)"""
    ledger = ledger_of(account("group", ("r1", "Gi0/1"), ("r2", "Gi0/1")))
    ledger.add(counted("r1", 0, 60, (100, 10)))
    assert ledger.close(START + 179 * SECOND) == []
    assert told(ledger.close(START + 180 * SECOND)) == [(0.0, 100, 10, 0.5, False)]


def test_an_account_polled_every_five_minutes_is_told_once_and_whole() -> None:
    """Slow polls are no late polls."""
    ledger = SlotLedger([Account("line", (Member("r1", "Gi0/1"),), 300 * SECOND)])
    ledger.add(counted("r1", 0, 60, (60, 0)))
    ledger.close(START + 60 * SECOND)
    assert ledger.close(START + 359 * SECOND) == []
    ledger.add(counted("r1", 60, 360, (300, 0)))
    assert told(ledger.close(START + 361 * SECOND)) == [(60.0 * slot, 60, 0, 1.0, False) for slot in range(1, 6)]


def test_late_data_amends_a_closed_slot_and_says_so() -> None:
    """(R62a)"""
    ledger = ledger_of(account("group", ("r1", "Gi0/1"), ("r2", "Gi0/1")))
    ledger.add(counted("r1", 0, 60, (100, 10)))
    ledger.close(START + 180 * SECOND)
    ledger.add(counted("r2", 0, 60, (50, 5)))
    assert told(ledger.close(START + 181 * SECOND)) == [(0.0, 150, 15, 1.0, True)]
    assert ledger.close(START + 182 * SECOND) == []
    known = ledger.totals("group", START)
    assert known is not None
    assert known.in_octets == 150


def rates_by_minute(ledger: SlotLedger, minutes: int, *devices: tuple[str, list[int | None]]) -> list[float | None]:
    """Megabits per second of each slot, from each device's octets by minute; None is a minute without an answer."""
    told: dict[int, SlotTotals] = {}
    for minute in range(minutes):
        for device, octets in devices:
            count = octets[minute]
            if count is not None:
                ledger.add(counted(device, 60 * minute, 60 * minute + 60, (count, 0)))
        told |= {each.start_ns: each for each in ledger.close(START + (minute + 1) * MINUTE)}
    told |= {each.start_ns: each for each in ledger.close(START + (minutes + 2) * MINUTE)}
    rates = [told[START + minute * MINUTE].in_bits_per_second for minute in range(minutes)]
    return [None if rate is None else rate / 1e6 for rate in rates]


HUNDRED = 750_000_000
"""Octets of a minute at 100 Mbps."""


@pytest.mark.parametrize(
    ("name", "first", "second", "expected"),
    [
        ("the silent active", [HUNDRED] * 3 + [None] * 5 + [HUNDRED], [0] * 9, [100.0] * 3 + [None] * 5 + [100.0]),
        ("its keep-alives", [HUNDRED] * 3 + [None] * 5, [750] * 8, [100.0001] * 3 + [None] * 5),
        ("a dead standby", [HUNDRED] * 8, [0] * 3 + [None] * 5, [100.0] * 8),
        ("a failover", [HUNDRED] * 3 + [None] * 5, [0] * 3 + [HUNDRED] * 5, [100.0] * 8),
        ("one of two that share", [5 * HUNDRED] * 3 + [None] * 5, [3 * HUNDRED] * 8, [800.0] * 3 + [None] * 5),
        ("an account that never carried", [0] * 3 + [None] * 5, [0] * 8, [0.0] * 8),
    ],
)
def test_an_idle_member_does_not_vouch_for_the_one_that_carries(
    name: str, first: list[int | None], second: list[int | None], expected: list[float | None]
) -> None:
    """And a member that carries nothing voids nothing when it dies. (R33, R35, R62)"""
    ledger = ledger_of(account("tenant", ("fw-1", "Gi0/1"), ("fw-2", "Gi0/1")))
    found = rates_by_minute(ledger, len(first), ("fw-1", first), ("fw-2", second))
    assert found == pytest.approx(expected), name


def test_who_carries_is_remembered_over_a_restart_with_another_configuration() -> None:
    members = (("fw-1", "Gi0/1"), ("fw-2", "Gi0/1"))
    ledger = ledger_of(account("old", ("fw-0", "Gi0/1")), account("tenant", *members))
    rates_by_minute(ledger, 3, ("fw-1", [HUNDRED] * 3), ("fw-2", [0] * 3))
    fresh = ledger_of(account("tenant", *reversed(members)))
    fresh.restore(json.loads(json.dumps(ledger.save())))
    fresh.add(counted("fw-2", 300, 360, (0, 0)))
    assert {each.in_bits_per_second for each in fresh.close(START + 480 * SECOND)} == {None}


def test_late_data_amends_what_was_closed_under_another_configuration() -> None:
    """Numbers of series change with it; what a slot lacks must be the same members. (R62a, R72)"""
    members = (("fw-1", "Gi0/1"), ("fw-2", "Gi0/1"))
    ledger = ledger_of(account("old", ("fw-0", "Gi0/1"), ("fw-9", "Gi0/1")), account("tenant", *members))
    ledger.add(counted("fw-2", 0, 60, (HUNDRED, 0)))
    ledger.add(counted("fw-1", 0, 30, (HUNDRED, 0)))
    ledger.close(START + 180 * SECOND)
    fresh = ledger_of(account("new", ("fw-3", "Gi0/1")), account("tenant", *reversed(members)))
    fresh.restore(json.loads(json.dumps(ledger.save())))
    fresh.add(counted("fw-1", 30, 60, (HUNDRED, 0)))
    (amended,) = [each for each in fresh.close(START + 181 * SECOND) if each.amended]
    assert (amended.in_bits_per_second, amended.coverage_ratio, amended.in_gap_octets) == (300e6, 1.0, 0)


def test_members_seen_for_different_times_add_up_to_the_sum_of_their_rates() -> None:
    """(R62)"""
    ledger = ledger_of(account("group", ("r1", "Gi0/1"), ("r2", "Gi0/1")))
    ledger.add(counted("r1", 0, 15, (HUNDRED, 0)))
    ledger.add(counted("r2", 0, 60, (3 * HUNDRED, 0)))
    (slot,) = ledger.close(START + 180 * SECOND)
    assert slot.in_bits_per_second == pytest.approx(700e6)


@pytest.mark.parametrize("standby", [[], [0, 0, 0, 0]])
def test_two_halves_of_a_slot_of_which_one_came_late_make_a_whole_one(standby: list[int]) -> None:
    """A line of 800 Mbps stays one of 800 Mbps, whether its standby is silent or idle. (R62a)"""
    ledger = ledger_of(account("pair", ("r1", "Gi0/1"), ("r2", "Gi0/1")))
    for number, octets in enumerate(standby):
        ledger.add(counted("r2", 60 * number, 60 * number + 60, (octets, 0)))
    ledger.add(counted("r1", -30, 30, (8 * HUNDRED, 0)))
    ledger.add(counted("r1", 30, 90, (8 * HUNDRED, 0)))
    ledger.close(START + 241 * SECOND)
    ledger.add(counted("r1", 90, 210, (16 * HUNDRED, 0)))
    (amended,) = [each for each in ledger.close(START + 242 * SECOND) if each.amended]
    assert (amended.start_ns, amended.observed_ns, amended.in_bits_per_second) == (START + MINUTE, MINUTE, 800e6)


def test_late_octets_of_another_member_are_not_divided_by_the_short_time_of_the_carrier() -> None:
    """(R31, R62a)"""
    ledger = ledger_of(account("group", ("r1", "Gi0/1"), ("r2", "Gi0/1")))
    ledger.add(counted("r1", 0, 4, (HUNDRED // 15, 0)))
    ledger.close(START + 180 * SECOND)
    ledger.add(counted("r2", 0, 60, (5 * HUNDRED, 0)))
    (amended,) = ledger.close(START + 181 * SECOND)
    assert amended.in_bits_per_second == pytest.approx(600e6)


def test_a_carrier_that_comes_last_and_short_does_not_divide_what_others_carried() -> None:
    """(R31, R62a)"""
    ledger = ledger_of(account("group", ("r1", "Gi0/1"), ("r2", "Gi0/1")))
    ledger.add(counted("r1", 0, 60, (9 * HUNDRED, 0)))
    ledger.add(counted("r2", 0, 60, (HUNDRED, 0)))
    ledger.close(START + 300 * SECOND)
    ledger.add(counted("r2", 60, 120, (5 * HUNDRED, 0)))
    ledger.add(counted("r1", 60, 64, (HUNDRED // 2, 0)))
    (amended,) = ledger.close(START + 301 * SECOND)
    assert amended.in_bits_per_second == 550e6


@pytest.mark.parametrize("dies_s", [1, 10, 30, 50, 59])
def test_a_failover_within_a_slot_counts_the_time_of_both_devices_once(dies_s: int) -> None:
    """A tenant of 100 Mbps has 100 Mbps in that slot too, or its burst cap would cry. (R31, R62, R64)"""
    ledger = ledger_of(account("tenant", ("fw-1", "Gi0/1"), ("fw-2", "Gi0/1")))
    for minute in range(2):
        ledger.add(counted("fw-1", 60 * minute, 60 * minute + 60, (HUNDRED, 0)))
        ledger.add(counted("fw-2", 60 * minute, 60 * minute + 60, (0, 0)))
    ledger.add(counted("fw-1", 120, 120 + dies_s, (HUNDRED * dies_s // 60, 0)))
    ledger.add(counted("fw-2", 120, 180, (HUNDRED * (60 - dies_s) // 60, 0)))
    ledger.add(counted("fw-2", 180, 240, (HUNDRED, 0)))
    found = {each.start_ns: each.in_bits_per_second for each in ledger.close(START + 420 * SECOND)}
    assert [found[START + minute * MINUTE] for minute in range(4)] == pytest.approx([100e6] * 4)


def test_a_standby_that_died_while_nobody_carried_anything_voids_nothing() -> None:
    """Keep-alives of both members are no traffic. (R35, R62)"""
    ledger = ledger_of(account("tenant", ("fw-1", "Gi0/1"), ("fw-2", "Gi0/1")))
    found = rates_by_minute(ledger, 8, ("fw-1", [3000] * 8), ("fw-2", [2000] * 3 + [None] * 5))
    assert found == pytest.approx([0.000667] * 3 + [0.0004] * 5, rel=0.01)


@pytest.mark.parametrize("device", ["fw-1", "fw-3"])
def test_a_renamed_interface_is_waited_for_and_a_removed_one_is_not(device: str) -> None:
    """What carried has another name after a restart: until it was seen the idle standby is not the account. (R30)"""
    ledger = ledger_of(account("tenant", ("fw-1", "Gi0/1"), ("fw-2", "Gi0/1")))
    rates_by_minute(ledger, 3, ("fw-1", [HUNDRED] * 3), ("fw-2", [0] * 3))
    fresh = ledger_of(account("tenant", (device, "Gi0/2"), ("fw-2", "Gi0/1")))
    fresh.restore(json.loads(json.dumps(ledger.save())))
    fresh.add(counted("fw-2", 300, 360, (0, 0)))
    *_, last = fresh.close(START + 480 * SECOND)
    assert (last.start_ns, last.in_bits_per_second) == (START + 300 * SECOND, None if device == "fw-1" else 0.0)


@st.composite
def histories(draw: st.DrawFn) -> list[list[DeviceRates]]:
    """Of three devices each: consecutive intervals of about a minute with some octets; some are missing."""
    devices = []
    for number in range(3):
        at_s, intervals = draw(st.integers(0, 59)), []
        for _ in range(draw(st.integers(1, 12))):
            lasts_s = draw(st.integers(1, 130))
            if draw(st.integers(0, 3)):
                octets = draw(st.sampled_from([0, 1000, HUNDRED, 3 * HUNDRED, 9 * HUNDRED])) * lasts_s // 60
                intervals.append(counted(f"r{number}", at_s, at_s + lasts_s, (octets, octets // 7)))
            at_s += lasts_s
        devices.append(intervals)
    return devices


@given(histories(), st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_comes_late_the_figures_are_those_of_what_was_in_time(
    devices: list[list[DeviceRates]], data: st.DataObject
) -> None:
    """Any device may be any time behind the others: each slot is amended to what it would have been. (R62a)

    And no member's octets give more than its own highest rate, and a save and load at any point changes nothing.
    """
    made = account("all", ("r0", "Gi0/1"), ("r1", "Gi0/1"), ("r2", "Gi0/1", True)), account("one", ("r1", "Gi0/1"))
    in_time, late = ledger_of(*made), ledger_of(*made)
    for ledger in (in_time, late):
        for number in range(3):  # all accounts begin with the same slot
            ledger.add(counted(f"r{number}", -120, -60, (0, 0)))
    for each in itertools.chain(*devices):
        in_time.add(each)
    expected = {(each.account, each.start_ns): replace(each, previous=None) for each in in_time.close(END)}
    found: dict[tuple[str, int], SlotTotals] = {}
    left = [list(intervals) for intervals in devices]
    now_ns = START
    while any(left):
        number = data.draw(st.sampled_from([number for number, each in enumerate(left) if each]))
        late.add(left[number].pop(0))
        if data.draw(st.booleans()):
            now_ns += data.draw(st.integers(0, 200)) * SECOND
            found |= told_by(late, now_ns, found)
        if data.draw(st.integers(0, 7)) == 0:
            saved = json.loads(json.dumps(late.save()))
            late = ledger_of(*made)
            late.restore(saved)
    found |= told_by(late, END, found)
    assert found == expected
    highest = {"all": 2700e6, "one": 900e6}
    assert all((each.in_bits_per_second or 0) <= highest[each.account] for each in found.values())


END = START + 7300 * SECOND


def told_by(
    ledger: SlotLedger, now_ns: int, before: dict[tuple[str, int], SlotTotals]
) -> dict[tuple[str, int], SlotTotals]:
    """What a ledger tells; what it says of earlier figures must be what it said then."""
    told = {}
    for each in ledger.close(now_ns):
        key = each.account, each.start_ns
        assert each.previous == before.get(key)
        told[key] = replace(each, previous=None)
    return told


def test_octets_of_a_gap_count_in_volume_but_not_in_rate_or_coverage() -> None:
    """(R33)"""
    ledger = ledger_of(account("line", ("r1", "Gi0/1")))
    ledger.add(counted("r1", 0, 30, (3000, 0)))
    ledger.add(counted("r1", 30, 240, (21_000, 0), reason="gap"))
    first, *others = ledger.close(START + 240 * SECOND)
    assert (first.in_octets, first.in_gap_octets, first.in_bits_per_second) == (6000, 3000, 800.0)
    assert [(each.in_octets, each.in_bits_per_second, each.coverage_ratio) for each in others] == [
        (6000, None, 0.0)
    ] * 3


def test_what_is_older_than_the_memory_goes_into_the_oldest_slot_remembered() -> None:
    """(R62a)"""
    ledger = SlotLedger([account("group", ("r1", "Gi0/1"), ("r2", "Gi0/1"))], keep_slots=3)
    ledger.add(counted("r1", 0, 600, (600, 0)))
    before = sum(each.in_octets for each in ledger.close(START + 720 * SECOND))
    ledger.add(counted("r2", 0, 600, (1000, 0)))
    amended = ledger.close(START + 721 * SECOND)
    assert before == 600
    assert [each.amended for each in amended] == [True] * 3
    assert sum(each.in_gap_octets for each in amended) == 700
    assert sum(each.in_octets for each in amended) == 3 * 60 + 1000


@pytest.mark.parametrize("closed_meanwhile", [False, True])
def test_the_cost_of_a_silence_does_not_grow_with_its_length(*, closed_meanwhile: bool) -> None:
    """Forty days: only the slots that are remembered are visited, and every octet is in them. (R33, R62a)"""
    ledger = SlotLedger([account("a", ("r1", "Gi0/1")), account("b", ("r1", "Gi0/1"), ("r2", "Gi0/1"))], keep_slots=5)
    ledger.add(counted("r1", 0, 60, (60, 0)))
    told = ledger.close(START + MINUTE)
    days_s = 40 * 86_400
    if closed_meanwhile:
        told += ledger.close(START + days_s * SECOND)
    visits = 0

    def count(*_: object) -> None:
        nonlocal visits
        visits += 1

    previous = sys.getprofile()
    sys.setprofile(count)
    ledger.add(counted("r1", 60, days_s, (10_000_019, 0), reason="gap"))
    told += ledger.close(START + days_s * SECOND)
    sys.setprofile(previous)
    assert visits < 2000
    told += ledger.close(START + (days_s + 600) * SECOND)
    for name in ("a", "b"):
        slots = {each.start_ns: each for each in told if each.account == name}
        assert sum(each.in_octets for each in slots.values()) == 10_000_079
        assert all(each.in_octets in (0, each.in_gap_octets) for each in slots.values() if each.start_ns > START)


def test_slots_without_any_data_are_told_with_no_coverage_and_no_rate() -> None:
    ledger = ledger_of(account("line", ("r1", "Gi0/1")))
    ledger.close(START)
    (empty,) = ledger.close(START + 180 * SECOND)
    assert (empty.coverage_ratio, empty.in_bits_per_second) == (0.0, None)


@dataclass(frozen=True)
class Poll:
    """One poll of the simulated device: what happened before it, and whether it was answered."""

    after_s: float
    load: float
    lost: bool
    reboot: bool


POLLS = st.lists(
    st.builds(
        Poll,
        after_s=st.integers(5000, 7000).map(lambda centi: centi / 100),
        load=st.floats(0, 1),
        lost=st.sampled_from([False, False, False, True]),
        reboot=st.sampled_from([False] * 7 + [True]),
    ),
    min_size=1,
    max_size=25,
)


@dataclass
class Simulated:
    """A device that knows the truth: what it answers, and what a perfect observer may count."""

    wide: bool
    counter: int
    uptime: int = 5_000_000
    time_s: float = 17.0

    def __post_init__(self) -> None:
        self.speed = 10**9 if self.wide else 10**8
        self.layout = self._layout()
        self.truth = 0
        self.baseline: int | None = None
        self.intervals: list[tuple[float, float]] = []
        self.last_s = 0.0
        self.countable = 0
        self.reread = False

    def _layout(self) -> InterfaceLayout:
        return InterfaceLayout(("Gi0/1",), (1,), (self.speed,), (self.wide,), discovered_ns=int(self.time_s))

    def poll(self, event: Poll, *, rebooted_before: bool) -> DeviceReading | None:
        octets = int(self.speed / 8 * event.after_s * event.load)
        self.time_s += event.after_s
        if event.reboot:
            octets //= 2
            self.counter, self.uptime = octets, int(event.after_s * 50)
        else:
            self.counter = (self.counter + octets) % (2**64 if self.wide else 2**32)
            self.uptime = (self.uptime + round(event.after_s * 100)) % 2**32
        self.truth += octets
        if event.lost:
            return None
        if rebooted_before:
            self.baseline, self.reread = None, True
        else:
            if self.reread:
                self.layout, self.reread = self._layout(), False
            if self.baseline is not None:
                self.countable += self.truth - self.baseline
                self.intervals.append((self.last_s, self.time_s))
            self.baseline = self.truth
        self.last_s = self.time_s
        at = START + round(self.time_s * 100) * 10**7
        return DeviceReading("r1", at, self.layout, [at], [self.uptime], [self.counter] * 2 + [0] * 6, [1], [None])


def readings_of(device: Simulated, polls: list[Poll]) -> list[DeviceReading]:
    readings, rebooted, silent = [], False, 0
    for event in [Poll(60, 0.1, lost=False, reboot=False), *polls]:
        silent = silent + 1 if event.lost else 0
        happened = replace(event, lost=event.lost and silent < 4)
        rebooted = rebooted or happened.reboot
        reading = device.poll(happened, rebooted_before=rebooted)
        if reading is not None:
            readings.append(reading)
            rebooted = False
    return readings


@given(
    polls=POLLS,
    wide=st.booleans(),
    counter=st.integers(0, 2**32 - 1),
    uptime=st.integers(0, 2**32 - 1) | st.integers(2**32 - 150_000, 2**32 - 1),
    phase=st.integers(0, 6000),
    data=st.data(),
)
@settings(max_examples=300, deadline=None)
def test_the_octets_over_slots_are_the_octets_counted(
    polls: list[Poll], *, wide: bool, counter: int, uptime: int, phase: int, data: st.DataObject
) -> None:
    """For any phasing, jitter, loss, reboot and wrap; and a save and load at any point changes nothing.

    (R25, R26, R27, R28, R29, R31, R33, R34, R62a)
    """
    if uptime >= 2**32 - 200_000:  # without a witness nobody can tell a reboot in the very minute of the wrap from it
        polls = [replace(each, reboot=False) for each in polls]
    device = Simulated(wide, counter + (2**63 if wide else 0), uptime, phase / 100)
    readings = readings_of(device, polls)
    saved_after = data.draw(st.integers(0, len(readings)))
    counters, ledger = DeviceCounters(), ledger_of(account("line", ("r1", "Gi0/1")))
    by_slot: dict[int, SlotTotals] = {}
    for number, reading in enumerate(readings):
        if number == saved_after:
            counters = DeviceCounters.load(msgpack.decode(msgpack.encode(counters.save())))
            saved = json.loads(json.dumps(ledger.save()))
            ledger = ledger_of(account("line", ("r1", "Gi0/1")))
            ledger.restore(saved)
        rates = counters.update(reading)
        assert all(rate is None or 0 <= rate <= 1.05 * device.speed for rate in rates.rates[:2])
        ledger.add(rates)
        by_slot.update((each.start_ns, each) for each in ledger.close(reading.received_ns[0]))
    by_slot.update((each.start_ns, each) for each in ledger.close(readings[-1].received_ns[0] + 240 * SECOND))
    assert sum(each.in_octets for each in by_slot.values()) == device.countable
    assert sum(each.out_octets for each in by_slot.values()) == device.countable
    assert covered(by_slot) == expected_coverage(device)
    assert all((each.in_bits_per_second or 0) <= 1.05 * device.speed for each in by_slot.values())


@given(
    st.lists(st.tuples(st.integers(5900, 6100), st.integers(0, 800), st.floats(0, 1)), min_size=2, max_size=30),
    st.integers(-20, 20),
)
@settings(max_examples=200, deadline=None)
def test_late_replies_and_a_poor_clock_of_the_agent_move_no_octet_out_of_the_sum(
    polls: list[tuple[int, int, float]], slow_by: int
) -> None:
    """Replies up to 8 s late, and an agent whose clock is off by up to 2 %; intervals stay gapless. (R28, R62a)"""
    counters, ledger = DeviceCounters(), ledger_of(account("line", ("r1", "Gi0/1")))
    layout = InterfaceLayout(("Gi0/1",), (1,), (10**9,), (True,))
    time_s, octets, told, ends = 0.0, 0, [], []
    for after, late, load in polls:
        time_s += after / 100
        octets += int(after / 100 * 125_000_000 * load)
        due, received = (START + int(each * SECOND) for each in (time_s, time_s + late / 100))
        ticks = 10**8 + int(time_s * (1000 + slow_by) / 10)
        rates = counters.update(
            DeviceReading("r1", due, layout, [received], [ticks], [octets] * 2 + [0] * 6, [1], [None])
        )
        assert rates.reason[0] in ("first_reading", "", "implausible")
        assert rates.to_ns[0] <= received
        if ends and not rates.reason[0]:
            assert rates.from_ns[0] == ends[-1]
            ends.append(rates.to_ns[0])
        ends = ends or [rates.to_ns[0]]
        told.append(rates.in_octets[0])
        ledger.add(rates)
    assert sum(each.in_octets for each in ledger.close(START + 10**6 * SECOND)) == sum(told)


@pytest.mark.parametrize("late", [[14], [8], [5], [14, 5], [5, 14], [0, 14], [3, 2, 1], [0, 0, 9, 0, 6]])
def test_late_replies_raise_no_slot_above_what_flowed(late: list[float]) -> None:
    """The first replies come so many seconds late; the line carries 980 Mbps all the time. (R28, R62a)"""
    counters, ledger = DeviceCounters(), ledger_of(account("line", ("r1", "Gi0/1")))
    layout = InterfaceLayout(("Gi0/1",), (1,), (10**9,), (True,))
    for number in range(10):
        at = START + (60 * number + 1) * SECOND
        received = at + round((late[number] if number < len(late) else 0) * SECOND)
        octets, ticks = number * 60 * 122_500_000, 10**8 + number * 6000
        ledger.add(
            counters.update(DeviceReading("r1", at, layout, [received], [ticks], [octets] * 2 + [0] * 6, [1], [None]))
        )
    told = ledger.close(START + 9 * MINUTE)
    assert [each.coverage_ratio for each in told] == [pytest.approx(59 / 60), *[1.0] * 8]
    assert [each.in_bits_per_second for each in told] == pytest.approx([980e6] * 9, rel=0.02)


def covered(by_slot: dict[int, SlotTotals]) -> dict[int, int]:
    return {start_ns: each.covered_ns for start_ns, each in by_slot.items() if each.covered_ns}


def expected_coverage(device: Simulated) -> dict[int, int]:
    """By brute force over the intervals that were no gap."""
    expected: defaultdict[int, int] = defaultdict(int)
    for from_s, to_s in device.intervals:
        if to_s - from_s > 135:
            continue
        from_ns, to_ns = (START + round(each * 100) * 10**7 for each in (from_s, to_s))
        for slot in range(from_ns // MINUTE, to_ns // MINUTE + 1):
            overlap = min(to_ns, (slot + 1) * MINUTE) - max(from_ns, slot * MINUTE)
            if overlap > 0:
                expected[slot * MINUTE] += overlap
    return dict(expected)


@given(
    st.permutations(list(range(6))),
    st.permutations(list(range(6))),
    st.lists(st.integers(0, 10**9), min_size=12, max_size=12),
)
@settings(deadline=None)
def test_the_order_of_arrival_within_a_slot_changes_nothing(
    order: list[int], other: list[int], octets: list[int]
) -> None:
    """(R62a)"""

    def run(sequence: list[int]) -> list[SlotTotals]:
        devices = [(f"r{number}", "Gi0/1") for number in range(6)]
        ledger = ledger_of(account("all", *devices), account("half", *devices[:3]))
        for turn in range(2):
            for number in sequence:
                offset = number * 7
                rates = counted(
                    f"r{number}", offset + 60 * turn, offset + 60 * turn + 60, (octets[number + 6 * turn], 1)
                )
                ledger.add(rates)
        return ledger.close(START + 300 * SECOND)

    assert run(order) == run(other)


def test_a_saved_ledger_of_another_version_is_refused() -> None:
    ledger = ledger_of(account("line", ("r1", "Gi0/1")))
    with pytest.raises(ValueError, match="version 99"):
        ledger.restore(ledger.save() | {"version": 99})


def test_a_changed_configuration_keeps_what_still_exists() -> None:
    ledger = ledger_of(account("old", ("r1", "Gi0/1")), account("line", ("r1", "Gi0/2")))
    ledger.add(counted("r1", 0, 90, (900, 0), (1800, 0)))
    ledger.close(START + 90 * SECOND)
    fresh = ledger_of(account("line", ("r1", "Gi0/2")), account("new", ("r2", "Gi0/1")))
    fresh.restore(ledger.save())
    fresh.add(counted("r1", 90, 120, (0, 0), (600, 0)))
    assert told(fresh.close(START + 120 * SECOND)) == [(60.0, 1200, 0, 1.0, False)]
