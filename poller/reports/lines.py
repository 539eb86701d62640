"""The part about lines: use against the contract, change, busy hours, forecast, switch-overs. Pure."""

from collections.abc import Iterator
from datetime import date

from poller.forecast import Forecast, Reached, Refusal
from poller.reports.document import Block, Chart, Column, Form, Heading, HeatMap, Line, Paragraph, Table
from poller.reports.figures import WAYS, DayLine, Traffic, busiest_hour, change_ratio
from poller.reports.gather import Gathered, LineFigures
from poller.reports.periods import Period, midnight_ns
from poller.reports.telling import Teller, mark_of, provisional


def line_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """Use of every line, then each line group by itself."""
    yield Heading(teller.say("回線の利用状況", "Use of the lines"), new_page=True)
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
    yield forecast_table(gathered, teller)
    seen = [line for line in gathered.lines if line.is_group and line.now.bins]
    for number, line in enumerate(seen):
        # a month takes half a page, several months a whole one
        whole = len(gathered.period.months) > 1 or number % 2 == 0
        yield Heading(teller.line(line.id), 2, new_page=whole)
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
                    peak.time_ns if peak is not None and peak.value else None,
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
            Column(gathered.period.short(teller.lang), Form.RATE),
            Column(gathered.period.before.short(teller.lang), Form.RATE),
            Column(say("前期間比", "change"), Form.CHANGE),
            Column(gathered.period.year_before.short(teller.lang), Form.RATE),
            Column(say("前年同期比", "change"), Form.CHANGE),
        ),
        tuple(rows),
    )


def _one_line(line: LineFigures, gathered: Gathered, teller: Teller) -> Iterator[Block]:
    name = teller.line(line.id)
    if len(gathered.period.months) == 1:
        yield hours_chart(line, teller)
    else:
        for way in WAYS:
            yield days_chart(
                f"{line.id}-{way}", name, way, _within(line.days[way], gathered), _limits(line, teller), teller
            )
        yield months_table(f"months-{line.id}", line.months, gathered.period, teller)
    for way in WAYS:
        profile = line.now.ways[way].profile
        busiest = busiest_hour(profile)
        if busiest is None:
            continue
        when = teller.writer.weekday_hour(busiest[0], busiest[1])
        rate = teller.writer.value(busiest[2], Form.RATE)
        yield HeatMap(
            f"busy-{line.id}-{way}",
            teller.say(
                f"{name} 曜日と時間帯 {teller.short_way(way)}", f"{name}: by weekday and hour, {teller.way(way)}"
            ),
            teller.say(f"最も多いのは{when}の{rate}です。", f"The busiest hour is {when} with {rate}."),
            profile,
            line.limit,
        )


def forecast_table(gathered: Gathered, teller: Teller) -> Table:
    """When each line group reaches 80 % and all of its contract, with the interval, and how good the method was."""
    say, writer = teller.say, teller.writer
    rows: list[tuple[object, ...]] = []
    for line in gathered.lines:
        for way, said in line.forecasts.items():
            head = (teller.line(line.id), teller.short_way(way), teller.limit(line))
            if isinstance(said, Refusal):
                too_few = say(f"データ不足（{said.days}日分）", f"too little data ({said.days} days)")
                rows.append((*head, too_few, *(None,) * 4))
                continue
            tested = said.back_test
            rows.append(
                (
                    *head,
                    _trend(said, teller),
                    *(_reached(each, said.last, teller) for each in said.reached),
                    said.days,
                    None if tested is None else writer.value(tested.mean_error_ratio, Form.RATIO),
                )
            )
    return Table(
        "forecast",
        say("今後の見込み（95パーセンタイル値）", "Forecast of the 95th percentile"),
        (
            Column(say("回線グループ", "line group"), wide=True),
            Column(say("方向", "way")),
            Column(say("契約", "contract"), wide=True),
            Column(say("1か月の増減", "a month")),
            Column(say("80%に達する日", "80 % reached"), wide=True),
            Column(say("100%に達する日", "100 % reached"), wide=True),
            Column(say("日数", "days"), Form.COUNT),
            Column(say("検証の誤差", "error in test")),
        ),
        tuple(rows),
        say(
            "日別の95パーセンタイル値の傾向と曜日の違いから求めた見込みです。かっこ内は90%の確からしさの範囲、日数は用いたデータの"
            "日数、検証の誤差は直近28日を同じ方法で予測したときの誤差の平均です。",
            "From the trend and the weekdays of the daily 95th percentile; in brackets the 90 % interval; days of data "
            "used; tested on the last 28 days.",
        ),
    )


def _trend(said: Forecast, teller: Teller) -> str:
    if abs(said.trend_per_day) <= 2 * said.trend_error:
        return teller.say("傾向なし", "no trend")
    rate = teller.writer.value(abs(said.trend_per_day) * 30, Form.RATE)
    return f"{'+' if said.trend_per_day > 0 else '-'}{rate}"


def _reached(reached: Reached, last: date, teller: Teller) -> str:
    say, day = teller.say, teller.writer.day
    if reached.day is None:
        early = reached.earliest
        bracket = "" if early is None else say(f"（早ければ{day(early)}）", f" ({day(early)} at the earliest)")
        return say("3年以内にはない", "not in 3 years") + bracket
    if reached.day <= last:
        return say("到達済み", "reached already")
    latest = say("3年より先", "after 3 years") if reached.latest is None else day(reached.latest)
    first = day(reached.earliest or reached.day)
    return day(reached.day) + say(f"（{first}～{latest}）", f" ({first} to {latest})")


def hours_chart(line: LineFigures, teller: Teller) -> Chart:
    """Hourly means of a month, both directions, with the contract."""
    name = teller.line(line.id)
    return Chart(
        f"hours-{line.id}",
        teller.say(f"{name} 1時間平均", f"{name}: hourly means"),
        teller.say(
            f"{name}の下りと上りの1時間平均を期間全体で示した折れ線。",
            f"Hourly means of {name} over the period, inbound and outbound.",
        ),
        tuple(each.time_ns for each in line.hours),
        tuple(Line(teller.way(way), tuple(each.means[way] for each in line.hours)) for way in WAYS),
        _limits(line, teller),
    )


def _limits(line: LineFigures, teller: Teller) -> tuple[tuple[str, float], ...]:
    ceiling = (teller.say("上限", "ceiling"), float(line.ceiling_rate))
    if line.committed_rate is None:
        return (ceiling,)
    return ((teller.say("帯域確保", "committed"), float(line.committed_rate)), ceiling)


def _within(days: list[DayLine], gathered: Gathered) -> list[DayLine]:
    return [day for day in days if gathered.period.first <= day.day < gathered.period.after]


def days_chart(  # noqa: PLR0913, PLR0917 - a picture has a name, a direction, figures and limits
    key: str, name: str, way: str, days: list[DayLine], limits: tuple[tuple[str, float], ...], teller: Teller
) -> Chart:
    """Daily 95th percentile and peak of one direction, with its limits."""
    say = teller.say
    return Chart(
        f"days-{key}",
        say(f"{name} 日別 {teller.way(way)}", f"{name}: by day, {teller.way(way)}"),
        say(
            f"{name}の{teller.way(way)}の日別の95パーセンタイル値と最大値を示した折れ線。",
            f"95th percentile and peak of each day of {name}, {teller.way(way)}.",
        ),
        tuple(midnight_ns(day.day, teller.writer.zone) for day in days),
        (
            Line(say("日別の95パーセンタイル値", "daily 95th percentile"), tuple(d.percentile_95 for d in days)),
            Line(say("日別の最大（1分平均）", "daily peak (minute)"), tuple(d.peak for d in days)),
        ),
        limits,
    )


def months_table(key: str, months: tuple[Traffic, ...], period: Period, teller: Teller) -> Table:
    """Month by month: percentile, peak and octets of both directions, and how much was observed."""
    say = teller.say
    rows = []
    for month, traffic in zip(period.months, months, strict=True):
        cells: list[object] = [month.label(teller.lang)]
        for way in WAYS:
            figures = traffic.ways[way]
            value = None if figures.percentile_95 is None else figures.percentile_95.value
            peak = None if figures.peak is None else figures.peak.value
            cells += [provisional(value, traffic), peak, figures.octets]
        cells.append(traffic.coverage_ratio)
        rows.append(tuple(cells))
    columns = [Column(say("月", "month"))]
    for way in WAYS:
        name = teller.short_way(way)
        columns += [
            Column(say(f"{name} 95%値", f"{name} p95"), Form.RATE),
            Column(say(f"{name} 最大", f"{name} peak"), Form.RATE),
            Column(say(f"{name} オクテット", f"{name} octets"), Form.COUNT),
        ]
    columns.append(Column(say("観測率", "observed"), Form.RATIO))
    note = teller.coverage_note() if any(traffic.provisional for traffic in months) else ""
    return Table(key, say("月別の値", "Month by month"), tuple(columns), tuple(rows), note)
