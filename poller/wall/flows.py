"""Traffic as of the last polls, for the wall: what a slot will say in a minute or two, said now. Pure.

A flow is the sum of the latest rates of an account's interfaces, known once all of them are. Figures that count -
caps, percentiles, volumes - come from slots; a flow is only shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from poller.accounts import Account
from poller.counting import WIDTH
from poller.devicerates import DeviceRates

FRESH_NS: Final = 180 * 10**9
"""A sum of readings that are further apart says nothing of one moment."""


@dataclass(frozen=True, slots=True)
class Flow:
    """In and out in bits per second of one account, as of its oldest reading (UTC unix nanoseconds)."""

    account: str
    in_bits_per_second: float
    out_bits_per_second: float
    time_ns: int


class Flows:
    """The latest rates of every interface that an account counts."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._members = {account.id: account.members for account in accounts}
        self._accounts_of: dict[str, dict[str, list[str]]] = {}
        for account, members in self._members.items():
            for member in members:
                self._accounts_of.setdefault(member.device, {}).setdefault(member.interface, []).append(account)
        self._latest: dict[tuple[str, str], tuple[float, float, int]] = {}

    def update(self, rates: DeviceRates) -> list[Flow]:
        """Take a device's rates; the flows that they change."""
        interfaces = self._accounts_of.get(rates.device)
        if interfaces is None:
            return []
        changed: dict[str, None] = {}
        for row, name in enumerate(rates.layout.names):
            if name not in interfaces:
                continue
            into, out = rates.rates[row * WIDTH], rates.rates[row * WIDTH + 1]
            if into is not None and out is not None:
                self._latest[rates.device, name] = (into, out, rates.to_ns[row])
                changed.update(dict.fromkeys(interfaces[name]))
        return [flow for account in changed if (flow := self._flow(account)) is not None]

    def _flow(self, account: str) -> Flow | None:
        into = out = 0.0
        times: list[int] = []
        for member in self._members[account]:
            latest = self._latest.get((member.device, member.interface))
            if latest is None:
                return None
            forward, backward = (latest[1], latest[0]) if member.reversed else (latest[0], latest[1])
            into, out = into + forward, out + backward
            times.append(latest[2])
        if max(times) - min(times) > FRESH_NS:
            return None
        return Flow(account, into, out, min(times))
