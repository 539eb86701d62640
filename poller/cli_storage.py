"""`hinomi export`, `hinomi replay` and `hinomi influx setup`: the past out of the store, and InfluxDB made ready."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress

from poller.cli_options import ConfigurationOption, JsonOption, load_or_exit
from poller.secrets import Secret, SecretReference, SecretUnavailable
from poller.storage.errors import HistoryError, StoreUnavailable
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.influx_setup import SetupRefused, Step, set_up
from poller.storage.replay import Period, export, remake_rollups, replay

influx_app = typer.Typer(name="influx", help="InfluxDB: make it ready.", no_args_is_help=True)


class Form(StrEnum):
    """The forms of an export."""

    CSV = "csv"
    LINES = "lines"
    PARQUET = "parquet"


class Kind(StrEnum):
    """The kinds of server that take lines."""

    V1 = "1"
    V2 = "2"
    VICTORIA = "victoria"


MeasurementArgument = Annotated[
    str, typer.Argument(help="Such as tenant_5m or device; docs/measurements.md lists all.")
]
FromOption = Annotated[str, typer.Option("--from", help="First moment: 2026-04-01 or 2026-04-01T09:00.")]
ToOption = Annotated[str, typer.Option("--to", help="The moment after the last one; a day alone is its beginning.")]
TagOption = Annotated[list[str] | None, typer.Option("--tag", help="Only this: tenant=tsu-city; may be repeated.")]
UrlOption = Annotated[str, typer.Option("--url", help="http://localhost:8086")]
KindOption = Annotated[Kind, typer.Option("--kind", help="1 (InfluxDB 1.x), 2 (2.x and 3.x) or victoria.")]
BucketOption = Annotated[str, typer.Option("--bucket", help="Bucket, or database in 1.x.")]
OrgOption = Annotated[str, typer.Option("--org", help="Organisation, in 2.x.")]
TokenOption = Annotated[str | None, typer.Option("--token", help='By reference: "file:PATH" or "env:NAME".')]
UserOption = Annotated[str, typer.Option("--user", help="User, in 1.x.")]
PasswordOption = Annotated[str | None, typer.Option("--password", help='By reference: "file:PATH" or "env:NAME".')]


def export_command(
    *,
    config: ConfigurationOption,
    measurement: MeasurementArgument,
    first: FromOption,
    end: ToOption,
    tag: TagOption = None,
    form: Annotated[Form, typer.Option("--format", help="csv, lines (line protocol) or parquet.")] = Form.CSV,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; else standard output.")] = None,
) -> None:
    """Write measurements of a period to a file."""
    if form is Form.PARQUET and output is None and sys.stdout.isatty():
        raise typer.BadParameter("parquet is no text for a terminal: name a file with --output")
    store, period = _asked(config, measurement, (first, end), tag)
    with _told(), _days() as tell, _opened(output) as out:
        rows = export(store, period, form.value, out, tell)
    typer.echo(f"{rows} rows" if rows else f"0 rows: {_nothing(period)}", err=True)


def replay_command(
    *,
    config: ConfigurationOption,
    measurement: MeasurementArgument,
    first: FromOption,
    end: ToOption,
    tag: TagOption = None,
    url: Annotated[str | None, typer.Option("--url", help="Give the rows to this server, InfluxDB or alike.")] = None,
    kind: KindOption = Kind.V2,
    bucket: BucketOption = "hinomi",
    org: OrgOption = "",
    token: TokenOption = None,
    user: UserOption = "",
    password: PasswordOption = None,
) -> None:
    """Make the roll-ups of a raw measurement anew, or with --url give a measurement to a server once more."""
    store, period = _asked(config, measurement, (first, end), tag)
    if url is None:
        with _told(), _days() as tell:
            points = remake_rollups(store, period, progress=tell)
        nothing = "" if points else f": {_nothing(period)}"
        typer.echo(f"{points} points of {measurement}_5m made anew{nothing}", err=True)
        return
    with _told(), _days() as tell:
        settings = InfluxSettings(
            _server(url), bucket, _kind(kind), org, _secret(token, config), user, _secret(password, config)
        )
        rows, refused = asyncio.run(_replay_into(settings, store, period, tell))
    if rows == 0:
        typer.echo(f"nothing was given to {url}: {_nothing(period)}", err=True)
        raise typer.Exit(1)
    if refused:
        typer.echo(f"{url} refused {refused} of {rows} rows; they and its reasons are in {_letters(store)}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{rows} rows given to {url}", err=True)


@influx_app.command("setup")
def influx_setup(
    *,
    url: UrlOption,
    kind: KindOption = Kind.V2,
    bucket: BucketOption = "hinomi",
    org: OrgOption = "",
    token: TokenOption = None,
    user: UserOption = "",
    password: PasswordOption = None,
    retention_days: Annotated[int, typer.Option("--retention-days", help="0: for ever.", min=0)] = 400,
    secrets: Annotated[Path, typer.Option("--secrets", help="Folder for the new secrets, a file each.")] = Path(
        "secrets"
    ),
    as_json: JsonOption = False,
) -> None:
    """Make bucket or database, retention, InfluxQL's mapping, and one who may only write and one who may only read."""
    here = Path.cwd()
    with _told():
        secret, word = _secret(token, here), _secret(password, here)
        settings = InfluxSettings(_server(url), bucket, _kind(kind), org, secret, user, word)
        steps = set_up(settings, retention_days or None)
        written = [_keep(step, secrets) for step in steps]
    if as_json:
        lines = [
            {"what": s.what, "outcome": s.outcome, "secret": w and str(w)} for s, w in zip(steps, written, strict=True)
        ]
        typer.echo(json.dumps(lines, ensure_ascii=False))
        return
    for step, path in zip(steps, written, strict=True):
        typer.echo(f"{step.outcome:8} {step.what}" + (f" -> {path}" if path else ""))
    if not steps:
        typer.echo("nothing to do: this server needs no setup")


async def _replay_into(
    settings: InfluxSettings, store: Path, period: Period, tell: Callable[[int, int], None]
) -> tuple[int, int]:
    """How many rows the server was given, and how many of them it will never take."""
    sink = open_influx(settings, _letters(store), name="replay")
    try:
        return await replay(store, period, sink, tell), sink.dead_letters.total
    finally:
        await sink.close()


def _letters(store: Path) -> Path:
    return store / "dead_letters"


def _nothing(period: Period) -> str:
    """Why there may be no rows."""
    tags = [f"{name}={value}" for name, values in (period.where or {}).items() for value in values]
    tagged = f" with {', '.join(tags)}" if tags else ""
    return f"{period.measurement} has no rows{tagged} in this period"


def _server(url: str) -> str:
    """The URL, if it is one of a server."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise typer.BadParameter(f"--url is http://HOST:PORT, not {url!r}")
    return url


def _asked(directory: Path, measurement: str, moments: tuple[str, str], tags: list[str] | None) -> tuple[Path, Period]:
    """The store's folder and the period asked for; exit status 2 where that cannot be understood."""
    configuration = load_or_exit(directory)
    zone = ZoneInfo(configuration.estate.organisation.timezone)
    where: dict[str, list[str]] = {}
    for entry in tags or ():
        name, sign, value = entry.partition("=")
        if not sign:
            raise typer.BadParameter(f"--tag is NAME=VALUE, not {entry!r}")
        where.setdefault(name, []).append(value)
    start_ns, end_ns = (_moment(text, zone) for text in moments)
    if end_ns <= start_ns:
        raise typer.BadParameter("--to must be later than --from")
    return configuration.state_directory / "store", Period(measurement, start_ns, end_ns, where)


def _moment(text: str, zone: tzinfo) -> int:
    """Nanoseconds of an ISO 8601 day or moment; without an offset it is meant in the organisation's zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day and no moment: write 2026-04-01 or 2026-04-01T09:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9


def _kind(kind: Kind) -> Literal["1", "2", "victoria"]:
    return kind.value


def _secret(reference: str | None, directory: Path) -> Secret | None:
    if reference is None:
        return None
    try:
        return SecretReference.parse(reference).read(directory)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _keep(step: Step, folder: Path) -> Path | None:
    """Write a new secret where only its owner reads it; never printed."""
    if step.secret is None:
        return None
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"influx-{'write' if '(write' in step.what else 'read'}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(step.secret.reveal() + "\n")
    return path


@contextmanager
def _told() -> Iterator[None]:
    """What went wrong as one sentence on standard error, exit status 1."""
    try:
        yield
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        typer.echo(named, err=True)
        raise typer.Exit(1) from None
    except (HistoryError, StoreUnavailable, SetupRefused, SecretUnavailable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


@contextmanager
def _days() -> Iterator[Callable[[int, int], None]]:
    """Progress by days on standard error, where somebody is looking."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("days", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file that is there only when it is whole."""
    if path is None:
        yield sys.stdout.buffer
        return
    if not path.parent.is_dir():
        raise typer.BadParameter(f"--output: there is no folder {path.parent}")
    if path.is_dir():
        raise typer.BadParameter(f"--output: {path} is a folder; name a file in it")
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
