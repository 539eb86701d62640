"""What was carried over some slots, in columns: streams, and sums of streams, for the invented past."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from poller.lab.past import SLOT_SECONDS

MINUTES: Final = 5
"""In a slot."""
KBPS: Final = 1000
"""Bits per second."""


@dataclass(slots=True)
class Traffic:
    """A stream or a sum of streams over some slots: octets of each slot, and of its five minutes."""

    octets: pl.Series
    minutes: list[pl.Series]

    def plus(self, other: "Traffic") -> "Traffic":
        """Both together, over the same slots."""
        return Traffic(self.octets + other.octets, [a + b for a, b in zip(self.minutes, other.minutes, strict=True)])

    def slice(self, at: int, length: int) -> "Traffic":
        """Some of the slots."""
        return Traffic(self.octets.slice(at, length), [one.slice(at, length) for one in self.minutes])

    def mean_rate(self) -> pl.Series:
        """Bits per second over each slot, in whole kbps: digits nobody reads would fill the store, octets are exact."""
        return rounded(self.octets.cast(pl.Float64) * (8 / SLOT_SECONDS / KBPS), 1) * KBPS

    def max_rate(self) -> pl.Series:
        """Bits per second of the busiest minute of each slot, in whole kbps, not below the mean."""
        highest = self.minutes[0]
        for minute in self.minutes[1:]:
            highest = highest.zip_with(highest > minute, minute)
        return rounded(highest * (8 * MINUTES / SLOT_SECONDS / KBPS), 1, up=True) * KBPS


def rounded(column: pl.Series, parts: int, *, up: bool = False) -> pl.Series:
    """Numbers from 0 up in whole parts of one, the nearest or the next; Series.round would plan a whole query."""
    return (column * parts + (1 - 1e-9 if up else 0.5)).cast(pl.Int64).cast(pl.Float64) / parts


def nothing(length: int) -> Traffic:
    """So many slots in which nothing was carried."""
    return Traffic(
        pl.repeat(0, length, dtype=pl.Int64, eager=True),
        [pl.repeat(0.0, length, dtype=pl.Float64, eager=True) for _ in range(MINUTES)],
    )


def total_of(parts: Sequence[Traffic]) -> Traffic:
    """All together, over the same slots; there must be one."""
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    return total


def joined(parts: Sequence[Traffic]) -> Traffic:
    """Spans of slots one after another."""
    return Traffic(
        pl.concat([one.octets for one in parts]),
        [pl.concat([one.minutes[minute] for one in parts]) for minute in range(MINUTES)],
    )
