"""The straight way counts exactly what the rows' way counts, on ordinary and on strange readings."""

from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from poller.rates import DeviceCounters
from poller.readings import DeviceReading, InterfaceLayout
from poller.straight import count_straight

SECOND = 10**9
START = 1_800_000_000 * SECOND
ROWS = 3
LAYOUTS = (
    InterfaceLayout(("a", "b", "c"), (1, 2, 3), (10**9, 10**8, 10**10), (True, True, True)),
    InterfaceLayout(("a", "b", "c"), (1, 2, 3), (10**9, 10**8, 10**10), (True, True, True), discovered_ns=1),
    InterfaceLayout(("b", "a", "c"), (1, 2, 3), (10**9, 10**8, 0), (True, False, True)),
)


@st.composite
def polls(draw: st.DrawFn) -> list[DeviceReading]:
    """A device's readings: mostly ordinary, each kind of oddity now and then; rows in two PDUs."""
    lacking = draw(st.sets(st.sampled_from([2, 5, 6, 7])))
    at, ticks, layout = START, draw(st.integers(0, 2**32 - 1)), LAYOUTS[0]
    counters = [draw(st.integers(0, 2**32)) for _ in range(8 * ROWS)]
    readings = []
    for _ in range(draw(st.integers(2, 8))):
        odd = draw(
            st.sampled_from([""] * 12 + ["late", "reboot", "fall", "fast", "hole", "lost", "layout", "mark", "near"])
        )
        step = draw(st.sampled_from([60_00, 60_00, 59_50, 61_20, 10_00])) * (5 if odd == "lost" else 1)
        at += step * 10**7
        ticks = 500 if odd == "reboot" else (ticks + step) % 2**32
        load = draw(st.sampled_from([0.0, 0.1, 0.7, 1.0]))
        load = draw(st.sampled_from([1.05, 1.051, 1.1, 1.3])) if odd == "near" else load
        for index in range(8 * ROWS):
            speed = LAYOUTS[0].speeds[index // 8]
            most = speed * step // 800 if index % 8 < 2 else speed * step // 160_000
            counters[index] += int(most * load * (3 if odd == "fast" else 1))
        if odd in ("fall", "reboot"):
            counters[draw(st.integers(0, 8 * ROWS - 1))] //= 3
        layout = draw(st.sampled_from(LAYOUTS)) if odd == "layout" else layout
        values: list[int | None] = [None if index % 8 in lacking else value for index, value in enumerate(counters)]
        if odd == "hole":
            values[draw(st.integers(0, 8 * ROWS - 1))] = None
        late = draw(st.integers(0, 9 * SECOND)) if odd == "late" else 0
        readings.append(
            DeviceReading(
                device="r1",
                due_ns=at,
                layout=layout,
                received_ns=[at + late, at + late, at + late + 5_000_000],
                uptime_ticks=[ticks, ticks, (ticks + 1) % 2**32],
                counters=values,
                oper_status=[1] * ROWS,
                discontinuity_ticks=[7 if odd == "mark" else None] * ROWS,
                interval_ns=10 * SECOND if step == 10_00 else 60 * SECOND,
            )
        )
    return readings


@given(polls())
@settings(max_examples=400, deadline=None)
def test_both_ways_tell_the_same_and_remember_the_same(readings: list[DeviceReading]) -> None:
    """(R26, R27, R28, R31)"""
    straight, by_rows = DeviceCounters(), DeviceCounters(straight=False)
    for reading in readings:
        assert _plain(straight, reading) == _plain(by_rows, reading)
        assert straight.save() == by_rows.save()


def _plain(counters: DeviceCounters, reading: DeviceReading) -> dict[str, object]:
    told = asdict(counters.update(reading))
    return {name: list(value) if isinstance(value, list | tuple) else value for name, value in told.items()}


def test_an_ordinary_reading_does_take_the_straight_way() -> None:
    """Otherwise the comparison above would compare nothing, and the speed would be lost unnoticed."""
    layout = LAYOUTS[0]
    counters = DeviceCounters()
    readings = [
        DeviceReading("r1", at, layout, [at] * 3, [ticks] * 3, [ticks] * 24, [1] * 3, [None] * 3)
        for at, ticks in ((START, 100_000), (START + 60 * SECOND, 106_000))
    ]
    counters.update(readings[0])
    assert counters._base is not None
    columns = type("Columns", (), {"rates": [None] * 24})()
    assert count_straight(readings[1], counters._base, columns, 40 * SECOND, 135 * SECOND)
    assert columns.in_octets == [6000] * 3
