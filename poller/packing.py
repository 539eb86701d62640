"""Columns of numbers as octets, for what is saved every minute.

A list of a hundred thousand numbers takes the loop longer to make than it may stand still; their octets do not.
"""

from array import array
from collections.abc import Sequence
from typing import Any


def pack(column: "array[Any]") -> bytes:
    """The octets of a column, as this machine orders them."""
    return column.tobytes()


def unpack(typecode: str, saved: bytes | str | Sequence[Any]) -> "array[Any]":
    """What pack gave, or as older versions saved it: in hexadecimal, or the numbers one by one.

    ValueError where it is none of them.
    """
    if isinstance(saved, str):
        saved = bytes.fromhex(saved)
    if not isinstance(saved, bytes):
        return array(typecode, saved)
    column = array(typecode)
    column.frombytes(saved)
    return column
