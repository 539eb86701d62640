"""`hinomi status`: how the running daemon is, as a table that lives, once, or as JSON."""

import asyncio
import json
import time
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language
from poller.control import NoDaemon, ask

REFRESH_SECONDS: Final = 2.0
_COLOURS: Final = {"serious": "bold red", "minor": "yellow", "notice": "cyan", "normal": "green", "unknown": "magenta"}
_ALARMS: Final = ("trouble", "disk_full", "not_durable", "undelivered", "refused", "isolated", "storm")
"""Fields of a part that are true where it is not well."""
_WORDS: Final = {
    "ja": {
        "part": "部分", "state": "状態", "queue": "待ち", "done": "済み", "failed": "失敗", "drops": "損失",
        "more": "その他", "well": "正常", "device": "機器", "seconds": "所要秒", "packets": "送信", "retries": "再送",
        "timeouts": "無応答", "incidents": "インシデント", "none": "なし",
        "late": "遅れ", "since": "{}から",
    },
    "en": {
        "part": "part", "state": "state", "queue": "queue", "done": "done", "failed": "failed", "drops": "drops",
        "more": "more", "well": "well", "device": "device", "seconds": "seconds", "packets": "packets",
        "retries": "retries", "timeouts": "timeouts", "incidents": "incidents", "none": "none", "late": "late",
        "since": "since {}",
    },
}  # fmt: skip


def status(
    config: ConfigurationOption,
    once: Annotated[bool, typer.Option("--once", help="Print once and exit.")] = False,
    json_: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """How the daemon is: incidents, schedule, queues, stores, disk, and what devices cost; until Ctrl-C."""
    words = language(lang)
    try:
        found = asyncio.run(ask(config, "GET", "/status"))
    except NoDaemon as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    console = Console()
    if json_:
        typer.echo(json.dumps(found, ensure_ascii=False))
    elif once or not console.is_terminal:
        console.print(shown(found, words))
    else:
        _live(config, found, words, console)


def _live(config: ConfigurationOption, found: dict[str, Any], lang: str, console: Console) -> None:
    """Again and again; a daemon that goes away is said and waited for."""
    with Live(shown(found, lang), console=console, screen=True, auto_refresh=False) as screen:
        while True:
            time.sleep(REFRESH_SECONDS)
            try:
                found = asyncio.run(ask(config, "GET", "/status"))
                screen.update(shown(found, lang), refresh=True)
            except NoDaemon as error:
                screen.update(Text(str(error), style=_COLOURS["serious"]), refresh=True)


def shown(found: dict[str, Any], lang: str) -> Group:
    """The whole picture. Pure."""
    words = _WORDS[lang]
    return Group(_head(found, lang), _incidents(found, lang), _parts(found, words), _devices(found, words))


def _head(found: dict[str, Any], lang: str) -> Text:
    whole, watched = found["whole"], found["watched"]
    begun = datetime.fromtimestamp(found["begun_ns"] / 1e9).astimezone()
    text = Text()
    text.append(f"{found['organisation'][lang]}  ", style="bold")
    text.append(whole["word"], style=_COLOURS.get(whole["word"], ""))
    text.append(f"  {whole['answering']}/{whole['asked']}  {found['wall']}\n")
    counts = ", ".join(f"{count} {name}" for name, count in watched.items())
    since = _WORDS[lang]["since"].format(f"{begun:%Y-%m-%d %H:%M}")
    text.append(f"hinomi {found['version']} {found['node']}, {since}; {counts}; ")
    text.append(f"{_WORDS[lang]['late']} {found['late_seconds']:.1f} s\n")
    return text


def _incidents(found: dict[str, Any], lang: str) -> Table:
    table = Table(title=_WORDS[lang]["incidents"], title_justify="left", show_header=False, expand=True)
    for each in found["incidents"]:
        since = datetime.fromtimestamp(each["since_ns"] / 1e9).astimezone()
        colour = _COLOURS.get(each["severity"], "")
        who = each["acknowledged_by"] or ""
        table.add_row(
            Text(each["severity"], style=colour), each["id"], each["title"][lang], f"{since:%m-%d %H:%M}", who
        )
    if not found["incidents"]:
        table.add_row(Text(_WORDS[lang]["none"], style=_COLOURS["normal"]))
    return table


def _parts(found: dict[str, Any], words: dict[str, str]) -> Table:
    table = Table(expand=True)
    for column in ("part", "state", "queue", "done", "failed", "drops", "more"):
        table.add_column(words[column], justify="right" if column in {"queue", "done", "failed", "drops"} else "left")
    for name, fields in found["parts"].items():
        bad = [word for word in _ALARMS if fields.get(word)]
        state = Text(", ".join(bad) or words["well"], style=_COLOURS["serious" if bad else "normal"])
        numbers = [_number(fields.get(field)) for field in ("queue_depth", "done_total", "failed_total", "drops_total")]
        table.add_row(name, state, *numbers, _more(fields))
    return table


def _more(fields: dict[str, Any]) -> str:
    """What only some parts have."""
    told = []
    for field, form in (
        ("lag_seconds", "lag {:.3f} s"),
        ("stall_seconds", "stall {:.3f} s"),
        ("busy_ratio", "busy {:.1%}"),
        ("retries_total", "{} retries"),
        ("timeouts_total", "{} timeouts"),
        ("days_left", "{:.0f} days left"),
    ):
        if field in fields:
            told.append(form.format(fields[field]))
    for field, word in (("memory_octets", "memory"), ("free_octets", "free")):
        if field in fields:
            told.append(f"{word} {fields[field] / 2**20:,.0f} MiB")
    return ", ".join([*told, *([str(fields["reason"])] if "reason" in fields else [])])


def _devices(found: dict[str, Any], words: dict[str, str]) -> Table:
    table = Table(expand=True)
    for column in ("device", "seconds", "packets", "retries", "timeouts"):
        table.add_column(words[column], justify="left" if column == "device" else "right")
    for each in found["devices"]:
        numbers = [str(each[word]) for word in ("packets", "retries", "timeouts")]
        table.add_row(each["id"], f"{each['seconds']:.3f}", *numbers)
    return table


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
