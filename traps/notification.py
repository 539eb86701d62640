"""What a device tells: one trap or inform as values, whatever version carried it. Pure.

SNMPv1 traps are mapped to the form of SNMPv2 (RFC 3584, 3.1), so that everything behind this module knows one form.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from probes.snmp.errors import MalformedMessage
from probes.snmp.message import AnyPdu, PduKind, TrapV1Pdu
from probes.snmp.oid import Oid
from probes.snmp.values import Tag, VarBind

SYS_UPTIME: Final[Oid] = (1, 3, 6, 1, 2, 1, 1, 3, 0)
TRAP_OID: Final[Oid] = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
TRAP_ENTERPRISE: Final[Oid] = (1, 3, 6, 1, 6, 3, 1, 1, 4, 3, 0)
TRAP_ADDRESS: Final[Oid] = (1, 3, 6, 1, 6, 3, 18, 1, 3, 0)
SNMP_TRAPS: Final[Oid] = (1, 3, 6, 1, 6, 3, 1, 1, 5)
"""snmpTraps (SNMPv2-MIB): the generic traps of v1 are below it, one higher."""
_ENTERPRISE_SPECIFIC: Final = 6


class Kind(StrEnum):
    """Trap: told once, nobody answers. Inform: told until it is acknowledged."""

    TRAP = "trap"
    INFORM = "inform"


class Notification(NamedTuple):
    """One notification.

    oid: its identity, the value of snmpTrapOID.0. uptime_ticks: sysUpTime of the sender, hundredths of a second, None
    where it was not told. varbinds: all the others in their order. agent_address: whose it is by its own words
    (agent-addr of v1, snmpTrapAddress of v2), four octets; believed only from a trusted relay.
    """

    kind: Kind
    oid: Oid
    uptime_ticks: int | None
    varbinds: tuple[VarBind, ...]
    agent_address: bytes | None = None


def read_pdu(pdu: AnyPdu) -> Notification:
    """The notification that a PDU is; MalformedMessage where it is none, or does not say which."""
    if isinstance(pdu, TrapV1Pdu):
        return _from_v1(pdu)
    if pdu.kind not in {PduKind.TRAP_V2, PduKind.INFORM}:
        raise MalformedMessage(f"The message is a {pdu.kind.name}, not a notification.")
    kind = Kind.INFORM if pdu.kind is PduKind.INFORM else Kind.TRAP
    uptime_ticks: int | None = None
    oid: Oid | None = None
    address: bytes | None = None
    varbinds = []
    for varbind in pdu.varbinds:
        if varbind.oid == TRAP_OID and oid is None and isinstance(varbind.value, tuple):
            oid = varbind.value
        elif varbind.oid == SYS_UPTIME and uptime_ticks is None and isinstance(varbind.value, int):
            uptime_ticks = varbind.value
        else:
            if varbind.oid == TRAP_ADDRESS and varbind.tag == Tag.IP_ADDRESS and isinstance(varbind.value, bytes):
                address = varbind.value
            varbinds.append(varbind)
    if oid is None:
        raise MalformedMessage("The notification has no snmpTrapOID: nobody knows what it says.")
    return Notification(kind, oid, uptime_ticks, tuple(varbinds), address)


def trap_oid_of_v1(enterprise: Oid, generic_trap: int, specific_trap: int) -> Oid:
    """The snmpTrapOID of a v1 trap (RFC 3584, 3.1, items 2 and 3)."""
    if 0 <= generic_trap < _ENTERPRISE_SPECIFIC:
        return (*SNMP_TRAPS, generic_trap + 1)
    return (*enterprise, 0, specific_trap)


def _from_v1(pdu: TrapV1Pdu) -> Notification:
    if pdu.specific_trap < 0:
        raise MalformedMessage(f"The trap has the specific number {pdu.specific_trap}, below zero.")
    oid = trap_oid_of_v1(pdu.enterprise, pdu.generic_trap, pdu.specific_trap)
    # A relay that translated the trap before left the address in a varbind: that is nearer to its origin.
    told = next((one.value for one in pdu.varbinds if one.oid == TRAP_ADDRESS and one.tag == Tag.IP_ADDRESS), None)
    address = told if isinstance(told, bytes) else pdu.agent_address
    varbinds = tuple(pdu.varbinds)
    if all(one.oid != TRAP_ENTERPRISE for one in varbinds):
        varbinds = (*varbinds, VarBind(TRAP_ENTERPRISE, pdu.enterprise, Tag.OBJECT_IDENTIFIER))
    return Notification(Kind.TRAP, oid, pdu.uptime_ticks, varbinds, address)
