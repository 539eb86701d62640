"""Whose turn it is: rotations of engineers on call, with swaps. Pure; local wall clock time, half-open."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from poller.estate import Estate
from poller.people import Rotation

_NANO: Final = 1_000_000_000


def on_call(rotation: Rotation, now_ns: int, zone: ZoneInfo) -> tuple[str, ...]:
    """The rotation's contacts, the one on call first and then those whose turns come next.

    Turns are counted by the wall clock. Before the first turn it is the first one's.
    """
    now = datetime.fromtimestamp(now_ns // _NANO, zone).replace(tzinfo=None)
    turn = max(0, (now - datetime.fromisoformat(rotation.start)) // timedelta(seconds=rotation.every))
    at = turn % len(rotation.contacts)
    order = rotation.contacts[at:] + rotation.contacts[:at]
    swapped = [
        swap.contact
        for swap in rotation.swaps
        if datetime.fromisoformat(swap.start) <= now < datetime.fromisoformat(swap.end)
    ]
    return tuple(dict.fromkeys((*swapped[-1:], *order)))


def first_called(estate: Estate, now_ns: int) -> frozenset[str]:
    """The engineers who are told first: of each rotation the one on call, without rotations the first engineer."""
    zone = ZoneInfo(estate.organisation.timezone)
    turns = {on_call(rotation, now_ns, zone)[0] for rotation in estate.rotations.values()}
    if turns:
        return frozenset(turns)
    engineers: Mapping[str, None] = {
        each.id: None for each in estate.contacts.values() if each.role == "engineer" and each.email is not None
    }
    return frozenset(list(engineers)[:1])
