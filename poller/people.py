"""Who takes turns on call, who may see the wall, and which programs are told beside people."""

from typing import Annotated, Literal, TypeAlias

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


UserRole: TypeAlias = Literal["wall", "viewer", "noc", "tenant", "administrator"]


class User(Model):
    """Who may see the wall and its pages, and what they may do there.

    A person logs in with a password (and a code, where there is a second factor); a program, such as Prometheus, sends
    its token as "Authorization: Bearer TOKEN".
    """

    id: Id
    name: Name
    role: UserRole
    """wall: sees, and its login never ends; viewer: sees; noc: also acknowledges, comments, silences, plans
    maintenance; tenant: sees that tenant alone; administrator: as noc, with a second factor, and reads the audit log.
    """
    tenant: Id | None = None
    """Of the role tenant, and of it alone."""
    password: SecretReference | None = None
    """Its scrypt hash, as `hinomi user hash` prints it."""
    totp: SecretReference | None = None
    """Second factor (RFC 6238), as `hinomi user totp` prints it; an administrator must have one."""
    token: SecretReference | None = None
    """Of a program, 32 characters at least; not with a password."""
