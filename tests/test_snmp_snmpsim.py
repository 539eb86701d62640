"""Against snmpsim, an independent agent: delays, errors, moving counters, the other key extension."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from poller.asking import Asking
from poller.estate import Device
from poller.free_ports import free_port
from poller.profiles import load_profiles
from poller.readings import COUNTERS, DeviceReading
from probes.snmp import AuthProtocol, PrivProtocol, Snmp, SnmpTarget, UsmUser
from probes.snmp.errors import NoAnswer

RESPONDER = shutil.which("snmpsim-command-responder", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(RESPONDER is None, reason="snmpsim is not installed")

UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
HC_IN = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6)
HC_OUT = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 10)
PLAIN = """1.3.6.1.2.1.1.1.0|4|simulated
1.3.6.1.2.1.1.3.0|67|123456
1.3.6.1.2.1.1.5.0|4:delay|value=slow,wait=150
1.3.6.1.2.1.1.6.0|4:delay|value=never,wait=1000000
1.3.6.1.2.1.1.7.0|2:error|op=get,status=genError,value=1
1.3.6.1.2.1.1.8.0|67:error|op=get,status=authorizationError,value=1
1.3.6.1.2.1.1.9.0|4:error|op=get,status=tooBig,value=x
1.3.6.1.2.1.31.1.1.1.6.1|70:numeric|initial=1000000,rate=1000000,min=0,max=18446744073709551615,cumulative=1
1.3.6.1.2.1.31.1.1.1.10.1|70|18446744073709551615
"""
SNAPSHOT = """1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999.1
1.3.6.1.2.1.1.3.0|67|{uptime}
1.3.6.1.2.1.1.5.0|4|swapping
1.3.6.1.2.1.2.2.1.2.1|4|{first}
1.3.6.1.2.1.2.2.1.2.2|4|{second}
1.3.6.1.2.1.31.1.1.1.1.1|4|{first}
1.3.6.1.2.1.31.1.1.1.1.2|4|{second}
1.3.6.1.2.1.31.1.1.1.6.1|70|{of_first}
1.3.6.1.2.1.31.1.1.1.6.2|70|{of_second}
1.3.6.1.2.1.31.1.1.1.10.1|70|{of_first}
1.3.6.1.2.1.31.1.1.1.10.2|70|{of_second}
1.3.6.1.2.1.31.1.5.0|67|{uptime}
"""
SNAPSHOT_SECONDS = 2.0
OCTETS = {"wan": 7_000_000_000_000, "lan": 5_000}
PASSWORDS = {"auth_password": b"authentic-words", "priv_password": b"private-words"}
USERS = {
    "reeder192": ("SHA", "AES192", AuthProtocol.SHA1, PrivProtocol.AES192_REEDER),
    "reeder256": ("SHA", "AES256", AuthProtocol.SHA1, PrivProtocol.AES256_REEDER),
    "md5-256": ("MD5", "AES256", AuthProtocol.MD5, PrivProtocol.AES256_REEDER),
    "blumenthal": ("SHA", "AES256BLMT", AuthProtocol.SHA1, PrivProtocol.AES256),
    "sha512": ("SHA512", "AES128", AuthProtocol.SHA512, PrivProtocol.AES128),
}


def write_snapshots(folder: Path) -> None:
    """A device that restarts every other time, and each time has the indexes of its two interfaces exchanged."""
    snapshots = folder / "snapshots"
    snapshots.mkdir()
    rule = f"dir={snapshots},period={SNAPSHOT_SECONDS},wrap=1"
    (folder / "swap.snmprec").write_text(f"1.3.6.1.2.1|:multiplex|{rule}\n")
    places = [snapshots / "0.snmprec", snapshots / "1.snmprec"]
    for place, uptime, (first, second) in zip(places, (900_000_000, 500), permutations(OCTETS), strict=True):
        octets = {"of_first": OCTETS[first], "of_second": OCTETS[second]}
        place.write_text(SNAPSHOT.format(uptime=uptime, first=first, second=second, **octets))
    # snmpsim takes snapshots in the order in which the folder lists them: give the second one names until that is ours.
    while [int(place.stem) for place in snapshots.iterdir()] != [0, 1]:
        places[1] = places[1].rename(snapshots / f"0{places[1].name}")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    assert RESPONDER is not None
    folder = tmp_path_factory.mktemp("snmpsim")
    (folder / "plain.snmprec").write_text(PLAIN)
    write_snapshots(folder)
    number = free_port()
    command = [
        RESPONDER,
        f"--data-dir={folder}",
        f"--cache-dir={folder}/cache",
        f"--agent-udpv4-endpoint=127.0.0.1:{number}",
    ]
    command += ["--process-user=root", "--process-group=root", "--logging-method=file:" + str(folder / "log")]
    for name, (auth, priv, _, _) in USERS.items():
        command += [f"--v3-user={name}", "--v3-auth-key=authentic-words", f"--v3-auth-proto={auth}"]
        command += ["--v3-priv-key=private-words", f"--v3-priv-proto={priv}"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        yield number
        child.kill()


@pytest.fixture
async def target(port: int) -> SnmpTarget:
    """The simulator, once it answers."""
    patient = SnmpTarget("127.0.0.1", port, community=b"plain", timeout_seconds=0.2, tries=1)
    async with Snmp() as snmp:
        give_up = snmp.clock() + 20
        while snmp.clock() < give_up:
            if await snmp.answers(patient, UPTIME):
                return SnmpTarget("127.0.0.1", port, community=b"plain", timeout_seconds=0.1)
    raise AssertionError("snmpsim does not answer")


async def test_slow_answers_are_accepted_late_and_lost_ones_are_no_answer(target: SnmpTarget) -> None:
    """(R13)"""
    async with Snmp() as snmp:
        assert b"slow" == (await snmp.get(target, [(1, 3, 6, 1, 2, 1, 1, 5, 0)]))[0].value
        assert 1 == snmp.statistics.late_accepted
        with pytest.raises(NoAnswer):
            await snmp.get(target, [(1, 3, 6, 1, 2, 1, 1, 6, 0)])


async def test_errors_cost_only_their_own_varbind(target: SnmpTarget) -> None:
    """(R19, R20)"""
    asked = [UPTIME, (1, 3, 6, 1, 2, 1, 1, 7, 0), (1, 3, 6, 1, 2, 1, 1, 8, 0), (1, 3, 6, 1, 2, 1, 1, 1, 0)]
    async with Snmp() as snmp:
        found = await snmp.poll(snmp.prepare(target, [asked]))
    assert 123456 == found.values[0]
    assert b"simulated" == found.values[3]
    assert {1, 2} == set(found.failures)
    assert "genErr" in str(found.failures[1])


async def test_too_big_is_asked_in_halves_and_the_one_to_blame_is_named(target: SnmpTarget) -> None:
    """The agent says tooBig as soon as one variable is among those asked for (R14, R20)."""
    asked = [(*HC_OUT, 1), (1, 3, 6, 1, 2, 1, 1, 1, 0), (1, 3, 6, 1, 2, 1, 1, 9, 0), (*HC_OUT, 1), UPTIME]
    async with Snmp() as snmp:
        found = await snmp.poll(snmp.prepare(target, [asked]))
        assert snmp.device(target).size.limit < 6
    assert [2**64 - 1, b"simulated", None, 2**64 - 1, 123456] == found.values
    assert {2} == set(found.failures)
    assert "tooBig" in str(found.failures[2])


async def test_interfaces_that_swap_their_indexes_at_a_restart_keep_their_counters(target: SnmpTarget) -> None:
    """By the production path, against an agent that restarts with another order of its interfaces (R30)."""
    swapping = replace(target, community=b"swap", timeout_seconds=1)
    device = Device.model_validate(
        {
            "id": "swapping",
            "name": {"ja": "交換", "en": "Swapping"},
            "addresses": [target.address],
            "role": "server",
            "site": "none",
        }
    )
    seen = []
    async with Snmp() as snmp:
        asking = Asking(snmp, load_profiles(), {"swapping": (device, swapping)})
        uptime: object = None
        while len(seen) < 3:
            # Ask when a snapshot has just begun, so that it does not end in the middle of a poll.
            before, uptime = uptime, (await snmp.get(swapping, [UPTIME]))[0].value
            if before is not None and uptime != before:
                answer = await asking.ask("swapping", time.time_ns(), 10.0)
                assert isinstance(answer, DeviceReading)
                seen.append(answer)
    for answer in seen:
        assert dict(OCTETS) == dict(zip(answer.layout.names, answer.counters[:: len(COUNTERS)], strict=True))
    indexes = [dict(zip(answer.layout.names, answer.layout.if_indexes, strict=True)) for answer in seen]
    assert indexes[0] != indexes[1] != indexes[2]


async def test_counters_move_and_64_bits_are_whole(target: SnmpTarget) -> None:
    async with Snmp() as snmp:
        prepared = snmp.prepare(target, [[(*HC_IN, 1), (*HC_OUT, 1)]])
        found = [(await snmp.poll(prepared)).values for _ in range(5)]
    counts = [int(values[0] or 0) for values in found]
    assert sorted(counts) == counts
    assert counts[0] < counts[-1]
    assert [2**64 - 1] * 5 == [values[1] for values in found]


@pytest.mark.parametrize("name", USERS)
async def test_key_extensions_are_those_of_an_independent_agent(target: SnmpTarget, name: str) -> None:
    """Both extensions of keys for AES-192 and AES-256 (R8); the context chooses the data (R24)."""
    _, _, auth, priv = USERS[name]
    user = UsmUser(name, auth, priv=priv, **PASSWORDS)
    v3 = SnmpTarget(target.address, target.port, "3", user=user, context_name="plain", timeout_seconds=1)
    async with Snmp() as snmp:
        assert b"simulated" == (await snmp.get(v3, [(1, 3, 6, 1, 2, 1, 1, 1, 0)]))[0].value
        prepared = snmp.prepare(v3, [[(*HC_IN, 1)]])
        assert all([(await snmp.poll(prepared)).values[0] for _ in range(3)])
        assert 0 == snmp.statistics.general
