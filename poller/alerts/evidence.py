"""What is known about a fault: the last word of each device, interface and circuit near it, and since when."""

from collections.abc import Mapping
from typing import Final

from poller.alerts.dependencies import Dependencies
from poller.alerts.incidents import Evidence, Incident
from poller.alerts.subjects import Subject, subject_of
from poller.estate import Estate
from poller.readings import ISOLATED
from poller.sample import FieldValue, Sample

_TELLING: Final = {"device": "up", "interface": "oper_status", "circuit": "state", "service": "up"}
"""The field that speaks for a subject."""
LINES: Final = 12


class Witnesses:
    """The last value of every telling field, and since when it has been so."""

    def __init__(self, estate: Estate, dependencies: Dependencies) -> None:
        self._estate = estate
        self._dependencies = dependencies
        self._names: dict[tuple[tuple[str, str], ...], str] = {}
        self._last: dict[str, tuple[FieldValue, int]] = {}
        self._answering: dict[str, bool] = {}
        self._words: dict[str, tuple[str, str]] = {}

    def see(self, sample: Sample) -> None:
        """Take a sample in, if it tells anything."""
        if "committed_delivered" in sample.fields or sample.measurement == "service":
            said = (str(sample.fields.get("text_ja", "")), str(sample.fields.get("text_en", "")))
            self._words[str(subject_of(sample))] = said
        field = _TELLING.get(sample.measurement)
        value = sample.fields.get(field) if field is not None else None
        if value is None:
            if sample.fields.get("reason") == ISOLATED and sample.measurement == "device":
                self._answering[dict(sample.tags)["device"]] = False
            return
        name = self._names.get(sample.tags)
        if name is None:
            name = self._names[sample.tags] = str(subject_of(sample))
        before = self._last.get(name)
        if before is None or before[0] != value:
            self._last[name] = (value, sample.time_ns)
        if sample.measurement == "device":
            self._answering[name.partition("/")[2]] = value is True

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
        known = [name for name in wanted if name in self._last][:LINES]
        return tuple(self._evidence(name) for name in known)

    def _evidence(self, name: str) -> Evidence:
        field = _TELLING[name.partition("/")[0]]
        return Evidence(name, field, *self._last[name], words=self._words.get(name, ("", "")))

    def _near(self, subject: Subject) -> list[str]:
        """The subject and what speaks for or against it, nearest first."""
        if subject.kind == "line_group":
            circuits = self._dependencies.circuits_of(subject.id)
            return [name for circuit in circuits for name in self._near(Subject("circuit", circuit))]
        subject = self._dependencies.standing_for(subject)
        near = [str(subject)]
        group = self._dependencies.group_of(subject)
        circuit = self._estate.circuits.get(subject.id) if subject.kind == "circuit" else None
        if circuit is not None:
            measured = circuit.measured_by
            near += [f"interface/{measured.device}/{measured.interface}", f"device/{measured.device}"]
        else:
            near += self._dependencies.ancestors(subject)[:4]
        return near + list(self._dependencies.members(group) if group is not None else ())
