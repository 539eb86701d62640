"""Rows out of the pages of a SQLite file, without SQLite: for a file whose tree is broken. Pure.

SQLite walks its tree from the root, so one broken page hides all below it. Every leaf page of a table can be recognised
by itself, though (SQLite file format: 1.3 header, 1.6 B-tree pages, 2.1 record format, 4 write-ahead log).
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

Row: TypeAlias = tuple[int, tuple[int | bytes | None, ...]]
"""rowid, and the columns that are integers, blobs or NULL (others come as None)."""

_DEFAULT_PAGE: Final = 4096
_TABLE_LEAF: Final = 13
_HEADER: Final = 100
_INTEGER_SIZES: Final = (0, 1, 2, 3, 4, 6, 8)
_LONGEST_VARINT: Final = 9
_WAL_HEADER: Final = 32
_WAL_FRAME: Final = 24


def page_size(file: Sequence[int]) -> int:
    """The page size in the file's header; SQLite's default where that is broken."""
    size = int.from_bytes(bytes(file[16:18]), "big")
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & (size - 1) == 0 else _DEFAULT_PAGE  # noqa: PLR2004 - the format's least


def wal_pages(wal: memoryview, size: int) -> dict[int, memoryview]:
    """The latest copy of each page in a write-ahead log, by page number."""
    pages: dict[int, memoryview] = {}
    salts = bytes(wal[16:24])
    for start in range(_WAL_HEADER, len(wal) - _WAL_FRAME - size + 1, _WAL_FRAME + size):
        if bytes(wal[start + 8 : start + 16]) == salts:
            number = int.from_bytes(wal[start : start + 4], "big")
            pages[number] = wal[start + _WAL_FRAME : start + _WAL_FRAME + size]
    return pages


def table_rows(file: memoryview, newer: Mapping[int, memoryview], size: int) -> Iterator[Row]:
    """Every row of every table leaf that can be read; pages in newer stand for those of the file.

    Rows of free pages come too: whoever asks decides what is still wanted, and checks what a row says.
    """

    def page(number: int) -> memoryview:
        return newer.get(number, file[(number - 1) * size : number * size])

    last = max(len(file) // size, max(newer, default=0))
    for number in range(1, last + 1):
        leaf = page(number)
        head = _HEADER if number == 1 else 0
        if len(leaf) != size or leaf[head] != _TABLE_LEAF:
            continue
        (count,) = struct.unpack_from(">H", leaf, head + 3)
        for cell in range(min(count, size // 4)):
            try:
                (start,) = struct.unpack_from(">H", leaf, head + 8 + 2 * cell)
                payload, rowid = _payload(leaf, start, size, page)
                yield rowid, _columns(payload)
            except (IndexError, ValueError, struct.error):
                continue


def _payload(leaf: memoryview, start: int, size: int, page: Callable[[int], memoryview]) -> tuple[bytes, int]:
    """A cell's whole record and its rowid; the record's end may lie in a chain of overflow pages."""
    length, start = _varint(leaf, start)
    rowid, start = _varint(leaf, start)
    longest = size - 35
    local = length
    if length > longest:
        least = (size - 12) * 32 // 255 - 23
        local = least + (length - least) % (size - 4)
        local = local if local <= longest else least
    parts = [bytes(leaf[start : start + local])]
    missing = length - local
    if missing:
        (following,) = struct.unpack_from(">I", leaf, start + local)
    while missing > 0:
        overflow = page(following)
        if following == 0 or len(overflow) != size:
            raise ValueError("the chain of overflow pages is broken")
        part = bytes(overflow[4 : 4 + min(missing, size - 4)])
        parts.append(part)
        missing -= len(part)
        (following,) = struct.unpack_from(">I", overflow, 0)
    return b"".join(parts), rowid


def _columns(record: bytes) -> tuple[int | bytes | None, ...]:
    """The columns of a record."""
    end, position = _varint(record, 0)
    columns: list[int | bytes | None] = []
    body = end
    while position < end:
        kind, position = _varint(record, position)
        length = _INTEGER_SIZES[kind] if kind < len(_INTEGER_SIZES) else max(0, (kind - 12) // 2)
        value = record[body : body + length]
        if len(value) != length:
            raise ValueError("the record is cut short")
        if 1 <= kind < len(_INTEGER_SIZES):
            columns.append(int.from_bytes(value, "big", signed=True))
        elif kind in (8, 9):
            columns.append(kind - 8)
        else:
            columns.append(value if kind >= 12 and kind % 2 == 0 else None)  # noqa: PLR2004 - 12, 14 ...: blobs
        body += length
    return tuple(columns)


def _varint(source: memoryview | bytes, start: int) -> tuple[int, int]:
    """A varint and the position after it."""
    value = 0
    for position in range(start, start + _LONGEST_VARINT):
        byte = source[position]
        if position == start + _LONGEST_VARINT - 1:
            return (value << 8) | byte, position + 1
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says more follows
            return value, position + 1
    raise ValueError("no varint ends here")
