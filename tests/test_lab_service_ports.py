"""Two labs beside one another: the services of the second are served and asked a little higher."""

import socket
from pathlib import Path

import pytest

from poller.config import load
from poller.lab.service_ports import free_shift, shifted
from poller.lab.services import where_served

ESTATE = load(Path(__file__).parents[1] / "config" / "examples" / "prefecture").estate


def test_every_service_of_the_lab_moves_by_the_same_and_names_stay() -> None:
    moved = shifted(ESTATE, 500)
    for key, service in ESTATE.services.items():
        before, after = where_served(service), where_served(moved.services[key])
        assert before is not None
        assert after == (before[0], before[1] + 500), key
    assert ESTATE.services["web-through-proxy"].target == moved.services["web-through-proxy"].target
    assert shifted(ESTATE, 0).services == ESTATE.services


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_where_somebody_has_one_place_all_move_on(kind: socket.SocketKind) -> None:
    first = free_shift(ESTATE)
    place = where_served(shifted(ESTATE, first).services["time-1"])
    assert place is not None
    with socket.socket(type=kind) as taken:
        taken.bind(place)
        if kind is socket.SOCK_STREAM:
            taken.listen()
        assert free_shift(ESTATE) > first
