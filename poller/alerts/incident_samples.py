"""Incidents as samples: what a report says of a fault years later, when the daemon's own memory of it is gone. Pure."""

from poller.alerts.incident import Incident
from poller.alerts.servicelevel import COUNTS, decision
from poller.alerts.states import SECOND
from poller.estate import Severity
from poller.sample import FieldValue, Sample


def incident_sample(incident: Incident, now_ns: int) -> Sample:
    """The incident as it stands, under the moment it began, so that the last writing stands for all before (R60a).

    Seconds of notices count from its confirmation (as serious, where it became so); absent where none was given.
    """
    confirmed_ns = incident.serious_from_ns if incident.worst is Severity.SERIOUS else incident.opened_ns
    end_ns = incident.ended_ns
    fields: dict[str, FieldValue] = {
        "incident": incident.id,
        "open": incident.closed_ns is None,
        "severity": incident.worst.value,
        "scope": incident.scope if incident.fault else "none",
        "rule": incident.root[0],
        "title_ja": incident.title_ja,
        "title_en": incident.title_en,
        "tenants": " ".join(incident.affected.tenants),
        "excluded": decision(incident)[0] or COUNTS,
        "duration_seconds": ((now_ns if end_ns is None else end_ns) - incident.begun_ns) / SECOND,
    }
    if incident.merged_into is not None:
        fields["merged_into"] = incident.merged_into
    if incident.told.first_ns is not None:
        fields["first_notice_seconds"] = (incident.told.first_ns - confirmed_ns) / SECOND
    second = next((each.at_ns for each in incident.remarks if each.kind == "second_notice"), None)
    if second is not None:
        fields["second_notice_seconds"] = (second - confirmed_ns) / SECOND
    if incident.acknowledged_by is not None:
        fields["acknowledged_by"] = incident.acknowledged_by
    return Sample("incident", (("subject", incident.root[1]),), fields, incident.begun_ns)
