"""Vendor profiles: how a device is recognised, and which of its objects say what. Data in config/profiles/*.yaml.

A profile file is one family. Its name is the file's name, and adding a vendor needs no code:

    name: Example firewall
    order: 150                                  # detection asks profiles by this number, smallest first
    detect:                                     # any of these; each is true when all that it names is true
      - object_id: [1.3.6.1.4.1.99999.1]        # sysObjectID is this or below, on arc boundaries
        description: ^Example                   # sysDescr, a regular expression
    fields:                                     # by field of the measurement "device"; the first reading that gives
      cpu_ratio:                                # a value is used
        - as: percent
          value: exCpuUsage 1.3.6.1.4.1.99999.1.1      # name and OID; ends in .0: one value, otherwise a column
          rows: max                                    # how the column becomes one value
    health:                                     # all of these; the worst counts
      - as: word
        value: exFanState 1.3.6.1.4.1.99999.1.9
        words: {1: ok, 2: failed}

The operations and the ways to make rows one value are the literal tables of poller.profile_values.
"""

import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import yaml
from pydantic import ValidationError, model_validator

from poller.profile_readings import Object, OidText, Pattern, Reading
from poller.settings import Model
from probes.snmp.oid import Oid, format_oid

AUTO: Final = "auto"
"""The profile's name in the configuration that asks for detection."""


class BadProfile(Exception):  # noqa: N818 - it says what is the matter
    """A profile file that cannot be used; one line per mistake, each with the file and the dotted path."""


class Detect(Model):
    """A way to recognise the family; everything given must be true."""

    object_id: tuple[OidText, ...] = ()
    """sysObjectID is one of these or below one, on arc boundaries. A device that gives none (or 0.0) passes where a
    description is asked for too."""
    object_id_is: tuple[OidText, ...] = ()
    """sysObjectID is exactly one of these."""
    description: Pattern | None = None
    description_not: Pattern | None = None
    probe: Object | None = None
    """The device has this object."""
    contains: str = ""
    """The probe's value contains this text."""

    @model_validator(mode="after")
    def _probe_for_contains(self) -> Self:
        if self.contains and self.probe is None:
            raise ValueError("contains needs a probe")
        return self


FieldName: TypeAlias = Literal["cpu_ratio", "memory_ratio", "sessions", "sessions_limit", "session_rate", "ha_role"]


class Profile(Model):
    """One family of devices."""

    family: str
    name: str
    order: int
    detect: tuple[Detect, ...]
    fields: Mapping[FieldName, tuple[Reading, ...]] = {}
    health: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = ()
    """For people: quirks of the family."""

    @property
    def fingerprint(self) -> str:
        """Differs where another profile of the same name reads differently; notes do not count."""
        return f"{zlib.crc32(self.model_dump_json(exclude={'notes', 'name'}).encode()):08x}"

    @model_validator(mode="after")
    def _kinds(self) -> Self:
        for name, readings in self.fields.items():
            for reading in readings:
                if (reading.as_ == "word") != (name == "ha_role"):
                    raise ValueError(f"{name} cannot be read as {reading.as_}")
                _check_words(name, reading, _ROLES)
                if (reading.as_ == "per_second") and name != "session_rate":
                    raise ValueError(f"{name} is no rate: 'per_second' serves session_rate only")
        for reading in self.health:
            _check_words("health", reading, _HEALTH)
        return self


_ROLES: Final = frozenset({"active", "standby", "member", "alone", "unknown"})
_HEALTH: Final = frozenset({"ok", "warning", "failed", "absent"})


def _check_words(name: str, reading: Reading, known: frozenset[str]) -> None:
    strange = set((reading.words or {}).values()) - known
    if strange:
        raise ValueError(f"{name}: {', '.join(sorted(strange))} is not one of {', '.join(sorted(known))}")
    if name == "health" and (reading.as_ != "word" or reading.rows not in {None, "worst"}):
        raise ValueError("health is read as word, of columns the worst")


@dataclass(frozen=True, slots=True)
class SystemGroup:
    """What an agent says about itself (SNMPv2-MIB); object_id None where it says nothing or 0.0."""

    object_id: Oid | None = None
    description: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Detection:
    """The family that was recognised, and by what."""

    family: str
    reason: str


@dataclass(frozen=True, slots=True)
class ProbeNeeded:
    """Detection cannot go on before this object was asked for."""

    probe: Object


class Profiles:
    """All profiles, in order of detection."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self.ordered: tuple[Profile, ...] = tuple(sorted(profiles, key=lambda profile: (profile.order, profile.family)))
        self._by_family = {profile.family: profile for profile in self.ordered}

    def __getitem__(self, family: str) -> Profile:
        """The profile of that family; BadProfile names those that there are."""
        if family not in self._by_family:
            known = ", ".join(sorted(self._by_family))
            raise BadProfile(f"there is no profile '{family}'; there are: {known}")
        return self._by_family[family]

    def __contains__(self, family: str) -> bool:
        return family in self._by_family

    def __iter__(self) -> Any:  # noqa: ANN401 - Iterator[Profile]
        return iter(self.ordered)

    def __len__(self) -> int:
        return len(self.ordered)

    def detect(self, system: SystemGroup, probed: Mapping[Oid, str | None]) -> Detection | ProbeNeeded:
        """The first family, by order, that fits.

        probed: by the probe's OID the text of what was answered, None for nothing; ask for what is returned as needed,
        put it in and detect again. The last profile of the product fits every device, so this ends with a Detection.
        """
        for profile in self.ordered:
            for way in profile.detect:
                reason = _fits(way, system)
                if reason is None:
                    continue
                if way.probe is None:
                    return Detection(profile.family, reason)
                if way.probe.oid not in probed:
                    return ProbeNeeded(way.probe)
                answer = probed[way.probe.oid]
                if answer is not None and way.contains.lower() in answer.lower():
                    return Detection(profile.family, f"{reason}; {way.probe.name} answered")
        raise BadProfile("no profile fits, not even the one for every device: config/profiles/if_mib.yaml is missing")


def _fits(way: Detect, system: SystemGroup) -> str | None:
    """Why the conditions that need no probe are true, or None."""
    reasons = []
    ids = (*way.object_id, *way.object_id_is)
    if ids and (system.object_id is not None or way.description is None):
        found = next((oid for oid in ids if _has_object_id(oid, system.object_id, exact=oid in way.object_id_is)), None)
        if found is None:
            return None
        reasons.append(f"sysObjectID {format_oid(system.object_id or ())} is under {format_oid(found)}")
    if way.description is not None:
        if way.description.search(system.description) is None:
            return None
        reasons.append(f"sysDescr matches {way.description.pattern}")
    if way.description_not is not None and way.description_not.search(system.description) is not None:
        return None
    return " and ".join(reasons) or "nothing more particular fits"


def _has_object_id(wanted: Oid, given: Oid | None, *, exact: bool) -> bool:
    if given is None:
        return False
    return given == wanted if exact else given[: len(wanted)] == wanted


def profiles_directory() -> Path:
    """Where the product's profiles are: in the checkout, else in the installation's share/hinomi."""
    checkout = Path(__file__).resolve().parent.parent / "config" / "profiles"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "hinomi" / "config" / "profiles"


def load_profiles(*directories: Path) -> Profiles:
    """All profiles of these directories (default: the product's own); a family in a later one replaces an earlier one.

    Raises BadProfile with every mistake of every file at once.
    """
    found: dict[str, Profile] = {}
    mistakes: list[str] = []
    for directory in directories or (profiles_directory(),):
        paths = sorted(directory.glob("*.yaml"))
        if not paths:
            mistakes.append(f"{directory}: there are no profiles (*.yaml)")
        for path in paths:
            try:
                profile = read_profile(path)
            except BadProfile as error:
                mistakes.append(str(error))
            else:
                found[profile.family] = profile
    if mistakes:
        raise BadProfile("\n".join(mistakes))
    return Profiles(found.values())


def read_profile(path: Path) -> Profile:
    """One profile file; BadProfile has one line per mistake."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadProfile(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise BadProfile(f"{path}: a profile is a mapping with name, order and detect")
    try:
        return Profile.model_validate({**content, "family": path.stem})
    except ValidationError as error:
        lines = [f"{path}: {_where(one['loc'])}: {_sentence(one['msg'])}" for one in error.errors()]
        raise BadProfile("\n".join(lines)) from None


def _where(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) or "the profile"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ")
