"""Columns of numbers as text, for what is saved every minute.

A list of a hundred thousand numbers takes the loop longer to make than it may stand still; their octets do not.
"""

from array import array
from collections.abc import Sequence
from typing import Any


def pack(column: "array[Any]") -> str:
    """The octets of a column in hexadecimal, as this machine orders them."""
    return column.tobytes().hex()


def unpack(typecode: str, saved: str | Sequence[Any]) -> "array[Any]":
    """What pack gave, or the numbers one by one, as older versions saved them; ValueError where it is neither."""
    if not isinstance(saved, str):
        return array(typecode, saved)
    column = array(typecode)
    column.frombytes(bytes.fromhex(saved))
    return column
