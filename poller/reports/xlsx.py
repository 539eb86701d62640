"""A document as XLSX, by xlsxwriter: real numbers with units in the head, native charts, raw rows where asked for.

The same document gives the same bytes: the date it bears is the period's end.
"""

import io
from datetime import UTC, date, datetime, time
from typing import Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from poller.reports.document import Cell, Chart, Document, Facts, Form, Heading, HeatMap, Mark, Paragraph, Points, Table
from poller.reports.formats import SIGNS, WEEKDAYS, Writer, percent

_EXACT: Final = 2**53
"""The largest whole number that a spreadsheet keeps to the last digit."""
_NUMBER_FORMATS: Final = {
    Form.COUNT: "#,##0",
    Form.RATE: "#,##0.000",
    Form.VOLUME: "#,##0",
    Form.RATIO: "0.0%",
    Form.LEVEL: "0.000%",
    Form.CHANGE: "+0.0%;-0.0%;0.0%",
    Form.SECONDS: "0.000",
    Form.DURATION: "[h]:mm:ss",
    Form.MOMENT: "yyyy/mm/dd hh:mm",
    Form.DAY: "yyyy/mm/dd",
}
_UNITS: Final = {
    Form.RATE: ("Mbps", "Mbps"),
    Form.VOLUME: ("オクテット", "octets"),
    Form.SECONDS: ("秒", "s"),
    Form.DURATION: ("時:分:秒", "h:mm:ss"),
}
_COLOURS: Final = {Mark.GOOD: "#2E6B34", Mark.WARNING: "#8A5A00", Mark.BAD: "#A01818"}
_FONT: Final = "Yu Gothic"
_SHEET_NAME: Final = 31
_NOT_IN_SHEET_NAMES: Final = str.maketrans("[]:*?/\\", "()     ")


def xlsx_of(document: Document) -> bytes:
    """The file's bytes."""
    target = io.BytesIO()
    options = {"in_memory": True, "default_date_format": "yyyy/mm/dd hh:mm", "strings_to_formulas": False}
    with xlsxwriter.Workbook(target, {**options, "strings_to_urls": False, "strings_to_numbers": False}) as book:
        made = datetime.fromtimestamp(document.until_ns / 1e9, UTC).replace(tzinfo=None)
        book.set_properties(
            {"title": f"{document.title} {document.period}", "author": document.organisation, "created": made}
        )
        _Book(book, document).write()
    return target.getvalue()


class _Book:
    """The sheets of one document."""

    def __init__(self, book: Workbook, document: Document) -> None:
        self._book = book
        self._document = document
        self._writer = Writer(document.lang, document.timezone)
        self._formats: dict[tuple[Form, Mark | None, bool], Format] = {}
        self._head = book.add_format(
            {"font_name": _FONT, "bold": True, "bottom": 2, "text_wrap": True, "valign": "top"}
        )
        self._title = book.add_format({"font_name": _FONT, "bold": True, "font_size": 14})
        self._text = book.add_format({"font_name": _FONT})
        self._names: set[str] = set()

    def write(self) -> None:
        """Everything, in the order of the document: words on the first sheet, each table on one of its own."""
        self._words(self._sheet("要約" if self._document.lang == "ja" else "Summary"))
        for block in self._document.blocks:
            match block:
                case Table():
                    self._table(block)
                case Chart():
                    self._chart(block)
                case HeatMap():
                    self._heat(block)
        for table in self._document.raw:
            self._table(table)

    def _sheet(self, name: str) -> Worksheet:
        allowed = name.translate(_NOT_IN_SHEET_NAMES).strip("' ")
        short = allowed[:_SHEET_NAME]
        number = 2
        while short.lower() in self._names:
            short = f"{allowed[: _SHEET_NAME - 3]} {number}"
            number += 1
        self._names.add(short.lower())
        sheet = self._book.add_worksheet(short)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        return sheet

    def _words(self, sheet: Worksheet) -> None:
        document = self._document
        sheet.set_column(0, 0, 36)
        sheet.set_column(1, 2, 24)
        sheet.write_string(0, 0, f"{document.title}　{document.period}", self._title)
        sheet.write_string(1, 0, f"{document.organisation} {document.addressee}".strip(), self._text)
        row = 3
        for block in document.blocks:
            match block:
                case Heading(text):
                    sheet.write_string(row, 0, text, self._head)
                    row += 1
                case Paragraph(text):
                    sheet.write_string(row, 0, text, self._text)
                    row += 1
                case Points(items):
                    for text, mark in items:
                        sheet.write_string(row, 0, f"{'・' if mark is None else SIGNS[mark]} {text}", self._text)
                        row += 1
                case Facts(items):
                    for fact in items:
                        for column, text in enumerate(fact):
                            sheet.write_string(row, column, text, self._text)
                        row += 1

    def _table(self, table: Table) -> None:
        sheet = self._sheet(table.title)
        sheet.write_string(0, 0, table.title, self._title)
        for column, entry in enumerate(table.columns):
            unit = _UNITS.get(entry.form)
            title = entry.title if unit is None else f"{entry.title} ({unit[self._document.lang != 'ja']})"
            sheet.write_string(1, column, title, self._head)
            sheet.set_column(column, column, 30 if entry.wide else 17)
        sheet.freeze_panes(2, 1)
        for number, row in enumerate(table.rows, 2):
            for column, (value, entry) in enumerate(zip(row, table.columns, strict=True)):
                self._cell(sheet, number, column, value, entry.form)
        if table.rows:
            sheet.autofilter(1, 0, len(table.rows) + 1, len(table.columns) - 1)
        if table.note:
            sheet.write_string(len(table.rows) + 3, 0, table.note, self._text)

    def _cell(self, sheet: Worksheet, row: int, column: int, value: object, form: Form) -> None:
        cell = value if isinstance(value, Cell) else Cell(value)
        kind = self._format(form, cell.mark, provisional=cell.coverage_ratio is not None)
        match cell.value:
            case None:
                sheet.write_blank(row, column, None, kind)
            case str(text):
                sheet.write_string(row, column, text, kind)
            case date() as day:
                sheet.write_datetime(row, column, datetime.combine(day, time()), kind)
            case int() | float() as number:
                self._number(sheet, row, column, number, form, kind)
        if cell.coverage_ratio is not None:
            seen = percent(cell.coverage_ratio, 1)
            sheet.write_comment(
                row, column, f"暫定 {seen}" if self._document.lang == "ja" else f"provisional, {seen} seen"
            )

    def _number(  # noqa: PLR0913, PLR0917 - a cell has a place, a value and a form
        self, sheet: Worksheet, row: int, column: int, number: float, form: Form, kind: Format
    ) -> None:
        match form:
            case Form.MOMENT:
                local = datetime.fromtimestamp(int(number) // 10**9, self._writer.zone).replace(tzinfo=None)
                sheet.write_datetime(row, column, local, kind)
            case Form.RATE:
                sheet.write_number(row, column, number / 1e6, kind)
            case Form.DURATION:
                sheet.write_number(row, column, number / 86400, kind)
            case Form.VOLUME | Form.COUNT if abs(number) > _EXACT:
                sheet.write_string(row, column, str(int(number)), kind)
            case _:
                sheet.write_number(row, column, number, kind)

    def _format(self, form: Form, mark: Mark | None, *, provisional: bool) -> Format:
        key = (form, mark, provisional)
        if key not in self._formats:
            settings: dict[str, object] = {"font_name": _FONT}
            if form in _NUMBER_FORMATS:
                settings["num_format"] = _NUMBER_FORMATS[form]
            if mark is not None:
                settings |= {"font_color": _COLOURS[mark], "bold": mark is not Mark.GOOD}
            if provisional:
                settings["italic"] = True
            self._formats[key] = self._book.add_format(settings)
        return self._formats[key]

    def _chart(self, chart: Chart) -> None:
        """The picture's own figures, and a native chart beside them."""
        sheet = self._sheet(chart.title)
        names = ["時刻" if self._document.lang == "ja" else "time", *(line.name for line in chart.lines)]
        for column, name in enumerate([*names, *(name for name, _ in chart.limits)]):
            sheet.write_string(0, column, name if column == 0 else f"{name} (Mbps)", self._head)
        sheet.set_column(0, 8, 18)
        moment, rate = (self._format(form, None, provisional=False) for form in (Form.MOMENT, Form.RATE))
        for row, at in enumerate(chart.at, 1):
            self._number(sheet, row, 0, at, Form.MOMENT, moment)
            values = [*(line.values[row - 1] for line in chart.lines), *(value for _, value in chart.limits)]
            for column, value in enumerate(values, 1):
                if value is not None:
                    sheet.write_number(row, column, value / 1e6, rate)
        drawn = self._book.add_chart({"type": "line"})
        last = len(chart.at)
        for column in range(1, len(chart.lines) + len(chart.limits) + 1):
            drawn.add_series(
                {
                    "name": [sheet.name, 0, column],
                    "categories": [sheet.name, 1, 0, last, 0],
                    "values": [sheet.name, 1, column, last, column],
                    "line": {"width": 1.25, "dash_type": "solid" if column <= len(chart.lines) else "dash"},
                }
            )
        drawn.set_title({"name": chart.title, "name_font": {"size": 12}})
        drawn.set_x_axis({"date_axis": True, "num_format": "m/d"})
        drawn.set_y_axis({"name": "Mbps", "min": 0})
        drawn.set_size({"width": 960, "height": 380})
        drawn.set_legend({"position": "bottom"})
        sheet.insert_chart(1, len(chart.lines) + len(chart.limits) + 2, drawn, {"description": chart.alt})

    def _heat(self, heat: HeatMap) -> None:
        sheet = self._sheet(heat.title)
        sheet.write_string(0, 0, f"{heat.title} (Mbps)", self._title)
        rate = self._format(Form.RATE, None, provisional=False)
        for hour in range(24):
            sheet.write_number(1, hour + 1, hour, self._head)
        for day, row in enumerate(heat.values):
            sheet.write_string(day + 2, 0, WEEKDAYS[self._document.lang][day], self._head)
            for hour, value in enumerate(row):
                if value is not None:
                    sheet.write_number(day + 2, hour + 1, value / 1e6, rate)
        sheet.conditional_format(2, 1, 8, 24, {"type": "2_color_scale", "min_color": "#FFFFFF", "max_color": "#808080"})
