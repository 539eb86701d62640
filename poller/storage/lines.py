"""Line protocol: samples as InfluxDB reads them (1.x, 2.x, 3.x and VictoriaMetrics). Pure.

    measurement,tag=value,tag=value field=1i,field=0.5,field="text" 1700000000000000000

The type of a field is the schema's, never the value's, or the first whole number would decide for ever. Whole numbers
are signed 64-bit there: from 2^63 on they are written as value - 2^64 (two's complement), so that no counter is bent
or lost and differences stay right modulo 2^64; to_unsigned is the way back (R34). Infinities and NaN have no form and
are left out. An empty tag or an empty set of fields has no form either.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

import msgspec

from poller.schema import SCHEMA, Measurement
from poller.storage.encoding import Block

_SIGNED_END: Final = 2**63
_UNSIGNED_END: Final = 2**64

_TAG: Final = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ ", "\t": r"\ "})
_TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\"})
_WRONG: Final = {int: '"tfn.e-[{', float: '"tfn[{'}
"""Signs in the JSON of a column that is not all such numbers: text, true, false, null (also NaN), fractions, minus."""
_ROWS: Final = 256
"""Rows worked on at once: their texts stay in the processor's cache."""

_json: Final = msgspec.json.Encoder()


class LineEncoder:
    """Blocks as lines; keeps the escaped heads of series, because a series comes every minute.

    Column by column: a column of numbers becomes text in one call (msgspec writes the shortest digits that read back
    equal, ten times as fast as repr), and that text tells whether all of them were numbers of the right kind.
    texts: False leaves text fields out (VictoriaMetrics keeps numbers only).
    """

    def __init__(self, *, texts: bool = True, max_heads: int = 200_000) -> None:
        self._texts = texts
        self._max_heads = max_heads
        self._heads: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], str]] = {}

    def lines(self, block: Block) -> list[str]:
        """A line a sample, in order; samples of which no field can be written have none."""
        heads = self._heads_of(block)
        lines: list[str] = []
        for start in range(0, len(heads), _ROWS):
            rows = slice(start, start + _ROWS)
            columns = [column[rows] for column in block.columns]
            ready = self._joined(block, heads[rows], columns, block.times_ns[rows])
            lines.extend(self._one_by_one(block, rows, heads) if ready is None else ready)
        return lines

    def _joined(
        self, block: Block, heads: Sequence[str], columns: Sequence[Sequence[Any]], times_ns: Sequence[int]
    ) -> list[str] | None:
        """The rows' lines; None where a value cannot be written as its field's type."""
        kinds = field_kinds(SCHEMA.get(block.measurement))
        parts: list[Iterable[str]] = [heads]
        gap = " "  # what stands in every row alike since the last column that differs
        for name, column in zip(block.field_names, columns, strict=True):
            kind = kinds.get(name) or type(column[0])
            if kind is str and not self._texts:
                continue
            alike = _all_alike(column)
            written = _written(kind, column[:1] if alike else column)
            if written is None:
                return None
            gap += f"{_escaped(name)}="
            if alike:
                gap += written[0]
            else:
                parts += (itertools.repeat(gap), written)
                gap = ""
            gap += "i," if kind is int else ","
        if gap == " ":
            return []
        parts += (itertools.repeat(f"{gap[:-1]} "), _numbers(times_ns).split(","))
        return list(map("".join, zip(*parts, strict=False)))  # the gaps repeat for ever

    def _heads_of(self, block: Block) -> list[str]:
        known = self._heads.setdefault((block.measurement, block.tag_names), {})
        if len(known) > self._max_heads:
            known.clear()
        tags = list(zip(*block.tag_columns, strict=True)) if block.tag_columns else [()] * len(block.times_ns)
        heads = list(map(known.get, tags))
        for row, head in enumerate(heads):
            if head is None:
                heads[row] = known[tags[row]] = _head(block.measurement, block.tag_names, tags[row])
        return cast("list[str]", heads)

    def _one_by_one(self, block: Block, rows: slice, heads: Sequence[str]) -> Iterator[str]:
        """The slow way: of each row, the fields that can be written."""
        kinds = field_kinds(SCHEMA.get(block.measurement))
        for row in range(*rows.indices(len(heads))):
            fields = {
                name: (column[row],)
                for name, column in zip(block.field_names, block.columns, strict=True)
                if _written(kinds.get(name) or type(column[row]), (column[row],)) is not None
            }
            one = Block(block.measurement, (), tuple(fields), (), (), ())
            yield from (
                self._joined(one, heads[row : row + 1], tuple(fields.values()), block.times_ns[row : row + 1]) or ()
            )


def field_kinds(entry: Measurement | None) -> dict[str, type]:
    """The type of each field by the schema."""
    return {field.name: field.kind for field in entry.fields} if entry else {}


def to_unsigned(value: int) -> int:
    """The counter behind a stored whole number: 0..2^64-1."""
    return value + _UNSIGNED_END if value < 0 else value


def _all_alike(column: Sequence[Any]) -> bool:
    """True where a column has one value, as those of errors, discards and states mostly do."""
    first = column[0]
    return first == column[-1] and column.count(first) == len(column) and len(set(map(type, column))) == 1


def _written(kind: type, column: Sequence[Any]) -> Sequence[str] | None:
    """Every value as its type is written; None where one of them is not of the type or has no form."""
    if kind in _WRONG:
        text = _numbers(column)
        if any(sign in text for sign in _WRONG[kind]):
            return None
        if kind is int and max(column) >= _SIGNED_END:
            text = _numbers([n if n < _SIGNED_END else n - _UNSIGNED_END for n in column])
        return text.split(",")
    values = set(column)
    if not {kind} >= set(map(type, column)):
        return None
    forms = {value: f'"{value.translate(_TEXT)}"' if kind is str else str(value) for value in values}
    return list(map(forms.__getitem__, column))


def _numbers(column: Sequence[Any]) -> str:
    """The column as JSON without its brackets; what JSON cannot say comes out as a sign of _WRONG."""
    try:
        return _json.encode(column).decode()[1:-1]
    except (TypeError, OverflowError, ValueError):
        return "null"


def _head(measurement: str, names: Sequence[str], values: Sequence[str]) -> str:
    tags = [f"{_escaped(name)}={_escaped(value)}" for name, value in zip(names, values, strict=True) if value]
    return ",".join([measurement.translate(_TAG), *tags])


def _escaped(text: str) -> str:
    """A tag or field name, or a tag's value. One that ends in a backslash would swallow the sign after it."""
    escaped = text.translate(_TAG)
    return f"{escaped}/" if escaped.endswith("\\") else escaped
