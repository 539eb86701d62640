"""Telling programs: which incidents are due to be posted now, and to which webhooks and topics."""

from dataclasses import replace
from typing import Final

from poller.alerts.incident import Incident, is_worse
from poller.alerts.incidents import IncidentBook
from poller.alerts.posts import event, phase, post
from poller.alerts.records import Batch, OutgoingMail
from poller.alerts.states import SECOND
from poller.estate import Estate, Severity

WEBHOOK: Final = "webhook"
MQTT: Final = "mqtt"
TOPIC: Final = "hinomi/alerts"


class Programs:
    """Posts every change of an incident that matters, once; what waits is found again at a start."""

    def __init__(self, estate: Estate, book: IncidentBook, settle_seconds: float) -> None:
        self._book = book
        self._settle_ns = int(settle_seconds * SECOND)
        self._due = {incident.id for incident in book.open_incidents()}
        self.follow(estate)

    def follow(self, estate: Estate) -> None:
        """Tell those whom another estate names, from the next change on."""
        self._estate = estate
        self._topics = estate.storage.mqtt is not None and estate.storage.mqtt.alerts

    def tell(self, batch: Batch, now_ns: int) -> None:
        """Put what is due into the batch."""
        if not self._estate.webhooks and not self._topics:
            return
        self._due |= self._book.changed
        for id_ in sorted(self._due):
            incident = self._book.incidents[id_]
            if incident.closed_ns is None and now_ns - incident.opened_ns < self._settle_ns:
                continue  # it may yet become part of another
            self._due.discard(id_)
            never = not incident.told.posted
            if phase(incident) == incident.told.posted or (never and incident.closed_ns is not None):
                continue
            self._post(incident, batch, now_ns)
            told = replace(incident.told, posted=phase(incident), posts=incident.told.posts + 1)
            self._book.put(replace(incident, told=told))

    def _post(self, incident: Incident, batch: Batch, now_ns: int) -> None:
        for webhook in self._estate.webhooks.values():
            if any(not is_worse(Severity(each), incident.worst) for each in webhook.severities):
                batch.mails.append(self._row(incident, f"{WEBHOOK}:{webhook.id}", now_ns))
        if self._topics:
            batch.mails.append(self._row(incident, f"{MQTT}:{TOPIC}/{incident.worst.value}/{incident.id}", now_ns))

    def _row(self, incident: Incident, recipient: str, now_ns: int) -> OutgoingMail:
        number = incident.told.posts + 1
        estate = self._estate
        return OutgoingMail(
            message_id=f"<{incident.id}.{number}.{recipient.replace('/', '.')}>",
            incident=incident.id,
            contact=recipient,
            recipient=recipient,
            kind=event(incident),
            why="the incident changed",
            subject=incident.title_en,
            write=lambda: post(incident, estate, now_ns),
            created_ns=now_ns,
        )
