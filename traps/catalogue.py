"""What notifications mean: names, enumerations, severity and text, by OID.

Files are read at the start, never while receiving; what is in no file stays numeric and is kept all the same (R45).

config/traps/*.yaml:
    objects:
      1.3.6.1.2.1.2.2.1.7: {name: ifAdminStatus, values: {1: up, 2: down, 3: testing}}
    notifications:
      1.3.6.1.6.3.1.1.5.3:
        name: linkDown
        mib: IF-MIB
        severity: minor                            # serious, minor, notice, or clear
        ja: インターフェースがダウンした {ifName}     # {name} is the value of that varbind, if it was told
        en: Interface went down {ifName}
        varbinds: [ifIndex, ifAdminStatus]         # names in the order of the MIB
        key: [ifIndex]                             # varbinds that say what it is about; else all but measured values
        clears: 1.3.6.1...                         # what it ends
        does: poll                                 # poll, rediscover, read_roles or count
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import yaml

from probes.snmp.errors import BadRequest
from probes.snmp.oid import Oid, format_oid, parse_oid


class Severity(StrEnum):
    """How much a notification matters by itself; clear says that something is over."""

    SERIOUS = "serious"
    MINOR = "minor"
    NOTICE = "notice"
    CLEAR = "clear"


class Does(StrEnum):
    """What a notification makes the poller do."""

    NOTHING = ""
    POLL = "poll"
    """Ask the device now and again two minutes later: only a poll says what the state is."""
    REDISCOVER = "rediscover"
    READ_ROLES = "read_roles"
    """Ask every member of the device's redundancy group."""
    COUNT = "count"


class BadCatalogue(Exception):  # noqa: N818 - it says what is the matter
    """A catalogue file cannot be used; the text names the file, the entry and what is wrong."""


@dataclass(frozen=True, slots=True)
class KnownObject:
    """An object of a MIB: its OID without instance, its name, and the words of its enumeration."""

    oid: Oid
    name: str
    values: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a notification is. known is False for one that no file names: its name is then its number.

    alarm: the name under which it begins or ends something; that of the notification it clears, else its own.
    has_end: whether another notification says that it is over.
    """

    oid: Oid
    name: str
    severity: Severity = Severity.NOTICE
    ja: str = ""
    en: str = ""
    mib: str = ""
    varbinds: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    alarm: str = ""
    has_end: bool = False
    does: Does = Does.NOTHING
    known: bool = True

    def text(self, lang: str) -> str:
        """The template of its text in "ja" or "en"."""
        return (self.en if lang == "en" else self.ja) or self.en or self.ja or self.name


_SETTINGS: Final = frozenset(("name", "mib", "severity", "ja", "en", "varbinds", "key", "clears", "does"))
_LARGEST_UNKNOWN: Final = 1024


class Catalogue:
    """Everything known about notifications and objects. Later files go before earlier ones."""

    def __init__(self, objects: Iterable[KnownObject] = (), meanings: Iterable[Meaning] = ()) -> None:
        self._objects = {one.oid: one for one in objects}
        self._names = {one.name for one in self._objects.values()}
        self._longest = max((len(oid) for oid in self._objects), default=0)
        self._shortest = min((len(oid) for oid in self._objects), default=0)
        self._meanings: dict[Oid, Meaning] = {}
        for one in meanings:
            self._meanings[_without_zero(one.oid)] = one

    def __len__(self) -> int:
        """How many notifications it names."""
        return len(self._meanings)

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator of Meaning
        return iter(self._meanings.values())

    def meaning(self, oid: Oid) -> Meaning:
        """What the notification is; of an unknown one its number. Found with and without the zero before the last.

        v1 traps whose v2 form has no zero arrive with one (RFC 3584 adds it), and the other way round.
        """
        found = self._meanings.get(_without_zero(oid)) or self._meanings.get(oid)
        if found is not None:
            return found
        number = format_oid(oid)
        return Meaning(oid, number, alarm=number, known=False)

    def object_of(self, oid: Oid) -> KnownObject | None:
        """The known object that the OID is an instance of, the longest one."""
        objects = self._objects
        for length in range(min(self._longest, len(oid)), self._shortest - 1, -1):
            found = objects.get(oid[:length])
            if found is not None:
                return found
        return None

    def name_varbind(self, meaning: Meaning, place: int, oid: Oid) -> str:
        """Name of a varbind: by its OID; else by its place, if the MIB's name there is of no known OID; else numeric.

        place counts from 0, without sysUpTime and snmpTrapOID. Instances are left out, as they are in the value's key.
        """
        known = self.object_of(oid)
        if known is not None:
            return known.name
        if place < len(meaning.varbinds) and meaning.varbinds[place] not in self._names:
            return meaning.varbinds[place]
        return format_oid(oid)


def _without_zero(oid: Oid) -> Oid:
    return (*oid[:-2], oid[-1]) if len(oid) > 2 and oid[-2] == 0 else oid  # noqa: PLR2004 - a root and a number


def load_catalogue(files: Iterable[Path]) -> Catalogue:
    """Read catalogue files, in the order given; BadCatalogue names the first that is wrong."""
    objects: dict[Oid, KnownObject] = {}
    entries: dict[Oid, tuple[Path, Mapping[str, Any]]] = {}
    for path in files:
        content = _read(path)
        for number, entry in _section(path, content, "objects").items():
            oid = _oid(path, number)
            objects[oid] = _object(path, oid, entry)
        for number, entry in _section(path, content, "notifications").items():
            oid = _oid(path, number)
            entries.pop(oid, None)
            entries[oid] = (path, entry)
    names = {_without_zero(oid): str(entry.get("name", "")) for oid, (_, entry) in entries.items()}
    ended = {_without_zero(_oid(path, entry["clears"])) for path, entry in entries.values() if "clears" in entry}
    meanings = [_meaning(path, oid, entry, names, ended) for oid, (path, entry) in entries.items()]
    return Catalogue(objects.values(), meanings)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader, in C if there
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadCatalogue(f"{path}: {error}") from None
    if not isinstance(content, dict) or set(content) - {"objects", "notifications"}:
        raise BadCatalogue(f"{path}: must have the sections objects and notifications, and no other")
    return content


_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _section(path: Path, content: Mapping[str, Any], name: str) -> Mapping[Any, Mapping[str, Any]]:
    section = content.get(name) or {}
    if not isinstance(section, dict) or not all(isinstance(entry, dict) for entry in section.values()):
        raise BadCatalogue(f"{path}: {name}: must be a mapping by OID")
    return section


def _oid(path: Path, number: object) -> Oid:
    try:
        return parse_oid(str(number))
    except BadRequest as error:
        raise BadCatalogue(f"{path}: {error}") from None


def _object(path: Path, oid: Oid, entry: Mapping[str, Any]) -> KnownObject:
    values = entry.get("values") or {}
    if set(entry) - {"name", "values"} or not isinstance(entry.get("name"), str) or not isinstance(values, dict):
        raise BadCatalogue(f"{path}: objects.{format_oid(oid)}: has a name and, if it is an enumeration, values")
    if not all(isinstance(number, int) for number in values):
        raise BadCatalogue(f"{path}: objects.{format_oid(oid)}: values are words by whole number")
    return KnownObject(oid, entry["name"], {number: str(word) for number, word in values.items()})


def _meaning(path: Path, oid: Oid, entry: Mapping[str, Any], names: Mapping[Oid, str], ended: set[Oid]) -> Meaning:
    where = f"{path}: notifications.{format_oid(oid)}"
    unknown = sorted(set(entry) - _SETTINGS)
    if unknown:
        raise BadCatalogue(f"{where}.{unknown[0]}: is no setting; there are {', '.join(sorted(_SETTINGS))}")
    if not isinstance(entry.get("name"), str):
        raise BadCatalogue(f"{where}.name: is missing")
    try:
        severity, does = Severity(entry.get("severity", "notice")), Does(entry.get("does", ""))
    except ValueError as error:
        raise BadCatalogue(f"{where}: {error}") from None
    alarm = entry["name"]
    if "clears" in entry:
        alarm = names.get(_without_zero(_oid(path, entry["clears"])), "")
        if not alarm:
            raise BadCatalogue(f"{where}.clears: no notification {entry['clears']} is in the catalogue")
    return Meaning(
        *(oid, entry["name"], severity, str(entry.get("ja", "")), str(entry.get("en", "")), str(entry.get("mib", ""))),
        varbinds=tuple(map(str, entry.get("varbinds") or ())),
        key=tuple(map(str, entry.get("key") or ())),
        alarm=alarm,
        has_end=_without_zero(oid) in ended,
        does=does,
    )
