"""The heartbeat: a sign of life to a receiver outside, by HTTP, MQTT or both, while we really watch (R74).

Sent only while the loop turns and polls begin when they are due: whoever receives it raises the alarm when it stays
away, whatever the reason. A receiver that cannot be reached changes nothing for us; it is counted and told.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import aiomqtt
import msgspec

from poller.log import tell
from poller.sample import FieldValue
from poller.secrets import SecretUnavailable
from poller.settings import Heartbeat as Settings
from poller.settings import HeartbeatBroker

_log: Final = logging.getLogger(__name__)
_ACCEPTED: Final = range(200, 300)


@dataclass(slots=True)
class HeartbeatState:
    """How it goes: heartbeats taken and not taken since the start, and why the last one was not."""

    done_total: int = 0
    failed_total: int = 0
    last_error: str | None = None

    def fields(self) -> dict[str, FieldValue]:
        """As a part of the daemon's own measurement."""
        told: dict[str, FieldValue] = {
            "done_total": self.done_total,
            "failed_total": self.failed_total,
            "trouble": self.last_error is not None,
        }
        return told if self.last_error is None else {**told, "reason": self.last_error}


class Heartbeat:
    """Sends while healthy() says None; otherwise what it says is why there is none. content: what is sent, JSON."""

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        healthy: Callable[[], str | None],
        content: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.state = HeartbeatState()
        self._settings = settings
        self._directory = directory
        self._healthy = healthy
        self._content = content
        self._changed = asyncio.Event()
        self._silent = ""

    def follow(self, settings: Settings, directory: Path) -> None:
        """Send elsewhere, or at another pace, from now on; an unchanged receiver notices nothing."""
        if (settings, directory) != (self._settings, self._directory):
            self._settings, self._directory = settings, directory
            self.state.last_error = None
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            if self._settings.url is not None or self._settings.mqtt is not None:
                await self._beat()
            try:
                async with asyncio.timeout(self._settings.interval):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _beat(self) -> None:
        why_not = self._healthy() or ""
        if why_not != self._silent:
            tell(_log, logging.ERROR if why_not else logging.INFO, "heartbeat", silent_because=why_not or None)
            self._silent = why_not
        if why_not:
            return
        body = msgspec.json.encode(self._content())
        settings, ways = self._settings, []
        if settings.url is not None:
            ways.append(post(settings.url, body))
        if settings.mqtt is not None:
            ways.append(publish(settings.mqtt, self._directory, body))
        errors = await asyncio.gather(*(_tried(way, settings.timeout) for way in ways))
        error = "; ".join(filter(None, errors)) or None
        if error != self.state.last_error:
            tell(_log, logging.WARNING if error else logging.INFO, "heartbeat_taken", taken=not error, reason=error)
        self.state.last_error = error
        self.state.done_total += error is None
        self.state.failed_total += error is not None


async def post(url: str, body: bytes) -> None:
    """One POST; taken is a 2xx. Raises aiohttp.ClientError."""
    async with (
        aiohttp.ClientSession(headers={"Content-Type": "application/json", "User-Agent": "hinomi"}) as session,
        session.post(url, data=body, allow_redirects=False) as response,
    ):
        if response.status not in _ACCEPTED:
            raise aiohttp.ClientError(f"{url} answered {response.status}")


async def publish(broker: HeartbeatBroker, directory: Path, body: bytes) -> None:
    """One message that the broker has acknowledged (QoS 1). Raises aiomqtt.MqttError and SecretUnavailable."""
    password = None if broker.password is None else broker.password.read(directory).reveal()
    context = ssl.create_default_context() if broker.tls else None
    async with aiomqtt.Client(
        broker.host, broker.port, username=broker.user, password=password, tls_context=context
    ) as client:
        await client.publish(broker.topic, body, qos=1)


async def _tried(way: Awaitable[None], seconds: float) -> str:
    """Why it was not taken; empty where it was."""
    try:
        async with asyncio.timeout(seconds):
            await way
    except TimeoutError:
        return f"no answer within {seconds:.0f} s"
    except (aiohttp.ClientError, aiomqtt.MqttError, SecretUnavailable, OSError) as error:
        return str(error) or type(error).__name__
    return ""
