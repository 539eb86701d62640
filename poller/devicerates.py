"""What the interfaces of one device counted between two readings: flat columns, or the reason why nobody can say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from poller.counting import WIDTH
from poller.readings import DeviceReading, InterfaceLayout
from poller.sample import Quality

FIRST_READING: Final = "first_reading"
DISCONTINUITY: Final = "discontinuity"
IMPLAUSIBLE: Final = "implausible"
TOO_FAST: Final = "counter32_too_fast"
CACHED: Final = "cached"
GAP: Final = "gap"
NO_VALUE: Final = "no_value"
OUT_OF_ORDER: Final = "out_of_order"
CLOCK_STEPPED: Final = "clock_stepped"
INDEX_MAP_UNVERIFIED: Final = "index_map_unverified"


@dataclass(frozen=True, slots=True)
class DeviceRates:
    """What the interfaces of one device counted, one entry a row of the layout in every column.

    rates: row-major, rows x COUNTERS, per second (octets as bits); None where nobody can say.
    quality, reason: worth of the rates; reason is "" for a plain observation. Observed and "cached" means that the
        agent has not read its counters again: the rates are those of its last update.
    in_octets, out_octets: counted in the interval, 0 where nothing was counted.
    from_ns, to_ns: the interval they were counted in, UTC unix nanoseconds; equal where nothing was counted, and then
        nothing will be counted before to_ns any more. With the reason "gap" the octets belong into volumes, but their
        distribution within the interval is not known (R33).
    restart: "rebooted", "agent_restarted" or "replaced" where this reading shows it, else "".
    reread_layout: the index map must be read again before counters are used (R30).
    """

    device: str
    due_ns: int
    layout: InterfaceLayout
    rates: Sequence[float | None]
    quality: Sequence[Quality]
    reason: Sequence[str]
    in_octets: Sequence[int]
    out_octets: Sequence[int]
    from_ns: Sequence[int]
    to_ns: Sequence[int]
    restart: str = ""
    reread_layout: bool = False


class Columns:
    """The columns of a DeviceRates while they are being filled: at first no row has counted anything."""

    __slots__ = ("from_ns", "in_octets", "out_octets", "quality", "rates", "reason", "restart", "to_ns")

    def __init__(self, placed_ns: Sequence[int]) -> None:
        rows = len(placed_ns)
        self.rates: list[float | None] = [None] * (rows * WIDTH)
        self.quality = [Quality.UNKNOWN] * rows
        self.reason = [""] * rows
        self.in_octets = [0] * rows
        self.out_octets = [0] * rows
        self.from_ns = list(placed_ns)
        self.to_ns = list(placed_ns)
        self.restart = ""

    def rates_of(self, reading: DeviceReading, *, reread_layout: bool) -> DeviceRates:
        """The finished columns; they are not written to any more."""
        return DeviceRates(
            device=reading.device,
            due_ns=reading.due_ns,
            layout=reading.layout,
            rates=self.rates,
            quality=self.quality,
            reason=self.reason,
            in_octets=self.in_octets,
            out_octets=self.out_octets,
            from_ns=self.from_ns,
            to_ns=self.to_ns,
            restart=self.restart,
            reread_layout=reread_layout,
        )
