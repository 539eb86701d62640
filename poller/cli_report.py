"""`hinomi report`: what the meetings get, as files."""

import json
import os
import sqlite3
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, load_or_exit
from poller.config import Configuration
from poller.estate import Estate
from poller.reports.making import Made, NoReport, Order, make, manifest_name, tenants_of
from poller.reports.periods import FORMS, Kind, Period, last_complete, period_of
from poller.reports.reading import Records
from poller.reports.rendering import FORMATS
from poller.secrets import SecretUnavailable
from poller.storage.errors import HistoryError
from poller.storage.history import History, open_history

if TYPE_CHECKING:
    from poller.alerts.records import OutgoingMail

_PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp")
_PATIENCE_SECONDS = 300.0
"""For one answer of a database: half a year of every series is much."""
_STEPS = {
    "services": ("サービスと障害を読んでいます", "reading services and incidents"),
    "tenants": ("接続団体を読んでいます", "reading tenants"),
    "lines": ("回線を読んでいます", "reading lines"),
    "devices": ("機器を読んでいます", "reading devices"),
    "rendering": ("作成しています", "rendering"),
}


def report(  # noqa: PLR0917 - options, all by name
    kind: Annotated[Kind, typer.Argument(help="Which report.")],
    config: ConfigurationOption,
    store: Annotated[Path | None, typer.Option("--store", help="The embedded store; else the configuration's.")] = None,
    period: Annotated[
        str | None, typer.Option("--period", help="2026-10, 2026-Q2, 2026-H1 or 2026; else the last complete one.")
    ] = None,
    tenant: Annotated[list[str] | None, typer.Option("--tenant", help="all, none or an id; may be repeated.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.")] = Path("reports"),
    formats: Annotated[str, typer.Option("--format", help="Any of pdf,xlsx,csv.")] = "pdf,xlsx",
    raw: Annotated[bool, typer.Option("--raw", help="Five-minute rows too, in XLSX and CSV.")] = False,
    database: Annotated[
        bool, typer.Option("--database", help="Read the configuration's InfluxDB, not the embedded store.")
    ] = False,
    mail: Annotated[
        bool, typer.Option("--mail", help="Put it into the outbox: to the officers, to each tenant its own.")
    ] = False,
    lang: LangOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a report: monthly, quarterly, semiannual or annual, as PDF, XLSX and CSV."""
    configuration = load_or_exit(config, lang)
    estate = _with_logo(configuration)
    chosen = language(lang) if lang or os.environ.get("HINOMI_LANG") else estate.organisation.lang
    wanted = tuple(each.strip() for each in formats.split(",") if each.strip())
    unknown = [each for each in wanted if each not in FORMATS]
    if unknown or not wanted:
        _stop(f"--format takes any of {', '.join(FORMATS)}, not {formats!r}", 2)
    zone = ZoneInfo(estate.organisation.timezone)
    asked = _period(kind, period, zone)
    try:
        records = Records(_history(configuration, store, database=database))
        tenants, network = tenants_of(estate, tenant or [], kind)
        order = Order(asked, tenants, network, wanted, out, chosen, raw)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=as_json or not sys.stderr.isatty(),
            transient=True,
        ) as bar:
            task = bar.add_task(asked.label(chosen), total=None)

            def tell(step: str, done: int, total: int) -> None:
                bar.update(task, description=_STEPS[step][chosen == "en"], completed=done, total=total)

            made = make(estate, records, order, tell)
        mails = _post(made, order, configuration) if mail else []
    except NoReport as error:
        _stop(str(error), 1)
    except SecretUnavailable as error:
        _stop(str(error), 1)
    except sqlite3.Error as error:
        _stop(f"the report is made but cannot be mailed: {error}", 1)
    except HistoryError as error:
        _stop(f"the store cannot be read: {error}", 1)
    except OSError as error:
        _stop(f"the report cannot be written: {error.filename or out}: {error.strerror or error}", 1)
    _print(made, mails, order, as_json=as_json)


def _with_logo(configuration: Configuration) -> Estate:
    """The estate with its logo's whole path; a relative one lies beside the configuration."""
    estate = configuration.estate
    if estate.organisation.logo is None:
        return estate
    path = configuration.directory / estate.organisation.logo
    if not path.is_file():
        _stop(f"organisation.logo: there is no file {path}", 2)
    if path.suffix.lower() not in _PICTURES:
        _stop(f"organisation.logo: {path.name} is none of {', '.join(_PICTURES)}", 2)
    return estate.model_copy(update={"organisation": estate.organisation.model_copy(update={"logo": str(path)})})


def _history(configuration: Configuration, store: Path | None, *, database: bool) -> History:
    interval = configuration.estate.polling.interval
    if not database:
        return open_history(store or configuration.state_directory / "store", interval)
    # the client of the database takes half a second to load, which a report from files should not spend
    from poller.storage.influx_history import open_influx_history  # noqa: PLC0415
    from poller.stores import influx_settings  # noqa: PLC0415

    settings = influx_settings(configuration)
    if settings is None or store is not None:
        _stop("--database reads storage.influx of the configuration, and goes without --store", 2)
    if settings.kind == "victoria":
        _stop("VictoriaMetrics keeps no texts, so a report from it would lack incidents; leave --database out", 2)
    return open_influx_history(replace(settings, timeout_seconds=_PATIENCE_SECONDS), interval)


def _post(made: list[Made], order: Order, configuration: Configuration) -> list["OutgoingMail"]:
    # the outbox brings the alerts' engine with it, which a report without mail need not load
    from poller.reports.mailing import post  # noqa: PLC0415

    return post(made, order, configuration, time.time_ns())


def _period(kind: Kind, text: str | None, zone: ZoneInfo) -> Period:
    now = datetime.now(zone)
    if text is None:
        return last_complete(kind, now.date(), zone)
    try:
        found = period_of(kind, text, zone)
    except ValueError as error:
        _stop(str(error), 2)
    if found.first > now.date():
        _stop(f"{text} lies in the future: a {kind} period is written like {FORMS[kind]}", 2)
    return found


def _print(made: list[Made], mails: list["OutgoingMail"], order: Order, *, as_json: bool) -> None:
    if as_json:
        files = [{"file": str(order.out / each.path), "sha256": each.sha256, "tenant": each.tenant} for each in made]
        content: dict[str, object] = {"kind": order.period.kind, "period": order.period.key, "files": files}
        if mails:
            content["mails"] = [{"to": each.recipient, "subject": each.subject} for each in mails]
        typer.echo(json.dumps(content, ensure_ascii=False))
        return
    for each in made:
        typer.echo(str(order.out / each.path))
    typer.echo(str(order.out / manifest_name(order)))
    for mail in mails:
        typer.echo(f"outbox: {mail.recipient}: {mail.subject}")


def _stop(sentence: str, status: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(status)
