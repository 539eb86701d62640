"""When a standby carried the traffic in place of its active circuit, from five-minute rows. Pure.

Rows are kept for the life of the contract, so this is known when the daemon has long forgotten the switch-over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from poller.estate import Estate
from poller.percentiles import BIN_NS
from poller.reports.figures import WAYS, Series
from poller.reports.periods import Period

LEAST_RATE: Final = 100_000
"""Bits per second below which a circuit carries nothing but its own upkeep."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A stretch in which the standby carried more than the active circuit; octets: both directions, by the standby."""

    active: str
    standby: str
    since_ns: int
    seconds: float
    octets: int


def stand_ins(estate: Estate, rows: Mapping[str, Series], period: Period) -> list[StandIn]:
    """Every such stretch of the period, in order of time."""
    found: list[StandIn] = []
    for standby in estate.circuits.values():
        if standby.preferred != "standby" or standby.redundancy_group is None or standby.id not in rows:
            continue
        for active in estate.circuits.values():
            pair = active.redundancy_group == standby.redundancy_group and active.preferred == "active"
            if pair and active.id in rows:
                found += _stretches(active.id, standby.id, rows, period)
    return sorted(found, key=lambda each: (each.since_ns, each.standby))


def _stretches(active: str, standby: str, rows: Mapping[str, Series], period: Period) -> list[StandIn]:
    main, backup = (rows[each].within(period.start_ns, period.end_ns) for each in (active, standby))
    times, of_main, of_backup = np.intersect1d(main.time_ns, backup.time_ns, assume_unique=True, return_indices=True)
    carried = np.add(*(backup.octets[way][of_backup] for way in WAYS))
    usual = np.add(*(main.octets[way][of_main] for way in WAYS))
    least = LEAST_RATE * BIN_NS // (8 * 10**9)
    at = np.flatnonzero((carried > usual) & (carried > least))
    stretches = np.split(at, np.flatnonzero(np.diff(times[at]) != BIN_NS) + 1)
    return [
        StandIn(active, standby, int(times[run[0]]), run.size * BIN_NS / 10**9, int(carried[run].sum()))
        for run in stretches
        if run.size
    ]
