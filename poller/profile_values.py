"""From a profile and an agent's values to the fields of a device: pure, and in two steps.

bind     once, at discovery: which rows of which columns count (filters, members), so that a poll asks for those alone
evaluate in every poll: the bound objects' values become one number or word, or a reason why there is none

What a profile may ask for is exactly the two tables OPERATIONS and ROWS.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final, TypeAlias

from poller.profile_readings import Less, Object, Reading, RowFilter
from poller.profiles import Profile
from probes.snmp.oid import Oid, format_oid
from probes.snmp.values import Missing, Value

Scalar: TypeAlias = float | int | str


@dataclass(frozen=True, slots=True)
class NoValue:
    """Why a field has no value; a phrase for the operator."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a reading: its operands' OIDs, in the order of Reading.operands, what is added, and its member."""

    operands: tuple[Oid, ...]
    member: str = ""
    plus: tuple[Oid, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    """A reading that knows its rows."""

    field: str
    reading: Reading
    rows: tuple[Row, ...]
    less: tuple[Oid, ...] = ()
    conditions: tuple[tuple[Oid, RowFilter], ...] = ()

    @property
    def oids(self) -> tuple[Oid, ...]:
        """What a poll must ask for, each once."""
        asked = [oid for row in self.rows for oid in (*row.operands, *row.plus)]
        return tuple(dict.fromkeys([*asked, *self.less, *(oid for oid, _ in self.conditions)]))


@dataclass(frozen=True, slots=True)
class DeviceValues:
    """What a profile reads from a device.

    values: fields of the measurement "device". totals: counters behind fields that are rates, by field.
    missing: by field why there is no value.
    """

    values: dict[str, Scalar] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def as_number(value: Value) -> int | float | None:
    """The number that an agent meant: integers of any type, and numbers written as text; None for anything else."""
    if isinstance(value, int):
        return value
    if isinstance(value, bytes):
        try:
            return float(value.decode("ascii").strip("\0 \r\n"))
        except ValueError:
            return None
    return None


def as_text(value: Value) -> str:
    """Text as people may read it (R77): UTF-8 with replacement, white space and unprintable characters taken out."""
    if isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
        return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    if isinstance(value, tuple):
        return format_oid(value)
    return str(value) if isinstance(value, int) else ""


# ---- bind


def bind(name: str, reading: Reading, values: Mapping[Oid, Value]) -> Bound | NoValue:
    """The rows that a reading counts, from what the device has at present."""
    if reading.scalar:
        operands = tuple(thing.oid for thing in reading.operands)
        rows: tuple[Row, ...] = (Row(operands, "", _plus(reading, (), values)),)
    else:
        rows = tuple(_rows(reading, values))
    gone = [thing for thing in reading.operands if not any(_present(values, row, reading, thing) for row in rows)]
    if gone or not rows:
        return NoValue(f"the device has no {_names(gone or reading.operands)}")
    conditions = tuple((entry.object.oid, entry) for entry in reading.where if entry.object and entry.object.scalar)
    less = tuple(oid for entry in reading.less for oid in _less_oids(entry, values))
    return Bound(name, reading, rows, less, conditions)


def _rows(reading: Reading, values: Mapping[Oid, Value]) -> Iterable[Row]:
    filters = [entry for entry in reading.where if entry.object is None or not entry.object.scalar]
    for index in _indexes(reading.operands[0], values):
        operands = tuple(thing.oid + index for thing in reading.operands)
        if all(_passes(entry, index, values) for entry in filters) and all(
            _is_there(values.get(oid)) for oid in operands
        ):
            member = as_text(values.get(reading.within.by.oid + index)) if reading.within else ""
            yield Row(operands, member, _plus(reading, index, values))


def _plus(reading: Reading, index: Oid, values: Mapping[Oid, Value]) -> tuple[Oid, ...]:
    return tuple(thing.oid + index for thing in reading.plus if _is_there(values.get(thing.oid + index)))


def _present(values: Mapping[Oid, Value], row: Row, reading: Reading, thing: Object) -> bool:
    return _is_there(values.get(row.operands[reading.operands.index(thing)]))


def _indexes(column: Object, values: Mapping[Oid, Value]) -> list[Oid]:
    length = len(column.oid)
    return sorted(oid[length:] for oid in values if oid[:length] == column.oid and len(oid) > length)


def _less_oids(entry: Less, values: Mapping[Oid, Value]) -> Iterable[Oid]:
    if entry.value.scalar:
        return (entry.value.oid,) if _is_there(values.get(entry.value.oid)) else ()
    rows = _indexes(entry.value, values)
    return [entry.value.oid + row for row in rows if all(_passes(one, row, values) for one in entry.where)]


def _passes(entry: RowFilter, index: Oid, values: Mapping[Oid, Value]) -> bool:
    if entry.index is not None:
        return entry.index.search(format_oid(index)) is not None
    assert entry.object is not None
    assert entry.matches is not None
    oid = entry.object.oid if entry.object.scalar else entry.object.oid + index
    return entry.matches.search(as_text(values.get(oid))) is not None


def _is_there(value: Value) -> bool:
    return value is not None and not isinstance(value, Missing)


def _names(things: Sequence[Object]) -> str:
    return ", ".join(dict.fromkeys(thing.name for thing in things))


# ---- evaluate


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 and part >= 0 else None


OPERATIONS: Final[Mapping[str, Callable[[Sequence[float], float], float | None]]] = {
    "percent": lambda given, _: given[0] / 100 if given[0] >= 0 else None,
    "free_percent": lambda given, _: 1 - given[0] / 100 if 0 <= given[0] <= 100 else None,  # noqa: PLR2004 - percent
    "used_of_total": lambda given, less: _ratio(given[0] - less, given[1]),
    "used_beside_free": lambda given, less: _ratio(given[0] - less, given[0] + given[1]),
    "free_of_total": lambda given, less: _ratio(given[1] - given[0] - less, given[1]),
    "number": lambda given, _: given[0],
    "per_second": lambda given, _: given[0],
}
"""From the operands of one row (in the order of Reading.operands) and what `less` takes off, to the row's value.
None where the numbers make no sense (a total of 0, something negative). "word" is the one operation on text."""

WORST: Final = ("failed", "warning", "ok", "absent")
"""Words of health, the worst first."""


def _same(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else "member"


ROWS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {"max": max, "min": min, "avg": fmean, "sum": sum}
"""How the rows of a column of numbers become one."""
WORD_ROWS: Final[Mapping[str, Callable[[Sequence[str]], str]]] = {
    "same": _same,
    "worst": lambda words: min(words, key=WORST.index),
}
"""The same for words; `same` says "member" where rows differ (active for one group, standby for another)."""


def evaluate(bound: Bound, values: Mapping[Oid, Value]) -> Scalar | NoValue:
    """The value of a bound reading; totals of a "per_second" reading come out as their counter."""
    for oid, entry in bound.conditions:
        assert entry.object is not None
        assert entry.matches is not None
        if entry.matches.search(as_text(values.get(oid))) is None:
            return NoValue(f"{entry.object.name} does not match {entry.matches.pattern}")
    if bound.reading.as_ == "word":
        return _word(bound, values)
    members: dict[str, list[float]] = {}
    less = sum(as_number(values.get(oid)) or 0 for oid in bound.less)
    for row in bound.rows:
        value = _row_value(bound.reading, row, values, less)
        if value is not None:
            members.setdefault(row.member, []).append(value)
    if not members:
        return NoValue(f"{_names(bound.reading.operands)} gave no usable value")
    return _tidy(bound.reading, _combine(bound.reading, members))


def _row_value(reading: Reading, row: Row, values: Mapping[Oid, Value], less: float) -> float | None:
    given = [as_number(values.get(oid)) for oid in row.operands]
    numbers = [number for number in given if number is not None and number not in reading.absent]
    if len(numbers) < len(given):
        return None
    value = OPERATIONS[reading.as_](numbers, less)
    return None if value is None else value + sum(as_number(values.get(oid)) or 0 for oid in row.plus)


def _combine(reading: Reading, members: Mapping[str, list[float]]) -> float:
    if reading.within is not None:
        combine = ROWS[reading.within.rows]
        numbers = [combine(rows) for rows in members.values()]
    else:
        numbers = [number for rows in members.values() for number in rows]
    return numbers[0] if reading.rows is None else ROWS[reading.rows](numbers)


def _tidy(reading: Reading, number: float) -> Scalar:
    """Counts are whole numbers, rates and ratios are floats."""
    return round(number) if reading.as_ in {"number", "per_second"} else float(number)


def _word(bound: Bound, values: Mapping[Oid, Value]) -> Scalar | NoValue:
    found = [word for word, _ in row_words(bound, values)]
    if not found:
        return NoValue(f"{_names(bound.reading.operands)} gave no word")
    return found[0] if bound.reading.rows is None else WORD_ROWS[bound.reading.rows](found)


def row_words(bound: Bound, values: Mapping[Oid, Value]) -> list[tuple[str, Oid]]:
    """Each row's word and OID.

    A text or number that the profile does not know is "unknown"; rows of health that are unknown are left out.
    """
    words = bound.reading.words or {}
    found = []
    for row in bound.rows:
        value = values.get(row.operands[0])
        if not _is_there(value):
            continue
        word = words.get(as_text(value).lower(), "unknown")
        if word != "unknown" or bound.field != "health":
            found.append((word, row.operands[0]))
    return found


# ---- a whole profile


def bind_profile(
    profile: Profile, values: Mapping[Oid, Value], *, unverified: bool = False
) -> tuple[list[Bound], dict[str, str]]:
    """Every field bound to the first of its readings that gives a value now, and why the others are not bound."""
    bound: list[Bound] = []
    missing: dict[str, str] = {}
    for name, readings in profile.fields.items():
        chosen, reason = bind_first(name, readings, values, unverified=unverified)
        if chosen is None:
            missing[name] = reason
        else:
            bound.append(chosen)
    for reading in profile.health:
        if reading.unverified and not unverified:
            continue
        candidate = bind("health", reading, values)
        if isinstance(candidate, Bound):
            bound.append(candidate)
    return bound, missing


def bind_first(
    name: str, readings: Sequence[Reading], values: Mapping[Oid, Value], *, unverified: bool = False
) -> tuple[Bound | None, str]:
    """The first reading that gives a value, or the reasons why none does."""
    reasons: list[str] = []
    for reading in readings:
        if reading.unverified and not unverified:
            reasons.append(f"{_names(reading.operands)} is unverified and not used")
            continue
        candidate = bind(name, reading, values)
        if isinstance(candidate, Bound):
            value = evaluate(candidate, values)
            if not isinstance(value, NoValue):
                return candidate, ""
            candidate = value
        reasons.append(candidate.reason)
    return None, "; ".join(reasons)


def evaluate_all(bound: Iterable[Bound], values: Mapping[Oid, Value]) -> DeviceValues:
    """All fields of one poll; the rest stands where one is missing (R20)."""
    result = DeviceValues()
    health: list[tuple[str, Bound]] = []
    for entry in bound:
        value = evaluate(entry, values)
        if isinstance(value, NoValue):
            if entry.field != "health":
                result.missing[entry.field] = value.reason
        elif entry.field == "health":
            health.append((str(value), entry))
        elif entry.reading.as_ == "per_second":
            result.totals[entry.field] = int(value)
        else:
            result.values[entry.field] = float(value) if entry.field == "session_rate" else value
    _put_health(result, health, values)
    return result


def _put_health(result: DeviceValues, health: Sequence[tuple[str, Bound]], values: Mapping[Oid, Value]) -> None:
    words = [word for word, _ in health if word != "absent"]
    if not words:
        return
    worst = min(words, key=WORST.index)
    result.values["health"] = worst
    if worst == "ok":
        return
    blamed = [
        _blame(entry, oid, values)
        for word, entry in health
        if word == worst
        for row_word, oid in row_words(entry, values)
        if row_word == worst
    ]
    result.values["health_text"] = "; ".join(blamed[:10])


def _blame(entry: Bound, oid: Oid, values: Mapping[Oid, Value]) -> str:
    """Name, index and value of a row, "ciscoEnvMonFanState 1004 is 3"."""
    thing = entry.reading.operands[0]
    index = "" if thing.scalar else f" {format_oid(oid[len(thing.oid) :])}"
    return f"{thing.name}{index} is {as_text(values.get(oid))}"


def read_values(profile: Profile, values: Mapping[Oid, Value], *, unverified: bool = False) -> DeviceValues:
    """All fields of a profile from what a device holds, such as a walk or a recording."""
    bound, missing = bind_profile(profile, values, unverified=unverified)
    result = evaluate_all(bound, values)
    result.missing.update(missing)
    return result
