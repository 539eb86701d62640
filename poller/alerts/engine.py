"""The alerting, composed: samples in, changes and mails out.

    Sample -> rules.RuleIndex -> states.advance -> incidents.IncidentBook -> notices.decide -> mail.render ->
    store.Batch

Synchronous and called on the loop; it never waits. What one call changed, mails included, is one transaction, given
to the store's thread; mails leave (poller.alerts.outbox) only from what was committed.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

from poller.alerts.builtin import BUILT_IN
from poller.alerts.changes import Change
from poller.alerts.dependencies import Dependencies, is_fault, says_down
from poller.alerts.freshness import Freshness, old_news_ns
from poller.alerts.headline import headline
from poller.alerts.incident_samples import incident_sample
from poller.alerts.incidents import Incident, IncidentBook, Remark
from poller.alerts.isolation import ISOLATION, is_isolated
from poller.alerts.maintenance import WINDOW_ACTIONS
from poller.alerts.notices import Policy
from poller.alerts.notifications import ACCEPT_ENGINE, MEASUREMENT, NotificationRules
from poller.alerts.pictured import Pictures
from poller.alerts.records import AuditEntry, Batch
from poller.alerts.rules import Key, RuleIndex, Verdict, Watch, asks_alike, value_of
from poller.alerts.silences import SILENCE_ACTIONS
from poller.alerts.states import (
    Alert,
    Reading,
    State,
    Transition,
    advance,
    is_spent,
    pass_time,
    raise_for_no_data,
    retire,
)
from poller.alerts.store import Store
from poller.alerts.subjects import Subject, is_known, subject_of
from poller.alerts.telling import Teller
from poller.estate import Estate, Maintenance, Rule, Severity
from poller.faults import Answer
from poller.sample import Quality, Sample
from probes.path import Path

log = logging.getLogger(__name__)
_NOT_A_READING: Final = frozenset({Quality.STALE.value, Quality.NEVER_SEEN.value, Quality.SUPPRESSED.value})
REMARKS: Final = frozenset({"acknowledge", "comment", "second_notice", "exclude"})
"""What people say of an incident. second_notice: those in charge were told what is being done; exclude: why it is left
out of the service level (R60a)."""
_SPEAKING: Final = frozenset({"device", "interface", "circuit", "line_group", "service", MEASUREMENT})
"""Measurements that evidence is made of."""


class Alerting:
    """Holds every alert and incident in memory, and says what changed; see the module for the journey."""

    def __init__(
        self, estate: Estate, store: Store, policy: Policy | None = None, alarms_with_end: Collection[str] = ()
    ) -> None:
        estate = _with_built_in(estate)
        self._estate = estate
        self._store = store
        self._index = RuleIndex(estate)
        self._notifications = NotificationRules(estate, alarms_with_end)
        saved = store.load()
        self._alerts: dict[Key, Alert] = {alert.key: alert for alert in saved.alerts}
        self._book = IncidentBook(estate, {incident.id: incident for incident in saved.incidents})
        if saved.last_incident is not None:
            self._book.reserve(saved.last_incident)
        self._commands_done = saved.commands_done
        self._heard: dict[Key, tuple[Watch, int]] = {}
        self._down: set[str] = set()
        self._dependencies = Dependencies(estate)
        self._freshness = Freshness(estate, self._dependencies)
        self._engines_accepted: list[tuple[str, str]] = []
        self._suspects: dict[str, None] = {}
        self._lost: dict[str, None] = {}
        self._gateways = Answer.UNKNOWN
        self.cut_off = False
        self._records: list[Sample] = []
        self.committed: Future[None] | None = None
        self._teller = Teller(estate, policy or Policy(), self._book, self._alerts, saved)
        self._find_down()

    def follow(self, estate: Estate, alarms_with_end: Collection[str] = ()) -> None:
        """Go on by another estate: alerts, incidents and what was told of them stay.

        What a rule learned of a series stays where it still asks the same. Alerts about what is no more, or whose rule
        is no more, end with the next tick.
        """
        estate = _with_built_in(estate)
        before, self._estate = self._estate, estate
        same = {
            key for key, rule in estate.rules.items() if key in before.rules and asks_alike(before.rules[key], rule)
        }
        learned = [each for each in self._index.save() if each[0] in same]
        self._index = RuleIndex(estate)
        self._index.restore(learned)
        self._notifications = NotificationRules(estate, alarms_with_end)
        self._heard = {
            key: (replace(watch, rule=estate.rules[key[0]]), heard_ns)
            for key, (watch, heard_ns) in self._heard.items()
            if key[0] in same and estate.rules[key[0]].no_data == "raise" and is_known(watch.subject, estate)
        }
        self._dependencies = Dependencies(estate)
        self._freshness = Freshness(estate, self._dependencies)
        self._book.follow(estate, self._dependencies)
        self._teller.follow(estate, self._dependencies)
        self._find_down()

    # What comes in

    def observe(self, samples: Sequence[Sample], now_ns: int) -> list[Change]:
        """Judge samples; the changes that follow. Samples of one subject come in the order of their times."""
        steps: list[Transition] = []
        watches_of = self._index.watches
        for sample in samples:
            if sample.measurement in _SPEAKING:
                self._teller.witnesses.see(sample)
                if "fault" in sample.fields:
                    self._book.see_fault(str(subject_of(sample)), str(sample.fields["fault"]), now_ns)
            told = sample.measurement == MEASUREMENT
            for watch in self._notifications.watches(sample) if told else watches_of(sample):
                step = self._judge(watch, sample, now_ns)
                if step is not None:
                    steps.append(step)
        if not steps and not self._book.changed:
            return []
        return self._follow(steps + self._watch_ourselves(now_ns), now_ns)

    def tick(self, now_ns: int) -> list[Change]:
        """Let time pass, once a second: holds, repeats, digests, silence of a series, commands of people."""
        steps: list[Transition] = []
        for key, alert in list(self._alerts.items()):
            steps.extend(self._age(key, alert, now_ns))
        for key, (watch, heard_ns) in self._heard.items():
            if now_ns - heard_ns > self._freshness.stale_after_ns(watch.subject):
                alert = self._alerts.get(key) or Alert(watch.rule.id, key[1])
                steps.extend(self._keep(alert, *raise_for_no_data(alert, watch.rule, now_ns)))
        for alert, reading in self._notifications.fading(list(self._alerts.values()), self._estate.rules, now_ns):
            current, rule = self._alerts[alert.key], self._estate.rules[alert.rule]
            steps.extend(self._keep(current, *advance(current, rule, reading, now_ns)))
        self._carry_out_commands()
        steps.extend(self._watch_ourselves(now_ns))
        return self._follow(steps, now_ns)

    @property
    def isolated(self) -> bool:
        """True while that alarm is open; cut_off is so while it is true: history says unknown then, not down (R54)."""
        return str(ISOLATION) in self._down

    def take_suspects(self) -> tuple[str, ...]:
        """Devices to ask at once, because something that hangs on them just failed (R53); each is given once."""
        suspects, self._suspects = tuple(self._suspects), {}
        return suspects

    def take_accepted_engines(self) -> list[tuple[str, str]]:
        """Engines of senders that a person wants believed again, and who; each is given once."""
        taken, self._engines_accepted = self._engines_accepted, []
        return taken

    def save(self) -> dict[str, Any]:
        """What rules have learned of single series, as plain values; everything else is in the store."""
        return {"series": self._index.save()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what save gave, before the first sample."""
        self._index.restore(saved["series"])

    def take_lost(self) -> tuple[str, ...]:
        """Circuits and devices that a rule finds bad and nothing else explains; each is given once (R41)."""
        lost, self._lost = tuple(self._lost), {}
        return () if self.isolated else lost

    def see_gateways(self, answer: Answer, gateways: Mapping[str, Answer], now_ns: int) -> None:
        """Take whether our own gateways answer: DOWN, and monitoring is isolated from the next tick on (R54)."""
        self._gateways = answer
        self._teller.witnesses.see_gateways(gateways, now_ns)

    def see_path(self, subject: str, path: Path, now_ns: int) -> list[Change]:
        """Keep how far packets get to a subject; an incident about it has it among its evidence at once."""
        self._teller.witnesses.see_path(subject, path, now_ns)
        incident = self._book.about(subject)
        if incident is not None:
            self._book.put(replace(incident, evidence=self._teller.witnesses.about(incident)))
        return self._follow([], now_ns)

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
        self.carry_out(AuditEntry(now_ns, who, "api", "acknowledge", id_, comment))
        return self._book.incidents[id_]

    def carry_out(self, entry: AuditEntry) -> None:
        """Do what a person asks now, and keep it in the audit log.

        KeyError where there is no such incident, ValueError where nobody
        planned that maintenance.
        """
        self._do(entry)
        self._batch.audit.append(entry)
        self._follow([], entry.at_ns)

    def illustrate(self, pictures: Pictures) -> None:
        """Put pictures from a history into the mails, from now on."""
        self._teller.pictures = pictures

    def windows(self) -> dict[str, Maintenance]:
        """All windows of maintenance, by id: of the configuration, and planned by people."""
        return self._teller.windows.all()

    def stopped(self, device: str, now_ns: int) -> str | None:
        """The window of maintenance because of which the device is not to be polled now (R55)."""
        return self._teller.windows.stopped(device, now_ns)

    def resting(self, subject: Subject, now_ns: int) -> str | None:
        """The same of any subject: a service that is not to be checked, a circuit whose points get no echoes (R55)."""
        return self._teller.windows.resting(subject, now_ns)

    def take_incident_samples(self) -> list[Sample]:
        """Every incident that changed since the last call, as a sample of the measurement "incident"."""
        taken, self._records = self._records, []
        return taken

    @property
    def _batch(self) -> Batch:
        """What this step changes; one transaction."""
        return self._teller.batch

    # Judging

    def _judge(self, watch: Watch, sample: Sample, now_ns: int) -> Transition | None:
        value = value_of(sample, watch.field)
        if value is None:  # the sample is about something else; silence is found by the clock
            return None
        unusable = sample.fields.get("quality") in _NOT_A_READING
        verdict = Verdict.UNKNOWN if unusable else watch.judge(value, sample.time_ns)
        if watch.rule.no_data == "raise" and (verdict is not Verdict.UNKNOWN or watch.key not in self._heard):
            self._heard[watch.key] = (watch, sample.time_ns)
        alert = self._alerts.get(watch.key)
        if alert is None:
            if verdict is not Verdict.RAISE:
                return None
            alert = Alert(watch.rule.id, watch.key[1])
        if now_ns - sample.time_ns > old_news_ns(sample.measurement):
            return None
        steps = self._keep(alert, *advance(alert, watch.rule, Reading(verdict, value, sample.time_ns), now_ns))
        return steps[0] if steps else None

    def _watch_ourselves(self, now_ns: int) -> list[Transition]:
        """Is it us? Judged as a sample of our own, by the built-in rule or the configuration's."""
        tags = (("node", ISOLATION.id), ("part", ISOLATION.part))
        self.cut_off = self._gateways is Answer.DOWN or is_isolated(self._teller.witnesses.answering(), self._estate)
        sample = Sample("daemon", tags, {"isolated": self.cut_off}, now_ns)
        steps = (self._judge(watch, sample, now_ns) for watch in self._index.watches(sample))
        return [step for step in steps if step is not None]

    def _age(self, key: Key, alert: Alert, now_ns: int) -> list[Transition]:
        rule = self._estate.rules.get(alert.rule)
        if rule is None or not is_known(Subject.parse(alert.subject), self._estate):
            steps = self._keep(alert, *retire(alert, now_ns))
            del self._alerts[key]
            self._batch.dropped.append(key)
            return steps
        if is_spent(alert, now_ns):
            del self._alerts[key]
            self._batch.dropped.append(key)
            return []
        stale_after = self._freshness.stale_after_ns(Subject.parse(alert.subject))
        return self._keep(alert, *pass_time(alert, rule, stale_after, now_ns))

    def _keep(self, before: Alert, after: Alert, step: Transition | None) -> list[Transition]:
        if after is not before:
            self._alerts[after.key] = after
        if step is None:
            return []
        self._batch.alerts.append(after)
        return [step]

    # What follows

    def _follow(self, steps: list[Transition], now_ns: int) -> list[Change]:
        """Incidents, notices and the transaction that keep up with the steps."""
        if steps:
            self._find_down()
        changes = [self._take_in(step, now_ns) for step in steps]
        touched = [(step.rule, step.subject) for step in steps]
        self._book.refresh(self._alerts, self._down, touched, now_ns)
        for change, step in zip(changes, steps, strict=True):
            self._batch.transitions.append((step, change.incident))
        self._teller.tell(now_ns)
        self._name()
        changed = [self._book.incidents[id_] for id_ in sorted(self._book.changed)]
        self._batch.incidents.extend(changed)
        self._records.extend(incident_sample(incident, now_ns) for incident in changed)
        self._book.changed.clear()
        if self._batch:
            self.committed = self._store.submit(self._batch)
            self._teller.batch = Batch()
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
        if rule is not None and says_down(rule) and step.after in {State.PENDING, State.FIRING}:
            nodes = self._dependencies.ancestors(Subject.parse(step.subject))
            found = (node.partition("/")[2] for node in nodes if node.startswith("device/") and node not in self._down)
            self._suspects.update(dict.fromkeys(found))
        self._miss(rule, step)
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

    def _miss(self, rule: Rule | None, step: Transition) -> None:
        """Have the path looked for where something is bad that nothing above it explains."""
        subject = Subject.parse(step.subject)
        bad = rule is not None and is_fault(rule) and step.after in {State.PENDING, State.FIRING}
        if bad and subject.kind in {"circuit", "device"} and not self._dependencies.inhibitor(subject, self._down):
            self._lost[step.subject] = None

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

    # People

    def _do(self, entry: AuditEntry) -> None:
        if entry.action in REMARKS:
            incident = self._book.incidents[entry.target]
            remark = Remark(entry.action, entry.who, entry.text, entry.at_ns)
            self._book.put(replace(incident, remarks=(*incident.remarks, remark)))
        elif entry.action in WINDOW_ACTIONS:
            self._teller.windows.take(entry)
        elif entry.action in SILENCE_ACTIONS:
            self._teller.silences.take(entry)
        elif entry.action == ACCEPT_ENGINE:
            self._engines_accepted.append((entry.target, entry.who))
        else:
            raise ValueError(f"nobody knows how to {entry.action!r}")

    def _carry_out_commands(self) -> None:
        for entry in self._store.commands(self._commands_done):
            self._commands_done = entry.id
            self._batch.commands_done = entry.id
            try:
                self._do(entry)
            except (KeyError, ValueError) as error:
                log.warning("command not carried out: action=%s target=%s: %s", entry.action, entry.target, error)


def _with_built_in(estate: Estate) -> Estate:
    return estate.model_copy(update={"rules": {**BUILT_IN, **estate.rules}})
