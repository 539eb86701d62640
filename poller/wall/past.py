"""What the wall draws of the time before the daemon started: the last six hours of every line group, from history."""

from collections.abc import Mapping, Sequence
from typing import Final

from poller.storage.history import History
from poller.wall.live import HISTORY_SECONDS

_NS: Final = 10**9
_FIELDS: Final = ("in_bits_per_second", "out_bits_per_second")
Points = list[tuple[int, float | None, float | None]]


def past_of_lines(history: History, groups: Sequence[str], now_ns: int) -> Mapping[str, Points]:
    """By line group, (time_ns, in, out) in bits per second, oldest first: minutes where kept, else 5 minutes."""
    start_ns = now_ns - HISTORY_SECONDS * _NS
    points: dict[str, dict[int, tuple[float | None, float | None]]] = {group: {} for group in groups}
    for measurement, suffix in (("line_group_5m", "_mean"), ("line_group", "")):
        fields = [f"{field}{suffix}" for field in _FIELDS]
        frame = history.read(measurement, fields, start_ns=start_ns, end_ns=now_ns)
        for row in frame.select("line_group", "time_ns", *fields).iter_rows():
            if row[0] in points:
                points[row[0]][row[1]] = (row[2], row[3])
    return {group: [(time_ns, *rates) for time_ns, rates in sorted(found.items())] for group, found in points.items()}
