"""The Sample of a service from one check. Pure."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.calendar import is_open
from poller.estate import Calendar
from poller.readings import MAINTENANCE
from poller.sample import FieldValue, Quality, Sample
from poller.service import Service
from poller.service_states import Told
from probes.result import ServiceState

_SECOND_NS: Final = 10**9
_WORTH_TELLING: Final = frozenset({"certificate_ends_soon"})
"""Reasons of a service that is up which somebody ought to read."""


def service_sample(service: Service, told: Told, calendar: Calendar | None, zone: ZoneInfo) -> Sample:
    """The check with what was decided of it; calendar is the service's hours, None for around the clock.

    A sentence goes along where the check failed, even if its repeats did not confirm it.
    """
    result, at_ns = told.check.result, told.check.at_ns
    fields: dict[str, FieldValue] = {} if told.up is None else {"up": told.up}
    if result.response_seconds is not None:
        fields["response_seconds"] = result.response_seconds
    fields |= {f"{phase}_seconds": seconds for phase, seconds in result.phases.items()}
    if result.certificate_days is not None:
        fields["certificate_days"] = result.certificate_days
    fields["in_service_hours"] = in_service_hours(calendar, at_ns, zone)
    fields["quality"] = (Quality.UNKNOWN if told.up is None else Quality.OBSERVED).value
    if result.state is not ServiceState.UP or told.up is not True or result.reason in _WORTH_TELLING:
        fields |= {"reason": result.reason, "text_ja": result.sentence("ja"), "text_en": result.sentence("en")}
    return Sample("service", (("service", service.id), ("kind", service.kind)), fields, at_ns)


def suppressed_sample(service: Service, at_ns: int, calendar: Calendar | None, zone: ZoneInfo) -> Sample:
    """What is kept while nobody asks because of works (R55): that it was not looked, and why."""
    fields: dict[str, FieldValue] = {
        "in_service_hours": in_service_hours(calendar, at_ns, zone),
        "quality": Quality.SUPPRESSED.value,
        "reason": MAINTENANCE,
        "text_ja": "計画作業のため確認を休止しています",
        "text_en": "not checked during planned work",
    }
    return Sample("service", (("service", service.id), ("kind", service.kind)), fields, at_ns)


def in_service_hours(calendar: Calendar | None, at_ns: int, zone: ZoneInfo) -> bool:
    """Whether the moment lies within the hours, half-open, in the organisation's time."""
    return calendar is None or is_open(calendar, datetime.fromtimestamp(at_ns // _SECOND_NS, zone))
