"""What the daemon must still know after a restart: baselines, open slots, discoveries. One file, replaced whole.

Written beside, synced and renamed, so that a kill at any moment leaves the old or the new one (R73). A file that cannot
be read is moved aside, never wiped, and the daemon begins with what it can learn anew.
"""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from poller.forward import take_forward
from poller.log import tell

_log: Final = logging.getLogger(__name__)
VERSION: Final = 1


def save(path: Path, parts: Mapping[str, Any]) -> None:
    """Replace the checkpoint by these parts (plain values, by name); call it off the loop. Raises OSError."""
    packed = msgspec.msgpack.encode({"version": VERSION, "parts": dict(parts)})
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> dict[str, Any]:
    """The parts saved last; empty on a first start. A damaged or unknown file is moved aside and said."""
    try:
        packed = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        parts = _unpack(packed)
        changed: list[tuple[str, int, int]] = []
        if "pipeline" in parts:
            parts["pipeline"], changed = take_forward(parts["pipeline"])
    except (msgspec.DecodeError, ValueError, KeyError, TypeError) as error:
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        path.replace(aside)
        tell(_log, logging.ERROR, "checkpoint_damaged", reason=str(error), moved_to=str(aside))
        return {}
    for name, before, after in changed:
        tell(_log, logging.INFO, "state_taken_forward", file=path.name, part=name, before=before, after=after)
    return parts


def _unpack(packed: bytes) -> dict[str, Any]:
    content = msgspec.msgpack.decode(packed)
    if content["version"] != VERSION:
        raise ValueError(f"version {content['version']} is not known here")
    return dict(content["parts"])
