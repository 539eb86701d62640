"""`hinomi probe`: what people and scripts see of one question to one service."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from poller.cli import app
from poller.free_ports import free_port

EXAMPLE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"


@pytest.fixture
def listening() -> Iterator[str]:
    """A port that accepts connections."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield f"127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    return f"127.0.0.1:{free_port()}"


def hinomi(*words: str) -> Result:
    return CliRunner().invoke(app, ["probe", *words])


def test_a_service_that_serves_is_told_with_its_phases(listening):
    result = hinomi("tcp", listening, "--lang", "ja")
    assert 0 == result.exit_code
    assert f"正常  {listening} に接続できます。" == result.stdout.splitlines()[0]
    assert "接続" in result.stdout
    assert "ms" in result.stdout


def test_a_service_that_does_not_serve_is_exit_status_1(closed):
    result = hinomi("tcp", closed, "--lang", "en")
    assert 1 == result.exit_code
    assert f"down  {closed} refused the connection: nothing listens on that port.\n" == result.stdout


def test_a_script_gets_everything_and_explanations_stay_out_of_its_way(listening):
    result = hinomi("tcp", listening, "--json", "--explain")
    told = json.loads(result.stdout)
    assert ("tcp", listening, "up", "connects") == tuple(told[key] for key in ("kind", "target", "state", "reason"))
    assert told["response_seconds"] >= told["phases"]["connect"] > 0
    assert (f"{listening} に接続できます。", f"{listening} accepts connections.") == (told["text_ja"], told["text_en"])
    assert f"connecting to {listening}" in result.stderr


def test_explain_shows_each_step_with_its_time(listening):
    lines = hinomi("tcp", listening, "--explain").stdout.splitlines()
    assert [f"connecting to {listening}", "connected"] == [line.partition(" s  ")[2] for line in lines[:2]]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("udp", "127.0.0.1"), "'udp' is no kind of service; it is one of dns, http, smtp, ntp, tcp, tls"),
        (("tcp",), "say whom to ask: hinomi probe tcp TARGET"),
        (("tcp", "127.0.0.1"), "'127.0.0.1' names no port, and there is no usual one: write HOST:PORT"),
        (("ntp", "127.0.0.1", "--type", "A"), "--type belongs to dns, and this is ntp"),
        (("dns", "127.0.0.1", "--query", "a", "--transport", "x"), "--transport is both, udp or tcp, not 'x'"),
        (("dns", "127.0.0.1"), "a DNS server is asked for a name: write it as query"),
        (
            ("http", "http://a/", "--proxy", "http://b:1", "--proxy-user", "a"),
            "--proxy-user and --proxy-password go together",
        ),
        (
            ("http", "http://a/", "--proxy", "http://b:1", "--proxy-user", "a", "--proxy-password", "env:NO_SUCH_WORD"),
            "--proxy-password: env:NO_SUCH_WORD: the environment has no variable of this name",
        ),
        (("no-such", "-c", str(EXAMPLE)), f"there is no service 'no-such' in {EXAMPLE}"),
        (
            ("time-1", "127.0.0.1", "-c", str(EXAMPLE)),
            "with -c name a service alone: everything else stands in the configuration",
        ),
    ],
)
def test_a_question_without_sense_is_one_sentence_and_exit_status_2(words, text):
    result = hinomi(*words)
    assert (2, f"{text}\n", "") == (result.exit_code, result.stderr, result.stdout)


def test_a_service_of_the_configuration_is_asked_as_the_daemon_does(tmp_path, closed):
    text = f"organisation: {{name: x}}\nservices: {{time: {{kind: ntp, target: '{closed}', timeout: 2s}}}}\n"
    (tmp_path / "hinomi.yaml").write_text(text, encoding="utf-8")
    result = hinomi("time", "-c", str(tmp_path), "--json")
    told = json.loads(result.stdout)
    assert (1, "ntp", closed, "refused") == (result.exit_code, told["kind"], told["target"], told["reason"])
