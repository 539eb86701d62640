"""Options that several commands share, and the one way to load a configuration for a command."""

import os
from pathlib import Path
from typing import Annotated

import typer

from poller.config import Configuration, ConfigurationError, Problem, load
from poller.config.japanese import in_japanese

ConfigurationOption = Annotated[
    Path, typer.Option("--config", "-c", help="Directory with hinomi.yaml.", envvar="HINOMI_CONFIG")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
LangOption = Annotated[str | None, typer.Option("--lang", help="ja or en; else HINOMI_LANG or LANG decides.")]


def load_or_exit(directory: Path, lang: str | None = None) -> Configuration:
    """The configuration; where it is broken every problem on standard error, their count in the language, status 2."""
    try:
        return load(directory)
    except ConfigurationError as error:
        words, count = language(lang), len(error.problems)
        for problem in error.problems:
            typer.echo(told(problem, words), err=True)
        english = f"{count} problem{'s' if count != 1 else ''} in {directory}"
        typer.echo(f"{directory}: 誤り {count}件" if words == "ja" else english, err=True)
        raise typer.Exit(2) from None


def told(problem: Problem, lang: str) -> str:
    """A problem of the configuration as one line in the language."""
    return in_japanese(problem) if lang == "ja" else str(problem)


def language(lang: str | None) -> str:
    """The language to speak, "ja" or "en"; an unknown one is refused with exit status 2."""
    if lang is not None and lang not in {"ja", "en"}:
        typer.echo(f"--lang is ja or en, not {lang!r}", err=True)
        raise typer.Exit(2)
    chosen = lang or os.environ.get("HINOMI_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG", "")
    return "ja" if chosen.startswith("ja") else "en"
