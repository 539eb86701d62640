"""The part about the service level: availability against target over the period, and month by month. Pure."""

from collections.abc import Iterator
from typing import Final

from poller.alerts.servicelevel import PLANNED, ServiceLevel
from poller.percentiles import PROVISIONAL_BELOW
from poller.reports.document import Block, Cell, Column, Form, Heading, Mark, Table
from poller.reports.gather import Gathered
from poller.reports.telling import Teller

HALF: Final = 6
"""Months in one table."""


def level_cell(level: ServiceLevel, coverage_ratio: float = 1.0) -> object:
    """An availability with its mark where there is a target; nothing where nothing was observed."""
    if level.availability is None or not coverage_ratio:
        return None
    mark = None
    if level.target is not None:
        mark = Mark.GOOD if level.availability >= level.target else Mark.BAD
    seen = coverage_ratio if coverage_ratio < PROVISIONAL_BELOW else None
    return level.availability if mark is None and seen is None else Cell(level.availability, seen, mark)


def whole_coverage(gathered: Gathered, subject: str) -> float:
    """The part of the period in which the subject was observed."""
    spans = [month.end_ns - month.start_ns for month in gathered.period.months]
    parts = gathered.level_coverage.get(subject, (0.0,) * len(spans))
    return sum(part * span for part, span in zip(parts, spans, strict=True)) / sum(spans)


def level_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """The service level of everything that has a target, with what was left out and what may still be lost."""
    say = teller.say
    levels = [*gathered.levels, *(each.level for each in gathered.services)]
    promised = [level for level in levels if level.target is not None]
    if not promised:
        return
    yield Heading(say("サービスレベル（SLA）", "Service level"))
    yield Table(
        "service-level",
        say("稼働率と目標", "Availability and target"),
        (
            Column(say("対象", "subject"), wide=True),
            Column(say("稼働率", "availability"), Form.LEVEL),
            Column(say("目標", "target"), Form.LEVEL),
            Column(say("停止時間", "down for"), Form.DURATION),
            Column(say("計画停止（除外）", "planned (excluded)"), Form.DURATION),
            Column(say("他者要因など（除外）", "others' fault (excluded)"), Form.DURATION),
            Column(say("残りの許容停止時間", "allowance left"), Form.DURATION),
        ),
        tuple(
            (
                teller.subject(level.subject),
                level_cell(level, whole_coverage(gathered, level.subject)),
                level.target,
                level.down_seconds,
                level.excluded_seconds[PLANNED],
                sum(seconds for reason, seconds in level.excluded_seconds.items() if reason != PLANNED),
                max(0.0, level.allowance_left_seconds or 0.0),
            )
            for level in promised
        ),
    )
    yield from _by_month(gathered, teller)


def _by_month(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """Half a year in each table, so that a year fits on the page."""
    say, months = teller.say, gathered.period.months
    promised = {subject: levels for subject, levels in gathered.level_months.items() if levels}
    for first in range(0, len(months), HALF) if promised else ():
        part = slice(first, first + HALF)
        title = say("月別の稼働率", "Availability by month")
        if len(months) > HALF:
            title += say("（上半期）", ", first half") if first == 0 else say("（下半期）", ", second half")
        yield Table(
            f"service-level-months-{first // HALF + 1}",
            title,
            (
                Column(say("対象", "subject"), wide=True),
                *(Column(say(f"{month.first.month}月", f"{month.first:%b}"), Form.LEVEL) for month in months[part]),
            ),
            tuple(
                (
                    teller.subject(subject),
                    *(
                        level_cell(level, seen)
                        for level, seen in zip(
                            levels[part], gathered.level_coverage.get(subject, (0.0,) * len(months))[part], strict=True
                        )
                    ),
                )
                for subject, levels in promised.items()
            ),
        )
