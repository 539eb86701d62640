"""What an alert is about: one subject, named by the tags that identify a series."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from poller.estate import Circuit, Device, Estate, LineGroup, Tenant
from poller.sample import Sample
from poller.service import Service
from poller.tenants import UNATTRIBUTED

IDENTITY: Final[Mapping[str, tuple[str, ...]]] = {
    "device": ("device",),
    "interface": ("device", "interface"),
    "circuit": ("circuit",),
    "line_group": ("line_group",),
    "tenant": ("tenant", "line"),
    "service": ("service",),
    "notification": ("device", "name"),
    "forecast": ("line_group", "direction"),
    "service_level": ("subject", "kind"),
    "daemon": ("node", "part"),
}
"""The tags that name a subject, by measurement; the others only describe it. Alerts about alerts there are none."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """kind is a measurement, id the entry of the estate, part what lies within it (interface, line, notification).

    The part of a forecast is its direction, that of a service level the kind of what it is the level of.
    """

    kind: str
    id: str
    part: str = ""

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """The subject written by str(): "circuit/bo-1", "interface/sw-1/Gi0/1"; ValueError where there is no kind."""
        kind, slash, rest = text.partition("/")
        if not slash:
            raise ValueError(f"{text!r} is no subject: write KIND/ID or KIND/ID/PART")
        id_, _, part = rest.partition("/")
        return cls(kind, id_, part)

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}/{self.part}" if self.part else f"{self.kind}/{self.id}"


Named: TypeAlias = Device | Circuit | LineGroup | Tenant | Service


def entries_by_kind(estate: Estate) -> dict[str, Mapping[str, Named]]:
    """The entries of the estate that a subject's id can be, by its kind."""
    return {
        "device": estate.devices,
        "interface": estate.devices,
        "notification": estate.devices,
        "circuit": estate.circuits,
        "line_group": estate.line_groups,
        "tenant": estate.tenants,
        "service": estate.services,
        "forecast": estate.line_groups,
    }


def subject_names(estate: Estate) -> list[str]:
    """The subjects that the estate names, as text; what lies within them (interfaces) only devices tell."""
    parts: dict[str, Iterable[str]] = {
        **entries_by_kind(estate),
        "service_level": {**estate.devices, **estate.circuits, **estate.services, **estate.tenants},
        "daemon": ("self",),
    }
    return [f"{kind}/{id_}" for kind, ids in parts.items() for id_ in ids]


def is_known(subject: Subject, estate: Estate) -> bool:
    """Whether the estate still has what a subject is about; of ourselves, of strangers and of a line's rest it is."""
    entries: Mapping[str, Mapping[str, object]] = {
        "device": estate.devices,
        "interface": estate.devices,
        "circuit": estate.circuits,
        "line_group": estate.line_groups,
        "tenant": estate.tenants,
        "service": estate.services,
    }
    found = entries.get(subject.kind)
    return found is None or subject.id in found or subject.id == UNATTRIBUTED


def subject_of(sample: Sample) -> Subject | None:
    """The subject of a sample, roll-ups included; None where a measurement names none."""
    kind = sample.measurement.removesuffix("_5m")
    names = IDENTITY.get(kind)
    if names is None:
        return None
    tags = dict(sample.tags)
    if names[0] not in tags:
        return None
    return Subject(kind, *[tags.get(name, "") for name in names])
