"""Is more being lost than chance explains? One lost echo in a hundred is nobody's fault; one in twenty is. Pure."""

from collections import deque
from collections.abc import Iterable
from math import comb
from typing import Final

USUAL_LOSS: Final = 0.01
"""The share of echoes that may be lost on a sound line."""
CHANCE: Final = 1e-6
"""Below this probability under USUAL_LOSS it is no chance: about once in two years of minutes for a circuit."""
WINDOWS: Final = (5, 30)
"""Minutes looked at together: heavy loss shows in few, light loss needs many."""


class LossWindow:
    """The last minutes of echoes to one target."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, int]] = deque(maxlen=max(WINDOWS))

    def add(self, sent: int, lost: int) -> bool:
        """Take a minute in; True while more is lost than chance explains."""
        self._minutes.append((sent, lost))
        return is_lossy(self._minutes)

    def forget(self) -> None:
        """Begin anew: an outage that was told as one is no loss."""
        self._minutes.clear()


def is_lossy(minutes: Iterable[tuple[int, int]]) -> bool:
    """Whether any of the windows that end now has too many losses; minutes are (sent, lost), oldest first."""
    known = list(minutes)
    for window in WINDOWS:
        sent = sum(each for each, _ in known[-window:])
        lost = sum(each for _, each in known[-window:])
        if lost > USUAL_LOSS * sent and chance_of(lost, sent, USUAL_LOSS) < CHANCE:
            return True
    return False


def chance_of(lost: int, sent: int, loss: float) -> float:
    """The probability that so many or more of `sent` are lost where each is with probability `loss` (binomial)."""
    return 1.0 - sum(comb(sent, each) * loss**each * (1 - loss) ** (sent - each) for each in range(lost))
