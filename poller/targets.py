"""From the configuration to whom SNMP asks and how: addresses, credentials with their secrets, limits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from poller.estate import Credentials, Device
from poller.secrets import SecretReference
from poller.settings import Polling
from probes.snmp.errors import BadRequest
from probes.snmp.target import SnmpTarget
from probes.snmp.usm import AuthProtocol, PrivProtocol, UsmUser

AUTH: Final[Mapping[str, AuthProtocol]] = {
    "MD5": AuthProtocol.MD5,
    "SHA-1": AuthProtocol.SHA1,
    "SHA-224": AuthProtocol.SHA224,
    "SHA-256": AuthProtocol.SHA256,
    "SHA-384": AuthProtocol.SHA384,
    "SHA-512": AuthProtocol.SHA512,
}
"""Authentication protocols by the name the configuration gives them."""
PRIV: Final[Mapping[str, PrivProtocol]] = {
    "DES": PrivProtocol.DES,
    "AES-128": PrivProtocol.AES128,
    "AES-192": PrivProtocol.AES192,
    "AES-256": PrivProtocol.AES256,
    "AES-192-C": PrivProtocol.AES192_REEDER,
    "AES-256-C": PrivProtocol.AES256_REEDER,
}
"""Privacy protocols; -C is the key extension of Cisco and others."""


def snmp_target(device: Device, credentials: Credentials, polling: Polling, directory: Path) -> SnmpTarget:
    """The target of a device; secrets are read here, paths being relative to directory.

    Raises SecretUnavailable where a secret is not there, BadRequest where the credentials can never work.
    """
    first, *others = device.addresses
    return SnmpTarget(
        address=str(first),
        port=device.port or polling.port,
        version=credentials.version,
        community=_read(credentials.community, directory) if credentials.version != "3" else None,
        user=usm_user(credentials, directory) if credentials.version == "3" else None,
        context_name=credentials.context_name,
        timeout_seconds=polling.timeout,
        tries=polling.tries,
        source_address=str(device.source_address) if device.source_address is not None else None,
        reply_addresses=frozenset(str(address) for address in others),
        packets_per_second=device.packets_per_second or polling.packets_per_second,
        in_flight=device.in_flight or polling.in_flight,
    )


def usm_user(credentials: Credentials, directory: Path) -> UsmUser:
    """The v3 identity of the credentials; raises as snmp_target."""
    if not credentials.security_name:
        raise BadRequest(f"credentials.{credentials.id}: SNMPv3 needs a security_name")
    return UsmUser(
        security_name=credentials.security_name,
        auth=AUTH[credentials.auth] if credentials.auth is not None else None,
        auth_password=_read(credentials.auth_password, directory) or b"",
        priv=PRIV[credentials.priv] if credentials.priv is not None else None,
        priv_password=_read(credentials.priv_password, directory) or b"",
    )


def _read(reference: SecretReference | None, directory: Path) -> bytes | None:
    return None if reference is None else reference.read(directory).reveal().encode()


def weak_points(target: SnmpTarget) -> list[str]:
    """What an auditor would say about these credentials (R8): short words, empty where nothing."""
    points = []
    if target.version != "3":
        points.append(f"SNMPv{target.version}: community in clear text")
    elif target.user is not None:
        if target.user.auth is None:
            points.append("noAuthNoPriv")
        elif target.user.priv is None:
            points.append("authNoPriv: not encrypted")
        if target.user.auth is AuthProtocol.MD5:
            points.append("MD5")
        if target.user.priv is PrivProtocol.DES:
            points.append("DES")
    return points
