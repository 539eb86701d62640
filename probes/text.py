"""Text from the network, made fit to be shown (R77)."""

import re
import unicodedata
from typing import Final

LONGEST: Final = 120
_SPACE: Final = re.compile(r"\s+")


def printable(text: str, longest: int = LONGEST) -> str:
    """One line without control, format or private characters, cut at `longest` characters."""
    flat = _SPACE.sub(" ", text[: longest * 8])
    kept = "".join(sign for sign in flat if unicodedata.category(sign)[0] != "C").strip()
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"
