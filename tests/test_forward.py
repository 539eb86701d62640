"""State of an older version is taken forward in place, and what was done is said (R73)."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from poller import checkpoint
from poller.alerts.engine import Alerting
from poller.alerts.forward import STEPS
from poller.alerts.store import Store
from poller.circuits import Circuits
from poller.config import load
from poller.contracts import contracts_of
from poller.forward import take_forward
from poller.pipeline import Pipeline
from poller.rollups import InterfaceRollups
from poller.storage.errors import AlertsTooNew
from poller.wall.live import LiveState

EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"
MINUTE = 60 * 10**9
NOW = 1_800_000_000 * 10**9 // (5 * MINUTE) * (5 * MINUTE)
BEFORE_VERSIONS = """
CREATE TABLE alerts (rule TEXT, subject TEXT, state TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (rule, subject)) WITHOUT ROWID;
CREATE TABLE transitions (id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, rule TEXT NOT NULL,
  subject TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, reason TEXT NOT NULL, value TEXT, incident TEXT);
CREATE TABLE incidents (id TEXT PRIMARY KEY, opened_ns INTEGER NOT NULL, closed_ns INTEGER,
  severity TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, incident TEXT NOT NULL,
  contact TEXT NOT NULL, recipient TEXT NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, subject TEXT NOT NULL,
  message BLOB NOT NULL, created_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  tries INTEGER NOT NULL DEFAULT 0, relay TEXT, answer TEXT, done_ns INTEGER);
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, who TEXT NOT NULL,
  origin TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, text TEXT NOT NULL,
  command INTEGER NOT NULL DEFAULT 0, until_ns INTEGER);
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO outbox (message_id, incident, contact, recipient, kind, why, subject, message, created_ns, due_ns)
  VALUES ('<1@tower>', '2027-0115-001', 'shift', 'shift@example.jp', 'first', 'new', 'line down', 'text', 1, 1);
INSERT INTO audit (at_ns, who, origin, action, target, text, until_ns)
  VALUES (1, 'mori', 'api', 'silence', 'circuit/bo-1', 'works', 4000000000000000000);
"""
"""The alerts' file as the first versions wrote it, with a mail that waits and a silence in force."""


def test_the_alerts_file_of_the_first_version_is_taken_forward_with_all_that_is_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "alerts.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE_VERSIONS)
    for _ in range(2):  # the second start has nothing left to do
        store = Store(path)
        saved = store.load()
        store.close()
        assert ["<1@tower>"] == [mail[1] for mail in saved.mails]
        assert ["silence"] == [entry.action for entry in saved.standing]
    told = [record.getMessage() for record in caplog.records if "state_taken_forward" in record.getMessage()]
    assert len(STEPS) == len(told)
    assert all("alerts.sqlite" in line for line in told)
    with closing(sqlite3.connect(path)) as connection:
        assert (len(STEPS),) == connection.execute("PRAGMA user_version").fetchone()
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT * FROM outbox WHERE incident = 'x'").fetchall()
    assert "outbox_incident" in str(plan)


def test_a_new_file_has_the_latest_version_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    Store(tmp_path / "alerts.sqlite").close()
    assert "state_taken_forward" not in caplog.text


def test_a_file_of_a_newer_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(AlertsTooNew, match="has version 99, this program knows"):
        Store(path)
    with closing(sqlite3.connect(path)) as connection:
        assert [] == connection.execute("SELECT name FROM sqlite_master").fetchall()


def test_a_checkpoint_of_older_parts_is_restored_and_each_step_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    estate = load(EXAMPLE).estate
    fresh = Circuits(contracts_of(estate)).save()
    columns = [["Gi0/1"], [10**9], [8.0] * 8, [8.0] * 8, [1] * 8, [MINUTE], [1]]
    old = {
        "circuits": {"version": 1, "groups": fresh["groups"]},
        "interface_rollups": {"version": 1, "windows": [["sw-1", NOW, columns]]},
    }
    path = tmp_path / "checkpoint"
    path.write_bytes(msgspec.msgpack.encode({"version": 1, "parts": {"pipeline": old}}))
    parts = checkpoint.load(path)
    assert 2 == sum("state_taken_forward" in record.getMessage() for record in caplog.records)
    store = Store(tmp_path / "alerts.sqlite")
    Pipeline(estate, lambda _: None, Alerting(estate, store), LiveState(estate)).restore(parts["pipeline"])
    store.close()
    assert "state_not_restored" not in caplog.text
    (sample,) = InterfaceRollups.load(parts["pipeline"]["interface_rollups"]).close(NOW + 30 * MINUTE)
    assert (8.0, 0) == (sample.fields["in_bits_per_second_mean"], sample.fields["in_octets"])


def test_what_no_step_leads_away_from_stays_as_it_is() -> None:
    saved = {"circuits": {"version": 77}, "tenants": {"version": 1}}
    assert (saved, []) == take_forward(saved)
