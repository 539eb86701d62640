"""What one step of one alert is called outside of alerting."""

from collections.abc import Iterable
from dataclasses import dataclass

from poller.alerts.states import Reason, State
from poller.estate import Severity
from poller.sample import FieldValue, Sample


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one alert, for wall, log and the measurement "alert"."""

    at_ns: int
    rule: str
    subject: str
    severity: Severity
    before: State
    after: State
    reason: Reason
    incident: str | None
    value: FieldValue | None = None


def alert_samples(changes: Iterable[Change]) -> list[Sample]:
    """The changes as samples of the measurement "alert"."""
    return [
        Sample(
            "alert",
            (("rule", change.rule), ("subject", change.subject), ("severity", change.severity.value)),
            {"state": change.after.value, "incident": change.incident or "", "reason": change.reason.value},
            change.at_ns,
        )
        for change in changes
    ]
