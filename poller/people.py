"""Who takes turns on call, and which programs are told beside people."""

from typing import Annotated

from pydantic import Field, StringConstraints

from poller.secrets import SecretReference
from poller.settings import Id, Model, Name, Period


class Swap(Model):
    """Somebody takes over for a while: a holiday, an exchanged shift."""

    start: str
    """Local time "2026-11-21 09:00"."""
    end: str
    contact: Id


class Rotation(Model):
    """Engineers who take turns on call (当番): the one on call is told first, the others where nobody answers."""

    id: Id
    name: Name
    contacts: tuple[Id, ...] = Field(min_length=1)
    """In the order of their turns."""
    start: str
    """When the first one's first turn begins, local time "2026-11-02 09:00"."""
    every: Period = 7 * 86400.0
    """How long a turn is: "7d"."""
    swaps: tuple[Swap, ...] = ()


class Webhook(Model):
    """A program that is told of every incident by HTTP, signed: a ticket system, a chat, another watch.

    POST of JSON with X-Hinomi-Signature: "sha256=" and the HMAC-SHA256 of X-Hinomi-Timestamp, "." and the body.
    """

    id: Id
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]
    secret: SecretReference
    severities: tuple[Annotated[str, StringConstraints(pattern=r"^(serious|minor|notice)$")], ...] = (
        "serious",
        "minor",
    )
