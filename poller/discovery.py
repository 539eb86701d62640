"""What a device is and has: asked once, kept over restarts, and asked again when there is a reason (R30).

    discover(...)          system group -> family -> interfaces -> what its profile reads      awaits the agent
    needs_rediscovery(...) whether what was discovered still holds, and why not               pure
    dump / load            a Discovery as bytes, so that a restart polls at once

A series is device + ifName, else ifDescr, never ifIndex: the names are made unique here, once.
"""

import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from poller.iftable import COLUMNS, IF_ENTRY, IF_X_ENTRY, Interface, Kept, build_interfaces
from poller.profile_readings import Object, Reading
from poller.profile_values import as_text, bind_first
from poller.profiles import AUTO, ProbeNeeded, Profile, Profiles, SystemGroup
from poller.readings import COUNTERS, DeviceReading
from probes.snmp import Table
from probes.snmp.errors import NoAnswer, SnmpError, UsmReport
from probes.snmp.oid import Oid, parse_oid
from probes.snmp.target import SnmpTarget
from probes.snmp.values import Missing, Value, VarBind

# SNMPv2-MIB (RFC 3418), IF-MIB (RFC 2863), HOST-RESOURCES-MIB (RFC 2790), SNMP-FRAMEWORK-MIB (RFC 3411)
SYS_DESCR: Final = parse_oid("1.3.6.1.2.1.1.1.0")
SYS_OBJECT_ID: Final = parse_oid("1.3.6.1.2.1.1.2.0")
SYS_UPTIME: Final = parse_oid("1.3.6.1.2.1.1.3.0")
SYS_NAME: Final = parse_oid("1.3.6.1.2.1.1.5.0")
IF_NUMBER: Final = parse_oid("1.3.6.1.2.1.2.1.0")
IF_TABLE_LAST_CHANGE: Final = parse_oid("1.3.6.1.2.1.31.1.5.0")
HR_SYSTEM_UPTIME: Final = parse_oid("1.3.6.1.2.1.25.1.1.0")
ENGINE_ID: Final = parse_oid("1.3.6.1.6.3.10.2.1.1.0")
ENGINE_BOOTS: Final = parse_oid("1.3.6.1.6.3.10.2.1.2.0")
ENGINE_TIME: Final = parse_oid("1.3.6.1.6.3.10.2.1.3.0")
_FIRST_QUESTION: Final = (SYS_DESCR, SYS_OBJECT_ID, SYS_UPTIME, SYS_NAME)
_SECOND_QUESTION: Final = (IF_NUMBER, IF_TABLE_LAST_CHANGE, HR_SYSTEM_UPTIME, ENGINE_ID, ENGINE_BOOTS, ENGINE_TIME)

_SILENCE: Final = (NoAnswer, UsmReport)
"""Errors that are about the device, not about one table: they end a discovery, which is then tried again as a whole."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found, complete enough to poll from (with the profile of its family).

    at_ns: when, UTC unix nanoseconds. fingerprint: of the profile that was used; "" fits any.
    values: what the chosen readings of the profile are bound by.
    witnesses: those of hrSystemUptime, snmpEngineBoots and snmpEngineTime that the agent answers.
    missing: by field of the profile, why it cannot be read. failures: by table, what could not be asked (R20).
    """

    device: str
    at_ns: int
    family: str
    family_reason: str
    fingerprint: str = ""
    object_id: Oid | None = None
    description: str = ""
    name: str = ""
    engine_id: bytes = b""
    uptime_ticks: int | None = None
    engine_boots: int | None = None
    if_number: int | None = None
    if_table_last_change: int | None = None
    witnesses: tuple[Oid, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    values: tuple[tuple[Oid, Kept], ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def narrow_only(self) -> bool:
        """Interfaces, and none with 64-bit octets: 32 bits wrap every 34 s at 1 Gbps (R25)."""
        return bool(self.interfaces) and not any(interface.wide for interface in self.interfaces)


class Agent(Protocol):
    """The part of the SNMP session that discovery asks through."""

    async def get(self, target: SnmpTarget, oids: Sequence[Oid]) -> Sequence[VarBind]:
        """One value per OID, Missing where the agent has none."""
        ...

    def walk(self, target: SnmpTarget, root: Oid) -> AsyncIterator[VarBind]:
        """Every varbind below root."""
        ...

    async def table(self, target: SnmpTarget, columns: Sequence[Oid]) -> Table:
        """Columns beside each other."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What to discover: the device's id, the profile it is configured with, whether unverified readings may be used.

    room: entered while its tables are read, once it has answered, so that those of many are not in memory at once.
    """

    device: str
    profile: str = AUTO
    unverified: bool = False
    room: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)


async def discover(snmp: Agent, target: SnmpTarget, question: Question, profiles: Profiles, now_ns: int) -> Discovery:
    """Ask a device what it is and has. Raises SnmpError where it does not answer at all, BadProfile for an unknown one.

    A table that fails is named in failures and the rest stands.
    """
    if question.profile != AUTO:
        profiles[question.profile]  # an unknown name is told before anything is asked
    first = await _get(snmp, target, _FIRST_QUESTION)
    second = await _get(snmp, target, _SECOND_QUESTION)
    object_id = first.get(SYS_OBJECT_ID)
    system = SystemGroup(
        object_id if isinstance(object_id, tuple) and object_id[:2] != (0, 0) else None,
        as_text(first.get(SYS_DESCR)),
        as_text(first.get(SYS_NAME)),
    )
    family, reason = await _family(snmp, target, question, profiles, system)
    failures: dict[str, str] = {}
    async with question.room:
        interfaces = await _interfaces(snmp, target, failures)
        values, missing = await _profile_values(snmp, target, profiles[family], question, failures)
    engine_id = second.get(ENGINE_ID)
    return Discovery(
        device=question.device,
        at_ns=now_ns,
        family=family,
        family_reason=reason,
        fingerprint=profiles[family].fingerprint,
        object_id=system.object_id,
        description=system.description,
        name=system.name,
        engine_id=engine_id if isinstance(engine_id, bytes) else b"",
        uptime_ticks=_whole(first.get(SYS_UPTIME)),
        engine_boots=_whole(second.get(ENGINE_BOOTS)),
        if_number=_whole(second.get(IF_NUMBER)),
        if_table_last_change=_whole(second.get(IF_TABLE_LAST_CHANGE)),
        witnesses=tuple(
            oid for oid in (HR_SYSTEM_UPTIME, ENGINE_BOOTS, ENGINE_TIME) if _whole(second.get(oid)) is not None
        ),
        interfaces=interfaces,
        values=tuple(values.items()),
        missing=missing,
        failures=failures,
    )


async def _get(snmp: Agent, target: SnmpTarget, oids: Sequence[Oid]) -> dict[Oid, Kept]:
    found = await snmp.get(target, oids)
    return {one.oid: one.value for one in found if _is_kept(one.value)}  # type: ignore[misc] # by _is_kept


def _is_kept(value: Value) -> bool:
    return value is not None and not isinstance(value, Missing)


def _whole(value: Value) -> int | None:
    return value if isinstance(value, int) else None


async def _family(
    snmp: Agent, target: SnmpTarget, question: Question, profiles: Profiles, system: SystemGroup
) -> tuple[str, str]:
    if question.profile != AUTO:
        return question.profile, "named in the configuration"
    probed: dict[Oid, str | None] = {}
    while isinstance(answer := profiles.detect(system, probed), ProbeNeeded):
        probed[answer.probe.oid] = await _probe(snmp, target, answer.probe)
    return answer.family, answer.reason


async def _probe(snmp: Agent, target: SnmpTarget, probe: Object) -> str | None:
    """The text of a scalar, or of a column's first row; None where there is nothing."""
    if probe.scalar:
        values = await _get(snmp, target, (probe.oid,))
        return as_text(values[probe.oid]) if probe.oid in values else None
    async for one in snmp.walk(target, probe.oid):
        return as_text(one.value) if _is_kept(one.value) else None
    return None


async def _walk(snmp: Agent, target: SnmpTarget, name: str, root: Oid, failures: dict[str, str]) -> dict[Oid, Kept]:
    """A column by OID; what came before a failure stands, and the failure is named (R16, R20).

    Silence is not a failure of one table: it ends the discovery.
    """
    rows: dict[Oid, Kept] = {}
    try:
        async for one in snmp.walk(target, root):
            if _is_kept(one.value):
                rows[one.oid] = one.value  # type: ignore[assignment] # by _is_kept
    except _SILENCE:
        raise
    except SnmpError as error:
        failures[name] = f"{error.reason}: {error}"
    return rows


# ---- interfaces


async def _interfaces(snmp: Agent, target: SnmpTarget, failures: dict[str, str]) -> tuple[Interface, ...]:
    """Asked table by table, because some agents have rows in ifTable that ifXTable leaves out."""
    columns: dict[str, dict[int, Kept]] = {name: {} for name in COLUMNS}
    for entry in (IF_ENTRY, IF_X_ENTRY):
        roots = {root: name for name, root in COLUMNS.items() if root[: len(entry)] == entry}
        table = await snmp.table(target, tuple(roots))
        for root, error in table.failed.items():
            if isinstance(error, _SILENCE):
                raise error
            failures[roots[root]] = f"{error.reason}: {error}"
        for index, row in table.rows.items():
            for root, value in row.items():
                if len(index) == 1 and _is_kept(value):
                    columns[roots[root]][index[0]] = value  # type: ignore[assignment] # by _is_kept
    return build_interfaces(columns)


# ---- what the profile reads


async def _profile_values(
    snmp: Agent, target: SnmpTarget, profile: Profile, question: Question, failures: dict[str, str]
) -> tuple[dict[Oid, Kept], dict[str, str]]:
    """The values by which the profile's readings are bound, asked for one way of reading after the other, in rounds."""
    known: dict[Oid, Kept] = {}
    asked: set[Oid] = set()
    open_fields: dict[str, tuple[Reading, ...]] = {str(name): readings for name, readings in profile.fields.items()}
    for index, reading in enumerate(profile.health):
        open_fields[f"health {index}"] = (reading,)
    missing: dict[str, str] = {}
    depth = 0
    while open_fields:
        wanted = [
            readings[depth]
            for readings in open_fields.values()
            if question.unverified or not readings[depth].unverified
        ]
        await _fetch(snmp, target, wanted, (known, asked), failures)
        for name, readings in list(open_fields.items()):
            chosen, reason = bind_first(name, readings[: depth + 1], known, unverified=question.unverified)
            if chosen is not None or depth + 1 == len(readings):
                del open_fields[name]
                if chosen is None and not name.startswith("health"):
                    missing[name] = reason
        depth += 1
    return known, missing


async def _fetch(
    snmp: Agent,
    target: SnmpTarget,
    wanted: Sequence[Reading],
    store: tuple[dict[Oid, Kept], set[Oid]],
    failures: dict[str, str],
) -> None:
    known, asked = store
    objects = {thing.oid: thing for reading in wanted for thing in reading.objects() if thing.oid not in asked}
    asked.update(objects)
    scalars = [oid for oid, thing in objects.items() if thing.scalar]
    for start in range(0, len(scalars), _SCALARS_PER_PDU):
        known.update(await _get(snmp, target, scalars[start : start + _SCALARS_PER_PDU]))
    for oid, thing in objects.items():
        if not thing.scalar:
            known.update(await _walk(snmp, target, thing.name, oid, failures))


_SCALARS_PER_PDU: Final = 20
"""First contact keeps responses under 1,400 octets (R15)."""


# ---- does it still hold?

RENEW_SECONDS: Final = 86_400.0
"""A discovery is renewed daily."""
_SPREAD_SECONDS: Final = 7_200.0
"""... each device at its own time, so that the estate is not walked at once."""
GONE_SECONDS: Final = 600.0
"""Rows that stay without an answer are looked at again at most this often."""
YOUNG_SECONDS: Final = 180.0
"""An agent that was up for less may have had no value yet: net-snmp has its first hrProcessorLoad after a minute."""
_TOLERANCE_SECONDS: Final = 60.0
_TICKS: Final = 2**32
INDEXES_MOVED: Final = frozenset({"restarted", "interfaces_changed"})
"""Reasons for which the counters of the reading must not be used: its ifIndexes may name other interfaces (R30)."""


@dataclass(frozen=True, slots=True)
class Rediscovery:
    """Why to discover again: reason is a short word, text a phrase for the operator."""

    reason: Literal[
        "restarted", "interfaces_changed", "rows_gone", "incomplete", "agent_was_young", "daily", "notified"
    ]
    text: str


def needs_rediscovery(
    discovery: Discovery, reading: DeviceReading, now_ns: int, before: DeviceReading | None = None
) -> Rediscovery | None:
    """Whether to discover again, given the reading that was just made with this discovery, and the one before it."""
    age_seconds = (now_ns - discovery.at_ns) / 1e9
    if (reason := _restarted(discovery, reading, before)) is not None:
        return Rediscovery("restarted", reason)
    for name, was, now in (
        ("ifNumber", discovery.if_number, reading.if_number),
        ("ifTableLastChange", discovery.if_table_last_change, reading.if_table_last_change),
    ):
        if was is not None and now is not None and was != now:
            return Rediscovery("interfaces_changed", f"{name} was {was} and is {now}")
    uncounted = {interface.name for interface in discovery.interfaces if not interface.counted}
    rows = zip(reading.layout.names, reading.counters[:: len(COUNTERS)], strict=True)
    gone = [name for name, octets in rows if octets is None and name not in uncounted]
    answered = any(ticks is not None for ticks in reading.uptime_ticks)
    if gone and answered and age_seconds >= GONE_SECONDS:
        return Rediscovery("rows_gone", f"{len(gone)} interfaces have no counters, the first is {gone[0]}")
    if (
        discovery.missing
        and discovery.uptime_ticks is not None
        and discovery.uptime_ticks < YOUNG_SECONDS * 100
        and age_seconds >= YOUNG_SECONDS
    ):
        return Rediscovery("agent_was_young", f"{', '.join(discovery.missing)} were missing soon after its start")
    spread = zlib.crc32(discovery.device.encode()) % int(_SPREAD_SECONDS)
    if age_seconds >= RENEW_SECONDS + spread:
        return Rediscovery("daily", f"the last one is {age_seconds / 3600:.0f} hours old")
    return None


def _restarted(discovery: Discovery, reading: DeviceReading, before: DeviceReading | None) -> str | None:
    """Uptime lower than expected, modulo 2^32 ticks (R29). A false yes costs a walk, a false no crosses interfaces."""
    boots = before.engine_boots if before is not None else discovery.engine_boots
    if boots is not None and reading.engine_boots is not None and reading.engine_boots != boots:
        return f"snmpEngineBoots was {boots} and is {reading.engine_boots}"
    earlier = _uptime(before)
    then = earlier if earlier is not None else (discovery.uptime_ticks, discovery.at_ns)
    now = _uptime(reading)
    if now is None or then[0] is None:
        return None
    expected = (then[0] + (now[1] - then[1]) // 10_000_000) % _TICKS
    behind = (expected - now[0]) % _TICKS / 100
    if _TOLERANCE_SECONDS < behind < _TICKS / 200:
        return f"sysUpTime is {now[0] / 100:.0f} s where {expected / 100:.0f} s was expected"
    return None


def _uptime(reading: DeviceReading | None) -> tuple[int, int] | None:
    """Ticks and when they were received."""
    if reading is None:
        return None
    if reading.device_uptime_ticks is not None:
        return reading.device_uptime_ticks, reading.device_received_ns
    pairs = zip(reading.uptime_ticks, reading.received_ns, strict=True)
    return next(((ticks, when) for ticks, when in pairs if ticks is not None), None)
