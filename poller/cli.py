"""The command `hinomi`: a thin assembly; each command is in a module of its own, loaded when it is asked for."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from poller import __version__
from poller.memory import give_back_memory

_COMMANDS: Final[Mapping[str, str]] = {
    "demo": "poller.cli_demo:demo",
    "run": "poller.cli_run:run",
    "check": "poller.cli_check:check",
    "doctor": "poller.cli_doctor:doctor",
    "poll": "poller.cli_poll:poll",
    "status": "poller.cli_status:status",
    "reload": "poller.cli_reload:reload",
    "rehearse": "poller.cli_rehearse:rehearse",
    "report": "poller.cli_report:report",
    "forecast": "poller.cli_forecast:forecast_command",
    "probe": "poller.cli_probe:probe",
    "incidents": "poller.cli_incidents:incidents",
    "incident": "poller.cli_incidents:incident",
    "ack": "poller.cli_incidents:ack",
    "comment": "poller.cli_incidents:comment",
    "silence": "poller.cli_incidents:silence",
    "test-mail": "poller.cli_incidents:send_test_mail",
    "second-notice": "poller.cli_people:second_notice",
    "exclude": "poller.cli_people:exclude",
    "dead-letters": "poller.cli_people:dead_letters",
    "sla": "poller.cli_people:sla",
    "maintenance": "poller.cli_people:maintenance_app",
    "rules": "poller.cli_rules:rules",
    "user": "poller.cli_user:user_app",
    "export": "poller.cli_storage:export_command",
    "replay": "poller.cli_storage:replay_command",
    "influx": "poller.cli_storage:influx_app",
    "traps": "poller.cli_traps:traps",
    "mib": "poller.cli_mib:mib_app",
    "dashboards": "poller.cli_dashboards:dashboards_app",
    "lab": "poller.cli_lab:lab_app",
}
"""Where each command is: a function, or a group of its own. All of them together take two seconds to load."""


class _Commands(TyperGroup):
    """The commands by name; click's types are Typer's own private copy, hence Any."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - click's signature
        super().__init__(**settings)
        self.commands: Any = dict.fromkeys(_COMMANDS)
        """Their names alone: what "Did you mean" is taken from."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002, ANN401 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002, ANN401 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = cmd_name
            return group
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(cmd_name)(found)
        return get_command(single)


app = typer.Typer(
    name="hinomi",
    help="火の見: watch a shared network, tell the right person, keep the figures.",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


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
    give_back_memory()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
