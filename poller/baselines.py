"""What is remembered of a device's interfaces between two readings: what the next one is counted against."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from poller.counting import WIDTH
from poller.packing import pack, unpack
from poller.readings import InterfaceLayout
from poller.uptime import Witness

VERSION: Final = 2
"""Version 1 had counters one by one, which is read as well."""
"""Of the saved form."""


@dataclass(slots=True)
class Baseline:
    """One entry a row of the layout in every column; received_ns is 0 for a row without a baseline.

    packed: the counters of a device that has them all, in 8 octets each; counters is empty then, until unpack.
    placed_ns: where the interval counted last ended on the axis of our clock.
    held_rates: what was last told, for agents that cache; empty where polls are too slow for that.
    overdrawn: rows that counted more than the line carries and were given one more reading to explain it.
    witness: restarts' witnesses of the last reading; None before the first.
    unverified_ns: when a restart was seen under this index map, which is distrusted since; 0 where it is good.
    """

    layout: InterfaceLayout
    counters: list[int | None]
    received_ns: list[int]
    uptime_ticks: list[int | None]
    placed_ns: list[int]
    discontinuity_ticks: list[int | None]
    held_rates: list[float | None] = field(default_factory=list)
    overdrawn: set[int] = field(default_factory=set)
    witness: Witness | None = None
    unverified_ns: int = 0
    packed: "array[int] | None" = None

    def pack(self, counters: Sequence[int | None]) -> None:
        """Take all counters of a reading, packed if every one of them has a value of 64 bits."""
        try:
            self.packed, self.counters = array("Q", counters), []  # type: ignore[arg-type] # None raises
        except (TypeError, OverflowError):
            self.packed, self.counters = None, list(counters)

    def unpack(self) -> None:
        """Make the counters ready to be changed row by row."""
        if self.packed is not None:
            self.counters, self.packed = list(self.packed), None

    @classmethod
    def empty(cls, layout: InterfaceLayout) -> "Baseline":
        """No row has been read yet."""
        rows = len(layout.names)
        return cls(
            layout=layout,
            counters=[None] * (rows * WIDTH),
            received_ns=[0] * rows,
            uptime_ticks=[None] * rows,
            placed_ns=[0] * rows,
            discontinuity_ticks=[None] * rows,
        )

    def forget_rows(self) -> None:
        """Drop every row's baseline; the places on the time axis stay, nothing may be counted before them again."""
        fresh = Baseline.empty(self.layout)
        self.counters, self.packed, self.received_ns = fresh.counters, None, fresh.received_ns
        self.uptime_ticks, self.discontinuity_ticks = fresh.uptime_ticks, fresh.discontinuity_ticks
        self.held_rates, self.overdrawn = [], set()

    def move_to(self, layout: InterfaceLayout) -> None:
        """Follow a re-discovery: a row keeps its baseline where name, index and width are the same (R30)."""
        old = self.layout
        if layout == old:
            self.layout = layout
            return
        self.unpack()
        where = {key: row for row, key in enumerate(zip(old.names, old.if_indexes, old.wide, strict=True))}
        places = dict(zip(old.names, self.placed_ns, strict=True))
        moved = Baseline.empty(layout)
        moved.held_rates = [None] * len(moved.counters) if self.held_rates else []
        for row, key in enumerate(zip(layout.names, layout.if_indexes, layout.wide, strict=True)):
            moved.placed_ns[row] = places.get(key[0], 0)
            if key in where:
                self._copy_row(where[key], moved, row)
        moved.witness = self.witness
        for name in self.__slots__:
            setattr(self, name, getattr(moved, name))

    def _copy_row(self, row: int, target: "Baseline", target_row: int) -> None:
        here, there = row * WIDTH, target_row * WIDTH
        target.counters[there : there + WIDTH] = self.counters[here : here + WIDTH]
        if self.held_rates:
            target.held_rates[there : there + WIDTH] = self.held_rates[here : here + WIDTH]
        target.received_ns[target_row] = self.received_ns[row]
        target.uptime_ticks[target_row] = self.uptime_ticks[row]
        target.discontinuity_ticks[target_row] = self.discontinuity_ticks[row]
        if row in self.overdrawn:
            target.overdrawn.add(target_row)

    def save(self) -> dict[str, Any]:
        """A structure of plain msgpack types; load brings it back."""
        return {
            "version": VERSION,
            "layout": {each.name: getattr(self.layout, each.name) for each in fields(self.layout)},
            "counters": self._saved_counters(),
            "received_ns": list(self.received_ns),
            "uptime_ticks": list(self.uptime_ticks),
            "placed_ns": list(self.placed_ns),
            "discontinuity_ticks": list(self.discontinuity_ticks),
            "held_rates": list(self.held_rates),
            "overdrawn": sorted(self.overdrawn),
            "witness": None if self.witness is None else asdict(self.witness),
            "unverified_ns": self.unverified_ns,
        }

    def _saved_counters(self) -> bytes | list[int | None]:
        """Packed where every counter has a value of 64 bits, whichever way they were counted."""
        if self.packed is not None:
            return pack(self.packed)
        try:
            return pack(array("Q", self.counters))
        except (TypeError, OverflowError):
            return list(self.counters)

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> "Baseline":
        """What save gave; ValueError for another version."""
        if saved["version"] not in {1, VERSION}:
            raise ValueError(f"baselines of version {saved['version']} cannot be read, only {VERSION}")
        counters = saved["counters"]
        return cls(
            layout=_layout(**saved["layout"]),
            counters=[] if isinstance(counters, bytes | str) else list(counters),
            packed=unpack("Q", counters) if isinstance(counters, bytes | str) else None,
            received_ns=list(saved["received_ns"]),
            uptime_ticks=list(saved["uptime_ticks"]),
            placed_ns=list(saved["placed_ns"]),
            discontinuity_ticks=list(saved["discontinuity_ticks"]),
            held_rates=list(saved["held_rates"]),
            overdrawn=set(saved["overdrawn"]),
            witness=None if saved["witness"] is None else Witness(**saved["witness"]),
            unverified_ns=saved["unverified_ns"],
        )


def _layout(discovered_ns: int, **columns: Sequence[Any]) -> InterfaceLayout:
    return InterfaceLayout(**{name: tuple(column) for name, column in columns.items()}, discovered_ns=discovered_ns)
