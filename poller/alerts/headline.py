"""What is broken and how, in half a line: the title of an incident, and the heart of every subject."""

from typing import Final

from poller.alerts.incident import Incident, Member
from poller.alerts.isolation import ISOLATION
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.alerts.words import clean, condition, pick, reading_text, subject_name
from poller.estate import Estate

TOGETHER: Final = 300 * SECOND
"""Alerts of a closed incident that ended within this time ended together."""


def headline(incident: Incident, estate: Estate, lang: str) -> str:
    """What is broken and how, in half a line."""
    root = incident.root_member
    rule = estate.rules.get(root.rule)
    subject = Subject.parse(root.subject)
    name = subject_name(subject, estate, lang)
    if rule is None:
        return name
    what = condition(rule, lang)
    if subject.kind == "daemon":
        return what if subject == ISOLATION or not subject.part else f"{what} ({clean(subject.part, 60)})"
    value = reading_text(root, rule, lang)
    together = {
        member.subject
        for member in incident.members
        if member.rule == root.rule and member.inhibited_by is None and _counts(member, incident)
    }
    if len(together) > 1 and incident.anchor.startswith("group/"):
        group = estate.redundancy_groups.get(incident.anchor.partition("/")[2])
        if group is not None:
            return f"{clean(group.name.lang(lang), 60)} {_all_of(subject, len(together), lang)}{what}"
    if subject.kind == "line_group" and rule.equals == "down":
        what = f"{_all_of(subject, len(estate.line_groups[subject.id].members), lang)}{what}"
    colon = "" if rule.equals is not None else pick(lang, "", ":")
    return f"{name}{colon} {what}{' ' + value if value else ''}"


def _counts(member: Member, incident: Incident) -> bool:
    """True for what is still bad; of a closed incident, for what ended together with it."""
    if member.resolved_ns is None or incident.ended_ns is None:
        return member.resolved_ns is None
    return incident.ended_ns - member.resolved_ns <= TOGETHER


def _all_of(subject: Subject, count: int, lang: str) -> str:
    """That it is all of a group."""
    if subject.kind in {"circuit", "line_group"} and count == 2:  # noqa: PLR2004 - a pair
        return pick(lang, "主・副とも", "main and backup both ")
    return pick(lang, f"{count}系統とも", f"all {count} ")
