"""An incident as the wall shows it: plain values, words in both languages, times in unix nanoseconds."""

from typing import Any

from poller.alerts.headline import headline
from poller.alerts.incidents import Incident
from poller.estate import Estate


def incident_entry(incident: Incident, estate: Estate) -> dict[str, Any]:
    """What a tile says: what, how serious, since when, inside or outside the contract, who took it."""
    acknowledged = incident.acknowledged
    return {
        "id": incident.id,
        "severity": incident.severity.value,
        "title": {lang: headline(incident, estate, lang) for lang in ("ja", "en")},
        "since_ns": incident.begun_ns,
        "scope": incident.scope,
        "acknowledged_by": acknowledged.who if acknowledged is not None else None,
    }
