"""The stores of a configuration, opened: the embedded one always, a database and a broker where they are configured."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from poller.config import Configuration
from poller.secrets import Secret, SecretReference
from poller.storage.delivery import Store
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.mqtt import MqttSettings, MqttSink
from poller.storage.parquet import ParquetStore, Retention

PARQUET: Final = "parquet"
INFLUX: Final = "influx"
MQTT: Final = "mqtt"


def store_names(configuration: Configuration) -> list[str]:
    """The names under which the stores read the journal; a store that is not named holds nothing back."""
    storage = configuration.estate.storage
    configured = {PARQUET: True, INFLUX: storage.influx is not None, MQTT: storage.mqtt is not None}
    return [name for name, wanted in configured.items() if wanted]


def influx_settings(configuration: Configuration) -> InfluxSettings | None:
    """How the configured database is reached, None where there is none; raises SecretUnavailable."""
    influx = configuration.estate.storage.influx
    if influx is None:
        return None
    token, password = (
        None if reference is None else reference.read(configuration.directory)
        for reference in (influx.token, influx.password)
    )
    return InfluxSettings(influx.url, influx.bucket, influx.kind, influx.org, token, influx.user, password)


@asynccontextmanager
async def open_stores(configuration: Configuration) -> AsyncIterator[Mapping[str, Store]]:
    """Every store by name, closed at the end; raises SecretUnavailable."""
    storage, state = configuration.estate.storage, configuration.state_directory

    def secret(reference: SecretReference | None) -> Secret | None:
        return reference.read(configuration.directory) if reference is not None else None

    stores: dict[str, Store] = {PARQUET: ParquetStore(state / "store", Retention(raw_days=storage.raw_days))}
    async with AsyncExitStack() as stack:
        if (settings := influx_settings(configuration)) is not None:
            sink = open_influx(settings, state / "dead_letters")
            stack.push_async_callback(sink.close)
            stores[INFLUX] = sink
        if (mqtt := storage.mqtt) is not None:
            broker = MqttSink(
                MqttSettings(
                    mqtt.host,
                    mqtt.node,
                    mqtt.port,
                    user=mqtt.user,
                    password=secret(mqtt.password),
                    tls=ssl.create_default_context() if mqtt.tls else None,
                )
            )
            stack.push_async_callback(broker.close)
            stores[MQTT] = broker
        yield stores
