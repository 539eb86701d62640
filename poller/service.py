"""A service of the estate: what is checked, and what an answer must be like."""

from typing import Annotated, Literal

from pydantic import Field

from poller.secrets import SecretReference
from poller.settings import Flag, Id, Model, Name, Period, Positive, Share, Whole


class Service(Model):
    """What users need, checked as a user would use it (R39).

    target: "address:port", a host name, or a URL, as the kind needs it.
    """

    id: Id
    name: Name
    kind: Literal["dns", "http", "smtp", "ntp", "tcp", "tls"]
    target: str
    interval: Period = 60.0
    timeout: Period = 10.0
    """How long the whole answer may take before the service counts as not answering."""
    family: Literal["any", "ipv4", "ipv6"] = "any"
    """By which of its addresses a name is asked; write two services to check both apart."""
    query: str | None = None
    """DNS: the name asked for."""
    record_type: str | None = None
    """DNS: A unless an IPv6 address is expected."""
    transport: Literal["both", "udp", "tcp"] = "both"
    """DNS: how it is asked."""
    expect: str | None = None
    """DNS: the record expected ("NXDOMAIN" to expect none); HTTP: text in the page, with blocked in the block page."""
    status: Annotated[Whole, Field(ge=100, le=599)] | None = None
    """HTTP: the status expected; else any below 400."""
    proxy: str | None = None
    """HTTP: URL of the explicit proxy."""
    proxy_user: str | None = None
    """HTTP: whom we log in to the proxy as, where it asks for that."""
    proxy_password: SecretReference | None = None
    blocked: Flag = False
    """HTTP: the filter must block it."""
    sender: str = ""
    """SMTP: the sender named in MAIL; empty is the null sender."""
    recipient: str | None = None
    """SMTP: the dialogue goes on to RCPT for this address, and no further."""
    starttls: Flag = False
    """SMTP: TLS must be offered and is set up."""
    server_name: str | None = None
    """TLS, SMTP: the name that the certificate must have, where it is not the target's."""
    ca_file: str | None = None
    """HTTP, SMTP, TLS: authority to trust instead of the system's; relative to the configuration's folder."""
    offset_seconds: Positive = 1.0
    """NTP: how far its clock and ours may differ."""
    devices: tuple[Id, ...] = ()
    calendar: Id | None = None
    """Its service hours; around the clock where none is given."""
    response_seconds: Positive = 3.0
    availability: Share | None = None
