"""The service level of everything over a month, a year or a fiscal year, and whether notices were in time (R60a).

    parse_period("2026-11") -> Period
    service_report(inquiry, estate, period, now) -> ServiceReport   what `hinomi sla`, the API and the reports read

The allowance is that of the whole period; what has come of it so far is judged to the moment.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from poller.alerts.incident import Incident
from poller.alerts.maintenance import Windows
from poller.alerts.records import AuditEntry
from poller.alerts.servicelevel import Around, ServiceLevel, outages_of, service_level
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.estate import Estate, Severity

FIRST_NOTICE: Final = 3600 * SECOND
SECOND_NOTICE: Final = 7200 * SECOND
_PERIOD: Final = re.compile(r"(?P<fiscal>FY)?(?P<year>20\d\d)(?:-(?P<month>0[1-9]|1[0-2]))?")
_APRIL: Final = 4
_DECEMBER: Final = 12


class BadPeriod(ValueError):  # noqa: N818 - it says what the text is
    """The text names no period; its message says how to write one."""


@dataclass(frozen=True, slots=True)
class Period:
    """A span of local time with its name: "2026-11", "2026" or "FY2026" (April to March); unix nanoseconds."""

    name: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class NoticeTimes:
    """One serious fault: seconds from its confirmation to the first and the second notice, None where there was none.

    second_due: the time of the second notice has come, and the fault lasted that long.
    """

    incident: str
    title_ja: str
    title_en: str
    opened_ns: int
    first_seconds: float | None
    second_seconds: float | None
    second_due: bool

    @property
    def first_in_time(self) -> bool:
        """Within an hour (need N31)."""
        return self.first_seconds is not None and self.first_seconds <= FIRST_NOTICE / SECOND

    @property
    def second_in_time(self) -> bool:
        """Within two hours, or it was over before."""
        if self.second_seconds is None:
            return not self.second_due
        return self.second_seconds <= SECOND_NOTICE / SECOND


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """Everything of one period. until_ns: the moment to which it is judged."""

    period: Period
    until_ns: int
    levels: tuple[ServiceLevel, ...]
    notices: tuple[NoticeTimes, ...]


class Book(Protocol):
    """Where incidents and plans are read: poller.alerts.inquiry.Inquiry."""

    def incidents_between(self, start_ns: int, end_ns: int) -> list[Incident]:
        """Incidents that touch the span."""

    def plans(self) -> list[AuditEntry]:
        """What people planned."""


def parse_period(text: str | None, estate: Estate, now_ns: int) -> Period:
    """The period that a text names; None is this month. BadPeriod says how to write one."""
    zone = ZoneInfo(estate.organisation.timezone)
    now = datetime.fromtimestamp(now_ns // SECOND, zone)
    name = text or f"{now:%Y-%m}"
    match = _PERIOD.fullmatch(name)
    if match is None or (match["fiscal"] and match["month"]):
        raise BadPeriod(f'{name!r} is no period: write "2026-11", "2026" or "FY2026" (April to March)')
    year, month = int(match["year"]), int(match["month"] or 1)
    if match["fiscal"]:
        return _period(name, (year, _APRIL), (year + 1, _APRIL), zone)
    if match["month"] is None:
        return _period(name, (year, 1), (year + 1, 1), zone)
    following = (year + 1, 1) if month == _DECEMBER else (year, month + 1)
    return _period(name, (year, month), following, zone)


def _period(name: str, start: tuple[int, int], end: tuple[int, int], zone: ZoneInfo) -> Period:
    starts, ends = (int(datetime(*each, 1, tzinfo=zone).timestamp()) * SECOND for each in (start, end))
    return Period(name, starts, ends)


def fiscal_year(estate: Estate, now_ns: int) -> Period:
    """The fiscal year (年度) of a moment."""
    now = datetime.fromtimestamp(now_ns // SECOND, ZoneInfo(estate.organisation.timezone))
    return parse_period(f"FY{now.year - (now.month < _APRIL)}", estate, now_ns)


def service_report(book: Book, estate: Estate, period: Period, now_ns: int) -> ServiceReport:
    """The level of every service, circuit, device and tenant, and the times of the notices of serious faults."""
    until_ns = min(now_ns, period.end_ns)
    incidents = book.incidents_between(period.start_ns, period.end_ns)
    around = Around(Windows(estate, book.plans()), until_ns)
    return ServiceReport(
        period, until_ns, tuple(levels_of(incidents, estate, period, around)), tuple(_notices(incidents, until_ns))
    )


def levels_of(
    incidents: Iterable[Incident],
    estate: Estate,
    period: Period,
    around: Around,
    subjects: Iterable[Subject] | None = None,
) -> list[ServiceLevel]:
    """The levels of these subjects, of all that the estate knows where none are named."""
    if subjects is None:
        kinds = {
            "service": estate.services,
            "circuit": estate.circuits,
            "device": estate.devices,
            "tenant": estate.tenants,
        }
        subjects = [Subject(kind, id_) for kind, entries in kinds.items() for id_ in entries]
    outages = outages_of(incidents, estate, around.until_ns)
    span = (period.start_ns, period.end_ns)
    return [service_level(subject, outages.get(str(subject), ()), estate, span, around) for subject in subjects]


def _notices(incidents: Iterable[Incident], until_ns: int) -> Iterable[NoticeTimes]:
    for incident in incidents:
        if not incident.fault or incident.worst is not Severity.SERIOUS or incident.merged_into is not None:
            continue
        opened = incident.serious_from_ns
        second = next((each.at_ns for each in incident.remarks if each.kind == "second_notice"), None)
        lasted_ns = (incident.ended_ns or until_ns) - opened
        yield NoticeTimes(
            incident.id,
            incident.title_ja,
            incident.title_en,
            opened,
            None if incident.told.first_ns is None else (incident.told.first_ns - opened) / SECOND,
            None if second is None else (second - opened) / SECOND,
            lasted_ns >= SECOND_NOTICE,
        )
