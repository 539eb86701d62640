"""The process behind probes.path: sends the packets of one question with scapy, prints what came back as JSON.

    python -m probes.path_scapy ADDRESS [--udp-port 33434] [--tcp-port 443] [--hops 16] [--timeout 2] [--source ADDRESS]

One ICMP echo, one UDP datagram and one TCP SYN for every TTL, all under way together, and once more what stayed without
answer up to two hops behind the last that answered. The only module that imports scapy, and nothing imports it.
"""

import argparse
import json
import logging
import os
import secrets
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402 - scapy warns of interfaces while it is imported
from scapy.layers.inet6 import (  # noqa: E402
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.sendrecv import sndrcv  # noqa: E402
from scapy.supersocket import L3RawSocket, L3RawSocket6  # noqa: E402

NICE: Final = 10
GAP_SECONDS: Final = 0.005
"""Between two packets: routers limit how many errors they send."""
BEHIND: Final = 2
"""Hops behind the last that answered which are asked once more."""
_NOT_PERMITTED: Final = (
    "not allowed to send probes with a TTL: give the daemon the capability CAP_NET_RAW "
    "(systemd: AmbientCapabilities=CAP_NET_RAW)"
)
_ECHO_REPLY, _UNREACHABLE, _TIME_EXCEEDED = 0, 3, 11  # RFC 792
_PORT_UNREACHABLE: Final = 3
_UNREACHABLE_V6_PORT: Final = 4  # RFC 4443, 3.1


def packets(asked: argparse.Namespace, ttls: Iterable[int], ways: Iterable[str]) -> list[Any]:
    """The packets for these hops; each has an identity of its own that its answer repeats."""
    ipv6 = ip_address(asked.address).version == 6  # noqa: PLR2004 - IPv6
    first_port = 40_000 + secrets.randbelow(20_000)
    made = []
    for ttl in ttls:
        fields = {"dst": asked.address} | ({"src": asked.source} if asked.source else {})
        outer = IPv6(hlim=ttl, **fields) if ipv6 else IP(ttl=ttl, id=1 + secrets.randbelow(65_535), **fields)
        port = first_port + ttl
        inner = {
            "icmp": ICMPv6EchoRequest(id=first_port, seq=ttl) if ipv6 else ICMP(id=first_port, seq=ttl),
            "udp": UDP(sport=port, dport=asked.udp_port),
            "tcp": TCP(sport=port, dport=asked.tcp_port, flags="S", seq=secrets.randbits(32)),
        }
        made += [outer / inner[way] for way in ways]
    return made


def answer_of(sent: Any, received: Any, target: str) -> dict[str, Any] | None:  # noqa: ANN401 - scapy's packets
    """One answer as probes.path.path_of wants it; None for what is none."""
    said = _said(received, target)
    if said is None:
        return None
    return {
        "way": _way(sent),
        "ttl": sent.hlim if IPv6 in sent else sent.ttl,
        "address": received.src,
        "said": said,
        "seconds": max(0.0, float(received.time) - float(sent.sent_time)),
    }


def _way(sent: Any) -> str:  # noqa: ANN401 - scapy's packets
    return "udp" if UDP in sent else "tcp" if TCP in sent else "icmp"


def _said(received: Any, target: str) -> str | None:  # noqa: ANN401 - scapy's packets
    if ICMPv6TimeExceeded in received or (ICMP in received and received[ICMP].type == _TIME_EXCEEDED):
        return "passed"
    closed = _closed_port(received)
    if closed is not None:  # nobody listens there: the target itself says so
        return "reached" if closed and ip_address(received.src) == ip_address(target) else "refused"
    if ICMP in received:
        return "reached" if received[ICMP].type == _ECHO_REPLY else None
    return "reached" if ICMPv6EchoReply in received or TCP in received or UDP in received else None


def _closed_port(received: Any) -> bool | None:  # noqa: ANN401 - scapy's packets
    """Of a destination that cannot be reached, whether it is only the port; None of anything else."""
    if ICMPv6DestUnreach in received:
        return bool(received[ICMPv6DestUnreach].code == _UNREACHABLE_V6_PORT)
    if ICMP in received and received[ICMP].type == _UNREACHABLE:
        return bool(received[ICMP].code == _PORT_UNREACHABLE)
    return None


class _Complaints(logging.Handler):
    """Why packets could not be sent: scapy logs it and goes on."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def ask(asked: argparse.Namespace, line: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - scapy's socket
    """Send everything, and once more what may have been lost; all answers. Raises OSError where nothing was sent."""
    complaints = _Complaints()
    log = logging.getLogger("scapy.runtime")
    log.addHandler(complaints)
    log.propagate = False
    answers: list[dict[str, Any]] = []
    ttls = range(1, asked.hops + 1)
    unanswered = _exchange(packets(asked, ttls, ("icmp", "udp", "tcp")), asked, line, answers)
    again = []
    for packet in unanswered:
        mine = [each for each in answers if each["way"] == _way(packet)]
        ends = [each["ttl"] for each in mine if each["said"] != "passed"]
        furthest = min(ends) - 1 if ends else max((each["ttl"] for each in mine), default=0) + BEHIND
        if (packet.hlim if IPv6 in packet else packet.ttl) <= furthest:
            again.append(packet)
    if again:
        _exchange(again, asked, line, answers)
    if complaints.last and not answers:
        raise OSError(complaints.last)
    return answers


def _exchange(
    sent: list[Any],
    asked: argparse.Namespace,
    line: Any,  # noqa: ANN401 - scapy's socket
    answers: list[dict[str, Any]],
) -> list[Any]:
    answered, unanswered = sndrcv(line, sent, timeout=asked.timeout, inter=GAP_SECONDS, verbose=False)
    answers += [each for pair in answered if (each := answer_of(pair.query, pair.answer, asked.address)) is not None]
    return list(unanswered)


def main() -> None:
    """One question from the command line, its answer as one JSON object on standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--udp-port", type=int, default=33434)
    parser.add_argument("--tcp-port", type=int, default=443)
    parser.add_argument("--hops", type=int, default=16)
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--source")
    asked = parser.parse_args()
    os.nice(NICE)
    ipv6 = ip_address(asked.address).version == 6  # noqa: PLR2004 - IPv6
    try:  # raw sockets: the kernel finds the way, as for every other packet
        answer: dict[str, Any] = {"answers": ask(asked, (L3RawSocket6 if ipv6 else L3RawSocket)())}
    except PermissionError:
        answer = {"error": _NOT_PERMITTED}
    except OSError as error:
        answer = {"error": f"the path to {asked.address} could not be asked: {error.strerror or error}"}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
