"""`hinomi forecast`: when a line will be full, how sure that is, and what it rests on (R65)."""

import json
import os
import time
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, cast, get_args
from zoneinfo import ZoneInfo

import typer

from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, load_or_exit
from poller.estate import Estate
from poller.forecast import Forecast, Refusal
from poller.forecastwords import words
from poller.outlook import Against, Direction, Line, Outlook, lines_of, outlook
from poller.storage.errors import HistoryError
from poller.storage.history import open_history
from poller.units import format_rate

_WAYS: Final = {"in": ("下り", "inbound"), "out": ("上り", "outbound")}
_FIGURES: Final = {
    "percentile_95": ("1日の95パーセンタイル", "daily 95th percentile"),
    "peak": ("1日の最大（1分間）", "daily peak (one minute)"),
}
_AGAINST: Final = {"committed": ("帯域確保", "committed rate"), "ceiling": ("契約上限", "ceiling rate")}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def forecast_command(
    lines: Annotated[list[str] | None, typer.Argument(metavar="[CIRCUIT|GROUP]...", help="Else all of them.")] = None,
    *,
    config: ConfigurationOption,
    against: Annotated[
        str | None, typer.Option("--against", help="committed or ceiling; else committed where there is one.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="From the days before this one; else today.")] = None,
    store: Annotated[Path | None, typer.Option("--store", help="The embedded store; else the configuration's.")] = None,
    lang: LangOption = None,
    as_json: JsonOption = False,
) -> None:
    """When a line reaches 80 % and 100 % of its contract, with the interval, the data used and a back-test."""
    configuration = load_or_exit(config, lang)
    estate = configuration.estate
    chosen = language(lang) if lang or os.environ.get("HINOMI_LANG") else estate.organisation.lang
    known = lines_of(estate, _against(against))
    asked = [_line(known, estate, each) for each in lines or known]
    history = open_history(store or configuration.state_directory / "store", estate.polling.interval)
    zone = ZoneInfo(estate.organisation.timezone)
    now_ns = _now_ns(until, zone)
    try:
        found = [outlook(history, line, now_ns, zone) for line in asked]
    except (HistoryError, OSError) as error:
        typer.echo(f"the store cannot be read: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps([_plain(each, chosen) for each in found], ensure_ascii=False))
        return
    for number, each in enumerate(found):
        typer.echo(("\n" if number else "") + "\n".join(_said(each, estate, chosen)))


def _against(text: str | None) -> Against | None:
    for known in get_args(Against):
        if text == known:
            return cast("Against", text)
    if text is None:
        return None
    raise typer.BadParameter(f"--against is committed or ceiling, not {text!r}")


def _now_ns(until: str | None, zone: ZoneInfo) -> int:
    if until is None:
        return time.time_ns()
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise typer.BadParameter(f"--until is a day such as 2026-11-21, not {until!r}") from None
    return int(datetime.combine(day, datetime.min.time(), zone).timestamp()) * 10**9


def _line(known: dict[str, Line], estate: Estate, id_: str) -> Line:
    """The line of that id; exit status 2 where there is none, or none with such a rate."""
    if id_ in known:
        return known[id_]
    if id_ in estate.circuits or id_ in estate.line_groups:
        raise typer.BadParameter(f"{id_} has no committed rate; ask with --against ceiling")
    near = get_close_matches(id_, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else f" There are {', '.join(known)}."
    raise typer.BadParameter(f"there is no circuit and no line group {id_!r}.{hint}")


def _said(found: Outlook, estate: Estate, lang: str) -> list[str]:
    """The outlook in plain words, a paragraph for each direction and figure."""
    line, english = found.line, lang == "en"
    name = (estate.line_groups if line.is_group else estate.circuits)[line.id].name.lang(lang)
    rate = f"{_AGAINST[line.against][english]} {format_rate(line.limit)}"
    said = [f"{name} ({line.id}), against its {rate}" if english else f"{name}（{line.id}）　{rate}に対して"]
    for way, direction in found.directions.items():
        for kind, each in (("percentile_95", direction.percentile_95), ("peak", direction.peak)):
            head = (", " if english else "　").join((_WAYS[way][english], _FIGURES[kind][english]))
            said.append(f"  {head}")
            said += [f"    {sentence}" for sentence in _sentences(each, lang)]
        said += [f"  {sentence}" for sentence in _season(direction, english=english)]
    if found.left_out:
        said.append(
            f"  {found.left_out} days of which too little was observed are left out."
            if english
            else f"  観測が足りない{found.left_out}日は除いてあります。"
        )
    return said


def _sentences(each: Forecast | Refusal, lang: str) -> list[str]:
    return [each.sentence(lang)] if isinstance(each, Refusal) else words(each, lang)


def _season(direction: Direction, *, english: bool) -> list[str]:
    if direction.busiest is None:
        return []
    weekday, hour, ratio = direction.busiest
    if english:
        return [f"Busiest on {_WEEKDAYS[weekday]} from {hour}:00 to {hour + 1}:00, {ratio:.1f} times the week's mean."]
    return [f"最も混むのは{'月火水木金土日'[weekday]}曜日の{hour}時台で、週平均の{ratio:.1f}倍です。"]


def _plain(found: Outlook, lang: str) -> dict[str, Any]:
    """The outlook as JSON: rates in bits per second, days as 2027-03-01, null for what is not known."""
    line = found.line
    return {
        "line": line.id,
        "kind": "line_group" if line.is_group else "circuit",
        "limit": line.limit,
        "against": line.against,
        "days_left_out": found.left_out,
        "directions": {
            way: {
                "percentile_95": _figure(each.percentile_95, lang),
                "peak": _figure(each.peak, lang),
                "busiest": None
                if each.busiest is None
                else dict(zip(("weekday", "hour", "times_the_mean"), each.busiest, strict=True)),
            }
            for way, each in found.directions.items()
        },
    }


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _figure(each: Forecast | Refusal, lang: str) -> dict[str, Any]:
    plain: dict[str, Any] = {"refused": isinstance(each, Refusal), "days": each.days, "words": _sentences(each, lang)}
    if isinstance(each, Refusal):
        return plain
    test = each.back_test
    return plain | {
        "first": each.first.isoformat(),
        "last": each.last.isoformat(),
        "provisional": each.provisional,
        "trend_per_day": each.trend_per_day,
        "trend_error": each.trend_error,
        "spread": each.spread,
        "reached": [
            {
                "share": one.share,
                "day": _iso(one.day),
                "earliest": _iso(one.earliest),
                "latest": _iso(one.latest),
                "already": one.day is not None and one.day <= each.last,
            }
            for one in each.reached
        ],
        "back_test": None
        if test is None
        else {"days": test.days, "mean_error_ratio": test.mean_error_ratio, "within_ratio": test.within_ratio},
    }
