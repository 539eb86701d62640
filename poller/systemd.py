"""What we tell the service manager: ready, reloading, stopping, and that we are alive (sd_notify(3)).

Without systemd (no NOTIFY_SOCKET) every call does nothing, so that the daemon is the same everywhere.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

from poller.log import tell

_log: Final = logging.getLogger(__name__)


class Systemd:
    """One end of the notify socket.

    address: a path, or "@name" in the abstract namespace; None where nobody listens.
    watchdog_seconds: within which alive() must be called again; None where no watchdog waits.
    """

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ, pid: int | None = None) -> "Systemd":
        """From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; a watchdog that waits for another process is not ours."""
        waits_for = environment.get("WATCHDOG_PID")
        ours = waits_for is None or waits_for == str(os.getpid() if pid is None else pid)
        text = environment.get("WATCHDOG_USEC", "") if ours else ""
        seconds = int(text) / 1e6 if text.isascii() and text.isdigit() and int(text) else None
        return cls(environment.get("NOTIFY_SOCKET") or None, seconds)

    def ready(self, status: str) -> None:
        """Everything runs; `systemctl status` shows the status."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def reloading(self) -> None:
        """A reload has begun; ready() ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We were told to stop and are putting things away."""
        self._send("STOPPING=1")

    def alive(self, status: str) -> None:
        """The watchdog is fed, where one waits, and the status renewed."""
        watchdog = "" if self.watchdog_seconds is None else "WATCHDOG=1\n"
        self._send(f"{watchdog}STATUS={_one_line(status)}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as peer:
                peer.setblocking(False)
                peer.connect(self._address)
                peer.send(message.encode())
        except OSError as error:
            tell(_log, logging.WARNING, "systemd_not_told", reason=str(error))


def _one_line(text: str) -> str:
    return " ".join(text.split())
