"""A document as CSV: one file a table, plain values in base units, UTF-8 with a mark so that spreadsheets see it."""

import csv
import io
from datetime import date, datetime

from poller.reports.document import Document, Form, Table, plain
from poller.reports.formats import Writer

_UNITS = {
    Form.RATE: "bits_per_second",
    Form.VOLUME: "octets",
    Form.SECONDS: "seconds",
    Form.DURATION: "seconds",
    Form.RATIO: "ratio",
    Form.LEVEL: "ratio",
    Form.CHANGE: "ratio",
}


def csvs_of(document: Document) -> dict[str, bytes]:
    """File name (without the document's key) to bytes."""
    writer = Writer(document.lang, document.timezone)
    return {f"{table.name}.csv": _csv(table, writer) for table in (*document.tables(), *document.raw)}


def _csv(table: Table, writer: Writer) -> bytes:
    target = io.StringIO()
    rows = csv.writer(target, lineterminator="\r\n")
    rows.writerow(
        f"{column.title} ({_UNITS[column.form]})" if column.form in _UNITS else column.title for column in table.columns
    )
    for row in table.rows:
        pairs = zip(row, table.columns, strict=True)
        rows.writerow(_text(plain(value), column.form, writer) for value, column in pairs)
    return target.getvalue().encode("utf-8-sig")


def _text(value: object, form: Form, writer: Writer) -> str:
    if value is None:
        return ""
    if form is Form.MOMENT and isinstance(value, int):
        return datetime.fromtimestamp(value // 10**9, writer.zone).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    # a spreadsheet would run a text that begins like a formula
    return f"'{text}" if isinstance(value, str) and text[:1] in {"=", "+", "-", "@", "\t"} else text
