"""Samples as bytes and back: the body of one record, versioned and compressed. Pure.

A record holds blocks. A block is a table: samples of one measurement with the same tag names and the same field
names, in their order of arrival, column by column. Columns are what Parquet wants, they compress best, and names are
written once a block instead of once a sample.

Bytes: b"HJ", one byte of version, then for version 1: zlib (level 1) of msgpack [[measurement, [tag name ...],
[field name ...], [time_ns ...], [[tag value ...] ...], [[field value ...] ...]] ...]. Integers reach 2^64-1.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from poller.sample import FieldValue, Sample
from poller.storage.errors import UnreadableRecord

_MAGIC: Final = b"HJ"
_VERSION: Final = 1
_LEVEL: Final = 1
"""zlib's fastest: a fifth of a poll's encoding time saved by no compression is not worth half as much disk again."""

Column: TypeAlias = Sequence[Any]


class Block(msgspec.Struct, frozen=True, array_like=True):
    """A table of samples; every column has len(times_ns) entries, columns are in the order of their names."""

    measurement: str
    tag_names: tuple[str, ...]
    field_names: tuple[str, ...]
    times_ns: Sequence[int]
    tag_columns: Sequence[Sequence[str]]
    columns: Sequence[Column]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Block])


def make_blocks(samples: Iterable[Sample]) -> list[Block]:
    """The samples as tables, in order of first appearance."""
    rows: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[list[int], list[Any], list[Any]]] = {}
    for sample in samples:
        names, values = zip(*sample.tags, strict=True) if sample.tags else ((), ())
        key = (sample.measurement, names, tuple(sample.fields))
        found = rows.get(key)
        if found is None:
            found = rows[key] = ([], [], [])
        found[0].append(sample.time_ns)
        found[1].append(values)
        found[2].append(sample.fields.values())
    return [
        Block(*key, times, tuple(zip(*tags, strict=True)), tuple(zip(*values, strict=True)))
        for key, (times, tags, values) in rows.items()
    ]


def block_samples(block: Block) -> Iterator[Sample]:
    """The samples of a table, one by one."""
    tags = zip(*block.tag_columns, strict=True) if block.tag_columns else iter([()] * len(block.times_ns))
    rows: Iterator[tuple[FieldValue, ...]]
    rows = zip(*block.columns, strict=True) if block.columns else iter([()] * len(block.times_ns))
    for time_ns, values, row in zip(block.times_ns, tags, rows, strict=True):
        yield Sample(
            block.measurement,
            tuple(zip(block.tag_names, values, strict=True)),
            dict(zip(block.field_names, row, strict=True)),
            time_ns,
        )


def encode(samples: Iterable[Sample]) -> bytes:
    """The body of a record.

    Raises TypeError or OverflowError where a value is no int (-2^63..2^64-1), float, bool or str; split_encodable
    says which.
    """
    return _MAGIC + bytes([_VERSION]) + zlib.compress(_encoder.encode(make_blocks(samples)), _LEVEL)


def decode(body: bytes) -> list[Block]:
    """The tables of a record; UnreadableRecord where the bytes are damaged or of another version."""
    if body[:2] != _MAGIC:
        raise UnreadableRecord("these bytes are no record of a journal")
    if body[2:3] != bytes([_VERSION]):
        raise UnreadableRecord(f"the record has version {body[2:3].hex()}, this program reads {_VERSION}")
    try:
        blocks = _decoder.decode(zlib.decompress(memoryview(body)[3:]))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise UnreadableRecord(f"the record is damaged: {error}") from error
    for block in blocks:
        if any(len(column) != len(block.times_ns) for column in (*block.tag_columns, *block.columns)):
            raise UnreadableRecord(f"the record is damaged: columns of {block.measurement} differ in length")
    return blocks


def split_encodable(samples: Iterable[Sample]) -> tuple[list[Sample], list[tuple[Sample, str]]]:
    """The samples that can be kept, and those that cannot with the reason; slow, for after encode has failed."""
    good: list[Sample] = []
    bad: list[tuple[Sample, str]] = []
    for sample in samples:
        try:
            encode([sample])
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            bad.append((sample, str(error)))
        else:
            good.append(sample)
    return good, bad
