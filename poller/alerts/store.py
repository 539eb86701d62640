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
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

from poller.alerts.damage import move_aside_if_damaged
from poller.alerts.forward import take_forward
from poller.alerts.records import (
    PATIENCE,
    AuditEntry,
    Batch,
    OutboxState,
    Saved,
    apply,
    connect,
    decode_alert,
    decode_incident,
    read_audit,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_SECONDS: Final = 1.0
REMEMBERED_INCIDENTS: Final = 500
REMEMBERED_MAILS: Final = 2000


class Store:
    """The file, and the one thread that writes it. Use from one thread; close() waits for what was submitted."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.trouble: str | None = None
        self.outbox = OutboxState()
        self.on_mail: Callable[[], None] | None = None
        self._work: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any], bool] | None] = (
            queue.SimpleQueue()
        )
        self._closing = threading.Event()
        move_aside_if_damaged(path, time.time_ns())
        with closing(connect(path)) as connection:
            take_forward(connection, path)
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
        standing = read_audit(
            self._reader,
            "action IN ('silence', 'unsilence', 'maintenance', 'end_maintenance') AND (command = 0 OR id <= ?)"
            " ORDER BY id",
            (done,),
        )
        return Saved(
            tuple(alerts),
            tuple(decode_incident(row[0]) for row in incidents),
            done,
            last,
            tuple((*row[:4], bool(row[4])) for row in mails),
            tuple(standing),
        )

    def submit(self, batch: Batch) -> Future[None]:
        """Write the batch as one transaction, after all that was submitted before; returns at once."""
        future = self._submit(lambda connection: apply(connection, batch), insist=True)
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

    @property
    def waiting(self) -> int:
        """Transactions that are not yet written."""
        return self._work.qsize()

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
