"""What the store keeps and how: its tables, the values that go into them, and one transaction of them.

Called on the store's thread, or by another program with a connection of its own (poller.alerts.inquiry).
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from poller.alerts.incidents import Incident
from poller.alerts.rules import Key
from poller.alerts.states import Alert, Transition

log = logging.getLogger(__name__)
PATIENCE: Final = 5.0
"""Seconds to wait for another program that is writing."""

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


@dataclass(slots=True)
class OutboxState:
    """How the outbox stands: what waits, the oldest of it, and what became of the others since the start."""

    waiting: int = 0
    oldest_ns: int | None = None
    sent_total: int = 0
    dead_total: int = 0


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

    standing: what people asked for that may still hold (silences, maintenance), in its order.
    mails: the latest, as contact, Message-ID, subject, created_ns, and whether it is held by the storm cap.
    """

    alerts: tuple[Alert, ...]
    incidents: tuple[Incident, ...]
    commands_done: int
    last_incident: str | None
    mails: tuple[tuple[str, str, str, int, bool], ...] = ()
    standing: tuple[AuditEntry, ...] = ()


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


def apply(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write what one step changed, within the transaction that the caller began."""
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
