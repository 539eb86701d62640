"""Rules tried on recorded or invented series: when they would have fired, before a threshold is changed (N15, N20).

The very judges and states of the daemon, with the time of the samples as the clock; no incident, no mail.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from poller.alerts.freshness import HOUR_SECONDS, HOURLY, held_ns
from poller.alerts.rules import Key, RuleIndex, Verdict, value_of
from poller.alerts.states import SECOND, Alert, Reading, State, advance, pass_time
from poller.estate import Estate, Severity
from poller.sample import FieldValue, Sample


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that one rule would have fired; resolved_ns None: it had not cleared by the end of the series.

    worst: the value furthest beyond the level (for states: the value itself).
    """

    rule: str
    subject: str
    severity: Severity
    since_ns: int
    fired_ns: int
    resolved_ns: int | None
    worst: FieldValue | None
    flapping: bool


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came out: firings in their order, how many series each rule looked at, and the span of the samples."""

    firings: tuple[Firing, ...]
    series: dict[str, int]
    samples: int
    first_ns: int | None
    last_ns: int | None


def rehearse(estate: Estate, samples: Iterable[Sample], stale_after_seconds: float = 150.0) -> Rehearsal:
    """Run the estate's rules over samples, which are put into the order of their times."""
    ordered = sorted(samples, key=lambda sample: sample.time_ns)
    stage = _Stage(estate, int(stale_after_seconds * SECOND))
    for sample in ordered:
        stage.see(sample)
    return Rehearsal(
        tuple(sorted(stage.finish(), key=lambda firing: (firing.fired_ns, firing.rule, firing.subject))),
        {rule: len(stage.series.get(rule, ())) for rule in estate.rules},
        len(ordered),
        ordered[0].time_ns if ordered else None,
        ordered[-1].time_ns if ordered else None,
    )


class _Stage:
    def __init__(self, estate: Estate, stale_after_ns: int) -> None:
        self._estate = estate
        self._stale_after_ns = stale_after_ns
        self._index = RuleIndex(estate)
        self._alerts: dict[Key, Alert] = {}
        self._worst: dict[Key, FieldValue | None] = {}
        self._flapped: set[Key] = set()
        self._over: list[Firing] = []
        self.series: dict[str, set[str]] = {}

    def see(self, sample: Sample) -> None:
        for watch in self._index.watches(sample):
            value = value_of(sample, watch.field)
            if value is None:
                continue
            self.series.setdefault(watch.rule.id, set()).add(watch.key[1])
            verdict = watch.judge(value, sample.time_ns)
            before = self._alerts.get(watch.key)
            if before is None:
                if verdict is not Verdict.RAISE:
                    continue
                before = Alert(*watch.key)
            before = self._until(before, sample.time_ns)
            reading = Reading(verdict, value, sample.time_ns)
            after, _ = advance(before, watch.rule, reading, sample.time_ns)
            self._alerts[watch.key] = after
            self._note(after, value)
            if before.state is State.FIRING and after.state is not State.FIRING:
                self._over.append(self._firing(after))

    def _until(self, alert: Alert, now_ns: int) -> Alert:
        """The alert as the clock alone had left it just before now."""
        rule = self._estate.rules[alert.rule]
        due_ns = alert.since_ns + int(rule.raise_for * SECOND)
        hourly = rule.on.partition(".")[0] in HOURLY
        stale_after_ns = held_ns(HOUR_SECONDS) if hourly else self._stale_after_ns
        for moment in sorted({min(due_ns, now_ns), min(alert.seen_ns + stale_after_ns + 1, now_ns)}):
            if moment > alert.seen_ns:
                alert, _ = pass_time(alert, rule, stale_after_ns, moment)
        return alert

    def _note(self, alert: Alert, value: FieldValue) -> None:
        if alert.state is State.INACTIVE:
            self._worst.pop(alert.key, None)
        if alert.state not in {State.PENDING, State.FIRING}:
            return
        if alert.flapping_since_ns is not None:
            self._flapped.add(alert.key)
        rule, worst = self._estate.rules[alert.rule], self._worst.get(alert.key)
        if worst is None or isinstance(value, str) or isinstance(worst, str):
            self._worst[alert.key] = value if worst is None else worst
        elif rule.equals is None and not rule.changes:
            self._worst[alert.key] = min(worst, value) if rule.below is not None else max(worst, value)

    def _firing(self, alert: Alert) -> Firing:
        flapping = alert.key in self._flapped
        self._flapped.discard(alert.key)
        severity = self._estate.rules[alert.rule].severity
        worst = self._worst.pop(alert.key, alert.value)
        fired_ns = alert.fired_ns or alert.since_ns
        return Firing(alert.rule, alert.subject, severity, alert.since_ns, fired_ns, alert.resolved_ns, worst, flapping)

    def finish(self) -> list[Firing]:
        """All firings, those that last included."""
        return self._over + [self._firing(alert) for alert in self._alerts.values() if alert.state is State.FIRING]
