"""Between the journal's tables and data frames. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress
from typing import Any

import polars as pl

from poller.sample import Sample
from poller.schema import SCHEMA, Measurement
from poller.storage.encoding import Block, make_blocks
from poller.storage.layout import KEY, columns_of


def blocks_frame(blocks: Sequence[Block], entry: Measurement) -> tuple[pl.DataFrame, list[tuple[Block, set[int]]]]:
    """All columns of a measurement, typed by it, with the blocks' rows in their order; and the rows refused, by block.

    A value that is not of its column's type is null, and its row among those refused.
    """
    shapes: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for place, block in enumerate(blocks):
        shapes.setdefault((block.tag_names, block.field_names), []).append(place)
    frames, order = [], []
    refused: list[tuple[Block, set[int]]] = []
    for places in shapes.values():
        alike = [blocks[place] for place in places]
        known = _known_columns(_joined(alike), entry)
        if any(column.null_count() for column in known):
            refused += [(block, rows) for block in alike if (rows := _nulls(_known_columns(block, entry)))]
        frames.append(_with_nulls(known, entry))
        order += [place for place in places for _ in blocks[place].times_ns]
    if len(frames) == 1:
        return frames[0], refused
    return pl.concat(frames)[sorted(range(len(order)), key=order.__getitem__)], refused


def chosen_rows(block: Block, chosen: Sequence[bool]) -> Block:
    """The block with those rows only for which chosen is true."""

    def of(column: Sequence[Any]) -> Sequence[Any]:
        return tuple(compress(column, chosen))

    return Block(
        block.measurement,
        block.tag_names,
        block.field_names,
        of(block.times_ns),
        [of(column) for column in block.tag_columns],
        [of(column) for column in block.columns],
    )


def _joined(alike: Sequence[Block]) -> Block:
    """One block of several with the same columns."""
    if len(alike) == 1:
        return alike[0]
    first = alike[0]
    return Block(
        first.measurement,
        first.tag_names,
        first.field_names,
        list(chain.from_iterable(block.times_ns for block in alike)),
        [list(chain.from_iterable(same)) for same in zip(*(block.tag_columns for block in alike), strict=True)],
        [list(chain.from_iterable(same)) for same in zip(*(block.columns for block in alike), strict=True)],
    )


def _known_columns(block: Block, entry: Measurement) -> list[pl.Series]:
    """The columns that the schema knows, typed by it; a value that is not of its type is null."""
    given = {
        KEY: block.times_ns,
        **dict(zip(block.tag_names, block.tag_columns, strict=True)),
        **dict(zip(block.field_names, block.columns, strict=True)),
    }
    return [
        pl.Series(name, given[name], dtype, strict=False) for name, dtype in columns_of(entry).items() if name in given
    ]


def _with_nulls(known: Sequence[pl.Series], entry: Measurement) -> pl.DataFrame:
    """A frame of these columns and all others of the measurement, which are null."""
    given = {column.name: column for column in known}
    rows = len(known[0])
    return pl.DataFrame(
        [
            given[name] if name in given else pl.Series(name, [None], dtype).new_from_index(0, rows)
            for name, dtype in columns_of(entry).items()
        ]
    )


def _nulls(columns: Iterable[pl.Series]) -> set[int]:
    """The rows in which a column is null."""
    return {row for column in columns if column.null_count() for row in column.is_null().arg_true()}


def with_all_columns(frame: pl.DataFrame, entry: Measurement) -> pl.DataFrame:
    """The frame with every column of the measurement in its order, null where it had none."""
    return frame.select(
        pl.col(name) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in columns_of(entry).items()
    )


def frames_of(samples: Iterable[Sample]) -> dict[str, pl.DataFrame]:
    """The samples by measurement, all columns; KeyError for a measurement that the schema does not know."""
    parts: dict[str, list[Block]] = {}
    for block in make_blocks(samples):
        parts.setdefault(block.measurement, []).append(block)
    return {name: blocks_frame(blocks, SCHEMA[name])[0] for name, blocks in parts.items()}


def frame_blocks(frame: pl.DataFrame, entry: Measurement) -> Iterator[Block]:
    """Tables of the rows of a frame, one for each set of tags and fields that are not null, rows in their order."""
    names = [column for column in frame.columns if column != KEY]
    pattern = pl.concat_str(pl.col(name).is_null().cast(pl.UInt8).cast(pl.String) for name in names)
    for part in frame.with_columns(pattern.alias("pattern")).partition_by("pattern", maintain_order=True):
        first = part["pattern"][0]
        known = [name for name, null in zip(names, first, strict=True) if null == "0"]
        tags = tuple(name for name in known if name in entry.tags)
        fields = tuple(name for name in known if name not in entry.tags)
        yield Block(
            entry.name,
            tags,
            fields,
            part[KEY].to_list(),
            [part[name].to_list() for name in tags],
            [part[name].to_list() for name in fields],
        )
