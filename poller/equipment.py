"""A configuration with everything it names read: secrets, certificates, catalogues. Nothing runs by it yet.

All that can be wrong with a configuration beyond its text is found here, at the start as at a reload.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from poller.alerts.outbox import Way
from poller.alerts.ways import ways_of
from poller.config import Configuration
from poller.estate import Device, Estate
from poller.secrets import SecretUnavailable
from poller.settings import Mail
from poller.storage.journal import JournalLimits
from poller.stores import StoreSettings, store_settings
from poller.targets import snmp_target
from poller.trap_sources import load_installed_catalogue, trap_sources
from poller.wall.users import Known, known_users, tls_context
from probes.snmp import SnmpTarget
from probes.snmp.errors import BadRequest
from traps.catalogue import BadCatalogue, Catalogue
from traps.sources import Sources

Targets: TypeAlias = Mapping[str, tuple[Device, SnmpTarget]]
UNFIT = (SecretUnavailable, BadRequest, BadCatalogue, OSError)
"""What equip raises; each is one sentence."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the parts of a daemon are built from, and follow at a reload."""

    configuration: Configuration
    targets: Targets
    sources: Sources
    catalogue: Catalogue
    users: Mapping[str, Known]
    tls: ssl.SSLContext | None
    stores: Mapping[str, StoreSettings]
    mail: Mail
    ways: Mapping[str, Way]

    @property
    def estate(self) -> Estate:
        """What is watched."""
        return self.configuration.estate

    @property
    def directory(self) -> Path:
        """The configuration's folder."""
        return self.configuration.directory

    @property
    def state(self) -> Path:
        """Where everything is kept."""
        return self.configuration.state_directory

    @property
    def intervals(self) -> dict[str, float]:
        """Of every device that is asked by SNMP, in seconds."""
        usual = self.estate.polling.interval
        return {key: device.interval or usual for key, (device, _) in self.targets.items()}

    @property
    def alarms_with_end(self) -> set[str]:
        """Alarms that another notification ends."""
        return {one.alarm for one in self.catalogue if one.has_end}

    @property
    def journal_limits(self) -> JournalLimits:
        """How much waits for the stores at most."""
        storage = self.estate.storage
        return JournalLimits(max_octets=storage.journal_bytes, max_age_seconds=storage.journal_days * 86400.0)


def equip(configuration: Configuration, *, receiving: bool) -> Equipment:
    """Read what a configuration names; blocking. Raises one of UNFIT, naming the setting.

    receiving: notifications come in by sockets that were handed to us, whatever the configuration says.
    """
    estate, directory = configuration.estate, configuration.directory
    receiving = receiving or estate.notifications.listen is not None
    mail = estate.mail
    if mail.maildir is not None:
        mail = mail.model_copy(update={"maildir": str(configuration.state_directory / mail.maildir)})
    return Equipment(
        configuration,
        targets=_targets(estate, directory),
        sources=trap_sources(configuration) if receiving else Sources(),
        catalogue=load_installed_catalogue(configuration),
        users=known_users(estate, directory),
        tls=tls_context(estate.wall, directory),
        stores=store_settings(configuration),
        mail=mail,
        ways=ways_of(estate, directory),
    )


def _targets(estate: Estate, directory: Path) -> Targets:
    """Whom to ask by SNMP, with credentials read; a secret that is not there is told with its device."""
    targets = {}
    for key, device in estate.devices.items():
        if device.credentials is None:
            continue
        credentials = estate.credentials[device.credentials]
        try:
            targets[key] = (device, snmp_target(device, credentials, estate.polling, directory))
        except SecretUnavailable as error:
            raise SecretUnavailable(f"credentials.{credentials.id}, needed for {key}: {error}") from None
    return targets
