"""Roll-ups: mean, max, octets and coverage of five minutes."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from poller.alerts.engine import Alerting
from poller.alerts.store import Store as AlertStore
from poller.config import load
from poller.devicerates import DeviceRates
from poller.pipeline import Pipeline
from poller.rates import DeviceCounters
from poller.readings import DeviceReading, InterfaceLayout
from poller.rollups import CLOSING_CALLS, LEAST_CLOSED, InterfaceRollups, Rollups
from poller.sample import FieldValue, Quality, Sample
from poller.schema import SCHEMA
from poller.wall.live import LiveState

SECOND = 10**9
MINUTE = 60 * SECOND
START = 30_000_000 * MINUTE
TAGS = (("circuit", "inet"), ("kind", "internet"), ("line_group", ""))


def circuit(number: int, in_bits: float, *, coverage: float = 1.0) -> Sample:
    fields: dict[str, FieldValue] = {
        "in_bits_per_second": in_bits,
        "in_octets": int(in_bits * 7.5 * coverage),
        "coverage_ratio": coverage,
        "state": "up",
        "active": True,
    }
    return Sample("circuit", TAGS, fields, START + number * MINUTE)


def rolled(*samples: Sample) -> Mapping[str, FieldValue]:
    rollups = Rollups()
    for sample in samples:
        rollups.add(sample)
    (found,) = rollups.close(START + 8 * MINUTE)
    assert set(found.fields) <= {field.name for field in SCHEMA[found.measurement].fields}
    return found.fields


def test_five_slots_become_mean_max_octets_and_coverage() -> None:
    """(R68)"""
    assert rolled(*(circuit(number, 1e6 * (number + 1)) for number in range(5))) == {
        "in_bits_per_second_mean": 3e6,
        "in_bits_per_second_max": 5e6,
        "in_octets": 112_500_000,
        "coverage_ratio": 1.0,
    }


def test_a_slot_seen_by_half_counts_half() -> None:
    fields = rolled(circuit(0, 1e6), circuit(1, 4e6, coverage=0.5))
    assert (fields["in_bits_per_second_mean"], fields["coverage_ratio"]) == (2e6, 0.3)


@given(st.lists(st.tuples(st.floats(0, 1e10), st.sampled_from([0.25, 0.5, 1.0])), min_size=1, max_size=5))
@settings(deadline=None)
def test_the_mean_is_the_octets_over_the_observed_time(slots: list[tuple[float, float]]) -> None:
    """(R68)"""
    fields = rolled(*(circuit(number, rate, coverage=part) for number, (rate, part) in enumerate(slots)))
    expected = sum(rate * part for rate, part in slots) / sum(part for _, part in slots)
    assert fields["in_bits_per_second_mean"] == pytest.approx(expected)


def test_a_whole_window_is_told_at_once_and_a_partial_one_at_the_deadline() -> None:
    rollups = Rollups()
    for number in range(7):
        rollups.add(circuit(number, 1e6))
    assert [each.time_ns for each in rollups.close(START + 7 * MINUTE)] == [START]
    assert rollups.close(START + 13 * MINUTE - 1) == []
    assert [each.time_ns for each in rollups.close(START + 13 * MINUTE)] == [START + 5 * MINUTE]
    assert rollups.close(START + 60 * MINUTE) == []


def test_an_amended_slot_tells_its_window_again() -> None:
    rollups = Rollups()
    for number in range(5):
        rollups.add(circuit(number, 1e6))
    rollups.close(START + 5 * MINUTE)
    rollups.add(circuit(2, 6e6))
    (again,) = rollups.close(START + 6 * MINUTE)
    assert (again.time_ns, again.fields["in_bits_per_second_mean"], again.fields["in_octets"]) == (
        START,
        2e6,
        75_000_000,
    )


def test_what_comes_after_everything_was_forgotten_is_counted() -> None:
    rollups = Rollups()
    rollups.add(circuit(7 * 60, 1e6))
    rollups.add(circuit(0, 1e6))
    assert rollups.too_late_total == 1


def test_a_device_is_covered_by_its_observed_polls_and_keeps_the_highest_count() -> None:
    tags = (("device", "fw-1"), ("role", "firewall"), ("site", "dc"))
    polls: list[dict[str, FieldValue]] = [
        {"cpu_ratio": 0.2, "sessions": 100, "quality": "observed"},
        {"cpu_ratio": 0.4, "sessions": 300, "quality": "observed"},
        {"quality": "failed", "reason": "no_answer"},
    ]
    assert rolled(*(Sample("device", tags, fields, START + n * MINUTE) for n, fields in enumerate(polls))) == {
        "cpu_ratio_mean": pytest.approx(0.3),
        "cpu_ratio_max": 0.4,
        "sessions_max": 300,
        "coverage_ratio": 0.4,
    }


def test_measurements_without_a_rollup_are_passed_over() -> None:
    rollups = Rollups()
    rollups.add(Sample("alert", (("rule", "x"),), {"state": "firing"}, START))
    assert rollups.close(START + 60 * MINUTE) == []


def test_the_state_of_a_circuit_covers_no_time() -> None:
    """(R68)"""
    rollups = Rollups()
    rollups.add(circuit(0, 1e6))
    before = circuit(0, 1e6)
    for second in (7, 67, 127, 187, 247):
        rollups.add(Sample("circuit", before.tags, {"state": "up", "active": True}, START + second * 10**9))
    (window,) = rollups.close(START + 60 * MINUTE)
    assert (0.2, 1e6) == (window.fields["coverage_ratio"], window.fields["in_bits_per_second_mean"])


@pytest.mark.parametrize("form", ["now", "of older versions"])
def test_a_saved_rollup_goes_on_where_it_was(form: str) -> None:
    rollups = Rollups()
    for number in range(3):
        rollups.add(circuit(number, 1e6 * number))
    saved = msgpack.decode(msgpack.encode(rollups.save()))
    if form != "now":
        for window in saved["windows"]:
            window[-1] = [[at, *each] for at, each in window[-1].items()]
    again = Rollups.load(saved)
    for each in (rollups, again):
        each.add(circuit(3, 8e6))
    assert again.close(START + 8 * MINUTE) == rollups.close(START + 8 * MINUTE)


def poll(
    number: int, rates: list[float | None], names: tuple[str, ...] = ("Gi0/1",)
) -> tuple[DeviceReading, DeviceRates]:
    rows = len(names)
    layout = InterfaceLayout(names, tuple(range(rows)), (10**9,) * rows, (True,) * rows)
    at = START + number * MINUTE + 7 * SECOND
    quality = [Quality.UNKNOWN if rates[8 * row] is None else Quality.OBSERVED for row in range(rows)]
    zeros = [0] * rows
    told = DeviceRates("fw-1", at, layout, rates, quality, [""] * rows, zeros, zeros, zeros, zeros)
    reading = DeviceReading("fw-1", at, layout, [at] * rows, [0] * rows, [0] * 8 * rows, [1] * rows, [None] * rows)
    return reading, told


def test_interfaces_roll_up_by_column() -> None:
    """(R68)"""
    rollups = InterfaceRollups()
    for number, (bits, octets) in enumerate(((1e8, 750_000_000), (3e8, 2_250_000_000), (None, 0))):
        reading, rates = poll(number, [bits, 0.0, 5.0, 5.0, None, None, None, None])
        rollups.add(reading, replace(rates, in_octets=[octets], out_octets=[7 * (number == 0)]))
    assert rollups.close(START + 6 * MINUTE) == []
    (sample,) = rollups.close(START + 7 * MINUTE)
    assert sample.fields == {
        "in_bits_per_second_mean": 2e8,
        "in_bits_per_second_max": 3e8,
        "out_bits_per_second_mean": 0.0,
        "out_bits_per_second_max": 0.0,
        "in_packets_per_second_mean": 5.0,
        "in_packets_per_second_max": 5.0,
        "out_packets_per_second_mean": 5.0,
        "out_packets_per_second_max": 5.0,
        "in_ratio_mean": 0.2,
        "in_ratio_max": 0.3,
        "out_ratio_mean": 0.0,
        "out_ratio_max": 0.0,
        "oper_status_max": 1,
        "in_octets": 3_000_000_000,
        "out_octets": 7,
        "coverage_ratio": 0.4,
    }
    assert (sample.measurement, sample.time_ns) == ("interface_5m", START)
    assert set(sample.fields) <= {field.name for field in SCHEMA["interface_5m"].fields}


@pytest.mark.parametrize("devices", [3, LEAST_CLOSED + 1, 50 * CLOSING_CALLS])
def test_windows_that_end_together_are_closed_a_few_at_a_time_and_each_once(devices: int) -> None:
    rollups = InterfaceRollups()
    for number in range(devices):
        reading, rates = poll(0, [1e8] * 8)
        rollups.add(replace(reading, device=f"sw-{number}"), replace(rates, device=f"sw-{number}"))
    calls = [rollups.close(START + 7 * MINUTE) for _ in range(CLOSING_CALLS * 5)]
    assert max(map(len, calls)) <= max(LEAST_CLOSED, devices // CLOSING_CALLS)
    told = [sample.tags[0][1] for call in calls for sample in call]
    assert sorted(told) == sorted(f"sw-{number}" for number in range(devices))


@pytest.mark.parametrize(("interval", "polls", "coverage"), [(10, 5, 5 / 30), (10, 30, 1.0), (300, 1, 1.0)])
def test_interfaces_are_covered_by_the_interval_of_their_device(interval: int, polls: int, coverage: float) -> None:
    rollups = InterfaceRollups()
    for number in range(polls):
        reading, rates = poll(0, [1e8] * 8)
        at = START + number * interval * SECOND
        rollups.add(replace(reading, due_ns=at, interval_ns=interval * SECOND), replace(rates, due_ns=at))
    (sample,) = rollups.close(START + 20 * MINUTE)
    assert sample.fields["coverage_ratio"] == pytest.approx(coverage)


def test_octets_of_interfaces_are_in_the_windows_to_the_last_one_and_those_of_a_gap_are_among_them() -> None:
    """Whatever happens to the counters, the sum over the windows is what was counted. (R33, R34, R68)"""
    chance, counters, rollups = random.Random(7), DeviceCounters(), InterfaceRollups()
    layout, octets, counted, told = InterfaceLayout(("Gi0/1",), (1,), (10**9,), (True,)), 2**64 - 10**12, 0, []
    for number in range(300):
        octets += chance.randrange(7_000_000_000)
        if chance.random() < 0.3 or 100 < number < 110:
            continue
        at = START + number * MINUTE + 7 * SECOND
        row = [octets % 2**64, octets % 2**64 // 3, *[0] * 6]
        reading = DeviceReading("fw-1", at, layout, [at], [10**8 + number * 6000], row, [1], [None])
        rates = counters.update(reading)
        counted += rates.in_octets[0]
        rollups.add(reading, rates)
        if number == 150:
            rollups = InterfaceRollups.load(msgpack.decode(msgpack.encode(rollups.save())))
        told += rollups.close(at)
    told += rollups.close(START + 400 * MINUTE)
    assert counted == sum(int(each.fields.get("in_octets", 0)) for each in told) > 10**11
    assert set().union(*(each.fields for each in told)) <= {field.name for field in SCHEMA["interface_5m"].fields}


def test_a_rediscovery_within_a_window_goes_on_by_name() -> None:
    rollups = InterfaceRollups()
    rollups.add(*poll(0, [1e8] * 8))
    rollups.add(*poll(1, [None] * 8 + [3e8] * 8, ("new", "Gi0/1")))
    told = {sample.tags[1][1]: sample.fields for sample in rollups.close(START + 7 * MINUTE)}
    assert told["Gi0/1"]["in_bits_per_second_mean"] == 2e8
    assert told["new"] == {"oper_status_max": 1, "coverage_ratio": 0.0}


def test_saved_interface_rollups_go_on_where_they_were() -> None:
    rollups = InterfaceRollups()
    rollups.add(*poll(0, [1e8, None] + [5.0] * 6))
    again = InterfaceRollups.load(msgpack.decode(msgpack.encode(rollups.save())))
    for each in (rollups, again):
        each.add(*poll(1, [3e8] * 8))
    assert again.close(START + 7 * MINUTE) == rollups.close(START + 7 * MINUTE) != []


@pytest.mark.parametrize("kind", [Rollups, InterfaceRollups])
def test_saved_rollups_of_another_version_are_refused(kind: type[Rollups] | type[InterfaceRollups]) -> None:
    with pytest.raises(ValueError, match="version 9"):
        kind.load({"version": 9, "windows": []})


@pytest.mark.parametrize(("interval", "answered", "coverage"), [(10, 5, 5 / 30), (10, 30, 1.0), (300, 1, 1.0)])
def test_a_device_is_covered_by_its_own_interval(tmp_path: Path, interval: int, answered: int, coverage: float) -> None:
    """Through the whole pipeline, so that the interval of the estate is the one that counts; told once. (R68)"""
    estate = load(Path(__file__).parents[1] / "config" / "examples" / "prefecture").estate
    device = next(iter(estate.devices.values()))
    changed = device.model_copy(update={"interval": float(interval)})
    estate = estate.model_copy(update={"devices": {**estate.devices, device.id: changed}})
    stored: list[Sample] = []
    alerting = Alerting(estate, AlertStore(tmp_path / "alerts.sqlite"))
    pipeline = Pipeline(estate, stored.extend, alerting, LiveState(estate))
    tags = (("device", device.id), ("role", "firewall"), ("site", "dc"))
    for number in range(300 // interval):
        at = START + number * interval * SECOND
        fields: dict[str, FieldValue] = {"quality": "failed", "reason": "no_answer"}
        if number < answered:
            fields = {"cpu_ratio": 0.1, "quality": "observed"}
        pipeline.publish([Sample("device", tags, fields, at)], at)
        pipeline.tick(at)
    pipeline.tick(START + 20 * MINUTE)
    told = [each.fields for each in stored if each.measurement == "device_5m"]
    assert [each["coverage_ratio"] for each in told] == [pytest.approx(coverage)]
