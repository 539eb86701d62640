"""How much a simulated network carries: exact integer octets at any moment, as a pure function of name, seed and time.

A Curve is one direction of one user's traffic. A day has 288 slots of five minutes; the octets of a slot are an integer
made of peak rate, shape of the day, season, growth and noise, and nothing is remembered between slots: the past that is
invented and the counters that are read live come from the same function and join without a seam. Within a slot thirty
pieces of ten seconds share its octets out. Every counter of the lab is a sum of curves, so sums agree to the octet.

Days are those of Japan Standard Time (UTC+9, no summer time).
"""

import datetime as dt
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import accumulate
from typing import Final

import jpholiday

SLOT_SECONDS: Final = 300
SLOTS_A_DAY: Final = 288
_DAY_NS: Final = 86_400 * 10**9
_SLOT_NS: Final = SLOT_SECONDS * 10**9
_JST_NS: Final = 9 * 3600 * 10**9
_PIECES: Final = 30
_PIECE_NS: Final = _SLOT_NS // _PIECES
_SHARES: Final = 1 << 20
"""The octets of a slot are shared out to its pieces in parts of 2^20."""
_EPOCH: Final = dt.date(1970, 1, 1)
_REFERENCE_DAY: Final = (dt.date(2026, 4, 1) - _EPOCH).days
"""Peak rates are those of this day; before it traffic was less, after it will be more."""
_NOISE_LENGTHS: Final = (8191, 5003)
"""Primes: the two noises repeat together after 142,000 days."""
_PATTERNS: Final = 61
_SATURDAY: Final = 5
_SUNDAY: Final = 6


class Shape(StrEnum):
    """Whose traffic it is, and therefore how its day looks."""

    OFFICE = "office"
    """People at their desks: up at eight, a dip at noon, overtime until ten."""
    PUBLIC = "public"
    """Citizens on web sites: a plateau over the day and a summit in the evening, weekends too."""
    STEADY = "steady"
    """Machines: replication and supervision, with a backup at night."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One direction of one user's traffic.

    name: what the noise is drawn from, "tsu/internet/down".
    peak_bits_per_second: the mean of the busiest slots of a usual working day.
    growth_a_year: 0.2 is a fifth more each year.
    seed: another seed gives other noise, the same shape.
    """

    name: str
    peak_bits_per_second: int
    shape: Shape = Shape.OFFICE
    growth_a_year: float = 0.15
    seed: int = 0

    def slots(self, day: int) -> list[int]:
        """Octets of each of the 288 slots of a day; day counts days of Japan since 1970-01-01."""
        at = zlib.crc32(f"{self.seed}/{self.name}".encode())
        calm = random.Random(at * 100_003 + day).lognormvariate(0.0, 0.06)  # noqa: S311 - weather, not secrets
        growth: float = (1.0 + self.growth_a_year) ** ((day - _REFERENCE_DAY) / 365.25)
        scale = self.peak_bits_per_second * SLOT_SECONDS / 8 * growth * calm * _season(day)
        first = day * SLOTS_A_DAY
        slow = _window(0, first + at)
        fast = _window(1, first + at // 8191)
        shape = _day_shape(self.shape, _day_kind(day))
        return [int(scale * a * b * c) for a, b, c in zip(shape, slow, fast, strict=True)]


class Integral:
    """Octets of a curve since a first day, at any moment: exact, monotone, and cheap to ask again.

    One day's sums are kept at a time beside the totals of whole days, so that a counter read every minute costs a
    few divisions of integers.
    """

    __slots__ = ("_curve", "_day", "_first_day", "_offset", "_sums", "_totals")

    def __init__(self, curve: Curve, first_day: int) -> None:
        self._curve = curve
        self._first_day = first_day
        self._totals = [0]
        self._offset = pattern_number(curve, 0)
        self._day = -1
        self._sums: list[int] = []

    @property
    def curve(self) -> Curve:
        """What is summed."""
        return self._curve

    def until(self, time_ns: int) -> int:
        """Octets from the beginning of the first day until this moment (UTC, unix nanoseconds); not before it."""
        day, within = divmod(time_ns + _JST_NS, _DAY_NS)
        if day != self._day:
            self._enter(day)
        slot, rest = divmod(within, _SLOT_NS)
        before = self._sums[slot]
        piece, part = divmod(rest, _PIECE_NS)
        shares = _pattern((self._offset + day * SLOTS_A_DAY + slot) % _PATTERNS)
        share = shares[piece] * _PIECE_NS + (shares[piece + 1] - shares[piece]) * part
        return before + (self._sums[slot + 1] - before) * share // (_SHARES * _PIECE_NS)

    def _enter(self, day: int) -> None:
        if day < self._first_day:
            raise ValueError(f"{self._curve.name}: day {day} is before the first day {self._first_day}")
        while len(self._totals) <= day - self._first_day:
            done = self._first_day + len(self._totals) - 1
            self._totals.append(self._totals[-1] + sum(self._curve.slots(done)))
        self._sums = list(accumulate(self._curve.slots(day), initial=self._totals[day - self._first_day]))
        self._day = day


def minute_shares() -> tuple[tuple[float, ...], ...]:
    """For each minute of a slot, the share of the slot's octets by pattern; a slot's pattern is `pattern_number`."""
    pieces = _PIECES // 5
    return tuple(
        tuple((_pattern(which)[at + pieces] - _pattern(which)[at]) / _SHARES for which in range(_PATTERNS))
        for at in range(0, _PIECES, pieces)
    )


def pattern_number(curve: Curve, slot: int) -> int:
    """Which pattern a slot (counted in Japan's days since 1970-01-01) of a curve has."""
    return (zlib.crc32(curve.name.encode()) + slot) % _PATTERNS


def day_of(time_ns: int) -> int:
    """The day of Japan, counted since 1970-01-01, that a moment (UTC, unix nanoseconds) lies in."""
    return (time_ns + _JST_NS) // _DAY_NS


def day_start_ns(day: int) -> int:
    """The moment (UTC, unix nanoseconds) a day of Japan begins."""
    return day * _DAY_NS - _JST_NS


def is_workday(day: int) -> bool:
    """Whether people work on a day of Japan: no weekend, no public holiday, not the turn of the year."""
    return _day_kind(day) is _DayKind.WORKDAY


def activity(shape: Shape, time_ns: int) -> float:
    """How busy people of that shape are at a moment, 0..1, without noise: what sessions and CPU follow."""
    day, within = divmod(time_ns + _JST_NS, _DAY_NS)
    return _day_shape(shape, _day_kind(day))[within // _SLOT_NS]


class _DayKind(StrEnum):
    WORKDAY = "workday"
    SATURDAY = "saturday"
    CLOSED = "closed"


_HOURS: Final[Mapping[tuple[Shape, _DayKind], str]] = {
    # percent of the peak at each full hour, 0 to 24
    (Shape.OFFICE, _DayKind.WORKDAY): "4 3 3 3 3 4 7 22 68 94 100 97 66 88 98 97 92 70 46 33 24 16 10 6 4",
    (Shape.OFFICE, _DayKind.SATURDAY): "4 3 3 3 3 3 4 6 10 14 16 16 13 15 16 15 14 12 9 8 7 6 5 4 4",
    (Shape.OFFICE, _DayKind.CLOSED): "4 3 3 3 3 3 3 4 6 8 9 9 8 9 9 9 8 7 6 6 5 5 4 4 4",
    (Shape.PUBLIC, _DayKind.WORKDAY): "22 12 8 6 6 8 18 38 58 70 74 76 90 74 70 68 66 68 74 86 98 100 82 48 22",
    (Shape.PUBLIC, _DayKind.SATURDAY): "26 15 9 7 6 7 12 24 42 60 70 72 72 68 66 66 68 70 76 88 96 98 84 52 26",
    (Shape.PUBLIC, _DayKind.CLOSED): "24 14 9 7 6 7 11 20 38 56 66 70 70 66 64 66 70 74 82 94 100 96 78 46 24",
    (Shape.STEADY, _DayKind.WORKDAY): "60 90 100 96 70 52 48 52 60 66 68 68 64 66 68 68 66 62 58 54 52 50 50 54 60",
    (Shape.STEADY, _DayKind.SATURDAY): "60 92 100 98 74 50 46 46 46 48 48 48 48 48 48 48 48 48 48 48 48 48 48 52 60",
    (Shape.STEADY, _DayKind.CLOSED): "60 92 100 98 74 50 46 46 46 46 46 46 46 46 46 46 46 46 46 46 46 46 46 52 60",
}

_MONTHS: Final = (0.94, 0.98, 1.06, 1.08, 0.98, 1.01, 1.0, 0.9, 1.0, 1.01, 1.02, 0.98)
"""January to December; the fiscal year turns in March and April, August is quiet."""


@cache
def _day_kind(day: int) -> _DayKind:
    date = _EPOCH + dt.timedelta(days=day)
    new_year = (date.month, date.day) >= (12, 29) or (date.month, date.day) <= (1, 3)
    if date.weekday() == _SUNDAY or new_year or jpholiday.is_holiday(date):
        return _DayKind.CLOSED
    return _DayKind.SATURDAY if date.weekday() == _SATURDAY else _DayKind.WORKDAY


@cache
def _season(day: int) -> float:
    date = _EPOCH + dt.timedelta(days=day)
    middle = date.month - 1
    side = -1 if date.day < 16 else 1  # noqa: PLR2004 - the middle of a month, towards which its neighbour fades out
    weight = abs(date.day - 15.5) / 31.0
    return _MONTHS[middle] * (1.0 - weight) + _MONTHS[(middle + side) % 12] * weight


@cache
def _day_shape(shape: Shape, kind: _DayKind) -> tuple[float, ...]:
    hours = [int(word) / 100.0 for word in _HOURS[shape, kind].split()]
    lunch = shape is Shape.OFFICE and kind is _DayKind.WORKDAY
    return tuple(_at_hour(hours, (slot + 0.5) / 12.0, lunch=lunch) for slot in range(SLOTS_A_DAY))


def _at_hour(hours: list[float], hour: float, *, lunch: bool) -> float:
    whole = int(hour)
    if lunch and whole in {11, 12}:  # the bell rings at noon and at one: steps, not slopes
        return hours[whole]
    return hours[whole] + (hours[whole + 1] - hours[whole]) * (hour - whole)


@cache
def _noise(which: int) -> tuple[float, ...]:
    """A ring of factors around 1: ring 0 wanders over about an hour, ring 1 jumps from slot to slot."""
    draw = random.Random(20_261_121 + which)  # noqa: S311 - weather, not secrets
    length = _NOISE_LENGTHS[which]
    if which == 1:
        return tuple(draw.lognormvariate(-0.008, 0.12) for _ in range(length))
    steps = [draw.gauss(0.0, 1.0) for _ in range(length)]
    smooth = [sum(steps[at - back] * 0.85**back for back in range(24)) for at in range(length)]
    return tuple(1.0 + 0.075 * max(-4.0, min(4.0, value)) for value in smooth)


def _window(which: int, start: int) -> tuple[float, ...]:
    ring = _noise(which)
    at = start % len(ring)
    piece = ring[at : at + SLOTS_A_DAY]
    return piece if len(piece) == SLOTS_A_DAY else piece + ring[: SLOTS_A_DAY - len(piece)]


@cache
def _pattern(which: int) -> tuple[int, ...]:
    """How the pieces of a slot share its octets: 31 sums from 0 to 2^20."""
    draw = random.Random(7_919 + which)  # noqa: S311 - weather, not secrets
    weights = [draw.lognormvariate(0.0, 0.25) for _ in range(_PIECES)]
    total = sum(weights)
    sums = [int(_SHARES * part / total) for part in accumulate(weights, initial=0.0)]
    return (*sums[:-1], _SHARES)
