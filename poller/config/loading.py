"""Read a directory of YAML files into an Estate: parse everything, then check everything, then answer.

    hinomi.yaml, its `include` globs -> documents with places -> one tree -> models -> references

Sections are mappings by id and may be spread over files. No state is kept: loading again reads everything anew, so a
reload can compare and swap, or keep the old (R72).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from poller.config.filecheck import AuthorityUse, authority_uses
from poller.config.places import Document, Path_, dotted, read_document
from poller.config.problems import ConfigurationError, Place, Problem, did_you_mean
from poller.config.references import check_references
from poller.config.secretcheck import SecretUse, secret_uses
from poller.config.sentences import sentence
from poller.config.slips import wide_key
from poller.estate import Estate
from poller.share import share

MAIN: Final = "hinomi.yaml"
_SETTINGS: Final = ("organisation", "polling", "notifications", "mail", "storage", "wall", "heartbeat")
_BY_ID: Final = tuple(name for name in Estate.model_fields if name not in _SETTINGS)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration that holds together.

    directory: where it lies; relative files in it are meant from there. files: every file read, the main one first.
    warnings: what works but should not stay so. secrets, authorities: where one is named; none is read (check_secrets
    and check_authorities do).
    """

    estate: Estate
    directory: Path
    files: tuple[Path, ...]
    warnings: tuple[Problem, ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    authorities: tuple[AuthorityUse, ...] = ()

    @property
    def state_directory(self) -> Path:
        """Where measurements and state are kept: storage.directory, from the configuration's directory if relative."""
        return self.directory / self.estate.storage.directory


@dataclass(slots=True)
class Tree:
    """All files as one mapping; places and keys as in Document, over all files."""

    value: dict[str, Any] = field(default_factory=dict)
    places: dict[Path_, Place] = field(default_factory=dict)
    keys: dict[Path_, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path_) -> Place:
        """The place of the value, or of the nearest thing around it that is written down."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(MAIN))

    def add(self, path: Path_, text: str) -> None:
        """Note a problem with the value at the path."""
        self.problems.append(Problem(self.place(path), dotted(path), text))


def load(directory: Path, profiles: Collection[str] | None = None) -> Configuration:
    """The configuration in the directory; raises ConfigurationError with every problem.

    profiles: the names of vendor profiles that devices may name; None takes those that are installed.
    """
    if not directory.is_dir():
        raise ConfigurationError([Problem(Place(str(directory)), "", "is no directory")])
    tree = Tree()
    files = _merge_files(directory, tree)
    if tree.problems:
        raise ConfigurationError(tree.problems)
    estate = _validate(tree)
    if estate is None:
        raise ConfigurationError(tree.problems)
    warnings = check_references(estate, tree, installed_profiles() if profiles is None else profiles)
    if tree.problems:
        raise ConfigurationError(tree.problems)
    uses = secret_uses(estate, tree), authority_uses(estate, tree)
    return Configuration(estate, directory, tuple(files), tuple(sorted(warnings)), *uses)


def installed_profiles() -> frozenset[str]:
    """Names of the vendor profiles that travel with the product."""
    return frozenset(path.stem for path in (share("config") / "profiles").glob("*.yaml"))


def _merge_files(directory: Path, tree: Tree) -> list[Path]:
    """Read the main file and all it includes; each file once, included ones in the order of their names."""
    waiting = [directory / MAIN]
    read: list[Path] = []
    while waiting:
        path = waiting.pop(0)
        if path in read:
            continue
        read.append(path)
        document = read_document(path, _shown(path, directory))
        tree.problems.extend(document.problems)
        if not isinstance(document.value, dict):
            if not document.problems:
                text = f"must be a mapping of sections{wide_key(document.value)}"
                tree.problems.append(Problem(Place(document.file, 1, 1), "", text))
            continue
        waiting.extend(_included(document, path.parent, tree))
        _merge(document, tree)
    return read


def _shown(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)


def _included(document: Document, folder: Path, tree: Tree) -> Iterator[Path]:
    patterns = document.value.pop("include", None)
    if patterns is None:
        return
    if isinstance(patterns, str):
        patterns = [patterns]
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else [patterns]):
        place = document.places.get(("include", index), document.places.get(("include",), Place(document.file)))
        if not isinstance(pattern, str) or not pattern or pattern.startswith("/") or ".." in Path(pattern).parts:
            text = "must be a file or pattern below this folder, such as devices/*.yaml"
            tree.problems.append(Problem(place, f"include[{index}]", text))
            continue
        found = sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))
        if not found:
            tree.problems.append(Problem(place, f"include[{index}]", f"no file matches {pattern!r}"))
        yield from found


def _merge(document: Document, tree: Tree) -> None:
    for section, value in document.value.items():
        if section not in Estate.model_fields:
            hint = did_you_mean(section, (*Estate.model_fields, "include"))
            text = f"is no section.{hint}" if hint else f"is no section; sections are {', '.join(Estate.model_fields)}"
            tree.problems.append(Problem(document.keys[section,], section, text))
        elif section not in _BY_ID:
            _take_section(section, value, document, tree)
        elif value is not None:
            _take_entries(section, value, document, tree)


def _take_section(section: str, value: object, document: Document, tree: Tree) -> None:
    if section in tree.value:
        text = f"is given twice; the first is at {tree.keys[section,]}"
        tree.problems.append(Problem(document.keys[section,], section, text))
        return
    tree.value[section] = _named(value) if section == "organisation" else value
    _take_places((section,), document, tree)


def _take_entries(section: str, value: object, document: Document, tree: Tree) -> None:
    if not isinstance(value, dict):
        text = f"must be a mapping by id, such as `fw-1: {{...}}`{wide_key(value)}"
        tree.problems.append(Problem(document.places[section,], section, text))
        return
    entries = tree.value.setdefault(section, {})
    tree.keys.setdefault((section,), document.keys[section,])
    tree.places.setdefault((section,), document.places[section,])
    for key, entry in value.items():
        path = (section, key)
        if key in entries:
            text = f"is defined twice; the first is at {tree.keys[path]}"
            tree.problems.append(Problem(document.keys[path], dotted(path), text))
            continue
        if entry is not None and not isinstance(entry, dict):
            text = f"must be a mapping of settings{wide_key(entry)}"
            tree.problems.append(Problem(document.places[path], dotted(path), text))
            continue
        named = {"name": key} if "name" in _fields_at(path) else {}
        entries[key] = {"id": key} | _named(named | (entry or {}))
        _take_places(path, document, tree)


def _named(value: Any) -> Any:  # noqa: ANN401 - a plain value before it is checked
    """A name written as one text serves for both languages, here and in parts of a line."""
    if not isinstance(value, dict):
        return value
    named = {key: [_named(part) for part in entry] if key == "parts" else entry for key, entry in value.items()}
    if isinstance(named.get("name"), str | int):
        named["name"] = {"ja": str(named["name"]), "en": str(named["name"])}
    return named


def _take_places(prefix: Path_, document: Document, tree: Tree) -> None:
    length = len(prefix)
    for source, target in ((document.places, tree.places), (document.keys, tree.keys)):
        target.update({path: place for path, place in source.items() if path[:length] == prefix})


def _validate(tree: Tree) -> Estate | None:
    """The models' own checks; None where any failed, with the problems noted."""
    try:
        return Estate.model_validate(tree.value)
    except ValidationError as error:
        details = error.errors()
    deeper = {detail["loc"][:-1] for detail in details}
    for detail in details:
        path = detail["loc"]
        if detail["type"] == "too_short" and path in deeper:
            continue  # the entries that were refused are told one by one
        if path[-1] == "[key]":
            _note_key(tree, path[:-1], sentence(detail))
        elif detail["type"] == "missing":
            where = tree.keys.get(path[:-1], tree.place(path[:-1]))
            tree.problems.append(Problem(where, dotted(path), "is missing"))
        elif detail["type"] == "extra_forbidden":
            known = _fields_at(path[:-1])
            hint = did_you_mean(str(path[-1]), known)
            _note_key(tree, path, f"is no setting here.{hint}" if hint else f"is none of {', '.join(known)}")
        elif path[2:] != ("id",):  # a bad id is told where it is written, as the key
            tree.add(path, sentence(detail))
    return None


def _note_key(tree: Tree, path: Path_, text: str) -> None:
    tree.problems.append(Problem(tree.keys.get(path, tree.place(path)), dotted(path), text))


def _fields_at(path: Path_) -> list[str]:
    """The settings of the model at the path, found by walking the models' annotations.

    The id of an entry is no setting, even where it is written like one ("name"); neither is an index.
    """
    section, *rest = path or ("",)
    model: Any = Estate
    if section in Estate.model_fields:
        model = _model_in(Estate.model_fields[str(section)].annotation)
    for part in rest[1:] if section in _BY_ID else rest:
        fields = getattr(model, "model_fields", {})
        if part in fields:
            model = _model_in(fields[part].annotation)
    return [name for name in getattr(model, "model_fields", {}) if name != "id"]


def _model_in(annotation: Any) -> Any:  # noqa: ANN401 - a typing construct
    """The model inside Mapping[Id, X], tuple[X, ...] or X | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
