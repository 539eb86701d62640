"""From readings to rates: what each interface counted since its last reading, or the reason why nobody can say.

    Rates.update(reading) -> DeviceRates -> poller.interfaces (samples), poller.slots

Theory. A series is device + interface name (R30). Its baseline is the last reading that was usable. A new reading is
either counted against the baseline and becomes the new one, or
- seeds: it becomes the baseline without having been counted (first reading, restart, discontinuity, implausible), or
- waits: the baseline stays, and the next reading is counted over the whole time (no value, cached, out of order).
So an octet is counted at most once, and none is lost that the device still knows of.

Time comes from sysUpTime where that is sane (R28). On the axis of our clock the interval ends where the agent's clock
says, disciplined by the time of receipt: a reply that came late after a retry does not move octets between slots. That
holds for the first reading too: it is placed where it was due, because nobody knows yet how late its reply came.

The limit of it: an agent that reads its counters only every 30 s (R32) tells octets of up to 30 s ago. Polled steadily
in step with its cache it shows its true rate. Out of step or with jitter, what one interval lacks the next has too
much: no octet is lost, but at 60 s a single rate may be off by half (30 s of 60 s). Polled faster than it reads, equal
readings wait, and the rate between two changes is shown meanwhile; it may be off by 0.6, and because the higher ones
are shown longer, the mean of what is shown may be up to 0.3 too high. Slots are made of octets and have no such bias.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from poller.baselines import Baseline
from poller.counting import (
    CACHE_NS,
    WIDTH,
    Moment,
    Step,
    ambiguous,
    differences,
    per_second,
    place_first,
    plausible,
    plausible_octets,
    time_step,
)
from poller.devicerates import (
    CACHED,
    CLOCK_STEPPED,
    DISCONTINUITY,
    FIRST_READING,
    GAP,
    IMPLAUSIBLE,
    INDEX_MAP_UNVERIFIED,
    NO_VALUE,
    OUT_OF_ORDER,
    TOO_FAST,
    Columns,
    DeviceRates,
)
from poller.readings import DeviceReading
from poller.sample import Quality
from poller.straight import count_straight
from poller.uptime import RESTARTS, Continuity, Witness, judge_device

UNVERIFIED_NS: Final = 300 * 10**9
"""After a restart the old index map is distrusted so long; by then a re-discovery has said that it still holds."""
SHORTEST_GAP_NS: Final = 60 * 10**9
"""Below this nothing is a gap, because fast polls wait for agents that cache."""
HOLD_NS: Final = CACHE_NS + 9 * 10**9
"""Equal readings are held so long: the agent's cache and the distance of two fast polls, which is 10 s less what the
answer to the first of them came late."""


class DeviceCounters:
    """The counting of one device; readings come in the order in which they were made.

    straight: whether ordinary readings may take the straight way; the result is the same.
    """

    __slots__ = ("_base", "_loaded", "_straight")

    def __init__(self, *, straight: bool = True) -> None:
        self._base: Baseline | None = None
        self._straight = straight
        self._loaded = False

    def save(self) -> dict[str, Any] | None:
        """A structure of plain msgpack types, None before the first reading."""
        return None if self._base is None else self._base.save()

    @classmethod
    def load(cls, saved: Mapping[str, Any] | None) -> "DeviceCounters":
        """What save gave; ValueError for another version."""
        counters = cls()
        counters._base = None if saved is None else Baseline.load(saved)
        counters._loaded = saved is not None
        return counters

    def update(self, reading: DeviceReading) -> DeviceRates:
        """What was counted since the last reading. Never raises for what a device may say."""
        base, same_layout = self._follow(reading)
        now = witness_of(reading)
        columns = Columns(base.placed_ns)
        before, base.witness = base.witness or now, now
        continuity = judge_device(before, now)
        columns.restart = str(continuity) if continuity in RESTARTS else ""
        if base.unverified_ns:
            _distrust(reading, base, columns)
        else:
            ordinary = continuity is Continuity.CONTINUED and self._straight
            if not (ordinary and count_straight(reading, base, columns, HOLD_NS, gap_ns(reading.interval_ns))):
                base.unpack()
                for row in range(len(reading.layout.names)):
                    _count_row(row, reading, base, columns, before)
            if columns.restart and same_layout:
                base.forget_rows()
                base.unverified_ns = now.seen_ns
        base.held_rates = columns.rates if reading.interval_ns < HOLD_NS else []
        return columns.rates_of(reading, reread_layout=base.unverified_ns != 0)

    def _follow(self, reading: DeviceReading) -> tuple[Baseline, bool]:
        """The baseline in the reading's layout, and whether that is the one it had.

        Another layout object ends the distrust that a restart began; after a load, equality stands for identity.
        """
        base, loaded, self._loaded = self._base, self._loaded, False
        if base is None:
            self._base = Baseline.empty(reading.layout)
            return self._base, False
        same = reading.layout is base.layout or (loaded and reading.layout == base.layout)
        if reading.layout is not base.layout:
            base.move_to(reading.layout)
        if base.unverified_ns and not (same and witness_of(reading).seen_ns - base.unverified_ns <= UNVERIFIED_NS):
            base.unverified_ns = 0
        return base, same


def witness_of(reading: DeviceReading) -> Witness:
    """What a reading tells about restarts of the whole device."""
    ticks = [value for value in reading.uptime_ticks if value is not None]
    return Witness(
        seen_ns=max(reading.received_ns, default=reading.due_ns),
        uptime_ticks=ticks[-1] if ticks else None,
        engine_boots=reading.engine_boots,
        engine_seconds=reading.engine_seconds,
        system_uptime_ticks=reading.system_uptime_ticks,
    )


def _distrust(reading: DeviceReading, base: Baseline, columns: Columns) -> None:
    """No row is used under an index map from before a restart (R30)."""
    columns.reason = [INDEX_MAP_UNVERIFIED] * len(columns.reason)
    columns.from_ns, columns.to_ns = list(reading.received_ns), list(reading.received_ns)
    base.placed_ns = list(reading.received_ns)


def _count_row(row: int, reading: DeviceReading, base: Baseline, columns: Columns, witness: Witness) -> None:
    """Count one row, or seed, or wait; witness is of the last reading."""
    values = reading.counters[row * WIDTH : (row + 1) * WIDTH]
    if values[0] is None or values[1] is None:
        columns.quality[row] = Quality.FAILED
        columns.reason[row] = reading.failures.get("interfaces", NO_VALUE)
        return
    if base.received_ns[row] == 0:
        _seed(row, reading, base, columns, FIRST_READING)
        return
    before = Moment(base.received_ns[row], base.uptime_ticks[row], base.placed_ns[row])
    after = Moment(reading.received_ns[row], reading.uptime_ticks[row], 0)
    step = time_step(before, after, (witness, base.witness or witness))
    if step.continuity in RESTARTS:
        columns.restart = str(step.continuity)
        _seed(row, reading, base, columns, columns.restart)
    elif step.elapsed_ns == 0:
        if before.uptime_ticks is not None and (after.uptime_ticks or 0) <= before.uptime_ticks:
            columns.reason[row] = OUT_OF_ORDER
        else:
            _seed(row, reading, base, columns, CLOCK_STEPPED)
    else:
        _count_step(row, reading, base, columns, step)


def _count_step(row: int, reading: DeviceReading, base: Baseline, columns: Columns, step: Step) -> None:
    """Count one row over a step of time in which the agent ran on."""
    here = row * WIDTH
    counters, speed, wide = reading.counters[here : here + WIDTH], reading.layout.speeds[row], reading.layout.wide[row]
    continued = step.continuity is Continuity.CONTINUED
    counted = None
    if _undisturbed(base.discontinuity_ticks[row], reading.discontinuity_ticks[row]):
        wraps = continued and speed > 0
        counted = differences(base.counters[here : here + WIDTH], counters, wide=wide, may_wrap=wraps)
    most = plausible_octets(speed, step.elapsed_ns)
    if counted is None:
        _seed(row, reading, base, columns, DISCONTINUITY)
    elif not wide and ambiguous(speed, step.elapsed_ns):
        _seed(row, reading, base, columns, TOO_FAST)
    elif step.elapsed_ns < HOLD_NS and not any(counted):
        held = base.held_rates[here : here + WIDTH] or [None] * WIDTH
        columns.rates[here : here + WIDTH], columns.reason[row] = held, CACHED
        columns.quality[row] = Quality.UNKNOWN if held[0] is None else Quality.OBSERVED
    elif plausible(counted, most):
        _accept(row, reading, base, columns, (step, counted))
    elif row not in base.overdrawn and plausible(counted, plausible_octets(speed, step.elapsed_ns + CACHE_NS)):
        base.overdrawn.add(row)  # a cache may have been read early: over two intervals it is right again
        columns.reason[row] = IMPLAUSIBLE
    else:
        _seed(row, reading, base, columns, IMPLAUSIBLE)


def _accept(
    row: int, reading: DeviceReading, base: Baseline, columns: Columns, result: tuple[Step, Sequence[int | None]]
) -> None:
    """Enter what a row counted and make the reading its baseline."""
    step, counted = result
    here = row * WIDTH
    columns.in_octets[row], columns.out_octets[row] = counted[0] or 0, counted[1] or 0
    columns.to_ns[row] = step.placed_ns
    if step.placed_ns - base.placed_ns[row] > gap_ns(reading.interval_ns):
        columns.reason[row] = GAP
    else:
        most = plausible_octets(reading.layout.speeds[row], step.elapsed_ns)
        columns.quality[row] = Quality.OBSERVED
        columns.rates[here : here + WIDTH] = per_second(counted, step.elapsed_ns, most)
    _remember(row, reading, base, step.placed_ns)


def _seed(row: int, reading: DeviceReading, base: Baseline, columns: Columns, reason: str) -> None:
    """Make the reading the row's baseline without counting."""
    columns.reason[row] = reason
    placed_ns = place_first(base.placed_ns[row], reading.due_ns, reading.received_ns[row])
    columns.from_ns[row] = columns.to_ns[row] = placed_ns
    _remember(row, reading, base, placed_ns)


def _remember(row: int, reading: DeviceReading, base: Baseline, placed_ns: int) -> None:
    here = row * WIDTH
    base.counters[here : here + WIDTH] = reading.counters[here : here + WIDTH]
    base.received_ns[row] = reading.received_ns[row]
    base.uptime_ticks[row] = reading.uptime_ticks[row]
    base.discontinuity_ticks[row] = reading.discontinuity_ticks[row]
    base.placed_ns[row] = placed_ns
    base.overdrawn.discard(row)


def _undisturbed(before_ticks: int | None, after_ticks: int | None) -> bool:
    """Whether ifCounterDiscontinuityTime stayed as it was, where the device has it."""
    return before_ticks is None or after_ticks is None or before_ticks == after_ticks


def gap_ns(interval_ns: int) -> int:
    """A longer interval than this is a gap: two polling intervals, and a quarter for late replies (R33)."""
    return max(2 * interval_ns + interval_ns // 4, SHORTEST_GAP_NS)


class Rates:
    """The counting of all devices, by id; straight as in DeviceCounters."""

    __slots__ = ("_devices", "_straight")

    def __init__(self, *, straight: bool = True) -> None:
        self._devices: dict[str, DeviceCounters] = {}
        self._straight = straight

    def update(self, reading: DeviceReading) -> DeviceRates:
        """What the device's interfaces counted since its last reading."""
        counters = self._devices.get(reading.device)
        if counters is None:
            counters = self._devices[reading.device] = DeviceCounters(straight=self._straight)
        return counters.update(reading)

    def keep_only(self, devices: Collection[str]) -> None:
        """Forget devices that are no longer watched."""
        self._devices = {device: counters for device, counters in self._devices.items() if device in devices}

    def save(self) -> dict[str, Any]:
        """A structure of plain msgpack types, by device."""
        return {device: counters.save() for device, counters in self._devices.items()}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "Rates":
        """What save gave; ValueError for another version."""
        rates = cls()
        rates._devices = {device: DeviceCounters.load(entry) for device, entry in saved.items()}
        return rates
