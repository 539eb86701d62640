"""The store: one transaction for decision and mail, nothing lost or doubled by kill -9, an audit log that stays."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.inquiry import Inquiry, NoStore
from poller.alerts.records import AuditEntry, Batch, OutgoingMail, connect
from poller.alerts.states import Alert, State
from poller.alerts.store import Store
from poller.estate import Estate
from poller.sample import Sample

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND

WRITTEN = {
    "organisation": {"name": {"ja": "県", "en": "Prefecture"}},
    "sites": {"dc": {"id": "dc", "name": {"ja": "x", "en": "x"}}},
    "devices": {
        "dns-1": {
            "id": "dns-1",
            "name": {"ja": "内部DNS", "en": "DNS"},
            "addresses": ["192.0.2.1"],
            "role": "dns",
            "site": "dc",
        }
    },
    "contacts": {
        "noc": {"id": "noc", "name": {"ja": "監視", "en": "NOC"}, "role": "operator", "email": "noc@example.jp"}
    },
    "rules": {
        "down": {
            "id": "down",
            "name": {"ja": "応答なし", "en": "Down"},
            "on": "device.up",
            "equals": False,
            "severity": "serious",
        }
    },
}
ESTATE = Estate.model_validate(WRITTEN)
DOWN = Sample("device", (("device", "dns-1"), ("role", "dns"), ("site", "dc")), {"up": False}, NOW)

CHILD = """
import os, signal, sys
from pathlib import Path
from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.estate import Estate
from poller.sample import Sample
second = 1_000_000_000
now = int(sys.argv[2])
estate = Estate.model_validate_json(Path(sys.argv[1], "estate.json").read_text())
store = Store(Path(sys.argv[1], "alerts.sqlite"))
alerting = Alerting(estate, store)
alerting.observe([Sample("device", (("device", "dns-1"), ("role", "dns"), ("site", "dc")), {"up": False}, now)], now)
alerting.tick(now + 4 * second)
if sys.argv[3] == "committed":
    alerting.committed.result()
os.kill(os.getpid(), signal.SIGKILL)
"""


def mails(store: Store) -> list[tuple[str, str]]:
    return store.call(
        lambda db: db.execute("SELECT kind, message_id FROM outbox WHERE state = 'waiting' ORDER BY id").fetchall()
    ).result()


@pytest.mark.parametrize("moment", ["committed", "any 1", "any 2", "any 3"])
def test_kill_between_decision_and_mail_neither_loses_nor_doubles_it(tmp_path, moment) -> None:
    """State survives kill -9 (R59, R73)."""
    (tmp_path / "estate.json").write_text(json.dumps(WRITTEN), encoding="utf-8")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(NOW), moment],
        check=False,
        cwd=Path(__file__).parent.parent,
        timeout=60,
    )
    assert child.returncode == -signal.SIGKILL
    store = Store(tmp_path / "alerts.sqlite")
    if moment == "committed":
        assert [kind for kind, _ in mails(store)] == ["first"]
    alerting = Alerting(ESTATE, store)
    for later in range(5, 120):
        now_ns = NOW + later * SECOND
        if later % 60 == 5:
            alerting.observe([Sample("device", DOWN.tags, {"up": False}, now_ns)], now_ns)
        alerting.tick(now_ns)
    sent = mails(store)
    assert len(sent) == 1
    assert sent[0][0] == "first"
    assert len(alerting.open_incidents()) == 1
    store.close()


def test_a_decision_and_its_mail_are_one_transaction(tmp_path) -> None:
    """The outbox is on disk, with the decision (R59)."""
    store = Store(tmp_path / "alerts.sqlite")
    store.call(lambda db: db.execute("CREATE TRIGGER no BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END"))
    mail = OutgoingMail("<1@x>", "i", "noc", "noc@example.jp", "first", "new", "s", bytes, NOW)
    batch = Batch(alerts=[Alert("down", "device/dns-1", State.FIRING)], mails=[mail])
    with pytest.raises(sqlite3.IntegrityError):
        store.submit(batch).result()
    assert store.load().alerts == ()
    store.close()


def test_batches_that_cannot_be_written_wait_in_their_order_until_they_can(tmp_path) -> None:
    store = Store(tmp_path / "alerts.sqlite", patience=0.05)
    blocker = connect(tmp_path / "alerts.sqlite")
    blocker.execute("BEGIN IMMEDIATE")
    first = store.submit(Batch(alerts=[Alert("down", "device/dns-1", State.PENDING)]))
    second = store.submit(Batch(alerts=[Alert("down", "device/dns-1", State.FIRING)]))
    with pytest.raises(TimeoutError):
        first.result(timeout=0.3)
    assert store.trouble == "database is locked"
    blocker.execute("ROLLBACK")
    blocker.close()
    first.result(timeout=10)
    second.result(timeout=10)
    assert store.trouble is None
    assert [alert.state for alert in store.load().alerts] == [State.FIRING]
    store.close()


def test_work_whose_waiter_has_gone_is_done_and_the_work_after_it_too(tmp_path) -> None:
    """Tasks are cancelled at the end while they wait for the disk; the thread that writes must live on (R73)."""
    store = Store(tmp_path / "alerts.sqlite")
    begun, go_on = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait()
        db.execute("CREATE TABLE slow (x)")

    first, second = store.call(slow), store.call(lambda db: db.execute("CREATE TABLE second (x)"))
    begun.wait()
    assert not first.cancel()  # it is being done
    assert second.cancel()
    go_on.set()
    found = store.call(lambda db: db.execute("SELECT name FROM sqlite_master WHERE name IN ('slow', 'second')"))
    assert {("slow",), ("second",)} == set(found.result())
    store.close()


def test_the_audit_log_can_be_appended_to_and_nothing_else(tmp_path) -> None:
    """The audit log is append-only (R60)."""
    store = Store(tmp_path / "alerts.sqlite")
    Inquiry(tmp_path).command(AuditEntry(NOW, "当番A", "cli", "acknowledge", "2026-1121-001", command=True))
    for statement in ("UPDATE audit SET who = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            store.call(lambda db, sql=statement: db.execute(sql)).result()
    store.close()


def test_a_command_given_while_the_daemon_was_down_is_carried_out_once(tmp_path) -> None:
    store = Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(ESTATE, store)
    alerting.observe([DOWN], NOW)
    store.close()
    id_ = alerting.open_incidents()[0].id
    Inquiry(tmp_path).command(AuditEntry(NOW, "当番A", "cli", "comment", id_, "電源を確認中", command=True))
    for _ in range(3):
        store = Store(tmp_path / "alerts.sqlite")
        alerting = Alerting(ESTATE, store)
        alerting.tick(NOW + SECOND)
        store.close()
    incident = alerting.incident(id_)
    assert incident is not None
    assert [(remark.who, remark.text) for remark in incident.remarks] == [("当番A", "電源を確認中")]


def test_everything_that_is_open_comes_back_as_it_was(tmp_path) -> None:
    """Open incidents survive a restart (R72, R73)."""
    store = Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(ESTATE, store)
    alerting.observe([DOWN], NOW)
    alerting.acknowledge(alerting.open_incidents()[0].id, "当番A", "確認中", NOW + SECOND)
    store.close()
    store = Store(tmp_path / "alerts.sqlite")
    again = Alerting(ESTATE, store)
    assert again.open_incidents() == alerting.open_incidents()
    assert again.alerts() == alerting.alerts()
    store.close()


def test_without_a_store_the_question_says_so(tmp_path) -> None:
    with pytest.raises(NoStore, match="the daemon has not run"):
        Inquiry(tmp_path)


def test_a_rule_that_left_the_configuration_ends_its_alert_and_its_incident(tmp_path) -> None:
    store = Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(ESTATE, store)
    alerting.observe([DOWN], NOW)
    store.close()
    store = Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(ESTATE.model_copy(update={"rules": {}}), store)
    changes = alerting.tick(NOW + SECOND)
    assert [(change.after, change.reason.name) for change in changes] == [(State.RESOLVED, "RULE_GONE")]
    assert alerting.open_incidents() == []
    store.close()


def written(path: Path) -> None:
    """A store as a daemon left it, with one alert, large enough that its tables have pages of their own."""
    store = Store(path)
    alerting = Alerting(ESTATE, store)
    alerting.observe([DOWN], NOW)
    store.submit(Batch(audit=[AuditEntry(NOW, "x", "cli", "comment", "y", "z" * 900) for _ in range(60)])).result()
    store.close()


@pytest.mark.parametrize("where", [0, 4096 * 3], ids=["its head", "a page of it"])
def test_a_damaged_store_is_moved_aside_and_alerting_goes_on(tmp_path, caplog, where) -> None:
    """No damage may keep the daemon from watching (R73)."""
    path = tmp_path / "alerts.sqlite"
    written(path)
    with path.open("r+b") as file:
        file.seek(where)
        file.write(b"\xa5" * 4096)
    (tmp_path / "alerts.sqlite-wal").write_bytes(b"its log")
    damaged = path.read_bytes()
    store = Store(path)
    alerting = Alerting(ESTATE, store)
    (change,) = alerting.observe([DOWN], NOW)
    alerting.committed.result()
    assert change.after is State.FIRING
    aside = {file.name[-4:]: file.read_bytes() for file in tmp_path.glob("alerts.sqlite.damaged-*")}
    assert damaged in aside.values()
    assert aside["-wal"] == b"its log"
    assert "alerts_store_damaged" in caplog.text
    assert len(Inquiry(tmp_path).incidents()) == 1
    store.close()


def test_a_whole_store_is_left_where_it_is(tmp_path) -> None:
    path = tmp_path / "alerts.sqlite"
    written(path)
    store = Store(path)
    assert len(store.load().alerts) == 1
    store.close()
    assert [file.name for file in tmp_path.iterdir() if "damaged" in file.name] == []


def test_damage_while_running_is_told_and_does_not_end_alerting(tmp_path) -> None:
    path = tmp_path / "alerts.sqlite"
    written(path)
    store = Store(path)
    alerting = Alerting(ESTATE, store)
    connection = connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(b"\xa5" * path.stat().st_size)
    alerting.tick(NOW + SECOND)
    future = store.submit(Batch(audit=[AuditEntry(NOW, "x", "cli", "comment", "y")]))
    store.close()
    assert isinstance(future.exception(timeout=0), sqlite3.DatabaseError)
    assert store.trouble is not None
