"""Columns as they are saved, now and by older versions."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.packing import pack, unpack


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_a_column_comes_back_whichever_version_saved_it(numbers: list[int]) -> None:
    column = array("Q", numbers)
    for saved in (pack(column), column.tobytes().hex(), numbers):
        assert unpack("Q", saved) == column


@pytest.mark.parametrize("damaged", [b"\0" * 7, "00" * 7, "no"])
def test_what_is_no_column_is_refused(damaged: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"multiple of item size|non-hexadecimal"):
        unpack("Q", damaged)
