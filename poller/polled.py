"""One device polled by the production path, from discovery to samples: `hinomi poll` without its face."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from poller.device_samples import device_sample
from poller.discovery import Discovery, Question, discover
from poller.estate import Device
from poller.explain import explain_discovery, explain_plan
from poller.interfaces import interface_samples
from poller.polling import plan_poll, poll_device, read_poll
from poller.profiles import Profiles, load_profiles
from poller.rates import Rates
from poller.readings import DeviceReading, FailedPoll
from poller.replay import RecordedAgent
from poller.sample import Sample
from probes.snmp import Snmp, SnmpError, SnmpTarget


class PollFailed(SnmpError):  # noqa: N818 - it says what is the matter
    """A poll that failed after its discovery had not."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to poll and how; agent is the recording to ask instead of the network."""

    device: Device
    target: SnmpTarget
    repeat: int = 1
    interval_seconds: float = 10.0
    unverified: bool = False
    agent: RecordedAgent | None = None


@dataclass(frozen=True, slots=True)
class Polled:
    """What came of it: who the device is, and the samples of the last poll."""

    identity: dict[str, Any]
    reading: DeviceReading
    samples: tuple[Sample, ...]

    def as_json(self) -> dict[str, Any]:
        """The device and its interfaces by the fields of the schema, and the same as samples."""
        return {
            "device": {**self.identity, **self.samples[0].fields},
            "interfaces": [
                {
                    "interface": name,
                    "if_index": self.reading.layout.if_indexes[row],
                    "if_alias": self.reading.layout.aliases[row],
                    "speed_bits_per_second": self.reading.layout.speeds[row],
                    "counter_bits": 64 if self.reading.layout.wide[row] else 32,
                    **self.samples[1 + row].fields,
                }
                for row, name in enumerate(self.reading.layout.names)
            ],
            "samples": [
                {
                    "measurement": one.measurement,
                    "tags": dict(one.tags),
                    "fields": dict(one.fields),
                    "time_ns": one.time_ns,
                }
                for one in self.samples
            ],
        }


async def poll_once(
    snmp: Snmp, request: Request, profiles: Profiles, explain: Callable[[str], None] | None = None
) -> Polled:
    """Discover a device and poll it as often as asked; raises SnmpError where it does not answer as it should."""
    device, target = request.device, request.target
    question = Question(device.id, device.profile, request.unverified)
    found = await discover(snmp, target, question, profiles, time.time_ns())
    profile = profiles[found.family]
    plan = plan_poll(found, profile, device.interfaces, unverified=request.unverified)
    if explain:
        for line in (*explain_discovery(found), *explain_plan(plan, profile, found)):
            explain(line)
    prepared = snmp.prepare(target, plan.groups)
    rates = Rates()
    before: DeviceReading | None = None
    samples: tuple[Sample, ...] = ()
    for number in range(request.repeat):
        if number:
            await asyncio.sleep(request.interval_seconds)
        due_ns = time.time_ns()
        reading = await poll_device(lambda: snmp.poll(prepared), plan, due_ns, before)
        if isinstance(reading, FailedPoll):
            raise PollFailed(reading.text)
        samples = _samples(device, reading, rates)
        before = reading
    assert before is not None
    return Polled({"device": device.id, "address": str(target), **_identity(found)}, before, samples)


async def replay_once(request: Request, agent: RecordedAgent, explain: Callable[[str], None] | None) -> Polled:
    """The same from a recording, once."""
    profiles, device = load_profiles(), request.device
    question = Question(device.id, device.profile, request.unverified)
    found = await discover(agent, request.target, question, profiles, time.time_ns())
    profile = profiles[found.family]
    plan = plan_poll(found, profile, device.interfaces, unverified=request.unverified)
    if explain:
        for line in (*explain_discovery(found), *explain_plan(plan, profile, found)):
            explain(line)
    now_ns = time.time_ns()
    reading = read_poll(plan, agent.poll(plan.groups, now_ns), now_ns)
    return Polled({"device": device.id, **_identity(found)}, reading, _samples(device, reading, Rates()))


def _samples(device: Device, reading: DeviceReading, rates: Rates) -> tuple[Sample, ...]:
    return (device_sample(device, reading), *interface_samples(reading, rates.update(reading)))


def _identity(found: Discovery) -> dict[str, Any]:
    return {
        "profile": found.family,
        "profile_reason": found.family_reason,
        "name": found.name,
        "description": found.description,
        "cannot_read": found.missing,
        "could_not_ask": found.failures,
    }
