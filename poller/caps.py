"""Caps of tenants: what each says of a tenant's use at a moment (R64).

sustained_rate   the average over 5 minutes, above the cap for 3 slots
burst_rate       one slot above the cap
monthly_volume   octets of the calendar month, with the month's end projected
percentile_95    of the calendar month so far
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from poller.accounts import SLOT_NS, SlotTotals
from poller.contracts import CapContract
from poller.percentiles import MonthBins
from poller.volumes import Volumes, is_weekday, local_date, month_bounds_ns

AVERAGE_SLOTS: Final = 5
"""Slots in the average of a sustained cap."""
KNOWN_SLOTS: Final = 3
"""Of those that must have been observed; otherwise nothing is said."""
SUSTAINED_SLOTS: Final = 3
"""Slots in a row whose average is above the cap before it is exceeded."""
_RECENT: Final = AVERAGE_SLOTS + SUSTAINED_SLOTS


@dataclass(frozen=True, slots=True)
class CapStatus:
    """One cap held against the use.

    kind: the name of the cap's field in the estate. line None is all lines together.
    value, limit: bits per second or octets; ratio is value / limit.
    projected: monthly_volume at the month's end; None where there is no day to go by, or nothing to project.
    provisional: the percentile rests on less than 95 % of its bins.
    """

    tenant: str
    line: str | None
    kind: str
    direction: str
    value: float
    limit: int
    exceeded: bool
    projected: int | None = None
    provisional: bool = False

    @property
    def ratio(self) -> float:
        """Use against the cap; above 1 is too much."""
        return self.value / self.limit


@dataclass(frozen=True, slots=True)
class PastUse:
    """What an account used before until_ns: parts of local days for volumes, 5-minute windows for a percentile."""

    until_ns: int
    days: tuple[SlotTotals, ...]
    windows: tuple[SlotTotals, ...] = ()


@dataclass(slots=True)
class Usage:
    """What is kept of one account of a tenant: the last slots' rates, days, and the month's bins for a percentile."""

    recent: dict[int, tuple[float, float]] = field(default_factory=dict)
    last_ns: int = 0
    volumes: Volumes = field(default_factory=Volumes)
    bins: MonthBins | None = None
    keeps_bins: bool = False

    def add(self, totals: SlotTotals, zone: ZoneInfo) -> None:
        """Enter a closed slot, or correct an amended one."""
        self.volumes.add(totals, zone)
        self.last_ns = max(self.last_ns, totals.start_ns)
        into, out = totals.in_bits_per_second, totals.out_bits_per_second
        if into is not None and out is not None and totals.start_ns > self.last_ns - _RECENT * SLOT_NS:
            self.recent[totals.start_ns] = (into, out)
        elif into is None or out is None:
            self.recent.pop(totals.start_ns, None)
        for start_ns in [start_ns for start_ns in self.recent if start_ns <= self.last_ns - _RECENT * SLOT_NS]:
            del self.recent[start_ns]
        self._bin(totals, zone)

    def remember(self, past: PastUse, zone: ZoneInfo) -> None:
        """Enter what was used before anything was counted here."""
        for day in past.days:
            self.volumes.add(day, zone)
        for window in past.windows:
            self._bin(window, zone)
        self.last_ns = max(self.last_ns, past.until_ns - SLOT_NS)

    def _bin(self, totals: SlotTotals, zone: ZoneInfo) -> None:
        if self.keeps_bins:
            if self.bins is None or totals.start_ns >= self.bins.end_ns:
                self.bins = MonthBins(*month_bounds_ns(local_date(totals.start_ns, zone), zone))
            self.bins.add(totals)

    def average(self, at_ns: int, *, outward: bool) -> float | None:
        """Bits per second over the five slots that end with the one that begins at at_ns; None if hardly observed."""
        slots = (self.recent.get(at_ns - back * SLOT_NS) for back in range(AVERAGE_SLOTS))
        known = [rates[outward] for rates in slots if rates is not None]
        return sum(known) / len(known) if len(known) >= KNOWN_SLOTS else None

    def save(self) -> dict[str, Any]:
        """A structure of plain JSON types."""
        return {
            "recent": [[start_ns, *rates] for start_ns, rates in self.recent.items()],
            "last_ns": self.last_ns,
            "volumes": self.volumes.save(),
            "bins": None if self.bins is None else self.bins.save(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what save gave."""
        self.recent = {start_ns: (into, out) for start_ns, into, out in saved["recent"]}
        self.last_ns = saved["last_ns"]
        self.volumes = Volumes.load(saved["volumes"])
        if saved["bins"] is not None and self.keeps_bins:
            self.bins = MonthBins.load(saved["bins"])


@dataclass(frozen=True, slots=True)
class CapJudge:
    """Holds one tenant's use against one cap."""

    tenant: str
    cap: CapContract
    zone: ZoneInfo
    workday: Callable[[date], bool] = is_weekday

    def judge(self, usage: Usage) -> list[CapStatus]:
        """Every kind of cap that is set, in each direction it holds for; what nothing is known of is left out."""
        ways = ("in", "out") if self.cap.direction == "each" else (self.cap.direction,)
        found = [self._sustained(usage, way) for way in ways]
        found += [self._burst(usage, way) for way in ways]
        found += [self._percentile(usage, way) for way in ways]
        found.append(self._volume(usage))
        return [status for status in found if status is not None]

    def _sustained(self, usage: Usage, way: str) -> CapStatus | None:
        limit, outward = self.cap.sustained_rate, way == "out"
        latest = usage.average(usage.last_ns, outward=outward)
        if limit is None or latest is None:
            return None
        averages = (usage.average(usage.last_ns - back * SLOT_NS, outward=outward) for back in range(SUSTAINED_SLOTS))
        exceeded = all(each is not None and each > limit for each in averages)
        return replace(self._status("sustained_rate", way, latest, limit), exceeded=exceeded)

    def _burst(self, usage: Usage, way: str) -> CapStatus | None:
        rates = usage.recent.get(usage.last_ns)
        if self.cap.burst_rate is None or rates is None:
            return None
        return self._status("burst_rate", way, rates[way == "out"], self.cap.burst_rate)

    def _percentile(self, usage: Usage, way: str) -> CapStatus | None:
        if self.cap.percentile_95 is None or usage.bins is None:
            return None
        until_ns = usage.last_ns + SLOT_NS
        found = usage.bins.percentile(outward=way == "out", until_ns=until_ns)
        if found is None:
            return None
        status = self._status("percentile_95", way, found.value, self.cap.percentile_95)
        return replace(status, provisional=found.provisional)

    def _volume(self, usage: Usage) -> CapStatus | None:
        if self.cap.monthly_volume is None or not usage.volumes.days:
            return None
        now = datetime.fromtimestamp((usage.last_ns + SLOT_NS - 1) // 10**9, self.zone)
        value = usage.volumes.month(now.date(), self.cap.direction)
        projection = usage.volumes.project(now, self.cap.direction, self.workday)
        status = self._status("monthly_volume", self.cap.direction, float(value), self.cap.monthly_volume)
        return replace(status, projected=None if projection is None else projection.octets)

    def _status(self, kind: str, direction: str, value: float, limit: int) -> CapStatus:
        return CapStatus(self.tenant, self.cap.line, kind, direction, value, limit, exceeded=value > limit)
