"""Values as people read them, in Japanese or English. Pure."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from poller.reports.document import Cell, Form, Mark
from poller.units import format_rate, format_volume

DAY: Final = 86_400
HOUR: Final = 3600
NOTHING: Final = "—"
SIGNS: Final[Mapping[Mark, str]] = {Mark.GOOD: "○", Mark.WARNING: "△", Mark.BAD: "×"}
"""Read in black and white too."""
WEEKDAYS: Final = {"ja": "月火水木金土日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}


class Writer:
    """Writes values in one language and time zone."""

    def __init__(self, lang: str, timezone: str) -> None:
        self.lang = lang
        self.zone = ZoneInfo(timezone)

    def cell(self, value: object, form: Form) -> str:
        """A cell of a table: the value, its sign, and how provisional it is."""
        if not isinstance(value, Cell):
            return self.value(value, form)
        text = self.value(value.value, form)
        if value.mark is not None:
            text = f"{SIGNS[value.mark]} {text}"
        if value.coverage_ratio is not None:
            seen = percent(value.coverage_ratio, 1)
            text += f"\n（暫定 {seen}）" if self.lang == "ja" else f"\n(provisional, {seen} seen)"
        return text

    def value(self, value: object, form: Form) -> str:
        """A plain value; a dash for None."""
        if value is None:
            return NOTHING
        if form is Form.TEXT:
            return str(value)
        if form is Form.DAY:
            assert isinstance(value, date)
            return self.day(value)
        assert isinstance(value, int | float)
        if form is Form.MOMENT:
            return self.moment(int(value))
        if form is Form.DURATION:
            return self.duration(value)
        return _NUMBERS[form](value)

    def moment(self, time_ns: int) -> str:
        """2026/10/03 14:05, local."""
        return f"{datetime.fromtimestamp(time_ns // 10**9, self.zone):%Y/%m/%d %H:%M}"

    def day(self, day: date) -> str:
        """2026年10月3日, 3 October 2026."""
        return f"{day.year}年{day.month}月{day.day}日" if self.lang == "ja" else f"{day.day} {day:%B %Y}"

    def duration(self, seconds: float) -> str:
        """2日3時間10分, 4時間5分, 6分7秒; from an hour on rounded to minutes."""
        unit = 60 if seconds >= HOUR else 1
        days, rest = divmod(round(seconds / unit) * unit, DAY)
        hours, rest = divmod(rest, HOUR)
        minutes, rest = divmod(rest, 60)
        units = ("日", "時間", "分", "秒") if self.lang == "ja" else (" d", " h", " min", " s")
        parts = [f"{count}{name}" for count, name in zip((days, hours, minutes, rest), units, strict=True) if count]
        return ("" if self.lang == "ja" else " ").join(parts) or f"0{units[3]}"

    def weekday_hour(self, weekday: int, hour: int) -> str:
        """月曜日 10時台; Mon 10:00-11:00."""
        name = WEEKDAYS[self.lang][weekday]
        return f"{name}曜日 {hour}時台" if self.lang == "ja" else f"{name} {hour}:00-{hour + 1}:00"


def percent(ratio: float, digits: int) -> str:
    """A ratio as percent."""
    return f"{ratio * 100:.{digits}f}%"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


_NUMBERS: Final[Mapping[Form, Callable[[float], str]]] = {
    Form.COUNT: lambda value: f"{value:,}",
    Form.RATE: format_rate,
    Form.VOLUME: lambda value: format_volume(int(value)),
    Form.RATIO: lambda value: percent(value, 1),
    Form.LEVEL: lambda value: percent(value, 3),
    Form.CHANGE: lambda value: f"{value * 100:+.1f}%",
    Form.SECONDS: _seconds,
}
