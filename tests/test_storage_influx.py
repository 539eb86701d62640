"""The InfluxDB sink against a server that misbehaves on purpose: nothing is lost, everything is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from poller.sample import Sample
from poller.secrets import Secret
from poller.storage.delivery import DeliverySettings, DeliveryState, run_reader
from poller.storage.encoding import encode, make_blocks
from poller.storage.errors import StoreUnavailable
from poller.storage.influx import InfluxSettings, InfluxSink, _seconds, open_influx
from poller.storage.journal import Journal
from poller.storage.reader import Record

_Answer = Callable[[list[str]], web.Response | None]


class _Server:
    """Takes lines as InfluxDB does, unless one of the answers waiting says otherwise."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.requests: list[int] = []
        self.headers: dict[str, str] = {}
        self.answers: list[_Answer] = []
        self.rule: _Answer = lambda _lines: None
        self.hang = False
        self.cut = 0
        self.meet: asyncio.Barrier | None = None

    async def handle(self, request: web.Request) -> web.Response:
        lines = (await request.read()).decode().split("\n")
        self.headers = dict(request.headers)
        self.requests.append(len(lines))
        if self.hang:
            await asyncio.Event().wait()
        if self.meet is not None and len(self.requests) <= self.meet.parties:
            await self.meet.wait()
        refused = self.answers.pop(0)(lines) if self.answers else self.rule(lines)
        if refused is not None:
            return refused
        self.taken.extend(lines)
        if self.cut:
            self.cut -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=204)


@pytest.fixture
async def server() -> AsyncIterator[tuple[_Server, str]]:
    fake = _Server()
    application = web.Application(client_max_size=2**26)
    application.router.add_post("/write", fake.handle)
    application.router.add_post("/api/v2/write", fake.handle)
    running = TestServer(application)
    await running.start_server()
    yield fake, str(running.make_url("")).rstrip("/")
    await running.close()


@pytest.fixture(params=["1", "2"])
def settings(request: pytest.FixtureRequest, server: tuple[_Server, str]) -> InfluxSettings:
    return InfluxSettings(
        server[1],
        kind=request.param,
        org="noc",
        token=Secret("token-1") if request.param == "2" else None,
        user="writer",
        password=Secret("word"),
        batch=8,
    )


@pytest.fixture
async def sink(settings: InfluxSettings, tmp_path: Path) -> AsyncIterator[InfluxSink]:
    opened = open_influx(settings, tmp_path / "dead_letters")
    yield opened
    await opened.close()


def _samples(count: int) -> list[Sample]:
    return [Sample("device", (("device", "fw-1"),), {"sessions": n}, n) for n in range(count)]


def _record(number: int, count: int) -> Record:
    samples = _samples(count)
    return Record(number, tuple(make_blocks(samples)), count, 0, encode(samples))


def _lines(count: int) -> list[str]:
    return [f"device,device=fw-1 sessions={n}i {n}" for n in range(count)]


def _say(status: int, text: str = "", **headers: str) -> _Answer:
    return lambda _lines: web.Response(
        status=status, text=text, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


async def test_lines_arrive_in_order_in_batches(server: tuple[_Server, str], sink: InfluxSink) -> None:
    await sink.write([_record(1, 20)])
    assert (_lines(20), [8, 8, 4]) == (server[0].taken, server[0].requests)
    assert "gzip" == server[0].headers["Content-Encoding"]


@pytest.mark.parametrize(
    ("answer", "reason", "retry_after"),
    [
        (_say(429, "slow down", Retry_After="7"), "busy", 7.0),
        (_say(503, "", Retry_After="3"), "busy", 3.0),
        (_say(500, "oops"), "failed", None),
        (_say(401, "unauthorized"), "refused", None),
        (_say(404, "database not found"), "missing", None),
    ],
)
async def test_what_may_work_later_is_told_with_its_reason(
    server: tuple[_Server, str], sink: InfluxSink, answer: _Answer, reason: str, retry_after: float | None
) -> None:
    server[0].answers = [answer]
    with pytest.raises(StoreUnavailable) as caught:
        await sink.write([_record(1, 3)])
    assert (reason, retry_after) == (caught.value.reason, caught.value.retry_after_seconds)
    await sink.write([_record(1, 3)])
    assert _lines(3) == server[0].taken


async def test_a_server_that_does_not_answer_is_given_up_in_time(
    server: tuple[_Server, str], settings: InfluxSettings, tmp_path: Path
) -> None:
    server[0].hang = True
    sink = open_influx(replace(settings, timeout_seconds=0.2), tmp_path)
    with pytest.raises(StoreUnavailable) as caught:
        await sink.write([_record(1, 3)])
    await sink.close()
    assert "timeout" == caught.value.reason


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path, unused_tcp_port: int) -> None:
    sink = open_influx(InfluxSettings(f"http://127.0.0.1:{unused_tcp_port}"), tmp_path)
    with pytest.raises(StoreUnavailable) as caught:
        await sink.write([_record(1, 3)])
    await sink.close()
    assert "unreachable" == caught.value.reason


async def test_too_much_at_once_is_sent_in_halves(server: tuple[_Server, str], sink: InfluxSink) -> None:
    server[0].rule = lambda lines: web.Response(status=413) if len(lines) > 3 else None
    await sink.write([_record(1, 16)])
    assert _lines(16) == server[0].taken


async def test_the_batch_stays_small_once_it_was_too_much(server: tuple[_Server, str], tmp_path: Path) -> None:
    sink = open_influx(InfluxSettings(server[1], kind="1", batch=1_000), tmp_path)
    server[0].answers = [_say(413)]
    await sink.write([_record(1, 1_000)])
    await sink.write([_record(2, 1_000)])
    await sink.close()
    assert [1000, 500, 500, 500, 500] == server[0].requests


async def test_of_a_batch_rejected_in_half_the_other_half_is_taken_and_the_rest_kept_with_the_reason(
    server: tuple[_Server, str], sink: InfluxSink, tmp_path: Path
) -> None:
    def odd_is_refused(lines: list[str]) -> web.Response | None:
        bad = [line for line in lines if int(line.split()[-1]) % 2]
        return web.Response(status=400, text=f"partial write: field type conflict dropped={len(bad)}") if bad else None

    server[0].rule = odd_is_refused
    await sink.write([_record(1, 40)])
    assert _lines(40)[::2] == server[0].taken
    assert 20 == sink.dead_letters.total
    text = next((tmp_path / "dead_letters").iterdir()).read_text()
    assert all(line in text for line in _lines(40)[1::2])
    assert "field type conflict" in text


async def test_after_a_failure_only_what_is_missing_is_sent_again(
    server: tuple[_Server, str], sink: InfluxSink
) -> None:
    """An overloaded server is not given the whole outage once more (R69)."""
    records = [_record(1, 40)]
    server[0].answers = [_say(204), _say(204), _say(500)]
    with pytest.raises(StoreUnavailable):
        await sink.write(records)
    await sink.write(records)
    assert (_lines(40)[16:], [8, 8, 8, 8, 8, 8]) == (server[0].taken, server[0].requests)


async def test_what_waited_goes_by_series_in_order_of_time_two_requests_at_once(
    server: tuple[_Server, str], sink: InfluxSink
) -> None:
    """Back-fill keeps the order of every series (R69), and the server works on two requests at once."""
    samples = [Sample("device", (("device", f"sw 1-{n % 5}"),), {"sessions": n}, n) for n in range(200)]
    server[0].meet = asyncio.Barrier(2)
    await sink.write([Record(1, tuple(make_blocks(samples)), 200, 0, encode(samples))])
    expected = [rf"device,device=sw\ 1-{n % 5} sessions={n}i {n}" for n in range(200)]
    assert sorted(expected) == sorted(server[0].taken)
    for device in range(5):
        mine = rf"device,device=sw\ 1-{device} "
        assert [line for line in expected if line.startswith(mine)] == [
            line for line in server[0].taken if line.startswith(mine)
        ]


@pytest.mark.parametrize(("series", "expected"), [(10, 100_000), (30_000, 120_000), (60_000, 200_000)])
async def test_the_more_series_there_are_the_more_is_taken_at_once(
    server: tuple[_Server, str], tmp_path: Path, series: int, expected: int
) -> None:
    """Points of one series side by side cost the server less, but what is held in memory has a bound."""
    sink = open_influx(InfluxSettings(server[1], kind="1"), tmp_path)
    samples = [Sample("device", (("device", f"sw-{n % series}"),), {"up": True}, n) for n in range(max(series, 6_000))]
    await sink.write([Record(1, tuple(make_blocks(samples)), len(samples), 0, b"")])
    await sink.close()
    assert expected == sink.delivery.max_samples


async def test_a_connection_cut_in_the_middle_of_a_write_is_tried_again_and_writes_the_same_points(
    server: tuple[_Server, str], sink: InfluxSink
) -> None:
    """The server took the lines and died before it said so: again the same points at the same moments (R69)."""
    server[0].cut = 1
    records = [_record(1, 20)]
    with pytest.raises(StoreUnavailable) as caught:
        await sink.write(records)
    assert "unreachable" == caught.value.reason
    await sink.write(records)
    assert (_lines(8) + _lines(20), set(_lines(20))) == (server[0].taken, set(server[0].taken))


async def test_credentials_are_sent_and_never_printed(server: tuple[_Server, str], sink: InfluxSink) -> None:
    """Secrets do not print (R76)."""
    await sink.write([_record(1, 1)])
    assert server[0].headers["Authorization"] in {"Token token-1", "Basic d3JpdGVyOndvcmQ="}
    settings = InfluxSettings("http://x", token=Secret("token-1"), password=Secret("word"))
    assert "token-1" not in repr(settings)
    assert "word=Secret(***)" in repr(settings)


async def test_delivery_tries_the_same_batch_until_it_is_taken_and_then_goes_on(
    server: tuple[_Server, str], sink: InfluxSink, tmp_path: Path
) -> None:
    server[0].answers = [_say(500), _say(429, Retry_After="0"), _say(401), _say(503)]
    state = DeliveryState()
    async with Journal(tmp_path / "journal.sqlite", ["influx"]) as journal:
        settings = DeliverySettings(max_seconds=0.01, first_retry_seconds=0.01, longest_retry_seconds=0.02)
        task = asyncio.create_task(run_reader(journal.reader("influx"), sink, settings, state))
        journal.append(_samples(5))
        async with asyncio.timeout(30):
            while journal.state.lags["influx"] or journal.state.depth or not server[0].taken:
                await journal.flush()
        task.cancel()
    assert (_lines(5), 4, 5, None) == (server[0].taken, state.failed_total, state.done_total, state.last_error)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("12", 12.0),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, expected: float | None) -> None:
    assert expected == _seconds(header, now=lambda: 100.0)
