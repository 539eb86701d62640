"""The lab on real sockets, asked by net-snmp's own programs in v1, v2c and v3, and the command in its own process."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from poller.config import load
from poller.lab.replay import serve_recording
from poller.lab.scenario import Notifications
from poller.lab.server import CannotSimulate, Lab, LabOptions
from probes.snmp.message import CommunityMessage, PduKind, decode_message

ROOT = Path(__file__).resolve().parent.parent
PREFECTURE = ROOT / "config" / "examples" / "prefecture"
CONFIGURATION = load(PREFECTURE)
UPTIME, OBJECT_ID, NAME = "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0"
IF_NAME, HC_IN, HC_OUT = (f"1.3.6.1.2.1.31.1.1.1.{column}" for column in (1, 6, 10))

if os.environ.get("CI") != "true" and shutil.which("snmpget") is None:
    pytest.skip("net-snmp's programs are not installed (Debian: snmp)", allow_module_level=True)


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    options = LabOptions(port=0, community="public")
    async with Lab(CONFIGURATION.estate, CONFIGURATION.directory, options) as running:
        yield running


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _run(*command: str) -> tuple[int, list[str], str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    return process.returncode or 0, out.decode().splitlines(), error.decode()


async def _snmp(program: str, lab: Lab, device: str, *arguments: str, options: str = "-v2c -c public") -> list[str]:
    address, port = lab.address(device)
    status, lines, error = await _run(program, *options.split(), "-On", "-Oq", "-Ot", f"{address}:{port}", *arguments)
    assert (status, error) == (0, "")
    return lines


def _v3(user: str = "core", *, auth: str | None = None) -> str:
    secrets = [(PREFECTURE / "secrets" / f"{user}-{kind}").read_text().strip() for kind in ("auth", "priv")]
    return f"-v3 -l authPriv -u hinomi-{user} -a SHA-256 -A {auth or secrets[0]} -x AES -X {secrets[1]}"


@pytest.mark.parametrize("options", ["-v1 -c public", "-v2c -c public", _v3()])
async def test_every_version_of_snmp_gives_the_same_values(lab: Lab, options: str) -> None:
    lines = await _snmp("snmpget", lab, "fw-1", NAME, OBJECT_ID, options=options)
    assert [f'.{NAME} "fw-1"', f".{OBJECT_ID} .1.3.6.1.4.1.12356.101.1.1"] == lines


async def test_a_walk_by_next_and_a_walk_by_bulk_see_the_same_objects(lab: Lab) -> None:
    stepped = await _snmp("snmpwalk", lab, "fw-1", ".1")
    in_bulk = await _snmp("snmpbulkwalk", lab, "fw-1", "-Cr40", ".1")
    encrypted = await _snmp("snmpbulkwalk", lab, "fw-1", ".1", options=_v3())
    expected = len(lab.world.box("fw-1").view)
    assert [line.split()[0] for line in stepped] == [line.split()[0] for line in in_bulk]
    # A walk ends with "No more variables left" where the last object is reached.
    assert [expected, expected] == [sum("No more" not in line for line in lines) for lines in (stepped, encrypted)]


async def test_a_wrong_password_and_an_unknown_user_are_told_apart(lab: Lab) -> None:
    address, port = lab.address("fw-1")
    target = f"{address}:{port}"
    _, _, error = await _run("snmpget", *_v3(auth="wrong-password").split(), target, UPTIME)
    assert "Authentication failure" in error
    _, _, error = await _run("snmpget", *_v3().replace("hinomi-core", "nobody").split(), target, UPTIME)
    assert "Unknown user name" in error


async def test_an_answer_comes_from_the_address_that_was_asked(lab: Lab) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.bind(("127.0.0.1", 0))
        request = bytes.fromhex("302602010104067075626c6963a01902010102010002010030") + bytes.fromhex(
            "0e300c06082b060102010101000500"
        )
        for device in ("fw-1", "ar-tsu", "log-1"):
            asker.sendto(request, lab.address(device))
            _, peer = await asyncio.wait_for(loop.sock_recvfrom(asker, 2000), 5)
            assert lab.address(device) == peer


async def test_all_devices_share_one_descriptor() -> None:
    before = _descriptors()
    async with Lab(CONFIGURATION.estate, CONFIGURATION.directory, LabOptions(port=0)) as lab:
        assert len(lab.estate.devices) > 50
        assert _descriptors() == before + 1


async def test_a_stopped_clock_gives_exact_counters_over_the_wire() -> None:
    """With the clock in the test's hands tenants and the line agree to the octet as a poller would read them."""
    now = [1_795_150_800 * 10**9]
    options = LabOptions(port=0, community="public")
    async with Lab(CONFIGURATION.estate, CONFIGURATION.directory, options, lambda: now[0]) as lab:
        totals = []
        for _ in range(2):
            line = await _interfaces(lab, "bo-rt-1")
            tenants = [into for name, (into, _) in line.items() if name.startswith("xe-0/0/1.")]
            outward = [out for name, (_, out) in line.items() if name.startswith("xe-0/0/1.")]
            totals.append((*line["xe-0/0/0"], sum(tenants), sum(outward)))
            now[0] += 61_234_567_891
        line_in, line_out, tenants_in, tenants_out = (b - a for a, b in zip(*totals, strict=True))
    assert (tenants_out, tenants_in) == (line_in, line_out)
    assert line_in > 10**6


async def _interfaces(lab: Lab, device: str) -> dict[str, tuple[int, int]]:
    columns = [await _snmp("snmpbulkwalk", lab, device, oid) for oid in (IF_NAME, HC_IN, HC_OUT)]
    names, into, out = ([line.split(maxsplit=1)[1].strip('"') for line in column] for column in columns)
    return {name: (int(a), int(b)) for name, a, b in zip(names, into, out, strict=True)}


async def test_dead_and_slow_agents(lab: Lab) -> None:
    lab.silence("fw-1")
    address, port = lab.address("fw-1")
    status, _, error = await _run("snmpget", "-v2c", "-cpublic", "-r0", "-t0.2", f"{address}:{port}", UPTIME)
    assert status == 1
    assert "Timeout" in error
    assert await _snmp("snmpget", lab, "fw-2", NAME) == [f'.{NAME} "fw-2"']
    lab.wake("fw-1")
    lab.delay("fw-1", 0.5)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert await _snmp("snmpget", lab, "fw-1", NAME, options="-v2c -c public -t5") == [f'.{NAME} "fw-1"']
    assert loop.time() - before >= 0.5


async def test_a_failover_changes_the_roles_that_the_vendors_objects_show(lab: Lab) -> None:
    role = "1.3.6.1.4.1.12356.101.3.2.1.1.4.1"
    assert [f".{role} 1", f".{role} 2"] == [
        *await _snmp("snmpget", lab, "fw-1", role),
        *await _snmp("snmpget", lab, "fw-2", role),
    ]
    assert lab.fail_over("fw") == "fw-2"
    assert [f".{role} 2", f".{role} 1"] == [
        *await _snmp("snmpget", lab, "fw-1", role),
        *await _snmp("snmpget", lab, "fw-2", role),
    ]


async def test_notifications_come_from_the_device_that_sends_them() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setblocking(False)
        receiver.bind(("127.0.0.1", 0))
        to = Notifications(receiver=f"127.0.0.1:{receiver.getsockname()[1]}", community="watch")
        async with Lab(CONFIGURATION.estate, PREFECTURE, LabOptions(port=0, notifications=to)) as lab:
            lab.fail_circuit("int-1")
            datagram, peer = await asyncio.wait_for(loop.sock_recvfrom(receiver, 2000), 5)
            assert lab.address("int-rt-1") == peer
            message = decode_message(datagram)
            assert isinstance(message, CommunityMessage)
            assert (b"watch", PduKind.TRAP_V2) == (message.community, message.pdu.kind)
            values = [entry.value for entry in message.pdu.varbinds]
            assert values[1:] == [(1, 3, 6, 1, 6, 3, 1, 1, 5, 3), 1, 1, 2, b"TenGigabitEthernet0/0/0"]
            lab.notify("sw-mgmt-1", 50)
            senders = {(await asyncio.wait_for(loop.sock_recvfrom(receiver, 2000), 5))[1] for _ in range(50)}
            assert senders == {lab.address("sw-mgmt-1")}


async def test_a_recording_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "box.snmprec"
    path.write_text("1.3.6.1.2.1.1.5.0|4|recorded\n1.3.6.1.2.1.1.3.0|67|42\n1.3.6.1.2.1.2.2.1.6.1|4x|0012e2\n")
    async with serve_recording(path) as (address, port):
        status, lines, _ = await _run(
            "snmpwalk", "-v2c", "-cpublic", "-On", "-Oq", "-Ot", f"{address}:{port}", ".1.3.6.1.2.1.1"
        )
        assert (status, [f".{UPTIME} 42", f'.{NAME} "recorded"']) == (0, lines)
        _, lines, _ = await _run("snmpgetnext", "-v1", "-cpublic", "-On", "-Oq", f"{address}:{port}", NAME)
        assert ['.1.3.6.1.2.1.2.2.1.6.1 "00 12 E2 "'] == lines


async def test_a_device_may_replay_a_recording_instead_of_being_simulated(tmp_path: Path) -> None:
    path = tmp_path / "box.snmprec"
    path.write_text("1.3.6.1.2.1.1.5.0|4|recorded\n")
    options = LabOptions(port=0, recordings={"fw-1": path})
    async with Lab(CONFIGURATION.estate, PREFECTURE, options) as lab:
        assert await _snmp("snmpget", lab, "fw-1", NAME, options=_v3()) == [f'.{NAME} "recorded"']
        assert await _snmp("snmpget", lab, "fw-2", NAME, options=_v3()) == [f'.{NAME} "fw-2"']


async def test_an_estate_that_is_not_on_loopback_is_refused() -> None:
    device = CONFIGURATION.estate.devices["fw-1"].model_copy(update={"addresses": (IPv4Address("10.1.2.3"),)})
    estate = CONFIGURATION.estate.model_copy(update={"devices": {**CONFIGURATION.estate.devices, "fw-1": device}})
    with pytest.raises(CannotSimulate, match=r"fw-1 has the address 10\.1\.2\.3"):
        async with Lab(estate, PREFECTURE, LabOptions(port=0)):
            pass


async def test_this_machine_itself_is_left_to_its_own_agent() -> None:
    fw = CONFIGURATION.estate.devices["fw-1"]
    itself = fw.model_copy(update={"id": "itself", "addresses": (IPv4Address("127.0.0.1"),)})
    devices = {**CONFIGURATION.estate.devices, "itself": itself}
    estate = CONFIGURATION.estate.model_copy(update={"devices": devices})
    async with Lab(estate, PREFECTURE, LabOptions(port=0, community="public")) as lab:
        assert "itself" not in lab.estate.devices
        _, port = lab.address("fw-1")
        status, _, _ = await _run("snmpget", "-v2c", "-cpublic", "-r0", "-t0.2", f"127.0.0.1:{port}", UPTIME)
        assert status == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_says_that_it_is_ready_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("events:\n  - {do: fail_circuit, circuit: int-1, at: 0s, for: 1h}\n")
    command = (
        sys.executable,
        "-m",
        "poller.cli",
        "lab",
        "-c",
        str(PREFECTURE),
        "--port",
        "0",
        "--scenario",
        str(scenario),
    )
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    ready = await asyncio.wait_for(process.stdout.readline(), 60)
    assert ready.startswith(b"lab ready: 72 agents on loopback, UDP port ")
    told = b"lab: not served"
    while told.startswith(b"lab: not served"):  # another lab on this machine may hold the ports of the services
        told = await asyncio.wait_for(process.stdout.readline(), 60)
    assert told == b"lab: circuit int-1 dies\n"
    process.send_signal(number)
    rest, _ = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, rest) == (0, b"lab stopped after 0 requests\n")
