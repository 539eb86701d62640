"""2,000 notifications a second for 60 s, then 10,000 at once, while 72 simulated devices are polled (R43).

The whole daemon runs on the example prefecture, its devices simulated by the lab, polled every 10 s; the notifications
come from the addresses of its devices, every one about another interface. Told are what was lost (there must be none),
and how late polls began meanwhile (p99 is at most the largest, which is told).

    python -m benchmarks.traps --steady [SECONDS in HINOMI_STEADY_SECONDS, 60 by default]
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.traps import link_down
from poller.config import load
from poller.free_ports import free_port
from poller.share import share
from probes.snmp.message import CommunityMessage, encode_message

RATE = 2_000
BURST = 10_000
STEP_SECONDS = 0.02


def ask(port: int, path: str) -> Any:  # noqa: ANN401 - JSON, or text
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        body = response.read().decode()
    return body if path == "/metrics" else json.loads(body)


def lag_seconds(port: int) -> float:
    lines = [line for line in ask(port, "/metrics").splitlines() if line.startswith("hinomi_daemon_lag_seconds{")]
    return max((float(line.rsplit(" ", 1)[1]) for line in lines), default=0.0)


def wait_for(port: int, committed: int) -> dict[str, Any]:
    funnel: dict[str, Any] = {}
    for _ in range(300):
        funnel = ask(port, "/api/v1/notifications?since=999999999")["funnel"]
        if funnel["committed"] >= committed:
            break
        time.sleep(0.2)
    return funnel


@contextmanager
def watched_prefecture(*changes: tuple[str, str]) -> Iterator[tuple[list[str], int, int]]:
    """The example, its text changed, simulated and watched: addresses of devices, ports of notifications and wall."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config"
        shutil.copytree(share("config/examples/prefecture"), config)
        agents, told, wall = free_port(), free_port(), free_port()
        text = (config / "hinomi.yaml").read_text(encoding="utf-8")
        for old, new in (
            ("interval: 60s", "interval: 10s"),
            ("16161", agents),
            ("port: 16162", f"port: {told}"),
            ("port: 8480", f"port: {wall}"),
            *changes,
        ):
            text = text.replace(str(old), str(new))
        (config / "hinomi.yaml").write_text(text, encoding="utf-8")
        estate = load(config).estate
        addresses = [str(device.addresses[0]) for device in estate.devices.values()]
        command = [sys.executable, "-m", "poller.cli"]
        lab = subprocess.Popen(
            [*command, "lab", "-c", str(config), "--port", str(agents)], stdout=subprocess.PIPE, text=True
        )
        assert lab.stdout is not None
        lab.stdout.readline()
        daemon = subprocess.Popen(
            [*command, "run", "-c", str(config)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert daemon.stdout is not None
        daemon.stdout.readline()
        try:
            yield addresses, told, wall
        finally:
            for process in (daemon, lab):
                process.send_signal(signal.SIGTERM)
                process.wait(30)


def main() -> None:
    seconds = float(os.environ.get("HINOMI_STEADY_SECONDS", "60"))
    # Every notification is different on purpose: not a storm to be summed, but 2,000 a second to be kept.
    limits = "  credentials: [notify]\n  per_second: 100000\n  storm_per_second: 100000"
    with watched_prefecture(("  credentials: [notify]", limits)) as (addresses, told, wall):
        run(addresses, (told, wall), seconds)


def show(what: str, sent: int, accepted: int, funnel: dict[str, Any], more: str = "") -> None:
    counts = f"accepted {accepted}, committed in all {funnel['committed']}, dropped {funnel['dropped']}"
    print(f"{what}: {sent} sent{more}, {counts}", flush=True)


def run(addresses: list[str], ports: tuple[int, int], seconds: float) -> None:
    told, wall = ports
    sockets = []
    for address in addresses:
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((address, 0))
        sockets.append(opened)
    count = int(RATE * seconds)
    datagrams = [
        encode_message(CommunityMessage(1, b"lab-only-notify", link_down(200 + number // len(sockets), number)))
        for number in range(count + BURST)
    ]
    time.sleep(15)  # the first round of polls and discoveries
    before = wait_for(wall, 0)["accepted"]
    begun = time.monotonic()
    late = 0.0
    step = int(RATE * STEP_SECONDS)
    for start in range(0, count, step):
        for number in range(start, min(start + step, count)):
            sockets[number % len(sockets)].sendto(datagrams[number], ("127.0.0.1", told))
        time.sleep(max(0.0, begun + (start + step) / RATE - time.monotonic()))
        if not start % (RATE * 5):
            late = max(late, lag_seconds(wall))
    took = time.monotonic() - begun
    funnel = wait_for(wall, before + count)
    show("steady", count, funnel["accepted"] - before, funnel, f" in {took:.1f} s")
    for number in range(count, count + BURST):
        sockets[number % len(sockets)].sendto(datagrams[number], ("127.0.0.1", told))
    funnel = wait_for(wall, before + count + BURST)
    show("burst", BURST, funnel["accepted"] - before - count, funnel)
    time.sleep(62)  # so that the minute with the burst is told
    print(f"polls began at most {max(late, lag_seconds(wall)):.2f} s late")


if __name__ == "__main__":
    main()
