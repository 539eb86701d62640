"""Where the data that travels with the product is: the checkout, or share/hinomi where it is installed."""

import sys
from pathlib import Path
from typing import Final

_CHECKOUT: Final = Path(__file__).resolve().parent.parent


def share(name: str) -> Path:
    """The folder or file of that name, such as "config/profiles"; FileNotFoundError where it was not installed."""
    for root in (_CHECKOUT, Path(sys.prefix) / "share" / "hinomi"):
        path = root / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is neither in {_CHECKOUT} nor in {sys.prefix}/share/hinomi: install hinomi again")
