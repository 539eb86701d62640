"""The wall behind its door: logging in, what each login may on every route, and what is written down."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from poller.alerts.engine import Alerting
from poller.alerts.records import AuditEntry
from poller.alerts.store import Store
from poller.cli import app
from poller.config import load
from poller.daemon import Daemon
from poller.estate import Estate
from poller.people import User
from poller.sample import Sample
from poller.secrets import Secret, SecretUnavailable
from poller.settings import Name
from poller.storage.history import open_history
from poller.wall.access import ROUTES
from poller.wall.address import wall_url
from poller.wall.live import LiveState
from poller.wall.login import COOKIE, TOKEN_HEADER, Login
from poller.wall.passwords import hash_password, totp, totp_key
from poller.wall.people import People
from poller.wall.server import WallServer
from poller.wall.users import Known, known_users, session_key

PREFECTURE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
NOON_NS = 1_795_230_000 * 10**9
PASSWORD = "火の用心 2026 fire"
TOTP = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
BEARER = "t" * 40
KEY = b"k" * 32
ROLES = ("wall", "viewer", "noc", "tenant", "administrator")
JSON = {"Content-Type": "application/json"}


@dataclass
class Behind:
    """A wall behind its door, with everything that can be said of it."""

    estate: Estate
    live: LiveState
    alerting: Alerting
    server: WallServer
    audit: list[AuditEntry]
    now_ns: int = NOON_NS
    incident: str = ""


@pytest.fixture(scope="module")
def prefecture() -> Estate:
    return load(PREFECTURE).estate


@pytest.fixture(scope="module")
def kept_hash() -> Secret:
    return Secret(hash_password(PASSWORD, b"0123456789abcdef"))


@pytest.fixture
async def behind(tmp_path: Path, prefecture: Estate, kept_hash: Secret) -> AsyncIterator[Behind]:
    """Loopback with login: a local request is as safe as TLS, which tests of the decision and the browser cover."""
    wall = prefecture.wall.model_copy(update={"login": True})
    estate = prefecture.model_copy(update={"wall": wall})
    users = {role: known(role, kept_hash) for role in ROLES}
    robot = User(id="robot", name=Name(ja="監視", en="robot"), role="viewer")
    users["robot"] = Known(robot, token=Secret(BEARER))
    live, audit = LiveState(estate), []
    store = Store(tmp_path / "alerts.sqlite")
    server = WallServer(live, "127.0.0.1", 0, history=open_history(tmp_path), clock_ns=lambda: made.now_ns)
    login = Login(estate.wall, users, KEY, audit.append, clock_ns=lambda: made.now_ns)
    alerting = Alerting(estate, store)
    server.serve_behind(login)
    people = People(alerting, estate, tmp_path, clock_ns=lambda: made.now_ns, identify=login.who)
    server.serve_also(people.routes())
    made = Behind(estate, live, alerting, server, audit)
    break_a_service(made)
    async with server:
        yield made
    store.close()


def known(role: str, kept: Secret) -> Known:
    user = User(id=role, name=Name(ja=role, en=role), role=role, tenant="tsu" if role == "tenant" else None)
    return Known(user, kept, Secret(TOTP) if role == "administrator" else None)


def break_a_service(made: Behind) -> None:
    tags = (("service", "dns-internal-1"), ("kind", "dns"))
    made.alerting.observe([Sample("service", tags, {"up": False}, NOON_NS)], NOON_NS)
    for second in range(1, 31):
        made.alerting.tick(NOON_NS + second * 10**9)
    (incident,) = made.alerting.open_incidents()
    made.incident = incident.id
    made.live.show_incidents([{"id": incident.id, "severity": "serious", "title": {"ja": "断", "en": "down"}}])


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), cookie_jar=jar) as session:
        yield session


@dataclass
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]

    def json(self) -> dict:
        return json.loads(self.text)


class Visit:
    """A browser without a window: sends its cookie, and the token where it has asked for one."""

    def __init__(self, behind: Behind, client: aiohttp.ClientSession) -> None:
        self.url, self.client = behind.server.url.rstrip("/"), client
        self.headers: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        asked = self.client.request(
            method, self.url + path, json=body, headers=self.headers | headers, allow_redirects=False
        )
        async with asked as answer:
            if answer.content_type == "text/event-stream":
                return Answer(answer.status, (await answer.content.readline()).decode(), answer.headers)
            return Answer(answer.status, await answer.text(), answer.headers)

    async def log_in(self, user: str, password: str = PASSWORD, code: str = "") -> Answer:
        answer = await self.ask("POST", "/api/v1/login", {"user": user, "password": password, "code": code})
        if answer.status == 200:
            self.headers = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
            me = await self.ask("GET", "/api/v1/me")
            self.headers[TOKEN_HEADER] = me.json()["token"]
        return answer


def code_at(now_ns: int) -> str:
    return totp(totp_key(TOTP), now_ns // 10**9 // 30)


def test_the_table_names_every_route_and_no_other(behind: Behind) -> None:
    router = behind.server._application.router
    routes = {(route.method, route.resource.canonical) for route in router.routes() if route.resource is not None}
    assert set(ROUTES) == {route for route in routes if route[0] != "HEAD"}


async def test_without_a_login_there_is_nothing_but_the_door(behind: Behind, client) -> None:
    """R76: every route, tried."""
    visit = Visit(behind, client)
    wrong = []
    for method, path in ROUTES:
        target = path.format(kind="device", id="fw-1", action="comment", name="work.css")
        answer = await visit.ask(method, target, {} if method == "POST" else None)
        expected = 401 if ROUTES[method, path] and path.startswith(("/api", "/metrics")) else 303
        if ROUTES[method, path] and expected != answer.status:
            wrong.append((path, answer.status))
    assert [] == wrong
    assert "/login?next=/incident/1?lang%3Den" == (await visit.ask("GET", "/incident/1?lang=en")).headers["Location"]
    for open_ in ("/login", "/static/login.js", "/healthz"):
        assert 200 == (await visit.ask("GET", open_)).status
    assert (401, 401) == tuple([(await visit.ask(m, "/api/v1/nothing")).status for m in ("GET", "DELETE")])


async def test_whoever_watches_the_daemon_needs_no_tls_to_see_that_it_lives(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    from_elsewhere = {"X-Forwarded-For": "198.51.100.7"}
    paths = ("/healthz", "/readyz", "/login", "/api/v1/wall")
    assert [200, 503, 403, 403] == [(await visit.ask("GET", path, **from_elsewhere)).status for path in paths]


def test_the_address_of_a_wall_with_a_certificate_is_https(prefecture: Estate) -> None:
    wall = prefecture.wall.model_copy(update={"port": 8480})
    assert "http://127.0.0.1:8480" == wall_url(wall)
    assert "https://127.0.0.1:8480" == wall_url(wall.model_copy(update={"certificate": "wall.pem", "key": "wall.key"}))


async def test_a_tenant_is_shown_itself_and_nothing_of_any_other(behind: Behind, client) -> None:
    """Every registered route, with the ids of every other tenant and of everything else (R76)."""
    visit = Visit(behind, client)
    assert "/tenant/tsu" == (await visit.log_in("tenant")).json()["home"]
    others = [key for key in behind.estate.tenants if key != "tsu"]
    assert 32 == len(others)
    names = [behind.estate.tenants[key].name.ja for key in others]
    ids = [*others, "tsu", "fw-1", "int-1", behind.incident, "%74su", "tsu%2F..%2Fise", "TSU"]
    shown: set[tuple[str, str]] = set()
    for route in behind.server._application.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if path in {"/api/v1/logout", "/api/v1/login"}:
            continue
        kinds = ("device", "circuit", "tenant", "incident") if "{kind}" in path else ("",)
        targets = {
            path.format(kind=kind, id=id_, action="comment", name="work.js")
            for kind in kinds
            for id_ in (ids if "{id}" in path else [""])
        }
        for target in targets:
            answer = await visit.ask(route.method, target, {} if route.method == "POST" else None)
            assert answer.status in {200, 303, 403, 404} or target == "/readyz", target
            if answer.status == 200:
                shown.add((route.method, target))
            assert [] == [name for name in (*names, *(f'"{key}"' for key in others)) if name in answer.text], target
    own = {"/tenant/tsu", "/api/v1/tenant/tsu", "/api/v1/tenant/tsu/history"}
    public = {"/login", "/static/work.js", "/healthz", "/api/v1/me", "/api/v1/openapi.json"}
    assert own | public == {target.replace("%74", "t") for _, target in shown}


async def test_a_tenant_is_led_to_its_page(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    await visit.log_in("tenant")
    answer = await visit.ask("GET", "/")
    assert (303, "/tenant/tsu") == (answer.status, answer.headers["Location"])


@pytest.mark.parametrize(("role", "status"), [("wall", 403), ("viewer", 403), ("tenant", 403), ("noc", 200)])
async def test_only_those_on_duty_change_anything(behind: Behind, client, role: str, status: int) -> None:
    visit = Visit(behind, client)
    await visit.log_in(role)
    path = f"/api/v1/incident/{behind.incident}/acknowledge"
    assert status == (await visit.ask("POST", path, {"text": "", "who": "somebody else"})).status
    incident = behind.alerting.incident(behind.incident)
    assert ("noc" if status == 200 else None) == incident.acknowledged_by


async def test_an_administrator_needs_the_second_factor_and_reads_the_audit_log(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    assert [401, 401] == [(await visit.log_in("administrator", code=code)).status for code in ("", "000000")]
    code = code_at(NOON_NS)
    assert 200 == (await visit.log_in("administrator", code=code)).status
    await visit.ask("POST", f"/api/v1/incident/{behind.incident}/comment", {"text": "電源"})
    behind.alerting.committed.result()
    entries = (await visit.ask("GET", "/api/v1/audit")).json()["entries"]
    assert ("administrator", "comment", "電源") == tuple(entries[0][key] for key in ("who", "action", "text"))
    assert 401 == (await Visit(behind, client).log_in("administrator", code=code)).status  # a code serves once
    noc = Visit(behind, client)
    await noc.log_in("noc")
    assert 403 == (await noc.ask("GET", "/api/v1/audit")).status


async def test_a_change_needs_the_token_of_its_login(behind: Behind, client) -> None:
    """A cookie alone, which a browser sends by itself, changes nothing (R76)."""
    visit, other = Visit(behind, client), Visit(behind, client)
    await visit.log_in("noc")
    await other.log_in("noc")
    path, body = f"/api/v1/incident/{behind.incident}/comment", {"text": "x"}
    cookie = {"Cookie": visit.headers["Cookie"]}
    for stolen in ({}, {TOKEN_HEADER: "0" * 64}, {TOKEN_HEADER: other.headers[TOKEN_HEADER]}):
        visit.headers = cookie | stolen
        assert 403 == (await visit.ask("POST", path, body)).status
    await visit.log_in("noc")
    assert 403 == (await visit.ask("POST", path, body, Origin="https://evil.example")).status
    assert 403 == (await visit.ask("POST", path, body, **{"Sec-Fetch-Site": "cross-site"})).status
    assert 200 == (await visit.ask("POST", path, body, **{"Sec-Fetch-Site": "same-origin"})).status


async def test_no_other_sites_page_logs_anybody_in(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    form = {"Content-Type": "text/plain"}
    assert 415 == (await visit.ask("POST", "/api/v1/login", {"user": "noc", "password": PASSWORD}, **form)).status
    assert 403 == (await visit.ask("POST", "/api/v1/login", {}, Origin="https://evil.example")).status
    assert 400 == (await visit.ask("POST", "/api/v1/login", {"user": 1})).status


async def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(behind: Behind, client) -> None:
    answers = {role: await Visit(behind, client).log_in(role) for role in ("noc", "wall")}
    for answer in answers.values():
        cookie = answer.headers["Set-Cookie"]
        wanted = ("Secure", "HttpOnly", "SameSite=Strict", "Path=/")
        assert [] == [each for each in wanted if each not in cookie]
        assert cookie.startswith(f"{COOKIE}=")
        assert "Domain" not in cookie
    assert (False, True) == tuple("Max-Age=34560000" in answers[role].headers["Set-Cookie"] for role in ("noc", "wall"))


async def test_a_wall_stays_logged_in_and_a_person_does_not(behind: Behind, client) -> None:
    """R75."""
    wall, noc = Visit(behind, client), Visit(behind, client)
    await wall.log_in("wall")
    await noc.log_in("noc")
    behind.now_ns += 13 * 3600 * 10**9
    assert (200, 303) == ((await wall.ask("GET", "/")).status, (await noc.ask("GET", "/")).status)
    behind.now_ns += 5000 * 86400 * 10**9
    answer = await wall.ask("GET", "/")
    assert (200, True) == (answer.status, wall.headers["Cookie"] in answer.headers["Set-Cookie"])


async def test_a_stream_ends_with_its_login(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    await visit.log_in("viewer")
    behind.now_ns += 12 * 3600 * 10**9 - 10**8
    async with client.get(behind.server.url + "api/v1/stream", headers=visit.headers) as answer:
        assert 200 == answer.status
        async with asyncio.timeout(10):
            await answer.content.read()  # to its end


async def test_who_logs_out_is_out(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    await visit.log_in("noc")
    assert 200 == (await visit.ask("GET", "/api/v1/wall")).status
    assert 200 == (await visit.ask("POST", "/api/v1/logout")).status
    assert 401 == (await visit.ask("GET", "/api/v1/wall")).status  # even with the old cookie


async def test_a_program_sends_its_token(behind: Behind, client) -> None:
    """Prometheus has no cookie, and is not asked for the token of one."""
    visit = Visit(behind, client)
    for token, status in ((BEARER, 200), (BEARER[:-1], 401), ("", 401)):
        assert status == (await visit.ask("GET", "/metrics", Authorization=f"Bearer {token}")).status
    assert 403 == (await visit.ask("POST", "/api/v1/silences", {}, Authorization=f"Bearer {BEARER}")).status
    assert 401 == (await visit.log_in("robot", BEARER)).status


async def test_guessing_is_slowed_down_and_written_down(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    statuses = [(await visit.log_in("noc", f"guess {number}")).status for number in range(6)]
    assert [401] * 5 + [429] == statuses
    refused = await visit.log_in("noc")  # the right one, too: else the pause would tell which it was
    assert (429, "2") == (refused.status, refused.headers["Retry-After"])
    behind.now_ns += 3 * 10**9
    assert 200 == (await visit.log_in("noc")).status
    await visit.ask("POST", "/api/v1/logout")
    actions = [(entry.action, entry.who, entry.origin) for entry in behind.audit]
    expected = ["login_failed"] * 5 + ["login", "logout"]
    assert [(action, "noc", "wall, 127.0.0.1") for action in expected] == actions
    behind.now_ns += 60 * 10**9
    await visit.log_in("a password typed into the wrong field")
    assert "unknown" == behind.audit[-1].who


async def test_an_unknown_user_is_answered_as_a_wrong_password(behind: Behind, client) -> None:
    visit = Visit(behind, client)
    assert (await visit.log_in("noc", "wrong")).text == (await visit.log_in("nobody", "wrong")).text


CONFIGURATION = """\
organisation: {name: Our network}
storage: {directory: state}
wall: {port: 0, login: true}
users: {noc: {role: noc, password: "file:noc.hash"}}
"""


def made_configuration(folder: Path, kept: str) -> Path:
    (folder / "hinomi.yaml").write_text(CONFIGURATION, encoding="utf-8")
    (folder / "noc.hash").write_text(kept + "\n", encoding="utf-8")
    return folder


async def test_the_daemon_has_the_door_and_keeps_who_came(tmp_path: Path, kept_hash: Secret, client) -> None:
    daemon = Daemon(load(made_configuration(tmp_path, kept_hash.reveal())))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(daemon.run(ready.set_result))
    async with asyncio.timeout(30):
        await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
        url = ready.result()
        async with client.get(url + "api/v1/wall") as answer:
            assert 401 == answer.status
        async with client.post(url + "api/v1/login", json={"user": "noc", "password": PASSWORD}) as answer:
            assert 200 == answer.status
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        async with client.get(url + "api/v1/audit", headers={"Cookie": cookie}) as answer:
            assert 403 == answer.status
    daemon.stop()
    await running
    store = Store(tmp_path / "state" / "alerts.sqlite")
    rows = store.call(lambda c: c.execute("SELECT action, who, origin FROM audit").fetchall()).result()
    store.close()
    assert [("login", "noc", "wall, 127.0.0.1")] == rows
    assert 0o600 == (tmp_path / "state" / "wall-key").stat().st_mode & 0o777


@pytest.mark.parametrize("kept", ["", "plain password", "$scrypt$ln=15,r=8,p=3$short$short"])
def test_a_daemon_does_not_start_with_a_user_whom_nobody_could_be(tmp_path: Path, kept: str) -> None:
    configuration = load(made_configuration(tmp_path, kept))
    with pytest.raises(SecretUnavailable, match=r"^users\.noc\.password: ") as refusal:
        known_users(configuration.estate, tmp_path)
    assert "plain" not in str(refusal.value)


def test_the_key_of_sessions_outlives_a_restart(tmp_path: Path) -> None:
    assert session_key(tmp_path) == session_key(tmp_path)
    (tmp_path / "wall-key").write_bytes(b"short")
    with pytest.raises(OSError, match="is damaged"):
        session_key(tmp_path)


def test_hashes_tokens_and_second_factors_are_made_by_command() -> None:
    runner = CliRunner()
    made = runner.invoke(app, ["user", "hash"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert (0, True) == (made.exit_code, made.stdout.strip().startswith("$scrypt$ln=15,r=8,p=3$"))
    assert PASSWORD not in made.output
    assert 2 == runner.invoke(app, ["user", "hash"], input="short\nshort\n").exit_code
    secret = runner.invoke(app, ["user", "totp", "admin"])
    assert 20 == len(totp_key(secret.stdout.strip()))
    assert f"otpauth://totp/Hinomi:admin?secret={secret.stdout.strip()}" in secret.stderr
    assert 32 <= len(runner.invoke(app, ["user", "token"]).stdout.strip())
