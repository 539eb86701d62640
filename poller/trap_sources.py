"""From the configuration to the trap receiver: who may tell us something, with which secrets, and who we are."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from poller.config import Configuration
from poller.estate import Credentials, Estate
from poller.secrets import SecretUnavailable
from poller.share import share
from poller.targets import usm_user
from probes.snmp.usm import UsmUser
from traps.catalogue import Catalogue, load_catalogue
from traps.sources import Address, Identity, Sources

_ENGINE_PREFIX: Final = bytes.fromhex("80007ed905")
"""The enterprise for documentation (32473, RFC 5612), having none, and format 5, octets (RFC 3411, SnmpEngineID)."""
_LARGEST_BOOTS: Final = 0x7FFF_FFFF


def trap_sources(configuration: Configuration) -> Sources:
    """Every address of every device, relays and networks, each with what it may use.

    Raises SecretUnavailable where a secret is not there, BadRequest where credentials can never work.
    """
    estate, directory = configuration.estate, configuration.directory
    settings = estate.notifications
    shared = [estate.credentials[key] for key in settings.credentials]
    identities = {
        device.id: identity_of([estate.credentials[device.credentials], *shared], directory)
        for device in estate.devices.values()
        if device.credentials is not None
    }
    return Sources(
        devices=_addresses(estate),
        relays=frozenset(settings.relays),
        networks=settings.networks,
        identities=identities,
        shared=identity_of(shared, directory),
    )


def _addresses(estate: Estate) -> dict[Address, str]:
    """Devices by address; of two on one address, with other ports, the first stands for both."""
    found: dict[Address, str] = {}
    for device in estate.devices.values():
        for address in device.addresses:
            found.setdefault(address, device.id)
    return found


def identity_of(entries: Iterable[Credentials], directory: Path) -> Identity:
    """Communities and users of some credentials, secrets read."""
    communities: set[bytes] = set()
    users: dict[bytes, list[UsmUser]] = {}
    for credentials in entries:
        try:
            if credentials.version == "3":
                user = usm_user(credentials, directory)
                users.setdefault(user.security_name.encode(), []).append(user)
            elif credentials.community is not None:
                communities.add(credentials.community.read(directory).reveal().encode())
        except SecretUnavailable as error:
            raise SecretUnavailable(f"credentials.{credentials.id}, needed for notifications: {error}") from None
    return Identity(frozenset(communities), users)


def load_installed_catalogue(configuration: Configuration) -> Catalogue:
    """What travels with the product, then what the operator added (traps/*.yaml beside hinomi.yaml); BadCatalogue."""
    installed = sorted((share("config") / "traps").glob("*.yaml"))
    return load_catalogue([*installed, *sorted((configuration.directory / "traps").glob("*.yaml"))])


def start_engine(path: Path, engine_id: str | None) -> tuple[bytes, int]:
    """Our engine id and how often it has started, this start included; durable before it is used (RFC 3414, 2.2).

    The id is the configured one, else made at the first start and kept. A file that cannot be read begins anew.
    """
    try:
        kept = json.loads(path.read_text(encoding="ascii"))
        own, boots = bytes.fromhex(kept["engine_id"]), int(kept["boots"])
    except (OSError, ValueError, KeyError, TypeError):
        own, boots = _ENGINE_PREFIX + os.urandom(12), 0
    if engine_id is not None:
        own = bytes.fromhex(engine_id.removeprefix("0x"))
    boots = min(boots + 1, _LARGEST_BOOTS - 1)
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="ascii") as file:
        json.dump({"engine_id": own.hex(), "boots": boots}, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return own, boots
