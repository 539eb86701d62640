"""A report as plain data: what PDF, XLSX and CSV are made of, and what tests read. It knows no renderer.

Values stay what they are (bits per second, octets, ratios, unix nanoseconds); the form of a column says how they are
written for people, so that a spreadsheet gets real numbers and a page gets units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Form(StrEnum):
    """How a value is written."""

    TEXT = "text"
    COUNT = "count"
    """A whole number with separators; octets to the last one."""
    RATE = "rate"
    """Bits per second as Mbps or Gbps."""
    VOLUME = "volume"
    """Octets as GB or TB."""
    RATIO = "ratio"
    """0..1 as percent with one digit."""
    LEVEL = "level"
    """0..1 as percent with three digits (availability)."""
    CHANGE = "change"
    """A growth, signed percent."""
    SECONDS = "seconds"
    """A response time, in milliseconds or seconds."""
    DURATION = "duration"
    """Seconds as days, hours, minutes."""
    MOMENT = "moment"
    """Unix nanoseconds as local date and time."""
    DAY = "day"
    """A date."""


class Mark(StrEnum):
    """What a cell wants to tell beside its value; always said by a sign too, never by colour alone."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value that is not plain: provisional with its coverage (R63), or marked."""

    value: object
    coverage_ratio: float | None = None
    """Set where the figure is provisional: the part that was observed."""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; wide columns get more of the page."""

    title: str
    form: Form = Form.TEXT
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; only what is long begins a new page."""

    text: str
    level: int = 1
    new_page: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list; each with its mark or none."""

    items: tuple[tuple[str, Mark | None], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """A few key figures, each with its name and what it is held against."""

    items: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values, each a plain value or a Cell; `name` is its sheet and file name."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; values in the chart's unit, None where nothing is known."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Values over time, with horizontal limits. at: unix nanoseconds; values and limits in bits per second.

    alt: what it shows, in words, for those who cannot see it.
    """

    name: str
    title: str
    alt: str
    at: tuple[int, ...]
    lines: tuple[Line, ...]
    limits: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Mean bits per second by weekday (7 rows, Monday first) and hour (24)."""

    name: str
    title: str
    alt: str
    values: tuple[tuple[float | None, ...], ...]
    limit: float | None = None


Block: TypeAlias = Heading | Paragraph | Points | Facts | Table | Chart | HeatMap


@dataclass(frozen=True, slots=True)
class Document:
    """One report. key names its files; until_ns is the date it bears, so that the same data give the same bytes.

    raw: five-minute rows for a sheet of their own where they were asked for.
    """

    key: str
    title: str
    period: str
    addressee: str
    organisation: str
    lang: str
    timezone: str
    until_ns: int
    blocks: tuple[Block, ...]
    raw: tuple[Table, ...] = ()
    logo: str | None = None

    def tables(self) -> Sequence[Table]:
        """Its tables, in order."""
        return [block for block in self.blocks if isinstance(block, Table)]


def plain(value: object) -> object:
    """The value of a cell, whether it is wrapped or not."""
    return value.value if isinstance(value, Cell) else value
