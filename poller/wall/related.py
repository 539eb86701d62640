"""What hangs together with one thing, for the links on its page. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from poller.estate import Estate


def related(estate: Estate, kind: str, key: str) -> list[dict[str, Any]]:
    """Kind, id and name of what it carries, belongs to or stands beside; none of a tenant, who reads its own page."""
    found: dict[tuple[str, str], None] = {}
    if kind == "device":
        found.update(dict.fromkeys(_of_device(estate, key)))
    elif kind == "circuit":
        circuit = estate.circuits[key]
        found["device", circuit.measured_by.device] = None
        found.update(_groups_of(estate, key))
        found.update(
            (("circuit", other.id), None)
            for other in estate.circuits.values()
            if other.id != key and circuit.redundancy_group and other.redundancy_group == circuit.redundancy_group
        )
    elif kind == "line_group":
        for member in estate.line_groups[key].members:
            found["circuit" if member in estate.circuits else "line_group", member] = None
        found.update(_groups_of(estate, key))
    names: Mapping[str, Mapping[str, Any]] = {
        "device": estate.devices,
        "circuit": estate.circuits,
        "line_group": estate.line_groups,
        "tenant": estate.tenants,
    }
    return [
        {"kind": kind, "id": id_, "name": {"ja": thing.name.ja, "en": thing.name.en}}
        for kind, id_ in found
        if (thing := names[kind].get(id_)) is not None
    ]


def _of_device(estate: Estate, key: str) -> Iterable[tuple[str, str]]:
    device = estate.devices[key]
    for other in estate.devices.values():
        if other.id != key and device.redundancy_group and other.redundancy_group == device.redundancy_group:
            yield "device", other.id
    for circuit in estate.circuits.values():
        if circuit.measured_by.device == key:
            yield "circuit", circuit.id
    for tenant in estate.tenants.values():
        if any(each.device == key for each in tenant.attachments):
            yield "tenant", tenant.id
    for parent in device.parents:
        if parent in estate.devices:
            yield "device", parent


def _groups_of(estate: Estate, member: str) -> dict[tuple[str, str], None]:
    return {("line_group", group.id): None for group in estate.line_groups.values() if member in group.members}
