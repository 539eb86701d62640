"""Never dropped, never flooded: repeats are summed, a source is limited, a storm is one thing to tell (R47). Pure.

    repeat   the same key from the same source within the window: counted on the first one
    limit    beyond so many in one second a source's notifications are only counted
    storm    a source above the storm rate is storming until it was below it for a minute; meanwhile its notifications
             are summed by what they are, not by what they are about

Every raw notification is in exactly one tally (source, notification), whatever else becomes of it. Memory is bounded:
open windows by WINDOWS_MOST (beyond it a source is summed as in a storm), tallies of a source by TALLIES_MOST.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from probes.snmp.oid import Oid
from traps.layout import Shape
from traps.sources import Sender

SECOND_NS: Final = 1_000_000_000
WINDOWS_MOST: Final = 200_000
TALLIES_MOST: Final = 64
SHAPES_MOST: Final = 512
"""Of one source; beyond it all are learned anew."""
OTHERS: Final[Oid] = ()
"""The tally of whatever a source sends beside its first TALLIES_MOST kinds."""
UNREAD: Final[Oid] = (0, 0)
"""The tally of datagrams beyond the limit that were not even decoded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """per_second: of one source. storm_per_second: from there on it is a storm. calm_seconds: until it is over."""

    per_second: int = 1000
    storm_per_second: int = 100
    window_seconds: float = 5.0
    calm_seconds: float = 60.0


class Window:
    """Notifications with one key; count grows until until_ns. told: the count that was made known last.

    subject: the accepted notification that stands for all of them.
    """

    __slots__ = ("count", "key", "last_ns", "subject", "told", "until_ns")

    def __init__(self, key: bytes, now_ns: int, until_ns: int) -> None:
        self.key = key
        self.count = 1
        self.told = 1
        self.last_ns = now_ns
        self.until_ns = until_ns
        self.subject: Any = None


class Source:
    """One sender as the receiver keeps it: shapes, open windows, rates, tallies."""

    __slots__ = (
        "calm_after_ns",
        "differing",
        "differs",
        "dropped",
        "in_second",
        "last_ns",
        "limited",
        "mark",
        "second",
        "second_base",
        "sender",
        "shapes",
        "shapes_known",
        "storm_base",
        "tallies",
        "total",
        "windows",
    )

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.shapes: dict[object, list[Shape]] = {}
        self.shapes_known = 0
        self.windows: dict[bytes, Window] = {}
        self.tallies: dict[Oid, list[int]] = {}
        self.second = 0
        self.in_second = 0
        self.mark = 0
        self.total = 0
        self.limited = 0
        self.dropped = 0
        self.last_ns = 0
        self.differing = 0
        self.differs: str | None = None
        self.calm_after_ns: int | None = None
        self.storm_base: dict[Oid, int] = {}
        self.second_base: dict[Oid, int] = {}

    def follow(self, sender: Sender) -> None:
        """Be this sender from now on: what may have been read by other credentials or words is read anew."""
        self.sender = sender
        self.shapes.clear()
        self.shapes_known = 0

    def tally(self, oid: Oid) -> list[int]:
        """The counter of one kind of notification from here; beyond the bound all others share one."""
        found = self.tallies.get(oid)
        if found is None:
            if len(self.tallies) >= TALLIES_MOST:
                oid = OTHERS
            found = self.tallies.setdefault(oid, [0])
        return found

    def remember(self, which: object, shape: Shape) -> None:
        """Keep a shape under what is known before it is compared: length, and for v3 the user."""
        if not shape.mask:
            return
        if self.shapes_known >= SHAPES_MOST:
            self.shapes.clear()
            self.shapes_known = 0
        self.shapes.setdefault(which, []).insert(0, shape)
        self.shapes_known += 1


@dataclass(frozen=True, slots=True)
class StormPart:
    """How many of one notification came from one source since its storm began; oid () stands for all others."""

    address: str
    device: str
    oid: Oid
    count: int


@dataclass(slots=True)
class Flood:
    """The decisions, over all sources. Counts exactly; time is UTC unix nanoseconds."""

    limits: Limits = field(default_factory=Limits)
    open: deque[tuple[Source, Window]] = field(default_factory=deque)
    """Windows in the order in which they close: all are equally long."""
    storming: dict[str, Source] = field(default_factory=dict)

    def count(self, source: Source, now_ns: int) -> bool:
        """Take one more notification into the source's rate; False where it is beyond the limit."""
        second = now_ns // SECOND_NS
        if second != source.second:
            source.second, source.in_second = second, 0
            source.mark = min(self.limits.storm_per_second, self.limits.per_second + 1)
            source.second_base = {oid: tally[0] for oid, tally in source.tallies.items()}
        source.in_second += 1
        if source.in_second < source.mark:
            return True
        if source.in_second >= self.limits.storm_per_second:
            self._storm(source, now_ns)
        if source.in_second > self.limits.per_second:
            source.limited += 1
            return False
        return True

    def is_beyond(self, source: Source, now_ns: int) -> bool:
        """Whether the source has used up what it may send in this second."""
        return source.in_second >= self.limits.per_second and now_ns // SECOND_NS == source.second

    def _storm(self, source: Source, now_ns: int) -> None:
        if source.calm_after_ns is None:
            source.storm_base = source.second_base  # what it sent in this second before it was a storm belongs to it
            self.storming[source.sender.address] = source
        source.calm_after_ns = now_ns + int(self.limits.calm_seconds * SECOND_NS)

    def window(self, source: Source, key: bytes, now_ns: int) -> Window | None:
        """The open window of the key, with this notification counted in; None where it is the first."""
        window = source.windows.get(key)
        if window is None or now_ns >= window.until_ns:
            return None
        window.count += 1
        window.last_ns = now_ns
        return window

    def begin(self, source: Source, key: bytes, now_ns: int) -> Window:
        """Open the window of a first notification."""
        window = Window(key, now_ns, now_ns + int(self.limits.window_seconds * SECOND_NS))
        source.windows[key] = window
        self.open.append((source, window))
        return window

    def is_coarse(self, source: Source) -> bool:
        """Whether the source's notifications are summed by kind: in a storm, or where memory is at its bound."""
        return source.calm_after_ns is not None or len(self.open) >= WINDOWS_MOST

    def close(self, now_ns: int) -> list[Window]:
        """Windows whose time is over and that counted more than was told."""
        closed = []
        while self.open and self.open[0][1].until_ns <= now_ns:
            source, window = self.open.popleft()
            if source.windows.get(window.key) is window:
                del source.windows[window.key]
            if window.count > window.told:
                closed.append(window)
        for address, source in list(self.storming.items()):
            if source.calm_after_ns is not None and now_ns >= source.calm_after_ns:
                source.calm_after_ns = None
                source.storm_base = {}
                del self.storming[address]
        return closed

    def storm(self) -> list[StormPart]:
        """What is storming, the most first; empty while all is calm."""
        parts = [
            StormPart(source.sender.address, source.sender.device, oid, tally[0] - source.storm_base.get(oid, 0))
            for source in self.storming.values()
            for oid, tally in source.tallies.items()
        ]
        return sorted((part for part in parts if part.count), key=lambda part: (-part.count, part.address, part.oid))
