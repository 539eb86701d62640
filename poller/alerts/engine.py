"""The alerting, composed: samples in, changes and mails out.

    Sample -> rules.RuleIndex -> states.advance -> incidents.IncidentBook -> notices.decide -> mail.render ->
    store.Batch

Synchronous and called on the loop; it never waits. What one call changed, mails included, is one transaction, given
to the store's thread; mails leave (poller.alerts.outbox) only from what was committed.
"""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final

from poller.alerts import notices
from poller.alerts.announcements import due_announcements
from poller.alerts.dependencies import Dependencies, says_down
from poller.alerts.evidence import Witnesses
from poller.alerts.incidents import Incident, IncidentBook, Remark
from poller.alerts.isolation import ISOLATED, ISOLATION, is_isolated
from poller.alerts.mail import Letter, render, render_announcement, render_digest, render_storm
from poller.alerts.maintenance import Windows
from poller.alerts.notices import Circumstances, Kind, Policy
from poller.alerts.page import Postmark, headline
from poller.alerts.rules import Key, RuleIndex, Verdict, Watch
from poller.alerts.silences import Silences
from poller.alerts.states import (
    SECOND,
    Alert,
    Reading,
    Reason,
    State,
    Transition,
    advance,
    is_spent,
    pass_time,
    raise_for_no_data,
    retire,
)
from poller.alerts.store import AuditEntry, Batch, OutgoingMail, Store
from poller.alerts.storm import HeldMail, Storm
from poller.alerts.subjects import Subject
from poller.estate import Contact, Estate, Severity
from poller.sample import FieldValue, Quality, Sample

log = logging.getLogger(__name__)
OLD_NEWS: Final = 900 * SECOND
"""Samples older than this are history that came late (a remote poller's back-fill): no news, no alert."""
_NOT_A_READING: Final = frozenset({Quality.STALE.value, Quality.NEVER_SEEN.value, Quality.SUPPRESSED.value})
_SPEAKING: Final = frozenset({"device", "interface", "circuit"})
"""Measurements that evidence is made of."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one alert, for wall, log and the measurement "alert"."""

    at_ns: int
    rule: str
    subject: str
    severity: Severity
    before: State
    after: State
    reason: Reason
    incident: str | None
    value: FieldValue | None = None


class Alerting:
    """Holds every alert and incident in memory, and says what changed; see the module for the journey."""

    def __init__(self, estate: Estate, store: Store, policy: Policy | None = None) -> None:
        estate = estate.model_copy(update={"rules": {ISOLATED.id: ISOLATED, **estate.rules}})
        self._estate = estate
        self._store = store
        self._policy = policy or Policy()
        self._index = RuleIndex(estate)
        self._dependencies = Dependencies(estate)
        self._windows = Windows.of(estate)
        self._down_rules = [rule for rule in estate.rules.values() if says_down(rule)]
        saved = store.load()
        self._alerts: dict[Key, Alert] = {alert.key: alert for alert in saved.alerts}
        self._book = IncidentBook(estate, {incident.id: incident for incident in saved.incidents})
        if saved.last_incident is not None:
            self._book.reserve(saved.last_incident)
        self._commands_done = saved.commands_done
        self._heard: dict[Key, tuple[Watch, int]] = {}
        self._down: set[str] = set()
        self._batch = Batch()
        self.committed: Future[None] | None = None
        self._witnesses = Witnesses(estate, self._dependencies)
        self._silences = Silences(saved.silences)
        self._storm = Storm(self._policy)
        self._storm.remember(
            ((contact, at_ns) for contact, _, _, at_ns, held in saved.mails if not held),
            (HeldMail(contact, id_, subject, at_ns) for contact, id_, subject, at_ns, held in saved.mails if held),
        )
        self._digest_minute = 0
        self._announced: set[str] = set()
        self._find_down()

    # What comes in

    def observe(self, samples: Sequence[Sample], now_ns: int) -> list[Change]:
        """Judge samples; the changes that follow. Samples of one subject come in the order of their times."""
        steps: list[Transition] = []
        watches_of = self._index.watches
        for sample in samples:
            if sample.measurement in _SPEAKING:
                self._witnesses.see(sample)
            for watch in watches_of(sample):
                step = self._judge(watch, sample, now_ns)
                if step is not None:
                    steps.append(step)
        if not steps:
            return []
        return self._follow(steps + self._watch_ourselves(now_ns), now_ns)

    def tick(self, now_ns: int) -> list[Change]:
        """Let time pass, once a second: holds, repeats, digests, silence of a series, commands of people."""
        steps: list[Transition] = []
        for key, alert in list(self._alerts.items()):
            steps.extend(self._age(key, alert, now_ns))
        for key, (watch, heard_ns) in self._heard.items():
            if now_ns - heard_ns > self._stale_after_ns(watch.subject):
                alert = self._alerts.get(key) or Alert(watch.rule.id, key[1])
                steps.extend(self._keep(alert, *raise_for_no_data(alert, watch.rule, now_ns)))
        self._carry_out_commands()
        steps.extend(self._watch_ourselves(now_ns))
        return self._follow(steps, now_ns)

    @property
    def isolated(self) -> bool:
        """True while most of what is watched cannot be reached: history should say unknown, not down (R54)."""
        return str(ISOLATION) in self._down

    # What people ask and say

    def open_incidents(self) -> list[Incident]:
        """Open incidents, the worst and oldest first."""
        return self._book.open_incidents()

    def incident(self, id_: str) -> Incident | None:
        """The incident of that id, open or lately closed."""
        return self._book.incidents.get(id_)

    def alerts(self) -> list[Alert]:
        """Alerts that are pending or firing."""
        return [alert for alert in self._alerts.values() if alert.state in {State.PENDING, State.FIRING}]

    def acknowledge(self, id_: str, who: str, comment: str, now_ns: int) -> Incident:
        """Somebody takes it: no more repeats. KeyError where there is no such incident."""
        return self._remark(id_, Remark("acknowledge", who, comment, now_ns), "api")

    def comment(self, id_: str, who: str, text: str, now_ns: int) -> Incident:
        """Keep what somebody found out; it stands in the incident and in the recovery mail."""
        return self._remark(id_, Remark("comment", who, text, now_ns), "api")

    def silence(self, entry: AuditEntry) -> None:
        """Begin or end a silence: action "silence" with until_ns, or "unsilence"; see poller.alerts.silences."""
        self._silences.take(entry)
        self._batch.audit.append(entry)
        self._follow([], entry.at_ns)

    def alert_samples(self, changes: Iterable[Change]) -> list[Sample]:
        """The changes as samples of the measurement "alert"."""
        return [
            Sample(
                "alert",
                (("rule", change.rule), ("subject", change.subject), ("severity", change.severity.value)),
                {"state": change.after.value, "incident": change.incident or "", "reason": change.reason.value},
                change.at_ns,
            )
            for change in changes
        ]

    # Judging

    def _judge(self, watch: Watch, sample: Sample, now_ns: int) -> Transition | None:
        value = sample.fields.get(watch.field)
        if value is None:  # the sample is about something else; silence is found by the clock
            return None
        unusable = sample.fields.get("quality") in _NOT_A_READING
        verdict = Verdict.UNKNOWN if unusable else watch.judge(value)
        if watch.rule.no_data == "raise" and (verdict is not Verdict.UNKNOWN or watch.key not in self._heard):
            self._heard[watch.key] = (watch, sample.time_ns)
        alert = self._alerts.get(watch.key)
        if alert is None:
            if verdict is not Verdict.RAISE:
                return None
            alert = Alert(watch.rule.id, watch.key[1])
        if now_ns - sample.time_ns > OLD_NEWS:
            return None
        steps = self._keep(alert, *advance(alert, watch.rule, Reading(verdict, value, sample.time_ns), now_ns))
        return steps[0] if steps else None

    def _watch_ourselves(self, now_ns: int) -> list[Transition]:
        """Is it us? Judged as a sample of our own, by the built-in rule or the configuration's."""
        tags = (("node", ISOLATION.id), ("part", ISOLATION.part))
        isolated = is_isolated(self._witnesses.answering(), self._estate)
        sample = Sample("daemon", tags, {"isolated": isolated}, now_ns)
        steps = (self._judge(watch, sample, now_ns) for watch in self._index.watches(sample))
        return [step for step in steps if step is not None]

    def _age(self, key: Key, alert: Alert, now_ns: int) -> list[Transition]:
        rule = self._estate.rules.get(alert.rule)
        if rule is None:
            steps = self._keep(alert, *retire(alert, now_ns))
            del self._alerts[key]
            self._batch.dropped.append(key)
            return steps
        if is_spent(alert, now_ns):
            del self._alerts[key]
            self._batch.dropped.append(key)
            return []
        stale_after = self._stale_after_ns(Subject.parse(alert.subject))
        return self._keep(alert, *pass_time(alert, rule, stale_after, now_ns))

    def _keep(self, before: Alert, after: Alert, step: Transition | None) -> list[Transition]:
        if after is not before:
            self._alerts[after.key] = after
        if step is None:
            return []
        self._batch.alerts.append(after)
        return [step]

    def _stale_after_ns(self, subject: Subject) -> int:
        """Two intervals of whatever asks about the subject, and a little."""
        interval = self._estate.polling.interval
        if subject.kind in {"device", "interface"} and subject.id in self._estate.devices:
            interval = self._estate.devices[subject.id].interval or interval
        elif subject.kind == "service" and subject.id in self._estate.services:
            interval = self._estate.services[subject.id].interval
        return int((2 * interval + 30) * SECOND)

    # What follows

    def _follow(self, steps: list[Transition], now_ns: int) -> list[Change]:
        """Incidents, notices and the transaction that keep up with the steps."""
        if steps:
            self._find_down()
        changes = [self._take_in(step, now_ns) for step in steps]
        self._book.refresh(self._alerts, self._down, now_ns)
        for change, step in zip(changes, steps, strict=True):
            self._batch.transitions.append((step, change.incident))
        self._tell(now_ns)
        self._name()
        self._batch.incidents.extend(self._book.incidents[id_] for id_ in sorted(self._book.changed))
        self._book.changed.clear()
        if self._batch:
            self.committed = self._store.submit(self._batch)
            self._batch = Batch()
        return changes

    def _take_in(self, step: Transition, now_ns: int) -> Change:
        rule = self._estate.rules.get(step.rule)
        alert = self._alerts.get((step.rule, step.subject))
        incident: str | None = None
        if step.after is State.FIRING and rule is not None and alert is not None:
            incident = self._book.fire(alert, rule, self._down, now_ns)
        elif step.before is State.FIRING:
            ended = alert or Alert(step.rule, step.subject, resolved_ns=now_ns)
            incident = self._book.resolve(ended, now_ns)
        severity = rule.severity if rule is not None else Severity.NOTICE
        log.info(
            "alert rule=%s subject=%s before=%s after=%s incident=%s reason=%s",
            step.rule,
            step.subject,
            step.before.value,
            step.after.value,
            incident,
            step.reason.value,
        )
        return Change(
            now_ns, step.rule, step.subject, severity, step.before, step.after, step.reason, incident, step.value
        )

    def _name(self) -> None:
        """Give incidents that changed their titles; wall and command line show them without the estate."""
        for id_ in list(self._book.changed):
            incident = self._book.incidents[id_]
            titles = [headline(incident, self._estate, lang) for lang in ("ja", "en")]
            self._book.put(replace(incident, title_ja=titles[0], title_en=titles[1]))

    def _find_down(self) -> None:
        self._down.clear()
        for alert in self._alerts.values():
            rule = self._estate.rules.get(alert.rule)
            if rule is not None and alert.state is State.FIRING and says_down(rule):
                self._down.add(alert.subject)

    # Telling

    def _tell(self, now_ns: int) -> None:
        """Decide for every incident, and put what is to be told into the batch."""
        for incident in list(self._book.incidents.values()):
            if incident.closed_ns is not None and (incident.told.recovered or incident.told.severity is None):
                continue
            explained = all(member.inhibited_by or member.freed_ns for member in incident.active)
            around = Circumstances(self._muted_by(incident, now_ns), self._parent_pending(incident), explained)
            decision = notices.decide(incident, around, self._policy, now_ns)
            if decision.kind is not None:
                self._send(incident, decision.kind, decision.why.value, now_ns)
        minute = now_ns // (60 * SECOND)
        if minute != self._digest_minute:
            self._digest_minute = minute
            self._tell_digest(now_ns)
            self._announce(now_ns)
        self._tell_together(now_ns)

    def _send(self, incident: Incident, kind: Kind, why: str, now_ns: int) -> None:
        incident = replace(incident, evidence=self._witnesses.about(incident))
        told = notices.remember(incident, kind, now_ns)
        for contact in notices.recipients(incident, kind, self._estate):
            mark = Postmark(kind, why, told.told.count, now_ns, self._next_ns(told, kind))
            self._post(render(incident, mark, contact, self._estate), incident.id, contact, mark)
        self._book.put(told)

    def _tell_digest(self, now_ns: int) -> None:
        due = []
        for incident in self._book.incidents.values():
            due_ns = notices.digest_due_ns(incident, self._estate, self._policy)
            if due_ns is not None and now_ns >= due_ns and self._muted_by(incident, now_ns) is None:
                due.append(incident)
        if not due:
            return
        for contact_id, incidents in notices.digest_recipients(due, self._estate).items():
            contact = self._estate.contacts[contact_id]
            mark = Postmark(Kind.DIGEST, notices.Why.BUSINESS_DAY.value, 1, now_ns, None)
            self._post(render_digest(incidents, mark, contact, self._estate), "", contact, mark)
        for incident in due:
            self._book.put(notices.remember_digest(incident, now_ns))

    def _announce(self, now_ns: int) -> None:
        """Planned maintenance, to its contacts; the outbox takes each Message-ID once."""
        for announcement in due_announcements(self._estate, now_ns):
            if announcement.id in self._announced:
                continue
            self._announced.add(announcement.id)
            for contact in (self._estate.contacts[id_] for id_ in announcement.window.contacts):
                if contact.email is not None:
                    letter = render_announcement(announcement, contact, self._estate, now_ns)
                    mark = Postmark(Kind.ANNOUNCEMENT, "planned maintenance", 1, now_ns, None)
                    self._put(letter, "", contact, mark)

    def _tell_together(self, now_ns: int) -> None:
        """Let what the storm cap held leave in one mail, as soon as there is room."""
        for contact_id, held in self._storm.release(now_ns).items():
            self._batch.told_together.extend(mail.message_id for mail in held)
            contact = self._estate.contacts.get(contact_id)
            if contact is not None and contact.email is not None:
                mark = Postmark(Kind.STORM, notices.Why.TOO_MANY.value, 1, now_ns, None)
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
        self._batch.mails.append(
            OutgoingMail(
                letter.message_id,
                incident,
                contact.id,
                contact.email or "",
                mark.kind.value,
                mark.why,
                letter.subject,
                letter.message,
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
        subjects = [Subject.parse(member.subject) for member in incident.active]
        return self._windows.muting(subjects, now_ns) or self._silences.muting(incident, now_ns)

    def _parent_pending(self, incident: Incident) -> bool:
        """True while something the incident's root hangs on is failing but not yet judged."""
        for node in self._dependencies.ancestors(Subject.parse(incident.root[1])):
            for rule in self._down_rules:
                alert = self._alerts.get((rule.id, node))
                if alert is not None and alert.state is State.PENDING:
                    return True
        return False

    # People

    def _remark(self, id_: str, remark: Remark, origin: str) -> Incident:
        incident = self._book.incidents[id_]
        incident = replace(incident, remarks=(*incident.remarks, remark))
        self._book.put(incident)
        if origin == "api":
            self._batch.audit.append(AuditEntry(remark.at_ns, remark.who, origin, remark.kind, id_, remark.text))
            self._follow([], remark.at_ns)
        return self._book.incidents[id_]

    def _carry_out_commands(self) -> None:
        for entry in self._store.commands(self._commands_done):
            self._commands_done = entry.id
            self._batch.commands_done = entry.id
            if entry.action in {"silence", "unsilence"}:
                self._silences.take(entry)
            elif entry.action in {"acknowledge", "comment"} and entry.target in self._book.incidents:
                self._remark(entry.target, Remark(entry.action, entry.who, entry.text, entry.at_ns), entry.origin)
            else:
                log.warning("command not carried out: action=%s target=%s", entry.action, entry.target)
