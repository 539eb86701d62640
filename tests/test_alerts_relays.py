"""A fault while mail relays are away: pipeline and outbox on simulated time, real SMTP servers."""

import asyncio
import socket
from contextlib import AsyncExitStack
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.smtp import SMTP

from poller.alerts.engine import Alerting
from poller.alerts.outbox import Outbox
from poller.alerts.records import AuditEntry
from poller.alerts.store import Store
from poller.config import load
from poller.pipeline import Pipeline
from poller.sample import Sample
from poller.settings import Mail
from poller.wall.live import LiveState

SECOND = 1_000_000_000
JST = ZoneInfo("Asia/Tokyo")
EXAMPLES = Path(__file__).parents[1] / "config" / "examples"
TOWERS = ("int-1", "int-2")
STEP_SECONDS = 15


class Relay:
    """An SMTP server that can be away; what it accepted, with the simulated time, in the order of arrival."""

    def __init__(self, world: "World") -> None:
        self._world = world
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.accepted: list[tuple[str, str, str]] = []
        self._server: asyncio.Server | None = None

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        message = message_from_bytes(envelope.content, policy=default)
        when = datetime.fromtimestamp(self._world.now_ns // SECOND, JST)
        self.accepted.append((f"{when:%H:%M:%S}", envelope.rcpt_tos[0], message["Subject"]))
        self._world.ids.append(message["Message-ID"])
        return "250 accepted"

    async def come(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: SMTP(self, loop=loop, hostname="mx"), "127.0.0.1", self.port)

    async def go(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class World:
    """The prefecture with its line to the Internet, two relays, and a clock that the test moves."""

    def __init__(self, path: Path) -> None:
        self.now_ns = int(datetime(2026, 11, 21, 10, 0, tzinfo=JST).timestamp()) * SECOND
        self.ids: list[str] = []
        self.relays = [Relay(self), Relay(self)]
        self.store = Store(path / "alerts.sqlite")
        estate = load(EXAMPLES / "prefecture").estate
        self.alerting = Alerting(estate, self.store)
        self.pipeline = Pipeline(estate, lambda _samples: None, self.alerting, LiveState(estate))
        ways = [{"host": "127.0.0.1", "port": relay.port, "tls": "none"} for relay in self.relays]
        mail = Mail.model_validate({"sender": "hinomi@noc.example.jp", "relays": ways})
        self.outbox = Outbox(self.store, mail, path, timeout=2.0)

    def line(self, state: str) -> None:
        samples = [
            Sample("circuit", (("circuit", id_), ("kind", "internet"), ("line_group", "internet")), {"state": state}, 0)
            for id_ in TOWERS
        ]
        samples.append(Sample("line_group", (("line_group", "internet"),), {"state": state}, 0))
        timed = [Sample(each.measurement, each.tags, each.fields, self.now_ns) for each in samples]
        self.pipeline.publish(timed, self.now_ns)

    async def run(self, seconds: int, state: str) -> None:
        """Time passes; the line says its state every minute, the outbox sends what is due."""
        for _ in range(seconds // STEP_SECONDS):
            self.now_ns += STEP_SECONDS * SECOND
            if self.now_ns // SECOND % 60 == 0:
                self.line(state)
            self.pipeline.tick(self.now_ns)
            if self.alerting.committed is not None:
                self.alerting.committed.result()
            await self.outbox.send_due(self.now_ns)

    def acknowledge(self) -> None:
        (incident,) = self.alerting.open_incidents()
        self.alerting.carry_out(AuditEntry(self.now_ns, "当番A", "cli", "acknowledge", incident.id))

    def fates(self) -> set[str]:
        rows = self.store.call(lambda db: db.execute("SELECT DISTINCT state FROM outbox").fetchall()).result()
        return {state for (state,) in rows}

    def told(self, to: str) -> list[tuple[str, str]]:
        every = [one for relay in self.relays for one in relay.accepted]
        return [(when, subject.partition("（")[0]) for when, recipient, subject in sorted(every) if recipient == to]


@pytest.fixture
async def world(tmp_path):
    made = World(tmp_path)
    async with AsyncExitStack() as stack:
        stack.callback(made.store.close)
        for relay in made.relays:
            stack.push_async_callback(relay.go)
        yield made


SHIFT = "shift@noc.example.jp"
DOWN = "インターネット接続 主・副とも断"


async def test_with_one_relay_away_for_two_hours_no_mail_is_late(world) -> None:
    """The second relay, at once (R59); and when the first is back, it is asked first again."""
    first, second = world.relays
    await second.come()
    world.line("up")
    await world.run(60, "up")
    world.line("down")
    await world.run(1800, "down")
    world.acknowledge()
    await world.run(5400, "down")
    await first.come()
    await world.run(300, "up")
    assert [
        ("10:01:30", f"【重大・対応要】{DOWN}"),
        ("10:16:30", f"【重大・未確認 再通知1】{DOWN}"),
    ] == world.told(SHIFT)[:2]
    assert ("11:31:15", f"【重大・二次通知の期限 12:01】{DOWN}") == world.told(SHIFT)[2]
    assert [f"【復旧】{DOWN}"] == [subject for _, subject in world.told(SHIFT)[3:]]
    assert {"sent"} == world.fates()
    assert ["【復旧】" in subject for _, _, subject in first.accepted] == [True] * len(first.accepted)
    assert len(set(world.ids)) == len(world.ids)


async def test_with_both_relays_away_for_two_hours_nothing_is_lost_or_told_twice_and_repeats_are_one(world) -> None:
    """The outbox is on disk and tries again (R59, R73); of the repeats that waited the latest leaves."""
    world.line("up")
    await world.run(60, "up")
    world.line("down")
    await world.run(7200, "down")
    assert {"waiting", "superseded"} == world.fates()
    assert [] == world.ids
    for relay in world.relays:
        await relay.come()
    world.acknowledge()
    await world.run(1200, "down")
    assert {"sent", "superseded"} == world.fates()
    assert len(set(world.ids)) == len(world.ids)
    told = world.told(SHIFT)
    labels = ("対応要", "未確認 再通知6", "二次通知の期限 12:01")
    assert {f"【重大・{label}】{DOWN}" for label in labels} == {subject for _, subject in told}
    assert len(labels) == len(told)
    assert "12:01:00" <= told[0][0] <= told[-1][0] <= "12:16:30"  # the longest back-off is a quarter of an hour
