"""Telling: decides for every incident whether a mail leaves now, and writes it into the batch to be stored.

incident -> notices.decide -> recipients -> page and mail -> storm cap -> Batch.mails
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts import notices
from poller.alerts.announcements import due_announcements
from poller.alerts.dependencies import Dependencies, says_down
from poller.alerts.evidence import Witnesses
from poller.alerts.incidents import Incident, IncidentBook
from poller.alerts.mail import Letter, render, render_announcement, render_digest, render_storm
from poller.alerts.maintenance import WINDOW_ACTIONS, Windows
from poller.alerts.notices import Circumstances, Kind, Policy, Why
from poller.alerts.page import Postmark
from poller.alerts.pictured import Pictures
from poller.alerts.programs import Programs
from poller.alerts.records import Batch, OutgoingMail, Saved
from poller.alerts.rules import Key
from poller.alerts.servicelevel import Around, ServiceLevel, target_of
from poller.alerts.servicereport import levels_of, parse_period
from poller.alerts.silences import Silences
from poller.alerts.states import SECOND, Alert, State
from poller.alerts.storm import HeldMail, Storm
from poller.alerts.subjects import Subject
from poller.estate import Contact, Estate

LEVELS: Final = 6
"""Service levels that a recovery tells at most."""
SENDS_A_STEP: Final = 25
"""Incidents told in one step; the next second takes the next, so that hundreds at once do not hold up the loop."""


class Teller:
    """Tells of the incidents in the book. batch is where its mails go; whoever stores it puts an empty one there."""

    def __init__(
        self, estate: Estate, policy: Policy, book: IncidentBook, alerts: Mapping[Key, Alert], saved: Saved
    ) -> None:
        self._estate = estate
        self._policy = policy
        self._book = book
        self._alerts = alerts
        self._dependencies = Dependencies(estate)
        self.windows = Windows(estate, (each for each in saved.standing if each.action in WINDOW_ACTIONS))
        self._zone = ZoneInfo(estate.organisation.timezone)
        self._down_rules = [rule for rule in estate.rules.values() if says_down(rule)]
        self.witnesses = Witnesses(estate, self._dependencies)
        self.silences = Silences(saved.standing)
        self.pictures: Pictures | None = None
        self.batch = Batch()
        self._programs = Programs(estate, book, policy.settle)
        self._storm = Storm(policy)
        self._storm.remember(
            ((contact, at_ns) for contact, _, _, at_ns, held in saved.mails if not held),
            (HeldMail(contact, id_, subject, at_ns) for contact, id_, subject, at_ns, held in saved.mails if held),
        )
        self._minute = 0
        self._announced: set[str] = set()

    def follow(self, estate: Estate, dependencies: Dependencies) -> None:
        """Tell by another estate; what was told, silenced, planned and witnessed stays."""
        self._estate, self._dependencies = estate, dependencies
        self._zone = ZoneInfo(estate.organisation.timezone)
        self._down_rules = [rule for rule in estate.rules.values() if says_down(rule)]
        self.windows.follow(estate)
        self.witnesses.follow(estate, dependencies)
        self._programs.follow(estate)

    def tell(self, now_ns: int) -> None:
        """Decide for every incident, and put what is to be told into the batch."""
        minute, sends = now_ns // (60 * SECOND), 0
        for known in list(self._book.incidents.values()):
            incident = known
            fresh = incident.id in self._book.changed or minute != self._minute
            if not notices.may_tell(incident, self._policy, now_ns, fresh=fresh):
                continue
            explained = all(member.inhibited_by or member.freed_ns for member in incident.active)
            around = Circumstances(self._muted_by(incident, now_ns), self._parent_pending(incident), explained)
            decision = notices.decide(incident, around, self._policy, now_ns)
            why = Why.AFTER_MUTE if incident.told.muted and incident.closed_ns is None else decision.why
            if (decision.why is Why.MUTED) is not incident.told.muted:
                incident = replace(incident, told=replace(incident.told, muted=decision.why is Why.MUTED))
                self._book.put(incident)
            if decision.kind is not None:
                self._send(incident, decision.kind, why.value, now_ns)
                sends += 1
                if sends >= SENDS_A_STEP:
                    break
        if minute != self._minute:
            self._minute = minute
            self._tell_digest(now_ns)
            self._announce(now_ns)
        self._tell_together(now_ns)
        self._programs.tell(self.batch, now_ns)

    def _send(self, incident: Incident, kind: Kind, why: str, now_ns: int) -> None:
        incident = replace(incident, evidence=self.witnesses.about(incident))
        told = notices.remember(incident, kind, now_ns)
        readers = notices.recipients(incident, kind, self._estate, now_ns)
        next_ns = self._next_ns(told, kind)
        later = [] if next_ns is None else notices.recipients(told, Kind.REPEAT, self._estate, next_ns)
        mark = Postmark(
            kind,
            why,
            told.told.count,
            now_ns,
            next_ns,
            tuple(c for c in later if c not in readers),
            self._levels(incident, now_ns) if kind is Kind.RECOVERED else (),
        )
        for contact in readers:
            self._post(render(incident, mark, contact, self._estate, self.pictures), incident.id, contact, mark)
        self._book.put(told)

    def _levels(self, incident: Incident, now_ns: int) -> tuple[ServiceLevel, ...]:
        """This month's levels of what the incident touched and has a target."""
        touched = [Subject.parse(member.subject) for member in incident.members]
        touched += [Subject("service", service) for service in incident.affected.services]
        subjects = [each for each in dict.fromkeys(touched) if target_of(each, self._estate) is not None]
        period = parse_period(None, self._estate, now_ns)
        around = Around(self.windows, now_ns)
        known = [each for each in self._book.incidents.values() if (each.closed_ns or now_ns) >= period.start_ns]
        return tuple(levels_of(known, self._estate, period, around, subjects[:LEVELS]))

    def _tell_digest(self, now_ns: int) -> None:
        due = []
        for incident in self._book.incidents.values():
            due_ns = notices.digest_due_ns(incident, self._estate, self._policy)
            if due_ns is not None and now_ns >= due_ns and self._muted_by(incident, now_ns) is None:
                due.append(incident)
        if not due:
            return
        for contact_id, incidents in notices.digest_recipients(due, self._estate, now_ns).items():
            contact = self._estate.contacts[contact_id]
            mark = Postmark(Kind.DIGEST, Why.BUSINESS_DAY.value, 1, now_ns, None)
            self._post(render_digest(incidents, mark, contact, self._estate), "", contact, mark)
        for incident in due:
            self._book.put(notices.remember_digest(incident, now_ns))

    def _announce(self, now_ns: int) -> None:
        """Planned maintenance, to its contacts; the outbox takes each Message-ID once."""
        for announcement in due_announcements(self.windows.all().values(), self._zone, now_ns):
            if announcement.id in self._announced:
                continue
            self._announced.add(announcement.id)
            for contact in map(self._estate.contacts.get, announcement.window.contacts):
                if contact is not None and contact.email is not None:
                    letter = render_announcement(announcement, contact, self._estate, now_ns)
                    mark = Postmark(Kind.ANNOUNCEMENT, "planned maintenance", 1, now_ns, None)
                    self._put(letter, "", contact, mark)

    def _tell_together(self, now_ns: int) -> None:
        """Let what the storm cap held leave in one mail, as soon as there is room."""
        for contact_id, held in self._storm.release(now_ns).items():
            self.batch.told_together.extend(mail.message_id for mail in held)
            contact = self._estate.contacts.get(contact_id)
            if contact is not None and contact.email is not None:
                mark = Postmark(Kind.STORM, Why.TOO_MANY.value, 1, now_ns, None)
                self._put(render_storm(held, mark, contact, self._estate), "", contact, mark)

    def _post(self, letter: Letter, incident: str, contact: Contact, mark: Postmark) -> None:
        """Let a mail leave, or hold it where the recipient gets too many."""
        held = self._storm.must_hold(contact.id, mark.now_ns)
        if held:
            self._storm.hold(HeldMail(contact.id, letter.message_id, letter.subject, mark.now_ns))
        else:
            self._storm.note_sent(contact.id, mark.now_ns)
        self._put(letter, incident, contact, mark, held=held)

    def _put(self, letter: Letter, incident: str, contact: Contact, mark: Postmark, *, held: bool = False) -> None:
        self.batch.mails.append(
            OutgoingMail(
                letter.message_id,
                incident,
                contact.id,
                contact.email or "",
                mark.kind.value,
                mark.why,
                letter.subject,
                letter.write,
                mark.now_ns,
                held,
            )
        )

    def _next_ns(self, incident: Incident, kind: Kind) -> int | None:
        """When the next notice leaves if nobody acknowledges."""
        repeats = kind in {Kind.FIRST, Kind.RAISED, Kind.REPEAT} and incident.acknowledged is None
        if not repeats or incident.told.last_ns is None:
            return None
        return incident.told.last_ns + int(self._policy.repeat_interval * SECOND)

    def _muted_by(self, incident: Incident, now_ns: int) -> str | None:
        """What keeps the incident from being told now; a window counts only if it covers all that is still bad."""
        causes = [member for member in incident.active if member.inhibited_by is None] or incident.active
        subjects = [Subject.parse(member.subject) for member in causes]
        return self.windows.muting(subjects, now_ns) or self.silences.muting(incident, now_ns)

    def _parent_pending(self, incident: Incident) -> bool:
        """True while something the incident's root hangs on is failing but not yet judged."""
        for node in self._dependencies.ancestors(Subject.parse(incident.root[1])):
            for rule in self._down_rules:
                alert = self._alerts.get((rule.id, node))
                if alert is not None and alert.state is State.PENDING:
                    return True
        return False
