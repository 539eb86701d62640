"""The same report whichever store it is read from: the embedded one, and a real InfluxDB with the same rows."""

import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from typer.testing import CliRunner

from poller.cli import app
from poller.config import load
from poller.lab.history import Wish, invent
from poller.reports.periods import Kind, Period
from poller.reports.reading import Records
from poller.schema import SCHEMA
from poller.storage.history import open_history
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.parquet import ParquetStore
from poller.storage.replay import Period as Stretch
from poller.storage.replay import replay

JUNE = Period(Kind.MONTHLY, date(2026, 6, 1), ZoneInfo("Asia/Tokyo"))
DAYS = 3
KEPT = ("line_group_5m", "circuit_5m", "tenant_5m", "device_5m", "service_5m", "alert", "incident", "notification")
CONFIG = """
organisation: {{name: {{ja: 試験県, en: Test Prefecture}}}}
storage: {{directory: state, influx: {{url: "{url}", kind: "1"}}}}
sites: {{dc: {{name: {{ja: センター, en: centre}}}}}}
credentials: {{}}
devices:
  fw-1: {{name: FW, addresses: [127.0.0.1], role: firewall, site: dc}}
circuits:
  int-1:
    name: {{ja: 主回線, en: main}}
    kind: internet
    committed_rate: 1G
    ceiling_rate: 2G
    measured_by: {{device: fw-1, interface: wan0}}
    availability: 99.9%
line_groups:
  internet: {{name: {{ja: インターネット, en: Internet}}, members: [int-1], committed_rate: 1G, ceiling_rate: 2G}}
tenants:
  kou:
    name: {{ja: 甲市, en: Kou City}}
    attachments: [{{line: internet, device: fw-1, interface: vlan1}}]
    caps: [{{line: internet, sustained_rate: 100M}}]
  otsu:
    name: {{ja: 乙町, en: Otsu Town}}
    attachments: [{{line: internet, device: fw-1, interface: vlan2}}]
services:
  web: {{name: {{ja: 閲覧, en: web}}, kind: http, target: "http://127.0.0.1/", availability: 99.9%}}
rules:
  circuit-down: {{name: {{ja: 回線断, en: down}}, on: circuit.state, equals: down, severity: minor}}
"""


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory, running_influxd) -> Iterator[str]:
    """The URL of a real InfluxDB."""
    with running_influxd(tmp_path_factory.mktemp("influx")) as url:
        yield url


@pytest.fixture(scope="module")
def folder(influx: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose embedded store and whose database hold the same three days of June."""
    place = tmp_path_factory.mktemp("stores")
    (place / "hinomi.yaml").write_text(CONFIG.format(url=influx), encoding="utf-8")
    store = ParquetStore(place / "state" / "store")
    end_ns = JUNE.start_ns + (DAYS + 4) * 86_400 * 10**9
    assert invent(load(place).estate, store, Wish(DAYS, end_ns, seed=3))
    asyncio.run(copy(place / "state" / "store", InfluxSettings(influx, kind="1"), end_ns))
    return place


async def copy(store: Path, settings: InfluxSettings, end_ns: int) -> None:
    sink = open_influx(settings, store.parent / "dead_letters")
    for name in KEPT:
        stretch = Stretch(name, JUNE.start_ns, end_ns, {})
        rows = await replay(store, stretch, sink)
        assert rows or not (store / SCHEMA[name].name).exists()
    await sink.close()


def checksums(folder: Path, out: Path, *options: str) -> dict[str, str]:
    words = ["report", "monthly", "-c", str(folder), "--period", "2026-06", "--tenant", "all", "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--format", "pdf,xlsx,csv", "--json", *options])
    assert 0 == done.exit_code, done.output
    return {Path(each["file"]).name: each["sha256"] for each in json.loads(done.stdout)["files"]}


def test_both_stores_give_the_same_report_to_the_byte(folder: Path, tmp_path: Path) -> None:
    """(R66)"""
    embedded = checksums(folder, tmp_path / "embedded")
    database = checksums(folder, tmp_path / "database", "--database")
    assert embedded == database
    assert {"monthly-2026-06.pdf", "monthly-2026-06-kou.xlsx", "monthly-2026-06-otsu-lines.csv"} <= set(embedded)


def test_a_database_that_does_not_answer_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    text = (folder / "hinomi.yaml").read_text(encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as held:
        free = held.getsockname()[1]
    address = text.partition('url: "')[2].partition('"')[0]
    (tmp_path / "hinomi.yaml").write_text(text.replace(address, f"http://127.0.0.1:{free}"), encoding="utf-8")
    words = [
        "report",
        "monthly",
        "-c",
        str(tmp_path),
        "--period",
        "2026-06",
        "--database",
        "--out",
        str(tmp_path / "o"),
    ]
    done = CliRunner().invoke(app, words)
    assert 1 == done.exit_code
    assert done.stderr.startswith(f"the store cannot be read: http://127.0.0.1:{free} cannot be read")
    assert 1 == len(done.stderr.strip().splitlines())
    assert not (tmp_path / "o").exists()


def test_repeats_that_are_kept_as_one_are_counted_as_what_they_were(tmp_path: Path) -> None:
    """The raw count is never lost (R47)."""
    store = ParquetStore(tmp_path)
    tags = {"device": "fw-1", "name": "linkDown", "severity": "minor", "text": "down"}
    times = [JUNE.start_ns + minute * 60 * 10**9 for minute in range(3)]
    rows = [{"time_ns": at, **tags, "count": count} for at, count in zip(times, (3, 1, None), strict=True)]
    store.write_frame("notification", pl.DataFrame(rows, schema_overrides={"count": pl.UInt64}))
    found = Records(open_history(tmp_path)).notifications((JUNE.start_ns, JUNE.end_ns))
    assert [("fw-1", "linkDown", "minor", 5)] == found.rows()
