"""Cables pulled in a network of our own, watched by the daemon itself: whose fault its incident says it is.

us -- gateway -- near -- far -- beyond. The daemon runs within the namespace of us, with its echoes, its rules, its
incidents and its path probe; nothing of it is replaced.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from poller.alerts.incident import Incident
from poller.alerts.inquiry import Inquiry, NoStore
from poller.lab.namespaces import Chain, unique, why_not

pytestmark = pytest.mark.skipif(bool(reason := why_not()), reason=reason or "permitted")
ROOT = Path(__file__).resolve().parents[1]
CONFIG = """\
organisation: {{name: {{ja: 試験網, en: Test network}}}}
polling: {{gateways: [10.8.1.2], echo_interval: {interval}}}
storage: {{directory: state}}
mail: {{maildir: mail}}
wall: {{port: 0}}
contacts:
  shift: {{role: operator, email: shift@example.jp}}
sites: {{hall: {{}}}}
devices:
  rt-1: {{addresses: [10.8.2.2], role: router, site: hall, ping: false}}
{devices}circuits:
  line-1:
    name: {{ja: 回線1, en: Line 1}}
    kind: internet
    ceiling_rate: 1G
    measured_by: {{device: rt-1, interface: eth0}}
    probe: {{near: 10.8.2.2, far: 10.8.3.2, beyond: 10.8.4.2}}
rules:
  circuit-down: {{name: 回線断, on: circuit.state, equals: down, raise_for: 3s, severity: serious}}
  beyond-down: {{name: 回線の先に届かない, on: circuit.beyond, equals: down, raise_for: 3s, severity: serious}}
  device-down: {{name: 応答なし, on: device.up, equals: false, raise_for: 0s, severity: serious}}
"""

SERVER = "  srv-1: {addresses: [10.8.4.2], role: server, site: hall}\n"


@pytest.fixture
def chain() -> Iterator[Chain]:
    chain = Chain(unique("fault"), ("us", "gateway", "near", "far", "beyond"))
    yield chain
    chain.delete()


@dataclass
class Watched:
    """The daemon's state directory, and what it wrote to its log."""

    state: Path
    log: Path
    process: "subprocess.Popen[bytes]"

    async def until(self, condition: Callable[[list[Incident]], bool], seconds: float = 60) -> list[Incident]:
        """The incidents once they are so; another process tells nobody, so they are looked at again and again."""
        found: list[Incident] = []
        async with asyncio.timeout(seconds):
            while not condition(found):
                await asyncio.sleep(0.1)
                assert self.process.poll() is None, self.log.read_text()
                try:
                    found = Inquiry(self.state).incidents(closed=10)
                except NoStore:
                    found = []
        return found

    async def until_logged(self, *words: str) -> None:
        async with asyncio.timeout(60):
            while [word for word in words if word not in self.log.read_text()]:
                await asyncio.sleep(0.1)
                assert self.process.poll() is None, self.log.read_text()


@asynccontextmanager
async def watching(chain: Chain, folder: Path, interval: str = "1s", devices: str = "") -> AsyncIterator[Watched]:
    """The daemon on its way, and every target seen to answer."""
    (folder / "hinomi.yaml").write_text(CONFIG.format(interval=interval, devices=devices), encoding="utf-8")
    log = folder / "log"
    process = start(chain, folder, log)
    watched = Watched(folder / "state", log, process)
    try:
        addresses = ("10.8.1.2", "10.8.2.2", "10.8.3.2", "10.8.4.2")
        await watched.until_logged(*(f"echo_up target={address} " for address in addresses))
        yield watched
    finally:
        process.terminate()
        process.wait()
    assert "Traceback" not in log.read_text()


def start(chain: Chain, folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            chain.nodes[0].command(sys.executable, "-m", "poller.cli", "run", "-c", str(folder)),
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": str(ROOT), "LANG": "en_GB.UTF-8"},
        )


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("cable", "scope", "points"),
    [
        (4, "outside", ("up", "up", "down")),
        (2, "inside", ("down", "down", "down")),
    ],
)
async def test_a_pulled_cable_is_of_its_class_with_the_points_and_the_path_as_evidence(
    chain, tmp_path, cable, scope, points
) -> None:
    """Between the far edge and beyond: outside. Between us and the near edge: inside (R41)."""
    async with watching(chain, tmp_path) as watched:
        chain.pull(cable)

        def told(found: list[Incident]) -> bool:
            return any(each.field == "path" for incident in found for each in incident.evidence)

        incidents = await watched.until(told)
    (incident,) = incidents
    assert ("circuit/line-1", scope) == (incident.root[1], incident.scope)
    said = {each.field: each.value for each in incident.evidence if each.subject == "circuit/line-1"}
    assert points == (said["near"], said["far"], said["beyond"])
    assert {f"10.8.{cable - 1}.2"} == {
        way.split()[-1] for way in str(said["path"]).split("; ") if not way.endswith("none")
    }


@pytest.mark.timeout(90)
async def test_our_own_gateway_gone_is_one_alarm_and_accuses_no_circuit(chain, tmp_path) -> None:
    """(R54)"""
    async with watching(chain, tmp_path, devices=SERVER) as watched:
        chain.pull(1)
        incidents = await watched.until(bool)
        await asyncio.sleep(5)  # time in which another alarm could be raised: rules wait 3 s
        incidents = await watched.until(bool)
    assert [("monitoring-isolated", "daemon/self/isolation")] == [incident.root for incident in incidents]
    assert [] == [member for member in incidents[0].members if member.inhibited_by is None][1:]


@pytest.mark.timeout(90)
async def test_a_dead_target_is_an_incident_within_15_s_by_the_default_interval(chain, tmp_path) -> None:
    """From the cable to the incident, through the production code (R37)."""
    async with watching(chain, tmp_path, interval="5s", devices=SERVER) as watched:
        died_ns = time.time_ns()
        chain.pull(4)
        incidents = await watched.until(lambda found: any(one.root[1] == "device/srv-1" for one in found))
    assert (incidents[0].opened_ns - died_ns) / 1e9 <= 15
