"""Where a configuration names secrets, and whether they can be read here and now, and by whom else.

Reading is no part of loading: a configuration is right or wrong whatever lies on this machine's disk.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from poller.config.places import Path_, dotted
from poller.config.problems import Place, Problem
from poller.secrets import SecretReference, SecretUnavailable

if TYPE_CHECKING:
    from poller.config.loading import Tree

_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A setting that names a secret: its place, its dotted path, the reference."""

    place: Place
    path: str
    reference: SecretReference


def secret_uses(estate: BaseModel, tree: "Tree") -> tuple[SecretUse, ...]:
    """Every setting that names a secret, in the order of the files."""
    uses = [SecretUse(tree.place(path), dotted(path), reference) for path, reference in _references(estate, ())]
    return tuple(sorted(uses, key=lambda use: use.place))


def check_secrets(uses: Iterable[SecretUse], directory: Path) -> list[Problem]:
    """A warning for each secret that cannot be read now, and one for all files that others can read, too."""
    warnings: list[Problem] = []
    open_files: dict[Path, SecretUse] = {}
    for use in uses:
        try:
            use.reference.read(directory)
        except SecretUnavailable as error:
            warnings.append(Problem(use.place, use.path, f"the secret cannot be read: {error}"))
            continue
        path = use.reference.path(directory)
        if use.reference.scheme == "file" and path is not None and path.stat().st_mode & _OTHERS:
            open_files.setdefault(path, use)
    if open_files:
        path, first = next(iter(open_files.items()))
        count, mode = len(open_files), path.stat().st_mode & 0o777
        more = f", and {count - 1} more secret files are open like it" if count > 1 else ""
        text = f"{first.reference} is open to others than its owner (mode {mode:04o}){more}; chmod 600 closes a file"
        warnings.append(Problem(first.place, first.path, text))
    return warnings


def _references(value: object, path: Path_) -> Iterator[tuple[Path_, SecretReference]]:
    if isinstance(value, SecretReference):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _references(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _references(entry, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, entry in enumerate(value):
            yield from _references(entry, (*path, index))
