"""The faults of an invented past as the daemon would have recorded them: changes of alerts, and incidents. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from zoneinfo import ZoneInfo

import polars as pl

from poller.alerts.dependencies import Affected
from poller.alerts.headline import headline
from poller.alerts.incident import Incident, Member, Remark, Told
from poller.alerts.incident_samples import incident_sample
from poller.alerts.incidents import incident_id
from poller.estate import Estate, Scope, Severity
from poller.lab.past import Past, PastAlert, alerts_of
from poller.schema import SCHEMA

_SECOND_NS = 10**9
_FIRST_NOTICE_NS = 40 * _SECOND_NS
_SECOND_NOTICE_NS = 50 * 60 * _SECOND_NS


def alert_frame(estate: Estate, past: Past) -> pl.DataFrame:
    """Firing and resolved, two rows for each alert; each is an incident of its own."""
    rows = []
    for alert, incident in _numbered(estate, past):
        tags = {"rule": alert.rule, "subject": alert.subject, "severity": alert.severity.value}
        firing, resolved = "stayed beyond the raise level for raise_for", "stayed beyond the clear level for clear_for"
        rows.append({"time_ns": alert.first_ns, **tags, "state": "firing", "incident": incident, "reason": firing})
        rows.append({"time_ns": alert.after_ns, **tags, "state": "resolved", "incident": incident, "reason": resolved})
    kinds = {"time_ns": pl.Int64} | dict.fromkeys(
        ("rule", "subject", "severity", "state", "incident", "reason"), pl.String
    )
    return pl.DataFrame(rows, schema=kinds)


def incident_frame(estate: Estate, past: Past) -> pl.DataFrame:
    """One row an incident, as it stood at its end."""
    kinds = {int: pl.Int64, float: pl.Float64, bool: pl.Boolean, str: pl.String}
    schema = {"time_ns": pl.Int64, "subject": pl.String}
    schema |= {entry.name: kinds[entry.kind] for entry in SCHEMA["incident"].fields}
    rows = []
    for alert, id_ in _numbered(estate, past):
        sample = incident_sample(_incident(alert, id_, estate), alert.after_ns)
        rows.append({"time_ns": sample.time_ns, **dict(sample.tags), **sample.fields})
    return pl.DataFrame(rows, schema=schema)


def _numbered(estate: Estate, past: Past) -> Iterator[tuple[PastAlert, str]]:
    zone = ZoneInfo(estate.organisation.timezone)
    numbers: Counter[str] = Counter()
    for alert in alerts_of(estate, past):
        day = incident_id(alert.first_ns, 0, zone)
        numbers[day] += 1
        yield alert, incident_id(alert.first_ns, numbers[day], zone)


def _incident(alert: PastAlert, id_: str, estate: Estate) -> Incident:
    """Circuits failed at their provider, devices at home; serious ones were told at once and again."""
    kind, _, rest = alert.subject.partition("/")
    told_ns = alert.first_ns + _FIRST_NOTICE_NS
    lasted = alert.after_ns - alert.first_ns > _SECOND_NOTICE_NS
    second = Remark("second_notice", "noc", "", alert.first_ns + _SECOND_NOTICE_NS)
    incident = Incident(
        id=id_,
        anchor=alert.subject,
        fault=kind != "tenant",
        root=(alert.rule, alert.subject),
        begun_ns=alert.first_ns,
        opened_ns=alert.first_ns,
        severity=alert.severity,
        worst=alert.severity,
        closed_ns=alert.after_ns,
        members=(Member(alert.rule, alert.subject, alert.severity, alert.first_ns, resolved_ns=alert.after_ns),),
        affected=Affected(tenants=(rest.partition("/")[0],)) if kind == "tenant" else Affected(),
        scope=(Scope.OUTSIDE if kind == "circuit" else Scope.INSIDE).value,
        remarks=(second,) if lasted and alert.severity is Severity.SERIOUS else (),
        told=Told(count=1, first_ns=told_ns) if alert.severity is Severity.SERIOUS else Told(),
    )
    titles = [headline(incident, estate, lang) for lang in ("ja", "en")]
    return replace(incident, title_ja=titles[0], title_en=titles[1])
