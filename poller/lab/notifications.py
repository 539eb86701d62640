"""Notifications that simulated devices send: SNMPv2-Trap PDUs in v2c messages (RFC 3416, 4.2.6). Pure."""

from dataclasses import dataclass
from typing import Final

from poller.lab.box import DOWN, UP, Box
from probes.snmp.message import V2C, CommunityMessage, Pdu, PduKind, encode_message
from probes.snmp.oid import Oid
from probes.snmp.values import Tag, VarBind

_UPTIME: Final[Oid] = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_TRAP_OID: Final[Oid] = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
_TRAPS: Final[Oid] = (1, 3, 6, 1, 6, 3, 1, 1, 5)
_COLD_START, _LINK_DOWN, _LINK_UP, _AUTHENTICATION_FAILURE = 1, 3, 4, 5
_IF_ENTRY: Final[Oid] = (1, 3, 6, 1, 2, 1, 2, 2, 1)
_IF_NAME: Final[Oid] = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Trap:
    """What is told: the notification and its varbinds beside sysUpTime and snmpTrapOID."""

    oid: Oid
    varbinds: tuple[VarBind, ...] = ()


def cold_start() -> Trap:
    """The agent has started anew (SNMPv2-MIB)."""
    return Trap((*_TRAPS, _COLD_START))


def link_trap(box: Box, interface: str) -> Trap:
    """The interface is now as it is: linkDown or linkUp with index, both statuses and name (IF-MIB)."""
    port = box.port(interface)
    index = port.if_index
    return Trap(
        (*_TRAPS, _LINK_UP if port.oper_status == UP else _LINK_DOWN),
        (
            VarBind((*_IF_ENTRY, 1, index), index, Tag.INTEGER),
            VarBind((*_IF_ENTRY, 7, index), port.admin_status, Tag.INTEGER),
            VarBind((*_IF_ENTRY, 8, index), UP if port.oper_status == UP else DOWN, Tag.INTEGER),
            VarBind((*_IF_NAME, index), interface.encode(), Tag.OCTET_STRING),
        ),
    )


def storm_trap(box: Box, number: int) -> Trap:
    """One of many: a port that cannot decide itself, or a stranger with a wrong community."""
    if number % 3 == 0 or not box.ports:
        return Trap((*_TRAPS, _AUTHENTICATION_FAILURE))
    trap = link_trap(box, box.ports[-1].port.name)
    return Trap((*_TRAPS, _LINK_DOWN if number % 3 == 1 else _LINK_UP), trap.varbinds)


def trap_datagram(trap: Trap, uptime_ticks: int, request_id: int, community: bytes) -> bytes:
    """The whole message."""
    varbinds = [
        VarBind(_UPTIME, uptime_ticks, Tag.TIME_TICKS),
        VarBind(_TRAP_OID, trap.oid, Tag.OBJECT_IDENTIFIER),
        *trap.varbinds,
    ]
    return encode_message(CommunityMessage(V2C, community, Pdu(PduKind.TRAP_V2, request_id, varbinds)))
