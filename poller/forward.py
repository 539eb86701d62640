"""Taking the checkpoint forward: parts that an older version saved become what this one restores. Pure.

A part carries its version; each step leads from one version to the next, whatever came before it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Step: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


def _circuits_2(saved: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew the groups; hours of lines and switch-overs not yet told came with version 2."""
    return {**saved, "watches": [], "slots": {}, "untold": []}


def _interface_rollups_2(saved: dict[str, Any]) -> dict[str, Any]:
    """Version 2 keeps octets beside the rates; those of a window that was open under version 1 are not known."""
    windows = []
    for device, start_ns, columns in saved["windows"]:
        nothing = [0] * len(columns[0])
        windows.append([device, start_ns, [*columns, nothing, list(nothing)]])
    return {**saved, "windows": windows}


def _interface_rollups_3(saved: dict[str, Any]) -> dict[str, Any]:
    """Version 3 packs columns; those that are not packed are read as well."""
    return saved


STEPS: Final[Mapping[str, Mapping[int, Step]]] = {
    "circuits": {1: _circuits_2},
    "interface_rollups": {1: _interface_rollups_2, 2: _interface_rollups_3},
}
"""By part of the pipeline and the version that a step leads away from."""


def take_forward(pipeline: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, int, int]]]:
    """The pipeline's parts in their latest form, and of each that changed its name and both versions.

    A part of a version that no step leads away from stays as it is; whoever restores it says that it cannot.
    """
    parts, done = dict(pipeline), []
    for name, steps in STEPS.items():
        saved = parts.get(name)
        if not isinstance(saved, dict) or "version" not in saved:
            continue
        first = version = int(saved["version"])
        while version in steps:
            saved = {**steps[version](saved), "version": version + 1}
            version += 1
        if version != first:
            parts[name] = saved
            done.append((name, first, version))
    return parts, done
