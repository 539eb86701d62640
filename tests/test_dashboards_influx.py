"""Every query of every panel against a real InfluxDB that the lab has filled through the product."""

import asyncio
import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from poller.config import Configuration, load
from poller.daemon import Daemon
from poller.dashboards import fit, load_dashboards, panels
from poller.daybook import entries
from poller.estate import Estate
from poller.free_ports import free_port
from poller.lab.history import Wish, invent
from poller.lab.server import Lab, LabOptions, simulated
from poller.sample import Sample
from poller.schema import ROLLED_UP
from poller.storage.encoding import encode, make_blocks
from poller.storage.history import open_history
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record
from poller.storage.replay import Period, replay

EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"
SPEED = 10
"""Seconds of the simulated clock in one of ours."""
DAYS = 9
DAY_NS = 86_400 * 10**9
_CONFIG = """
reporting-enabled = false
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


@dataclass(frozen=True)
class Filled:
    """A database with minutes of polls and days of roll-ups; times in milliseconds."""

    url: str
    estate: Estate
    begun_ms: int
    ended_ms: int

    def rows(self, query: str) -> int:
        """The rows of an answer in which something is known."""
        body = urllib.parse.urlencode({"db": "hinomi", "epoch": "ms", "q": query}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data=body, timeout=60) as answer:
            (result,) = json.loads(answer.read())["results"]
        assert "error" not in result, (query, result)
        rows = [row for series in result.get("series", ()) for row in series["values"]]
        return sum(any(value is not None for value in row[1:]) for row in rows)

    def has_all(self) -> bool:
        """The slots of a minute are there, and every part has told of itself."""
        wanted = (
            "tenant.in_bits_per_second",
            "circuit.in_committed_ratio",
            "circuit.active",
            "line_group.in_ceiling_ratio",
        )
        wanted += ("device.cpu_ratio", "device.session_rate", "interface.in_ratio", "daemon.lag_seconds", "service.up")
        pairs = (each.split(".") for each in wanted)
        months = """SELECT last("month_octets") FROM "tenant" WHERE "line" = 'total' GROUP BY "tenant\""""
        return self.rows(months) == len(self.estate.tenants) and all(
            self.rows(f'SELECT last("{field}") FROM "{name}"') for name, field in pairs
        )


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("influx")
    port, rpc = free_port(), free_port()
    (folder / "influxdb.conf").write_text(_CONFIG.format(folder=folder, port=port, rpc=rpc))
    command = ["influxd", "-config", str(folder / "influxdb.conf")]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while True:
        try:
            urllib.request.urlopen(f"{url}/query", data=b"q=CREATE+DATABASE+hinomi", timeout=10).close()
            break
        except OSError:
            assert running.poll() is None
            time.sleep(0.02)
    yield url
    running.kill()
    running.wait()


class _Clock:
    """Starts now, and runs fast."""

    def __init__(self) -> None:
        self.begun_ns = time.time_ns()
        self._begun = time.monotonic_ns()

    def __call__(self) -> int:
        return self.begun_ns + SPEED * (time.monotonic_ns() - self._begun)


def _configuration(directory: Path, influx: str) -> Configuration:
    """The example with its stores here, on ports that nobody else has."""
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns("demo"))
    loaded = load(directory)
    estate = loaded.estate
    settings = type(estate.storage).model_validate({"influx": {"url": influx, "kind": "1"}}).influx
    here = {
        "polling": estate.polling.model_copy(update={"port": free_port()}),
        "wall": estate.wall.model_copy(update={"port": 0}),
        "notifications": estate.notifications.model_copy(update={"port": free_port()}),
        "storage": estate.storage.model_copy(update={"influx": settings}),
    }
    return replace(loaded, estate=estate.model_copy(update=here))


async def _watch(configuration: Configuration, clock: _Clock, filled: Filled) -> None:
    """The daemon watches the lab until the slots of a minute are in the database."""
    port = configuration.estate.polling.port
    async with Lab(configuration.estate, configuration.directory, LabOptions(port=port, services=True), clock):
        daemon = Daemon(configuration, clock_ns=clock)
        ready = asyncio.Event()
        task = asyncio.create_task(daemon.run(lambda _url: ready.set()))
        try:
            while not await asyncio.to_thread(filled.has_all):
                assert not task.done(), task
                await asyncio.sleep(0.5)
        finally:
            daemon.stop()
            await task


async def _give(influx: str, folder: Path, store: Path, period: tuple[int, int], more: list[Sample]) -> None:
    """The past and what is worked out by the hour, as the commands and the daemon give them."""
    sink = open_influx(InfluxSettings(influx, kind="1"), folder)
    for measurement in (*(f"{name}_5m" for name in ROLLED_UP), "alert"):
        await replay(store, Period(measurement, *period), sink)
    await sink.write([Record(1, tuple(make_blocks(more)), len(more), 0, encode(more))])
    await sink.close()
    assert sink.dead_letters.total == 0


def _rare(now_ns: int) -> list[Sample]:
    """What two minutes on a clock that runs fast do not bring: echoes, averages of five, a certificate, a trap.

    And a serious alert: whether the past has one in so few days depends on the day.
    """
    device = (("device", "fw-1"), ("role", "firewall"), ("site", "dc"))
    return [
        Sample("device", device, {"round_trip_delay_seconds": 0.002, "round_trip_loss_ratio": 0.0}, now_ns),
        *(
            Sample("tenant", (("tenant", "mie"), ("line", line)), {"in_cap_ratio": 0.4, "out_cap_ratio": 0.2}, now_ns)
            for line in ("internet", "breakout")
        ),
        Sample("service", (("service", "web-certificate"), ("kind", "tls")), {"certificate_days": 40.0}, now_ns),
        Sample(
            "notification",
            (("device", "fw-1"), ("name", "linkDown"), ("severity", "minor")),
            {"text": "回線断", "varbinds": "{}"},
            now_ns,
        ),
        Sample(
            "alert",
            (("rule", "circuit-down"), ("subject", "circuit/int-1"), ("severity", "serious")),
            {"state": "firing", "incident": "1", "reason": "raised"},
            now_ns,
        ),
    ]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, influx: str) -> Filled:
    folder = tmp_path_factory.mktemp("filled")
    configuration = _configuration(folder / "config", influx)
    state, clock = configuration.state_directory, _Clock()
    end_ns = clock.begun_ns
    invent(simulated(configuration.estate), ParquetStore(state / "store"), Wish(DAYS, end_ns, 1))
    asyncio.run(_watch(configuration, clock, Filled(influx, configuration.estate, 0, 0)))
    more = entries(open_history(state / "store"), configuration.estate, state, clock())
    more += _rare(clock())
    asyncio.run(_give(influx, folder, state / "store", (end_ns - 3 * DAY_NS, clock()), more))
    return Filled(influx, configuration.estate, end_ns // 10**6, clock() // 10**6)


def _expanded(query: str, dashboard: dict[str, Any], start_ms: int, end_ms: int) -> str:
    """The query as Grafana sends it: with the range, the interval, and every choice made."""
    step = max(60, (end_ms - start_ms) // 1000 // 1000)
    query = query.replace("${__from}", str(start_ms)).replace("${__to}", str(end_ms))
    query = query.replace("$timeFilter", f"time >= {start_ms}ms AND time <= {end_ms}ms").replace(
        "$__interval", f"{step}s"
    )
    for variable in dashboard["templating"]["list"]:
        options = [each["value"] for each in variable.get("options", ()) if each["value"] != "$__all"]
        several = variable.get("multi")
        chosen = f"({'|'.join(map(re.escape, options))})" if several and options else (options or [".*"])[0]
        query = query.replace(f"${{{variable['name']}:regex}}", chosen)
    assert "$" not in query.replace("$/", "/"), query
    return query


@pytest.mark.timeout(300)
def test_every_query_of_every_panel_returns_data(filled: Filled) -> None:
    """Raw for short ranges, roll-ups for long ones, and never both (R67, R68)."""
    empty, doubled = [], []
    for dashboard in load_dashboards():
        fitted = fit(dashboard, filled.estate)
        for panel in panels(fitted):
            for target in panel["targets"]:
                rows = {}
                for name, start_ms in (
                    ("short", filled.begun_ms - 600_000),
                    ("long", filled.begun_ms - 4 * 86_400_000),
                ):
                    query = _expanded(target["query"], fitted, start_ms, filled.ended_ms + 3_600_000)
                    rows[name] = filled.rows(query)
                if not any(rows.values()):
                    empty.append((dashboard["uid"], panel["title"], target["query"]))
                if "__from" in target["query"] and all(rows.values()):
                    doubled.append((dashboard["uid"], panel["title"], target["query"]))
    assert ([], []) == (empty, doubled)


@pytest.mark.timeout(300)
def test_every_annotation_and_variable_is_understood(filled: Filled) -> None:
    for dashboard in load_dashboards():
        for annotation in dashboard["annotations"]["list"]:
            query = _expanded(
                annotation["target"]["query"], dashboard, filled.begun_ms - DAYS * 86_400_000, filled.ended_ms
            )
            assert filled.rows(query) > 0
        for variable in dashboard["templating"]["list"]:
            assert variable["query"].startswith("SHOW TAG VALUES")
            body = urllib.parse.urlencode({"db": "hinomi", "q": variable["query"]}).encode()
            with urllib.request.urlopen(f"{filled.url}/query", data=body, timeout=60) as answer:
                assert json.loads(answer.read())["results"][0]["series"], variable["name"]
