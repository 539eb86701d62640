"""Where an open incident is found: by alert, by subject, by anchor.

Kept beside the book, so that a storm of faults costs each of them a few lookups and not a look at all the others.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar

from poller.alerts.incident import Incident
from poller.alerts.rules import Key

K = TypeVar("K")


@dataclass(slots=True)
class Places:
    """Open incidents by what leads to them; ids only.

    by_subject: faults only, by the subjects of their active alerts. freed: incidents with children that are to be
    looked at again after their parent's recovery.
    """

    open: dict[str, None] = field(default_factory=dict)
    by_key: dict[Key, str] = field(default_factory=dict)
    by_subject: dict[str, str] = field(default_factory=dict)
    by_anchor: dict[tuple[str, bool], str] = field(default_factory=dict)
    freed: set[str] = field(default_factory=set)

    def move(self, before: Incident | None, after: Incident) -> None:
        """Follow a change of one incident; before is None where it is new."""
        if before is not None:
            self._leave(before)
        if after.closed_ns is not None:
            return
        self.open[after.id] = None
        self.by_anchor.setdefault((after.anchor, after.fault), after.id)
        for member in after.active:
            self.by_key[member.key] = after.id
            if after.fault:
                self.by_subject[member.subject] = after.id
            if member.freed_ns is not None:
                self.freed.add(after.id)

    def _leave(self, incident: Incident) -> None:
        self.open.pop(incident.id, None)
        self.freed.discard(incident.id)
        _drop(self.by_anchor, (incident.anchor, incident.fault), incident.id)
        for member in incident.active:
            _drop(self.by_key, member.key, incident.id)
            _drop(self.by_subject, member.subject, incident.id)


def _drop(index: MutableMapping[K, str], key: K, id_: str) -> None:
    if index.get(key) == id_:
        del index[key]
