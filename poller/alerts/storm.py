"""The storm cap: at most so many mails a recipient within the window, the rest as one mail that says so (R58).

Of ten mails in ten minutes nine may be single ones; what comes then is held (on disk, like every mail) and leaves
together as the tenth, GATHER after the first that was held, or as soon as the window has room again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from poller.alerts.notices import Policy
from poller.alerts.states import SECOND

GATHER: Final = 30 * SECOND


@dataclass(frozen=True, slots=True)
class HeldMail:
    """A mail that waits to be told together with others."""

    contact: str
    message_id: str
    subject: str
    created_ns: int


@dataclass(slots=True)
class Storm:
    """What each contact got lately, and what is held for it."""

    policy: Policy
    sent: dict[str, list[int]] = field(default_factory=dict)
    held: dict[str, list[HeldMail]] = field(default_factory=dict)

    def remember(self, sent: Iterable[tuple[str, int]], held: Iterable[HeldMail]) -> None:
        """Take over what the store knows, at a start."""
        for contact, at_ns in sent:
            self.note_sent(contact, at_ns)
        for mail in held:
            self.hold(mail)

    def note_sent(self, contact: str, at_ns: int) -> None:
        """Count a mail."""
        self.sent.setdefault(contact, []).append(at_ns)

    def hold(self, mail: HeldMail) -> None:
        """Keep a mail back."""
        self.held.setdefault(mail.contact, []).append(mail)

    def must_hold(self, contact: str, now_ns: int) -> bool:
        """True where a further single mail would leave no room for the one that tells the rest."""
        return bool(self.held.get(contact)) or self._recent(contact, now_ns) >= self.policy.storm_mails - 1

    def release(self, now_ns: int) -> dict[str, list[HeldMail]]:
        """By contact, what leaves together now; it counts as one mail."""
        released = {}
        for contact, held in list(self.held.items()):
            if now_ns - held[0].created_ns >= GATHER and self._recent(contact, now_ns) < self.policy.storm_mails:
                released[contact] = self.held.pop(contact)
                self.note_sent(contact, now_ns)
        return released

    def _recent(self, contact: str, now_ns: int) -> int:
        window = int(self.policy.storm_window * SECOND)
        recent = [at_ns for at_ns in self.sent.get(contact, ()) if now_ns - at_ns < window]
        if recent:
            self.sent[contact] = recent
        else:
            self.sent.pop(contact, None)
        return len(recent)
