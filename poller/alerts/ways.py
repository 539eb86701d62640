"""How posts leave: HTTP for webhooks, a broker for topics. The outbox keeps and retries them like mails."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
import aiomqtt

from poller.alerts.outbox import TIMEOUT, Outcome, QueuedMail, Way
from poller.alerts.posts import signature
from poller.alerts.programs import MQTT, WEBHOOK
from poller.estate import Estate
from poller.people import Webhook
from poller.secrets import SecretUnavailable
from poller.settings import MqttBroker

PASSING: Final = frozenset({408, 425, 429})
"""Refusals of HTTP that are over in a while."""
_REFUSED: Final = range(400, 500)
_ACCEPTED: Final = range(200, 300)
_ANSWER_OCTETS: Final = 200


def ways_of(estate: Estate, secrets: Path) -> Mapping[str, Way]:
    """The ways that a configuration knows, by the scheme of the recipient."""

    async def to_webhook(mail: QueuedMail) -> Outcome:
        webhook = estate.webhooks.get(mail.recipient.partition(":")[2])
        if webhook is None:
            return Outcome(accepted=False, refused=True, relay=mail.recipient, answer="it left the configuration")
        return await post_webhook(webhook, secrets, mail)

    async def to_broker(mail: QueuedMail) -> Outcome:
        broker = estate.storage.mqtt
        if broker is None:
            return Outcome(accepted=False, refused=True, relay=mail.recipient, answer="it left the configuration")
        return await publish(broker, secrets, mail)

    return {WEBHOOK: to_webhook, MQTT: to_broker}


async def post_webhook(webhook: Webhook, secrets: Path, mail: QueuedMail) -> Outcome:
    """One POST; accepted is a 2xx. A redirect is not followed: the signature is for this address."""
    name = f"{WEBHOOK}:{webhook.id}"
    try:
        secret = webhook.secret.read(secrets).reveal()
    except SecretUnavailable as error:
        return Outcome(accepted=False, refused=False, relay=name, answer=str(error))
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "hinomi",
        "X-Hinomi-Delivery": mail.message_id.strip("<>"),
        "X-Hinomi-Timestamp": timestamp,
        "X-Hinomi-Signature": signature(secret, timestamp, mail.message),
    }
    limit = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(webhook.url, data=mail.message, headers=headers, allow_redirects=False) as answer,
        ):
            said = (await answer.content.read(_ANSWER_OCTETS)).decode("utf-8", "replace")
            refused = answer.status in _REFUSED and answer.status not in PASSING
            return Outcome(answer.status in _ACCEPTED, refused, name, f"{answer.status} {said}".strip())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return Outcome(accepted=False, refused=False, relay=name, answer=str(error) or "no answer in time")


async def publish(broker: MqttBroker, secrets: Path, mail: QueuedMail) -> Outcome:
    """One message, quality of service 1; kept by the broker until the incident is over, then taken back."""
    name = f"{MQTT}:{broker.host}:{broker.port}"
    topic = mail.recipient.partition(":")[2]
    try:
        password = broker.password.read(secrets).reveal() if broker.password is not None else None
        async with (
            asyncio.timeout(TIMEOUT),
            aiomqtt.Client(
                broker.host,
                broker.port,
                username=broker.user,
                password=password,
                identifier=f"hinomi-{broker.node}-alerts",
                tls_context=ssl.create_default_context() if broker.tls else None,
            ) as client,
        ):
            over = mail.kind == "closed"
            await client.publish(topic, mail.message, qos=1, retain=not over)
            if over:
                await client.publish(topic, b"", qos=1, retain=True)
    except (SecretUnavailable, aiomqtt.MqttError, OSError, TimeoutError) as error:
        return Outcome(accepted=False, refused=False, relay=name, answer=str(error) or "no answer in time")
    return Outcome(accepted=True, refused=False, relay=name, answer="taken by the broker")
