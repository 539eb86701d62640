"""`hinomi check --live`: every configured device asked once, in parallel; what to know before going live."""

import asyncio
import json
import sys
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from poller.config import Configuration
from poller.profiles import BadProfile, load_profiles
from poller.survey import Surveyed, survey

_WORDS: Final = {
    "en": {
        "asking": "asking",
        "device": "Device",
        "address": "Address",
        "state": "State",
        "profile": "Profile",
        "interfaces": "Interfaces",
        "reads": "Reads",
        "warnings": "Warnings",
        "answers": "answers",
        "silent": "no answer",
        "unasked": "not asked",
        "sum": "{reached} of {asked} devices answer; {warned} have warnings.",
    },
    "ja": {
        "asking": "確認中",
        "device": "機器",
        "address": "アドレス",
        "state": "状態",
        "profile": "プロファイル",
        "interfaces": "インタフェース",
        "reads": "取得項目",
        "warnings": "注意",
        "answers": "応答あり",
        "silent": "応答なし",
        "unasked": "対象外",
        "sum": "{asked} 台中 {reached} 台が応答。注意のある機器は {warned} 台。",
    },
}


def check_live(configuration: Configuration, *, as_json: bool = False, lang: str = "en") -> int:
    """Ask every device once and print what came; 0 where all that are asked by SNMP answer as they should, else 1."""
    try:
        profiles = load_profiles()
    except BadProfile as error:
        typer.echo(str(error), err=True)
        return 2
    words, estate = _WORDS[lang], configuration.estate
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(words["asking"], total=len(estate.devices))
        results = asyncio.run(survey(estate, configuration.directory, profiles, lambda _: bar.advance(task)))
    if as_json:
        typer.echo(json.dumps([as_plain(result) for result in results], ensure_ascii=False, indent=2))
    else:
        _print(results, words)
    return 1 if any(is_wrong(result) for result in results) else 0


def is_wrong(result: Surveyed) -> bool:
    """Silent, refused, or broken before it could be asked; a device without credentials is as it should be."""
    return result.reachable is False or (bool(result.text) and not result.text.startswith("has no credentials"))


def as_plain(result: Surveyed) -> dict[str, Any]:
    """For scripts."""
    return {
        "device": result.device,
        "address": result.address,
        "reachable": result.reachable,
        "profile": result.profile or None,
        "interfaces": result.interfaces,
        "reads": list(result.reads),
        "warnings": list(result.warnings),
        "text": result.text,
    }


def _print(results: list[Surveyed], words: dict[str, str]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(box=None, pad_edge=False)
    for name in ("device", "address", "state", "profile", "interfaces", "reads", "warnings"):
        table.add_column(words[name], justify="right" if name == "interfaces" else "left")
    for result in results:
        state = {True: f"[green]{words['answers']}[/]", False: f"[red]{words['silent']}[/]", None: words["unasked"]}
        told = ([result.text] if result.text else []) + list(result.warnings)
        table.add_row(
            escape(result.device),
            escape(result.address),
            state[result.reachable],
            result.profile or "-",
            str(result.interfaces) if result.profile else "-",
            escape(", ".join(result.reads)),
            escape("; ".join(told)),
        )
    console.print(table)
    asked = [result for result in results if result.reachable is not None]
    console.print(
        words["sum"].format(
            reached=sum(bool(result.reachable) for result in asked),
            asked=len(asked),
            warned=sum(bool(result.warnings) for result in results),
        )
    )
