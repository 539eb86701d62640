"""The whole story of one incident on one page, for `hinomi incident N` and whoever takes over a shift."""

from poller.alerts.inquiry import Story
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.alerts.words import (
    Times,
    clean,
    duration_text,
    join,
    pick,
    scope_text,
    subject_name,
    value_text,
)
from poller.estate import Estate


def tell_story(story: Story, estate: Estate, lang: str) -> str:
    """What, whom, where, every change of state, every mail with its fate, every remark; plain text."""
    incident, times = story.incident, Times(estate)
    until = incident.ended_ns
    state = pick(lang, "継続中", "open") if until is None else pick(lang, "復旧", "over")
    lines = [
        f"{incident.id}  {incident.title(lang)}",
        f"  {incident.severity.value}  {state}  {scope_text(incident, lang)}",
        pick(lang, "  発生 ", "  begun ") + times.full(incident.begun_ns),
    ]
    if until is not None:
        took = duration_text((until - incident.begun_ns) / SECOND, lang)
        lines.append(pick(lang, "  復旧 ", "  ended ") + f"{times.full(until)} ({took})")
    if incident.merged_into is not None:
        lines.append(pick(lang, "  合流先 ", "  part of ") + incident.merged_into)
    tenants = [estate.tenants[id_].name.lang(lang) for id_ in incident.affected.tenants if id_ in estate.tenants]
    if tenants:
        lines.append(pick(lang, f"  接続団体 {len(tenants)}：", f"  {len(tenants)} tenants: ") + join(tenants, lang))
    lines += _evidence(story, estate, lang, times) + _changes(story, estate, lang, times)
    lines += _mails(story, lang, times) + _remarks(story, lang, times)
    return "\n".join(lines)


def _evidence(story: Story, estate: Estate, lang: str, times: Times) -> list[str]:
    lines = []
    for entry in story.incident.evidence:
        subject = Subject.parse(entry.subject)
        value = value_text(subject.kind, entry.field, entry.value, lang)
        lines.append(f"  {times.full(entry.at_ns)}  {subject_name(subject, estate, lang)}  {value}")
    return ["", pick(lang, "■ 根拠", "# Evidence"), *lines] if lines else []


def _changes(story: Story, estate: Estate, lang: str, times: Times) -> list[str]:
    lines = [
        f"  {times.full(step.at_ns)}  {subject_name(Subject.parse(step.subject), estate, lang)}  {step.rule}"
        f"  {step.before} -> {step.after}: {step.reason}"
        for step in story.steps
    ]
    return ["", pick(lang, "■ 状態の変化", "# Changes of state"), *lines] if lines else []


def _mails(story: Story, lang: str, times: Times) -> list[str]:
    lines = []
    for mail in story.mails:
        fate = f"{mail.state} {mail.tries}x" + (f" {mail.answer}" if mail.answer else "")
        lines.append(f"  {times.full(mail.created_ns)}  {mail.kind} -> {mail.recipient}  [{clean(fate)}]  {mail.why}")
    return ["", pick(lang, "■ 通知", "# Notices"), *lines] if lines else []


def _remarks(story: Story, lang: str, times: Times) -> list[str]:
    lines = [
        f"  {times.full(entry.at_ns)}  {entry.action}  {clean(entry.who)} ({clean(entry.origin)})"
        f"  {clean(entry.text)}".rstrip()
        for entry in story.audit
    ]
    return ["", pick(lang, "■ 対応の記録", "# What people did"), *lines] if lines else []
