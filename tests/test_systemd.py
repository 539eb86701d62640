"""The service: units that systemd accepts, the notify protocol on a real socket, installing and removing."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poller.systemd import Systemd

HERE = Path(__file__).parent.parent
UNITS = HERE / "deploy" / "systemd"
LOOSEST = 2.0
"""Exposure by `systemd-analyze security`, 0 (nothing) to 10."""

needs_systemd = pytest.mark.skipif(
    os.environ.get("CI") != "true" and shutil.which("systemd-analyze") is None, reason="Debian's systemd is missing"
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end of a notify socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as installed, with a program that exists on every machine in the place of ours."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for unit in folder.glob("*.service"):
        unit.write_text(unit.read_text().replace("/opt/hinomi/bin/hinomi", "/bin/true"))
    return folder


def heard(listening: socket.socket) -> dict[str, str]:
    lines = listening.recv(4096).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_systemd_is_told_on_a_real_socket(manager: socket.socket) -> None:
    """(R74)"""
    systemd = Systemd(manager.getsockname(), watchdog_seconds=60.0)
    systemd.ready("watching 3 devices\nand more")
    systemd.alive("12 polls")
    systemd.reloading()
    systemd.stopping()
    assert heard(manager) == {"READY": "1", "STATUS": "watching 3 devices and more"}
    assert heard(manager) == {"WATCHDOG": "1", "STATUS": "12 polls"}
    assert heard(manager).keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert heard(manager) == {"STOPPING": "1"}


def test_an_abstract_socket_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel gives a free abstract name
        Systemd("@" + listening.getsockname()[1:].decode()).stopping()
        listening.settimeout(10)
        assert heard(listening) == {"STOPPING": "1"}


def test_without_systemd_nothing_is_told() -> None:
    Systemd.of_environment({}).ready("watching")


def test_a_service_manager_that_is_gone_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    Systemd("/nowhere/notify").ready("watching")
    assert ["systemd_not_told"] == [record.getMessage().split()[0] for record in caplog.records]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_fed_only_where_one_waits_for_us(environment: dict[str, str], expected: float | None) -> None:
    assert expected == Systemd.of_environment(environment, pid=42).watchdog_seconds


def test_the_daemon_says_that_it_is_ready_alive_and_stopping(manager: socket.socket, tmp_path: Path) -> None:
    """(R74)"""
    (tmp_path / "hinomi.yaml").write_text(
        "organisation: {name: 試験}\nstorage: {directory: state}\nwall: {port: 0}\n", encoding="utf-8"
    )
    environment = os.environ | {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "60000000"}
    environment.pop("WATCHDOG_PID", None)
    daemon = subprocess.Popen(
        (sys.executable, "-m", "poller.cli", "run", "-c", str(tmp_path)),
        env=environment,
        cwd=HERE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until(manager, lambda told: told.get("READY") == "1" and told["STATUS"] == "watching 0 devices")
        until(manager, lambda told: told.get("WATCHDOG") == "1")
        daemon.send_signal(signal.SIGTERM)
        until(manager, lambda told: told.get("STOPPING") == "1")
        daemon.communicate(timeout=60)
    finally:
        daemon.kill()
        daemon.communicate()
    assert daemon.returncode == 0


def until(listening: socket.socket, condition: Callable[[dict[str, str]], bool]) -> None:
    while not condition(heard(listening)):
        pass


@needs_systemd
def test_systemd_accepts_every_unit(units: Path) -> None:
    files = sorted(str(path) for path in units.iterdir() if path.suffix in {".service", ".socket", ".timer"})
    done = subprocess.run(("systemd-analyze", "verify", *files), capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


@needs_systemd
@pytest.mark.parametrize("unit", ["hinomi.service", "hinomi-report@monthly.service"])
def test_services_are_hardened(units: Path, unit: str) -> None:
    """(R76)"""
    instance = units / unit
    if not instance.exists():
        instance = units / unit.replace("monthly", "")
    done = subprocess.run(
        ("systemd-analyze", "security", "--offline=true", "--no-pager", str(instance.with_name(unit))),
        capture_output=True,
        text=True,
        check=False,
    )
    level = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= LOOSEST


@needs_systemd
def test_timers_run_when_a_period_has_just_ended() -> None:
    expected = {
        "monthly": ["2026-12-01 05:00:00", "2027-01-01 05:00:00"],
        "quarterly": ["2027-01-01 05:20:00", "2027-04-01 05:20:00"],
        "semiannual": ["2027-04-01 05:40:00", "2027-10-01 05:40:00"],
        "annual": ["2027-04-01 06:20:00", "2028-04-01 06:20:00"],
    }
    assert expected == {kind: calendar(UNITS / f"hinomi-report-{kind}.timer") for kind in expected}


def calendar(timer: Path) -> list[str]:
    """The next two times after 21 November 2026."""
    when = re.search(r"^OnCalendar=(.*)$", timer.read_text(), re.MULTILINE)
    assert when is not None
    done = subprocess.run(
        ("systemd-analyze", "calendar", "--base-time=2026-11-21", "--iterations=2", when[1]),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TZ": "UTC"},
    )
    return re.findall(r"(?:Next elapse|Iter\. #2): \w+ ([0-9-]+ [0-9:]+) UTC", done.stdout)


@needs_systemd
def test_the_user_of_the_service_is_made_by_sysusers() -> None:
    done = subprocess.run(
        ("systemd-sysusers", "--dry-run", str(UNITS / "hinomi.sysusers")), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(300)
def test_it_is_installed_upgraded_and_removed_and_nothing_else_is_touched(tmp_path: Path) -> None:
    prefix, etc = tmp_path / "opt", tmp_path / "etc"
    (etc / "systemd" / "system").mkdir(parents=True)
    (etc / "systemd" / "system" / "other.service").write_text("[Service]\n")
    quick = {"PIP_NO_COMPILE": "1"}  # nobody runs it for long
    environment = os.environ | {"PREFIX": str(prefix), "ETC": str(etc)} | quick

    def make(what: str) -> str:
        done = subprocess.run(
            ("sh", "deploy/install.sh", what), cwd=HERE, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Next:" in make("install")
    version = subprocess.run((prefix / "bin" / "hinomi", "--version"), capture_output=True, text=True, check=True)
    assert f"ExecStart={prefix}/bin/hinomi run" in (etc / "systemd" / "system" / "hinomi.service").read_text()
    number = version.stdout.split()[-1]
    assert f"Upgraded Hinomi {number} to {number}; configuration and state are kept." in make("install")
    make("uninstall")
    assert not prefix.exists()
    assert ["other.service"] == [path.name for path in etc.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PREFIX": "opt"}, "PREFIX must be an absolute path, not 'opt'"),
        ({"PREFIX": "/opt/two words"}, "PREFIX and ETC may hold letters, digits and /._- only"),
        ({"PREFIX": str(HERE / "docs")}, "is no Python environment: choose another PREFIX or empty it"),
    ],
)
def test_a_bad_place_is_one_sentence(variables: dict[str, str], sentence: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ("sh", "deploy/install.sh", "install"),
        cwd=HERE,
        env=os.environ | {"ETC": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
