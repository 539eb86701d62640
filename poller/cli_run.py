"""`hinomi run`: the daemon."""

import gc
import logging
from collections.abc import Callable
from typing import Annotated

import typer
import uvloop

from poller.cli_options import ConfigurationOption, load_or_exit
from poller.config import Configuration
from poller.daemon import Daemon
from poller.log import start_logging
from poller.profiles import BadProfile
from poller.secrets import SecretUnavailable
from poller.storage.errors import StorageError
from probes.snmp.errors import BadRequest


def run(
    config: ConfigurationOption,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every detail.")] = False,
) -> None:
    """Watch the network of a configuration until stopped."""
    start_logging(logging.DEBUG if verbose else logging.INFO)
    run_daemon(load_or_exit(config), lambda url: typer.echo(f"wall: {url}"))


def run_daemon(configuration: Configuration, ready: Callable[[str], None], *, of_terminal: bool = False) -> None:
    """Run it in this process; what keeps it from beginning is one sentence and exit status 1.

    of_terminal: it ends with its terminal, and does not reload.
    """

    def begin(url: str) -> None:
        # What was built at the start stays for ever: collecting it again and again would hold the loop up.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        ready(url)

    async def main() -> None:
        await Daemon(configuration, of_terminal=of_terminal).run(begin)

    try:
        uvloop.run(main())
    except (SecretUnavailable, StorageError, BadRequest, BadProfile) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"the daemon cannot begin: {error}", err=True)
        raise typer.Exit(1) from None
