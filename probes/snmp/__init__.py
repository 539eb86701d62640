"""SNMP: ask agents (Snmp), know what they said (VarBind, Table, PollAnswer), and why they did not (SnmpError).

The codec and the security model are in probes.snmp.message and probes.snmp.usm: pure, for pollers, trap receivers and
agents alike. All errors are in probes.snmp.errors.
"""

from probes.snmp.errors import SnmpError
from probes.snmp.oid import Oid, format_oid, parse_oid
from probes.snmp.packing import PollAnswer, PreparedPoll
from probes.snmp.session import Snmp
from probes.snmp.target import SnmpTarget
from probes.snmp.usm import AuthProtocol, PrivProtocol, UsmUser
from probes.snmp.values import Missing, VarBind
from probes.snmp.walk import Table

__all__ = [
    "AuthProtocol", "Missing", "Oid", "PollAnswer", "PreparedPoll", "PrivProtocol", "Snmp", "SnmpError", "SnmpTarget",
    "Table", "UsmUser", "VarBind", "format_oid", "parse_oid",
]  # fmt: skip
