"""Asking the lab's agents by the production path: discovered once, asked by name, looked at again when they changed."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from poller.asking import Asking
from poller.config import load
from poller.estate import Device
from poller.lab.server import Lab, LabOptions
from poller.profiles import load_profiles
from poller.readings import COUNTERS, DeviceReading, FailedPoll
from poller.rounds import Answer
from poller.targets import snmp_target
from probes.snmp import Snmp, SnmpTarget

PREFECTURE = Path(__file__).resolve().parent.parent / "config" / "examples" / "prefecture"
CONFIGURATION = load(PREFECTURE)
SECOND_NS = 10**9
START_NS = 1_795_230_000 * SECOND_NS


class Minutes:
    """A clock for agents and daemon alike; the test moves it."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


class Watch:
    """One device of the lab, asked once a minute."""

    def __init__(self, lab: Lab, snmp: Snmp, clock: Minutes, entry: Device, target: SnmpTarget) -> None:
        self.lab = lab
        self.clock = clock
        self._device = entry.id
        self._targets = {entry.id: (entry, target)}
        self.start(snmp)

    def start(self, snmp: Snmp) -> None:
        """Begin with nothing known, as a daemon does."""
        self.asking = Asking(snmp, load_profiles(), self._targets, clock_ns=self.clock)
        self.size = snmp.device(self._targets[self._device][1]).size

    async def ask(self, seconds: int = 60) -> Answer:
        self.clock.now_ns += seconds * SECOND_NS
        return await self.asking.ask(self._device, self.clock.now_ns, 20.0)

    async def read(self, seconds: int = 60) -> DeviceReading:
        answer = await self.ask(seconds)
        assert isinstance(answer, DeviceReading), answer
        return answer


@asynccontextmanager
async def watching(device: str) -> AsyncIterator[Watch]:
    clock = Minutes()
    estate = CONFIGURATION.estate
    options = LabOptions(port=0)
    async with Lab(estate, CONFIGURATION.directory, options, clock=clock) as lab, Snmp(wall_clock_ns=clock) as snmp:
        address, port = lab.address(device)
        entry = estate.devices[device].model_copy(update={"port": port})
        assert entry.credentials is not None
        polling = estate.polling.model_copy(update={"timeout": 0.2, "tries": 2})
        target = snmp_target(entry, estate.credentials[entry.credentials], polling, CONFIGURATION.directory)
        assert (address, port) == (target.address, target.port)
        yield Watch(lab, snmp, clock, entry, target)


def octets_by_name(reading: DeviceReading) -> dict[str, int | None]:
    return dict(zip(reading.layout.names, reading.counters[:: len(COUNTERS)], strict=True))


async def test_a_device_is_discovered_once_and_then_only_polled() -> None:
    async with watching("int-rt-1") as watch:
        first, second = await watch.read(), await watch.read()
    assert first.layout is second.layout
    assert "TenGigabitEthernet0/0/0" in first.layout.names
    assert first.values["cpu_ratio"] >= 0
    grown = [
        name for name, octets in octets_by_name(second).items() if (octets or 0) > (octets_by_name(first)[name] or 0)
    ]
    assert "TenGigabitEthernet0/0/0" in grown


async def test_after_a_reboot_with_other_indexes_the_series_keep_their_names() -> None:
    """R30: the index map is read again before counters are used; no series gets another's counters."""
    async with watching("int-rt-1") as watch:
        before = await watch.read()
        watch.lab.reboot("int-rt-1", reshuffle=True)
        after = await watch.read()
    assert set(before.layout.names) == set(after.layout.names)
    indexes = [dict(zip(each.layout.names, each.layout.if_indexes, strict=True)) for each in (before, after)]
    assert indexes[0] != indexes[1]
    assert before.layout is not after.layout


async def test_a_silent_device_is_silent_and_its_return_is_seen() -> None:
    """R23: nobody answered is told as such; the device is polled again as soon as it answers."""
    async with watching("fw-1") as watch:
        await watch.read()
        watch.lab.silence("fw-1")
        silent = await watch.ask()
        assert isinstance(silent, FailedPoll)
        assert (False, "no_answer") == (silent.answered, silent.reason)
        again = await watch.ask()
        assert isinstance(again, FailedPoll)
        assert again.answered is False


@pytest.mark.parametrize("form", [bytes, zlib.decompress], ids=["now", "of older versions"])
async def test_discoveries_and_request_sizes_survive_a_restart(
    caplog: pytest.LogCaptureFixture, form: Callable[[bytes], bytes]
) -> None:
    """What a device has taught about the size of requests is kept (R14), and the first poll needs no discovery."""
    async with watching("fw-1") as watch:
        await watch.read()
        watch.size.halve(20)
        saved = watch.asking.save()
        async with Snmp(wall_clock_ns=watch.clock) as snmp:
            watch.start(snmp)
            watch.asking.restore({key: form(kept) for key, kept in saved.items()})
            assert saved == watch.asking.save()
            assert 10 == watch.size.limit
            with caplog.at_level("INFO"):
                await watch.read()
    assert "discovered" not in caplog.text


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"{",
        lambda saved: saved.replace(b'"device":"fw-1"', b'"device":7'),
        lambda saved: saved.replace(b'"request_size":512', b'"request_size":0'),
        lambda saved: zlib.compress(saved)[:-9],
    ],
)
async def test_a_damaged_discovery_is_made_anew(
    caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    async with watching("fw-1") as watch:
        await watch.read()
        saved = zlib.decompress(watch.asking.save()["fw-1"])
    assert damage(saved) != saved
    async with watching("fw-1") as watch:
        with caplog.at_level("INFO"):
            watch.asking.restore({"fw-1": damage(saved), "gone": b""})
        assert "discovery_not_kept device=fw-1" in caplog.text
        await watch.read()


async def test_tables_of_few_devices_are_read_at_once_and_a_dead_one_needs_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While there is no room, a dead device is found dead, and one that answers waits for its turn."""
    monkeypatch.setattr("poller.asking.TABLES_AT_ONCE", 1)
    async with watching("fw-1") as watch:
        room = watch.asking._reading_tables
        async with room:
            watch.lab.silence("fw-1")
            assert isinstance(await watch.asking.ask("fw-1", START_NS, 3600.0), FailedPoll)
            watch.lab.wake("fw-1")
            watch.clock.now_ns += 3600 * SECOND_NS
            waiting = asyncio.create_task(watch.asking.ask("fw-1", START_NS, 3600.0))
            while not room._waiters:  # noqa: ASYNC110 - nobody tells that somebody waits
                await asyncio.sleep(0)
        assert isinstance(await waiting, DeviceReading)


async def test_a_poll_that_takes_too_long_is_given_up() -> None:
    """R5: the deadline is over all requests and retries of the device."""
    async with watching("fw-1") as watch:
        watch.lab.delay("fw-1", 3600.0)
        answer = await watch.asking.ask("fw-1", START_NS, 0.05)
    assert isinstance(answer, FailedPoll)
    assert ("deadline", False) == (answer.reason, answer.answered)
