"""What a file is that is no UTF-8 or no YAML: the slip of the hand behind what the parser says."""

import re
from collections.abc import Iterable
from typing import Final

import yaml

from poller.config.problems import Place, Problem

_BREAK: Final = re.compile("\r\n|[\n\r\u0085\u2028\u2029]")
_WIDE: Final = {
    "\uff1a": "has a full-width colon '\uff1a'; YAML wants ': '",
    "\u3000": "has a full-width space; YAML wants ordinary spaces",
}
_WIDE_KEY: Final = re.compile("[ -]*(?:[A-Za-z0-9_.-]*\uff1a|[A-Za-z0-9_.-]+:\u3000|\u3000)")
_TAB: Final = re.compile(r"[ -]*\t")
_NEAR: Final = 2
"""So many lines before the one where the parser gives up may hold what misled it."""


def not_utf8(content: bytes, start: int, shown: str) -> Problem:
    """Where the text stops being UTF-8 (start, in bytes), and what it probably is; shown is the file's name."""
    line_start = content.rfind(b"\n", 0, start) + 1
    column = len(content[line_start:start].decode("utf-8")) + 1
    place = Place(shown, content.count(b"\n", 0, start) + 1, column)
    try:
        content.decode("cp932")
    except UnicodeDecodeError:
        return Problem(place, "", "is not UTF-8 text")
    change = f"iconv -f CP932 -t UTF-8 {shown} > new.yaml"
    return Problem(place, "", f"is not UTF-8 text; it looks like Shift_JIS, so convert it: {change}")


def not_yaml(error: yaml.MarkedYAMLError, text: str, shown: str) -> Problem:
    """The parser's error with what probably led to it: a full-width sign, a tab, something left open."""
    mark, context = error.problem_mark or error.context_mark, error.context_mark
    if mark is None:
        return Problem(Place(shown), "", f"is not YAML: {error.problem or error.context}")
    lines = _BREAK.split(text)
    near = sorted({*range(max(0, mark.line - _NEAR), mark.line + 1), *([context.line] if context else [])})
    slip = _slip([(number, lines[number]) for number in near if number < len(lines)], shown)
    if slip is not None:
        return slip
    said = f"is not YAML: {error.problem or error.context}"
    if context is not None and context.line < len(lines):
        opened = lines[context.line][context.column : context.column + 1]
        if opened and opened in "[{'\"":
            said += f"; the {opened} opened at {context.line + 1}:{context.column + 1} is not closed"
    return Problem(Place(shown, mark.line + 1, mark.column + 1), "", said)


def wide(text: str) -> str:
    """What is full-width in a key where YAML wants ASCII, as the end of a sentence; empty where nothing is."""
    return next((said for sign, said in _WIDE.items() if sign in text), "")


def wide_key(text: object) -> str:
    """As wide, of a text that was meant as `key: value`, with a leading "; it "."""
    match = _WIDE_KEY.match(text) if isinstance(text, str) else None
    return f"; it {wide(match[0])}" if match else ""


def _slip(lines: Iterable[tuple[int, str]], shown: str) -> Problem | None:
    for number, line in lines:
        if match := _WIDE_KEY.match(line):
            return Problem(Place(shown, number + 1, match.end()), "", f"is not YAML: this line {wide(match[0])}")
        if match := _TAB.match(line):
            return Problem(Place(shown, number + 1, match.end()), "", "is not YAML: a tab; YAML indents with spaces")
    return None
