"""The daemon whole in real time: 1,000 devices, polls, rates, slots, journal, InfluxDB, wall. CPU, memory, punctuality.

    python -m benchmarks.whole [--devices 1000] [--minutes 30] [--interval 60] [--no-influx]

The lab is a process of its own, and so are Debian's InfluxDB 1.6 and the daemon (`hinomi run`), which one open
wall follows. After two intervals to settle, CPU time of the daemon with all its
threads, its largest resident memory, and the start delays of its polls are taken minute by minute. Expected on a core
of 2020 or later: CPU at most 6 % of a core, 300 MiB, 99 of 100 polls within 100 ms.
"""

import argparse
import asyncio
import json
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import aiohttp

from benchmarks.estates import Watch, Wishes, free_port, lab, write_estate
from benchmarks.storage_stores import Server

CPU_RATIO, MEMORY_OCTETS, LAG_SECONDS = 0.06, 300 * 2**20, 0.1


def main() -> None:
    """Run, measure, and print a table; exit status 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--interval", type=int, default=60)
    parser.add_argument("--no-influx", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, port = Path(name) / "config", free_port()
        server = None if given.no_influx else stack.enter_context(Server("1", Path(name)))
        url = None if server is None else server.url
        write_estate(folder, port, Wishes(given.devices, given.interval, influx=url))
        stack.enter_context(lab(folder, port))
        watch = Watch(folder, Path(name) / "log")
        watch.start()
        stack.callback(watch.end)
        wall = watch.until_answers()["wall"]
        threading.Thread(target=look, args=(wall,), daemon=True).start()
        time.sleep(60.0 + 2 * given.interval)
        rows = measure(watch, wall, given.minutes)
        found, peak = watch.ask(), watch.peak()
    parts = found["parts"]
    cpu = sum(row[0] for row in rows) / len(rows)
    memory = max(row[1] for row in rows)
    lag = max(row[2] for row in rows)
    answering = found["whole"]["answering"]
    print(f"devices {given.devices}, every {given.interval} s, {len(rows)} minutes; answering {answering}")
    highest = max(row[0] for row in rows)
    print(f"CPU of one core       mean {cpu:.1%}, highest minute {highest:.1%}   (at most {CPU_RATIO:.0%})")
    print(f"resident memory       {memory / 2**20:.0f} MiB   (at most {MEMORY_OCTETS / 2**20:.0f})")
    print(f"    the highest moment, the start and each saving of state included: {peak / 2**20:.0f} MiB")
    print(f"start delay p99       worst minute {lag * 1000:.1f} ms   (at most {LAG_SECONDS * 1000:.0f})")
    print(f"start delay, longest  {max(row[3] for row in rows) * 1000:.1f} ms")
    stores = {name: parts[name].get("done_total") for name in ("parquet", "influx") if name in parts}
    print(
        f"polls {parts['rounds']['done_total']}, failed {parts['rounds']['failed_total']}, samples delivered {stores}"
    )
    raise SystemExit(1 if cpu > CPU_RATIO or memory > MEMORY_OCTETS or lag > LAG_SECONDS else 0)


def measure(watch: Watch, wall: str, minutes: float) -> list[tuple[float, int, float, float]]:
    """For every minute: CPU of a core, resident octets, and p99 and largest start delay of the last whole minute."""
    rows = []
    for _ in range(max(1, round(minutes))):
        (cpu, _), begun = watch.usage(), time.monotonic()
        time.sleep(60.0)
        after, memory = watch.usage()
        with urllib.request.urlopen(f"{wall}api/v1/wall", timeout=30) as answer:
            rounds = json.load(answer)["daemon"]["rounds"]
        rows.append(
            ((after - cpu) / (time.monotonic() - begun), memory, rounds["lag_p99_seconds"], rounds["lag_seconds"])
        )
    return rows


def look(url: str) -> None:
    """One open wall, for ever."""

    async def follow() -> None:
        endless = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=endless) as session, session.get(f"{url}api/v1/stream") as stream:
            async for _ in stream.content:
                pass

    asyncio.run(follow())


if __name__ == "__main__":
    main()
