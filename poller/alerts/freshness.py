"""How long a reading holds, and when a sample is too old to be news: both follow from how often one asks."""

from typing import Final

from poller.alerts.dependencies import Dependencies
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.estate import Estate

OLD_NEWS: Final = 900 * SECOND
"""Samples older than this are history that came late (a remote poller's back-fill): no news, no alert."""
HOURLY: Final = frozenset({"forecast", "service_level"})
"""Measurements of the daybook (poller.daybook): one sample an hour, with the hour's beginning as its time."""
HOUR_SECONDS: Final = 3600.0


def old_news_ns(measurement: str) -> int:
    """The age beyond which a sample raises nothing."""
    return OLD_NEWS + (int(HOUR_SECONDS * SECOND) if measurement in HOURLY else 0)


def held_ns(interval_seconds: float) -> int:
    """How long a reading of that interval holds: two intervals, and a little."""
    return int((2 * interval_seconds + 30) * SECOND)


class Freshness:
    """How long readings of an estate's subjects hold."""

    def __init__(self, estate: Estate, dependencies: Dependencies) -> None:
        self._estate = estate
        self._dependencies = dependencies

    def stale_after_ns(self, subject: Subject) -> int:
        """How long a reading of the subject holds."""
        interval = self._estate.polling.interval
        if subject.kind in HOURLY:
            interval = HOUR_SECONDS
        elif subject.kind in {"device", "interface"} and subject.id in self._estate.devices:
            interval = self._estate.devices[subject.id].interval or interval
        elif subject.kind in {"circuit", "line_group"}:  # never less than the others: their traffic comes by the minute
            interval = max([interval, *self._intervals_under(subject.id)])
        elif subject.kind == "service" and subject.id in self._estate.services:
            interval = self._estate.services[subject.id].interval
        return held_ns(interval)

    def _intervals_under(self, line: str) -> list[float]:
        """The intervals of their own that the devices have on which a line is measured."""
        circuits = [self._estate.circuits[circuit] for circuit in self._dependencies.circuits_of(line)]
        devices = [self._estate.devices.get(circuit.measured_by.device) for circuit in circuits]
        return [device.interval for device in devices if device is not None and device.interval]
