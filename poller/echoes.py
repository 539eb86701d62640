"""Echoes for the daemon: whom to ask by ICMP, and what their answers become (R36-R38, R41).

Targets: every device that may be pinged, by each of its addresses, and the far edges of circuits. A minute of echoes to
a device's first address becomes the round trip fields of its "device" measurement; a far edge's minute becomes evidence
of its circuit. Where echoes are not permitted the daemon goes on without, and says so once.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from poller.circuits import ProbeEvidence
from poller.estate import Device, Estate
from poller.log import tell
from poller.pipeline import Pipeline
from poller.sample import FieldValue, Sample
from probes.errors import LocalError
from probes.icmp import EchoPlan, EchoProber, EchoTarget
from probes.icmp_statistics import EchoStatistics
from probes.icmp_track import EchoDown, EchoUp

_log: Final = logging.getLogger(__name__)
_SLOT_NS: Final = 60 * 10**9


def echo_targets(estate: Estate) -> list[EchoTarget]:
    """Every device's first address as "device/ID", and every far edge as "far/CIRCUIT"."""
    return [
        *(EchoTarget(f"device/{key}", device.addresses[0]) for key, device in estate.devices.items() if device.ping),
        *(
            EchoTarget(f"far/{key}", circuit.probe.far)
            for key, circuit in estate.circuits.items()
            if circuit.probe.far is not None
        ),
    ]


def echo_sample(device: Device, minute: EchoStatistics) -> Sample | None:
    """The round trip of a device in one minute; None where nothing could be sent, which says nothing of the device."""
    loss = minute.round_trip_loss_ratio
    if loss is None:
        return None
    fields: dict[str, FieldValue] = {"round_trip_loss_ratio": loss}
    if minute.delays is not None:
        fields["round_trip_delay_seconds"] = minute.delays.median_seconds
    tags = (("device", device.id), ("role", device.role.value), ("site", device.site))
    return Sample("device", tags, fields, minute.slot_start_ns)


async def run_echoes(estate: Estate, pipeline: Pipeline, clock_ns: Callable[[], int] = time.time_ns) -> None:
    """Keep echoes going until cancelled."""

    def take(told: EchoStatistics | EchoDown | EchoUp) -> None:
        kind, _, key = told.target.partition("/")
        if not isinstance(told, EchoStatistics):
            down = isinstance(told, EchoDown)
            tell(_log, logging.WARNING if down else logging.INFO, "echo_down" if down else "echo_up", target=key)
        elif kind == "far":
            loss, delays = told.round_trip_loss_ratio, told.delays
            if loss is not None:
                seen_ns = told.slot_start_ns + _SLOT_NS
                evidence = ProbeEvidence(seen_ns, loss, delays.median_seconds if delays is not None else None)
                pipeline.see_probe(key, evidence, clock_ns())
        else:
            sample = echo_sample(estate.devices[key], told)
            if sample is not None:
                pipeline.publish([sample], clock_ns())

    try:
        async with EchoProber(echo_targets(estate), take, EchoPlan(interval_seconds=estate.polling.echo_interval)):
            await asyncio.Event().wait()
    except LocalError as error:
        tell(_log, logging.WARNING, "no_echoes", reason=str(error))
