"""What is usual for one series: its own median over the last days, and its last value.

Rules that compare a series with itself keep one of these a series. They are small (a few dozen counts a day), learn
from every value, faulty ones too (a median over a week does not follow an hour), and survive a restart by save().
"""

from collections import Counter
from dataclasses import dataclass, field
from math import exp, floor, log
from typing import Any, Final

from poller.sample import FieldValue

DAY_NS: Final = 86_400 * 10**9
DAYS: Final = 7
FEWEST: Final = 360
"""Values before a median is believed: six hours of minutes."""
STEP: Final = log(1.02)
"""Width of a bin: the median is told within 1 %."""
SMALLEST: Final = 1e-6


@dataclass(slots=True)
class OwnMedian:
    """The median of a week of values above zero, by counts in bins that grow by 2 %."""

    days: dict[int, Counter[int]] = field(default_factory=dict)
    _kept: tuple[int, float | None] = (-1, None)

    def add(self, value: float, at_ns: int) -> None:
        """Learn one value; days of more than a week before it are forgotten."""
        day = at_ns // DAY_NS
        self.days.setdefault(day, Counter())[floor(log(max(value, SMALLEST)) / STEP)] += 1
        if len(self.days) > DAYS:
            for old in [old for old in self.days if old <= day - DAYS]:
                del self.days[old]

    def median(self, at_ns: int) -> float | None:
        """The median, worked out anew once a minute; None before there are FEWEST values."""
        minute = at_ns // (60 * 10**9)
        if self._kept[0] != minute:
            self._kept = (minute, self._median())
        return self._kept[1]

    def _median(self) -> float | None:
        counts: Counter[int] = Counter()
        for day in self.days.values():
            counts.update(day)
        total = counts.total()
        if total < FEWEST:
            return None
        passed = 0
        for bin_ in sorted(counts):
            passed += counts[bin_]
            if 2 * passed >= total:
                return exp((bin_ + 0.5) * STEP)
        return None

    def save(self) -> dict[str, Any]:
        """Plain values; restore takes them over."""
        return {str(day): [list(entry) for entry in counts.items()] for day, counts in self.days.items()}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what save gave."""
        self.days = {int(day): Counter(dict(counts)) for day, counts in saved.items()}
        self._kept = (-1, None)


@dataclass(slots=True)
class LastValue:
    """The value before this one; None before the first."""

    value: FieldValue | None = None

    def changed(self, value: FieldValue) -> bool:
        """True where it differs from the one before; remembers it."""
        before, self.value = self.value, value
        return before is not None and before != value

    def save(self) -> dict[str, Any]:
        """Plain values; restore takes them over."""
        return {"value": self.value}

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what save gave."""
        self.value = saved.get("value")
