"""The demo as a stranger starts it: lab, past, daemon and page in one process group, and Ctrl-C ends it cleanly."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from poller import demo as layout
from poller.cli_demo import on_free_ports
from poller.config import load

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def demo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The demo with a day of the past, or as many as asked for; its process and the address of its page."""
    days = str(getattr(request, "param", 1))
    command = (sys.executable, "-m", "poller.cli", "demo", "--directory", str(tmp_path / "demo"), "--days", days)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if (match := re.search(r"The wall: (http://\S+)", line)) is not None:
            break
    else:
        raise AssertionError(f"the demo ended with exit status {process.wait()}")
    yield process, match[1]
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait()


def is_complete(wall: dict[str, Any]) -> bool:
    """Every device answered, and traffic of every circuit, line group and tenant is known."""
    return (
        all(device["up"] for device in wall["devices"])
        and all(circuit["state"] == "up" and circuit["in"] is not None for circuit in wall["circuits"])
        and all(group["in"] for group in wall["line_groups"])
        and all(tenant["in"] for tenant in wall["tenants"])
    )


def take(wall: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put what an event of the stream says in place, as the page does: entries of a section by their id."""
    for key, value in changes.items():
        if isinstance(value, list) and value and "id" in value[0] and key in wall:
            wall[key] = list(({entry["id"]: entry for entry in wall[key]} | {e["id"]: e for e in value}).values())
        elif value != []:
            wall[key] = value


async def first_complete(url: str) -> dict[str, Any]:
    """What the page has received when it is complete, following the same stream as the page."""
    wall: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session, session.get(f"{url}api/v1/stream") as stream:
        buffer = b""
        async for chunk in stream.content.iter_any():
            buffer += chunk
            while b"\n\n" in buffer:
                event, _, buffer = buffer.partition(b"\n\n")
                take(wall, msgspec.json.decode(event.removeprefix(b"data: ")))
                if is_complete(wall):
                    return wall
    raise AssertionError("the stream ended")


@pytest.mark.timeout(240)
def test_the_demo_shows_everything_and_stops_at_ctrl_c(demo: tuple["subprocess.Popen[str]", str]) -> None:
    process, url = demo
    wall = asyncio.run(first_complete(url))
    assert 33 == len(wall["tenants"])
    assert "三重県情報セキュリティクラウド" == wall["organisation"]["ja"]
    assert len(wall["history"]["outside"]["time"]) > 12
    names = {device["id"] for device in wall["devices"]}
    has_snmpd = shutil.which("snmpd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is not None
    assert has_snmpd == ("this-machine" in names)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.read().rstrip().endswith("The demo has stopped.")
    assert 0 == process.wait()


@pytest.mark.parametrize("demo", [0], indirect=True)
@pytest.mark.timeout(240)
def test_a_closed_terminal_leaves_nothing_behind(demo: tuple["subprocess.Popen[str]", str], tmp_path: Path) -> None:
    """The lab and snmpd are in sessions of their own, so that Ctrl-C is the demo's; nobody else would end them."""
    process, _ = demo
    configuration = load(tmp_path / "demo")
    companions = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert (2 if "this-machine" in configuration.estate.devices else 1) == len(companions)
    process.send_signal(signal.SIGHUP)
    assert 0 == process.wait()
    assert [] == [companion for companion in companions if Path(f"/proc/{companion}").exists()]


def test_mails_lead_to_the_wall_where_it_is(tmp_path: Path) -> None:
    """Another program has the port that the configuration names."""
    laid = layout.prepare(tmp_path / "demo")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        hinomi = laid.config / "hinomi.yaml"
        taken = other.getsockname()[1]
        hinomi.write_text(hinomi.read_text(encoding="utf-8").replace("8480", str(taken)), encoding="utf-8")
        estate = on_free_ports(load(laid.config)).estate
    laid.lock.close()
    assert taken != estate.wall.port
    assert f"http://127.0.0.1:{estate.wall.port}" == estate.mail.wall_url


def test_a_second_demo_leaves_the_first_one_alone(tmp_path: Path) -> None:
    first = layout.prepare(tmp_path / "demo")
    before = sorted((path, path.stat().st_mtime_ns) for path in first.config.rglob("*") if path.is_file())
    with pytest.raises(layout.NoDemoHere, match="already running"):
        layout.prepare(tmp_path / "demo")
    after = sorted((path, path.stat().st_mtime_ns) for path in first.config.rglob("*") if path.is_file())
    unlocked = [entry for entry in before if entry[0].name != "lock"]
    assert unlocked == [entry for entry in after if entry[0].name != "lock"]
    first.lock.close()
    assert first.config == layout.prepare(tmp_path / "demo").config


def test_a_folder_with_a_configuration_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hinomi.yaml").write_text("organisation: {name: Ours}\n")
    with pytest.raises(layout.NoDemoHere, match=r"has a hinomi\.yaml of its own"):
        layout.prepare(tmp_path)
    assert ["hinomi.yaml"] == [path.name for path in tmp_path.iterdir()]
