"""What `hinomi status` tells: how the daemon is at this moment, as plain values. Pure but for what its parts hold."""

import socket
from collections.abc import Mapping
from typing import Any, Final

from poller import __version__
from poller.parts import Parts
from poller.selfwatch import SelfWatch
from poller.wall.incidents import incident_entry

DEVICES: Final = 10
"""The costliest devices that are told."""


def status(parts: Parts, watch: SelfWatch, begun_ns: int, now_ns: int) -> dict[str, Any]:
    """See docs/operation.md; times are UTC unix nanoseconds, None where nothing is known yet."""
    estate = parts.equipment.estate
    snapshot = parts.live.snapshot(now_ns)
    devices = parts.pipeline.costs()
    return {
        "version": __version__,
        "node": socket.gethostname(),
        "begun_ns": begun_ns,
        "now_ns": now_ns,
        "wall": parts.wall.url,
        "organisation": {"ja": estate.organisation.name.ja, "en": estate.organisation.name.en},
        "watched": {
            "devices": len(parts.equipment.targets),
            "circuits": len(estate.circuits),
            "tenants": len(estate.tenants),
            "services": len(estate.services),
        },
        "whole": snapshot["whole"],
        "newest_ns": snapshot["newest_ns"] or None,
        "late_seconds": parts.rounds.late_seconds(now_ns),
        "incidents": [
            {word: entry[word] for word in ("id", "severity", "title", "since_ns", "acknowledged_by")}
            for entry in (incident_entry(each, estate) for each in parts.alerting.open_incidents())
        ],
        "parts": {name: dict(fields) for name, fields in watch.parts(now_ns).items()},
        "devices": [_device(key, devices[key]) for key in sorted(devices, key=lambda key: -devices[key][0])[:DEVICES]],
    }


def _device(key: str, cost: tuple[float, int, int, int]) -> Mapping[str, Any]:
    seconds, packets, retries, timeouts = cost
    return {"id": key, "seconds": seconds, "packets": packets, "retries": retries, "timeouts": timeouts}
