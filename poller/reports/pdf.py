"""A document as PDF, by typst: pages, contents, bookmarks, tags and embedded Japanese fonts. No arithmetic here.

The same document gives the same bytes: the date it bears is the period's end, never the clock.
"""

import json
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import typst

from poller.reports.document import (
    Block,
    Cell,
    Chart,
    Document,
    Facts,
    Form,
    Heading,
    HeatMap,
    Paragraph,
    Points,
    Table,
)
from poller.reports.formats import SIGNS, Writer
from poller.reports.pictures import draw

_IN_A_ROW: Final = 2
_SHORT_ROWS, _SHORT_TEXT = 16, 40
"""A table of so few rows with so short texts is never cut in two."""
_NUMERIC: Final = frozenset(Form) - {Form.TEXT, Form.MOMENT, Form.DAY}


def _font_folder() -> Path:
    """Where IPAexGothic lies; its package is found, not loaded, for it would load a plotting library as well."""
    found = find_spec("matplotlib_fontja")
    assert found is not None, "a dependency of this product"
    assert found.origin is not None
    return Path(found.origin).parent / "fonts"


def pdf_of(document: Document) -> bytes:
    """The file's bytes."""
    with tempfile.TemporaryDirectory(prefix="hinomi-report-") as folder:
        return _compile(document, Path(folder))


def _compile(document: Document, folder: Path) -> bytes:
    with as_file(files("poller.reports") / "report.typ") as template:
        shutil.copyfile(template, folder / "report.typ")
    content = _content(document, folder)
    (folder / "document.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    moment = datetime.fromtimestamp(document.until_ns / 1e9, UTC)
    made = typst.compile(
        folder / "report.typ",
        root=folder,
        font_paths=[_font_folder()],
        ignore_system_fonts=True,
        format="pdf",
        timestamp=moment,
        pdf_standards=["ua-1"],
    )
    assert isinstance(made, bytes)
    return made


def _content(document: Document, folder: Path) -> dict[str, Any]:
    writer = Writer(document.lang, document.timezone)
    logo = None
    if document.logo is not None and Path(document.logo).is_file():
        logo = f"logo{Path(document.logo).suffix}"
        shutil.copyfile(document.logo, folder / logo)
    return {
        "title": document.title,
        "period": document.period,
        "addressee": document.addressee,
        "organisation": document.organisation,
        "lang": document.lang,
        "logo": logo,
        "blocks": _side_by_side(
            [_block(block, number, writer, folder) for number, block in enumerate(document.blocks)]
        ),
    }


def _side_by_side(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Narrow pictures that follow one another become one row."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        if not block.get("narrow"):
            found.append(block)
        elif found and found[-1]["kind"] == "row" and len(found[-1]["items"]) < _IN_A_ROW:
            found[-1]["items"].append(block)
        else:
            found.append({"kind": "row", "items": [block]})
    return found


def _block(block: Block, number: int, writer: Writer, folder: Path) -> dict[str, Any]:
    match block:
        case Heading(text, level, new_page):
            return {"kind": "heading", "text": text, "level": level, "page": new_page}
        case Paragraph(text):
            return {"kind": "paragraph", "text": text}
        case Points(items):
            points = [{"text": text, "sign": "" if mark is None else SIGNS[mark], "mark": mark} for text, mark in items]
            return {"kind": "points", "items": points}
        case Facts(items):
            return {"kind": "facts", "items": [{"name": name, "value": value, "of": of} for name, value, of in items]}
        case Table():
            return _table(block, writer)
        case Chart() | HeatMap():
            name = f"picture-{number}.svg"
            (folder / name).write_bytes(draw(block, writer))
            return {
                "kind": "picture",
                "file": name,
                "title": block.title,
                "alt": block.alt,
                "narrow": isinstance(block, HeatMap),
            }


def _table(table: Table, writer: Writer) -> dict[str, Any]:
    texts = [
        [writer.cell(value, column.form) for value, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    longest = max((len(text) for row in texts for text in row), default=0)
    return {
        "kind": "table",
        "whole": len(texts) <= _SHORT_ROWS and longest <= _SHORT_TEXT,
        "title": table.title,
        "note": table.note,
        "columns": [
            {"title": column.title, "right": column.form in _NUMERIC, "wide": column.wide} for column in table.columns
        ],
        "rows": [
            [
                {"text": text, "mark": value.mark if isinstance(value, Cell) else None}
                for text, value in zip(said, row, strict=True)
            ]
            for said, row in zip(texts, table.rows, strict=True)
        ],
    }
