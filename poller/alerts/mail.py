"""The mail itself: a subject that tells all on a phone, a text that stands alone, headers for threads and machines.

Every mail of one incident to one contact is one thread: the first carries the thread's Message-ID, the others refer
to it. A Message-ID is made of incident, number and contact, so the same decision makes the same one again. Headers
cannot be injected: every text passes words.clean, and email.policy refuses line breaks in headers besides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from fnmatch import fnmatchcase
from typing import Final

from poller.alerts.announcements import Announcement
from poller.alerts.headline import headline
from poller.alerts.incidents import Incident
from poller.alerts.letterpaper import PICTURE, page_of
from poller.alerts.notices import Kind
from poller.alerts.page import Page, Postmark
from poller.alerts.pictured import Picture, Pictures
from poller.alerts.states import SECOND
from poller.alerts.storm import HeldMail
from poller.alerts.subjects import Subject
from poller.alerts.words import (
    Times,
    clean,
    duration_text,
    join,
    pick,
    subject_name,
)
from poller.estate import Contact, Estate, Maintenance, Severity

NAMED: Final = 8
"""Things worked on that an announcement names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail for the outbox; write makes its whole text with CRLF line ends, from frozen values, in any thread."""

    message_id: str
    subject: str
    write: Callable[[], bytes]


def render(
    incident: Incident, mark: Postmark, contact: Contact, estate: Estate, pictures: Pictures | None = None
) -> Letter:
    """The mail about one incident to one contact, in the contact's language.

    Text, and the same as HTML with a picture for those who may see all of the network (a tenant may not).
    """
    page = Page(incident, mark, contact, estate)
    subject = clean(page.subject(), 180)
    domain = estate.mail.sender.rpartition("@")[2]
    root = f"<{incident.id}.1.{contact.id}@{domain}>"
    message_id = f"<{incident.id}.{mark.number}.{contact.id}@{domain}>"

    def write() -> bytes:
        message = _envelope(contact, estate, mark, message_id, subject)
        if mark.number > 1:
            message["In-Reply-To"] = root
            message["References"] = root
        message["X-Hinomi-Incident"] = incident.id
        message["X-Hinomi-Severity"] = incident.severity.value
        message["X-Hinomi-Scope"] = incident.scope
        may_see = pictures is not None and contact.role in {"operator", "engineer", "officer"}
        picture = pictures.of(incident, mark.now_ns) if may_see and pictures is not None else None
        text = page.text()
        message.set_content(text, charset="utf-8", cte="base64")
        colour = "recovered" if mark.kind is Kind.RECOVERED else incident.severity.value
        _add_page(message, page_of(text, colour, picture, contact.lang), picture)
        return message.as_bytes()

    return Letter(message_id, subject, write)


def render_digest(incidents: Sequence[Incident], mark: Postmark, contact: Contact, estate: Estate) -> Letter:
    """The morning's mail of minor faults: one line each, those that still last first."""
    lang, times = contact.lang, Times(estate)
    lasting = [incident for incident in incidents if incident.closed_ns is None]
    over = [incident for incident in incidents if incident.closed_ns is not None]
    counts = pick(
        lang,
        f"継続中{len(lasting)}件、復旧済み{len(over)}件",
        f"{len(lasting)} ongoing, {len(over)} over",
    )
    subject = clean(pick(lang, f"【軽微】まとめ：{counts}", f"[Minor] Digest: {counts}"), 180)
    date = times.local(mark.now_ns)
    domain = estate.mail.sender.rpartition("@")[2]
    message_id = f"<digest.{date:%Y-%m%d-%H%M}.{contact.id}@{domain}>"
    return _letter(contact, estate, mark, (message_id, subject), _digest_text(lasting, over, contact, estate))


def render_storm(held: Sequence[HeldMail], mark: Postmark, contact: Contact, estate: Estate) -> Letter:
    """One mail for many: the subjects of what the cap held back, and that it was held back."""
    lang = contact.lang
    count = len(held)
    subject = pick(lang, f"【通知多数】{count}件をまとめてお知らせします", f"[Many notices] {count} in one mail")
    domain = estate.mail.sender.rpartition("@")[2]
    message_id = f"<storm.{mark.now_ns}.{contact.id}@{domain}>"
    lines = [
        pick(
            lang,
            f"短時間に通知が集中したため、次の{count}件を個別に送らず、1通にまとめました。",
            f"Notices came faster than mails may leave, so these {count} are told in one.",
        ),
        "",
    ]
    lines += [f"{Times(estate).clock(mail.created_ns)}  {mail.subject}" for mail in held]
    lines += ["", pick(lang, "一覧： hinomi incidents", "List: hinomi incidents")]
    return _letter(contact, estate, mark, (message_id, subject), "\n".join(lines) + "\n")


def render_announcement(announcement: Announcement, contact: Contact, estate: Estate, now_ns: int) -> Letter:
    """Planned maintenance, before it begins or after it ended."""
    lang = contact.lang
    name = clean(announcement.window.name.lang(lang), 80)
    who = clean(estate.organisation.name.lang(lang), 60)
    start, end = announcement.start, announcement.end
    until = f"{end:%H:%M}" if start.date() == end.date() else _local(end, lang)
    when = f"{_local(start, lang)} {pick(lang, '〜', '-')} {until}"
    what = _worked_on(announcement.window, estate, lang)
    planned = announcement.kind == "planned"
    if planned:
        subject = pick(lang, f"【作業予告】{name}（{when}）", f"[Planned work] {name} ({when})")
        text = pick(
            lang,
            f"{who}からのお知らせです。\n\n次のとおり計画作業を行います。\n  作業　{name}\n  日時　{when}\n{what}\n"
            "作業中は、対象の監視通知を止めることがあります。終了後にあらためてお知らせします。\n",
            f"From {who}.\n\nPlanned work:\n  what  {name}\n  when  {when}\n{what}\n"
            "Notices about it may be muted meanwhile. Its end will be told.\n",
        )
    else:
        subject = pick(lang, f"【作業終了】{name}（{when}）", f"[Work ended] {name} ({when})")
        text = pick(
            lang,
            f"{who}からのお知らせです。\n\n次の計画作業の時間が終わり、通常の監視に戻りました。\n"
            f"  作業　{name}\n  日時　{when}\n{what}",
            f"From {who}.\n\nThe time of this planned work is over; monitoring is as usual.\n"
            f"  what  {name}\n  when  {when}\n{what}",
        )
    domain = estate.mail.sender.rpartition("@")[2]
    message_id = f"<{announcement.id}.{contact.id}@{domain}>"
    mark = Postmark(Kind.ANNOUNCEMENT, "planned maintenance", 1, now_ns, None)
    return _letter(contact, estate, mark, (message_id, clean(subject, 180)), text)


def _worked_on(window: Maintenance, estate: Estate, lang: str) -> str:
    """The line that names what is worked on; empty where the window names nothing."""
    kinds = {
        "devices": ("device", estate.devices),
        "circuits": ("circuit", estate.circuits),
        "line_groups": ("line_group", estate.line_groups),
        "services": ("service", estate.services),
        "tenants": ("tenant", estate.tenants),
    }
    names = [
        subject_name(Subject(kind, id_), estate, lang)
        for line, (kind, ids) in kinds.items()
        for id_ in ids
        if any(fnmatchcase(id_, pattern) for pattern in getattr(window.where, line))
    ]
    if not names:
        return ""
    more = pick(lang, f"ほか{len(names) - NAMED}件", f" and {len(names) - NAMED} more") if len(names) > NAMED else ""
    return pick(lang, "  対象　", "  on    ") + join(names[:NAMED], lang) + more + "\n"


def _local(moment: datetime, lang: str) -> str:
    if lang == "en":
        return f"{moment:%a %d %b %Y %H:%M}"
    return f"{moment:%Y年}{moment.month}月{moment.day}日({'月火水木金土日'[moment.weekday()]}) {moment:%H:%M}"


def render_test(contact: Contact, estate: Estate, now_ns: int) -> Letter:
    """A mail that only proves the way: for `hinomi test-mail`."""
    times = Times(estate)
    mark = Postmark(Kind.TEST, "asked for by an operator", 1, now_ns, None)
    subject = pick(contact.lang, "【試験】火の見からの試験メールです", "[Test] A test mail from Hinomi")
    domain = estate.mail.sender.rpartition("@")[2]
    message_id = f"<test.{now_ns}.{contact.id}@{domain}>"
    text = pick(
        contact.lang,
        f"これは通知経路の試験メールです。対応は不要です。\n送信 {times.full(now_ns)}\n",
        f"This mail proves the way of notices. Nothing needs to be done.\nSent {times.full(now_ns)}\n",
    )
    return _letter(contact, estate, mark, (message_id, subject), text)


def _letter(contact: Contact, estate: Estate, mark: Postmark, named: tuple[str, str], text: str) -> Letter:
    """A letter of a given text; named is its Message-ID and its subject."""
    return Letter(*named, lambda: _bytes(_envelope(contact, estate, mark, *named), text))


def _bytes(message: EmailMessage, text: str) -> bytes:
    message.set_content(text, charset="utf-8", cte="base64")
    return message.as_bytes()


def _add_page(message: EmailMessage, html: str, picture: Picture | None) -> None:
    """The text as HTML beside it, with its picture."""
    message.add_alternative(html, subtype="html", charset="utf-8", cte="base64")
    if picture is not None:
        (_, page) = message.iter_parts()
        page.add_related(picture.png, "image", "png", cid=f"<{PICTURE}>", filename="hinomi.png", disposition="inline")


def _envelope(contact: Contact, estate: Estate, mark: Postmark, message_id: str, subject: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["Subject"] = subject
    message["From"] = _address(pick(contact.lang, "火の見", "Hinomi"), estate.mail.sender)
    message["To"] = _address(clean(contact.name.lang(contact.lang), 60), contact.email or "")
    message["Date"] = format_datetime(Times(estate).local(mark.now_ns))
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Hinomi-Kind"] = mark.kind.value
    message["X-Hinomi-Reason"] = clean(mark.why)
    if mark.kind is Kind.DIGEST:
        message["X-Hinomi-Severity"] = Severity.MINOR.value
    if mark.kind in {Kind.FIRST, Kind.RAISED, Kind.REPEAT, Kind.REMINDER}:
        message["Importance"] = "high"
    return message


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)


def _digest_text(lasting: Sequence[Incident], over: Sequence[Incident], contact: Contact, estate: Estate) -> str:
    lang, times = contact.lang, Times(estate)
    lines = [
        pick(
            lang,
            "前回のまとめ以降に検知した軽微な障害をお知らせします。",
            "Minor faults since the last digest.",
        )
    ]
    for title, group in (
        (pick(lang, "■ 継続中", "# Ongoing"), lasting),
        (pick(lang, "■ 復旧済み", "# Over"), over),
    ):
        if not group:
            continue
        lines += ["", title]
        for incident in sorted(group, key=lambda entry: entry.begun_ns):
            what = headline(incident, estate, lang)
            began = times.day(incident.begun_ns, lang)
            if incident.ended_ns is None:
                when = pick(lang, f"{began} から継続中", f"since {began}")
            else:
                took = duration_text((incident.ended_ns - incident.begun_ns) / SECOND, lang)
                when = pick(lang, f"{began} から{took}", f"{began}, {took}")
            note = _took_over(incident, lang)
            lines.append(
                pick(lang, f"・{what}　{when}{note}（{incident.id}）", f"- {what}, {when}{note} ({incident.id})")
            )
            lines += [f"    {clean(remark.text)}" for remark in incident.remarks[-1:] if remark.kind == "comment"]
    lines += ["", pick(lang, "一覧： hinomi incidents", "List: hinomi incidents")]
    if estate.mail.wall_url:
        lines.append(f"  {clean(estate.mail.wall_url)}")
    return "\n".join(lines) + "\n"


def _took_over(incident: Incident, lang: str) -> str:
    if not incident.redundancy_left or incident.closed_ns is not None:
        return ""
    return pick(lang, "、予備系で継続", ", standby in service")
