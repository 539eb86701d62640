"""Receivers to be measured by benchmarks/traps.py, each a process of its own: ours (up to accepted, or up to durable),
and pysnmp's notification receiver. Prints one line when ready and one JSON line with its counts at SIGTERM.
"""

import argparse
import asyncio
import gc
import json
import signal
import sys
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path

import uvloop

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.asking import Asking
from poller.config import load
from poller.notified import Notified
from poller.pipeline import Pipeline
from poller.share import share
from poller.storage.journal import Journal
from poller.wall.live import LiveState
from probes.snmp.usm import AuthProtocol, PrivProtocol, UsmUser
from traps.catalogue import load_catalogue
from traps.flood import Flood, Limits
from traps.intake import Intake
from traps.receiver import Receiver, open_socket
from traps.security import Security
from traps.sources import Identity, Sources

SOURCES = 1_200
FIRST = int(IPv4Address("127.77.0.1"))
USER = UsmUser("bench", AuthProtocol.SHA256, b"authentic-secret", PrivProtocol.AES128, b"private-secret")


def make_intake() -> Intake:
    """Everything as in the daemon: the whole catalogue, every source a device, limits and sums at their defaults."""
    catalogue = load_catalogue(sorted((share("config") / "traps").glob("*.yaml")))
    identity = Identity(frozenset([b"public"]), {b"bench": (USER,)})
    devices = {IPv4Address(FIRST + number): f"device-{number}" for number in range(SOURCES)}
    security = Security(bytes.fromhex("80007ed9050102030405"), 1, time.time())
    return Intake(Sources(devices, shared=identity), catalogue, security, Flood(Limits()))


async def serve_ours(port: int) -> dict[str, int]:
    """Up to the accepted notification; windows are closed once a second, as the daemon does."""
    intake = make_intake()
    told = 0

    def deliver(accepted: list[object], _answers: object, _receiver: object) -> None:
        nonlocal told
        told += len(accepted)

    receiver = Receiver(open_socket("127.0.0.1", port), intake, deliver)  # type: ignore[arg-type]
    stop = _stop_event()
    print("ready", flush=True)
    while not stop.is_set():
        intake.flood.close(time.time_ns())
        await _nap(stop)
    receiver.close()
    return _counts(intake) | {"delivered": told}


async def serve_durable(port: int) -> dict[str, int]:
    """The whole daemon's way: samples with text and varbinds, alerting, wall, journal on disk."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        configuration = load(share("config/examples/prefecture"))
        estate = configuration.estate
        async with Journal(state / "journal.sqlite", ["nobody"]) as journal:
            alerting = Alerting(estate, Store(state / "alerts.sqlite"))
            pipeline = Pipeline(estate, journal.append, alerting, LiveState(estate))
            asking = Asking(None, None, {})  # type: ignore[arg-type]
            notified = Notified(estate, make_intake(), pipeline, journal, asking)
            notified.listen([open_socket("127.0.0.1", port)], time.time_ns)
            committing = asyncio.create_task(notified.run(time.time_ns))
            stop = _stop_event()
            print("ready", flush=True)
            while not stop.is_set():
                notified.tick(time.time_ns())
                await _nap(stop)
            notified.close()
            committing.cancel()
            await notified.commit(time.time_ns)
            return _counts(notified.intake)


async def serve_pysnmp(port: int) -> dict[str, int]:
    """pysnmp's notification receiver, as its documentation shows it."""
    from pysnmp.carrier.asyncio.dgram import udp  # noqa: PLC0415 - only where it is measured
    from pysnmp.entity import config, engine  # noqa: PLC0415
    from pysnmp.entity.rfc3413 import ntfrcv  # noqa: PLC0415

    snmp_engine = engine.SnmpEngine()
    config.add_transport(snmp_engine, udp.DOMAIN_NAME, udp.UdpTransport().open_server_mode(("127.0.0.1", port)))
    config.add_v1_system(snmp_engine, "area", "public")
    received = 0

    def callback(*_: object) -> None:
        nonlocal received
        received += 1

    ntfrcv.NotificationReceiver(snmp_engine, callback)
    stop = _stop_event()
    print("ready", flush=True)
    while not stop.is_set():
        await _nap(stop)
    return {"received": received, "accepted": received}


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


async def _nap(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(1):
            await stop.wait()
    except TimeoutError:
        pass


def _counts(intake: Intake) -> dict[str, int]:
    funnel = intake.funnel
    counts = {
        name: getattr(funnel, name) for name in ("received", "accepted", "told", "summed", "committed", "canaries")
    }
    return counts | {str(reason): count for reason, count in funnel.dropped.items()}


SERVERS = {"ours": serve_ours, "durable": serve_durable, "pysnmp": serve_pysnmp}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=SERVERS)
    parser.add_argument("port", type=int)
    asked = parser.parse_args()
    serve = SERVERS[asked.which](asked.port)
    if asked.which != "pysnmp":  # as `hinomi run` does, once everything stands
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
    counts = asyncio.run(serve) if asked.which == "pysnmp" else uvloop.run(serve)
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
