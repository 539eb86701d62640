"""Counters that advance without a tick: each is a sum of integrals, read at the moment somebody asks.

What changes (a line dies, a tenant doubles) is told with its moment; before it the old sum counts, after it the new.
Everything is an integer, so that the sum over tenants and the counter of the line agree to the octet at any moment.
Moments must not go back: asking again at the same one is free, which is what one request for 49 varbinds does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poller.lab.traffic import Integral

MILLION: Final = 1_000_000
_OCTET_NS: Final = 8 * 10**9
"""Bits per second times nanoseconds, to the octet."""


@dataclass(frozen=True, slots=True)
class Steady:
    """The same rate at every moment, where an Integral follows the hours of the day."""

    bits_per_second: int

    def until(self, time_ns: int) -> int:
        """Octets since 1970."""
        return self.bits_per_second * time_ns // _OCTET_NS


class Flow:
    """A stream as it really ran: the curve, times a factor that may change, in millionths; or a rate it is held at."""

    __slots__ = ("_anchor", "_asked_ns", "_base", "_integral", "_millionths", "_octets", "_usual")

    def __init__(self, integral: Integral, time_ns: int, millionths: int = MILLION) -> None:
        self._usual = integral
        self._integral: Integral | Steady = integral
        self._millionths = millionths
        self._base = 0
        self._anchor = integral.until(time_ns)
        self._asked_ns = time_ns
        self._octets = 0

    @property
    def millionths(self) -> int:
        """The factor at present."""
        return self._millionths

    @property
    def held_at(self) -> int | None:
        """Bits per second that it is held at, None where it follows its curve."""
        return self._integral.bits_per_second if isinstance(self._integral, Steady) else None

    def until(self, time_ns: int) -> int:
        """Octets since the flow began."""
        if time_ns != self._asked_ns:
            self._asked_ns = time_ns
            self._octets = self._base + (self._integral.until(time_ns) - self._anchor) * self._millionths // MILLION
        return self._octets

    def scale(self, millionths: int, time_ns: int) -> None:
        """From now on let the factor be another; 0 stops the flow."""
        self._base = self.until(time_ns)
        self._anchor = self._integral.until(time_ns)
        self._millionths = millionths

    def hold(self, bits_per_second: int | None, time_ns: int) -> None:
        """From now on let the curve be a steady rate; None is as usual. The factor stays."""
        self._base = self.until(time_ns)
        self._integral = self._usual if bits_per_second is None else Steady(bits_per_second)
        self._anchor = self._integral.until(time_ns)


class Meter:
    """One direction of one interface: the octets of the flows it carries, added to what it counted before."""

    __slots__ = ("_base", "_flows", "_since")

    def __init__(self, flows: Sequence[Flow], time_ns: int, start: int = 0) -> None:
        self._flows = tuple(flows)
        self._base = start
        self._since = sum(flow.until(time_ns) for flow in self._flows)

    def read(self, time_ns: int) -> int:
        """Octets counted; an integer without an upper limit, the agent cuts it to 32 or 64 bits."""
        return self._base + sum([flow.until(time_ns) for flow in self._flows]) - self._since

    def carry(self, flows: Sequence[Flow], time_ns: int) -> None:
        """From now on carry these flows."""
        self._base = self.read(time_ns)
        self._flows = tuple(flows)
        self._since = sum(flow.until(time_ns) for flow in self._flows)

    def reset(self, time_ns: int, start: int = 0) -> None:
        """From now on count from start: the box was reloaded, or somebody cleared its counters."""
        self._base += start - self.read(time_ns)
