"""What programs are told of an incident (webhooks, MQTT): one JSON object, the whole of it every time.

Level-triggered like the mails: whoever reads only the last one knows all, and `sequence` tells which is the last.
"""

import hashlib
import hmac
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from poller.alerts.incident import Incident
from poller.alerts.states import SECOND
from poller.estate import Estate

VERSION: Final = 1


def phase(incident: Incident) -> str:
    """All of an incident that is worth a post, as one text: where it differs from what was posted, a post is due."""
    parts = (
        "closed" if incident.closed_ns is not None else "open",
        incident.severity.value,
        incident.scope,
        "flapping" if incident.flapping else "",
        incident.acknowledged_by or "",
        str(len(incident.remarks)),
        ",".join(incident.affected.tenants),
        incident.merged_into or "",
    )
    return "|".join(parts)


def event(incident: Incident) -> str:
    """What happened since the last post, in a word: opened, changed or closed."""
    if incident.closed_ns is not None:
        return "closed"
    return "changed" if incident.told.posted else "opened"


def post(incident: Incident, estate: Estate, now_ns: int) -> bytes:
    """The JSON of an incident as it stands; keys are explained in docs/alerts.md."""
    zone = ZoneInfo(estate.organisation.timezone)

    def at(time_ns: int | None) -> str | None:
        return None if time_ns is None else datetime.fromtimestamp(time_ns // SECOND, zone).isoformat()

    rule = estate.rules.get(incident.root_member.rule)
    url = f"{estate.mail.wall_url.rstrip('/')}/incident/{incident.id}" if estate.mail.wall_url else None
    content: dict[str, Any] = {
        "version": VERSION,
        "incident": incident.id,
        "event": event(incident),
        "sequence": incident.told.posts + 1,
        "sent_at": at(now_ns),
        "title": {"ja": incident.title_ja, "en": incident.title_en},
        "severity": incident.severity.value,
        "worst": incident.worst.value,
        "scope": incident.scope,
        "fault": incident.fault,
        "flapping": incident.flapping,
        "began_at": at(incident.begun_ns),
        "confirmed_at": at(incident.opened_ns),
        "ended_at": at(incident.ended_ns),
        "merged_into": incident.merged_into,
        "acknowledged_by": incident.acknowledged_by,
        "affected": {
            "tenants": list(incident.affected.tenants),
            "services": list(incident.affected.services),
            "circuits": list(incident.affected.circuits),
        },
        "alerts": [
            {
                "rule": member.rule,
                "subject": member.subject,
                "severity": member.severity.value,
                "since": at(member.since_ns),
                "ended_at": at(member.resolved_ns),
                "value": member.value,
                "explained_by": member.inhibited_by,
            }
            for member in incident.members
        ],
        "remarks": [
            {"kind": remark.kind, "who": remark.who, "text": remark.text, "at": at(remark.at_ns)}
            for remark in incident.remarks
        ],
        "runbook": rule.runbook.lang("ja") if rule is not None else "",
        "url": url,
    }
    return msgspec.json.encode(content)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of X-Hinomi-Signature: over the timestamp too, so that an old post cannot be played again."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"
