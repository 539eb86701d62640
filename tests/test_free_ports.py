"""Ports for servers that are started a moment later, while others on the machine open sockets too."""

import socket
from pathlib import Path

import pytest

from poller.free_ports import free_port


def test_a_wanted_port_that_is_free_is_given() -> None:
    found = free_port()
    assert found == free_port(found)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.16.6.21"])
def test_a_port_that_somebody_has_is_not_given(kind: socket.SocketKind, address: str) -> None:
    with socket.socket(type=kind) as held:
        wanted = free_port()
        held.bind((address, wanted))
        if kind is socket.SOCK_STREAM:
            held.listen()
        assert wanted != free_port(wanted)


def test_the_kernel_gives_nobody_the_port_before_its_server_starts() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert [] == [port for port in (free_port() for _ in range(100)) if low <= port <= high]


def test_a_port_whose_last_connections_are_not_yet_forgotten_is_free() -> None:
    """A demo that starts again keeps its address, though the browser of the first one was just cut off."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        asking = socket.create_connection(("127.0.0.1", port))
        answering, _ = server.accept()
        answering.close()  # the server's side closes first and remembers
        assert b"" == asking.recv(1)
        asking.close()
    assert port == free_port(port)
