"""What was promised, in a mail's words: notices by their deadlines, and the service level (R60a, need N31)."""

from collections.abc import Iterable

from poller.alerts.incident import Incident
from poller.alerts.servicelevel import ServiceLevel, decision
from poller.alerts.servicereport import FIRST_NOTICE, SECOND_NOTICE
from poller.alerts.subjects import Subject
from poller.alerts.words import EXCLUSIONS, Times, duration_text, pick, subject_name
from poller.estate import Estate


def due_lines(incident: Incident, estate: Estate, lang: str) -> list[str]:
    """When those in charge must have been told."""
    times = Times(estate)
    first, second = (times.short(incident.serious_from_ns + each) for each in (FIRST_NOTICE, SECOND_NOTICE))
    return [
        pick(
            lang,
            f"報告期限：一次通知 {first}（検知から1時間）、二次通知 {second}（2時間）",
            f"Reports are due: first notice {first} (1 h), second notice {second} (2 h)",
        )
    ]


def second_due(incident: Incident, estate: Estate) -> str:
    """When the second notice is due, as 5:12."""
    return Times(estate).short(incident.serious_from_ns + SECOND_NOTICE)


def kept_lines(incident: Incident, estate: Estate, lang: str) -> list[str]:
    """Whether the notices came in time; the second one is what people noted."""
    noted = None if incident.second_notice is None else incident.second_notice.at_ns
    parts = []
    for at_ns, allowed_ns, word in (
        (incident.told.first_ns, FIRST_NOTICE, pick(lang, "一次通知", "First notice")),
        (noted, SECOND_NOTICE, pick(lang, "二次通知", "Second notice")),
    ):
        if at_ns is not None:
            kept = at_ns <= incident.serious_from_ns + allowed_ns
            verdict = pick(lang, "期限内" if kept else "期限超過", "in time" if kept else "late")
            at = Times(estate).clock(at_ns)
            parts.append(pick(lang, f"{word} {at}（{verdict}）", f"{word} {at} ({verdict})"))
    return [pick(lang, "、", ", ").join(parts)] if parts else []


def level_lines(incident: Incident, levels: Iterable[ServiceLevel], estate: Estate, lang: str) -> list[str]:
    """What the incident did to the service level, and what may still be lost this month."""
    lines = []
    for level in levels:
        name = subject_name(Subject.parse(level.subject), estate, lang)
        left = level.allowance_left_seconds or 0.0
        allowed = duration_text(abs(left), lang)
        rest = pick(
            lang,
            f"今月の残り許容時間 {allowed}" if left >= 0 else f"今月の許容時間を {allowed} 超過",
            f"{allowed} left this month" if left >= 0 else f"{allowed} more than the month allows",
        )
        how = _how(incident, level, lang)
        lines.append(pick(lang, f"稼働率：{name} {how}。{rest}", f"Service level of {name}: {how}, {rest}"))
    return lines


def _how(incident: Incident, level: ServiceLevel, lang: str) -> str:
    """Whether it counts."""
    reason, agreed = decision(incident)
    if not reason or not level.excluded_seconds.get(reason):
        return pick(lang, "算入", "counted")
    word = pick(lang, *EXCLUSIONS[reason])
    doubt = "" if agreed else pick(lang, "。要承認", "; to be agreed")
    return pick(lang, f"算入なし（除外理由：{word}{doubt}）", f"left out ({word}{doubt})")
