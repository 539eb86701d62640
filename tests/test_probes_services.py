"""What holds for every probe: one table, sentences for every outcome, no error but our own, whatever is answered."""

import asyncio
import errno
import re
import socket
import ssl
import string
from dataclasses import fields
from pathlib import Path

import aiohttp
import pytest
from dns.exception import DNSException
from dns.message import ShortHeader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import probes
from probes.errors import LocalError, NoAnswer, NotAsked, ProbeError, RemoteError
from probes.foreign import _MAP, FOREIGN, Circumstance, mapped
from probes.result import Observation, Question, ServiceState
from probes.sentences import PHASES, SENTENCES, sentence
from probes.services import PROBES, probe_service
from probes.text import printable

FOLDER = Path(probes.__file__).parent
AT = Circumstance(Observation("192.0.2.1:80"), "192.0.2.1", 3.0)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("reason", SENTENCES)
def test_a_sentence_names_the_same_facts_in_both_languages_and_ends(reason):
    japanese, english = SENTENCES[reason]
    assert placeholders(japanese) == placeholders(english)
    assert japanese.endswith("。")
    assert english.endswith(".")


def test_every_reason_that_probes_give_has_a_sentence_and_every_sentence_a_reason():
    given_reasons: set[str] = set()
    for path in FOLDER.glob("*.py"):
        if path.name != "sentences.py":
            given_reasons |= set(re.findall(r'"([a-z_]+)"', path.read_text())) & set(SENTENCES)
    raised = {
        reason
        for path in FOLDER.glob("*.py")
        for reason in re.findall(r'(?:NoAnswer|NotAsked|RemoteError|Found)\(\s*"([a-z_]+)"', path.read_text())
    }
    assert set(SENTENCES) == given_reasons
    assert set() == raised - set(SENTENCES)


def test_the_options_of_every_kind_are_fields_of_the_question():
    known = {field.name for field in fields(Question)} - {"target", "timeout_seconds", "family"}
    assert set().union(*(probe.options for probe in PROBES.values())) == known


def test_every_foreign_error_has_its_row_and_no_row_hides_a_narrower_one():
    """The map is complete (style rule 6)."""
    rows = [kind for kind, _ in _MAP]
    for kind in FOREIGN:
        assert any(issubclass(kind, row) for row in rows)
    for number, row in enumerate(rows):
        assert not any(issubclass(row, before) for before in rows[:number]), row


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (TimeoutError(), NoAnswer, "no_answer"),
        (OSError(errno.ETIMEDOUT, "timed out"), NoAnswer, "no_answer"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), RemoteError, "refused"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), RemoteError, "closed"),
        (BrokenPipeError(errno.EPIPE, "pipe"), RemoteError, "closed"),
        (asyncio.IncompleteReadError(b"", 2), RemoteError, "closed"),
        (ssl.SSLEOFError(8, "EOF"), RemoteError, "closed"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), RemoteError, "tls_failed"),
        (OSError(errno.EHOSTUNREACH, "no route"), RemoteError, "unreachable"),
        (OSError(errno.ENETUNREACH, "no route"), RemoteError, "unreachable"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), RemoteError, "name_unknown"),
        (socket.gaierror(socket.EAI_AGAIN, "again"), NotAsked, "name_unresolved"),
        (OSError(errno.EMFILE, "too many files"), LocalError, None),
        (OSError(errno.EADDRNOTAVAIL, "no address"), LocalError, None),
        (PermissionError(errno.EACCES, "denied"), LocalError, None),
        (aiohttp.ServerDisconnectedError(), RemoteError, "closed"),
        (aiohttp.ClientPayloadError("cut"), RemoteError, "malformed"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), RemoteError, "closed"),
        (aiohttp.InvalidURL("gopher:"), RemoteError, "malformed"),
        (ShortHeader(), RemoteError, "malformed"),
        (DNSException("x"), RemoteError, "malformed"),
        (UnicodeError("label too long"), NotAsked, "name_unresolved"),
    ],
)
def test_foreign_errors_are_sorted_by_blame(error, kind, reason):
    ours = mapped(error, AT)
    assert type(ours) is kind
    assert reason == getattr(ours, "reason", None)
    assert str(ours)


def test_an_unreachable_target_is_told_in_both_languages():
    error = mapped(OSError(errno.EHOSTUNREACH, ""), AT)
    assert isinstance(error, RemoteError)
    assert "192.0.2.1:80 へ到達できません（no route to host）。" == sentence(error.reason, error.facts, "ja")
    assert "192.0.2.1:80 cannot be reached (no route to host)." == str(error)


def test_a_name_service_that_keeps_silent_is_our_own_matter():
    """A service must not be called down because this machine cannot resolve its name."""
    observation = Observation("www.example.jp:80")
    observation.enter("resolve")
    error = mapped(TimeoutError(), Circumstance(observation, "www.example.jp", 10.0))
    assert isinstance(error, NotAsked)
    japanese = "監視サーバーで名前 www.example.jp を解決できず、確認できませんでした（10 秒以内に応答なし）。"
    assert japanese == sentence(error.reason, error.facts, "ja")
    assert "This machine cannot resolve the name www.example.jp, so nobody was asked (no answer within 10 s)." == str(
        error
    )


def test_the_phases_of_an_observation_add_up():
    """Time is an argument: resolve 1 s, connect 2 s, resolve again 3 s, the rest is not told."""
    now = [0.0]
    observation = Observation("x", clock=lambda: now[0])
    for at, phase in ((10.0, "resolve"), (11.0, "connect"), (13.0, "resolve"), (16.0, "rest")):
        now[0] = at
        observation.enter(phase)
    now[0] = 20.0
    observation.finish()
    now[0] = 30.0
    observation.enter("first_byte")
    assert {"resolve": 4.0, "connect": 2.0} == observation.phases
    assert 20.0 == observation.response_seconds
    assert {"resolve", "connect", "tls", "first_byte", "rest"} == set(PHASES)


@given(st.text())
def test_what_is_shown_is_one_clean_short_line(text):
    """(R77)."""
    shown = printable(text, 40)
    assert len(shown) <= 40
    assert all(sign.isprintable() or sign == "　" for sign in shown)
    assert shown == printable(shown, 40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(PROBES)), reply=st.binary(max_size=300), hang_up=st.booleans())
def test_whatever_is_answered_a_probe_ends_with_a_sentence(kind, reply, hang_up):
    """Hostile octets by TCP and UDP at the same port: a result, in time, in clean letters (R77)."""

    async def hostile() -> None:
        async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(reply)
            if not hang_up:
                await reader.read()
            writer.close()

        class Udp(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.DatagramTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                self.transport.sendto(data[:2] + reply, addr)

        server = await asyncio.start_server(tcp, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        try:
            datagrams, _ = await loop.create_datagram_endpoint(Udp, local_addr=("127.0.0.1", port))
        except OSError:  # somebody else has that UDP port
            server.close()
            return
        target = f"http://127.0.0.1:{port}/" if kind == "http" else f"127.0.0.1:{port}"
        question = Question(target, timeout_seconds=0.05, query="a.example" if kind == "dns" else None)
        result = await probe_service(kind, question)
        datagrams.close()
        server.close()
        assert result.state in ServiceState
        assert result.sentence("ja").isprintable()
        assert result.sentence("en").isprintable()
        assert all(text.isprintable() for _, text in result.evidence)

    asyncio.run(hostile())


async def test_a_service_that_is_down_is_a_result_and_no_error():
    """Only a question without sense is an error, and it is one of ours."""
    with pytest.raises(ProbeError):
        await probe_service("tcp", Question("nonsense:port"))
