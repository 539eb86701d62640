"""The stores of a configuration: the embedded one always, a database and a broker where they are configured.

Each has a task that brings it the journal; when another configuration is followed only those restart that changed.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from poller.config import Configuration
from poller.secrets import Secret, SecretReference
from poller.storage.delivery import DeliveryState, Store, run_reader
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal, JournalLimits
from poller.storage.mqtt import MqttSettings, MqttSink
from poller.storage.parquet import ParquetStore, Retention

PARQUET: Final = "parquet"
INFLUX: Final = "influx"
MQTT: Final = "mqtt"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What a store is made from, secrets included, and how; two are equal where the store would be the same."""

    made_from: object
    make: Callable[[AsyncExitStack], Store] = field(compare=False)


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


def store_settings(configuration: Configuration) -> Mapping[str, StoreSettings]:
    """Every store by the name under which it reads the journal; raises SecretUnavailable."""
    storage, state = configuration.estate.storage, configuration.state_directory

    def secret(reference: SecretReference | None) -> Secret | None:
        return reference.read(configuration.directory) if reference is not None else None

    def parquet(_stack: AsyncExitStack) -> Store:
        return ParquetStore(state / "store", Retention(raw_days=storage.raw_days))

    found = {PARQUET: StoreSettings((state, storage.raw_days), parquet)}
    if (database := influx_settings(configuration)) is not None:

        def to_influx(stack: AsyncExitStack) -> Store:
            sink = open_influx(database, state / "dead_letters")
            stack.push_async_callback(sink.close)
            return sink

        found[INFLUX] = StoreSettings(database, to_influx)
    if (mqtt := storage.mqtt) is not None:
        broker = MqttSettings(mqtt.host, mqtt.node, mqtt.port, user=mqtt.user, password=secret(mqtt.password))
        tls = ssl.create_default_context() if mqtt.tls else None

        def to_mqtt(stack: AsyncExitStack) -> Store:
            sink = MqttSink(replace(broker, tls=tls))
            stack.push_async_callback(sink.close)
            return sink

        found[MQTT] = StoreSettings((broker, mqtt.tls), to_mqtt)
    return found


@dataclass(slots=True)
class _Running:
    settings: StoreSettings
    task: asyncio.Task[None]
    stack: AsyncExitStack


class Deliveries:
    """The tasks that bring the journal to the stores. states: how each does; group: where they run."""

    def __init__(self, journal: Journal, group: asyncio.TaskGroup) -> None:
        self.states: dict[str, DeliveryState] = {}
        self._journal = journal
        self._group = group
        self._running: dict[str, _Running] = {}

    async def follow(self, wanted: Mapping[str, StoreSettings], limits: JournalLimits) -> None:
        """Deliver to these stores and no others; raises JournalUnavailable while the journal cannot be written."""
        await self._journal.flush()
        for name in [each for each, running in self._running.items() if wanted.get(each) != running.settings]:
            await self._end(name)
        await self._journal.follow(wanted, limits)
        for name, settings in wanted.items():
            if name not in self._running:
                self._begin(name, settings)

    async def close(self) -> None:
        """End all; what a store has not yet comes again at the next start."""
        for name in tuple(self._running):
            await self._end(name)

    def _begin(self, name: str, settings: StoreSettings) -> None:
        stack = AsyncExitStack()
        store = settings.make(stack)
        reader, state = self._journal.reader(name), DeliveryState()
        reader.rewind()
        self.states[name] = state
        task = self._group.create_task(run_reader(reader, store, state=state), name=name)
        self._running[name] = _Running(settings, task, stack)

    async def _end(self, name: str) -> None:
        running = self._running.pop(name)
        del self.states[name]
        running.task.cancel()
        await asyncio.wait([running.task])
        await running.stack.aclose()
