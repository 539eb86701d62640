"""The book of one account: how far it is closed, its sums by slot, what it was last seen to carry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import add, itemgetter
from typing import Any

from poller.accounts import Account, SlotSum, SlotTotals
from poller.carriers import (
    NOTHING,
    Carried,
    Cell,
    Lacking,
    carried,
    least_octets,
    loaded_carried,
    pack,
    saved_carried,
)


class Slot:
    """An open slot: one entry a series in every column."""

    __slots__ = ("covered_ns", "in_octets", "out_octets")

    def __init__(self, series: int) -> None:
        self.in_octets = [0] * series
        self.out_octets = [0] * series
        self.covered_ns = [0] * series


@dataclass(slots=True)
class Book:
    """One account: its members by the numbers of their series, how far it is closed, its sums by slot.

    closed_to_ns: begin of the first slot not closed; 0 before anything was heard of it.
    carried: what it carried when last observed.
    told: closed slots that have been amended since they were told, with the figures of then.
    position: the first of numbers that was not known to have passed the next slot; those before it have.
    """

    account: Account
    forward: tuple[int, ...]
    backward: tuple[int, ...]
    slot_ns: int
    closed_to_ns: int = 0
    marked_ns: int = 0
    position: int = 0
    carried: Carried = NOTHING
    sums: dict[int, SlotSum] = field(default_factory=dict)
    told: dict[int, SlotSum] = field(default_factory=dict)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of all members, in the order of the columns of a slot that is being closed."""
        return self.forward + self.backward if self.forward and self.backward else self.forward or self.backward

    @property
    def members(self) -> int:
        """How many they are."""
        return len(self.forward) + len(self.backward)

    def settle(self, start_ns: int, slot: Slot | None) -> None:
        """Sum a slot that is being closed; None where nothing at all was counted in it."""
        entry = self.sums.setdefault(start_ns, SlotSum())
        if slot is None:
            entry.lacking = Lacking(self.carried, self.numbers, after=self.carried)
            return
        covered = _pick(slot.covered_ns, self.numbers)
        into = _pick(slot.in_octets, self.forward) + _pick(slot.out_octets, self.backward)
        out = _pick(slot.out_octets, self.forward) + _pick(slot.in_octets, self.backward)
        entry.add(sum(into), sum(out))
        entry.covered_ns = sum(covered)
        large = self._large(list(map(add, into, out)))
        if min(covered, default=0) >= self.slot_ns:
            entry.observed_ns = self.slot_ns
            self.carried = carried(sum(into) + sum(out), large, self.slot_ns)
        else:
            parts = zip(self.numbers, into, out, covered, strict=True)
            cells = {number: Cell(*cell) for number, *cell in parts if 0 < cell[2] < self.slot_ns}
            entry.lacking = self._lacking(start_ns, covered, cells, large)
            self.carried = entry.lacking.after = entry.judge(self.slot_ns)
            entry.lacking.share(entry.lacking.before)

    def _large(self, octets: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """The members that had enough octets in a slot for a carrier."""
        least = least_octets(sum(octets), self.slot_ns)
        if max(octets, default=0) < least:
            return ()
        return tuple(each for each in zip(self.numbers, octets, strict=True) if each[1] >= least)

    def _lacking(
        self, start_ns: int, covered: Sequence[int], cells: Mapping[int, Cell], large: Iterable[tuple[int, int]]
    ) -> Lacking:
        """What is remembered of a slot that some members lack; mostly they are those of the slot before."""
        members = tuple(number for number, each_ns in zip(self.numbers, covered, strict=True) if each_ns < self.slot_ns)
        before = self.sums.get(start_ns - self.slot_ns)
        if before is not None and before.lacking is not None and before.lacking.members == members:
            members = before.lacking.members
        return Lacking(
            before=self.carried,
            members=members,
            packed=pack(cells),
            large=tuple(each for each in large if each[0] not in members),
            whole=len(members) < self.members,
        )

    def correct(self, number: int, start_ns: int, part_ns: int, octets: tuple[int, int]) -> None:
        """Enter a member's share late, or without a known time, which part_ns 0 says."""
        if start_ns >= self.closed_to_ns:
            self.sums.setdefault(start_ns, SlotSum()).add_gap(*octets)
            return
        entry = self.sums.setdefault(start_ns, SlotSum())
        self.told.setdefault(start_ns, replace(entry))
        if entry.lacking is None and not entry.observed_ns:  # it was never told, so long ago it is
            entry.lacking = Lacking(NOTHING, self.numbers)
        if not part_ns or entry.lacking is None or number not in entry.lacking.members:
            entry.add_gap(*octets)
            return
        entry.add(*octets)
        entry.covered_ns += part_ns
        entry.lacking.enter(number, Cell(*octets, part_ns), self.slot_ns)
        self._judge_from(start_ns)

    def _judge_from(self, start_ns: int) -> None:
        """Judge a closed slot anew, and those after it whose judgement rests on what it was found to carry."""
        entry = self.sums.get(start_ns)
        while entry is not None and entry.lacking is not None:
            before = replace(entry)
            after = entry.judge(self.slot_ns)
            if entry.observed_ns != before.observed_ns:
                self.told.setdefault(start_ns, before)
            if after == entry.lacking.after:
                return
            entry.lacking.after = after
            start_ns += self.slot_ns
            if start_ns == self.closed_to_ns:
                self.carried = after
                return
            entry = self.sums.get(start_ns)
            if entry is not None and entry.lacking is not None:
                entry.lacking.before = after

    def totals(self, start_ns: int) -> SlotTotals:
        """The figures of a closed slot, with those told before if it was amended since."""
        told = self.told.get(start_ns)
        previous = None if told is None else self._told(start_ns, told, None)
        return self._told(start_ns, self.sums[start_ns], previous)

    def _told(self, start_ns: int, entry: SlotSum, previous: SlotTotals | None) -> SlotTotals:
        return SlotTotals(
            account=self.account.id,
            start_ns=start_ns,
            in_octets=entry.in_octets,
            out_octets=entry.out_octets,
            in_gap_octets=entry.in_gap_octets,
            out_gap_octets=entry.out_gap_octets,
            covered_ns=entry.covered_ns,
            observed_ns=entry.observed_ns,
            members=self.members,
            slot_ns=self.slot_ns,
            previous=previous,
        )

    def save(self) -> dict[str, Any]:
        """A structure of plain JSON types; restore takes it over."""
        lists: dict[tuple[int, ...], int] = {}
        sums: list[list[Any]] = []
        for start_ns, entry in self.sums.items():
            lacking = entry.lacking
            place = None if lacking is None else lists.setdefault(lacking.members, len(lists))
            sums.append([start_ns, *_figures(entry), place, None if lacking is None else lacking.save()])
        return {
            "closed_to_ns": self.closed_to_ns,
            "carried": saved_carried(self.carried),
            "told": [[start_ns, *_figures(entry)] for start_ns, entry in self.told.items()],
            "sums": sums,
            "lists": [list(members) for members in lists],
        }

    def restore(self, saved: Mapping[str, Any], renumbered: Mapping[int, int]) -> None:
        """Take over what save gave; renumbered leads from the numbers of then to those of now."""
        self.closed_to_ns = saved["closed_to_ns"]
        self.carried = loaded_carried(saved["carried"], renumbered)
        self.told = {start_ns: SlotSum(*figures) for start_ns, *figures in saved["told"]}
        mine = set(self.numbers)
        lists = [
            tuple(renumbered[number] for number in each if renumbered.get(number) in mine) for each in saved["lists"]
        ]
        self.sums, before = {}, NOTHING
        for start_ns, *figures, place, lacking in saved["sums"]:
            entry = self.sums[start_ns] = SlotSum(*figures)
            if place is not None:
                entry.lacking = Lacking.load(lacking, lists[place], renumbered).share(before)
                before = entry.lacking.after


def _figures(entry: SlotSum) -> list[int]:
    return [
        entry.in_octets,
        entry.out_octets,
        entry.in_gap_octets,
        entry.out_gap_octets,
        entry.covered_ns,
        entry.observed_ns,
    ]


def _pick(column: Sequence[int], numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(numbers) > 1:
        return itemgetter(*numbers)(column)  # type: ignore[no-any-return] # one C call for a tenant of a thousand series
    return tuple(column[number] for number in numbers)
