"""`hinomi rules test FILE`: when would the rules have fired on these series."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from poller.alerts.rehearsal import Rehearsal, rehearse
from poller.alerts.rules import split_on
from poller.alerts.states import SECOND
from poller.alerts.subjects import Subject
from poller.alerts.words import Times, duration_text, pick, subject_name, value_text
from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, load_or_exit
from poller.estate import Estate
from poller.sample import Sample

rules = typer.Typer(help="Rules, tried before they are changed.", no_args_is_help=True)


@rules.command("test")
def try_rules(
    file: Annotated[Path, typer.Argument(help='Samples: one JSON object a line, or {"samples": [...]}.')],
    config: ConfigurationOption,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Run the rules over recorded or invented series, and print when they would have fired."""
    estate = load_or_exit(config).estate
    try:
        samples = list(read_samples(file))
    except (OSError, ValueError) as error:
        typer.echo(f"{file}: {error}", err=True)
        raise typer.Exit(2) from None
    result = rehearse(estate, samples)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(result), ensure_ascii=False, indent=2))
    else:
        _print(result, estate, language(lang))


def read_samples(path: Path) -> Iterator[Sample]:
    """Samples of a file; ValueError names the line that is none."""
    text = path.read_text(encoding="utf-8")
    entries: list[tuple[str, Any]]
    try:
        whole = json.loads(text)
        listed = whole["samples"] if isinstance(whole, dict) and "samples" in whole else [whole]
        entries = [(f"sample {number}", entry) for number, entry in enumerate(listed, 1)]
    except json.JSONDecodeError:
        entries = [(f"line {number}", _line(line, number)) for number, line in enumerate(text.splitlines(), 1) if line]
    for place, entry in entries:
        try:
            tags = entry["tags"]
            pairs = tags.items() if isinstance(tags, dict) else tags
            yield Sample(
                entry["measurement"], tuple((str(k), str(v)) for k, v in pairs), dict(entry["fields"]), entry["time_ns"]
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError(f"{place}: a sample has measurement, tags, fields and time_ns") from None


def _line(line: str, number: int) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}: {error}") from None


def _print(result: Rehearsal, estate: Estate, lang: str) -> None:
    times = Times(estate)
    if result.first_ns is None or result.last_ns is None:
        typer.echo(pick(lang, "値がありません。", "No samples."))
        return
    span = f"{times.full(result.first_ns)} - {times.full(result.last_ns)}"
    typer.echo(pick(lang, f"{result.samples} 件の値  {span}", f"{result.samples} samples  {span}"))
    for firing in result.firings:
        rule = estate.rules[firing.rule]
        value = value_text(*split_on(rule), firing.worst, lang)
        name = subject_name(Subject.parse(firing.subject), estate, lang)
        if firing.resolved_ns is None:
            length = pick(lang, "継続中", "still so")
        else:
            length = duration_text((firing.resolved_ns - firing.since_ns) / SECOND, lang)
        flapping = pick(lang, " 不安定", " flapping") if firing.flapping else ""
        when = f"{times.full(firing.fired_ns)}  {firing.severity.value}  {firing.rule}"
        typer.echo(f"  {when}  {name}  {value}  {length}{flapping}")
    counts = Counter(firing.rule for firing in result.firings)
    typer.echo("")
    for rule_id, series in result.series.items():
        words = pick(lang, f"{series} 系列に {counts[rule_id]} 回", f"{counts[rule_id]} times on {series} series")
        typer.echo(f"  {rule_id}: {words}")
