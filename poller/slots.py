"""Octets over aligned slots of time, summed per account: a circuit, a line group, a tenant on a line (R62, R62a).

    SlotLedger.add(DeviceRates) ... SlotLedger.close(now_ns) -> SlotTotals

Theory. An interval's octets are shared over the slots it overlaps in proportion, with one running total that is rounded
down at each slot's end: the shares differ from the exact ones by less than one octet and their sum is the whole. Slots
are kept per series until every account has closed them, then only the accounts' sums are kept. An account closes a slot
when all its members have passed its end, or at the deadline; what comes later amends it, and it is told again.
Octets of a gap count in volumes, but neither in rates nor in coverage, because nobody knows when in the gap they flowed
(R33). What is older than the ledger remembers is entered in the oldest slot that it does remember, as of a gap.

How long an account was observed in a slot that some of its members lack is said in poller.carriers. It is judged again
when more comes, with the slots after it, so that figures depend on what was counted and not on when it came.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from poller.accounts import KEEP_SLOTS, SLOT_NS, Account, Series, SlotTotals, shares
from poller.books import Book, Slot
from poller.devicerates import GAP, DeviceRates
from poller.readings import InterfaceLayout

DEADLINE_NS: Final = 120 * 10**9
"""After a slot's end: one polling interval of 60 s, and time for the poll itself; slower accounts wait longer."""
VERSION: Final = 2
"""Of the saved form."""


class SlotLedger:
    """The sums of all accounts by slot. Readings of one device come in order; devices in any order."""

    def __init__(
        self,
        accounts: Iterable[Account],
        *,
        slot_ns: int = SLOT_NS,
        deadline_ns: int = DEADLINE_NS,
        keep_slots: int = KEEP_SLOTS,
    ) -> None:
        self.slot_ns = slot_ns
        self._deadline_ns = deadline_ns
        self._keep_ns = keep_slots * slot_ns
        self._numbers: dict[Series, int] = {}
        self._books = {account.id: self._open_book(account) for account in accounts}
        self._passed_ns = [0] * len(self._numbers)
        self._slots: dict[int, Slot] = {}
        self._closed_ns = [0] * len(self._numbers)
        self._rows: dict[str, tuple[InterfaceLayout, list[int], list[int]]] = {}
        self._books_of = self._sort_books()

    def _open_book(self, account: Account) -> Book:
        members = {(member.device, member.interface): member.reversed for member in account.members}
        numbered = [
            (self._numbers.setdefault(series, len(self._numbers)), backward) for series, backward in members.items()
        ]
        forward = tuple(number for number, backward in numbered if not backward)
        return Book(account, forward, tuple(number for number, backward in numbered if backward), self.slot_ns)

    def _sort_books(self) -> list[tuple[tuple[Book, bool], ...]]:
        """The accounts of every series, each with whether it is reversed there; equal answers are one object."""
        names: list[tuple[tuple[str, bool], ...]] = [()] * len(self._numbers)
        for id_, book in self._books.items():
            for backward, numbers in ((False, book.forward), (True, book.backward)):
                for number in numbers:
                    names[number] = (*names[number], (id_, backward))
        books_of = {each: tuple((self._books[id_], backward) for id_, backward in each) for each in set(names)}
        return [books_of[each] for each in names]

    def add(self, rates: DeviceRates) -> None:
        """Enter what a device's interfaces counted; those that no account knows are passed over."""
        from_column, to_column, passed_column = rates.from_ns, rates.to_ns, self._passed_ns
        last_from_ns = last_to_ns = 0
        cells: list[tuple[Slot, int, int]] = []
        for row, number in zip(*self._rows_of(rates), strict=True):
            from_ns, to_ns = from_column[row], to_column[row]
            if to_ns > passed_column[number]:
                if passed_column[number] == 0:
                    self._begin(number, from_ns)
                passed_column[number] = to_ns
            if from_ns >= to_ns:
                continue
            octets = rates.in_octets[row], rates.out_octets[row]
            if from_ns < self._closed_ns[number] or rates.reason[row] == GAP:
                self._enter(number, (from_ns, to_ns), octets, gap=rates.reason[row] == GAP)
                continue
            if from_ns != last_from_ns or to_ns != last_to_ns:
                last_from_ns, last_to_ns = from_ns, to_ns
                cells = self._cells(from_ns, to_ns)
            self._fill(number, cells, octets)

    def _cells(self, from_ns: int, to_ns: int) -> list[tuple[Slot, int, int]]:
        """An interval's slots, each with the time until the end of its part and in it."""
        cells = []
        for start_ns, part_ns in self._parts(from_ns, to_ns):
            slot = self._slots.get(start_ns)
            if slot is None:
                slot = self._slots[start_ns] = Slot(len(self._numbers))
            cells.append((slot, min(start_ns + self.slot_ns, to_ns) - from_ns, part_ns))
        return cells

    def _fill(self, number: int, cells: list[tuple[Slot, int, int]], octets: tuple[int, int]) -> None:
        """Share one series' octets over open slots, as shares does; this is done for every interface at every poll."""
        into, out = octets
        whole_ns = cells[-1][1]
        gone_in = gone_out = 0
        for slot, reached_ns, part_ns in cells:
            upto_in, upto_out = into * reached_ns // whole_ns, out * reached_ns // whole_ns
            slot.in_octets[number] += upto_in - gone_in
            slot.out_octets[number] += upto_out - gone_out
            gone_in, gone_out = upto_in, upto_out
            covered_ns = slot.covered_ns[number]
            slot.covered_ns[number] = min(covered_ns + part_ns, self.slot_ns) if covered_ns else part_ns

    def _rows_of(self, rates: DeviceRates) -> tuple[list[int], list[int]]:
        """Rows of the device that some account knows, and the numbers of their series."""
        known = self._rows.get(rates.device)
        if known is None or known[0] is not rates.layout:
            series = [(rates.device, name) for name in rates.layout.names]
            rows = [row for row, each in enumerate(series) if each in self._numbers]
            known = self._rows[rates.device] = (rates.layout, rows, [self._numbers[series[row]] for row in rows])
        return known[1:]

    def _begin(self, number: int, from_ns: int) -> None:
        """Accounts begin with the slot in which the first of their members was heard of."""
        for book, _ in self._books_of[number]:
            if book.closed_to_ns == 0:
                book.closed_to_ns = from_ns - from_ns % self.slot_ns
                self._mark_closed(book)

    def _mark_closed(self, book: Book) -> None:
        """Before this moment at least one account of the members is closed."""
        if book.marked_ns < book.closed_to_ns:
            book.marked_ns = book.closed_to_ns
            closed = self._closed_ns
            for number in book.numbers:
                if closed[number] < book.closed_to_ns:  # noqa: PLR1730 - max would cost a call for every interface
                    closed[number] = book.closed_to_ns

    def _parts(self, from_ns: int, to_ns: int) -> Iterable[tuple[int, int]]:
        """The slots of an interval by their begin, with the time it spends in each."""
        start_ns = from_ns - from_ns % self.slot_ns
        while start_ns < to_ns:
            end_ns = start_ns + self.slot_ns
            yield start_ns, min(to_ns, end_ns) - max(from_ns, start_ns)
            start_ns = end_ns

    def _enter(self, number: int, interval: tuple[int, int], octets: tuple[int, int], *, gap: bool) -> None:
        """Share one series' octets where slots may be closed already, or where they are of a gap."""
        from_ns, to_ns = interval
        books = self._books_of[number]
        oldest_ns = min(self._oldest_ns(book, to_ns) for book, _ in books)
        if gap and from_ns < oldest_ns:  # in one step, a silence may have lasted for weeks
            parts = [(from_ns - from_ns % self.slot_ns, oldest_ns - from_ns), *self._parts(oldest_ns, to_ns)]
        else:
            parts = list(self._parts(from_ns, to_ns))
        in_shares, out_shares = (shares(each, [part_ns for _, part_ns in parts]) for each in octets)
        for (start_ns, part_ns), in_octets, out_octets in zip(parts, in_shares, out_shares, strict=True):
            still_open = False
            for book, backward in books:
                if start_ns >= book.closed_to_ns and not gap:
                    still_open = True
                    continue
                share = (out_octets, in_octets) if backward else (in_octets, out_octets)
                place_ns = max(start_ns, self._oldest_ns(book, to_ns))
                book.correct(number, place_ns, part_ns if start_ns == place_ns and not gap else 0, share)
            if still_open:
                slot = self._slots.get(start_ns)
                if slot is None:
                    slot = self._slots[start_ns] = Slot(len(self._numbers))
                self._fill(number, [(slot, part_ns, part_ns)], (in_octets, out_octets))

    def _oldest_ns(self, book: Book, to_ns: int) -> int:
        """The first slot that is remembered when an account has come to to_ns."""
        return max(book.closed_to_ns, to_ns - to_ns % self.slot_ns) - self._keep_ns

    def close(self, now_ns: int) -> list[SlotTotals]:
        """Slots that are complete or past their deadline, and amended ones again, in order of time."""
        told: list[SlotTotals] = []
        for book in self._books.values():
            told.extend(book.totals(start_ns) for start_ns in book.told)
            book.told.clear()
            told.extend(self._close_book(book, now_ns))
            self._mark_closed(book)
        lowest_ns = min((book.closed_to_ns for book in self._books.values()), default=now_ns)
        for start_ns in [start_ns for start_ns in self._slots if start_ns < lowest_ns]:
            del self._slots[start_ns]
        told.sort(key=lambda totals: totals.start_ns)
        return told

    def _close_book(self, book: Book, now_ns: int) -> Iterable[SlotTotals]:
        overdue_ns = now_ns - self._deadline_ns - max(0, book.account.interval_ns - SLOT_NS)
        if book.closed_to_ns == 0:
            book.closed_to_ns = now_ns - now_ns % self.slot_ns
        while (end_ns := book.closed_to_ns + self.slot_ns) <= overdue_ns or self._all_passed(book, end_ns):
            start_ns, book.position = book.closed_to_ns, 0
            if start_ns >= now_ns - self._keep_ns or start_ns in self._slots or start_ns in book.sums:
                book.settle(start_ns, self._slots.get(start_ns))
                yield book.totals(start_ns)
            else:  # after a long stop the empty slots are not told one by one
                end_ns = self._after_stop(book, end_ns, min(overdue_ns, now_ns - self._keep_ns))
            book.closed_to_ns = end_ns
            book.sums.pop(book.closed_to_ns - self._keep_ns - self.slot_ns, None)

    def _after_stop(self, book: Book, end_ns: int, until_ns: int) -> int:
        """The begin of the next slot with octets, or of the one of until_ns; drops what is forgotten by then."""
        to_ns = max(until_ns - until_ns % self.slot_ns, end_ns)
        to_ns = min((each for each in (*self._slots, *book.sums) if end_ns <= each < to_ns), default=to_ns)
        book.sums = {start_ns: each for start_ns, each in book.sums.items() if start_ns >= to_ns - self._keep_ns}
        return to_ns

    def _all_passed(self, book: Book, end_ns: int) -> bool:
        """Whether every member has been counted up to end_ns; looks on from where it stopped the last time."""
        numbers, passed = book.numbers, self._passed_ns
        for position in range(book.position, len(numbers)):
            if passed[numbers[position]] < end_ns:
                book.position = position
                return False
        return bool(numbers)

    def totals(self, account: str, start_ns: int) -> SlotTotals | None:
        """An account's figures of a closed slot; None where it is not closed or no longer remembered."""
        book = self._books[account]
        if start_ns >= book.closed_to_ns or start_ns not in book.sums:
            return None
        return book.totals(start_ns)

    def save(self) -> dict[str, Any]:
        """A structure of plain JSON types; load brings it back."""
        return {
            "version": VERSION,
            "series": list(self._numbers),
            "passed_ns": list(self._passed_ns),
            "slots": [
                [start_ns, list(slot.in_octets), list(slot.out_octets), list(slot.covered_ns)]
                for start_ns, slot in self._slots.items()
            ],
            "accounts": {id_: book.save() for id_, book in self._books.items()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what save gave, for the accounts and series that still exist; ValueError for another version."""
        if saved["version"] != VERSION:
            raise ValueError(f"slots of version {saved['version']} cannot be read, only {VERSION}")
        moves = [
            (old, self._numbers[device, interface])
            for old, (device, interface) in enumerate(saved["series"])
            if (device, interface) in self._numbers
        ]
        for old, new in moves:
            self._passed_ns[new] = saved["passed_ns"][old]
        for start_ns, *columns in saved["slots"]:
            slot = self._slots[start_ns] = Slot(len(self._numbers))
            for target, column in zip((slot.in_octets, slot.out_octets, slot.covered_ns), columns, strict=True):
                for old, new in moves:
                    target[new] = column[old]
        for id_, entry in saved["accounts"].items():
            if (book := self._books.get(id_)) is not None:
                book.restore(entry, dict(moves) | self._renamed(book, saved["series"]))
                self._mark_closed(book)

    def _renamed(self, book: Book, series: Sequence[Sequence[str]]) -> dict[int, int]:
        """Saved series that are no more, with an account's new one on the same device: what carries has a new name."""
        known = {(device, interface) for device, interface in series}
        fresh = {
            each.device: self._numbers[each.device, each.interface]
            for each in book.account.members
            if (each.device, each.interface) not in known
        }
        return {
            old: fresh[device]
            for old, (device, interface) in enumerate(series)
            if device in fresh and (device, interface) not in self._numbers
        }
