"""The demo: a simulated prefecture, its past, this machine as one more device, and the daemon that watches them all.

Everything lies in one directory: a copy of the example configuration, yours to change, and in demo/ what the daemon
keeps and the mails it wrote. Started again, it goes on where it stopped.
"""

import fcntl
import os
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from poller.free_ports import free_port
from poller.share import share

EXAMPLE: Final = "prefecture"
_SNMPD_PLACES: Final = ("/usr/sbin", "/sbin", "/usr/local/sbin")

_THIS_MACHINE: Final = """\
# この計算機自身：Debian の snmpd に SNMPv2c で問い合わせる（自動生成）
credentials:
  this-machine:
    version: "2c"
    community: file:secrets/this-machine
sites:
  here: {{name: {{ja: この計算機の設置場所, en: Where this machine stands}}}}
devices:
  this-machine:
    name: {{ja: この計算機, en: This machine}}
    addresses: [127.0.0.1]
    port: {port}
    role: server
    site: here
    credentials: this-machine
rules:
  this-machine-down:
    name: {{ja: この計算機の応答なし, en: This machine does not answer}}
    on: device.up
    equals: false
    where: {{devices: [this-machine]}}
    raise_for: 30s
    clear_for: 2m
    severity: minor
"""
_SNMPD: Final = """\
agentaddress udp:127.0.0.1:{port}
rocommunity {community} 127.0.0.1
sysLocation Hinomi demo
sysContact nobody@example.jp
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo's parts are. snmpd: the command that answers for this machine, None where it is not installed."""

    config: Path
    state: Path
    snmpd: tuple[str, ...] | None
    lock: IO[bytes]

    def lab(self, port: int, notifications_port: int, services_by: int) -> tuple[str, ...]:
        """The command that simulates the network, every agent on this UDP port; its notifications go to the other.

        services_by: how many ports higher than configured its services are.
        """
        scenario = self.config / "scenario.yaml"
        extra = ("--scenario", str(scenario)) if scenario.is_file() else ()
        command = (sys.executable, "-m", "poller.cli", "lab", "-c", str(self.config), "--port", str(port))
        services = ("--service-ports-by", str(services_by))
        return (*command, *extra, "--notify", f"127.0.0.1:{notifications_port}", *services)

    def history(self, days: int) -> tuple[str, ...]:
        """The command that invents so many days of the past, the same ones at every call."""
        return (
            *(sys.executable, "-m", "poller.cli", "lab", "history", "-c", str(self.config)),
            *("--days", str(days), "--store", str(self.state / "store"), "--seed", "1"),
        )

    @property
    def has_past(self) -> bool:
        """Whether the past was written by an earlier start."""
        return (self.state / "past").is_file()

    def mark_past(self) -> None:
        """Remember that the past was written whole; an interrupted one is written anew."""
        (self.state / "past").touch()


class NoDemoHere(Exception):  # noqa: N818 - it says what is the matter
    """The directory cannot hold the demo; the text says why."""


def prepare(directory: Path) -> Demo:
    """Lay the demo out in the directory; what the user changed there is kept. Raises OSError and NoDemoHere."""
    directory = directory.resolve()
    state = directory / "demo"
    if (directory / "hinomi.yaml").exists() and not state.is_dir():
        raise NoDemoHere(f"{directory} has a hinomi.yaml of its own: choose another directory for the demo")
    if not (directory / "hinomi.yaml").exists():
        shutil.copytree(share(f"config/examples/{EXAMPLE}"), directory, dirs_exist_ok=True)
    state.mkdir(exist_ok=True)
    lock = _lock(state / "lock")
    return Demo(directory, state, _prepare_snmpd(directory, state), lock)


def _lock(path: Path) -> IO[bytes]:
    """Held as long as the process lives, so that a second demo leaves the first one's files alone."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise NoDemoHere(f"a demo is already running in {path.parent.parent}") from None
    return file


def _prepare_snmpd(config: Path, state: Path) -> tuple[str, ...] | None:
    """Configure Debian's snmpd for this user on a free port of loopback, with a community of its own."""
    local = config / "devices" / "this-machine.yaml"
    command = shutil.which("snmpd", path=os.pathsep.join((os.environ.get("PATH", ""), *_SNMPD_PLACES)))
    if command is None:
        local.unlink(missing_ok=True)
        return None
    port = free_port()
    secret = config / "secrets" / "this-machine"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(12) + "\n", encoding="ascii")
    community = secret.read_text(encoding="ascii").strip()
    local.write_text(_THIS_MACHINE.format(port=port), encoding="utf-8")
    snmpd_config = state / "snmpd.conf"
    snmpd_config.touch(mode=0o600)
    snmpd_config.write_text(_SNMPD.format(port=port, community=community), encoding="ascii")
    return (
        command,
        "-f",
        "-C",
        "-c",
        str(snmpd_config),
        "-Lf",
        "/dev/null",
        "-I",
        "-smux",
        "-p",
        str(state / "snmpd.pid"),
    )
