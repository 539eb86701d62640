"""From MIB files to a catalogue of notifications, compiled ahead by pysmi: `hinomi mib add`. Nothing is compiled later.

The catalogue gets the names and enumerations of the module's objects, and its notifications with severity "notice" and
the first sentence of their description; severity, Japanese text, key and follow-up are the operator's to write.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pysmi.codegen.jsondoc import JsonCodeGen  # type: ignore[import-untyped] # it has no types
from pysmi.compiler import MibCompiler  # type: ignore[import-untyped] # as above
from pysmi.parser.dialect import smi_v1_relaxed  # type: ignore[import-untyped] # as above
from pysmi.parser.smi import parserFactory  # type: ignore[import-untyped] # as above
from pysmi.reader.callback import CallbackReader  # type: ignore[import-untyped] # as above
from pysmi.reader.localfile import FileReader  # type: ignore[import-untyped] # as above
from pysmi.writer.callback import CallbackWriter  # type: ignore[import-untyped] # as above

from poller.share import share

_MODULE: Final = re.compile(r"^\s*([A-Za-z][A-Za-z0-9-]*)\s+(?:\{[^}]*\}\s*)?DEFINITIONS\s*::=\s*BEGIN", re.MULTILINE)
_COMPILED: Final = "compiled"


class BadMib(Exception):  # noqa: N818 - it says what is the matter
    """A MIB file cannot be compiled; the text says why, and which modules it needs."""


@dataclass(frozen=True, slots=True)
class CompiledMib:
    """A module as a catalogue file: its name, how much is in it, and the text of the file."""

    module: str
    notifications: int
    objects: int
    text: str


def compile_mib(file: Path, folders: Iterable[Path] = ()) -> CompiledMib:
    """Compile one MIB file; what it imports is looked for beside it, in folders, and among our basic modules."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadMib(f"{file}: {error.strerror}") from None
    match = _MODULE.search(text)
    if match is None:
        raise BadMib(f"{file}: is no MIB module: there is no line NAME DEFINITIONS ::= BEGIN")
    module = match[1]
    written: dict[str, dict[str, Any]] = {}

    def keep(name: str, text: str, _context: object) -> None:
        written[name] = json.loads(text)

    compiler = MibCompiler(parserFactory(**smi_v1_relaxed)(), JsonCodeGen(), CallbackWriter(keep))

    def named(name: str, _context: object) -> str:
        return text if name == module else ""

    folders = (file.parent, *folders, share("config/mibs"))
    readers = [CallbackReader(named), *(FileReader(str(folder)) for folder in folders)]
    compiler.add_sources(*readers)
    outcome = compiler.compile(module, genTexts=True, noDeps=False)
    if str(outcome.get(module)) != _COMPILED:
        missing = sorted(name for name, status in outcome.items() if str(status) == "missing")
        reason = getattr(outcome.get(module), "error", None) or "it could not be compiled"
        where = ": put these files beside it or name their folder with --path"
        needs = f"; it needs {', '.join(missing)}{where}" if missing else ""
        raise BadMib(f"{file}: {reason}{needs}")
    return _catalogue(module, written)


def _catalogue(module: str, written: Mapping[str, Mapping[str, Any]]) -> CompiledMib:
    types = {name: entry for entries in written.values() for name, entry in entries.items() if isinstance(entry, dict)}
    objects: dict[str, dict[str, Any]] = {}
    notifications: dict[str, dict[str, Any]] = {}
    for name, entry in written[module].items():
        kind = entry.get("class") if isinstance(entry, dict) else None
        if kind == "objecttype" and entry.get("nodetype") in {"scalar", "column"}:
            values = _enumeration(entry.get("syntax", {}), types)
            objects[entry["oid"]] = {"name": name, **({"values": values} if values else {})}
        elif kind == "notificationtype":
            told = [each["object"] for each in entry.get("objects", [])]
            notifications[entry["oid"]] = {
                "name": name,
                "mib": module,
                "severity": "notice",
                "en": _sentence(entry, name),
                **({"varbinds": told} if told else {}),
            }
    text = yaml.safe_dump(
        {"objects": objects, "notifications": notifications}, allow_unicode=True, sort_keys=False, width=120
    )
    head = f"# Made from {module} by `hinomi mib add`; severity, ja, key, clears and does are yours to write.\n"
    return CompiledMib(module, len(notifications), len(objects), head + text)


def _enumeration(syntax: Mapping[str, Any], types: Mapping[str, Any]) -> dict[int, str]:
    """The words of an enumeration, also where a textual convention holds them."""
    seen: set[str] = set()
    while True:
        words = syntax.get("constraints", {}).get("enumeration", {})
        if words:
            return {int(number): str(word) for word, number in words.items()}
        name = syntax.get("type")
        if not isinstance(name, str) or name in seen or not isinstance(types.get(name, {}).get("type"), dict):
            return {}
        seen.add(name)
        syntax = types[name]["type"]


def _sentence(entry: Mapping[str, Any], name: str) -> str:
    text = " ".join(str(entry.get("description", "")).split())
    first = text.partition(". ")[0].rstrip(".")
    return (first[:160] or name).replace("{", "(").replace("}", ")")
