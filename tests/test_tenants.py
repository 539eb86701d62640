"""Tenants: sums before percentiles, caps, months in local time, failover, and the rest of a line."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.accounts import Member, SlotTotals
from poller.caps import CapStatus, Usage
from poller.contracts import CapContract, CircuitContract, Contracts, LineGroupContract, TenantContract
from poller.devicerates import DeviceRates
from poller.percentiles import percentile
from poller.readings import InterfaceLayout
from poller.sample import Quality, Sample
from poller.schema import SCHEMA
from poller.slots import SlotLedger
from poller.tenants import Tenants
from poller.volumes import Day, Volumes, month_bounds_ns

TOKYO = ZoneInfo("Asia/Tokyo")
SECOND = 10**9
MINUTE = 60 * SECOND
START = int(datetime(2026, 11, 2, 9, 0, tzinfo=TOKYO).timestamp()) * SECOND
NAMES = ("vlan101", "vlan102", "wan0")


def contracts(*caps: CapContract, parts: tuple[Member, ...] = ()) -> Contracts:
    """Two tenants behind a pair of firewalls on one line."""
    return Contracts(
        circuits={"inet": CircuitContract("inet", "internet", 4 * 10**9, Member("rt-1", "wan0"), 10**9, "internet")},
        line_groups={"internet": LineGroupContract("internet", ("inet",), 4 * 10**9, 10**9, parts)},
        redundancy_groups={},
        tenants={
            name: TenantContract(
                name,
                {"internet": (Member("fw-1", vlan, reversed=True), Member("fw-2", vlan, reversed=True))},
                caps if name == "tsu" else (),
            )
            for name, vlan in (("tsu", "vlan101"), ("ise", "vlan102"))
        },
    )


def minute(device: str, number: int, *octets: tuple[int, int]) -> DeviceRates:
    rows = len(octets)
    names = NAMES[2:] if device == "rt-1" else NAMES[:rows]
    return DeviceRates(
        device=device,
        due_ns=START + (number + 1) * MINUTE,
        layout=InterfaceLayout(names, tuple(range(rows)), (0,) * rows, (True,) * rows),
        rates=[None] * (8 * rows),
        quality=[Quality.OBSERVED] * rows,
        reason=[""] * rows,
        in_octets=[into for into, _ in octets],
        out_octets=[out for _, out in octets],
        from_ns=[START + number * MINUTE] * rows,
        to_ns=[START + (number + 1) * MINUTE] * rows,
    )


def run(tenants: Tenants, ledger: SlotLedger, *rates: DeviceRates) -> list[Sample]:
    for each in rates:
        ledger.add(each)
    now_ns = max(max(each.to_ns) for each in rates)
    return tenants.update(ledger.close(now_ns), ledger.totals)


def fields_of(samples: list[Sample], tenant: str, line: str = "internet") -> dict[str, object]:
    (found,) = [each for each in samples if each.tags == (("tenant", tenant), ("line", line))]
    return dict(found.fields)


def test_use_is_summed_over_attachments_by_line_and_in_total_towards_the_tenant() -> None:
    """(R62)"""
    made = contracts()
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    samples = run(
        tenants,
        ledger,
        minute("fw-1", 0, (10, 7_500_000), (0, 0)),
        minute("fw-2", 0, (5, 1_500_000), (0, 0)),
        minute("rt-1", 0, (9_000_000, 15)),
    )
    expected = {
        "coverage_ratio": 1.0,
        "in_octets": 9_000_000,
        "out_octets": 15,
        "in_bits_per_second": 1_200_000.0,
        "out_bits_per_second": 2.0,
        "month_octets": 9_000_015,
    }
    assert fields_of(samples, "tsu") == expected
    assert fields_of(samples, "tsu", "total") == expected
    known = {field.name for field in SCHEMA["tenant"].fields}
    assert all(set(sample.fields) <= known for sample in samples)


def test_a_failover_moves_the_use_and_counts_nothing_twice() -> None:
    """(R64)"""
    made = contracts()
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    told = []
    for number in range(6):
        active, standby = ("fw-1", "fw-2") if number < 3 else ("fw-2", "fw-1")
        samples = run(
            tenants,
            ledger,
            minute(active, number, (0, 6_000_000), (0, 0)),
            minute(standby, number, (0, 0), (0, 0)),
            minute("rt-1", number, (6_000_000, 0)),
        )
        told.append((fields_of(samples, "tsu")["in_octets"], fields_of(samples, "unattributed")["in_octets"]))
    assert told == [(6_000_000, 0)] * 6
    assert fields_of(samples, "tsu")["month_octets"] == 36_000_000


def test_what_no_tenant_accounts_for_is_shown_and_above_two_percent_it_is_a_finding() -> None:
    """(R62)"""
    made = contracts()
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    for number in range(60):
        samples = run(
            tenants,
            ledger,
            minute("fw-1", number, (0, 600), (0, 370)),
            minute("fw-2", number, (0, 0), (0, 0)),
            minute("rt-1", number, (1000, 0)),
        )
    assert fields_of(samples, "unattributed")["in_octets"] == 30
    (finding,) = tenants.findings()
    assert (finding.line, finding.in_octets, finding.line_in_octets, finding.share) == ("internet", 1800, 60_000, 0.03)


@pytest.mark.parametrize(
    ("unaccounted", "found"), [(19, False), (20, False), (21, True), (-19, False), (-20, False), (-21, True)]
)
@pytest.mark.parametrize("outward", [False, True])
def test_a_rest_is_a_finding_above_two_percent_and_not_at_it(unaccounted: int, *, outward: bool, found: bool) -> None:
    """Either direction of the line alone is enough. (R62)"""
    made = contracts()
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    whole, accounted = (1000, 1000), (1000 - unaccounted * (not outward), 1000 - unaccounted * outward)
    for number in range(60):
        firewall = minute("fw-1", number, (accounted[1], accounted[0]), (0, 0))
        rest = minute("fw-2", number, (0, 0), (0, 0)), minute("rt-1", number, whole)
        samples = run(tenants, ledger, firewall, *rest)
    assert [rest.line for rest in tenants.findings()] == ["internet"] * found
    told = fields_of(samples, "unattributed")
    assert (told["rest_ratio"], told["adds_up"]) == (unaccounted / 1000, not found)


def test_tenants_that_exceed_their_line_are_a_finding_with_a_negative_share_but_no_negative_rate() -> None:
    made = contracts()
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    for number in range(60):
        samples = run(
            tenants,
            ledger,
            minute("fw-1", number, (0, 1100), (0, 0)),
            minute("fw-2", number, (0, 0), (0, 0)),
            minute("rt-1", number, (1000, 0)),
        )
    assert fields_of(samples, "unattributed")["in_bits_per_second"] == 0.0
    assert [rest.share for rest in tenants.findings()] == [-0.1]


def test_a_measured_part_of_the_line_is_accounted_for() -> None:
    made = contracts(parts=(Member("fw-1", "wan0"),))
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    for number in range(60):
        run(
            tenants,
            ledger,
            minute("fw-1", number, (0, 600), (0, 0), (400, 0)),
            minute("fw-2", number, (0, 0), (0, 0)),
            minute("rt-1", number, (1000, 0)),
        )
    assert tenants.findings() == []
    assert [rest.in_octets for rest in tenants.rests()] == [0]


@pytest.fixture
def fed() -> Callable[..., Tenants]:
    """Tenants with one cap for tsu, fed with slots of so many megabits per second towards it."""

    def feed(cap: CapContract, megabits: list[float | None], *, start_ns: int = START) -> Tenants:
        made = contracts(cap)
        tenants = Tenants(made, TOKYO)
        for number, rate in enumerate(megabits):
            octets = 0 if rate is None else int(rate * 7_500_000)
            observed = 0 if rate is None else MINUTE
            slot = SlotTotals(
                "tenant/tsu/internet", start_ns + number * MINUTE, octets, 0, 0, 0, 2 * observed, observed, 2
            )
            tenants.update([slot], lambda *_: None)
        return tenants

    return feed


def statuses(tenants: Tenants, kind: str) -> dict[str, CapStatus]:
    return {status.direction: status for status in tenants.caps() if status.kind == kind}


@pytest.mark.parametrize(
    ("megabits", "exceeded"),
    [
        ([90.0] * 10, False),
        ([0.0] * 5 + [110.0] * 6, False),
        ([0.0] * 5 + [110.0] * 7, True),
        ([110.0] * 10, True),
        ([0.0] * 5 + [499.0, 0.0, 0.0], False),
        ([0.0] * 5 + [510.0, 0.0], False),
        ([0.0] * 5 + [510.0, 0.0, 0.0], True),
        ([99.0] * 5 + [106.0] + [99.0] * 4, True),
        ([99.0] * 5 + [106.0] + [99.0] * 5, False),
    ],
)
def test_a_sustained_cap_is_exceeded_when_the_5_minute_average_is_above_for_3_slots(
    fed: Callable[..., Tenants], megabits: list[float], *, exceeded: bool
) -> None:
    """(R64)"""
    cap = CapContract("internet", "each", sustained_rate=100_000_000)
    assert statuses(fed(cap, megabits), "sustained_rate")["in"].exceeded is exceeded


def test_a_sustained_cap_says_nothing_where_too_little_was_observed(fed: Callable[..., Tenants]) -> None:
    cap = CapContract("internet", "in", sustained_rate=100_000_000)
    assert statuses(fed(cap, [110.0] * 10 + [None] * 3), "sustained_rate") == {}


def test_the_cap_ratio_of_a_sample_is_the_5_minute_average_against_the_sustained_cap() -> None:
    made = contracts(CapContract("internet", "in", sustained_rate=100_000_000))
    tenants = Tenants(made, TOKYO)
    for number, rate in enumerate((50.0, 60.0, 70.0, 80.0, 90.0)):
        slot = SlotTotals(
            "tenant/tsu/internet", START + number * MINUTE, int(rate * 7.5e6), 0, 0, 0, 2 * MINUTE, MINUTE, 2
        )
        (sample,) = tenants.update([slot], lambda *_: None)
    assert sample.fields["in_cap_ratio"] == 0.7
    assert "out_cap_ratio" not in sample.fields


def test_of_two_sustained_caps_the_lower_one_is_what_a_sample_is_held_against() -> None:
    """(R64)"""
    caps = [CapContract("internet", "in", sustained_rate=rate) for rate in (100_000_000, 200_000_000)]
    tenants = Tenants(contracts(*caps), TOKYO)
    for number in range(5):
        slot = SlotTotals("tenant/tsu/internet", START + number * MINUTE, 375_000_000, 0, 0, 0, 2 * MINUTE, MINUTE, 2)
        (sample,) = tenants.update([slot], lambda *_: None)
    assert sample.fields["in_cap_ratio"] == 0.5


def test_a_rate_that_an_amendment_takes_back_counts_no_more_in_the_average() -> None:
    """(R35, R64)"""
    usage = Usage()
    for number in range(5):
        usage.add(SlotTotals("a", START + number * MINUTE, 750, 0, 0, 0, MINUTE, MINUTE, 1), TOKYO)
    assert usage.average(START + 4 * MINUTE, outward=False) == 100.0
    for number in range(2, 5):
        start = START + number * MINUTE
        before = SlotTotals("a", start, 750, 0, 0, 0, MINUTE, MINUTE, 1)
        usage.add(SlotTotals("a", start, 750, 0, 0, 0, MINUTE, 0, 1, previous=before), TOKYO)
    assert usage.average(START + 4 * MINUTE, outward=False) is None


def test_a_burst_is_one_slot_above_its_cap(fed: Callable[..., Tenants]) -> None:
    """(R64)"""
    cap = CapContract("internet", "in", burst_rate=200_000_000)
    over = statuses(fed(cap, [10.0, 250.0]), "burst_rate")["in"]
    assert (over.exceeded, over.ratio) == (True, 1.25)
    assert not statuses(fed(cap, [250.0, 10.0]), "burst_rate")["in"].exceeded


def test_a_percentile_cap_is_of_the_month_so_far(fed: Callable[..., Tenants]) -> None:
    """(R63, R64)"""
    first = month_bounds_ns(date(2026, 11, 2), TOKYO)[0]
    megabits = [10.0] * (90 * 5) + [200.0] * (10 * 5)
    found = statuses(
        fed(CapContract("internet", "in", percentile_95=100_000_000), megabits, start_ns=first), "percentile_95"
    )["in"]
    assert (found.value, found.exceeded, found.provisional) == (200e6, True, False)


def test_a_volume_cap_is_of_the_local_month_and_starts_again_with_it(fed: Callable[..., Tenants]) -> None:
    """The last minute of October and the first of November, in Tokyo. (R64)"""
    before = month_bounds_ns(date(2026, 11, 1), TOKYO)[0] - MINUTE
    cap = CapContract("internet", "each", monthly_volume=100_000_000)
    assert statuses(fed(cap, [16.0], start_ns=before), "monthly_volume")["each"].value == 120_000_000
    started = statuses(fed(cap, [16.0, 2.0], start_ns=before), "monthly_volume")["each"]
    assert (started.value, started.exceeded, started.projected) == (15_000_000, False, None)


def test_the_projection_fills_the_month_with_typical_working_and_other_days() -> None:
    """(R64)"""
    volumes = Volumes(
        {
            date(2026, 10, number): Day(1000 if date(2026, 10, number).weekday() < 5 else 100, 0, 86_400 * SECOND)
            for number in range(5, 32)
        }
    )
    volumes.days[date(2026, 11, 1)] = Day(100, 0, 86_400 * SECOND)
    volumes.days[date(2026, 11, 2)] = Day(500, 0, 43_200 * SECOND)
    found = volumes.project(datetime(2026, 11, 2, 12, 0, tzinfo=TOKYO))
    assert found is not None
    working_days, other_days = 20, 8  # 3 to 30 November 2026
    assert found.so_far == 600
    assert found.octets == 600 + 500 + working_days * 1000 + other_days * 100


@pytest.mark.parametrize("observed_s", [40_000, 81_000])
def test_without_a_whole_day_there_is_no_projection(observed_s: int) -> None:
    volumes = Volumes({date(2026, 11, 1): Day(100, 0, observed_s * SECOND)})
    assert volumes.project(datetime(2026, 11, 2, 12, 0, tzinfo=TOKYO)) is None


def test_late_octets_correct_the_month() -> None:
    made = contracts()
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    ledger.add(minute("fw-1", 0, (0, 1000), (0, 0)))
    tenants.update(ledger.close(START + 3 * MINUTE), ledger.totals)
    ledger.add(minute("fw-2", 0, (0, 500), (0, 0)))
    amended = tenants.update(ledger.close(START + 3 * MINUTE), ledger.totals)
    assert fields_of(amended, "tsu")["in_octets"] == 1500
    assert "month_octets" not in fields_of(amended, "tsu")
    samples = run(tenants, ledger, minute("fw-1", 1, (0, 1), (0, 0)), minute("fw-2", 1, (0, 0), (0, 0)))
    assert fields_of(samples, "tsu")["month_octets"] == 1501


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=20, max_size=120))
@settings(max_examples=50, deadline=None)
def test_the_percentile_of_a_sum_is_taken_of_sums_and_not_the_sum_of_percentiles(pairs: list[tuple[int, int]]) -> None:
    """(R62)"""
    made = contracts(CapContract("internet", "in", percentile_95=1))
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    for number, (first, second) in enumerate(pairs):
        rates = (minute("fw-1", number, (0, first), (0, 0)), minute("fw-2", number, (0, second), (0, 0)))
        run(tenants, ledger, *rates)
    offset = (START - month_bounds_ns(date(2026, 11, 2), TOKYO)[0]) // (5 * MINUTE)
    whole = len(pairs) // 5
    bins = [sum(a + b for a, b in pairs[5 * number : 5 * number + 5]) * 8 / 300 for number in range(whole)]
    expected = percentile([None] * offset + bins)
    assert expected is not None
    found = statuses(tenants, "percentile_95")["in"]
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.provisional


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=30), st.integers(0, 30))
@settings(max_examples=50, deadline=None)
def test_a_save_and_load_at_any_point_changes_nothing(pairs: list[tuple[int, int]], point: int) -> None:
    """A restart of the daemon loses nothing."""
    cap = CapContract("internet", "each", 100, 100, 100, 100)

    def all_told(*, reload: bool) -> tuple[list[Sample], list[CapStatus]]:
        made = contracts(cap)
        tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
        told: list[Sample] = []
        for number, (first, second) in enumerate(pairs):
            if reload and number == point:
                tenants_saved, ledger_saved = json.loads(json.dumps([tenants.save(), ledger.save()]))
                tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
                tenants.restore(tenants_saved)
                ledger.restore(ledger_saved)
            told += run(
                tenants,
                ledger,
                minute("fw-1", number, (1, first), (2, second)),
                minute("fw-2", number, (0, 0), (0, 0)),
                minute("rt-1", number, (first + second, 3)),
            )
        return told, tenants.caps()

    assert all_told(reload=True) == all_told(reload=False)


ALL_CAPS = {"sustained_rate": 10**8, "burst_rate": 10**8, "monthly_volume": 8 * 10**9, "percentile_95": 10**8}


@pytest.mark.parametrize(("direction", "megabits"), [("in", 10.0), ("out", 200.0)])
def test_a_cap_on_one_direction_holds_the_use_of_that_direction_against_it(direction: str, megabits: float) -> None:
    """10 minutes of 10 Mbps towards the tenant and of 200 Mbps away from it. (R64)"""
    tenants = Tenants(contracts(CapContract("internet", direction, **ALL_CAPS)), TOKYO)
    first = month_bounds_ns(date(2026, 11, 2), TOKYO)[0]
    for number in range(10):
        octets = (75_000_000, 1_500_000_000)
        slot = SlotTotals("tenant/tsu/internet", first + number * MINUTE, *octets, 0, 0, 2 * MINUTE, MINUTE, 2)
        (sample,) = tenants.update([slot], lambda *_: None)
    assert {each.kind: (each.direction, each.line, each.value, each.exceeded) for each in tenants.caps()} == {
        "sustained_rate": (direction, "internet", megabits * 1e6, megabits > 100),
        "burst_rate": (direction, "internet", megabits * 1e6, megabits > 100),
        "percentile_95": (direction, "internet", megabits * 1e6, megabits > 100),
        "monthly_volume": (direction, "internet", megabits * 75e6, megabits > 100),
    }
    assert {name for name in sample.fields if name in {"in_cap_ratio", "out_cap_ratio"}} == {f"{direction}_cap_ratio"}
    assert sample.fields[f"{direction}_cap_ratio"] == megabits / 100


def test_a_cap_without_a_line_is_on_all_lines_together() -> None:
    """60 Mbps on each of two lines exceed 100 Mbps in total, though neither line does. (R64)"""
    cap = CapContract(None, "in", **ALL_CAPS)
    made = contracts(cap)
    attachments = {
        "internet": (Member("fw-1", "vlan101", reversed=True),),
        "inet": (Member("fw-1", "vlan102", reversed=True),),
    }
    made = replace(made, tenants={"tsu": TenantContract("tsu", attachments, (cap,))})
    tenants, ledger = Tenants(made, TOKYO), SlotLedger(made.accounts())
    for number in range(10):
        samples = run(tenants, ledger, minute("fw-1", number, (0, 450_000_000), (0, 450_000_000)))
    found = {each.kind: (each.line, each.value, each.exceeded) for each in tenants.caps()}
    assert found["sustained_rate"] == (None, 120e6, True)
    assert found["burst_rate"] == (None, 120e6, True)
    assert found["monthly_volume"] == (None, 9e9, True)
    assert fields_of(samples, "tsu", "total")["in_cap_ratio"] == 1.2
    assert "in_cap_ratio" not in fields_of(samples, "tsu")


def test_slots_of_unknown_accounts_are_passed_over() -> None:
    tenants = Tenants(contracts(), TOKYO)
    stranger = replace(SlotTotals("circuit/other", START, 1, 1, 0, 0, 0, 0, 1), start_ns=START)
    assert tenants.update([stranger], lambda *_: None) == []


def test_caps_of_a_month_are_told_every_five_minutes_and_those_of_a_moment_in_every_slot() -> None:
    """What rules on caps look at (R64)."""
    tenants = Tenants(contracts(CapContract(burst_rate=80_000, monthly_volume=10_000_000)), TOKYO)
    told = []
    for number in range(10):
        totals = SlotTotals("tenant/tsu", START + number * MINUTE, 1_200_000, 600_000, 0, 0, MINUTE, MINUTE, 1)
        told += [sample.fields for sample in tenants.update([totals], lambda _account, _start_ns: None)]
    assert [4, 9] == [number for number, fields in enumerate(told) if "volume_cap_ratio" in fields]
    assert [(2.0, True)] * 10 == [(fields["burst_cap_ratio"], fields["cap_exceeded"]) for fields in told]
    assert (2.0, 1.8) == (told[9]["burst_cap_ratio"], told[9]["volume_cap_ratio"])
