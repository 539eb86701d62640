"""The daemon watches itself (R74): lag, stalls, queues and drops, once a minute, as samples of its own measurement."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.alerts.store import Store
from poller.diskroom import DiskRoom, disk_room
from poller.log import tell
from poller.memory import memory_fields
from poller.pipeline import Pipeline
from poller.rounds import Rounds
from poller.sample import FieldValue, Sample
from poller.services import Services
from poller.storage.delivery import DeliveryState
from poller.storage.journal import Journal

_log: Final = logging.getLogger(__name__)
DISK_SECONDS: Final = 600.0
MINUTE_NS: Final = 60 * 10**9
LATE_MAIL_NS: Final = 5 * MINUTE_NS
"""A mail that no server has taken for so long is trouble, though it waits on."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The parts that count what they do; deliveries by the store's name."""

    journal: Journal
    rounds: Rounds
    services: Services
    deliveries: Mapping[str, DeliveryState]
    alerts: Store


class SelfWatch:
    """Collects what the parts count and publishes it through the pipeline like any other measurement."""

    def __init__(self, pipeline: Pipeline, watched: Watched) -> None:
        self._pipeline = pipeline
        self._watched = watched
        self._others: dict[str, Callable[[], Mapping[str, FieldValue]]] = {}
        self._room: DiskRoom | None = None
        self._cpu_seconds, self._since_ns = time.thread_time(), 0
        self._node = socket.gethostname()
        self._stall_seconds = 0.0
        self._minute = 0
        self._refused: list[str] = []

    def also(self, part: str, look: Callable[[], Mapping[str, FieldValue]]) -> None:
        """Watch a further part; look says how it is."""
        self._others[part] = look

    def beat(self, now_ns: int, late_seconds: float) -> None:
        """Once a second, with how late that second was; publishes when a minute has ended."""
        self._stall_seconds = max(self._stall_seconds, late_seconds)
        minute = now_ns // MINUTE_NS
        if self._minute == 0:
            self._minute, self._since_ns = minute, now_ns
        if minute == self._minute:
            return
        self._minute = minute
        time_ns = minute * MINUTE_NS
        parts = self.parts(now_ns)
        self._pipeline.publish([self._sample(part, each, time_ns) for part, each in parts.items()], now_ns)
        self._watched.rounds.statistics.take()
        self._watched.services.statistics.take()
        self._cpu_seconds, self._since_ns = time.thread_time(), now_ns
        self._stall_seconds = 0.0

    async def look_at_disk(self, state: Path) -> None:
        """Until cancelled: see how much room the disk has left, which takes a thread and may take its time."""
        while True:
            try:
                self._room = await asyncio.to_thread(disk_room, state)
            except OSError as error:
                tell(_log, logging.WARNING, "disk_not_seen", reason=str(error))
            await asyncio.sleep(DISK_SECONDS)

    def see_configuration(self, problems: Sequence[object], now_ns: int) -> None:
        """What was wrong with the configuration that was read last; told at once, and with every minute."""
        self._refused = [str(problem) for problem in problems]
        self._pipeline.publish([self._sample("configuration", self._configuration_fields(), now_ns)], now_ns)

    def _configuration_fields(self) -> dict[str, FieldValue]:
        fields: dict[str, FieldValue] = {"refused": bool(self._refused)}
        if self._refused:
            more = f" (and {len(self._refused) - 1} more)" if len(self._refused) > 1 else ""
            fields["reason"] = self._refused[0] + more
        return fields

    def _sample(self, part: str, fields: Mapping[str, FieldValue], time_ns: int) -> Sample:
        return Sample("daemon", (("node", self._node), ("part", part)), fields, time_ns)

    def _busy(self, now_ns: int) -> float:
        """The part of the time since the last minute ended that the loop's thread worked."""
        elapsed_ns = now_ns - self._since_ns
        return (time.thread_time() - self._cpu_seconds) * 1e9 / elapsed_ns if elapsed_ns > 0 else 0.0

    def parts(self, now_ns: int) -> dict[str, Mapping[str, FieldValue]]:
        """How every part is, by the fields of the measurement "daemon"; maxima and sums are since the last minute."""
        rounds, alerts = self._watched.rounds, self._watched.alerts
        counted, outbox = rounds.statistics, alerts.outbox
        return {
            "rounds": {
                "queue_depth": rounds.running,
                "busy_ratio": counted.busy_ratio,
                "lag_seconds": counted.lag_seconds,
                "lag_p99_seconds": counted.lag_p99_seconds,
                "duration_seconds": counted.seconds,
                "done_total": counted.started,
                "failed_total": counted.failed,
                "drops_total": counted.missed,
                "overruns_total": counted.overruns.total(),
            },
            "services": _service_fields(self._watched.services),
            "loop": {"stall_seconds": self._stall_seconds, "busy_ratio": self._busy(now_ns), **memory_fields()},
            "disk": self._disk_fields(),
            "alerts": {"trouble": alerts.trouble is not None, "queue_depth": alerts.waiting},
            "outbox": {
                "queue_depth": outbox.waiting,
                "done_total": outbox.sent_total,
                "failed_total": outbox.dead_total,
                "trouble": outbox.oldest_ns is not None and now_ns - outbox.oldest_ns > LATE_MAIL_NS,
            },
            "journal": self._journal_fields(),
            "configuration": self._configuration_fields(),
            **{name: _delivery_fields(delivery) for name, delivery in self._watched.deliveries.items()},
            **{name: tell_part() for name, tell_part in self._others.items()},
        }

    def _disk_fields(self) -> dict[str, FieldValue]:
        if self._room is None:
            return {}
        fields: dict[str, FieldValue] = {"free_octets": self._room.free_octets}
        days = self._room.days_left
        return fields if days is None else {**fields, "days_left": days}

    def _journal_fields(self) -> dict[str, FieldValue]:
        state = self._watched.journal.state
        full = state.last_error is not None and "full" in state.last_error
        fields: dict[str, FieldValue] = {
            "queue_depth": state.depth,
            "drops_total": state.drops_total,
            "disk_full": full,
            "not_durable": state.last_error is not None and not full,
        }
        return fields if state.last_error is None else {**fields, "reason": state.last_error}


def _service_fields(services: Services) -> dict[str, FieldValue]:
    counted = services.statistics
    return {
        "lag_seconds": counted.lag_seconds,
        "duration_seconds": counted.seconds,
        "queue_depth": len(services.checking),
        "done_total": counted.checked,
        "failed_total": counted.unknown,
        "drops_total": counted.missed,
    }


def _delivery_fields(delivery: DeliveryState) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {
        "done_total": delivery.done_total,
        "failed_total": delivery.failed_total,
        "undelivered": delivery.last_error is not None,
    }
    return fields if delivery.last_error is None else {**fields, "reason": delivery.last_error}
