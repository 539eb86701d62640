"""A vendor's objects, made from the same profile that the poller reads them by: the profile, turned round.

For every field of a profile the objects of its first usable reading are given values from which that reading makes the
device's true CPU, memory, sessions and role. What a profile asks of sysObjectID, sysDescr and probes is said too. A new
profile therefore needs no code here; an operation the profiles gain needs one line in PARTS.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from poller.lab.examples_of import example_of
from poller.lab.mib import Column
from poller.profile_readings import Object, Reading, RowFilter
from poller.profiles import Detect, Profile
from probes.snmp.oid import Oid
from probes.snmp.values import Tag, Value

Number: TypeAlias = Callable[[int], float]
"""A device's true value at a moment (UTC, unix nanoseconds): a ratio 0..1, a count, or a counter."""
Word: TypeAlias = Callable[[], str]

_TOTAL: Final = 16_000_000
"""Size of a memory in whatever unit the profile's object has; small enough for INTEGER."""
_ANY_INDEX: Final = (1,)
_NET_SNMP: Final[Oid] = (1, 3, 6, 1, 4, 1, 8072, 3, 2, 10)
_EXAMPLE: Final[Oid] = (1, 3, 6, 1, 4, 1, 32473, 1)
_PRODUCT: Final = 1

PARTS: Final[Mapping[str, Mapping[str, Callable[[float], int]]]] = {
    "percent": {"value": lambda ratio: round(100 * ratio)},
    "free_percent": {"value": lambda ratio: round(100 * (1 - ratio))},
    "used_of_total": {"used": lambda ratio: round(_TOTAL * ratio), "total": lambda _: _TOTAL},
    "used_beside_free": {
        "used": lambda ratio: round(_TOTAL * ratio),
        "free": lambda ratio: _TOTAL - round(_TOTAL * ratio),
    },
    "free_of_total": {"free": lambda ratio: _TOTAL - round(_TOTAL * ratio), "total": lambda _: _TOTAL},
    "number": {"value": round},
    "per_second": {"value": int},
}
"""For each operation of a reading, the objects it works on and what they must say."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a device's objects must come to. opened: sessions since the start, for readings of counters."""

    numbers: Mapping[str, Number]
    opened: Number
    ha_role: Word
    health: Word = lambda: "ok"


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a device says of itself to be recognised; answers are objects that detection probes for."""

    object_id: Oid
    description: str
    answers: tuple[Object, ...] = ()
    contains: str = ""


def likeness(profile: Profile) -> Likeness:
    """The simplest way to be recognised by a profile."""
    way = min(profile.detect, key=lambda one: (one.probe is not None, not one.object_id), default=Detect())
    description = example_of(way.description) if way.description is not None else ""
    return Likeness(
        _object_id(way),
        f"{description} {profile.name} (simulated)".strip(),
        () if way.probe is None else (way.probe,),
        way.contains,
    )


def _object_id(way: Detect) -> Oid:
    if way.object_id:
        first = way.object_id[0]
        return first if first[:7] == _NET_SNMP[:7] else (*first, _PRODUCT)
    if way.object_id_is:
        return way.object_id_is[0]
    return _EXAMPLE


def vendor_columns(profile: Profile, truth: Truth) -> list[Column]:
    """Columns for all fields and the health of a profile."""
    cells: dict[tuple[Oid, Oid], tuple[int, Callable[[int], Value]]] = {}
    for oid, tag, read in _objects(profile, truth):
        cells.setdefault((oid[:-1], oid[-1:]) if oid[-1] == 0 else _split(oid, profile), (tag, read))
    by_column: dict[Oid, list[tuple[Oid, int, Callable[[int], Value]]]] = {}
    for (root, row), (tag, read) in sorted(cells.items()):
        by_column.setdefault(root, []).append((row, tag, read))
    return [_column(root, rows) for root, rows in by_column.items()]


def _column(root: Oid, rows: list[tuple[Oid, int, Callable[[int], Value]]]) -> Column:
    reads = [read for _, _, read in rows]
    return Column(root, tuple(row for row, _, _ in rows), rows[0][1], lambda row, time_ns: reads[row](time_ns))


def _split(oid: Oid, profile: Profile) -> tuple[Oid, Oid]:
    """Column and index of an instance of one of the profile's columns."""
    readings = [*(reading for some in profile.fields.values() for reading in some), *profile.health]
    roots = {thing.oid for reading in readings for thing in reading.objects() if not thing.scalar}
    root = max((root for root in roots if oid[: len(root)] == root), key=len)
    return root, oid[len(root) :]


_Cell: TypeAlias = tuple[Oid, int, Callable[[int], Value]]


def _objects(profile: Profile, truth: Truth) -> Iterator[_Cell]:
    """Values first: where a column is both value and label, the value stands."""
    chosen = [
        (name, next((one for one in readings if not one.unverified), readings[0]))
        for name, readings in profile.fields.items()
    ] + [("health", reading) for reading in profile.health]
    for name, reading in chosen:
        index = _index(reading.where)
        if reading.as_ == "word":
            yield from _word_cells(reading, index, truth.health if name == "health" else truth.ha_role)
        else:
            yield from _number_cells(
                reading, index, truth.opened if reading.as_ == "per_second" else truth.numbers[name]
            )
    for _, reading in chosen:
        yield from _label_cells(reading, _index(reading.where))
    look = likeness(profile)
    for probe in look.answers:
        oid = probe.oid if probe.scalar else probe.oid + _ANY_INDEX
        yield oid, Tag.OCTET_STRING, _always((look.contains or profile.name).encode())


def _number_cells(reading: Reading, index: Oid, number: Number) -> Iterator[_Cell]:
    for part, make in PARTS[reading.as_].items():
        thing: Object = getattr(reading, part)
        tag = Tag.COUNTER32 if reading.as_ == "per_second" else Tag.GAUGE32
        yield _at(thing, index), tag, _say(make, number)


def _say(make: Callable[[float], int], number: Number) -> Callable[[int], Value]:
    return lambda time_ns: make(number(time_ns)) % (1 << 32)


def _word_cells(reading: Reading, index: Oid, word: Word) -> Iterator[_Cell]:
    assert reading.value is not None
    by_word: dict[str, str] = {}
    for text, meaning in (reading.words or {}).items():
        by_word.setdefault(meaning, text)
    some = next(iter(by_word.values()))
    otherwise = by_word.get("member") or by_word.get("alone") or by_word.get("unknown") or some
    numeric = all(text.lstrip("-").isdigit() for text in by_word.values())

    def say(_time_ns: int) -> Value:
        text = by_word.get(word(), otherwise)
        return int(text) if numeric else text.encode()

    yield _at(reading.value, index), Tag.INTEGER if numeric else Tag.OCTET_STRING, say


def _label_cells(reading: Reading, index: Oid) -> Iterator[_Cell]:
    """The columns a reading chooses its rows by, saying what it looks for."""
    for entry in reading.where:
        if entry.object is not None and entry.matches is not None:
            text = example_of(entry.matches)
            yield _at(entry.object, index), Tag.OCTET_STRING, _always(text.encode())
    if reading.within is not None:
        yield _at(reading.within.by, index), Tag.OCTET_STRING, _always(b"node0")


def _index(where: Iterable[RowFilter]) -> Oid:
    """An index that passes the filters on the index itself."""
    for entry in where:
        if entry.index is not None:
            text = example_of(entry.index)
            return tuple(map(int, (f"1{text}" if text.startswith(".") else text).split(".")))
    return _ANY_INDEX


def _at(thing: Object, index: Oid) -> Oid:
    return thing.oid if thing.scalar else thing.oid + index


def _always(value: bytes) -> Callable[[int], Value]:
    return lambda _time_ns: value
