"""Tenants (接続団体) per slot: use by line and in total, against their caps, and what of a line nobody accounts for.

    Tenants.update(totals, totals_of)   samples of closed and amended slots
    Tenants.caps()                      every cap held against the use
    Tenants.findings()                  lines whose sum of tenants does not match

Use is summed over a tenant's attachments per slot, by the slot ledger, before anything is derived from it (R62). All
attachments of redundant devices are members, so that use follows the path at a failover and is never counted twice.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from poller.accounts import SLOT_NS, SlotTotals
from poller.caps import AVERAGE_SLOTS, CapJudge, CapStatus, PastUse, Usage
from poller.contracts import Contracts, TenantContract, parts_account, tenant_account
from poller.sample import FieldValue, Sample
from poller.volumes import is_weekday, local_date

TotalsOf: TypeAlias = Callable[[str, int], SlotTotals | None]
"""SlotLedger.totals: an account's figures of a closed slot."""

TOTAL: Final = "total"
"""The tag line of a tenant's use of all lines together."""
UNATTRIBUTED: Final = "unattributed"
"""The tag tenant of what a line carried and no tenant accounts for."""
FINDING_SHARE: Final = 0.02
"""A rest of more than this part of a line's octets is a finding."""
FINDING_SLOTS: Final = 60
"""Over so many slots, because single slots differ by the phases of polls."""
FINDING_KNOWN: Final = 30
"""Of those that must have been observed wholly."""
_WHOLE: Final = 0.999
_CAP_FIELDS: Final[Mapping[str, str]] = {
    "burst_rate": "burst_cap_ratio",
    "monthly_volume": "volume_cap_ratio",
    "percentile_95": "percentile_95_cap_ratio",
}
"""Kinds of caps, and the field of the measurement that tells each."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a line carried beyond its tenants and parts over the last hour; negative where they exceed the line."""

    line: str
    in_octets: int
    out_octets: int
    line_in_octets: int
    line_out_octets: int
    slots: int

    @property
    def share(self) -> float:
        """The larger of both directions' rests as a part of the line's octets; the sign is the rest's."""
        shares = (
            self.in_octets / self.line_in_octets if self.line_in_octets else 0.0,
            self.out_octets / self.line_out_octets if self.line_out_octets else 0.0,
        )
        return max(shares, key=abs)


@dataclass(slots=True)
class _Line:
    """A line with all that should add up to it; recent is octets of line in and out, rest in and out, by slot."""

    account: str
    parts: tuple[str, ...]
    recent: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)


class Tenants:
    """Everything between slots and the samples, caps and findings of tenants."""

    def __init__(self, contracts: Contracts, zone: ZoneInfo, workday: Callable[[date], bool] = is_weekday) -> None:
        self._zone = zone
        self._usage: dict[str, Usage] = {}
        self._of_account: dict[str, tuple[str, str]] = {}
        self._sustained: dict[str, dict[str, int]] = {}
        self._judges: dict[str, list[CapJudge]] = {}
        self._held: dict[str, list[CapStatus]] = {}
        self._lines: dict[str, _Line] = {}
        self._lines_of: dict[str, list[str]] = {}
        for tenant in contracts.tenants.values():
            self._open_tenant(tenant, workday)
        for line in dict.fromkeys(line for tenant in contracts.tenants.values() for line in tenant.attachments):
            self._open_line(contracts, line)

    def _open_tenant(self, tenant: TenantContract, workday: Callable[[date], bool]) -> None:
        for line in (None, *tenant.attachments):
            account = tenant_account(tenant.id, line)
            self._usage[account] = Usage()
            self._of_account[account] = (tenant.id, line or TOTAL)
        for cap in tenant.caps:
            account = tenant_account(tenant.id, cap.line)
            if account not in self._usage:
                continue
            self._judges.setdefault(account, []).append(CapJudge(tenant.id, cap, self._zone, workday))
            self._usage[account].keeps_bins |= cap.percentile_95 is not None
            if cap.sustained_rate is not None:
                limits = self._sustained.setdefault(account, {})
                for way in ("in", "out") if cap.direction == "each" else (cap.direction,):
                    limits[way] = min(cap.sustained_rate, limits.get(way, cap.sustained_rate))

    def _open_line(self, contracts: Contracts, line: str) -> None:
        parts = [tenant_account(each.id, line) for each in contracts.tenants.values() if line in each.attachments]
        if line in contracts.line_groups and contracts.line_groups[line].parts:
            parts.append(parts_account(line))
        self._lines[line] = _Line(contracts.line_account(line), tuple(parts))
        for account in (self._lines[line].account, *parts):
            self._lines_of.setdefault(account, []).append(line)

    def update(self, totals: Iterable[SlotTotals], totals_of: TotalsOf) -> list[Sample]:
        """Samples of the slots of tenants and of the unattributed rests of lines; other accounts are passed over."""
        samples: list[Sample] = []
        touched: dict[tuple[str, int], None] = {}
        for each in totals:
            if each.account in self._usage:
                samples.append(self._enter(each))
            for line in self._lines_of.get(each.account, ()):
                touched[line, each.start_ns] = None
        for line, start_ns in touched:
            rest = self._rest(line, start_ns, totals_of)
            if rest is not None:
                samples.append(rest)
        return samples

    def _enter(self, totals: SlotTotals) -> Sample:
        usage = self._usage[totals.account]
        usage.add(totals, self._zone)
        self._hold(totals.account)
        fields = _use_fields(totals)
        if not totals.amended:  # a later slot has told the month since
            fields["month_octets"] = usage.volumes.month(local_date(totals.start_ns, self._zone))
            if totals.start_ns == usage.last_ns:
                fields |= _cap_fields(self._held.get(totals.account, ()), totals.start_ns)
        for way, limit in self._sustained.get(totals.account, {}).items():
            average = usage.average(totals.start_ns, outward=way == "out")
            if average is not None:
                fields[f"{way}_cap_ratio"] = average / limit
        tenant, line = self._of_account[totals.account]
        return Sample("tenant", (("tenant", tenant), ("line", line)), fields, totals.start_ns)

    def _hold(self, account: str) -> None:
        """Hold an account against its caps: once a slot, because a month's percentile is sorted for it."""
        if account in self._judges:
            usage = self._usage[account]
            self._held[account] = [status for judge in self._judges[account] for status in judge.judge(usage)]

    def _rest(self, line: str, start_ns: int, totals_of: TotalsOf) -> Sample | None:
        """The rest of a line's slot, once the line and all its parts have closed it."""
        whole = totals_of(self._lines[line].account, start_ns)
        parts = [totals_of(account, start_ns) for account in self._lines[line].parts]
        known = [part for part in parts if part is not None]
        if whole is None or len(known) < len(parts):
            return None
        into = whole.in_octets - sum(part.in_octets for part in known)
        out = whole.out_octets - sum(part.out_octets for part in known)
        coverage = min(each.coverage_ratio for each in (whole, *known))
        if coverage >= _WHOLE:
            recent = self._lines[line].recent
            recent[start_ns] = (whole.in_octets, whole.out_octets, into, out)
            for old_ns in [old_ns for old_ns in recent if old_ns <= max(recent) - FINDING_SLOTS * SLOT_NS]:
                del recent[old_ns]
        fields: dict[str, FieldValue] = {"coverage_ratio": coverage}
        if coverage > 0:
            into, out = max(into, 0), max(out, 0)
            seconds = SLOT_NS / 1e9
            fields |= {"in_octets": into, "out_octets": out}
            known_rest = self._rest_of(line)
            if known_rest is not None:
                share = known_rest.share
                fields |= {"rest_ratio": share, "adds_up": abs(share) <= FINDING_SHARE}
            fields |= {"in_bits_per_second": into * 8 / seconds, "out_bits_per_second": out * 8 / seconds}
        return Sample("tenant", (("tenant", UNATTRIBUTED), ("line", line)), fields, start_ns)

    def rests(self) -> list[Rest]:
        """What lines carried beyond their tenants over the last hour, where enough of it was observed."""
        found = (self._rest_of(line) for line in self._lines)
        return [rest for rest in found if rest is not None]

    def _rest_of(self, line: str) -> Rest | None:
        recent = self._lines[line].recent
        if len(recent) < FINDING_KNOWN:
            return None
        whole_in, whole_out, into, out = (sum(column) for column in zip(*recent.values(), strict=True))
        return Rest(line, into, out, whole_in, whole_out, len(recent))

    def findings(self) -> list[Rest]:
        """Lines whose tenants add up to something else by more than 2 %: an attachment is missing or counted twice."""
        return [rest for rest in self.rests() if abs(rest.share) > FINDING_SHARE]

    def caps(self) -> list[CapStatus]:
        """Every cap held against the use up to the last closed slot."""
        return [status for account in self._judges for status in self._held.get(account, ())]

    def remember(self, past: Mapping[str, PastUse]) -> None:
        """Enter what was used before, by account, so that the month and its projection do not begin at the start."""
        for account, use in past.items():
            if account in self._usage:
                self._usage[account].remember(use, self._zone)
                self._hold(account)

    def save(self) -> dict[str, Any]:
        """A structure of plain JSON types; restore takes it over."""
        return {
            "version": 1,
            "usage": {account: usage.save() for account, usage in self._usage.items()},
            "lines": {
                line: [[start_ns, *figures] for start_ns, figures in each.recent.items()]
                for line, each in self._lines.items()
            },
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what save gave, for the accounts that still exist; ValueError for another version."""
        if saved["version"] != 1:
            raise ValueError(f"tenants of version {saved['version']} cannot be read, only 1")
        for account, entry in saved["usage"].items():
            if account in self._usage:
                self._usage[account].restore(entry)
                self._hold(account)
        for line, entries in saved["lines"].items():
            if line in self._lines:
                self._lines[line].recent = {start_ns: (a, b, c, d) for start_ns, a, b, c, d in entries}


def _cap_fields(statuses: Iterable[CapStatus], start_ns: int) -> dict[str, FieldValue]:
    """Whether anything is exceeded, and the caps beside the sustained one, each by its worst direction.

    What is of a month is told every five minutes: it moves slowly.
    """
    exceeded: list[bool] = []
    ratios: dict[str, float] = {}
    slow = (start_ns // SLOT_NS + 1) % AVERAGE_SLOTS == 0
    for status in statuses:
        exceeded.append(status.exceeded)
        name = _CAP_FIELDS.get(status.kind)
        if name is not None and (slow or status.kind == "burst_rate"):
            ratios[name] = max(status.ratio, ratios.get(name, 0.0))
        if slow and status.projected is not None:
            projected = status.projected / status.limit
            ratios["volume_cap_projected_ratio"] = max(projected, ratios.get("volume_cap_projected_ratio", 0.0))
    told: dict[str, FieldValue] = dict(ratios)
    return told | {"cap_exceeded": any(exceeded)} if exceeded else told


def _use_fields(totals: SlotTotals) -> dict[str, FieldValue]:
    fields: dict[str, FieldValue] = {"coverage_ratio": totals.coverage_ratio}
    if totals.observed_ns or totals.in_octets or totals.out_octets:
        fields |= {"in_octets": totals.in_octets, "out_octets": totals.out_octets}
    for way, rate in (("in", totals.in_bits_per_second), ("out", totals.out_bits_per_second)):
        if rate is not None:
            fields[f"{way}_bits_per_second"] = rate
    return fields
