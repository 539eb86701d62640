"""The faults of a period, from the changes of alerts that a store keeps. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from poller.alerts.dependencies import Dependencies, says_down
from poller.alerts.incident import RANK
from poller.alerts.servicelevel import COUNTS, OTHER_PARTY, Outage
from poller.alerts.subjects import Subject
from poller.estate import Estate, Severity
from poller.reports.reading import Span
from poller.settings import Name


@dataclass(frozen=True, slots=True)
class PastAlert:
    """One alert from its first firing to its last end; until_ns None while it lasts."""

    rule: str
    subject: str
    severity: Severity
    since_ns: int
    until_ns: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """What was known and done about an incident; seconds from its confirmation to the notices, None for none."""

    scope: str
    title_ja: str
    title_en: str
    tenants: tuple[str, ...]
    first_notice_seconds: float | None
    second_notice_seconds: float | None
    acknowledged_by: str | None
    excluded: str | None = None
    """Why the service level leaves it out, COUNTS where it does not, None where nobody noted it."""

    def title(self, lang: str) -> str:
        """What was broken and how."""
        return self.title_en if lang == "en" else self.title_ja


@dataclass(frozen=True, slots=True)
class PastIncident:
    """One fault of the past with its alerts, the first of which names it."""

    id: str
    alerts: tuple[PastAlert, ...]
    known: "Known | None" = None

    @property
    def scope(self) -> str:
        """Which side of the demarcation point its cause lay on."""
        return "undetermined" if self.known is None else self.known.scope

    @property
    def since_ns(self) -> int:
        """When its first alert fired."""
        return min(alert.since_ns for alert in self.alerts)

    @property
    def until_ns(self) -> int | None:
        """When its last alert was over; None while it lasts."""
        ends = [alert.until_ns for alert in self.alerts]
        return None if None in ends else max(end for end in ends if end is not None)

    @property
    def severity(self) -> Severity:
        """The worst of its alerts."""
        return max((alert.severity for alert in self.alerts), key=lambda each: RANK[each])

    @property
    def first(self) -> PastAlert:
        """The alert that opened it."""
        return min(self.alerts, key=lambda alert: (alert.since_ns, -RANK[alert.severity]))

    def seconds(self, until_ns: int) -> float:
        """How long it lasted, up to until_ns where it still does."""
        end_ns = until_ns if self.until_ns is None else min(self.until_ns, until_ns)
        return max(0, end_ns - self.since_ns) / 1e9


def past_incidents(changes: pl.DataFrame, kept: pl.DataFrame, span: Span) -> list[PastIncident]:
    """The incidents that touched the span, in order of their beginning; those merged into another are that other.

    changes: time_ns, rule, subject, severity, state, incident, in order of time. kept: reading.INCIDENT.
    """
    known = {row["incident"]: row for row in kept.iter_rows(named=True)}
    merged = {id_: row["merged_into"] for id_, row in known.items() if row["merged_into"]}
    open_since: dict[tuple[str, str, str], tuple[int, str]] = {}
    found: dict[str, list[PastAlert]] = {}
    for row in changes.iter_rows(named=True):
        key = (row["incident"] or f"{row['rule']} {row['subject']} {row['time_ns']}", row["rule"], row["subject"])
        if row["state"] == "firing":
            open_since.setdefault(key, (row["time_ns"], row["severity"]))
        elif row["state"] == "resolved" and key in open_since:
            since_ns, severity = open_since.pop(key)
            alert = PastAlert(row["rule"], row["subject"], Severity(severity), since_ns, row["time_ns"])
            found.setdefault(merged.get(key[0], key[0]), []).append(alert)
    for (incident, rule, subject), (since_ns, severity) in open_since.items():
        alert = PastAlert(rule, subject, Severity(severity), since_ns, None)
        found.setdefault(merged.get(incident, incident), []).append(alert)
    incidents = (PastIncident(id_, tuple(alerts), _known(known.get(id_))) for id_, alerts in found.items())
    touching = (each for each in incidents if each.since_ns < span[1] and (each.until_ns or span[1]) > span[0])
    return sorted(touching, key=lambda each: (each.since_ns, each.id))


def _known(row: Mapping[str, Any] | None) -> Known | None:
    if row is None:
        return None
    return Known(
        scope=row["scope"] or "undetermined",
        title_ja=row["title_ja"] or "",
        title_en=row["title_en"] or "",
        tenants=tuple((row["tenants"] or "").split()),
        first_notice_seconds=row["first_notice_seconds"],
        second_notice_seconds=row["second_notice_seconds"],
        acknowledged_by=row["acknowledged_by"],
        excluded=row["excluded"],
    )


def outages(incidents: Iterable[PastIncident], estate: Estate, until_ns: int) -> dict[str, list[Outage]]:
    """Outages by subject, as the service level counts them."""
    found: dict[str, list[Outage]] = {}
    for incident in incidents:
        for alert in incident.alerts:
            rule = estate.rules.get(alert.rule)
            if rule is not None and says_down(rule):
                end_ns = until_ns if alert.until_ns is None else alert.until_ns
                reason = _left_out(incident)
                if reason == OTHER_PARTY and alert.subject.startswith(("circuit/", "line_group/")):
                    reason = ""  # a circuit's level is that other party's promise
                found.setdefault(alert.subject, []).append(Outage((alert.since_ns, end_ns), incident.id, reason))
    return found


def _left_out(incident: PastIncident) -> str:
    """As people decided it, else by the side of the demarcation point on which its cause lay."""
    noted = None if incident.known is None else incident.known.excluded
    if noted is not None:
        return "" if noted == COUNTS else noted
    return OTHER_PARTY if incident.scope == "outside" else ""


def touched_tenants(incident: PastIncident, tree: Dependencies) -> tuple[str, ...]:
    """Tenants that the incident touched: as it was known then, else cut off by it or themselves its subject."""
    if incident.known is not None:
        return incident.known.tenants
    subjects = [Subject.parse(alert.subject) for alert in incident.alerts]
    return tree.affected(subjects, frozenset(str(subject) for subject in subjects)).tenants


def subject_name(subject: str, estate: Estate, lang: str) -> str:
    """A subject for people: its name where it has one, with the line or interface it is about."""
    kind, _, rest = subject.partition("/")
    id_, _, part = rest.partition("/")
    names: dict[str, dict[str, Name]] = {
        "device": {key: each.name for key, each in estate.devices.items()},
        "interface": {key: each.name for key, each in estate.devices.items()},
        "circuit": {key: each.name for key, each in estate.circuits.items()},
        "line_group": {key: each.name for key, each in estate.line_groups.items()},
        "tenant": {key: each.name for key, each in estate.tenants.items()},
        "service": {key: each.name for key, each in estate.services.items()},
    }
    entry = names.get(kind, {}).get(id_)
    name = rest or subject if entry is None else entry.lang(lang)
    line = estate.line_groups.get(part) or estate.circuits.get(part)
    if kind == "tenant" and line is not None:
        part = line.name.lang(lang)
    return f"{name}（{part}）" if part and lang == "ja" else f"{name} ({part})" if part else name
