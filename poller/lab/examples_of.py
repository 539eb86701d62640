"""Text that a regular expression matches: what a simulated device must say to be recognised by a profile."""

import re
from typing import Final

_CLASSES: Final = {"d": "1", "s": " ", "w": "a"}
_QUANTIFIERS: Final = "?*+"


class NoExample(ValueError):  # noqa: N818 - it says what is the matter
    """The expression is beyond what profiles use."""


def example_of(pattern: re.Pattern[str]) -> str:
    """A short text the expression finds something in.

    Knows alternatives, groups, character sets and quantifiers, which is what profiles are written in; raises NoExample
    for an expression with more (look-around, back references).
    """
    text, rest = _alternatives(re.sub(r"^\(\?[a-z]+\)", "", pattern.pattern))
    if rest or pattern.search(text) is None:
        raise NoExample(f"no example for {pattern.pattern!r}")
    return text


def _alternatives(pattern: str) -> tuple[str, str]:
    """The first of some alternatives, and what follows the closing parenthesis that ends them."""
    first, rest = _sequence(pattern)
    while rest.startswith("|"):
        _, rest = _sequence(rest[1:])
    return first, rest


def _sequence(pattern: str) -> tuple[str, str]:
    text, rest = "", pattern
    while rest and rest[0] not in "|)":
        if rest[0] in "^$":
            rest = rest[1:]
            continue
        piece, rest = _piece(rest)
        if rest[:1] and rest[0] in _QUANTIFIERS:
            text += piece if rest[0] == "+" else ""
            rest = rest[1:]
        else:
            text += piece
    return text, rest


def _piece(pattern: str) -> tuple[str, str]:
    """One character, set or group, and what follows it."""
    if pattern[0] == "(":
        inner, rest = _alternatives(pattern[1:].removeprefix("?:"))
        return inner, rest[1:]
    if pattern[0] == "[":
        end = pattern.index("]", 2)
        return pattern[1], pattern[end + 1 :]
    if pattern[0] == "\\":
        return _CLASSES.get(pattern[1], pattern[1]), pattern[2:]
    return ("x" if pattern[0] == "." else pattern[0]), pattern[1:]
