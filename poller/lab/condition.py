"""How devices and services were over some slots, in columns, for the invented past."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from poller.estate import Device, Estate
from poller.lab.past import SLOT_NS, SLOT_SECONDS, SLOTS_A_DAY, Past, Span
from poller.lab.traffic import Shape, activity
from poller.lab.vitals import SESSION_SECONDS, SESSIONS_SHARE, Vitals, usual_uptime_seconds
from poller.service import Service

_NEAR_SECONDS, _FAR_SECONDS = 0.0006, 0.0085
_POLL_SECONDS: Final = 0.04
_HOUR_SECONDS: Final = 3600
"""Of an uptime in the past whole hours are kept."""
_BEFORE_SECONDS: Final = 300 * 86_400
"""How long a device had been up when it was last restarted."""
_CERTIFICATE_DAYS, _RENEWED_AT_DAYS = 90, 30
_MAXIMUM: Final = {"cpu_ratio": 1.12, "session_rate": 1.1, "round_trip_delay_seconds": 1.8, "poll_seconds": 2.0}
"""The highest of five minutes against their mean, where they differ."""
_DIGITS: Final = {"session_rate": 0, "uptime_seconds": 0, "cpu_ratio": 3, "memory_ratio": 3, "sessions_ratio": 3}
"""Decimal places that are kept, where they are not five: digits nobody reads would fill the store."""
_RESPONSE_SECONDS: Final = {"dns": 0.012, "ntp": 0.004, "tcp": 0.006, "tls": 0.035, "smtp": 0.12, "http": 0.21}
"""What a service takes when nobody else asks, by its kind."""


def device_frame(estate: Estate, past: Past, slots: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """device_5m over slots (columns slot, time_ns, seen: the coverage of the monitoring)."""
    numbered = enumerate(estate.devices.values())
    rows = pl.DataFrame([_device(estate, one, number, seed) for number, one in numbered])
    return _observed(
        rows.join(_busy(slots), how="cross"), _device_fields(past), past.devices, ("device", "role", "site")
    )


def service_frame(estate: Estate, slots: pl.DataFrame) -> pl.DataFrame:
    """service_5m over slots."""
    rows = pl.DataFrame([_service(one, number) for number, one in enumerate(estate.services.values())])
    response = pl.col("usual") * (1 + 0.8 * pl.col("busy")) * _unrest(1, 0.3)
    age = (pl.col("slot") // SLOTS_A_DAY + pl.col("number") * 7) % (_CERTIFICATE_DAYS - _RENEWED_AT_DAYS)
    left = pl.when("certified").then((_CERTIFICATE_DAYS - age).cast(pl.Float64))
    fields = {
        "response_seconds_mean": response,
        "response_seconds_max": response * 1.6,
        "certificate_days_mean": left,
        "certificate_days_max": left,
    }
    return _observed(rows.join(_busy(slots), how="cross"), fields, (), ("service", "kind"))


def _device_fields(past: Past) -> dict[str, pl.Expr]:
    cpu = pl.col("idle") + (pl.col("peak") - pl.col("idle")) * pl.col("busy")
    sessions = pl.col("limit") * SESSIONS_SHARE * (0.03 + 0.97 * pl.col("busy")) * _unrest(2, 0.08)
    since_restart = (pl.col("slot") - past.after) * SLOT_SECONDS + pl.col("up_seconds")
    uptime = pl.when(since_restart < 0).then(since_restart + _BEFORE_SECONDS).otherwise(since_restart)
    named = {
        "cpu_ratio": pl.when("waits").then(pl.col("idle")).otherwise(cpu) * _unrest(1, 0.1),
        "memory_ratio": pl.col("memory") + 0.05 * pl.col("busy"),
        "sessions_ratio": sessions / pl.col("limit"),
        "session_rate": pl.when("waits").then(0.0).otherwise(sessions / SESSION_SECONDS),
        "uptime_seconds": (uptime // _HOUR_SECONDS * _HOUR_SECONDS).cast(pl.Float64),
        "round_trip_delay_seconds": pl.col("delay") * _unrest(3, 0.3),
        "round_trip_loss_ratio": pl.lit(0.0),
        "poll_seconds": _POLL_SECONDS * _unrest(4, 0.5),
    }
    fields = {"sessions_max": sessions.cast(pl.Int64), "sessions_limit_max": pl.col("limit")}
    for name, mean in named.items():
        digits = _DIGITS.get(name, 5)
        fields[f"{name}_mean"] = mean.round(digits)
        fields[f"{name}_max"] = (mean * _MAXIMUM.get(name, 1.0)).round(digits)
    return fields


def _device(estate: Estate, device: Device, number: int, seed: int) -> dict[str, object]:
    """The constants of a device as one row."""
    vitals = Vitals.of(device)
    return {
        "device": device.id,
        "role": str(device.role),
        "site": device.site,
        "number": number,
        "waits": _stands_by(estate, device),
        "idle": vitals.idle_cpu_ratio,
        "peak": vitals.busy_cpu_ratio,
        "memory": vitals.memory_base_ratio,
        "limit": vitals.sessions_limit,
        "up_seconds": usual_uptime_seconds(device.id, seed),
        "delay": _NEAR_SECONDS if device.site == next(iter(estate.sites)) else _FAR_SECONDS,
    }


def _stands_by(estate: Estate, device: Device) -> bool:
    """Whether a device is a second one that waits for the first to fail."""
    group = device.redundancy_group
    if group is None or estate.redundancy_groups[group].mode != "active_standby":
        return False
    return device.id != next(one.id for one in estate.devices.values() if one.redundancy_group == group)


def _service(service: Service, number: int) -> dict[str, object]:
    return {
        "service": service.id,
        "kind": service.kind,
        "number": number,
        "usual": _RESPONSE_SECONDS[service.kind],
        "certified": service.kind == "tls" or service.target.startswith("https://"),
    }


def _busy(slots: pl.DataFrame) -> pl.DataFrame:
    """The slots with how busy people are in each, 0..1."""
    busy = [activity(Shape.OFFICE, slot * SLOT_NS) for slot in slots["slot"].to_list()]
    return slots.with_columns(pl.Series("busy", busy, dtype=pl.Float64))


def _unrest(what: int, width: float) -> pl.Expr:
    """A factor around 1 for each row, drawn from its slot, its number and what it is for."""
    draw = (pl.col("slot") * (40_503 + 2 * what) + pl.col("number") * 2_654_435_761) % 1009
    return 1.0 - width / 2 + width * draw / 1008


def _observed(
    rows: pl.DataFrame, fields: dict[str, pl.Expr], outages: Sequence[Span], tags: tuple[str, ...]
) -> pl.DataFrame:
    """The rows with fields where something was observed, and with the coverage; the first tag names who was out."""
    gone = pl.lit(False)
    for span in outages:
        gone |= (pl.col(tags[0]) == span.subject) & pl.col("slot").is_between(span.first, span.after, closed="left")
    seen = pl.when(gone).then(0.0).otherwise(pl.col("seen"))
    known = (pl.when(seen > 0).then(field).alias(name) for name, field in fields.items())
    return rows.select("time_ns", *tags, *known, seen.alias("coverage_ratio"))
