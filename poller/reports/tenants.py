"""The report of one tenant: that tenant alone, its lines, its services, the faults that touched it, the terms. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from poller.alerts.dependencies import Dependencies
from poller.estate import Estate
from poller.reports.coverage import missing_sentence
from poller.reports.document import Block, Column, Document, Facts, Form, Heading, Paragraph, Table
from poller.reports.equipment import ServiceFigures
from poller.reports.figures import WAYS
from poller.reports.incidents import PastIncident, touched_tenants
from poller.reports.levels import level_cell
from poller.reports.lines import days_chart, months_table
from poller.reports.monthcaps import month_cap_tables, month_uses
from poller.reports.parties import burst_table, percentile_of, violation_table
from poller.reports.periods import Kind, Period
from poller.reports.telling import Teller, mark_of, provisional
from poller.reports.tenantfigures import TenantFigures

TENANT_TITLES: Final = {
    Kind.MONTHLY: ("月次通信量報告書", "Monthly traffic report"),
    Kind.QUARTERLY: ("四半期通信量報告書", "Quarterly traffic report"),
    Kind.SEMIANNUAL: ("半期通信量報告書", "Half-yearly traffic report"),
    Kind.ANNUAL: ("年間通信量報告書", "Yearly traffic report"),
}


@dataclass(frozen=True, slots=True)
class TenantReport:
    """What a report of one tenant is made of: nothing of any other tenant."""

    estate: Estate
    period: Period
    tenant: str
    lines: Sequence[TenantFigures]
    services: Sequence[ServiceFigures]
    incidents: Sequence[PastIncident]


def incidents_by_tenant(incidents: Sequence[PastIncident], estate: Estate) -> dict[str, list[PastIncident]]:
    """The incidents that touched each tenant."""
    tree = Dependencies(estate)
    found: dict[str, list[PastIncident]] = {tenant: [] for tenant in estate.tenants}
    for incident in incidents:
        for tenant in touched_tenants(incident, tree):
            found[tenant].append(incident)
    return found


def tenant_report(report: TenantReport, lang: str) -> Document:
    """The document."""
    teller = Teller(report.estate, lang)
    organisation = report.estate.organisation
    return Document(
        key=f"{report.period.kind}-{report.period.key}-{report.tenant}",
        title=teller.say(*TENANT_TITLES[report.period.kind]),
        period=report.period.label(lang),
        addressee=teller.say(f"{teller.tenant(report.tenant)} 御中", teller.tenant(report.tenant)),
        organisation=organisation.name.lang(lang),
        lang=lang,
        timezone=organisation.timezone,
        until_ns=report.period.end_ns,
        blocks=(
            *_summary(report, teller),
            *_lines(report, teller),
            *_services(report, teller),
            *_incidents(report, teller),
            *_terms(teller),
        ),
        logo=organisation.logo,
    )


def _summary(report: TenantReport, teller: Teller) -> Iterator[Block]:
    say, value = teller.say, teller.writer.value
    name = teller.tenant(report.tenant)
    yield Heading(say("要約", "Summary"), new_page=True)
    yield Paragraph(
        say(
            f"{name}の{report.period.span('ja')}の通信量をご報告します。",
            f"The traffic of {name}, {report.period.span('en')}.",
        )
    )
    total = next((each for each in report.lines if each.line == "total"), None)
    if total is None or not total.now.bins:
        yield Paragraph(say("この期間の通信量の記録はありません。", "Nothing was recorded in this period."))
        return
    facts = [
        (
            say("通信量の合計", "Volume"),
            value(total.now.octets, Form.VOLUME),
            say(f"{total.now.octets:,}オクテット", f"{total.now.octets:,} octets"),
        )
    ]
    facts += [
        (
            say(f"95パーセンタイル値 {teller.way(way)}", f"95th percentile {teller.way(way)}"),
            value(percentile_of(total, way), Form.RATE),
            say("全回線合計", "all lines together"),
        )
        for way in WAYS
    ]
    yield Facts(tuple(facts))
    missing = missing_sentence(total.months, total.now, report.period, teller)
    if missing:
        yield Paragraph(missing)
    yield _use(report, teller)
    seconds = sum(violation.seconds for each in report.lines for violation in each.violations)
    lasted = value(seconds, Form.DURATION)
    if seconds:
        yield Paragraph(say(f"上限を超えた時間は合計{lasted}です。", f"The caps were exceeded for {lasted} in all."))
    elif any(each.caps for each in report.lines):
        yield Paragraph(say("上限を超えた時間はありません。", "The caps were never exceeded."))


def _use(report: TenantReport, teller: Teller) -> Table:
    say = teller.say
    rows: list[tuple[object, ...]] = []
    for each in report.lines:
        for way in WAYS:
            figures = each.now.ways[way]
            value, cap, peak = percentile_of(each, way), each.caps.get(way), figures.peak
            ratio = value / cap if value is not None and cap else None
            rows.append(
                (
                    teller.line(each.line),
                    teller.short_way(way),
                    provisional(value, each.now),
                    cap,
                    provisional(ratio, each.now, mark_of(ratio)),
                    None if peak is None else peak.value,
                    None if peak is None else peak.time_ns,
                    figures.octets,
                )
            )
    return Table(
        "lines",
        say("回線別の利用状況", "Use by line"),
        (
            Column(say("回線", "line"), wide=True),
            Column(say("方向", "way")),
            Column(say("95パーセンタイル値", "95th percentile"), Form.RATE),
            Column(say("上限", "cap"), Form.RATE),
            Column(say("上限比", "of cap"), Form.RATIO),
            Column(say("最大", "peak"), Form.RATE),
            Column(say("最大の時刻", "peak at"), Form.MOMENT),
            Column(say("オクテット", "octets"), Form.COUNT),
        ),
        tuple(rows),
        teller.coverage_note() if any(each.now.provisional for each in report.lines) else "",
    )


def _lines(report: TenantReport, teller: Teller) -> Iterator[Block]:
    say = teller.say
    for each in report.lines:
        name = teller.line(each.line)
        yield Heading(say(f"{name}の通信量", f"Traffic: {name}"), new_page=True)
        for way in WAYS:
            cap = each.caps.get(way)
            limits = () if cap is None else ((say("上限", "cap"), float(cap)),)
            yield days_chart(f"{each.line}-{way}", name, way, each.days[way], limits, teller)
        yield months_table(f"months-{each.line}", each.months, report.period, teller)
    uses = [
        use
        for each in report.lines
        for use in month_uses(report.estate, (report.tenant, each.line), each.months, report.period)
    ]
    if uses:
        yield Heading(say("月ごとの上限", "Caps of a month"))
        yield from month_cap_tables(uses, teller, with_tenant=False)
    violations = [violation for each in report.lines for violation in each.violations]
    bursts = [burst for each in report.lines for burst in each.bursts]
    if violations or bursts:
        yield Heading(say("上限の超過", "Above the cap"))
    if violations:
        yield violation_table(violations, teller, with_tenant=False)
    if bursts:
        yield burst_table(bursts, teller, with_tenant=False)


def _services(report: TenantReport, teller: Teller) -> Iterator[Block]:
    say = teller.say
    if not report.services:
        return
    yield Heading(say("共同利用サービスの状況", "Shared services"), new_page=True)
    yield Table(
        "services",
        say("応答と稼働率", "Response and availability"),
        (
            Column(say("サービス", "service"), wide=True),
            Column(say("応答 平均", "mean response"), Form.SECONDS),
            Column(say("応答 95%値", "p95"), Form.SECONDS),
            Column(say("稼働率", "availability"), Form.LEVEL),
            Column(say("目標", "target"), Form.LEVEL),
        ),
        tuple(
            (
                teller.service(each.service),
                each.mean,
                each.percentile_95,
                level_cell(each.level, each.coverage_ratio),
                each.level.target,
            )
            for each in report.services
        ),
    )


def _incidents(report: TenantReport, teller: Teller) -> Iterator[Block]:
    say = teller.say
    yield Heading(say("影響のあった障害", "Incidents that touched you"))
    if not report.incidents:
        yield Paragraph(say("期間中に影響のあった障害はありません。", "No incident touched you in this period."))
        return
    own = f"tenant/{report.tenant}"
    yield Table(
        "incidents",
        say("障害の一覧", "List of incidents"),
        (
            Column(say("番号", "number")),
            Column(say("発生", "began"), Form.MOMENT),
            Column(say("重要度", "severity")),
            Column(say("対象", "subject"), wide=True),
            Column(say("内容", "what"), wide=True),
            Column(say("継続", "lasted"), Form.DURATION),
        ),
        tuple(
            (
                incident.id,
                incident.since_ns,
                teller.severity(incident.severity),
                _subject(incident, own, teller),
                teller.rule(incident.first.rule),
                incident.seconds(report.period.end_ns),
            )
            for incident in report.incidents
        ),
    )


def _subject(incident: PastIncident, own: str, teller: Teller) -> str:
    """What failed; never the name of another tenant."""
    subjects = [alert.subject for alert in incident.alerts]
    fitting = [each for each in subjects if not each.startswith("tenant/") or each.startswith((f"{own}/", own))]
    first = incident.first.subject
    chosen = first if first in fitting else next(iter(fitting), "")
    return teller.subject(chosen) if chosen else teller.say("共同利用の設備", "shared equipment")


def _terms(teller: Teller) -> Iterator[Block]:
    say = teller.say
    yield Heading(say("用語の説明", "Terms"))
    terms = (
        (
            ("下り・上り", "in, out"),
            (
                "接続団体に向かう通信が下り（受信）、接続団体から出る通信が上り（送信）です。",
                "Towards the tenant is in, away from it is out.",
            ),
        ),
        (
            ("95パーセンタイル値", "95th percentile"),
            (
                "5分ごとの平均を小さい順に並べ、個数の95%（切上げ）の順位にある値です。短い混雑を除いた最大利用を表します。",
                "The value at the ceiling rank of 95 % of the five-minute averages: the use without short bursts.",
            ),
        ),
        (
            ("上限", "cap"),
            (
                "接続団体ごとに定めた5分平均の上限です。5分平均が上限を上回った時間を超過時間としています。",
                "What a tenant may use as a five-minute average; the time above it is counted.",
            ),
        ),
        (
            ("最大", "peak"),
            ("1分平均のうち最も大きい値です。", "The highest average of one minute."),
        ),
        (
            ("観測率・暫定", "observed, provisional"),
            (
                "期間のうち観測できた割合です。95%に満たないときは「暫定」と記し、割合を示します。",
                "The part of the period that was seen; below 95 % a figure is provisional and the part is given.",
            ),
        ),
        (
            ("単位", "units"),
            (
                "1 Mbpsは100万ビット毎秒、1 GBは10億オクテット（1オクテットは8ビット）です。",
                "1 Mbps is a million bits per second, 1 GB a thousand million octets of eight bits.",
            ),
        ),
    )
    yield Table(
        "terms",
        say("この報告書で使う言葉", "Words of this report"),
        (Column(say("用語", "term")), Column(say("意味", "meaning"), wide=True)),
        tuple((say(*term), say(*meaning)) for term, meaning in terms),
    )
