"""An incident and what belongs to it: plain frozen values, which the store keeps as they are."""

from dataclasses import dataclass, field
from typing import Final

from poller.alerts.dependencies import Affected
from poller.alerts.rules import Key
from poller.alerts.states import SECOND
from poller.estate import Severity
from poller.sample import FieldValue

GATHERING: Final = 15 * SECOND
"""Alerts this soon after the first belong to how the fault began."""
RANK: Final = {Severity.NOTICE: 0, Severity.MINOR: 1, Severity.SERIOUS: 2}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing we know: what the reading was, of whom, since when (or at what time)."""

    subject: str
    field: str
    value: FieldValue | None
    at_ns: int
    reason: str = ""
    words: tuple[str, str] = ("", "")
    """What was found, as a sentence, Japanese and English; empty where the value says it all."""


@dataclass(frozen=True, slots=True)
class Member:
    """One alert of an incident; inhibited_by is the parent's subject while that explains it."""

    rule: str
    subject: str
    severity: Severity
    since_ns: int
    value: FieldValue | None = None
    resolved_ns: int | None = None
    inhibited_by: str | None = None
    freed_ns: int | None = None

    @property
    def key(self) -> Key:
        """The alert's key."""
        return (self.rule, self.subject)


@dataclass(frozen=True, slots=True)
class Remark:
    """What a person said about an incident; kind is acknowledge or comment."""

    kind: str
    who: str
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Told:
    """What was told about an incident so far: the memory that keeps a mail from being missed or sent twice (R58).

    posted, posts: the phase that programs were told last, and how often they were.
    """

    count: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    severity: Severity | None = None
    repeats: int = 0
    flapping: bool = False
    recovered: bool = False
    digest_ns: int | None = None
    digest_recovered: bool = False
    reminded: bool = False
    muted: bool = False
    posted: str = ""
    posts: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """One fault with one cause. anchor and fault say what joins it; root is the alert that is its cause."""

    id: str
    anchor: str
    fault: bool
    root: Key
    begun_ns: int
    opened_ns: int
    severity: Severity
    worst: Severity
    closed_ns: int | None = None
    members: tuple[Member, ...] = ()
    affected: Affected = field(default_factory=Affected)
    scope: str = "undetermined"
    evidence: tuple[Evidence, ...] = ()
    flapping: bool = False
    redundancy_left: bool = False
    merged_into: str | None = None
    remarks: tuple[Remark, ...] = ()
    title_ja: str = ""
    title_en: str = ""
    told: Told = field(default_factory=Told)
    serious_since_ns: int | None = None
    first_serious_ns: int | None = None

    @property
    def serious_from_ns(self) -> int:
        """When it was confirmed as serious for the first time: from there notices are due."""
        return self.first_serious_ns or self.opened_ns

    @property
    def turned_serious(self) -> bool:
        """True where it was less than serious at first."""
        return self.serious_since_ns is not None and self.serious_since_ns - self.opened_ns > GATHERING

    @property
    def acknowledged(self) -> Remark | None:
        """The first acknowledgement."""
        return next((remark for remark in self.remarks if remark.kind == "acknowledge"), None)

    @property
    def second_notice(self) -> Remark | None:
        """The first note that those in charge were told what is being done."""
        return next((remark for remark in self.remarks if remark.kind == "second_notice"), None)

    @property
    def acknowledged_by(self) -> str | None:
        """Who acknowledged first."""
        return None if self.acknowledged is None else self.acknowledged.who

    def title(self, lang: str) -> str:
        """What is broken and how, in half a line, "ja" or "en"."""
        return self.title_en if lang == "en" else self.title_ja

    @property
    def root_member(self) -> Member:
        """The alert that is the cause."""
        return next((member for member in self.members if member.key == self.root), self.members[0])

    @property
    def ended_ns(self) -> int | None:
        """When the last alert's condition ended; None while open."""
        return (
            None if self.closed_ns is None else max((m.resolved_ns or 0 for m in self.members), default=self.closed_ns)
        )

    @property
    def active(self) -> tuple[Member, ...]:
        """Members that are not resolved."""
        return tuple(member for member in self.members if member.resolved_ns is None)


def is_worse(one: Severity, other: Severity | None) -> bool:
    """True where one matters more than other (None: nothing)."""
    return other is None or RANK[one] > RANK[other]
