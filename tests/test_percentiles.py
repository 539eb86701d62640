"""The 95th percentile: by hand, against numpy, and over months with holes."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.accounts import Account, Member, SlotTotals
from poller.devicerates import DeviceRates
from poller.percentiles import BIN_NS, MonthBins, ceiling_rank, percentile
from poller.readings import InterfaceLayout
from poller.sample import Quality
from poller.slots import SlotLedger

SECOND = 10**9
MINUTE = 60 * SECOND
START = 30_000_000 * MINUTE


def slot(number: int, in_bits: float, *, observed: float = 1.0, previous: SlotTotals | None = None) -> SlotTotals:
    observed_ns = int(observed * MINUTE)
    octets = int(in_bits * observed_ns / 8e9)
    return SlotTotals(
        "line", START + number * MINUTE, octets, octets // 2, 0, 0, observed_ns, observed_ns, 1, previous=previous
    )


def test_of_8640_values_the_percentile_is_the_8208th() -> None:
    """(R63)"""
    values = [float(number) for number in range(1, 8641)]
    random.Random(7).shuffle(values)
    found = percentile(values)
    assert found is not None
    assert (found.value, found.rank, found.bins, found.provisional) == (8208.0, 8208, 8640, False)


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 1), (2, 2), (19, 19), (20, 19), (21, 20), (100, 95), (8640, 8208), (8928, 8482), (288, 274)]
)
def test_the_rank_is_rounded_up_without_floating_point(count: int, rank: int) -> None:
    """(R63)"""
    assert ceiling_rank(count) == rank


@given(st.lists(st.floats(0, 1e11), min_size=1, max_size=400))
@settings(deadline=None)
def test_the_percentile_is_numpys_inverted_cdf_on_the_same_bins(values: list[float]) -> None:
    """(R63)"""
    found = percentile(values)
    assert found is not None
    assert found.value == np.sort(values)[ceiling_rank(len(values)) - 1]
    if len(values) % 20:  # at exact twentieths numpy's own 0.95 * n is a float, and may be rounded up by one rank
        assert found.value == np.percentile(values, 95, method="inverted_cdf")


def test_missing_bins_are_left_out_and_below_95_percent_coverage_the_figure_is_provisional() -> None:
    """(R63)"""
    values: list[float | None] = [float(number) for number in range(100)]
    values[::25] = [None] * 4
    complete = percentile(values)
    assert complete is not None
    assert (complete.bins, complete.coverage_ratio, complete.provisional) == (96, 0.96, False)
    values[1] = None
    just = percentile(values)
    assert just is not None
    assert (just.bins, just.coverage_ratio, just.provisional) == (95, 0.95, False)
    values[2] = None
    partial = percentile(values)
    assert partial is not None
    assert (partial.bins, partial.provisional) == (94, True)


def test_without_any_data_there_is_no_percentile() -> None:
    assert percentile([None, None]) is None


def test_bins_are_averages_over_what_was_observed_and_leave_out_what_was_hardly_observed() -> None:
    """(R63)"""
    bins = MonthBins(START, START + 20 * MINUTE)
    for number in range(5):
        bins.add(slot(number, 1e6 * (number + 1)))
    bins.add(slot(5, 8e6))
    bins.add(slot(6, 8e6, observed=0.5))
    for number in (10, 11, 12):
        bins.add(slot(number, 4e6))
    assert bins.rates(outward=False) == [3e6, None, 4e6, None]
    assert bins.rates(outward=True, until_ns=START + 14 * MINUTE) == [1.5e6, None]


def test_octets_of_a_gap_give_no_percentile_sample() -> None:
    """(R33)"""
    bins = MonthBins(START, START + 5 * MINUTE)
    for number in range(5):
        bins.add(SlotTotals("line", START + number * MINUTE, 10**9, 10**9, 10**9, 10**9, 0, 0, 1))
    assert bins.rates(outward=False) == [None]


def test_an_amended_slot_corrects_its_bin() -> None:
    bins = MonthBins(START, START + 5 * MINUTE)
    first = slot(0, 1e6, observed=0.5)
    for each in (first, *(slot(number, 2e6) for number in range(1, 5)), slot(0, 2e6, previous=first)):
        bins.add(each)
    assert bins.rates(outward=False) == [2e6]


def test_a_percentile_that_is_kept_is_the_one_that_is_computed() -> None:
    """Whatever comes between, in order or late. (R63)"""
    chance, bins = random.Random(3), MonthBins(START, START + 288 * 5 * MINUTE)
    for number in range(400):
        late = max(0, number - chance.choice([0, 0, 0, 7, 60]))
        bins.add(slot(late, chance.random() * 1e9))
        until_ns = START + (number + 1) * MINUTE
        for outward in (False, True):
            found = bins.percentile(outward=outward, until_ns=until_ns)
            assert found == percentile(bins.rates(outward=outward, until_ns=until_ns))


def test_slots_of_another_month_are_passed_over() -> None:
    bins = MonthBins(START, START + 5 * MINUTE)
    bins.add(slot(-1, 1e6))
    bins.add(slot(5, 1e6))
    assert bins.rates(outward=False) == [None]


def test_a_saved_month_is_the_same_month() -> None:
    bins = MonthBins(START, START + 30 * 288 * 5 * MINUTE)
    for number in range(100):
        bins.add(slot(number, 1e6 * number))
    again = MonthBins.load(json.loads(json.dumps(bins.save())))
    assert again.rates(outward=False) == bins.rates(outward=False)
    assert again.end_ns == bins.end_ns


def counted(device: str, interface: str, number: int, octets: int, *, seen: bool) -> DeviceRates:
    """One 5-minute interval of one interface; unseen, it was lost and counting begins anew at its end."""
    end_ns = START + (number + 1) * BIN_NS
    return DeviceRates(
        device=device,
        due_ns=end_ns,
        layout=InterfaceLayout((interface,), (1,), (0,), (True,)),
        rates=[None] * 8,
        quality=[Quality.OBSERVED],
        reason=[""],
        in_octets=[octets if seen else 0],
        out_octets=[0],
        from_ns=[end_ns - BIN_NS if seen else end_ns],
        to_ns=[end_ns],
    )


def test_half_a_year_with_holes_a_failover_month_and_a_renamed_interface_is_ranked_exactly() -> None:
    """26 weeks in 52,416 bins; 4 % are missing, a standby carries for a month, and then the port gets another name.

    (R30, R62, R63, R68)
    """
    bins = 26 * 7 * 288
    truth = [number * 7919 % 1_000_003 * 37_500 for number in range(bins)]
    failover = range(bins // 3, bins // 3 + 30 * 288)
    renamed = bins // 2 + 20 * 288
    standby = Member("r2", "wan0")
    ledger = SlotLedger([Account("line", (Member("r1", "ge-0/0/0"), standby))], slot_ns=BIN_NS)
    kept = MonthBins(START, START + bins * BIN_NS)
    for number, octets in enumerate(truth):
        if number == renamed:
            saved = ledger.save()
            ledger = SlotLedger([Account("line", (Member("r1", "wan0"), standby))], slot_ns=BIN_NS)
            ledger.restore(saved)
        name = "ge-0/0/0" if number < renamed else "wan0"
        seen, over = number % 25 != 7, number in failover
        ledger.add(counted("r1", name, number, 0 if over else octets, seen=seen))
        ledger.add(counted("r2", "wan0", number, octets if over else 0, seen=seen))
        for totals in ledger.close(START + (number + 1) * BIN_NS):
            kept.add(totals)
    found = percentile(kept.rates(outward=False))
    assert found is not None
    expected = sorted(octets * 8 / 300 for number, octets in enumerate(truth) if number % 25 != 7)
    assert found.bins == len(expected) == 50_319
    assert found.value == expected[(95 * len(expected) + 99) // 100 - 1]
    assert (round(found.coverage_ratio, 3), found.provisional) == (0.96, False)
