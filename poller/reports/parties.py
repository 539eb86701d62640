"""The parts about tenants, devices, services, faults and the service level. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from poller.alerts.dependencies import Dependencies
from poller.reports.document import Block, Cell, Column, Form, Heading, Mark, Paragraph, Table
from poller.reports.equipment import DeviceFigures, ServiceFigures
from poller.reports.figures import WAYS, change_ratio
from poller.reports.gather import Gathered
from poller.reports.incidents import PastIncident, touched_tenants
from poller.reports.levels import level_cell
from poller.reports.monthcaps import month_cap_tables, month_uses
from poller.reports.telling import MOST_ROWS, Teller, mark_of, provisional
from poller.reports.tenantfigures import Burst, TenantFigures, Violation

SLOW_SECONDS, VERY_SLOW_SECONDS = 3.0, 5.0
_CPU_DESIGN = 0.8


def tenant_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """All tenants, most used first; then the violations of caps."""
    say = teller.say
    yield Heading(say("接続団体の利用状況", "Use by tenants"), new_page=True)
    totals = [each for each in gathered.tenants if each.line == "total"]
    ranked = sorted(totals, key=lambda each: -each.now.octets)
    rows = []
    for place, total in enumerate(ranked, 1):
        own = [each for each in gathered.tenants if each.tenant == total.tenant]
        ratio = cap_use(own)
        seconds = sum(violation.seconds for each in own for violation in each.violations)
        rows.append(
            (
                place,
                teller.tenant(total.tenant),
                *(provisional(percentile_of(total, way), total.now) for way in WAYS),
                total.now.octets,
                change_ratio(total.now.octets, total.octets_before),
                None if ratio is None else Cell(ratio, mark=mark_of(ratio)),
                seconds or None,
            )
        )
    yield Table(
        "tenants",
        say("接続団体別の利用（通信量の多い順）", "Use by tenant, most first"),
        (
            Column("#", Form.COUNT),
            Column(say("接続団体", "tenant"), wide=True),
            *(Column(say(f"95%値 {teller.short_way(w)}", f"p95 {teller.short_way(w)}"), Form.RATE) for w in WAYS),
            Column(say("通信量", "volume"), Form.VOLUME),
            Column(say("前期間比", "change"), Form.CHANGE),
            Column(say("上限に対する最大利用", "highest use of cap"), Form.RATIO),
            Column(say("上限超過時間", "above cap"), Form.DURATION),
        ),
        tuple(rows),
        say(
            "95%値は全回線合計の5分平均の95パーセンタイル値。上限に対する最大利用は、回線・方向ごとの上限のうち最も高いもの"
            "（95パーセンタイル値÷上限）。",
            "p95: all lines together; the highest use of a cap is the 95th percentile over it, line by line.",
        ),
    )
    uses = [
        use
        for each in gathered.tenants
        for use in month_uses(gathered.estate, (each.tenant, each.line), each.months, gathered.period)
    ]
    top = sorted(uses, key=lambda each: -each.ratio)[:MOST_ROWS]
    yield from month_cap_tables(top, teller, with_tenant=True)
    bursts = [burst for each in gathered.tenants for burst in each.bursts]
    if bursts:
        yield burst_table(bursts, teller, with_tenant=True)
    yield from _violations([v for each in gathered.tenants for v in each.violations], teller)


def percentile_of(figures: TenantFigures, way: str) -> float | None:
    """The 95th percentile of one direction, bits per second."""
    found = figures.now.ways[way].percentile_95
    return None if found is None else found.value


def cap_use(own: list[TenantFigures]) -> float | None:
    """The highest use of any sustained cap, by 95th percentile."""
    uses = [
        value / cap for each in own for way, cap in each.caps.items() if (value := percentile_of(each, way)) is not None
    ]
    return max(uses, default=None)


def _violations(found: list[Violation], teller: Teller) -> Iterator[Block]:
    say = teller.say
    if not found:
        yield Paragraph(say("上限を超えた接続団体はありません。", "No tenant was above its cap."))
        return
    yield violation_table(found, teller, with_tenant=True)


def burst_table(found: Sequence[Burst], teller: Teller, *, with_tenant: bool) -> Table:
    """Burst caps that minutes were above, most often first."""
    say = teller.say
    return Table(
        "bursts",
        say("短時間の上限の超過（1分平均）", "Above the burst cap (minutes)"),
        (
            *((Column(say("接続団体", "tenant"), wide=True),) if with_tenant else ()),
            Column(say("回線", "line"), wide=True),
            Column(say("方向", "way")),
            Column(say("超過のあった5分枠", "windows of 5 min"), Form.COUNT),
            Column(say("最大の1分平均", "highest minute"), Form.RATE),
            Column(say("その5分枠", "in the window of"), Form.MOMENT),
            Column(say("上限", "cap"), Form.RATE),
        ),
        tuple(
            (
                *((teller.tenant(each.tenant),) if with_tenant else ()),
                teller.line(each.line),
                teller.short_way(each.direction),
                each.windows,
                each.value,
                each.time_ns,
                each.limit,
            )
            for each in sorted(found, key=lambda each: (-each.windows, each.tenant, each.line))
        ),
    )


def violation_table(found: list[Violation], teller: Teller, *, with_tenant: bool) -> Table:
    """Stretches above the cap, longest first."""
    say = teller.say
    longest = sorted(found, key=lambda each: (-each.seconds, each.since_ns))
    rows = tuple(
        (
            *((teller.tenant(each.tenant),) if with_tenant else ()),
            teller.line(each.line),
            teller.short_way(each.direction),
            each.since_ns,
            each.seconds,
            each.value,
            each.limit,
        )
        for each in longest[:MOST_ROWS]
    )
    more = len(longest) - len(rows)
    return Table(
        "violations",
        say("上限の超過", "Above the cap"),
        (
            *((Column(say("接続団体", "tenant"), wide=True),) if with_tenant else ()),
            Column(say("回線", "line"), wide=True),
            Column(say("方向", "way")),
            Column(say("開始", "since"), Form.MOMENT),
            Column(say("継続", "for"), Form.DURATION),
            Column(say("最大の5分平均", "highest average"), Form.RATE),
            Column(say("上限", "cap"), Form.RATE),
        ),
        rows,
        "" if more <= 0 else say(f"ほか{more}件。長いものから示しています。", f"{more} more; the longest are shown."),
    )


def device_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """CPU, memory and sessions of every device against its design."""
    say = teller.say
    if not gathered.devices:
        return
    yield Heading(say("機器の状況", "Devices"), new_page=True)
    yield Table(
        "devices",
        say("機器の負荷", "Load of the devices"),
        (
            Column(say("機器", "device"), wide=True),
            Column(say("CPU 95%値", "CPU p95"), Form.RATIO),
            Column(say("CPU最大", "CPU peak"), Form.RATIO),
            Column(say("設計値", "design"), Form.RATIO),
            Column(say("メモリ最大", "memory peak"), Form.RATIO),
            Column(say("セッション最大", "sessions peak"), Form.COUNT),
            Column(say("セッション上限", "sessions limit"), Form.COUNT),
            Column(say("上限比", "of limit"), Form.RATIO),
        ),
        tuple(_device_row(each, gathered, teller) for each in gathered.devices),
        say(
            "CPU 95%値は5分平均の95パーセンタイル値。設計値の指定がない機器は80%と比べています。",
            "CPU p95 is over five-minute averages; where no design value is given, 80 % is the measure.",
        ),
    )


def _device_row(each: DeviceFigures, gathered: Gathered, teller: Teller) -> tuple[object, ...]:
    design = gathered.estate.devices[each.device].design_cpu_ratio
    limit = design or _CPU_DESIGN
    sessions = each.sessions_max / each.sessions_limit if each.sessions_max and each.sessions_limit else None
    cpu_mark = Mark.WARNING if each.cpu_95 is not None and each.cpu_95 > limit else None
    return (
        teller.device(each.device),
        each.cpu_95 if cpu_mark is None else Cell(each.cpu_95, mark=cpu_mark),
        each.cpu_max,
        design,
        each.memory_max,
        each.sessions_max,
        each.sessions_limit,
        None if sessions is None else Cell(sessions, mark=mark_of(sessions)),
    )


def service_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """Response times against 3 s and 5 s, availability against the target."""
    say = teller.say
    if not gathered.services:
        return
    yield Heading(say("サービスの応答と稼働率", "Services: response and availability"))
    yield Table(
        "services",
        say("サービスの応答", "Response of the services"),
        (
            Column(say("サービス", "service"), wide=True),
            Column(say("応答 平均", "mean"), Form.SECONDS),
            Column(say("応答 95%値", "p95"), Form.SECONDS),
            Column(say("3秒以内", "within 3 s"), Form.RATIO),
            Column(say("5秒以内", "within 5 s"), Form.RATIO),
            Column(say("稼働率", "availability"), Form.LEVEL),
            Column(say("目標", "target"), Form.LEVEL),
            Column(say("証明書の残り日数", "certificate days"), Form.COUNT),
        ),
        tuple(_service_row(each, teller) for each in gathered.services),
        say(
            "応答は5分ごとの平均。稼働率は、サービス時間のうち使えた時間の割合（計画停止などを除く）。",
            "Response times are five-minute means; availability counts service hours without planned stops.",
        ),
    )


def _service_row(each: ServiceFigures, teller: Teller) -> tuple[object, ...]:
    slow = None
    if each.mean is not None:
        slow = Mark.BAD if each.mean > VERY_SLOW_SECONDS else Mark.WARNING if each.mean > SLOW_SECONDS else None
    days = None if each.certificate_days is None else int(each.certificate_days)
    return (
        teller.service(each.service),
        each.mean if slow is None else Cell(each.mean, mark=slow),
        each.percentile_95,
        each.within_3,
        each.within_5,
        level_cell(each.level, each.coverage_ratio),
        each.level.target,
        days,
    )


def incident_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """Every incident of the period, how many of which kind, and the notifications that came."""
    say = teller.say
    yield Heading(say("障害の状況", "Incidents"))
    if not gathered.incidents:
        yield Paragraph(say("期間中の障害はありません。", "There were no incidents."))
    else:
        counts = Counter(incident.severity for incident in gathered.incidents)
        told = say("、", ", ").join(
            say(f"{teller.severity(severity)} {count}件", f"{count} {teller.severity(severity)}")
            for severity, count in counts.items()
        )
        number = len(gathered.incidents)
        yield Paragraph(say(f"期間中の障害は{number}件です（{told}）。", f"{number} incidents: {told}."))
        yield incident_table(gathered.incidents, gathered, teller)
    if gathered.notifications.height:
        yield _notifications(gathered, teller)


def incident_table(incidents: tuple[PastIncident, ...], gathered: Gathered, teller: Teller) -> Table:
    """Incidents in order of time."""
    say = teller.say
    tree = Dependencies(gathered.estate)
    return Table(
        "incidents",
        say("障害の一覧", "List of incidents"),
        (
            Column(say("番号", "number")),
            Column(say("発生", "began"), Form.MOMENT),
            Column(say("重要度", "severity")),
            Column(say("対象", "subject"), wide=True),
            Column(say("内容", "what"), wide=True),
            Column(say("継続", "lasted"), Form.DURATION),
            Column(say("影響団体", "tenants"), Form.COUNT),
            Column(say("原因区分", "scope")),
            Column(say("一次通知", "1st notice"), Form.DURATION),
            Column(say("二次通知", "2nd notice"), Form.DURATION),
        ),
        tuple(
            (
                incident.id,
                incident.since_ns,
                teller.severity(incident.severity),
                teller.subject(incident.first.subject),
                _title(incident, teller),
                incident.seconds(gathered.period.end_ns),
                len(touched_tenants(incident, tree)),
                teller.scope(incident.scope),
                None if incident.known is None else incident.known.first_notice_seconds,
                None if incident.known is None else incident.known.second_notice_seconds,
            )
            for incident in incidents
        ),
        say(
            "原因区分は、責任分界点のどちら側に原因があったかです。一次通知・二次通知は、障害の確定からの時間です"
            "（目標は1時間以内、2時間以内）。",
            "Scope: the side of the demarcation point. Notices: time from the confirmation of the fault (to be kept: "
            "1 h and 2 h).",
        ),
    )


def rule_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """How often each rule fired, month by month, and on what most: what thresholds are reviewed with."""
    say = teller.say
    alerts = [alert for incident in gathered.incidents for alert in incident.alerts]
    if not alerts:
        return
    months = gathered.period.months
    counts: Counter[tuple[str, int]] = Counter()
    subjects: dict[str, Counter[str]] = {}
    for alert in alerts:
        for number, month in enumerate(months):
            if month.start_ns <= alert.since_ns < month.end_ns:
                counts[alert.rule, number] += 1
        subjects.setdefault(alert.rule, Counter())[alert.subject] += 1
    ordered = sorted(subjects, key=lambda rule: (-subjects[rule].total(), rule))
    yield Heading(say("アラートの発生状況", "Alerts by rule"))
    yield Table(
        "rules",
        say("ルール別のアラート件数", "Alerts by rule and month"),
        (
            Column(say("ルール", "rule"), wide=True),
            *(Column(month.short(teller.lang), Form.COUNT) for month in months),
            Column(say("合計", "total"), Form.COUNT),
            Column(say("最も多い対象", "most often"), wide=True),
        ),
        tuple(
            (
                teller.rule(rule),
                *(counts[rule, number] for number in range(len(months))),
                subjects[rule].total(),
                teller.subject(subjects[rule].most_common(1)[0][0]),
            )
            for rule in ordered
        ),
    )


def _title(incident: PastIncident, teller: Teller) -> str:
    known = "" if incident.known is None else incident.known.title(teller.lang)
    return known or teller.rule(incident.first.rule)


def _notifications(gathered: Gathered, teller: Teller) -> Table:
    say = teller.say
    rows = gathered.notifications.head(MOST_ROWS).iter_rows()
    return Table(
        "notifications",
        say("機器からの通知（トラップ）", "Notifications from devices (traps)"),
        (
            Column(say("機器", "device"), wide=True),
            Column(say("通知", "notification"), wide=True),
            Column(say("重要度", "severity")),
            Column(say("件数", "count"), Form.COUNT),
        ),
        tuple(rows),
    )
