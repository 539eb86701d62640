"""How far packets still get: the last hop that answers, over ICMP, UDP and TCP to the service port (R41).

Asked once a fault is declared, never in the steady loop. The packets are scapy's, and scapy is slow and runs for
seconds, so it has a process of its own (`python -m probes.path_scapy`) that ends with the question; a deadline ends it
in any case. That process inherits CAP_NET_RAW and needs nothing else.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import sys
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from probes.errors import LocalError

TRACEROUTE_PORT: Final = 33434
"""Where traceroute's UDP goes by custom; nobody listens there, and the target refuses it."""
HTTPS_PORT: Final = 443
_SECONDS_BESIDE: Final = 10.0
"""For the start of the process and the import of scapy on a busy machine."""
_SAID_KEPT: Final = 300
_FOLDER: Final = pathlib.Path(__file__).resolve().parents[1]
"""Where the package lies, installed or not: our child finds it there, wherever it is started."""


class Way(StrEnum):
    """By which packets the way was looked for."""

    ICMP = "icmp"
    UDP = "udp"
    TCP = "tcp"


class Said(StrEnum):
    """What a hop said: it is the target, it is a router on the way, or it cannot deliver any further."""

    REACHED = "reached"
    PASSED = "passed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PathQuestion:
    """Whom to look for, and by which ports.

    timeout_seconds: how long to wait for answers after the last packet, twice at most. hops: the furthest TTL.
    """

    address: IPv4Address | IPv6Address
    udp_port: int = TRACEROUTE_PORT
    tcp_port: int = HTTPS_PORT
    hops: int = 16
    timeout_seconds: float = 2.0
    source_address: IPv4Address | IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """One answer: at which TTL, from whom, after how many seconds."""

    ttl: int
    address: str
    said: Said
    seconds: float


@dataclass(frozen=True, slots=True)
class WayFound:
    """One way, with the hops that answered by TTL; behind the one that ends it none is listed."""

    way: Way
    port: int | None
    hops: tuple[Hop, ...]

    @property
    def last(self) -> Hop | None:
        """The furthest hop that answered; None where not even the first did."""
        return self.hops[-1] if self.hops else None

    @property
    def reached(self) -> bool:
        """Whether the target itself answered."""
        return self.last is not None and self.last.said is Said.REACHED


@dataclass(frozen=True, slots=True)
class Path:
    """What the three ways found about one target."""

    address: str
    ways: tuple[WayFound, ...]


def path_of(question: PathQuestion, answers: list[dict[str, Any]]) -> Path:
    """The path from single answers {way, ttl, address, said, seconds}, in any order; of several at one TTL the first.

    Hops behind the nearest that is the target, or that refuses, are the same one asked again, and left out.
    """
    ports = {Way.ICMP: None, Way.UDP: question.udp_port, Way.TCP: question.tcp_port}
    ways = []
    for way, port in ports.items():
        by_ttl: dict[int, Hop] = {}
        for each in answers:
            if each["way"] == way:
                hop = Hop(int(each["ttl"]), str(each["address"]), Said(each["said"]), float(each["seconds"]))
                by_ttl.setdefault(hop.ttl, hop)
        hops = [by_ttl[ttl] for ttl in sorted(by_ttl)]
        ends = [index for index, hop in enumerate(hops) if hop.said is not Said.PASSED]
        ways.append(WayFound(way, port, tuple(hops[: ends[0] + 1] if ends else hops)))
    return Path(str(question.address), tuple(ways))


async def trace_path(question: PathQuestion) -> Path:
    """Ask, in a process of its own. Raises LocalError where it cannot be asked from here, with the reason."""
    limit = _SECONDS_BESIDE + 2 * (question.timeout_seconds + question.hops * 0.1)
    process = await asyncio.create_subprocess_exec(
        *command_of(question),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(_FOLDER), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        async with asyncio.timeout(limit):
            said, complaints = await process.communicate()
    except TimeoutError:
        raise LocalError(f"the path to {question.address} was not found out within {limit:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return read_answer(question, said, complaints)


def command_of(question: PathQuestion) -> list[str]:
    """The command that asks; its standard output is for read_answer."""
    command = [sys.executable, "-m", "probes.path_scapy", str(question.address)]
    command += ["--udp-port", str(question.udp_port), "--tcp-port", str(question.tcp_port)]
    command += ["--hops", str(question.hops), "--timeout", str(question.timeout_seconds)]
    return command + (["--source", str(question.source_address)] if question.source_address is not None else [])


def read_answer(question: PathQuestion, said: bytes, complaints: bytes = b"") -> Path:
    """The path from what the process wrote; LocalError where it could not ask, or broke."""
    try:
        answer = json.loads(said)
        if "error" in answer:
            raise LocalError(str(answer["error"]))
        return path_of(question, answer["answers"])
    except (ValueError, KeyError, TypeError):
        lines = complaints.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise LocalError(f"the path to {question.address} could not be asked: {lines[-1][:_SAID_KEPT]}") from None
