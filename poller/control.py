"""The control socket: how `hinomi reload` and `hinomi status` reach the daemon of this machine.

A socket in the kernel's own name space, named after the configuration's directory: it is found even while the files in
there are wrong, and nothing of it stays behind. The kernel says who asks (SO_PEERCRED, unix(7)): root and the daemon's
own user may. Answers are JSON. The wall's login is for people elsewhere.
"""

import hashlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import msgspec
from aiohttp import web

from poller.log import tell

_log: Final = logging.getLogger(__name__)
_ASK_SECONDS: Final = 120.0
"""A reload of a large configuration takes seconds on a busy machine."""
_CREDENTIALS: Final = struct.Struct("=iII")
"""struct ucred: pid, uid, gid."""


class NoDaemon(Exception):  # noqa: N818 - it says what is the matter
    """No daemon can be asked; the text says why."""


class Control:
    """The daemon's end. Use as an async context manager; a second daemon by one configuration goes without."""

    def __init__(
        self,
        directory: Path,
        status: Callable[[], Mapping[str, Any]],
        reload: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._directory = directory
        self._status = status
        self._reload = reload
        application = web.Application(middlewares=[_only_ours])
        application.add_routes([web.get("/status", self._tell_status), web.post("/reload", self._carry_out)])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listening.bind(_name(self._directory))
        except OSError as error:
            listening.close()
            tell(_log, logging.WARNING, "no_control_socket", directory=self._directory, reason=error.strerror)
            return self
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _tell_status(self, _request: web.Request) -> web.Response:
        return _answer(self._status())

    async def _carry_out(self, _request: web.Request) -> web.Response:
        return _answer(await self._reload())


async def ask(directory: Path, method: str, path: str) -> dict[str, Any]:
    """Ask the daemon that runs by the configuration in this directory; NoDaemon where none answers us."""
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=_name(directory)), timeout=aiohttp.ClientTimeout(_ASK_SECONDS)
            ) as session,
            session.request(method, f"http://hinomi{path}") as response,
        ):
            found = msgspec.json.decode(await response.read(), type=dict[str, Any])
    except aiohttp.ClientConnectorError:
        raise NoDaemon(f"no daemon runs by the configuration in {directory}") from None
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
        raise NoDaemon(f"the daemon of {directory} does not answer: {str(error) or type(error).__name__}") from None
    if "error" in found:
        raise NoDaemon(str(found["error"]))
    return found


def _name(directory: Path) -> str:
    """In the abstract name space; names there have at most 107 octets."""
    return "\0hinomi/" + hashlib.blake2s(str(directory.resolve()).encode(), digest_size=16).hexdigest()


@web.middleware
async def _only_ours(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Root and our own user."""
    transport = request.transport
    if transport is None:
        raise web.HTTPForbidden
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as peer:
        _, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if user not in {0, os.geteuid()}:
        return _answer({"error": "only root and the daemon's own user may ask here"}, status=403)
    return await handler(request)


def _answer(content: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json", status=status)
