"""Senders whose v3 clock fell behind what was seen of it: engineBoots were reset, or old messages are replayed. Pure.

From a message alone nobody can tell which (RFC 3414, 3.2, step 7b), so it is refused. Here stands what an operator
needs to decide, or a poll that proves the engine's present clock.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

RESETS_MOST: Final = 256
FORGOTTEN_SECONDS: Final = 3600.0
"""After so long without another refused message there is nothing left to decide."""


@dataclass(slots=True)
class Reset:
    """One engine that is refused. boots, time: what it told last, at `at`; seen_boots, seen_time: what we expected."""

    engine_id: bytes
    boots: int
    time: int
    at: float
    seen_boots: int
    seen_time: int
    count: int = 0
    device: str = "-"
    address: str = ""


class Resets:
    """Engines that are refused because their clock went back; the one that was noted longest ago makes room."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Reset] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Reset]:
        return iter(tuple(self._known.values()))

    def note(self, engine_id: bytes, told: tuple[int, int], seen: tuple[int, int], now: float) -> None:
        """An authentic message of the engine was refused; told and seen are engineBoots and engineTime."""
        reset = self._known.get(engine_id)
        if reset is None:
            reset = self._known[engine_id] = Reset(engine_id, *told, now, *seen)
            if len(self._known) > RESETS_MOST:
                self._known.popitem(last=False)
        reset.boots, reset.time, reset.at = *told, now
        reset.seen_boots, reset.seen_time = seen
        reset.count += 1

    def name(self, engine_id: bytes, device: str, address: str) -> None:
        """Whose engine it is, as far as its address tells."""
        reset = self._known.get(engine_id)
        if reset is not None:
            reset.device, reset.address = device, address

    def settle(self, engine_id: bytes) -> None:
        """The engine is believed again."""
        self._known.pop(engine_id, None)

    def forget(self, now: float) -> None:
        """Drop those that were not heard again; call it now and then."""
        for reset in self:
            if now - reset.at > FORGOTTEN_SECONDS:
                del self._known[reset.engine_id]
