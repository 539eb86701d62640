"""The NTP probe against Debian's chronyd, and against servers whose time is wrong in their own ways."""

import asyncio
import shutil
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.free_ports import free_port
from probes.ntp_packet import UNIX_EPOCH, Malformed, decode_reply, encode_query
from probes.result import ProbeResult, Question, ServiceState
from probes.services import probe_service

CHRONYD = shutil.which("chronyd", path="/usr/sbin:/usr/bin")


def chrony(folder, *settings: str) -> Iterator[str]:
    """Debian's chronyd on a free port, touching neither the clock nor anything else of this machine."""
    if CHRONYD is None:
        pytest.skip("chronyd is not installed (apt-get install chrony)")
    port = free_port()
    folder.chmod(0o700)
    lines = (f"port {port}", "bindaddress 127.0.0.1", "cmdport 0", f"pidfile {folder}/pid", "allow 127.0.0.1")
    command = (CHRONYD, "-x", "-d", "-u", "root", "-f", "/dev/null", *lines, "bindcmdaddress /", *settings)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        target = f"127.0.0.1:{port}"
        while (result := asyncio.run(ask(target, timeout_seconds=0.5))).reason in {"refused", "no_answer"}:
            assert server.poll() is None, "chronyd ended"
        assert "malformed" != result.reason
        yield target
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def synchronised(tmp_path_factory) -> Iterator[str]:
    yield from chrony(tmp_path_factory.mktemp("chrony"), "local stratum 3")


@pytest.fixture(scope="module")
def unsynchronised(tmp_path_factory) -> Iterator[str]:
    yield from chrony(tmp_path_factory.mktemp("chrony"))


def reply(
    query: bytes, stratum: int = 2, leap: int = 0, ahead_seconds: float = 0.0, reference: bytes = b"GPS\0"
) -> bytes:
    """A server's answer to the query, by its own clock."""
    stamp = int((time.time() + UNIX_EPOCH + ahead_seconds) * 2**32) % 2**64
    first = leap << 6 | 4 << 3 | 4
    return (
        struct.pack("!BBbb2I4sQ", first, stratum, 6, -20, 0, 0, reference, stamp)
        + query[40:48]
        + struct.pack("!QQ", stamp, stamp)
    )


@asynccontextmanager
async def server(answer: Callable[[bytes], list[bytes]]) -> AsyncIterator[str]:
    class Udp(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for one in answer(data):
                self.transport.sendto(one, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Udp, local_addr=("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def ask(target: str, **options: object) -> ProbeResult:
    return await probe_service("ntp", Question(target, **({"timeout_seconds": 5} | options)))


# ---- healthy


async def test_a_synchronised_server_is_up_with_its_offset_and_stratum(synchronised):
    """(R39)."""
    result = await ask(synchronised)
    assert ServiceState.UP == result.state
    assert "3" == result.facts["stratum"]
    assert abs(float(result.facts["offset"])) < 0.5
    sentence = f"{synchronised} の時刻は正常です（差 {result.facts['offset']} 秒、stratum 3）。"
    assert sentence == result.sentence("ja")
    assert f"{synchronised} gives the time (offset {result.facts['offset']} s, stratum 3)." == result.sentence("en")
    assert {"first_byte"} == set(result.phases)


async def test_answers_to_somebody_elses_question_are_passed_over():
    """A forged answer does not know our nonce (R77)."""
    async with server(lambda query: [reply(bytes(48), ahead_seconds=900), reply(query)]) as target:
        result = await ask(target)
    assert ServiceState.UP == result.state


# ---- broken


async def test_a_server_that_does_not_trust_its_own_clock_is_down(unsynchronised):
    result = await ask(unsynchronised)
    assert ServiceState.DOWN == result.state
    assert f"{unsynchronised} は時刻が合っていないと答えています（leap 3, stratum 0）。" == result.sentence("ja")
    sentence = f"{unsynchronised} says itself that its clock is not synchronised (leap 3, stratum 0)."
    assert sentence == result.sentence("en")


async def test_a_clock_that_is_far_off_is_down_and_both_clocks_are_suspected():
    async with server(lambda query: [reply(query, ahead_seconds=7.25)]) as target:
        result = await ask(target)
    assert ServiceState.DOWN == result.state
    assert 7.2 < float(result.facts["offset"]) < 7.3
    offset = result.facts["offset"]
    japanese = f"{target} と監視サーバーの時計に {offset} 秒の差があります（許容 1 秒）。双方の時計を確かめてください。"
    assert japanese == result.sentence("ja")
    english = f"The clocks of {target} and of this machine differ by {offset} s (at most 1 s); look at both."
    assert english == result.sentence("en")


async def test_how_far_off_a_clock_may_be_can_be_set():
    async with server(lambda query: [reply(query, ahead_seconds=-7.25)]) as target:
        assert ServiceState.UP == (await ask(target, offset_seconds=10)).state


async def test_a_kiss_of_death_is_down_with_its_code():
    async with server(lambda query: [reply(query, stratum=0, leap=3, reference=b"DENY")]) as target:
        result = await ask(target)
    assert f"{target} は時刻の提供を断りました（DENY）。" == result.sentence("ja")
    assert f"{target} declines to give the time (DENY)." == result.sentence("en")


async def test_a_server_that_keeps_silent_is_down_at_the_deadline():
    async with server(lambda _: []) as target:
        result = await ask(target, timeout_seconds=0.2)
    assert f"{target} から 0.2 秒以内に応答がありません（応答待ちの段階）。" == result.sentence("ja")


async def test_a_server_that_is_not_there_refuses():
    target = f"127.0.0.1:{free_port()}"
    result = await ask(target)
    assert f"{target} は接続を拒否しました。このポートで待ち受けるプログラムがありません。" == result.sentence("ja")


async def test_what_is_no_ntp_is_told():
    async with server(lambda query: [query]) as target:
        result = await ask(target)
    assert f"{target} の応答は NTP として読めません（mode 3, and not a server's）。" == result.sentence("ja")


@given(st.binary(max_size=80))
def test_any_octets_are_decoded_or_refused(datagram):
    """(R77)."""
    try:
        decoded = decode_reply(datagram, 1.8e9)
    except Malformed:
        return
    assert abs(decoded.transmit_seconds - 1.8e9) <= 2**31


@given(st.floats(1e9, 1e10), st.floats(-1e5, 1e5), st.floats(0, 2))
def test_the_offset_is_right_in_every_era_of_ntp(now, ahead, trip):
    """The 32 bits of seconds end on 7 February 2036 (RFC 5905, 6)."""
    query = encode_query(77)
    server_time = int((now + trip / 2 + ahead + UNIX_EPOCH) * 2**32) % 2**64
    answer = (
        struct.pack("!BBbb2I4sQ", 36, 2, 6, -20, 0, 0, b"GPS\0", 0)
        + query[40:]
        + struct.pack("!QQ", server_time, server_time)
    )
    assert ahead == pytest.approx(decode_reply(answer, now).offset_seconds(now, now + trip), abs=1e-4)
