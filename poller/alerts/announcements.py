"""Planned maintenance told to those concerned: beforehand, and at its end (R55, need N29).

An announcement has a Message-ID of its own window and occurrence, and the outbox takes a Message-ID once. So a
restart repeats nothing, and what was missed while the daemon was down is caught up as long as it is still of use.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from poller.alerts.maintenance import occurrences
from poller.alerts.states import SECOND
from poller.estate import Maintenance

AHEAD: Final = timedelta(days=1)
AFTER: Final = timedelta(hours=1)
"""An end that is older than this is no news any more."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One thing to tell about one occurrence of a window; local times."""

    window: Maintenance
    kind: Literal["planned", "ended"]
    start: datetime
    end: datetime

    @property
    def id(self) -> str:
        """What its Message-ID is made of."""
        return f"maintenance.{self.window.id}.{self.start:%Y-%m%d-%H%M}.{self.kind}"


def due_announcements(windows: Iterable[Maintenance], zone: ZoneInfo, now_ns: int) -> Iterator[Announcement]:
    """What is to be told now: from a day before the start until the start, and for an hour from the end."""
    now = datetime.fromtimestamp(now_ns / SECOND, zone)
    for window in windows:
        if not window.contacts:
            continue
        for start, end in occurrences(window, now - AFTER - AHEAD, now + AHEAD, zone):
            if start - AHEAD <= now < start:
                yield Announcement(window, "planned", start, end)
            elif end <= now < end + AFTER:
                yield Announcement(window, "ended", start, end)
