"""`hinomi reload`: have the running daemon follow its configuration as it is now."""

import asyncio
import json

import typer

from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, told
from poller.config import Place, Problem
from poller.control import NoDaemon, ask


def reload(config: ConfigurationOption, json_: JsonOption = False, lang: LangOption = None) -> None:
    """Read the configuration again without stopping; what did not change goes on untouched.

    A wrong one is told with file, line and column; the daemon goes on by the old one, and the exit status is 2.
    """
    words = language(lang)
    try:
        found = asyncio.run(ask(config, "POST", "/reload"))
    except NoDaemon as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    problems = found["problems"]
    if json_:
        typer.echo(json.dumps(found, ensure_ascii=False))
    for problem in problems if not json_ else ():
        typer.echo(_sentence(problem, words), err=True)
    if problems:
        if not json_:
            kept = (
                "以前の設定のまま監視を続けています" if words == "ja" else "the daemon goes on by the old configuration"
            )
            typer.echo(kept, err=True)
        raise typer.Exit(2)
    if not json_:
        seconds = found["seconds"]
        typer.echo(f"読み直しました（{seconds:.2f}秒）" if words == "ja" else f"reloaded in {seconds:.2f} s")


def _sentence(problem: dict[str, object], lang: str) -> str:
    """As `hinomi check` tells it."""
    place = Place(str(problem["file"]), int(str(problem["line"])), int(str(problem["column"])))
    return told(Problem(place, str(problem["path"]), str(problem["text"])), lang)
