"""HTTP and HTTPS as a browser asks, through the explicit proxy where there is one; also what must be blocked."""

from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from yarl import URL

from probes.certificates import context_for, observing, see_certificate
from probes.errors import BadQuestion, RemoteError
from probes.result import Found, Observation, Question
from probes.text import printable

_LARGEST_PAGE: Final = 1 << 20
"""Octets of the page in which the text must stand."""
_MOST_REDIRECTS: Final = 5
_BLOCKED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS})
_CHARSETS: Final = ("utf-8", "cp932", "euc_jp", "iso2022_jp")
"""Encodings in which a page of a Japanese office may be written, whatever it says of itself."""

_KANJI, _ASCII = b"\x1b$B", b"\x1b(B"
"""How ISO-2022-JP changes to kanji and back; within a page the text may stand between others of its kind."""


async def ask_http(question: Question, observation: Observation) -> Found:
    """Get the page; redirects are followed. Without `status` any status below 400 will do.

    blocked: up where the filter answers with 403 or 451, or with a page that has the text expected.
    """
    url, proxy = check_http(question)
    if proxy is not None:
        where = f"{proxy.host}:{proxy.port}"
        observation.peer = (f"プロキシ {where}", f"Proxy {where}")
    token = observing.set(observation)
    try:
        status, page, final = await _get(url, proxy, question, observation)
    except aiohttp.ClientHttpProxyError as error:
        return _refused_by_proxy(error.status, question, observation)
    finally:
        observing.reset(token)
    observation.see("status", str(status))
    if final != url:
        observation.see("url", str(final))
    if proxy is not None and status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise _login_wanted(question, observation)
    if question.blocked:
        return _judge_blocked(status, page, question)
    _judge_page(status, page, question)
    return Found("http_answers", {"target": printable(question.target), "status": str(status)})


def check_http(question: Question) -> tuple[URL, URL | None]:
    """The URL and the proxy's; raises BadQuestion where there is no sense in asking."""
    url = _url(question.target, "target")
    if question.proxy is None:
        for name in ("proxy_user", "proxy_password"):
            if getattr(question, name) is not None:
                raise BadQuestion("is of use with a proxy only: write it as proxy", name)
        return url, None
    if question.proxy_user is not None and ":" in question.proxy_user:
        raise BadQuestion("a user of a proxy has no colon in its name (RFC 7617, 2)", "proxy_user")
    return url, _url(question.proxy, "proxy")


async def _get(url: URL, proxy: URL | None, question: Question, observation: Observation) -> tuple[int, bytes, URL]:
    connector = _Connector(
        observation,
        ssl=context_for(question.ca_file),
        family=observation.family,
        use_dns_cache=False,
        force_close=True,
    )
    async with (
        aiohttp.ClientSession(
            connector=connector,
            trace_configs=[_trace(observation)],
            timeout=aiohttp.ClientTimeout(),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "hinomi"},
        ) as session,
        session.get(url, proxy=proxy, proxy_auth=_login(question), max_redirects=_MOST_REDIRECTS) as response,
    ):
        observation.enter("rest")
        observation.tell(f"< {response.status} {response.reason}")
        page = bytearray()
        async for part in response.content.iter_chunked(65_536):
            page += part
            if len(page) >= _LARGEST_PAGE:
                break
        observation.finish()
        return response.status, bytes(page[:_LARGEST_PAGE]), response.url


def _login(question: Question) -> aiohttp.BasicAuth | None:
    """How we log in to the proxy (Basic, RFC 7617, in UTF-8).

    aiohttp 3.14 calls this deprecated for 4.0, but its proxy_headers reach the proxy by CONNECT alone.
    """
    if question.proxy_user is None:
        return None
    return aiohttp.BasicAuth(question.proxy_user, question.proxy_password or "", encoding="utf-8")


class _Connector(aiohttp.TCPConnector):
    """Shows the certificate of a connection as soon as it is made."""

    def __init__(self, observation: Observation, **options: Any) -> None:  # noqa: ANN401 - those of TCPConnector
        super().__init__(**options)
        self._observation = observation

    async def connect(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - handed on as they are
        """A connection, its certificate seen."""
        connection = await super().connect(*arguments, **options)
        if connection.transport is not None:
            see_certificate(connection.transport.get_extra_info("ssl_object"), self._observation)
        return connection


def _trace(observation: Observation) -> aiohttp.TraceConfig:
    """The phases, as aiohttp goes through them; TLS is entered by its first message (certificates.ObservedTls)."""

    def entering(phase: str) -> Any:  # noqa: ANN401 - a signal's receiver
        async def enter(_session: aiohttp.ClientSession, _context: SimpleNamespace, parameters: object) -> None:
            observation.enter(phase)
            host = getattr(parameters, "host", "")
            observation.tell(f"{phase} {host}".strip())

        return enter

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(entering("connect"))
    trace.on_dns_resolvehost_start.append(entering("resolve"))
    trace.on_dns_resolvehost_end.append(entering("connect"))
    trace.on_connection_create_end.append(entering("first_byte"))
    return trace


def _refused_by_proxy(status: int, question: Question, observation: Observation) -> Found:
    """The proxy answered CONNECT with something else than 200."""
    observation.see("status", str(status))
    target = printable(question.target)
    if question.blocked and status in _BLOCKED:
        observation.finish()
        return Found("http_blocks", {"target": target, "detail": _status_text(status)})
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        raise _login_wanted(question, observation)
    raise RemoteError("proxy_status", peer=observation.peer, target=target, status=str(status))


def _login_wanted(question: Question, observation: Observation) -> RemoteError:
    """The proxy wants a login, or another than ours."""
    if question.proxy_user is None:
        return RemoteError("proxy_login", peer=observation.peer)
    return RemoteError("proxy_login_declined", peer=observation.peer, user=printable(question.proxy_user))


def _judge_blocked(status: int, page: bytes, question: Question) -> Found:
    target = printable(question.target)
    if question.expect is not None and has_text(page, question.expect):
        return Found("http_blocks", {"target": target, "detail": (f"「{question.expect}」", f"'{question.expect}'")})
    if status in _BLOCKED and question.expect is None:
        return Found("http_blocks", {"target": target, "detail": _status_text(status)})
    if status in _BLOCKED:
        raise RemoteError("http_text_missing", target=target, expect=question.expect or "", status=str(status))
    if status >= HTTPStatus.BAD_REQUEST:  # neither shown nor blocked: the filter could not be put to the test
        raise RemoteError("http_status", target=target, status=str(status), expect="403")
    raise RemoteError("http_not_blocked", target=target, status=str(status))


def _judge_page(status: int, page: bytes, question: Question) -> None:
    target = printable(question.target)
    if question.status is not None and status != question.status:
        raise RemoteError("http_status", target=target, status=str(status), expect=str(question.status))
    if question.status is None and status >= HTTPStatus.BAD_REQUEST:
        raise RemoteError("http_status", target=target, status=str(status), expect="200")
    if question.expect is not None and not has_text(page, question.expect):
        raise RemoteError("http_text_missing", target=target, expect=question.expect, status=str(status))


def has_text(page: bytes, text: str) -> bool:
    """Whether the text stands in the page in any encoding that an office uses."""
    for charset in _CHARSETS:
        try:
            if text.encode(charset).removeprefix(_KANJI).removesuffix(_ASCII) in page:
                return True
        except UnicodeEncodeError:
            continue
    return False


def _url(text: str, about: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.user is not None or url.password is not None:  # the text is not repeated, it has a password in it
        raise BadQuestion("a login has no place in a URL; that of a proxy is proxy_user and proxy_password", about)
    if url.scheme in {"http", "https"} and url.host and url.port:
        return url
    raise BadQuestion(f"{text!r} is no URL: write http://HOST/ or https://HOST:PORT/PATH", about)


def _status_text(status: int) -> tuple[str, str]:
    return f"状態コード {status}", f"status {status}"
