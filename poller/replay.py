"""An agent out of a recording: discovery and polling against a `.snmprec` file, without a network.

It shows what Hinomi would read from a device of which there is only a walk, and it stands in for the SNMP session where
tests need thirty vendors' devices. It answers as the recorded agent did: what is not in the file is "no such instance".
"""

from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from poller.discovery import SYS_UPTIME
from poller.lab.snmprec import parse_recording
from probes.snmp import Table
from probes.snmp.errors import SnmpError
from probes.snmp.oid import Oid
from probes.snmp.target import SnmpTarget
from probes.snmp.values import Missing, Value, VarBind


@dataclass(frozen=True, slots=True)
class ReplayedAnswers:
    """What a poll of a recording brings, in the form of the session's answers."""

    values: list[int | bytes | Oid | None]
    uptime_ticks: list[int | None]
    received_ns: list[int]
    failures: Mapping[int, SnmpError] = field(default_factory=dict)


class RecordedAgent:
    """Objects by OID. They may be changed between two questions: `agent.objects[oid] = 5`, or removed."""

    def __init__(self, objects: Mapping[Oid, Value]) -> None:
        self.objects: dict[Oid, Value] = dict(objects)
        self.questions = 0

    @classmethod
    def from_file(cls, path: Path) -> "RecordedAgent":
        """The agent of a `.snmprec` file; lines that cannot be read are left out."""
        recording = parse_recording(path.read_text(encoding="utf-8", errors="surrogateescape"))
        return cls({one.oid: one.value for one in recording.objects})

    async def get(self, target: SnmpTarget, oids: Sequence[Oid]) -> list[VarBind]:  # noqa: ARG002 - a file has no address
        """As Snmp.get."""
        self.questions += 1
        return [VarBind(oid, self.objects.get(oid, Missing.NO_SUCH_INSTANCE)) for oid in oids]

    async def walk(self, target: SnmpTarget, root: Oid) -> AsyncIterator[VarBind]:  # noqa: ARG002 - a file has no address
        """As Snmp.walk."""
        self.questions += 1
        ordered = sorted(self.objects)
        for oid in ordered[bisect_left(ordered, root) :]:
            if oid[: len(root)] != root:
                return
            yield VarBind(oid, self.objects[oid])

    async def table(self, target: SnmpTarget, columns: Sequence[Oid]) -> Table:
        """As Snmp.table."""
        table = Table()
        for column in columns:
            async for one in self.walk(target, column):
                table.rows.setdefault(one.oid[len(column) :], {})[column] = one.value
        return table

    def poll(self, groups: Sequence[Sequence[Oid]], received_ns: int) -> ReplayedAnswers:
        """As Snmp.poll of prepared groups."""
        self.questions += len(groups)
        uptime = self.objects.get(SYS_UPTIME)
        ticks = uptime if isinstance(uptime, int) else None
        values = [self.objects.get(oid) for group in groups for oid in group]
        return ReplayedAnswers(
            [None if isinstance(value, Missing) else value for value in values],
            [ticks] * len(groups),
            [received_ns] * len(groups),
        )
