"""`hinomi mib add`: give the notifications of a MIB their names, before they come."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from poller.cli_options import ConfigurationOption, LangOption, language
from traps.catalogue import BadCatalogue, load_catalogue

mib_app: Final = typer.Typer(help="MIB files: names for the notifications of devices.", no_args_is_help=True)


@mib_app.callback()
def options() -> None:
    """MIB files."""


@mib_app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="MIB files.")],
    config: ConfigurationOption,
    path: Annotated[list[Path] | None, typer.Option("--path", help="A folder with modules that they import.")] = None,
    lang: LangOption = None,
) -> None:
    """Compile MIB files into CONFIG/traps/NAME.yaml, which the daemon reads at its next start."""
    from poller.mibs import BadMib  # noqa: PLC0415 - its compiler takes long to load, and only this command needs it

    ja = language(lang) == "ja"
    failed = False
    for file in files:
        try:
            typer.echo(_add(file, config / "traps", path or (), ja=ja))
        except (BadMib, BadCatalogue, OSError) as error:
            typer.echo(str(error), err=True)
            failed = True
    if failed:
        raise typer.Exit(1)


def _add(file: Path, folder: Path, paths: Sequence[Path], *, ja: bool) -> str:
    """Compile one file into the folder; what came of it, in a line."""
    from poller.mibs import BadMib, compile_mib  # noqa: PLC0415 - as above

    compiled = compile_mib(file, paths)
    folder.mkdir(exist_ok=True)
    target = folder / f"{compiled.module}.yaml"
    if target.exists():
        raise BadMib(f"{target} is there already: move it away to make it anew")
    target.write_text(compiled.text, encoding="utf-8")
    load_catalogue([target])
    if ja:
        return f"{target}: 通知 {compiled.notifications}種、オブジェクト {compiled.objects}個"
    return f"{target}: {compiled.notifications} notifications, {compiled.objects} objects"
