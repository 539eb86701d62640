"""From condition to alert: the state machine (R51, R52).

A rule judges every value of its series: RAISE, BETWEEN, CLEAR or UNKNOWN. One alert per rule and subject:

    state     RAISE                      BETWEEN        CLEAR                          UNKNOWN
    inactive  pending; firing if no      -              -                              -
              raise_for
    pending   firing once raise_for is   inactive       inactive                       waits; the unknown stretch does
              over                                                                     not count towards raise_for
    firing    stays, clear_for starts    stays, the     resolved when a reading says   stays, clear_for starts anew:
              anew                       same           so clear_for after the first   no data never clears
    resolved  as inactive                -              -                              -

The clock alone may turn pending into firing (a reading holds until it is stale), but only a reading may clear: that
asymmetry is on purpose. A rule with no_data "raise" treats a stale series as RAISE.

Flapping: a series whose verdict turned between RAISE and CLEAR FLAP_TURNS times within FLAP_WINDOW is flapping. It is
then firing, whatever it says at the moment, until it has been calm for FLAP_CALM; so flapping is told once, and its
end once, with what is true then.

Nothing here reads a clock; now_ns is given.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from poller.alerts.rules import Key, Verdict
from poller.estate import Rule
from poller.sample import FieldValue

SECOND: Final = 1_000_000_000
FLAP_TURNS: Final = 6
FLAP_WINDOW: Final = 600 * SECOND
FLAP_CALM: Final = 600 * SECOND


class State(StrEnum):
    """Where an alert is."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Reason(StrEnum):
    """Why a state changed; stored with every transition."""

    RAISED = "went beyond the raise level"
    HELD = "stayed beyond the raise level for raise_for"
    NO_DATA = "no usable reading, and the rule raises on no data"
    FELL_BACK = "fell back before raise_for was over"
    CLEARED = "stayed beyond the clear level for clear_for"
    FLAPPING = "turns too often: flapping"
    CALM = "has been calm: no longer flapping"
    RULE_GONE = "its rule or its subject left the configuration"


@dataclass(frozen=True, slots=True)
class Reading:
    """One value as a rule sees it; at_ns is the sample's time."""

    verdict: Verdict
    value: FieldValue | None
    at_ns: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule's opinion of one subject. Times are UTC unix nanoseconds.

    since_ns: when the condition began, by the sample's time; moved on by unknown stretches while pending.
    resolved_ns: when the condition ended, which clear_for then proved.
    turns: when the verdict turned between RAISE and CLEAR lately, oldest first.
    """

    rule: str
    subject: str
    state: State = State.INACTIVE
    since_ns: int = 0
    fired_ns: int | None = None
    resolved_ns: int | None = None
    clear_since_ns: int | None = None
    unknown_since_ns: int | None = None
    flapping_since_ns: int | None = None
    seen_ns: int = 0
    raised: bool = False
    value: FieldValue | None = None
    turns: tuple[int, ...] = ()

    @property
    def key(self) -> Key:
        """Rule id and subject."""
        return (self.rule, self.subject)


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one alert."""

    rule: str
    subject: str
    before: State
    after: State
    reason: Reason
    at_ns: int
    value: FieldValue | None = None


def advance(alert: Alert, rule: Rule, reading: Reading, now_ns: int) -> tuple[Alert, Transition | None]:  # noqa: PLR0911 - one a cell
    """The alert after one reading, and the transition if there was one. Readings older than the last are ignored."""
    if reading.at_ns < alert.seen_ns:
        return alert, None
    if reading.verdict is Verdict.UNKNOWN:
        return _unknown(alert, reading), None
    alert = _turned(alert, reading, now_ns)
    if alert.flapping_since_ns is None and len(alert.turns) >= FLAP_TURNS:
        return _step(replace(alert, flapping_since_ns=now_ns), State.FIRING, Reason.FLAPPING, now_ns)
    if alert.state is State.FIRING:
        return _advance_firing(alert, rule, reading, now_ns)
    if reading.verdict is Verdict.RAISE:
        return _advance_raised(alert, rule, reading, now_ns)
    if alert.state is State.PENDING:
        return _step(alert, State.INACTIVE, Reason.FELL_BACK, now_ns)
    return alert, None


def pass_time(alert: Alert, rule: Rule, stale_after_ns: int, now_ns: int) -> tuple[Alert, Transition | None]:
    """The alert as time goes by without a reading; stale_after_ns is how long a reading of this series holds."""
    stale = now_ns - alert.seen_ns > stale_after_ns
    if alert.state is State.PENDING and alert.raised and alert.unknown_since_ns is None:
        if stale and rule.no_data == "keep":
            return replace(alert, unknown_since_ns=alert.seen_ns + stale_after_ns), None
        if now_ns - alert.since_ns >= rule.raise_for * SECOND:
            return _step(alert, State.FIRING, Reason.HELD, now_ns)
    if alert.flapping_since_ns is not None and alert.raised and _calm(alert, now_ns):
        return _step(replace(alert, flapping_since_ns=None, turns=()), State.FIRING, Reason.CALM, now_ns)
    if alert.state is State.FIRING and stale and alert.clear_since_ns is not None:
        return replace(alert, clear_since_ns=None), None
    return alert, None


def raise_for_no_data(alert: Alert, rule: Rule, now_ns: int) -> tuple[Alert, Transition | None]:
    """The alert of a stale series whose rule raises on no data: fires when raise_for has passed without a reading."""
    if alert.state is State.FIRING:
        return alert, None
    if alert.state is not State.PENDING:
        alert = replace(alert, since_ns=now_ns, value=None, raised=True, unknown_since_ns=None)
    if now_ns - alert.since_ns >= rule.raise_for * SECOND:
        return _step(alert, State.FIRING, Reason.NO_DATA, now_ns)
    if alert.state is State.PENDING:
        return alert, None
    return _step(alert, State.PENDING, Reason.NO_DATA, now_ns)


def retire(alert: Alert, now_ns: int) -> tuple[Alert, Transition | None]:
    """The alert whose rule or subject is no longer configured; it ends without having cleared."""
    if alert.state not in {State.PENDING, State.FIRING}:
        return alert, None
    after = State.RESOLVED if alert.state is State.FIRING else State.INACTIVE
    return _step(alert, after, Reason.RULE_GONE, now_ns)


def is_spent(alert: Alert, now_ns: int) -> bool:
    """True where nothing of the alert is worth remembering any more: neither active nor lately turning."""
    return alert.state in {State.INACTIVE, State.RESOLVED} and _calm(alert, now_ns)


def _unknown(alert: Alert, reading: Reading) -> Alert:
    since = reading.at_ns if alert.unknown_since_ns is None else alert.unknown_since_ns
    return replace(alert, unknown_since_ns=since, clear_since_ns=None, seen_ns=reading.at_ns)


def _turned(alert: Alert, reading: Reading, now_ns: int) -> Alert:
    """The alert with the reading taken in: unknown time taken out, a turn noted if the verdict turned."""
    since, turns, raised = alert.since_ns, alert.turns, alert.raised
    if alert.unknown_since_ns is not None and alert.state is State.PENDING:
        since += max(0, reading.at_ns - alert.unknown_since_ns)
    if reading.verdict is not Verdict.BETWEEN and (reading.verdict is Verdict.RAISE) is not raised:
        raised = not raised
        turns = (*(turn for turn in turns if now_ns - turn < FLAP_WINDOW), now_ns)[-FLAP_TURNS:]
    return replace(
        alert,
        since_ns=since,
        turns=turns,
        raised=raised,
        unknown_since_ns=None,
        seen_ns=reading.at_ns,
        value=reading.value,
    )


def _advance_raised(alert: Alert, rule: Rule, reading: Reading, now_ns: int) -> tuple[Alert, Transition | None]:
    starting = alert.state is not State.PENDING
    if starting:
        alert = replace(alert, since_ns=reading.at_ns)
    if now_ns - alert.since_ns >= rule.raise_for * SECOND:
        return _step(alert, State.FIRING, Reason.RAISED if starting else Reason.HELD, now_ns)
    return _step(alert, State.PENDING, Reason.RAISED, now_ns) if starting else (alert, None)


def _advance_firing(alert: Alert, rule: Rule, reading: Reading, now_ns: int) -> tuple[Alert, Transition | None]:
    if reading.verdict is not Verdict.CLEAR:
        return replace(alert, clear_since_ns=None), None
    clear_since = reading.at_ns if alert.clear_since_ns is None else alert.clear_since_ns
    alert = replace(alert, clear_since_ns=clear_since)
    if reading.at_ns - clear_since < rule.clear_for * SECOND:
        return alert, None
    if alert.flapping_since_ns is not None:
        if not _calm(alert, now_ns):
            return alert, None
        return _step(replace(alert, flapping_since_ns=None, turns=()), State.RESOLVED, Reason.CALM, now_ns)
    return _step(alert, State.RESOLVED, Reason.CLEARED, now_ns)


def _calm(alert: Alert, now_ns: int) -> bool:
    return not alert.turns or now_ns - alert.turns[-1] >= FLAP_CALM


def _step(alert: Alert, after: State, reason: Reason, now_ns: int) -> tuple[Alert, Transition]:
    changed = replace(alert, state=after)
    if after is State.FIRING and alert.state is not State.FIRING:
        since = alert.since_ns or alert.seen_ns
        changed = replace(changed, fired_ns=now_ns, resolved_ns=None, clear_since_ns=None, since_ns=since)
    elif after is State.RESOLVED:
        changed = replace(changed, resolved_ns=alert.clear_since_ns or now_ns, clear_since_ns=None)
    return changed, Transition(alert.rule, alert.subject, alert.state, after, reason, now_ns, alert.value)
