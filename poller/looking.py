"""Looks beside the schedule: one interface of a device at once, because a notification spoke of it (R48).

A look asks three values where a poll asks all rows, so it is as quick on a switch with 500 ports as on a firewall with
four, and a flapping port costs its device nothing. Where a look cannot tell, the whole device is asked: the poll knows
every way in which a device can fail.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from poller.followup import Look
from poller.log import tell

_log: Final = logging.getLogger(__name__)
AT_ONCE: Final = 64
"""Looks under way."""
DEADLINE_SECONDS: Final = 10.0


class Asker(Protocol):
    """Asks for one interface (poller.asking.Asking)."""

    async def look(self, device: str, interface: str, deadline_seconds: float) -> int | None:
        """Its ifOperStatus; None where only a poll of the device can tell."""


class Looking:
    """Takes looks up as they come, until cancelled."""

    def __init__(
        self,
        asker: Asker,
        see: Callable[[str, str, int], None],
        ask_now: Callable[[str], None],
        stopped: Callable[[str], str | None] = lambda _device: None,
    ) -> None:
        """See is told device, interface and ifOperStatus; ask_now polls a device; stopped: why it must not be asked."""
        self._asker = asker
        self._see = see
        self._ask_now = ask_now
        self._stopped = stopped
        self._wanted: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def look(self, look: Look) -> None:
        """Ask as soon as may be."""
        if look.interface is None:
            self._ask_now(look.device)
        elif self._stopped(look.device) is None:
            self._wanted.put_nowait((look.device, look.interface))

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(AT_ONCE):
                group.create_task(self._serve(), name=f"look {number}")

    async def _serve(self) -> None:
        while True:
            device, interface = await self._wanted.get()
            try:
                status = await self._asker.look(device, interface, DEADLINE_SECONDS)
                if status is None:
                    self._ask_now(device)
                else:
                    tell(_log, logging.INFO, "looked", device=device, interface=interface, oper_status=status)
                    self._see(device, interface, status)
            except Exception:  # noqa: BLE001 - told with its trace; the poll of the schedule comes anyway
                _log.exception("look_broken device=%s interface=%s", device, interface)
