"""Line protocol: samples as InfluxDB reads them (1.x, 2.x, 3.x and VictoriaMetrics). Pure.

    measurement,tag=value,tag=value field=1i,field=0.5,field="text" 1700000000000000000

The type of a field is the schema's, never the value's, or the first whole number would decide for ever. Whole numbers
are signed 64-bit there: from 2^63 on they are written as value - 2^64 (two's complement), so that no counter is bent
or lost and differences stay right modulo 2^64; to_unsigned is the way back (R34). Infinities and NaN have no form and
are left out. An empty tag or an empty set of fields has no form either.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from poller.schema import SCHEMA, Measurement
from poller.storage.encoding import Block

_SIGNED_END: Final = 2**63
_UNSIGNED_END: Final = 2**64

_TAG: Final = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ ", "\t": r"\ "})
_TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\"})
_TEMPLATES: Final[dict[type, str]] = {int: "%di", float: "%r", bool: "%s", str: '"%s"'}
_TYPES: Final[dict[type, set[type]]] = {int: {int}, float: {float, int}, bool: {bool}, str: {str}}


class LineEncoder:
    """Blocks as lines; keeps the escaped heads of series, because a series comes every minute.

    texts: False leaves text fields out (VictoriaMetrics keeps numbers only).
    """

    def __init__(self, *, texts: bool = True, max_heads: int = 200_000) -> None:
        self._texts = texts
        self._max_heads = max_heads
        self._heads: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], str]] = {}

    def lines(self, block: Block) -> list[str]:
        """A line a sample, in order; samples of which no field can be written have none."""
        kinds = field_kinds(SCHEMA.get(block.measurement))
        columns: list[Sequence[Any]] = []
        parts: list[str] = []
        for name, column in zip(block.field_names, block.columns, strict=True):
            kind = kinds.get(name) or type(column[0])
            if kind is str and not self._texts:
                continue
            ready = _ready(kind, column)
            if ready is None:
                return list(self._lines_one_by_one(block, kinds))
            columns.append(ready)
            parts.append(f"{_escaped(name).replace('%', '%%')}={_TEMPLATES[kind]}")
        if not parts:
            return []
        template = f"%s {','.join(parts)} %d"
        return list(map(template.__mod__, zip(self._heads_of(block), *columns, block.times_ns, strict=True)))

    def _heads_of(self, block: Block) -> list[str]:
        known = self._heads.setdefault((block.measurement, block.tag_names), {})
        if len(known) > self._max_heads:
            known.clear()
        tags = zip(*block.tag_columns, strict=True) if block.tag_columns else [()] * len(block.times_ns)
        heads: list[str] = []
        for values in tags:
            head = known.get(values)
            if head is None:
                head = known[values] = _head(block.measurement, block.tag_names, values)
            heads.append(head)
        return heads

    def _lines_one_by_one(self, block: Block, kinds: dict[str, type]) -> Iterator[str]:
        """The slow way, for tables with a value that cannot be written as its field's type: that value is left out."""
        for row, (head, time_ns) in enumerate(zip(self._heads_of(block), block.times_ns, strict=True)):
            fields: list[str] = []
            for name, column in zip(block.field_names, block.columns, strict=True):
                kind = kinds.get(name) or type(column[row])
                ready = _ready(kind, (column[row],))
                if ready is not None and (self._texts or kind is not str):
                    fields.append(f"{_escaped(name)}={_TEMPLATES[kind] % ready[0]}")
            if fields:
                yield f"{head} {','.join(fields)} {time_ns}"


def field_kinds(entry: Measurement | None) -> dict[str, type]:
    """The type of each field by the schema."""
    return {field.name: field.kind for field in entry.fields} if entry else {}


def to_unsigned(value: int) -> int:
    """The counter behind a stored whole number: 0..2^64-1."""
    return value + _UNSIGNED_END if value < 0 else value


def _ready(kind: type, column: Sequence[Any]) -> Sequence[Any] | None:
    """The column as the template wants it; None where one of its values is not of the type or has no form."""
    if not set(map(type, column)) <= _TYPES[kind]:
        return None
    if kind is int:
        if min(column) < 0 or max(column) >= _UNSIGNED_END:
            return None
        return column if max(column) < _SIGNED_END else [n if n < _SIGNED_END else n - _UNSIGNED_END for n in column]
    if kind is float:
        return column if math.isfinite(sum(column)) or all(map(math.isfinite, column)) else None
    if kind is str and any('"' in text or "\\" in text for text in column):
        return [text.translate(_TEXT) for text in column]
    return column


def _head(measurement: str, names: Sequence[str], values: Sequence[str]) -> str:
    tags = [f"{_escaped(name)}={_escaped(value)}" for name, value in zip(names, values, strict=True) if value]
    return ",".join([measurement.translate(_TAG), *tags])


def _escaped(text: str) -> str:
    """A tag or field name, or a tag's value. One that ends in a backslash would swallow the sign after it."""
    escaped = text.translate(_TAG)
    return f"{escaped}/" if escaped.endswith("\\") else escaped
