"""What travels: one Sample is one reading of one measurement at one aligned moment.

A Sample goes one way: into the journal, and from there by cursor to every store. The names of measurements, tags and
fields are listed once, in poller.schema.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

FieldValue: TypeAlias = int | float | bool | str


class Quality(StrEnum):
    """How much a reading is worth (R35); alerts, wall, reports and API all use this one word."""

    OBSERVED = "observed"
    UNKNOWN = "unknown"
    """We could not ask, or what came back cannot be turned into this value (first reading, discontinuity, reset)."""
    FAILED = "failed"
    """We asked and got no usable answer; the reason travels beside it."""
    STALE = "stale"
    """The last answer is older than two intervals."""
    NEVER_SEEN = "never_seen"
    SUPPRESSED = "suppressed"
    """Not asked on purpose: maintenance, or monitoring itself is isolated."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading.

    tags: name and value pairs in the order of poller.schema, bounded sets only.
    fields: name to value; a field that is not known is absent, never a made-up zero.
    time_ns: UTC, unix nanoseconds, aligned to the schedule or the slot, so that writing again writes the same point.
    """

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: Mapping[str, FieldValue]
    time_ns: int
