"""Is the committed rate delivered? A plateau below it, together with loss or growing delay, says no; with its evidence.

A line that is merely used little varies and loses nothing. A line that is held back shows a flat top: its traffic
cannot grow, while echoes are lost or wait in a queue.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from statistics import median
from typing import Any, Final

from poller.accounts import SLOT_NS

SHORTEST: Final = 10
"""Slots that a plateau must last."""
FLAT_SHARE: Final = 0.05
"""How far the slots of a plateau lie apart at most, as a part of its height."""
BELOW_SHARE: Final = 0.95
"""Of the committed rate: a plateau above that is delivery."""
WORTH_SHARE: Final = 0.2
"""Of the committed rate: a flat line below that is a lack of demand."""
LOSS: Final = 0.005
"""Median loss during the plateau that is a sign."""
DELAY_FACTOR: Final = 2.0
DELAY_GROWTH_SECONDS: Final = 0.010
"""Both must be exceeded by the median delay against what is usual."""
WATCHED_SLOTS: Final = 60
QUIET_SLOTS: Final = 1440
QUIET_SHARE: Final = 0.2
"""Of the committed rate: the delay of slots below that is the line's own."""


@dataclass(frozen=True, slots=True)
class LineSlot:
    """One slot of one direction of a line with what echoes over it showed; None where unknown."""

    start_ns: int
    bits_per_second: float | None
    loss_ratio: float | None = None
    delay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """The finding: rates in bits per second, delays in seconds; signs are the words "loss" and "delay"."""

    from_ns: int
    slots: int
    plateau_bits_per_second: float
    committed_rate: int
    loss_ratio: float | None
    delay_seconds: float | None
    usual_delay_seconds: float | None
    signs: tuple[str, ...]

    def sentence(self, lang: str = "en") -> str:
        """The evidence in one sentence, in "ja" or "en"."""
        japanese = lang == "ja"
        share = self.plateau_bits_per_second / self.committed_rate
        parts = [f"flat at {share:.0%} of the committed rate for {self.slots} min"]
        if japanese:
            parts = [f"帯域確保の{share:.0%}で{self.slots}分間頭打ち"]
        if "loss" in self.signs and self.loss_ratio is not None:
            lost = f"{self.loss_ratio:.1%}"
            parts.append(f"エコーの損失{lost}" if japanese else f"{lost} of the echoes lost")
        if "delay" in self.signs and self.delay_seconds is not None and self.usual_delay_seconds is not None:
            now, usual = (f"{each * 1e3:.0f}" for each in (self.delay_seconds, self.usual_delay_seconds))
            parts.append(
                f"遅延{now}ミリ秒（通常{usual}ミリ秒）" if japanese else f"delay {now} ms instead of {usual} ms"
            )
        return ("、" if japanese else ", ").join(parts)


def judge_delivery(
    slots: Sequence[LineSlot], committed_rate: int, usual_delay_seconds: float | None = None
) -> NotDelivered | None:
    """The finding at the end of slots (in order of time), or None: delivered, or no proof of the contrary.

    usual_delay_seconds is the line's median delay without load; without it only loss can be a sign.
    """
    plateau = _plateau(slots)
    if len(plateau) < SHORTEST:
        return None
    height = median(each.bits_per_second or 0.0 for each in plateau)
    if not WORTH_SHARE * committed_rate <= height < BELOW_SHARE * committed_rate:
        return None
    loss = _median(each.loss_ratio for each in plateau)
    delay = _median(each.delay_seconds for each in plateau)
    signs = []
    if loss is not None and loss >= LOSS:
        signs.append("loss")
    if (
        delay is not None
        and usual_delay_seconds is not None
        and delay > max(DELAY_FACTOR * usual_delay_seconds, usual_delay_seconds + DELAY_GROWTH_SECONDS)
    ):
        signs.append("delay")
    if not signs:
        return None
    return NotDelivered(
        from_ns=plateau[0].start_ns,
        slots=len(plateau),
        plateau_bits_per_second=height,
        committed_rate=committed_rate,
        loss_ratio=loss,
        delay_seconds=delay,
        usual_delay_seconds=usual_delay_seconds,
        signs=tuple(signs),
    )


class DeliveryWatch:
    """Follows one direction of one line: the last hour of slots, and the delays of the last day without load."""

    __slots__ = ("_committed_rate", "_quiet_delays", "_slots")

    def __init__(self, committed_rate: int) -> None:
        self._committed_rate = committed_rate
        self._slots: deque[LineSlot] = deque(maxlen=WATCHED_SLOTS)
        self._quiet_delays: deque[float] = deque(maxlen=QUIET_SLOTS)

    def add(self, slot: LineSlot) -> None:
        """Take the next slot; one that is not later than the last is passed over."""
        if self._slots and slot.start_ns <= self._slots[-1].start_ns:
            return
        self._slots.append(slot)
        quiet = slot.bits_per_second is not None and slot.bits_per_second < QUIET_SHARE * self._committed_rate
        if quiet and slot.delay_seconds is not None:
            self._quiet_delays.append(slot.delay_seconds)

    def judge(self) -> NotDelivered | None:
        """The finding as of the last slot."""
        usual = median(self._quiet_delays) if len(self._quiet_delays) >= SHORTEST else None
        return judge_delivery(self._slots, self._committed_rate, usual)

    def save(self) -> list[Any]:
        """A structure of plain JSON types; restore takes it over."""
        return [[list(astuple(slot)) for slot in self._slots], list(self._quiet_delays)]

    def restore(self, saved: Sequence[Any]) -> None:
        """Take over what save gave."""
        slots, delays = saved
        self._slots.extend(LineSlot(*slot) for slot in slots)
        self._quiet_delays.extend(delays)


def _plateau(slots: Sequence[LineSlot]) -> list[LineSlot]:
    """The longest flat run of known slots that ends with the last one; a hole in time ends it as one in data does."""
    run: list[LineSlot] = []
    low, high = float("inf"), 0.0
    for slot in reversed(slots):
        if slot.bits_per_second is None or (run and run[-1].start_ns - slot.start_ns > SLOT_NS):
            break
        low, high = min(low, slot.bits_per_second), max(high, slot.bits_per_second)
        if high - low > FLAT_SHARE * high:
            break
        run.append(slot)
    return run[::-1]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
