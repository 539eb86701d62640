"""The 95th percentile by ceiling rank over 5-minute averages, and the bins of a month that it is taken of (R63)."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from poller.accounts import SlotTotals

BIN_NS: Final = 300 * 10**9
OBSERVED_SHARE: Final = 0.5
"""Of a bin that must have been observed for its average to count; the rest is left out, and the coverage says so."""
PROVISIONAL_BELOW: Final = 0.95
"""Coverage below which a percentile is provisional."""


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile with what it rests on: the rank-th smallest of bins values, of expected there could have been."""

    value: float
    rank: int
    bins: int
    expected: int

    @property
    def coverage_ratio(self) -> float:
        """Part of the bins that had data."""
        return self.bins / self.expected if self.expected else 0.0

    @property
    def provisional(self) -> bool:
        """Whether too many bins are missing for the figure to be final."""
        return self.coverage_ratio < PROVISIONAL_BELOW


def ceiling_rank(count: int, percent: int = 95) -> int:
    """The rank, from 1, of a percentile of so many values: 8,208 of 8,640."""
    return -(-percent * count // 100)


def percentile(values: Iterable[float | None], percent: int = 95, expected: int | None = None) -> Percentile | None:
    """The percentile of the known values by ceiling rank; None stands for a bin without data; None where all are.

    expected: how many bins there could have been; without it, as many as values.
    """
    given = list(values)
    known = sorted(value for value in given if value is not None)
    if not known:
        return None
    rank = ceiling_rank(len(known), percent)
    return Percentile(known[rank - 1], rank, len(known), len(given) if expected is None else expected)


class MonthBins:
    """The 5-minute bins of one account from start_ns to end_ns, 24 octets each."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns
        count = -(-(end_ns - start_ns) // BIN_NS)
        self._in, self._out, self._observed = (array("q", bytes(8 * count)) for _ in range(3))
        self._ranked: dict[bool, tuple[int, Percentile | None]] = {}
        """By direction, the percentile of so many bins: it holds until another is over or one of them is corrected."""

    def add(self, totals: SlotTotals) -> None:
        """Enter a closed slot, or correct an amended one; slots of other months are passed over."""
        number = (totals.start_ns - self.start_ns) // BIN_NS
        if not 0 <= number < len(self._in):
            return
        self._ranked = {way: kept for way, kept in self._ranked.items() if number >= kept[0]}
        for sign, each in ((1, totals), (-1, totals.previous)):
            if each is not None:
                self._in[number] += sign * (each.in_octets - each.in_gap_octets)
                self._out[number] += sign * (each.out_octets - each.out_gap_octets)
                self._observed[number] += sign * each.observed_ns

    def rates(self, *, outward: bool, until_ns: int | None = None) -> list[float | None]:
        """Average bits per second of each bin that ended by until_ns (default: all); None where hardly observed."""
        octets = self._out if outward else self._in
        count = self._complete(until_ns)
        least = int(BIN_NS * OBSERVED_SHARE)
        return [
            octets[number] * 8e9 / self._observed[number] if self._observed[number] >= least else None
            for number in range(count)
        ]

    def percentile(self, *, outward: bool, until_ns: int) -> Percentile | None:
        """The 95th percentile of the bins that ended by until_ns; None where none of them is known."""
        count = self._complete(until_ns)
        kept = self._ranked.get(outward)
        if kept is None or kept[0] != count:
            kept = self._ranked[outward] = count, percentile(self.rates(outward=outward, until_ns=until_ns))
        return kept[1]

    def _complete(self, until_ns: int | None) -> int:
        return len(self._in) if until_ns is None else min(len(self._in), max(0, until_ns - self.start_ns) // BIN_NS)

    def save(self) -> dict[str, Any]:
        """A structure of plain JSON types."""
        columns: Sequence[array[int]] = (self._in, self._out, self._observed)
        return {"start_ns": self.start_ns, "columns": [column.tolist() for column in columns]}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "MonthBins":
        """What save gave."""
        bins = cls(saved["start_ns"], saved["start_ns"] + len(saved["columns"][0]) * BIN_NS)
        bins._in, bins._out, bins._observed = (array("q", column) for column in saved["columns"])
        return bins
