"""The demo: a simulated prefecture, its past, this machine as one more device, and the daemon that watches them all.

Everything lies in one directory: a copy of the example configuration, yours to change, and in demo/ what the daemon
keeps and the mails it wrote. Started again, it goes on where it stopped.
"""

import os
import secrets
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.share import share

EXAMPLE: Final = "prefecture"
PAST_DAYS: Final = 200
_SNMPD_PLACES: Final = ("/usr/sbin", "/sbin", "/usr/local/sbin")

_THIS_MACHINE: Final = """\
# この計算機自身：Debian の snmpd に SNMPv2c で問い合わせる（自動生成）
credentials:
  this-machine:
    version: "2c"
    community: file:secrets/this-machine
devices:
  this-machine:
    name: {{ja: この計算機, en: This machine}}
    addresses: [127.0.0.1]
    port: {port}
    role: server
    site: {site}
    credentials: this-machine
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

    @property
    def lab(self) -> tuple[str, ...]:
        """The command that simulates the network."""
        scenario = self.config / "scenario.yaml"
        extra = ("--scenario", str(scenario)) if scenario.is_file() else ()
        return (sys.executable, "-m", "poller.cli", "lab", "-c", str(self.config), *extra)

    @property
    def history(self) -> tuple[str, ...]:
        """The command that invents the past."""
        return (
            *(sys.executable, "-m", "poller.cli", "lab", "history", "-c", str(self.config)),
            *("--days", str(PAST_DAYS), "--store", str(self.state / "store"), "--seed", "1"),
        )

    @property
    def has_past(self) -> bool:
        """Whether the past was written by an earlier start."""
        return (self.state / "past").is_file()


def prepare(directory: Path) -> Demo:
    """Lay the demo out in the directory; what the user changed there is kept. Raises OSError."""
    directory = directory.resolve()
    if not (directory / "hinomi.yaml").exists():
        shutil.copytree(share(f"config/examples/{EXAMPLE}"), directory, dirs_exist_ok=True)
    state = directory / "demo"
    state.mkdir(exist_ok=True)
    return Demo(directory, state, _prepare_snmpd(directory, state))


def _prepare_snmpd(config: Path, state: Path) -> tuple[str, ...] | None:
    """Configure Debian's snmpd for this user on a free port of loopback, with a community of its own."""
    local = config / "devices" / "this-machine.yaml"
    command = shutil.which("snmpd", path=os.pathsep.join((os.environ.get("PATH", ""), *_SNMPD_PLACES)))
    if command is None:
        local.unlink(missing_ok=True)
        return None
    port = _free_port(socket.SOCK_DGRAM)
    secret = config / "secrets" / "this-machine"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(12) + "\n", encoding="ascii")
    community = secret.read_text(encoding="ascii").strip()
    local.write_text(_THIS_MACHINE.format(port=port, site=_first_site(config)), encoding="utf-8")
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


def _first_site(config: Path) -> str:
    for line in (config / "sites.yaml").read_text(encoding="utf-8").splitlines():
        if line.startswith("  ") and line.rstrip().endswith(":") and not line.strip().startswith("#"):
            return line.strip().rstrip(":")
    return "dc"


def wall_port(wanted: int) -> int:
    """The wanted port of loopback, or a free one where something else answers there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        taken = probe.connect_ex(("127.0.0.1", wanted)) == 0
    return _free_port(socket.SOCK_STREAM) if taken else wanted


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
