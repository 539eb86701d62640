"""The store, asked by another program while the daemon runs: WAL lets it read, the audit log takes its commands."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from poller.alerts.incidents import Incident
from poller.alerts.records import AuditEntry, append_audit, connect, decode_incident, read_audit
from poller.storage.journal_file import is_damage

ALERTS_FILE: Final = "alerts.sqlite"
"""The name of the store within the state directory."""


@dataclass(frozen=True, slots=True)
class MailRow:
    """One mail of the outbox and what became of it.

    state: waiting, sending, sent or dead; held by the storm cap, or told (its subject went out in a mail about many).
    """

    created_ns: int
    recipient: str
    kind: str
    why: str
    subject: str
    state: str
    tries: int
    relay: str | None
    answer: str | None
    done_ns: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One stored transition of an alert."""

    at_ns: int
    rule: str
    subject: str
    before: str
    after: str
    reason: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one incident."""

    incident: Incident
    steps: tuple[Step, ...]
    mails: tuple[MailRow, ...]
    audit: tuple[AuditEntry, ...]


class NoStore(Exception):  # noqa: N818 - it says what is the matter
    """There is no store in that directory, or it cannot be read; one sentence."""


class Inquiry:
    """Questions to one store file; opens it for each question, so nothing is held while people read.

    Every method raises NoStore where the file is damaged, locked or not one of ours.
    """

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / ALERTS_FILE
        if not self._path.is_file():
            raise NoStore(f"{self._path}: no such file; the daemon has not run with this configuration yet")

    def incidents(self, *, closed: int = 0) -> list[Incident]:
        """Open incidents, and as many of the latest closed ones."""
        with self._open() as connection:
            rows = connection.execute("SELECT body FROM incidents WHERE closed_ns IS NULL ORDER BY id").fetchall()
            rows += connection.execute(
                "SELECT body FROM incidents WHERE closed_ns IS NOT NULL ORDER BY closed_ns DESC LIMIT ?", (closed,)
            ).fetchall()
            return [decode_incident(row[0]) for row in rows]

    def incidents_between(self, start_ns: int, end_ns: int) -> list[Incident]:
        """Incidents that were open at some time of start..end, oldest first: for reports and the service level."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT body FROM incidents WHERE opened_ns < ? AND (closed_ns IS NULL OR closed_ns >= ?) ORDER BY id",
                (end_ns, start_ns),
            ).fetchall()
            return [decode_incident(row[0]) for row in rows]

    def plans(self) -> list[AuditEntry]:
        """What people planned and ended of maintenance, in its order."""
        with self._open() as connection:
            return read_audit(connection, "action IN ('maintenance', 'end_maintenance') ORDER BY id")

    def story(self, id_: str) -> Story | None:
        """One incident with its transitions, mails and remarks; None where there is no such incident."""
        with self._open() as connection:
            row = connection.execute("SELECT body FROM incidents WHERE id = ?", (id_,)).fetchone()
            if row is None:
                return None
            steps = connection.execute(
                "SELECT at_ns, rule, subject, before, after, reason, value FROM transitions WHERE incident = ?"
                " ORDER BY id",
                (id_,),
            ).fetchall()
            audit = read_audit(connection, "target = ? ORDER BY id", (id_,))
            mails = _mails(connection, id_)
            return Story(decode_incident(row[0]), tuple(Step(*step) for step in steps), mails, tuple(audit))

    def dead_letters(self) -> tuple[MailRow, ...]:
        """Mails that no server would take."""
        with self._open() as connection:
            return _mails(connection, None)

    def audit(self, count: int) -> list[AuditEntry]:
        """The latest entries of the audit log, the newest first."""
        with self._open() as connection:
            return read_audit(connection, "1 ORDER BY id DESC LIMIT ?", (count,))

    def command(self, entry: AuditEntry) -> int:
        """Append a command to the audit log; the daemon carries it out within a second, or when it starts."""
        with self._open() as connection:
            return append_audit(connection, entry)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(connect(self._path)) as connection:
                yield connection
        except sqlite3.Error as error:
            if is_damage(error):
                raise NoStore(
                    f"{self._path} is damaged ({error}); the daemon moves it aside at its next start and begins anew"
                ) from None
            raise NoStore(f"{self._path} cannot be read: {error}") from None
        except msgspec.DecodeError as error:
            raise NoStore(f"{self._path} holds what this version cannot read: {error}") from None


def _mails(connection: sqlite3.Connection, incident: str | None) -> tuple[MailRow, ...]:
    columns = "SELECT created_ns, recipient, kind, why, subject, state, tries, relay, answer, done_ns FROM outbox "
    if incident is None:
        rows = connection.execute(columns + "WHERE state = 'dead' ORDER BY id")
    else:
        rows = connection.execute(columns + "WHERE incident = ? ORDER BY id", (incident,))
    return tuple(MailRow(*row) for row in rows)
