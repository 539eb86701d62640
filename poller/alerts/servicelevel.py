"""The service level (R60a): how long something served within its hours, what is left out, and what is still allowed.

    availability = (service hours - outages that count) / service hours

An outage counts unless a reason leaves it out: planned (a maintenance window that is excluded), other_party (its
incident's cause lies outside the demarcation point; people have to agree to that; never for a circuit, whose level is
that other party's promise), unknown (monitoring was isolated: nobody can say). Where reasons overlap the first of these
holds. Overlapping outages of one subject count once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from poller.alerts.calendar import is_open_day, opening_hours
from poller.alerts.dependencies import says_down
from poller.alerts.incident import Incident
from poller.alerts.isolation import ISOLATION
from poller.alerts.maintenance import occurrences
from poller.alerts.rules import EstateFacts, matches
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.estate import Calendar, Estate

Span: TypeAlias = tuple[int, int]
"""Half-open, UTC unix nanoseconds."""
PLANNED: Final = "planned"
OTHER_PARTY: Final = "other_party"
UNKNOWN: Final = "unknown"
REASONS: Final = (PLANNED, OTHER_PARTY, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Outage:
    """One stretch in which the subject was down; excluded: why all of it is left out, or ""."""

    span: Span
    incident: str
    excluded: str = ""


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """One subject in one period; seconds within its service hours.

    availability: None where there were no service hours. allowance_left_seconds: what may still be lost in the period
    without missing the target; negative once it is missed, None without a target.
    """

    subject: str
    service_seconds: float
    down_seconds: float
    excluded_seconds: Mapping[str, float]
    availability: float | None
    target: float | None
    allowance_left_seconds: float | None
    outages: tuple[Outage, ...]


def outages_of(incidents: Iterable[Incident], estate: Estate, until_ns: int) -> dict[str, list[Outage]]:
    """Outages by subject ("service/dns-1"), from the alerts that say "down"; what lasts is cut at until_ns."""
    found: dict[str, list[Outage]] = {}
    for incident in incidents:
        isolated = incident.root[1] == str(ISOLATION)
        outside = OTHER_PARTY if incident.scope == "outside" else ""
        for member in incident.members:
            rule = estate.rules.get(member.rule)
            if rule is None or not says_down(rule):
                continue
            span = (member.since_ns, until_ns if member.resolved_ns is None else member.resolved_ns)
            reason = "" if member.subject.startswith(("circuit/", "line_group/")) else outside
            found.setdefault(member.subject, []).append(Outage(span, incident.id, UNKNOWN if isolated else reason))
    return found


def planned_spans(subject: Subject, estate: Estate, period: Span) -> list[Span]:
    """When maintenance that is excluded from the service level covered the subject."""
    zone = ZoneInfo(estate.organisation.timezone)
    facts = EstateFacts(estate).of(subject)
    since, until = (datetime.fromtimestamp(each / SECOND, zone) for each in period)
    return [
        (_ns(start), _ns(end))
        for window in estate.maintenance.values()
        if window.exclude_from_service_level and matches(window.where, facts)
        for start, end in occurrences(window, since, until, zone)
    ]


def service_level(subject: Subject, outages: Iterable[Outage], estate: Estate, period: Span) -> ServiceLevel:
    """The subject's level over the period, within the hours of its calendar (around the clock where it has none)."""
    hours = list(service_hours(_calendar(subject, estate), period, ZoneInfo(estate.organisation.timezone)))
    outages = tuple(sorted(outages, key=lambda outage: outage.span))
    left_out = {PLANNED: planned_spans(subject, estate, period)}
    for reason in (OTHER_PARTY, UNKNOWN):
        left_out[reason] = [outage.span for outage in outages if outage.excluded == reason]
    rest = intersect(merge(outage.span for outage in outages), hours)
    excluded = {}
    for reason in REASONS:
        spans = merge(left_out[reason])
        excluded[reason] = _seconds(intersect(rest, spans))
        rest = subtract(rest, spans)
    service, down = _seconds(hours), _seconds(rest)
    target = _target(subject, estate)
    return ServiceLevel(
        str(subject),
        service,
        down,
        excluded,
        (service - down) / service if service else None,
        target,
        None if target is None else service * (1 - target) - down,
        outages,
    )


def service_hours(calendar: Calendar | None, period: Span, zone: ZoneInfo) -> Iterator[Span]:
    """The open hours within the period."""
    if calendar is None:
        yield period
        return
    day = datetime.fromtimestamp(period[0] / SECOND, zone).date()
    while _ns(midnight := datetime(day.year, day.month, day.day, tzinfo=zone)) < period[1]:
        if is_open_day(calendar, day):
            opens, closes = opening_hours(calendar, day)
            yield from intersect([(_ns(midnight + opens), _ns(midnight + closes))], [period])
        day += timedelta(days=1)


def merge(spans: Iterable[Span]) -> list[Span]:
    """The spans without overlap, in order; empty ones are dropped."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def intersect(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """What lies in both."""
    others = list(other)
    return merge((max(a, c), min(b, d)) for a, b in one for c, d in others)


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """What lies in spans and in no hole."""
    left = list(spans)
    for start, end in holes:
        left = [piece for a, b in left for piece in ((a, min(b, start)), (max(a, end), b)) if piece[0] < piece[1]]
    return left


def _seconds(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans) / SECOND


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * SECOND


def _calendar(subject: Subject, estate: Estate) -> Calendar | None:
    service = estate.services.get(subject.id) if subject.kind == "service" else None
    return None if service is None or service.calendar is None else estate.calendars.get(service.calendar)


def _target(subject: Subject, estate: Estate) -> float | None:
    if subject.kind == "service" and subject.id in estate.services:
        return estate.services[subject.id].availability
    if subject.kind == "circuit" and subject.id in estate.circuits:
        return estate.circuits[subject.id].availability
    return None
