"""Five-minute roll-ups: mean, max, octets and coverage, for the years in which nobody keeps minutes (R68).

    Rollups.add(sample) ... Rollups.close(now_ns)                     device, circuit, line_group, tenant, service
    InterfaceRollups.add(reading, rates) ... InterfaceRollups.close   interface, in columns, because there are so many

A mean is weighted by what was observed: a slot seen by half counts half. A sample that comes again for the same moment
replaces the first, and its window is told again. The time of a roll-up is the begin of its window.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import Any, Final, TypeAlias

from poller.counting import WIDTH
from poller.devicerates import DeviceRates
from poller.interfaces import RATES
from poller.packing import pack, unpack
from poller.readings import DeviceReading
from poller.sample import FieldValue, Quality, Sample
from poller.schema import ROLLED_UP, SCHEMA

WINDOW_NS: Final = 300 * 10**9
DEADLINE_NS: Final = 180 * 10**9
"""After a window's end: a slot's deadline, and a minute for it to be closed."""
LEAST_CLOSED: Final = 20
CLOSING_CALLS: Final = 60
"""Interface windows of one end are closed in so many calls, a second apart, but so many of them in each at least."""
KEEP_WINDOWS: Final = 72
"""Windows that an amended sample can still correct: as long as the slot ledger remembers."""
_AMENDED: Final = frozenset(("circuit", "line_group", "tenant"))

_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Window:
    """The samples of one series in one window: by time, the covered nanoseconds and the numeric fields."""

    samples: dict[int, tuple[float, dict[str, float]]] = field(default_factory=dict)
    told: bool = False


class Rollups:
    """Rolls up samples of every measurement that is kept in minutes, except interfaces."""

    def __init__(self) -> None:
        self._windows: dict[_Key, dict[int, _Window]] = {}
        self.too_late_total = 0
        """Samples that came for a window that is not remembered any more."""

    def add(self, sample: Sample, interval_ns: int = 60 * 10**9) -> None:
        """Take a sample; interval_ns is the time that it stands for. Measurements without a roll-up are passed over."""
        if sample.measurement not in ROLLED_UP:
            return
        if sample.measurement in _AMENDED and "coverage_ratio" not in sample.fields:  # a state: it covers no time
            return
        windows = self._windows.setdefault((sample.measurement, sample.tags), {})
        start_ns = sample.time_ns - sample.time_ns % WINDOW_NS
        keep = KEEP_WINDOWS if sample.measurement in _AMENDED else 1
        if windows and start_ns < max(windows) - keep * WINDOW_NS:
            self.too_late_total += 1
            return
        window = windows.setdefault(start_ns, _Window())
        window.told = False
        _, before = window.samples.get(sample.time_ns, (0.0, {}))
        numbers = {
            name: value
            for name, value in sample.fields.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        window.samples[sample.time_ns] = (_covered_ns(sample, interval_ns), before | numbers)

    def close(self, now_ns: int) -> list[Sample]:
        """Windows that are complete or past their deadline, and those corrected since they were told."""
        told: list[Sample] = []
        for (measurement, tags), windows in self._windows.items():
            for start_ns, window in windows.items():
                if window.told:
                    continue
                whole = sum(covered for covered, _ in window.samples.values()) >= WINDOW_NS
                if whole or now_ns >= start_ns + WINDOW_NS + DEADLINE_NS:
                    window.told = True
                    told.append(Sample(f"{measurement}_5m", tags, _roll_up(measurement, window), start_ns))
            keep_ns = (KEEP_WINDOWS if measurement in _AMENDED else 1) * WINDOW_NS
            last_ns = max(windows, default=0)
            for start_ns in [each for each, window in windows.items() if window.told and each < last_ns - keep_ns]:
                del windows[start_ns]
        return told

    def save(self) -> dict[str, Any]:
        """A structure of plain msgpack types; load brings it back."""
        entries = [
            [measurement, tags, start_ns, window.told, window.samples.copy()]
            for (measurement, tags), windows in self._windows.items()
            for start_ns, window in windows.items()
        ]
        return {"version": 1, "windows": entries}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "Rollups":
        """What save gave; ValueError for another version."""
        if saved["version"] != 1:
            raise ValueError(f"roll-ups of version {saved['version']} cannot be read, only 1")
        rollups = cls()
        for measurement, tags, start_ns, told, samples in saved["windows"]:
            key = (measurement, tuple((name, value) for name, value in tags))
            # by time; older versions had the time first in each
            by_time = samples.items() if isinstance(samples, dict) else ((at, each) for at, *each in samples)
            entries = {at: (covered, numbers) for at, (covered, numbers) in by_time}
            rollups._windows.setdefault(key, {})[start_ns] = _Window(entries, told)
        return rollups


def _covered_ns(sample: Sample, interval_ns: int) -> float:
    coverage = sample.fields.get("coverage_ratio")
    if isinstance(coverage, int | float):
        return coverage * interval_ns
    return interval_ns if sample.fields.get("quality", Quality.OBSERVED) == Quality.OBSERVED else 0.0


def _roll_up(measurement: str, window: _Window) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {}
    for entry in SCHEMA[measurement].fields:
        known = [(covered, each[entry.name]) for covered, each in window.samples.values() if entry.name in each]
        if not known or entry.name == "coverage_ratio":
            continue
        if entry.name.endswith("_octets") and entry.name != "month_octets":
            fields[entry.name] = int(sum(value for _, value in known))
        elif entry.kind is float:
            weight = sum(covered for covered, _ in known)
            if weight:
                fields[f"{entry.name}_mean"] = sum(covered * value for covered, value in known) / weight
                fields[f"{entry.name}_max"] = max(value for _, value in known)
        elif entry.kind is int and not entry.name.endswith("_total"):
            fields[f"{entry.name}_max"] = int(max(value for _, value in known))
    covered_ns = sum(covered for covered, _ in window.samples.values())
    fields["coverage_ratio"] = min(1.0, covered_ns / WINDOW_NS)
    return fields


class _Columns:
    """One device in one window: sums, highest and counts of every rate; octets, time and status of every row.

    Octets are those that the polls of the window counted, as the rates are; those of a gap are among them.
    """

    __slots__ = (
        "counts",
        "highest",
        "in_octets",
        "names",
        "observed_ns",
        "oper_status",
        "out_octets",
        "speeds",
        "sums",
    )

    def __init__(self, names: tuple[str, ...], speeds: tuple[int, ...]) -> None:
        rows = len(names)
        self.names, self.speeds = names, speeds
        self.sums = array("d", bytes(8 * WIDTH * rows))
        self.highest = array("d", bytes(8 * WIDTH * rows))
        self.counts = array("H", bytes(2 * WIDTH * rows))
        self.observed_ns = array("q", bytes(8 * rows))
        self.oper_status = array("q", bytes(8 * rows))
        self.in_octets = array("Q", bytes(8 * rows))
        self.out_octets = array("Q", bytes(8 * rows))

    def add(self, reading: DeviceReading, rates: DeviceRates) -> None:
        sums, highest, counts = self.sums, self.highest, self.counts
        for index, rate in enumerate(rates.rates):
            if rate is not None:
                sums[index] += rate
                counts[index] += 1
                highest[index] = max(highest[index], rate)
        for row, quality in enumerate(rates.quality):
            if quality is Quality.OBSERVED:
                self.observed_ns[row] += reading.interval_ns
        self.oper_status = array("q", map(max, self.oper_status, reading.oper_status))
        self.in_octets = array("Q", map(add, self.in_octets, rates.in_octets))
        self.out_octets = array("Q", map(add, self.out_octets, rates.out_octets))

    def take_over(self, before: "_Columns") -> None:
        rows = {name: row for row, name in enumerate(before.names)}
        for row, name in enumerate(self.names):
            if (old := rows.get(name)) is None:
                continue
            here, there = slice(row * WIDTH, (row + 1) * WIDTH), slice(old * WIDTH, (old + 1) * WIDTH)
            self.sums[here], self.highest[here] = before.sums[there], before.highest[there]
            self.counts[here] = before.counts[there]
            self.observed_ns[row], self.oper_status[row] = before.observed_ns[old], before.oper_status[old]
            self.in_octets[row], self.out_octets[row] = before.in_octets[old], before.out_octets[old]

    def save(self) -> list[Any]:
        columns = (self.sums, self.highest, self.counts, self.observed_ns, self.oper_status)
        octets = (self.in_octets, self.out_octets)
        return [self.names, self.speeds, *(pack(column) for column in (*columns, *octets))]

    @classmethod
    def load(cls, saved: Sequence[Any]) -> "_Columns":
        names, speeds, sums, highest, counts, observed_ns, oper_status, in_octets, out_octets = saved
        columns = cls(tuple(names), tuple(speeds))
        columns.sums, columns.highest, columns.counts = unpack("d", sums), unpack("d", highest), unpack("H", counts)
        columns.observed_ns, columns.oper_status = unpack("q", observed_ns), unpack("q", oper_status)
        columns.in_octets, columns.out_octets = unpack("Q", in_octets), unpack("Q", out_octets)
        return columns

    def fields(self, row: int) -> dict[str, FieldValue]:
        found: dict[str, FieldValue] = {}
        for index, name in enumerate(RATES, start=row * WIDTH):
            if self.counts[index]:
                found[f"{name}_mean"] = self.sums[index] / self.counts[index]
                found[f"{name}_max"] = self.highest[index]
        if self.speeds[row] and self.counts[row * WIDTH]:
            for way, index in (("in", row * WIDTH), ("out", row * WIDTH + 1)):
                found[f"{way}_ratio_mean"] = self.sums[index] / self.counts[index] / self.speeds[row]
                found[f"{way}_ratio_max"] = self.highest[index] / self.speeds[row]
        if self.oper_status[row]:
            found["oper_status_max"] = self.oper_status[row]
        octets = self.in_octets[row], self.out_octets[row]
        if self.observed_ns[row] or any(octets):
            found["in_octets"], found["out_octets"] = octets
        found["coverage_ratio"] = min(1.0, self.observed_ns[row] / WINDOW_NS)
        return found


class InterfaceRollups:
    """Rolls up the rates of all interfaces, one array cell a rate, as long as a window is open."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], _Columns] = {}

    def add(self, reading: DeviceReading, rates: DeviceRates) -> None:
        """Take one poll with what was counted; after a re-discovery the window goes on by name."""
        key = (reading.device, reading.due_ns - reading.due_ns % WINDOW_NS)
        columns = self._open.get(key)
        if columns is None or columns.names != reading.layout.names:
            before, columns = columns, _Columns(reading.layout.names, reading.layout.speeds)
            self._open[key] = columns
            if before is not None:
                columns.take_over(before)
        columns.add(reading, rates)

    def close(self, now_ns: int) -> list[Sample]:
        """The windows that ended at least 90 s ago, when every poll that was due in them is over; some at each call.

        All at once they would hold up the loop, and what they are made into would be the most that is ever in memory.
        """
        over = [key for key in self._open if now_ns >= key[1] + WINDOW_NS + DEADLINE_NS // 2]
        del over[max(LEAST_CLOSED, len(self._open) // CLOSING_CALLS) :]
        return [sample for key in over for sample in _samples(*key, self._open.pop(key))]

    def save(self) -> dict[str, Any]:
        """A structure of plain msgpack types; load brings it back."""
        windows = [[device, start_ns, columns.save()] for (device, start_ns), columns in self._open.items()]
        return {"version": 3, "windows": windows}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "InterfaceRollups":
        """What save gave; ValueError for another version."""
        if saved["version"] != 3:  # noqa: PLR2004 - of this form
            raise ValueError(f"roll-ups of version {saved['version']} cannot be read, only 3")
        rollups = cls()
        rollups._open = {(device, start_ns): _Columns.load(columns) for device, start_ns, columns in saved["windows"]}
        return rollups


def _samples(device: str, start_ns: int, columns: _Columns) -> Iterable[Sample]:
    for row, name in enumerate(columns.names):
        yield Sample("interface_5m", (("device", device), ("interface", name)), columns.fields(row), start_ns)
