"""Active and standby circuits: which one carries, when that changed, and what is left to stand in (R64a).

Theory. A redundancy group has one active member at a time (mode active_standby) or all of them (shared). The active one
- stays while it is not down and no other one clearly carries the group's traffic,
- changes to the member that carries at least nine tenths of the traffic while the active one carries next to none;
  traffic is that of closed slots, so after a switch-over it is believed again once its slots are later than that,
- changes to the best remaining member when it goes down: up before degraded, preferred before others.
The group serves while `needed` of its members are up or degraded. A standby that took over is minor; a group that does
not serve any more is serious. Unknown members do not count as up, and alone they are no proof that the group is down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from poller.accounts import SLOT_NS
from poller.contracts import CircuitContract, RedundancyContract

CARRIES_SHARE: Final = 0.9
CARRIES_AT_LEAST: Final = 100_000
"""Bits per second; below that a circuit carries its own keep-alives and nothing else."""
SETTLED_NS: Final = 4 * SLOT_NS
"""After a switch-over the traffic told may be of before: of a slot, its deadline of two, and a look every minute."""
HISTORY: Final = 200
"""Switch-overs remembered per group."""


class State(StrEnum):
    """The state of a circuit or a line group."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


RUNNING: Final = frozenset((State.UP, State.DEGRADED))


@dataclass(frozen=True, slots=True)
class SwitchOver:
    """The active member of a group changed; before or after is "" where there was none. reason is a sentence."""

    group: str
    at_ns: int
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class RedundancyView:
    """A group as it stands.

    active: the members that carry the traffic. running: members that are up or degraded.
    serving: False when fewer than needed run for certain; None when unknown members leave it open.
    spare: members beyond what is needed that could stand in.
    took_over: a member that is not the preferred one is active.
    severity: "serious", "minor" or "" by R64a; reason is the sentence behind it.
    """

    group: str
    active: tuple[str, ...]
    states: Mapping[str, State]
    running: int
    serving: bool | None
    spare: int
    took_over: bool
    severity: str
    reason: str


@dataclass(slots=True)
class RedundancyTracker:
    """Follows one group over time."""

    contract: RedundancyContract
    circuits: Mapping[str, CircuitContract]
    active: str = ""
    history: list[SwitchOver] = field(default_factory=list)

    def update(
        self, at_ns: int, states: Mapping[str, State], bits_per_second: Mapping[str, float | None]
    ) -> RedundancyView:
        """The group at a moment; bits_per_second is in + out of each member's last slot, None where unobserved."""
        if self.contract.mode == "active_standby":
            settled = not self.history or at_ns - self.history[-1].at_ns >= SETTLED_NS
            after, reason = self._choose(states, bits_per_second if settled else {})
            if after != self.active:
                if self.history or self.active or not self._is_preferred(after):
                    self.history.append(SwitchOver(self.contract.id, at_ns, self.active, after, reason))
                    del self.history[:-HISTORY]
                self.active = after
        return self._view(states)

    def _choose(self, states: Mapping[str, State], traffic: Mapping[str, float | None]) -> tuple[str, str]:
        running = [circuit for circuit in self.contract.circuits if states[circuit] in RUNNING]
        carried = {circuit: traffic.get(circuit) or 0.0 for circuit in self.contract.circuits}
        total = sum(carried.values())
        carrier = max(carried, key=lambda circuit: carried[circuit])
        if total >= CARRIES_AT_LEAST and carried[carrier] >= CARRIES_SHARE * total and states[carrier] != State.DOWN:
            return carrier, f"{carrier} carries {carried[carrier] / total:.0%} of the traffic"
        if self.active and states[self.active] is not State.DOWN:
            return self.active, ""
        if not self.active and State.UNKNOWN in (states[circuit] for circuit in self.contract.circuits):
            return "", "not every member has been seen yet"
        if not running:
            return "", "no member is known to run"
        best = min(running, key=lambda circuit: (states[circuit] is not State.UP, not self._is_preferred(circuit)))
        return best, f"{self.active} is down" if self.active else f"{best} runs"

    def _is_preferred(self, circuit: str) -> bool:
        return circuit in self.circuits and self.circuits[circuit].preferred_active

    def _view(self, states: Mapping[str, State]) -> RedundancyView:
        known = {circuit: states[circuit] for circuit in self.contract.circuits}
        running = [circuit for circuit, state in known.items() if state in RUNNING]
        active: Sequence[str] = running if self.contract.mode == "shared" else [self.active] if self.active else []
        unknown = sum(state is State.UNKNOWN for state in known.values())
        serving: bool | None = len(running) >= self.contract.needed
        if not serving and len(running) + unknown >= self.contract.needed:
            serving = None
        took_over = self.contract.mode == "active_standby" and bool(active) and not self._is_preferred(self.active)
        severity, reason = self._judge(known, serving=serving, took_over=took_over)
        return RedundancyView(
            group=self.contract.id,
            active=tuple(active),
            states=known,
            running=len(running),
            serving=serving,
            spare=max(0, len(running) - self.contract.needed),
            took_over=took_over,
            severity=severity,
            reason=reason,
        )

    def _judge(self, states: Mapping[str, State], *, serving: bool | None, took_over: bool) -> tuple[str, str]:
        down = [circuit for circuit, state in states.items() if state is State.DOWN]
        if serving is False:
            return "serious", f"no redundancy is left: {', '.join(down)} down"
        if took_over:
            return "minor", f"the standby {self.active} took over" + (f", {', '.join(down)} down" if down else "")
        if down:
            return "minor", f"{', '.join(down)} down, the others serve"
        return "", ""

    def save(self) -> dict[str, Any]:
        """A structure of plain JSON types; restore takes it over."""
        return {
            "active": self.active,
            "history": [[each.at_ns, each.before, each.after, each.reason] for each in self.history],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what save gave, if the active member still belongs to the group."""
        if saved["active"] in self.contract.circuits:
            self.active = saved["active"]
        self.history = [SwitchOver(self.contract.id, *entry) for entry in saved["history"]]
