"""`hinomi check --live` against Debian's snmpd."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from poller.cli_check_live import check_live
from poller.config import load
from poller.free_ports import free_port
from poller.profiles import load_profiles
from poller.survey import Surveyed, clock_offset, name_shared_engines, survey

needs_snmpd = pytest.mark.skipif(
    shutil.which("snmpd", path="/usr/sbin:/usr/bin") is None, reason="Debian's snmpd is not installed"
)
CONFIGURATION = """
organisation: {name: Example, timezone: Asia/Tokyo}
polling: {port: PORT, timeout: 300ms, tries: 1}
sites: {dc: {name: DC}}
credentials:
  reader: {version: "2c", community: "file:community"}
  wrong: {version: "2c", community: "file:other"}
  gone: {version: "2c", community: "file:nowhere"}
devices:
  here: {name: Here, addresses: [127.0.0.1], role: server, site: dc, credentials: reader}
  twin: {name: Twin, addresses: [127.0.0.2], role: server, site: dc, credentials: reader, interfaces: [nothing]}
  silent: {name: Silent, addresses: [127.0.0.3], role: server, site: dc, credentials: wrong}
  broken: {name: Broken, addresses: [127.0.0.4], role: server, site: dc, credentials: gone}
  pinged: {name: Pinged, addresses: [127.0.0.5], role: server, site: dc}
"""


def answers(port: int) -> bool:
    question = bytes.fromhex("302602010104067075626c6963a019020400000001020100020100300b300906052b060102010500")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        try:
            sock.sendto(question, ("127.0.0.1", port))
            sock.recv(2000)
        except OSError:
            return False
    return True


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Path]:
    port = free_port()
    (tmp_path / "snmpd.conf").write_text("rocommunity public\n")
    (tmp_path / "community").write_text("public\n")
    (tmp_path / "other").write_text("other\n")
    (tmp_path / "hinomi.yaml").write_text(CONFIGURATION.replace("PORT", str(port)))
    environment = {"SNMPCONFPATH": str(tmp_path), "SNMP_PERSISTENT_DIR": str(tmp_path), "PATH": "/usr/sbin:/usr/bin"}
    places = ",".join(f"udp:127.0.0.{number}:{port}" for number in (1, 2, 3))
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(["snmpd", "-f", "-Lo", "-I", "-smux", places], stdout=log, stderr=log, env=environment)
        give_up = time.monotonic() + 20
        while not answers(port):
            assert time.monotonic() < give_up, (tmp_path / "log").read_text()
        yield tmp_path
        child.terminate()
        child.wait()


@needs_snmpd
def test_every_device_is_asked_once_and_what_is_not_well_is_said(
    estate: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = check_live(load(estate), as_json=True)
    told = {one["device"]: one for one in json.loads(capsys.readouterr().out)}
    assert 1 == status
    assert {"here": True, "twin": True, "silent": False, "broken": None, "pinged": None} == {
        name: one["reachable"] for name, one in told.items()
    }
    assert ("linux_netsnmp", "") == (told["here"]["profile"], told["here"]["text"])
    assert "memory_ratio" in told["here"]["reads"]
    assert "SNMPv2c: community in clear text" in told["here"]["warnings"]
    assert "same engine id as twin" in told["here"]["warnings"]
    assert "no interface matches its expressions" in told["twin"]["warnings"]
    assert "did not answer" in told["silent"]["text"]
    assert "file:nowhere" in told["broken"]["text"]
    assert "has no credentials: it is not asked by SNMP" == told["pinged"]["text"]
    assert not [one for one in told.values() for warning in one["warnings"] if "clock" in warning]


@needs_snmpd
@pytest.mark.parametrize(("lang", "sentence"), [("en", "2 of 3 devices answer;"), ("ja", "3 台中 2 台が応答。")])
def test_the_table_is_for_people(estate: Path, capsys: pytest.CaptureFixture[str], lang: str, sentence: str) -> None:
    check_live(load(estate), lang=lang)
    out = capsys.readouterr().out
    assert sentence in out
    assert all(name in out for name in ("here", "twin", "silent", "broken", "pinged"))


@needs_snmpd
@pytest.mark.parametrize(("seconds", "warning"), [(3600, "s behind"), (-3600, "s ahead"), (30, None)])
async def test_a_device_whose_clock_is_wrong_is_warned_of(estate: Path, seconds: int, warning: str | None) -> None:
    """A quiet hour by our clock is an hour of an operator's search in the logs of such a device."""
    configuration = load(estate)
    ours = time.time_ns() + seconds * 10**9
    found = await survey(configuration.estate, estate, load_profiles(), wall_clock_ns=lambda: ours)
    told = [one for one in found[0].warnings if "its clock is" in one]
    assert ([] if warning is None else [True]) == [str(warning) in one for one in told]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("07ea0b150c1e0000" + "2b0000", 0.0),  # 2026-11-21 12:30:00 UTC
        ("07ea0b15151e0000" + "2b0900", 0.0),  # the same moment in Japan
        ("07ea0b15151f0000" + "2b0900", 60.0),
        ("07ea0b15041e0000" + "2d0800", 0.0),
        ("07ea0b150c1e0000", None),  # local time without a zone proves nothing
        ("07ea0d150c1e0000" + "2b0000", None),  # there is no month 13
        ("", None),
    ],
)
def test_the_clock_of_a_device(octets: str, expected: float | None) -> None:
    assert expected == clock_offset(bytes.fromhex(octets), datetime(2026, 11, 21, 12, 30, tzinfo=UTC))


def test_devices_with_one_engine_id_are_named() -> None:
    """(R11)"""
    results = [
        Surveyed(name, "", True, engine_id=engine)
        for name, engine in (("a", b"1"), ("b", b"1"), ("c", b"2"), ("d", b""))
    ]
    assert [("same engine id as b",), ("same engine id as a",), (), ()] == [
        one.warnings for one in name_shared_engines(results)
    ]
