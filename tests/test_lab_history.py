"""The invented past: the same for the same seed, exact in its sums, and joined to what live counters say."""

import datetime as dt
import re
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from poller.cli import app
from poller.config import load
from poller.lab.history import Wish, invent
from poller.lab.network import make_plan
from poller.lab.past import SLOT_NS, Past, draw_past
from poller.lab.world import World
from poller.profiles import load_profiles
from poller.schema import SCHEMA
from poller.storage.parquet import ParquetStore

EXAMPLES = Path(__file__).resolve().parent.parent / "config" / "examples"
ESTATE = load(EXAMPLES / "prefecture").estate
JST = ZoneInfo("Asia/Tokyo")
END_NS = int(dt.datetime(2026, 11, 21, 18, 0, tzinfo=JST).timestamp()) * 10**9
DAYS = 60


class _Frames:
    """A store in memory."""

    def __init__(self) -> None:
        self.frames: dict[str, list[pl.DataFrame]] = {}

    def write_frame(self, measurement: str, frame: pl.DataFrame, source: str = "bulk") -> int:
        assert source == "invented"
        self.frames.setdefault(measurement, []).append(frame)
        return frame.height

    def all(self, measurement: str) -> pl.DataFrame:
        return pl.concat(self.frames[measurement])


@pytest.fixture(scope="module")
def frames() -> _Frames:
    store = _Frames()
    invent(ESTATE, store, Wish(DAYS, END_NS, seed=1))
    return store


@pytest.fixture(scope="module")
def past() -> Past:
    return draw_past(ESTATE, make_plan(ESTATE, 1), DAYS, END_NS, 1)


def test_every_roll_up_is_there_whole_and_in_the_words_of_the_schema(frames: _Frames) -> None:
    assert set(frames.frames) == {"alert", "incident"} | {name for name in SCHEMA if name.endswith("_5m")}
    for name in frames.frames:
        frame = frames.all(name)
        columns = {"time_ns", *SCHEMA[name].tags, *(entry.name for entry in SCHEMA[name].fields)}
        assert set(frame.columns) <= columns
        assert frame.select("time_ns", *SCHEMA[name].tags).is_duplicated().sum() == 0
        if name not in {"alert", "incident"}:
            series = frame.select(SCHEMA[name].tags).n_unique()
            assert frame.height == series * DAYS * 288
            assert frame["time_ns"].max() == END_NS - SLOT_NS


def test_tenants_and_parts_add_up_to_the_line_to_the_octet(frames: _Frames) -> None:
    tenants = frames.all("tenant_5m").filter(pl.col("line") == "breakout")
    tenants = tenants.group_by("time_ns").agg(pl.col("in_octets", "out_octets").sum()).sort("time_ns")
    line = frames.all("line_group_5m").filter(pl.col("line_group") == "breakout").sort("time_ns")
    circuits = frames.all("circuit_5m").filter(pl.col("line_group") == "breakout")
    circuits = circuits.group_by("time_ns").agg(pl.col("in_octets", "out_octets").sum()).sort("time_ns")
    for way in ("in_octets", "out_octets"):
        assert line[way].to_list() == tenants[way].to_list() == circuits[way].to_list()


def test_the_hand_over_carried_what_the_tenants_did(frames: _Frames) -> None:
    """What came in over a line went out to its tenant, and the other way round."""
    tenants = frames.all("tenant_5m").filter(pl.col("line") == "total")
    tenants = tenants.group_by("time_ns").agg(pl.col("in_octets", "out_octets").sum()).sort("time_ns")
    circuits = frames.all("circuit_5m").filter(pl.col("circuit").str.starts_with("handover"))
    assert circuits.group_by("circuit").agg(pl.col("out_octets").min())["out_octets"].min() > 0
    circuits = circuits.group_by("time_ns").agg(pl.col("in_octets", "out_octets").sum()).sort("time_ns")
    assert tenants["in_octets"].to_list() == circuits["out_octets"].to_list()
    assert tenants["out_octets"].to_list() == circuits["in_octets"].to_list()


@pytest.mark.parametrize("name", ["int-1", "handover-1"])
def test_the_past_and_a_live_counter_count_the_same_octets(frames: _Frames, name: str) -> None:
    """A slot of the past, counted by the live agents' own meters, is the same to the octet."""
    start = END_NS - 12 * SLOT_NS
    world = World(ESTATE, load_profiles(), start, seed=1)
    circuit = (
        frames.all("circuit_5m").filter((pl.col("circuit") == name) & (pl.col("time_ns") >= start)).sort("time_ns")
    )
    at = ESTATE.circuits[name].measured_by
    port = world.box(at.device).port(at.interface)
    live = [(port.inbound.read(at), port.outbound.read(at)) for at in range(start, END_NS + 1, SLOT_NS)]
    counted = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(live)]
    assert counted == list(circuit.select("in_octets", "out_octets").iter_rows())


def test_the_same_seed_gives_the_same_past_and_another_one_another(frames: _Frames) -> None:
    again, other = _Frames(), _Frames()
    invent(ESTATE, again, Wish(3, END_NS, seed=1))
    invent(ESTATE, other, Wish(3, END_NS, seed=2))
    twice = _Frames()
    invent(ESTATE, twice, Wish(3, END_NS, seed=1))
    for name in again.frames:
        assert again.all(name).equals(twice.all(name))
    assert not again.all("circuit_5m").equals(other.all("circuit_5m"))


def test_a_standby_carries_while_the_first_circuit_is_down(frames: _Frames, past: Past) -> None:
    outages = [span for span in past.circuits if span.subject in {"int-1", "bo-1", "cloud-a"}]
    assert outages
    circuits = frames.all("circuit_5m")
    for span in outages:
        within = circuits.filter(pl.col("time_ns").is_between(span.first * SLOT_NS, (span.after - 1) * SLOT_NS))
        partner = {"int-1": "int-2", "bo-1": "bo-2", "cloud-a": "cloud-b"}[span.subject]
        assert within.filter(pl.col("circuit") == span.subject)["in_octets"].max() == 0
        assert within.filter(pl.col("circuit") == partner)["in_octets"].to_list()
        assert min(within.filter(pl.col("circuit") == partner)["in_octets"].to_list()) > 0


def test_tenants_pass_their_caps_on_working_days_and_alerts_say_so(frames: _Frames, past: Past) -> None:
    assert past.surges
    tenants, alerts = frames.all("tenant_5m"), frames.all("alert")
    for surge in past.surges:
        at = pl.col("time_ns").is_between(surge.first * SLOT_NS, (surge.after - 1) * SLOT_NS)
        rows = tenants.filter(at & (pl.col("tenant") == surge.subject) & (pl.col("line") == surge.line))
        assert (rows["in_cap_ratio_mean"] > 1.0).sum() >= 3
        assert dt.datetime.fromtimestamp(surge.first * 300, JST).weekday() < 5
        assert alerts.filter(pl.col("subject") == f"tenant/{surge.subject}/{surge.line}").height >= 2
    assert alerts["rule"].is_in(list(ESTATE.rules)).all()
    assert (alerts["state"] == "firing").sum() == (alerts["state"] == "resolved").sum()


def test_a_gap_keeps_octets_and_loses_rates(frames: _Frames, past: Past) -> None:
    assert past.gaps
    circuit = frames.all("circuit_5m").filter(pl.col("circuit") == "handover-1")
    for gap in past.gaps:
        rows = circuit.filter(pl.col("time_ns").is_between(gap.first * SLOT_NS, gap.after * SLOT_NS)).sort("time_ns")
        assert rows["coverage_ratio"].to_list() == [0.0] * (gap.after - gap.first) + [0.4]
        assert rows["in_bits_per_second_mean"].is_null().to_list() == [True] * (gap.after - gap.first) + [False]
        assert rows["in_octets"].null_count() == 0


def test_the_month_so_far_begins_anew_on_the_first_in_japan(frames: _Frames) -> None:
    rows = frames.all("tenant_5m").filter((pl.col("tenant") == "tsu") & (pl.col("line") == "total")).sort("time_ns")
    first = int(dt.datetime(2026, 11, 1, tzinfo=JST).timestamp()) * 10**9
    month = rows.filter(pl.col("time_ns") >= first)
    octets = month["in_octets"] + month["out_octets"]
    assert octets.cum_sum().to_list() == month["month_octets_max"].to_list()


def test_means_do_not_exceed_maxima_and_devices_stay_within_bounds(frames: _Frames) -> None:
    for name in ("circuit_5m", "device_5m", "service_5m", "tenant_5m"):
        frame = frames.all(name)
        for column in (column for column in frame.columns if column.endswith("_mean")):
            highest = frame[column.replace("_mean", "_max")]
            assert not (frame[column] > highest * (1 + 1e-9)).any()
    devices = frames.all("device_5m")
    for column in ("cpu_ratio_max", "memory_ratio_max", "sessions_ratio_max"):
        assert devices[column].min() >= 0
        assert devices[column].max() < 0.9


def test_the_store_takes_the_past_and_the_same_past_again_changes_nothing(tmp_path: Path) -> None:
    store = ParquetStore(tmp_path)
    for _ in range(2):
        invent(ESTATE, store, Wish(2, END_NS, seed=1))
        read = pl.read_parquet(tmp_path / "tenant_5m" / "**" / "*.parquet")
        assert read.height == (33 * 3) * 2 * 288


_KINDS = re.compile("_bits_per_second|_ratio")

TEN_LINES = """
organisation: {name: Our network}
storage: {directory: state}
mail: {sender: hinomi@example.jp, relays: [{host: mail.example.jp}]}
contacts: {shift: {role: operator, email: shift@example.jp}}
sites: {hall: {}}
credentials: {core: {version: "2c", community: "env:SNMP_COMMUNITY"}}
devices:
  fw-1: {addresses: [ADDRESS], role: firewall, site: hall, credentials: core}
rules: {down: {name: No answer, on: device.up, equals: false, raise_for: 2m, severity: serious}}
"""


def _hinomi(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["lab", *arguments])


def test_an_estate_without_circuits_has_a_past_of_its_devices(tmp_path: Path) -> None:
    (tmp_path / "hinomi.yaml").write_text(TEN_LINES.replace("ADDRESS", "192.0.2.1"))
    done = _hinomi("history", "-c", str(tmp_path), "--store", str(tmp_path / "store"), "--days", "3")
    assert (0, "864 rows of 3 days") == (done.exit_code, done.stdout.partition(" in ")[0])
    assert pl.read_parquet(tmp_path / "store" / "device_5m" / "**" / "*.parquet").height == 3 * 288


def test_where_nothing_is_simulated_there_is_no_past_to_invent(tmp_path: Path) -> None:
    (tmp_path / "hinomi.yaml").write_text(TEN_LINES.replace("ADDRESS", "127.0.0.1"))
    done = _hinomi("history", "-c", str(tmp_path), "--store", str(tmp_path / "store"))
    said = f"{tmp_path}: there is no device, circuit or service to invent a past for\n"
    assert (1, "", said) == (done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize("end", ["tomorrow", "2026-11-21", "2600-01-01T00:00+09:00", "1960-01-01T00:00+09:00"])
def test_an_end_that_is_no_moment_of_ours_is_said_in_one_sentence(tmp_path: Path, end: str) -> None:
    (tmp_path / "hinomi.yaml").write_text(TEN_LINES.replace("ADDRESS", "127.1.2.3"))
    done = _hinomi("history", "-c", str(tmp_path), "--store", str(tmp_path / "store"), "--end", end)
    said = f"--end {end}: write a moment of 2000 to 2099 with its zone, such as 2026-11-21T18:00+09:00\n"
    assert (2, "", said) == (done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize("receiver", ["x", "127.0.0.1", "127.0.0.1:0", "300.0.0.1:162", "[::1]:162"])
def test_a_receiver_that_is_no_address_is_said_in_one_sentence(tmp_path: Path, receiver: str) -> None:
    (tmp_path / "hinomi.yaml").write_text(TEN_LINES.replace("ADDRESS", "127.1.2.3"))
    done = _hinomi("-c", str(tmp_path), "--notify", receiver)
    said = f"--notify {receiver}: write an IPv4 address and a port, such as 127.0.0.1:16162\n"
    assert (2, "", said) == (done.exit_code, done.stdout, done.stderr)


def test_the_past_has_no_digits_that_nobody_reads(frames: _Frames) -> None:
    """Random digits do not compress."""
    for name in ("circuit_5m", "line_group_5m", "tenant_5m", "device_5m"):
        frame = frames.all(name)
        for column in frame.columns:
            part = {"_bits_per_second": 1000.0, "_ratio": 0.001}.get(next(iter(_KINDS.findall(column)), ""))
            if part is not None and frame[column].count() and column != "coverage_ratio" and "loss" not in column:
                kept = frame[column].drop_nulls() / part
                assert kept.is_empty() or (kept - kept.round(0)).abs().max() < 1e-6, (name, column)
