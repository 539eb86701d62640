"""Shared by all tests: which files begin first, InfluxDB, a small disk, and mails held against what was found good."""

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Final

import pytest

from poller.free_ports import free_port

with suppress(ImportError):
    from playwright.async_api import expect

    expect.set_options(timeout=30_000)  # a browser on a busy machine is slow, which is no fault of a page

_LONGEST_FIRST: Final = (
    "test_systemd",
    "test_demo",
    "test_faults_namespaces",
    "test_end_to_end",
    "test_alerts_scenarios",
    "test_failover_watch",
    "test_dashboards_influx",
    "test_reports",
    "test_storage_kill",
    "test_icmp_namespaces",
    "test_snmp_codec",
)
"""So that those who share the work end together; files of half a minute and more. A new one stands wherever it is until
somebody looks at --durations."""
_SHOWN: Final = ("Subject", "To", "X-Hinomi-Severity", "X-Hinomi-Reason")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file only: within one, the order is that of its lines."""
    rank = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def _check(message: EmailMessage, name: str) -> None:
    headers = "".join(f"{header}: {message[header]}\n" for header in _SHOWN if message[header] is not None)
    body = message.get_body(("plain",)).get_content().replace("\r\n", "\n")
    text = f"{headers}\n{body}"
    path = Path(__file__).parent / "golden" / f"mail.{name}"
    if os.environ.get("HINOMI_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.fixture(scope="session")
def golden():
    """golden(message, name): as its reader sees it, the mail is tests/golden/mail.NAME.

    HINOMI_GOLDEN=write keeps what it is now.
    """
    return _check


_INFLUXDB: Final = """
reporting-enabled = false
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {guarded}
  log-enabled = false
"""


def _influxd(folder: Path, *, guarded: bool = False) -> tuple[list[str], int]:
    """The command of an InfluxDB 1.6 that keeps everything in the folder, and its port; guarded: it asks who comes."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    words = {"folder": folder, "port": port, "rpc": free_port(), "guarded": str(guarded).lower()}
    (folder / "influxdb.conf").write_text(_INFLUXDB.format(**words))
    return ["influxd", "-config", str(folder / "influxdb.conf")], port


@contextmanager
def _running_influxd(folder: Path, *, guarded: bool = False) -> Iterator[str]:
    """The URL of a running one; it is killed at the end."""
    command, port = _influxd(folder, guarded=guarded)
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, ends = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=10).close()
                break
            except OSError:
                assert running.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.02)
        if not guarded:
            urllib.request.urlopen(f"{url}/query", data=b"q=CREATE+DATABASE+hinomi", timeout=30).close()
        yield url
    finally:
        running.kill()
        running.wait()


@pytest.fixture(scope="session")
def influxd() -> Callable[..., tuple[list[str], int]]:
    """Lays out an InfluxDB in a folder: its command and port, for a test that kills and starts it."""
    return _influxd


@pytest.fixture(scope="session")
def running_influxd() -> Callable[..., AbstractContextManager[str]]:
    """Runs an InfluxDB in a folder, with a database "hinomi" unless it is guarded; the URL."""
    return _running_influxd


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no right to mount: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
