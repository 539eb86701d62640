"""Who is asked by echoes, and how often: what the prober is told before it begins."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from probes.errors import LocalError
from probes.icmp_packet import SMALLEST_PAYLOAD

LARGEST_PAYLOAD: Final = 368
"""With IP options and the header it still fits what is read of an answer."""


@dataclass(frozen=True, slots=True)
class EchoTarget:
    """Who is asked, and from which of our addresses (R24); None leaves that to the route.

    IPv4 and IPv6 of one device are two targets with two ids (R38).
    """

    id: str
    address: IPv4Address | IPv6Address
    source_address: IPv4Address | IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class EchoPlan:
    """How often and how long.

    An answer after timeout_seconds is late and its echo lost. A first loss starts echoes every burst_interval_seconds;
    when burst_echoes more are lost in a row, the target is down. packets_per_second bounds all targets together.
    Statistics are told per slot, aligned to multiples of slot_seconds in UTC.
    """

    interval_seconds: float = 5.0
    timeout_seconds: float = 2.0
    burst_interval_seconds: float = 0.5
    burst_echoes: int = 5
    packets_per_second: float = 2000.0
    payload_octets: int = 56
    slot_seconds: float = 60.0

    @property
    def turn_seconds(self) -> float:
        """Time between two turns: a tenth of the interval, 10 to 100 ms."""
        return min(max(self.interval_seconds / 10, 0.01), 0.1)

    def check(self, targets: int) -> None:
        """Raise LocalError where this cannot be kept for so many targets."""
        times = (self.interval_seconds, self.timeout_seconds, self.burst_interval_seconds, self.slot_seconds)
        if min(*times, self.packets_per_second) <= 0 or self.burst_echoes < 1:
            raise LocalError("an echo plan needs positive times, a positive rate and a burst of at least one echo")
        if not SMALLEST_PAYLOAD <= self.payload_octets <= LARGEST_PAYLOAD:
            raise LocalError(f"an echo's payload is {SMALLEST_PAYLOAD} to {LARGEST_PAYLOAD} octets")
        if targets / self.interval_seconds > self.packets_per_second:
            raise LocalError(
                f"{targets} targets every {self.interval_seconds:g} s need {targets / self.interval_seconds:.0f} "
                f"echoes a second, more than the limit of {self.packets_per_second:g}"
            )


def begins_slot(start_ns: int, present_ns: int, slot_ns: int) -> bool:
    """Whether the slot of the clock is another than the present one.

    A clock set back by less than a slot does not count: a slot is told once. One set back further would keep its slot
    open until the clock has caught up, so that is followed, and slots that were told are told again.
    """
    return start_ns > present_ns or start_ns < present_ns - slot_ns
