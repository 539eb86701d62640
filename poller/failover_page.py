"""The one page about a rehearsed failover, in Japanese or English: Markdown, or HTML to print. Pure.

What people sign is short: when it broke, for how long in each direction, what was lost, who carried before and after,
when it was as before. How it was measured stands below, with how exact it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.words import clean, pick
from poller.estate import Estate
from poller.failover import SHARED, Break, Change, FailoverRecord
from poller.units import format_rate

_STYLE: Final = (
    "@page{size:A4;margin:16mm}body{font:10.5pt/1.5 'Noto Sans CJK JP','IPAexGothic',sans-serif;max-width:178mm;"
    "margin:auto;color:#000}h1{font-size:16pt;margin:0 0 4mm}h2{font-size:12pt;margin:5mm 0 1mm}"
    "table{border-collapse:collapse;width:100%}td,th{border:.3mm solid #888;padding:.6mm 2mm;text-align:left}"
    "th{background:#eee}p{margin:1mm 0}"
)
LONGEST_TABLE: Final = 14
"""Lines of a table; one page has room for no more, and the JSON has all."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with sentences and at most one table; the first row of the table is its head."""

    heading: str
    sentences: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


class FailoverPage:
    """The page of one record; names translates a target's or member's key into what people call it."""

    def __init__(self, record: FailoverRecord, estate: Estate, lang: str, names: Callable[[str], str]) -> None:
        self._record = record
        self._estate = estate
        self._lang = lang
        self._names = names
        self._zone = ZoneInfo(estate.organisation.timezone)

    @property
    def title(self) -> str:
        """The group's name, and what this is."""
        group = self._estate.redundancy_groups[self._record.group]
        name = clean(group.name.lang(self._lang), 60)
        return self._say(f"切替試験の記録　{name}", f"Failover rehearsal: {name}")

    def markdown(self) -> str:
        """The page as text that needs no program to be read."""
        lines = [f"# {self.title}", ""]
        for section in self.sections():
            lines += [f"## {section.heading}", ""] + [f"- {sentence}" for sentence in section.sentences]
            lines += [""] if section.sentences else []
            for number, row in enumerate(section.table):
                lines.append("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |")
                lines += ["|" + "---|" * len(row)] if number == 0 else []
            lines += [""] if section.table else []
        return "\n".join(lines)

    def html(self) -> str:
        """The same on one sheet of A4."""
        parts = [f"<h1>{escape(self.title)}</h1>"]
        for section in self.sections():
            parts.append(f"<h2>{escape(section.heading)}</h2>")
            parts += [f"<p>{escape(sentence)}</p>" for sentence in section.sentences]
            rows = [
                "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
                for tag, row in zip(["th"] + ["td"] * len(section.table), section.table, strict=False)
            ]
            parts += ["<table>", *rows, "</table>"] if rows else []
        head = f'<meta charset="utf-8"><title>{escape(self.title)}</title><style>{_STYLE}</style>'
        return (
            f'<!doctype html>\n<html lang="{self._lang}"><head>{head}</head><body>\n'
            + "\n".join(parts)
            + "\n</body></html>\n"
        )

    def sections(self) -> list[Section]:
        """Everything the page says, in order."""
        return [self._result(), self._what_happened(), self._lost(), self._measured()]

    def _say(self, ja: str, en: str) -> str:
        return pick(self._lang, ja, en)

    def _result(self) -> Section:
        record = self._record
        members = self._say("、", "; ").join(self._names(member) for member in record.members)
        start, end = self._clock(record.started_ns, "%Y-%m-%d %H:%M:%S"), self._clock(record.ended_ns, "%H:%M:%S")
        rows: list[tuple[str, ...]] = [
            (self._say("項目", "item"), self._say("結果", "result")),
            (self._say("試験の時間", "time"), self._say(f"{start} 〜 {end}", f"{start} to {end}")),
            (self._say("対象", "members"), members),
            (self._say("通信断", "break"), self._breaks(record.breaks)),
        ]
        for way in record.ways:
            heading = self._say("下り（受信）", "inbound") if way.way == "in" else self._say("上り（送信）", "outbound")
            if way.usual_bits_per_second is None:
                told = self._say(
                    "判定できない（通信量が少ないか、計数がない）", "not to be told: too little traffic, or no counters"
                )
            else:
                told = self._breaks(way.breaks, whole=True)
            rows.append((self._say(f"通信断 {heading}", f"break, {heading}"), told))
        rows += [
            (self._say("試験前に運んでいた", "carried before"), self._carrier(record.carrier_before)),
            (self._say("試験後に運んでいる", "carries after"), self._carrier(record.carrier_after)),
            (self._say("試験前の状態に戻った時刻", "as before since"), self._restored()),
        ]
        return Section(self._say("結果", "Result"), (), tuple(rows))

    def _restored(self) -> str:
        record = self._record
        if record.restored_ns is not None:
            return self._clock(record.restored_ns)
        if not record.disturbed:
            return self._say("変化は観測されなかった", "nothing was seen to change")
        return self._say("試験の終わりまでに戻っていない", "not within this rehearsal")

    def _carrier(self, member: str) -> str:
        if member == SHARED:
            return self._say("複数で分担", "several at once")
        return (
            self._names(member) if member else self._say("判定できない（通信量と役割が分からない）", "not to be told")
        )

    def _breaks(self, breaks: Sequence[Break], *, whole: bool = False) -> str:
        if not breaks:
            return self._say("なし", "none")
        told = []
        for one in breaks[:LONGEST_TABLE]:
            seconds = one.seconds(self._record.ended_ns)
            length = (
                self._say(f"約{seconds:.0f}秒", f"about {seconds:.0f} s")
                if whole
                else self._say(f"{seconds:.1f}秒", f"{seconds:.1f} s")
            )
            start = self._clock(one.start_ns)
            end = self._say("継続中", "not over") if one.end_ns is None else self._clock(one.end_ns)
            told.append(self._say(f"{start} 〜 {end}（{length}）", f"{start} to {end} ({length})"))
        if len(breaks) > LONGEST_TABLE:
            told.append(self._say(f"ほか{len(breaks) - LONGEST_TABLE}回", f"and {len(breaks) - LONGEST_TABLE} more"))
        return self._say("、", "; ").join(told)

    def _what_happened(self) -> Section:
        heading = self._say("経過", "What happened")
        happened: list[tuple[int, str]] = [(each.at_ns, self._change(each)) for each in self._record.changes]
        for target in self._record.targets:
            name = self._names(target.target)
            for one in target.breaks:
                happened.append((one.start_ns, self._say(f"{name} 応答が途絶えた", f"{name}: no answer any more")))
                if one.end_ns is not None:
                    happened.append((one.end_ns, self._say(f"{name} 応答が戻った", f"{name}: answers again")))
        if not happened:
            return Section(heading, (self._say("変化は観測されなかった。", "Nothing was seen to change."),))
        rows = [(self._clock(at_ns), what) for at_ns, what in sorted(happened)]
        left = len(rows) - LONGEST_TABLE
        more = (
            (self._say(f"ほか{left}件（JSON の記録に全件）", f"and {left} more, all in the JSON record"),)
            if left > 0
            else ()
        )
        return Section(heading, more, ((self._say("時刻", "time"), self._say("こと", "what")), *rows[:LONGEST_TABLE]))

    def _change(self, change: Change) -> str:
        before, after = change.before, change.after
        if change.what == "carrier":
            old, new = self._carrier(before), self._carrier(after)
            return self._say(f"通信を運ぶもの： {old} → {new}", f"traffic carried by: {old} -> {new}")
        what = self._say("状態", "state") if change.what == "state" else self._say("役割", "role")
        return f"{self._names(change.member)} {what} {clean(before, 20)} -> {clean(after, 20)}"

    def _lost(self) -> Section:
        head = (
            self._say("宛先", "target"),
            self._say("送信", "sent"),
            self._say("応答なし", "lost"),
            self._say("断の回数", "breaks"),
            self._say("最長", "longest"),
        )
        rows = []
        for target in self._record.targets[:LONGEST_TABLE]:
            longest = max((one.seconds(self._record.ended_ns) for one in target.breaks), default=0.0)
            share = f"{target.lost / target.sent:.1%}" if target.sent else "-"
            length = self._say(f"{longest:.1f}秒", f"{longest:.1f} s") if target.breaks else "-"
            rows.append(
                (
                    self._names(target.target),
                    str(target.sent),
                    f"{target.lost} ({share})",
                    str(len(target.breaks)),
                    length,
                )
            )
        return Section(self._say("失われたエコー", "Echoes lost"), (), (head, *rows))

    def _measured(self) -> Section:
        usual = [way for way in self._record.ways if way.usual_bits_per_second is not None]
        rates = self._say("、", ", ").join(
            f"{self._say('下り', 'in') if way.way == 'in' else self._say('上り', 'out')} "
            f"{format_rate(way.usual_bits_per_second or 0)}"
            for way in usual
        )
        sentences = [
            self._say(
                "通信断は、各宛先へ1秒に10回送る ICMP エコーによる。始まりと終わりの誤差は0.1秒。"
                "3回続けて応答がないときに断とする。",
                "Breaks are by ICMP echoes, ten a second to each target, exact to 0.1 s; three lost in a row count.",
            ),
            self._say(
                "方向ごとの断は、対象のインターフェースの計数（IF-MIB）を約1秒おきに読んだもの。誤差は前後1〜2秒。"
                "計数を数秒おきにしか更新しない機器では、その間隔が誤差となる。",
                "Directions are by the members' counters (IF-MIB), read about once a second: exact to a second or two,"
                " or to the time in which an agent renews its counters.",
            ),
        ]
        if rates:
            sentences.append(self._say(f"試験前の通信量（中央値）： {rates}", f"Traffic before, median: {rates}"))
        return Section(self._say("測り方", "How it was measured"), tuple(sentences))

    def _clock(self, at_ns: int, form: str = "%H:%M:%S") -> str:
        moment = datetime.fromtimestamp(at_ns / 1e9, self._zone)
        return moment.strftime(form) + (
            "" if "%Y" in form or at_ns == self._record.ended_ns else f".{moment.microsecond // 100_000}"
        )
