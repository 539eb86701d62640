"""An incident as the wall shows it: plain values, words in both languages, times in unix nanoseconds."""

from typing import Any

from poller.alerts.headline import headline
from poller.alerts.incidents import Incident
from poller.estate import Estate


def incident_entry(incident: Incident, estate: Estate) -> dict[str, Any]:
    """What a tile says (what, how serious, since when, inside or outside, who took it), and what its page adds."""
    acknowledged = incident.acknowledged
    return {
        "id": incident.id,
        "severity": incident.severity.value,
        "title": {
            "ja": incident.title_ja or headline(incident, estate, "ja"),  # alerting knows the rules about ourselves too
            "en": incident.title_en or headline(incident, estate, "en"),
        },
        "since_ns": incident.begun_ns,
        "scope": incident.scope,
        "acknowledged_by": acknowledged.who if acknowledged is not None else None,
        "tenants": list(incident.affected.tenants),
        "members": [
            {
                "rule": member.rule,
                "subject": member.subject,
                "severity": member.severity.value,
                "since_ns": member.since_ns,
                "resolved_ns": member.resolved_ns,
            }
            for member in incident.members
        ],
        "evidence": [
            {
                "subject": each.subject,
                "field": each.field,
                "value": each.value,
                "at_ns": each.at_ns,
                "reason": each.reason,
                "words": {"ja": each.words[0], "en": each.words[1]},
            }
            for each in incident.evidence
        ],
        "remarks": [
            {"kind": remark.kind, "who": remark.who, "text": remark.text, "at_ns": remark.at_ns}
            for remark in incident.remarks
        ],
    }
