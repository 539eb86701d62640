"""One interface asked for beside the polls: against a simulated switch, and what happens where it cannot tell (R48)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from poller.asking import Asking
from poller.config import load
from poller.followup import Look
from poller.lab.server import Lab, LabOptions
from poller.looking import Looking
from poller.profiles import load_profiles
from poller.share import share
from poller.targets import snmp_target
from probes.snmp import Snmp

EXAMPLE = share("config/examples/prefecture")
DEVICE, PORT = "ho-sw-1", "Ethernet1/0"


@pytest.fixture
async def polled() -> AsyncIterator[tuple[Lab, Asking]]:
    """A simulated switch, polled once."""
    estate = load(EXAMPLE).estate
    device = estate.devices[DEVICE]
    async with Lab(estate, EXAMPLE, LabOptions(port=0)) as lab, Snmp() as snmp:
        polling = estate.polling.model_copy(update={"port": lab.ports[0]})
        target = snmp_target(device, estate.credentials[device.credentials or ""], polling, EXAMPLE)
        asking = Asking(snmp, load_profiles(), {DEVICE: (device, target)})
        assert asking.interface_name(DEVICE, 1) is None
        assert await asking.look(DEVICE, PORT, 5) is None  # nothing is known of it yet: a poll must come first
        await asking.ask(DEVICE, 0, 30)
        yield lab, asking


async def test_a_look_tells_the_state_of_this_moment_for_one_packet(polled: tuple[Lab, Asking]) -> None:
    lab, asking = polled
    assert 1 == await asking.look(DEVICE, PORT, 5)
    lab.set_interface(DEVICE, PORT, up=False)
    before = asking._snmp.statistics.sent
    assert 2 == await asking.look(DEVICE, PORT, 5)
    assert 1 == asking._snmp.statistics.sent - before


async def test_a_look_at_a_device_that_restarted_meanwhile_says_nothing(polled: tuple[Lab, Asking]) -> None:
    """Its rows may be others under the same numbers: only a poll finds out."""
    lab, asking = polled
    lab.reboot(DEVICE, reshuffle=True)
    assert await asking.look(DEVICE, PORT, 5) is None


async def test_a_look_at_a_device_that_does_not_answer_or_has_no_such_interface_says_nothing(
    polled: tuple[Lab, Asking],
) -> None:
    lab, asking = polled
    assert await asking.look(DEVICE, "no-such-port", 5) is None
    lab.silence(DEVICE)
    assert await asking.look(DEVICE, PORT, 0.2) is None


class Answers:
    """An asker that knows the states of some interfaces."""

    def __init__(self, **states: int) -> None:
        self._states = states

    async def look(self, _device: str, interface: str, _deadline_seconds: float) -> int | None:
        if interface == "broken":
            raise RuntimeError("a fault of ours")
        return self._states.get(interface)


async def test_what_a_look_cannot_tell_is_asked_of_the_whole_device() -> None:
    """And a fault of ours in one look ends none of the others."""
    seen: list[tuple[str, str, int]] = []
    polls: list[str] = []
    looking = Looking(
        Answers(port1=2),
        lambda *told: seen.append(told),
        polls.append,
        lambda device: "works" if device == "maintained" else None,
    )
    running = asyncio.create_task(looking.run())
    for look in (
        Look("fw-1"),
        Look("fw-2", "broken"),
        Look("fw-2", "port1"),
        Look("fw-2", "port9"),
        Look("maintained", "port1"),
    ):
        looking.look(look)
    while len(seen) + len(polls) < 3:  # noqa: ASYNC110 - plain lists wake nobody
        await asyncio.sleep(0)
    assert ([("fw-2", "port1", 2)], ["fw-1", "fw-2"]) == (seen, polls)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
