"""Traffic as of the last polls, for the wall: what a slot will say in a minute or two, said now. Pure.

A flow is the sum of the rates of an account's interfaces at one moment: the latest at which every one of them has been
read. Summing each one's newest rate instead would count traffic twice whenever it moves from one unit to another.
Figures that count - caps, percentiles, volumes - come from slots; a flow is only shown.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from poller.accounts import Account
from poller.counting import WIDTH
from poller.devicerates import DeviceRates

KEEP: Final = 20
"""Intervals remembered of each interface: a device polled every 10 s may wait for one polled every 3 minutes."""


@dataclass(frozen=True, slots=True)
class Flow:
    """In and out in bits per second of one account at a moment (UTC unix nanoseconds)."""

    account: str
    in_bits_per_second: float
    out_bits_per_second: float
    time_ns: int


class _Interval(NamedTuple):
    from_ns: int
    to_ns: int
    into: float
    out: float


class Flows:
    """The latest intervals of every interface that an account counts."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._latest: dict[tuple[str, str], deque[_Interval]] = {}
        self.follow(accounts)

    def follow(self, accounts: Iterable[Account]) -> None:
        """Sum for these accounts and no others; what is remembered of interfaces that still count stays."""
        self._members = {account.id: account.members for account in accounts}
        self._accounts_of: dict[str, dict[str, list[str]]] = {}
        for account, members in self._members.items():
            for member in members:
                self._accounts_of.setdefault(member.device, {}).setdefault(member.interface, []).append(account)
        counted = {(member.device, member.interface) for members in self._members.values() for member in members}
        self._latest = {series: each for series, each in self._latest.items() if series in counted}

    def update(self, rates: DeviceRates) -> list[Flow]:
        """Take a device's rates; the flows that they bring forward."""
        interfaces = self._accounts_of.get(rates.device)
        if interfaces is None:
            return []
        changed: dict[str, None] = {}
        for row, name in enumerate(rates.layout.names):
            if name not in interfaces:
                continue
            into, out = rates.rates[row * WIDTH], rates.rates[row * WIDTH + 1]
            if into is not None and out is not None:
                intervals = self._latest.setdefault((rates.device, name), deque(maxlen=KEEP))
                intervals.append(_Interval(rates.from_ns[row], rates.to_ns[row], into, out))
                changed.update(dict.fromkeys(interfaces[name]))
        return [flow for account in changed if (flow := self._flow(account)) is not None]

    def _flow(self, account: str) -> Flow | None:
        members = self._members[account]
        known = [self._latest.get((member.device, member.interface)) for member in members]
        if not all(known):
            return None
        moment = min(intervals[-1].to_ns for intervals in known if intervals)
        into = out = 0.0
        for member, intervals in zip(members, known, strict=True):
            interval = next((each for each in intervals or () if each.from_ns < moment <= each.to_ns), None)
            if interval is None:
                return None
            into += interval.out if member.reversed else interval.into
            out += interval.into if member.reversed else interval.out
        return Flow(account, into, out, moment)
