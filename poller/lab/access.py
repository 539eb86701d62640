"""Who may ask simulated devices: the same credentials that the poller asks with, seen from the agent's side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from poller.estate import Credentials
from poller.lab.agent import Access
from poller.secrets import SecretReference
from probes.snmp.usm import AuthProtocol, PrivProtocol, UsmUser

_AUTH: Final[Mapping[str, AuthProtocol]] = {
    "MD5": AuthProtocol.MD5,
    "SHA-1": AuthProtocol.SHA1,
    "SHA-224": AuthProtocol.SHA224,
    "SHA-256": AuthProtocol.SHA256,
    "SHA-384": AuthProtocol.SHA384,
    "SHA-512": AuthProtocol.SHA512,
}
_PRIV: Final[Mapping[str, PrivProtocol]] = {
    "DES": PrivProtocol.DES,
    "AES-128": PrivProtocol.AES128,
    "AES-192": PrivProtocol.AES192,
    "AES-256": PrivProtocol.AES256,
    "AES-192-C": PrivProtocol.AES192_REEDER,
    "AES-256-C": PrivProtocol.AES256_REEDER,
}


def make_access(credentials: Credentials | None, directory: Path, community: str | None = None) -> Access:
    """Who may ask a device that the poller asks with these credentials; raises SecretUnavailable.

    Without credentials and without another community it is "public".
    """
    communities = {community.encode()} if community is not None else set()
    if credentials is None:
        return Access(frozenset(communities or {b"public"}))
    if credentials.version == "3":
        user = usm_user(credentials, directory)
        return Access(frozenset(communities), {user.security_name.encode(): user})
    if credentials.community is not None:
        communities.add(credentials.community.read(directory).reveal().encode())
    return Access(frozenset(communities))


def usm_user(credentials: Credentials, directory: Path) -> UsmUser:
    """The v3 user of credentials; raises SecretUnavailable, BadRequest where an agent would refuse it."""

    def password(reference: SecretReference | None) -> bytes:
        return b"" if reference is None else reference.read(directory).reveal().encode()

    return UsmUser(
        credentials.security_name or "",
        _AUTH[credentials.auth] if credentials.auth else None,
        password(credentials.auth_password),
        _PRIV[credentials.priv] if credentials.priv else None,
        password(credentials.priv_password),
    )
