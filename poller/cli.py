"""The command `hinomi`: a thin assembly; each command is in a module of its own."""

import os
import sys

import typer

from poller import __version__
from poller.cli_check import check
from poller.cli_dashboards import dashboards_app
from poller.cli_demo import demo
from poller.cli_doctor import doctor
from poller.cli_forecast import forecast_command
from poller.cli_incidents import COMMANDS
from poller.cli_lab import lab_app
from poller.cli_mib import mib_app
from poller.cli_people import PEOPLE_COMMANDS, maintenance_app
from poller.cli_poll import poll
from poller.cli_probe import probe
from poller.cli_rehearse import rehearse
from poller.cli_reload import reload
from poller.cli_report import report
from poller.cli_rules import rules
from poller.cli_run import run
from poller.cli_storage import export_command, influx_app, replay_command
from poller.cli_traps import traps
from poller.cli_user import user_app

app = typer.Typer(
    name="hinomi",
    help="火の見: watch a shared network, tell the right person, keep the figures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo)
app.command()(run)
app.command()(check)
app.command()(doctor)
app.command()(poll)
app.command()(reload)
app.command()(rehearse)
app.command()(report)
app.command("forecast")(forecast_command)
app.command()(probe)
for name, command in COMMANDS.items():
    app.command(name)(command)
for name, command in PEOPLE_COMMANDS.items():
    app.command(name)(command)
app.add_typer(maintenance_app, name="maintenance")
app.add_typer(rules, name="rules")
app.add_typer(user_app, name="user")
app.command("export")(export_command)
app.command("replay")(replay_command)
app.add_typer(influx_app)
app.command()(traps)
app.add_typer(mib_app, name="mib")
app.add_typer(dashboards_app)
app.add_typer(lab_app, name="lab")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"hinomi {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Version and exit."),
) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command line; a reader that went away or Ctrl-C ends it without a trace."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
