"""What the picture of an incident shows: the series that say most about its root, read from the store.

line, circuit, tenant   traffic, in and out
device                  round trip
service                 response time
any rule on a number    that number, with the rule's level
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.incident import Incident
from poller.alerts.picture import SECONDS, Curve, Drawing, draw
from poller.alerts.rules import split_on
from poller.alerts.subjects import IDENTITY, Subject
from poller.alerts.words import value_text
from poller.estate import Estate
from poller.schema import SCHEMA
from poller.storage.history import History

_log: Final = logging.getLogger(__name__)
_NS: Final = 10**9
_TRAFFIC: Final = ("in_bits_per_second", "out_bits_per_second")
_TELLING: Final[Mapping[str, tuple[str, ...]]] = {
    "circuit": _TRAFFIC,
    "line_group": _TRAFFIC,
    "interface": _TRAFFIC,
    "tenant": _TRAFFIC,
    "device": ("round_trip_delay_seconds",),
    "service": ("response_seconds",),
}
FEWEST: Final = 2
"""Points below which there is nothing to see."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, with what stands in it: the subject, and the fields of its curves in their order."""

    png: bytes
    measurement: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which series of which subject, and the level beside them."""

    subject: Subject
    fields: tuple[str, ...]
    level: float | None = None


def shown_for(incident: Incident, estate: Estate) -> Shown | None:
    """What to show of an incident; None where no series says anything."""
    root = incident.root_member
    subject = Subject.parse(root.subject)
    rule = estate.rules.get(root.rule)
    if subject.kind == "forecast":
        return Shown(Subject("line_group", subject.id), (f"{subject.part}_bits_per_second",))
    if rule is not None and subject.kind != "service_level":
        measurement, field = split_on(rule)
        if SCHEMA[measurement].field(field).kind is float and measurement == subject.kind:
            return Shown(subject, (field,), rule.above if rule.above is not None else rule.below)
    fields = _TELLING.get(subject.kind)
    return None if fields is None else Shown(subject, fields)


class Pictures:
    """Pictures from a history; one that cannot be made is left out, because a mail must leave all the same."""

    def __init__(self, estate: Estate, history: History) -> None:
        self._estate = estate
        self._history = history
        self._last: tuple[tuple[str, int], Picture | None] | None = None

    def of(self, incident: Incident, now_ns: int) -> Picture | None:
        """The picture as of a moment, made once for all readers of one notice; reads the disk: not for the loop."""
        key = (incident.id, now_ns)
        if self._last is None or self._last[0] != key:
            self._last = (key, self._make(incident, now_ns))
        return self._last[1]

    def _make(self, incident: Incident, now_ns: int) -> Picture | None:
        shown = shown_for(incident, self._estate)
        if shown is None:
            return None
        try:
            curves = tuple(self._curve(shown.subject, field, now_ns) for field in shown.fields)
        except Exception:  # noqa: BLE001 - told with its trace; the mail leaves without a picture
            _log.exception("no picture incident=%s", incident.id)
            return None
        if sum(len(curve.points) for curve in curves) < FEWEST:
            return None
        kind, field = shown.subject.kind, shown.fields[0]
        drawing = Drawing(
            curves,
            now_ns,
            incident.begun_ns,
            ZoneInfo(self._estate.organisation.timezone),
            lambda value: value_text(kind, field, value, "en"),
            shown.level,
        )
        return Picture(draw(drawing), kind, shown.fields)

    def _curve(self, subject: Subject, field: str, now_ns: int) -> Curve:
        names = IDENTITY[subject.kind]
        where = dict(zip(names, (subject.id, subject.part), strict=False))
        frame = self._history.read(
            subject.kind,
            [field],
            {name: value for name, value in where.items() if value},
            start_ns=now_ns - SECONDS * _NS,
            end_ns=now_ns + 1,
        )
        known = frame.drop_nulls(field).sort("time_ns")
        return Curve(field, tuple(zip(known["time_ns"].to_list(), known[field].to_list(), strict=True)))
