"""A small picture for a mail: the curves of the last six hours, the level that was passed, and when it began.

draw() gives a PNG of 560 x 170 points at twice the pixels, so that it is sharp on a phone. Only figures and clock times
stand in it; what it shows is said in words beside it, in the reader's language.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from PIL import ImageDraw

HOURS: Final = 6
SECONDS: Final = HOURS * 3600
GAP_SECONDS: Final = 330
"""A curve is broken where nothing is known for longer."""
SIZE: Final = (560, 170)
_SCALE: Final = 2
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 548, 12, 146
_COLOURS: Final = ("#1f6feb", "#d97706", "#0e9f6e", "#9333ea")
_INK: Final = "#57606a"
_GRID: Final = "#d8dee4"
_LEVEL: Final = "#cf222e"
_SHADE: Final = "#fdecea"
_NS: Final = 10**9
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One series: time_ns and value, oldest first."""

    name: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What to draw. level: the rule's, if it has one; began_ns: when the fault began; write: a value's text."""

    curves: tuple[Curve, ...]
    end_ns: int
    began_ns: int
    zone: ZoneInfo
    write: Callable[[float], str]
    level: float | None = None

    @property
    def start_ns(self) -> int:
        """Six hours before the end."""
        return self.end_ns - SECONDS * _NS

    @property
    def top(self) -> float:
        """The value at the upper edge: a little more than the highest."""
        values = [value for curve in self.curves for _, value in curve.points]
        highest = max([*values, self.level or 0.0])
        return highest * 1.1 if highest > 0 else 1.0


def pieces(curve: Curve) -> list[list[tuple[int, float]]]:
    """The curve without lines over what nobody saw."""
    found: list[list[tuple[int, float]]] = []
    for at_ns, value in curve.points:
        if not found or at_ns - found[-1][-1][0] > GAP_SECONDS * _NS:
            found.append([])
        found[-1].append((at_ns, value))
    return found


def draw(drawing: Drawing) -> bytes:
    """The PNG; the same bytes for the same drawing."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - a tenth of a second, and only mails need it

    image = Image.new("RGB", (SIZE[0] * _SCALE, SIZE[1] * _SCALE), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=11 * _SCALE)
    if drawing.began_ns > drawing.start_ns:
        left, right = _place(drawing, drawing.began_ns, 0.0)[0], _RIGHT * _SCALE
        pen.rectangle((left, _TOP * _SCALE, right, _BOTTOM * _SCALE), fill=_SHADE)
    _draw_axes(pen, drawing, font)
    for number, curve in enumerate(drawing.curves):
        colour = _COLOURS[number % len(_COLOURS)]
        for piece in pieces(curve):
            places = [_place(drawing, at_ns, value) for at_ns, value in piece]
            if len(places) > 1:
                pen.line(places, fill=colour, width=2 * _SCALE, joint="curve")
            else:
                (x, y), r = places[0], 2 * _SCALE
                pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    if drawing.level is not None:
        y = _place(drawing, drawing.start_ns, drawing.level)[1]
        for x in range(_LEFT, _RIGHT, 10):
            pen.line((x * _SCALE, y, (x + 6) * _SCALE, y), fill=_LEVEL, width=_SCALE)
    written = io.BytesIO()
    image.quantize(32).save(written, "PNG", optimize=True)
    return written.getvalue()


def colours(count: int) -> Sequence[str]:
    """The colours of so many curves, for the words beside the picture."""
    return [_COLOURS[number % len(_COLOURS)] for number in range(count)]


def _draw_axes(pen: "ImageDraw.ImageDraw", drawing: Drawing, font: object) -> None:
    for part in (0.0, 0.5, 1.0):
        y = _place(drawing, drawing.start_ns, drawing.top * part)[1]
        pen.line((_LEFT * _SCALE, y, _RIGHT * _SCALE, y), fill=_GRID, width=_SCALE)
        text = drawing.write(drawing.top * part)
        pen.text(((_LEFT - 6) * _SCALE, y), text, fill=_INK, font=font, anchor="rm")  # type: ignore[arg-type]
    first = (drawing.start_ns // _NS // 3600 + 1) * 3600
    for moment in range(first, drawing.end_ns // _NS + 1, 3600):
        x = _place(drawing, moment * _NS, 0.0)[0]
        pen.line((x, _BOTTOM * _SCALE, x, (_BOTTOM + 3) * _SCALE), fill=_INK, width=_SCALE)
        clock = f"{datetime.fromtimestamp(moment, drawing.zone):%H:%M}"
        pen.text((x, (_BOTTOM + 5) * _SCALE), clock, fill=_INK, font=font, anchor="ma")  # type: ignore[arg-type]


def _place(drawing: Drawing, at_ns: int, value: float) -> Point:
    """Where a moment and a value lie, in pixels."""
    along = (at_ns - drawing.start_ns) / (SECONDS * _NS)
    x = _LEFT + min(max(along, 0.0), 1.0) * (_RIGHT - _LEFT)
    y = _BOTTOM - min(max(value / drawing.top, 0.0), 1.0) * (_BOTTOM - _TOP)
    return x * _SCALE, y * _SCALE
