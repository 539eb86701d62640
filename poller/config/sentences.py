"""What the models found wrong, as a sentence for the person who wrote the file."""

from typing import Any, Final

from pydantic_core import ErrorDetails

from poller.config.problems import did_you_mean
from poller.config.slips import wide_key

_WANTED: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping of settings",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be below {lt}",
    "too_short": "needs at least {min_length} entry",
}
_PATTERNS: Final = {
    "^[a-z0-9]": "an id is lower case letters, digits, - and _, and begins with a letter or digit",
    "^[^@": "must be a mail address such as noc@example.jp",
}


def sentence(detail: ErrorDetails) -> str:
    """One error of pydantic as a sentence; what was written is repeated, except where it may be a secret."""
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx", {})
    written = detail["input"]
    if kind == "value_error":
        return str(context["error"])
    if kind in {"enum", "literal_error"}:
        return _choices(str(context["expected"]), written)
    if kind == "string_pattern_mismatch":
        return _pattern(str(context["pattern"]), written)
    if kind in _WANTED:
        text = _WANTED[kind].format(**context)
        if kind == "less_than_equal" and context["le"] == 1 and isinstance(written, int | str):
            return f'{text}, not {_shown(written)}. Did you mean "{written}%"?'
        found = "" if isinstance(written, dict | list) else f", not {_shown(written)}"
        return text + found + (wide_key(written) if kind == "model_type" else "")
    return detail["msg"]


def _choices(expected: str, written: object) -> str:
    choices = [choice.strip().strip("'") for choice in expected.replace(" or ", ", ").split(",")]
    hint = did_you_mean(str(written), choices) if isinstance(written, str) else ""
    return f"{_shown(written)} is not known; it is one of {', '.join(choices)}{'.' + hint if hint else ''}"


def _pattern(pattern: str, written: object) -> str:
    for beginning, text in _PATTERNS.items():
        if pattern.startswith(beginning):
            return f"{_shown(written)}: {text}"
    return f"{_shown(written)} does not match {pattern}"


def _shown(written: object) -> str:
    if isinstance(written, str):
        return f'"{written}"'
    if isinstance(written, bool):
        return str(written).lower()
    return "nothing" if written is None else str(written)
