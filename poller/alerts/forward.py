"""Taking the alerts' file forward: what an older version wrote becomes what this one reads, in place (R73).

The file carries its version as user_version; 0 is a new file, or one from before versions were counted. Every step is a
transaction of its own: a kill leaves the old or the new form, and the next start goes on from there. What was done is
told.
"""

import logging
import sqlite3
from pathlib import Path
from typing import Final

from poller.alerts.records import SCHEMA
from poller.log import tell
from poller.storage.errors import AlertsTooNew

_log: Final = logging.getLogger(__name__)
STEPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("counts its versions from now on", ()),
    (
        "finds mails, remarks and steps of one incident by an index",
        (
            "CREATE INDEX IF NOT EXISTS outbox_incident ON outbox (incident)",
            "CREATE INDEX IF NOT EXISTS audit_target ON audit (target)",
        ),
    ),
)
"""What each step does, as told, and its statements; after step N the file has version N. Only ever add to the end."""


def take_forward(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Bring the file behind a connection to the latest version; what was done, nothing for a new file.

    Raises AlertsTooNew where a newer program wrote it; the file is left as it is.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(STEPS):
        raise AlertsTooNew(f"{path} has version {version}, this program knows {len(STEPS)}: upgrade, or move it aside")
    known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alerts'").fetchone()[0]
    connection.executescript(SCHEMA)
    done = []
    for number, (text, statements) in enumerate(STEPS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
        if known:
            done.append(text)
            tell(_log, logging.INFO, "state_taken_forward", file=path.name, version=number, now=text)
    return done
