"""Reports from an invented half-year whose answers are known: every figure in the model, the PDF and the XLSX."""

import hashlib
import io
import json
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import polars as pl
import pypdf
import pytest
from typer.testing import CliRunner

from poller.cli import app
from poller.config import load
from poller.estate import Estate
from poller.reports.document import Document, Table, plain
from poller.reports.gather import gather, gather_shared
from poller.reports.making import NoReport, Order, make, manifest_name, tenants_of
from poller.reports.network import network_report
from poller.reports.pdf import pdf_of
from poller.reports.periods import Kind, Period, last_complete, period_of
from poller.reports.reading import Records
from poller.reports.tenantfigures import in_parts, tenant_figures
from poller.reports.tenants import TenantReport, incidents_by_tenant, tenant_report
from poller.reports.xlsx import xlsx_of
from poller.schema import SCHEMA
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore

JST = ZoneInfo("Asia/Tokyo")
HALF = Period(Kind.SEMIANNUAL, date(2026, 4, 1), JST)
SLOT_NS = 300 * 10**9
SLOTS = 183 * 288
MBPS = 1_000_000
CONFIG = """
organisation: {name: {ja: 試験県セキュリティクラウド, en: Test Cloud}}
storage: {directory: state}
sites: {dc: {name: {ja: センター, en: centre}}}
credentials: {}
devices:
  fw-1: {name: FW, addresses: [127.0.0.1], role: firewall, site: dc, design_cpu_ratio: 60%}
circuits:
  int-1:
    name: {ja: 主回線, en: main}
    kind: internet
    committed_rate: 1G
    ceiling_rate: 2G
    measured_by: {device: fw-1, interface: wan0}
    redundancy_group: pair
    availability: 99.9%
  int-2:
    name: {ja: 副回線, en: backup}
    kind: internet
    committed_rate: 1G
    ceiling_rate: 2G
    measured_by: {device: fw-1, interface: wan1}
    redundancy_group: pair
    preferred: standby
redundancy_groups: {pair: {name: {ja: 二重化, en: pair}}}
line_groups:
  internet: {name: {ja: インターネット, en: Internet}, members: [int-1, int-2], committed_rate: 1G, ceiling_rate: 2G}
tenants:
  kou:
    name: {ja: 甲市, en: Kou City}
    attachments: [{line: internet, device: fw-1, interface: vlan1}]
    caps: [{line: internet, sustained_rate: 100M}]
  otsu:
    name: {ja: 乙町, en: Otsu Town}
    attachments: [{line: internet, device: fw-1, interface: vlan2}]
    caps: [{line: internet, sustained_rate: 50M}]
rules:
  circuit-down:
    name: {ja: 回線断, en: circuit down}
    on: circuit.state
    equals: down
    severity: minor
"""


def ramp(slot: int) -> int:
    """Megabits per second of alpha inward: 1 to 100, each value in every hundred slots, in a scrambled order."""
    return slot * 37 % 100 + 1


def rows(measurement: str, tags: dict[str, str], into: list[int], out: list[int], missing: set[int]) -> pl.DataFrame:
    """Five-minute rows of a half-year; octets of a missing slot are kept (they were counted after the gap)."""
    kinds = {entry.name: pl.Int64 if entry.kind is int else pl.Float64 for entry in SCHEMA[measurement].fields}
    columns: dict[str, list[object]] = {"time_ns": [HALF.start_ns + slot * SLOT_NS for slot in range(SLOTS)]}
    for way, rates in (("in", into), ("out", out)):
        columns[f"{way}_octets"] = [rate * MBPS * 300 // 8 for rate in rates]
        columns[f"{way}_bits_per_second_mean"] = [
            None if slot in missing else float(rate * MBPS) for slot, rate in enumerate(rates)
        ]
        columns[f"{way}_bits_per_second_max"] = [
            None if slot in missing else rate * MBPS * 1.5 for slot, rate in enumerate(rates)
        ]
    columns["coverage_ratio"] = [0.0 if slot in missing else 1.0 for slot in range(SLOTS)]
    frame = pl.DataFrame(columns, schema={"time_ns": pl.Int64} | {n: k for n, k in kinds.items() if n in columns})
    absent = (pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in columns)
    return frame.with_columns(*(pl.lit(value).alias(name) for name, value in tags.items()), *absent)


MAY = Period(Kind.MONTHLY, date(2026, 5, 1), JST)
MISSING = {
    slot for slot in range(SLOTS) if MAY.start_ns <= HALF.start_ns + slot * SLOT_NS < MAY.end_ns and slot % 16 == 0
}
"""One slot of sixteen in May: 6.25 % of that month."""
ALPHA_IN = [ramp(slot) for slot in range(SLOTS)]
ALPHA_IN[1000:1004] = [140, 150, 130, 120]
"""20 minutes above the cap of 100 Mbps."""
ALPHA_OUT = [7] * SLOTS
BETA_IN, BETA_OUT = [11] * SLOTS, [3] * SLOTS
FAILED = range(20_000, 20_012)
"""One hour in which the main circuit was down and the backup carried all."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with a store of one half-year."""
    place = tmp_path_factory.mktemp("reports")
    (place / "hinomi.yaml").write_text(CONFIG, encoding="utf-8")
    store = ParquetStore(place / "state" / "store")
    total_in = [a + b for a, b in zip(ALPHA_IN, BETA_IN, strict=True)]
    total_out = [a + b for a, b in zip(ALPHA_OUT, BETA_OUT, strict=True)]
    for tenant, into, out, gone in (("kou", ALPHA_IN, ALPHA_OUT, MISSING), ("otsu", BETA_IN, BETA_OUT, set())):
        frames = [
            rows("tenant_5m", {"tenant": tenant, "line": line}, into, out, gone) for line in ("internet", "total")
        ]
        store.write_frame("tenant_5m", pl.concat(frames), tenant)
    store.write_frame("line_group_5m", rows("line_group_5m", {"line_group": "internet"}, total_in, total_out, set()))
    main = [0 if slot in FAILED else rate for slot, rate in enumerate(total_in)]
    backup = [rate if slot in FAILED else 0 for slot, rate in enumerate(total_in)]
    tags = {"kind": "internet", "line_group": "internet"}
    circuits = [
        rows("circuit_5m", {"circuit": key, **tags}, into, [0] * SLOTS, set())
        for key, into in (("int-1", main), ("int-2", backup))
    ]
    store.write_frame("circuit_5m", pl.concat(circuits))
    alert = {"rule": "circuit-down", "subject": "circuit/int-1", "severity": "minor", "incident": "2026-0609-001"}
    changes = [
        {"time_ns": HALF.start_ns + slot * SLOT_NS, **alert, "state": state, "reason": ""}
        for slot, state in ((FAILED.start, "firing"), (FAILED.stop, "resolved"))
    ]
    store.write_frame("alert", pl.DataFrame(changes, schema_overrides={"time_ns": pl.Int64}))
    return place


@pytest.fixture(scope="module")
def estate(folder: Path) -> Estate:
    return load(folder).estate


@pytest.fixture(scope="module")
def records(folder: Path) -> Records:
    return Records(open_history(folder / "state" / "store"))


def network(estate: Estate, records: Records, period: Period = HALF, lang: str = "ja") -> Document:
    shared = gather_shared(estate, records, period)
    figures = [
        one
        for ids in in_parts(list(estate.tenants), period)
        for one in tenant_figures(estate, records, period, ids, with_before=True)
    ]
    return network_report(gather(shared, records, figures, lambda _: None), lang)


def of_tenant(estate: Estate, records: Records, tenant: str) -> Document:
    shared = gather_shared(estate, records, HALF)
    touched = incidents_by_tenant(shared.incidents, estate)[tenant]
    lines = tenant_figures(estate, records, HALF, [tenant], with_before=False)
    return tenant_report(TenantReport(estate, HALF, tenant, lines, shared.services, touched), "ja")


def table(document: Document, name: str) -> Table:
    return next(each for each in document.tables() if each.name == name)


def column(found: Table, title: str) -> list[object]:
    at = [each.title for each in found.columns].index(title)
    return [plain(row[at]) for row in found.rows]


def by_hand(values: list[int], missing: set[int], span: Period = HALF) -> int:
    """The 95th percentile by counting: the smallest value with at least 95 % of the known ones at or below it."""
    known = sorted(
        value
        for slot, value in enumerate(values)
        if slot not in missing and span.start_ns <= HALF.start_ns + slot * SLOT_NS < span.end_ns
    )
    return next(value for at, value in enumerate(known, 1) if at * 100 >= 95 * len(known)) * MBPS


def text_of(pdf: bytes, tmp_path: Path) -> str:
    file = tmp_path / "report.pdf"
    file.write_bytes(pdf)
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(file).pages)


def test_a_tenants_figures_are_right_to_the_octet(estate: Estate, records: Records) -> None:
    """(R62, R63, R66)"""
    use = table(of_tenant(estate, records, "kou"), "lines")
    assert ["インターネット", "インターネット", "全回線合計", "全回線合計"] == column(use, "回線")
    assert [by_hand(ALPHA_IN, MISSING), 7 * MBPS] * 2 == column(use, "95パーセンタイル値")
    assert [sum(ALPHA_IN) * MBPS * 300 // 8, 7 * SLOTS * MBPS * 300 // 8] * 2 == column(use, "オクテット")
    assert [150 * MBPS * 1.5, 7 * MBPS * 1.5] * 2 == column(use, "最大")
    assert HALF.start_ns + 1001 * SLOT_NS == column(use, "最大の時刻")[0]


def test_months_add_up_to_the_half_year(estate: Estate, records: Records) -> None:
    """(R62a, R66)"""
    months = table(of_tenant(estate, records, "kou"), "months-total")
    assert ["令和8年4月", "令和8年5月", "令和8年6月", "令和8年7月", "令和8年8月", "令和8年9月"] == column(months, "月")
    assert sum(ALPHA_IN) * MBPS * 300 // 8 == sum(value for value in column(months, "下り オクテット"))  # type: ignore[misc]
    assert by_hand(ALPHA_IN, MISSING, MAY) == column(months, "下り 95%値")[1]


def test_a_month_with_too_many_missing_bins_is_provisional_and_says_how_many(estate: Estate, records: Records) -> None:
    """(R63)"""
    document = of_tenant(estate, records, "kou")
    months = table(document, "months-total")
    may = months.rows[1][1]
    assert 0.9375 == may.coverage_ratio  # type: ignore[attr-defined]
    assert [None] * 5 == [getattr(row[1], "coverage_ratio", None) for at, row in enumerate(months.rows) if at != 1]
    assert "「暫定」" in months.note


def test_time_above_the_cap_is_told_with_its_length(estate: Estate, records: Records) -> None:
    """(R64)"""
    found = table(of_tenant(estate, records, "kou"), "violations")
    assert [1200.0] == column(found, "継続")
    assert [150 * MBPS] == column(found, "最大の5分平均")
    assert [HALF.start_ns + 1000 * SLOT_NS] == column(found, "開始")


def test_the_month_of_the_failover_shows_both_circuits_and_the_outage(estate: Estate, records: Records) -> None:
    """(R64a)"""
    june = Period(Kind.MONTHLY, date(2026, 6, 1), JST)
    pairs = table(network(estate, records, june), "pairs")
    carried = sum((ALPHA_IN[slot] + BETA_IN[slot]) * MBPS * 300 // 8 for slot in FAILED)
    assert [1, 0] == column(pairs, "障害")
    assert [3600.0, 0] == column(pairs, "停止時間")
    assert carried == column(pairs, "通信量")[1]


def test_the_service_level_counts_the_outage(estate: Estate, records: Records) -> None:
    """(R60a)"""
    level = table(network(estate, records), "service-level")
    assert [1 - 3600 / (183 * 86400)] == column(level, "稼働率")
    assert [3600.0] == column(level, "停止時間")


def test_the_lines_figures_are_summed_before_they_are_ranked(estate: Estate, records: Records) -> None:
    """(R62)"""
    both = [a + b for a, b in zip(ALPHA_IN, BETA_IN, strict=True)]
    lines = table(network(estate, records), "lines")
    assert by_hand(both, set()) == column(lines, "95パーセンタイル値")[0]
    assert sum(rate > 800 for rate in both) * 300.0 == column(lines, "80%超過時間")[0]


def test_every_number_of_the_model_is_printed_in_the_pdf(estate: Estate, records: Records, tmp_path: Path) -> None:
    """(R66)"""
    text = text_of(pdf_of(of_tenant(estate, records, "kou")), tmp_path)
    squeezed = re.sub(r"\s+", "", text)
    for expected in (
        "甲市御中",
        "令和8年度上半期",
        f"{sum(ALPHA_IN) * MBPS * 300 // 8:,}",
        "2026/04/04",
        "93.8%",
        "20分",
    ):
        assert expected in squeezed, expected


def test_every_number_of_the_model_is_a_real_number_in_the_spreadsheet(
    estate: Estate, records: Records, tmp_path: Path
) -> None:
    """(R66)"""
    document = of_tenant(estate, records, "kou")
    file = tmp_path / "report.xlsx"
    file.write_bytes(xlsx_of(document))
    book = openpyxl.load_workbook(file)
    sheet = next(each for each in book.worksheets if each["A1"].value == "回線別の利用状況")
    assert by_hand(ALPHA_IN, MISSING) / 1e6 == sheet["C3"].value
    assert sum(ALPHA_IN) * MBPS * 300 // 8 == sheet["H3"].value
    assert datetime(2026, 4, 4, 11, 25) == sheet["G3"].value  # noqa: DTZ001 - a spreadsheet has local time


def test_the_same_data_give_the_same_bytes(estate: Estate, records: Records) -> None:
    """(R66)"""
    document = of_tenant(estate, records, "otsu")
    assert pdf_of(document) == pdf_of(document)
    assert xlsx_of(document) == xlsx_of(document)


def test_no_tenant_sees_another(estate: Estate, records: Records, tmp_path: Path) -> None:
    """(R66)"""
    june = Period(Kind.MONTHLY, date(2026, 6, 1), JST)
    made = make(estate, records, Order(june, ["kou", "otsu"], False, ("pdf", "xlsx", "csv"), tmp_path, "ja", True))
    assert {"kou", "otsu"} == {each.tenant for each in made}
    for each in made:
        other = "otsu" if each.tenant == "kou" else "kou"
        content = readable(tmp_path / each.path)
        for forbidden in (other, estate.tenants[other].name.ja, estate.tenants[other].name.en):
            assert forbidden not in content, (each.path, forbidden)
    figure = f"{11 * MBPS * 300 // 8 * 288 * 30}"
    assert figure not in readable(tmp_path / "monthly-2026-06-kou-lines.csv")
    assert figure in readable(tmp_path / "monthly-2026-06-otsu-lines.csv")


def readable(file: Path) -> str:
    """All text in a file, compressed parts opened."""
    if file.suffix == ".pdf":
        return re.sub(r"\s+", "", "".join(page.extract_text() for page in pypdf.PdfReader(file).pages))
    if file.suffix == ".xlsx":
        with zipfile.ZipFile(file) as archive:
            return "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
    return file.read_text(encoding="utf-8-sig")


def test_the_manifest_names_every_file_with_its_checksum(estate: Estate, records: Records, tmp_path: Path) -> None:
    order = Order(HALF, ["otsu"], True, ("xlsx", "csv"), tmp_path / "out", "ja")
    made = make(estate, records, order)
    manifest = json.loads((tmp_path / "out" / manifest_name(order)).read_text())
    listed = {each["file"]: each["sha256"] for each in manifest["files"]}
    present = {each.name for each in (tmp_path / "out").iterdir()} - {manifest_name(order)}
    assert present == set(listed)
    assert len(made) == len(present)
    for name, checksum in listed.items():
        assert checksum == hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest()


def test_every_kind_of_report_is_made_in_both_languages(estate: Estate, records: Records, tmp_path: Path) -> None:
    for kind, text in (
        (Kind.MONTHLY, "2026-06"),
        (Kind.QUARTERLY, "2026-Q1"),
        (Kind.SEMIANNUAL, "2026-H1"),
        (Kind.ANNUAL, "2026"),
    ):
        for lang in ("ja", "en"):
            document = network(estate, records, period_of(kind, text, JST), lang)
            book = openpyxl.load_workbook(io.BytesIO(xlsx_of(document)), read_only=True)
            assert len(document.tables()) < len(book.sheetnames)
            words = text_of(pdf_of(document), tmp_path) if lang == "en" and kind is Kind.MONTHLY else ""
            assert not re.search("[ぁ-んァ-ヶ一-龠]", words)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("monthly", "--period", "2026-13"), 2, "a monthly period is written like 2026-10, not '2026-13'"),
        (("semiannual", "--period", "2099-H1"), 2, "2099-H1 lies in the future"),
        (("monthly", "--period", "2020-01"), 1, "the store has no data of January 2020"),
        (("semiannual", "--period", "2026-H1", "--tenant", "gamma"), 1, "there is no tenant 'gamma'"),
        (("monthly", "--period", "2026-06", "--format", "doc"), 2, "--format takes any of pdf, xlsx, csv, not 'doc'"),
        (("monthly", "--period", "2026-06", "--out", "/proc/nothing"), 1, "the report cannot be written"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    done = CliRunner().invoke(
        app,
        ["report", *arguments, "-c", str(folder), *(() if "--out" in arguments else ("--out", str(tmp_path / "out")))],
    )
    assert status == done.exit_code
    assert sentence in done.stderr
    assert 1 == len(done.stderr.strip().splitlines())
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_the_command_makes_the_files_and_tells_them_as_json(folder: Path, tmp_path: Path) -> None:
    arguments = ["report", "semiannual", "-c", str(folder), "--period", "2026-H1", "--tenant", "otsu"]
    done = CliRunner().invoke(app, [*arguments, "--format", "csv", "--out", str(tmp_path), "--json"])
    assert 0 == done.exit_code, done.output
    told = json.loads(done.stdout)
    assert "2026-H1" == told["period"]
    assert {"otsu"} == {each["tenant"] for each in told["files"]}
    assert all(Path(each["file"]).is_file() for each in told["files"])


@pytest.mark.parametrize(
    ("kind", "today", "expected"),
    [
        (Kind.MONTHLY, date(2026, 11, 21), "2026-10"),
        (Kind.MONTHLY, date(2027, 1, 1), "2026-12"),
        (Kind.QUARTERLY, date(2026, 11, 21), "2026-Q2"),
        (Kind.QUARTERLY, date(2027, 4, 1), "2026-Q4"),
        (Kind.SEMIANNUAL, date(2026, 11, 21), "2026-H1"),
        (Kind.SEMIANNUAL, date(2027, 3, 31), "2026-H1"),
        (Kind.SEMIANNUAL, date(2027, 4, 1), "2026-H2"),
        (Kind.ANNUAL, date(2026, 11, 21), "2025"),
    ],
)
def test_without_a_period_the_last_complete_one_is_taken(kind: Kind, today: date, expected: str) -> None:
    found = last_complete(kind, today, JST)
    assert expected == found.key
    assert found == period_of(kind, expected, JST)


def test_periods_begin_and_end_at_midnight_in_japan() -> None:
    assert datetime(2026, 3, 31, 15, tzinfo=UTC).timestamp() * 1e9 == HALF.start_ns
    assert timedelta(days=183).total_seconds() * 1e9 == HALF.end_ns - HALF.start_ns


def test_who_gets_a_report(estate: Estate) -> None:
    assert ([], True) == tenants_of(estate, [], Kind.MONTHLY)
    assert (["kou", "otsu"], True) == tenants_of(estate, [], Kind.SEMIANNUAL)
    assert (["otsu"], False) == tenants_of(estate, ["otsu"], Kind.SEMIANNUAL)
    with pytest.raises(NoReport):
        tenants_of(estate, ["gamma"], Kind.ANNUAL)
