"""The periods that reports are about: calendar months, and quarters, halves and years of the fiscal year (April on)."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

APRIL = 4
_FIRST_OF_REIWA = date(2019, 5, 1)
_REIWA_BEFORE = 2018


class Kind(StrEnum):
    """The kinds of report, each about a period of its own length."""

    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    SEMIANNUAL = "semiannual"
    ANNUAL = "annual"


_MONTHS = {Kind.MONTHLY: 1, Kind.QUARTERLY: 3, Kind.SEMIANNUAL: 6, Kind.ANNUAL: 12}
FORMS = {
    Kind.MONTHLY: "2026-10",
    Kind.QUARTERLY: "2026-Q2 (July to September of the fiscal year 2026)",
    Kind.SEMIANNUAL: "2026-H1 (April to September of the fiscal year 2026)",
    Kind.ANNUAL: "2026 (April 2026 to March 2027)",
}
"""How a period of each kind is written."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole months from the first day on; `after` is the first day that no longer belongs to it."""

    kind: Kind
    first: date
    zone: ZoneInfo

    @property
    def after(self) -> date:
        """The day after the last."""
        return add_months(self.first, _MONTHS[self.kind])

    @property
    def start_ns(self) -> int:
        """Its first moment, UTC unix nanoseconds."""
        return midnight_ns(self.first, self.zone)

    @property
    def end_ns(self) -> int:
        """The moment after its last, UTC unix nanoseconds."""
        return midnight_ns(self.after, self.zone)

    @property
    def months(self) -> list["Period"]:
        """Its calendar months, in order."""
        return [Period(Kind.MONTHLY, add_months(self.first, each), self.zone) for each in range(_MONTHS[self.kind])]

    @property
    def before(self) -> "Period":
        """The period before this one."""
        return Period(self.kind, add_months(self.first, -_MONTHS[self.kind]), self.zone)

    @property
    def following(self) -> "Period":
        """The period after this one."""
        return Period(self.kind, self.after, self.zone)

    @property
    def year_before(self) -> "Period":
        """The same period one year ago."""
        return Period(self.kind, add_months(self.first, -12), self.zone)

    @property
    def key(self) -> str:
        """As period_of reads it: "2026-10", "2026-Q2", "2026-H1", "2026"."""
        year, month = fiscal(self.first)
        match self.kind:
            case Kind.MONTHLY:
                return f"{self.first:%Y-%m}"
            case Kind.QUARTERLY:
                return f"{year}-Q{month // 3 + 1}"
            case Kind.SEMIANNUAL:
                return f"{year}-H{month // 6 + 1}"
            case Kind.ANNUAL:
                return str(year)

    def label(self, lang: str) -> str:
        """For people: 令和8年10月, 令和8年度第2四半期, 令和8年度上半期, 令和8年度; October 2026, ..."""
        year, month = fiscal(self.first)
        if lang == "en":
            name = {
                Kind.MONTHLY: f"{self.first:%B %Y}",
                Kind.QUARTERLY: f"quarter {month // 3 + 1} of fiscal {year}",
                Kind.SEMIANNUAL: f"{'first' if month == 0 else 'second'} half of fiscal {year}",
                Kind.ANNUAL: f"fiscal {year}",
            }[self.kind]
            last = add_months(self.after, -1)
            return name if self.kind is Kind.MONTHLY else f"{name} ({self.first:%B %Y} to {last:%B %Y})"
        if self.kind is Kind.MONTHLY:
            return era_month(self.first)
        name = {
            Kind.QUARTERLY: f"第{month // 3 + 1}四半期",
            Kind.SEMIANNUAL: "上半期" if month == 0 else "下半期",
            Kind.ANNUAL: "",
        }[self.kind]
        return f"{era_year(date(year, APRIL, 1))}度{name}"

    def short(self, lang: str) -> str:
        """For the head of a column: as the label, in English October 2026, Q2 2026, H1 2026, FY 2026."""
        year, month = fiscal(self.first)
        if lang != "en" or self.kind is Kind.MONTHLY:
            return self.label(lang)
        part = {Kind.QUARTERLY: f"Q{month // 3 + 1}", Kind.SEMIANNUAL: f"H{month // 6 + 1}", Kind.ANNUAL: "FY"}
        return f"{part[self.kind]} {year}"

    def span(self, lang: str) -> str:
        """Its months: 令和8年4月～令和8年9月; April 2026 to September 2026."""
        last = add_months(self.after, -1)
        if lang == "en":
            return f"{self.first:%B %Y} to {last:%B %Y}"
        return f"{era_month(self.first)}～{era_month(last)}"


def period_of(kind: Kind, text: str, zone: ZoneInfo) -> Period:
    """The period written as FORMS says; ValueError with one clear sentence otherwise."""
    try:
        return Period(kind, _first_day(kind, text), zone)
    except ValueError:
        raise ValueError(f"a {kind} period is written like {FORMS[kind]}, not {text!r}") from None


def last_complete(kind: Kind, today: date, zone: ZoneInfo) -> Period:
    """The last period of the kind that was over before the day began."""
    length = _MONTHS[kind]
    since_april = (today.month - APRIL) % 12
    running = add_months(today.replace(day=1), -(since_april % length))
    return Period(kind, add_months(running, -length), zone)


def _first_day(kind: Kind, text: str) -> date:
    if kind is Kind.MONTHLY:
        return datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 - a calendar month has no zone
    year, _, part = text.partition("-")
    letter = {Kind.QUARTERLY: "Q", Kind.SEMIANNUAL: "H", Kind.ANNUAL: ""}[kind]
    parts = 12 // _MONTHS[kind]
    number = int(part[1:]) if letter and part[:1] == letter else int(not part and not letter)
    if not (year.isascii() and year.isdigit() and 1 <= number <= parts):
        raise ValueError
    return add_months(date(int(year), APRIL, 1), (number - 1) * _MONTHS[kind])


def add_months(first: date, count: int) -> date:
    """The first day of the month so many months later."""
    year, month = divmod(first.year * 12 + first.month - 1 + count, 12)
    return date(year, month + 1, 1)


def fiscal(first: date) -> tuple[int, int]:
    """The fiscal year of a month, and how many months after April it lies."""
    begins = first.year if first.month >= APRIL else first.year - 1
    return begins, (first.month - APRIL) % 12


def midnight_ns(day: date, zone: ZoneInfo) -> int:
    """The first moment of a day, UTC unix nanoseconds."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 10**9


def era_year(day: date) -> str:
    """令和8年, 令和元年; before Reiwa the western year."""
    if day < _FIRST_OF_REIWA:
        return f"{day.year}年"
    number = day.year - _REIWA_BEFORE
    return "令和元年" if number == 1 else f"令和{number}年"


def era_month(day: date) -> str:
    """令和8年10月."""
    return f"{era_year(day)}{day.month}月"


def era_day(day: date) -> str:
    """令和8年10月3日."""
    return f"{era_month(day)}{day.day}日"
