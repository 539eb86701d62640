"""Evidence on demand: when something is declared down, find out how far packets still get, bounded and off the loop.

One question a subject in ASK_AGAIN_SECONDS, WORKERS at a time, WAITING at most; what does not fit is dropped and
counted, because in a storm the first faults explain the others.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from poller.alerts.subjects import Subject
from poller.estate import Estate
from poller.log import tell
from poller.service import Service
from probes.errors import LocalError
from probes.path import HTTPS_PORT, TRACEROUTE_PORT, Path, PathQuestion, trace_path

_log: Final = logging.getLogger(__name__)
ASK_AGAIN_SECONDS: Final = 600.0
WORKERS: Final = 2
WAITING: Final = 16
LOOK_SECONDS: Final = 1.0
_DNS_PORT: Final = 53
_PORTS: Final = {"dns": _DNS_PORT, "http": 80, "smtp": 25, "ntp": 123, "tls": HTTPS_PORT}
_OVER_UDP: Final = frozenset({"dns", "ntp"})


def path_question(estate: Estate, subject: str) -> PathQuestion | None:
    """Whom to look for when a circuit or a device is down; None for anything else, and where no address is known.

    Of a circuit the place furthest away, by its first address. Ports are those of a service on the device, else SNMP's
    and HTTPS.
    """
    about = Subject.parse(subject)
    if about.kind == "circuit" and about.id in estate.circuits:
        probe = estate.circuits[about.id].probe
        addresses = probe.beyond or probe.far or probe.near
        return PathQuestion(addresses[0]) if addresses else None
    if about.kind == "device" and about.id in estate.devices:
        device = estate.devices[about.id]
        udp = device.port or estate.polling.port if device.credentials is not None else TRACEROUTE_PORT
        tcp = HTTPS_PORT
        for service in estate.services.values():
            port = service_port(service) if about.id in service.devices else None
            if port is not None and service.kind in _OVER_UDP:
                udp = port
            elif port is not None:
                tcp = port
        source = device.source_address
        return PathQuestion(device.addresses[0], udp, tcp, source_address=source)
    return None


def service_port(service: Service) -> int | None:
    """The port a service is asked at; None where its target does not say and its kind has no usual one."""
    target = service.target if "//" in service.target else f"//{service.target}"
    try:
        parts = urlsplit(target)
        port = parts.port
    except ValueError:
        return None
    if port is None and parts.scheme == "https":
        return HTTPS_PORT
    return port or _PORTS.get(service.kind)


class PathFinder:
    """Takes subjects that were declared down, once a second, and tells of each how far packets get."""

    def __init__(
        self,
        estate: Estate,
        take_lost: Callable[[], Iterable[str]],
        found: Callable[[str, Path], None],
        *,
        trace: Callable[[PathQuestion], Awaitable[Path]] = trace_path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._estate = estate
        self._take_lost = take_lost
        self._found = found
        self._trace = trace
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING)
        self.dropped = 0

    def follow(self, estate: Estate) -> None:
        """Look for what another estate names."""
        self._estate = estate

    def ask(self, subject: str) -> bool:
        """Ask about a subject unless it was asked lately or too many wait; True where it will be asked."""
        now = self._clock()
        if subject in self._asked and now - self._asked[subject] < ASK_AGAIN_SECONDS:
            return False
        if self._waiting.full():
            self.dropped += 1
            return False
        self._asked = {each: at for each, at in self._asked.items() if now - at < ASK_AGAIN_SECONDS} | {subject: now}
        self._waiting.put_nowait(subject)
        return True

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(), name="path")
            while True:
                for subject in self._take_lost():
                    self.ask(subject)
                await asyncio.sleep(LOOK_SECONDS)

    async def _work(self) -> None:
        while True:
            subject = await self._waiting.get()
            question = path_question(self._estate, subject)
            if question is None:
                continue
            try:
                self._found(subject, await self._trace(question))
            except LocalError as error:
                tell(_log, logging.WARNING, "no_path", subject=subject, reason=str(error))
            except OSError as error:
                tell(_log, logging.WARNING, "no_path", subject=subject, reason=error.strerror or str(error))
            except Exception:  # noqa: BLE001 - evidence that cannot be had must not end the watch
                _log.exception("path_broken subject=%s", subject)
