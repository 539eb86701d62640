"""The same recordings over UDP: what the session brings must read as what stands in the file."""

import os
from pathlib import Path

import pytest

from poller.discovery import Discovery, Question, discover
from poller.lab.replay import serve_recording
from poller.polling import plan_poll, poll_device, read_poll
from poller.profiles import load_profiles
from poller.readings import DeviceReading
from poller.replay import RecordedAgent
from probes.snmp import Snmp, SnmpTarget

OWN = sorted((Path(__file__).parent / "recordings").glob("*.snmprec"))
PROFILES = load_profiles()
NOW_NS = 1_795_000_000 * 10**9


def _shared() -> list[Path]:
    named = os.environ.get("HINOMI_RECORDINGS")
    beside = [parent / "shared" / "devices" / "recordings" for parent in Path(__file__).resolve().parents]
    folders = [Path(named)] if named else beside
    return sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*.snmprec"))


SHARED = _shared()


async def over_udp(path: Path, version: str) -> tuple[Discovery, DeviceReading]:
    async with serve_recording(path) as (address, port), Snmp() as snmp:
        target = SnmpTarget(address, port, version, b"public", timeout_seconds=5.0)  # type: ignore[arg-type]
        found = await discover(snmp, target, Question("fw-1"), PROFILES, NOW_NS)
        plan = plan_poll(found, PROFILES[found.family])
        prepared = snmp.prepare(target, plan.groups)
        await poll_device(lambda: snmp.poll(prepared), plan, NOW_NS)  # the second one is read by shape
        reading = await poll_device(lambda: snmp.poll(prepared), plan, NOW_NS)
        assert isinstance(reading, DeviceReading)
        return found, reading


async def from_file(path: Path) -> tuple[Discovery, DeviceReading]:
    agent = RecordedAgent.from_file(path)
    found = await discover(agent, SnmpTarget("127.0.0.1", community=b""), Question("fw-1"), PROFILES, NOW_NS)
    plan = plan_poll(found, PROFILES[found.family])
    return found, read_poll(plan, agent.poll(plan.groups, NOW_NS), NOW_NS)


async def compare(path: Path, version: str) -> None:
    (found, reading), (expected_found, expected) = await over_udp(path, version), await from_file(path)
    assert (expected_found.family, {}) == (found.family, found.failures)
    if version != "1":  # v1 has no Counter64
        assert expected_found.interfaces == found.interfaces
        assert expected.counters == list(reading.counters)
        assert expected.totals == reading.totals
    assert {name: value for name, value in expected.values.items() if version != "1" or name in reading.values} == dict(
        reading.values
    )
    assert list(expected.oper_status) == list(reading.oper_status) or version == "1"


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("path", OWN, ids=[path.stem for path in OWN])
async def test_own_recordings_read_the_same_over_udp(path: Path, version: str) -> None:
    await compare(path, version)


@pytest.mark.skipif(not SHARED, reason="no recordings here: HINOMI_RECORDINGS names no folder with them")
@pytest.mark.parametrize("path", SHARED, ids=[path.stem for path in SHARED])
async def test_real_devices_read_the_same_over_udp(path: Path) -> None:
    await compare(path, "2c")


async def test_what_version_1_cannot_give_is_left_out_and_the_rest_stands() -> None:
    """SNMPv1 has no Counter64: octets of an agent that has ifHC* alone are not there, CPU and sessions are (R19)."""
    found, reading = await over_udp(Path(__file__).parent / "recordings" / "fortigate.snmprec", "1")
    assert [False] == [interface.wide for interface in found.interfaces]
    assert [None] * 8 == list(reading.counters)
    assert (0.17, 120_345, "active") == tuple(reading.values[name] for name in ("cpu_ratio", "sessions", "ha_role"))
