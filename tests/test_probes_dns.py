"""The DNS probe against Debian's dnsmasq, and against servers that are wrong in their own ways."""

import asyncio
import shutil
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from poller.free_ports import free_port
from probes.errors import BadQuestion
from probes.result import Question, ServiceState
from probes.services import probe_service

DNSMASQ = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin")
WWW = "www.pref.example.jp"


@pytest.fixture(scope="module")
def dnsmasq() -> Iterator[str]:
    """A real server: www is 192.0.2.80 and 2001:db8::80, mail goes to mx1, other names of example.jp do not exist."""
    if DNSMASQ is None:
        pytest.skip("dnsmasq is not installed (apt-get install dnsmasq-base)")
    port = free_port()
    records = (
        *(f"--host-record={WWW},192.0.2.80,2001:db8::80", "--mx-host=pref.example.jp,mx1.pref.example.jp,10"),
        *("--local=/example.jp/", "--txt-record=note.pref.example.jp,hello"),
    )
    command = (DNSMASQ, "--keep-in-foreground", f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces")
    quiet = ("--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--user=", "--group=")
    server = subprocess.Popen((*command, *quiet, *records))
    try:
        while True:
            assert server.poll() is None, "dnsmasq ended"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                continue
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


Answer = Callable[[dns.message.Message], bytes | None]


@asynccontextmanager
async def server(by_udp: Answer, by_tcp: Answer | None = None) -> AsyncIterator[str]:
    """A server with an answer of its own for each transport; without one for TCP nothing listens there."""

    class Udp(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            wire = by_udp(dns.message.from_wire(data))
            if wire is not None:
                self.transport.sendto(wire, addr)

    async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        wire = by_tcp(dns.message.from_wire(await reader.readexactly(length)))
        if wire is not None:
            writer.write(struct.pack("!H", len(wire)) + wire)
            await writer.drain()
        writer.close()

    port = free_port()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Udp, local_addr=("127.0.0.1", port))
    stream = None if by_tcp is None else await asyncio.start_server(tcp, "127.0.0.1", port)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        transport.close()
        if stream is not None:
            stream.close()


def says(*records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, flags: int = 0) -> Answer:
    """A reply with these A records, this rcode and these flags."""

    def answer(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        reply.set_rcode(rcode)
        reply.flags |= flags
        if records:
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", *records))
        return reply.to_wire()

    return answer


async def ask(target: str, **options: object):
    return await probe_service("dns", Question(target, **({"query": WWW, "timeout_seconds": 5} | options)))


# ---- healthy


async def test_a_healthy_server_is_up_by_udp_and_tcp_with_the_time_of_its_answer(dnsmasq):
    """(R39)."""
    result = await ask(dnsmasq, expect="192.0.2.80")
    assert ServiceState.UP == result.state
    assert f"{dnsmasq} は {WWW} に 192.0.2.80 と答えました。" == result.sentence("ja")
    assert f"{dnsmasq} answered 192.0.2.80 for {WWW}." == result.sentence("en")
    assert {"connect", "first_byte"} == set(result.phases)
    assert 0 < result.response_seconds <= sum(result.phases.values())


@pytest.mark.parametrize(
    ("query", "options", "answer"),
    [
        (WWW, {}, "192.0.2.80"),
        (WWW, {"expect": "2001:DB8:0::80"}, "2001:db8::80"),
        (WWW, {"record_type": "AAAA", "transport": "tcp"}, "2001:db8::80"),
        ("pref.example.jp", {"record_type": "MX", "expect": "10 MX1.pref.example.jp"}, "10 mx1.pref.example.jp."),
        ("note.pref.example.jp", {"record_type": "TXT", "expect": "hello", "transport": "udp"}, '"hello"'),
        ("none.pref.example.jp", {"expect": "NXDOMAIN"}, "NXDOMAIN"),
    ],
)
async def test_records_of_every_type_and_their_absence_can_be_expected(dnsmasq, query, options, answer):
    result = await ask(dnsmasq, query=query, **options)
    assert (ServiceState.UP, answer) == (result.state, result.facts["answer"])


async def test_an_answer_cut_short_by_udp_is_taken_from_tcp():
    async with server(says(flags=dns.flags.TC), says("192.0.2.80")) as target:
        result = await ask(target, transport="udp", expect="192.0.2.80")
    assert ServiceState.UP == result.state


async def test_datagrams_that_answer_something_else_are_passed_over():
    """A forged or late answer must not decide (R77)."""

    def other(query: dns.message.Message) -> bytes:
        return dns.message.make_response(dns.message.make_query("other.example.", "A", id=query.id)).to_wire()

    lines: list[str] = []
    async with server(other) as target:
        question = Question(target, query=WWW, transport="udp", timeout_seconds=0.2)
        result = await probe_service("dns", question, lines.append)
    assert "no_answer" == result.reason
    assert any("answers another question" in line for line in lines)


# ---- broken


async def test_a_server_that_is_not_there_refuses():
    target = f"127.0.0.1:{free_port()}"
    result = await ask(target)
    assert (ServiceState.DOWN, None) == (result.state, result.response_seconds)
    assert f"{target} (UDP) は接続を拒否しました。このポートで待ち受けるプログラムがありません。" == result.sentence(
        "ja"
    )
    assert f"{target} (UDP) refused the connection: nothing listens on that port." == result.sentence("en")


async def test_a_server_that_keeps_silent_is_down_at_the_deadline():
    async with server(lambda _: None) as target:
        result = await ask(target, timeout_seconds=0.1)
    assert ServiceState.DOWN == result.state
    assert f"{target} (UDP) から 0.1 秒以内に応答がありません（応答待ちの段階）。" == result.sentence("ja")
    assert f"{target} (UDP) gave no answer within 0.1 s (while waiting for the first answer)." == result.sentence("en")


async def test_another_record_than_expected_is_down_and_both_are_named(dnsmasq):
    result = await ask(dnsmasq, expect="192.0.2.81")
    assert ServiceState.DOWN == result.state
    assert f"{dnsmasq} (UDP) は {WWW} に 192.0.2.80 と答えました（期待は 192.0.2.81）。" == result.sentence("ja")
    assert f"{dnsmasq} (UDP) answered 192.0.2.80 for {WWW} (expected: 192.0.2.81)." == result.sentence("en")
    assert result.response_seconds is not None


async def test_a_name_that_does_not_exist_is_down(dnsmasq):
    result = await ask(dnsmasq, query="none.pref.example.jp")
    assert f"{dnsmasq} (UDP) は none.pref.example.jp に NXDOMAIN と答えました（期待は NOERROR）。" == result.sentence(
        "ja"
    )


async def test_a_name_without_the_record_is_down(dnsmasq):
    result = await ask(dnsmasq, record_type="MX")
    assert f"{dnsmasq} (UDP) は {WWW} の MX レコードを返しません。" == result.sentence("ja")
    assert f"{dnsmasq} (UDP) has no MX record for {WWW}." == result.sentence("en")


async def test_a_name_that_must_not_exist_and_does_is_down(dnsmasq):
    result = await ask(dnsmasq, expect="NXDOMAIN")
    assert f"{dnsmasq} (UDP) は、存在しないはずの {WWW} に 192.0.2.80 と答えました。" == result.sentence("ja")
    assert f"{dnsmasq} (UDP) answered 192.0.2.80 for {WWW}, which must not exist." == result.sentence("en")


async def test_a_server_that_fails_inside_says_so_in_its_rcode():
    async with server(says(rcode=dns.rcode.SERVFAIL)) as target:
        result = await ask(target)
    assert f"{target} (UDP) は {WWW} に SERVFAIL と答えました（期待は NOERROR）。" == result.sentence("ja")


async def test_a_server_that_answers_by_udp_alone_is_down_by_tcp():
    async with server(says("192.0.2.80")) as target:
        result = await ask(target)
    assert f"{target} (TCP) は接続を拒否しました。このポートで待ち受けるプログラムがありません。" == result.sentence(
        "ja"
    )


async def test_a_tcp_connection_that_is_cut_is_told():
    async with server(says("192.0.2.80"), lambda _: None) as target:
        result = await ask(target)
    assert f"{target} (TCP) は途中で接続を切りました（応答待ちの段階）。" == result.sentence("ja")
    assert f"{target} (TCP) closed the connection (while waiting for the first answer)." == result.sentence("en")


async def test_an_answer_that_is_no_dns_is_told():
    async with server(lambda query: query.to_wire()[:2] + b"\xff" * 20) as target:
        result = await ask(target)
    assert (ServiceState.DOWN, "malformed") == (result.state, result.reason)
    assert result.sentence("ja").startswith(f"{target} (UDP) の応答は DNS として読めません（")


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("127.0.0.1:70000", {}),
        ("http://127.0.0.1/", {}),
        ("127.0.0.1", {"query": None}),
        ("127.0.0.1", {"query": "a" * 64 + ".example"}),
        ("127.0.0.1", {"record_type": "NO-SUCH"}),
    ],
)
async def test_a_question_without_sense_is_refused_and_nobody_asked(target, options):
    with pytest.raises(BadQuestion):
        await ask(target, **options)
