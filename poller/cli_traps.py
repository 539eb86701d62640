"""`hinomi traps`: what devices told lately, from the running daemon; with --follow as it comes."""

import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from poller.alerts.notifications import ACCEPT_ENGINE
from poller.alerts.records import AuditEntry
from poller.cli_incidents import inquiry_of, login, origin
from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, load_or_exit
from poller.config import Configuration
from poller.secrets import Secret, SecretReference, SecretUnavailable
from poller.wall.address import wall_url
from poller.wall.client import WallClient, WallRefused, own_certificate

_PERIOD_SECONDS: Final = 1.0
_TOKEN: Final = "HINOMI_TOKEN"  # noqa: S105 - the variable's name


def traps(
    config: ConfigurationOption,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what comes.")] = False,
    url: Annotated[str | None, typer.Option("--url", help="The wall, if not where the configuration says.")] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="REFERENCE",
            help=f"A wall with login: a user's token, env:NAME or file:PATH; else that of {_TOKEN}.",
        ),
    ] = None,
    accept: Annotated[
        str | None, typer.Option("--accept", metavar="ENGINE", help="Believe a refused SNMPv3 sender again (its id).")
    ] = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Show the latest notifications (traps, informs), oldest first, and what became of all of them."""
    configuration = load_or_exit(config)
    if accept is not None:
        _accept(configuration, accept.lower())
        return
    estate = configuration.estate
    words = language(lang)
    zone = ZoneInfo(estate.organisation.timezone)
    base = (url or wall_url(estate.wall)).rstrip("/")
    wall = WallClient(base, _token(token), own_certificate(estate.wall, configuration.directory))
    since = 0
    while True:
        try:
            state = wall.get(f"/api/v1/notifications?since={since}")
        except WallRefused as error:
            typer.echo(f"{base}: {error}", err=True)
            raise typer.Exit(1) from None
        # A daemon that was started again counts from the beginning.
        since = state["number"]
        for entry in reversed(state["latest"]):
            typer.echo(json.dumps(entry, ensure_ascii=False) if as_json else _line(entry, words, zone))
        if not follow:
            if not as_json and state["receiving"]:
                typer.echo(_funnel(state["funnel"], words))
            return
        time.sleep(_PERIOD_SECONDS)


def _accept(configuration: Configuration, engine: str) -> None:
    """Ask the daemon to believe an engine again; it hears of it with its next beat, and the audit keeps who did."""
    if len(engine) % 2 or not set(engine) <= set("0123456789abcdef") or not engine:
        typer.echo(f"{engine!r} is no engine id: write its hexadecimal digits as the page shows them", err=True)
        raise typer.Exit(2)
    text = f"engine {engine} is believed again"
    entry = AuditEntry(time.time_ns(), login(), origin(), ACCEPT_ENGINE, engine, text, command=True)
    with inquiry_of(configuration) as inquiry:
        inquiry.command(entry)
    typer.echo(f"{engine}: its next authentic message sets its clock")


def _token(reference: str | None) -> Secret | None:
    """The token to send, of the reference or else of the environment; None where neither names one."""
    if reference is None and not os.environ.get(_TOKEN):
        return None
    try:
        return SecretReference.parse(reference or f"env:{_TOKEN}").read(Path.cwd())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--token") from None
    except SecretUnavailable as error:
        typer.echo(f"--token {error}", err=True)
        raise typer.Exit(1) from None


def _line(entry: dict[str, Any], lang: str, zone: ZoneInfo) -> str:
    at = datetime.fromtimestamp(entry["time_ns"] / 1e9, zone)
    count = f" x{entry['count']}" if entry["count"] > 1 else ""
    whose = entry["device"] if entry["device"] != "-" else entry["source"]
    values = " ".join(f"{each['name']}={each['value']}" for each in entry["varbinds"])
    return f"{at:%H:%M:%S.%f} {whose} {entry['severity']} {entry['name']}{count} {entry['text'][lang]} [{values}]"


def _funnel(funnel: dict[str, Any], lang: str) -> str:
    words = (
        {"received": "受信", "decoded": "解読", "accepted": "受理", "committed": "保存済", "dropped": "破棄"}
        if lang == "ja"
        else {name: name for name in ("received", "decoded", "accepted", "committed", "dropped")}
    )
    steps = " -> ".join(f"{words[name]} {funnel[name]}" for name in ("received", "decoded", "accepted", "committed"))
    dropped = ", ".join(f"{reason} {count}" for reason, count in funnel["dropped"].items())
    return f"{steps}; {words['dropped']} {dropped or 0}"
