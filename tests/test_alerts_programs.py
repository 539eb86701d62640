"""Programs are told like people: by webhook and by topic, from disk, until they have it."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import aiomqtt
import pytest
from aiohttp import web

from poller.alerts.engine import Alerting
from poller.alerts.outbox import BACK_OFF, Outbox
from poller.alerts.posts import signature
from poller.alerts.store import Store
from poller.alerts.ways import ways_of
from poller.estate import Estate
from poller.sample import Sample

SECOND = 10**9
NOW = 1_795_000_000 * SECOND
NAME = {"ja": "内部DNS", "en": "DNS"}


def estate(**more) -> Estate:
    device = {"id": "dns-1", "name": NAME, "addresses": ["192.0.2.1"], "role": "dns", "site": "dc"}
    rule = {"id": "down", "name": NAME, "on": "device.up", "equals": False, "severity": "serious", "clear_for": "0s"}
    whole = {
        "organisation": {"name": NAME},
        "sites": {"dc": {"id": "dc", "name": NAME}},
        "devices": {"dns-1": device},
        "rules": {"down": rule},
    }
    return Estate.model_validate(whole | more)


def hook(url: str, **more) -> dict[str, object]:
    return {"tickets": {"id": "tickets", "url": url, "secret": "file:hook.secret", **more}}


class Scene:
    """Alerting with its outbox, on a clock of its own."""

    def __init__(self, folder: Path, watched: Estate) -> None:
        (folder / "hook.secret").write_text("open sesame\n")
        self.watched = watched
        self.store = Store(folder / "alerts.sqlite")
        self.alerting = Alerting(watched, self.store)
        self.outbox = Outbox(self.store, watched.mail, folder, ways=ways_of(watched, folder))
        self.now_ns = NOW

    def poll(self, *, up: bool) -> None:
        tags = (("device", "dns-1"), ("role", "dns"), ("site", "dc"))
        self.alerting.observe([Sample("device", tags, {"up": up}, self.now_ns)], self.now_ns)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_ns += SECOND
            self.alerting.tick(self.now_ns)

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.store.path)
        self.alerting = Alerting(self.watched, self.store)
        self.outbox.store = self.store

    def rows(self) -> list[tuple[str, str, str, int]]:
        asked = "SELECT recipient, kind, state, tries FROM outbox ORDER BY id"
        return self.store.call(lambda db: db.execute(asked).fetchall()).result()


class Receiver:
    """A ticket system: keeps what it is sent, answers as it is told."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        application = web.Application()
        application.add_routes([web.post("/in", self._take)])
        self.runner = web.AppRunner(application, access_log=None)

    async def _take(self, request: web.Request) -> web.Response:
        self.posts.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, text="noted", headers={"Location": "/in"})

    async def __aenter__(self) -> Self:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/in"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


async def test_every_change_is_posted_once_signed_and_in_full(tmp_path) -> None:
    """A second channel beside the mail, from the outbox (R59)."""
    async with Receiver() as receiver:
        scene = Scene(tmp_path, estate(webhooks=hook(receiver.url)))
        scene.poll(up=False)
        scene.run(10)
        scene.restart()
        scene.alerting.acknowledge("2026-1118-001", "当番A", "", scene.now_ns)
        scene.run(10)
        scene.poll(up=True)
        scene.run(10)
        assert 3 == await scene.outbox.send_due(scene.now_ns)
        scene.store.close()
    bodies = [json.loads(body) for _, body in receiver.posts]
    assert [(1, "opened", None), (2, "changed", "当番A"), (3, "closed", "当番A")] == sorted(
        (body["sequence"], body["event"], body["acknowledged_by"]) for body in bodies
    )
    first = next(body for body in bodies if body["sequence"] == 1)
    assert ("内部DNS 応答なし", "serious", "inside") == (first["title"]["ja"], first["severity"], first["scope"])
    assert [("down", "device/dns-1", False)] == [(a["rule"], a["subject"], a["value"]) for a in first["alerts"]]
    for headers, body in receiver.posts:
        assert headers["X-Hinomi-Signature"] == signature("open sesame", headers["X-Hinomi-Timestamp"], body)


@pytest.mark.parametrize(("status", "state"), [(500, "waiting"), (429, "waiting"), (302, "waiting"), (404, "dead")])
async def test_a_receiver_in_trouble_is_asked_again_and_one_that_refuses_is_not(tmp_path, status, state) -> None:
    """Retried through the outbox (R59)."""
    async with Receiver() as receiver:
        receiver.status = status
        scene = Scene(tmp_path, estate(webhooks=hook(receiver.url)))
        scene.poll(up=False)
        scene.run(10)
        assert 0 == await scene.outbox.send_due(scene.now_ns)
        assert [("webhook:tickets", "opened", state, 1)] == scene.rows()
        receiver.status = 200
        later = scene.now_ns + int(BACK_OFF[0] * SECOND)
        assert (state == "waiting") == await scene.outbox.send_due(later)
        scene.store.close()


async def test_a_webhook_for_serious_faults_is_not_told_of_others(tmp_path) -> None:
    rule = {"id": "down", "name": NAME, "on": "device.up", "equals": False, "severity": "minor"}
    watched = estate(webhooks=hook("http://127.0.0.1:9/in", severities=["serious"]), rules={"down": rule})
    scene = Scene(tmp_path, watched)
    scene.poll(up=False)
    scene.run(10)
    assert [] == scene.rows()
    scene.store.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    running = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert running.poll() is None
    yield port
    running.terminate()
    running.wait()


async def test_whoever_subscribes_late_reads_what_is_open_and_nothing_that_is_over(tmp_path, broker) -> None:
    storage = {"mqtt": {"host": "127.0.0.1", "port": broker}}
    scene = Scene(tmp_path, estate(storage=storage))
    scene.poll(up=False)
    scene.run(10)
    assert 1 == await scene.outbox.send_due(scene.now_ns)

    async def retained() -> list[tuple[str, str]]:
        found = []
        async with aiomqtt.Client("127.0.0.1", broker) as client:
            await client.subscribe("hinomi/alerts/#", qos=1)
            await client.subscribe("end", qos=1)
            await client.publish("end", b"{}", qos=1)
            async for message in client.messages:
                if str(message.topic) == "end":
                    return found
                found.append((str(message.topic), json.loads(message.payload)["event"]))
        return found

    async with asyncio.timeout(20):
        assert [("hinomi/alerts/serious/2026-1118-001", "opened")] == await retained()
        scene.poll(up=True)
        scene.run(10)
        assert 1 == await scene.outbox.send_due(scene.now_ns)
        assert [] == await retained()
    scene.store.close()
