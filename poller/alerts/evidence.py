"""What is known about a fault: the last word of each device, interface and circuit near it, and since when.

Besides: how far packets get, what the failing devices told by themselves (traps, informs) lately, and where a line is
at fault, how the other lines are (poller.alerts.otherlines).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from poller.alerts.dependencies import Dependencies
from poller.alerts.incidents import Evidence, Incident
from poller.alerts.isolation import ISOLATION
from poller.alerts.otherlines import OTHER_LINE, load_words
from poller.alerts.subjects import Subject, is_known, subject_of
from poller.estate import Estate
from poller.faults import Answer
from poller.readings import ISOLATED
from poller.sample import FieldValue, Sample
from probes.path import Path

_TELLING: Final[Mapping[str, tuple[str, ...]]] = {
    "device": ("up",),
    "interface": ("oper_status",),
    "circuit": ("state", "near", "far", "beyond"),
    "service": ("up",),
    "gateway": ("up",),
}
"""The fields that speak for a subject, in the order of telling."""
PATH: Final = "path"
NOTIFICATION: Final = "notification"
TOLD_LINES: Final = 4
TOLD_KEPT: Final = 16
"""Notifications of one device that are remembered, each alarm once with its last time."""
TOLD_BEFORE_NS: Final = 300 * 10**9
"""A notification that came earlier than this before its incident began has nothing to do with it."""
LINES: Final = 12
FRESH_NS: Final = 900 * 10**9
"""A path found earlier than this before its incident began is of another fault."""


class Witnesses:
    """The last value of every telling field, and since when it has been so."""

    def __init__(self, estate: Estate, dependencies: Dependencies) -> None:
        self._estate = estate
        self._dependencies = dependencies
        self._names: dict[tuple[tuple[str, str], ...], str] = {}
        self._last: dict[tuple[str, str], tuple[FieldValue, int]] = {}
        self._answering: dict[str, bool] = {}
        self._gateways: tuple[str, ...] = ()
        self._paths: dict[str, tuple[str, int]] = {}
        self._words: dict[str, tuple[str, str]] = {}
        self._told: dict[str, dict[str, Evidence]] = {}
        self._lines: dict[str, dict[str, FieldValue]] = {}

    def follow(self, estate: Estate, dependencies: Dependencies) -> None:
        """Go on with what another estate names; what was seen of the others is forgotten."""
        self._estate, self._dependencies = estate, dependencies
        self._answering = {device: up for device, up in self._answering.items() if device in estate.devices}
        self._last = {key: each for key, each in self._last.items() if is_known(Subject.parse(key[0]), estate)}

    def see(self, sample: Sample) -> None:
        """Take a sample in, if it tells anything."""
        if sample.measurement == NOTIFICATION:
            self._see_notification(sample)
            return
        if sample.measurement == "line_group":
            self._lines.setdefault(sample.tags[0][1], {}).update(sample.fields, at_ns=sample.time_ns)
            return
        if "committed_delivered" in sample.fields or sample.measurement == "service":
            said = (str(sample.fields.get("text_ja", "")), str(sample.fields.get("text_en", "")))
            self._words[str(subject_of(sample))] = said
        if sample.measurement == "device":
            self._see_answer(sample)
        for field in _TELLING.get(sample.measurement, ()):
            value = sample.fields.get(field)
            if value is not None:
                name = self._names.get(sample.tags)
                if name is None:
                    name = self._names[sample.tags] = str(subject_of(sample))
                self._note(name, field, value, sample.time_ns)

    def _see_notification(self, sample: Sample) -> None:
        tags = dict(sample.tags)
        device, name, text = tags.get("device", ""), tags.get("name", ""), str(sample.fields.get("text", ""))
        alarm = f"{name} {str(sample.fields.get('alarm', '')).partition(' ')[2]}".rstrip()
        told = self._told.setdefault(device, {})
        told.pop(alarm, None)
        told[alarm] = Evidence(f"device/{device}", NOTIFICATION, alarm, sample.time_ns, words=(text, text))
        if len(told) > TOLD_KEPT:
            del told[next(iter(told))]

    def _see_answer(self, sample: Sample) -> None:
        up = sample.fields.get("up")
        if up is not None or sample.fields.get("reason") == ISOLATED:
            self._answering[dict(sample.tags)["device"]] = up is True

    def _note(self, name: str, field: str, value: FieldValue, at_ns: int) -> None:
        before = self._last.get((name, field))
        if before is None or before[0] != value:
            self._last[name, field] = (value, at_ns)

    def see_gateways(self, gateways: Mapping[str, Answer], now_ns: int) -> None:
        """Take what our own gateways say; one of which nothing is known says nothing."""
        self._gateways = tuple(f"gateway/{gateway}" for gateway in gateways)
        for gateway, answer in gateways.items():
            if answer is not Answer.UNKNOWN:
                self._note(f"gateway/{gateway}", "up", answer is Answer.UP, now_ns)

    def see_path(self, subject: str, path: Path, now_ns: int) -> None:
        """Take how far packets get to a subject."""
        self._paths[subject] = (path_words(path), now_ns)

    def answering(self) -> Mapping[str, bool]:
        """Devices that were heard of, and whether they answered."""
        return self._answering

    def about(self, incident: Incident) -> tuple[Evidence, ...]:
        """What is known now: of the root, of what it hangs on and of its redundancy group, then of the other causes."""
        wanted: dict[str, None] = {}
        members = sorted(incident.members, key=lambda member: member.key != incident.root)
        for member in members:
            if member.inhibited_by is None or member.key == incident.root:
                wanted.update(dict.fromkeys(self._near(Subject.parse(member.subject))))
        if Subject.parse(incident.root[1]) == ISOLATION:
            wanted.update(dict.fromkeys(self._gateways))
        found = [each for name in wanted for each in self._known_of(name, incident.begun_ns)]
        causes = [Subject.parse(member.subject) for member in members if member.inhibited_by is None]
        return (*found[:LINES], *self._told_near(causes, incident), *self._other_lines(causes, incident))

    def _other_lines(self, causes: Iterable[Subject], incident: Incident) -> Iterator[Evidence]:
        """The other lines of the tenants reached, where a line is the cause: what a detour could use."""
        broken = {
            circuit
            for cause in causes
            if cause.kind in {"circuit", "line_group"}
            for circuit in self._dependencies.circuits_of(cause.id)
        }
        tenants = [self._estate.tenants[id_] for id_ in incident.affected.tenants if id_ in self._estate.tenants]
        lines = dict.fromkeys(attachment.line for tenant in tenants for attachment in tenant.attachments)
        for line in lines if broken else ():
            known = self._lines.get(line, {})
            if "state" in known and broken.isdisjoint(self._dependencies.circuits_of(line)):
                at_ns = int(known.get("at_ns", 0))
                yield Evidence(f"line_group/{line}", OTHER_LINE, known["state"], at_ns, words=load_words(known))

    def _told_near(self, causes: Iterable[Subject], incident: Incident) -> list[Evidence]:
        """What the failing devices and their partners told by themselves, oldest first.

        From shortly before it began until it ended; what their parents tell meanwhile is about something else.
        """
        devices = dict.fromkeys(device for cause in causes for device in self._devices_of(cause))
        since, until = incident.begun_ns - TOLD_BEFORE_NS, incident.ended_ns
        told: list[Evidence] = []
        for device in devices:
            kept = reversed(self._told.get(device, {}).values())
            told += [each for each in kept if since <= each.at_ns <= (until or each.at_ns) + TOLD_BEFORE_NS]
        return sorted(told[:TOLD_LINES], key=lambda each: each.at_ns)

    def _devices_of(self, subject: Subject) -> Iterator[str]:
        """The devices on which a subject stands, and those of its redundancy group; for a line, of its circuits."""
        if subject.kind in {"notification", "interface"}:
            yield subject.id
        subject = self._dependencies.standing_for(subject)
        lines = [f"circuit/{each}" for each in self._dependencies.circuits_of(subject.id)]
        group = self._dependencies.group_of(subject)
        names = lines if subject.kind == "line_group" else [str(subject)]
        for name in (*names, *(self._dependencies.members(group) if group is not None else ())):
            found = Subject.parse(name)
            if found.kind == "device":
                yield found.id
            elif found.kind == "circuit" and found.id in self._estate.circuits:
                yield self._estate.circuits[found.id].measured_by.device

    def _probed_circuits(self, subject: Subject) -> list[str]:
        """The circuits that end on a device, where anything is known of their points."""
        circuits = [
            f"circuit/{each.id}" for each in self._estate.circuits.values() if each.measured_by.device == subject.id
        ]
        return [name for name in circuits if subject.kind == "device" and (name, "far") in self._last]

    def _known_of(self, name: str, begun_ns: int) -> list[Evidence]:
        fields = [each for each in _TELLING.get(name.partition("/")[0], ()) if (name, each) in self._last]
        words = self._words.get(name, ("", ""))
        found = [
            Evidence(name, field, *self._last[name, field], words=words if number == 0 else ("", ""))
            for number, field in enumerate(fields)
        ]
        path, at_ns = self._paths.get(name, ("", 0))
        if path and at_ns >= begun_ns - FRESH_NS:
            found.append(Evidence(name, PATH, path, at_ns))
        return found

    def _near(self, subject: Subject) -> list[str]:
        """The subject and what speaks for or against it, nearest first."""
        if subject.kind == "line_group":
            circuits = self._dependencies.circuits_of(subject.id)
            return [name for circuit in circuits for name in self._near(Subject("circuit", circuit))]
        subject = self._dependencies.standing_for(subject)
        if subject.kind == NOTIFICATION:
            subject = Subject("device", subject.id)
        near = [str(subject)]
        group = self._dependencies.group_of(subject)
        circuit = self._estate.circuits.get(subject.id) if subject.kind == "circuit" else None
        if circuit is not None:
            measured = circuit.measured_by
            near += [f"interface/{measured.device}/{measured.interface}", f"device/{measured.device}"]
        else:
            near += self._dependencies.ancestors(subject)[:4]
            near += self._probed_circuits(subject)
        return near + list(self._dependencies.members(group) if group is not None else ())


def path_words(path: Path) -> str:
    """A path as it is kept in the store: "icmp passed 3 192.0.2.1; udp none; tcp/443 reached 5 198.51.100.9"."""
    parts = []
    for found in path.ways:
        way = f"{found.way}" if found.port is None else f"{found.way}/{found.port}"
        hop = found.last
        parts.append(f"{way} none" if hop is None else f"{way} {hop.said} {hop.ttl} {hop.address}")
    return "; ".join(parts)
