"""docs/configuration.md, made from the models so that it cannot fall behind: `python -m poller.config.reference`."""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from poller import settings, units
from poller.estate import Estate
from poller.secrets import SecretReference

_INTRODUCTION: Final = """\
# Configuration

Made by `python -m poller.config.reference` from the models; do not edit. `hinomi check -c DIR` tells everything that is
wrong at once, as `file:line:column: path: what is wrong. Did you mean ...?`, and exits with status 2.

- `DIR/hinomi.yaml` is read first; `include` is a file or a list of files and patterns (`devices/*.yaml`) below the
  folder of the file that names them. A pattern that finds no file is an error: it is a typing mistake more often than
  an empty folder, and devices that are silently not watched are the worse surprise.
- Sections with entries are mappings by id and may be spread over files; the same id twice is an error.
- `name` is `{ja: ..., en: ...}`, or one text for both; where it is missing the id serves as the name.
- Only `true` and `false` are true and false. `no`, `0755`, `12:30` and `1.10` are the texts they look like.
- Anchors and aliases work; tags (`!!python/...`) and merge keys (`<<`) do not.
"""
_WORDS: Final[Mapping[Any, str]] = {
    units.Rate: 'rate ("300M")',
    units.Volume: 'volume ("20TB")',
    units.Duration: 'duration ("60s")',
    units.Ratio: 'ratio ("80%")',
    settings.Address: "IP address",
    settings.Addresses: "IP address, or a list of one of each family",
    settings.Network: 'network ("192.0.2.0/24")',
    settings.Id: "id",
    SecretReference: "secret by reference",
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    NoneType: "",
}


def reference() -> str:
    """The whole page: the sections of an estate, and each model once, in the order in which they are met."""
    parts = [_INTRODUCTION, "## Sections\n", "| section | what it is |\n|---|---|"]
    for name, info in Estate.model_fields.items():
        model = next(_models(info.annotation))
        by_id = " by id" if get_origin(info.annotation) is not None else ""
        parts.append(f"| `{name}` | [{model.__name__}](#{model.__name__.lower()}){by_id} |")
    parts.extend(_section(model) for model in models())
    return "\n".join(parts) + "\n"


def models() -> list[type[BaseModel]]:
    """Every model that a configuration is made of, the estate itself apart."""
    found: list[type[BaseModel]] = []
    waiting: list[type[BaseModel]] = [Estate]
    while waiting:
        model = waiting.pop(0)
        below = [m for info in model.model_fields.values() for m in _models(info.annotation)]
        new = [m for m in dict.fromkeys(below) if m not in found]
        found.extend(new)
        waiting.extend(new)
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - a typing construct
    if inspect.isclass(annotation) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _section(model: type[BaseModel]) -> str:
    meanings = _meanings(model)
    rows = [f"\n## {model.__name__}\n", inspect.getdoc(model) or "", ""]
    rows.extend(("| setting | value | default | meaning |", "|---|---|---|---|"))
    for name, info in model.model_fields.items():
        if name != "id":
            value = _words(_whole(info)).replace("|", "\\|")
            rows.append(f"| `{name}` | {value} | {_default(model, name)} | {meanings.get(name, '')} |")
    return "\n".join(rows)


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """The text under each setting in the source, on one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for before, after in pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr):
            text = str(ast.literal_eval(after.value))
            found[before.target.id] = re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
    return found


def _whole(info: FieldInfo) -> Any:  # noqa: ANN401 - a typing construct
    """The annotation as it was written: pydantic keeps its outermost constraints apart."""
    annotation: Any = info.annotation
    return Annotated[(annotation, *info.metadata)] if info.metadata else annotation


def _words(annotation: Any) -> str:  # noqa: ANN401 - a typing construct
    """What may be written, in words."""
    for known, word in _WORDS.items():
        if annotation == known or (get_origin(annotation) is Annotated and _contains(annotation, known)):
            return word
    return _composed(annotation)


def _composed(annotation: Any) -> str:  # noqa: ANN401 - a typing construct
    """What may be written where the type is made of others."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is Literal or _is_enum(annotation):
        choices = arguments or [choice.value for choice in annotation]
        return ", ".join(f"`{choice}`" for choice in choices)
    if origin in (Union, UnionType):
        return " or ".join(word for word in map(_words, arguments) if word)
    if arguments:
        inner = _words(arguments[0])
        return f"list of {inner}" if origin is tuple else f"mapping of {inner} to {_words(arguments[1])}"
    return f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _is_enum(annotation: Any) -> bool:  # noqa: ANN401 - a typing construct
    return inspect.isclass(annotation) and get_origin(annotation) is None and issubclass(annotation, Enum)


def _contains(annotation: Any, known: Any) -> bool:  # noqa: ANN401 - typing constructs
    """Whether a constrained type is a known one with further constraints."""
    if get_origin(known) is not Annotated:
        return False
    first, *metadata = get_args(known)
    written, *constraints = get_args(annotation)
    return bool(first == written and all(item in constraints for item in metadata))


def _default(model: type[BaseModel], name: str) -> str:
    info = model.model_fields[name]
    if info.default is PydanticUndefined:
        return "the id" if name == "name" and "id" in model.model_fields else "required"
    value = info.default
    if value is None or value == "" or isinstance(value, BaseModel) or value in ((), {}):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{getattr(item, 'value', item)}`" for item in value)
    kind = _words(_whole(info)).partition(" ")[0]
    if kind in {"duration", "volume"}:
        return f"`{value:g}s`" if kind == "duration" else f"`{value / 10**9:g}GB`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
