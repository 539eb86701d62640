"""When a line will be full: trend and season of daily figures, the day a share of the limit is reached, how sure (R65).

    forecast(days, limit) -> Forecast, or Refusal where there is too little to go by

Theory. A day's figure is a level of its weekday plus a trend. The trend is the median slope between days of the same
weekday (Theil-Sen, so that holidays and single floods do not bend it), a weekday's level the median of what remains.
Residuals give the spread; where they follow one another (lag-1 correlation) there is less to learn from them, and the
trend's uncertainty grows accordingly. A limit is reached on the first day whose expected figure touches it; the
interval is where the bounds of the trend touch it. The same procedure, blind to the last four weeks, tells how good
it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import sqrt
from statistics import fmean, median
from typing import Final

LEAST_DAYS: Final = 7
GOOD_DAYS: Final = 30
MOST_DAYS: Final = 180
SEASON_DAYS: Final = 14
"""From two weeks on weekdays are told apart."""
BACK_TEST_DAYS: Final = 28
HORIZON_DAYS: Final = 1096
"""Three years: further nobody should look."""
SHARES: Final = (0.8, 1.0)
_Z90: Final = 1.645
"""Both sides together leave out one in ten."""
MEDIAN_ERROR: Final = 1.253
"""The standard error of a median against that of a mean, for normal residuals."""
WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class DayFigure:
    """One day's figure in bits per second: its 95th percentile, or its peak."""

    day: date
    value: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """No forecast, and why."""

    days: int

    def sentence(self, lang: str = "ja") -> str:
        """The reason in "ja" or "en"."""
        if lang == "en":
            return f"No forecast: {self.days} days of data, at least {LEAST_DAYS} are needed."
        return f"予測できません。データが{self.days}日分しかなく、少なくとも{LEAST_DAYS}日分が必要です。"


@dataclass(frozen=True, slots=True)
class Reached:
    """The day on which a share of the limit is expected to be reached, and the 90 % interval of that day.

    None is "not within three years"; a day that is not after the data is "already reached".
    """

    share: float
    day: date | None
    earliest: date | None
    latest: date | None


@dataclass(frozen=True, slots=True)
class BackTest:
    """How the last four weeks would have been predicted: mean error as a part of the figure, part within the bounds."""

    days: int
    mean_error_ratio: float
    within_ratio: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected, and what it rests on.

    trend_per_day: bits per second a day, with trend_error, its standard error; spread: of single days around it.
    first, last, days: the data that were used. back_test: None where there was too little to hold back.
    """

    limit: int
    trend_per_day: float
    trend_error: float
    spread: float
    first: date
    last: date
    days: int
    reached: tuple[Reached, ...]
    back_test: BackTest | None
    weekday_levels: Mapping[int, float]

    @property
    def provisional(self) -> bool:
        """Whether it rests on less than 30 days."""
        return self.days < GOOD_DAYS


@dataclass(frozen=True, slots=True)
class _Fit:
    """The model: levels by weekday (equal without a season) at day 0, slope per day, and its uncertainty."""

    origin: date
    levels: Mapping[int, float]
    slope: float
    slope_error: float
    centre: float
    spread: float
    level_error: float

    def expected(self, day: date) -> float:
        return self.levels[day.weekday()] + self.slope * (day - self.origin).days

    def trend_bound(self, day: date) -> float:
        """Half width of the 90 % interval of the expected figure."""
        distance = (day - self.origin).days - self.centre
        return _Z90 * sqrt(self.level_error**2 + (self.slope_error * distance) ** 2)

    def day_bound(self, day: date) -> float:
        """Half width of the 90 % interval of a single day's figure."""
        return sqrt(self.trend_bound(day) ** 2 + (_Z90 * self.spread) ** 2)


def forecast(days: Iterable[DayFigure], limit: int, shares: Sequence[float] = SHARES) -> Forecast | Refusal:
    """The forecast from the last 180 days of daily figures (in any order, days may be missing) against a limit.

    limit is in bits per second, as the figures are; shares are the parts of it whose dates are asked for.
    """
    known = sorted({each.day: each for each in days}.values(), key=lambda each: each.day)
    used = [each for each in known if (known[-1].day - each.day).days < MOST_DAYS]
    if len(used) < LEAST_DAYS:
        return Refusal(len(used))
    fit = _fit(used)
    last = used[-1].day
    return Forecast(
        limit=limit,
        trend_per_day=fit.slope,
        trend_error=fit.slope_error,
        spread=fit.spread,
        first=used[0].day,
        last=last,
        days=len(used),
        reached=tuple(_reach(fit, last, limit, share) for share in shares),
        back_test=_back_test(used),
        weekday_levels={day.weekday(): fit.expected(day) for day in (last - timedelta(back) for back in range(WEEK))},
    )


def _fit(days: Sequence[DayFigure]) -> _Fit:
    origin = days[0].day
    points = [((each.day - origin).days, each.day.weekday(), each.value) for each in days]
    seasonal = len(points) >= SEASON_DAYS
    slope = _slope(points, seasonal=seasonal)
    rests: dict[int, list[float]] = {}
    for at, weekday, value in points:
        rests.setdefault(weekday if seasonal else 0, []).append(value - slope * at)
    overall = median(value for values in rests.values() for value in values)
    levels = {weekday: median(rests.get(weekday if seasonal else 0, [overall])) for weekday in range(WEEK)}
    residuals = [value - slope * at - levels[weekday] for at, weekday, value in points]
    freedom = max(1, len(points) - 1 - len(rests))
    spread = sqrt(sum(residual**2 for residual in residuals) / freedom)
    centre = fmean(at for at, _, _ in points)
    width = sqrt(sum((at - centre) ** 2 for at, _, _ in points))
    echo = _echo(residuals)
    learnt = sqrt((1 - echo) / (1 + echo))
    level_error = MEDIAN_ERROR * spread / sqrt(len(points) / len(rests)) / learnt
    return _Fit(origin, levels, slope, spread / width / learnt, centre, spread, level_error)


def _slope(points: Sequence[tuple[int, int, float]], *, seasonal: bool) -> float:
    """The median slope between any two days, of the same weekday if there are enough of them."""
    return median(
        (later[2] - earlier[2]) / (later[0] - earlier[0])
        for number, earlier in enumerate(points)
        for later in points[number + 1 :]
        if not seasonal or later[1] == earlier[1]
    )


def _echo(residuals: Sequence[float]) -> float:
    """The lag-1 correlation of residuals, between 0 and 0.9."""
    total = sum(residual**2 for residual in residuals)
    if total == 0:
        return 0.0
    return min(0.9, max(0.0, sum(before * after for before, after in pairwise(residuals)) / total))


def _reach(fit: _Fit, last: date, limit: int, share: float) -> Reached:
    level = share * limit
    ahead = [last - timedelta(back) for back in range(WEEK - 1, -1, -1)]
    ahead += [last + timedelta(number) for number in range(1, HORIZON_DAYS + 1)]

    def figure(day: date, bound: float) -> float:
        """Of days behind us what their weekday has come to since, where the line is falling."""
        fallen = min(fit.slope, 0.0) * max((last - day).days, 0)
        return fit.expected(day) + fallen + bound * fit.trend_bound(day)

    def first(bound: float) -> date | None:
        return next((day for day in ahead if figure(day, bound) >= level), None)

    return Reached(share, first(0.0), first(1.0), first(-1.0))


def _back_test(days: Sequence[DayFigure]) -> BackTest | None:
    """Fit without the last four weeks and predict them; None where less than two weeks would be left."""
    border = days[-1].day - timedelta(BACK_TEST_DAYS)
    before, after = [each for each in days if each.day <= border], [each for each in days if each.day > border]
    if len(before) < SEASON_DAYS:
        return None
    fit = _fit(before)
    errors = [abs(each.value - fit.expected(each.day)) for each in after]
    within = sum(error <= fit.day_bound(each.day) for error, each in zip(errors, after, strict=True))
    size = fmean(abs(each.value) for each in after)
    return BackTest(len(after), fmean(errors) / size if size else 0.0, within / len(after))


@dataclass(frozen=True, slots=True)
class HourSeason:
    """The week's shape: mean bits per second by weekday (0 is Monday) and hour of local time."""

    means: Mapping[tuple[int, int], float]

    def busiest(self) -> tuple[int, int]:
        """Weekday and hour with the highest mean."""
        return max(self.means, key=lambda each: self.means[each])

    def ratio(self, weekday: int, hour: int) -> float:
        """That hour's mean against the mean of the whole week."""
        return self.means[weekday, hour] / fmean(self.means.values())


def hour_season(hours: Iterable[tuple[datetime, float]]) -> HourSeason | None:
    """The shape of the week from hourly means by local time; None before every hour of the week was seen."""
    found: dict[tuple[int, int], list[float]] = {}
    for at, value in hours:
        found.setdefault((at.weekday(), at.hour), []).append(value)
    if len(found) < WEEK * 24:
        return None
    return HourSeason({key: fmean(values) for key, values in found.items()})
