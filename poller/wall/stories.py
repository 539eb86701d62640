"""An incident in words, for its page: what the mails and `hinomi incident` say of it, in both languages. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from poller.alerts.incidents import Incident
from poller.alerts.inquiry import Story
from poller.alerts.story import action_text, mail_text, step_text
from poller.alerts.subjects import Subject
from poller.alerts.words import clean, condition, subject_name, value_text
from poller.estate import Estate
from poller.wall.incidents import incident_entry

Entry = dict[str, Any]
_LANGS: Final = ("ja", "en")


def incident_words(entry: Mapping[str, Any], estate: Estate) -> Entry:
    """Names of all that an incident's entry names by an id, its conditions, and its evidence, each in its order."""
    members, evidence = entry.get("members", ()), entry.get("evidence", ())
    subjects = {each["subject"] for each in (*members, *evidence)} | {f"tenant/{t}" for t in entry.get("tenants", ())}
    return {
        "subjects": _names(subjects, estate),
        "members": [_condition(each["rule"], estate) for each in members],
        "evidence": [{lang: _value(each, lang) for lang in _LANGS} for each in evidence],
    }


def told_story(story: Story, estate: Estate) -> Entry:
    """The entry and words as of an open incident, ended_ns, and its timeline of changes, notices and remarks."""
    entry = incident_entry(story.incident, estate)
    steps = [
        _line(step.at_ns, "change", {lang: step_text(step, estate, lang) for lang in _LANGS}, step.subject)
        for step in story.steps
    ]
    mails = [_line(mail.created_ns, "notice", {lang: mail_text(mail, lang) for lang in _LANGS}) for mail in story.mails]
    remarks = []
    for each in story.audit:
        said = f"{clean(each.who)}  {clean(each.text)}"
        texts = {lang: f"{action_text(each.action, lang)}  {said}".strip() for lang in _LANGS}
        remarks.append(_line(each.at_ns, "remark", texts))
    words = incident_words(entry, estate)
    words["subjects"] |= _names({step.subject for step in story.steps}, estate)
    timeline = sorted([*steps, *mails, *remarks], key=lambda line: line["at_ns"])
    return {"entry": entry, "words": words, "ended_ns": story.incident.ended_ns, "timeline": timeline}


def closed_entries(incidents: Iterable[Incident]) -> list[Entry]:
    """What a list says of incidents that are over."""
    return [
        {
            "id": each.id,
            "severity": each.worst.value,
            "title": {lang: each.title(lang) for lang in _LANGS},
            "since_ns": each.begun_ns,
            "ended_ns": each.ended_ns,
            "scope": each.scope,
        }
        for each in incidents
    ]


def _line(at_ns: int, kind: str, text: Entry, subject: str = "") -> Entry:
    return {"at_ns": at_ns, "kind": kind, "subject": subject, "text": text}


def _names(subjects: Iterable[str], estate: Estate) -> Entry:
    parsed = {subject: Subject.parse(subject) for subject in sorted(subjects)}
    return {text: {lang: subject_name(each, estate, lang) for lang in _LANGS} for text, each in parsed.items()}


def _condition(rule_id: str, estate: Estate) -> Entry:
    rule = estate.rules.get(rule_id)
    return {lang: rule_id if rule is None else condition(rule, lang) for lang in _LANGS}


def _value(each: Mapping[str, Any], lang: str) -> str:
    worded = value_text(Subject.parse(each["subject"]).kind, each["field"], each["value"], lang)
    more = (each.get("words") or {}).get(lang) or each.get("reason") or ""
    return f"{worded}  {clean(more)}".strip()
