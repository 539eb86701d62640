"""Errors of others, mapped once: asyncio, sockets, TLS, aiohttp and dnspython to the tree of probes.errors."""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp
from dns.exception import DNSException

from probes.certificates import distrust
from probes.errors import LocalError, NoAnswer, NotAsked, ProbeError, RemoteError
from probes.result import Observation
from probes.sentences import Said
from probes.text import printable

FOREIGN: Final = (OSError, EOFError, ssl.SSLError, aiohttp.ClientError, DNSException, UnicodeError)
"""What may come out of the libraries that probes use; TimeoutError is an OSError."""
_UNREACHABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})
_CLOSED: Final = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ESHUTDOWN, errno.ENOTCONN})
_NO_SUCH_NAME: Final = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What the sentence about an error needs: whom we spoke to, which host was resolved or named, the time given."""

    observation: Observation
    host: str
    seconds: float

    @property
    def peer(self) -> Said:
        """Whom we spoke to."""
        return self.observation.peer

    @property
    def phase(self) -> Said:
        """In which phase."""
        return self.observation.phase_name()


def mapped(error: BaseException, circumstance: Circumstance) -> ProbeError:
    """The error in our tree, by the first row of the table that fits."""
    if isinstance(error, ProbeError):
        return error
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        circumstance = replace(circumstance, host=str(error.host))
    error = _inner(error)
    return next(made(error, circumstance) for kind, made in _MAP if isinstance(error, kind))


def _inner(error: BaseException) -> BaseException:
    """What aiohttp wrapped."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error is not None:
        return error.os_error
    return error


def _late(_error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401 - each row of the table knows its type
    if at.observation.phase == "resolve":  # that is our name service and not the target
        detail = (f"{at.seconds:g} 秒以内に応答なし", f"no answer within {at.seconds:g} s")
        return NotAsked("name_unresolved", name=printable(at.host), detail=detail)
    return NoAnswer("no_answer", peer=at.peer, seconds=f"{at.seconds:g}", phase=at.phase)


def _distrusted(error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    return distrust(error, at.observation, at.host)


def _closed(_error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    return RemoteError("closed", peer=at.peer, phase=at.phase)


def _tls(error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    detail = printable((getattr(error, "reason", None) or str(error)).replace("_", " ").lower())
    return RemoteError("tls_failed", peer=at.peer, detail=detail)


def _unresolved(error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    name = printable(at.host)
    if error.errno in _NO_SUCH_NAME:
        return RemoteError("name_unknown", name=name)
    return NotAsked("name_unresolved", name=name, detail=printable(str(error.strerror).lower()))


def _redirected(error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    return RemoteError("http_redirects", target=printable(at.observation.target), count=str(len(error.history)))


def _bad_http(error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    detail = printable(getattr(error, "message", "") or str(error))
    return RemoteError("malformed", peer=at.peer, protocol="HTTP", detail=detail)


def _bad_dns(error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    return RemoteError("malformed", peer=at.peer, protocol="DNS", detail=printable(str(error)))


def _unwritable(_error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    detail = ("DNSの名前として書けません", "no name that DNS can hold")
    return NotAsked("name_unresolved", name=printable(at.host), detail=detail)


def _socket(error: Any, at: Circumstance) -> ProbeError:  # noqa: ANN401
    number = error.errno
    text = os.strerror(number).lower() if isinstance(number, int) and number > 0 else type(error).__name__
    if isinstance(error, ConnectionRefusedError) or number == errno.ECONNREFUSED:
        return RemoteError("refused", peer=at.peer)
    if isinstance(error, ConnectionError) or number in _CLOSED:
        return RemoteError("closed", peer=at.peer, phase=at.phase)
    if number in _UNREACHABLE:
        return RemoteError("unreachable", peer=at.peer, detail=text)
    return LocalError(text)


_MAP: Final[tuple[tuple[type[BaseException], Callable[[Any, Circumstance], ProbeError]], ...]] = (
    (TimeoutError, _late),
    (ssl.SSLCertVerificationError, _distrusted),
    (ssl.SSLEOFError, _closed),
    (ssl.SSLError, _tls),
    (EOFError, _closed),
    (aiohttp.ServerDisconnectedError, _closed),
    (socket.gaierror, _unresolved),
    (aiohttp.TooManyRedirects, _redirected),
    (OSError, _socket),
    (aiohttp.ClientError, _bad_http),
    (DNSException, _bad_dns),
    (UnicodeError, _unwritable),
)
"""Foreign errors by type, the narrower before the wider; every type of FOREIGN has its row."""
