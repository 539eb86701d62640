"""YAML with the place of every value.

Plain data only: mappings, lists and scalars. A scalar is a boolean only when written true or false, a number only when
it is a whole one in decimal; `no`, `0755`, `12:30` and `1.10` are the texts they look like, until a setting asks for a
number.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from poller.config.problems import Place, Problem
from poller.config.slips import not_utf8, not_yaml, wide

Path_: TypeAlias = tuple[str | int, ...]
_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d*)")
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "value")
)
_QUOTED: Final = frozenset(("'", '"', "|", ">"))
_MOST_DEPTH: Final = 30


@dataclass(slots=True)
class Document:
    """One file: its plain value, the place of every value by path, and what is wrong with it as YAML.

    places: where a value begins. keys: where the key of a mapping's entry stands.
    """

    file: str
    value: Any = None
    places: dict[Path_, Place] = field(default_factory=dict)
    keys: dict[Path_, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_document(path: Path, shown: str) -> Document:
    """Read one file; `shown` is its name in problems. Never raises: what is wrong is in the problems."""
    document = Document(shown)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except OSError as error:
        document.problems.append(Problem(Place(shown), "", f"cannot be read: {error.strerror}"))
        return document
    except UnicodeDecodeError as error:
        document.problems.append(not_utf8(content, error.start, shown))
        return document
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        document.problems.append(not_yaml(error, text, shown))
    except yaml.YAMLError as error:
        document.problems.append(Problem(Place(shown), "", f"is not YAML: {str(error).splitlines()[0]}"))
    else:
        document.value = {} if node is None else _plain(node, (), document)
    return document


def _plain(node: yaml.Node, path: Path_, document: Document) -> Any:  # noqa: ANN401 - YAML is any plain value
    place = Place(document.file, node.start_mark.line + 1, node.start_mark.column + 1)
    document.places[path] = place
    if len(path) > _MOST_DEPTH:
        document.problems.append(Problem(place, dotted(path), "is nested too deeply"))
        return None
    if node.tag not in _TAGS:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        document.problems.append(Problem(place, dotted(path), f"the tag {tag} is not allowed: write plain values"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*path, index), document) for index, child in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: Path_, document: Document) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = Place(document.file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            document.problems.append(Problem(place, dotted(path), "a key must be a plain word"))
            continue
        key = str(key_node.value)
        if text := wide(key):
            document.problems.append(Problem(place, dotted(path), f"the key {key.strip()!r} {text}"))
            continue
        if key in result:
            first = document.keys[*path, key]
            document.problems.append(Problem(place, dotted((*path, key)), f"is given twice; the first is at {first}"))
            continue
        document.keys[*path, key] = place
        result[key] = _plain(value_node, (*path, key), document)
    return result


def _scalar(node: yaml.Node) -> Any:  # noqa: ANN401 - a plain scalar
    text = str(node.value)
    if getattr(node, "style", None) in _QUOTED:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return text


def dotted(path: Path_) -> str:
    """The path as people write it: devices.fw-1.addresses[0]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
