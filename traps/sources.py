"""Who may tell us something, and whose notification it is: by address, by network, by trusted relay (R46). Pure.

the sender's address is a device's     its notification; agent-addr and snmpTrapAddress are not believed, a
                                       difference is noted (the device may be behind NAT, or a relay unlisted)
it is a trusted relay                  the notification of whom agent-addr or snmpTrapAddress names, if that is a
                                       device; else the relay's own
it lies in an accepted network         nobody's in the estate, kept under its address
none of these                          a stranger: counted, and nothing is answered
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from probes.snmp.usm import UsmUser

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
NOBODY: Final = "-"
"""Device of a notification that belongs to no device of the estate."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a source may use: communities of v1 and v2c, users of v3 by name."""

    communities: frozenset[bytes] = field(default=frozenset(), repr=False)
    users: Mapping[bytes, Sequence[UsmUser]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sender:
    """Whoever an address is. device: its id, or NOBODY. relay: believed about whose a notification is."""

    address: str
    device: str
    identity: Identity = Identity()
    relay: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """All who may tell.

    devices: by address. relays: addresses that pass others' notifications on. networks: further senders.
    identities: by device what it may use. shared: what relays, networks and devices without their own may use.
    """

    devices: Mapping[Address, str] = field(default_factory=dict)
    relays: frozenset[Address] = frozenset()
    networks: tuple[Network, ...] = ()
    identities: Mapping[str, Identity] = field(default_factory=dict)
    shared: Identity = Identity()

    def find(self, address: str) -> Sender | None:
        """The sender behind an address as the socket tells it; None for a stranger."""
        parsed = parse_peer(address)
        device = self.devices.get(parsed)
        relay = parsed in self.relays
        if device is None and not relay and not any(parsed in network for network in self.networks):
            return None
        identity = self.identities.get(device, self.shared) if device is not None else self.shared
        return Sender(str(parsed), device or NOBODY, identity, relay)

    def owner(self, sender: Sender, agent_address: bytes | None) -> str:
        """Whose a notification is: the sender's, or of the device that a trusted relay names."""
        if not sender.relay or agent_address is None or not any(agent_address):
            return sender.device
        return self.devices.get(IPv4Address(agent_address), sender.device)

    def claimed(self, agent_address: bytes | None) -> str | None:
        """The device whose address a notification carries, believed or not; None where it is nobody's."""
        if agent_address is None or not any(agent_address):
            return None
        return self.devices.get(IPv4Address(agent_address))


def parse_peer(address: str) -> Address:
    """The address in a peer's socket name: without a zone, and as IPv4 where it is that in IPv6 form."""
    parsed = ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
