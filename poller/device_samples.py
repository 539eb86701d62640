"""The Sample of a device from one poll: its values where it answered, the reason where it did not."""

from typing import Final

from poller.estate import Device
from poller.readings import ISOLATED, MAINTENANCE, DeviceReading, FailedPoll
from poller.sample import FieldValue, Quality, Sample
from poller.schema import SCHEMA

_FIELDS: Final = {field.name: field.kind for field in SCHEMA["device"].fields}
_WRAP_SECONDS: Final = 2**32 / 100
"""After so long sysUpTime begins again (TimeTicks, RFC 2578): 497.1 days."""
_CLOCK_TOLERANCE_SECONDS: Final = 600.0


def device_sample(device: Device, reading: DeviceReading) -> Sample:
    """The device answered, wholly or in part (R20); what it did not give is absent."""
    fields: dict[str, FieldValue] = {"up": True, "quality": Quality.OBSERVED.value, **_cost(reading)}
    for name, value in reading.values.items():
        kind = _FIELDS.get(name)
        if kind is not None:
            fields[name] = kind(value)
    if device.sessions_limit is not None:
        fields["sessions_limit"] = device.sessions_limit
    limit, sessions = fields.get("sessions_limit"), fields.get("sessions")
    if isinstance(limit, int) and isinstance(sessions, int) and limit > 0:
        fields["sessions_ratio"] = sessions / limit
    uptime = uptime_seconds(reading)
    if uptime is not None:
        fields["uptime_seconds"] = uptime
    if reading.failures:
        fields["reason"] = "; ".join(f"{name}: {text}" for name, text in sorted(reading.failures.items()))
    return Sample("device", _tags(device), fields, reading.due_ns)


def failed_sample(device: Device, failed: FailedPoll) -> Sample:
    """The device did not answer as it should: up is False only where nobody answered (R35).

    A device that refuses us is up, and one that we could not ask is unknown: neither is made a fault of the network.
    """
    fields: dict[str, FieldValue] = {"quality": Quality.FAILED.value, "reason": failed.reason, **_cost(failed)}
    if failed.reason in {MAINTENANCE, ISOLATED}:
        fields["quality"] = Quality.SUPPRESSED.value
    elif failed.answered is None:
        fields["quality"] = Quality.UNKNOWN.value
    else:
        fields["up"] = failed.answered
    return Sample("device", _tags(device), fields, failed.due_ns)


def _cost(answer: DeviceReading | FailedPoll) -> dict[str, FieldValue]:
    """What the poll cost us (R74)."""
    cost = answer.cost
    if cost is None:
        return {}
    return {
        "poll_seconds": cost.seconds,
        "poll_packets": cost.packets,
        "poll_retries": cost.retries,
        "poll_timeouts": cost.timeouts,
    }


def uptime_seconds(reading: DeviceReading) -> float | None:
    """Seconds since the agent started; a wrap of sysUpTime is taken out where snmpEngineTime witnesses it (R29)."""
    ticks = reading.device_uptime_ticks
    if ticks is None:
        return None
    seconds = ticks / 100
    engine = reading.engine_seconds
    if engine is not None and engine > _WRAP_SECONDS:
        wraps = round((engine - seconds) / _WRAP_SECONDS)
        if abs(engine - seconds - wraps * _WRAP_SECONDS) <= _CLOCK_TOLERANCE_SECONDS:
            return seconds + wraps * _WRAP_SECONDS
    return seconds


def _tags(device: Device) -> tuple[tuple[str, str], ...]:
    return (("device", device.id), ("role", device.role.value), ("site", device.site))
