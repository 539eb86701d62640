"""How a profile reads one value: objects, rows, operations. The models of a `Reading`, checked when a file is read."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from poller.settings import Model
from probes.snmp.errors import BadRequest
from probes.snmp.oid import Oid, format_oid, parse_oid


def _oid(value: object) -> Oid:
    if isinstance(value, tuple):
        return value
    try:
        return parse_oid(str(value))
    except BadRequest as error:
        raise ValueError(str(error)) from None


def _pattern(value: object) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    try:
        return re.compile(str(value))
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None


OidText: TypeAlias = Annotated[Oid, BeforeValidator(_oid)]
Pattern: TypeAlias = Annotated[re.Pattern[str], BeforeValidator(_pattern)]


class Object(Model):
    """An object of a MIB: its name, and its OID, which ends in .0 for one value and otherwise names a column."""

    name: str
    oid: OidText

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if isinstance(value, str):
            name, space, oid = value.partition(" ")
            if not space:
                raise ValueError(f"{value!r}: write the object's name, a space and its OID")
            return {"name": name, "oid": oid}
        return value

    @property
    def scalar(self) -> bool:
        """One value, not a column: no column's last arc is 0 (RFC 2578, 7.10)."""
        return self.oid[-1] == 0

    def __str__(self) -> str:
        return f"{self.name} {format_oid(self.oid)}"


class RowFilter(Model):
    """Rows for which another column (`object`) or the row's own index (`index`, dotted) matches the expression.

    With a scalar object it is a condition of the whole reading, looked at in every poll.
    """

    object: Object | None = None
    matches: Pattern | None = None
    index: Pattern | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.object is None) == (self.index is None) or (self.object is None) != (self.matches is None):
            raise ValueError("give either index, or object together with matches")
        return self


class Less(Model):
    """What is taken off the amount used: the sum of a column's rows, or a scalar; absent counts as nothing."""

    value: Object
    where: tuple[RowFilter, ...] = ()


class Within(Model):
    """Rows are first put together by the member that a column names: SPUs of a node, cores of a unit."""

    by: Object
    rows: Literal["max", "avg", "sum"]


As: TypeAlias = Literal[
    "percent", "free_percent", "used_of_total", "used_beside_free", "free_of_total", "number", "per_second", "word"
]
Rows: TypeAlias = Literal["max", "min", "avg", "sum", "same", "worst"]

NEEDS: Final[Mapping[As, frozenset[str]]] = {
    "percent": frozenset({"value"}),
    "free_percent": frozenset({"value"}),
    "used_of_total": frozenset({"used", "total"}),
    "used_beside_free": frozenset({"used", "free"}),
    "free_of_total": frozenset({"free", "total"}),
    "number": frozenset({"value"}),
    "per_second": frozenset({"value"}),
    "word": frozenset({"value", "words"}),
}
"""Which objects an operation works on."""
_OPERANDS: Final = ("value", "used", "free", "total", "words")


class Reading(Model):
    """One way to read one field. Ratios come out as 0..1."""

    as_: As = Field(alias="as")
    value: Object | None = None
    used: Object | None = None
    free: Object | None = None
    total: Object | None = None
    words: Mapping[str, str] | None = None
    plus: tuple[Object, ...] = ()
    """Added to each row's value, of the same index; absent counts as nothing."""
    less: tuple[Less, ...] = ()
    where: tuple[RowFilter, ...] = ()
    within: Within | None = None
    rows: Rows | None = None
    absent: tuple[int, ...] = ()
    """Numbers that say "not known" or "no limit"."""
    unverified: bool = False
    """Known from one third-party source only; used only where the operator asks for it."""
    note: str = ""

    @model_validator(mode="before")
    @classmethod
    def _words_as_text(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if isinstance(value, dict) and isinstance(value.get("words"), dict):
            words = {str(key).strip().lower(): word for key, word in value["words"].items()}
            return {**value, "words": words}
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {name for name in _OPERANDS if getattr(self, name) is not None}
        if given != NEEDS[self.as_]:
            raise ValueError(
                f"'{self.as_}' needs {', '.join(sorted(NEEDS[self.as_]))}; given: {', '.join(given) or '-'}"
            )
        scalars = {thing.scalar for thing in (*self.operands, *self.plus)}
        if len(scalars) > 1:
            raise ValueError("a reading works on columns or on single values, not on both")
        if scalars == {False} and self.rows is None:
            raise ValueError("a column needs rows: how its rows become one value")
        return self

    @property
    def operands(self) -> tuple[Object, ...]:
        """The objects that the value is made of."""
        return tuple(thing for thing in (self.value, self.used, self.free, self.total) if thing is not None)

    @property
    def scalar(self) -> bool:
        """Made of single values, not of columns."""
        return self.operands[0].scalar

    def objects(self) -> tuple[Object, ...]:
        """Every object that must be asked for to bind and read this."""
        filters = [*self.where, *(entry for less in self.less for entry in less.where)]
        named = [entry.object for entry in filters if entry.object is not None]
        by = [self.within.by] if self.within is not None else []
        return (*self.operands, *self.plus, *(less.value for less in self.less), *named, *by)
