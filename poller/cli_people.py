"""`hinomi maintenance`, `second-notice`, `exclude`, `dead-letters`, `sla`: what people plan, note and ask.

Like the commands on incidents they are lines in the audit log, which the daemon reads within a second.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from poller.alerts import asked
from poller.alerts.asked import Person, Unfit
from poller.alerts.maintenance import Windows
from poller.alerts.records import AuditEntry
from poller.alerts.servicelevel import ServiceLevel
from poller.alerts.servicereport import BadPeriod, ServiceReport, parse_period, service_report
from poller.alerts.subjects import Subject
from poller.alerts.words import EXCLUSIONS, Times, clean, duration_text, pick, subject_name
from poller.cli_incidents import CommentOption, IncidentArgument, WhoOption, inquiry_of, login, origin
from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, load_or_exit
from poller.config import Configuration
from poller.estate import Estate
from poller.units import parse_duration

maintenance_app = typer.Typer(help="Planned maintenance: list, plan, end.", no_args_is_help=True)


@maintenance_app.command("list")
def list_windows(config: ConfigurationOption, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """List the windows of the configuration and those that people planned."""
    configuration = load_or_exit(config)
    with inquiry_of(configuration) as inquiry:
        windows = Windows(configuration.estate, inquiry.plans()).all()
    if as_json:
        dumped = [window.model_dump(mode="json") for window in windows.values()]
        typer.echo(json.dumps(dumped, ensure_ascii=False, indent=2))
        return
    words = language(lang)
    for window in windows.values():
        effects = [
            word
            for on, word in (
                (window.mute_mails, pick(words, "通知停止", "no mails")),
                (window.stop_polling, pick(words, "監視停止", "no polls")),
                (window.exclude_from_service_level, pick(words, "稼働率から除外", "not in the service level")),
            )
            if on
        ]
        repeat = pick(words, {"weekly": " 毎週", "monthly": " 毎月"}.get(window.repeat or "", ""), window.repeat or "")
        name = clean(window.name.lang(words), 60)
        typer.echo(f"{window.id}  {window.start} - {window.end} {repeat}  {name}  {', '.join(effects)}".rstrip())


@maintenance_app.command("plan")
def plan(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A short name, such as fw-update-12.")],
    config: ConfigurationOption,
    *,
    about: Annotated[list[str], typer.Option("--on", help="What is worked on: 'device/dns-*', 'tenant/tsu'.")],
    start: Annotated[str, typer.Option(help='Local time, "2026-11-21 22:00"; now where it is left out.')] = "",
    end: Annotated[str, typer.Option(help="Local time.")] = "",
    duration: Annotated[str, typer.Option("--for", help='Instead of --end: "2h".')] = "",
    name: Annotated[str, typer.Option(help="What is done, for the announcement.")] = "",
    repeat: Annotated[str | None, typer.Option(help="weekly or monthly.")] = None,
    mute: Annotated[bool, typer.Option("--mute/--no-mute", help="Keep mails back.")] = True,
    stop_polling: Annotated[bool, typer.Option("--stop-polling", help="Ask nothing of it meanwhile.")] = False,
    exclude: Annotated[bool, typer.Option("--exclude/--count", help="Leave it out of the service level.")] = True,
    contact: Annotated[
        list[str] | None, typer.Option(help="Announce it to this contact, beforehand and after.")
    ] = None,
    who: WhoOption = None,
    lang: LangOption = None,
) -> None:
    """Plan maintenance; what is still bad at its end is told within a minute."""
    configuration = load_or_exit(config)
    person = _person(who)
    times = Times(configuration.estate)
    begins = start or f"{times.local(person.at_ns):%Y-%m-%d %H:%M}"
    window: dict[str, Any] = {
        "id": id_,
        "name": {"ja": name or id_, "en": name or id_},
        "start": begins,
        "end": end or _end(begins, duration),
        "repeat": repeat,
        "where": about,
        "mute_mails": mute,
        "stop_polling": stop_polling,
        "exclude_from_service_level": exclude,
        "contacts": contact or [],
    }
    _append(configuration, lambda: asked.maintenance(window, person, configuration.estate))
    span = f"{begins} - {window['end']}"
    typer.echo(pick(language(lang), f"計画作業 {id_} を登録しました（{span}）。", f"{id_} is planned: {span}."))


@maintenance_app.command("end")
def end_window(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The window that people planned.")],
    config: ConfigurationOption,
    comment: CommentOption = "",
    who: WhoOption = None,
    lang: LangOption = None,
) -> None:
    """End maintenance now, or take back what was planned."""
    configuration = load_or_exit(config)
    estate = configuration.estate
    with inquiry_of(configuration) as inquiry:
        windows = Windows(estate, inquiry.plans()).all()
    planned = {key: window for key, window in windows.items() if key not in estate.maintenance}
    _append(configuration, lambda: asked.end_maintenance(id_, comment, _person(who), planned))
    typer.echo(pick(language(lang), f"計画作業 {id_} を終了しました。", f"{id_} is ended."))


def second_notice(
    id_: IncidentArgument,
    config: ConfigurationOption,
    comment: CommentOption = "",
    who: WhoOption = None,
    lang: LangOption = None,
) -> None:
    """Note that those in charge were told what is being done (二次通知); it is held against its deadline of 2 h."""
    _remark(load_or_exit(config), "second_notice", id_, comment, who)
    typer.echo(pick(language(lang), f"{id_} の二次通知を記録しました。", f"{id_}: second notice noted."))


def exclude(
    id_: IncidentArgument,
    reason: Annotated[str, typer.Argument(help="other_party, disaster, or none: it counts after all.")],
    config: ConfigurationOption,
    *,
    comment: CommentOption = "",
    who: WhoOption = None,
    lang: LangOption = None,
) -> None:
    """Agree to leave an incident out of the service level, or to count it."""
    _remark(load_or_exit(config), "exclude", id_, f"{reason} {comment}".strip(), who)
    typer.echo(pick(language(lang), f"{id_} の稼働率での扱いを記録しました。", f"{id_}: noted."))


def dead_letters(config: ConfigurationOption, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """List mails and posts that nobody would take, with the reason."""
    configuration = load_or_exit(config)
    with inquiry_of(configuration) as inquiry:
        mails = inquiry.dead_letters()
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(mails), ensure_ascii=False, indent=2))
        return
    times = Times(configuration.estate)
    for mail in mails:
        typer.echo(
            f"{times.full(mail.created_ns)}  {mail.recipient}  {clean(mail.subject)}  {clean(mail.answer or '')}"
        )
    if not mails:
        typer.echo(pick(language(lang), "届かなかった通知はありません。", "There are none."))


def sla(
    config: ConfigurationOption,
    period: Annotated[str | None, typer.Option(help='"2026-11", "2026" or "FY2026"; else this month.')] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what has no target and was never out.")] = False,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Tell the service level: availability, what was left out and why, what remains, and notices in time."""
    configuration = load_or_exit(config)
    now_ns = time.time_ns()
    try:
        wanted = parse_period(period, configuration.estate, now_ns)
    except BadPeriod as error:
        typer.echo(f"--period: {error}", err=True)
        raise typer.Exit(2) from None
    with inquiry_of(configuration) as inquiry:
        report = service_report(inquiry, configuration.estate, wanted, now_ns)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(report), ensure_ascii=False, indent=2))
        return
    _print_levels(report, configuration.estate, language(lang), everything=everything)


def _print_levels(report: ServiceReport, estate: Estate, lang: str, *, everything: bool) -> None:
    until = Times(estate).full(report.until_ns)
    typer.echo(pick(lang, f"サービスレベル {report.period.name}（{until} まで）", f"{report.period.name}, to {until}"))
    table = Table(box=None, pad_edge=False)
    titles = ("対象 稼働率 目標 停止 除外 残り許容時間", "subject availability target down left-out allowance-left")
    for title in pick(lang, *titles).split():
        table.add_column(title, overflow="fold")
    for level in report.levels:
        if everything or level.target is not None or level.outages:
            table.add_row(*_row(level, estate, lang))
    Console().print(table)
    late = [notice.incident for notice in report.notices if not (notice.first_in_time and notice.second_in_time)]
    count = len(report.notices)
    typer.echo(
        pick(
            lang,
            f"重大 {count}件、期限内の通知 {count - len(late)}件",
            f"{count} serious faults, {count - len(late)} with their notices in time",
        )
    )
    for id_ in late:
        typer.echo(pick(lang, f"  期限超過 {id_}", f"  late: {id_}"))


def _row(level: ServiceLevel, estate: Estate, lang: str) -> tuple[str, ...]:
    left_out = [
        f"{pick(lang, *EXCLUSIONS[reason])} {duration_text(seconds, lang)}"
        for reason, seconds in level.excluded_seconds.items()
        if seconds
    ]
    left = level.allowance_left_seconds
    return (
        subject_name(Subject.parse(level.subject), estate, lang),
        "-" if level.availability is None else f"{level.availability:.3%}",
        "-" if level.target is None else f"{level.target:.2%}",
        duration_text(level.down_seconds, lang),
        ", ".join(left_out) or "-",
        "-" if left is None else ("-" if left < 0 else "") + duration_text(abs(left), lang),
    )


def _end(begins: str, duration: str) -> str:
    """The end of a window by its length; what cannot be read is told by whoever judges the window."""
    try:
        start = datetime.strptime(begins, "%Y-%m-%d %H:%M")  # noqa: DTZ007 - local time of the organisation
        return f"{start + timedelta(seconds=parse_duration(duration)):%Y-%m-%d %H:%M}"
    except ValueError as error:
        typer.echo(f"--for: {error}", err=True)
        raise typer.Exit(2) from None


def _person(who: str | None) -> Person:
    return Person(who or login(), origin(), time.time_ns())


def _remark(configuration: Configuration, action: str, id_: str, text: str, who: str | None) -> None:
    with inquiry_of(configuration) as inquiry:
        known = inquiry.story(id_) is not None
    if not known:
        typer.echo(f"there is no incident {id_!r}; hinomi incidents lists those that are open", err=True)
        raise typer.Exit(1)
    _append(configuration, lambda: asked.remark(action, id_, text, _person(who)))


def _append(configuration: Configuration, ask: Callable[[], AuditEntry]) -> None:
    """Put what was asked into the audit log, or say why not."""
    try:
        entry = ask()
    except Unfit as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    with inquiry_of(configuration) as inquiry:
        inquiry.command(replace(entry, command=True))


PEOPLE_COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "second-notice": second_notice,
    "exclude": exclude,
    "dead-letters": dead_letters,
    "sla": sla,
}
"""The commands of this module by the words people type."""
