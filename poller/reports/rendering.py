"""One document into its files; the entry of a worker process."""

from pathlib import Path

from poller.reports.document import Document

FORMATS = ("pdf", "xlsx", "csv")


def render(document: Document, formats: tuple[str, ...], folder: Path) -> list[str]:
    """Write the document in each format into the folder; returns the names of the files."""
    # typst, matplotlib and xlsxwriter take a second to load, which only the processes that render should spend
    from poller.reports.csvs import csvs_of  # noqa: PLC0415
    from poller.reports.pdf import pdf_of  # noqa: PLC0415
    from poller.reports.xlsx import xlsx_of  # noqa: PLC0415

    files: dict[str, bytes] = {}
    if "pdf" in formats:
        files[f"{document.key}.pdf"] = pdf_of(document)
    if "xlsx" in formats:
        files[f"{document.key}.xlsx"] = xlsx_of(document)
    if "csv" in formats:
        files |= {f"{document.key}-{name}": content for name, content in csvs_of(document).items()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return list(files)
