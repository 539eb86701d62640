"""What is known of one agent between requests: its clock, its size, its pace, whether it is silent."""

from dataclasses import dataclass, field

from probes.snmp.engine import EngineClock
from probes.snmp.errors import SnmpError
from probes.snmp.sealed import SealedConversation
from probes.snmp.slots import Slots

FIRST_REPLY_OCTETS = 1400
"""Replies stay under this at first contact (R15)."""

LARGEST_PDU_VARBINDS = 512
GROW_AFTER = 20
"""Successes in a row after which the request size grows again (R14)."""


@dataclass(slots=True)
class RequestSize:
    """How much to ask of an agent at once, in varbinds of the reply: halves on trouble, grows back on success (R14)."""

    limit: int = LARGEST_PDU_VARBINDS
    successes: int = 0

    def halve(self, asked: int) -> bool:
        """Learn that asking for so many was too much; False when there is nothing left to halve."""
        self.successes = 0
        if asked <= 1:
            self.limit = 1
            return False
        self.limit = max(1, min(self.limit, asked) // 2)
        return True

    def succeeded(self, asked: int) -> None:
        """Grow by half after enough successes at the present limit."""
        if asked < self.limit or self.limit >= LARGEST_PDU_VARBINDS:
            return
        self.successes += 1
        if self.successes >= GROW_AFTER:
            self.successes = 0
            self.limit = min(LARGEST_PDU_VARBINDS, self.limit + max(1, self.limit // 2))


@dataclass(slots=True)
class Device:
    """State of one agent, by address and port, never by user (R9)."""

    engine: EngineClock | None = None
    size: RequestSize = field(default_factory=RequestSize)
    sealed: SealedConversation | None = None
    slots: Slots = field(default_factory=Slots)
    next_send_at: float = 0.0
    silent: SnmpError | None = None
    """Why it is taken for dead, until it answers again."""
    probed_at: float = 0.0
    round_trip_seconds: float | None = None
    engine_changed: bool = False
    privacy_proved: bool = False
    """Whether it has ever answered a request as it was configured, encryption included."""
    packets: int = 0
    """Requests sent since it is known, retries included; retries and timeouts likewise."""
    retries: int = 0
    timeouts: int = 0
    max_size: int = 65507
    """msgMaxSize of the agent (v3)."""

    def pace(self, now: float, packets_per_second: float) -> float:
        """Seconds to wait before the next datagram may leave; takes the place in the row (R22)."""
        start = max(now, self.next_send_at)
        self.next_send_at = start + 1.0 / packets_per_second
        return start - now
