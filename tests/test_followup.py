"""What is asked after a notification: which interface or device, when, and not too often (R48)."""

from pathlib import Path

import pytest

from poller.config import load
from poller.followup import SINGLES_MOST, Followup, Look
from poller.share import share
from traps.catalogue import Does

SECOND = 10**9
NOON = 1_763_694_000 * SECOND
ESTATE = load(Path(share("config/examples/prefecture"))).estate


def asked(followup: Followup, first: int, last: int) -> list[tuple[int, Look]]:
    """Seconds and looks of the beats from first to last."""
    return [(second, look) for second in range(first, last) for look in followup.due(NOON + second * SECOND)]


def test_an_interface_is_asked_for_at_once_and_again_after_two_minutes_alone() -> None:
    """R48."""
    followup = Followup(ESTATE)
    followup.note("fw-1", Does.POLL, NOON, "port1")
    assert [(0, Look("fw-1", "port1")), (120, Look("fw-1", "port1"))] == asked(followup, 0, 400)


def test_a_flapping_interface_is_asked_for_every_five_seconds_and_last_after_its_last_word() -> None:
    followup = Followup(ESTATE)
    found = []
    for second in range(30):
        followup.note("fw-1", Does.POLL, NOON + second * SECOND, "port1")
        found += asked(followup, second, second + 1)
    found += asked(followup, 30, 400)
    assert [0, 5, 10, 15, 20, 25, 30, 149] == [second for second, _ in found]


def test_two_interfaces_do_not_wait_for_one_another() -> None:
    followup = Followup(ESTATE)
    followup.note("fw-1", Does.POLL, NOON, "port1")
    assert [Look("fw-1", "port1")] == followup.due(NOON)
    followup.note("fw-1", Does.POLL, NOON + SECOND, "port2")
    assert [Look("fw-1", "port2")] == followup.due(NOON + SECOND)


@pytest.mark.parametrize(("count", "expected"), [(SINGLES_MOST, SINGLES_MOST), (SINGLES_MOST + 1, 1)])
def test_many_interfaces_of_a_device_are_one_poll_of_it(count: int, expected: int) -> None:
    followup = Followup(ESTATE)
    for number in range(count):
        followup.note("sw-core-1", Does.POLL, NOON, f"Ethernet1/{number}")
    looks = followup.due(NOON)
    assert expected == len(looks)
    assert (expected == 1) == (looks == [Look("sw-core-1")])


def test_a_device_that_is_asked_as_a_whole_is_not_asked_for_its_interface_too() -> None:
    followup = Followup(ESTATE)
    followup.note("fw-1", Does.POLL, NOON, "port1")
    followup.note("fw-1", Does.REDISCOVER, NOON)
    assert [Look("fw-1")] == followup.due(NOON)


def test_a_device_without_credentials_and_what_is_only_counted_ask_nobody() -> None:
    followup = Followup(ESTATE)
    followup.note("fw-1", Does.COUNT, NOON, "port1")
    followup.note("nobody", Does.POLL, NOON, "port1")
    assert [] == asked(followup, 0, 400)
