"""The InfluxDB sink: the journal's records as line protocol, to 2.x, 3.x and VictoriaMetrics or to 1.x.

What the server's answer means (the same for all of them):
    2xx                     taken
    413                     too much at once: halves, and smaller batches from now on
    400, 422                something in it will never be taken: halves, until the guilty line is alone and goes to the
                            dead letters with the server's reason; all others are taken
    401, 403, 404           the operator has to act: the same batch again later
    429, 5xx, no answer     the same batch again later, when the server says (Retry-After) or by delivery's schedule
A resend writes the same points with the same timestamps, so again is never twice.

After an outage much waits. It goes series by series, because points of the same series side by side cost InfluxDB 1.x
up to half as much, and in two lanes at the same time, because the server works on one request with one processor. A
series has its lane, and a lane sends one request after the other: the points of a series arrive in the order of time.
"""

import asyncio
import base64
import email.utils
import gzip
import itertools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import aiohttp

from poller.secrets import Secret
from poller.storage.dead_letters import DeadLetters
from poller.storage.delivery import DeliverySettings
from poller.storage.errors import StoreUnavailable
from poller.storage.lines import LineEncoder
from poller.storage.reader import Record

_LEVEL: Final = 1
_LEAST_BATCH: Final = 100
_LANES: Final = 2
_LEAST_SAMPLES: Final = 100_000
_MOST_SAMPLES: Final = 200_000
"""In memory at once after an outage: 2 KB each while they are made into lines."""
_POINTS_A_SERIES: Final = 4
_SERIES: Final = re.compile(r"(?:[^ \\]+|\\.)*")
"""The beginning of a line, to the first space that is not escaped."""
_REASONS: Final = {401: "refused", 403: "refused", 404: "missing", 408: "timeout", 429: "busy", 503: "busy"}


@dataclass(frozen=True, slots=True)
class InfluxSettings:
    """Where to write.

    kind: "2" for InfluxDB 2.x and 3.x (url, bucket, org, token), "1" for 1.x (url, database as bucket, user and
    password), "victoria" for VictoriaMetrics (url; no texts, no bucket needed). batch: lines in one request.
    timeout_seconds bounds one request as a whole; it is longer than the slowest answer that is still an answer.
    """

    url: str
    bucket: str = "hinomi"
    kind: Literal["1", "2", "victoria"] = "2"
    org: str = ""
    token: Secret | None = None
    user: str = ""
    password: Secret | None = None
    batch: int = 5_000
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: HTTP status, the error's text, and its wish for later in seconds."""

    status: int
    text: str
    retry_after_seconds: float | None


class Endpoint(Protocol):
    """One way to write a gzipped body of lines; raises StoreUnavailable where there is no answer at all."""

    async def post(self, body: bytes) -> Answer:
        """Send it and say what came back."""

    async def close(self) -> None:
        """Give the connections back."""


class InfluxSink:
    """A store (poller.storage.delivery) over one endpoint; open_influx makes one from settings."""

    def __init__(self, endpoint: Endpoint, dead_letters: DeadLetters, encoder: LineEncoder, batch: int = 5_000) -> None:
        self.dead_letters = dead_letters
        self._endpoint = endpoint
        self._encoder = encoder
        self._batch = batch
        self._begun: Sequence[Record] | None = None
        self._lanes: list[list[str]] = []
        self._series = 0

    @property
    def delivery(self) -> DeliverySettings:
        """Three seconds of what comes now, or after an outage so much of it that a series has several points."""
        samples = min(max(_LEAST_SAMPLES, _POINTS_A_SERIES * self._series), _MOST_SAMPLES)
        return DeliverySettings(max_samples=samples, max_seconds=3.0)

    async def write(self, records: Sequence[Record]) -> None:
        """All lines of the records, those of each series in order, in batches; the module says what can happen to one.

        It returns when all are taken, and raises as soon as one request fails for now. The same list given again after
        that is taken up where it failed: an overloaded server is not given the whole once more.
        """
        if self._begun is not records:
            self._begun, self._lanes = records, await asyncio.to_thread(self._encode, records)
        try:
            async with asyncio.TaskGroup() as group:
                for lines in self._lanes:
                    group.create_task(self._send_all(lines))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        self._begun, self._lanes = None, []

    async def close(self) -> None:
        """Give the connections back."""
        await self._endpoint.close()

    def _encode(self, records: Sequence[Record]) -> list[list[str]]:
        """The lines by lane, as they are where one request holds them all."""
        lines: list[str] = []
        series: dict[str, list[str]] = {}
        for block in itertools.chain.from_iterable(record.blocks for record in records):
            lines.extend(self._encoder.lines(block))
        if len(lines) <= self._batch:
            return [lines]
        for line in lines:
            series.setdefault(line[: _SERIES.match(line).end()], []).append(line)  # type: ignore[union-attr] # it matches
        self._series = len(series)
        grouped = list(series.values())
        return [list(itertools.chain.from_iterable(grouped[lane::_LANES])) for lane in range(_LANES)]

    async def _send_all(self, lines: list[str]) -> None:
        """Send the lines in batches, and let go of each that is taken."""
        while lines:
            part = lines[: self._batch]
            await self._send(part)
            del lines[: len(part)]

    async def _send(self, lines: Sequence[str]) -> None:
        """Send lines, in halves as long as the server refuses them as they are."""
        answer = await self._endpoint.post(await asyncio.to_thread(_packed, lines))
        if answer.status // 100 == 2:  # noqa: PLR2004 - success
            return
        if answer.status not in (400, 413, 422):
            reason = _REASONS.get(answer.status, "failed")
            raise StoreUnavailable(reason, f"HTTP {answer.status}: {answer.text}", answer.retry_after_seconds)
        if answer.status == 413:  # noqa: PLR2004 - content too large
            self._batch = max(_LEAST_BATCH, min(self._batch, len(lines) // 2))
        if len(lines) > 1:
            middle = len(lines) // 2
            await self._send(lines[:middle])
            await self._send(lines[middle:])
            return
        try:
            await asyncio.to_thread(self.dead_letters.add, f"HTTP {answer.status}: {answer.text}", lines)
        except OSError as error:
            raise StoreUnavailable("disk_full", f"{self.dead_letters.directory}: {error}") from error


class WriteApi:
    """The server's own request for lines: /api/v2/write (2.x, 3.x, VictoriaMetrics) or /write (1.x)."""

    def __init__(self, settings: InfluxSettings) -> None:
        path, where = (
            ("write", {"db": settings.bucket})
            if settings.kind == "1"
            else ("api/v2/write", {"org": settings.org, "bucket": settings.bucket})
        )
        self._url = f"{settings.url.rstrip('/')}/{path}"
        self._parameters = {**where, "precision": "ns"}
        timeout = aiohttp.ClientTimeout(total=settings.timeout_seconds)
        self._session = aiohttp.ClientSession(headers=authorization(settings), timeout=timeout)

    async def post(self, body: bytes) -> Answer:
        """See Endpoint."""
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        try:
            async with self._session.post(self._url, params=self._parameters, data=body, headers=headers) as response:
                text = await response.text(errors="replace")
                return Answer(response.status, text.strip(), _seconds(response.headers.get("Retry-After")))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _no_answer(error) from error

    async def close(self) -> None:
        """See Endpoint."""
        await self._session.close()


def open_influx(
    settings: InfluxSettings, dead_letters: Path, now_ns: Callable[[], int] = time.time_ns, name: str = "influx"
) -> InfluxSink:
    """The sink for these settings; call it on the running loop, close it at the end."""
    letters = DeadLetters(dead_letters, name, now_ns)
    return InfluxSink(WriteApi(settings), letters, LineEncoder(texts=settings.kind != "victoria"), settings.batch)


def authorization(settings: InfluxSettings) -> dict[str, str]:
    """The header that says who we are: a token, or user and password; none where there is neither."""
    if settings.token is not None:
        return {"Authorization": f"Token {settings.token.reveal()}"}
    if settings.user:
        secret = settings.password.reveal() if settings.password else ""
        return {"Authorization": "Basic " + base64.b64encode(f"{settings.user}:{secret}".encode()).decode()}
    return {}


def _packed(lines: Sequence[str]) -> bytes:
    return gzip.compress("\n".join(lines).encode(), _LEVEL, mtime=0)


def _no_answer(error: BaseException) -> StoreUnavailable:
    if isinstance(error, TimeoutError):
        return StoreUnavailable("timeout", "no answer in time")
    return StoreUnavailable("unreachable", f"{type(error).__name__}: {error}")


def _seconds(retry_after: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); None where it is neither."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - now())
    except ValueError:
        return None
