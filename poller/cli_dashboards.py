"""`hinomi dashboards push`: Grafana's folder, data source and dashboards by its HTTP API."""

import json
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from poller.cli_options import ConfigurationOption, JsonOption, load_or_exit
from poller.config import Configuration
from poller.dashboards import fit, load_dashboards
from poller.grafana import PushRefused, Source, push
from poller.secrets import Secret, SecretReference, SecretUnavailable

dashboards_app = typer.Typer(name="dashboards", help="Grafana's dashboards.", no_args_is_help=True)


@dashboards_app.callback()
def dashboards() -> None:
    """Grafana's dashboards."""


@dashboards_app.command("push")
def push_command(
    *,
    config: ConfigurationOption,
    url: Annotated[str, typer.Option("--url", help="Grafana: http://localhost:3000")],
    token_file: Annotated[Path, typer.Option("--token-file", help="File with the token of a service account.")],
    datasource_url: Annotated[
        str | None,
        typer.Option("--datasource-url", help="InfluxDB as Grafana's server sees it; else that of storage.influx."),
    ] = None,
    datasource_token: Annotated[
        str | None, typer.Option("--datasource-token", help='Read-only token (2.x, 3.x): "file:PATH" or "env:NAME".')
    ] = None,
    datasource_user: Annotated[str, typer.Option("--datasource-user", help="Read-only user (1.x).")] = "",
    datasource_password: Annotated[
        str | None, typer.Option("--datasource-password", help='Its password: "file:PATH" or "env:NAME".')
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make or change folder, data source and dashboards in Grafana 10 or newer; again is no change.

    The exit status is 1 where something could not be done, or Grafana says that it cannot read from the data source.
    """
    configuration = load_or_exit(config)
    _check_url("--url", url)
    here = Path.cwd()
    try:
        token = SecretReference.parse(f"file:{token_file}").read(here)
        source = _source(
            configuration,
            datasource_url,
            _secret(datasource_token, here),
            datasource_user,
            _secret(datasource_password, here),
        )
        fitted = [fit(dashboard, configuration.estate) for dashboard in load_dashboards()]
        done = []
        for each in push(url, token, fitted, source):
            done.append({"what": each.what, "outcome": each.outcome})
            if not as_json:
                typer.echo(f"{each.outcome:8} {each.what}")
    except (PushRefused, SecretUnavailable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(done, ensure_ascii=False))
    if any(each["outcome"] == "fails" for each in done):
        raise typer.Exit(1)


def _source(
    configuration: Configuration, url: str | None, token: Secret | None, user: str, password: Secret | None
) -> Source | None:
    """Where Grafana finds the figures; None where neither the command nor the configuration says."""
    influx = configuration.estate.storage.influx
    if url is not None:
        _check_url("--datasource-url", url)
    elif influx is None:
        return None
    return Source(url or influx.url, influx.bucket if influx is not None else "hinomi", token, user, password)  # type: ignore[union-attr] # one of both is there


def _secret(reference: str | None, here: Path) -> Secret | None:
    if reference is None:
        return None
    try:
        return SecretReference.parse(reference).read(here)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _check_url(option: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise typer.BadParameter(f"{option} is http://HOST:PORT, not {url!r}")
