"""Trust and certificates: what we trust, what was shown, why it does not hold.

context_for() is kept for each authority file and its time, because loading the system's authorities takes milliseconds.
"""

import ssl
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from probes.errors import NotAsked, RemoteError
from probes.result import Observation
from probes.sentences import Said
from probes.text import printable

WARNINGS: Final = (7, 14, 30)
"""Days left from which a certificate is told to end soon (R39)."""
DAY_SECONDS: Final = 86_400
_NAMES: Final = 4
_EXPIRED: Final = 10
_NOT_YET: Final = 9
_NAME: Final = (62, 64)
"""X509_V_ERR_* of OpenSSL's x509_vfy.h: has expired, not yet valid, host name and address mismatch."""

observing: ContextVar[Observation | None] = ContextVar("observing", default=None)
"""Whose TLS handshake it is: contexts are shared, connections are not."""


class ObservedTls(ssl.SSLObject):
    """Tells the observation when its handshake begins; asyncio and uvloop both shake hands through SSLObject."""

    def do_handshake(self) -> None:
        """One step of the handshake; the first enters the phase."""
        observation = observing.get()
        if observation is not None and observation.phase != "tls":
            observation.enter("tls")
            observation.tell("TLS begins")
        super().do_handshake()


def context_for(ca_file: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """What a client trusts: the system's authorities, or those in the file; raises NotAsked for a bad file."""
    stamp = 0
    if ca_file is not None and verify:
        try:
            stamp = Path(ca_file).stat().st_mtime_ns
        except OSError as error:
            detail = str(error.strerror).lower()
            raise NotAsked("authority_unreadable", file=printable(ca_file), detail=detail) from None
    return _context(ca_file if verify else None, stamp, verify)


@lru_cache(maxsize=16)
def _context(ca_file: str | None, _stamp: int, verify: bool) -> ssl.SSLContext:  # noqa: FBT001 - part of a cache key
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # OpenSSL's errors are of this kind, too
            words = None if isinstance(error, ssl.SSLError) else error.strerror
            detail = ("証明書がありません", "no certificate in it") if words is None else words.lower()
            raise NotAsked("authority_unreadable", file=printable(ca_file or "-"), detail=detail) from error
    context.sslobject_class = ObservedTls
    return context


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate that a server showed; names are cleaned."""

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime

    def days_left(self, now_seconds: float) -> float:
        """Days until it ends, negative once it has."""
        return (self.ends.timestamp() - now_seconds) / DAY_SECONDS

    @property
    def names_text(self) -> str:
        """The first names, as people read them."""
        return ", ".join(self.names[:_NAMES]) + (" …" if len(self.names) > _NAMES else "")


def read_certificate(der: bytes) -> Shown:
    """Names, issuer and validity; raises ValueError where it cannot be read."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(name.value) for name in extension if isinstance(name, x509.DNSName | x509.IPAddress)]
    except x509.ExtensionNotFound:
        names = []
    names = names or [str(entry.value) for entry in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    issuers = [str(entry.value) for entry in certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return Shown(
        tuple(printable(name, 80) for name in names),
        printable(issuers[0], 80) if issuers else "?",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def see_certificate(connection: ssl.SSLObject | None, observation: Observation) -> Shown | None:
    """Keep what was shown as evidence; None where nothing was, or nothing that can be read."""
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    if connection is None or der is None:
        return None
    try:
        shown = read_certificate(der)
    except ValueError as error:
        observation.see("certificate", f"cannot be read: {error}")
        return None
    observation.certificate_days = shown.days_left(time.time())
    observation.see("tls", " ".join((connection.version() or "?", (connection.cipher() or ("?",))[0])))
    observation.see("certificate", f"{shown.names_text}; issued by {shown.issuer}")
    observation.see("valid", f"{_day(shown.begins)} - {_day(shown.ends)}")
    return shown


def warning_level(days: float) -> int | None:
    """The smallest of 7, 14 and 30 that the days left are below; None for a certificate that has time."""
    return next((level for level in WARNINGS if days < level), None)


def verdict_facts(shown: Shown, target: str, days: float) -> tuple[str, dict[str, Said]]:
    """The reason for a certificate that is trusted, and its facts."""
    facts: dict[str, Said] = {"target": target, "names": shown.names_text, "days": f"{int(days)}"}
    level = warning_level(days)
    if level is None:
        return "certificate_valid", facts
    return "certificate_ends_soon", facts | {"limit": str(level), "until": _day(shown.ends)}


def distrust(error: ssl.SSLCertVerificationError, observation: Observation, name: str) -> RemoteError:
    """Why a certificate is not accepted; OpenSSL's verdict becomes ours."""
    code: Any = getattr(error, "verify_code", None)
    detail = printable(str(getattr(error, "verify_message", "") or error))
    reason = {_EXPIRED: "certificate_expired", _NOT_YET: "certificate_not_yet"}.get(code, "certificate_untrusted")
    if code in _NAME:
        return RemoteError("certificate_name", peer=observation.peer, name=printable(name), detail=detail)
    return RemoteError(reason, peer=observation.peer, detail=detail)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
