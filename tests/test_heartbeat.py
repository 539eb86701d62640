"""The heartbeat (R74): taken by a real web server and a real broker, and silent while we do not really watch."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
from aiohttp import web

from poller.heartbeat import Heartbeat
from poller.secrets import SecretReference
from poller.settings import Heartbeat as Settings
from poller.settings import HeartbeatBroker

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")


@dataclass
class Receiver:
    """A web server that takes heartbeats, or not, and remembers them."""

    url: str = ""
    status: int = 204
    taken: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append(await request.json())
        self.arrived.set()
        return web.Response(status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    application = web.Application()
    application.add_routes([web.post("/ping", made.take)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping"
    yield made
    await runner.cleanup()


@dataclass
class Health:
    ill: str | None = None

    def __call__(self) -> str | None:
        return self.ill


def heartbeat(settings: Settings, folder: Path, health: Health) -> Heartbeat:
    return Heartbeat(settings, folder, health, lambda: {"node": "tower", "word": "normal"})


async def until(condition: Callable[[], bool]) -> None:
    """The test's own time limit ends the wait."""
    while not condition():  # noqa: ASYNC110 - the state is plain numbers on purpose
        await asyncio.sleep(0.01)


async def test_a_web_server_gets_one_at_every_interval_and_none_while_the_schedule_is_not_kept(
    receiver: Receiver, tmp_path: Path
) -> None:
    health = Health()
    beating = heartbeat(Settings(url=receiver.url, interval="20ms"), tmp_path, health)
    task = asyncio.create_task(beating.run())
    while len(receiver.taken) < 3:
        receiver.arrived.clear()
        await receiver.arrived.wait()
    assert {"node": "tower", "word": "normal"} == receiver.taken[0]
    health.ill = "polls begin 31 s late"
    await asyncio.sleep(0.1)  # whatever was on its way has arrived
    before = len(receiver.taken)
    await asyncio.sleep(0.2)
    assert before == len(receiver.taken)
    health.ill = None
    receiver.arrived.clear()
    await receiver.arrived.wait()
    task.cancel()
    assert (False, None) == (beating.state.fields()["trouble"], beating.state.last_error)


async def test_a_receiver_that_refuses_or_is_not_there_is_told_and_tried_again(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.status = 500
    beating = heartbeat(Settings(url=receiver.url, interval="20ms"), tmp_path, Health())
    task = asyncio.create_task(beating.run())
    await until(lambda: beating.state.failed_total > 0)
    assert f"{receiver.url} answered 500" == beating.state.fields()["reason"]
    receiver.status = 200
    await until(lambda: beating.state.last_error is None)
    beating.follow(Settings(url="http://127.0.0.1:1/nobody", interval="20ms"), tmp_path)
    await until(lambda: beating.state.last_error is not None)
    assert "127.0.0.1:1" in str(beating.state.last_error)
    task.cancel()


async def test_without_a_receiver_nothing_is_sent(tmp_path: Path) -> None:
    beating = heartbeat(Settings(interval="10ms"), tmp_path, Health())
    task = asyncio.create_task(beating.run())
    await asyncio.sleep(0.1)
    task.cancel()
    assert (0, 0) == (beating.state.done_total, beating.state.failed_total)


@pytest.fixture
def broker(tmp_path: Path, unused_tcp_port: int) -> Iterator[int]:
    """Debian's mosquitto with one user, on a port of loopback."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    passwords = tmp_path / "passwords"
    subprocess.run(("mosquitto_passwd", "-b", "-c", str(passwords), "hinomi", "word"), check=True, capture_output=True)
    passwords.chmod(0o644)
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {unused_tcp_port} 127.0.0.1\npassword_file {passwords}\nuser root\n")
    process = subprocess.Popen((MOSQUITTO, "-c", str(config)), stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        if b"running" in line:
            break
    yield unused_tcp_port
    process.kill()
    process.communicate()


async def test_a_broker_gets_it_too_and_a_wrong_password_is_told(broker: int, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("word\n")
    mqtt = HeartbeatBroker(
        host="127.0.0.1", port=broker, user="hinomi", password=SecretReference.parse("file:password")
    )
    beating = heartbeat(Settings(mqtt=mqtt, interval="50ms"), tmp_path, Health())
    async with aiomqtt.Client("127.0.0.1", broker, username="hinomi", password="word") as listening:
        await listening.subscribe("hinomi/heartbeat")
        task = asyncio.create_task(beating.run())
        async for message in listening.messages:
            assert isinstance(message.payload, bytes)
            assert {"node": "tower", "word": "normal"} == msgspec.json.decode(message.payload)
            break
    (tmp_path / "password").write_text("wrong\n")
    await until(lambda: beating.state.last_error is not None)
    assert "not authori" in str(beating.state.last_error).lower()
    task.cancel()
