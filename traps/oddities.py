"""What does not fit, kept within bounds: strangers, notifications that no catalogue names, informs sent again. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from probes.snmp.oid import Oid

STRANGERS_MOST: Final = 256
GAPS_MOST: Final = 1_024
INFORMS_MOST: Final = 20_000
INFORM_REPEAT_NS: Final = 150 * 10**9
"""How long an inform may be sent again and still be the same one."""


@dataclass(slots=True)
class Stranger:
    """Somebody who may not tell us anything. claims: the device that its notification says it comes from."""

    address: str
    count: int
    last_ns: int
    claims: str | None = None


@dataclass(slots=True)
class Gap:
    """A notification that no catalogue names: how often it came, when last, and from which device."""

    oid: Oid
    device: str
    count: int = 0
    last_ns: int = 0

    def note(self, time_ns: int) -> None:
        """It came once more."""
        self.count += 1
        self.last_ns = time_ns


@dataclass(slots=True)
class Oddities:
    """Strangers and gaps; where a bound is reached the oldest stranger goes, and further gaps share one entry."""

    strangers: OrderedDict[str, Stranger] = field(default_factory=OrderedDict)
    gaps: dict[Oid, Gap] = field(default_factory=dict)

    def stranger(self, address: str, time_ns: int) -> Stranger:
        """Count one datagram of a stranger."""
        found = self.strangers.get(address)
        if found is None:
            found = self.strangers[address] = Stranger(address, 0, time_ns)
            if len(self.strangers) > STRANGERS_MOST:
                self.strangers.popitem(last=False)
        found.count += 1
        found.last_ns = time_ns
        return found

    def gap(self, oid: Oid, device: str) -> Gap:
        """The counter of an unknown notification."""
        if oid not in self.gaps and len(self.gaps) >= GAPS_MOST:
            oid = ()
        return self.gaps.setdefault(oid, Gap(oid, device))

    @property
    def unknown(self) -> int:
        """How many notifications came that no catalogue names."""
        return sum(gap.count for gap in self.gaps.values())


@dataclass(slots=True)
class Informs:
    """Informs of the last minutes, so that one sent again is answered again and counted once."""

    _seen: OrderedDict[tuple[Any, ...], tuple[int, Any]] = field(default_factory=OrderedDict)

    def before(self, key: tuple[Any, ...], time_ns: int) -> Any | None:  # noqa: ANN401 - what remember() was given
        """What was remembered of this inform, if it came lately."""
        found = self._seen.get(key)
        return found[1] if found is not None and time_ns - found[0] < INFORM_REPEAT_NS else None

    def remember(self, key: tuple[Any, ...], subject: object, time_ns: int) -> None:
        """It came; the oldest make room."""
        self._seen[key] = (time_ns, subject)
        self._seen.move_to_end(key)
        while len(self._seen) > INFORMS_MOST or next(iter(self._seen.values()))[0] < time_ns - INFORM_REPEAT_NS:
            self._seen.popitem(last=False)
