"""The door in a real browser, over TLS with a certificate of its own: in, on, out, and in Japanese."""

import datetime as dt
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.config import load
from poller.people import User
from poller.sample import Sample
from poller.secrets import Secret
from poller.settings import Name
from poller.wall.incidents import incident_entry
from poller.wall.live import LiveState
from poller.wall.login import Login
from poller.wall.passwords import hash_password
from poller.wall.people import People
from poller.wall.server import WallServer
from poller.wall.users import Known, tls_context

expect.set_options(timeout=20_000)  # a busy machine is no fault
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if os.environ.get("CI") != "true":
    pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

PREFECTURE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
PASSWORD = "火の用心 2026 fire"
NOON_NS = 1_795_230_000 * 10**9


@dataclass
class Shown:
    page: Page
    url: str
    alerting: Alerting
    incident: str
    live: LiveState

    async def log_in(self, user: str, password: str = PASSWORD) -> None:
        await self.page.fill("#user", user)
        await self.page.fill("#password", password)
        await self.page.click("button[type=submit]")

    def refresh(self) -> None:
        """As the daemon does once a second."""
        estate = self.alerting._estate
        self.live.show_incidents([incident_entry(each, estate) for each in self.alerting.open_incidents()])


def certify(folder: Path) -> None:
    """A certificate for this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "wall")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "wall.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    octets = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "wall.key").write_bytes(octets)


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield await browser.new_context(ignore_https_errors=True)
        await browser.close()


@pytest.fixture
async def shown(tmp_path: Path, context: BrowserContext) -> AsyncIterator[Shown]:
    certify(tmp_path)
    estate = load(PREFECTURE).estate
    changed = {"login": True, "certificate": "wall.pem", "key": "wall.key"}
    estate = estate.model_copy(update={"wall": estate.wall.model_copy(update=changed)})
    kept = Secret(hash_password(PASSWORD, b"0123456789abcdef"))
    users = {
        role: Known(User(id=role, name=Name(ja=role, en=role), role=role, tenant=tenant), kept)
        for role, tenant in (("noc", None), ("viewer", None), ("tenant", "tsu"))
    }
    store, live = Store(tmp_path / "alerts.sqlite"), LiveState(estate)
    alerting = Alerting(estate, store)
    tags = (("service", "dns-internal-1"), ("kind", "dns"))
    alerting.observe([Sample("service", tags, {"up": False}, NOON_NS)], NOON_NS)
    for second in range(1, 31):
        alerting.tick(NOON_NS + second * 10**9)
    (incident,) = alerting.open_incidents()
    server = WallServer(live, "127.0.0.1", 0)
    login = Login(estate.wall, users, b"k" * 32, lambda _entry: None)
    server.serve_behind(login, tls_context(estate.wall, tmp_path))
    server.serve_also(People(alerting, estate, tmp_path, identify=login.who).routes())
    async with server:
        made = Shown(await context.new_page(), server.url, alerting, incident.id, live)
        made.refresh()
        yield made
    store.close()


async def test_a_link_in_a_mail_leads_through_the_door_to_its_page(shown: Shown) -> None:
    """R76."""
    page = shown.page
    await page.goto(f"{shown.url}incident/{shown.incident}")
    await expect(page.locator("label[for=user]")).to_have_text("利用者")
    await shown.log_in("noc", "wrong")
    await expect(page.locator("#answer")).to_contain_text("違います")
    await shown.log_in("noc")
    await expect(page).to_have_url(f"{shown.url}incident/{shown.incident}")
    await expect(page.locator("#name")).not_to_be_empty()
    await page.goto(f"{shown.url}login?next=/circuit/int-1")  # who is logged in goes on at once
    await expect(page).to_have_url(f"{shown.url}circuit/int-1")


@pytest.mark.parametrize(
    "next_", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
async def test_the_door_leads_nowhere_else(shown: Shown, next_: str) -> None:
    await shown.page.goto(f"{shown.url}login?next={next_}")
    await shown.log_in("noc")
    await expect(shown.page).to_have_url(shown.url)


async def test_a_tenant_comes_to_its_own_page_and_the_wall_stays_shut(shown: Shown) -> None:
    await shown.page.goto(f"{shown.url}?lang=en")
    await shown.log_in("tenant")
    await expect(shown.page).to_have_url(f"{shown.url}tenant/tsu")
    answer = await shown.page.goto(f"{shown.url}tenant/ise")
    assert answer is not None
    assert 403 == answer.status


async def test_who_is_on_duty_takes_an_incident_by_the_login_and_others_only_read(shown: Shown) -> None:
    """R76: the page sends the token of its login, and asks nobody for a name that the login knows."""
    page, path = shown.page, f"{shown.url}incident/{shown.incident}"
    await page.goto(path)
    await shown.log_in("viewer")
    await expect(page.locator("#story")).to_contain_text("利用不可")
    await expect(page.locator("#act")).to_be_hidden()
    await page.locator("#ways button").click()
    await expect(page.locator("#user")).to_be_visible()
    assert "/login" in page.url
    await page.goto(path)
    await shown.log_in("noc")
    await expect(page.locator("#acknowledge")).to_be_visible()
    await expect(page.locator("#person")).to_be_hidden()
    await page.fill("#text", "現地へ向かう")
    await page.locator("#acknowledge").click()
    await expect(page.locator("#answer")).to_have_text("確認済みにしました。")
    (remark,) = shown.alerting.incident(shown.incident).remarks
    assert ("acknowledge", "noc", "現地へ向かう") == (remark.kind, remark.who, remark.text)
    await page.goto(f"{shown.url}search")
    await expect(page.locator("#open")).to_contain_text(shown.incident)


async def test_a_tenants_page_leads_nowhere_that_is_shut(shown: Shown) -> None:
    page = shown.page
    await page.goto(shown.url)
    await shown.log_in("tenant")
    await expect(page.locator("h1")).to_have_text("津市")
    await expect(page.locator("#ways button")).to_be_visible()
    assert 0 == await page.locator("#ways a").count()
    assert [] == await page.locator("main a:not(#spans a)").all()
