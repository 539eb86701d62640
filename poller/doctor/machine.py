"""What the doctor reads of this machine: clock, kernel limits, sockets, disk. Blocking; poller.doctor.judging judges.

Nothing is changed: ports are bound for a moment and only where no daemon runs, files are made and removed.
"""

import ctypes
import errno
import os
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from poller.diskroom import nearest_folder
from poller.doctor.judging import Clock, Disk, Notifying, Port
from probes.errors import LocalError
from probes.icmp_socket import open_echo_socket

_TIMEX: Final = struct.Struct("@I4xllll i")
"""struct timex of adjtimex(2), its beginning: modes, offset, freq, maxerror, esterror, status."""
_TIMEX_OCTETS: Final = 512
_STA_UNSYNC: Final = 0x40
_TIME_ERROR: Final = 5
_SYNCS: Final = 8
_PAGE: Final = 4096
_SOCKET_UNIT: Final = "hinomi-traps.socket"


def read_clock() -> Clock:
    """Whether the kernel believes its clock, and how far off it may be (adjtimex(2), reading only)."""
    buffer = ctypes.create_string_buffer(_TIMEX_OCTETS)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    if state < 0:
        return Clock(synchronised=None, off_seconds=None)
    status, max_error = _TIMEX.unpack_from(buffer)[5], _TIMEX.unpack_from(buffer)[3]
    return Clock(synchronised=state != _TIME_ERROR and not status & _STA_UNSYNC, off_seconds=max_error / 1e6)


def read_buffer_limit(path: Path = Path("/proc/sys/net/core/rmem_max")) -> int | None:
    """The largest receive buffer that a socket may ask for; None where it cannot be read."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def try_echoes(family: socket.AddressFamily) -> str | None:
    """Open and close the socket through which echoes go; why not, None where it can be."""
    try:
        open_echo_socket(family).socket.close()
    except LocalError as error:
        return str(error)
    return None


def daemon_holds(state: Path, locks: Path = Path("/proc/locks")) -> bool:
    """Whether a daemon of this state directory runs: it holds the lock beside the journal. Nothing is locked here."""
    try:
        inode = (state / "journal.sqlite.lock").stat().st_ino
        lines = locks.read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return any("FLOCK" in line and f":{inode} " in line for line in lines)


def try_port(kind: socket.SocketKind, address: str, port: int) -> Port:
    """Bind for a moment."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as tried:
        if kind == socket.SOCK_STREAM:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
        except OSError as error:
            return {
                errno.EADDRINUSE: Port.TAKEN,
                errno.EACCES: Port.FORBIDDEN,
                errno.EADDRNOTAVAIL: Port.NO_SUCH_ADDRESS,
            }.get(error.errno or 0, Port.NO_SUCH_ADDRESS)
    return Port.FREE


def read_notifying(listen: str | None, port: int, state: Path) -> Notifying:
    """How notifications get in: by a socket of our own where the settings say so, or by systemd's."""
    return Notifying(
        where=None if listen is None else f"{listen}:{port}",
        port=None if listen is None else try_port(socket.SOCK_DGRAM, listen, port),
        unit_active=_unit_active(_SOCKET_UNIT),
        daemon_runs=daemon_holds(state),
    )


def _unit_active(unit: str) -> bool:
    try:
        # whichever systemctl this machine has; the unit is a constant of ours
        done = subprocess.run(  # noqa: S603
            ["systemctl", "--quiet", "is-active", unit],  # noqa: S607
            capture_output=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def try_disk(state: Path) -> Disk:
    """Write and sync some pages where the state is, or will be, and remove them."""
    folder = nearest_folder(state)
    took: list[float] = []
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            for _ in range(_SYNCS):
                file.write(os.urandom(_PAGE))
                file.flush()
                begun = time.perf_counter()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - begun)
    except OSError as error:
        return Disk(str(state), error.strerror or str(error), None)
    return Disk(str(state), None, sorted(took)[len(took) // 2])
