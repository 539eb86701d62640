"""Secrets are named, not written: a reference in the configuration, a value only where it is used, never in print."""

import os
from pathlib import Path
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_SCHEMES: Final = ("file", "env", "credential")


class SecretUnavailable(Exception):  # noqa: N818 - it says what is the matter; "Error" would add nothing
    """The reference leads nowhere; the text names the reference, never a value."""


class Secret:
    """A value that does not print (R76): repr, str and format show stars. Not a str, an f-string would leak it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value; call it where it is put on the wire and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


class SecretReference:
    """Where a secret is: "file:PATH" (relative to the configuration), "env:NAME" or "credential:NAME" (systemd)."""

    __slots__ = ("name", "scheme")

    def __init__(self, scheme: str, name: str) -> None:
        self.scheme = scheme
        self.name = name

    @classmethod
    def parse(cls, value: object) -> "SecretReference":
        """The reference written as text; ValueError says how to write one and does not repeat a value that is none."""
        if isinstance(value, SecretReference):
            return value
        scheme, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not colon or scheme not in _SCHEMES or not name:
            raise ValueError('a secret is given by reference only: "file:PATH", "env:NAME" or "credential:NAME"')
        return cls(scheme, name)

    def path(self, directory: Path) -> Path | None:
        """The file it is kept in, directory being the configuration's; None for one out of the environment.

        Raises SecretUnavailable for a credential where systemd gives none.
        """
        if self.scheme == "env":
            return None
        if self.scheme == "file":
            return directory / self.name
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise SecretUnavailable(f"{self}: not started by systemd with LoadCredential")
        return Path(folder) / self.name

    def read(self, directory: Path) -> Secret:
        """The secret, its only line that is not empty; directory is the one of the configuration.

        Raises SecretUnavailable where there is nothing, no text, no line, or more than one.
        """
        path = self.path(directory)
        if path is None:
            value = os.environ.get(self.name)
            if value is None:
                raise SecretUnavailable(f"{self}: the environment has no variable of this name")
            return Secret(self._only_line(value))
        try:
            value = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not text"
            raise SecretUnavailable(f"{self}: {path}: {reason}") from None
        return Secret(self._only_line(value))

    def _only_line(self, text: str) -> str:
        lines = [line for line in text.replace("\r", "\n").split("\n") if line.strip()]
        if not lines:
            raise SecretUnavailable(f"{self} is empty")
        if len(lines) > 1:
            raise SecretUnavailable(f"{self} has {len(lines)} lines that are not empty; a secret is one line")
        return lines[0]

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"

    def __repr__(self) -> str:
        return f"SecretReference({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretReference) and (other.scheme, other.name) == (self.scheme, self.name)

    def __hash__(self) -> int:
        return hash((self.scheme, self.name))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(cls.parse)
