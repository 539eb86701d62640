"""What one poll of one device brought back: flat columns, because a poll of 48 interfaces is 384 counters.

A DeviceReading is made by poller.polling from the answers of the probes and read by poller.rates. Rows are interfaces,
in the order of the layout; the layout is shared by all readings of a device until a re-discovery makes a new one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

COUNTERS: Final = (
    "in_octets_total",
    "out_octets_total",
    "in_packets_total",
    "out_packets_total",
    "in_errors_total",
    "out_errors_total",
    "in_discards_total",
    "out_discards_total",
)
"""The order of the counters within a row: ifHCIn/OutOctets, packets (all three ifHC kinds of cast, or unicast where the
layout says so), ifIn/OutErrors, ifIn/OutDiscards (IF-MIB, RFC 2863)."""


@dataclass(frozen=True, slots=True)
class InterfaceLayout:
    """The interfaces of a device as discovered: one entry a row in every column (R30: the key is the name).

    names: ifName, else ifDescr, made unique within the device; the series is device + name.
    if_indexes: the ifIndex asked for at present.
    speeds: bits per second (ifHighSpeed x 10^6, else ifSpeed); 0 where the device does not say.
    wide: True where octets and packets are 64-bit counters (ifHC*), False for Counter32; errors and discards are
        Counter32 always (IF-MIB has no wider ones).
    discovered_ns: when the index map was read, UTC unix nanoseconds. A re-discovery makes a new layout even when
        nothing else changed: after a restart of the device its counters are not trusted under the old one (R30).
    """

    names: tuple[str, ...]
    if_indexes: tuple[int, ...]
    speeds: tuple[int, ...]
    wide: tuple[bool, ...]
    aliases: tuple[str, ...] = ()
    discovered_ns: int = 0


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """One poll of one device that was answered, wholly or in part.

    due_ns: when the schedule asked for it, UTC unix nanoseconds; the timestamp of every Sample made of it.
    received_ns: per row, wall clock (UTC unix nanoseconds) at which the row's answer arrived.
    uptime_ticks: per row, sysUpTime of the same PDU in 1/100 s, 0..2^32-1 (R28); None where the PDU had none.
    counters: row-major, len(layout.names) x len(COUNTERS); None where the device gave no value.
    oper_status: per row, ifOperStatus (1 up, 2 down, ...); 0 where unknown.
    discontinuity_ticks: per row, ifCounterDiscontinuityTime; None where the device has none.
    engine_boots, engine_seconds: snmpEngineBoots and snmpEngineTime where known (SNMPv3 or SNMP-FRAMEWORK-MIB).
    system_uptime_ticks: hrSystemUptime where known, the second witness of a reboot (R29).
    values: device-level fields of poller.schema ("cpu_ratio", "sessions", ...) as read by the profile.
    totals: counters behind device-level fields that are rates ("session_rate"), by field.
    if_number, if_table_last_change: ifNumber and ifTableLastChange where known: a change means that ifIndexes may have
    moved (R30).
    device_uptime_ticks, device_received_ns: sysUpTime of the PDU with the device-level values, and its arrival; the one
    uptime of a device without interfaces.
    failures: what could not be read, by table or field name, with the reason; the rest stands (R20).
    interval_ns: the device's polling interval at that time; a longer silence than two of them is a gap (R33).
    cost: what it cost to ask, where that was counted.
    """

    device: str
    due_ns: int
    layout: InterfaceLayout
    received_ns: Sequence[int]
    uptime_ticks: Sequence[int | None]
    counters: Sequence[int | None]
    oper_status: Sequence[int]
    discontinuity_ticks: Sequence[int | None]
    engine_boots: int | None = None
    engine_seconds: int | None = None
    system_uptime_ticks: int | None = None
    values: Mapping[str, float | int | str] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)
    if_number: int | None = None
    if_table_last_change: int | None = None
    device_uptime_ticks: int | None = None
    device_received_ns: int = 0
    failures: Mapping[str, str] = field(default_factory=dict)
    interval_ns: int = 60_000_000_000
    cost: "PollCost | None" = None

    def without_rows(self) -> "DeviceReading":
        """What the next reading is compared with, a tenth of this one: the device's own values, and when they were.

        The rows that stay are the first that has a sysUpTime, for a device that told it with no other value.
        """
        known = next((row for row, ticks in enumerate(self.uptime_ticks) if ticks is not None), 0)
        row = slice(known, known + 1)
        return replace(
            self,
            received_ns=self.received_ns[row],
            uptime_ticks=self.uptime_ticks[row],
            counters=(),
            oper_status=(),
            discontinuity_ticks=(),
        )


MAINTENANCE: Final = "maintenance"
ISOLATED: Final = "isolated"
"""Reasons of a FailedPoll that say nothing of the device: it was not asked on purpose, or we were cut off ourselves."""


@dataclass(frozen=True, slots=True)
class PollCost:
    """What one poll cost, discovery included: time, datagrams sent, those sent again, and those never answered."""

    seconds: float
    packets: int
    retries: int
    timeouts: int


@dataclass(frozen=True, slots=True)
class FailedPoll:
    """One poll of one device that brought nothing.

    reason is a short word (no_answer, wrong_password, unreachable, send_failed ...), text a whole sentence.
    answered: False where nobody answered in time, True where the agent answered wrongly (a refused password), None
    where we could not ask, which says nothing of the device.
    """

    device: str
    due_ns: int
    reason: str
    text: str
    answered: bool | None = False
    cost: "PollCost | None" = None
