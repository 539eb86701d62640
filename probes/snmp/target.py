"""Whom to ask and how: one frozen value per device, without a socket or a state."""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from probes.snmp.errors import BadRequest
from probes.snmp.usm import UsmUser

Version: TypeAlias = Literal["1", "2c", "3"]

LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class SnmpTarget:
    """One agent. repr and str show neither community nor passwords.

    address: IPv4 or IPv6 in numbers (fe80::1%eth0 with its zone). community: for v1 and v2c. user: for v3.
    timeout_seconds: of the first try; it doubles with each of tries (R23). source_address: of our datagrams (R24).
    reply_addresses: other addresses of the same device whose replies count (R21). packets_per_second, in_flight: the
    device's limits (R22). max_repetitions: what GETBULK asks for at most; less where the device asks for less (R14).
    """

    address: str
    port: int = 161
    version: Version = "2c"
    community: bytes | None = field(default=None, repr=False)
    user: UsmUser | None = None
    context_name: str = ""
    timeout_seconds: float = 1.5
    tries: int = 3
    source_address: str | None = None
    reply_addresses: frozenset[str] = frozenset()
    packets_per_second: float | None = None
    in_flight: int = 1
    max_repetitions: int = 20

    def __post_init__(self) -> None:
        """Refuse what can never be asked, with a sentence for the operator."""
        for address in (self.address, *self.reply_addresses, *([self.source_address] if self.source_address else [])):
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise BadRequest(f"'{address}' is not an IP address.") from None
        if not 1 <= self.port <= LARGEST_PORT:
            raise BadRequest(f"Port {self.port} of {self.address} is not between 1 and {LARGEST_PORT}.")
        if self.version == "3" and self.user is None:
            raise BadRequest(f"{self.address} is to be asked with SNMPv3, but has no user.")
        if self.version in {"1", "2c"} and self.community is None:
            raise BadRequest(f"{self.address} is to be asked with SNMPv{self.version}, but has no community.")
        if self.version not in {"1", "2c", "3"}:
            raise BadRequest(f"SNMP version '{self.version}' of {self.address} is unknown; there are 1, 2c and 3.")
        if self.timeout_seconds <= 0 or min(self.tries, self.in_flight, self.max_repetitions) < 1:
            raise BadRequest(f"Timeout, tries, in_flight and max_repetitions of {self.address} must be above zero.")
        if self.packets_per_second is not None and self.packets_per_second <= 0:
            raise BadRequest(f"packets_per_second of {self.address} must be above zero.")

    def __str__(self) -> str:
        """Address and, where it is not 161, port."""
        return self.address if self.port == 161 else f"{self.address} port {self.port}"  # noqa: PLR2004 SNMP's port
