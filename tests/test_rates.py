"""Rates by table: every way in which a counter can mislead."""

import random
from typing import Any

import pytest
from msgspec import msgpack

from poller.devicerates import DeviceRates
from poller.interfaces import interface_samples
from poller.rates import DeviceCounters, Rates
from poller.readings import COUNTERS, DeviceReading, InterfaceLayout
from poller.sample import Quality
from poller.schema import SCHEMA

SECOND = 10**9
START = 1_800_000_000 * SECOND
GIGABIT = 10**9
ONE = InterfaceLayout(("Gi0/1",), (1,), (GIGABIT,), (True,))
NARROW = InterfaceLayout(("Gi0/1",), (1,), (GIGABIT,), (False,))
NARROW_100M = InterfaceLayout(("Fa0/1",), (1,), (100_000_000,), (False,))
NARROW_UNKNOWN = InterfaceLayout(("tun0",), (1,), (0,), (False,))
DAY_TICKS = 8_640_000


def row(octets: int, packets: int = 0, errors: int = 0) -> list[int]:
    return [octets, octets, packets, packets, errors, errors, 0, 0]


def reading(at: float, *rows: list[int | None], layout: InterfaceLayout = ONE, **more: Any) -> DeviceReading:
    """A reading of all rows at one moment, seconds after START; the uptime began ten days before."""
    count = len(layout.names)
    uptime = more.pop("uptime", 10 * DAY_TICKS + round(at * 100))
    discontinuity = more.pop("discontinuity", None)
    return DeviceReading(
        device="fw-1",
        due_ns=START + int(at * SECOND),
        layout=layout,
        received_ns=[START + int(at * SECOND)] * count,
        uptime_ticks=[uptime] * count,
        counters=[value for row in rows for value in row],
        oper_status=[1] * count,
        discontinuity_ticks=[discontinuity] * count,
        **more,
    )


def last_of(*readings: DeviceReading) -> DeviceRates:
    counters = DeviceCounters()
    for each in readings[:-1]:
        counters.update(each)
    return counters.update(readings[-1])


def verdict(rates: DeviceRates, row: int = 0) -> tuple[float | None, str, str]:
    return rates.rates[row * len(COUNTERS)], str(rates.quality[row]), rates.reason[row]


def test_two_readings_make_a_rate_and_count_the_octets() -> None:
    """(R28)"""
    rates = last_of(reading(0, row(1000, 10, 1)), reading(60, row(7_501_000, 610, 61)))
    assert rates.rates == [1e6, 1e6, 10.0, 10.0, 1.0, 1.0, 0.0, 0.0]
    assert (rates.in_octets[0], rates.out_octets[0]) == (7_500_000, 7_500_000)
    assert (rates.from_ns[0], rates.to_ns[0]) == (START, START + 60 * SECOND)


def test_the_first_reading_is_unknown_and_not_zero() -> None:
    """(R35)"""
    assert verdict(last_of(reading(0, row(1000)))) == (None, "unknown", "first_reading")


@pytest.mark.parametrize(
    ("name", "readings", "expected"),
    [
        ("a Counter64 that falls to zero", [reading(0, row(10**15)), reading(60, row(0))], "discontinuity"),
        ("a Counter64 that falls to less", [reading(0, row(10**15)), reading(60, row(10**14))], "discontinuity"),
        ("packets that fall alone", [reading(0, row(5, 9)), reading(60, row(6, 8))], "discontinuity"),
        (
            "a new ifCounterDiscontinuityTime though everything grew",
            [reading(0, row(10), discontinuity=0), reading(60, row(20), discontinuity=86_400_000)],
            "discontinuity",
        ),
        ("a reboot", [reading(0, row(10)), reading(60, row(20), uptime=3000)], "rebooted"),
        (
            "an agent that restarted while the system ran on",
            [reading(0, row(10), system_uptime_ticks=5000), reading(60, row(20), uptime=30, system_uptime_ticks=11000)],
            "agent_restarted",
        ),
        ("another unit that answers", [reading(0, row(10)), reading(60, row(20), uptime=5 * DAY_TICKS)], "replaced"),
        ("a rate of 1.06 times the line's", [reading(0, row(0)), reading(60, row(7_950_000_000))], "implausible"),
        ("ten times the packets that fit", [reading(0, row(0)), reading(60, row(1, 3_938_000_000))], "implausible"),
        (
            "a Counter32 that can wrap twice at 60 s and 1 Gbps",
            [reading(0, row(10), layout=NARROW), reading(60, row(20), layout=NARROW)],
            "counter32_too_fast",
        ),
        (
            "a Counter32 of unknown speed, which may have wrapped unnoticed",
            [reading(0, row(0), layout=NARROW_UNKNOWN), reading(60, row(705_032_704), layout=NARROW_UNKNOWN)],
            "counter32_too_fast",
        ),
        (
            "a Counter32 that fell without a known uptime",
            [
                reading(0, row(4_294_967_290), layout=NARROW_100M, uptime=None),
                reading(60, row(20), layout=NARROW_100M, uptime=None),
            ],
            "discontinuity",
        ),
        ("a silence of four intervals", [reading(0, row(0)), reading(240, row(10))], "gap"),
        ("a silence of a little more than two intervals", [reading(0, row(0)), reading(140, row(10))], "gap"),
        (
            "an agent that began anew twice within a minute",
            [reading(0, row(10), uptime=3000), reading(60, row(20), uptime=5000)],
            "rebooted",
        ),
        (
            "our clock set back",
            [reading(600, row(0)), reading(0, row(10), uptime=10 * DAY_TICKS + 61_000)],
            "clock_stepped",
        ),
        ("an old reading that arrives late", [reading(60, row(10)), reading(0, row(0))], "out_of_order"),
    ],
)
def test_what_cannot_be_told_has_no_rate_but_a_reason(name: str, readings: list[DeviceReading], expected: str) -> None:
    """(R26, R27, R29, R31, R33, R25)"""
    assert verdict(last_of(*readings)) == (None, "unknown", expected), name


@pytest.mark.parametrize("layout", [ONE, NARROW_100M])
def test_a_rate_of_up_to_1_05_times_the_line_is_believed(layout: InterfaceLayout) -> None:
    """Agents count frames that our clock puts into a slightly shorter time. (R31)"""
    octets = int(layout.speeds[0] / 8 * 60 * 1.045)
    rates = last_of(reading(0, row(0), layout=layout), reading(60, row(octets), layout=layout))
    assert verdict(rates) == (pytest.approx(1.045 * layout.speeds[0]), "observed", "")


def test_after_a_discontinuity_the_new_value_is_the_baseline_at_once() -> None:
    """(R26)"""
    rates = last_of(reading(0, row(10**15)), reading(60, row(500)), reading(120, row(7_500_500)))
    assert verdict(rates) == (1e6, "observed", "")
    assert rates.in_octets[0] == 7_500_000


def test_a_counter32_wrap_adds_exactly_two_to_the_thirty_two() -> None:
    """(R27)"""
    rates = last_of(reading(0, row(2**32 - 1), layout=NARROW_100M), reading(60, row(99_999_999), layout=NARROW_100M))
    assert rates.in_octets[0] == 100_000_000
    assert verdict(rates)[1:] == ("observed", "")


def test_a_counter32_fall_that_would_exceed_the_line_is_no_wrap() -> None:
    """(R27)"""
    rates = last_of(reading(0, row(2_000_000_000), layout=NARROW_100M), reading(60, row(10), layout=NARROW_100M))
    assert verdict(rates) == (None, "unknown", "implausible")


def test_a_counter32_does_not_wrap_across_a_reboot() -> None:
    """(R27)"""
    rates = last_of(
        reading(0, row(2**32 - 1), layout=NARROW_100M), reading(60, row(10), layout=NARROW_100M, uptime=2000)
    )
    assert verdict(rates) == (None, "unknown", "rebooted")
    assert (rates.restart, rates.reread_layout) == ("rebooted", True)


def test_errors_wrap_as_counter32_even_where_octets_are_wide() -> None:
    """(R27)"""
    before, after = row(0), row(0)
    before[4], after[4] = 2**32 - 10, 50
    assert last_of(reading(0, before), reading(60, after)).rates[4] == 1.0


def test_errors_that_fall_lose_only_their_own_rate() -> None:
    """(R20)"""
    before, after = row(0), row(7_500_000)
    before[4], after[4] = 1000, 10
    rates = last_of(reading(0, before), reading(60, after))
    assert (rates.rates[0], rates.rates[4], rates.quality[0]) == (1e6, None, Quality.OBSERVED)


def test_sysuptime_wraps_after_497_days_without_a_reboot() -> None:
    """(R29)"""
    rates = last_of(
        reading(0, row(0), uptime=4_294_967_290),
        reading(0.56, row(7_000, 1), uptime=50),
        reading(60.56, row(7_507_000, 1), uptime=6050),
    )
    assert rates.restart == ""
    assert verdict(rates) == (1e6, "observed", "")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, ""),
        ({"engine_boots": 7, "engine_seconds": 900}, {"engine_boots": 8, "engine_seconds": 5}, "rebooted"),
        ({"engine_boots": 7, "engine_seconds": 900}, {"engine_boots": 7, "engine_seconds": 960}, ""),
        ({"system_uptime_ticks": 4_294_900_000}, {"system_uptime_ticks": 300}, "rebooted"),
        ({"system_uptime_ticks": 9_000_000}, {"system_uptime_ticks": 9_006_000}, ""),
    ],
)
def test_at_the_wrap_the_second_witness_decides(before: dict[str, int], after: dict[str, int], expected: str) -> None:
    """(R29)"""
    first = reading(0, row(0), uptime=4_294_965_000, **before)
    assert last_of(first, reading(60, row(10), uptime=3704, **after)).restart == expected


def test_a_jump_of_our_clock_is_no_reboot_where_the_engine_ran_on() -> None:
    """(R29)"""
    first = reading(0, row(0), uptime=1000, engine_boots=3, engine_seconds=10)
    second = reading(7260, row(0), uptime=7000, engine_boots=3, engine_seconds=70)
    assert last_of(first, second).restart == ""


def test_time_comes_from_sysuptime_and_not_from_a_late_reply() -> None:
    """(R28)"""
    rates = last_of(
        reading(0, row(0)), reading(60, row(7_500_000)), reading(125, row(15_000_000), uptime=10 * DAY_TICKS + 12_000)
    )
    assert verdict(rates)[0] == 1e6
    assert rates.to_ns[0] == START + int(120.6 * SECOND)


def test_a_stuck_sysuptime_gives_way_to_our_clock() -> None:
    """(R28)"""
    ticks = 10 * DAY_TICKS
    rates = last_of(reading(0, row(0), uptime=ticks), reading(60, row(7_500_000), uptime=ticks))
    assert verdict(rates) == (1e6, "observed", "")


def test_a_missing_value_fails_and_is_made_good_by_the_next_reading() -> None:
    """(R20, R35)"""
    counters = DeviceCounters()
    counters.update(reading(0, row(0)))
    failed = counters.update(reading(60, [None] * 8, failures={"interfaces": "no_answer"}))
    assert verdict(failed) == (None, "failed", "no_answer")
    assert counters.update(reading(120, row(15_000_000))).in_octets[0] == 15_000_000


def test_a_counter_the_device_lacks_leaves_the_others_alone() -> None:
    """(R20)"""
    before: list[int | None] = [0, 0, 0, 0, 0, 0, None, None]
    after: list[int | None] = [7_500_000, 0, 60, 0, 0, 0, None, None]
    rates = last_of(reading(0, before), reading(60, after))
    assert rates.rates == [1e6, 0.0, 1.0, 0.0, 0.0, 0.0, None, None]
    assert verdict(rates)[1:] == ("observed", "")


def test_one_lost_poll_is_no_gap_even_where_the_next_reply_is_late() -> None:
    """(R33)"""
    rates = last_of(reading(0, row(0)), reading(130, row(16_250_000)))
    assert verdict(rates) == (1e6, "observed", "")


def test_octets_after_a_gap_count_but_give_no_rate() -> None:
    """(R33)"""
    rates = last_of(reading(0, row(0)), reading(240, row(30_000_000)))
    assert verdict(rates) == (None, "unknown", "gap")
    assert (rates.in_octets[0], rates.to_ns[0] - rates.from_ns[0]) == (30_000_000, 240 * SECOND)


def test_a_cached_agent_polled_at_10_s_shows_its_true_rate_without_a_sawtooth() -> None:
    """It reads its counters every 30 s and carries 500 Mbps: never 0, never 150 %. (R32)"""
    counters = DeviceCounters()
    told = []
    for poll in range(30):
        octets = (poll * 10 // 30) * 30 * 62_500_000
        told.append(verdict(counters.update(reading(poll * 10, row(octets), interval_ns=10 * SECOND))))
    assert {rate for rate, _, _ in told[4:]} == {500e6}
    assert {quality for _, quality, _ in told[4:]} == {"observed"}
    assert [reason for _, _, reason in told[3:9]] == ["", "cached", "cached"] * 2


def test_equal_readings_with_nothing_known_before_stay_unknown() -> None:
    rates = last_of(reading(0, row(5), interval_ns=10 * SECOND), reading(10, row(5), interval_ns=10 * SECOND))
    assert verdict(rates) == (None, "unknown", "cached")


def test_a_device_without_interfaces_is_read_too() -> None:
    nothing = InterfaceLayout((), (), (), ())
    rates = last_of(reading(0, layout=nothing), reading(60, layout=nothing))
    assert (rates.rates, rates.restart) == ([], "")


def test_an_idle_interface_polled_at_10_s_is_zero_and_counts_its_time() -> None:
    """(R32)"""
    counters = DeviceCounters()
    rates = [counters.update(reading(poll * 10, row(5), interval_ns=10 * SECOND)) for poll in range(20)]
    assert verdict(rates[-1])[0] == 0.0
    assert sum(each.to_ns[0] - each.from_ns[0] for each in rates) >= 150 * SECOND


def test_a_cached_agent_polled_at_60_s_is_right_on_every_poll() -> None:
    """(R32)"""
    counters = DeviceCounters()
    told = []
    for poll in range(20):
        octets = (poll * 60 // 30) * 30 * 62_500_000
        told.append(verdict(counters.update(reading(poll * 60, row(octets)))))
    assert set(told[1:]) == {(500e6, "observed", "")}


@pytest.mark.parametrize(("interval", "single", "mean"), [(10, 0.6, 0.2), (20, 0.6, 0.3), (60, 0.51, 0.05)])
def test_a_cached_agent_polled_with_jitter_is_off_within_known_limits_and_loses_no_octet(
    interval: int, single: float, mean: float
) -> None:
    """It reads its counters every 30 s and carries 200 Mbps; a poll comes up to 1 s late. (R32)"""
    for seed in range(40):
        dice = random.Random(seed)
        phase, counters, begin = dice.uniform(0, 30), DeviceCounters(), 0.0
        told, octets, known = [], 0, 0
        for poll in range(1200 // interval):
            at = round(100 + poll * interval + dice.uniform(0, 1), 2)
            known = int(((at - phase) // 30 * 30 + phase) * 25_000_000)
            begin = begin or known
            rates = counters.update(reading(at, row(known), interval_ns=interval * SECOND))
            octets += rates.in_octets[0]
            told.append(rates.rates[0])
        rated = [rate for rate in told[60 // interval + 1 :] if rate is not None]
        assert len(rated) == len(told) - 60 // interval - 1
        assert max(abs(rate / 200e6 - 1) for rate in rated) <= single
        assert sum(rated) / len(rated) == pytest.approx(200e6, rel=mean)
        assert 0 <= known - begin - octets <= 30 * 25_000_000


def test_a_cached_agent_at_full_load_that_is_polled_unevenly_loses_no_octet() -> None:
    """One poll sees 90 s of counting after 60 s: too much for the line, but right over the next two intervals.

    (R31, R32)
    """
    refreshed = [0, 60, 150, 180, 240]
    counters = DeviceCounters()
    rates = [counters.update(reading(poll * 60, row(at * 118_750_000))) for poll, at in enumerate(refreshed)]
    assert [each.reason[0] for each in rates] == ["first_reading", "", "implausible", "", ""]
    assert sum(each.in_octets[0] for each in rates) == 240 * 118_750_000
    assert max(each.rates[0] or 0.0 for each in rates) <= 1.05 * GIGABIT


def test_two_ifindexes_swapped_across_a_reboot_do_not_talk_across() -> None:
    """Also where every counter is larger afterwards and under the old index map for some polls. (R30)"""
    old = InterfaceLayout(("lan", "wan"), (1, 2), (GIGABIT, GIGABIT), (True, True))
    new = InterfaceLayout(("lan", "wan"), (2, 1), (GIGABIT, GIGABIT), (True, True))
    counters = DeviceCounters()
    counters.update(reading(0, row(1_000_000), row(2_000_000), layout=old))
    rebooted = counters.update(reading(60, row(2_100_000), row(2_200_000), layout=old, uptime=3000))
    assert (rebooted.restart, rebooted.reread_layout, rebooted.reason) == ("rebooted", True, ["rebooted"] * 2)
    unread = counters.update(reading(120, row(2_300_000), row(2_400_000), layout=old, uptime=9000))
    assert (unread.reason, unread.rates[0], unread.rates[8]) == (["index_map_unverified"] * 2, None, None)
    first = counters.update(reading(180, row(9_000_000), row(3_000_000), layout=new, uptime=15_000))
    assert (first.reason, first.in_octets) == (["first_reading"] * 2, [0, 0])
    second = counters.update(reading(240, row(9_000_600), row(3_750_000), layout=new, uptime=21_000))
    assert second.in_octets == [600, 750_000]


def test_a_map_that_still_holds_after_a_reboot_is_used_as_soon_as_it_was_read_again() -> None:
    """(R30)"""
    again = InterfaceLayout(ONE.names, ONE.if_indexes, ONE.speeds, ONE.wide)
    rates = last_of(
        reading(0, row(10)),
        reading(60, row(20), uptime=3000),
        reading(120, row(30), uptime=9000, layout=again),
        reading(180, row(7_500_030), uptime=15_000, layout=again),
    )
    assert verdict(rates) == (1e6, "observed", "")


def test_a_rediscovery_keeps_the_baseline_of_what_stayed() -> None:
    """(R30)"""
    wider = InterfaceLayout(("new", "Gi0/1"), (9, 1), (GIGABIT, GIGABIT), (True, True))
    rates = last_of(reading(0, row(10)), reading(60, row(5), row(7_500_010), layout=wider))
    assert rates.reason == ["first_reading", ""]
    assert rates.in_octets == [0, 7_500_000]


def test_samples_name_only_what_the_schema_knows_and_leave_out_what_is_not_known() -> None:
    """(R35, R67)"""
    before, now = reading(0, row(0)), reading(60, row(7_500_000))
    counters = Rates()
    (first,) = interface_samples(before, counters.update(before))
    (second,) = interface_samples(now, counters.update(now))
    known = {field.name: field.kind for field in SCHEMA["interface"].fields}
    assert all(isinstance(value, known[name]) for name, value in second.fields.items())
    assert "in_bits_per_second" not in first.fields
    assert (first.fields["quality"], first.fields["reason"]) == ("unknown", "first_reading")
    assert (second.fields["in_bits_per_second"], second.fields["in_ratio"]) == (1e6, 0.001)
    assert second.tags == (("device", "fw-1"), ("interface", "Gi0/1"))
    assert second.time_ns == START + 60 * SECOND


def test_a_saved_state_of_another_version_is_refused() -> None:
    counters = DeviceCounters()
    counters.update(reading(0, row(0)))
    saved = msgpack.decode(msgpack.encode(counters.save()))
    with pytest.raises(ValueError, match="version 99"):
        DeviceCounters.load(saved | {"version": 99})
