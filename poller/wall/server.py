"""The wall's web server: pages, the API under /api/v1, and one stream of changes for every open wall.

Security: whoever asks passes the door (poller.wall.login) first; every answer carries a policy that allows scripts from
this server only, and data is JSON that the page puts in place as text, never as markup (R77).
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Self

from aiohttp import web

from poller.notified import Notified
from poller.storage.history import History
from poller.wall.live import LiveState
from poller.wall.login import Handler, Login, seconds_left
from poller.wall.metrics import CONTENT_TYPE, metrics_text
from poller.wall.notifications import NotificationPages
from poller.wall.openapi import openapi
from poller.wall.work import Work, answer, encode

_STATIC: Final = resources.files("poller.wall") / "static"
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGES: Final = {
    "/": "wall.html",
    "/login": "login.html",
    "/search": "search.html",
    "/service-level": "level.html",
}
_JAPANESE: Final = b'<html lang="ja">'
_ENGLISH: Final = b'<html lang="en">'
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
READY_SECONDS: Final = 180.0
"""Of the newest reading's age; a daemon that measured nothing for longer is not ready."""
PUSH_SECONDS: Final = 0.5
"""How often changes are sent: twice in the second within which a change must be on the wall."""
DEAF_SECONDS: Final = 1.0
"""A wall that does not take an event in this time is dropped."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a wall is listened for: as configured, with the socket."""

    address: str
    port: int
    secure: bool
    listening: socket.socket
    site: web.SockSite


class WallServer:
    """Serves one LiveState, and the past from a history. Use as an async context manager; `url` is known inside."""

    def __init__(  # noqa: PLR0913 - what it shows, and where
        self,
        live: LiveState,
        address: str,
        port: int,
        *,
        history: History | None = None,
        notified: Notified | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._live = live
        self._address = address
        self._port = port
        self._clock_ns = clock_ns
        self._streams: dict[web.StreamResponse, tuple[web.Request, asyncio.Event]] = {}
        self._pusher: asyncio.Task[None] | None = None
        self._login = Login.none()
        self._tls: ssl.SSLContext | None = None
        self._place: Place | None = None
        application = web.Application(middlewares=[_secure, self._guard])
        application.add_routes(
            [
                *(web.get(path, self._page(name)) for path, name in _PAGES.items()),
                web.get("/static/{name:[a-zA-Z0-9_.]+(?:/[a-zA-Z0-9_.]+)?}", self._file),
                web.get("/api/v1/wall", self._snapshot),
                web.get("/api/v1/stream", self._stream),
                web.get("/api/v1/openapi.json", self._description),
                web.get("/healthz", self._health),
                web.get("/readyz", self._ready),
                web.get("/metrics", self._metrics),
                *NotificationPages(notified, live, clock_ns, self._page("notifications.html")).routes(),
                *Work(live, history, clock_ns, self._page("work.html")).routes(),
            ]
        )
        self._application = application
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        self.url = ""

    def serve_also(self, routes: Iterable[web.RouteDef]) -> None:
        """Routes of other parts, before it is entered."""
        self._application.add_routes(routes)

    def serve_behind(self, login: Login, tls: ssl.SSLContext | None = None) -> None:
        """The door to put before everything, and TLS of our own, before it is entered."""
        self._login, self._tls = login, tls

    async def __aenter__(self) -> Self:
        self._application.add_routes(self._login.routes())
        await self._runner.setup()
        await self.settle(await self.open(self._address, self._port, self._tls))
        self._pusher = asyncio.create_task(self._push(), name="wall pusher")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._pusher is not None
        self._pusher.cancel()
        for _request, closed in self._streams.values():
            closed.set()
        with suppress(asyncio.CancelledError):
            await self._pusher
        await self._runner.cleanup()

    async def open(self, address: str, port: int, tls: ssl.SSLContext | None) -> "Place":
        """Listen there too, until settle() ends all other places; stop of its site takes it back. Raises OSError.

        At the same address and port it is the same socket, with another certificate perhaps: nobody is turned away.
        """
        before = self._place
        if before is not None and (before.address, before.port) == (address, port):
            listening = before.listening.dup()
        else:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listening = socket.create_server((address, port), family=family, backlog=128)
        site = web.SockSite(self._runner, listening, ssl_context=tls)
        await site.start()
        return Place(address, port, tls is not None, listening, site)

    async def settle(self, place: "Place") -> None:
        """Listen there and nowhere else; walls that are open stay open."""
        before, self._place = self._place, place
        if before is not None:
            await before.site.stop()
        host, port = place.listening.getsockname()[:2]
        self.url = f"http{'s' if place.secure else ''}://{f'[{host}]' if ':' in host else host}:{port}/"

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return await self._login.guard(request, handler)

    def _page(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A page, saying in its first tag which language the organisation speaks, before anybody is logged in too."""

        async def serve(_request: web.Request) -> web.StreamResponse:
            page = _static_file(name)
            if self._live.estate.organisation.lang == "en":
                page.body = (_STATIC / name).read_bytes().replace(_JAPANESE, _ENGLISH, 1)
            return page

        return serve

    async def _file(self, request: web.Request) -> web.Response:
        return _static_file(request.match_info["name"])

    async def _snapshot(self, _request: web.Request) -> web.Response:
        return answer(self._live.snapshot(self._clock_ns()))

    async def _description(self, _request: web.Request) -> web.Response:
        return answer(openapi())

    async def _health(self, _request: web.Request) -> web.Response:
        return answer({"status": "alive"})

    async def _ready(self, _request: web.Request) -> web.Response:
        """Ready: something was measured lately. A daemon that runs and sees nothing is alive and not ready."""
        newest_ns = self._live.newest_ns
        age_seconds = (self._clock_ns() - newest_ns) / 1e9 if newest_ns else None
        if age_seconds is None or age_seconds > READY_SECONDS:
            return answer({"status": "nothing measured lately", "age_seconds": age_seconds}, status=503)
        return answer({"status": "ready", "age_seconds": age_seconds})

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = metrics_text(self._live, self._clock_ns())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: first everything, then what changes, and a beat with every push in any case."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_HEADERS})
        await response.prepare(request)
        closed = asyncio.Event()
        self._streams[response] = request, closed  # before the first write, so that no change falls between the two
        try:
            await response.write(_event(self._live.snapshot(self._clock_ns())))
            async with asyncio.timeout(seconds_left(request, self._clock_ns())):
                await closed.wait()
        except (OSError, TimeoutError):
            pass  # the wall went away, or was dropped, while it was being sent the whole; or its login ended
        finally:
            self._streams.pop(response, None)
        return response

    async def _push(self) -> None:
        """Encode what changed once, whatever the number of walls."""
        version = self._live.snapshot(self._clock_ns())["version"]
        while True:
            await asyncio.sleep(PUSH_SECONDS)
            if not self._streams:
                continue
            snapshot = self._live.snapshot(self._clock_ns(), since=version)
            version = snapshot["version"]
            event = _event(snapshot)
            await asyncio.gather(*(self._send(response, event) for response in tuple(self._streams)))

    async def _send(self, response: web.StreamResponse, event: bytes) -> None:
        """Send one event; a wall that does not take it in time is dropped, so that it holds neither time nor memory."""
        try:
            async with asyncio.timeout(DEAF_SECONDS):
                await response.write(event)
        except (OSError, TimeoutError):
            self._drop(response)

    def _drop(self, response: web.StreamResponse) -> None:
        stream = self._streams.pop(response, None)
        if stream is None:
            return
        request, closed = stream
        if request.transport is not None:
            request.transport.abort()
        closed.set()


def _event(snapshot: dict[str, Any]) -> bytes:
    return b"data: " + encode(snapshot) + b"\n\n"


def _static_file(name: str) -> web.Response:
    path = _STATIC / name
    suffix = name[name.rfind(".") :]
    if ".." in name or suffix not in _TYPES or not path.is_file():
        raise web.HTTPNotFound
    return web.Response(body=path.read_bytes(), content_type=_TYPES[suffix], charset="utf-8")


@web.middleware
async def _secure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the policy on every answer, refusals too; only a stream's headers must be there before it is prepared."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(_HEADERS)
        raise
    if not response.prepared:
        response.headers.update(_HEADERS)
    return response
