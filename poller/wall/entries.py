"""The entries of the wall's live state: what is known of one thing, as plain values. Pure."""

from typing import Any, Final

from poller.estate import Circuit, Device, Estate, LineGroup, Tenant
from poller.sample import Quality
from poller.service import Service
from poller.settings import Name
from poller.tenants import TOTAL

Entry = dict[str, Any]
SLOT_SECONDS: Final = 60
NEAR_RATIO: Final = 0.8
"""Of a cap: from here on it is near."""
_LEVELS: Final = ("normal", "minor", "serious")
_RATES: Final = frozenset(("sustained_rate", "burst_rate"))
DEVICE_FIELDS: Final = {
    "up": "up",
    "cpu_ratio": "cpu",
    "memory_ratio": "memory",
    "sessions": "sessions",
    "sessions_ratio": "sessions_ratio",
    "ha_role": "ha_role",
    "quality": "quality",
    "reason": "reason",
}
TRAFFIC_FIELDS: Final = {
    "in_bits_per_second": "in",
    "out_bits_per_second": "out",
    "in_committed_ratio": "in_committed_ratio",
    "out_committed_ratio": "out_committed_ratio",
    "in_ceiling_ratio": "in_ceiling_ratio",
    "out_ceiling_ratio": "out_ceiling_ratio",
    "coverage_ratio": "coverage",
}
SERVICE_FIELDS: Final = {
    name: name for name in ("up", "response_seconds", "certificate_days", "in_service_hours", "quality", "reason")
}
TENANT_FIELDS: Final = (
    "in_bits_per_second",
    "out_bits_per_second",
    "in_cap_ratio",
    "out_cap_ratio",
    "month_octets",
    "coverage_ratio",
)


CONFIGURED: Final = frozenset(
    ("id", "name", "role", "site", "site_name", "group", "asked", "interval", "kind", "preferred", "committed")
) | {"ceiling", "limit", "members", "capped"}
"""Words of entries that the configuration says; everything else was learned."""


def entries_of(estate: Estate) -> dict[str, dict[str, Entry]]:
    """Every section's entries, before anything is known."""
    return {
        "devices": {key: device_entry(device, estate) for key, device in estate.devices.items()},
        "circuits": {key: circuit_entry(circuit) for key, circuit in estate.circuits.items()},
        "line_groups": {key: line_group_entry(group) for key, group in estate.line_groups.items()},
        "tenants": {key: tenant_entry(tenant) for key, tenant in estate.tenants.items()},
        "services": {key: service_entry(service) for key, service in estate.services.items()},
    }


def names(name: Name) -> Entry:
    """A name in both languages."""
    return {"ja": name.ja, "en": name.en}


def device_entry(device: Device, estate: Estate) -> Entry:
    """A device before anything is known of it."""
    interval = device.interval or estate.polling.interval
    return {
        "id": device.id,
        "name": names(device.name),
        "role": device.role,
        "site": device.site,
        "site_name": names(estate.sites[device.site].name) if device.site in estate.sites else None,
        "group": device.redundancy_group,
        "asked": device.credentials is not None,
        "interval": interval,
        "time_ns": 0,
        "quality": Quality.NEVER_SEEN,
        **dict.fromkeys(("up", "cpu", "memory", "sessions", "sessions_ratio", "ha_role", "reason")),
        **dict.fromkeys(("round_trip_delay_seconds", "round_trip_loss_ratio")),
    }


def circuit_entry(circuit: Circuit) -> Entry:
    """A circuit before anything is known of it."""
    return {
        "id": circuit.id,
        "name": names(circuit.name),
        "kind": circuit.kind,
        "group": circuit.redundancy_group,
        "preferred": circuit.preferred,
        "committed": circuit.committed_rate,
        "ceiling": circuit.ceiling_rate,
        "interval": SLOT_SECONDS,
        "time_ns": 0,
        **dict.fromkeys((*TRAFFIC_FIELDS.values(), "state", "reason", "active", "fault")),
    }


def line_group_entry(group: LineGroup) -> Entry:
    """A line group before anything is known of it."""
    return {
        "id": group.id,
        "name": names(group.name),
        "members": list(group.members),
        "committed": group.committed_rate,
        "ceiling": group.ceiling_rate,
        "interval": SLOT_SECONDS,
        "time_ns": 0,
        **dict.fromkeys(TRAFFIC_FIELDS.values()),
    }


def tenant_entry(tenant: Tenant) -> Entry:
    """A tenant before anything is known of it."""
    return {
        "id": tenant.id,
        "name": names(tenant.name),
        "kind": tenant.kind,
        "capped": bool(tenant.caps),
        "interval": SLOT_SECONDS,
        "time_ns": 0,
        "lines": {},
        "caps": [],
        **dict.fromkeys(("in", "out", "cap_ratio", "cap_direction", "cap_kind", "cap_level", "month_octets")),
    }


def service_entry(service: Service) -> Entry:
    """A service before anything is known of it."""
    return {
        "id": service.id,
        "name": names(service.name),
        "kind": service.kind,
        "limit": service.response_seconds,
        "interval": service.interval,
        "time_ns": 0,
        "quality": Quality.NEVER_SEEN,
        **dict.fromkeys(("up", "response_seconds", "certificate_days", "in_service_hours", "reason", "text")),
    }


def show_tenant(entry: Entry) -> None:
    """A tenant's tile: its total with its age, and of all its caps the one that is nearest to being too much."""
    total = entry["lines"].get(TOTAL)
    if total is not None:
        if total["time_ns"] >= entry["time_ns"]:
            entry["time_ns"] = total["time_ns"]
            entry["in"], entry["out"] = total["in_bits_per_second"], total["out_bits_per_second"]
        entry["month_octets"] = total["month_octets"] or entry["month_octets"]
    held = entry["caps"] or [
        {"kind": "sustained_rate", "direction": way, "ratio": ratio, "exceeded": ratio >= 1}
        for line in entry["lines"].values()
        for way in ("in", "out")
        if (ratio := line[f"{way}_cap_ratio"]) is not None
    ]
    shown = max(held, key=_nearness, default={"ratio": None, "direction": None, "kind": None})
    entry["cap_ratio"], entry["cap_direction"], entry["cap_kind"] = shown["ratio"], shown["direction"], shown["kind"]
    entry["cap_level"] = cap_level(shown) if held else None


def _nearness(cap: Entry) -> tuple[int, bool, float]:
    """What a tile shows first: the worst; of what is alike a rate, which is of this minute; then the fullest."""
    return _LEVELS.index(cap_level(cap)), cap["kind"] in _RATES, cap["ratio"]


def cap_level(cap: Entry) -> str:
    """normal, minor or serious. A volume grows to its cap all month: what counts is where it will end."""
    if cap["exceeded"]:
        return "serious"
    if cap["kind"] == "monthly_volume":
        return "minor" if (cap["projected"] or 0) > cap["limit"] else "normal"
    return "minor" if cap["ratio"] >= NEAR_RATIO else "normal"
