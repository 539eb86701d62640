"""The numbers of one minute of echoes to one target."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delays:
    """Round trips in seconds (RFC 2681).

    variation_seconds: mean absolute difference between answers that followed one another (RFC 5481, 4.1); None of one.
    """

    min_seconds: float
    median_seconds: float
    percentile_95_seconds: float
    max_seconds: float
    variation_seconds: float | None


@dataclass(frozen=True, slots=True)
class EchoStatistics:
    """One minute of one target, by the minute in which the echoes were sent.

    sent = received + refused + lost; what could not be sent is send_failed and in none of them.
    slot_start_ns: start of the minute, UTC unix nanoseconds, a multiple of 60 s.
    late: answers after the timeout, of echoes that stay counted as lost.
    duplicates: answers to an echo that had been answered.
    delays: None where nothing was received.
    send_error: why sending failed last, "" where it did not.
    """

    target: str
    slot_start_ns: int
    sent: int
    received: int
    lost: int
    refused: int
    send_failed: int
    duplicates: int
    late: int
    delays: Delays | None
    send_error: str = ""

    @property
    def round_trip_loss_ratio(self) -> float | None:
        """Echoes without an answer, 0..1 (RFC 6673); None where none was sent, which is no loss."""
        return (self.sent - self.received) / self.sent if self.sent else None


def summarise(delays_ns: Sequence[int]) -> Delays | None:
    """The summary of delays in the order in which the answers arrived; None of none.

    The 95th percentile is by ceiling rank (R63): of 12 delays the largest.
    """
    if not delays_ns:
        return None
    ranked = sorted(delays_ns)
    count = len(ranked)
    middle = (ranked[(count - 1) // 2] + ranked[count // 2]) / 2
    steps = sum(map(abs, map(int.__sub__, delays_ns[1:], delays_ns)))
    return Delays(
        min_seconds=ranked[0] / 1e9,
        median_seconds=middle / 1e9,
        percentile_95_seconds=ranked[-(-95 * count // 100) - 1] / 1e9,
        max_seconds=ranked[-1] / 1e9,
        variation_seconds=steps / (count - 1) / 1e9 if count > 1 else None,
    )
