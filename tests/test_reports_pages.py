"""The pages themselves: everything that is in the model is on them and in the sheets, nothing overlaps or is cut off.

The estate is the prefecture's example with its long names; three days of its past make every figure provisional, which
is the longest form a figure has.
"""

import io
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import openpyxl
import pypdf
import pytest

from poller.config import load
from poller.estate import Estate
from poller.lab.history import Wish, invent
from poller.reports.changes import changes, settled
from poller.reports.document import Chart, Document, Form, Heading, HeatMap, Paragraph, Table, plain
from poller.reports.formats import Writer
from poller.reports.gather import gather, gather_shared
from poller.reports.network import network_report
from poller.reports.pdf import pdf_of
from poller.reports.periods import Kind, period_of
from poller.reports.reading import Records
from poller.reports.tenantfigures import tenant_figures
from poller.reports.tenants import TenantReport, incidents_by_tenant, tenant_report
from poller.reports.xlsx import xlsx_of
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore

EXAMPLE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
JST = ZoneInfo("Asia/Tokyo")
DAY_NS = 86_400 * 10**9
A4 = (595.28, 841.89)
MARGIN = 50.0
"""Points left and right, less than the 20 mm of the form."""
CASES = [
    (Kind.MONTHLY, "2026-06", "", "ja"),
    (Kind.QUARTERLY, "2026-Q1", "", "ja"),
    (Kind.SEMIANNUAL, "2026-H1", "", "en"),
    (Kind.ANNUAL, "2026", "", "ja"),
    (Kind.SEMIANNUAL, "2026-H1", "mie-koki", "ja"),
    (Kind.ANNUAL, "2026", "mie-koki", "en"),
]


@dataclass(frozen=True)
class Word:
    """A word on a page, as poppler places it; points from the upper left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load(EXAMPLE).estate


@pytest.fixture(scope="module")
def records(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Records:
    folder = tmp_path_factory.mktemp("pages")
    june = period_of(Kind.MONTHLY, "2026-06", JST)
    invent(estate, ParquetStore(folder), Wish(3, june.start_ns + 4 * DAY_NS, seed=5))
    return Records(open_history(folder))


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(filter(None, case)))
def document(request: pytest.FixtureRequest, estate: Estate, records: Records) -> Document:
    kind, text, tenant, lang = request.param
    period = period_of(kind, text, JST)
    shared = gather_shared(estate, records, period)
    if tenant:
        figures = tenant_figures(estate, records, period, [tenant], with_before=False)
        touched = incidents_by_tenant(shared.incidents, estate)[tenant]
        return tenant_report(TenantReport(estate, period, tenant, figures, shared.services, touched), lang)
    everybody = tenant_figures(estate, records, period, list(estate.tenants), with_before=True)
    before = settled(estate.model_copy(update={"services": {}, "circuits": {}}))
    return network_report(gather(shared, records, everybody, lambda _: None), lang, changes(before, settled(estate)))


@pytest.fixture(scope="module")
def pdf(document: Document) -> bytes:
    return pdf_of(document)


def pages_of(pdf: bytes, folder: Path) -> Iterator[list[Word]]:
    file = folder / "report.pdf"
    file.write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-bbox", str(file), "-"], capture_output=True, check=True)
    space = "{http://www.w3.org/1999/xhtml}"
    for page in ET.fromstring(done.stdout.decode()).iter(f"{space}page"):
        yield [
            Word(each.text or "", *(float(each.attrib[side]) for side in ("xMin", "yMin", "xMax", "yMax")))
            for each in page.iter(f"{space}word")
        ]


def overlap(one: Word, other: Word) -> float:
    """The part of the smaller word that the other covers; a word's box is taller than its ink by a third."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    smaller = min((each.right - each.left) * (each.bottom - each.top) for each in (one, other))
    return max(0.0, across) * max(0.0, down) / smaller if smaller else 0.0


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_no_word_leaves_the_page_or_lies_on_another(pdf: bytes, tmp_path: Path) -> None:
    """(R66)"""
    for number, words in enumerate(pages_of(pdf, tmp_path), 1):
        outside = [w for w in words if w.left < MARGIN or w.right > A4[0] - MARGIN or w.bottom > A4[1] - 25]
        assert [] == outside, number
        by_height = sorted(words, key=lambda each: each.top)
        for at, one in enumerate(by_height):
            for other in by_height[at + 1 :]:
                if other.top >= one.bottom:
                    break
                assert overlap(one, other) < 0.3, (number, one, other)


def test_every_cell_and_sentence_of_the_model_is_in_the_pdf(document: Document, pdf: bytes) -> None:
    """(R66)"""
    text = squeezed("".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages))
    writer = Writer(document.lang, document.timezone)
    cells = 0
    for block in document.blocks:
        match block:
            case Table():
                assert squeezed(block.title) in text
                for row in block.rows:
                    for value, column in zip(row, block.columns, strict=True):
                        assert squeezed(writer.cell(value, column.form)) in text, (block.name, column.title, value)
                        cells += 1
            case Heading() | Paragraph():
                assert squeezed(block.text) in text
            case Chart() | HeatMap():
                assert squeezed(block.title) in text
    assert cells > 50


def test_every_cell_of_the_model_is_in_the_sheets_as_what_it_is(document: Document) -> None:
    """(R66)"""
    book = openpyxl.load_workbook(io.BytesIO(xlsx_of(document)))
    sheets = iter(book.worksheets[1:])
    for table in document.tables():
        sheet = next(each for each in sheets if each["A1"].value == table.title and each["A2"].value is not None)
        for number, row in enumerate(table.rows, 3):
            for at, (value, column) in enumerate(zip(row, table.columns, strict=True), 1):
                found = sheet.cell(number, at).value
                assert as_in_a_sheet(plain(value), column.form) == found, (table.name, column.title)


def as_in_a_sheet(value: object, form: Form) -> object:
    if isinstance(value, int | float):
        if form is Form.MOMENT:
            return datetime.fromtimestamp(int(value) // 10**9, JST).replace(tzinfo=None)
        if form is Form.RATE:
            return pytest.approx(value / 1e6)
        if form is Form.DURATION:
            return AsDuration(value)
        return pytest.approx(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a spreadsheet has local time
    return value or None


class AsDuration:
    """Equal to what openpyxl makes of [h]:mm:ss."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __eq__(self, other: object) -> bool:
        seconds = other.total_seconds() if hasattr(other, "total_seconds") else as_seconds(other)
        return abs(seconds - self.seconds) < 1.0

    def __hash__(self) -> int:
        return hash(self.seconds)


def as_seconds(value: object) -> float:
    if isinstance(value, int | float):
        return value * 86_400
    assert hasattr(value, "hour")
    return float(value.hour * 3600 + value.minute * 60 + value.second)


def test_it_has_bookmarks_tags_embedded_fonts_and_page_numbers(document: Document, pdf: bytes, tmp_path: Path) -> None:
    """(R66)"""
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    first = [block.text for block in document.blocks if isinstance(block, Heading) and block.level == 1]
    assert first == [entry.title for entry in reader.outline if not isinstance(entry, list)]
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert document.lang == reader.root_object["/Lang"][:2]
    file = tmp_path / "report.pdf"
    file.write_bytes(pdf)
    fonts = subprocess.run(["pdffonts", str(file)], capture_output=True, check=True, text=True).stdout.splitlines()[2:]
    assert fonts
    assert {"yes"} == {line.split()[-5] for line in fonts}
    assert all("IPAexGothic" in line for line in fonts)
    count = len(reader.pages)
    assert all(f"{number}/{count}" in squeezed(page.extract_text()) for number, page in enumerate(reader.pages, 1))
