"""What no single setting can tell: every reference leads somewhere, nothing runs in a circle, nothing stands twice.

check_references notes problems in the tree and returns warnings. Each check reads one kind of thing.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final

from poller.config.accesscheck import check_access
from poller.config.places import Path_, dotted
from poller.config.problems import Problem, did_you_mean
from poller.config.rulecheck import check_calendars, check_maintenance, check_rotations, check_rules
from poller.config.servicecheck import check_services
from poller.estate import Credentials, Estate, MeasuredBy

if TYPE_CHECKING:
    from poller.config.loading import Tree

_SECTION_OF: Final = {
    "site": "sites",
    "credentials": "credentials",
    "device": "devices",
    "redundancy group": "redundancy_groups",
    "circuit": "circuits",
    "line group": "line_groups",
    "contact": "contacts",
    "calendar": "calendars",
}


def check_references(estate: Estate, tree: "Tree", profiles: Collection[str]) -> list[Problem]:
    """Note every broken reference; the warnings are what works but should not stay so (R8)."""
    check = _Check(estate, tree)
    _check_devices(check, profiles)
    _check_redundancy(check)
    _check_circuits(check)
    _check_line_groups(check)
    _check_tenants(check)
    _check_services_and_contacts(check)
    _check_notifications(check)
    _check_rotations(check)
    check_rules(estate, tree)
    check_calendars(estate, tree)
    check_maintenance(estate, tree)
    check_rotations(estate, tree)
    check_access(estate, tree)
    return _check_credentials(check)


class _Check:
    """The estate and its tree, with the questions that all checks ask."""

    def __init__(self, estate: Estate, tree: "Tree") -> None:
        self.estate = estate
        self.tree = tree

    def known(self, path: Path_, kinds: Sequence[str], word: str) -> bool:
        """Whether the word names one of these kinds; notes a problem where it does not."""
        sections = [getattr(self.estate, _SECTION_OF[kind]) for kind in kinds]
        if any(word in section for section in sections):
            return True
        names = [name for section in sections for name in section]
        text = f"there is no {' or '.join(kinds)} {word!r}.{did_you_mean(word, names)}"
        self.tree.add(path, text.removesuffix(".") if text.endswith("'.") else text)
        return False

    def measured(self, path: Path_, measured_by: MeasuredBy) -> None:
        """The interface's device must exist."""
        self.known((*path, "device"), ("device",), measured_by.device)


def _check_devices(check: _Check, profiles: Collection[str]) -> None:
    tree = check.tree
    seen: dict[tuple[object, int], Path_] = {}
    for key, device in check.estate.devices.items():
        path: Path_ = ("devices", key)
        check.known((*path, "site"), ("site",), device.site)
        if device.credentials is not None:
            check.known((*path, "credentials"), ("credentials",), device.credentials)
        if device.redundancy_group is not None:
            check.known((*path, "redundancy_group"), ("redundancy group",), device.redundancy_group)
        if device.profile != "auto" and device.profile not in profiles:
            hint = did_you_mean(device.profile, profiles)
            tree.add((*path, "profile"), f"there is no profile {device.profile!r}{'.' + hint if hint else ''}")
        for index, parent in enumerate(device.parents):
            check.known((*path, "parents", index), ("device", "redundancy group"), parent)
        for index, address in enumerate(device.addresses):
            where: Path_ = (*path, "addresses", index)
            first = seen.setdefault((address, device.port or check.estate.polling.port), where)
            if first != where:
                text = f"{address} is also an address of {dotted(first[:2])} at {tree.place(first)}"
                tree.add(where, text)
        for index, pattern in enumerate(device.interfaces):
            _check_pattern(tree, (*path, "interfaces", index), pattern)
    _check_cycles(tree, ("devices", "parents"), _parents(check.estate))


def _check_pattern(tree: "Tree", path: Path_, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        tree.add(path, f"{pattern!r} is no regular expression: {error}")


def _parents(estate: Estate) -> Mapping[str, Sequence[str]]:
    """Device to the devices it needs; a redundancy group stands for its members."""
    members = _members(estate)
    return {
        key: [
            member
            for parent in device.parents
            for member in ([parent] if parent in estate.devices else members[parent])
        ]
        for key, device in estate.devices.items()
    }


def _members(estate: Estate) -> Mapping[str, list[str]]:
    members: dict[str, list[str]] = defaultdict(list)
    for entries in (estate.devices, estate.circuits):
        for key, entry in entries.items():
            if entry.redundancy_group is not None:
                members[entry.redundancy_group].append(key)
    return members


def _check_cycles(tree: "Tree", where: tuple[str, str], needs: Mapping[str, Sequence[str]]) -> None:
    """Note a circle, with the place of each of its members; a second one shows when the first is mended."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        *circle, _ = reversed(error.args[1])
        _note_circle(tree, where, circle)


def _note_circle(tree: "Tree", where: tuple[str, str], circle: list[str]) -> None:
    section, setting = where
    places = ", ".join(f"{key} at {tree.place((section, key, setting))}" for key in circle[1:])
    text = f"runs in a circle: {' -> '.join((*circle, circle[0]))}" + (f" ({places})" if places else "")
    tree.add((section, circle[0], setting), text)


def _check_redundancy(check: _Check) -> None:
    estate, tree = check.estate, check.tree
    devices = {
        key: [d.id for d in estate.devices.values() if d.redundancy_group == key] for key in estate.redundancy_groups
    }
    circuits = {
        key: [c.id for c in estate.circuits.values() if c.redundancy_group == key] for key in estate.redundancy_groups
    }
    for key, group in estate.redundancy_groups.items():
        path: Path_ = ("redundancy_groups", key)
        if key in estate.devices:
            tree.add(path, f"has the id of a device, at {tree.keys['devices', key]}; parents could mean either")
        count = len(devices[key]) + len(circuits[key])
        if devices[key] and circuits[key]:
            tree.add(path, f"holds devices ({devices[key][0]}) and circuits ({circuits[key][0]}); it must be one kind")
        elif count < 2:  # noqa: PLR2004 - one cannot stand in for itself
            only = (devices[key] + circuits[key] or ["none"])[0]
            tree.add(path, f"needs at least two members and has {count} ({only})")
        elif group.needed > count:
            tree.add((*path, "needed"), f"{group.needed} are needed and there are only {count} members")


def _check_circuits(check: _Check) -> None:
    for key, circuit in check.estate.circuits.items():
        path: Path_ = ("circuits", key)
        check.measured((*path, "measured_by"), circuit.measured_by)
        if circuit.redundancy_group is not None:
            check.known((*path, "redundancy_group"), ("redundancy group",), circuit.redundancy_group)
        if circuit.site is not None:
            check.known((*path, "site"), ("site",), circuit.site)
        if circuit.provider is not None and check.known((*path, "provider"), ("contact",), circuit.provider):
            role = check.estate.contacts[circuit.provider].role
            if role != "provider":
                check.tree.add(
                    (*path, "provider"), f"the contact {circuit.provider!r} has the role {role}, not provider"
                )
        _check_rates(check.tree, path, circuit.committed_rate, circuit.ceiling_rate)


def _check_rates(tree: "Tree", path: Path_, committed: int | None, ceiling: int) -> None:
    if committed is not None and committed > ceiling:
        tree.add((*path, "committed_rate"), f"is above the ceiling_rate at {tree.place((*path, 'ceiling_rate'))}")


def _check_line_groups(check: _Check) -> None:
    estate, tree = check.estate, check.tree
    for key, group in estate.line_groups.items():
        path: Path_ = ("line_groups", key)
        _check_rates(tree, path, group.committed_rate, group.ceiling_rate)
        if key in estate.circuits:
            tree.add(path, f"has the id of a circuit, at {tree.keys['circuits', key]}")
        for index, member in enumerate(group.members):
            check.known((*path, "members", index), ("circuit", "line group"), member)
        for index, part in enumerate(group.parts):
            if part.measured_by is not None:
                check.measured((*path, "parts", index, "measured_by"), part.measured_by)
    groups = {key: [m for m in group.members if m in estate.line_groups] for key, group in estate.line_groups.items()}
    before = len(tree.problems)
    _check_cycles(tree, ("line_groups", "members"), groups)
    if len(tree.problems) == before:
        _check_counted_once(check)


def _check_counted_once(check: _Check) -> None:
    """A circuit may reach a group by one way only, or its octets would count twice."""
    estate = check.estate
    for key in estate.line_groups:
        via: dict[str, str] = {}
        for member in estate.line_groups[key].members:
            for circuit in _circuits_of(estate, member):
                other = via.setdefault(circuit, member)
                if other != member:
                    path: Path_ = ("line_groups", key, "members")
                    check.tree.add(path, f"counts the circuit {circuit!r} twice: by {other} and by {member}")


def _circuits_of(estate: Estate, member: str) -> Iterable[str]:
    if member in estate.circuits:
        yield member
    elif member in estate.line_groups:
        for below in estate.line_groups[member].members:
            yield from _circuits_of(estate, below)


def _check_tenants(check: _Check) -> None:
    tree = check.tree
    owners: dict[tuple[str, str, str], Path_] = {}
    for key, tenant in check.estate.tenants.items():
        for index, attachment in enumerate(tenant.attachments):
            path: Path_ = ("tenants", key, "attachments", index)
            check.known((*path, "device"), ("device",), attachment.device)
            check.known((*path, "line"), ("line group", "circuit"), attachment.line)
            first = owners.setdefault((attachment.device, attachment.interface, attachment.line), path)
            if first != path:
                series = f"{attachment.interface} of {attachment.device}"
                text = f"{series} already counts for {first[1]} at {tree.place(first)}"
                tree.add((*path, "interface"), text)
        for index, cap in enumerate(tenant.caps):
            if cap.line is not None:
                check.known(("tenants", key, "caps", index, "line"), ("line group", "circuit"), cap.line)
        for index, contact in enumerate(tenant.contacts):
            check.known(("tenants", key, "contacts", index), ("contact",), contact)


def _check_services_and_contacts(check: _Check) -> None:
    check_services(check.estate, check.tree)
    for key, service in check.estate.services.items():
        for index, device in enumerate(service.devices):
            check.known(("services", key, "devices", index), ("device",), device)
        if service.calendar is not None:
            check.known(("services", key, "calendar"), ("calendar",), service.calendar)
    for key, window in check.estate.maintenance.items():
        for index, contact in enumerate(window.contacts):
            check.known(("maintenance", key, "contacts", index), ("contact",), contact)
    for key, person in check.estate.contacts.items():
        if person.email is None and person.role in {"operator", "engineer"}:
            check.tree.add(
                ("contacts", key), f"email is missing: a contact with the role {person.role} gets alert mails"
            )


def _check_notifications(check: _Check) -> None:
    settings = check.estate.notifications
    for index, key in enumerate(settings.credentials):
        check.known(("notifications", "credentials", index), ("credentials",), key)
    if settings.storm_per_second > settings.per_second:
        text = f"is above per_second ({settings.per_second}): such a storm would never be seen"
        check.tree.add(("notifications", "storm_per_second"), text)


def _check_rotations(check: _Check) -> None:
    for key, rotation in check.estate.rotations.items():
        named: list[tuple[Path_, str]] = [(("contacts", at), each) for at, each in enumerate(rotation.contacts)]
        named += [(("swaps", at, "contact"), swap.contact) for at, swap in enumerate(rotation.swaps)]
        for path, contact in named:
            if check.known(("rotations", key, *path), ("contact",), contact):
                _check_on_call(check, ("rotations", key, *path), contact)


def _check_on_call(check: _Check, path: Path_, contact: str) -> None:
    if check.estate.contacts[contact].role != "engineer":
        role = check.estate.contacts[contact].role
        check.tree.add(path, f"{contact!r} has the role {role}; only engineers are on call")


def _check_credentials(check: _Check) -> list[Problem]:
    warnings: list[Problem] = []
    for key, credentials in check.estate.credentials.items():
        path: Path_ = ("credentials", key)
        for setting, text in _incomplete(credentials):
            check.tree.add((*path, setting), text)
        for setting, text in _weak(credentials):
            warnings.append(Problem(check.tree.place((*path, setting)), dotted((*path, setting)), text))
    return warnings


def _incomplete(credentials: Credentials) -> Iterable[tuple[str, str]]:
    if credentials.version != "3":
        if credentials.community is None:
            yield "community", f"is missing: SNMP version {credentials.version} asks with a community"
        for setting in ("security_name", "auth", "auth_password", "priv", "priv_password"):
            if getattr(credentials, setting) is not None:
                yield setting, f"belongs to version 3, and this is version {credentials.version}"
        return
    if credentials.security_name is None:
        yield "security_name", "is missing: SNMP version 3 asks as a user"
    if credentials.community is not None:
        yield "community", "belongs to versions 1 and 2c, and this is version 3"
    for protocol, password in (("auth", "auth_password"), ("priv", "priv_password")):
        if (getattr(credentials, protocol) is None) != (getattr(credentials, password) is None):
            missing = password if getattr(credentials, password) is None else protocol
            yield missing, f"is missing: {protocol} and {password} go together"
    if credentials.priv is not None and credentials.auth is None:
        yield "auth", "is missing: there is no privacy without authentication (RFC 3414)"


def _weak(credentials: Credentials) -> Iterable[tuple[str, str]]:
    if credentials.version != "3":
        yield "version", f"SNMP version {credentials.version} sends the community in clear; use version 3 where you can"
    if credentials.auth == "MD5":
        yield "auth", "MD5 is broken; use SHA-256 where the device can"
    if credentials.priv == "DES":
        yield "priv", "DES is broken; use AES-128 where the device can"
