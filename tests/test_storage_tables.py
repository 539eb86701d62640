"""Blocks of many records as one frame: nothing moves, nothing is lost, whatever shapes they have."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from poller.sample import FieldValue, Sample
from poller.schema import SCHEMA
from poller.storage.encoding import Block, make_blocks
from poller.storage.layout import columns_of
from poller.storage.tables import blocks_frame, chosen_rows

_TENANT = SCHEMA["tenant"]
_FIELDS = st.dictionaries(
    st.sampled_from([field.name for field in _TENANT.fields if field.kind is int]),
    st.integers(0, 2**64 - 1),
    min_size=1,
    max_size=3,
)
_SAMPLES = st.lists(
    st.builds(
        lambda tenant, fields, time_ns: Sample("tenant", (("tenant", tenant), ("line", "int")), fields, time_ns),
        st.sampled_from(["city", "town"]),
        _FIELDS,
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(st.lists(_SAMPLES, min_size=1, max_size=5).filter(any))
def test_a_frame_is_the_blocks_row_by_row(records: list[list[Sample]]) -> None:
    blocks = [block for samples in records for block in make_blocks(samples)]
    frame, refused = blocks_frame(blocks, _TENANT)
    expected = [sample for block in blocks for sample in _samples(block)]
    columns = list(columns_of(_TENANT))
    assert frame.rows() == [tuple(sample.get(name) for name in columns) for sample in expected]
    assert frame.schema == pl.Schema(columns_of(_TENANT))
    assert refused == []


def _samples(block: Block) -> list[dict[str, FieldValue]]:
    return [
        {
            "time_ns": time_ns,
            **{name: column[row] for name, column in zip(block.tag_names, block.tag_columns, strict=True)},
            **{name: column[row] for name, column in zip(block.field_names, block.columns, strict=True)},
        }
        for row, time_ns in enumerate(block.times_ns)
    ]


def test_the_rows_with_a_wrong_value_are_named_by_their_own_block() -> None:
    """A text where a count belongs: the row stays with the rest of its values."""
    good = Block("tenant", ("tenant",), ("in_octets",), [1, 2], [["city", "town"]], [[7, 8]])
    bad = Block("tenant", ("tenant",), ("in_octets",), [3, 4], [["city", "town"]], [[9, "many"]])
    frame, refused = blocks_frame([good, bad], _TENANT)
    assert frame["in_octets"].to_list() == [7, 8, 9, None]
    assert [(block is bad, rows) for block, rows in refused] == [(True, {1})]


def test_chosen_rows_keep_their_order_in_every_column() -> None:
    block = Block("tenant", ("tenant",), ("in_octets",), [1, 2, 3], [["a", "b", "c"]], [[7, 8, 9]])
    kept = chosen_rows(block, [True, False, True])
    assert [*map(list, (kept.times_ns, *kept.tag_columns, *kept.columns))] == [[1, 3], ["a", "c"], [7, 9]]
