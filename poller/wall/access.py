"""Who may do what: one literal table of every route, and the questions asked of a request before it is answered.

    over TLS? -> from a page of ours? -> by whom? -> may this role? -> and if it changes something: with the token?

A route that is not in the table is nobody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from poller.people import User, UserRole
from poller.settings import Wall

Route = tuple[str, str]
OPEN: Final = frozenset[UserRole]()
_WATCHERS: Final = frozenset[UserRole](("wall", "viewer", "noc", "administrator"))
_READERS: Final = frozenset[UserRole](("viewer", "noc", "administrator"))
_ALL: Final = frozenset[UserRole](("wall", "viewer", "noc", "tenant", "administrator"))
_OPERATORS: Final = frozenset[UserRole](("noc", "administrator"))
_ADMINISTRATORS: Final = frozenset[UserRole](("administrator",))

ROUTES: Final[Mapping[Route, frozenset[UserRole]]] = {
    ("GET", "/login"): OPEN,
    ("POST", "/api/v1/login"): OPEN,
    ("GET", "/static/{name}"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("POST", "/api/v1/logout"): _ALL,
    ("GET", "/api/v1/me"): _ALL,
    ("GET", "/api/v1/openapi.json"): _ALL,
    ("GET", "/"): _WATCHERS,
    ("GET", "/metrics"): _WATCHERS,
    ("GET", "/api/v1/wall"): _WATCHERS,
    ("GET", "/api/v1/stream"): _WATCHERS,
    ("GET", "/search"): _WATCHERS,
    ("GET", "/api/v1/search"): _WATCHERS,
    ("GET", "/service-level"): _WATCHERS,
    ("GET", "/api/v1/service-level"): _WATCHERS,
    ("GET", "/notifications"): _WATCHERS,
    ("GET", "/api/v1/notifications"): _WATCHERS,
    ("GET", "/{kind}/{id}"): _ALL,
    ("GET", "/api/v1/{kind}/{id}"): _ALL,
    ("GET", "/api/v1/{kind}/{id}/history"): _ALL,
    ("GET", "/api/v1/incident/{id}/story"): _READERS,
    ("GET", "/api/v1/incidents"): _READERS,
    ("GET", "/api/v1/maintenance"): _READERS,
    ("GET", "/api/v1/dead-letters"): _READERS,
    ("GET", "/api/v1/audit"): _ADMINISTRATORS,
    ("POST", "/api/v1/incident/{id}/{action}"): _OPERATORS,
    ("POST", "/api/v1/silences"): _OPERATORS,
    ("POST", "/api/v1/maintenance"): _OPERATORS,
    ("POST", "/api/v1/maintenance/{id}/end"): _OPERATORS,
}
"""By method and path, who may ask; OPEN: also who is not logged in. HEAD is as GET."""
HEALTH: Final = frozenset[Route]((("GET", "/healthz"), ("GET", "/readyz")))
"""Answered to whoever watches this daemon, without TLS too: they tell nothing but whether it lives."""


def is_open(route: Route) -> bool:
    """Whether the route needs no login."""
    return ROUTES.get(route) == OPEN


def may(user: User, route: Route, match: Mapping[str, str]) -> bool:
    """Whether the user may ask this; match: what the path's places hold. A tenant sees that tenant and nothing else."""
    if is_open(route):
        return True
    if user.role not in ROUTES.get(route, frozenset()):
        return False
    if user.role == "tenant" and "id" in match:
        return (match.get("kind"), match["id"]) == ("tenant", user.tenant)
    return True


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides about it: its sender (the peer of the connection) and some of its headers."""

    method: str
    peer: str
    over_tls: bool
    host: str
    origin: str | None
    site: str | None
    forwarded_for: str | None
    forwarded_proto: str | None

    @property
    def changes(self) -> bool:
        """Whether it asks for more than an answer."""
        return self.method not in {"GET", "HEAD", "OPTIONS"}


def client_address(asked: Asked, wall: Wall) -> str:
    """Who asks: the peer, or behind proxies that we trust the last address that none of them has."""
    trusted = {str(address) for address in wall.trusted_proxies}
    hops = [hop.strip() for hop in (asked.forwarded_for or "").split(",") if hop.strip()]
    address = asked.peer
    while address in trusted and hops:
        address = hops.pop()
    return address[:64]


def refusal(asked: Asked, wall: Wall) -> str | None:
    """Why this is not answered whoever asks, in a sentence; None where it is.

    Without a login only this machine is spoken to, and by its own name: a page of the internet that gives its name our
    address would otherwise be let in by a browser here (DNS rebinding).
    """
    if not wall.asks_for_login and not _is_this_machine(asked.host):
        return (
            "without a login the wall is for this machine only; set wall.trusted_proxies and users to show it to others"
        )
    if wall.asks_for_login and not _is_safe(asked, wall):
        return "this needs TLS: ask by https"
    if asked.changes and not _is_ours(asked):
        return "a page of another site asked for this"
    return None


def _is_safe(asked: Asked, wall: Wall) -> bool:
    """Whether nobody on the way could read it."""
    if asked.peer in {str(address) for address in wall.trusted_proxies}:
        return (asked.forwarded_proto or "").rpartition(",")[2].strip() == "https"
    return asked.over_tls or (_is_loopback(asked.peer) and asked.forwarded_for is None)


def _is_ours(asked: Asked) -> bool:
    """Whether a page of ours asks, or a program; a browser says so, and programs say nothing."""
    if asked.site is not None:
        return asked.site == "same-origin"
    return asked.origin is None or asked.origin.partition("://")[2] == asked.host


def _is_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
