"""How often somebody may try to log in, by user and by address: five tries at once, then ever longer pauses.

A try counts when it begins, so that many at once gain nothing. One that succeeds ends the user's count, and is taken
back from the address's: else an account of one's own would clear the way for guessing others'.
Pure; time is an argument.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

FREE: Final = 5
FIRST_PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 300.0
"""Not for ever: else anybody could keep a user out."""
FORGOTTEN_SECONDS: Final = 3600.0
REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Tries:
    """Tries of one user or from one address that did not succeed, and when the last one began."""

    count: int
    last_seconds: float


class Attempts:
    """What was tried lately; holds at most REMEMBERED names, the oldest are forgotten first."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, Tries] = OrderedDict()

    def begin(self, names: Iterable[str], now_seconds: float) -> float:
        """0 where a try may be made now, which counts; else for how many seconds nobody may, and nothing is counted."""
        asked = tuple(names)
        wait = max((self._wait(self._tries.get(name), now_seconds) for name in asked), default=0.0)
        if wait > 0:
            return wait
        for name in asked:
            before = self._tries.pop(name, None)
            count = before.count if before and now_seconds - before.last_seconds < FORGOTTEN_SECONDS else 0
            self._tries[name] = Tries(count + 1, now_seconds)
        while len(self._tries) > REMEMBERED:
            self._tries.popitem(last=False)
        return 0.0

    def succeeded(self, user: str, address: str) -> None:
        """The last try of this user from this address was a good one; names as of names_of."""
        self._tries.pop(user, None)
        tries = self._tries.get(address)
        if tries is not None:
            self._tries[address] = Tries(max(0, tries.count - 1), tries.last_seconds)

    @staticmethod
    def _wait(tries: Tries | None, now_seconds: float) -> float:
        if tries is None or tries.count < FREE:
            return 0.0
        doublings = min(tries.count - FREE, 20)
        pause = min(FIRST_PAUSE_SECONDS * (1 << doublings), LONGEST_PAUSE_SECONDS)
        return max(0.0, tries.last_seconds + pause - now_seconds)


def names_of(user: str, address: str) -> tuple[str, str]:
    """The two names under which a try counts; an IPv6 network of 64 bits is one address."""
    return f"user {user}", f"from {_network(address)}"


def _network(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ip_network(f"{parsed}/64", strict=False))  # noqa: PLR2004
