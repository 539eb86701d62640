"""`hinomi user hash`, `hinomi user totp`, `hinomi user token`: what users prove themselves with."""

import base64
import secrets
from typing import Annotated
from urllib.parse import quote

import typer

from poller.wall.passwords import LONGEST, hash_password

user_app = typer.Typer(help="Users of the wall: make a hash, a second factor, a token.", no_args_is_help=True)
_SHORTEST = 12


@user_app.command("hash")
def hash_() -> None:
    """Ask for a password and print its hash, for the file that users.ID.password names."""
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not _SHORTEST <= len(password) <= LONGEST:
        typer.echo(f"a password has {_SHORTEST} to {LONGEST} characters", err=True)
        raise typer.Exit(2)
    typer.echo(hash_password(password, secrets.token_bytes(16)))


@user_app.command("totp")
def totp_(user: Annotated[str, typer.Argument(help="The user's id, to be shown in the authenticator.")] = "") -> None:
    """Print a new secret for the file that users.ID.totp names; to stderr, its link for an authenticator."""
    secret = base64.b32encode(secrets.token_bytes(20)).decode()
    label = quote(f"Hinomi:{user}" if user else "Hinomi", safe=":")
    typer.echo(f"otpauth://totp/{label}?secret={secret}&issuer=Hinomi", err=True)
    typer.echo(secret)


@user_app.command("token")
def token() -> None:
    """Print a new token, for the file that users.ID.token names and for the program that sends it."""
    typer.echo(secrets.token_urlsafe(32))
