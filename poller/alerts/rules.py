"""Which rules look at which series, and what a rule says about one value.

A minute brings 48,000 interface samples and few of them matter. So the question "which rules look at this series" is
answered once a series and remembered by (measurement, tags); a series nobody looks at costs one dictionary lookup.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final, TypeAlias

from poller.alerts.norms import LastValue, OwnMedian
from poller.alerts.subjects import Subject, subject_of
from poller.estate import Estate, Rule, Selector
from poller.sample import FieldValue, Sample
from poller.schema import SCHEMA


class Verdict(Enum):
    """What one value says to one rule."""

    RAISE = "beyond the raise level"
    BETWEEN = "between raise and clear level"
    CLEAR = "beyond the clear level"
    UNKNOWN = "no usable value"


Judge: TypeAlias = Callable[[FieldValue, int], Verdict]
Memory: TypeAlias = OwnMedian | LastValue
Lines: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""A selector's lines that are given: the fact each asks about, and its patterns."""
Key: TypeAlias = tuple[str, str]
"""An alert's identity: rule id and subject as text."""

FAR_OFF_DAYS: Final = 1096.0
"""What a forecast is worth that names no day for a share: the end of what is looked at (poller.forecast)."""
UNKNOWN_WORD: Final = "unknown"
"""How a text field (state, ha_role) says that it does not know."""
_WILD: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Judging:
    """How a rule judges one series: judge(value, at_ns), and what it remembers of the series, if anything."""

    judge: Judge
    memory: Memory | None = None


def value_of(sample: Sample, field: str) -> FieldValue | None:
    """The value that a rule on the field judges; None where the sample is about something else.

    A forecast without a day for a share says "not in three years" (poller.daybook), which is an answer, and clears.
    """
    value = sample.fields.get(field)
    if value is None and sample.measurement == "forecast" and field.startswith("days_to_"):
        return FAR_OFF_DAYS
    return value


def kind_of(rule: Rule) -> str:
    """Which setting says when the rule raises: a key of KINDS; ValueError where there is none."""
    for kind in KINDS:
        given = getattr(rule, kind)
        if given is not None and (kind != "changes" or given):
            return kind
    raise ValueError(f"rules.{rule.id}: one of {', '.join(KINDS)} is needed")


def asks_alike(one: Rule, other: Rule) -> bool:
    """Whether what was learned of a series under one rule holds under the other: same field, same kind of question."""
    return (one.on, kind_of(one)) == (other.on, kind_of(other))


def compile_judge(rule: Rule) -> Judging:
    """The rule as a function of one series' values; each series needs its own, because some kinds remember.

    above raises when greater, below when smaller, equals when the same (a boolean is never a number), above_median when
    so many times greater than the series' own median, changes when it is another than before. Without clear_* the clear
    level is the raise level. The word "unknown" is no value unless the rule asks for it.
    """
    return KINDS[kind_of(rule)](rule)


def _judge_above(rule: Rule) -> Judging:
    above = float(rule.above or 0.0)
    clear = above if rule.clear_below is None else rule.clear_below

    def judge(value: FieldValue, _at_ns: int) -> Verdict:
        if isinstance(value, str):
            return Verdict.UNKNOWN
        if value > above:
            return Verdict.RAISE
        return Verdict.CLEAR if value <= clear else Verdict.BETWEEN

    return Judging(judge)


def _judge_below(rule: Rule) -> Judging:
    below = float(rule.below or 0.0)
    clear = below if rule.clear_above is None else rule.clear_above

    def judge(value: FieldValue, _at_ns: int) -> Verdict:
        if isinstance(value, str):
            return Verdict.UNKNOWN
        if value < below:
            return Verdict.RAISE
        return Verdict.CLEAR if value >= clear else Verdict.BETWEEN

    return Judging(judge)


def _judge_equals(rule: Rule) -> Judging:
    expected = rule.equals
    boolean = isinstance(expected, bool)

    def judge(value: FieldValue, _at_ns: int) -> Verdict:
        if isinstance(value, bool) is boolean and value == expected:
            return Verdict.RAISE
        return Verdict.UNKNOWN if value == UNKNOWN_WORD else Verdict.CLEAR

    return Judging(judge)


def _judge_above_median(rule: Rule) -> Judging:
    memory = OwnMedian()
    times = float(rule.above_median or 0.0)
    clear_times = times if rule.clear_median is None else rule.clear_median

    def judge(value: FieldValue, at_ns: int) -> Verdict:
        if isinstance(value, str):
            return Verdict.UNKNOWN
        usual = memory.median(at_ns)
        memory.add(value, at_ns)
        if usual is None:
            return Verdict.UNKNOWN
        if value > times * usual and value - usual > rule.margin:
            return Verdict.RAISE
        return Verdict.CLEAR if value <= clear_times * usual or value - usual <= rule.margin else Verdict.BETWEEN

    return Judging(judge, memory)


def _judge_changes(rule: Rule) -> Judging:
    memory = LastValue()
    counts = rule.on.endswith("_total")

    def judge(value: FieldValue, _at_ns: int) -> Verdict:
        if value == UNKNOWN_WORD:
            return Verdict.UNKNOWN
        if counts and not isinstance(value, str) and not isinstance(memory.value, str | None) and value < memory.value:
            memory.value = None  # it began anew, with its program
        return Verdict.RAISE if memory.changed(value) else Verdict.CLEAR

    return Judging(judge, memory)


KINDS: Final[Mapping[str, Callable[[Rule], Judging]]] = {
    "above": _judge_above,
    "below": _judge_below,
    "equals": _judge_equals,
    "above_median": _judge_above_median,
    "changes": _judge_changes,
}
"""The kinds of rules by the setting that makes one; whatever else a rule may ask is one more line here."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One rule looking at one series."""

    rule: Rule
    subject: Subject
    key: Key
    field: str
    judge: Judge


_Compiled: TypeAlias = tuple[Rule, str, Lines]


class RuleIndex:
    """Rules by the series they look at; grows by one entry a series, and series are bounded by the schema."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._rules: dict[str, list[_Compiled]] = {}
        self._asked: dict[str, set[str]] = {}
        self._chosen: dict[tuple[str, str, str, tuple[tuple[str, str], ...]], tuple[_Compiled, ...]] = {}
        self._watches: defaultdict[str, dict[tuple[tuple[str, str], ...], tuple[Watch, ...]]] = defaultdict(dict)
        self._facts = EstateFacts(estate)
        self._plain: dict[str, Judge | None] = {}
        self._memories: dict[Key, Memory] = {}
        self._saved: dict[Key, dict[str, Any]] = {}
        for rule in estate.rules.values():
            measurement, field = split_on(rule)
            if measurement == "notification":  # each is a subject of its own: poller.alerts.notifications
                continue
            lines = selected_lines(rule.where)
            judging = compile_judge(rule)
            self._rules.setdefault(measurement, []).append((rule, field, lines))
            self._plain[rule.id] = judging.judge if judging.memory is None else None
            self._asked.setdefault(measurement, {"device"}).update(fact for fact, _ in lines)

    def watches(self, sample: Sample) -> tuple[Watch, ...]:
        """The rules that look at the sample's series; mostly none."""
        known = self._watches[sample.measurement]
        found = known.get(sample.tags)
        if found is None:
            found = known[sample.tags] = self._find(sample)
        return found

    def _find(self, sample: Sample) -> tuple[Watch, ...]:
        rules = self._rules.get(sample.measurement)
        subject = subject_of(sample) if rules else None
        if not rules or subject is None:
            return ()
        name = str(subject)
        chosen = self._chosen_for(subject, sample)
        return tuple(
            Watch(rule, subject, (rule.id, name), field, self._judge_of(rule, (rule.id, name)))
            for rule, field, _ in chosen
        )

    def _judge_of(self, rule: Rule, key: Key) -> Judge:
        """The rule's judge; one of its own for a series that must be remembered."""
        plain = self._plain[rule.id]
        if plain is not None:
            return plain
        judging = compile_judge(rule)
        if judging.memory is not None:
            self._memories[key] = judging.memory
            if key in self._saved:
                judging.memory.restore(self._saved.pop(key))
        return judging.judge

    def save(self) -> list[list[Any]]:
        """What the rules remember of each series, as plain values; restore takes it over."""
        unclaimed = [[*key, memory] for key, memory in self._saved.items()]
        return unclaimed + [[*key, memory.save()] for key, memory in self._memories.items()]

    def restore(self, saved: Iterable[Sequence[Any]]) -> None:
        """Go on from what save gave, before the first sample."""
        self._saved = {(rule, subject): memory for rule, subject, memory in saved}

    def _chosen_for(self, subject: Subject, sample: Sample) -> tuple[_Compiled, ...]:
        """The rules whose selectors fit; worked out once for all series that they cannot tell apart.

        Thousands of interfaces of one device differ in tags that no rule asks about.
        """
        told = tuple(tag for tag in sample.tags if tag[0] in self._asked[sample.measurement])
        part = subject.part if subject.kind in {"tenant", "service_level"} else ""
        likeness = (sample.measurement, subject.id, part, told)
        chosen = self._chosen.get(likeness)
        if chosen is None:
            facts = self._facts.of(subject, sample.tags)
            rules = self._rules[sample.measurement]
            chosen = self._chosen[likeness] = tuple(rule for rule in rules if all_match(rule[2], facts))
        return chosen


def split_on(rule: Rule) -> tuple[str, str]:
    """("device", "cpu_ratio") of a rule on "device.cpu_ratio"; ValueError where the schema has no such field."""
    measurement, _, field = rule.on.partition(".")
    known = SCHEMA.get(measurement)
    if known is None or field not in {entry.name for entry in known.fields}:
        raise ValueError(f"rules.{rule.id}.on: the schema has no {rule.on!r}")
    return measurement, field


_SELECTED: Final = {
    "roles": "role",
    "sites": "site",
    "devices": "device",
    "interfaces": "interface",
    "circuits": "circuit",
    "kinds": "kind",
    "line_groups": "line_group",
    "tenants": "tenant",
    "services": "service",
    "notifications": "notification",
    "parts": "part",
}
"""The lines of a Selector, and the fact each of them asks about."""


def selected_lines(selector: Selector) -> Lines:
    """The lines that are given, each with the fact it asks about: worked out once a rule, not once a series."""
    return tuple((fact, tuple(getattr(selector, line))) for line, fact in _SELECTED.items() if getattr(selector, line))


def matches(selector: Selector, facts: Mapping[str, frozenset[str]]) -> bool:
    """True where every line that is given matches one of the subject's facts; a subject without that fact does not."""
    return all_match(selected_lines(selector), facts)


def all_match(lines: Lines, facts: Mapping[str, frozenset[str]]) -> bool:
    """True where every line has a pattern that fits one of the values of its fact."""
    for fact, patterns in lines:
        values = facts.get(fact, ())
        if not any(_fits(pattern, value) for pattern in patterns for value in values):
            return False
    return True


def _fits(pattern: str, value: str) -> bool:
    return fnmatchcase(value, pattern) if _WILD.search(pattern) else value == pattern


class EstateFacts:
    """What the estate adds to a series' own tags: a circuit's line groups, an interface's role and site."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._groups_of: dict[str, set[str]] = {}
        for group in estate.line_groups.values():
            for member in group.members:
                self._groups_of.setdefault(member, set()).add(group.id)

    def of(self, subject: Subject, tags: Iterable[tuple[str, str]] = ()) -> Mapping[str, frozenset[str]]:
        """The facts a Selector asks about, each with its values."""
        facts: dict[str, set[str]] = {name: {value} for name, value in tags}
        facts.setdefault(subject.kind, set()).add(subject.id)
        if subject.kind == "interface":
            facts.setdefault("device", set()).add(subject.id)
            facts["interface"] = {subject.part}
        elif subject.kind == "forecast":
            facts["line_group"] = {subject.id}
        elif subject.kind == "service_level":
            facts[subject.part] = {subject.id}
        device = self._estate.devices.get(next(iter(facts.get("device", ())), ""))
        if device is not None:
            facts.setdefault("role", set()).add(device.role.value)
            facts.setdefault("site", set()).add(device.site)
        circuit = self._estate.circuits.get(subject.id) if subject.id in facts.get("circuit", ()) else None
        if circuit is not None:
            facts.setdefault("kind", set()).add(circuit.kind.value)
            facts.setdefault("line_group", set()).update(self._lines_above(circuit.id))
            if circuit.site:
                facts.setdefault("site", set()).add(circuit.site)
        if subject.kind == "tenant" and subject.part:
            facts.setdefault("line_group", set()).update({subject.part, *self._lines_above(subject.part)})
        return {name: frozenset(values - {""}) for name, values in facts.items()}

    def _lines_above(self, member: str) -> set[str]:
        above: set[str] = set()
        ahead = [member]
        while ahead:
            for group in self._groups_of.get(ahead.pop(), ()):
                if group not in above:
                    above.add(group)
                    ahead.append(group)
        return above
