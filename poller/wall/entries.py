"""What the wall shows of everything: its entries as the configuration names them, before anything is known. Pure."""

from typing import Any, Final, TypeAlias

from poller.estate import Circuit, Device, Estate, LineGroup, Service, Tenant
from poller.sample import Quality
from poller.settings import Name

SLOT_SECONDS: Final = 60
Entry: TypeAlias = dict[str, Any]

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

CONFIGURED: Final = frozenset(
    ("id", "name", "role", "site", "group", "asked", "interval", "kind", "preferred", "committed", "ceiling", "limit")
) | {"members", "capped"}
"""Words of entries that the configuration says; everything else was learned."""


def entries_of(estate: Estate) -> dict[str, dict[str, Entry]]:
    """Every section's entries, before anything is known."""
    return {
        "devices": {key: _device_entry(device, estate) for key, device in estate.devices.items()},
        "circuits": {key: _circuit_entry(circuit) for key, circuit in estate.circuits.items()},
        "line_groups": {key: _line_group_entry(group) for key, group in estate.line_groups.items()},
        "tenants": {key: _tenant_entry(tenant) for key, tenant in estate.tenants.items()},
        "services": {key: _service_entry(service) for key, service in estate.services.items()},
    }


def names_of(name: Name) -> Entry:
    """A name as the page takes it."""
    return {"ja": name.ja, "en": name.en}


def _device_entry(device: Device, estate: Estate) -> Entry:
    interval = device.interval or estate.polling.interval
    return {
        "id": device.id,
        "name": names_of(device.name),
        "role": device.role,
        "site": device.site,
        "group": device.redundancy_group,
        "asked": device.credentials is not None,
        "interval": interval,
        "time_ns": 0,
        "quality": Quality.NEVER_SEEN,
        **dict.fromkeys(("up", "cpu", "memory", "sessions", "sessions_ratio", "ha_role", "reason")),
        **dict.fromkeys(("round_trip_delay_seconds", "round_trip_loss_ratio")),
    }


def _circuit_entry(circuit: Circuit) -> Entry:
    return {
        "id": circuit.id,
        "name": names_of(circuit.name),
        "kind": circuit.kind,
        "group": circuit.redundancy_group,
        "preferred": circuit.preferred,
        "committed": circuit.committed_rate,
        "ceiling": circuit.ceiling_rate,
        "interval": SLOT_SECONDS,
        "time_ns": 0,
        **dict.fromkeys((*TRAFFIC_FIELDS.values(), "state", "reason", "active", "fault")),
    }


def _line_group_entry(group: LineGroup) -> Entry:
    return {
        "id": group.id,
        "name": names_of(group.name),
        "members": list(group.members),
        "committed": group.committed_rate,
        "ceiling": group.ceiling_rate,
        "interval": SLOT_SECONDS,
        "time_ns": 0,
        **dict.fromkeys(TRAFFIC_FIELDS.values()),
    }


def _tenant_entry(tenant: Tenant) -> Entry:
    return {
        "id": tenant.id,
        "name": names_of(tenant.name),
        "kind": tenant.kind,
        "capped": bool(tenant.caps),
        "interval": SLOT_SECONDS,
        "time_ns": 0,
        "lines": {},
        **dict.fromkeys(("in", "out", "cap_ratio", "cap_direction", "month_octets")),
    }


def _service_entry(service: Service) -> Entry:
    return {
        "id": service.id,
        "name": names_of(service.name),
        "kind": service.kind,
        "limit": service.response_seconds,
        "interval": service.interval,
        "time_ns": 0,
        "quality": Quality.NEVER_SEEN,
        **dict.fromkeys(("up", "response_seconds", "certificate_days", "in_service_hours", "reason", "text")),
    }
