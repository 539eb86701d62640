"""`hinomi lab`: a simulated network on loopback, and `hinomi lab history`: its past."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from poller.cli_options import ConfigurationOption, load_or_exit
from poller.config import Configuration, ConfigurationError
from poller.lab.scenario import Notifications, Scenario, Step
from poller.lab.scenario_file import load_scenario
from poller.lab.server import CannotSimulate, Lab, LabOptions
from poller.secrets import SecretUnavailable

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
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other noise in the traffic.")] = 0,
) -> None:
    """Run agents for every device of the estate until interrupted; one line says that they are ready."""
    if context.invoked_subcommand is not None:
        return
    configuration = load_or_exit(config)
    try:
        play = Scenario() if scenario is None else load_scenario(scenario, configuration.estate)
        to = play.notifications if notify is None else Notifications(receiver=notify)
    except (ConfigurationError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    folder = Path() if scenario is None else scenario.parent
    recordings = {device: folder / file for device, file in play.recordings.items()}
    options = LabOptions(port=port, community=community, seed=seed, recordings=recordings, notifications=to)
    try:
        uvloop.run(_run(configuration, options, play, speed))
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
        typer.echo(f"lab ready: {len(running.estate.devices)} agents on loopback, UDP port {ports}")
        async with asyncio.TaskGroup() as tasks:
            playing = tasks.create_task(running.play(scenario, speed, _tell))
            await stop.wait()
            playing.cancel()
    typer.echo(f"lab stopped after {running.requests} requests")


def _tell(step: Step) -> None:
    typer.echo(f"lab: {step.text}")
