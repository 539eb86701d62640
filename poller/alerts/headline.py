"""What is broken and how: in half a line (the title of an incident, the heart of every subject), and as a sentence."""

from dataclasses import dataclass
from typing import Final

from poller.alerts.incident import Incident, Member
from poller.alerts.isolation import ISOLATION
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.alerts.words import clean, condition, is_silent, pick, reading_text, subject_name, threshold_text
from poller.estate import Estate, Rule

TOGETHER: Final = 300 * SECOND
"""Alerts of a closed incident that ended within this time ended together."""
_STATES: Final = {
    "応答なし": "が応答していません。",
    "断": "が断です。",
    "品質低下": "の品質が低下しています。",
    "利用不可": "が利用できません。",
    "リンク断": "のリンクが断です。",
}
"""A state's word in a title (words.condition), and the end of the sentence that says it."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a title is made of; all_of: that it is all of a group; value: the reading, empty for states."""

    name: str
    all_of: str
    what: str
    value: str

    @property
    def whole(self) -> str:
        """The name, and in brackets that it is all of it."""
        return f"{self.name}（{self.all_of}）" if self.all_of else self.name


def headline(incident: Incident, estate: Estate, lang: str) -> str:
    """What is broken and how, in half a line."""
    root = incident.root_member
    rule = estate.rules.get(root.rule)
    subject = Subject.parse(root.subject)
    if rule is None:
        return subject_name(subject, estate, lang)
    parts = _parts(incident, rule, estate, lang)
    if subject.kind == "daemon":
        part = clean(subject.part, 60)
        whole = pick(lang, f"{parts.what}（{part}）", f"{parts.what} ({part})")
        return parts.what if subject == ISOLATION or not part else whole
    if is_silent(root, rule):
        return pick(
            lang,
            f"{parts.name} 測定値が届かない（{parts.what}）",
            f"{parts.name}: no readings arrive ({parts.what})",
        )
    if subject.kind == "notification":
        about = clean(subject.part, 60)
        return pick(lang, f"{parts.name} {parts.what}（{about}）", f"{parts.name}: {parts.what} ({about})")
    colon = "" if rule.equals is not None else pick(lang, "", ":")
    return f"{parts.name}{colon} {parts.all_of}{parts.what}{' ' + parts.value if parts.value else ''}"


def sentence(incident: Incident, estate: Estate, lang: str) -> str:
    """What is wrong, as the first line of a mail says it."""
    root = incident.root_member
    rule = estate.rules.get(root.rule)
    if rule is None or lang == "en":
        return f"{_with_level(headline(incident, estate, lang), root, rule, lang)}{pick(lang, 'の状態です。', '.')}"
    parts = _parts(incident, rule, estate, lang)
    return _state(root, rule, parts) or _finding(root, rule, parts)


def _state(root: Member, rule: Rule, parts: _Parts) -> str:
    """The Japanese sentence of a state; empty for what is measured or told."""
    if Subject.parse(root.subject) == ISOLATION:
        return "監視対象の大半に到達できません。監視装置が孤立しています。"
    if is_silent(root, rule):
        return f"{parts.name}の測定値が届いていません（{parts.what}）。"
    if parts.what in _STATES and rule.equals is not None:
        return f"{parts.whole}{_STATES[parts.what]}"
    return ""


def _finding(root: Member, rule: Rule, parts: _Parts) -> str:
    """The Japanese sentence of what a rule found that has a name of its own."""
    subject = Subject.parse(root.subject)
    if subject.kind == "notification":
        return f"{parts.name}から「{parts.what}」を受信しました（トラップ {clean(subject.part, 60)}）。"
    if subject.kind == "forecast":
        share = rule.on.rpartition("_")[2]
        when = "既に" if root.value == 0 else f"{parts.value}で"
        return f"{parts.name}は、この増え方が続くと{when}契約上限の{share}％に達する見込みです。"
    where = "監視装置自身" if subject.kind == "daemon" else parts.name
    reading = ""
    if parts.value:
        level = threshold_text(rule, "ja")
        now = parts.value.removeprefix("→ ")
        reading = f"現在は「{now}」です。" if rule.changes else f"測定値は{now}（{level}）です。"
    return f"{where}で「{parts.what}」を検知しました。{reading}"


def ending(incident: Incident, estate: Estate, lang: str) -> str:
    """That it is over, as the first line of a mail says it."""
    root = incident.root_member
    rule = estate.rules.get(root.rule)
    what = headline(incident, estate, lang)
    if rule is None or lang == "en":
        return pick(lang, f"{what}は復旧しました。", f"{what}: this is over.")
    parts = _parts(incident, rule, estate, lang)
    if parts.what in _STATES and rule.equals is not None:
        return f"{parts.whole}は復旧しました。"
    if root.subject.startswith("daemon/"):
        return f"「{parts.what}」は解消しました。"
    return f"{parts.name}の「{parts.what}」は解消しました。"


def wavering(incident: Incident, estate: Estate, lang: str) -> str:
    """That it comes and goes, as the first line of a mail about flapping says it."""
    rule = estate.rules.get(incident.root_member.rule)
    title = headline(incident, estate, lang)
    if rule is None or lang == "en":
        return pick(lang, f"{title}を短時間に繰り返しています。", f"{title}: it comes and goes.")
    parts = _parts(incident, rule, estate, lang)
    return f"{parts.whole}が、短時間に「{parts.what}」と正常とを繰り返しています。"


def _with_level(title: str, root: Member, rule: Rule | None, lang: str) -> str:
    level = "" if rule is None or root.value is None else threshold_text(rule, lang)
    return f"{title} ({level})" if level else title


def _parts(incident: Incident, rule: Rule, estate: Estate, lang: str) -> _Parts:
    root = incident.root_member
    subject = Subject.parse(root.subject)
    device = Subject("device", subject.id) if subject.kind == "notification" else subject
    name, all_of = subject_name(device, estate, lang), ""
    together = {
        member.subject
        for member in incident.members
        if member.rule == root.rule and member.inhibited_by is None and _counts(member, incident)
    }
    group = estate.redundancy_groups.get(incident.anchor.partition("/")[2])
    if len(together) > 1 and incident.anchor.startswith("group/") and group is not None:
        name, all_of = clean(group.name.lang(lang), 60), _all_of(subject, len(together), lang)
    elif subject.kind == "line_group" and rule.equals == "down":
        all_of = _all_of(subject, len(estate.line_groups[subject.id].members), lang)
    value = "" if rule.equals is not None or is_silent(root, rule) else reading_text(root, rule, lang, level=False)
    return _Parts(name, all_of, condition(rule, lang), value)


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
