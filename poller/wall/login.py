"""The door: who asks is found before anything is answered, and logging in and out.

What is allowed is decided in poller.wall.access; here are headers, cookies and the slow hash, one at a time.
"""

import asyncio
import hmac
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web
from yarl import URL

from poller.alerts.asked import Unfit
from poller.alerts.records import AuditEntry
from poller.log import tell
from poller.people import User
from poller.settings import Wall
from poller.wall.access import HEALTH, Asked, Route, client_address, is_open, may, refusal
from poller.wall.attempts import Attempts, names_of
from poller.wall.passwords import accepted_step, fits, totp_key
from poller.wall.sessions import Session, named_user, opened, request_token, seal
from poller.wall.users import Known
from poller.wall.work import answer

_log: Final = logging.getLogger(__name__)
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Audit: TypeAlias = Callable[[AuditEntry], None]
COOKIE: Final = "__Host-hinomi"
TOKEN_HEADER: Final = "X-Hinomi-Token"  # noqa: S105 - a header's name
_WALL_COOKIE_SECONDS: Final = 400 * 86400
"""The longest that browsers keep a cookie; it is given anew with every page."""
_MOST_WAITING: Final = 20
_NOBODY: Final = "$scrypt$ln=15,r=8,p=3$aGlub21pbm9ib2R5aGVyZQ$" + "A" * 43
"""Costs as much as a real one, so that an unknown user takes as long as a wrong password."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: a user, and the session of a browser; a program with a token has none."""

    user: User
    session: Session | None


_ADDRESS: Final = web.RequestKey("_ADDRESS", str)
_VISITOR: Final = web.RequestKey("_VISITOR", Visitor)


class _Proof(msgspec.Struct, frozen=True):
    user: str
    password: str
    code: str = ""


class Login:
    """The door of one wall. users: with their secrets; key: signs sessions; audit: takes every login and logout."""

    def __init__(
        self,
        wall: Wall,
        users: Mapping[str, Known],
        key: bytes,
        audit: Audit,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._wall = wall
        self._users = users
        self._key = key
        self._audit = audit
        self._clock_ns = clock_ns
        self._run = secrets.token_hex(8)
        self._attempts = Attempts()
        self._used_steps: dict[str, int] = {}
        self._ended: dict[str, int | None] = {}
        self._hashing = asyncio.Semaphore(1)
        self._waiting = 0

    @classmethod
    def none(cls) -> "Login":
        """Of a wall on loopback that asks for no login."""
        return cls(Wall(), {}, b"", lambda _entry: None)

    def follow(self, wall: Wall, users: Mapping[str, Known]) -> None:
        """Let these users in from now on; who is in stays in, unless the user or the secret is another."""
        self._wall, self._users = wall, users

    def routes(self) -> list[web.RouteDef]:
        """Logging in and out, and who one is."""
        return [
            web.post("/api/v1/login", self._log_in),
            web.post("/api/v1/logout", self._log_out),
            web.get("/api/v1/me", self._me),
        ]

    def who(self, request: web.Request, body: Mapping[str, Any]) -> str:
        """Who asks, for the audit log: the user; without a login, whom the body names. Raises Unfit."""
        visitor = visitor_of(request)
        who = body.get("who", "") if visitor is None else visitor.user.id
        if not isinstance(who, str):
            raise Unfit("who: must be a text")
        return who

    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer, or say why not; a page that needs a login leads there."""
        asked = _asked(request)
        route = _route(request)
        why = refusal(asked, self._wall)
        if why is not None and route not in HEALTH:
            return answer({"error": why}, status=403)
        request[_ADDRESS] = client_address(asked, self._wall)
        if not self._wall.asks_for_login or (route is not None and is_open(route)):
            return await handler(request)
        visitor = self._visitor(request)
        if visitor is None:
            return _to_the_door(request)
        if visitor.user.role == "tenant" and request.path == "/":
            raise web.HTTPSeeOther(f"/tenant/{visitor.user.tenant}")
        if route is not None and not may(visitor.user, route, request.match_info):
            return answer({"error": "this login may not do that"}, status=403)
        if asked.changes and not self._has_token(request, visitor):
            return answer({"error": f"the header {TOKEN_HEADER} is missing or of another login"}, status=403)
        request[_VISITOR] = visitor
        response = await handler(request)
        if visitor.user.role == "wall" and visitor.session is not None and request.path == "/":
            _give(response, request.cookies[COOKIE], _WALL_COOKIE_SECONDS)
        return response

    async def _log_in(self, request: web.Request) -> web.Response:
        if not self._wall.asks_for_login:
            raise web.HTTPNotFound
        if request.content_type != "application/json":
            return answer({"error": "send JSON, with the content type application/json"}, status=415)
        try:
            proof = msgspec.json.decode(await request.read(), type=_Proof)
        except msgspec.DecodeError:
            return answer({"error": "send user, password, and code where there is a second factor"}, status=400)
        address = address_of(request)
        names = names_of(proof.user[:64], address)
        wait = self._attempts.begin(names, self._clock_ns() / 1e9)
        if wait > 0 or self._waiting >= _MOST_WAITING:
            seconds = max(1, math.ceil(wait))
            tell(_log, logging.WARNING, "login_paused", address=address, seconds=seconds)
            paused = answer({"error": "too many tries", "seconds": seconds}, status=429)
            paused.headers["Retry-After"] = str(seconds)
            return paused
        known = self._users.get(proof.user)
        if known is None or not await self._proves(known, proof):
            if known is None:
                await self._hash(proof.password, _NOBODY)
            self._note("login_failed", known.user.id if known else "unknown", address)
            return answer({"error": "the user, the password or the code is wrong"}, status=401)
        self._attempts.succeeded(*names)
        return self._open(known, address)

    def _open(self, known: Known, address: str) -> web.Response:
        """A new session, in a cookie that only our own pages send and no script reads."""
        user = known.user
        run = "" if user.role == "wall" else self._run
        session = Session(user.id, secrets.token_urlsafe(16), self._clock_ns(), run)
        self._note("login", user.id, address)
        home = f"/tenant/{user.tenant}" if user.role == "tenant" else "/"
        response = answer({"user": user.id, "role": user.role, "home": home})
        _give(response, seal(session, known, self._key), None if run else _WALL_COOKIE_SECONDS)
        return response

    async def _log_out(self, request: web.Request) -> web.Response:
        response = answer({"done": {"action": "logout"}})
        visitor = visitor_of(request)
        if visitor is not None and visitor.session is not None:
            now_ns = self._clock_ns()
            self._ended = {id_: end for id_, end in self._ended.items() if end is None or end > now_ns}
            self._ended[visitor.session.id] = visitor.session.ends_ns
            self._note("logout", visitor.user.id, address_of(request))
        response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
        return response

    async def _me(self, request: web.Request) -> web.Response:
        visitor = visitor_of(request)
        if visitor is None:  # only where no login is asked for
            nobody = dict.fromkeys(("user", "name", "tenant", "token"))
            return answer({"login": False, "role": "noc", **nobody})
        user, session = visitor.user, visitor.session
        return answer(
            {
                "login": True,
                "role": user.role,
                "user": user.id,
                "name": {"ja": user.name.ja, "en": user.name.en},
                "tenant": user.tenant,
                "token": None if session is None else request_token(session, self._key),
            }
        )

    async def _proves(self, known: Known, proof: _Proof) -> bool:
        """Password and code are right; a code serves once."""
        if known.password is None:  # a program, which does not log in
            await self._hash(proof.password, _NOBODY)
            return False
        if not await self._hash(proof.password, known.password.reveal()):
            return False
        if known.totp is None:
            return True
        user = known.user.id
        used = self._used_steps.get(user, -1)
        step = accepted_step(totp_key(known.totp.reveal()), proof.code, self._clock_ns() / 1e9, used)
        if step is not None:
            self._used_steps[user] = step
        return step is not None

    async def _hash(self, password: str, kept: str) -> bool:
        """Off the loop, and one at a time, so that guessing takes neither memory nor polls."""
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(fits, password, kept)
        finally:
            self._waiting -= 1

    def _visitor(self, request: web.Request) -> Visitor | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            sent = token.strip().encode()
            for known in self._users.values():
                if known.token is not None and hmac.compare_digest(known.token.reveal().encode(), sent):
                    return Visitor(known.user, None)
            return None
        cookie = request.cookies.get(COOKIE, "")
        known_user = self._users.get(named_user(cookie) or "")
        if known_user is None:
            return None
        session = opened(cookie, known_user, self._key, self._run, self._clock_ns())
        return None if session is None or session.id in self._ended else Visitor(known_user.user, session)

    def _has_token(self, request: web.Request, visitor: Visitor) -> bool:
        """A page of ours has asked for the token; a program's own token is no cookie that a browser adds by itself."""
        if visitor.session is None:
            return True
        sent = request.headers.get(TOKEN_HEADER, "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(request_token(visitor.session, self._key).encode(), sent)

    def _note(self, action: str, user: str, address: str) -> None:
        tell(_log, logging.INFO, action, user=user, address=address)
        self._audit(AuditEntry(self._clock_ns(), user, f"wall, {address}", action, f"user/{user}"))


def visitor_of(request: web.Request) -> Visitor | None:
    """Who asks; None where no login is asked for."""
    return request.get(_VISITOR)


def seconds_left(request: web.Request, now_ns: int) -> float | None:
    """How long the session of a request still lasts; None where it does not end."""
    visitor = visitor_of(request)
    ends_ns = visitor.session.ends_ns if visitor is not None and visitor.session is not None else None
    return None if ends_ns is None else max(0.0, (ends_ns - now_ns) / 1e9)


def address_of(request: web.Request) -> str:
    """From where it is asked, proxies that are trusted left out."""
    return request.get(_ADDRESS) or request.remote or "unknown"


def _asked(request: web.Request) -> Asked:
    headers = request.headers
    return Asked(
        request.method,
        _plain(request.remote or ""),
        request.secure,
        request.host,
        headers.get("Origin"),
        headers.get("Sec-Fetch-Site"),
        ",".join(headers.getall("X-Forwarded-For", [])) or None,
        headers.get("X-Forwarded-Proto"),
    )


def _plain(address: str) -> str:
    """An IPv4 address that came over an IPv6 socket, as IPv4."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def _route(request: web.Request) -> Route | None:
    """Method and path as in the table; None where there is no such route."""
    resource = request.match_info.route.resource
    return None if resource is None else ("GET" if request.method == "HEAD" else request.method, resource.canonical)


def _to_the_door(request: web.Request) -> web.Response:
    if request.path.startswith(("/api/", "/metrics")) or request.method != "GET":
        return answer({"error": "log in first"}, status=401)
    raise web.HTTPSeeOther(URL("/login").with_query({"next": request.path_qs}))


def _give(response: web.StreamResponse, cookie: str, seconds: int | None) -> None:
    response.set_cookie(COOKIE, cookie, max_age=seconds, path="/", secure=True, httponly=True, samesite="Strict")
