"""What a set of sessions counts: everything that was sent, came, or went wrong."""

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """Counters since the start; plain integers, only ever rising (round trips aside, which are sums of seconds)."""

    sent: int = 0
    received: int = 0
    octets_sent: int = 0
    octets_received: int = 0
    retries: int = 0
    timeouts: int = 0
    refused: int = 0
    send_failed: int = 0
    malformed: int = 0
    """Datagrams that are no SNMP message, or no answer to anything."""
    not_authentic: int = 0
    """v3 answers whose digest, engine or user is not the expected one."""
    unmatched: int = 0
    """Answers to nothing that was asked, or from an address that was not asked."""
    late: int = 0
    """Answers that came after their request was answered or given up."""
    late_accepted: int = 0
    """Answers to an earlier try that were used (R13)."""
    reports: int = 0
    discoveries: int = 0
    resynchronised: int = 0
    """notInTimeWindows answered by setting the clock and asking again (R10)."""
    engine_changed: int = 0
    """Targets that came back with another engine id (R11)."""
    fast: int = 0
    """Replies decoded by remembered shape."""
    in_order: int = 0
    """Replies of a new shape, decoded by the loop that checks each OID."""
    general: int = 0
    """Replies of a prepared poll that took the general codec."""
    walks_stopped: int = 0
    """Walks stopped because the OIDs did not increase (R16)."""
