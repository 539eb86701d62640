"""kill -9 of the whole daemon at fifty random moments, under load and a scenario of faults (R73).

    python -m benchmarks.kill [--kills 50] [--devices 100] [--interval 5] [--life 30]

The lab, an SMTP server and this process live on; the daemon is killed after a random time of at most --life seconds and
started again at once. One device is down all the time; five others fall silent for a while, one after the other. Then:

    samples      of every device none is missing whose poll was over two seconds before a kill, or due after the restart
    baselines    no rate is further from what the counters say than a tenth, and a second of lateness
    mails        a first mail and a recovery for every fault, none missing; a mail that the kill has sent twice has the
                 same Message-ID (the server said 250 and we died before we wrote it down): counted, and told
    incidents    the one of the device that is down is the same in every life
"""

import argparse
import random
import signal
import socket
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from benchmarks.estates import SECOND, Watch, Wishes, device, free_port, kept, lab, write_estate
from poller.schedule import next_due_ns, offset_seconds

_GRACE_NS = 2 * SECOND
"""A commit takes a second, and a poll its time: what was due so shortly before a kill may be lost with it."""
_TOLERANCE = 0.1
_SMALL = 1e5
"""Bits per second: of less, a few octets of chance are much."""
_LATE_SECONDS = 1.0
"""A poll may begin so late: rates are by the device's own clock, which is not kept, times by the schedule."""
CALM_SECONDS = 300.0
"""A device that was silent is asked once a minute only, so its return is seen that late."""
START_SECONDS = 4.0
"""About what a start takes."""


@dataclass
class Inbox:
    """Takes every mail, and remembers its Message-ID and subject."""

    mails: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        message = message_from_bytes(envelope.original_content or b"", policy=default)
        self.mails.append((str(message["Message-ID"]), str(message["Subject"])))
        return "250 taken"


@dataclass
class Lives:
    """When each life began (ready) and ended, unix nanoseconds, and the incidents open at its end and at its begin."""

    begun_ns: list[int] = field(default_factory=list)
    ended_ns: list[int] = field(default_factory=list)
    open_at_begin: list[set[str]] = field(default_factory=list)
    start_seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Run, count, and print what was found; exit status 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--devices", type=int, default=100)
    parser.add_argument("--interval", type=int, default=5)
    parser.add_argument("--life", type=float, default=30.0)
    given = parser.parse_args()
    inbox = Inbox()
    server = Controller(inbox, hostname="127.0.0.1", port=_tcp_port())
    server.start()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name) / "config", free_port()
        write_estate(folder, port, Wishes(given.devices, given.interval, relay=server.port))
        span = given.kills * (given.life / 2 + START_SECONDS)
        faults = [device(number) for number in range(10, 15)]
        scenario = Path(name) / "scenario.yaml"
        scenario.write_text(_scenario(device(given.devices - 2), faults, span))
        with lab(folder, port, "--scenario", str(scenario)):
            watch = Watch(folder, Path(name) / "log")
            over = time.monotonic() + 60 + 1.2 * span  # the last fault, and its end
            lives = live(watch, given.kills, given.life)
            time.sleep(max(0.0, over - time.monotonic()))
            left = until_calm(watch)
            watch.end()
            lives.ended_ns.append(time.time_ns())
        server.stop()
        found = kept(folder / "state")
        with closing(sqlite3.connect(folder / "state" / "alerts.sqlite")) as connection:
            query = "SELECT subject FROM outbox WHERE state IN ('sent', 'told', 'held')"
            written = [subject for (subject,) in connection.execute(query)]
    broken = report(lives, found, inbox, {each: sum(each in subject for subject in written) for each in faults}, given)
    gone = [each for each in left if device(given.devices - 2) in each["title"]["en"]]
    print(f"open at the end: {[each['title']['en'] for each in left]}, of the device that is down {len(gone)} (1)")
    raise SystemExit(1 if broken or len(gone) != 1 else 0)


def _scenario(gone: str, faults: Sequence[str], span: float) -> str:
    lines = ["events:", f"  - {{do: dead_agent, device: {gone}, at: 1s}}"]
    for number, each in enumerate(faults):
        at = 30 + number * span / len(faults)
        lines.append(
            f"  - {{do: dead_agent, device: {each}, at: {at:.0f}s, for: {max(30.0, span / len(faults) / 2):.0f}s}}"
        )
    return "\n".join(lines) + "\n"


def live(watch: Watch, kills: int, longest: float) -> Lives:
    """Start and kill so many times, then start for good."""
    chance, lives = random.Random(73), Lives()
    for _ in range(kills):
        lives.start_seconds.append(watch.start())
        lives.begun_ns.append(time.time_ns())
        lives.open_at_begin.append({each["id"] for each in watch.until_answers()["incidents"]})
        time.sleep(chance.uniform(0.0, longest))
        lives.ended_ns.append(time.time_ns())
        watch.end(signal.SIGKILL)
    lives.start_seconds.append(watch.start())
    lives.begun_ns.append(time.time_ns())
    lives.open_at_begin.append({each["id"] for each in watch.until_answers()["incidents"]})
    return lives


def until_calm(watch: Watch) -> list[dict[str, Any]]:
    """The open incidents once only one is left, and the mail about the last recovery had its time."""
    ends = time.monotonic() + CALM_SECONDS
    while len(left := watch.until_answers()["incidents"]) != 1 and time.monotonic() < ends:
        time.sleep(1.0)
    time.sleep(10.0)
    return list(left)


def report(
    lives: Lives,
    found: Mapping[str, Mapping[int, Mapping[str, Any]]],
    inbox: Inbox,
    told: Mapping[str, int],
    given: argparse.Namespace,
) -> int:
    """Print every count; how many promises are broken. told: by fault, mails that left or that the cap still holds."""
    watched = [device(number) for number in range(given.devices) if device(number) not in told]
    watched.remove(device(given.devices - 2))
    gaps = [gap for each in watched for gap in _missing(each, found.get(each, {}), lives, given.interval)]
    missing = len(gaps)
    readings = sum(len(found.get(each, {})) for each in watched)
    wrong, worst = _wrong_rates(found, watched, given.interval)
    identities = Counter(message for message, _ in inbox.mails)
    kinds = Counter(subject for _, subject in dict(inbox.mails).items())
    lost = [each for each, count in told.items() if count < 2]
    doubled = [each for each, count in told.items() if count > 2]
    known = [each for each in lives.open_at_begin if each]
    always = set.intersection(*known) if known else set()
    print(f"kills {len(lives.ended_ns) - 1}; a start takes {max(lives.start_seconds):.1f} s at most")
    print(f"readings {readings} of {len(watched)} devices; missing beside the gaps {missing} (0)")
    for gap in gaps:
        print(f"  missing: {gap}")
    print(f"rates that the counters contradict {wrong} (0), worst {worst:.1%}")
    print(f"mails {len(inbox.mails)}, sent again under their own Message-ID {len(inbox.mails) - len(identities)}")
    print("mails by subject: " + "; ".join(f"{count} {subject}" for subject, count in sorted(kinds.items())))
    print(f"faults without both mails {lost} ([]), with more than both {doubled} ([])")
    print(
        f"the incident of the device that is down is open at the begin of {len(known)} lives, the same in all: {always}"
    )
    return missing + wrong + len(lost) + len(doubled) + (not always)


def _missing(device_id: str, times: Mapping[int, object], lives: Lives, interval: int) -> list[str]:
    """Due times within a life at which there is nothing, though the poll had its time before the kill, in words."""
    offset, missing = offset_seconds(device_id, interval), []
    for number, (begun_ns, ended_ns) in enumerate(zip(lives.begun_ns, lives.ended_ns, strict=True)):
        first = next_due_ns(begun_ns + SECOND, offset, interval)
        missing += [
            f"{device_id} in life {number}, {(due_ns - begun_ns) / SECOND:.2f} s after its begin,"
            f" {(ended_ns - due_ns) / SECOND:.2f} s before its end"
            for due_ns in range(first, ended_ns - _GRACE_NS, interval * SECOND)
            if due_ns not in times
        ]
    return missing


def _wrong_rates(
    found: Mapping[str, Mapping[int, Mapping[str, Any]]], devices: Sequence[str], interval: int
) -> tuple[int, float]:
    """Rates that do not fit the counters they were made of, and the furthest off; small and short ones are left out."""
    wrong, worst = 0, 0.0
    for each in devices:
        rows = sorted(found.get(each, {}).items())
        for (before_ns, before), (after_ns, after) in pairwise(rows):
            rate, seconds = after.get("in_bits_per_second"), (after_ns - before_ns) / SECOND
            counted = (after["in_octets_total"] - before["in_octets_total"]) * 8 / seconds
            if rate is None or after["quality"] != "observed" or counted < _SMALL or seconds < interval:
                continue
            off = abs(rate / counted - 1)
            worst = max(worst, off)
            wrong += off > _TOLERANCE + 2 * _LATE_SECONDS / seconds
    return wrong, worst


def _tcp_port() -> int:
    """A port of loopback for the mail server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
