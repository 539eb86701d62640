"""The MQTT sink: the journal's records to a broker, a remote poller's way home.

Topic <prefix>/<node>/records, quality of service 1, one message a record, in order: the next one leaves when the
broker has answered for this one. A message that was under way when the line broke comes twice; its number tells.

Payload: b"HM", one byte of version (1), the record's number in eight bytes (big-endian), the record's body as it lies
in the journal (poller.storage.encoding). A broker keeps messages only for sessions it knows: whoever is at home
subscribes with an identifier of its own and clean_session=False before the first poller is sent out.
"""

import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiomqtt

from poller.secrets import Secret
from poller.storage.delivery import DeliverySettings
from poller.storage.encoding import Block, decode
from poller.storage.errors import StoreUnavailable, UnreadableRecord
from poller.storage.reader import Record

_HEAD: Final = struct.Struct(">2sBQ")
_MAGIC: Final = b"HM"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Which broker, and who we are: node names this poller and is part of the topic."""

    hostname: str
    node: str
    port: int = 1883
    prefix: str = "hinomi"
    user: str | None = None
    password: Secret | None = None
    tls: ssl.SSLContext | None = None
    timeout_seconds: float = 30.0

    @property
    def topic(self) -> str:
        """Where this node's records go."""
        return f"{self.prefix}/{self.node}/records"


class MqttSink:
    """A store (poller.storage.delivery) that publishes; one connection, made when there is something to send."""

    delivery = DeliverySettings(max_samples=5_000, max_seconds=1.0)

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings
        self._client: aiomqtt.Client | None = None

    async def write(self, records: Sequence[Record]) -> None:
        """Every record is with the broker when it returns."""
        try:
            client = await self._connected()
            for record in records:
                await client.publish(self._settings.topic, encode_message(record.number, record.body), qos=1)
        except (aiomqtt.MqttError, OSError) as error:
            await self.close()
            raise StoreUnavailable("unreachable", f"{self._settings.hostname}: {error}") from error

    async def close(self) -> None:
        """Take leave of the broker."""
        client, self._client = self._client, None
        if client is not None:
            try:
                await client.__aexit__(None, None, None)
            except (aiomqtt.MqttError, OSError):
                return

    async def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            settings = self._settings
            client = aiomqtt.Client(
                settings.hostname,
                settings.port,
                username=settings.user,
                password=settings.password.reveal() if settings.password else None,
                identifier=f"hinomi-{settings.node}",
                timeout=settings.timeout_seconds,
                tls_context=settings.tls,
            )
            self._client = await client.__aenter__()
        return self._client


def encode_message(number: int, body: bytes) -> bytes:
    """The payload of one record."""
    return _HEAD.pack(_MAGIC, _VERSION, number) + body


def decode_message(payload: bytes) -> tuple[int, list[Block]]:
    """The record's number at its sender, and its samples as tables; UnreadableRecord where it is none of ours."""
    if len(payload) < _HEAD.size:
        raise UnreadableRecord("the message is too short for a record")
    magic, version, number = _HEAD.unpack_from(payload)
    if magic != _MAGIC or version != _VERSION:
        raise UnreadableRecord(f"the message is no record of version {_VERSION}")
    return number, decode(payload[_HEAD.size :])
