"""A port that nobody has, and that the kernel gives nobody meanwhile: for the demo, and for servers in tests."""

import random
import socket
from pathlib import Path
from typing import Final

_KERNELS_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_START: Final = 32_768
"""Where the kernel's range begins unless somebody changed it."""
_LOWEST: Final = 10_000
"""Below it stand the well-known services, with more neighbours than room."""
_TRIES: Final = 1_000


def free_port(wanted: int = 0) -> int:
    """The wanted port where nobody has it, by UDP and TCP and at any IPv4 address, else another one that is free now.

    It lies outside the range from which the kernel serves whoever asks for no port in particular. A port found by
    binding 0 lies inside: until its server starts, any datagram sent by anybody may be given the same one.
    """
    if wanted and _is_free(wanted):
        return wanted
    tried = (random.randrange(*_range()) for _ in range(_TRIES))  # noqa: S311 - to stay apart, not to be secret
    found = next(filter(_is_free, tried), None)
    if found is None:
        raise OSError(f"none of {_TRIES} ports is free")
    return found


def _range() -> tuple[int, int]:
    """First and last but one of the ports to try: below the kernel's range, or above it where below is no room."""
    try:
        low, high = (int(word) for word in _KERNELS_RANGE.read_text(encoding="ascii").split())
    except OSError:
        low, high = _USUAL_START, 60_999
    if low - _LOWEST > _TRIES:
        return _LOWEST, low
    return (high + 1, 65_536) if 65_535 - high > _TRIES else (_LOWEST, 65_536)


def _is_free(port: int) -> bool:
    with socket.socket(type=socket.SOCK_STREAM) as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        # Connections of an earlier server, closed but not yet forgotten, keep nobody from its port.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            stream.bind(("0.0.0.0", port))  # noqa: S104 - held for the moment of the question
            datagrams.bind(("0.0.0.0", port))  # noqa: S104 - the same
        except OSError:
            return False
    return True
