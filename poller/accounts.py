"""Accounts and their slots: what is summed under one id, and what one aligned minute of it came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from poller.carriers import Carried, Lacking, judge

SLOT_NS: Final = 60 * 10**9
KEEP_SLOTS: Final = 360
"""How many closed slots an account remembers and can amend: six hours."""

Series: TypeAlias = tuple[str, str]
"""Device and interface name (R30)."""


class Member(NamedTuple):
    """One series of an account; reversed where the interface's out is the account's in."""

    device: str
    interface: str
    reversed: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """What is summed under one id; a series counts once even if it is listed twice.

    interval_ns: the longest polling interval of the members' devices; slots wait for it before they are closed.
    """

    id: str
    members: tuple[Member, ...]
    interval_ns: int = SLOT_NS


@dataclass(frozen=True, slots=True)
class SlotTotals:
    """What an account's members counted in one slot.

    start_ns: the slot's begin, UTC unix nanoseconds, a multiple of slot_ns.
    in_octets, out_octets: all octets, of which in_gap_octets and out_gap_octets have no known moment (R33).
    covered_ns: observed time, summed over the members.
    observed_ns: what the rates are taken over: the time of the members that carried; 0 while the carrier is silent.
    previous: what was told of this slot before; None when it is told for the first time. A sum kept elsewhere is
        corrected by adding the new figures and taking off the previous ones.
    """

    account: str
    start_ns: int
    in_octets: int
    out_octets: int
    in_gap_octets: int
    out_gap_octets: int
    covered_ns: int
    observed_ns: int
    members: int
    slot_ns: int = SLOT_NS
    previous: "SlotTotals | None" = None

    @property
    def amended(self) -> bool:
        """Whether the slot was told before with other figures."""
        return self.previous is not None

    @property
    def coverage_ratio(self) -> float:
        """Part of the slot that was observed, mean over the members; 0 where there is no rate."""
        return self.covered_ns / (self.members * self.slot_ns) if self.members and self.observed_ns else 0.0

    @property
    def in_bits_per_second(self) -> float | None:
        """Mean over the observed part of the slot; None where nothing was observed."""
        return (self.in_octets - self.in_gap_octets) * 8e9 / self.observed_ns if self.observed_ns else None

    @property
    def out_bits_per_second(self) -> float | None:
        """Mean over the observed part of the slot; None where nothing was observed."""
        return (self.out_octets - self.out_gap_octets) * 8e9 / self.observed_ns if self.observed_ns else None


@dataclass(slots=True)
class SlotSum:
    """An account's figures of one slot; the names are those of SlotTotals.

    lacking: what is needed to judge it again when more comes; None where all members were observed through it.
    """

    in_octets: int = 0
    out_octets: int = 0
    in_gap_octets: int = 0
    out_gap_octets: int = 0
    covered_ns: int = 0
    observed_ns: int = 0
    lacking: Lacking | None = None

    def add(self, in_octets: int, out_octets: int) -> None:
        """Enter octets of known time."""
        self.in_octets += in_octets
        self.out_octets += out_octets

    def add_gap(self, in_octets: int, out_octets: int) -> None:
        """Enter octets of which nobody knows when they flowed."""
        self.add(in_octets, out_octets)
        self.in_gap_octets += in_octets
        self.out_gap_octets += out_octets

    def judge(self, slot_ns: int) -> Carried:
        """Find how long the slot was observed, and what the account carried by its end; only where it lacks members."""
        assert self.lacking is not None
        known = self.in_octets - self.in_gap_octets, self.out_octets - self.out_gap_octets
        self.observed_ns, after = judge(self.lacking, *known, slot_ns)
        return after


def shares(octets: int, parts_ns: Sequence[int]) -> list[int]:
    """Octets shared out over consecutive parts of an interval in proportion; the sum is octets exactly."""
    whole_ns = sum(parts_ns)
    result, gone, passed_ns = [], 0, 0
    for part_ns in parts_ns:
        passed_ns += part_ns
        upto = octets * passed_ns // whole_ns
        result.append(upto - gone)
        gone = upto
    return result
