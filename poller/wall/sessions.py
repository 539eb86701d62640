"""Who is logged in: a signed cookie that holds everything, so that the daemon keeps no list of sessions.

The signature covers the user's password hash and role: a change of either ends every session of that user. A person's
session also names the run of the daemon and ends with it, or after 12 hours; a wall's outlives both (R75). Pure; time,
keys and random ids are arguments.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

import msgspec

from poller.wall.users import Known

LASTS_SECONDS: Final = 12 * 3600
_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Session:
    """One login. run: the daemon's run that it belongs to, empty for a wall."""

    user: str
    id: str
    issued_ns: int
    run: str

    @property
    def ends_ns(self) -> int | None:
        """When it ends, UTC unix nanoseconds; None for a wall's, which does not."""
        return self.issued_ns + LASTS_SECONDS * 10**9 if self.run else None


_DECODER: Final = msgspec.json.Decoder(Session)


def seal(session: Session, known: Known, key: bytes) -> str:
    """The cookie's value: what it says, and its signature (HMAC-SHA256)."""
    body = base64.urlsafe_b64encode(msgspec.json.encode(session)).decode()
    return f"{body}.{_signature(body, known, key)}"


def named_user(cookie: str) -> str | None:
    """Whose session the cookie says that it is; nothing is proven yet."""
    session = _read(cookie)
    return session.user if session is not None else None


def opened(cookie: str, known: Known, key: bytes, run: str, now_ns: int) -> Session | None:
    """The session of a cookie; None where it is forged, over, of another run, or of a user who changed since."""
    body, _, signature = cookie.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(body, known, key).encode()):
        return None
    session = _read(cookie)
    if session is None or session.user != known.user.id:
        return None
    if session.run != ("" if known.user.role == "wall" else run):
        return None
    ends_ns = session.ends_ns
    return session if ends_ns is None or now_ns < ends_ns else None


def request_token(session: Session, key: bytes) -> str:
    """What a page of ours sends with every change, and no page of others can know."""
    return hmac.new(key, b"request " + session.id.encode(), hashlib.sha256).hexdigest()


def _read(cookie: str) -> Session | None:
    if len(cookie) > _LONGEST:
        return None
    try:
        return _DECODER.decode(base64.urlsafe_b64decode(cookie.rpartition(".")[0]))
    except (ValueError, msgspec.MsgspecError):
        return None


def _signature(body: str, known: Known, key: bytes) -> str:
    user = known.user
    signed = "\0".join((body, user.id, user.role, user.tenant or "", known.proof))
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
