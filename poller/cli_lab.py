"""`hinomi lab`: a simulated network on loopback, and `hinomi lab history`: its past."""

import asyncio
import datetime as dt
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from poller.cli_options import ConfigurationOption, load_or_exit
from poller.config import Configuration, ConfigurationError
from poller.lab.history import Wish, invent
from poller.lab.scenario import Notifications, Scenario, Step
from poller.lab.scenario_file import load_scenario
from poller.lab.server import CannotSimulate, Lab, LabOptions, simulated
from poller.lab.service_ports import shifted
from poller.secrets import SecretUnavailable
from poller.storage.parquet import ParquetStore

_YEARS = range(2000, 2100)
AUTHORITY = "lab-authority.pem"
"""In the state directory: the authority that the lab's certificates come from."""
lab_app = typer.Typer(help="Simulate the estate's devices on loopback, for the demo, for training and for tests.")


@lab_app.callback(invoke_without_command=True)
def lab(
    context: typer.Context,
    *,
    config: ConfigurationOption = Path(),
    scenario: Annotated[
        Path | None, typer.Option("--scenario", "-s", help="What happens, and when; none happens without it.")
    ] = None,
    speed: Annotated[
        float, typer.Option("--speed", min=0.001, help="Let the scenario's events come N times sooner.")
    ] = 1,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="For every agent, not the estate's.")
    ] = None,
    community: Annotated[
        str | None, typer.Option("--community", help="Answered by every agent, besides the estate's credentials.")
    ] = None,
    notify: Annotated[str | None, typer.Option("--notify", help="ADDRESS:PORT that traps are sent to.")] = None,
    service_ports_by: Annotated[
        int, typer.Option("--service-ports-by", min=0, max=50_000, help="Serve every service so many ports higher.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other noise in the traffic.")] = 0,
) -> None:
    """Run agents for every device of the estate until interrupted; one line says that they are ready."""
    if context.invoked_subcommand is not None:
        return
    configuration = load_or_exit(config)
    try:
        play = Scenario() if scenario is None else load_scenario(scenario, configuration.estate)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        told = {} if play.notifications is None else {"community": play.notifications.community}
        to = play.notifications if notify is None else Notifications(receiver=notify, **told)
    except ValueError:
        typer.echo(f"--notify {notify}: write an IPv4 address and a port, such as 127.0.0.1:16162", err=True)
        raise typer.Exit(2) from None
    folder = Path() if scenario is None else scenario.parent
    recordings = {device: folder / file for device, file in play.recordings.items()}
    options = LabOptions(port, community, seed, recordings, notifications=to, services=True)
    try:
        served = replace(configuration, estate=shifted(configuration.estate, service_ports_by))
        uvloop.run(_run(served, options, play, speed))
    except (CannotSimulate, SecretUnavailable, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


async def _run(configuration: Configuration, options: LabOptions, scenario: Scenario, speed: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Lab(configuration.estate, configuration.directory, options) as running:
        ports = ", ".join(str(one) for one in running.ports)
        assert running.services is not None
        _show_authority(configuration, running.services.certificate)
        serving = len(running.services.serving)
        typer.echo(f"lab ready: {len(running.estate.devices)} agents on loopback, UDP port {ports}; {serving} services")
        for problem in running.problems:
            typer.echo(f"lab: not served, {problem}")
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(running.play(scenario, speed, _tell))
            await stop.wait()
            playing.cancel()
    typer.echo(f"lab stopped after {running.requests} requests")


def _show_authority(configuration: Configuration, certificate: bytes) -> None:
    """Put the lab's authority where the configuration of the examples looks for it (ca_file)."""
    path = configuration.state_directory / AUTHORITY
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(certificate)


def _tell(step: Step) -> None:
    typer.echo(f"lab: {step.text}")


@lab_app.command()
def history(
    *,
    config: ConfigurationOption,
    store: Annotated[Path, typer.Option("--store", help="Directory of the embedded store to write to.")],
    days: Annotated[int, typer.Option("--days", min=1, max=4000, help="How many days back.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same past.")] = 0,
    end: Annotated[
        str | None, typer.Option("--end", help="Where the past ends, 2026-11-21T18:00+09:00; otherwise now.")
    ] = None,
) -> None:
    """Invent a past for the estate: five-minute roll-ups and alerts in the embedded store."""
    configuration = load_or_exit(config)
    try:
        end_ns = time.time_ns() if end is None else _moment_ns(end)
    except ValueError:
        typer.echo(
            f"--end {end}: write a moment of 2000 to 2099 with its zone, such as 2026-11-21T18:00+09:00", err=True
        )
        raise typer.Exit(2) from None
    estate = simulated(configuration.estate)
    if not (estate.devices or estate.circuits or estate.services):
        typer.echo(f"{config}: there is no device, circuit or service to invent a past for", err=True)
        raise typer.Exit(1)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} d"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("past", total=days)
        try:
            rows = invent(
                estate,
                ParquetStore(store),
                Wish(days, end_ns, seed),
                lambda done: bar.update(task, completed=done),
            )
        except OSError as error:
            bar.stop()
            typer.echo(f"{store}: {error.strerror or error}", err=True)
            raise typer.Exit(1) from None
    typer.echo(f"{rows} rows of {days} days in {store}")


def _moment_ns(text: str) -> int:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None or moment.year not in _YEARS:
        raise ValueError("no zone, or no year of this network")
    return int(moment.timestamp()) * 10**9
