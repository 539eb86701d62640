"""How this daemon runs: its organisation, how it asks, where mail goes, where figures are kept, where the wall is."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from poller.secrets import SecretReference
from poller.units import Duration, Volume


def parse_address(value: object) -> IPv4Address | IPv6Address:
    """An address as text; ValueError says what it is not. Names are not resolved: a watch must not need DNS."""
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    try:
        return ip_address(value) if isinstance(value, str) else ip_address("")
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 or IPv6 address") from None


Address: TypeAlias = Annotated[IPv4Address | IPv6Address, PlainValidator(parse_address)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]


class Model(BaseModel):
    """Frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Name(Model):
    """A name in Japanese and English; written as one string it serves for both."""

    ja: str
    en: str

    def lang(self, lang: str) -> str:
        """The name in "ja" or "en"."""
        return self.en if lang == "en" else self.ja


class Organisation(Model):
    """Who runs this network."""

    name: Name
    timezone: str = "Asia/Tokyo"
    lang: Literal["ja", "en"] = "ja"
    logo: str | None = None


class Polling(Model):
    """How devices are asked unless a device says otherwise (R7, R22, R23)."""

    interval: Duration = 60.0
    port: Port = 161
    timeout: Duration = 1.5
    tries: Annotated[int, Field(ge=1, le=10)] = 3
    in_flight: Annotated[int, Field(ge=1, le=64)] = 1
    packets_per_second: Annotated[float, Field(gt=0)] | None = None
    echo_interval: Duration = 5.0
    """Between two echoes to one target (ICMP)."""


class Relay(Model):
    """A mail server that takes our mail."""

    host: str
    port: Port = 25
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: str | None = None
    password: SecretReference | None = None


class Mail(Model):
    """Where mail goes out: relays in order of preference, or a maildir (demo, training)."""

    sender: str = "hinomi@localhost"
    relays: tuple[Relay, ...] = ()
    maildir: str | None = None
    wall_url: str = ""
    """How the wall is reached from a mail."""


class Storage(Model):
    """Where measurements are kept."""

    directory: str = "/var/lib/hinomi"
    journal_bytes: Volume = 20 * 10**9
    journal_days: Annotated[float, Field(gt=0)] = 7
    raw_days: Annotated[int, Field(gt=0)] = 90


class Wall(Model):
    """Where the wall is served; loopback needs no login."""

    listen: Address = IPv4Address("127.0.0.1")
    port: Annotated[int, Field(ge=0, le=65535)] = 8480
