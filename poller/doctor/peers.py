"""Whom the daemon needs, asked once: name servers, mail relays, database, broker, the wall. None for no trouble."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final

import aiohttp
import aiomqtt
import aiosmtplib

from poller.alerts.outbox import failure_text
from poller.secrets import SecretUnavailable
from poller.settings import InfluxDatabase, MqttBroker, Relay

STEP_SECONDS: Final = 5.0
_REFUSED: Final = frozenset({401, 403})
_SERVER_ERROR: Final = 500


async def resolve(name: str) -> str | None:
    """Why the name has no address."""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        return "no answer in time"
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


async def greet_relay(relay: Relay, secrets: Path) -> str | None:
    """Connect, TLS and login as the outbox does; EHLO, QUIT and no mail."""
    client = aiosmtplib.SMTP(
        hostname=relay.host,
        port=relay.port,
        timeout=STEP_SECONDS,
        use_tls=relay.tls == "tls",
        start_tls=relay.tls == "starttls",
        tls_context=ssl.create_default_context() if relay.tls != "none" else None,
    )
    try:
        password = relay.password.read(secrets).reveal() if relay.password is not None else None
        await client.connect()
        await client.ehlo()
        if relay.username is not None and password is not None:
            await client.login(relay.username, password)
        await client.quit()
    except SecretUnavailable as error:
        return str(error)
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        return failure_text(error, relay)[:300]
    finally:
        client.close()
    return None


async def ask_database(influx: InfluxDatabase) -> str | None:
    """Whether it is alive; nothing is written and no secret is sent."""
    path = "health" if influx.kind == "victoria" else "ping"
    return await _get(f"{influx.url.rstrip('/')}/{path}", refusal_is_life=True)


async def ask_wall(url: str) -> str | None:
    """Whether the wall of a running daemon is alive; its certificate names it as others call it, and is not held to."""
    return await _get(f"{url.rstrip('/')}/healthz", refusal_is_life=False, verified=False)


async def _get(url: str, *, refusal_is_life: bool, verified: bool = True) -> str | None:
    limit = aiohttp.ClientTimeout(total=STEP_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url, ssl=verified) as answer:
            if answer.status >= _SERVER_ERROR or (answer.status not in _REFUSED and not answer.ok):
                return f"HTTP {answer.status}"
            return None if refusal_is_life or answer.ok else f"HTTP {answer.status}"
    except TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return str(error) or type(error).__name__


async def greet_broker(broker: MqttBroker, secrets: Path) -> str | None:
    """Connect as the daemon would, under another identifier, so that a running one is not thrown out."""
    try:
        password = broker.password.read(secrets).reveal() if broker.password is not None else None
        async with (
            asyncio.timeout(STEP_SECONDS),
            aiomqtt.Client(
                broker.host,
                broker.port,
                username=broker.user,
                password=password,
                identifier=f"hinomi-{broker.node}-doctor",
                tls_context=ssl.create_default_context() if broker.tls else None,
            ),
        ):
            return None
    except TimeoutError:
        return "no answer in time"
    except (SecretUnavailable, aiomqtt.MqttError, OSError) as error:
        return str(error) or type(error).__name__
