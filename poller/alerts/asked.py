"""What people ask for, checked and made into entries of the audit log: one way for the command line and the HTTP API.

Each function answers with an entry, or raises Unfit with a sentence for whoever asked. Pure; who asks, from where, and
when, comes with a Person.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from pydantic import ValidationError

from poller.alerts.records import AuditEntry
from poller.alerts.servicelevel import DECISIONS
from poller.alerts.states import SECOND
from poller.alerts.subjects import subject_names
from poller.config.problems import did_you_mean
from poller.estate import Estate, Maintenance

LONGEST_TEXT: Final = 2000
LONGEST_SILENCE: Final = 366 * 86400.0
_LINES: Final[Mapping[str, str]] = {
    "device": "devices",
    "circuit": "circuits",
    "line_group": "line_groups",
    "tenant": "tenants",
    "service": "services",
    "site": "sites",
    "role": "roles",
}
"""Kinds that a window may be about, and the selector's line of each."""


class Unfit(ValueError):  # noqa: N818 - it says what the request is
    """The request cannot be carried out; the text says why, in a sentence."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, from where ("command line, noc-1" or "api, 192.0.2.7"), and when."""

    who: str
    origin: str
    at_ns: int


def remark(action: str, incident: str, text: str, person: Person) -> AuditEntry:
    """Acknowledge, comment, note the second notice, or say why an incident is left out of the service level."""
    if action == "comment" and not text.strip():
        raise Unfit("there is nothing to note: the text is empty")
    if action == "exclude" and text.split(maxsplit=1)[:1] not in [[each] for each in DECISIONS]:
        raise Unfit(f"the text begins with why it is left out: {', '.join(DECISIONS)} (it counts)")
    return _entry(action, incident, text, person)


def silence(target: str, seconds: float, text: str, person: Person, estate: Estate) -> AuditEntry:
    """No mails about an incident (its id) or subjects ("circuit/bo-*") for so long; 0 seconds end a silence."""
    if not 0 <= seconds <= LONGEST_SILENCE:
        raise Unfit("a silence lasts for at most a year")
    known = subject_names(estate)
    if seconds and "/" in target and not any(may_match(target, name) for name in known):
        raise Unfit(f"{target!r} is no subject of this configuration.{did_you_mean(target, known)}")
    action = "silence" if seconds else "unsilence"
    return _entry(action, target, text, person, until_ns=person.at_ns + int(seconds * SECOND))


def maintenance(wanted: Mapping[str, Any], person: Person, estate: Estate) -> AuditEntry:
    """Plan a window: the settings of poller.estate.Maintenance; where is a list of subjects ("device/dns-*").

    An id that people used before is planned anew.
    """
    asked = dict(wanted)
    names = asked.pop("where", [])
    if not isinstance(names, list) or not names:
        raise Unfit('where is missing: what is worked on, such as ["device/dns-*"]')
    try:
        name = asked.get("name") or asked.get("id")
        asked["name"] = {"ja": name, "en": name} if isinstance(name, str) else name
        window = Maintenance.model_validate(asked | {"where": _selector(names, estate)})
    except ValidationError as error:
        first = error.errors()[0]
        raise Unfit(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if window.id in estate.maintenance:
        raise Unfit(f"{window.id!r} is a window of the configuration; choose another id")
    start, end = (_moment(name, getattr(window, name)) for name in ("start", "end"))
    if end <= start:
        raise Unfit("end is not after start")
    unknown = [contact for contact in window.contacts if contact not in estate.contacts]
    if unknown:
        raise Unfit(f"there is no contact {unknown[0]!r}.{did_you_mean(unknown[0], estate.contacts)}")
    return _entry("maintenance", window.id, window.model_dump_json(), person)


def end_maintenance(id_: str, text: str, person: Person, windows: Mapping[str, Maintenance]) -> AuditEntry:
    """End a window that people planned; what is still bad is told within a minute."""
    if id_ not in windows:
        raise Unfit(f"there is no maintenance {id_!r}.{did_you_mean(id_, windows)}")
    return _entry("end_maintenance", id_, text, person)


def may_match(pattern: str, name: str) -> bool:
    """True where the pattern matches the subject, or something within it (an interface, a tenant's line)."""
    kind, _, rest = pattern.partition("/")
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{kind}/{rest.partition('/')[0]}")


def _selector(names: Iterable[str], estate: Estate) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    tables: Mapping[str, Iterable[str]] = {
        "role": {device.role.value for device in estate.devices.values()},
        "site": estate.sites,
        **{kind: getattr(estate, line) for kind, line in _LINES.items() if kind not in {"role", "site"}},
    }
    for name in names:
        kind, slash, pattern = str(name).partition("/")
        if not slash or kind not in _LINES:
            raise Unfit(f"{name!r}: write KIND/ID, KIND is one of {', '.join(_LINES)}")
        if not any(fnmatchcase(known, pattern) for known in tables[kind]):
            raise Unfit(f"no {kind.replace('_', ' ')} matches {pattern!r}.{did_you_mean(pattern, list(tables[kind]))}")
        lines.setdefault(_LINES[kind], []).append(pattern)
    return lines


def _moment(name: str, text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M")  # noqa: DTZ007 - local time of the organisation
    except ValueError:
        raise Unfit(f'{name}: {text!r} is no time: write "2026-11-21 22:00"') from None


def _entry(action: str, target: str, text: str, person: Person, until_ns: int | None = None) -> AuditEntry:
    if not person.who.strip():
        raise Unfit("who is missing: the audit log needs a name")
    if len(text) > LONGEST_TEXT and action != "maintenance":
        raise Unfit(f"the text is longer than {LONGEST_TEXT} characters")
    return AuditEntry(person.at_ns, person.who.strip(), person.origin, action, target, text, until_ns=until_ns)
