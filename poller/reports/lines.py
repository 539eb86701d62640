"""The part about lines: use against the contract, change, busy hours, forecast, switch-overs. Pure."""

from collections.abc import Iterator

from poller.forecast import Refusal
from poller.forecastwords import words
from poller.reports.document import Block, Cell, Chart, Column, Form, Heading, HeatMap, Line, Mark, Paragraph, Table
from poller.reports.figures import WAYS, busiest_hour, change_ratio
from poller.reports.gather import Gathered, LineFigures
from poller.reports.telling import Teller, mark_of, provisional


def line_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """Use of every line, then one page for each line group."""
    yield Heading(teller.say("回線の利用状況", "Use of the lines"))
    yield Paragraph(
        teller.say(
            "95パーセンタイル値は5分平均値を小さい順に並べたときの上位5%の境目の値です。契約帯域（帯域確保、"
            "帯域確保のない回線は上限）と比べています。",
            "The 95th percentile is taken over five-minute averages and held against the contract (the committed rate, "
            "or the ceiling where nothing is committed).",
        )
    )
    for is_group in (True, False):
        yield _use_table([line for line in gathered.lines if line.is_group == is_group], teller, is_group=is_group)
    yield _change_table(gathered, teller)
    for line in gathered.lines:
        if line.is_group and line.now.bins:
            yield from _one_line(line, gathered, teller)


def _use_table(lines: list[LineFigures], teller: Teller, *, is_group: bool) -> Table:
    say = teller.say
    rows: list[tuple[object, ...]] = []
    for line in lines:
        for way in WAYS:
            figures = line.now.ways[way]
            value = None if figures.percentile_95 is None else figures.percentile_95.value
            ratio = None if value is None else value / line.limit
            peak = figures.peak
            rows.append(
                (
                    teller.line(line.id),
                    teller.short_way(way),
                    teller.limit(line),
                    provisional(value, line.now),
                    provisional(ratio, line.now, mark_of(ratio)),
                    None if peak is None else peak.value,
                    None if peak is None else peak.time_ns,
                    figures.mean,
                    figures.busy_seconds,
                )
            )
    name = "lines" if is_group else "circuits"
    title = say("回線グループ", "Line groups") if is_group else say("回線", "Circuits")
    return Table(
        name,
        title,
        (
            Column(title, wide=True),
            Column(say("方向", "way")),
            Column(say("契約", "contract"), wide=True),
            Column(say("95パーセンタイル値", "95th percentile"), Form.RATE),
            Column(say("契約比", "of contract"), Form.RATIO),
            Column(say("最大", "peak"), Form.RATE),
            Column(say("最大の時刻", "peak at"), Form.MOMENT),
            Column(say("平均", "mean"), Form.RATE),
            Column(say("80%超過時間", "above 80 %"), Form.DURATION),
        ),
        tuple(rows),
        teller.coverage_note() if any(line.now.provisional for line in lines) else "",
    )


def _change_table(gathered: Gathered, teller: Teller) -> Table:
    say = teller.say
    rows: list[tuple[object, ...]] = []
    for line in gathered.lines:
        if not line.is_group:
            continue
        for way in WAYS:
            now, before, old = (
                None if traffic is None or (found := traffic.ways[way].percentile_95) is None else found.value
                for traffic in (line.now, line.before, line.year_before)
            )
            rows.append(
                (
                    teller.line(line.id),
                    teller.short_way(way),
                    now,
                    before,
                    change_ratio(now, before),
                    old,
                    change_ratio(now, old),
                )
            )
    return Table(
        "change",
        say("95パーセンタイル値の推移", "Change of the 95th percentile"),
        (
            Column(say("回線グループ", "line group"), wide=True),
            Column(say("方向", "way")),
            Column(gathered.period.label(teller.lang), Form.RATE),
            Column(gathered.period.before.label(teller.lang), Form.RATE),
            Column(say("前期間比", "change"), Form.CHANGE),
            Column(gathered.period.year_before.label(teller.lang), Form.RATE),
            Column(say("前年同期比", "change"), Form.CHANGE),
        ),
        tuple(rows),
    )


def _one_line(line: LineFigures, gathered: Gathered, teller: Teller) -> Iterator[Block]:
    name = teller.line(line.id)
    yield Heading(name, 2)
    yield hours_chart(line, teller)
    for way in WAYS:
        profile = line.now.ways[way].profile
        busiest = busiest_hour(profile)
        if busiest is None:
            continue
        when = teller.writer.weekday_hour(busiest[0], busiest[1])
        rate = teller.writer.value(busiest[2], Form.RATE)
        yield HeatMap(
            f"busy-{line.id}-{way}",
            teller.say(f"{name} 時間帯別の平均 {teller.way(way)}", f"{name}: mean by hour, {teller.way(way)}"),
            teller.say(f"最も多いのは{when}の{rate}です。", f"The busiest hour is {when} with {rate}."),
            profile,
            line.limit,
        )
    for way in WAYS:
        said = line.forecasts[way]
        sentences = [said.sentence(teller.lang)] if isinstance(said, Refusal) else words(said, teller.lang)
        head = teller.say(f"今後の見込み（{teller.way(way)}）：", f"Forecast ({teller.way(way)}): ")
        yield Paragraph(head + teller.say("", " ").join(sentences))


def hours_chart(line: LineFigures, teller: Teller) -> Chart:
    """Hourly means of a month, both directions, with the contract."""
    name = teller.line(line.id)
    limits = []
    if line.committed_rate:
        limits.append((teller.say("帯域確保", "committed"), float(line.committed_rate)))
    limits.append((teller.say("上限", "ceiling"), float(line.ceiling_rate)))
    return Chart(
        f"hours-{line.id}",
        teller.say(f"{name} 1時間平均", f"{name}: hourly means"),
        teller.say(
            f"{name}の下りと上りの1時間平均を期間全体で示した折れ線。",
            f"Hourly means of {name} over the period, inbound and outbound.",
        ),
        tuple(line.hours["time_ns"].to_list()),
        tuple(Line(teller.way(way), tuple(line.hours[f"{way}_mean"].to_list())) for way in WAYS),
        tuple(limits),
    )


def pair_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """Redundant pairs of circuits: who carried how much, what failed, what is left."""
    say = teller.say
    groups: dict[str, list[str]] = {}
    for circuit in gathered.estate.circuits.values():
        if circuit.redundancy_group is not None:
            groups.setdefault(circuit.redundancy_group, []).append(circuit.id)
    pairs = {group: ids for group, ids in groups.items() if len(ids) > 1}
    if not pairs:
        return
    yield Heading(say("冗長構成の回線と切替え", "Redundant circuits and switch-overs"))
    rows: list[tuple[object, ...]] = []
    for group, ids in pairs.items():
        for id_ in ids:
            line = gathered.line(id_)
            outages = [
                incident
                for incident in gathered.incidents
                if any(alert.subject == f"circuit/{id_}" for alert in incident.alerts)
            ]
            lost = sum(incident.seconds(gathered.period.end_ns) for incident in outages)
            rows.append(
                (
                    gathered.estate.redundancy_groups[group].name.lang(teller.lang),
                    teller.line(id_),
                    _preferred(gathered.estate.circuits[id_].preferred, teller),
                    line.now.octets,
                    Cell(len(outages), mark=Mark.WARNING if outages else Mark.GOOD),
                    lost,
                )
            )
    yield Table(
        "pairs",
        say("冗長構成の回線", "Redundant circuits"),
        (
            Column(say("組", "pair"), wide=True),
            Column(say("回線", "circuit"), wide=True),
            Column(say("役割", "role")),
            Column(say("通信量", "volume"), Form.VOLUME),
            Column(say("障害・切替え", "faults"), Form.COUNT),
            Column(say("停止時間", "down for"), Form.DURATION),
        ),
        tuple(rows),
    )


def _preferred(preferred: str, teller: Teller) -> str:
    return teller.say("主（Active）", "active") if preferred == "active" else teller.say("副（Standby）", "standby")
