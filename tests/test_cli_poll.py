"""`hinomi poll` against Debian's snmpd, and against recordings."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poller.cli_poll import BadInput, poll, split_address
from poller.free_ports import free_port

RECORDINGS = Path(__file__).parent / "recordings"
CHECKOUT = Path(__file__).resolve().parent.parent
needs_snmpd = pytest.mark.skipif(
    not (shutil.which("snmpd", path="/usr/sbin:/usr/bin") and shutil.which("snmpget")),
    reason="Debian's snmpd and snmp are not installed",
)


@pytest.fixture(scope="module")
def snmpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("snmpd"), free_port()
    (folder / "snmpd.conf").write_text(
        'rocommunity tower\nsysName fire-tower\ncreateUser watch SHA-256 "authentic-words" AES "private-words"\n'
        "rouser watch priv\n"
    )
    environment = {"SNMPCONFPATH": str(folder), "SNMP_PERSISTENT_DIR": str(folder), "PATH": "/usr/sbin:/usr/bin"}
    command = ["snmpd", "-f", "-Lo", "-I", "-smux", f"udp:127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        give_up = time.monotonic() + 20
        while value_of(port, "1.3.6.1.2.1.1.5.0") != "fire-tower":
            assert time.monotonic() < give_up, (folder / "log").read_text()
        yield port
        child.terminate()
        child.wait()


def value_of(port: int, oid: str) -> str:
    command = ["snmpget", "-v2c", "-c", "tower", "-Oqv", "-t", "1", "-r", "0", f"127.0.0.1:{port}", oid]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().strip('"')


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def hinomi(*arguments: str, **environment: str) -> Done:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(poll)
    result = CliRunner().invoke(app, arguments, env=environment)
    return Done(result.exit_code, result.stdout, result.stderr)


def test_the_command_is_mounted() -> None:
    command = [sys.executable, "-m", "poller.cli", "poll", "127.0.0.1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=60)
    assert (2, "say how to ask: --community or --community-file, or --v3-user for SNMPv3\n") == (
        done.returncode,
        done.stderr,
    )


@needs_snmpd
def test_json_has_the_device_its_interfaces_and_the_samples(snmpd: int) -> None:
    before = int(value_of(snmpd, "1.3.6.1.2.1.31.1.1.1.6.1"))
    done = hinomi(f"127.0.0.1:{snmpd}", "--community", "tower", "--json")
    after = int(value_of(snmpd, "1.3.6.1.2.1.31.1.1.1.6.1"))
    assert (0, "") == (done.returncode, done.stderr)
    told = json.loads(done.stdout)
    assert ["device", "interfaces", "samples"] == list(told)
    assert ("fire-tower", "linux_netsnmp", True) == tuple(told["device"][key] for key in ("name", "profile", "up"))
    assert 0 < told["device"]["memory_ratio"] < 1
    loopback = next(one for one in told["interfaces"] if one["interface"] == "lo")
    assert before <= loopback["in_octets_total"] <= after
    assert 64 == loopback["counter_bits"]
    assert "in_bits_per_second" not in loopback  # one poll has no rate
    assert ["device", *["interface"] * len(told["interfaces"])] == [one["measurement"] for one in told["samples"]]


@needs_snmpd
def test_an_expression_chooses_interfaces(snmpd: int) -> None:
    told = json.loads(hinomi(f"127.0.0.1:{snmpd}", "--community", "tower", "--json", "--interface", "lo").stdout)
    assert ["lo"] == [one["interface"] for one in told["interfaces"]]


@needs_snmpd
def test_a_single_variable_or_all_below_an_oid_is_shown(snmpd: int) -> None:
    done = hinomi(f"127.0.0.1:{snmpd}", "--community", "tower", "--oid", "1.3.6.1.2.1.1.5.0", "--oid", "1.3.6.1.3.9")
    assert (0, "1.3.6.1.2.1.1.5.0 = fire-tower\n1.3.6.1.3.9 = (does not exist)\n") == (done.returncode, done.stdout)
    done = hinomi(f"127.0.0.1:{snmpd}", "--community", "tower", "--oid", ".1.3.6.1.2.1.2.2.1.2", "--json")
    told = json.loads(done.stdout)
    assert {"oid": "1.3.6.1.2.1.2.2.1.2.1", "value": "lo"} in told
    assert all(one["oid"].startswith("1.3.6.1.2.1.2.2.1.2.") for one in told)


@needs_snmpd
def test_version_3_with_passwords_from_the_environment(snmpd: int) -> None:
    done = hinomi(
        *(f"127.0.0.1:{snmpd}", "--json", "--v3-user", "watch", "--v3-auth", "SHA-256"),
        *("--v3-auth-password-file", "env:A", "--v3-priv", "AES-128", "--v3-priv-password-file", "env:P"),
        A="authentic-words",
        P="private-words",
    )
    assert (0, "fire-tower") == (done.returncode, json.loads(done.stdout)["device"]["name"])


@needs_snmpd
def test_a_wrong_password_is_told_as_such(snmpd: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("other-words-here\n")
    done = hinomi(
        f"127.0.0.1:{snmpd}",
        "--v3-user",
        "watch",
        "--v3-auth",
        "SHA-256",
        "--v3-auth-password-file",
        str(tmp_path / "a"),
    )
    assert (1, f"127.0.0.1 port {snmpd} refuses the authentication password or protocol.\n") == (
        done.returncode,
        done.stderr,
    )


@needs_snmpd
def test_a_wrong_community_is_told_with_what_it_looks_like(snmpd: int) -> None:
    done = hinomi(f"127.0.0.1:{snmpd}", "--community", "other", "--timeout", "0.2", "--tries", "1")
    assert 1 == done.returncode
    assert done.stderr.endswith("A wrong community looks the same: agents do not answer it.\n")
    assert 1 == len(done.stderr.splitlines())


@needs_snmpd
def test_explain_shows_detection_questions_and_every_datagram(snmpd: int) -> None:
    done = hinomi(f"127.0.0.1:{snmpd}", "--community", "tower", "--explain", "--json")
    assert 0 == done.returncode
    assert json.loads(done.stdout)
    lines = done.stderr.splitlines()
    assert any(
        line.startswith("profile         linux_netsnmp: sysObjectID 1.3.6.1.4.1.8072.3.2.10 is under") for line in lines
    )
    assert any(" -> " in line and "v2c get of" in line for line in lines)
    assert any(" <- " in line and "v2c response of" in line and " ms" in line for line in lines)
    assert any("1.3.6.1.2.1.1.5.0 = fire-tower" in line for line in lines)
    assert "datagrams sent" in lines[-1]


@needs_snmpd
def test_the_datagrams_of_version_3_are_decrypted_for_reading(snmpd: int) -> None:
    done = hinomi(
        *(f"127.0.0.1:{snmpd}", "--explain", "--v3-user", "watch", "--v3-auth", "SHA-256"),
        *("--v3-auth-password-file", "env:A", "--v3-priv", "AES-128", "--v3-priv-password-file", "env:P"),
        A="authentic-words",
        P="private-words",
    )
    assert "1.3.6.1.2.1.1.5.0 = fire-tower" in done.stdout
    assert "private-words" not in done.stdout + done.stderr


def test_nobody_listens() -> None:
    port = free_port()
    done = hinomi(f"127.0.0.1:{port}", "--community", "x", "--timeout", "0.2", "--tries", "1")
    assert (1, 1, "") == (done.returncode, len(done.stderr.splitlines()), done.stdout)
    assert "127.0.0.1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("127.0.0.1",), "say how to ask: --community or --community-file, or --v3-user for SNMPv3"),
        (("127.0.0.1:99999", "--community", "x"), "port 99999 is not between 1 and 65535"),
        (("no such host", "--community", "x"), "'no such host' is neither an address nor a name that can be resolved"),
        (("127.0.0.1", "--community", "x", "--profile", "fortigat"), "there is no profile 'fortigat'; there are: a10_"),
        (("127.0.0.1", "--community", "x", "--snmp-version", "4"), "--snmp-version is 1, 2c or 3, not '4'"),
        (("127.0.0.1", "--community-file", "/nowhere/x"), "file:/nowhere/x: /nowhere/x: No such file or directory"),
        (("127.0.0.1", "--v3-user", "x", "--v3-auth", "MD5"), "--v3-auth and --v3-auth-password-file belong together"),
        (("127.0.0.1", "--community", "x", "--interface", "("), "--interface '(' is not a regular expression:"),
        (
            ("127.0.0.1", "--community", "x", "--oid", "ifTable"),
            "'ifTable' is not an OID: write it as numbers with dots",
        ),
        (("127.0.0.1", "--community", "x", "--oid", "3.1"), "3.1 is not an OID: it has 2 to 128 numbers"),
        (("127.0.0.1", "--recording", "/nowhere.snmprec"), "/nowhere.snmprec: No such file or directory"),
        (("nosuch.invalid", "--recording", "/nowhere.snmprec"), "/nowhere.snmprec: No such file or directory"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_status_2(arguments: tuple[str, ...], sentence: str) -> None:
    done = hinomi(*arguments)
    assert 2 == done.returncode
    assert done.stderr.startswith(sentence)
    assert (1, "") == (len(done.stderr.splitlines()), done.stdout)


def test_a_recording_is_read_without_a_network() -> None:
    done = hinomi("127.0.0.1", "--recording", str(RECORDINGS / "fortigate.snmprec"), "--json")
    told = json.loads(done.stdout)
    assert (0, "fortigate", 120_345) == (done.returncode, told["device"]["profile"], told["device"]["sessions"])
    assert ["ex3"] == [one["interface"] for one in told["interfaces"]]


def test_the_table_is_for_people() -> None:
    done = hinomi("127.0.0.1", "--recording", str(RECORDINGS / "panos.snmprec"))
    assert 0 == done.returncode
    assert "sessions_limit  200000" in done.stdout
    assert "ex3" in done.stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", None)),
        ("10.0.0.1:1161", ("10.0.0.1", 1161)),
        ("fw-1.example.jp:161", ("fw-1.example.jp", 161)),
        ("::1", ("::1", None)),
        ("[::1]", ("::1", None)),
        ("[2001:db8::1]:1161", ("2001:db8::1", 1161)),
        ("fe80::1%eth0", ("fe80::1%eth0", None)),
    ],
)
def test_addresses_and_ports(text: str, expected: tuple[str, int | None]) -> None:
    assert expected == split_address(text)


@pytest.mark.parametrize("text", ["", "10.0.0.1:0", "10.0.0.1:x", "[::1]:70000", "[::1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadInput):
        split_address(text)
