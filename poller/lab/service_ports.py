"""Ports for the services that the lab serves, where another lab on this machine has those that the estate names."""

import re
import socket
from typing import Final

from poller.estate import Estate
from poller.lab.services import where_served
from poller.service import Service

_SHIFTS: Final = range(0, 20_000, 500)


def shifted(estate: Estate, by: int) -> Estate:
    """The same estate with every service that the lab serves so many ports higher; others are as they were."""
    services = {key: _shifted(service, by) for key, service in estate.services.items()}
    return estate.model_copy(update={"services": services})


def free_shift(estate: Estate) -> int:
    """The smallest shift by which nobody has any of the places; 0 where there is none: the lab says what it lacks."""
    places = {place for service in estate.services.values() if (place := where_served(service)) is not None}
    fits = (by for by in _SHIFTS if all(_is_free(address, port + by) for address, port in places))
    return next(fits, 0)


def _shifted(service: Service, by: int) -> Service:
    place = where_served(service)
    if place is None:
        return service
    name = "target" if service.proxy is None else "proxy"
    text = str(getattr(service, name))
    moved = re.sub(rf":{place[1]}(?=/|$)", f":{place[1] + by}", text, count=1)
    return service.model_copy(update={name: moved})


def _is_free(address: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, kind == socket.SOCK_STREAM)
            try:
                probe.bind((address, port))
            except (OSError, OverflowError):
                return False
    return True
