"""What a period's figures mean: what is well, what is not, and what to decide, each with its numbers. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from poller.estate import Severity
from poller.forecast import Forecast
from poller.reports.coverage import missing_sentence
from poller.reports.document import Form, Mark
from poller.reports.figures import WAYS
from poller.reports.gather import Gathered, LineFigures
from poller.reports.monthcaps import MonthUse, month_uses
from poller.reports.parties import SLOW_SECONDS, cap_use
from poller.reports.periods import era_month
from poller.reports.standins import StandIn
from poller.reports.telling import FULL_RATIO, Teller

SOON: Final = timedelta(days=365)
"""A limit reached within this time is something to decide about."""
OFTEN: Final = 3
"""Alerts of one rule about one subject in a quarter that are worth asking why."""
CERTIFICATE_DAYS: Final = 30
_CPU_DESIGN: Final = 0.8


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, how bad it is, and what is proposed ("" where nothing is)."""

    mark: Mark
    text: str
    proposal: str = ""


def findings(gathered: Gathered, teller: Teller) -> list[Finding]:
    """Everything worth saying, the worst first."""
    found = [
        *_lines(gathered, teller),
        *_stand_ins(gathered, teller),
        *_tenants(gathered, teller),
        *_devices(gathered, teller),
        *_services(gathered, teller),
        *_incidents(gathered, teller),
        *_repeated(gathered, teller),
        *_levels(gathered, teller),
        *_coverage(gathered, teller),
    ]
    order = {Mark.BAD: 0, Mark.WARNING: 1, Mark.GOOD: 2}
    return sorted(found, key=lambda each: order[each.mark])


def _next(gathered: Gathered, teller: Teller) -> str:
    """When the next report of this kind is on the table: in the month after the period that follows."""
    following = gathered.period.following.after
    return teller.say(f"{era_month(following)}の報告会", f"the meeting of {following:%B %Y}")


def _lines(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    say, value = teller.say, teller.writer.value
    groups = [line for line in gathered.lines if line.is_group and line.now.bins]
    full = [
        (line, way, figures.percentile_95.value / line.limit)
        for line in groups
        for way in WAYS
        if (figures := line.now.ways[way]).percentile_95 is not None
        and figures.percentile_95.value >= FULL_RATIO * line.limit
    ]
    for line, way, ratio in full:
        name, share = teller.line(line.id), value(ratio, Form.RATIO)
        yield Finding(
            Mark.BAD if ratio > 1 else Mark.WARNING,
            say(
                f"{name}の{teller.way(way)}は95パーセンタイル値が{teller.limit(line)}の{share}です。",
                f"{name}: the 95th percentile {teller.way(way)} is {share} of the {teller.limit(line)}.",
            ),
            say(
                f"{name}の増速または通信の分散を、{_next(gathered, teller)}までにご検討ください"
                f"（{teller.limit(line)}の{share}）。",
                f"Consider more capacity or another path for {name} by {_next(gathered, teller)} "
                f"({share} of the {teller.limit(line)}).",
            ),
        )
    if groups and not full:
        highest, line, way = max(
            (
                (figures.percentile_95.value / line.limit, line, way)
                for line in groups
                for way in WAYS
                if (figures := line.now.ways[way]).percentile_95 is not None
            ),
            key=lambda each: each[0],
        )
        share, name = value(highest, Form.RATIO), teller.line(line.id)
        yield Finding(
            Mark.GOOD,
            say(
                f"すべての回線グループが契約帯域の80%未満でした（最大は{name} {teller.way(way)}の{share}）。",
                f"All line groups stayed below 80 % of their contract (highest: {name} {teller.way(way)}, {share}).",
            ),
        )
    for line in groups:
        yield from _soon(line, gathered, teller)


def _soon(line: LineFigures, gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    for way in WAYS:
        said = line.forecasts[way]
        if not isinstance(said, Forecast):
            continue
        for reached in said.reached:
            if reached.day is None or not said.last < reached.day <= gathered.period.after + SOON:
                continue
            name, share = teller.line(line.id), f"{reached.share:.0%}"
            day = teller.writer.day(reached.day)
            bounds, limit = _bounds(reached.earliest, reached.latest, teller), teller.limit(line)
            yield Finding(
                Mark.WARNING,
                teller.say(
                    f"{name}の{teller.way(way)}は{day}ごろに{limit}の{share}に達する見込みです{bounds}。",
                    f"{name} {teller.way(way)} is expected to reach {share} of the {limit} on {day}{bounds}.",
                ),
                teller.say(
                    f"{name}の増強の要否を、{day}より前にお決めください（{limit}の{share}に達する見込みのため）。",
                    f"Decide about {name} before {day}, when {share} of the {limit} is expected.",
                ),
            )
            break


def _bounds(earliest: date | None, latest: date | None, teller: Teller) -> str:
    if earliest is None:
        return ""
    first = teller.writer.day(earliest)
    if latest is None:
        return teller.say(f"（早ければ{first}）", f" (at the earliest {first})")
    last = teller.writer.day(latest)
    return teller.say(f"（{first}から{last}の間）", f" (between {first} and {last})")


def _stand_ins(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    """Each pair of which the standby had to carry the traffic: how often, how long, the longest when."""
    pairs: dict[tuple[str, str], list[StandIn]] = {}
    for each in gathered.stand_ins:
        pairs.setdefault((each.active, each.standby), []).append(each)
    for (active, standby), found in pairs.items():
        longest = max(found, key=lambda each: each.seconds)
        lasted = teller.writer.value(sum(each.seconds for each in found), Form.DURATION)
        main, backup, since = teller.line(active), teller.line(standby), teller.writer.moment(longest.since_ns)
        yield Finding(
            Mark.WARNING,
            teller.say(
                f"{main}に代わって{backup}が通信を担ったことが{len(found)}回、合計{lasted}ありました"
                f"（最長は{since}から）。",
                f"{backup} carried the traffic in place of {main} {len(found)} times, {lasted} in all "
                f"(longest since {since}).",
            ),
        )


def _tenants(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    say = teller.say
    over: dict[str, float] = {}
    for each in gathered.tenants:
        for violation in each.violations:
            over[each.tenant] = over.get(each.tenant, 0.0) + violation.seconds
    for tenant, seconds in sorted(over.items(), key=lambda item: -item[1]):
        own = [each for each in gathered.tenants if each.tenant == tenant]
        name, lasted = teller.tenant(tenant), teller.writer.value(seconds, Form.DURATION)
        use = cap_use(own)
        share = "" if use is None else teller.writer.value(use, Form.RATIO)
        yield Finding(
            Mark.WARNING,
            say(f"{name}は上限を合計{lasted}超えました。", f"{name} was above its cap for {lasted} in all."),
            say(
                f"{name}と、上限の見直しまたは利用の平準化について{_next(gathered, teller)}までにご協議ください"
                f"（超過{lasted}、95%値は上限の{share}）。",
                f"Talk with {name} about its cap or its use by {_next(gathered, teller)} ({lasted} above, 95th "
                f"percentile {share} of the cap).",
            ),
        )
    exceeded = [
        use
        for each in gathered.tenants
        for use in month_uses(gathered.estate, (each.tenant, each.line), each.months, gathered.period)
        if use.ratio > 1
    ]
    for each_use in exceeded:
        yield _month_exceeded(each_use, gathered, teller)
    if gathered.tenants and not over and not exceeded:
        yield Finding(Mark.GOOD, say("上限を超えた接続団体はありません。", "No tenant was above its cap."))


def _month_exceeded(use: MonthUse, gathered: Gathered, teller: Teller) -> Finding:
    say = teller.say
    name, line, month = teller.tenant(use.tenant), teller.line(use.line), use.month.label(teller.lang)
    form = Form.RATE if use.way else Form.VOLUME
    got, limit = teller.writer.value(use.value, form), teller.writer.value(use.limit, form)
    what = say("95パーセンタイル値", "95th percentile") if use.way else say("通信量", "volume")
    return Finding(
        Mark.WARNING,
        say(
            f"{name}の{month}の{what}（{line}）は{got}で、上限{limit}を超えました。",
            f"{name}: {what} of {month} on {line} was {got}, above the cap of {limit}.",
        ),
        say(
            f"{name}と、月の上限（{line}、{month}は{got}／上限{limit}）について{_next(gathered, teller)}までに"
            "ご協議ください。",
            f"Talk with {name} by {_next(gathered, teller)} about its monthly cap ({line}, {month}: {got} of {limit}).",
        ),
    )


def _devices(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    say, value = teller.say, teller.writer.value
    calm = True
    for each in gathered.devices:
        design = gathered.estate.devices[each.device].design_cpu_ratio or _CPU_DESIGN
        name = teller.device(each.device)
        if each.cpu_95 is not None and each.cpu_95 > design:
            calm = False
            got, limit = value(each.cpu_95, Form.RATIO), value(design, Form.RATIO)
            yield Finding(
                Mark.WARNING,
                say(
                    f"{name}のCPU使用率は95パーセンタイル値が{got}で、設計値{limit}を超えています。",
                    f"{name}: CPU 95th percentile {got}, above its design value {limit}.",
                ),
                say(
                    f"{name}の負荷分散または機種の見直しを、{_next(gathered, teller)}までにご検討ください"
                    f"（95パーセンタイル値{got}、設計値{limit}）。",
                    f"Consider relieving {name} by {_next(gathered, teller)} (95th percentile {got}, design {limit}).",
                ),
            )
        if each.sessions_max and each.sessions_limit and each.sessions_max >= FULL_RATIO * each.sessions_limit:
            calm = False
            share = value(each.sessions_max / each.sessions_limit, Form.RATIO)
            yield Finding(
                Mark.WARNING,
                say(
                    f"{name}のセッション数は最大で上限の{share}でした。",
                    f"{name}: sessions reached {share} of the limit.",
                ),
                say(
                    f"{name}のセッション上限の引上げを、{_next(gathered, teller)}までにご検討ください"
                    f"（最大で上限の{share}）。",
                    f"Consider a higher session limit for {name} by {_next(gathered, teller)} ({share} reached).",
                ),
            )
    if gathered.devices and calm:
        yield Finding(
            Mark.GOOD,
            say(
                "すべての機器のCPUとセッション数は設計値の範囲内です。",
                "All devices stayed within their design values.",
            ),
        )


def _services(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    say, value = teller.say, teller.writer.value
    for each in gathered.services:
        name = teller.service(each.service)
        if each.mean is not None and each.mean > SLOW_SECONDS:
            got = value(each.mean, Form.SECONDS)
            yield Finding(
                Mark.WARNING,
                say(f"{name}の応答は平均{got}で、3秒を超えています。", f"{name}: mean response {got}, above 3 s."),
                say(
                    f"{name}の応答が遅い原因を、{_next(gathered, teller)}までに調べます（平均{got}）。",
                    f"{name}: why it is slow will be found out by {_next(gathered, teller)} (mean {got}).",
                ),
            )
        if each.certificate_days is not None and each.certificate_days < CERTIFICATE_DAYS:
            days = int(each.certificate_days)
            ends = teller.writer.day(gathered.period.after + timedelta(days=days))
            yield Finding(
                Mark.WARNING,
                say(f"{name}の証明書の有効期限は残り{days}日です。", f"{name}: its certificate ends in {days} days."),
                say(f"{name}の証明書を{ends}までに更新してください。", f"Renew the certificate of {name} by {ends}."),
            )


def _incidents(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    say = teller.say
    serious = [each for each in gathered.incidents if each.severity is Severity.SERIOUS]
    if serious:
        longest = max(serious, key=lambda each: each.seconds(gathered.period.end_ns))
        lasted = teller.writer.value(longest.seconds(gathered.period.end_ns), Form.DURATION)
        what = teller.subject(longest.first.subject)
        yield Finding(
            Mark.BAD,
            say(
                f"重大な障害が{len(serious)}件ありました（最長は{what}の{lasted}）。",
                f"{len(serious)} serious incidents (longest: {what}, {lasted}).",
            ),
        )
    else:
        yield Finding(Mark.GOOD, say("重大な障害はありませんでした。", "There was no serious incident."))


def _repeated(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    """What alerted again and again: its cause wants to be found, or its threshold reviewed."""
    counts = Counter((alert.rule, alert.subject) for incident in gathered.incidents for alert in incident.alerts)
    often = max(OFTEN, OFTEN * len(gathered.period.months) // 3)
    for (rule, subject), count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        if count < often or subject.startswith("tenant/"):
            continue  # what tenants did above their caps is told with its length
        name, what = teller.subject(subject), teller.rule(rule)
        due = _next(gathered, teller)
        yield Finding(
            Mark.WARNING,
            teller.say(
                f"{name}で「{what}」のアラートが{count}回ありました。",
                f"{name}: {count} alerts of the rule {what}.",
            ),
            teller.say(
                f"{name}の「{what}」（{count}回）について、回線事業者に原因と再発防止策の報告を{due}までにお求めください。",
                f"Ask the provider of {name} by {due} why {what} came {count} times and what prevents it.",
            )
            if subject.startswith("circuit/")
            else teller.say(
                f"{name}の「{what}」（{count}回）の原因の除去またはしきい値の見直しを、{due}までにご検討ください。",
                f"Remove the cause of {what} at {name} ({count} times) or review the threshold by {due}.",
            ),
        )


def _levels(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    say, value = teller.say, teller.writer.value
    levels = [*gathered.levels, *(each.level for each in gathered.services)]
    promised = [level for level in levels if level.target is not None and level.availability is not None]
    missed = [level for level in promised if (level.availability or 0.0) < (level.target or 0.0)]
    for level in missed:
        name = teller.subject(level.subject)
        got, target = value(level.availability, Form.LEVEL), value(level.target, Form.LEVEL)
        yield Finding(
            Mark.BAD,
            say(
                f"{name}の稼働率は{got}で、目標{target}に届いていません。",
                f"{name}: availability {got}, target {target}.",
            ),
            say(
                f"{name}の停止の原因と再発防止策を、{_next(gathered, teller)}までにご確認ください"
                f"（稼働率{got}、目標{target}）。",
                f"Review what stopped {name} by {_next(gathered, teller)} (availability {got}, target {target}).",
            ),
        )
    if promised and not missed:
        yield Finding(
            Mark.GOOD,
            say(
                f"目標のある{len(promised)}項目すべてで稼働率の目標を達成しました。",
                f"All {len(promised)} availability targets were met.",
            ),
        )


def _coverage(gathered: Gathered, teller: Teller) -> Iterator[Finding]:
    say, value = teller.say, teller.writer.value
    for line in (each for each in gathered.lines if each.is_group and each.now.bins):
        share = value(line.now.coverage_ratio, Form.RATIO)
        name = teller.line(line.id)
        if not line.now.provisional:
            missing = missing_sentence(line.months, line.now, gathered.period, teller)
            if missing:
                yield Finding(Mark.WARNING, say(f"{name}：{missing}", f"{name}: {missing}"))
            continue
        yield Finding(
            Mark.WARNING,
            say(
                f"{name}は観測できた割合が{share}のため、数値は暫定です。",
                f"{name}: only {share} of the period was observed; its figures are provisional.",
            ),
        )
