"""The estate: what is watched, for whom, against which contract. Frozen, and complete once it exists.

Files become an Estate in poller.config, which reports every mistake with file, line and column; code elsewhere may rely
on every reference in an Estate leading somewhere. Sections are mappings by id; the id travels in each entry as `id`.

    sites, credentials, devices, redundancy_groups     the boxes
    circuits, line_groups                              what was contracted, and what it is measured by
    tenants (attachments, caps)                        who uses it (接続団体)
    services                                           what they use it for
    contacts, rotations, webhooks, calendars           whom to tell, and when
    rules, maintenance                                 about what
    users                                              who may see it
    organisation, polling, notifications, mail, storage, wall, heartbeat   how this daemon runs
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from poller.people import Rotation, User, Webhook
from poller.secrets import SecretReference
from poller.service import Service
from poller.settings import (
    Address,
    Addresses,
    Flag,
    Heartbeat,
    Id,
    Mail,
    Model,
    Name,
    Notifications,
    Organisation,
    Period,
    Polling,
    Port,
    Positive,
    Share,
    Storage,
    Wall,
    Whole,
    parse_number,
    parse_word,
)
from poller.units import Duration, Rate, Ratio, Volume


class Scope(StrEnum):
    """Which side of the demarcation point (責任分界点)."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class Role(StrEnum):
    """What a device is for."""

    FIREWALL = "firewall"
    ROUTER = "router"
    SWITCH = "switch"
    PROXY = "proxy"
    DNS = "dns"
    MAIL_RELAY = "mail_relay"
    NTP = "ntp"
    WAF = "waf"
    LOAD_BALANCER = "load_balancer"
    NETWORK_DEVICE = "network_device"
    LOG_STORE = "log_store"
    SERVER = "server"
    UPS = "ups"


class Severity(StrEnum):
    """How much it matters: serious wakes people, minor waits for the next business day, notice is only shown."""

    SERIOUS = "serious"
    MINOR = "minor"
    NOTICE = "notice"


class Site(Model):
    """A place where devices stand."""

    id: Id
    name: Name
    address: str = ""


class Credentials(Model):
    """How to ask a device by SNMP. Secrets only by reference: "file:...", "env:...", "credential:..."."""

    id: Id
    version: Annotated[Literal["1", "2c", "3"], BeforeValidator(parse_word)]
    community: SecretReference | None = None
    security_name: str | None = None
    auth: Literal["MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"] | None = None
    auth_password: SecretReference | None = None
    priv: Literal["DES", "AES-128", "AES-192", "AES-256", "AES-192-C", "AES-256-C"] | None = None
    priv_password: SecretReference | None = None
    context_name: str = ""


class Device(Model):
    """A monitored box.

    addresses: the first is asked, the others are known to be the same device (traps, replies).
    parents: devices or redundancy groups without which it cannot be reached (R53).
    """

    id: Id
    name: Name
    addresses: tuple[Address, ...] = Field(min_length=1)
    port: Port | None = None
    role: Role
    site: Id
    profile: str = "auto"
    credentials: Id | None = None
    parents: tuple[Id, ...] = ()
    redundancy_group: Id | None = None
    scope: Scope = Scope.INSIDE
    interval: Period | None = None
    interfaces: tuple[str, ...] = ()
    """Regular expressions on ifName; empty means all."""
    sessions_limit: Annotated[Whole, Field(gt=0)] | None = None
    """Where the device has no object for it (operator's setting by model)."""
    design_cpu_ratio: Share | None = None
    ping: Flag = True
    source_address: Address | None = None
    packets_per_second: Positive | None = None
    in_flight: Annotated[Whole, Field(ge=1, le=64)] | None = None


class RedundancyGroup(Model):
    """Devices, or circuits, that stand in for one another; members name the group."""

    id: Id
    name: Name
    mode: Literal["active_standby", "shared"] = "active_standby"
    needed: Annotated[Whole, Field(ge=1)] = 1
    """Members that must be up for the group to serve."""


class CircuitKind(StrEnum):
    """What was contracted."""

    INTERNET = "internet"
    BREAKOUT = "breakout"
    CLOSED_NETWORK = "closed_network"
    ACCESS = "access"


class MeasuredBy(Model):
    """The interface whose counters are the traffic; inward says which of its directions flows towards the estate."""

    device: Id
    interface: str
    inward: Literal["in", "out"] = "in"


class ProbePoints(Model):
    """The three places a circuit is probed at (R41): our edge, the far edge of the contract, and beyond.

    `[192.0.2.1, "2001:db8::1"]` asks one place by both families, apart (R38): it is there while either answers, and its
    loss and delay are those of the first that does.
    """

    near: Addresses = ()
    far: Addresses = ()
    beyond: Addresses = ()


class Circuit(Model):
    """A contracted line. Capacity is the contract's, never ifSpeed (R61)."""

    id: Id
    name: Name
    kind: CircuitKind
    provider: Id | None = None
    """A contact with the role provider."""
    contract_number: str = ""
    committed_rate: Rate | None = None
    """Bits per second that are guaranteed (帯域確保); None where all is best effort."""
    ceiling_rate: Rate
    measured_by: MeasuredBy
    probe: ProbePoints = ProbePoints()
    redundancy_group: Id | None = None
    preferred: Literal["active", "standby"] = "active"
    site: Id | None = None
    scope: Scope = Scope.OUTSIDE
    availability: Share | None = None
    """The service level promised for it (稼働率), 0..1; None where none is promised."""


class LinePart(Model):
    """A part of a line that must have its own rate."""

    name: Name
    needed_rate: Rate
    measured_by: MeasuredBy | None = None


class LineGroup(Model):
    """Several circuits that are one line to its users, or several lines under one ceiling."""

    id: Id
    name: Name
    members: tuple[Id, ...] = Field(min_length=1)
    """Circuits or other line groups."""
    committed_rate: Rate | None = None
    ceiling_rate: Rate
    parts: tuple[LinePart, ...] = ()
    """Allowances within the line, such as 200 Mbps for web publishing."""


class Attachment(Model):
    """Where a tenant's use of a line is counted; at a failover the other member's attachment counts (R64)."""

    line: Id
    """A line group or a circuit."""
    device: Id
    interface: str
    inward: Literal["in", "out"] = "out"
    """Which of the interface's directions flows towards the tenant."""


class Cap(Model):
    """What a tenant may use (R64), per line or in total, per direction or both."""

    line: Id | None = None
    direction: Literal["in", "out", "each"] = "each"
    sustained_rate: Rate | None = None
    """Average over 5 minutes; exceeded when above for 3 slots."""
    burst_rate: Rate | None = None
    monthly_volume: Volume | None = None
    """Octets of a calendar month, both directions."""
    percentile_95: Rate | None = None


class Tenant(Model):
    """A connected organisation (接続団体)."""

    id: Id
    name: Name
    kind: Literal["prefecture", "city", "town", "union", "site", "other"] = "other"
    attachments: tuple[Attachment, ...] = ()
    caps: tuple[Cap, ...] = ()
    contacts: tuple[Id, ...] = ()


class Contact(Model):
    """Whom to tell."""

    id: Id
    name: Name
    role: Literal["operator", "engineer", "officer", "provider", "tenant", "supplier"]
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")] | None = None
    phone: str = ""
    lang: Literal["ja", "en"] = "ja"
    severities: tuple[Severity, ...] = (Severity.SERIOUS, Severity.MINOR)


class Calendar(Model):
    """Hours in which something is served or somebody works; local time, half-open."""

    id: Id
    name: Name
    hours: Mapping[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], str] = {}
    """By weekday, "08:30-17:15"; a day that is not named is closed."""
    japanese_holidays: Flag = True
    closed: tuple[str, ...] = ()
    """Further closed days each year, "12-29"."""


class Selector(Model):
    """Which subjects a rule looks at; every line that is given must match."""

    roles: tuple[Role, ...] = ()
    sites: tuple[Id, ...] = ()
    devices: tuple[str, ...] = ()
    """Ids; `*` and `?` are wild."""
    interfaces: tuple[str, ...] = ()
    circuits: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    line_groups: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    notifications: tuple[str, ...] = ()
    """Names or numbers of notifications, for rules on notification.*; that of the beginning stands for its end too."""
    varbinds: tuple[Annotated[str, StringConstraints(pattern=r"^[^=\s]+=.+$")], ...] = ()
    """Values of varbinds, written NAME=PATTERN, for rules on notification.*."""
    parts: tuple[str, ...] = ()
    """Parts of the daemon itself: rounds, services, loop, journal, outbox, alerts, and the stores by their names."""


class Runbook(Model):
    """What to do, in the words of the people on call, one step a line.

    Written as one text it serves for both languages.
    """

    ja: str = ""
    en: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_one_text(cls, written: object) -> object:
        return {"ja": written} if isinstance(written, str) else written

    def lang(self, lang: str) -> str:
        """The steps in "ja" or "en"; in the other language where they are written in one alone."""
        return (self.en or self.ja) if lang == "en" else (self.ja or self.en)


class Rule(Model):
    """When a condition becomes an alert (R51).

    on: "measurement.field" of the schema, such as "device.cpu_ratio".
    Exactly one of above, below, equals, above_median, changes says when it raises; clear_* says when it may clear, with
    some distance.
    """

    id: Id
    name: Name
    on: str
    where: Selector = Selector()
    above: Ratio | None = None
    below: Ratio | None = None
    equals: bool | int | str | None = None
    above_median: Annotated[float, Field(gt=1), BeforeValidator(parse_number)] | None = None
    """So many times the series' own median of the last 7 days."""
    margin: Ratio = 0.0
    """With above_median: and so much more than the median, so that little of nearly nothing does not raise."""
    changes: Flag = False
    """Raises when the value is another than before; over after clear_for without a further change."""
    clear_below: Ratio | None = None
    clear_above: Ratio | None = None
    clear_median: Annotated[float, Field(ge=1), BeforeValidator(parse_number)] | None = None
    """With above_median: clears at so many times the median."""
    raise_for: Duration = 0.0
    clear_for: Duration = 60.0
    no_data: Literal["keep", "raise"] = "keep"
    severity: Severity
    runbook: Runbook = Runbook()
    """Stands in the mail; `{ja: ..., en: ...}`, or one text for both."""


class Maintenance(Model):
    """A window in which something is being worked on (R55)."""

    id: Id
    name: Name
    start: str
    """Local time "2026-11-21 22:00"."""
    end: str
    repeat: Literal["weekly", "monthly"] | None = None
    where: Selector = Selector()
    mute_mails: Flag = True
    stop_polling: Flag = False
    exclude_from_service_level: Flag = True
    contacts: tuple[Id, ...] = ()


class Estate(Model):
    """Everything, with every reference proven."""

    organisation: Organisation
    polling: Polling = Polling()
    notifications: Notifications = Notifications()
    mail: Mail = Mail()
    storage: Storage = Storage()
    wall: Wall = Wall()
    heartbeat: Heartbeat = Heartbeat()
    sites: Mapping[Id, Site] = {}
    credentials: Mapping[Id, Credentials] = {}
    devices: Mapping[Id, Device] = {}
    redundancy_groups: Mapping[Id, RedundancyGroup] = {}
    circuits: Mapping[Id, Circuit] = {}
    line_groups: Mapping[Id, LineGroup] = {}
    tenants: Mapping[Id, Tenant] = {}
    services: Mapping[Id, Service] = {}
    contacts: Mapping[Id, Contact] = {}
    rotations: Mapping[Id, Rotation] = {}
    webhooks: Mapping[Id, Webhook] = {}
    calendars: Mapping[Id, Calendar] = {}
    rules: Mapping[Id, Rule] = {}
    maintenance: Mapping[Id, Maintenance] = {}
    users: Mapping[Id, User] = {}
