"""Host and port out of a target as people write it. Pure."""

import re
from ipaddress import ip_address
from typing import Final

from probes.errors import BadQuestion

_TARGET: Final = re.compile(r"\[([^\]\s]+)\](?::([0-9]{1,5}))?|([^:\[\]/\s]+)(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]+)")
_LARGEST_PORT: Final = 65_535


def split_target(text: str, default_port: int | None) -> tuple[str, int]:
    """Host and port of "host", "host:port", "IPv6" or "[IPv6]:port"; raises BadQuestion.

    default_port: what stands for a port that is not named; None where one must be.
    """
    match = _TARGET.fullmatch(text.strip())
    if match is None or "://" in text:
        raise BadQuestion(f"{text!r} is no target: write HOST, HOST:PORT or [IPv6]:PORT")
    host, port_text = match[1] or match[3] or match[5], match[2] or match[4]
    if ":" in host and not is_address(host):
        raise BadQuestion(f"{host!r} is no IPv6 address")
    port = int(port_text) if port_text else default_port
    if port is None:
        raise BadQuestion(f"{text!r} names no port, and there is no usual one: write HOST:PORT")
    if not 1 <= port <= _LARGEST_PORT:
        raise BadQuestion(f"port {port} is not between 1 and {_LARGEST_PORT}")
    return host, port


def join_target(host: str, port: int) -> str:
    """The target as it is written: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_address(host: str) -> bool:
    """Whether the host is an address and needs no name resolution."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
