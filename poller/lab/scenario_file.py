"""Read a scenario file: every problem at once with line and column, unknown devices and circuits included."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from poller.config.places import Document, Path_, dotted, read_document
from poller.config.problems import ConfigurationError, Place, Problem, did_you_mean
from poller.config.sentences import sentence
from poller.estate import Estate
from poller.lab.past import sustained_caps
from poller.lab.ports import make_ports
from poller.lab.scenario import EVENTS, Event, Scenario, Surge

_KIND_AT: Final = 2
"""Where in its path to an event pydantic names the event's kind, which is not written in the file."""


def load_scenario(path: Path, estate: Estate) -> Scenario:
    """The scenario for this estate; raises ConfigurationError with every problem."""
    document = read_document(path, str(path))
    problems = list(document.problems)
    if not problems:
        try:
            scenario = Scenario.model_validate(document.value)
        except ValidationError as error:
            problems = [_problem(document, detail) for detail in error.errors()]
        else:
            problems = [
                Problem(_place(document, where), dotted(where), text)
                for where, text in _strangers(scenario, estate, path)
            ]
            if not problems:
                return scenario
    raise ConfigurationError(problems)


def _strangers(scenario: Scenario, estate: Estate, path: Path) -> Iterator[tuple[Path_, str]]:
    """Names that the estate does not have, and recordings that are not there."""
    groups = {device.redundancy_group for device in estate.devices.values() if device.redundancy_group}
    known: dict[str, Collection[str]] = {
        "circuit": estate.circuits,
        "tenant": estate.tenants,
        "device": estate.devices,
        "group": groups,
        "to": estate.devices,
        "service": estate.services,
    }
    for place, event in enumerate(scenario.events):
        for field, names in known.items():
            name = getattr(event, field, None)
            if name is not None and name not in names:
                kind = {"group": "redundancy group of devices", "to": "device"}.get(field, field)
                yield ("events", place, field), f'the estate has no {kind} "{name}".{did_you_mean(name, names)}'
        yield from ((("events", place, "interface"), text) for text in _strange_interface(event, estate))
        if isinstance(event, Surge):
            yield from ((("events", place, "line"), text) for text in _strange_line(event, estate))
    for device, file in scenario.recordings.items():
        if device not in estate.devices:
            yield ("recordings", device), f'the estate has no device "{device}".{did_you_mean(device, estate.devices)}'
        if not (path.parent / file).is_file():
            yield ("recordings", device), f'there is no file "{file}" beside the scenario'


def _strange_interface(event: Event, estate: Estate) -> Iterator[str]:
    device, interface = estate.devices.get(getattr(event, "device", "")), getattr(event, "interface", None)
    if device is not None and interface is not None:
        names = [port.name for port in make_ports(estate, device)]
        if interface not in names:
            yield f'{device.id} has no interface "{interface}"; it has {", ".join(names)}'


def _strange_line(event: Surge, estate: Estate) -> Iterator[str]:
    tenant = estate.tenants.get(event.tenant)
    if tenant is None or event.line is None:
        return
    lines = list(dict.fromkeys(entry.line for entry in tenant.attachments))
    if event.line not in lines:
        hint = did_you_mean(event.line, lines)
        yield f'tenant {tenant.id} is not attached to "{event.line}"; it is to {", ".join(lines) or "none"}.{hint}'
    elif event.to_cap is not None and (tenant.id, event.line, "in") not in sustained_caps(estate):
        yield f"tenant {tenant.id} has no sustained_rate towards it on {event.line}: write times instead of to_cap"


def _problem(document: Document, detail: Any) -> Problem:  # noqa: ANN401 - pydantic_core.ErrorDetails, a mapping
    path = tuple(part for place, part in enumerate(detail["loc"]) if place != _KIND_AT or part not in EVENTS)
    key = document.keys.get(path) if detail["type"] == "extra_forbidden" else None
    return Problem(key or _place(document, path), dotted(path), _sentence(detail))


def _place(document: Document, path: Path_) -> Place:
    """The place of the value, or of the nearest thing around it that is written down."""
    for size in range(len(path), -1, -1):
        if path[:size] in document.places:
            return document.places[path[:size]]
    return Place(document.file)


def _sentence(detail: Any) -> str:  # noqa: ANN401 - as above
    kind = detail["type"]
    if kind == "union_tag_invalid":
        word = str(detail["ctx"]["tag"])
        return f'"{word}" is no event; events are {", ".join(EVENTS)}.{did_you_mean(word, EVENTS)}'
    if kind == "union_tag_not_found":
        return f"say what happens, do: one of {', '.join(EVENTS)}"
    if kind == "extra_forbidden":
        return "is no setting of this event or section"
    if kind == "missing":
        return "is missing"
    return sentence(detail)
