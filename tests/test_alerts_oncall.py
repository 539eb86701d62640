"""Whose turn it is."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from poller.alerts.oncall import first_called, on_call
from poller.estate import Estate
from poller.people import Rotation

JST = ZoneInfo("Asia/Tokyo")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=JST).timestamp()) * 10**9


TURNS = {
    "id": "engineers",
    "name": {"ja": "当番", "en": "On call"},
    "contacts": ["a", "b", "c"],
    "start": "2026-11-02 09:00",
    "every": "7d",
    "swaps": [{"start": "2026-11-12 18:00", "end": "2026-11-13 09:00", "contact": "c"}],
}


@pytest.mark.parametrize(
    ("moment", "order"),
    [
        ("2026-10-01 00:00", ("a", "b", "c")),  # before the first turn
        ("2026-11-09 08:59", ("a", "b", "c")),
        ("2026-11-09 09:00", ("b", "c", "a")),
        ("2026-11-12 17:59", ("b", "c", "a")),
        ("2026-11-12 18:00", ("c", "b", "a")),  # exchanged for a night
        ("2026-11-13 09:00", ("b", "c", "a")),
        ("2026-11-23 09:00", ("a", "b", "c")),
    ],
)
def test_turns_follow_one_another_and_may_be_exchanged(moment, order) -> None:
    """On-call rotation (R57)."""
    assert order == on_call(Rotation.model_validate(TURNS), at(moment), JST)


def test_without_a_rotation_the_first_engineer_is_called() -> None:
    contact = {"name": {"ja": "x", "en": "x"}, "email": "x@example.jp"}
    contacts = {
        "noc": {"id": "noc", "role": "operator", **contact},
        "b": {"id": "b", "role": "engineer", **contact},
        "a": {"id": "a", "role": "engineer", **contact},
    }
    estate = {"organisation": {"name": {"ja": "x", "en": "x"}}, "contacts": contacts}
    turns = TURNS | {"contacts": ["a", "b"], "swaps": []}
    assert frozenset({"b"}) == first_called(Estate.model_validate(estate), at("2026-11-03 00:00"))
    with_turns = Estate.model_validate(estate | {"rotations": {"engineers": turns}})
    assert frozenset({"a"}) == first_called(with_turns, at("2026-11-03 00:00"))
