"""The objects of an agent in lexicographic order, found by bisection, with values made at the moment they are asked.

A view is a sorted list of columns; a column is a root and the suffixes of its rows. Nothing is stored per object, so
that a switch with 24 ports and 40 columns costs 40 entries and its walk costs one bisection a step.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from probes.snmp.oid import Oid
from probes.snmp.values import Missing, Value, VarBind

Read: TypeAlias = Callable[[int, int], Value]
"""Value of a row (its place in the column) at a moment (UTC, unix nanoseconds)."""

_NO_OBJECT: Final = int(Missing.NO_SUCH_OBJECT.value)
_NO_INSTANCE: Final = int(Missing.NO_SUCH_INSTANCE.value)
_END: Final = int(Missing.END_OF_MIB_VIEW.value)


class Column(NamedTuple):
    """Rows of one type under one root; rows are sorted suffixes, (0,) alone for a scalar."""

    root: Oid
    rows: tuple[Oid, ...]
    tag: int
    read: Read


class View:
    """All objects of an agent. Roots must not lie within one another."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self._columns: Sequence[Column] = sorted(
            (column for column in columns if column.rows), key=lambda one: one.root
        )
        self._roots = [column.root for column in self._columns]
        places: dict[int, dict[Oid, int]] = {}
        self._places: list[dict[Oid, int]] = []
        for column in self._columns:
            if id(column.rows) not in places:
                places[id(column.rows)] = {row: place for place, row in enumerate(column.rows)}
            self._places.append(places[id(column.rows)])

    def __len__(self) -> int:
        return sum(len(column.rows) for column in self._columns)

    def get(self, oid: Oid, time_ns: int) -> VarBind:
        """The object of this name, or noSuchObject, or noSuchInstance (RFC 3416, 4.2.1)."""
        at = bisect_right(self._roots, oid) - 1
        if at < 0:
            return VarBind(oid, Missing.NO_SUCH_OBJECT, _NO_OBJECT)
        column = self._columns[at]
        length = len(column.root)
        if oid[:length] != column.root:
            return VarBind(oid, Missing.NO_SUCH_OBJECT, _NO_OBJECT)
        place = self._places[at].get(oid[length:])
        if place is None:
            return VarBind(oid, Missing.NO_SUCH_INSTANCE, _NO_INSTANCE)
        return VarBind(oid, column.read(place, time_ns), column.tag)

    def next(self, oid: Oid, time_ns: int) -> VarBind:
        """The first object behind this name, or endOfMibView (RFC 3416, 4.2.2)."""
        at = bisect_right(self._roots, oid) - 1
        if at >= 0:
            column = self._columns[at]
            length = len(column.root)
            if oid[:length] == column.root:
                place = bisect_right(column.rows, oid[length:])
                if place < len(column.rows):
                    return VarBind(column.root + column.rows[place], column.read(place, time_ns), column.tag)
        if at + 1 == len(self._columns):
            return VarBind(oid, Missing.END_OF_MIB_VIEW, _END)
        column = self._columns[at + 1]
        return VarBind(column.root + column.rows[0], column.read(0, time_ns), column.tag)


def scalar(oid: Oid, tag: int, read: Callable[[int], Value]) -> Column:
    """A column of one row with the instance 0."""
    return Column(oid, ((0,),), tag, lambda _row, time_ns: read(time_ns))


def constant(oid: Oid, tag: int, value: Value) -> Column:
    """A scalar that never changes."""
    return Column(oid, ((0,),), tag, lambda _row, _time_ns: value)


class RecordedView:
    """The objects of a recording, which stand still."""

    def __init__(self, objects: Sequence[VarBind]) -> None:
        self._objects = objects
        self._oids = [entry.oid for entry in objects]

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, oid: Oid, _time_ns: int) -> VarBind:
        """As View.get; what was not recorded does not exist."""
        at = bisect_left(self._oids, oid)
        if at < len(self._oids) and self._oids[at] == oid:
            return self._objects[at]
        beside = self._oids[max(at - 1, 0) : at + 1]
        if any(one[:-1] == oid[:-1] for one in beside):
            return VarBind(oid, Missing.NO_SUCH_INSTANCE, _NO_INSTANCE)
        return VarBind(oid, Missing.NO_SUCH_OBJECT, _NO_OBJECT)

    def next(self, oid: Oid, _time_ns: int) -> VarBind:
        """As View.next."""
        at = bisect_right(self._oids, oid)
        return self._objects[at] if at < len(self._oids) else VarBind(oid, Missing.END_OF_MIB_VIEW, _END)


class Readable(Protocol):
    """What an agent needs of its objects."""

    def get(self, oid: Oid, time_ns: int, /) -> VarBind:
        """The object of this name, or why there is none."""

    def next(self, oid: Oid, time_ns: int, /) -> VarBind:
        """The first object behind this name, or endOfMibView."""
