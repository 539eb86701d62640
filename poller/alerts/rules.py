"""Which rules look at which series, and what a rule says about one value.

A minute brings 48,000 interface samples and few of them matter. So the question "which rules look at this series" is
answered once a series and remembered by (measurement, tags); a series nobody looks at costs one dictionary lookup.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

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


Judge: TypeAlias = Callable[[FieldValue], Verdict]
Lines: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""A selector's lines that are given: the fact each asks about, and its patterns."""
Key: TypeAlias = tuple[str, str]
"""An alert's identity: rule id and subject as text."""

UNKNOWN_WORD: Final = "unknown"
"""How a text field (state, ha_role) says that it does not know."""
_WILD: Final = re.compile(r"[*?\[]")


def compile_judge(rule: Rule) -> Judge:
    """The rule as a function of one value.

    above raises when greater, below when smaller, equals when the same (a boolean is never a number). Without clear_*
    the clear level is the raise level. The word "unknown" is no value unless the rule asks for it.
    """
    if rule.above is not None:
        return _judge_above(rule.above, rule.above if rule.clear_below is None else rule.clear_below)
    if rule.below is not None:
        return _judge_below(rule.below, rule.below if rule.clear_above is None else rule.clear_above)
    if rule.equals is not None:
        return _judge_equals(rule.equals)
    raise ValueError(f"rules.{rule.id}: one of above, below, equals is needed")


def _judge_above(above: float, clear: float) -> Judge:
    def judge(value: FieldValue) -> Verdict:
        if isinstance(value, str):
            return Verdict.UNKNOWN
        if value > above:
            return Verdict.RAISE
        return Verdict.CLEAR if value <= clear else Verdict.BETWEEN

    return judge


def _judge_below(below: float, clear: float) -> Judge:
    def judge(value: FieldValue) -> Verdict:
        if isinstance(value, str):
            return Verdict.UNKNOWN
        if value < below:
            return Verdict.RAISE
        return Verdict.CLEAR if value >= clear else Verdict.BETWEEN

    return judge


def _judge_equals(expected: bool | int | str) -> Judge:  # noqa: FBT001 - it is a value to compare with, not a flag
    boolean = isinstance(expected, bool)

    def judge(value: FieldValue) -> Verdict:
        if isinstance(value, bool) is boolean and value == expected:
            return Verdict.RAISE
        return Verdict.UNKNOWN if value == UNKNOWN_WORD else Verdict.CLEAR

    return judge


@dataclass(frozen=True, slots=True)
class Watch:
    """One rule looking at one series."""

    rule: Rule
    subject: Subject
    key: Key
    field: str
    judge: Judge


_Compiled: TypeAlias = tuple[Rule, str, Judge, Lines]


class RuleIndex:
    """Rules by the series they look at; grows by one entry a series, and series are bounded by the schema."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._rules: dict[str, list[_Compiled]] = {}
        self._asked: dict[str, set[str]] = {}
        self._chosen: dict[tuple[str, str, str, tuple[tuple[str, str], ...]], tuple[_Compiled, ...]] = {}
        self._watches: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Watch, ...]] = {}
        self._facts = EstateFacts(estate)
        for rule in estate.rules.values():
            measurement, field = split_on(rule)
            if measurement == "notification":  # each is a subject of its own: poller.alerts.notifications
                continue
            lines = selected_lines(rule.where)
            self._rules.setdefault(measurement, []).append((rule, field, compile_judge(rule), lines))
            self._asked.setdefault(measurement, {"device"}).update(fact for fact, _ in lines)

    def watches(self, sample: Sample) -> tuple[Watch, ...]:
        """The rules that look at the sample's series; mostly none."""
        found = self._watches.get((sample.measurement, sample.tags))
        if found is None:
            found = self._watches[sample.measurement, sample.tags] = self._find(sample)
        return found

    def _find(self, sample: Sample) -> tuple[Watch, ...]:
        rules = self._rules.get(sample.measurement)
        subject = subject_of(sample) if rules else None
        if not rules or subject is None:
            return ()
        name = str(subject)
        chosen = self._chosen_for(subject, sample)
        return tuple(Watch(rule, subject, (rule.id, name), field, judge) for rule, field, judge, _ in chosen)

    def _chosen_for(self, subject: Subject, sample: Sample) -> tuple[_Compiled, ...]:
        """The rules whose selectors fit; worked out once for all series that they cannot tell apart.

        Thousands of interfaces of one device differ in tags that no rule asks about.
        """
        told = tuple(tag for tag in sample.tags if tag[0] in self._asked[sample.measurement])
        likeness = (sample.measurement, subject.id, subject.part if subject.kind == "tenant" else "", told)
        chosen = self._chosen.get(likeness)
        if chosen is None:
            facts = self._facts.of(subject, sample.tags)
            rules = self._rules[sample.measurement]
            chosen = self._chosen[likeness] = tuple(rule for rule in rules if all_match(rule[3], facts))
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
        device = self._estate.devices.get(next(iter(facts.get("device", ())), ""))
        if device is not None:
            facts.setdefault("role", set()).add(device.role.value)
            facts.setdefault("site", set()).add(device.site)
        circuit = self._estate.circuits.get(subject.id) if subject.kind == "circuit" else None
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
