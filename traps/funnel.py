"""The funnel: what became of every datagram, in counters that never lose one (R49). Pure.

received = decoded + the drops before it
decoded = accepted + informs sent again + the drops behind it
accepted = told + summed; committed follows accepted, when it is durable
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Drop(StrEnum):
    """Why a datagram did not become a notification, or not an accepted one; stable words for metrics."""

    STRANGER = "stranger"
    """It came from an address that the configuration does not name."""
    MALFORMED = "malformed"
    """Its octets are no SNMP message, or no notification."""
    WRONG_COMMUNITY = "wrong_community"
    UNKNOWN_USER = "unknown_user"
    UNSUPPORTED_LEVEL = "unsupported_level"
    """The user is known, but must authenticate, or encrypt."""
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a word for a counter
    WRONG_PRIVACY_PASSWORD = "wrong_privacy_password"  # noqa: S105 - as above
    UNKNOWN_ENGINE = "unknown_engine"
    """An inform for another engine than ours: how engines are discovered."""
    NOT_IN_TIME_WINDOW = "not_in_time_window"
    """Its clock is not that of its engine: sent again by somebody, or the device's boots were reset."""
    REPLAYED = "replayed"
    """The same signed octets came before."""
    LIMITED = "limited"
    """Beyond what one source may send in a second."""
    KERNEL = "kernel"
    """The kernel had no room in the socket; these were never received."""


@dataclass(slots=True)
class Funnel:
    """Counted since the start; whole numbers only grow.

    received: datagrams read. decoded: notifications read from them. accepted: from a source, community or user that may
    tell. summed: those of the accepted that repeat another within the window; told: the others. committed: durable,
    repeats included. unknown: accepted ones that the catalogue does not name (R45). acknowledged: informs answered.
    """

    received: int = 0
    decoded: int = 0
    accepted: int = 0
    told: int = 0
    summed: int = 0
    committed: int = 0
    unknown: int = 0
    informs: int = 0
    acknowledged: int = 0
    repeated_informs: int = 0
    canaries: int = 0
    dropped: Counter[Drop] = field(default_factory=Counter)
