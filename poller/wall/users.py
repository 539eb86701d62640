"""The wall's users with what they prove themselves with, read once at the start; and the key that signs sessions."""

import os
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.estate import Estate
from poller.people import User
from poller.secrets import Secret, SecretReference, SecretUnavailable
from poller.settings import Wall
from poller.wall.passwords import BadHash, check_hash, totp_key

_KEY_OCTETS: Final = 32
_SHORTEST_TOKEN: Final = 32


@dataclass(frozen=True, slots=True)
class Known:
    """A user with what proves that it is them."""

    user: User
    password: Secret | None = None
    totp: Secret | None = None
    token: Secret | None = None

    @property
    def proof(self) -> str:
        """What a session hangs on: when it changes, sessions end."""
        return "\0".join(each.reveal() if each else "" for each in (self.password, self.totp, self.token))


def known_users(estate: Estate, directory: Path) -> Mapping[str, Known]:
    """Every user by id; directory is the configuration's. Raises SecretUnavailable, naming the setting."""
    return {key: _known(user, directory) for key, user in estate.users.items()}


def session_key(state_directory: Path) -> bytes:
    """The key that signs sessions, made at the first start and kept, so that a wall stays logged in over restarts.

    Raises OSError where it can be neither read nor made.
    """
    path = state_directory / "wall-key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(_KEY_OCTETS)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key)
    if len(key) != _KEY_OCTETS:
        raise OSError(f"{path} is damaged; remove it: a new one is made, and walls log in again")
    return key


def tls_context(wall: Wall, directory: Path) -> ssl.SSLContext | None:
    """TLS with our own certificate; None where there is none. Raises OSError, naming the files."""
    if wall.certificate is None or wall.key is None:
        return None
    certificate, key = directory / wall.certificate, directory / wall.key
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise OSError(f"wall.certificate {certificate} with wall.key {key}: {error}") from None
    return context


def _known(user: User, directory: Path) -> Known:
    password = _read(user.id, "password", user.password, directory)
    totp = _read(user.id, "totp", user.totp, directory)
    token = _read(user.id, "token", user.token, directory)
    try:
        setting = "password"
        if password is not None:
            check_hash(password.reveal())
        setting = "totp"
        if totp is not None:
            totp_key(totp.reveal())
    except BadHash as error:
        raise SecretUnavailable(f"users.{user.id}.{setting}: {user.password} {error}") from None
    except ValueError:
        text = f"users.{user.id}.{setting}: {user.totp} is no secret in base32; hinomi user totp makes one"
        raise SecretUnavailable(text) from None
    if token is not None and len(token.reveal()) < _SHORTEST_TOKEN:
        text = f"users.{user.id}.token: {user.token} is shorter than {_SHORTEST_TOKEN} characters"
        raise SecretUnavailable(f"{text}; hinomi user token makes one")
    return Known(user, password, totp, token)


def _read(user: str, setting: str, reference: SecretReference | None, directory: Path) -> Secret | None:
    if reference is None:
        return None
    try:
        return reference.read(directory)
    except SecretUnavailable as error:
        raise SecretUnavailable(f"users.{user}.{setting}: {error}") from None
