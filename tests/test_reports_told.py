"""What a report says in words: the gap, the switch-over, the forecast's date, changes, decisions of people."""

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pypdf
import pytest
from PIL import Image
from typer.testing import CliRunner

from poller.cli import app
from poller.config import load
from poller.estate import Estate
from poller.reports.changes import changes, settled
from poller.reports.coverage import missing_sentence
from poller.reports.document import Cell, Document, Paragraph, Points, Table, plain
from poller.reports.figures import series_of, traffic_of
from poller.reports.formats import Writer
from poller.reports.gather import gather, gather_shared
from poller.reports.making import Order, make, settled_name
from poller.reports.monthcaps import month_cap_tables, month_uses
from poller.reports.network import network_report
from poller.reports.parties import burst_table
from poller.reports.periods import Kind, Period
from poller.reports.reading import Records
from poller.reports.telling import Teller
from poller.reports.tenantfigures import bursts_of
from poller.schema import SCHEMA
from poller.storage.history import open_history
from poller.storage.parquet import ParquetStore

JST = ZoneInfo("Asia/Tokyo")
HALF = Period(Kind.SEMIANNUAL, date(2026, 4, 1), JST)
MAY, JUNE = (Period(Kind.MONTHLY, date(2026, month, 1), JST) for month in (5, 6))
SLOT_NS = 300 * 10**9
SLOTS_A_DAY = 288
DAYS = 183
MBPS = 1_000_000
FAILED = range(20_000, 20_012)
"""One hour of June in which the backup carried all."""
CONFIG = """
organisation: {name: {ja: 試験県セキュリティクラウド, en: Test Cloud}}
storage: {directory: state}
sites: {dc: {name: {ja: センター, en: centre}}}
credentials: {}
devices:
  fw-1: {name: FW, addresses: [127.0.0.1], role: firewall, site: dc}
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
    caps: [{line: internet, sustained_rate: 100M, burst_rate: 480M, monthly_volume: 50TB, percentile_95: 400M}]
services:
  web: {name: {ja: 閲覧, en: web}, kind: http, target: "http://127.0.0.1/", availability: 99.9%}
rules:
  web-down: {name: {ja: 閲覧停止, en: web down}, on: service.up, equals: false, severity: minor}
"""


def growing(slot: int) -> int:
    """Megabits per second: the same all day, one more every day, so that 800 is reached on day 500."""
    return 300 + slot // SLOTS_A_DAY


def in_may(slot: int) -> bool:
    return MAY.start_ns <= HALF.start_ns + slot * SLOT_NS < MAY.end_ns


MISSING = {slot for slot in range(DAYS * SLOTS_A_DAY) if in_may(slot) and slot % 25 == 0}
"""One slot of twenty-five in May: 4 % of that month."""


def rows(measurement: str, tags: dict[str, str], rates: list[int]) -> pl.DataFrame:
    kinds = {entry.name: pl.Int64 if entry.kind is int else pl.Float64 for entry in SCHEMA[measurement].fields}
    columns: dict[str, list[object]] = {"time_ns": [HALF.start_ns + slot * SLOT_NS for slot in range(len(rates))]}
    for way in ("in", "out"):
        columns[f"{way}_octets"] = [rate * MBPS * 300 // 8 for rate in rates]
        for what in ("mean", "max"):
            columns[f"{way}_bits_per_second_{what}"] = [
                None if slot in MISSING else float(rate * MBPS) for slot, rate in enumerate(rates)
            ]
    columns["coverage_ratio"] = [0.0 if slot in MISSING else 1.0 for slot in range(len(rates))]
    frame = pl.DataFrame(columns, schema={"time_ns": pl.Int64} | {n: k for n, k in kinds.items() if n in columns})
    absent = (pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in columns)
    return frame.with_columns(*(pl.lit(value).alias(name) for name, value in tags.items()), *absent)


def some(measurement: str, entries: list[dict[str, object]]) -> pl.DataFrame:
    """Rows of any measurement; what is not given is not known."""
    kinds = {int: pl.Int64, float: pl.Float64, str: pl.String, bool: pl.Boolean}
    entry = SCHEMA[measurement]
    schema = {"time_ns": pl.Int64, **dict.fromkeys(entry.tags, pl.String)}
    return pl.DataFrame(entries, schema=schema | {each.name: kinds[each.kind] for each in entry.fields})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("told")
    (place / "hinomi.yaml").write_text(CONFIG, encoding="utf-8")
    store = ParquetStore(place / "state" / "store")
    total = [growing(slot) for slot in range(DAYS * SLOTS_A_DAY)]
    main = [0 if slot in FAILED else rate for slot, rate in enumerate(total)]
    backup = [rate if slot in FAILED else 0 for slot, rate in enumerate(total)]
    store.write_frame("line_group_5m", rows("line_group_5m", {"line_group": "internet"}, total))
    tags = {"kind": "internet", "line_group": "internet"}
    pair = (("int-1", main), ("int-2", backup))
    store.write_frame(
        "circuit_5m", pl.concat([rows("circuit_5m", {"circuit": id_, **tags}, each) for id_, each in pair])
    )
    asked = [
        {"time_ns": at, "service": "web", "kind": "http", "response_seconds_mean": 0.1, "coverage_ratio": 1.0}
        for at in range(JUNE.start_ns, JUNE.end_ns, SLOT_NS)
    ]
    store.write_frame("service_5m", some("service_5m", asked))
    begun = JUNE.start_ns + 3600 * 10**9
    alert = {"rule": "web-down", "subject": "service/web", "severity": "minor"}
    told = [
        {"time_ns": begun + at * 7200 * 10**9, **alert, "state": state, "incident": f"2026-0601-00{at + 1}"}
        for at in range(3)
        for state in ("firing",)
    ]
    told += [{**each, "time_ns": each["time_ns"] + 600 * 10**9, "state": "resolved"} for each in told]  # type: ignore[operator]
    store.write_frame("alert", some("alert", told))
    known = [
        {"time_ns": each["time_ns"], "subject": "service/web", "incident": each["incident"], "scope": "inside"}
        for each in told[:3]
    ]
    known[0]["excluded"] = "disaster"
    known[1]["excluded"] = "none"
    store.write_frame("incident", some("incident", known))
    return place


@pytest.fixture(scope="module")
def estate(folder: Path) -> Estate:
    return load(folder).estate


@pytest.fixture(scope="module")
def records(folder: Path) -> Records:
    return Records(open_history(folder / "state" / "store"))


def network(estate: Estate, records: Records, period: Period, lang: str = "ja") -> Document:
    return network_report(gather(gather_shared(estate, records, period), records, [], lambda _: None), lang)


def words(document: Document) -> list[str]:
    found = [block.text for block in document.blocks if isinstance(block, Paragraph)]
    return found + [text for block in document.blocks if isinstance(block, Points) for text, _ in block.items]


def table(document: Document, name: str) -> Table:
    return next(each for each in document.tables() if each.name == name)


def test_a_month_of_which_4_percent_are_missing_is_told_and_final(estate: Estate, records: Records) -> None:
    """(R63)"""
    part = len(MISSING) / (31 * SLOTS_A_DAY)
    document = network(estate, records, MAY)
    sentence = f"観測できなかった時間が合計1日5時間45分あります（令和8年5月 {part:.1%}）。"
    final = "期間全体の95%以上を観測できているため、期間全体の数値は確定値です。"
    assert 0.040 == round(part, 3)
    assert f"インターネット：{sentence}{final}" in words(document)
    coverage = table(document, "coverage").rows[0]
    assert [1 - part, len(MISSING) * 300.0] == [pytest.approx(plain(coverage[1])), coverage[2]]
    assert all(not isinstance(row[3], Cell) for row in table(document, "lines").rows)
    assert f"令和8年5月 {part:.1%}" == table(network(estate, records, HALF), "coverage").rows[0][3]


def test_what_is_missing_for_too_long_makes_the_figures_provisional(estate: Estate) -> None:
    """(R63)"""
    teller = Teller(estate, "ja")
    empty = traffic_of(series_of(()), MAY)
    months = [replace(empty, bins=empty.expected // 2), empty]
    two = replace(empty, expected=2 * empty.expected, bins=empty.expected // 2)
    period = replace(MAY, kind=Kind.QUARTERLY)
    told = missing_sentence([*months, empty], two, period, teller)
    assert "（令和8年5月 50.0%、令和8年6月～令和8年7月 100.0%）" in told
    assert told.endswith("このため、期間全体の数値は暫定です。")


def test_a_switch_over_is_told_with_its_hour_and_what_the_backup_carried(estate: Estate, records: Records) -> None:
    """(R64a)"""
    document = network(estate, records, JUNE)
    carried = sum(2 * growing(slot) * MBPS * 300 // 8 for slot in FAILED)
    begun = HALF.start_ns + FAILED.start * SLOT_NS
    assert ((begun, 3600.0, "主回線", "副回線", carried),) == table(document, "switch-overs").rows
    when = Teller(estate, "ja").writer.moment(begun)
    assert f"主回線に代わって副回線が通信を担ったことが1回、合計1時間ありました（最長は{when}から）。" in words(
        document
    )
    assert "期間中、副回線が主回線に代わって通信を担ったことはありません。" in words(network(estate, records, MAY))


def test_the_forecast_names_the_day_on_which_a_straight_line_arrives(estate: Estate, records: Records) -> None:
    """(R65)"""
    row = table(network(estate, records, HALF), "forecast").rows[0]
    first = HALF.first
    eighty, whole = (Teller(estate, "ja").writer.day(first + timedelta(days=days)) for days in (500, 700))
    assert ("インターネット", "下り", "帯域確保 1.00 Gbps", "+30.0 Mbps") == row[:4]
    assert f"{eighty}（{eighty}～{eighty}）" == row[4]
    assert f"{whole}（{whole}～{whole}）" == row[5]
    found = [each for each in words(network(estate, records, HALF)) if "80%に達する見込み" in each]
    assert f"インターネットの下り（受信）は{eighty}ごろに帯域確保 1.00 Gbpsの80%に達する見込みです" in found[0]


def test_what_people_decided_about_an_outage_holds_in_the_report_too(estate: Estate, records: Records) -> None:
    """(R60a): one of three outages of ten minutes was a disaster, the others count."""
    document = network(estate, records, JUNE)
    level = {row[0]: row for row in table(document, "service-level").rows}["閲覧"]
    assert [1 - 1200 / (30 * 86_400), 1200.0, 0.0, 600.0] == [plain(level[1]), level[3], level[4], level[5]]


def test_no_availability_is_told_of_months_that_nobody_saw(estate: Estate, records: Records) -> None:
    months = {row[0]: row[1:] for row in table(network(estate, records, HALF), "service-level-months-1").rows}
    assert [None, None, 1 - 1200 / (30 * 86_400), None, None, None] == [plain(each) for each in months["閲覧"]]
    whole = {row[0]: row[1] for row in table(network(estate, records, HALF), "service-level").rows}["閲覧"]
    assert isinstance(whole, Cell)
    assert pytest.approx(30 / 183) == whole.coverage_ratio


def test_what_alerted_again_and_again_is_proposed_for_review(estate: Estate, records: Records) -> None:
    """With the count, and by when (R66)."""
    quarter = Period(Kind.QUARTERLY, date(2026, 4, 1), JST)
    assert any(
        "閲覧の「閲覧停止」（3回）の原因の除去またはしきい値の見直しを、令和8年10月の報告会までに" in each
        for each in words(network(estate, records, quarter))
    )


def test_changes_since_the_report_before_are_told_and_a_renamed_interface_keeps_its_figures(
    folder: Path, records: Records, tmp_path: Path
) -> None:
    """(R66)"""
    before = load(folder).estate
    text = CONFIG.replace("interface: wan0", "interface: xe-0/0/1").replace(
        "sustained_rate: 100M", "sustained_rate: 150M"
    )
    text = text.replace(
        "rules:\n", "rules:\n  web-slow: {name: 遅い, on: service.response_seconds, above: 3, severity: minor}\n"
    )
    (tmp_path / "hinomi.yaml").write_text(text, encoding="utf-8")
    now = load(tmp_path).estate
    make(before, records, Order(MAY, [], True, ("csv",), tmp_path / "out", "ja"))
    make(now, records, Order(JUNE, [], True, ("csv",), tmp_path / "out", "ja"))
    told = (tmp_path / "out" / "monthly-2026-06-changes.csv").read_text(encoding="utf-8-sig").splitlines()[1:]
    assert [
        "回線,主回線,測定するインターフェース,fw-1 wan0,fw-1 xe-0/0/1",
        "接続団体,甲市,上限（5分平均）（インターネット 上り下りそれぞれ）,100 Mbps,150 Mbps",
        "監視ルール,遅い,追加,,web-slow",
    ] == told
    make(before, records, Order(JUNE, [], True, ("csv",), tmp_path / "same", "ja"))
    figures = [(tmp_path / each / "monthly-2026-06-lines.csv").read_bytes() for each in ("out", "same")]
    assert figures[0] == figures[1]
    kept = json.loads((tmp_path / "out" / settled_name(MAY)).read_text(encoding="utf-8"))
    assert [] == changes(kept, settled(before))


@pytest.mark.parametrize(
    ("seconds", "ja", "en"),
    [
        (0.0, "0秒", "0 s"),
        (57.4, "57秒", "57 s"),
        (657.0, "10分57秒", "10 min 57 s"),
        (32_457.0, "9時間1分", "9 h 1 min"),
        (3600.0, "1時間", "1 h"),
        (86_399.0, "1日", "1 d"),
        (108_000.0, "1日6時間", "1 d 6 h"),
    ],
)
def test_how_long_something_lasted_is_rounded_to_minutes_from_an_hour_on(seconds: float, ja: str, en: str) -> None:
    assert (ja, en) == tuple(Writer(lang, "Asia/Tokyo").duration(seconds) for lang in ("ja", "en"))


def test_caps_of_a_month_are_held_against_each_month(estate: Estate) -> None:
    """(R64)"""
    total = [growing(slot) for slot in range(DAYS * SLOTS_A_DAY)]
    series = series_of((rows("tenant_5m", {"tenant": "kou", "line": "internet"}, total),))
    uses = month_uses(estate, ("kou", "internet"), [traffic_of(series, month) for month in HALF.months], HALF)
    volumes = [use for use in uses if not use.way]
    june = range(61 * SLOTS_A_DAY, 91 * SLOTS_A_DAY)
    assert sum(2 * growing(slot) * MBPS * 300 // 8 for slot in june) == volumes[2].value
    assert [50_000_000_000_000] * 6 == [use.limit for use in volumes]
    percentiles = {(use.month.first.month, use.way): use for use in uses if use.way}
    assert [389 * MBPS, False] == [percentiles[6, "in"].value, percentiles[6, "in"].ratio > 1]
    assert [420 * MBPS, True] == [percentiles[7, "out"].value, percentiles[7, "out"].ratio > 1]
    tables = list(month_cap_tables(uses, Teller(estate, "ja"), with_tenant=True))
    assert ["volume-caps", "percentile-caps"] == [each.name for each in tables if isinstance(each, Table)]
    assert [6, 12] == [len(each.rows) for each in tables if isinstance(each, Table)]


def test_minutes_above_a_burst_cap_are_counted_with_the_highest(estate: Estate) -> None:
    """(R64)"""
    total = [growing(slot) for slot in range(DAYS * SLOTS_A_DAY)]
    series = series_of((rows("tenant_5m", {"tenant": "kou", "line": "internet"}, total),))
    into, out = bursts_of(estate, ("kou", "internet"), series, HALF)
    assert ("in", "out") == (into.direction, out.direction)
    above = [slot for slot, rate in enumerate(total) if rate > 480]
    assert (len(above), 482 * MBPS) == (into.windows, into.value)
    assert HALF.start_ns + 182 * SLOTS_A_DAY * SLOT_NS == into.time_ns
    assert [] == bursts_of(estate, ("kou", "internet"), series, MAY)
    assert ("甲市", "インターネット", "下り", 576, 482 * MBPS) == burst_table(
        [into], Teller(estate, "ja"), with_tenant=True
    ).rows[0][:5]


def test_the_logo_lies_beside_the_configuration_and_comes_on_the_cover(folder: Path, tmp_path: Path) -> None:
    """(R66)"""
    Image.new("RGB", (40, 20), "navy").save(tmp_path / "logo.png")
    text = CONFIG.replace("en: Test Cloud}}", "en: Test Cloud}, logo: logo.png}")
    (tmp_path / "hinomi.yaml").write_text(text, encoding="utf-8")
    words = ["report", "monthly", "-c", str(tmp_path), "--store", str(folder / "state" / "store"), "--format", "pdf"]
    words += ["--period", "2026-06", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert 0 == done.exit_code, done.output
    cover = pypdf.PdfReader(tmp_path / "out" / "monthly-2026-06.pdf").pages[0]
    assert [(40, 20)] == [each.image.size for each in cover.images if each.image is not None]
    (tmp_path / "logo.png").unlink()
    done = CliRunner().invoke(app, words)
    assert (2, f"organisation.logo: there is no file {tmp_path / 'logo.png'}\n") == (done.exit_code, done.stderr)
