"""The whole product against real peers: Debian's snmpd is polled, stopped, started; an SMTP server gets the mails."""

import asyncio
import email
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from email.message import Message
from email.policy import default as default_policy
from pathlib import Path

import polars as pl
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from poller.config import load
from poller.daemon import Daemon
from poller.free_ports import free_port
from poller.storage.history import open_history

SNMPD = shutil.which("snmpd", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin")))
SNMPGET = shutil.which("snmpget")
COMMUNITY = "end-to-end"
COUNTERS = ("1.3.6.1.2.1.31.1.1.1.6", "1.3.6.1.2.1.31.1.1.1.10")
"""ifHCInOctets, ifHCOutOctets."""

if os.environ.get("CI") != "true":
    pytestmark = pytest.mark.skipif(
        SNMPD is None or SNMPGET is None, reason="Debian's snmpd and snmp are not installed"
    )


class Agent:
    """Debian's snmpd on a port of loopback; stopped and started as the test wants."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._config = folder / "snmpd.conf"
        self._config.write_text(f"agentaddress udp:127.0.0.1:{port}\nrocommunity {COMMUNITY} 127.0.0.1\n")
        self._environment = os.environ | {"SNMP_PERSISTENT_DIR": str(folder / "persistent")}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SNMPD is not None
        command = (SNMPD, "-f", "-C", "-c", str(self._config), "-Lo", "-I", "-smux")
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._environment
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"NET-SNMP version" in line:
                return
        raise AssertionError("snmpd did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    agent = Agent(tmp_path, free_port())
    agent.start()
    yield agent
    agent.stop()


class Mailbox:
    """What the SMTP server took, in the order of arrival."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message] = asyncio.Queue()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        self._queue.put_nowait(email.message_from_bytes(content, policy=default_policy))
        return "250 taken"

    async def next(self) -> Message:
        return await self._queue.get()


@asynccontextmanager
async def watching(folder: Path, agent: Agent) -> AsyncIterator[tuple[Mailbox, Path]]:
    """A daemon with one device and one rule, and a mail server."""
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    smtp = await loop.create_server(lambda: SMTP(mailbox, hostname="mail.example.jp"), "127.0.0.1", 0)
    smtp_port = smtp.sockets[0].getsockname()[1]
    configuration = folder / "config"
    configuration.mkdir()
    (configuration / "community").write_text(f"{COMMUNITY}\n")
    (configuration / "hinomi.yaml").write_text(
        f"""\
organisation: {{name: {{ja: 試験網, en: Test network}}}}
polling: {{interval: 5s, timeout: 1s, tries: 2, port: {agent.port}}}
storage: {{directory: state}}
mail: {{sender: hinomi@example.jp, relays: [{{host: 127.0.0.1, port: {smtp_port}, tls: none}}]}}
wall: {{port: 0}}
contacts: {{shift: {{role: operator, email: shift@example.jp}}}}
sites: {{hall: {{}}}}
credentials: {{core: {{version: "2c", community: "file:community"}}}}
devices: {{srv-1: {{addresses: [127.0.0.1], role: server, site: hall, credentials: core}}}}
rules: {{down: {{name: 応答なし, on: device.up, equals: false, clear_for: 2s, severity: serious}}}}
""",
        encoding="utf-8",
    )
    daemon = Daemon(load(configuration))
    ready, stopping = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(daemon.run(lambda _url: ready.set()))
    waiter = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
    test = asyncio.current_task()
    assert test is not None
    task.add_done_callback(lambda _: test.cancel("the daemon ended by itself") if not stopping.is_set() else None)
    try:
        yield mailbox, configuration / "state"
    finally:
        stopping.set()
        daemon.stop()
        waiter.cancel()
        smtp.close()
        await task


async def kept(state: Path, until: Callable[[pl.DataFrame], bool]) -> pl.DataFrame:
    """The rows of interface lo in the embedded store, once they fulfil the condition; the test's time limit ends it."""
    rows = pl.DataFrame()
    while not until(rows):
        await asyncio.sleep(0.5)
        if (state / "store").is_dir():
            rows = await asyncio.to_thread(
                open_history(state / "store").read,  # beside the daemon's loop, which it would hold up
                "interface",
                ["in_octets_total", "out_octets_total", "in_bits_per_second", "quality"],
                {"interface": "lo"},
                start_ns=0,
                end_ns=time.time_ns(),
            )
    return rows


async def snmpget(agent: Agent) -> tuple[int, int]:
    """The octets of lo as net-snmp's own tool reads them; its ifIndex is 1 on Linux."""
    assert SNMPGET is not None
    process = await asyncio.create_subprocess_exec(
        *(SNMPGET, "-v2c", "-c", COMMUNITY, "-Ovq", f"127.0.0.1:{agent.port}"),
        *(f"{counter}.1" for counter in COUNTERS),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    into, out = (int(line) for line in output.split())
    return into, out


@pytest.mark.timeout(300)
async def test_octets_agree_with_snmpget_taken_at_the_same_moment(tmp_path: Path, agent: Agent) -> None:
    """Through schedule, poll, journal and Parquet: between two snmpgets, what is kept lies between their answers."""
    async with watching(tmp_path, agent) as (_, state):
        before, before_ns = await snmpget(agent), time.time_ns()
        rows = await kept(state, lambda rows: rows.height >= 3 and "observed" in rows["quality"].to_list())
        after, after_ns = await snmpget(agent), time.time_ns()
    between = rows.filter(pl.col("time_ns").is_between(before_ns, after_ns))
    assert between.height >= 2
    assert rows["in_octets_total"].is_sorted()
    for way, (low, high) in zip(("in", "out"), zip(before, after, strict=True), strict=True):
        readings = between[f"{way}_octets_total"].to_list()
        assert [] == [reading for reading in readings if not low <= reading <= high]


@pytest.mark.timeout(300)
async def test_a_stopped_agent_is_told_by_mail_and_its_return_too(tmp_path: Path, agent: Agent) -> None:
    async with watching(tmp_path, agent) as (mailbox, state):
        await kept(state, lambda rows: rows.height >= 2)
        agent.stop()
        fault = await mailbox.next()
        agent.start()
        recovery = await mailbox.next()
    assert "重大" in fault["Subject"]
    assert "srv-1" in fault["Subject"]
    assert "shift@example.jp" in fault["To"]
    assert "復旧" in recovery["Subject"]
    thread = {fault["Message-ID"].strip()}
    assert thread & set((recovery["References"] or recovery["In-Reply-To"] or "").split())
