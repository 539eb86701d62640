"""The pollers under measurement, one per run of this file, in a child of benchmarks.snmp; prints one JSON object.

    python -m benchmarks.snmp_pollers POLLER PORT DEVICES ROUNDS ARRIVAL LOOP [v3 user]

POLLER: ours, gufo, pysnmp, puresnmp. ARRIVAL: burst (all at once), spread (the scheduler's groups over 4 s), again
(each device as soon as it answered, ROUNDS times a turn), memory (what is kept), holes (some are silent). CPU seconds
are user + system of this process alone, after a round that is not counted. Then it prints "ready"; a line of input is
one turn, answered with its CPU seconds, so that pollers can be measured in turns; the last line is the object.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import uvloop

from poller.schedule import offset_seconds

INTERFACES, COUNTERS, PER_PDU = 48, 8, 6
VALUES = INTERFACES * COUNTERS
IF_X_ENTRY = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
SPREAD_SECONDS = 4
PASSWORD = b"authentic-words"

Poll = Callable[[], Awaitable[int]]
"""Asks one device once; gives the number of values."""


def address(device: int) -> str:
    """Loopback address of a simulated device, as limit.c has it."""
    number = 0x7F100001 + device
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def groups() -> list[list[tuple[int, ...]]]:
    """OIDs of each interface."""
    return [[(*IF_X_ENTRY, 6 + column, index) for column in range(COUNTERS)] for index in range(1, INTERFACES + 1)]


def chunks() -> list[list[str]]:
    """The same OIDs in GETs of 49 varbinds, as text."""
    texts = [[".".join(map(str, oid)) for oid in group] for group in groups()]
    return [
        [SYS_UPTIME, *(oid for group in texts[begin : begin + PER_PDU] for oid in group)]
        for begin in range(0, INTERFACES, PER_PDU)
    ]


def cpu_seconds() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_octets() -> int:
    """Memory in use now."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 a benchmark's child starts with few imports
        return int(statm.read().split()[1]) * resource.getpagesize()


async def ours(stack: AsyncExitStack, port: int, devices: int, user_name: str) -> tuple[list[Poll], Any]:
    """Our production API: one session, one prepared poll per device."""
    from probes.snmp import AuthProtocol, PrivProtocol, Snmp, SnmpTarget, UsmUser  # noqa: PLC0415 only this child

    snmp = await stack.enter_async_context(Snmp())
    user = None
    if user_name:
        auth = AuthProtocol.SHA1 if user_name.endswith("sha1") else AuthProtocol.SHA256
        user = UsmUser(user_name, auth, PASSWORD, PrivProtocol.AES128, PASSWORD)

    def make(device: int) -> Poll:
        target = SnmpTarget(address(device), port, "3" if user else "2c", None if user else b"public", user)
        prepared = snmp.prepare(target, asked)

        async def poll() -> int:
            return len((await snmp.poll(prepared)).values)

        return poll

    asked = groups()
    return [make(device) for device in range(devices)], snmp


async def gufo(stack: AsyncExitStack, port: int, devices: int, user_name: str) -> tuple[list[Poll], Any]:
    """gufo-snmp's asyncio sessions, one per device."""
    from gufo.snmp import Aes128Key, Sha1Key, Sha256Key, User  # noqa: PLC0415 only this child
    from gufo.snmp.aio import SnmpSession  # noqa: PLC0415 only this child

    user = None
    if user_name:
        auth = Sha1Key(PASSWORD) if user_name.endswith("sha1") else Sha256Key(PASSWORD)
        user = User(user_name, auth_key=auth, priv_key=Aes128Key(PASSWORD))
    asked = chunks()

    async def make(device: int) -> Poll:
        session = await stack.enter_async_context(SnmpSession(address(device), port, user=user))

        async def poll() -> int:
            count = 0
            for oids in asked:
                count += len(await session.get_many(oids)) - 1
            return count

        return poll

    return [await make(device) for device in range(devices)], None


async def pysnmp(stack: AsyncExitStack, port: int, devices: int, user_name: str) -> tuple[list[Poll], Any]:
    """pysnmp's high-level asyncio API, one engine for all devices."""
    del stack, user_name
    from pysnmp.hlapi.v3arch import asyncio as hlapi  # noqa: PLC0415 only this child

    engine, community, context = hlapi.SnmpEngine(), hlapi.CommunityData("public"), hlapi.ContextData()
    asked = chunks()

    async def make(device: int) -> Poll:
        target = await hlapi.UdpTransportTarget.create((address(device), port), timeout=30)

        async def poll() -> int:
            count = 0
            for oids in asked:
                types = [hlapi.ObjectType(hlapi.ObjectIdentity(oid)) for oid in oids]
                error, status, _, varbinds = await hlapi.get_cmd(
                    engine, community, target, context, *types, lookupMib=False
                )
                assert not error, error
                assert not status, status
                count += len(varbinds) - 1
            return count

        return poll

    return [await make(device) for device in range(devices)], None


async def puresnmp(stack: AsyncExitStack, port: int, devices: int, user_name: str) -> tuple[list[Poll], Any]:
    """puresnmp's asyncio client."""
    del stack, user_name
    from puresnmp import V2C, Client, PyWrapper  # noqa: PLC0415 only this child

    asked = chunks()

    def make(device: int) -> Poll:
        client = PyWrapper(Client(address(device), V2C("public"), port=port))

        async def poll() -> int:
            count = 0
            for oids in asked:
                count += len(await client.multiget(oids)) - 1
            return count

        return poll

    return [make(device) for device in range(devices)], None


POLLERS = {"ours": ours, "gufo": gufo, "pysnmp": pysnmp, "puresnmp": puresnmp}


async def run_burst(polls: Sequence[Poll]) -> int:
    """All devices at once."""
    return sum(await asyncio.gather(*(poll() for poll in polls)))


async def run_spread(polls: Sequence[Poll]) -> int:
    """Each device at its second, as poller.schedule gives it."""
    seconds: dict[int, list[Poll]] = {}
    for device, poll in enumerate(polls):
        seconds.setdefault(offset_seconds(f"device-{device}", SPREAD_SECONDS), []).append(poll)
    began, under_way = time.monotonic(), []
    for second in range(SPREAD_SECONDS):
        await asyncio.sleep(max(0.0, began + second - time.monotonic()))
        under_way += [asyncio.ensure_future(poll()) for poll in seconds.get(second, [])]
    return sum(await asyncio.gather(*under_way))


async def run_again(polls: Sequence[Poll], times: int) -> int:
    """Each device again and again."""

    async def again(poll: Poll) -> int:
        return sum([await poll() for _ in range(times)])

    return sum(await asyncio.gather(*(again(poll) for poll in polls)))


async def finish_times(polls: Sequence[Poll]) -> list[float]:
    """Seconds from the common start until each device that answers was done; more than a poll's delay to start."""
    began, seconds = time.perf_counter(), []

    async def one(poll: Poll) -> None:
        with contextlib.suppress(Exception):  # the silent devices of this measurement
            await poll()
            seconds.append(time.perf_counter() - began)

    await asyncio.gather(*(one(poll) for poll in polls))
    return sorted(seconds)


@dataclass(frozen=True)
class Run:
    """One line of the command."""

    poller: str
    port: int
    devices: int
    rounds: int
    arrival: str
    user_name: str

    async def once(self, polls: Sequence[Poll]) -> int:
        """Ask every device as often as a round does; gives the number of values."""
        if self.arrival == "spread":
            return await run_spread(polls)
        if self.arrival == "again":
            return await run_again(polls, self.rounds)
        return await run_burst(polls)


async def measure(run: Run) -> dict[str, Any]:
    """CPU seconds of each round, and what else can be told."""
    before = resident_octets()
    async with AsyncExitStack() as stack:
        polls, snmp = await POLLERS[run.poller](stack, run.port, run.devices, run.user_name)
        if run.arrival == "holes":
            print("ready", flush=True)
            seconds = await finish_times(polls)
            return {"answered": len(seconds), "p99": seconds[int(0.99 * len(seconds))]}
        await run_burst(polls)
        # As any daemon should after its start: what lives for ever is not looked at again by the collector, and it
        # does not run for each few hundred replies. The same for all pollers.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        ways = (0, 0, 0) if snmp is None else read_ways(snmp)
        expected = run.devices * VALUES * (run.rounds if run.arrival == "again" else 1)
        print("ready", flush=True)
        while sys.stdin.readline():  # holds the loop on purpose: between turns nothing is under way
            began = cpu_seconds()
            count = await run.once(polls)
            print(cpu_seconds() - began, flush=True)
            assert expected == count, count
        gc.collect()
        result: dict[str, Any] = {"resident": resident_octets() - before}
        result["descriptors"] = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 as above
        if tracemalloc.is_tracing():
            result["kept"] = tracemalloc.get_traced_memory()[0]
        if snmp is not None:
            result["ways"] = [now - then for now, then in zip(read_ways(snmp), ways, strict=True)]
        return result


def read_ways(snmp: Any) -> tuple[int, int, int]:  # noqa: ANN401 our sessions are imported in one child only
    """Replies that took the fast way, the loop and the general codec."""
    return snmp.statistics.fast, snmp.statistics.in_order, snmp.statistics.general


def main() -> None:
    """Measure one poller and print what was found."""
    poller, port, devices, rounds, arrival, loop = sys.argv[1:7]
    user_name = sys.argv[7] if len(sys.argv) > 7 else ""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    factory = uvloop.new_event_loop if loop == "uvloop" else None
    run = Run(poller, int(port), int(devices), int(rounds), arrival, user_name)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(load(poller))
        if arrival == "memory":
            tracemalloc.start(1)
        print(json.dumps(runner.run(measure(run))))


async def load(poller: str) -> None:
    """Import what the poller needs, so that modules do not count as its memory."""
    async with AsyncExitStack() as stack:
        await POLLERS[poller](stack, 1, 0, "")


if __name__ == "__main__":
    main()
