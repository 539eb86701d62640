"""What is worked out now and then and kept like any measurement: forecasts of lines, service levels of everything.

So that dashboards show them from the database and derive nothing, the daemon writes them once an hour: time is the
hour, and the same hour again writes the same points.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.inquiry import Inquiry, NoStore
from poller.alerts.servicereport import ServiceReport, parse_period, service_report
from poller.alerts.subjects import Subject
from poller.estate import Estate
from poller.forecast import MOST_DAYS, DayFigure, Forecast, forecast
from poller.log import tell
from poller.sample import Sample
from poller.storage.errors import HistoryError
from poller.storage.history import History

_log: Final = logging.getLogger(__name__)
HOUR_NS: Final = 3600 * 10**9
_DAY_NS: Final = 24 * HOUR_NS
_FIRST_SECONDS: Final = 60.0
"""A daemon that has just begun has better things to do."""
_LEAST_COVERAGE: Final = 0.5
"""A day of which less was seen says nothing about its 95th percentile."""


def level_samples(report: ServiceReport, time_ns: int) -> list[Sample]:
    """The service level of every subject that has service hours; absent where the figure is unknown."""
    samples = []
    for level in report.levels:
        if level.availability is None:
            continue
        subject = Subject.parse(level.subject)
        fields = {
            "availability_ratio": level.availability,
            "down_seconds": level.down_seconds,
            "excluded_seconds": float(sum(level.excluded_seconds.values())),
        }
        if level.target is not None:
            fields["target_ratio"] = level.target
        if level.allowance_seconds and level.allowance_left_seconds is not None:
            fields["allowance_left_ratio"] = level.allowance_left_seconds / level.allowance_seconds
        tags = (("kind", subject.kind), ("subject", subject.id))
        samples.append(Sample("service_level", tags, fields, time_ns))
    return samples


def forecast_sample(line_group: str, direction: str, found: Forecast, time_ns: int, zone: ZoneInfo) -> Sample:
    """One forecast; days_to_* are absent where the share is not reached within three years, 0 where it is already."""
    today = datetime.fromtimestamp(time_ns / 1e9, zone).date()
    fields: dict[str, float | int] = {
        "trend_bits_per_second_per_day": found.trend_per_day,
        "days_used": found.days,
    }
    for reached in found.reached:
        if reached.day is not None:
            fields[f"days_to_{reached.share * 100:.0f}"] = float(max((reached.day - today).days, 0))
    return Sample("forecast", (("line_group", line_group), ("direction", direction)), fields, time_ns)


def forecast_samples(history: History, estate: Estate, time_ns: int) -> Iterator[Sample]:
    """The forecasts of every line group against its ceiling, from its 95th percentiles of local days."""
    zone = ZoneInfo(estate.organisation.timezone)
    now = datetime.fromtimestamp(time_ns / 1e9, zone)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    end_ns = int(today.timestamp()) * 10**9
    for group in estate.line_groups.values():
        for direction in ("in", "out"):
            field = f"{direction}_bits_per_second_mean"
            frame = history.read(
                "line_group_5m",
                [field],
                {"line_group": group.id},
                start_ns=end_ns - MOST_DAYS * _DAY_NS,
                end_ns=end_ns,
                step_seconds=86_400,
                aggregate="p95",
                origin_ns=end_ns % _DAY_NS,
            )
            days = [
                DayFigure(datetime.fromtimestamp(start / 1e9, zone).date(), value)
                for start, value, coverage in frame.select("time_ns", field, "coverage_ratio").rows()
                if value is not None and coverage >= _LEAST_COVERAGE
            ]
            found = forecast(days, group.ceiling_rate)
            if isinstance(found, Forecast):
                yield forecast_sample(group.id, direction, found, time_ns, zone)


def entries(history: History, estate: Estate, state: Path, now_ns: int) -> list[Sample]:
    """Everything of this hour; blocking. What cannot be read now is left out and told, and comes with the next hour."""
    time_ns = now_ns // HOUR_NS * HOUR_NS
    samples: list[Sample] = []
    try:
        report = service_report(Inquiry(state), estate, parse_period(None, estate, now_ns), now_ns)
        samples += level_samples(report, time_ns)
    except NoStore as error:
        tell(_log, logging.WARNING, "service_level_not_kept", reason=str(error))
    try:
        samples += forecast_samples(history, estate, time_ns)
    except (HistoryError, OSError) as error:
        tell(_log, logging.WARNING, "forecast_not_kept", reason=str(error))
    return samples


async def run_daybook(
    read: Callable[[int], Sequence[Sample]], publish: Callable[[Iterable[Sample]], None], clock_ns: Callable[[], int]
) -> None:
    """Until cancelled: a minute after the start and then at the beginning of every hour, off the loop."""
    await asyncio.sleep(_FIRST_SECONDS)
    while True:
        publish(await asyncio.to_thread(read, clock_ns()))
        await asyncio.sleep((HOUR_NS - clock_ns() % HOUR_NS) / 1e9 + 1.0)
