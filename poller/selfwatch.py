"""The daemon watches itself (R74): lag, stalls, queues and drops, once a minute, as samples of its own measurement."""

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from poller.alerts.store import Store
from poller.pipeline import Pipeline
from poller.rounds import Rounds
from poller.sample import FieldValue, Sample
from poller.services import Services
from poller.storage.delivery import DeliveryState
from poller.storage.journal import Journal

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
        self._cpu_seconds = time.thread_time()
        self._node = socket.gethostname()
        self._stall_seconds = 0.0
        self._minute = 0
        self._refused: list[str] = []

    def beat(self, now_ns: int, late_seconds: float) -> None:
        """Once a second, with how late that second was; publishes when a minute has ended."""
        self._stall_seconds = max(self._stall_seconds, late_seconds)
        minute = now_ns // MINUTE_NS
        if self._minute == 0:
            self._minute = minute
        if minute == self._minute:
            return
        self._minute = minute
        self._pipeline.publish(self._samples(minute * MINUTE_NS), now_ns)
        self._stall_seconds = 0.0

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

    def _sample(self, part: str, fields: dict[str, FieldValue], time_ns: int) -> Sample:
        return Sample("daemon", (("node", self._node), ("part", part)), fields, time_ns)

    def _busy(self) -> float:
        """The part of the last minute that the loop's thread worked."""
        before, self._cpu_seconds = self._cpu_seconds, time.thread_time()
        return (self._cpu_seconds - before) / (MINUTE_NS / 1e9)

    def _samples(self, time_ns: int) -> list[Sample]:
        rounds = self._watched.rounds.statistics.take()
        alerts = self._watched.alerts
        outbox = alerts.outbox
        parts: dict[str, dict[str, FieldValue]] = {
            "rounds": {
                "lag_seconds": rounds.lag_seconds,
                "duration_seconds": rounds.seconds,
                "done_total": rounds.started,
                "failed_total": rounds.failed,
                "drops_total": rounds.missed,
                "overruns_total": rounds.overruns.total(),
            },
            "services": _service_fields(self._watched.services),
            "loop": {"stall_seconds": self._stall_seconds, "busy_ratio": self._busy()},
            "alerts": {"trouble": alerts.trouble is not None, "queue_depth": alerts.waiting},
            "outbox": {
                "queue_depth": outbox.waiting,
                "done_total": outbox.sent_total,
                "failed_total": outbox.dead_total,
                "trouble": outbox.oldest_ns is not None and time_ns - outbox.oldest_ns > LATE_MAIL_NS,
            },
            "journal": self._journal_fields(),
            "configuration": self._configuration_fields(),
            **{name: _delivery_fields(delivery) for name, delivery in self._watched.deliveries.items()},
        }
        return [self._sample(part, fields, time_ns) for part, fields in parts.items()]

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
    counted = services.statistics.take()
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
