"""Ask every device of an estate once, before anything depends on it: who answers, as what, and what surprises."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from poller.discovery import Discovery, Question, discover
from poller.estate import Device, Estate
from poller.polling import plan_poll, poll_device
from poller.profiles import BadProfile, Profiles
from poller.readings import FailedPoll
from poller.secrets import SecretUnavailable
from poller.targets import snmp_target, weak_points
from probes.snmp import Oid, Snmp, SnmpError, SnmpTarget, parse_oid
from probes.snmp.errors import BadRequest, NoAnswer

AT_ONCE: Final = 100
"""Devices that are asked at the same time."""
LONGEST_SECONDS: Final = 60.0
"""After so long a device is given up."""
CLOCK_TOLERANCE_SECONDS: Final = 60.0
HR_SYSTEM_DATE: Final[Oid] = parse_oid("1.3.6.1.2.1.25.1.2.0")
_ZONED_OCTETS: Final = 11


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One device. reachable: None where it is not asked by SNMP. reads: the fields that it gives; text: why not."""

    device: str
    address: str
    reachable: bool | None
    profile: str = ""
    interfaces: int = 0
    reads: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    text: str = ""
    engine_id: bytes = field(default=b"", repr=False)


async def survey(
    estate: Estate,
    directory: Path,
    profiles: Profiles,
    done: Callable[[Surveyed], None] = lambda _: None,
    *,
    wall_clock_ns: Callable[[], int] = time.time_ns,
) -> list[Surveyed]:
    """Every device, in the order of the estate; done is called with each as it is known."""
    places = asyncio.Semaphore(AT_ONCE)
    async with Snmp(wall_clock_ns=wall_clock_ns) as snmp:

        async def one(device: Device) -> Surveyed:
            async with places:
                result = await _one(snmp, estate, directory, profiles, device)
            done(result)
            return result

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(device)) for device in estate.devices.values()]
    return name_shared_engines([task.result() for task in tasks])


async def _one(snmp: Snmp, estate: Estate, directory: Path, profiles: Profiles, device: Device) -> Surveyed:
    address = str(device.addresses[0])
    if device.credentials is None:
        return Surveyed(device.id, address, None, text="has no credentials: it is not asked by SNMP")
    try:
        target = snmp_target(device, estate.credentials[device.credentials], estate.polling, directory)
    except (SecretUnavailable, BadRequest) as error:
        return Surveyed(device.id, address, None, text=str(error))
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await _ask(snmp, target, profiles, device)
    except TimeoutError:
        text = f"was not done after {LONGEST_SECONDS:.0f} s"
        return Surveyed(device.id, str(target), False, warnings=tuple(weak_points(target)), text=text)
    except BadProfile as error:
        return Surveyed(device.id, str(target), None, text=str(error))
    except SnmpError as error:
        reachable = False if isinstance(error, NoAnswer) else None if isinstance(error, BadRequest) else True
        return Surveyed(device.id, str(target), reachable, warnings=tuple(weak_points(target)), text=str(error))


async def _ask(snmp: Snmp, target: SnmpTarget, profiles: Profiles, device: Device) -> Surveyed:
    now_ns = snmp.wall_clock_ns()
    found = await discover(snmp, target, Question(device.id, device.profile), profiles, now_ns)
    plan = plan_poll(found, profiles[found.family], device.interfaces)
    prepared = snmp.prepare(target, plan.groups)
    reading = await poll_device(lambda: snmp.poll(prepared), plan, now_ns)
    clock = (await snmp.get(target, [HR_SYSTEM_DATE]))[0].value
    return Surveyed(
        device.id,
        str(target),
        reachable=True,
        profile=found.family,
        interfaces=len(plan.layout.names),
        reads=() if isinstance(reading, FailedPoll) else tuple({**reading.values, **reading.totals}),
        warnings=(*weak_points(target), *_warnings(found, len(plan.layout.names), clock, snmp.wall_clock_ns())),
        text=reading.text if isinstance(reading, FailedPoll) else "",
        engine_id=found.engine_id,
    )


def _warnings(found: Discovery, chosen: int, clock: object, now_ns: int) -> list[str]:
    warnings = []
    if found.narrow_only:
        warnings.append("32-bit counters only")
    if found.interfaces and not chosen:
        warnings.append("no interface matches its expressions")
    if not found.interfaces:
        warnings.append("no interfaces")
    now = datetime.fromtimestamp(now_ns / 1e9, UTC)
    off = clock_offset(clock, now) if isinstance(clock, bytes) else None
    if off is not None and abs(off) > CLOCK_TOLERANCE_SECONDS:
        warnings.append(f"its clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}")
    warnings.extend(f"could not ask {table}" for table in found.failures)
    return warnings


def clock_offset(octets: bytes, now: datetime) -> float | None:
    """Seconds by which a DateAndTime (SNMPv2-TC) is ahead of now; None where it has no zone or makes no sense."""
    if len(octets) != _ZONED_OCTETS:
        return None
    year, month, day, hour, minute, second = int.from_bytes(octets[:2], "big"), *octets[2:7]
    sign = -1 if octets[8:9] == b"-" else 1
    try:
        zone = timezone(sign * timedelta(hours=octets[9], minutes=octets[10]))
        told = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone)
    except ValueError:
        return None
    return (told - now).total_seconds()


def name_shared_engines(results: Sequence[Surveyed]) -> list[Surveyed]:
    """With a warning by name where two devices have one SNMP engine id (R11): a cloned or wrongly set agent."""
    owners: Mapping[bytes, list[str]] = defaultdict(list)
    for result in results:
        if result.engine_id:
            owners[result.engine_id].append(result.device)
    return [_with_shared(result, owners.get(result.engine_id, [])) for result in results]


def _with_shared(result: Surveyed, owners: Sequence[str]) -> Surveyed:
    others = [owner for owner in owners if owner != result.device]
    if not others:
        return result
    return replace(result, warnings=(*result.warnings, f"same engine id as {', '.join(others)}"))
