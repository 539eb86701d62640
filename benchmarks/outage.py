"""InfluxDB away for days at full rate, then back, and killed once on the way: is everything there, in order, once?

python -m benchmarks.outage [--hours 72] [--devices 34] [--json]: every minute of the outage each device brings 48
interfaces of 20 fields (34 devices are the 1,600 interfaces of the estate this was made for). Debian's InfluxDB 1.6
is started when the outage is over, killed with SIGKILL when a third has arrived, and started again. Then every point of
every series is read back: its number in the outage must follow the one before. The last line is JSON.
"""

import argparse
import asyncio
import json
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from benchmarks.storage import polls_of
from benchmarks.storage_stores import INTERFACES, LIMITS, Server
from poller.sample import Sample
from poller.storage.delivery import DeliverySettings, DeliveryState, run_reader
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.journal import Journal

_MINUTE = 60 * 10**9
_FLUSH_MINUTES = 10


async def outage(folder: Path, server: Server, hours: int, devices: int) -> dict[str, float]:
    """Fill the journal while nobody takes anything, then catch up; the figures."""
    begun_ns = int(time.time()) // 60 * _MINUTE - (hours * 60 + 60) * _MINUTE
    polls = polls_of(devices, begun_ns)
    total, state = hours * 60 * devices * INTERFACES, DeliveryState()
    settings = DeliverySettings(max_samples=100_000, max_seconds=0.5, longest_retry_seconds=2.0)
    async with Journal(folder / "journal.sqlite", ["influx"], LIMITS) as journal:
        sink = open_influx(InfluxSettings(server.url, kind="1"), folder / "dead_letters")
        task = asyncio.create_task(run_reader(journal.reader("influx"), sink, settings, state))
        filling = time.perf_counter()
        for minute in range(hours * 60):
            for samples in polls:
                journal.append([_at(sample, minute) for sample in samples])
            if minute % _FLUSH_MINUTES == 0:
                await journal.flush()
        await journal.flush()
        filled, octets = time.perf_counter() - filling, journal.state.octets
        assert state.done_total == 0
        catching = time.perf_counter()
        for goal in (total // 3, total):
            await asyncio.to_thread(server.start)
            while state.done_total < goal:  # noqa: ASYNC110 - plain numbers on purpose
                await asyncio.sleep(0.05)
            if goal < total:
                server.kill()
        seconds = time.perf_counter() - catching
        task.cancel()
        await sink.close()
        drops = journal.state.drops_total + sink.dead_letters.total
    found = await asyncio.to_thread(_check, server.url, polls, hours * 60)
    return {
        "samples": total,
        "series_whole": found,
        "lost": drops,
        "journal_mb": round(octets / 2**20),
        "journal_samples_per_second": round(total / filled),
        "catch_up_seconds": round(seconds, 1),
        "catch_up_over_real_time": round(hours * 3600 / seconds, 1),
        "catch_up_samples_per_second": round(total / seconds),
    }


def _at(sample: Sample, minute: int) -> Sample:
    """The same reading so many minutes later; its number tells its place in the outage."""
    fields = {**sample.fields, "in_octets_total": minute}
    return Sample(sample.measurement, sample.tags, fields, sample.time_ns + minute * _MINUTE)


def _check(url: str, polls: Sequence[Sequence[Sample]], minutes: int) -> int:
    """How many series have every minute once, at its moment, with every field."""
    whole = 0
    for sample in (sample for samples in polls for sample in samples):
        tags = dict(sample.tags)
        where = " AND ".join(f"\"{name}\" = '{value}'" for name, value in tags.items())
        question = f'SELECT "in_octets_total", "in_bits_per_second", "quality" FROM "interface" WHERE {where}'
        body = urllib.parse.urlencode({"db": "hinomi", "epoch": "ns", "q": question}).encode()
        with urllib.request.urlopen(f"{url}/query", data=body, timeout=120) as answer:
            (series,) = json.loads(answer.read())["results"][0]["series"]
        rest = [sample.fields["in_bits_per_second"], sample.fields["quality"]]
        whole += series["values"] == [[sample.time_ns + n * _MINUTE, n, *rest] for n in range(minutes)]
    return whole


def main() -> None:
    """Run it and print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=int, default=72)
    options.add_argument("--devices", type=int, default=34)
    options.add_argument("--json", action="store_true", help="only the last line")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name, Server("1", Path(name)) as server:
        server.kill()
        figures = asyncio.run(outage(Path(name), server, chosen.hours, chosen.devices))
    if not chosen.json:
        print("".join(f"| {key} | {value:,} |\n" for key, value in figures.items()))
    print(json.dumps(figures))
    if figures["series_whole"] != chosen.devices * INTERFACES or figures["lost"]:
        raise SystemExit("something is missing, doubled or out of order")


if __name__ == "__main__":
    main()
