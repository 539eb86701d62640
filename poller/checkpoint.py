"""What the daemon must still know after a restart: baselines, open slots, discoveries. One file, replaced whole.

Written beside, synced and renamed, so that a kill at any moment leaves the old or the new one (R73). A file that cannot
be read is moved aside, never wiped, and the daemon begins with what it can learn anew.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from poller.forward import take_forward
from poller.log import tell

_log: Final = logging.getLogger(__name__)
VERSION: Final = 1
_SPLIT_DEPTH: Final = 5
"""From the file as a whole to one device's baseline or window."""
_MAP: Final = (0x80, 0xDF)
_ARRAY: Final = (0x90, 0xDD)
_LONG: Final = 16
"""Of msgpack's formats of maps and arrays: fixmap, map 32, fixarray, array 32."""
_encode: Final = msgspec.msgpack.Encoder().encode


def save(path: Path, parts: Mapping[str, Any]) -> None:
    """Replace the checkpoint by these parts (plain values, by name); call it off the loop. Raises OSError."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        for piece in pieces({"version": VERSION, "parts": parts}):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def pieces(value: object, depth: int = _SPLIT_DEPTH) -> Iterator[bytes]:
    """The value as msgpack, its containers item by item down to a depth: all at once, they would be in memory twice."""
    if not depth or not isinstance(value, Mapping | list):
        yield _encode(value)
        return
    yield _header(len(value), _MAP if isinstance(value, Mapping) else _ARRAY)
    if isinstance(value, list):
        for each in value:
            yield from pieces(each, depth - 1)
        return
    for key, each in value.items():
        yield _encode(key)
        yield from pieces(each, depth - 1)


def _header(count: int, kind: tuple[int, int]) -> bytes:
    """Of a map or an array of so many items: the short form for fewer than sixteen, else that of 32 bits."""
    short, long = kind
    return bytes([short | count]) if count < _LONG else bytes([long]) + count.to_bytes(4, "big")


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
