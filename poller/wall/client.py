"""Ask the API of a running daemon's wall from a command, with a user's token, and believing the wall's own certificate.

The certificate names the wall as others call it, and is often nobody's but our own: the one that the configuration
names is believed for what it is, any other as the system's authorities say. No token leaves before that is settled, and
none in the clear but to this machine.
"""

import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from poller.secrets import Secret
from poller.settings import Wall

_PATIENCE_SECONDS: Final = 5.0


class WallRefused(Exception):  # noqa: N818 - it says what is the matter; "Error" would add nothing
    """It was not answered; the text says why in one sentence, and never a token."""


@dataclass(frozen=True, slots=True)
class WallClient:
    """One wall, by its URL; token: a user's; certificate: the one the wall shows (DER), where we know it."""

    url: str
    token: Secret | None = None
    certificate: bytes | None = None

    def get(self, path: str) -> dict[str, Any]:
        """What the API answers at a path such as "/api/v1/wall"; raises WallRefused."""
        try:
            parts = urlsplit(self.url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise WallRefused("is no http address")
            connection = self._connect(parts)
            try:
                return self._ask(connection, f"{parts.path.rstrip('/')}{path}")
            finally:
                connection.close()
        except ssl.SSLCertVerificationError as error:
            own = "not known here" if self.certificate is None else "another"
            text = f"its certificate is not trusted ({error.verify_message}); that of wall.certificate is {own}"
            raise WallRefused(text) from None
        except (OSError, HTTPException, ValueError) as error:
            raise WallRefused(str(error) or type(error).__name__) from None

    def _connect(self, parts: SplitResult) -> HTTPConnection:
        """A connection to somebody whom we believe to be the wall."""
        host = parts.hostname or ""
        if parts.scheme == "http":
            plain = HTTPConnection(host, parts.port, timeout=_PATIENCE_SECONDS)
            plain.connect()
            if self.token is not None and not ip_address(plain.sock.getpeername()[0]).is_loopback:
                plain.close()
                raise WallRefused("a token is sent by https only: to another machine anybody on the way could read it")
            return plain
        if self.certificate is not None:
            own = HTTPSConnection(host, parts.port, timeout=_PATIENCE_SECONDS, context=_any_certificate())
            own.connect()
            if own.sock.getpeercert(binary_form=True) == self.certificate:
                return own
            own.close()
        trusted = HTTPSConnection(host, parts.port, timeout=_PATIENCE_SECONDS, context=ssl.create_default_context())
        trusted.connect()
        return trusted

    def _ask(self, connection: HTTPConnection, path: str) -> dict[str, Any]:
        headers = {} if self.token is None else {"Authorization": b"Bearer " + self.token.reveal().encode()}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        if response.status == HTTPStatus.UNAUTHORIZED:
            wanted = "it asks for a login: name a user's token by --token or HINOMI_TOKEN (hinomi user token makes one)"
            raise WallRefused(wanted if self.token is None else "it knows no user with this token")
        if response.status != HTTPStatus.OK:
            raise WallRefused(f"it answers {response.status}{_reason(body)}")
        answer = json.loads(body)
        if not isinstance(answer, dict):
            raise WallRefused("it is no wall: its answer is none of ours")
        return answer


def own_certificate(wall: Wall, directory: Path) -> bytes | None:
    """The certificate (DER) that a wall of this configuration shows; None where there is none that we can read."""
    if wall.certificate is None:
        return None
    try:
        chain = x509.load_pem_x509_certificates((directory / wall.certificate).read_bytes())
    except (OSError, ValueError):
        return None
    return chain[0].public_bytes(Encoding.DER)


def _any_certificate() -> ssl.SSLContext:
    """For a connection whose certificate is compared before anything is said."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(body: bytes) -> str:
    """What the API says of a refusal, where it says so."""
    try:
        return f": {json.loads(body)['error']}"
    except (ValueError, LookupError, TypeError):
        return ""
