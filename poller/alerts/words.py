"""How things are called in a mail, in Japanese and English: subjects, conditions, values, times, verdicts.

Text that came from the network or the configuration passes clean() before it stands in a header or a line (R77).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.incidents import Incident, Member
from poller.alerts.rules import split_on
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject, entries_by_kind
from poller.estate import Estate, Rule, Severity
from poller.sample import FieldValue
from poller.schema import SCHEMA
from poller.units import format_rate, format_volume

_SPACE: Final = re.compile(r"\s+")
LONGEST: Final = 200


def clean(text: str, longest: int = LONGEST) -> str:
    """One line without control, format or private characters, cut at `longest`: fit for a header, a log and a page.

    Line breaks become spaces, so nothing can begin a header of its own; bidirectional overrides go too.
    """
    flat = _SPACE.sub(" ", text)
    kept = "".join(sign for sign in flat if unicodedata.category(sign)[0] != "C").strip()
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


_DOWN: Final[Mapping[tuple[str, FieldValue], tuple[str, str]]] = {
    ("device.up", False): ("応答なし", "not answering"),
    ("circuit.state", "down"): ("断", "down"),
    ("circuit.state", "degraded"): ("品質低下", "degraded"),
    ("line_group.state", "down"): ("断", "down"),
    ("line_group.state", "degraded"): ("品質低下", "degraded"),
    ("service.up", False): ("利用不可", "not usable"),
    ("interface.oper_status", 2): ("リンク断", "link down"),
}
_VALUES: Final[Mapping[tuple[str, FieldValue], tuple[str, str]]] = {
    ("up", True): ("応答あり", "answering"),
    ("up", False): ("応答なし", "not answering"),
    ("service.up", True): ("利用可", "usable"),
    ("service.up", False): ("利用不可", "not usable"),
    ("oper_status", 1): ("リンク up", "link up"),
    ("oper_status", 2): ("リンク down", "link down"),
    ("state", "up"): ("正常", "up"),
    ("state", "down"): ("断", "down"),
    ("state", "degraded"): ("品質低下", "degraded"),
    ("state", "unknown"): ("不明", "unknown"),
    ("ha_role", "active"): ("稼働系", "active"),
    ("ha_role", "standby"): ("待機系", "standby"),
    ("ha_role", "member"): ("構成員", "member"),
    ("ha_role", "alone"): ("単独（相手なし）", "alone, without its partner"),
    ("near", "up"): ("当方の端 応答あり", "our edge answers"),
    ("near", "down"): ("当方の端 応答なし", "our edge does not answer"),
    ("near", "unknown"): ("当方の端 不明", "our edge unknown"),
    ("far", "up"): ("契約の向こう端 応答あり", "far edge of the contract answers"),
    ("far", "down"): ("契約の向こう端 応答なし", "far edge of the contract does not answer"),
    ("far", "unknown"): ("契約の向こう端 不明", "far edge of the contract unknown"),
    ("beyond", "up"): ("その先 応答あり", "a place beyond answers"),
    ("beyond", "down"): ("その先 応答なし", "nothing beyond answers"),
    ("beyond", "unknown"): ("その先 不明", "beyond unknown"),
}
_SEVERITIES: Final = {Severity.SERIOUS: "重大", Severity.MINOR: "軽微", Severity.NOTICE: "通知"}
DIRECTIONS: Final[Mapping[str, tuple[str, str]]] = {"in": ("下り", "inward"), "out": ("上り", "outward")}
EXCLUSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "planned": ("計画作業", "planned"),
    "other_party": ("回線事業者など他者の障害", "another party's fault"),
    "disaster": ("災害", "disaster"),
    "unknown": ("監視の断", "not watched"),
}
"""Why an outage is left out of the service level."""
REMARKS: Final[Mapping[str, tuple[str, str]]] = {
    "acknowledge": ("確認", "acknowledged"),
    "comment": ("記録", "comment"),
    "second_notice": ("二次通知", "second notice"),
    "exclude": ("稼働率の扱い", "service level"),
}
_SCOPES: Final = {"inside": "範囲内", "outside": "範囲外"}


def pick(lang: str, ja: str, en: str) -> str:
    """The words in "ja" or "en"."""
    return en if lang == "en" else ja


def severity_text(severity: Severity, lang: str) -> str:
    """How much it matters, in a word."""
    return pick(lang, _SEVERITIES[severity], severity.value)


def scope_word(scope: str, lang: str) -> str:
    """Which side of the demarcation point, in a word."""
    return pick(lang, _SCOPES.get(scope, "未判定"), scope)


def join(names: Iterable[str], lang: str) -> str:
    """A list as it is written in the language."""
    return pick(lang, "、", ", ").join(names)


def subject_name(subject: Subject, estate: Estate, lang: str) -> str:
    """What people call the subject: its name in the estate, its id beside it where they differ."""
    if subject.kind == "service_level":
        return subject_name(Subject(subject.part, subject.id), estate, lang)
    entry = entries_by_kind(estate).get(subject.kind, {}).get(subject.id)
    name = clean(entry.name.lang(lang), 60) if entry is not None else subject.id
    if subject.kind == "tenant":
        line = estate.line_groups.get(subject.part) or estate.circuits.get(subject.part)
        return f"{name} {clean(line.name.lang(lang), 60)}" if line is not None else name
    if subject.kind == "forecast":
        return f"{name} {pick(lang, *DIRECTIONS.get(subject.part, (subject.part, subject.part)))}"
    if subject.part:
        return f"{name} {clean(subject.part, 60)}"
    return name


def condition(rule: Rule, lang: str) -> str:
    """What is wrong, in a word or two."""
    known = _DOWN.get((rule.on, rule.equals)) if rule.equals is not None else None
    return pick(lang, *known) if known is not None else clean(rule.name.lang(lang), 80)


def value_text(measurement: str, field: str, value: FieldValue | None, lang: str) -> str:
    """A value with its unit, as people write it."""
    if value is None:
        return pick(lang, "値なし", "no value")
    worded = _worded(measurement, field, value, lang)
    if worded is not None:
        return worded
    return clean(str(value), 80) if isinstance(value, str | bool) else amount_text(measurement, field, value, lang)


def amount_text(measurement: str, field: str, value: float, lang: str) -> str:  # noqa: PLR0911 - one a unit
    """A number with its unit."""
    unit = SCHEMA[measurement].field(field).unit
    if unit == "bits/s":
        return format_rate(value)
    if unit == "octets":
        return format_volume(int(value))
    if unit == "ratio":
        return _percent(value * 100)
    if unit == "days":
        return pick(lang, f"{value:.0f}日", f"{value:.0f} days")
    if unit == "s" and 0 < value < 1:
        return f"{value * 1000:.3g} ms"
    if unit == "s":
        return pick(lang, f"{value:.2f}秒", f"{value:.2f} s")
    return f"{value:g}" if unit == "1" else f"{value:g} {unit}"


def _percent(percent: float) -> str:
    """Two significant digits, and as many more as tell an availability from 100 %."""
    if 99 < percent < 100:  # noqa: PLR2004 - 99.95 % is not 100 %
        return f"{percent:.3f}".rstrip("0").rstrip(".") + "%"
    small = abs(percent) < 10 and percent != int(percent)  # noqa: PLR2004 - two significant digits
    return f"{percent:.1f}%" if small else f"{percent:.0f}%"


def _worded(measurement: str, field: str, value: FieldValue, lang: str) -> str | None:
    """A value that has words of its own; None for the others."""
    if field == "path":
        return path_text(str(value), lang)
    if field == "other_line":
        return _worded(measurement, "state", value, lang)
    if field == "notification":
        return pick(lang, f"トラップ {clean(str(value), 80)}", f"trap {clean(str(value), 80)}")
    if measurement == "forecast" and field.startswith("days_to_"):
        if value == 0:
            return pick(lang, "既に到達", "reached already")
        return pick(lang, f"あと{value:.0f}日", f"in {value:.0f} days")
    known = _VALUES.get((f"{measurement}.{field}", value)) or _VALUES.get((field, value))
    return pick(lang, *known) if known is not None else None


def path_text(words: str, lang: str) -> str:
    """How far packets got, from evidence.path_words: what several ways found alike is said once."""
    found: dict[str, list[str]] = {}
    for part in words.split("; "):
        way, _, rest = part.partition(" ")
        said, _, where = rest.partition(" ")
        ttl, _, address = where.partition(" ")
        hop = {
            "reached": (f"{address} に到達", f"reaches {address}"),
            "passed": (f"{address}（{ttl}ホップ目）まで", f"gets as far as {address}, hop {ttl}"),
            "refused": (f"{address}（{ttl}ホップ目）が到達不能と応答", f"is refused by {address}, hop {ttl}"),
        }.get(said, ("どこからも応答なし", "nobody answers"))
        found.setdefault(pick(lang, *hop), []).append(way.upper())
    ways = [f"{join(names, lang)} {hop}" for hop, names in found.items()]
    return clean(pick(lang, "経路調査：", "path: ") + pick(lang, "、", "; ").join(ways))


def threshold_text(rule: Rule, lang: str) -> str:
    """The level that was passed; empty where the rule compares with a state."""
    measurement, field = split_on(rule)
    if rule.above_median is not None:
        times = f"{rule.above_median:g}"
        return pick(lang, f"平常値の{times}倍 超", f"more than {times} times its usual value")
    if rule.above is not None:
        level = amount_text(measurement, field, rule.above, lang)
        return pick(lang, f"しきい値 {level} 超", f"threshold above {level}")
    if rule.below is not None:
        level = amount_text(measurement, field, rule.below, lang)
        return pick(lang, f"しきい値 {level} 未満", f"threshold below {level}")
    return ""


def is_silent(member: Member, rule: Rule) -> bool:
    """True where the alert was raised because nothing is heard, and not by a value."""
    return member.value is None and rule.no_data == "raise"


def reading_text(member: Member, rule: Rule, lang: str, *, level: bool = True) -> str:
    """The value that raised the alert with its threshold: "91%（しきい値 80% 超）"; empty for states.

    Of a rule on changes, what it became; of one that raises on silence, that nothing is heard. level False: the value
    alone.
    """
    if is_silent(member, rule):
        return pick(lang, "測定値なし", "no readings")
    if rule.changes and member.value is not None:
        return pick(lang, "→ ", "-> ") + value_text(*split_on(rule), member.value, lang)
    threshold = threshold_text(rule, lang)
    if not threshold or member.value is None:
        return ""
    value = value_text(*split_on(rule), member.value, lang)
    return pick(lang, f"{value}（{threshold}）", f"{value} ({threshold})") if level else value


def scope_text(incident: Incident, lang: str) -> str:
    """Which side of the demarcation point."""
    return {
        "inside": pick(lang, "契約範囲内（当方側）", "inside our contract"),
        "outside": pick(
            lang, "契約範囲外（回線事業者側）の可能性大", "probably outside our contract (provider's side)"
        ),
    }.get(incident.scope, pick(lang, "責任分界点のどちら側かは未判定", "side of the demarcation point undetermined"))


def duration_text(seconds: float, lang: str) -> str:
    """A duration such as 53分, 1時間04分, 2日3時間; seconds below a minute."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return pick(lang, f"{whole}秒", f"{whole} s")
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        short = pick(lang, f"{minutes}分", f"{minutes} min")
        return short if not rest else short + pick(lang, f"{rest:02}秒", f" {rest:02} s")
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004 - two days
        return pick(lang, f"{hours}時間{minutes:02}分", f"{hours} h {minutes:02} min")
    days, hours = divmod(hours, 24)
    return pick(lang, f"{days}日{hours}時間", f"{days} d {hours} h")


class Times:
    """Moments in the organisation's time."""

    def __init__(self, estate: Estate) -> None:
        self._zone = ZoneInfo(estate.organisation.timezone)

    def full(self, at_ns: int) -> str:
        """As 2026-11-21 03:12:41."""
        return f"{self._at(at_ns):%Y-%m-%d %H:%M:%S}"

    def clock(self, at_ns: int) -> str:
        """As 03:12:41."""
        return f"{self._at(at_ns):%H:%M:%S}"

    def near(self, at_ns: int, now_ns: int) -> str:
        """The clock within the same day, else with the date."""
        same = self._at(at_ns).date() == self._at(now_ns).date()
        return self.clock(at_ns) if same else self.full(at_ns)

    def short(self, at_ns: int) -> str:
        """As 3:12, for a subject."""
        at = self._at(at_ns)
        return f"{at.hour}:{at.minute:02}"

    def short_near(self, at_ns: int, now_ns: int) -> str:
        """As 3:12, with the date where it is another day's: 11/20 18:01."""
        at = self._at(at_ns)
        same = at.date() == self._at(now_ns).date()
        return self.short(at_ns) if same else f"{at.month}/{at.day} {self.short(at_ns)}"

    def day(self, at_ns: int, lang: str) -> str:
        """As 11月21日(土) 3:12 or Sat 21 Nov 03:12."""
        at = self._at(at_ns)
        if lang == "en":
            return f"{at:%a %d %b %H:%M}"
        return f"{at.month}月{at.day}日({'月火水木金土日'[at.weekday()]}) {at.hour}:{at.minute:02}"

    def local(self, at_ns: int) -> datetime:
        """The local time."""
        return self._at(at_ns)

    def _at(self, at_ns: int) -> datetime:
        return datetime.fromtimestamp(at_ns // SECOND, self._zone)
