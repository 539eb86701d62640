"""The first minute of a first start, on simulated time: schedule, counters, pipeline and live state as they are."""

from pathlib import Path
from typing import Any

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.config import load
from poller.lab.server import simulated
from poller.lab.world import World
from poller.pipeline import Pipeline
from poller.profiles import load_profiles
from poller.readings import DeviceReading, InterfaceLayout
from poller.schedule import SECOND_NS, start_schedule
from poller.wall.live import LiveState

EXAMPLES = Path(__file__).resolve().parent.parent / "config" / "examples"
START = 1_795_230_000 * SECOND_NS
SLOWEST_ANSWER_SECONDS = 3
"""Discovery and poll of a device on the slow first round."""


def read(world: World, device: str, layout: InterfaceLayout, due_ns: int, now_ns: int) -> DeviceReading:
    """What the device's agent would say."""
    box = world.box(device)
    counters = [
        value for port in box.ports for value in (port.inbound.read(now_ns), port.outbound.read(now_ns), *[0] * 6)
    ]
    rows = len(box.ports)
    return DeviceReading(
        device=device,
        due_ns=due_ns,
        layout=layout,
        received_ns=[now_ns] * rows,
        uptime_ticks=[box.uptime_ticks(now_ns)] * rows,
        counters=counters,
        oper_status=[port.oper_status for port in box.ports],
        discontinuity_ticks=[None] * rows,
        interval_ns=10 * SECOND_NS,
    )


def missing(wall: dict[str, Any]) -> list[str]:
    """What the page does not show yet."""
    return [
        *(device["id"] for device in wall["devices"] if device["asked"] and not device["up"]),
        *(entry["id"] for entry in wall["circuits"] if entry["state"] != "up"),
        *(
            entry["id"]
            for section in ("circuits", "line_groups", "tenants")
            for entry in wall[section]
            if entry["in"] is None or entry["out"] is None
        ),
    ]


@pytest.mark.parametrize("second", [0, 3, 7, 29, 58])
@pytest.mark.parametrize("example", ["prefecture", "cityhall"])
def test_within_the_first_minute_the_page_shows_everything_with_its_traffic(
    tmp_path: Path, example: str, second: int
) -> None:
    """In 55 s, whenever in a minute the daemon starts, and though every answer takes three seconds (R2, R32)."""
    estate = simulated(load(EXAMPLES / example).estate)
    start_ns = START + second * SECOND_NS
    world = World(estate, load_profiles(), start_ns - 3600 * SECOND_NS)
    store, live = Store(tmp_path / "alerts.sqlite"), LiveState(estate)
    pipeline = Pipeline(estate, lambda _samples: None, Alerting(estate, store), live)
    layouts = {
        key: InterfaceLayout(
            tuple(port.port.name for port in box.ports),
            tuple(port.if_index for port in box.ports),
            (40 * 10**9,) * len(box.ports),
            (True,) * len(box.ports),
        )
        for key, box in world.boxes.items()
    }
    intervals = {key: device.interval or estate.polling.interval for key, device in estate.devices.items()}
    schedule = start_schedule(intervals, start_ns, first_start=True)
    answers: list[tuple[int, DeviceReading]] = []
    for passed in range(55):
        now_ns = start_ns + passed * SECOND_NS
        for due in schedule.due(now_ns):
            done_ns = now_ns + SLOWEST_ANSWER_SECONDS * SECOND_NS
            answers.append((done_ns, read(world, due.device, layouts[due.device], due.due_ns, done_ns)))
        while answers and answers[0][0] <= now_ns:
            pipeline.accept(answers.pop(0)[1], now_ns)
        pipeline.tick(now_ns)
    wall = live.snapshot(start_ns + 55 * SECOND_NS)
    store.close()
    assert [] == missing(wall)
    assert len(estate.tenants) == len(wall["tenants"])
    assert all(group["in"] for group in wall["line_groups"])
