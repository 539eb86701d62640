"""Reload (R72): what changed restarts, and everything else goes on as if nothing had happened."""

import asyncio
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from poller import control
from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.cli import app
from poller.config import load
from poller.contracts import contracts_of
from poller.daemon import Daemon
from poller.estate import Estate
from poller.free_ports import free_port
from poller.lab.server import Lab, LabOptions
from poller.pipeline import Pipeline
from poller.readings import DeviceReading, FailedPoll, InterfaceLayout
from poller.sample import Sample
from poller.storage.history import open_history
from poller.wall.live import LiveState

HERE = Path(__file__).parent.parent
EXAMPLE = HERE / "config" / "examples" / "prefecture"
SECOND = 10**9
MINUTE = 60 * SECOND
START = 1_800_000_000 * SECOND // MINUTE * MINUTE


# ---- The pure parts: twins with the same input, of which one follows another estate all the time.


@dataclass
class Twin:
    """A pipeline with its real neighbours, and all that it wrote."""

    estate: Estate
    alerting: Alerting
    live: LiveState
    pipeline: Pipeline
    written: list[Sample]

    def follow(self, estate: Estate, now_ns: int) -> None:
        self.estate = estate
        self.alerting.follow(estate)
        self.live.follow(estate)
        self.pipeline.follow(estate, now_ns)


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[list[Twin]]:
    estate = load(EXAMPLE).estate
    stores = [Store(tmp_path / f"{name}.sqlite") for name in ("calm", "restless")]
    made = []
    for store in stores:
        written: list[Sample] = []
        alerting, live = Alerting(estate, store), LiveState(estate)
        made.append(Twin(estate, alerting, live, Pipeline(estate, written.extend, alerting, live), written))
    yield made
    for store in stores:
        store.close()


def reading(estate: Estate, device: str, due_ns: int) -> DeviceReading:
    """Every interface that a contract names, its octets by a rate of its own, a little late or early."""
    accounts = contracts_of(estate).accounts()
    names = sorted({each.interface for account in accounts for each in account.members if each.device == device})
    at_ns = due_ns + random.Random(f"{device}{due_ns}").randrange(SECOND)
    octets = [(at_ns - START) // 1000 * random.Random(f"{device}{name}").randrange(1, 100) for name in names]
    rows = len(names)
    return DeviceReading(
        device=device,
        due_ns=due_ns,
        layout=InterfaceLayout(tuple(names), tuple(range(rows)), (10**12,) * rows, (True,) * rows),
        received_ns=[at_ns] * rows,
        uptime_ticks=[10**8 + (at_ns - START) // 10**7] * rows,
        counters=[value for total in octets for value in (total, total // 3, 0, 0, 0, 0, 0, 0)],
        oper_status=[1] * rows,
        discontinuity_ticks=[None] * rows,
    )


def updated(estate: Estate, section: str, key: str, **changes: object) -> Estate:
    entries = dict(getattr(estate, section))
    entries[key] = entries[key].model_copy(update=changes)
    return estate.model_copy(update={section: entries})


def with_new_device(estate: Estate, number: int) -> Estate:
    new = estate.devices["sw-mgmt-1"].model_copy(update={"id": f"new-{number}"})
    return estate.model_copy(update={"devices": {**estate.devices, new.id: new}})


def with_another_cap(estate: Estate, number: int) -> Estate:
    cap = estate.tenants["tsu"].caps[0].model_copy(update={"sustained_rate": 10**9 + number})
    return updated(estate, "tenants", "tsu", caps=(cap, *estate.tenants["tsu"].caps[1:]))


def with_another_name(estate: Estate, number: int) -> Estate:
    name = estate.tenants["tsu"].name.model_copy(update={"en": f"Tsu {number}"})
    return updated(estate, "tenants", "tsu", name=name)


def with_another_rule(estate: Estate, number: int) -> Estate:
    key = next(key for key, rule in estate.rules.items() if rule.on == "device.cpu_ratio")
    return updated(estate, "rules", key, above=0.5 + number / 1000)


def with_another_contract(estate: Estate, number: int) -> Estate:
    return updated(estate, "circuits", "int-1", ceiling_rate=2_000_000_000 + number)


CHANGES: Sequence[Callable[[Estate, int], Estate]] = (
    with_new_device,
    with_another_cap,
    with_another_name,
    with_another_rule,
    with_another_contract,
)


def untouched(samples: Sequence[Sample]) -> list[Sample]:
    """Without what is about the one tenant and the one circuit that change."""
    changed = {"tsu", "int-1"}
    return [each for each in samples if changed.isdisjoint(word for _, value in each.tags for word in value.split("/"))]


def test_twins_write_the_same_though_one_of_them_follows_another_estate_every_few_seconds(twins: list[Twin]) -> None:
    """Baselines, slots, months, states, roll-ups and alerts of whatever did not change (R72)."""
    calm, restless = twins
    choose = random.Random(72)
    contracts = contracts_of(calm.estate)
    devices = sorted({each.device for account in contracts.accounts() for each in account.members})
    silent = contracts.circuits["bo-1"].member.device
    for second in range(480):
        now_ns = START + second * SECOND
        for number, device in enumerate(devices):
            if (second - number) % 60 == 0:
                answer: DeviceReading | FailedPoll = reading(calm.estate, device, now_ns)
                if device == silent and second > 200:
                    answer = FailedPoll(device, now_ns, "no_answer", "nobody answered", answered=False)
                for twin in twins:
                    twin.pipeline.accept(answer, now_ns)
        if second % 11 == 0:
            restless.follow(choose.choice(CHANGES)(restless.estate, second), now_ns)
        for twin in twins:
            twin.pipeline.tick(now_ns)
    assert untouched(calm.written) == untouched(restless.written)
    assert {each.measurement for each in untouched(calm.written)} >= {"interface", "circuit", "tenant", "alert"}
    months = [
        {key: each for key, each in twin.pipeline.save()["tenants"]["usage"].items() if "tsu" not in key.split("/")}
        for twin in twins
    ]
    assert months[0] == months[1]
    assert [each.id for each in calm.alerting.open_incidents()] == [
        each.id for each in restless.alerting.open_incidents()
    ]


def test_an_alert_about_what_left_the_estate_ends_and_its_incident_closes(twins: list[Twin]) -> None:
    twin = twins[0]
    gone = "sw-mgmt-1"
    for second in range(240):
        now_ns = START + second * SECOND
        if second % 60 == 0:
            twin.pipeline.accept(FailedPoll(gone, now_ns, "no_answer", "nobody answered", answered=False), now_ns)
        twin.pipeline.tick(now_ns)
    assert [f"device/{gone}"] == [each.root[1] for each in twin.alerting.open_incidents()]
    devices = {key: each for key, each in twin.estate.devices.items() if key != gone}
    twin.follow(twin.estate.model_copy(update={"devices": devices}), START + 240 * SECOND)
    twin.pipeline.tick(START + 241 * SECOND)
    assert [] == twin.alerting.open_incidents()
    assert None is twin.live.entry("devices", gone)


def test_walls_that_are_open_are_told_everything_anew_with_what_is_known(twins: list[Twin]) -> None:
    twin = twins[0]
    twin.pipeline.accept(reading(twin.estate, "fw-1", START), START)
    known = twin.live.snapshot(START)
    twin.follow(with_another_name(with_new_device(twin.estate, 1), 5), START + SECOND)
    told = twin.live.snapshot(START + SECOND, since=known["version"])
    assert "organisation" in told
    entries = {each["id"]: each for each in told["devices"]}
    assert (True, START) == (entries["fw-1"]["up"], entries["fw-1"]["time_ns"])
    assert 0 == entries["new-1"]["time_ns"]
    assert "Tsu 5" in [each["name"]["en"] for each in told["tenants"]]


# ---- The daemon whole, against simulated devices that answer by SNMP.


CONFIGURATION = """\
organisation: {{name: 試験網, timezone: Asia/Tokyo}}
polling: {{interval: 1s, timeout: 500ms, tries: 2, port: {port}, echo_interval: 1s}}
storage: {{directory: state}}
mail: {{maildir: mails}}
wall: {{port: 0}}
include: [more.yaml]
sites: {{hall: {{}}}}
contacts: {{shift: {{role: operator, email: shift@example.jp}}}}
credentials:
  core: {{version: "2c", community: "file:core"}}
  edge: {{version: "2c", community: "file:edge"}}
devices:
  sw-1: {{addresses: [127.16.72.1], role: switch, site: hall, credentials: core}}
  sw-2: {{addresses: [127.16.72.2], role: switch, site: hall, credentials: core}}
  sw-3: {{addresses: [127.16.72.3], role: switch, site: hall, credentials: edge}}
  gone: {{addresses: [127.16.72.9], role: server, site: hall, credentials: edge, ping: false}}
circuits:
  int-1:
    name: 回線
    kind: internet
    committed_rate: 100M
    ceiling_rate: 1G
    measured_by: {{device: sw-1, interface: Gi0/1}}
line_groups: {{internet: {{name: 回線, members: [int-1], ceiling_rate: 1G}}}}
"""
MORE = """\
tenants:
  tsu: {name: 津市, kind: city, attachments: [{line: internet, device: sw-1, interface: Gi0/1}],
        caps: [{line: internet, sustained_rate: 300M}]}
rules:
  down: {name: 応答なし, on: device.up, equals: false, clear_for: 1s, severity: minor}
"""


NEW_DEVICE = "devices: {sw-4: {addresses: [127.16.72.4], role: switch, site: hall, credentials: core}}\n"


@dataclass
class Watched:
    """A daemon over a lab, with the folder of its configuration."""

    folder: Path
    daemon: Daemon
    url: str
    lab: Lab

    def write(self, name: str, before: str, after: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert before in text
        (self.folder / name).write_text(text.replace(before, after), encoding="utf-8")

    async def wall(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}api/v1/wall") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The wall as soon as it fits; the test's own time limit ends the wait."""
        while not fits(shown := await self.wall()):  # noqa: ASYNC110 - a page that is asked again
            await asyncio.sleep(0.05)
        return shown

    async def polled(self, times: int) -> None:
        """Wait until every device has been polled so many times more."""
        began_ns = time.time_ns()
        await self.until(
            lambda shown: all(
                each["time_ns"] > began_ns + times * SECOND for each in shown["devices"] if each["id"].startswith("sw")
            )
        )


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    folder = tmp_path / "config"
    folder.mkdir()
    for name in ("core", "edge"):
        (folder / name).write_text(f"{name}-community\n")
    (folder / "hinomi.yaml").write_text(CONFIGURATION.format(port=161), encoding="utf-8")
    (folder / "more.yaml").write_text(MORE + NEW_DEVICE, encoding="utf-8")
    async with Lab(load(folder).estate, folder, LabOptions(port=0, community="new-community")) as lab:
        (folder / "hinomi.yaml").write_text(CONFIGURATION.format(port=lab.ports[0]), encoding="utf-8")
        (folder / "more.yaml").write_text(MORE, encoding="utf-8")
        lab.silence("gone")
        daemon = Daemon(load(folder))
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running = asyncio.create_task(daemon.run(ready.set_result))
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        yield Watched(folder, daemon, await ready, lab)
        daemon.stop()
        await running


async def follow_stream(url: str, told: list[dict[str, Any]]) -> None:
    """One open wall: every event that the daemon pushes, until it is cancelled."""
    endless = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=endless) as session, session.get(f"{url}api/v1/stream") as stream:
        async for line in stream.content:
            if line.startswith(b"data: "):
                told += [json.loads(line.removeprefix(b"data: "))]
    raise AssertionError("the stream ended")


def kept(state: Path, device: str) -> list[int]:
    """The due times of every reading of a device, in seconds, from what the stores and the journal have."""
    store = open_history(state / "store")
    rows = store.read("interface", ["in_octets_total"], {"device": device}, start_ns=0, end_ns=time.time_ns())
    return sorted({time_ns // SECOND for time_ns in rows["time_ns"]})


@pytest.mark.timeout(120)
async def test_five_kinds_of_changes_leave_no_trace_in_what_did_not_change(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """A device more, a tenant's name, a cap, a credential, a rule, one after the other (R72)."""
    caplog.set_level(logging.INFO)
    told: list[dict[str, Any]] = []
    stream = asyncio.create_task(follow_stream(watched.url, told))
    await watched.polled(3)
    shown = await watched.until(lambda shown: bool(shown["incidents"]))
    (incident,) = shown["incidents"]

    watched.write("more.yaml", MORE, MORE + NEW_DEVICE)
    assert () == tuple(await watched.daemon.reload())
    await watched.until(lambda shown: "sw-4" in {each["id"] for each in shown["devices"] if each["up"]})
    watched.write("more.yaml", "津市", "津市役所")
    assert () == tuple(await watched.daemon.reload())
    assert ["津市役所"] == [each["name"]["ja"] for each in (await watched.wall())["tenants"]]
    watched.write("more.yaml", "300M", "400M")
    assert () == tuple(await watched.daemon.reload())
    (watched.folder / "edge").write_text("new-community\n")
    assert () == tuple(await watched.daemon.reload())
    watched.write("more.yaml", "severity: minor", "severity: notice")
    assert () == tuple(await watched.daemon.reload())
    await watched.polled(3)

    assert [incident["id"]] == [each["id"] for each in (await watched.wall())["incidents"]]
    assert not stream.done()
    stream.cancel()
    assert sum("organisation" in event for event in told) > 1  # reloads in quick succession are told together
    discovered = [re.search(r"device=(\S+)", each.message) for each in caplog.records if "discovered " in each.message]
    assert ["sw-1", "sw-2", "sw-3", "sw-4"] == sorted(each[1] for each in discovered if each)
    state = watched.folder / "state"
    for device in ("sw-1", "sw-2"):
        while len(seconds := await asyncio.to_thread(kept, state, device)) < 8:  # noqa: ASYNC110 - files of a thread
            await asyncio.sleep(0.2)
        lost = re.findall(rf"(?:overrun|poll_failed|polls_missed) device={device} (?:count=(\d+))?", caplog.text)
        missed = sum(int(count or 1) for count in lost)  # by a machine that stood still, and said so
        assert seconds[-1] - seconds[0] + 1 - missed <= len(seconds)


async def hinomi_reload(folder: Path) -> tuple[int | None, str]:
    """The command as people give it: its exit status, and what it says on standard error."""
    command = (sys.executable, "-m", "poller.cli", "reload", "-c", str(folder), "--lang", "en")
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE)
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


@pytest.mark.timeout(120)
async def test_a_wrong_file_leaves_the_old_configuration_in_force_and_is_an_incident_until_it_is_right(
    watched: Watched,
) -> None:
    """By SIGHUP and by `hinomi reload`, which says what is wrong and exits with 2 (R72)."""
    watched.write("more.yaml", "severity: minor", "severty: minor")
    os.kill(os.getpid(), signal.SIGHUP)
    refused = "the configuration is wrong"
    await watched.until(lambda shown: any(refused in each["title"]["en"] for each in shown["incidents"]))
    status, errors = await hinomi_reload(watched.folder)
    assert 2 == status
    assert re.search(r"more\.yaml:\d+:\d+: rules\.down\.severty: .*Did you mean 'severity'\?", errors)
    assert "goes on by the old configuration" in errors
    await watched.polled(1)
    watched.write("more.yaml", "severty: minor", "severity: minor")
    assert (0, "") == await hinomi_reload(watched.folder)
    await watched.until(lambda shown: not any(refused in each["title"]["en"] for each in shown["incidents"]))


@pytest.mark.timeout(120)
async def test_a_secret_that_is_gone_and_a_port_that_is_taken_are_refused_before_anything_changes(
    watched: Watched,
) -> None:
    (watched.folder / "edge").unlink()
    (problem,) = await watched.daemon.reload()
    assert "credentials.edge, needed for sw-3" in problem.text
    (watched.folder / "edge").write_text("edge-community\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        watched.write("hinomi.yaml", "wall: {port: 0}", f"wall: {{port: {taken.getsockname()[1]}}}")
        (problem,) = await watched.daemon.reload()
        assert "in use" in problem.text
    assert (await watched.wall())["devices"]
    watched.write("hinomi.yaml", "directory: state", "directory: elsewhere")
    (problem,) = await watched.daemon.reload()
    assert "storage.directory" == problem.path


def test_without_a_daemon_reload_says_so(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["reload", "-c", str(tmp_path)])
    assert (1, f"no daemon runs by the configuration in {tmp_path}\n") == (told.exit_code, told.stderr)


@pytest.mark.timeout(120)
async def test_sockets_and_stores_move_when_their_settings_do_and_stay_open_when_they_do_not(watched: Watched) -> None:
    """Another place for the wall and for notifications, a broker more and less; one stream stays open (R72)."""
    told: list[dict[str, Any]] = []
    stream = asyncio.create_task(follow_stream(watched.url, told))
    await watched.polled(1)
    before = watched.url
    wall_port, told_port = free_port(), free_port()
    watched.write("hinomi.yaml", "wall: {port: 0}", f"wall: {{port: {wall_port}}}")
    with (watched.folder / "more.yaml").open("a", encoding="utf-8") as more:
        more.write(f"notifications: {{listen: 127.0.0.1, port: {told_port}}}\n")
    assert () == tuple(await watched.daemon.reload())
    watched.url = f"http://127.0.0.1:{wall_port}/"
    assert (await watched.wall())["devices"]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{watched.url}api/v1/notifications") as answer:
            assert [f"127.0.0.1:{told_port}"] == (await answer.json())["receiving"]
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{before}api/v1/wall")

    parquet = (await control.ask(watched.folder, "GET", "/status"))["parts"]["parquet"]["done_total"]
    mqtt = f"{{directory: state, mqtt: {{host: 127.0.0.1, port: {free_port()}}}}}"
    watched.write("hinomi.yaml", "{directory: state}", mqtt)
    assert () == tuple(await watched.daemon.reload())
    status = await control.ask(watched.folder, "GET", "/status")
    assert "mqtt" in status["parts"]
    assert status["parts"]["parquet"]["done_total"] >= parquet  # the same task goes on
    watched.write("hinomi.yaml", mqtt, "{directory: state}")
    assert () == tuple(await watched.daemon.reload())
    assert "mqtt" not in (await control.ask(watched.folder, "GET", "/status"))["parts"]
    assert told
    assert not stream.done()
    stream.cancel()


@pytest.mark.timeout(120)
async def test_a_device_that_goes_is_asked_no_more_and_one_at_another_address_is_met_anew(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await watched.polled(1)
    watched.write("hinomi.yaml", "sw-2: {addresses: [127.16.72.2]", "sw-2: {addresses: [127.16.72.4]")
    lines = (watched.folder / "hinomi.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    kept_lines = [line for line in lines if not line.startswith("  sw-3:")]
    (watched.folder / "hinomi.yaml").write_text("".join(kept_lines), encoding="utf-8")
    assert () == tuple(await watched.daemon.reload())
    caplog.clear()
    shown = await watched.until(lambda _: "discovered device=sw-2" in caplog.text)
    assert {"sw-1", "sw-2", "gone"} == {each["id"] for each in shown["devices"]}
    await watched.polled(1)
    assert "sw-3" not in caplog.text
