"""`hinomi demo`: a simulated prefecture and the daemon that watches it, in one terminal."""

import os
import signal
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import IO, Annotated

import typer

from poller import demo as layout
from poller.cli_options import load_or_exit
from poller.cli_run import run_daemon
from poller.config import Configuration
from poller.free_ports import free_port
from poller.lab.service_ports import free_shift, shifted
from poller.log import start_logging

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


DirectoryOption = Annotated[Path, typer.Option("--directory", "-d", help="Where the demo keeps everything.")]


def demo(
    directory: DirectoryOption = Path("demo"),
    days: Annotated[int, typer.Option("--days", min=0, help="Days of the past to invent, once; 0 for none.")] = 200,
) -> None:
    """Show a monitored network: 33 organisations, simulated, with a past."""
    try:
        laid = layout.prepare(directory)
    except layout.NoDemoHere as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"the demo cannot be laid out in {directory}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, lambda _number, _frame: os.kill(os.getpid(), signal.SIGTERM))
    configuration = load_or_exit(laid.config)
    _invent_past(laid, days)
    services_by = free_shift(configuration.estate)
    configuration = on_free_ports(configuration, services_by)
    start_logging()
    with ExitStack() as stack:
        stack.callback(typer.echo, "The demo has stopped.")
        _start(
            stack,
            laid.lab(configuration.estate.polling.port, configuration.estate.notifications.port, services_by),
            "the simulated network",
        )
        if laid.snmpd is not None:
            _start(stack, laid.snmpd, None)
        run_daemon(configuration, _tell, of_terminal=True)


def _end(number: int, _frame: FrameType | None) -> None:
    """Before the daemon listens to signals itself: end in good order, with everything that was started."""
    raise SystemExit(128 + number)


def _invent_past(laid: layout.Demo, days: int) -> None:
    if laid.has_past or days == 0:
        return
    typer.echo(f"Inventing {days} days of the past ...")
    status = subprocess.run(laid.history(days), check=False).returncode  # noqa: S603 - our own command
    if status != 0:
        typer.echo(f"the past could not be invented (exit status {status})", err=True)
        raise typer.Exit(1)
    laid.mark_past()


def on_free_ports(configuration: Configuration, services_by: int = 0) -> Configuration:
    """The same configuration with wall and agents on ports that nobody else has, and mails that lead to that wall.

    services_by: how many ports higher the services are.
    """
    estate = shifted(configuration.estate, services_by)
    wall = estate.wall.model_copy(update={"port": free_port(estate.wall.port)})
    wall_url = f"http://{wall.listen}:{wall.port}"
    mail = estate.mail.model_copy(update={"wall_url": wall_url})
    agents = free_port(estate.polling.port)
    told = free_port(estate.notifications.port)
    polling = estate.polling.model_copy(update={"port": agents})
    notifications = estate.notifications.model_copy(update={"port": told})
    changed = {"wall": wall, "polling": polling, "mail": mail, "notifications": notifications}
    return replace(configuration, estate=estate.model_copy(update=changed))


def _tell(url: str) -> None:
    typer.echo(f"\n  The wall: {url}\n  (English: {url}?lang=en, Ctrl-C ends the demo)\n")


def _start(stack: ExitStack, command: tuple[str, ...], waits_for: str | None) -> None:
    """Start a companion, and wait for its first line where it says when it is ready; it ends with the stack."""
    output = subprocess.PIPE if waits_for else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=output, start_new_session=True)  # noqa: S603 - our own command
    stack.callback(_stop, process)
    if waits_for is None:
        return
    assert process.stdout is not None
    first = process.stdout.readline().decode(errors="replace").strip()
    if not first:
        typer.echo(f"{waits_for} did not start (exit status {process.wait(_START_SECONDS)})", err=True)
        raise typer.Exit(1)
    typer.echo(first)
    Thread(target=_pass_on, args=(process.stdout,), name="lab output", daemon=True).start()


def _pass_on(lines: IO[bytes]) -> None:
    """Show what the lab tells, event by event; a pipe that nobody reads would stop it."""
    for line in lines:
        typer.echo(line.decode(errors="replace").rstrip())


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
