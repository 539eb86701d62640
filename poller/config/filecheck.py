"""Authorities' files that services name: whether they can be read here and now, and hold a certificate.

Reading is no part of loading: a configuration is right or wrong whatever lies on this machine's disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poller.config.places import dotted
from poller.config.problems import Place, Problem
from poller.estate import Estate
from probes.certificates import context_for
from probes.errors import NotAsked

if TYPE_CHECKING:
    from poller.config.loading import Tree


@dataclass(frozen=True, slots=True)
class AuthorityUse:
    """A setting that names an authority's file: its place, its dotted path, the file as written."""

    place: Place
    path: str
    file: str


def authority_uses(estate: Estate, tree: "Tree") -> tuple[AuthorityUse, ...]:
    """Every service's ca_file, in the order of the files of the configuration."""
    named = [("services", key, "ca_file") for key, service in estate.services.items() if service.ca_file is not None]
    uses = [AuthorityUse(tree.place(path), dotted(path), estate.services[path[1]].ca_file or "") for path in named]
    return tuple(sorted(uses, key=lambda use: use.place))


def check_authorities(uses: Iterable[AuthorityUse], directory: Path) -> list[Problem]:
    """A warning for each file that cannot be read now, or has no certificate in it: its service would be unknown."""
    warnings = []
    for use in uses:
        try:
            context_for(str(directory / use.file))
        except NotAsked as error:
            said = error.facts["detail"]
            detail = said if isinstance(said, str) else said[1]
            text = f"the authority's file {directory / use.file} cannot be read: {detail}"
            warnings.append(Problem(use.place, use.path, text))
    return warnings
