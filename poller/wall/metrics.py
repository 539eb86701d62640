"""/metrics: what is known now, as Prometheus' text format 0.0.4 reads it. Pure.

A value whose reading is older than two intervals is left out, as Prometheus expects of what is gone; it is never
repeated as if it were new (R75). Names and units are those of poller.schema, with hinomi_ before them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from poller.wall.live import LiveState

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Family:
    """One metric: section and key of the live state, the labels beside the id, and what it says."""

    name: str
    section: str
    key: str
    meaning: str
    labels: tuple[str, ...] = ()


_FAMILIES: Final = (
    _Family("device_up", "devices", "up", "The device answered its last poll.", ("role", "site")),
    _Family("device_cpu_ratio", "devices", "cpu", "CPU in use."),
    _Family("device_memory_ratio", "devices", "memory", "Memory in use."),
    _Family("device_sessions", "devices", "sessions", "Sessions or connections now."),
    _Family("device_sessions_ratio", "devices", "sessions_ratio", "Sessions against the limit."),
    _Family("device_round_trip_delay_seconds", "devices", "round_trip_delay_seconds", "Median echo delay."),
    _Family("device_round_trip_loss_ratio", "devices", "round_trip_loss_ratio", "Echoes lost."),
    _Family("circuit_in_bits_per_second", "circuits", "in", "Traffic towards the estate.", ("kind",)),
    _Family("circuit_out_bits_per_second", "circuits", "out", "Traffic away from the estate.", ("kind",)),
    _Family("circuit_active", "circuits", "active", "This member carries the traffic of its group."),
    _Family("line_group_in_bits_per_second", "line_groups", "in", "Traffic towards the estate."),
    _Family("line_group_out_bits_per_second", "line_groups", "out", "Traffic away from the estate."),
    _Family("tenant_in_bits_per_second", "tenants", "in", "Traffic towards the tenant."),
    _Family("tenant_out_bits_per_second", "tenants", "out", "Traffic away from the tenant."),
    _Family("tenant_cap_ratio", "tenants", "cap_ratio", "Highest use of any of its caps, mean of 5 minutes."),
    _Family("tenant_month_octets", "tenants", "month_octets", "Octets of the calendar month so far."),
    _Family("service_up", "services", "up", "Served as a user would need it.", ("kind",)),
    _Family("service_response_seconds", "services", "response_seconds", "Time to the whole answer."),
)
_STATES: Final = ("up", "degraded", "down", "unknown")
_SINGULAR: Final = {
    "devices": "device",
    "circuits": "circuit",
    "line_groups": "line_group",
    "tenants": "tenant",
    "services": "service",
}


def metrics_text(live: LiveState, now_ns: int) -> str:
    """Every family with its help and type, each line with its newline."""
    snapshot = live.snapshot(now_ns)
    lines: list[str] = []
    for family in _FAMILIES:
        lines.extend(_family(family.name, family.meaning, _readings(family, snapshot, now_ns)))
    states = (
        ({"circuit": entry["id"], "state": state}, float((entry["state"] or "unknown") == state))
        for entry in snapshot["circuits"]
        for state in _STATES
    )
    lines.extend(_family("circuit_state", "1 for the state that the circuit is in.", states))
    whole = snapshot["whole"]
    incidents = (({"severity": severity}, float(whole[severity])) for severity in ("serious", "minor", "notice"))
    lines.extend(_family("incidents_open", "Open incidents.", incidents))
    lines.extend(_daemon(snapshot["daemon"]))
    return "\n".join(lines) + "\n"


def _readings(family: _Family, snapshot: Mapping[str, Any], now_ns: int) -> Iterator[tuple[dict[str, str], float]]:
    for entry in snapshot[family.section]:
        value = entry[family.key]
        old = now_ns - entry["time_ns"] > (2 * entry["interval"] + 5) * 10**9
        if value is not None and not old:
            labels = {_SINGULAR[family.section]: entry["id"]} | {label: str(entry[label]) for label in family.labels}
            yield labels, float(value)


def _daemon(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    fields = sorted({field for part in parts.values() for field in part} - {"time_ns"})
    for field in fields:
        rows = (({"part": part}, float(values[field])) for part, values in parts.items() if field in values)
        kind = "counter" if field.endswith("_total") else "gauge"
        yield from _family(f"daemon_{field}", "The daemon's own health, as of its last minute.", rows, kind)


def _family(
    name: str, meaning: str, rows: Iterator[tuple[dict[str, str], float]], kind: str = "gauge"
) -> Iterator[str]:
    yield f"# HELP hinomi_{name} {meaning}"
    yield f"# TYPE hinomi_{name} {kind}"
    for labels, value in rows:
        text = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
        yield f"hinomi_{name}{{{text}}} {value!r}"


def _escaped(text: str) -> str:
    """A label's value: backslash, quote and line feed escaped."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
