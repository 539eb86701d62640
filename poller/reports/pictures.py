"""Pictures of a report as SVG: black and white must do, and the same picture gives the same bytes. Pure.

Drawn here, not by a plotting library, because a report of 34 documents has 230 pictures: a library takes 0.4 s of a
core for each, this takes a few milliseconds (docs/decisions/008-reports.md). One unit is one point of the page.
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from html import escape
from itertools import pairwise
from typing import Final

from poller.reports.document import Chart, Form, HeatMap, Line
from poller.reports.formats import WEEKDAYS, Writer
from poller.reports.periods import add_months, midnight_ns

FONT: Final = "IPAexGothic"
WIDTH: Final = 482.0
"""Points: the width of the text on A4."""
_TEXT: Final = 7.0
_INK: Final = "#303030"
_GRID: Final = "#dddddd"
_STYLES: Final = (("#1f4e79", ""), ("#c55a11", "4 1.6"), ("#548235", "1.2 1.6"), ("#7030a0", "6 2 1.2 2"))
"""Colours that stay apart for the colour-blind, and dashes that do without."""
_LIMIT_STYLES: Final = (("#202020", "7 3"), ("#808080", "2 2"))
_LEFT, _RIGHT = 52.0, 472.0
_CHART_HEIGHT, _CHART_TOP, _CHART_BOTTOM = 136.0, 20.0, 121.0
_HEAT_WIDTH: Final = 236.0
"""Two heat maps stand side by side."""
_HEAT_HEIGHT, _HEAT_LEFT, _HEAT_TOP, _HEAT_BOTTOM, _HEAT_RIGHT = 104.0, 14.0, 2.0, 91.0, 188.0
_LEGEND_DASH: Final = 20.0
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_TICKS: Final = 6
_DAYS_BY_DAY: Final = 45
"""Up to so many days the axis tells days, above it months."""
_SHADES: Final = 5
_DARKEST: Final = 40
DAYS_OF_WEEK, HOURS = 7, 24


def draw(block: Chart | HeatMap, writer: Writer) -> bytes:
    """The picture as SVG; its text is set in FONT."""
    width, height = (WIDTH, _CHART_HEIGHT) if isinstance(block, Chart) else (_HEAT_WIDTH, _HEAT_HEIGHT)
    parts = _lines(block, writer) if isinstance(block, Chart) else _heat(block, writer)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}pt" height="{height:g}pt" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="{FONT}" font-size="{_TEXT:g}" fill="{_INK}">'
    )
    return "\n".join((head, *parts, "</svg>")).encode()


def _lines(chart: Chart, writer: Writer) -> Iterator[str]:
    values = [value for line in chart.lines for value in line.values if value is not None]
    ticks = y_ticks(max([*values, *(limit for _, limit in chart.limits)], default=0.0))
    top = ticks[-1]

    def y(value: float) -> float:
        return _CHART_BOTTOM - (_CHART_BOTTOM - _CHART_TOP) * value / top

    for tick in ticks:
        yield _stroke(((_LEFT, y(tick)), (_RIGHT, y(tick))), _GRID, 0.5)
        yield _words(_LEFT - 4, y(tick) + 2.4, writer.value(tick, Form.RATE), "end")
    yield from _time_axis(chart.at, writer)
    for line, (colour, dashes) in zip(chart.lines, _STYLES, strict=False):
        for points in _runs(chart.at, line):
            yield _stroke([(_x(at, chart.at), y(value)) for at, value in points], colour, 0.9, dashes)
    for (_, value), (colour, dashes) in zip(chart.limits, _LIMIT_STYLES, strict=False):
        yield _stroke(((_LEFT, y(value)), (_RIGHT, y(value))), colour, 1.0, dashes)
    yield from _legend(chart, writer)


def _legend(chart: Chart, writer: Writer) -> Iterator[str]:
    entries = [(line.name, style) for line, style in zip(chart.lines, _STYLES, strict=False)]
    for (name, value), style in zip(chart.limits, _LIMIT_STYLES, strict=False):
        entries.append((f"{name} {writer.value(value, Form.RATE)}", style))
    needed = sum(_LEGEND_DASH + 16 + text_width(name) for name, _ in entries)
    scale = min(1.0, (WIDTH - _LEFT) / needed)
    at = 0.0
    yield f'<g transform="translate({_LEFT:g} 0) scale({scale:.3f} 1)">'
    for name, (colour, dashes) in entries:
        yield _stroke(((at, 8.0), (at + _LEGEND_DASH, 8.0)), colour, 1.2, dashes)
        yield _words(at + _LEGEND_DASH + 4, 10.4, name, "start")
        at += _LEGEND_DASH + 16 + text_width(name)
    yield "</g>"


def _time_axis(at: Sequence[int], writer: Writer) -> Iterator[str]:
    yield _stroke(((_LEFT, _CHART_BOTTOM), (_RIGHT, _CHART_BOTTOM)), _INK, 0.7)
    if not at:
        return
    for day, label in day_ticks(at[0], at[-1], writer):
        x = _x(midnight_ns(day, writer.zone), at)
        yield _stroke(((x, _CHART_BOTTOM), (x, _CHART_BOTTOM + 3)), _INK, 0.7)
        yield _words(x, _CHART_BOTTOM + 11, label, "middle")


def _x(moment: int, at: Sequence[int]) -> float:
    whole = max(1, at[-1] - at[0])
    return _LEFT + 2 + (_RIGHT - _LEFT - 4) * (moment - at[0]) / whole


def _runs(at: Sequence[int], line: Line) -> Iterator[list[tuple[int, float]]]:
    """The stretches in which something is known, so that a gap stays a gap."""
    step = min((after - before for before, after in pairwise(at)), default=0)
    run: list[tuple[int, float]] = []
    for moment, value in zip(at, line.values, strict=True):
        if run and (value is None or moment - run[-1][0] > step * 1.5):
            yield run
            run = []
        if value is not None:
            run.append((moment, value))
    if run:
        yield run


def y_ticks(highest: float) -> list[float]:
    """Round values from nought to the first above the highest, seven at most."""
    if highest <= 0:
        return [0.0, 1.0]
    magnitude = 10.0 ** math.floor(math.log10(highest / _MOST_TICKS))
    step = next(each * magnitude for each in _STEPS if each * magnitude * _MOST_TICKS >= highest * (1 - 1e-9))
    return [number * step for number in range(math.ceil(highest / step - 1e-9) + 1)]


def day_ticks(first_ns: int, last_ns: int, writer: Writer) -> list[tuple[date, str]]:
    """The days that a time axis tells, with their words: every fifth of a month, else the first of every month."""
    first, last = (datetime.fromtimestamp(each // 10**9, writer.zone).date() for each in (first_ns, last_ns))
    japanese = writer.lang == "ja"
    if (last - first).days <= _DAYS_BY_DAY:
        days = [first + timedelta(days=number) for number in range(0, (last - first).days + 1, 5)]
        return [(day, f"{day.month}月{day.day}日" if japanese else f"{day.day} {day:%b}") for day in days]
    month = first if first.day == 1 else add_months(first.replace(day=1), 1)
    months = []
    while month <= last:
        months.append((month, f"{month.month}月" if japanese else f"{month:%b}"))
        month = add_months(month, 1)
    return months


def _heat(heat: HeatMap, writer: Writer) -> Iterator[str]:
    known = [value for row in heat.values for value in row if value is not None]
    most = max(known, default=0.0) or 1.0
    wide, high = (_HEAT_RIGHT - _HEAT_LEFT) / HOURS, (_HEAT_BOTTOM - _HEAT_TOP) / DAYS_OF_WEEK
    for day, row in enumerate(heat.values):
        y = _HEAT_TOP + day * high
        yield _words(_HEAT_LEFT - 3, y + high / 2 + 2.5, WEEKDAYS[writer.lang][day][:2], "end")
        for hour, value in enumerate(row):
            if value is not None:
                yield _box((_HEAT_LEFT + hour * wide, y, wide, high), shade(value / most))
    for hour in range(0, HOURS + 1, 4):
        label = f"{hour}時" if writer.lang == "ja" else f"{hour}:00"
        yield _words(_HEAT_LEFT + hour * wide, _HEAT_BOTTOM + 9, label, "middle" if hour else "start")
    yield (
        f'<rect x="{_HEAT_LEFT:g}" y="{_HEAT_TOP:g}" width="{_HEAT_RIGHT - _HEAT_LEFT:g}" '
        f'height="{_HEAT_BOTTOM - _HEAT_TOP:g}" fill="none" stroke="{_INK}" stroke-width="0.5"/>'
    )
    step = (_HEAT_BOTTOM - _HEAT_TOP) / _SHADES
    for number in range(_SHADES):
        share = 1 - number / (_SHADES - 1)
        y = _HEAT_TOP + number * step
        yield _box((_HEAT_RIGHT + 5, y, 6, step), shade(share))
        yield _words(_HEAT_RIGHT + 13, y + step / 2 + 2.4, writer.value(most * share, Form.RATE), "start")


def shade(share: float) -> str:
    """White for nought, nearly black for all."""
    grey = round(255 - (255 - _DARKEST) * min(1.0, max(0.0, share)))
    return f"#{grey:02x}{grey:02x}{grey:02x}"


def text_width(text: str) -> float:
    """About how wide a text is, points: a whole square for a Japanese character, somewhat more than half for others."""
    return sum(_TEXT if unicodedata.east_asian_width(each) in "WFA" else 0.56 * _TEXT for each in text)


def _stroke(points: Sequence[tuple[float, float]], colour: str, width: float, dashes: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points if math.isfinite(x) and math.isfinite(y))
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'


def _box(place: tuple[float, float, float, float], colour: str) -> str:
    x, y, width, height = place
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width + 0.1:.2f}" height="{height + 0.1:.2f}" fill="{colour}"/>'


def _words(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
