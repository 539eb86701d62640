"""Every query of every panel against a real InfluxDB that the lab has filled through the product."""

import asyncio
import json
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.store import Store as AlertStore
from poller.asking import Asking
from poller.config import Configuration, load
from poller.dashboards import fit, load_dashboards, panels
from poller.daybook import entries, forecast_sample
from poller.estate import Estate
from poller.forecast import DayFigure, Forecast, forecast
from poller.free_ports import free_port
from poller.lab.history import Wish, invent
from poller.lab.server import Lab, LabOptions, simulated
from poller.pipeline import Pipeline
from poller.profiles import load_profiles
from poller.rounds import Rounds
from poller.sample import Sample
from poller.schedule import SECOND_NS, start_schedule
from poller.schema import ROLLED_UP
from poller.selfwatch import SelfWatch, Watched
from poller.services import Services
from poller.storage.delivery import DeliveryState
from poller.storage.history import open_history
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal
from poller.storage.parquet import ParquetStore
from poller.storage.replay import Period, replay
from poller.targets import snmp_target
from poller.wall.live import LiveState
from probes.snmp import Snmp

EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"
BEGUN_NS = 1_795_230_000 * SECOND_NS
"""A Saturday noon in Japan; every run sees the same past and the same minutes."""
MINUTES = 8
"""Of polls, on a clock that moves when all have been answered: enough for an average of five closed slots."""
LOST = "handover-1"
"""The circuit that dies in the second minute, so that an alert of the highest severity is raised."""
DAYS = 9
PAST_NS = 6 * 3600 * SECOND_NS
"""Of the past that is replayed into the database; the rest is for the forecast and the service level."""


@dataclass(frozen=True)
class Filled:
    """A database with minutes of polls and days of roll-ups; times in milliseconds."""

    url: str
    estate: Estate
    begun_ms: int
    ended_ms: int

    def rows(self, query: str) -> int:
        """How many rows of an answer say something."""
        return sum(any(value is not None for value in row[1:]) for row in self.answer(query))

    def answer(self, query: str) -> list[list[Any]]:
        """The rows of all series, time first."""
        body = urllib.parse.urlencode({"db": "hinomi", "epoch": "ms", "q": query}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data=body, timeout=60) as answer:
            (result,) = json.loads(answer.read())["results"]
        assert "error" not in result, (query, result)
        return [row for series in result.get("series", ()) for row in series["values"]]


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory, running_influxd) -> Iterator[str]:
    """The URL of a real InfluxDB."""
    with running_influxd(tmp_path_factory.mktemp("influx")) as url:
        yield url


class _Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = BEGUN_NS

    def __call__(self) -> int:
        return self.now_ns


def _configuration(directory: Path, influx: str) -> Configuration:
    """The example with its stores here, on ports that nobody else has."""
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns("demo"))
    loaded = load(directory)
    estate = loaded.estate
    polling = estate.polling.model_copy(update={"port": free_port()})
    wall = estate.wall.model_copy(update={"port": 0})
    settings = type(estate.storage).model_validate({"influx": {"url": influx, "kind": "1"}}).influx
    storage = estate.storage.model_copy(update={"influx": settings})
    return replace(loaded, estate=estate.model_copy(update={"polling": polling, "wall": wall, "storage": storage}))


async def _watch(configuration: Configuration, clock: _Clock, journal: Journal) -> None:
    """Minutes of the product's watch over the lab: every second whoever is due is asked, and time waits for answers."""
    estate, state = configuration.estate, configuration.state_directory
    targets = {
        key: (device, snmp_target(device, estate.credentials[device.credentials], estate.polling, EXAMPLE))
        for key, device in estate.devices.items()
        if device.credentials is not None
    }
    alerts = AlertStore(state / "alerts.sqlite")
    pipeline = Pipeline(estate, journal.append, Alerting(estate, alerts), LiveState(estate))
    options = LabOptions(port=estate.polling.port, services=True)
    async with Lab(estate, configuration.directory, options, clock) as lab, Snmp(wall_clock_ns=clock) as snmp:
        asking = Asking(snmp, load_profiles(), targets, clock_ns=clock)
        intervals = {key: device.interval or estate.polling.interval for key, (device, _) in targets.items()}
        schedule = start_schedule(intervals, clock(), first_start=True)
        rounds = Rounds(schedule, asking, lambda _answer: None, clock_ns=clock)
        missing = set(estate.services)

        def publish(samples: Sequence[Sample]) -> None:
            pipeline.publish(samples, clock())
            missing.difference_update(dict(sample.tags)["service"] for sample in samples)

        services = Services(estate, configuration.directory, publish, clock)
        watched = Watched(journal, rounds, services, {"influx": DeliveryState()}, alerts)
        watch = SelfWatch(pipeline, watched)
        for second in range(MINUTES * 60):
            clock.now_ns += SECOND_NS
            if second == 90:
                lab.fail_circuit(LOST)
            due = schedule.due(clock())
            for answer in await asyncio.gather(*(asking.ask(each.device, each.due_ns, 60.0) for each in due)):
                pipeline.accept(answer, clock())
            pipeline.tick(clock())
            watch.beat(clock(), 0.0)
        checking = asyncio.create_task(services.run())
        while missing:  # a check in doubt is repeated some seconds later, so time goes on meanwhile
            clock.now_ns += SECOND_NS
            services.wake()
            assert not checking.done()
            await asyncio.wait([checking], timeout=0.02)
        checking.cancel()
    alerts.close()


async def _fill(configuration: Configuration, clock: _Clock, influx: str) -> None:
    """Everything into the database: the invented past by replay, the watch and what is worked out by the journal."""
    estate, state = configuration.estate, configuration.state_directory
    sink = open_influx(InfluxSettings(influx, kind="1"), state)
    invent(simulated(estate), ParquetStore(state / "store"), Wish(DAYS, BEGUN_NS, 1))
    for measurement in (f"{name}_5m" for name in ROLLED_UP):
        await replay(state / "store", Period(measurement, BEGUN_NS - PAST_NS, BEGUN_NS), sink)
    async with Journal(state / "journal.sqlite", ["influx"], now_ns=clock) as journal:
        await _watch(configuration, clock, journal)
        journal.append(entries(open_history(state / "store"), estate, state, clock()))
        journal.append(_rare(clock()))
        await journal.flush()
        reader = journal.reader("influx")
        while journal.state.lags["influx"]:
            record = await reader.next()
            await sink.write([record])
            reader.acknowledge(record.number)
    await sink.close()
    assert sink.dead_letters.total == 0


def _rare(now_ns: int) -> list[Sample]:
    """What some minutes and a lab do not bring: echoes, a certificate, a notification, a line that fills up."""
    device = (("device", "fw-1"), ("role", "firewall"), ("site", "dc"))
    zone, first = ZoneInfo("Asia/Tokyo"), date(2026, 8, 1)
    rising = forecast([DayFigure(first + timedelta(days), 1e9 + 5e6 * days) for days in range(100)], 2 * 10**9)
    assert isinstance(rising, Forecast)
    return [
        Sample("device", device, {"round_trip_delay_seconds": 0.002, "round_trip_loss_ratio": 0.0}, now_ns),
        Sample("service", (("service", "web-certificate"), ("kind", "tls")), {"certificate_days": 40.0}, now_ns),
        Sample(
            "notification",
            (("device", "fw-1"), ("name", "linkDown"), ("severity", "minor")),
            {"text": "回線断", "varbinds": "{}", "count": 3},
            now_ns,
        ),
        forecast_sample("internet", "in", rising, now_ns, zone),
    ]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, influx: str) -> Filled:
    folder = tmp_path_factory.mktemp("filled")
    configuration, clock = _configuration(folder / "config", influx), _Clock()
    asyncio.run(_fill(configuration, clock, influx))
    return Filled(influx, configuration.estate, BEGUN_NS // 10**6, clock() // 10**6)


def _expanded(query: str, dashboard: dict[str, Any], start_ms: int, end_ms: int) -> str:
    """The query as Grafana sends it: with the range, the interval, and every choice made."""
    step = max(60, (end_ms - start_ms) // 1000 // 200)
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
                    ("long", filled.begun_ms - 3 * 86_400_000),
                ):
                    query = _expanded(target["query"], fitted, start_ms, filled.ended_ms + 3_600_000)
                    rows[name] = filled.rows(query)
                if not any(rows.values()):
                    empty.append((dashboard["uid"], panel["title"], target["query"]))
                if "__from" in target["query"] and all(rows.values()):
                    doubled.append((dashboard["uid"], panel["title"], target["query"]))
    assert ([], []) == (empty, doubled)


@pytest.mark.timeout(300)
def test_a_day_in_a_panel_begins_at_midnight_in_japan(filled: Filled) -> None:
    (dashboard,) = [each for each in load_dashboards() if each["uid"] == "hinomi-tenant"]
    (panel,) = [each for each in panels(fit(dashboard, filled.estate)) if each["title"] == "1日の通信量"]
    query = _expanded(
        panel["targets"][0]["query"],
        fit(dashboard, filled.estate),
        filled.begun_ms - 3 * 86_400_000,
        filled.ended_ms,
    )
    days = [row[0] for row in filled.answer(query) if row[1] is not None]
    assert days
    assert {15 * 3_600_000} == {time_ms % 86_400_000 for time_ms in days}


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
