"""The last part: how the figures were made, and how much of the period was observed. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from poller.percentiles import BIN_NS
from poller.reports.document import Block, Cell, Column, Form, Heading, Mark, Paragraph, Table
from poller.reports.figures import Traffic
from poller.reports.gather import Gathered
from poller.reports.periods import Period
from poller.reports.telling import Teller

MANY: Final = 10
"""From so many of a kind on they are told in one row."""
WHOLE_RATIO: Final = 0.99
"""Of a period, from which nothing more is said about what was not observed."""


def missing_seconds(traffic: Traffic) -> float:
    """How long of the period nothing was observed."""
    return (traffic.expected - traffic.bins) * BIN_NS / 10**9


def missing_months(months: Sequence[Traffic], period: Period, teller: Teller) -> str:
    """The months of which more than a hundredth was not observed, with the part; "" where there are none.

    Neighbours of which the same part is missing are told together.
    """
    parts = [
        (month, teller.writer.value(1 - traffic.coverage_ratio, Form.RATIO))
        for month, traffic in zip(period.months, months, strict=True)
        if traffic.coverage_ratio < WHOLE_RATIO
    ]
    runs: list[tuple[Period, Period, str]] = []
    for month, share in parts:
        if runs and runs[-1][2] == share and runs[-1][1].after == month.first:
            runs[-1] = (runs[-1][0], month, share)
        else:
            runs.append((month, month, share))
    return teller.say("、", ", ").join(
        f"{first.label(teller.lang)} {share}"
        if first == last
        else f"{first.label(teller.lang)}{teller.say('～', ' to ')}{last.label(teller.lang)} {share}"
        for first, last, share in runs
    )


def missing_sentence(months: Sequence[Traffic], whole: Traffic, period: Period, teller: Teller) -> str:
    """What was not observed, when, and what that means for the figures; "" where nothing is worth saying."""
    told = missing_months(months, period, teller)
    if not told:
        return ""
    lasted = teller.writer.value(missing_seconds(whole), Form.DURATION)
    if whole.provisional:
        meaning = teller.say("このため、期間全体の数値は暫定です。", "The figures of the period are provisional.")
    else:
        meaning = teller.say(
            "期間全体の95%以上を観測できているため、期間全体の数値は確定値です。",
            "At least 95 % of the period was observed, so its figures are final.",
        )
    return teller.say(
        f"観測できなかった時間が合計{lasted}あります（{told}）。{meaning}",
        f"{lasted} in all were not observed ({told}). {meaning}",
    )


def coverage_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """How the figures were made, so that they can be checked."""
    say = teller.say
    yield Heading(say("この報告書の数値について", "About the figures"))
    yield Paragraph(
        say(
            "通信量は機器のカウンター（64ビット）の差分をオクテット単位で1分枠に配分して集計しています。95パーセンタイル値は"
            "5分平均値（観測できた枠のみ）を小さい順に並べ、個数の95%を切り上げた順位の値です。1 Gbpsは10億ビット毎秒、"
            "1 TBは1兆オクテットです。観測できなかった間の通信も、次の測定により通信量に含めています。",
            "Traffic is the difference of the devices' counters, shared octet by octet over aligned minutes. The 95th "
            "percentile is the value at the ceiling rank of the observed five-minute averages. Units are decimal. What "
            "passed while nothing was observed is in the volume, by the next reading.",
        )
    )
    unknown = say("、", ", ").join(_without_rows(gathered, teller))
    if unknown:
        yield Paragraph(
            say(
                f"期間中に記録がまったくない対象：{unknown}。",
                f"Nothing at all was recorded in the period of {unknown}.",
            )
        )
    yield _table(gathered, teller)


def _without_rows(gathered: Gathered, teller: Teller) -> Iterator[str]:
    estate = gathered.estate
    for ids, seen, name in (
        (estate.tenants, {each.tenant for each in gathered.tenants}, teller.tenant),
        (estate.devices, {each.device for each in gathered.devices}, teller.device),
        (estate.services, {each.service for each in gathered.services}, teller.service),
    ):
        yield from (name(id_) for id_ in ids if id_ not in seen)


def _table(gathered: Gathered, teller: Teller) -> Table:
    say, period = teller.say, gathered.period
    rows = [_row(teller.line(each.id), each.now, each.months, period, teller) for each in gathered.lines]
    expected = (period.end_ns - period.start_ns) / 10**9
    rows += _poor(
        say("接続団体", "tenants"),
        [
            (teller.tenant(each.tenant), each.now.coverage_ratio, missing_months(each.months, period, teller))
            for each in gathered.tenants
            if each.line == "total"
        ],
        expected,
        teller,
    )
    devices = [(teller.device(each.device), each.coverage_ratio, "") for each in gathered.devices]
    rows += _poor(say("機器", "devices"), devices, expected, teller)
    services = [(teller.service(each.service), each.coverage_ratio, "") for each in gathered.services]
    rows += _poor(say("サービス", "services"), services, expected, teller)
    return Table(
        "coverage",
        say("観測できた割合", "What was observed"),
        (
            Column(say("対象", "subject"), wide=True),
            Column(say("観測率", "observed"), Form.RATIO),
            Column(say("観測できなかった時間", "not observed"), Form.DURATION),
            Column(say("1%以上観測できなかった月", "months with more than 1 % missing"), wide=True),
        ),
        tuple(rows),
        say(
            "回線はすべて、接続団体・機器・サービスは観測率が99%に満たないものを示しています。",
            "All lines; tenants, devices and services below 99 %.",
        ),
    )


def _poor(what: str, found: list[tuple[str, float, str]], expected: float, teller: Teller) -> list[tuple[object, ...]]:
    """Rows of what was observed less than nearly always; where that is many, one row of the worst."""
    poor = [each for each in found if each[1] < WHOLE_RATIO]
    if len(poor) > MANY:
        worst = min(poor, key=lambda each: each[1])
        name = teller.say(f"{what} {len(poor)}件（最も低い値）", f"{len(poor)} {what} (the lowest)")
        poor = [(name, *worst[1:])]
    return [(name, Cell(ratio, mark=Mark.WARNING), (1 - ratio) * expected, told or None) for name, ratio, told in poor]


def _row(name: str, now: Traffic, months: Sequence[Traffic], period: Period, teller: Teller) -> tuple[object, ...]:
    poor = now.coverage_ratio < WHOLE_RATIO
    ratio = Cell(now.coverage_ratio, mark=Mark.WARNING) if poor else now.coverage_ratio
    return (name, ratio, missing_seconds(now), missing_months(months, period, teller) or None)
