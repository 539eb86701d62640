"""How this daemon runs: its organisation, how it asks, where mail goes, where figures are kept, where the wall is."""

from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal, TypeAlias
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, StringConstraints

from poller.secrets import SecretReference
from poller.units import Duration, Ratio, Volume

Id: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Lower case romanised: "tsu", "fw-1"; it is a tag in every store, so it should outlive names."""


def parse_address(value: object) -> IPv4Address | IPv6Address:
    """An address as text; ValueError says what it is not. Names are not resolved: a watch must not need DNS."""
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    try:
        return ip_address(value) if isinstance(value, str) else ip_address("")
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 or IPv6 address") from None


Address: TypeAlias = Annotated[IPv4Address | IPv6Address, PlainValidator(parse_address)]


def parse_addresses(value: object) -> object:
    """A single address written without a list is the only one of it; nothing is an empty list."""
    if isinstance(value, list | tuple):
        return value
    return () if value is None else (parse_address(value),)


def check_families(addresses: tuple[IPv4Address | IPv6Address, ...]) -> tuple[IPv4Address | IPv6Address, ...]:
    """One of each family at most; ValueError names the two that are of one."""
    known: dict[int, IPv4Address | IPv6Address] = {}
    for address in addresses:
        if address.version in known:
            raise ValueError(
                f"{known[address.version]} and {address} are both IPv{address.version}: one of each at most"
            )
        known[address.version] = address
    return addresses


Addresses: TypeAlias = Annotated[tuple[Address, ...], BeforeValidator(parse_addresses), AfterValidator(check_families)]
"""Of one place: its address, or its two, one of each family."""


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """A network as text, such as 10.1.0.0/16; a single address is a network of one."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(value) if isinstance(value, str) else ip_network("")
    except ValueError as error:
        detail = " (it has host bits set)" if "host bits" in str(error) else ""
        raise ValueError(f"{value!r} is not a network such as 10.1.0.0/16{detail}") from None


Network: TypeAlias = Annotated[IPv4Network | IPv6Network, PlainValidator(parse_network)]


def parse_flag(value: object) -> bool:
    """True or false as such, so that nobody has to know which of YAML's many other words count."""
    if isinstance(value, bool):
        return value
    meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower(), str(value).lower())
    hint = f". Did you mean {meant}?" if meant in {"true", "false"} else ""
    raise ValueError(f'must be true or false, not "{value}"{hint}')


def parse_number(value: object) -> object:
    """Anything but true and false, which Python would count as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {str(value).lower()}")  # noqa: TRY004 - pydantic collects ValueError
    return value


def parse_word(value: object) -> object:
    """A whole number written without quotes is the text it looks like (version: 3)."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def parse_timezone(value: str) -> str:
    """A zone of the IANA database."""
    zones = available_timezones()
    if value not in zones:
        near = get_close_matches(value, zones, n=1)
        raise ValueError(f"{value!r} is no time zone" + (f". Did you mean {near[0]!r}?" if near else ""))
    return value


Flag: TypeAlias = Annotated[bool, BeforeValidator(parse_flag)]
Whole: TypeAlias = Annotated[int, BeforeValidator(parse_number)]
Positive: TypeAlias = Annotated[float, Field(gt=0), BeforeValidator(parse_number)]
Period: TypeAlias = Annotated[Duration, Field(gt=0)]
"""A duration that is not nothing."""
Share: TypeAlias = Annotated[Ratio, Field(le=1)]
"""A ratio that cannot be above the whole."""
Port: TypeAlias = Annotated[Whole, Field(ge=1, le=65535)]


class Model(BaseModel):
    """Frozen, and no key that is not known; a number is text where text is asked for (contract_number: 4711)."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


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
    timezone: Annotated[str, AfterValidator(parse_timezone)] = "Asia/Tokyo"
    lang: Literal["ja", "en"] = "ja"
    logo: str | None = None


class Polling(Model):
    """How devices are asked unless a device says otherwise (R7, R22, R23)."""

    interval: Period = 60.0
    port: Port = 161
    timeout: Period = 1.5
    tries: Annotated[Whole, Field(ge=1, le=10)] = 3
    in_flight: Annotated[Whole, Field(ge=1, le=64)] = 1
    packets_per_second: Positive | None = None
    echo_interval: Period = 5.0
    """Between two echoes to one target (ICMP)."""
    gateways: tuple[Address, ...] = ()
    """Our own next hops; when none of them answers, monitoring is isolated and nothing else is judged (R54)."""


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


class HeartbeatBroker(Model):
    """A broker that a heartbeat is published to."""

    host: str
    port: Port = 1883
    topic: str = "hinomi/heartbeat"
    user: str | None = None
    password: SecretReference | None = None
    tls: Flag = False


class Heartbeat(Model):
    """A sign of life to somebody outside, who raises the alarm when it stops: with us, or with our schedule (R74)."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")] | None = None
    """Gets a POST with JSON; nobody unless given."""
    mqtt: HeartbeatBroker | None = None
    interval: Period = 60.0
    timeout: Period = 10.0


class Notifications(Model):
    """How traps and informs of the devices are received (R42-R50)."""

    listen: Address | None = None
    """Nowhere unless given; 0.0.0.0 or :: for every address. A socket handed over by systemd goes before it."""
    port: Port = 162
    receive_buffer: Volume = 16 * 2**20
    """Asked of the kernel; less is told with a warning."""
    relays: tuple[Address, ...] = ()
    """Believed when they say whose a notification is (agent-addr, snmpTrapAddress); no other sender is."""
    networks: tuple[Network, ...] = ()
    """From where notifications are taken that come from no device of the estate."""
    credentials: tuple[str, ...] = ()
    """What any accepted sender may use beside its device's own."""
    per_second: Annotated[Whole, Field(ge=1)] = 1000
    """Of one source; what is beyond is only counted."""
    storm_per_second: Annotated[Whole, Field(ge=2)] = 100
    """Of one source; from there on it is a storm, told as one incident."""
    storm_calm: Period = 60.0
    """Below that rate for so long, and the storm is over."""
    sum_within: Period = 5.0
    """Repeats within this time are one notification with a count."""
    reboot_grace: Duration = 300.0
    """After a reboot of a device its notifications open no incident for so long."""
    canary: Period = 300.0
    """How often a notification of our own proves the way from the socket to the journal."""
    engine_id: Annotated[str, Field(pattern=r"^(0x)?([0-9a-fA-F]{2}){5,32}$")] | None = None
    """Ours, for informs of version 3, in hexadecimal; made once and kept unless given."""


class InfluxDatabase(Model):
    """A database that gets every measurement, for Grafana: InfluxDB 1.x, 2.x, 3.x or VictoriaMetrics."""

    url: str
    """Such as http://influx.example.jp:8086."""
    kind: Literal["1", "2", "victoria"] = "2"
    """InfluxDB 1.x; 2.x and 3.x; VictoriaMetrics."""
    bucket: str = "hinomi"
    """Bucket, or database in 1.x."""
    org: str = ""
    token: SecretReference | None = None
    user: str = ""
    password: SecretReference | None = None


class MqttBroker(Model):
    """A broker that gets every record, the way home of a remote poller."""

    host: str
    port: Port = 1883
    node: str = "hinomi"
    """Who we are; part of the topic."""
    user: str | None = None
    password: SecretReference | None = None
    tls: Flag = False
    alerts: Flag = True
    """Also publishes every incident, for whoever subscribes to hinomi/alerts/#."""


class Storage(Model):
    """Where measurements are kept. The embedded store needs no server; databases are given a copy."""

    directory: str = "/var/lib/hinomi"
    """Relative to the configuration's folder, if relative."""
    influx: InfluxDatabase | None = None
    mqtt: MqttBroker | None = None
    journal_bytes: Volume = 20 * 10**9
    journal_days: Positive = 7
    raw_days: Annotated[Whole, Field(gt=0)] = 90


class Wall(Model):
    """Where the wall is served. Loopback needs no login; anything else needs TLS, or a proxy that has it, and users."""

    listen: Address = IPv4Address("127.0.0.1")
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8480
    login: Flag = False
    """Ask for a login on loopback too; elsewhere it is always asked for."""
    certificate: str | None = None
    """File with the certificate and its chain (PEM); relative to the configuration's folder, if relative."""
    key: str | None = None
    """File with the certificate's private key (PEM)."""
    trusted_proxies: tuple[Address, ...] = ()
    """Proxies with TLS before the wall, by address: what they say of a client (X-Forwarded-For, -Proto) is believed."""

    @property
    def asks_for_login(self) -> bool:
        """Whether nobody sees anything without a login."""
        return self.login or not self.listen.is_loopback or bool(self.trusted_proxies)
