"""One structured line an event: `poll device=fw-1 outcome=no_answer tries=3 took=6.0s`.

Values are made safe (R77): control characters never reach a terminal or the journal, long text is cut.
"""

import logging
import os
import re
import sys
from typing import Final

_PLAIN: Final = re.compile(r"[\w.:/+@%,-]+")
_LONGEST: Final = 500


def clean(text: str) -> str:
    """Text from the network without control, format and line-separating characters, and not longer than 500 signs."""
    safe = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text[: _LONGEST + 1])
    return safe if len(safe) <= _LONGEST else safe[:_LONGEST] + "…"


def line(event: str, fields: dict[str, object]) -> str:
    """The event and its fields as one line; values with blanks or quotes are quoted."""
    return " ".join((event, *(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)))


def tell(logger: logging.Logger, level: int, event: str, **fields: object) -> None:
    """Log one event with its fields."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", line(event, fields))


def start_logging(level: int = logging.INFO) -> None:
    """Write events to standard error; under systemd without time, which its journal adds."""
    form = "%(levelname)s %(message)s" if "INVOCATION_ID" in os.environ else "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=level, format=form, datefmt="%Y-%m-%dT%H:%M:%S%z", stream=sys.stderr)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = clean(str(value))
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
