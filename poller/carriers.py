"""Who of an account's members carries, and how long an account was observed in a slot that some of them lack.

    judge(slot, in_octets, out_octets, slot_ns) -> how long it was observed, what it carried

Theory. Whoever is idle cannot vouch for whoever carries: a standby that answers says nothing of a silent active member.
The carriers of an account are the members that had a tenth or more of its octets when it was last observed. In a slot
that a carrier lacks,
- the others took over if they carry so much more than before that it is half of what the carrier is missing with, or
  twice their own and a hundredth of that: then the slot was observed as long as they were;
- else it has no rate if a carrier was silent all the time, because the account is not what is left of it;
- else, and where only idle members lack it, its rate is the sum of its members' rates, each over its own time.
So a dead standby voids nothing, and a failover within a slot counts the time of both devices once. The answer rests on
what was counted alone, never on the order in which it came or on what had been told before.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import fsum
from operator import add
from typing import Any, Final, NamedTuple, Self

TENTH: Final = 10
"""A carrier has at least one part in so many of its account's octets."""
HUNDREDTH: Final = 100
IDLE_BITS_PER_SECOND: Final = 100_000
"""Below that a member has its own keep-alives and nothing else: it carries nothing."""


class Carried(NamedTuple):
    """What an account carried when last observed: octets of a whole slot in both directions, and its carriers' part."""

    octets: int = 0
    carriers: tuple[tuple[int, int], ...] = ()
    """Each with the number of its series."""


NOTHING: Final = Carried()
"""Before anything was observed."""


class Cell(NamedTuple):
    """What one member counted in one slot, and the time in which it did."""

    in_octets: int
    out_octets: int
    covered_ns: int


NO_CELLS: Final = array("Q")
"""Shared, because a member that is dead for hours would cost each slot a table."""


def pack(cells: Mapping[int, Cell]) -> "array[int]":
    """Members' cells by number, in 32 octets each: after a start every member has one, and they are kept for hours."""
    return array("Q", chain.from_iterable((number, *cell) for number, cell in cells.items())) if cells else NO_CELLS


@dataclass(slots=True)
class Lacking:
    """A closed slot that not every member of its account was observed through.

    members: the numbers of those that were not; packed: the cells of those among them that were observed in part.
    large: those that were observed through it with octets enough for a carrier, each with its octets.
    before, after: what the account carried when last observed before this slot, and by its end.
    """

    before: Carried
    members: tuple[int, ...]
    packed: "array[int]" = field(default_factory=lambda: NO_CELLS)
    large: tuple[tuple[int, int], ...] = ()
    whole: bool = False
    """Whether any member was observed through the slot."""
    after: Carried = NOTHING

    @property
    def cells(self) -> dict[int, Cell]:
        """What those members counted that were observed in part, by number."""
        flat = iter(self.packed)
        return {number: Cell(*cell) for number, *cell in zip(flat, flat, flat, flat, strict=True)}

    def enter(self, number: int, cell: Cell, slot_ns: int) -> None:
        """Add what came late of a member that was not observed through the slot."""
        cells = self.cells
        cell = Cell(*map(add, cells.pop(number, Cell(0, 0, 0)), cell))
        if cell.covered_ns < slot_ns:
            cells[number] = cell
        else:
            self.whole = True
            self.members = tuple(each for each in self.members if each != number)
            self.large = (*self.large, (number, cell.in_octets + cell.out_octets))
        self.packed = pack(cells)

    def share(self, before: Carried) -> Self:
        """Keep what is equal once: there are hours of slots, and mostly the same is carried by the same."""
        if self.before == before:
            self.before = before
        if self.large == self.after.carriers:
            self.large = self.after.carriers
        return self

    def save(self) -> list[Any]:
        """A structure of plain JSON types, without members."""
        before, after = saved_carried(self.before), saved_carried(self.after)
        return [before, after, self.packed.tolist(), [list(each) for each in self.large], self.whole]

    @classmethod
    def load(cls, saved: Sequence[Any], members: tuple[int, ...], renumbered: Mapping[int, int]) -> "Lacking":
        """What save gave, with the members as they are numbered now; those that are no more are left out."""
        before, after, packed, large, whole = saved
        slot = cls(
            before=loaded_carried(before, renumbered),
            members=members,
            packed=array("Q", packed),
            large=tuple((renumbered[number], octets) for number, octets in large if number in renumbered),
            whole=whole,
            after=loaded_carried(after, renumbered),
        )
        slot.packed = pack({renumbered[number]: cell for number, cell in slot.cells.items() if number in renumbered})
        return slot


def judge(slot: Lacking, in_octets: int, out_octets: int, slot_ns: int) -> tuple[int, Carried]:
    """How long an account was observed in a slot, 0 where it has no rate, and what it carried by the slot's end.

    in_octets and out_octets are those of known time, of all members.
    """
    cells = slot.cells
    longest_ns = slot_ns if slot.whole else max((cell.covered_ns for cell in cells.values()), default=0)
    if not longest_ns:
        return 0, slot.before
    lacking = set(slot.members)
    missing = {
        number: octets
        for number, octets in slot.before.carriers
        if number in lacking and _covered_ns(cells, number) < longest_ns
    }
    times = longest_ns, slot_ns
    if missing and _took_over(slot.before, cells, missing, (in_octets + out_octets, *times)):
        observed_ns = longest_ns
    elif all(_covered_ns(cells, number) for number in missing):
        observed_ns = _weighed_ns(cells, (in_octets, out_octets), times)
    else:
        return 0, slot.before
    total = (in_octets + out_octets) * slot_ns // observed_ns
    parts = [(number, sum(cell[:2]) * slot_ns // cell.covered_ns) for number, cell in cells.items()]
    return observed_ns, carried(total, [*slot.large, *parts], slot_ns)


def carried(total: int, parts: Iterable[tuple[int, int]], slot_ns: int) -> Carried:
    """What an account carries, with the carriers among the members whose octets of a whole slot are given."""
    least = least_octets(total, slot_ns)
    return Carried(total, tuple(sorted(each for each in parts if each[1] >= least)))


def least_octets(total: int, slot_ns: int) -> int:
    """The fewest octets of a slot that make a member a carrier."""
    return max(-(-total // TENTH), IDLE_BITS_PER_SECOND * slot_ns // (8 * 10**9))


def _covered_ns(cells: Mapping[int, Cell], number: int) -> int:
    cell = cells.get(number)
    return 0 if cell is None else cell.covered_ns


def _took_over(
    before: Carried, cells: Mapping[int, Cell], missing: Mapping[int, int], figures: tuple[int, int, int]
) -> bool:
    """Whether the others carry what the missing ones did; figures: all octets, longest time, the slot's."""
    total, longest_ns, slot_ns = figures
    others = total - sum(sum(cells[number][:2]) for number in missing if number in cells)
    others_before = max(before.octets - sum(missing.values()), 0) * longest_ns // slot_ns
    unseen = sum(octets * (longest_ns - _covered_ns(cells, number)) for number, octets in missing.items()) // slot_ns
    grown = others - others_before
    return 2 * grown >= unseen or grown >= others_before + unseen // HUNDREDTH


def _weighed_ns(cells: Mapping[int, Cell], both: tuple[int, int], times: tuple[int, int]) -> int:
    """The time over which the octets make the sum of the members' rates, and in no direction more; times as above."""
    longest_ns, slot_ns = times
    found_ns = 0
    for way, octets in enumerate(both if cells else ()):
        partial = sum(cell[way] for cell in cells.values())
        rate = fsum([(octets - partial) / slot_ns, *(cell[way] / cell.covered_ns for cell in cells.values())])
        if rate:
            found_ns = max(found_ns, round(octets / rate))
    return min(found_ns, longest_ns) or longest_ns


def saved_carried(each: Carried) -> list[Any]:
    """A structure of plain JSON types."""
    return [each.octets, [list(carrier) for carrier in each.carriers]]


def loaded_carried(saved: Sequence[Any], renumbered: Mapping[int, int]) -> Carried:
    """What saved_carried gave; carriers that are no more are left out, with what they carried."""
    octets, carriers = saved
    gone = sum(part for number, part in carriers if number not in renumbered)
    kept = sorted((renumbered[number], part) for number, part in carriers if number in renumbered)
    return Carried(octets - gone, tuple(kept))
