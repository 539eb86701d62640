"""Walks and tables: GETBULK of adaptive size, GETNEXT for v1, bounded, and never fooled by a looping agent."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from probes.snmp.device import Device
from probes.snmp.errors import ErrorStatus, NotIncreasing, SnmpError, WalkTooLong, name_error_status
from probes.snmp.message import Pdu, PduKind
from probes.snmp.oid import Oid, format_oid, starts_with
from probes.snmp.reply_size import room_for_varbinds
from probes.snmp.target import SnmpTarget
from probes.snmp.values import Missing, Value, VarBind

if TYPE_CHECKING:
    from probes.snmp.session import Snmp

TOO_BIG, NO_SUCH_NAME = 1, 2
_FIRST_VARBIND_OCTETS = 40.0
"""Guess for a varbind that was not seen yet."""

_HEADERS_AND_TAG = 8
_NOT_ANSWERED: Final = VarBind((0, 0))
"""Stands for a column that a v1 agent left out because another one failed; known by identity."""


@dataclass(frozen=True, slots=True)
class WalkLimits:
    """Where a walk stops with WalkTooLong (R17)."""

    varbinds: int = 1_000_000
    seconds: float = 120.0


DEFAULT_LIMITS: Final = WalkLimits()


@dataclass(slots=True)
class Table:
    """Rows of a table: index -> column -> value. failed: columns that ended early, with the reason (R20)."""

    rows: dict[Oid, dict[Oid, Value]] = field(default_factory=dict)
    failed: dict[Oid, SnmpError] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every column was read to its end."""
        return not self.failed

    @property
    def error(self) -> SnmpError | None:
        """The first column's reason for being incomplete."""
        return next(iter(self.failed.values()), None)


@dataclass(slots=True)
class _Column:
    """How far a walk has come below root."""

    root: Oid
    at: Oid
    seen: int = 0

    def take(self, varbind: VarBind, who: str) -> bool:
        """Move on to a varbind; False when it lies behind the end of the subtree. Raises NotIncreasing (R16)."""
        if isinstance(varbind.value, Missing):
            return False
        if varbind.oid <= self.at:
            raise NotIncreasing(
                f"{who} answered {format_oid(varbind.oid)} after {format_oid(self.at)}: its OIDs do not increase."
            )
        if not starts_with(varbind.oid, self.root):
            return False
        self.at = varbind.oid
        self.seen += 1
        return True


class _Stepper:
    """Asks the next rows of some columns, in the size that the device and the last answers allow (R14, R15)."""

    def __init__(self, snmp: "Snmp", target: SnmpTarget, deadline: float | None) -> None:
        self._snmp = snmp
        self._target = target
        self._device: Device = snmp.device(target)
        self._deadline = deadline
        self._varbind_octets = _FIRST_VARBIND_OCTETS

    async def next_rows(self, columns: Sequence[_Column]) -> list[VarBind]:
        """Varbinds of whole rows, columns beside each other; a truncated last row is left out (R18).

        A single row may be shorter than the columns; the columns that are left out are asked again by the caller.
        """
        names = [VarBind(column.at) for column in columns]
        while True:
            repetitions = self._repetitions(len(names))
            answer = await self._snmp.request(
                self._target, _next_pdu(self._target, names, repetitions), self._deadline, shrink=self._shrink
            )
            asked = len(names) * repetitions
            if answer.error_status == TOO_BIG and self._device.size.halve(asked):
                names = names[: max(1, self._device.size.limit)]
                continue
            if answer.error_status == NO_SUCH_NAME and self._target.version == "1":
                return self._without_the_named(answer, names)
            if answer.error_status:
                name = name_error_status(answer.error_status)
                raise ErrorStatus(f"{self._target} answered {name} in a walk.", answer.error_status, answer.error_index)
            self._learn(asked, answer.varbinds)
            whole = len(answer.varbinds) // len(names) * len(names)
            return answer.varbinds[:whole] if whole else answer.varbinds

    def _without_the_named(self, answer: Pdu, names: Sequence[VarBind]) -> list[VarBind]:
        """V1: the named varbind has no successor; the others were not answered."""
        index = answer.error_index if 1 <= answer.error_index <= len(names) else 1
        missing = Missing.END_OF_MIB_VIEW
        end = VarBind(names[index - 1].oid, missing, missing.value)
        return [end if place == index else _NOT_ANSWERED for place in range(1, len(names) + 1)]

    def _repetitions(self, columns: int) -> int:
        if self._target.version == "1":
            return 1
        room = room_for_varbinds(self._device, v3=self._target.version == "3") / self._varbind_octets
        rows = int(min(room, self._device.size.limit) // columns)
        return max(1, min(rows, self._target.max_repetitions))

    def _shrink(self, pdu: Pdu) -> Pdu:
        asked = len(pdu.varbinds) * max(1, pdu.error_index)
        self._device.size.halve(asked)
        if pdu.kind is not PduKind.GET_BULK:
            return pdu
        return Pdu(pdu.kind, 0, pdu.varbinds, 0, max(1, self._device.size.limit // len(pdu.varbinds)))

    def _learn(self, asked: int, varbinds: Sequence[VarBind]) -> None:
        self._device.size.succeeded(asked)
        if not varbinds:
            return
        largest = max(
            len(varbind.oid) + _HEADERS_AND_TAG + (len(varbind.value) if isinstance(varbind.value, bytes) else 5)
            for varbind in varbinds
        )
        # The largest varbind of the last rows, forgotten slowly: replies grow back after one long string.
        self._varbind_octets = max(float(largest), 0.9 * self._varbind_octets)


def _next_pdu(target: SnmpTarget, names: list[VarBind], repetitions: int) -> Pdu:
    if target.version == "1":
        return Pdu(PduKind.GET_NEXT, 0, names)
    return Pdu(PduKind.GET_BULK, 0, names, 0, repetitions)


class _Budget:
    """Counts varbinds and seconds against the limits of a walk (R17)."""

    def __init__(self, snmp: "Snmp", target: SnmpTarget, limits: WalkLimits) -> None:
        self._clock = snmp.clock
        self._until = snmp.clock() + limits.seconds
        self._left = limits.varbinds
        self._limits = limits
        self._who = str(target)

    def spend(self, varbinds: int) -> None:
        """Raise WalkTooLong when there is nothing left."""
        self._left -= varbinds
        if self._left < 0:
            raise WalkTooLong(f"The walk of {self._who} passed its limit of {self._limits.varbinds} variables.")
        if self._clock() > self._until:
            raise WalkTooLong(f"The walk of {self._who} passed its limit of {self._limits.seconds:g} seconds.")


async def walk_subtree(
    snmp: "Snmp", target: SnmpTarget, root: Oid, limits: WalkLimits, deadline: float | None
) -> AsyncIterator[VarBind]:
    """See Snmp.walk."""
    stepper, column, budget = _Stepper(snmp, target, deadline), _Column(root, root), _Budget(snmp, target, limits)
    while True:
        varbinds = await stepper.next_rows([column])
        if not varbinds:
            return
        for varbind in varbinds:
            try:
                if not column.take(varbind, str(target)):
                    return
            except NotIncreasing:
                snmp.statistics.walks_stopped += 1
                raise
            budget.spend(1)
            yield varbind


async def read_table(
    snmp: "Snmp", target: SnmpTarget, roots: Sequence[Oid], limits: WalkLimits, deadline: float | None
) -> Table:
    """See Snmp.table."""
    result = Table()
    stepper, budget = _Stepper(snmp, target, deadline), _Budget(snmp, target, limits)
    open_columns = [_Column(root, root) for root in roots]
    while open_columns:
        try:
            varbinds = await stepper.next_rows(open_columns)
        except ErrorStatus as error:
            _fail_one(result, open_columns, error)
            continue
        except SnmpError as error:
            result.failed.update({column.root: error for column in open_columns})
            if not result.rows:
                raise
            return result
        try:
            budget.spend(len(varbinds))
        except WalkTooLong as error:
            result.failed.update({column.root: error for column in open_columns})
            return result
        open_columns = _take_rows(snmp, target, result, open_columns, varbinds)
    return result


def _fail_one(result: Table, columns: list[_Column], error: ErrorStatus) -> None:
    """Close the column that an error status names, or the first."""
    index = error.index if 1 <= error.index <= len(columns) else 1
    result.failed[columns.pop(index - 1).root] = error


def _take_rows(
    snmp: "Snmp", target: SnmpTarget, result: Table, columns: list[_Column], varbinds: Sequence[VarBind]
) -> list[_Column]:
    """Store varbinds by column, and return the columns that go on."""
    ended: set[Oid] = set()
    for place, varbind in enumerate(varbinds):
        column = columns[place % len(columns)]
        if column.root in ended or varbind is _NOT_ANSWERED:
            continue
        try:
            inside = column.take(varbind, str(target))
        except NotIncreasing as error:
            snmp.statistics.walks_stopped += 1
            result.failed[column.root] = error
            inside = False
        if not inside:
            ended.add(column.root)
            continue
        result.rows.setdefault(varbind.oid[len(column.root) :], {})[column.root] = varbind.value
    if not varbinds:
        ended.update(column.root for column in columns)
    return [column for column in columns if column.root not in ended]
