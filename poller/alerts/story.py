"""The whole story of one incident on one page, for `hinomi incident N` and whoever takes over a shift."""

from collections.abc import Mapping
from typing import Final

from poller.alerts.inquiry import MailRow, Step, Story
from poller.alerts.notices import Kind, Why
from poller.alerts.rules import split_on
from poller.alerts.states import SECOND, Reason
from poller.alerts.subjects import Subject
from poller.alerts.words import (
    Times,
    clean,
    duration_text,
    join,
    pick,
    scope_text,
    severity_text,
    subject_name,
    value_text,
)
from poller.estate import Estate, Rule
from poller.sample import FieldValue

_STATES: Final = {"inactive": "平常", "pending": "判定中", "firing": "発生", "resolved": "復旧"}
_REASONS: Final[Mapping[str, str]] = {
    Reason.RAISED: "しきい値を超えた",
    Reason.HELD: "しきい値を超えた状態が続いた",
    Reason.NO_DATA: "値が得られない",
    Reason.FELL_BACK: "続かずに元に戻った",
    Reason.CLEARED: "解除の条件を満たす状態が続いた",
    Reason.FLAPPING: "変化を繰り返している（不安定）",
    Reason.CALM: "落ち着いた（不安定の終わり）",
    Reason.RULE_GONE: "規則または対象が設定から無くなった",
}
_OF_LEVELS: Final = frozenset({Reason.RAISED, Reason.HELD, Reason.FELL_BACK, Reason.CLEARED})
"""Reasons that speak of levels, which a rule on a state has not."""
_LASTING: Final = frozenset({Reason.HELD, Reason.CLEARED})
_ACTIONS: Final = {
    "acknowledge": "確認",
    "comment": "記録",
    "second_notice": "二次通知",
    "exclude": "稼働率の扱い",
    "silence": "通知停止",
    "unsilence": "通知再開",
}
_FATES: Final = {
    "waiting": "送信待ち",
    "sending": "送信中",
    "sent": "送信済み",
    "dead": "送信不能",
    "superseded": "後の再通知にまとめた",
    "held": "保留",
    "told": "まとめて通知済み",
}
_KINDS: Final[Mapping[str, str]] = {
    Kind.FIRST: "初報",
    Kind.RAISED: "重大に変更",
    Kind.REPEAT: "再通知",
    Kind.EASED: "一部復旧",
    Kind.FLAPPING: "不安定",
    Kind.STEADY: "安定",
    Kind.REMINDER: "二次通知の催促",
    Kind.RECOVERED: "復旧",
    Kind.DIGEST: "まとめ",
    Kind.STORM: "多発のまとめ",
    Kind.ANNOUNCEMENT: "お知らせ",
    Kind.TEST: "試験",
    "opened": "外部へ通知（発生）",
    "changed": "外部へ通知（変化）",
    "closed": "外部へ通知（終了）",
}
_WHYS: Final[Mapping[str, str]] = {
    Why.NEW: "新しい重大な障害",
    Why.AFTER_MUTE: "計画作業または通知停止の終了後も継続",
    Why.TURNED_SERIOUS: "軽微または保留から重大に変わった",
    Why.UNACKNOWLEDGED: "未確認のまま",
    Why.PARTLY_OVER: "重大ではなくなったが継続中",
    Why.TURNS_TOO_OFTEN: "変化を繰り返すため、落ち着くまで個々の変化は知らせない",
    Why.CALM_AGAIN: "落ち着いた",
    Why.SECOND_DUE: "二次通知の期限が近く、まだ記録がない",
    Why.OVER: "復旧した",
    Why.BUSINESS_DAY: "軽微のため翌営業日まで保留",
    Why.TOO_MANY: "通知が上限を超えた",
    Why.ASKED: "運用者の求めによる",
}


def tell_story(story: Story, estate: Estate, lang: str) -> str:
    """What, whom, where, every change of state, every mail with its fate, every remark; plain text."""
    incident, times = story.incident, Times(estate)
    until = incident.ended_ns
    state = pick(lang, "継続中", "open") if until is None else pick(lang, "復旧", "over")
    lines = [
        f"{incident.id}  {incident.title(lang)}",
        f"  {severity_text(incident.severity, lang)}  {state}  {scope_text(incident, lang)}",
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
        words = pick(lang, *entry.words)
        lines.append(f"  {times.full(entry.at_ns)}  {subject_name(subject, estate, lang)}  {value}  {words}".rstrip())
    return ["", pick(lang, "■ 根拠", "# Evidence"), *lines] if lines else []


def _changes(story: Story, estate: Estate, lang: str, times: Times) -> list[str]:
    lines = [
        f"  {times.full(step.at_ns)}  {subject_name(Subject.parse(step.subject), estate, lang)}"
        f"  {step_text(step, estate, lang)}"
        for step in story.steps
    ]
    return ["", pick(lang, "■ 状態の変化", "# Changes of state"), *lines] if lines else []


def step_text(step: Step, estate: Estate, lang: str) -> str:
    """By which rule, from which state to which, and why."""
    return (
        f"{_rule_name(step, estate, lang)}  {_state(step.before, lang)} -> {_state(step.after, lang)}"
        f"{pick(lang, '：', ': ')}{reason_text(step, estate.rules.get(step.rule), lang)}"
    )


def _rule_name(step: Step, estate: Estate, lang: str) -> str:
    rule = estate.rules.get(step.rule)
    return step.rule if rule is None or lang == "en" else clean(rule.name.ja, 60)


def reason_text(step: Step, rule: Rule | None, lang: str) -> str:
    """Why a state changed; of a rule that compares with a state, what the reading was."""
    if rule is not None and rule.equals is not None and step.value is not None and step.reason in _OF_LEVELS:
        value = value_text(*split_on(rule), _value(step.value), lang)
        if step.reason in _LASTING:
            return pick(lang, f"「{value}」が続いた", f"the reading stayed {value!r}")
        return pick(lang, f"値は「{value}」", f"the reading was {value!r}")
    return pick(lang, _REASONS.get(step.reason, step.reason), step.reason)


def _value(stored: str) -> FieldValue:
    """A value of a transition, which the store keeps as its text."""
    if stored in {"True", "False"}:
        return stored == "True"
    return int(stored) if stored.lstrip("-").isdigit() else stored


def _state(state: str, lang: str) -> str:
    return pick(lang, _STATES.get(state, state), state)


def mail_text(mail: MailRow, lang: str) -> str:
    """What kind of notice it was, to whom, what became of it, and why it was written."""
    fate = pick(lang, f"{_FATES.get(mail.state, mail.state)} {mail.tries}回", f"{mail.state} {mail.tries}x")
    fate += f" {mail.answer}" if mail.answer else ""
    kind = pick(lang, _KINDS.get(mail.kind, mail.kind), mail.kind)
    why = pick(lang, _WHYS.get(mail.why, mail.why), mail.why)
    return f"{kind} -> {mail.recipient}  [{clean(fate)}]  {why}"


def action_text(action: str, lang: str) -> str:
    """What somebody did, in a word."""
    return pick(lang, _ACTIONS.get(action, action), action)


def _mails(story: Story, lang: str, times: Times) -> list[str]:
    lines = [f"  {times.full(mail.created_ns)}  {mail_text(mail, lang)}" for mail in story.mails]
    return ["", pick(lang, "■ 通知", "# Notices"), *lines] if lines else []


def _remarks(story: Story, lang: str, times: Times) -> list[str]:
    lines = [
        f"  {times.full(entry.at_ns)}  {action_text(entry.action, lang)}"
        f"  {clean(entry.who)} ({clean(entry.origin)})  {clean(entry.text)}".rstrip()
        for entry in story.audit
    ]
    return ["", pick(lang, "■ 対応の記録", "# What people did"), *lines] if lines else []
