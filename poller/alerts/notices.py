"""What to tell, to whom, and why (R57, R58): decided anew at every step from what is true and what was told.

Level-triggered, so that a restart, the end of a maintenance window or of a silence needs no case of its own: an
incident whose truth differs from what was told is told, unless something holds it, and every decision has its reason.

    serious   told at once (after `settle`, in which alerts with the same cause come together), repeated every
              `repeat_interval` until somebody acknowledges, to more people each time
    minor     held for the digest at `digest_at` of the next business day; if it turns serious it leaves at once;
              if it ends before, the digest says so
    notice    shown, and in the digest of those contacts who asked for notices
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import time
from enum import StrEnum
from zoneinfo import ZoneInfo

from poller.alerts.calendar import BUSINESS, next_opening
from poller.alerts.incidents import Incident, Told
from poller.alerts.oncall import first_called
from poller.alerts.states import SECOND
from poller.estate import Contact, Estate, Severity


class Kind(StrEnum):
    """What a notice is."""

    FIRST = "first"
    RAISED = "raised"
    REPEAT = "repeat"
    EASED = "eased"
    FLAPPING = "flapping"
    STEADY = "steady"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    DIGEST = "digest"
    STORM = "storm"
    ANNOUNCEMENT = "announcement"
    TEST = "test"


class Why(StrEnum):
    """The reason of a decision; it stands in every mail and in the store."""

    NEW = "new serious fault"
    AFTER_MUTE = "still so at the end of maintenance or of a silence"
    TURNED_SERIOUS = "a held or minor fault turned serious"
    UNACKNOWLEDGED = "nobody has acknowledged it"
    PARTLY_OVER = "no longer serious, but not over"
    TURNS_TOO_OFTEN = "flapping: single changes are not told until it is calm"
    CALM_AGAIN = "calm again"
    SECOND_DUE = "the second notice is due soon and nobody has noted it"
    OVER = "over"
    BUSINESS_DAY = "minor faults, held until the next business day"
    SETTLING = "waiting for alerts with the same cause"
    PARENT_UNSETTLED = "waiting to learn whether its parent is down"
    MUTED = "muted"
    EXPLAINED = "explained by another incident"
    NOTHING_NEW = "nothing new"
    ACKNOWLEDGED = "acknowledged"
    HELD = "minor: held for the digest"
    SHOWN_ONLY = "notice: only shown"
    TOO_MANY = "more mails than the cap allows"
    ASKED = "asked for by an operator"


@dataclass(frozen=True, slots=True)
class Policy:
    """Times and limits of telling, in seconds.

    remind_after: from the moment at which a fault was confirmed as serious; half an hour before the second notice is
    due.
    """

    settle: float = 3.0
    parent_wait: float = 30.0
    repeat_interval: float = 900.0
    remind_after: float = 5400.0
    digest_at: time = time(8, 30)
    storm_mails: int = 10
    storm_window: float = 600.0


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What holds a notice back.

    muted_by names the maintenance window or silence; parent_pending: a parent is failing and not yet judged;
    explained: all that is still bad hangs on something that has an incident of its own, or has yet to be asked again.
    """

    muted_by: str | None = None
    parent_pending: bool = False
    explained: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Tell (kind) or not (None), and why."""

    kind: Kind | None
    why: Why


def may_tell(incident: Incident, policy: Policy, now_ns: int, *, fresh: bool) -> bool:
    """A cheap first look, once a second at every incident: False where decide() would find nothing to tell.

    fresh: the incident changed, or a minute has passed; others that are not serious wait for that.
    """
    told = incident.told
    if incident.closed_ns is not None:
        return told.severity is Severity.SERIOUS and not told.recovered
    if incident.severity is not Severity.SERIOUS:
        return fresh
    if told.severity is not Severity.SERIOUS or told.flapping is not incident.flapping or told.last_ns is None:
        return True
    if _second_is_due(incident, policy, now_ns):
        return True
    return incident.acknowledged is None and now_ns - told.last_ns >= policy.repeat_interval * SECOND


def _second_is_due(incident: Incident, policy: Policy, now_ns: int) -> bool:
    """True once, where those in charge must soon be told what is being done, and nobody has noted that they were."""
    if not incident.fault or incident.told.reminded or incident.second_notice is not None:
        return False
    return now_ns - incident.serious_from_ns >= policy.remind_after * SECOND


def decide(incident: Incident, around: Circumstances, policy: Policy, now_ns: int) -> Decision:  # noqa: PLR0911 - one a case
    """What to tell about one incident by a mail of its own now."""
    told = incident.told
    if around.muted_by is not None:
        return Decision(None, Why.MUTED)
    if incident.closed_ns is not None:
        if told.severity is Severity.SERIOUS and not told.recovered:
            return Decision(Kind.RECOVERED, Why.OVER)
        return Decision(None, Why.NOTHING_NEW)
    if around.explained:
        return Decision(None, Why.EXPLAINED)
    if incident.severity is Severity.SERIOUS:
        return _decide_serious(incident, around, policy, now_ns)
    if told.severity is Severity.SERIOUS:
        return Decision(Kind.EASED, Why.PARTLY_OVER)
    return Decision(None, Why.HELD if incident.severity is Severity.MINOR else Why.SHOWN_ONLY)


def _decide_serious(incident: Incident, around: Circumstances, policy: Policy, now_ns: int) -> Decision:  # noqa: PLR0911 - one a reason
    told = incident.told
    if told.severity is not Severity.SERIOUS:
        return _decide_new(incident, around, policy, now_ns)
    if incident.flapping is not told.flapping:
        if incident.flapping:
            return Decision(Kind.FLAPPING, Why.TURNS_TOO_OFTEN)
        return Decision(Kind.STEADY, Why.CALM_AGAIN)
    if _second_is_due(incident, policy, now_ns):
        return Decision(Kind.REMINDER, Why.SECOND_DUE)
    if incident.acknowledged is not None:
        return Decision(None, Why.ACKNOWLEDGED)
    if told.last_ns is not None and now_ns - told.last_ns >= policy.repeat_interval * SECOND:
        return Decision(Kind.REPEAT, Why.UNACKNOWLEDGED)
    return Decision(None, Why.NOTHING_NEW)


def _decide_new(incident: Incident, around: Circumstances, policy: Policy, now_ns: int) -> Decision:
    """A serious incident that was not told as serious yet."""
    told = incident.told
    age = (now_ns - incident.opened_ns) / SECOND
    if told.first_ns is None and told.digest_ns is None:
        if around.parent_pending and age < policy.parent_wait:
            return Decision(None, Why.PARENT_UNSETTLED)
        if age < policy.settle:
            return Decision(None, Why.SETTLING)
        if not incident.turned_serious:
            return Decision(Kind.FIRST, Why.NEW)
    return Decision(Kind.RAISED, Why.TURNED_SERIOUS)


def remember(incident: Incident, kind: Kind, now_ns: int) -> Incident:
    """The incident once the notice is on its way."""
    told = incident.told
    told = replace(
        told,
        count=told.count + 1,
        first_ns=now_ns if told.first_ns is None else told.first_ns,
        last_ns=now_ns,
        severity=incident.severity if incident.closed_ns is None else told.severity,
        repeats=told.repeats + (kind is Kind.REPEAT),
        flapping=incident.flapping,
        reminded=told.reminded or kind is Kind.REMINDER,
        recovered=told.recovered or kind is Kind.RECOVERED,
    )
    return replace(incident, told=told)


def digest_due_ns(incident: Incident, estate: Estate, policy: Policy) -> int | None:
    """When the incident's minor news are due for the digest; None where there are none."""
    told = incident.told
    calendar = estate.calendars.get("business", BUSINESS)
    zone = ZoneInfo(estate.organisation.timezone)
    if incident.merged_into is not None or told.severity is Severity.SERIOUS:
        return None
    if told.digest_ns is None:
        if incident.closed_ns is not None and told.muted:
            return None
        if incident.severity is Severity.SERIOUS and incident.closed_ns is None:
            return None
        since = incident.opened_ns if told.last_ns is None else told.last_ns
        return next_opening(calendar, since, policy.digest_at, zone)
    if incident.closed_ns is not None and not told.digest_recovered:
        return next_opening(calendar, incident.closed_ns, policy.digest_at, zone)
    return None


def remember_digest(incident: Incident, now_ns: int) -> Incident:
    """The incident once a digest has told of it."""
    told: Told = replace(incident.told, digest_ns=now_ns, digest_recovered=incident.closed_ns is not None)
    return replace(incident, told=told)


def recipients(incident: Incident, kind: Kind, estate: Estate, now_ns: int) -> list[Contact]:
    """Whom to tell.

    At once the operators and the engineer on call; the provider of an affected circuit where the fault may be outside;
    the contacts of affected tenants. While nobody acknowledges, the other engineers from the first repeat on and the
    officers from the second. The digest goes to all engineers. A reminder of the second notice goes to those who must
    write it: operators and engineers.
    """
    level = incident.told.repeats + (kind is Kind.REPEAT)
    first = first_called(estate, now_ns)
    providers = {
        estate.circuits[circuit].provider for circuit in incident.affected.circuits if circuit in estate.circuits
    }
    tenants = {
        contact
        for tenant in incident.affected.tenants
        if tenant in estate.tenants
        for contact in estate.tenants[tenant].contacts
    }
    outside = incident.fault and incident.scope != "inside"
    on_service = bool(incident.affected.services)
    chosen = []
    for contact in estate.contacts.values():
        concerned = {
            "operator": True,
            "engineer": contact.id in first or level >= 1 or kind is Kind.DIGEST,
            "officer": level >= 2 or kind is Kind.DIGEST,  # noqa: PLR2004 - the second repeat
            "provider": outside and contact.id in providers,
            "tenant": contact.id in tenants and kind is not Kind.REPEAT,
            "supplier": on_service,
        }[contact.role] or (contact.id in tenants and kind is not Kind.REPEAT)
        if kind is Kind.REMINDER:
            concerned = contact.role == "operator" or (contact.role == "engineer" and concerned)
        if concerned and contact.email is not None and _wants(contact, incident, kind):
            chosen.append(contact)
    return chosen


_BY_SEVERITY = frozenset({Kind.FIRST, Kind.RAISED, Kind.REPEAT, Kind.REMINDER, Kind.DIGEST})
"""Notices for those who care for what the incident is now; the others go to whoever cared for its worst."""


def _wants(contact: Contact, incident: Incident, kind: Kind) -> bool:
    severity = incident.severity if kind in _BY_SEVERITY else incident.worst
    return severity in contact.severities


def digest_recipients(incidents: Iterable[Incident], estate: Estate, now_ns: int) -> dict[str, list[Incident]]:
    """By contact, the minor incidents that the digest tells it; operators and engineers, and whom else it concerns."""
    found: dict[str, list[Incident]] = {}
    for incident in incidents:
        for contact in recipients(incident, Kind.DIGEST, estate, now_ns):
            found.setdefault(contact.id, []).append(incident)
    return found
