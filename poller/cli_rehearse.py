"""`hinomi rehearse`: watch a redundant group while people switch it, and write the one-page record."""

import asyncio
import json
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, Self

import typer
import uvloop
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from poller.cli_options import ConfigurationOption, JsonOption, language, load_or_exit
from poller.config import Configuration
from poller.failover import FailoverRecord, Recorder
from poller.failover_page import FailoverPage
from poller.failover_watch import FailoverWatch, NothingToWatch, Wish, name_of, named_addresses, wish_of
from poller.secrets import SecretUnavailable
from poller.units import format_rate, parse_duration
from probes.errors import LocalError
from probes.snmp.errors import BadRequest

_BAD_INPUT: Final = 2
_TAIL_SECONDS: Final = 1.2
"""After the end: the last echoes are told a timeout after they were sent."""


def rehearse(  # noqa: PLR0917 - a command has as many options as its users need
    group: Annotated[str, typer.Argument(help="A redundancy group of the configuration.")],
    config: ConfigurationOption = Path(),
    duration: Annotated[
        str | None, typer.Option("--duration", help='How long, such as "10m"; else until Ctrl-C.')
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="An address its users need; repeatable. They define the break.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File of the record: .md, .html (to print) or .json.")
    ] = None,
    as_json: JsonOption = False,
    lang: Annotated[str | None, typer.Option("--lang", help="Of the record: ja, unless it is en.")] = None,
) -> None:
    """Watch a redundant group at ten echoes a second while it is switched, and record what its users lost."""
    words = "ja" if lang is None else language(lang)
    configuration = load_or_exit(config, lang)
    try:
        seconds = None if duration is None else parse_duration(duration)
        wish = wish_of(configuration.estate, group, named_addresses(target or ()))
        record, complaints = uvloop.run(_watch(configuration, wish, seconds, words))
    except (NothingToWatch, LocalError, SecretUnavailable, BadRequest, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_BAD_INPUT) from None
    for complaint in dict.fromkeys(complaints):
        typer.echo(complaint, err=True)
    page = FailoverPage(record, configuration.estate, words, lambda key: name_of(configuration.estate, words, key))
    if out is not None:
        _write(out, record, page)
    typer.echo(_json(record) if as_json else page.markdown())


def _write(out: Path, record: FailoverRecord, page: FailoverPage) -> None:
    written = {".json": lambda: _json(record) + "\n", ".html": page.html}.get(out.suffix, page.markdown)()
    try:
        out.write_text(written, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{out}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


def _json(record: FailoverRecord) -> str:
    return json.dumps(asdict(record), ensure_ascii=False, indent=2)


async def _watch(
    configuration: Configuration, wish: Wish, seconds: float | None, lang: str
) -> tuple[FailoverRecord, list[str]]:
    """Watch for so long, or until interrupted; the record then."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    if seconds is not None:
        loop.call_later(seconds, stopping.set)
    progress = _Progress(configuration, lang)
    watch = FailoverWatch(configuration.estate, configuration.directory, wish, progress.show)
    with progress:
        task = asyncio.create_task(watch.run())
        waiter = asyncio.create_task(stopping.wait())
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
        ended_ns = time.time_ns()
        if not task.done():
            await asyncio.sleep(_TAIL_SECONDS)
            task.cancel()
        waiter.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
    failure = results[0]
    if isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if isinstance(failure, BaseException) and not isinstance(failure, asyncio.CancelledError):
        raise failure
    return watch.recorder.record(ended_ns), watch.complaints


class _Progress:
    """What is seen, on the terminal while it lasts; on anything else a line for who carries, and for each change."""

    def __init__(self, configuration: Configuration, lang: str) -> None:
        self._estate = configuration.estate
        self._lang = lang
        self._console = Console(stderr=True)
        self._live = (
            Live(console=self._console, transient=True, auto_refresh=False) if self._console.is_terminal else None
        )
        self._told = 0
        self._carrier_told = False

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, recorder: Recorder) -> None:
        """Called once a second."""
        record = recorder.record(time.time_ns())
        if self._live is not None:
            self._live.update(self._table(recorder, record), refresh=True)
            return
        if record.carrier_before and not self._carrier_told:
            self._carrier_told = True
            name = name_of(self._estate, self._lang, record.carrier_before)
            typer.echo(f"通信を運ぶもの： {name}" if self._lang == "ja" else f"carried by {name}", err=True)
        for change in record.changes[self._told :]:
            name = name_of(self._estate, self._lang, change.member)
            typer.echo(f"{change.what} {name}: {change.before} -> {change.after}", err=True)
        self._told = max(self._told, len(record.changes))

    def _table(self, recorder: Recorder, record: FailoverRecord) -> Table:
        ja = self._lang == "ja"
        table = Table(
            box=None, pad_edge=False, title="切替を見ています（Ctrl-C で終了）" if ja else "Watching (Ctrl-C ends)"
        )
        for heading in ("対象", "直近2秒", "応答なし", "通信断") if ja else ("what", "last 2 s", "lost", "broken for"):
            table.add_column(heading)
        now_ns = record.ended_ns
        for each in record.targets:
            strip = "".join("[green].[/green]" if well else "[red]x[/red]" for well in recorder.lately[each.target])
            longest = max((one.seconds(now_ns) for one in each.breaks), default=0.0)
            name = escape(name_of(self._estate, self._lang, each.target))
            table.add_row(name, strip, f"{each.lost}/{each.sent}", f"{longest:.1f} s" if each.breaks else "-")
        for member, readings in recorder.readings.items():
            last = readings[-1]
            rates = [last.in_bits_per_second, last.out_bits_per_second]
            told = " / ".join("-" if rate is None else format_rate(rate) for rate in rates)
            state = {True: "up", False: "[red]down[/red]", None: "?"}[last.up]
            table.add_row(escape(name_of(self._estate, self._lang, member)), state, last.role or "", told)
        return table
