"""Samples of the measurement "interface": raw counters, rates, and what both are worth (R35, R67)."""

from typing import Final

from poller.counting import WIDTH
from poller.devicerates import DeviceRates
from poller.readings import COUNTERS, DeviceReading
from poller.sample import FieldValue, Sample

RATES: Final = (
    "in_bits_per_second",
    "out_bits_per_second",
    "in_packets_per_second",
    "out_packets_per_second",
    "in_errors_per_second",
    "out_errors_per_second",
    "in_discards_per_second",
    "out_discards_per_second",
)
"""The rates of a row in the order of readings.COUNTERS."""


def interface_samples(reading: DeviceReading, rates: DeviceRates) -> list[Sample]:
    """One Sample a row of the reading, at the time the schedule asked for it; rates is what Rates.update made of it."""
    return [_interface_sample(row, name, reading, rates) for row, name in enumerate(reading.layout.names)]


def _interface_sample(row: int, name: str, reading: DeviceReading, rates: DeviceRates) -> Sample:
    here = row * WIDTH
    counters, per_second = reading.counters[here : here + WIDTH], rates.rates[here : here + WIDTH]
    fields: dict[str, FieldValue] = {
        field: value for field, value in zip(COUNTERS, counters, strict=True) if value is not None
    }
    fields.update((field, value) for field, value in zip(RATES, per_second, strict=True) if value is not None)
    speed = reading.layout.speeds[row]
    if speed:
        for field, value in (("in_ratio", per_second[0]), ("out_ratio", per_second[1])):
            if value is not None:
                fields[field] = value / speed
    if reading.oper_status[row]:
        fields["oper_status"] = reading.oper_status[row]
    fields["quality"] = str(rates.quality[row])
    if rates.reason[row]:
        fields["reason"] = rates.reason[row]
    return Sample("interface", (("device", reading.device), ("interface", name)), fields, reading.due_ns)
