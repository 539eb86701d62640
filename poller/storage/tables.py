"""Between the journal's tables and data frames. Pure."""

from collections.abc import Iterable, Iterator

import polars as pl

from poller.sample import Sample
from poller.schema import SCHEMA, Measurement
from poller.storage.encoding import Block, make_blocks
from poller.storage.layout import KEY, columns_of


def block_frame(block: Block, entry: Measurement) -> pl.DataFrame:
    """The columns of a table that the schema knows, typed by it; a value that is not of its type is null."""
    dtypes = columns_of(entry)
    given = {
        KEY: block.times_ns,
        **dict(zip(block.tag_names, block.tag_columns, strict=True)),
        **dict(zip(block.field_names, block.columns, strict=True)),
    }
    return pl.DataFrame([pl.Series(name, given[name], dtypes[name], strict=False) for name in dtypes if name in given])


def with_all_columns(frame: pl.DataFrame, entry: Measurement) -> pl.DataFrame:
    """The frame with every column of the measurement in its order, null where it had none."""
    return frame.select(
        pl.col(name) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in columns_of(entry).items()
    )


def frames_of(samples: Iterable[Sample]) -> dict[str, pl.DataFrame]:
    """The samples by measurement, all columns; KeyError for a measurement that the schema does not know."""
    parts: dict[str, list[pl.DataFrame]] = {}
    for block in make_blocks(samples):
        entry = SCHEMA[block.measurement]
        parts.setdefault(block.measurement, []).append(with_all_columns(block_frame(block, entry), entry))
    return {name: pl.concat(frames) for name, frames in parts.items()}


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
