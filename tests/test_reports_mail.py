"""Reports by mail: through the alerts' outbox and a real SMTP server, each to whom it is for and to nobody else."""

import asyncio
import email
import email.policy
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.smtp import SMTP
from typer.testing import CliRunner

from poller.alerts.inquiry import ALERTS_FILE
from poller.alerts.outbox import Outbox
from poller.alerts.store import Store
from poller.cli import app
from poller.config import load
from poller.lab.history import Wish, invent
from poller.reports.periods import Kind, Period
from poller.settings import Mail
from poller.storage.parquet import ParquetStore

JUNE = Period(Kind.MONTHLY, date(2026, 6, 1), ZoneInfo("Asia/Tokyo"))
DAY_NS = 86_400 * 10**9
CONFIG = """
organisation: {name: {ja: 試験県, en: Test Prefecture}}
mail: {sender: hinomi@noc.example.jp}
storage: {directory: state}
sites: {dc: {name: {ja: センター, en: centre}}}
credentials: {}
contacts:
  noc: {name: {ja: 監視, en: NOC}, role: operator, email: noc@example.jp}
  officer: {name: {ja: 県の担当者, en: Officer}, role: officer, email: officer@pref.example.jp}
  kou-ict: {name: {ja: 甲市 情報担当, en: Kou ICT}, role: tenant, email: ict@kou.example.jp, severities: []}
  otsu-ict: {name: {ja: 乙町 情報担当, en: Otsu ICT}, role: tenant, email: ict@otsu.example.jp, lang: en}
  silent: {name: {ja: 電話だけ, en: phone only}, role: tenant, phone: "000"}
devices:
  fw-1: {name: FW, addresses: [127.0.0.1], role: firewall, site: dc}
circuits:
  int-1:
    name: {ja: 主回線, en: main}
    kind: internet
    committed_rate: 1G
    ceiling_rate: 2G
    measured_by: {device: fw-1, interface: wan0}
line_groups:
  internet: {name: {ja: インターネット, en: Internet}, members: [int-1], committed_rate: 1G, ceiling_rate: 2G}
tenants:
  kou:
    name: {ja: 甲市, en: Kou City}
    contacts: [kou-ict, silent]
    attachments: [{line: internet, device: fw-1, interface: vlan1}]
  otsu:
    name: {ja: 乙町, en: Otsu Town}
    contacts: [otsu-ict]
    attachments: [{line: internet, device: fw-1, interface: vlan2}]
"""


class Inbox:
    """Keeps what it accepted, by recipient."""

    def __init__(self) -> None:
        self.received: dict[str, list[EmailMessage]] = {}

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        for recipient in envelope.rcpt_tos:
            self.received.setdefault(recipient, []).append(message)
        return "250 taken"


@asynccontextmanager
async def smtp_server(inbox: Inbox) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    made = await loop.create_server(lambda: SMTP(inbox, loop=loop, hostname="mx"), "127.0.0.1", 0)
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hinomi.yaml").write_text(CONFIG, encoding="utf-8")
    invent(load(tmp_path).estate, ParquetStore(tmp_path / "state" / "store"), Wish(1, JUNE.start_ns + 3 * DAY_NS, 3))
    return tmp_path


def report(folder: Path, *options: str) -> dict[str, Any]:
    words = ["report", "monthly", "-c", str(folder), "--period", "2026-06", "--tenant", "all", "--mail", "--json"]
    done = CliRunner().invoke(app, [*words, "--out", str(folder / "out"), *options])
    assert 0 == done.exit_code, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def send_all(folder: Path, inbox: Inbox) -> int:
    """What the daemon does with what waits in its outbox."""
    store = Store(folder / "state" / ALERTS_FILE)
    try:
        async with smtp_server(inbox) as port:
            settings = Mail(
                sender="hinomi@noc.example.jp", relays=({"host": "127.0.0.1", "port": port, "tls": "none"},)
            )
            return await Outbox(store, settings, folder).send_due(2**62)
    finally:
        store.close()


async def test_everybody_gets_what_is_theirs_and_nothing_else(folder: Path) -> None:
    """(R66, R59)"""
    told = await asyncio.to_thread(report, folder, "--format", "pdf,xlsx,csv")
    inbox = Inbox()
    await send_all(folder, inbox)
    assert ["ict@kou.example.jp", "ict@otsu.example.jp", "officer@pref.example.jp"] == [m["to"] for m in told["mails"]]
    names = {
        to: sorted(part.get_filename() for part in message.iter_attachments())
        for to, (message,) in inbox.received.items()
    }
    assert {
        "officer@pref.example.jp": ["monthly-2026-06.pdf", "monthly-2026-06.xlsx"],
        "ict@kou.example.jp": ["monthly-2026-06-kou.pdf", "monthly-2026-06-kou.xlsx"],
        "ict@otsu.example.jp": ["monthly-2026-06-otsu.pdf", "monthly-2026-06-otsu.xlsx"],
    } == names
    (mail,) = inbox.received["ict@kou.example.jp"]
    assert "【報告】月次通信量報告書（令和8年6月）" == mail["Subject"]
    text = mail.get_body()
    assert text is not None
    assert "甲市 情報担当 様" in text.get_content()
    assert "乙町" not in text.get_content()
    attached = next(part for part in mail.iter_attachments() if part.get_content_subtype() == "pdf")
    content = attached.get_payload(decode=True)
    assert (folder / "out" / "monthly-2026-06-kou.pdf").read_bytes() == content
    listed = {Path(each["file"]).name: each["sha256"] for each in told["files"]}
    assert isinstance(content, bytes)
    assert listed["monthly-2026-06-kou.pdf"] == hashlib.sha256(content).hexdigest()


async def test_a_report_that_did_not_change_is_not_mailed_again(folder: Path) -> None:
    await asyncio.to_thread(report, folder, "--format", "xlsx")
    inbox = Inbox()
    await send_all(folder, inbox)
    await asyncio.to_thread(report, folder, "--format", "xlsx")
    await send_all(folder, inbox)
    assert {1} == {len(messages) for messages in inbox.received.values()}
    await asyncio.to_thread(report, folder, "--format", "xlsx", "--lang", "en")
    await send_all(folder, inbox)
    assert {2} == {len(messages) for messages in inbox.received.values()}
