"""Made reports as mails in the alerts' outbox: that of the network to the officers, a tenant's to its own contacts.

The daemon sends what waits there, with its relays, tries and dead letters (poller.alerts.outbox). A mail is named after
its contact and what its files contain: the same report is not put in twice, a changed one goes out again.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from poller.alerts.inquiry import ALERTS_FILE
from poller.alerts.records import SCHEMA, OutgoingMail, connect, insert_mail
from poller.config import Configuration
from poller.estate import Contact, Estate
from poller.reports.making import Made, Order
from poller.reports.network import TITLES
from poller.reports.tenants import TENANT_TITLES

KIND: Final = "report"
_TYPES: Final = {
    ".pdf": ("application", "pdf"),
    ".xlsx": ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
"""What is attached; CSV files are for machines and stay in the folder."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one contact gets: the files of one tenant's report, or those of the network (tenant "")."""

    contact: Contact
    tenant: str
    files: tuple[Made, ...]


def post(made: list[Made], order: Order, configuration: Configuration, now_ns: int) -> list[OutgoingMail]:
    """Put a mail for every contact into the outbox; which. Raises sqlite3.Error where it cannot be written."""
    estate = configuration.estate
    mails = [_mail(parcel, order, estate, now_ns) for parcel in parcels(made, estate)]
    path = configuration.state_directory / ALERTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect(path)) as connection:
        connection.executescript(SCHEMA)
        with connection:
            for mail in mails:
                insert_mail(connection, mail)
    return mails


def parcels(made: list[Made], estate: Estate) -> Iterator[Parcel]:
    """Who gets what. Pure."""
    attached: dict[str, list[Made]] = {}
    for each in made:
        if Path(each.path).suffix in _TYPES:
            attached.setdefault(each.tenant, []).append(each)
    officers = [contact for contact in estate.contacts.values() if contact.role == "officer"]
    for tenant, files in attached.items():
        contacts = [estate.contacts[id_] for id_ in estate.tenants[tenant].contacts] if tenant else officers
        for contact in contacts:
            if contact.email is not None:
                yield Parcel(contact, tenant, tuple(files))


def _mail(parcel: Parcel, order: Order, estate: Estate, now_ns: int) -> OutgoingMail:
    contact, period = parcel.contact, order.period
    digest = hashlib.sha256("".join(each.sha256 for each in parcel.files).encode()).hexdigest()[:16]
    what = f"{period.kind}-{period.key}" + (f"-{parcel.tenant}" if parcel.tenant else "")
    message_id = f"<report.{what}.{contact.id}.{digest}@{estate.mail.sender.rpartition('@')[2]}>"
    titles = TENANT_TITLES[period.kind] if parcel.tenant else TITLES[period.kind]
    title, label = titles[contact.lang == "en"], period.label(contact.lang)
    subject = f"{title}: {label}" if contact.lang == "en" else f"【報告】{title}（{label}）"

    def write() -> bytes:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = subject
        message["From"] = _address("Hinomi" if contact.lang == "en" else "火の見", estate.mail.sender)
        message["To"] = _address(contact.name.lang(contact.lang), contact.email or "")
        sent = datetime.fromtimestamp(now_ns // 10**9, ZoneInfo(estate.organisation.timezone))
        message["Date"] = format_datetime(sent)
        message["Message-ID"] = message_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(_text(parcel, (title, label), estate), charset="utf-8", cte="base64")
        for each in parcel.files:
            main, sub = _TYPES[Path(each.path).suffix]
            message.add_attachment((order.out / each.path).read_bytes(), maintype=main, subtype=sub, filename=each.path)
        return message.as_bytes()

    return OutgoingMail(message_id, "", contact.id, contact.email or "", KIND, what, subject, write, now_ns)


def _text(parcel: Parcel, what: tuple[str, str], estate: Estate) -> str:
    contact, (title, label) = parcel.contact, what
    name, files = contact.name.lang(contact.lang), "\n".join(f"  {each.path}" for each in parcel.files)
    organisation = estate.organisation.name.lang(contact.lang)
    if contact.lang == "en":
        return f"{name}\n\nPlease find attached: {title}, {label}.\n\n{files}\n\n{organisation}\n"
    return (
        f"{name} 様\n\n"
        f"いつもお世話になっております。{organisation}です。\n"
        f"{label}の{title}をお送りします。ご査収くださいますようお願いいたします。\n\n"
        f"添付ファイル\n{files}\n\n"
        "このメールは自動で送信しています。ご不明な点は監視センターまでお問い合わせください。\n"
    )


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)
