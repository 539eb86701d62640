"""From alerts to incidents: alerts with one cause are one incident (R53, R56, R58).

An alert that fires joins the open incident of whatever inhibits it (its parent is down), else the open incident with
the same anchor (group, circuit, device) and family (fault or load), else it opens one. A parent that fires after its
children, before anything was told about them, takes their incident over as its root.

Severity is the rule's, lowered to minor while the subject's active/standby pair still serves (a standby that took over
is minor), and raised to serious once its redundancy group no longer serves (no redundancy left is serious). An incident
is as severe as its worst alert that is active and not inhibited.

An incident closes when none of its alerts is active. A child that is still firing `RECHECK` after its parent
recovered, by a reading from after the recovery, leaves for an incident of its own, and is told.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.dependencies import Affected, Dependencies, is_fault, redundancy_tells, says_down, standby_helps
from poller.alerts.incident import RANK, Evidence, Incident, Member, Remark, Told, is_worse
from poller.alerts.isolation import ISOLATION
from poller.alerts.places import Places
from poller.alerts.rules import Key
from poller.alerts.states import SECOND, Alert
from poller.alerts.subjects import Subject
from poller.estate import Estate, Rule, Scope, Severity

__all__ = ["Evidence", "Incident", "IncidentBook", "Member", "Remark", "Told", "incident_id", "is_worse"]
RECHECK: Final = 180 * SECOND
STEADY: Final = 20 * SECOND
"""Longer than the verdicts on several points of one circuit are apart (probes.icmp_track)."""
_SIDES: Final = frozenset({"inside", "outside", "undetermined"})


def _still_so(member: Member, alert: Alert | None, now_ns: int) -> bool:
    """True where a member is bad by a reading from after its parent's recovery, and had its time."""
    if member.freed_ns is None or member.resolved_ns is not None or alert is None:
        return False
    return now_ns - member.freed_ns >= RECHECK and alert.raised and alert.seen_ns > member.freed_ns


def incident_id(at_ns: int, number: int, zone: ZoneInfo) -> str:
    """An id such as 2026-1121-003: the local date and the day's number."""
    return f"{datetime.fromtimestamp(at_ns // SECOND, zone):%Y-%m%d}-{number:03}"


class IncidentBook:
    """The incidents that are open, and the lately closed; time is given, nothing is read or written here."""

    def __init__(self, estate: Estate, incidents: Mapping[str, Incident] | None = None) -> None:
        self._estate = estate
        self._zone = ZoneInfo(estate.organisation.timezone)
        self._dependencies = Dependencies(estate)
        self.incidents: dict[str, Incident] = {}
        self.changed: set[str] = set()
        self._places = Places()
        self._number: tuple[str, int] = ("", 0)
        self._faults: dict[str, str] = {}
        self._doubts: dict[str, tuple[str, int]] = {}
        for id_, incident in (incidents or {}).items():
            self.put(incident)
            self.reserve(id_)
        self.changed.clear()

    def follow(self, estate: Estate, dependencies: Dependencies) -> None:
        """Judge causes by another estate; incidents stay as they are until something of theirs changes."""
        self._estate, self._dependencies = estate, dependencies
        self._zone = ZoneInfo(estate.organisation.timezone)

    def reserve(self, used: str) -> None:
        """Never give out an id up to this one again."""
        day, _, number = used.rpartition("-")
        self._number = max(self._number, (day, int(number)))

    def open_incidents(self) -> list[Incident]:
        """Open incidents, the worst and oldest first."""
        found = [self.incidents[id_] for id_ in self._places.open]
        return sorted(found, key=lambda incident: (-RANK[incident.severity], incident.begun_ns, incident.id))

    def of(self, key: Key) -> Incident | None:
        """The open incident that an alert belongs to."""
        return self._at(self._places.by_key.get(key))

    def put(self, incident: Incident) -> None:
        """Keep the incident, and remember that it changed."""
        before = self.incidents.get(incident.id)
        if before != incident:
            self.incidents[incident.id] = incident
            self.changed.add(incident.id)
            self._places.move(before, incident)

    def about(self, subject: str) -> Incident | None:
        """The open incident of faults in which a subject is bad."""
        return self._at(self._places.by_subject.get(subject))

    def see_fault(self, subject: str, fault_class: str, at_ns: int) -> None:
        """Take whose fault the points of a circuit say it is (poller.faults).

        Points fall silent one by one, and return so: an incident that is older than STEADY keeps its class until
        another has held for as long.
        """
        names = self._with_lines(subject)
        found = [id_ for name in names if (id_ := self._places.by_subject.get(name)) is not None]
        if fault_class == "none" and not found:
            self._faults.pop(subject, None)
        if fault_class not in _SIDES or self._faults.get(subject) == fault_class:
            self._doubts.pop(subject, None)
            return
        doubt, since_ns = self._doubts.get(subject, ("", 0))
        settled = any(at_ns - self.incidents[id_].opened_ns >= STEADY for id_ in found)
        if settled and subject in self._faults and (doubt != fault_class or at_ns - since_ns < STEADY):
            if doubt != fault_class:
                self._doubts[subject] = (fault_class, at_ns)
            return
        self._faults[subject] = fault_class
        self._doubts.pop(subject, None)
        self.changed.update(found)

    def _with_lines(self, circuit: str) -> list[str]:
        lines = self._dependencies.lines_over(circuit.partition("/")[2])
        return [circuit, *(f"line_group/{line}" for line in lines)]

    def _at(self, id_: str | None) -> Incident | None:
        return None if id_ is None else self.incidents[id_]

    def fire(self, alert: Alert, rule: Rule, down: AbstractSet[str], now_ns: int) -> str:
        """Take a firing alert in; the id of its incident."""
        subject = Subject.parse(alert.subject)
        inhibitor = self._dependencies.inhibitor(subject, down) if is_fault(rule) else None
        member = Member(alert.rule, alert.subject, rule.severity, alert.since_ns, alert.value, inhibited_by=inhibitor)
        incident = self.of(alert.key) or self._cause(inhibitor) or self._same_anchor(subject, rule)
        if incident is None:
            incident = self._take_over(member, down) if says_down(rule) else None
        if incident is None:
            incident = self._open(member, rule, now_ns)
        else:
            others = tuple(other for other in incident.members if other.key != member.key)
            incident = replace(incident, members=(*others, member))
        self.put(incident)
        return incident.id

    def resolve(self, alert: Alert, now_ns: int) -> str | None:
        """Mark the alert's member as resolved; the id of its incident."""
        incident = self.of(alert.key)
        if incident is None:
            return None
        members = tuple(
            replace(m, resolved_ns=alert.resolved_ns or now_ns) if m.key == alert.key and m.resolved_ns is None else m
            for m in incident.members
        )
        self.put(replace(incident, members=members))
        return incident.id

    def refresh(
        self, alerts: Mapping[Key, Alert], down: AbstractSet[str], touched: Iterable[Key], now_ns: int
    ) -> list[tuple[Key, str]]:
        """Bring the open incidents up to what is true now; touched are the alerts that just changed.

        Only those are looked at that changed, that hang on something that did, or that wait for a second look at their
        children. Returns the children that left their parent's incident, with the ids of their own.
        """
        moved: list[tuple[Key, str]] = []
        for incident in self._concerned(list(touched)):
            freed, left = self._free(incident, alerts, down, now_ns)
            for member in left:
                rule = self._estate.rules.get(member.rule)
                alert = alerts.get(member.key)
                if rule is not None and alert is not None:
                    self.put(replace(freed, members=tuple(m for m in freed.members if m.key != member.key)))
                    freed = self.incidents[freed.id]
                    moved.append((member.key, self.fire(alert, rule, down, now_ns)))
            self.put(self._settle(self.incidents.get(freed.id, freed) if left else freed, alerts, down, now_ns))
        for _, id_ in moved:
            self.put(self._settle(self.incidents[id_], alerts, down, now_ns))
        return moved

    def _concerned(self, touched: list[Key]) -> list[Incident]:
        ids = {*self.changed, *self._places.freed, *filter(None, map(self._places.by_key.get, touched))}
        ids &= self._places.open.keys()
        carriers = {subject for _, subject in touched if self._dependencies.carries(subject)}
        if carriers:
            for incident in self.open_incidents():
                if str(ISOLATION) in carriers or any(
                    not carriers.isdisjoint(self._dependencies.ancestors(Subject.parse(member.subject)))
                    for member in incident.active
                ):
                    ids.add(incident.id)
        return [incident for incident in self.open_incidents() if incident.id in ids] if ids else []

    def _free(
        self, incident: Incident, alerts: Mapping[Key, Alert], down: AbstractSet[str], now_ns: int
    ) -> tuple[Incident, list[Member]]:
        """The incident with its members' inhibition as it is now, and the members that must be told by themselves."""
        members = tuple(self._reconsider(member, down, now_ns) for member in incident.members)
        leaving = [
            member
            for member in members
            if member.key != incident.root and _still_so(member, alerts.get(member.key), now_ns)
        ]
        stays = tuple(
            replace(member, freed_ns=None)
            if member.key == incident.root and _still_so(member, alerts.get(member.key), now_ns)
            else member
            for member in members
        )
        return replace(incident, members=stays), leaving

    def _reconsider(self, member: Member, down: AbstractSet[str], now_ns: int) -> Member:
        """The member, inhibited by whatever explains it now."""
        rule = self._estate.rules.get(member.rule)
        if member.resolved_ns is not None or rule is None or not is_fault(rule):
            return member
        inhibitor = self._dependencies.inhibitor(Subject.parse(member.subject), down)
        if inhibitor is not None:
            return replace(member, inhibited_by=inhibitor, freed_ns=None)
        freed = now_ns if member.inhibited_by is not None else member.freed_ns
        return replace(member, inhibited_by=None, freed_ns=freed)

    def _settle(self, incident: Incident, alerts: Mapping[Key, Alert], down: AbstractSet[str], now_ns: int) -> Incident:
        """The incident with severity, scope, affected and end worked out from its members."""
        active = incident.active
        if not active:
            return replace(incident, closed_ns=now_ns, flapping=False)
        telling = [m for m in active if m.inhibited_by is None and m.freed_ns is None]
        severities = {member.key: self.severity(member, down) for member in telling}
        severity, root = incident.severity, incident.root
        if severities:
            severity = max(severities.values(), key=RANK.__getitem__)
            by_rule = {member.key for member in telling if member.severity is severity}
            if severities.get(root) is not severity or (by_rule and root not in by_rule):
                root = next(
                    key for key, each in severities.items() if each is severity and (key in by_rule or not by_rule)
                )
        ourselves = Subject.parse(root[1]).kind == "daemon"
        reached = self._dependencies.affected([] if ourselves else [Subject.parse(m.subject) for m in active], down)
        before = incident.affected
        return replace(
            incident,
            root=root,
            scope=self._scope(Subject.parse(root[1])) if self._faults else incident.scope,
            severity=severity,
            first_serious_ns=incident.first_serious_ns or (now_ns if severity is Severity.SERIOUS else None),
            serious_since_ns=(incident.serious_since_ns or now_ns) if severity is Severity.SERIOUS else None,
            worst=severity if is_worse(severity, incident.worst) else incident.worst,
            affected=Affected(
                tuple(dict.fromkeys((*before.tenants, *reached.tenants))),
                tuple(dict.fromkeys((*before.services, *reached.services))),
                tuple(dict.fromkeys((*before.circuits, *reached.circuits))),
            ),
            redundancy_left=self._redundancy_left(incident, down),
            flapping=any(alerts[m.key].flapping_since_ns is not None for m in active if m.key in alerts),
        )

    def severity(self, member: Member, down: AbstractSet[str]) -> Severity:
        """The rule's severity, moved by what redundancy is left (R56, R64a)."""
        rule = self._estate.rules.get(member.rule)
        group = self._dependencies.group_of(Subject.parse(member.subject))
        if rule is None or group is None or not standby_helps(rule) or member.severity is Severity.NOTICE:
            return member.severity
        if self._dependencies.serves(group, down):
            took_over = group.mode == "active_standby" and member.severity is Severity.SERIOUS
            return Severity.MINOR if took_over else member.severity
        return Severity.SERIOUS if says_down(rule) else member.severity

    def _redundancy_left(self, incident: Incident, down: AbstractSet[str]) -> bool:
        """True where another carries in the place of what is down; of other faults redundancy says nothing."""
        rule = self._estate.rules.get(incident.root[0])
        if rule is None or not redundancy_tells(rule):
            return False
        group = self._dependencies.group_of(Subject.parse(incident.root[1]))
        return group is not None and self._dependencies.serves(group, down)

    def _cause(self, inhibitor: str | None) -> Incident | None:
        return None if inhibitor is None else self._at(self._places.by_subject.get(inhibitor))

    def _same_anchor(self, subject: Subject, rule: Rule) -> Incident | None:
        fault = is_fault(rule)
        found = self._at(self._places.by_anchor.get((self._dependencies.anchor(subject), fault)))
        if found is None and subject.kind == "line_group" and fault:
            circuits = (f"circuit/{circuit}" for circuit in self._dependencies.circuits_of(subject.id))
            found = self._at(next(filter(None, map(self._places.by_subject.get, circuits)), None))
        return found

    def _take_over(self, member: Member, down: AbstractSet[str]) -> Incident | None:
        """Untold incidents that this alert explains become one, with this alert as root."""
        if not self._dependencies.carries(member.subject):
            return None
        explained = [
            incident
            for incident in self.open_incidents()
            if incident.fault
            and incident.told.first_ns is None
            and all(self._dependencies.inhibitor(Subject.parse(m.subject), down) for m in incident.active)
        ]
        if not explained:
            return None
        kept, *merged = sorted(explained, key=lambda incident: incident.id)
        for incident in merged:
            self.put(replace(incident, closed_ns=incident.opened_ns, merged_into=kept.id, members=incident.members))
        members = tuple(member for incident in explained for member in incident.members)
        subject = Subject.parse(member.subject)
        anchor = self._dependencies.anchor(subject)
        began = min(member.since_ns, kept.begun_ns)
        return replace(
            kept, anchor=anchor, root=member.key, begun_ns=began, members=members, scope=self._scope(subject)
        )

    def _open(self, member: Member, rule: Rule, now_ns: int) -> Incident:
        day = incident_id(now_ns, 0, self._zone)[:9]
        number = self._number[1] + 1 if self._number[0] == day else 1
        id_ = f"{day}-{number:03}"
        self.reserve(id_)
        subject = Subject.parse(member.subject)
        return Incident(
            id=id_,
            anchor=self._dependencies.anchor(subject),
            fault=is_fault(rule),
            root=member.key,
            begun_ns=member.since_ns,
            opened_ns=now_ns,
            severity=member.severity,
            worst=Severity.NOTICE,
            members=(member,),
            scope=self._scope(subject),
        )

    def _scope(self, subject: Subject) -> str:
        """Which side of the demarcation point: what the points of a circuit say, else the estate."""
        subject = self._dependencies.standing_for(subject)
        if subject.kind == "circuit" and subject.id in self._estate.circuits:
            return self._faults.get(str(subject), self._estate.circuits[subject.id].scope.value)
        if subject.kind in {"device", "interface", "notification"} and subject.id in self._estate.devices:
            return self._estate.devices[subject.id].scope.value
        if subject.kind == "line_group":
            circuits = self._dependencies.circuits_of(subject.id)
            scopes = {self._scope(Subject("circuit", circuit)) for circuit in circuits}
            return scopes.pop() if len(scopes) == 1 else "undetermined"
        return Scope.INSIDE.value if subject.kind in {"service", "daemon"} else "undetermined"
