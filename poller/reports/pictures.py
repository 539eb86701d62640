"""Pictures of a report as SVG, by matplotlib: black and white must do, and the same picture gives the same bytes."""

import io
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.dates
import matplotlib_fontja
from matplotlib import font_manager
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from poller.reports.document import Chart, Form, HeatMap
from poller.reports.formats import WEEKDAYS, Writer

_WIDTH: Final = 7.0
"""Inches: the width of the text on A4."""
_STYLES: Final = (("#1f4e79", "-"), ("#c55a11", "--"), ("#548235", ":"), ("#7030a0", "-."))
"""Colours that stay apart for the colour-blind, and dashes that do without."""
_LIMIT_STYLES: Final = (("#404040", "--"), ("#808080", ":"))


@cache
def _settings() -> Any:  # noqa: ANN401 - matplotlib lists every setting in a type of its own
    font = Path(matplotlib_fontja.__file__).parent / "fonts" / "ipaexg.ttf"
    font_manager.fontManager.addfont(str(font))
    return {
        "font.family": font_manager.FontProperties(fname=str(font)).get_name(),
        "font.size": 8,
        "svg.fonttype": "path",
        "svg.hashsalt": "hinomi",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "path.simplify": True,
    }


def draw(block: Chart | HeatMap, writer: Writer) -> bytes:
    """The picture as SVG."""
    with mpl.rc_context(_settings()):
        figure = Figure(figsize=(_WIDTH, 2.5 if isinstance(block, Chart) else 1.9), layout="constrained")
        if isinstance(block, Chart):
            _lines(figure, block, writer)
        else:
            _heat(figure, block, writer)
        target = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return target.getvalue()


def _lines(figure: Figure, chart: Chart, writer: Writer) -> None:
    axes = figure.subplots()
    moments = [datetime.fromtimestamp(each // 10**9, writer.zone) for each in chart.at]
    for line, (colour, dashes) in zip(chart.lines, _STYLES, strict=False):
        values = [float("nan") if value is None else value for value in line.values]
        axes.plot(moments, values, color=colour, linestyle=dashes, linewidth=0.9, label=line.name)  # type: ignore[arg-type]
    for (name, value), (colour, dashes) in zip(chart.limits, _LIMIT_STYLES, strict=False):
        axes.axhline(
            value, color=colour, linestyle=dashes, linewidth=1.0, label=f"{name} {writer.value(value, Form.RATE)}"
        )
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: writer.value(value, Form.RATE)))
    axes.xaxis.set_major_locator(mpl.dates.AutoDateLocator(tz=writer.zone, maxticks=10))  # type: ignore[no-untyped-call]
    form = "%-m月%-d日" if writer.lang == "ja" else "%-d %b"
    if moments and (moments[-1] - moments[0]).days > 100:  # noqa: PLR2004 - a half-year is labelled by months
        form = "%-m月" if writer.lang == "ja" else "%b"
    axes.xaxis.set_major_formatter(mpl.dates.DateFormatter(form, tz=writer.zone))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)
    axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.5)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=7, borderaxespad=0.2)


def _heat(figure: Figure, heat: HeatMap, writer: Writer) -> None:
    axes = figure.subplots()
    values = [[float("nan") if value is None else value for value in row] for row in heat.values]
    known = [value for row in heat.values for value in row if value is not None]
    image = axes.imshow(values, aspect="auto", cmap="Greys", vmin=0, vmax=max(known, default=1.0))
    axes.set_yticks(range(7), list(WEEKDAYS[writer.lang]))
    axes.set_xticks(range(0, 24, 2), [str(hour) for hour in range(0, 24, 2)])
    axes.set_xlabel("時" if writer.lang == "ja" else "hour")
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: writer.value(value, Form.RATE)))
