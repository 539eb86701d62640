"""What happened in an invented past: outages, surges, gaps of the monitoring itself, drawn from a seed. Pure.

Times are slots of five minutes, counted in UTC since 1970 (unix seconds // 300), half-open.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from poller.estate import Estate, Rule, Severity
from poller.lab.network import Conditions, Plan, Stream
from poller.lab.traffic import is_workday

SLOT_SECONDS: Final = 300
SLOT_NS: Final = SLOT_SECONDS * 10**9
SLOTS_A_DAY: Final = 288
_JST_SLOTS: Final = 9 * 12
_HOUR: Final = 12
_OUTAGE_DAYS: Final = 45.0
"""A pair of circuits loses its first one about this often."""
_GAP_DAYS: Final = 40.0
_DEVICE_OUTAGE_DAYS: Final = 1500.0
_SURGE_TENANTS: Final = 2
_SURGE_DAYS: Final = 12


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted from one slot to another; subject is what it happened to."""

    first: int
    after: int
    subject: str


@dataclass(frozen=True, slots=True)
class Surge(Span):
    """A tenant used so many millionths of its usual traffic on a line."""

    line: str
    millionths: int


@dataclass(frozen=True, slots=True)
class Past:
    """All that happened between two slots."""

    first: int
    after: int
    circuits: tuple[Span, ...]
    """Circuits that were down."""
    devices: tuple[Span, ...]
    """Devices that did not answer."""
    surges: tuple[Surge, ...]
    gaps: tuple[Span, ...]
    """The monitoring itself was down; its last slot was observed in part."""

    def segments(self, first: int, after: int) -> Iterator[tuple[int, int, Conditions]]:
        """The spans within which the same circuits were down, and what was the matter in each."""
        edges = {first, after}
        for span in self.circuits:
            edges |= {edge for edge in (span.first, span.after) if first < edge < after}
        ordered = sorted(edges)
        for begin, end in pairwise(ordered):
            down = frozenset(span.subject for span in self.circuits if span.first <= begin < span.after)
            yield begin, end, Conditions(down_circuits=down)


@dataclass(frozen=True, slots=True)
class PastAlert:
    """One alert of the past, fired and resolved."""

    rule: str
    subject: str
    severity: Severity
    first_ns: int
    after_ns: int


def draw_past(estate: Estate, plan: Plan, days: int, end_ns: int, seed: int) -> Past:
    """What happened in the days before a moment (UTC, unix nanoseconds); the same arguments give the same past."""
    draw = random.Random(f"{seed}/past/{end_ns // SLOT_NS}/{days}")  # noqa: S311 - weather, not secrets
    after = end_ns // SLOT_NS
    first = after - days * SLOTS_A_DAY
    return Past(
        first,
        after,
        tuple(_circuit_outages(plan, draw, first, after)),
        tuple(_device_outages(estate, draw, first, after)),
        tuple(_surges(estate, plan, draw, first, after)),
        tuple(_gaps(draw, first, after)),
    )


def alerts_of(estate: Estate, past: Past) -> list[PastAlert]:
    """The alerts that the estate's own rules would have raised."""
    found: list[PastAlert] = []
    for span in past.circuits:
        found += _alert(estate, "circuit.state", f"circuit/{span.subject}", span)
    for span in past.devices:
        found += _alert(estate, "device.up", f"device/{span.subject}", span)
    for span in past.surges:
        found += _alert(estate, "tenant.in_cap_ratio", f"tenant/{span.subject}/{span.line}", span)
    return sorted(found, key=lambda one: (one.first_ns, one.subject, one.rule))


def _alert(estate: Estate, field: str, subject: str, span: Span) -> list[PastAlert]:
    """Alerts by the rules on this field that look at the subject: each warning level of a ratio, else the first."""
    found: list[PastAlert] = []
    for rule in estate.rules.values():
        if rule.on == field and _looks_at(estate, rule, subject) and (not found or rule.above is not None):
            raised = span.first * SLOT_NS + int((rule.raise_for + 60) * 10**9)
            cleared = span.after * SLOT_NS + int((rule.clear_for + 60) * 10**9)
            if raised < span.after * SLOT_NS:
                found.append(PastAlert(rule.id, subject, rule.severity, raised, cleared))
    return found


def _looks_at(estate: Estate, rule: Rule, subject: str) -> bool:
    """Whether the rule's selector may match, as far as sites, kinds and roles tell."""
    kind, name = subject.split("/")[:2]
    if kind == "device":
        device = estate.devices[name]
        sites, roles = rule.where.sites, rule.where.roles
        return not rule.where.devices and (not sites or device.site in sites) and (not roles or device.role in roles)
    if kind == "circuit":
        return not rule.where.kinds or estate.circuits[name].kind in rule.where.kinds
    return True


def _circuit_outages(plan: Plan, draw: random.Random, first: int, after: int) -> Iterator[Span]:
    """Only where another circuit takes over: the past is not a catastrophe. At least one each half year."""
    for line in sorted(plan.standing_by):
        members = plan.lines[line]
        if len(members) < 2:  # noqa: PLR2004 - nobody would take over
            continue
        at = first + int(draw.expovariate(1 / _OUTAGE_DAYS) * SLOTS_A_DAY) % (120 * SLOTS_A_DAY)
        while at < after - _HOUR:
            lasted = draw.choice((2, 3, 6, _HOUR, 3 * _HOUR, 9 * _HOUR))
            circuit = members[0] if draw.random() < 0.8 else members[-1]  # noqa: PLR2004 - standbys die too, seldom
            yield Span(at, min(at + lasted, after), circuit.id)
            at += lasted + _HOUR + int(draw.expovariate(1 / _OUTAGE_DAYS) * SLOTS_A_DAY)


def _device_outages(estate: Estate, draw: random.Random, first: int, after: int) -> Iterator[Span]:
    for device in sorted(estate.devices):
        at = first + int(draw.expovariate(1 / _DEVICE_OUTAGE_DAYS) * SLOTS_A_DAY)
        if at < after - _HOUR:
            yield Span(at, min(at + draw.choice((1, 2, 4, _HOUR, 5 * _HOUR)), after), device)


def _surges(estate: Estate, plan: Plan, draw: random.Random, first: int, after: int) -> Iterator[Surge]:
    """Some tenants go over their cap in the office hours of some working days."""
    caps = sustained_caps(estate)
    capped = sorted(pair for pair in plan.attachments if (*pair, "in") in caps)
    days = (after - first) // SLOTS_A_DAY
    for tenant, line in draw.sample(capped, min(_SURGE_TENANTS, len(capped))):
        begin = (first + _JST_SLOTS) // SLOTS_A_DAY + draw.randrange(max(1, days * 2 // 3))
        peak = sum(one.curve.peak_bits_per_second for one in _inward(plan, tenant, line))
        for day in filter(is_workday, range(begin, begin + _SURGE_DAYS)):
            morning = day * SLOTS_A_DAY - _JST_SLOTS + 10 * _HOUR + draw.randrange(_HOUR // 2)
            evening = morning + draw.randrange(3 * _HOUR, 6 * _HOUR)
            factor = draw.uniform(1.2, 1.5) * caps[tenant, line, "in"] / peak
            if first <= morning and evening <= after:
                yield Surge(morning, evening, tenant, line, round(factor * 1_000_000))


def _inward(plan: Plan, tenant: str, line: str) -> list[Stream]:
    return [one for one in plan.streams.values() if (one.tenant, one.line, one.inward) == (tenant, line, True)]


def _gaps(draw: random.Random, first: int, after: int) -> Iterator[Span]:
    at = first + int(draw.uniform(5, _GAP_DAYS) * SLOTS_A_DAY)
    while at < after - _HOUR:
        lasted = draw.choice((2, 4, 9))
        yield Span(at, at + lasted, "monitoring")
        at += int(draw.uniform(0.5, 1.5) * _GAP_DAYS * SLOTS_A_DAY)


def sustained_caps(estate: Estate) -> Mapping[tuple[str, str, str], int]:
    """The lowest sustained cap by tenant, line ("total" for all lines together) and direction."""
    found: dict[tuple[str, str, str], int] = {}
    for tenant in estate.tenants.values():
        for cap in tenant.caps:
            for way in ("in", "out") if cap.direction == "each" else (cap.direction,):
                if cap.sustained_rate is not None:
                    key = (tenant.id, cap.line or "total", way)
                    found[key] = min(cap.sustained_rate, found.get(key, cap.sustained_rate))
    return found
