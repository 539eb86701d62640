"""Reports about the whole network: month, quarter, half-year, year. One page of what matters, then the proof. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

from poller.reports.changes import Change, change_blocks
from poller.reports.coverage import coverage_blocks
from poller.reports.document import Block, Document, Facts, Form, Heading, Mark, Points
from poller.reports.figures import WAYS
from poller.reports.findings import Finding, findings
from poller.reports.gather import Gathered
from poller.reports.levels import level_blocks
from poller.reports.lines import line_blocks
from poller.reports.pairs import pair_blocks
from poller.reports.parties import (
    device_blocks,
    incident_blocks,
    rule_blocks,
    service_blocks,
    tenant_blocks,
)
from poller.reports.periods import Kind
from poller.reports.telling import Teller

TITLES: Final = {
    Kind.MONTHLY: ("月次報告書", "Monthly capacity review"),
    Kind.QUARTERLY: ("四半期報告書（アラート発生状況と改善提案）", "Quarterly summary of alerts"),
    Kind.SEMIANNUAL: ("半期通信量報告書", "Half-yearly traffic report"),
    Kind.ANNUAL: ("年間運用サマリ", "Yearly summary of operation"),
}


def network_report(gathered: Gathered, lang: str, changed: list[Change] | None = None) -> Document:
    """The document of one period for the meeting of those who share the network.

    changed: since the report before; None where nothing is on record of it.
    """
    teller = Teller(gathered.estate, lang)
    kind = gathered.period.kind

    def changes_part(gathered: Gathered, teller: Teller) -> Iterator[Block]:
        return change_blocks(changed, gathered.period, teller)

    parts: tuple[Callable[[Gathered, Teller], Iterator[Block]], ...] = (
        summary_blocks,
        line_blocks,
        pair_blocks,
        tenant_blocks,
        device_blocks,
        service_blocks,
        incident_blocks,
        level_blocks,
        changes_part,
        coverage_blocks,
    )
    if kind is Kind.QUARTERLY:
        parts = (summary_blocks, incident_blocks, rule_blocks, pair_blocks, level_blocks, changes_part, coverage_blocks)
    organisation = gathered.estate.organisation
    return Document(
        key=f"{kind}-{gathered.period.key}",
        title=teller.say(*TITLES[kind]),
        period=gathered.period.label(lang),
        addressee="",
        organisation=organisation.name.lang(lang),
        lang=lang,
        timezone=organisation.timezone,
        until_ns=gathered.period.end_ns,
        blocks=tuple(block for part in parts for block in part(gathered, teller)),
        logo=organisation.logo,
    )


def summary_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """One page: the key figures, what is well, what is not, what to decide."""
    say = teller.say
    found = findings(gathered, teller)
    yield Heading(say("要約", "Summary"), new_page=True)
    yield Facts(tuple(_facts(gathered, teller)))
    bad = [each for each in found if each.mark is not Mark.GOOD]
    yield Heading(say("良好な点", "What is well"), 2)
    yield _points([each for each in found if each.mark is Mark.GOOD], teller)
    yield Heading(say("注意を要する点", "What is not"), 2)
    yield _points(bad, teller)
    yield Heading(say("ご判断いただきたい点（改善提案）", "What to decide"), 2)
    proposals = [Finding(each.mark, each.proposal) for each in bad if each.proposal]
    yield _points(proposals, teller)


def _points(found: list[Finding], teller: Teller) -> Points:
    if not found:
        return Points(((teller.say("特にありません。", "Nothing."), None),))
    return Points(tuple((each.text, each.mark) for each in found))


def _facts(gathered: Gathered, teller: Teller) -> Iterator[tuple[str, str, str]]:
    value = teller.writer.value
    for line in gathered.lines:
        if not line.is_group or not line.now.bins:
            continue
        top = max(
            (figures.percentile_95.value, way)
            for way in WAYS
            if (figures := line.now.ways[way]).percentile_95 is not None
        )
        share = value(top[0] / line.limit, Form.RATIO)
        yield (
            teller.line(line.id),
            value(top[0], Form.RATE),
            teller.say(
                f"95%値（{teller.short_way(top[1])}）、{teller.limit_word(line)}の{share}",
                f"p95 {teller.short_way(top[1])}, {share} of the {teller.limit_word(line)}",
            ),
        )
    octets = sum(each.now.octets for each in gathered.tenants if each.line == "total")
    count = len({each.tenant for each in gathered.tenants})
    yield (
        teller.say("接続団体の通信量", "Volume of all tenants"),
        value(octets, Form.VOLUME),
        teller.say(f"{count}団体の合計", f"{count} tenants"),
    )
    yield (
        teller.say("障害", "Incidents"),
        teller.say(f"{len(gathered.incidents)}件", str(len(gathered.incidents))),
        teller.say("期間中に発生または継続", "began or lasted in the period"),
    )
