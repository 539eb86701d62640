"""The record of one rehearsed failover: what broke, when, for how long, who carried the traffic (need N16). Pure.

    EchoTick (ten a second and target)      -> breaks of single targets, and of the group as its users see it
    MemberReading (one a second and member) -> breaks of the traffic by direction, who carries, states and roles

A break of echoes is BREAK_ECHOES lost in a row; fewer are counted as losses only. The group is broken while any place
that was named to be watched is, or, where none was named, while nothing behind any of its members answers.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

BREAK_ECHOES: Final = 3
CARRIES_SHARE: Final = 0.9
"""Who has this share of the traffic carries it."""
LEAST_TRAFFIC: Final = 100_000
"""Bits per second; with less nobody can say who carries, or that it stopped."""
BROKEN_SHARE: Final = 0.1
"""Traffic below this share of the usual is no traffic."""
USUAL_READINGS: Final = 10
SHORT_SILENCE: Final = 2
"""Readings that a member may miss in a row: the next rate covers them, so they are judged by that."""
LATELY: Final = 20
SHARED: Final = "shared"
"""Stands for a member where several carry."""


@dataclass(frozen=True, slots=True)
class EchoTick:
    """The echoes of a tenth of a second to one target."""

    target: str
    at_ns: int
    sent: int
    answered: int


@dataclass(frozen=True, slots=True)
class MemberReading:
    """What SNMP says of one member; None is not known. Rates are those since the reading before, bits per second."""

    member: str
    at_ns: int
    up: bool | None = None
    role: str | None = None
    in_bits_per_second: float | None = None
    out_bits_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """A time in which nothing came through; end_ns None: it had not ended. lost: echoes; of traffic 0."""

    start_ns: int
    end_ns: int | None
    lost: int = 0

    def seconds(self, now_ns: int) -> float:
        """How long; until now where it has not ended."""
        return ((now_ns if self.end_ns is None else self.end_ns) - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """Everything about the echoes to one target."""

    target: str
    sent: int
    lost: int
    breaks: tuple[Break, ...]


@dataclass(frozen=True, slots=True)
class WayRecord:
    """The traffic of all members in one direction; usual None: too little of it to see it stop."""

    way: str
    usual_bits_per_second: float | None
    breaks: tuple[Break, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed: what is "carrier", "state" or "role"; before and after are words, "" where not known."""

    at_ns: int
    what: str
    member: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FailoverRecord:
    """The whole rehearsal. restored_ns: since when all is as it was before; None where it is not, or never changed."""

    group: str
    members: tuple[str, ...]
    started_ns: int
    ended_ns: int
    breaks: tuple[Break, ...]
    targets: tuple[TargetRecord, ...]
    ways: tuple[WayRecord, ...]
    changes: tuple[Change, ...]
    carrier_before: str
    carrier_after: str
    restored_ns: int | None

    @property
    def disturbed(self) -> bool:
        """Whether anything happened at all."""
        return bool(self.changes or self.all_breaks)

    @property
    def all_breaks(self) -> tuple[Break, ...]:
        """Those of the group, of every target and of both directions."""
        targets = (one for each in self.targets for one in each.breaks)
        return (*self.breaks, *targets, *(one for each in self.ways for one in each.breaks))


@dataclass(slots=True)
class Recorder:
    """Collects what is seen and makes the record of it at any time.

    watched: the targets that stand for the group; named: they were named, so each of them counts by itself.
    """

    group: str
    members: tuple[str, ...]
    watched: frozenset[str]
    named: bool
    started_ns: int
    ticks: dict[str, list[EchoTick]] = field(default_factory=dict)
    readings: dict[str, list[MemberReading]] = field(default_factory=dict)
    lately: dict[str, deque[bool]] = field(default_factory=dict)
    """By target, whether the last LATELY ticks were answered, for people who look on."""

    def see_tick(self, tick: EchoTick) -> None:
        """Take a tenth of a second of echoes; those of a target come in the order of time.

        A long calm is kept as one tick, behind the one with which it began.
        """
        known = self.ticks.setdefault(tick.target, [])
        self.lately.setdefault(tick.target, deque(maxlen=LATELY)).append(tick.sent == tick.answered)
        if len(known) > 1 and all(each.sent == each.answered for each in (*known[-2:], tick)):
            calm = known[-1]
            known[-1] = EchoTick(tick.target, calm.at_ns, calm.sent + tick.sent, calm.answered + tick.answered)
        else:
            known.append(tick)

    def see_reading(self, reading: MemberReading) -> None:
        """Take what SNMP said of a member."""
        self.readings.setdefault(reading.member, []).append(reading)

    def record(self, now_ns: int) -> FailoverRecord:
        """What is known now."""
        targets = tuple(_target_record(target, ticks) for target, ticks in self.ticks.items())
        rounds = _rounds(self.readings)
        carriers = _changes("carrier", "", [(at_ns, _carrier(each)) for at_ns, each in rounds])
        changes = [change for change in carriers if change.before]
        for member, readings in self.readings.items():
            states = [(each.at_ns, _state_word(each.up)) for each in readings]
            roles = [(each.at_ns, each.role or "") for each in readings]
            changes += [change for change in _changes("state", member, states) if change.before]
            changes += [change for change in _changes("role", member, roles) if change.before]
        changes.sort(key=lambda change: change.at_ns)
        breaks = _group_breaks([self.ticks.get(target, []) for target in sorted(self.watched)], named=self.named)
        missed = _missed(self.readings)
        whole = [each for each in rounds if each[0] not in missed]
        ways = tuple(_way_record(way, whole) for way in ("in", "out"))
        record = FailoverRecord(
            group=self.group,
            members=self.members,
            started_ns=self.started_ns,
            ended_ns=now_ns,
            breaks=breaks,
            targets=targets,
            ways=ways,
            changes=tuple(changes),
            carrier_before=carriers[0].after if carriers else "",
            carrier_after=carriers[-1].after if carriers else "",
            restored_ns=None,
        )
        return _with_restoration(record)


def breaks_of(ticks: Iterable[EchoTick]) -> tuple[Break, ...]:
    """The breaks of one series of ticks, in the order of time: from the first echo lost to the next answered."""
    found: list[Break] = []
    start_ns, lost = 0, 0
    for tick in ticks:
        missing = tick.sent - tick.answered
        if missing > 0:
            start_ns, lost = (tick.at_ns if not lost else start_ns), lost + missing
        elif tick.sent:
            if lost >= BREAK_ECHOES:
                found.append(Break(start_ns, tick.at_ns, lost))
            lost = 0
    if lost >= BREAK_ECHOES:
        found.append(Break(start_ns, None, lost))
    return tuple(found)


def _target_record(target: str, ticks: Sequence[EchoTick]) -> TargetRecord:
    sent = sum(tick.sent for tick in ticks)
    return TargetRecord(target, sent, sent - sum(tick.answered for tick in ticks), breaks_of(ticks))


def _group_breaks(series: Sequence[Sequence[EchoTick]], *, named: bool) -> tuple[Break, ...]:
    """The breaks of several targets together: of any that was named, or of all at once."""
    worst: Callable[[Iterable[bool]], bool] = any if named else all
    by_time: dict[int, list[EchoTick]] = {}
    for ticks in series:
        for tick in ticks:
            if tick.sent:
                by_time.setdefault(tick.at_ns, []).append(tick)
    silent: dict[str, bool] = {}
    together = []
    for at_ns in sorted(by_time):
        lost = [tick.sent - tick.answered for tick in by_time[at_ns]]
        silent |= {tick.target: tick.sent > tick.answered for tick in by_time[at_ns]}
        broken = worst(silent.values()) and (named or len(silent) == len(series))
        count = max([1, *lost])
        together.append(EchoTick("", at_ns, count, 0 if broken else count))
    return breaks_of(together)


def _rounds(readings: Mapping[str, Sequence[MemberReading]]) -> list[tuple[int, list[MemberReading]]]:
    """Readings of the same moment together, in the order of time."""
    by_time: dict[int, list[MemberReading]] = {}
    for series in readings.values():
        for reading in series:
            by_time.setdefault(reading.at_ns, []).append(reading)
    return sorted(by_time.items())


def _missed(readings: Mapping[str, Sequence[MemberReading]]) -> set[int]:
    """Moments in which a member was silent for a short while only: one datagram lost is no break.

    A silence that lasts until now is not judged before it is long.
    """
    found: set[int] = set()
    for series in readings.values():
        silences: list[list[int]] = []
        for reading in series:
            if reading.in_bits_per_second is not None or reading.out_bits_per_second is not None:
                silences.append([])
            elif silences:  # before its first rates a member is not missed
                silences[-1].append(reading.at_ns)
        found.update(at_ns for silence in silences if len(silence) <= SHORT_SILENCE for at_ns in silence)
    return found


def _carrier(readings: Sequence[MemberReading]) -> str:
    """Who carries, by traffic, else by its role; "" where neither tells."""
    carried = {
        each.member: (each.in_bits_per_second or 0.0) + (each.out_bits_per_second or 0.0)
        for each in readings
        if each.in_bits_per_second is not None or each.out_bits_per_second is not None
    }
    total = sum(carried.values())
    if total >= LEAST_TRAFFIC:
        first = max(carried, key=carried.__getitem__)
        return first if carried[first] >= CARRIES_SHARE * total else SHARED
    active = [each.member for each in readings if each.role == "active"]
    return active[0] if len(active) == 1 else ""


def _changes(what: str, member: str, series: Sequence[tuple[int, str]]) -> list[Change]:
    """From one word to the next; "" says nothing. A carrier must hold for two readings: the first one is of both."""
    found: list[Change] = []
    known = ""
    doubt: tuple[int, str] = (0, "")
    for at_ns, word in series:
        if not word or word == known:
            doubt = (0, "")
        elif what == "carrier" and doubt[1] != word and (known or word == SHARED):
            doubt = (at_ns, word)
        else:
            found.append(Change(doubt[0] or at_ns, what, member or word, known, word))
            known, doubt = word, (0, "")
    return found


def _state_word(up: bool | None) -> str:  # noqa: FBT001 - the reading itself
    return "" if up is None else "up" if up else "down"


def _way_record(way: str, rounds: Sequence[tuple[int, Sequence[MemberReading]]]) -> WayRecord:
    """The breaks of one direction; they begin and end between two readings, so the reading before is their border."""
    totals: list[tuple[int, float]] = []
    for at_ns, readings in rounds:
        rates = [each.in_bits_per_second if way == "in" else each.out_bits_per_second for each in readings]
        known = [rate for rate in rates if rate is not None]
        if known:
            totals.append((at_ns, sum(known)))
    usual = median(total for _, total in totals[:USUAL_READINGS]) if totals else 0.0
    if usual < LEAST_TRAFFIC:
        return WayRecord(way, None, ())
    found: list[Break] = []
    start_ns: int | None = None
    before_ns = totals[0][0]
    for at_ns, total in totals:
        if total < BROKEN_SHARE * usual:
            start_ns = before_ns if start_ns is None else start_ns
        elif start_ns is not None:
            found.append(Break(start_ns, before_ns))
            start_ns = None
        before_ns = at_ns
    if start_ns is not None:
        found.append(Break(start_ns, None))
    return WayRecord(way, usual, tuple(found))


def _with_restoration(record: FailoverRecord) -> FailoverRecord:
    """The record with the moment from which on everything was as before, where that is so."""
    every = record.all_breaks
    if not record.disturbed or any(one.end_ns is None for one in every):
        return record
    first: dict[tuple[str, str], str] = {}
    last: dict[tuple[str, str], str] = {}
    for change in record.changes:
        key = (change.what, "" if change.what == "carrier" else change.member)
        first.setdefault(key, change.before)
        last[key] = change.after
    if first != last:
        return record
    moments = [one.end_ns for one in every if one.end_ns is not None] + [change.at_ns for change in record.changes]
    return replace(record, restored_ns=max(moments))
