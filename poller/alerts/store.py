"""What must not be forgotten: alerts, incidents, the outbox and the audit log, in one SQLite file (R59, R60, R73).

A state change and the mails it causes are one transaction: after kill -9 either both are there or neither, and
"neither" is decided again from the next readings. One thread owns the writing connection, so a slow disk holds up
that thread and not the loop; batches are applied in the order they were given. A batch that cannot be written (disk
full) is tried again until it can: order matters more than memory here, and `trouble` says what is the matter.

Other programs (`hinomi ack`) append to the audit log only. The daemon reads what is new there behind a cursor that is
kept in the same transaction as its effect, so a command given while the daemon is down is carried out when it starts.
The audit log cannot be changed or shortened by SQL: triggers refuse it.

A file found damaged at the start is moved aside, and an empty one taken (see poller.alerts.damage).
"""

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from poller.alerts.damage import move_aside_if_damaged
from poller.alerts.incidents import Incident
from poller.alerts.rules import Key
from poller.alerts.states import Alert, Transition

log = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_SECONDS: Final = 1.0
PATIENCE: Final = 5.0
"""Seconds to wait for another program that is writing."""
REMEMBERED_INCIDENTS: Final = 500
REMEMBERED_MAILS: Final = 2000

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS alerts (rule TEXT, subject TEXT, state TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (rule, subject)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transitions (id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, rule TEXT NOT NULL,
  subject TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, reason TEXT NOT NULL, value TEXT, incident TEXT);
CREATE INDEX IF NOT EXISTS transitions_incident ON transitions (incident);
CREATE TABLE IF NOT EXISTS incidents (id TEXT PRIMARY KEY, opened_ns INTEGER NOT NULL, closed_ns INTEGER,
  severity TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS incidents_open ON incidents (closed_ns);
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, incident TEXT NOT NULL,
  contact TEXT NOT NULL, recipient TEXT NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL, subject TEXT NOT NULL,
  message BLOB NOT NULL, created_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  tries INTEGER NOT NULL DEFAULT 0, relay TEXT, answer TEXT, done_ns INTEGER);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_ns) WHERE state IN ('waiting', 'sending');
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, who TEXT NOT NULL,
  origin TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL, text TEXT NOT NULL,
  command INTEGER NOT NULL DEFAULT 0, until_ns INTEGER);
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_shortened BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One notice as a mail. write makes the whole text with headers, CRLF; it is called on the store's thread."""

    message_id: str
    incident: str
    contact: str
    recipient: str
    kind: str
    why: str
    subject: str
    write: Callable[[], bytes]
    created_ns: int
    held: bool = False


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when, and from where. command: the daemon has yet to carry it out."""

    at_ns: int
    who: str
    origin: str
    action: str
    target: str
    text: str = ""
    command: bool = False
    until_ns: int | None = None
    id: int = 0


@dataclass(slots=True)
class Batch:
    """What one step of the alerting changed; written as one transaction."""

    alerts: list[Alert] = field(default_factory=list)
    dropped: list[Key] = field(default_factory=list)
    transitions: list[tuple[Transition, str | None]] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    mails: list[OutgoingMail] = field(default_factory=list)
    told_together: list[str] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)
    commands_done: int | None = None

    def __bool__(self) -> bool:
        return bool(
            self.alerts
            or self.dropped
            or self.transitions
            or self.incidents
            or self.mails
            or self.told_together
            or self.audit
            or self.commands_done is not None
        )


@dataclass(frozen=True, slots=True)
class Saved:
    """What the store remembers at a start.

    mails: the latest, as contact, Message-ID, subject, created_ns, and whether it is held by the storm cap.
    """

    alerts: tuple[Alert, ...]
    incidents: tuple[Incident, ...]
    commands_done: int
    last_incident: str | None
    mails: tuple[tuple[str, str, str, int, bool], ...] = ()
    silences: tuple[AuditEntry, ...] = ()


class Store:
    """The file, and the one thread that writes it. Use from one thread; close() waits for what was submitted."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.trouble: str | None = None
        self.on_mail: Callable[[], None] | None = None
        self._work: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any], bool] | None] = (
            queue.SimpleQueue()
        )
        self._closing = threading.Event()
        move_aside_if_damaged(path, time.time_ns())
        with closing(connect(path)) as connection:
            connection.executescript(SCHEMA)
        self._reader = connect(path)
        self._writer = connect(path, patience)
        self._seen_version: int | None = None
        self._thread = threading.Thread(target=self._write_all, name="alerts-store", daemon=True)
        self._thread.start()

    def load(self) -> Saved:
        """Alerts and incidents as they were last committed: all that are open, and the lately closed."""
        alerts = [decode_alert(row[0]) for row in self._reader.execute("SELECT body FROM alerts")]
        incidents = self._reader.execute(
            "SELECT body FROM incidents WHERE closed_ns IS NULL UNION ALL SELECT body FROM"
            " (SELECT body FROM incidents WHERE closed_ns IS NOT NULL ORDER BY closed_ns DESC LIMIT ?)",
            (REMEMBERED_INCIDENTS,),
        )
        last = self._reader.execute("SELECT max(id) FROM incidents").fetchone()[0]
        cursor = self._reader.execute("SELECT value FROM meta WHERE name = 'commands_done'").fetchone()
        done = cursor[0] if cursor else 0
        mails = self._reader.execute(
            "SELECT contact, message_id, subject, created_ns, state = 'held' FROM outbox"
            " WHERE state = 'held' OR id > (SELECT max(id) - ? FROM outbox) ORDER BY id",
            (REMEMBERED_MAILS,),
        )
        silences = read_audit(self._reader, "action IN ('silence', 'unsilence') AND (command = 0 OR id <= ?)", (done,))
        return Saved(
            tuple(alerts),
            tuple(decode_incident(row[0]) for row in incidents),
            done,
            last,
            tuple((*row[:4], bool(row[4])) for row in mails),
            tuple(silences),
        )

    def submit(self, batch: Batch) -> Future[None]:
        """Write the batch as one transaction, after all that was submitted before; returns at once."""
        future = self._submit(lambda connection: _apply(connection, batch), insist=True)
        if batch.mails and self.on_mail is not None:
            wake = self.on_mail
            future.add_done_callback(lambda _: wake())
        return future

    def call(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run work in a transaction of its own on the writing thread; errors are the caller's."""
        return self._submit(work, insist=False)

    def commands(self, after: int) -> list[AuditEntry]:
        """Commands that people appended after the cursor; costs microseconds while nobody else wrote."""
        try:
            version = self._reader.execute("PRAGMA data_version").fetchone()[0]
            if version == self._seen_version:
                return []
            found = read_audit(self._reader, "id > ? AND command = 1 ORDER BY id", (after,))
        except sqlite3.DatabaseError as error:  # alerting goes on without the commands
            if self.trouble is None:
                log.error("alerts store: cannot read the commands: %s", error)  # noqa: TRY400 - known cause
            self.trouble = str(error)
            return []
        self._seen_version = version
        return found

    def close(self) -> None:
        """Write what was submitted, then end; what cannot be written even now is given up."""
        self._closing.set()
        self._work.put(None)
        self._thread.join()
        self._reader.close()

    def _submit(self, work: Callable[[sqlite3.Connection], T], *, insist: bool) -> Future[T]:
        future: Future[T] = Future()
        self._work.put((work, future, insist))
        return future

    def _write_all(self) -> None:
        with closing(self._writer) as connection:
            while (item := self._work.get()) is not None:
                work, asked, insist = item
                # who waited may have gone, but what was asked for is done: a mail that was taken must not go out again
                future = asked if asked.set_running_or_notify_cancel() else Future()
                while not self._write(connection, work, future, insist=insist):
                    if self._closing.wait(RETRY_SECONDS):
                        future.set_exception(sqlite3.OperationalError(self.trouble or "closed"))
                        break

    def _write(
        self,
        connection: sqlite3.Connection,
        work: Callable[[sqlite3.Connection], T],
        future: Future[T],
        *,
        insist: bool,
    ) -> bool:
        """True where the work is settled, well or badly; False to try again."""
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller, and the thread must live
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if insist and isinstance(error, sqlite3.OperationalError):
                self.trouble = str(error)
                log.error("alerts store: cannot write, trying again: %s", error)  # noqa: TRY400 - known cause
                return False
            if insist:  # no one may be waiting for this one's answer
                self.trouble = str(error)
                log.error("alerts store: cannot write, given up: %s", error)  # noqa: TRY400 - known cause
            future.set_exception(error)
            return True
        self.trouble = None
        future.set_result(result)
        return True


def connect(path: Path, patience: float = PATIENCE) -> sqlite3.Connection:
    """A connection as every user of the file opens it: WAL, every commit synced, patient with other writers."""
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


_ENCODER: Final = msgspec.json.Encoder()
_ALERT: Final = msgspec.json.Decoder(Alert)
_INCIDENT: Final = msgspec.json.Decoder(Incident)


def decode_alert(body: bytes) -> Alert:
    """An alert as it was stored."""
    return _ALERT.decode(body)


def decode_incident(body: bytes) -> Incident:
    """An incident as it was stored."""
    return _INCIDENT.decode(body)


def read_audit(connection: sqlite3.Connection, where: str, values: Sequence[int | str] = ()) -> list[AuditEntry]:
    """Entries of the audit log; where is a literal of this program, never a text from outside."""
    rows = connection.execute(
        "SELECT at_ns, who, origin, action, target, text, command, until_ns, id FROM audit WHERE " + where,  # noqa: S608 - see above
        values,
    )
    return [
        AuditEntry(at_ns, who, origin, action, target, text, bool(command), until_ns, id_)
        for at_ns, who, origin, action, target, text, command, until_ns, id_ in rows
    ]


def append_audit(connection: sqlite3.Connection, entry: AuditEntry) -> int:
    """Append to the audit log; the entry's id."""
    cursor = connection.execute(
        "INSERT INTO audit (at_ns, who, origin, action, target, text, command, until_ns) VALUES (?,?,?,?,?,?,?,?)",
        (
            entry.at_ns,
            entry.who,
            entry.origin,
            entry.action,
            entry.target,
            entry.text,
            int(entry.command),
            entry.until_ns,
        ),
    )
    return cursor.lastrowid or 0


def insert_mail(connection: sqlite3.Connection, mail: OutgoingMail) -> None:
    """Put a mail into the outbox; the same Message-ID is never put in twice."""
    connection.execute(
        "INSERT OR IGNORE INTO outbox (message_id, incident, contact, recipient, kind, why, subject, message,"
        " created_ns, due_ns, state) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            mail.message_id,
            mail.incident,
            mail.contact,
            mail.recipient,
            mail.kind,
            mail.why,
            mail.subject,
            b"" if mail.held else _written(mail),
            mail.created_ns,
            mail.created_ns,
            "held" if mail.held else "waiting",
        ),
    )


def _written(mail: OutgoingMail) -> bytes:
    """The mail's text; where writing it fails (a defect) a bare one, because a fault must be told all the same."""
    try:
        return mail.write()
    except Exception:
        log.exception("cannot write mail %s", mail.message_id)
        head = f"Message-ID: {mail.message_id}\r\nFrom: hinomi@localhost\r\nTo: {mail.recipient}\r\n"
        return (
            f"{head}Subject: [Hinomi] {mail.kind} {mail.incident}\r\n\r\nhinomi incident {mail.incident}\r\n".encode()
        )


def _apply(connection: sqlite3.Connection, batch: Batch) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO alerts (rule, subject, state, body) VALUES (?,?,?,?)",
        [(alert.rule, alert.subject, alert.state.value, _ENCODER.encode(alert)) for alert in batch.alerts],
    )
    connection.executemany("DELETE FROM alerts WHERE rule = ? AND subject = ?", batch.dropped)
    connection.executemany(
        "INSERT INTO transitions (at_ns, rule, subject, before, after, reason, value, incident)"
        " VALUES (?,?,?,?,?,?,?,?)",
        [
            (
                step.at_ns,
                step.rule,
                step.subject,
                step.before.value,
                step.after.value,
                step.reason.value,
                None if step.value is None else str(step.value),
                incident,
            )
            for step, incident in batch.transitions
        ],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO incidents (id, opened_ns, closed_ns, severity, body) VALUES (?,?,?,?,?)",
        [
            (incident.id, incident.opened_ns, incident.closed_ns, incident.worst.value, _ENCODER.encode(incident))
            for incident in batch.incidents
        ],
    )
    for mail in batch.mails:
        insert_mail(connection, mail)
    connection.executemany(
        "UPDATE outbox SET state = 'told' WHERE message_id = ? AND state = 'held'",
        [(message_id,) for message_id in batch.told_together],
    )
    for entry in batch.audit:
        append_audit(connection, entry)
    if batch.commands_done is not None:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('commands_done', ?)", (batch.commands_done,))
