"""The straight way: a whole device at once, by columns, where nothing is out of the ordinary.

Nearly every poll of nearly every device is ordinary: the index map is the same, every row went on counting, no counter
fell, nothing is too fast. Then a device takes a few dozen C loops instead of a thousand lines of Python. The straight
way decides nothing: whatever it does not recognise as ordinary it leaves untouched to the rows' way of poller.rates,
and where it does count, it counts the same (a test compares them on every kind of reading).
"""

from collections.abc import Sequence
from operator import gt, sub, truediv
from typing import Final, NamedTuple

from poller.baselines import Baseline
from poller.counting import LATE_NS, OCTETS, SMALLEST_PACKET, WIDTH, place
from poller.devicerates import Columns
from poller.readings import DeviceReading
from poller.sample import Quality
from poller.uptime import TICK_NS

SURELY_PLAUSIBLE: Final = 1.0499
"""Of the speed, in floating point: between this and 1.05 the rows' way decides with integers."""


class Spans(NamedTuple):
    """The time of every row of a reading: what rates are divided by, and where the interval ends on our axis."""

    per_bit: list[float]
    per_second: list[float]
    placed_ns: list[int]


def count_straight(reading: DeviceReading, base: Baseline, columns: Columns, shortest_ns: int, longest_ns: int) -> bool:
    """Count all rows at once and make the reading the baseline; False, and nothing changed, if any is not ordinary.

    Intervals must be at least shortest_ns and at most longest_ns long.
    """
    layout = reading.layout
    if base.overdrawn or not all(layout.wide) or 0 in layout.speeds or 0 in base.received_ns:
        return False
    if base.discontinuity_ticks != list(reading.discontinuity_ticks):
        return False
    spans = _spans(reading, base, shortest_ns, longest_ns)
    if spans is None:
        return False
    counted = _differences(base.counters if base.packed is None else base.packed, reading.counters)
    if counted is None or counted[0] is None or counted[1] is None:
        return False
    rates = _rates(counted, spans, layout.speeds)
    if rates is None:
        return False
    for index, column in enumerate(rates):
        if column is not None:
            columns.rates[index::WIDTH] = column
    columns.quality = [Quality.OBSERVED] * len(spans.placed_ns)
    columns.in_octets, columns.out_octets = counted[0], counted[1]
    columns.from_ns, columns.to_ns = base.placed_ns, spans.placed_ns
    base.pack(reading.counters)
    base.received_ns, base.uptime_ticks = list(reading.received_ns), list(reading.uptime_ticks)
    base.placed_ns = spans.placed_ns.copy()
    return True


def _spans(reading: DeviceReading, base: Baseline, shortest_ns: int, longest_ns: int) -> Spans | None:
    """The rows' times if every agent's clock went on with ours; rows of one PDU share theirs."""
    spans = Spans([], [], [])
    last: tuple[object, ...] = ()
    per_bit = per_second = 0.0
    placed_ns = 0
    times = zip(
        base.received_ns, base.uptime_ticks, base.placed_ns, reading.received_ns, reading.uptime_ticks, strict=True
    )
    for time in times:
        if time != last:
            last = time
            before_ns, before_ticks, begin_ns, after_ns, after_ticks = time
            if before_ticks is None or after_ticks is None or after_ticks < before_ticks:
                return None
            counted_ns = (after_ticks - before_ticks) * TICK_NS
            if counted_ns < shortest_ns or abs(after_ns - before_ns - counted_ns) > LATE_NS:
                return None
            placed_ns = place(begin_ns, counted_ns, after_ns)
            if placed_ns - begin_ns > longest_ns:
                return None
            per_bit, per_second = counted_ns / 8e9, counted_ns / 1e9
        spans.per_bit.append(per_bit)
        spans.per_second.append(per_second)
        spans.placed_ns.append(placed_ns)
    return spans


def _differences(before: Sequence[int | None], after: Sequence[int | None]) -> list[list[int] | None] | None:
    """Every counter's column of differences, None for one that the device lacks; None for all if any fell."""
    counted: list[list[int] | None] = []
    for index in range(WIDTH):
        old, new = before[index::WIDTH], after[index::WIDTH]
        try:
            column = list(map(sub, new, old))  # None raises: that is the test for it
        except TypeError:
            if any(value is not None for value in (*old, *new)):
                return None
            counted.append(None)
            continue
        if min(column, default=0) < 0:
            return None
        counted.append(column)
    return counted


def _rates(counted: Sequence[list[int] | None], spans: Spans, speeds: Sequence[int]) -> list[list[float] | None] | None:
    """Every counter's column of rates; None if any is near what its line cannot carry."""
    most_bits = [speed * SURELY_PLAUSIBLE for speed in speeds]
    most_packets = [bits / (8 * SMALLEST_PACKET + 1) for bits in most_bits]
    rates: list[list[float] | None] = []
    for index, column in enumerate(counted):
        if column is None:
            rates.append(None)
            continue
        rate = list(map(truediv, column, spans.per_bit if index < OCTETS else spans.per_second))
        if any(map(gt, rate, most_bits if index < OCTETS else most_packets)):
            return None
        rates.append(rate)
    return rates
