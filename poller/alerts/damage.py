"""A damaged store of alerts is moved aside, never wiped, and the daemon begins with an empty one (R73).

What is bad is found again by the next readings; acknowledgements, silences and mails not yet sent stay in the old file.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from poller.log import tell
from poller.storage.journal_file import is_damage
from poller.storage.salvage import move_aside

_log: Final = logging.getLogger(__name__)


def move_aside_if_damaged(path: Path, now_ns: int) -> Path | None:
    """Where the file lies now, its write-ahead log beside it; None where there is none or it is whole.

    Raises sqlite3.Error where it cannot be judged: locked, or not to be read.
    """
    if not path.exists():
        return None
    reason = damage_of(path)
    if reason is None:
        return None
    aside = move_aside(path, now_ns)
    tell(_log, logging.ERROR, "alerts_store_damaged", reason=reason, moved_to=aside)
    return aside


def damage_of(path: Path) -> str | None:
    """What SQLite says is broken in the file, every page of it read; None where it is whole.

    Read-only, because SQLite deletes the write-ahead log of a file whose head it does not know.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return None if found == "ok" else found
