"""Against Debian's snmpd: every version, every auth x priv pair it offers, wrong passwords and users, restarts."""

import asyncio
import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from poller.free_ports import free_port
from probes.snmp import AuthProtocol, Missing, PrivProtocol, Snmp, SnmpError, SnmpTarget, UsmUser, VarBind
from probes.snmp.engine import EngineClock
from probes.snmp.errors import (
    NoAnswer,
    NotAsked,
    Refused,
    UnknownUser,
    UnsupportedLevel,
    WrongPassword,
    WrongPrivacyPassword,
)
from probes.snmp.values import Tag

pytestmark = pytest.mark.skipif(shutil.which("snmpd") is None, reason="snmpd is not installed")

SYS_NAME = (1, 3, 6, 1, 2, 1, 1, 5, 0)
SYS_UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
IF_DESCR = (1, 3, 6, 1, 2, 1, 2, 2, 1, 2)
IF_HC_IN_OCTETS = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6)
NOWHERE = (1, 3, 6, 1, 2, 1, 1, 99, 0)
AUTHS = {
    "md5": (AuthProtocol.MD5, "MD5"),
    "sha": (AuthProtocol.SHA1, "SHA"),
    "sha224": (AuthProtocol.SHA224, "SHA-224"),
    "sha256": (AuthProtocol.SHA256, "SHA-256"),
    "sha384": (AuthProtocol.SHA384, "SHA-384"),
    "sha512": (AuthProtocol.SHA512, "SHA-512"),
}
PRIVS = {
    "des": (PrivProtocol.DES, "DES"),
    "aes": (PrivProtocol.AES128, "AES"),
    "aes192": (PrivProtocol.AES192, "AES-192"),
    "aes256": (PrivProtocol.AES256, "AES-256"),
}
AUTH_PASSWORD, PRIV_PASSWORD = b"authentic-words", b"private-words"


@dataclass
class Agent:
    port: int
    folder: Path
    child: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        log = (self.folder / "log").open("wb")
        command = [
            "snmpd", "-f", "-Lo", "-I", "-smux", f"udp:127.0.0.1:{self.port}",
        ]  # fmt: skip
        state = self.folder / "state"
        environment = {
            "SNMPCONFPATH": f"{self.folder}:{state}",
            "SNMP_PERSISTENT_DIR": str(state),
            "PATH": "/usr/sbin:/usr/bin:/bin",
        }
        self.child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        give_up = time.monotonic() + 20
        question = bytes.fromhex("302602010104067075626c6963a019020400000001020100020100300b300906052b060102010500")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.1)
            while time.monotonic() < give_up:
                try:
                    sock.sendto(question, ("127.0.0.1", self.port))
                    sock.recv(2000)
                except OSError:
                    continue
                return
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        assert self.child is not None
        self.child.terminate()
        self.child.wait()

    def forget_boots(self) -> None:
        shutil.rmtree(self.folder / "state")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("snmpd")
    port = free_port()
    lines = ["rocommunity public", "sysName fire-tower", "engineIDType 3"]
    for (auth_name, (_, auth)), (priv_name, (_, priv)) in itertools.product(AUTHS.items(), PRIVS.items()):
        user = f"{auth_name}-{priv_name}"
        lines += [
            f'createUser {user} {auth} "{AUTH_PASSWORD.decode()}" {priv} "{PRIV_PASSWORD.decode()}"',
            f"rouser {user} auth",
        ]
    lines += ["createUser nobody", "rouser nobody noauth"]
    # A context of its own, in which sysName is what outside it is sysContact.
    lines += [
        "sysContact watch-room",
        "view everything included .1",
        'createUser guest SHA "authentic-words" AES "private-words"',
        "rouser guest auth -V everything vlan-7",
        f"proxy -Cn vlan-7 -v 2c -c public 127.0.0.1:{port} .1.3.6.1.2.1.1.5 .1.3.6.1.2.1.1.4",
    ]
    (folder / "snmpd.conf").write_text("\n".join(lines) + "\n")
    running = Agent(port, folder)
    running.start()
    yield running
    running.stop()


def community_target(agent: Agent, version: str = "2c") -> SnmpTarget:
    return SnmpTarget("127.0.0.1", agent.port, version, b"public")


def user_target(agent: Agent, user: UsmUser, **more: object) -> SnmpTarget:
    return SnmpTarget("127.0.0.1", agent.port, "3", user=user, **more)


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_get_gives_values_in_order_and_says_what_is_missing(agent: Agent, version: str) -> None:
    """v1 says it by noSuchName for the whole PDU, v2c for each variable (R8, R19)."""
    async with Snmp() as snmp:
        name, nowhere, uptime = await snmp.get(community_target(agent, version), [SYS_NAME, NOWHERE, SYS_UPTIME])
    assert VarBind(SYS_NAME, b"fire-tower", Tag.OCTET_STRING) == name
    assert isinstance(nowhere.value, Missing)
    assert Tag.TIME_TICKS == uptime.tag


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_walk_reads_a_subtree_to_its_end(agent: Agent, version: str) -> None:
    async with Snmp() as snmp:
        names = [varbind.value async for varbind in snmp.walk(community_target(agent, version), IF_DESCR)]
    assert b"lo" == names[0]


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_table_has_its_rows_by_index(agent: Agent, version: str) -> None:
    columns = [IF_DESCR, (1, 3, 6, 1, 2, 1, 2, 2, 1, 7), NOWHERE]
    async with Snmp() as snmp:
        table = await snmp.table(community_target(agent, version), columns)
    assert table.complete
    assert {IF_DESCR: b"lo", columns[1]: 1} == table.rows[1,]


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_poll_gives_flat_values_and_learns_what_is_missing(agent: Agent, version: str) -> None:
    descr, nowhere = (*IF_DESCR, 1), (*IF_DESCR, 4711)
    async with Snmp() as snmp:
        prepared = snmp.prepare(community_target(agent, version), [[descr, nowhere], [SYS_NAME, SYS_UPTIME]])
        first = await snmp.poll(prepared)
        second = await snmp.poll(prepared)
        third = await snmp.poll(prepared)
    for answer in (first, second, third):
        assert [b"lo", None, b"fire-tower"] == answer.values[:3]
        assert [1] == list(answer.missing)
        assert answer.uptime_ticks[0] == answer.values[3]
        assert answer.received_ns[1] is not None
    assert (1, 0, 0) == (first.fallbacks, second.fallbacks, third.fallbacks)
    assert snmp.statistics.in_order >= 1


async def test_nobody_there_is_told_at_once(agent: Agent) -> None:
    port = free_port()
    async with Snmp() as snmp:
        with pytest.raises(Refused, match=r"127\.0\.0\.1 refuses SNMP: nobody listens on its SNMP port\."):
            await snmp.get(SnmpTarget("127.0.0.1", port, community=b"public"), [SYS_NAME])


async def test_wrong_community_is_no_answer(agent: Agent) -> None:
    target = SnmpTarget("127.0.0.1", agent.port, community=b"wrong", timeout_seconds=0.05, tries=2)
    async with Snmp() as snmp:
        with pytest.raises(NoAnswer, match="did not answer"):
            await snmp.get(target, [SYS_NAME])
    assert 2 == snmp.statistics.sent


@pytest.mark.parametrize(("auth", "priv"), list(itertools.product(AUTHS, [None, *PRIVS])))
async def test_every_pair_of_protocols_is_understood(agent: Agent, auth: str, priv: str | None) -> None:
    """Every hash with every cipher that net-snmp has, and without one (R8)."""
    user = UsmUser(
        f"{auth}-{priv or 'aes'}",
        AUTHS[auth][0],
        AUTH_PASSWORD,
        PRIVS[priv][0] if priv else None,
        PRIV_PASSWORD if priv else b"",
    )
    async with Snmp() as snmp:
        target = user_target(agent, user)
        assert b"fire-tower" == (await snmp.get(target, [SYS_NAME]))[0].value
        prepared = snmp.prepare(target, [[SYS_NAME], [(*IF_HC_IN_OCTETS, 1)]])
        answers = [await snmp.poll(prepared) for _ in range(3)]
    assert [b"fire-tower"] * 3 == [answer.values[0] for answer in answers]
    assert 0 == snmp.statistics.not_authentic
    assert 0 == snmp.statistics.general
    assert 1 <= snmp.statistics.fast


async def test_no_authentication_and_no_privacy(agent: Agent) -> None:
    """(R8)"""
    async with Snmp() as snmp:
        varbinds = await snmp.get(user_target(agent, UsmUser("nobody")), [SYS_NAME])
    assert b"fire-tower" == varbinds[0].value


SHA_AES = {"auth": AuthProtocol.SHA1, "priv": PrivProtocol.AES128}


@pytest.mark.parametrize(
    ("user", "error"),
    [
        (UsmUser("sha-aes", auth_password=b"wrong-words", priv_password=PRIV_PASSWORD, **SHA_AES), WrongPassword),
        (
            UsmUser("sha-aes", auth_password=AUTH_PASSWORD, priv_password=b"wrong-words", **SHA_AES),
            WrongPrivacyPassword,
        ),
        (UsmUser("stranger", auth_password=AUTH_PASSWORD, priv_password=PRIV_PASSWORD, **SHA_AES), UnknownUser),
        (UsmUser("nobody", auth_password=AUTH_PASSWORD, priv_password=PRIV_PASSWORD, **SHA_AES), UnsupportedLevel),
    ],
)
async def test_each_refusal_is_an_error_of_its_own(agent: Agent, user: UsmUser, error: type[Exception]) -> None:
    """(R12)"""
    async with Snmp() as snmp:
        with pytest.raises(SnmpError) as raised:
            await snmp.get(user_target(agent, user, timeout_seconds=0.3, tries=1), [SYS_NAME])
    assert error is type(raised.value)


async def test_a_wrong_password_is_not_tried_at_full_rate(agent: Agent) -> None:
    """Each poll by itself, three tries of eight PDUs, would fill the agent's log and lock users out elsewhere (R12)."""
    user = UsmUser("sha-aes", AuthProtocol.SHA1, b"wrong-words", PrivProtocol.AES128, PRIV_PASSWORD)
    async with Snmp() as snmp:
        target = user_target(agent, user)
        prepared = snmp.prepare(target, [[SYS_NAME], [SYS_UPTIME]])
        with pytest.raises(WrongPassword):
            await snmp.poll(prepared)
        sent = snmp.statistics.sent
        assert sent <= 3
        for _ in range(5):
            with pytest.raises(NotAsked, match="refuses the authentication password"):
                await snmp.poll(prepared)
        assert sent == snmp.statistics.sent
        assert 0 == snmp.statistics.retries


async def test_engine_whose_boots_were_reset_recovers_within_one_poll(agent: Agent) -> None:
    """One round trip more, no operator, and it is counted (R9, R10)."""
    user = UsmUser("sha256-aes", AuthProtocol.SHA256, AUTH_PASSWORD, PrivProtocol.AES128, PRIV_PASSWORD)
    for _ in range(3):
        agent.stop()
        await asyncio.to_thread(agent.start)
    async with Snmp() as snmp:
        target = user_target(agent, user)
        prepared = snmp.prepare(target, [[SYS_NAME]])
        await snmp.poll(prepared)
        engine = snmp.device(target).engine
        assert engine is not None
        boots_before = engine.boots
        agent.stop()
        agent.forget_boots()
        await asyncio.to_thread(agent.start)
        answer = await snmp.poll(prepared)
        assert [b"fire-tower"] == answer.values
        assert boots_before > engine.boots
        assert 1 == snmp.statistics.resynchronised
        assert 0 == answer.retries


async def test_replaced_unit_is_found_again_and_told(agent: Agent) -> None:
    """After a failover another engine answers at the address; the series go on, and the change is said once (R11)."""
    user = UsmUser("sha-aes", AuthProtocol.SHA1, AUTH_PASSWORD, PrivProtocol.AES128, PRIV_PASSWORD)
    configuration = agent.folder / "snmpd.conf"
    kept = configuration.read_text()
    async with Snmp() as snmp:
        prepared = snmp.prepare(user_target(agent, user), [[SYS_NAME], [SYS_UPTIME]])
        assert not (await snmp.poll(prepared)).engine_changed
        agent.stop()
        agent.forget_boots()
        configuration.write_text(kept.replace("engineIDType 3", "engineID another-unit"))
        await asyncio.to_thread(agent.start)
        try:
            found = [await snmp.poll(prepared) for _ in range(2)]
        finally:
            agent.stop()
            agent.forget_boots()
            configuration.write_text(kept)
            await asyncio.to_thread(agent.start)
    assert [b"fire-tower"] * 2 == [answer.values[0] for answer in found]
    assert [True, False] == [answer.engine_changed for answer in found]
    assert 0 == found[1].fallbacks


async def test_two_targets_with_one_engine_id_are_named(agent: Agent) -> None:
    """(R11)"""
    user = UsmUser("sha-aes", AuthProtocol.SHA1, AUTH_PASSWORD, PrivProtocol.AES128, PRIV_PASSWORD)
    async with Snmp() as snmp:
        assert {} == snmp.shared_engines()
        for address in ("127.0.0.1", "127.0.0.2"):
            target = SnmpTarget(address, agent.port, "3", user=user, timeout_seconds=0.2, tries=1)
            snmp.device(target).engine = EngineClock(b"cloned")
        assert [(("127.0.0.1", agent.port), ("127.0.0.2", agent.port))] == list(snmp.shared_engines().values())


GUEST = UsmUser("guest", AuthProtocol.SHA1, AUTH_PASSWORD, PrivProtocol.AES128, PRIV_PASSWORD)


async def test_contexts_reach_the_agent(agent: Agent) -> None:
    """The same variable of the same agent has another value in a context, by single questions and polls alike (R24)."""
    async with Snmp() as snmp:
        target = user_target(agent, GUEST, context_name="vlan-7")
        assert b"watch-room" == (await snmp.get(target, [SYS_NAME]))[0].value
        prepared = snmp.prepare(target, [[SYS_NAME]])
        assert [b"watch-room"] == (await snmp.poll(prepared)).values


async def test_a_context_that_the_agent_does_not_have_is_a_possible_reason(agent: Agent) -> None:
    """Net-snmp is silent on such a request, as it is on one that it cannot decrypt."""
    async with Snmp() as snmp:
        with pytest.raises(
            SnmpError, match=r"privacy password or protocol is another one, or it has no context 'none'\."
        ):
            await snmp.get(user_target(agent, GUEST, context_name="none", timeout_seconds=0.2, tries=1), [SYS_NAME])
