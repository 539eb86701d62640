"""The service level (R60a): how long something served within its hours, what is left out, and what is still allowed.

    availability = (service hours - outages that count) / service hours

An outage counts unless a reason leaves it out: planned (a maintenance window that is excluded), other_party (its
incident's cause lies outside the demarcation point; never for a circuit, whose level is that other party's promise),
disaster (people say so), unknown (monitoring was isolated: nobody can say). Where reasons overlap the first of these
holds. Overlapping outages of one subject count once. People decide about an incident by the remark "exclude": its first
word is other_party, disaster, or none (it counts after all); until they do, what is left out is not agreed.

A tenant is out while an incident of faults reaches it, from its begin to its end.
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
from poller.alerts.maintenance import Windows
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.estate import Calendar, Estate

Span: TypeAlias = tuple[int, int]
"""Half-open, UTC unix nanoseconds."""
PLANNED: Final = "planned"
OTHER_PARTY: Final = "other_party"
DISASTER: Final = "disaster"
UNKNOWN: Final = "unknown"
REASONS: Final = (PLANNED, OTHER_PARTY, DISASTER, UNKNOWN)
COUNTS: Final = "none"
"""What people say where nothing leaves an outage out."""
DECISIONS: Final = (OTHER_PARTY, DISASTER, COUNTS)


@dataclass(frozen=True, slots=True)
class Outage:
    """One stretch in which the subject was down; excluded: why all of it is left out, or ""; agreed: people said so."""

    span: Span
    incident: str
    excluded: str = ""
    agreed: bool = True


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """One subject in one period, as far as it has come; seconds within its service hours.

    availability: None where there were no service hours. allowance_seconds: what the target lets be lost in the whole
    period, left: what of it remains; negative once the target is missed, None without a target.
    """

    subject: str
    service_seconds: float
    down_seconds: float
    excluded_seconds: Mapping[str, float]
    availability: float | None
    target: float | None
    allowance_seconds: float | None
    allowance_left_seconds: float | None
    outages: tuple[Outage, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """What a level is judged by besides outages: the maintenance there was, and the moment to which it is judged."""

    windows: Windows
    until_ns: int


def decision(incident: Incident) -> tuple[str, bool]:
    """Why the incident is left out ("" where it counts), and whether people agreed to that."""
    for remark in reversed(incident.remarks):
        word = remark.text.split(maxsplit=1)[0] if remark.kind == "exclude" and remark.text else ""
        if word in DECISIONS:
            return "" if word == COUNTS else word, True
    if incident.root[1] == str(ISOLATION):
        return UNKNOWN, True
    return (OTHER_PARTY, False) if incident.scope == "outside" else ("", True)


def outages_of(incidents: Iterable[Incident], estate: Estate, until_ns: int) -> dict[str, list[Outage]]:
    """Outages by subject ("service/dns-1"), from the alerts that say "down"; what lasts is cut at until_ns."""
    found: dict[str, list[Outage]] = {}
    for incident in incidents:
        reason, agreed = decision(incident)
        for member in incident.members:
            rule = estate.rules.get(member.rule)
            if rule is None or not says_down(rule):
                continue
            span = (member.since_ns, until_ns if member.resolved_ns is None else member.resolved_ns)
            own = member.subject.startswith(("circuit/", "line_group/")) and reason == OTHER_PARTY
            outage = Outage(span, incident.id) if own else Outage(span, incident.id, reason, agreed)
            found.setdefault(member.subject, []).append(outage)
        if incident.fault and incident.merged_into is None:
            span = (incident.begun_ns, until_ns if incident.ended_ns is None else incident.ended_ns)
            for tenant in incident.affected.tenants:
                found.setdefault(f"tenant/{tenant}", []).append(Outage(span, incident.id, reason, agreed))
    return found


def planned_spans(subject: Subject, windows: Windows, zone: ZoneInfo, period: Span) -> list[Span]:
    """When maintenance that is excluded from the service level covered the subject."""
    since, until = (datetime.fromtimestamp(each / SECOND, zone) for each in period)
    return [(_ns(start), _ns(end)) for start, end in windows.excluded(subject, since, until)]


def service_level(
    subject: Subject, outages: Iterable[Outage], estate: Estate, period: Span, around: Around | None = None
) -> ServiceLevel:
    """The subject's level over the period, within the hours of its calendar (around the clock where it has none)."""
    around = around or Around(Windows(estate), period[1])
    zone = ZoneInfo(estate.organisation.timezone)
    whole = list(service_hours(_calendar(subject, estate), period, zone))
    hours = intersect(whole, [(period[0], min(period[1], around.until_ns))])
    outages = tuple(sorted((each for each in outages if intersect([each.span], [period])), key=lambda each: each.span))
    left_out = {PLANNED: planned_spans(subject, around.windows, zone, period)}
    for reason in REASONS[1:]:
        left_out[reason] = [outage.span for outage in outages if outage.excluded == reason]
    rest = intersect(merge(outage.span for outage in outages), hours)
    excluded = {}
    for reason in REASONS:
        spans = merge(left_out[reason])
        excluded[reason] = _seconds(intersect(rest, spans))
        rest = subtract(rest, spans)
    service, down = _seconds(hours), _seconds(rest)
    target = target_of(subject, estate)
    allowance = None if target is None else _seconds(whole) * (1 - target)
    return ServiceLevel(
        subject=str(subject),
        service_seconds=service,
        down_seconds=down,
        excluded_seconds=excluded,
        availability=(service - down) / service if service else None,
        target=target,
        allowance_seconds=allowance,
        allowance_left_seconds=None if allowance is None else allowance - down,
        outages=outages,
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


def target_of(subject: Subject, estate: Estate) -> float | None:
    """The availability that was promised for the subject, 0..1; None where none was."""
    if subject.kind == "service" and subject.id in estate.services:
        return estate.services[subject.id].availability
    if subject.kind == "circuit" and subject.id in estate.circuits:
        return estate.circuits[subject.id].availability
    return None
