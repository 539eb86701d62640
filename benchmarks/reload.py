"""A hundred reloads under load: do the series of devices that did not change show any trace of them (R72)?

    python -m benchmarks.reload [--reloads 100] [--devices 200] [--interval 5] [--pause 1.0]

The lab and the daemon are processes of their own. Between two reloads one thing changes at random: a device comes
or goes, a tenant's name, a cap, a credential's secret, a rule, a circuit's ceiling. At the end every reading of every
device that was there all the time and did not change is counted: none missing, none failed, none named in the log.
"""

import argparse
import random
import re
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.estates import SECOND, Watch, Wishes, device, free_port, kept, lab, write_estate

_TROUBLE = re.compile(
    r"(polls_missed|overrun|poll_failed|poll_broken|answer_broken|tick_broken)( device=(?P<device>\S+))?"
)


def change(wishes: Wishes, folder: Path, chance: random.Random) -> str:
    """Change one thing; its name."""
    kind = chance.choice(("more", "fewer", "name", "cap", "secret", "rule", "ceiling"))
    spare = set(range(wishes.devices, wishes.devices + 20))
    if kind == "more" and spare - wishes.more:
        wishes.more |= {chance.choice(sorted(spare - wishes.more))}
    elif kind == "fewer" and wishes.more:
        wishes.more -= {chance.choice(sorted(wishes.more))}
    elif kind == "secret":
        path = folder / "edge"
        path.write_text("another\n" if path.read_text() != "another\n" else "benchmark\n")
    elif kind == "rule":
        wishes.level = chance.randrange(80, 99)
    elif kind == "ceiling":
        wishes.ceiling = chance.randrange(900, 1100)
    elif kind == "cap":
        wishes.cap = chance.randrange(200, 400)
    else:
        wishes.names[f"t-{chance.randrange(3, 9)}"] = f"団体{chance.randrange(1000)}"
        kind = "name"
    return kind


def main() -> None:
    """Run, count, and print what was found; exit status 1 where there is a trace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--interval", type=int, default=5)
    parser.add_argument("--pause", type=float, default=1.0)
    given = parser.parse_args()
    chance = random.Random(72)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name) / "config", free_port()
        full = Wishes(given.devices, given.interval, more=frozenset(range(given.devices, given.devices + 20)))
        write_estate(folder, port, full)
        with lab(folder, port, "--community", "another"):
            wishes = Wishes(given.devices, given.interval)
            write_estate(folder, port, wishes)
            watch = Watch(folder, Path(name) / "log")
            watch.start()
            time.sleep(max(75.0, 3 * given.interval))  # the first minute is another
            begun_ns, (_, before), quiet = time.time_ns(), watch.usage(), watch.log.stat().st_size
            seconds, kinds = reloads(given.reloads, watch, wishes, chance, given.pause)
            time.sleep(2 * given.interval)
            ended_ns, (_, after) = time.time_ns() - 2 * given.interval * SECOND, watch.usage()
            watch.end()
        log = watch.log.read_text(errors="replace")
        since = watch.log.read_bytes()[quiet:].decode(errors="replace")
        untouched = [device(number) for number in range(given.devices - 1)]
        missing, failed, readings = trace(folder / "state", untouched, begun_ns, ended_ns, given.interval)
        told = [each.group() for each in _TROUBLE.finditer(since) if each["device"] in {*untouched, None}]
        discovered = sum(log.count(f"discovered device={each} ") for each in untouched)
    print(f"reloads {len(seconds)}: " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))))
    print(f"seconds a reload: median {statistics.median(seconds):.3f}, longest {max(seconds):.3f}")
    print(f"readings of {len(untouched)} untouched devices: {readings}; missing {missing}, without a rate {failed}")
    print(f"discoveries of untouched devices: {discovered} (one each), lines of trouble: {len(told)} {told[:3]}")
    print(f"resident memory: {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after")
    raise SystemExit(1 if missing or failed or told or discovered != len(untouched) else 0)


def reloads(
    count: int, watch: Watch, wishes: Wishes, chance: random.Random, pause: float
) -> tuple[list[float], list[str]]:
    """Change and reload so many times; how long each took, and what it was."""
    seconds, kinds = [], []
    port = int(re.findall(r"port: (\d+), echo", (watch.folder / "hinomi.yaml").read_text())[0])
    for _ in range(count):
        kinds.append(change(wishes, watch.folder, chance))
        write_estate(watch.folder, port, wishes)
        answer = watch.ask("POST", "/reload")
        assert not answer["problems"], answer
        seconds.append(answer["seconds"])
        time.sleep(chance.uniform(0.2, 2.0) * pause)
    return seconds, kinds


def trace(state: Path, devices: list[str], begun_ns: int, ended_ns: int, interval: int) -> tuple[int, int, int]:
    """Readings between two moments that are missing, those without a rate, and how many there are."""
    found = kept(state)
    missing = failed = readings = 0
    for each in devices:
        times = sorted(at for at in found.get(each, {}) if begun_ns <= at <= ended_ns)
        expected = (times[-1] - times[0]) // (interval * SECOND) + 1 if times else 1
        missing += expected - len(times)
        missing += not times or times[0] - begun_ns > interval * SECOND or ended_ns - times[-1] > 2 * interval * SECOND
        failed += sum(found[each][at]["quality"] != "observed" for at in times)
        readings += len(times)
    return missing, failed, readings


if __name__ == "__main__":
    main()
