"""`influx setup` against InfluxDB 1.6 with authentication, and against what 2.x answers by its documented API."""

import asyncio
import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from poller.cli_storage import export_command, influx_app, replay_command
from poller.sample import Sample
from poller.secrets import Secret
from poller.storage.encoding import encode, make_blocks
from poller.storage.errors import HistoryError, StoreUnavailable
from poller.storage.influx import InfluxSettings, open_influx
from poller.storage.influx_history import open_influx_history
from poller.storage.influx_setup import SetupRefused, set_up
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record

_T = 20_000 * 86_400 * 10**9
_EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"


@pytest.fixture
def guarded(tmp_path: Path, running_influxd) -> Iterator[InfluxSettings]:
    """InfluxDB 1.6 that asks for a password; the settings are the administrator's."""
    with running_influxd(tmp_path / "influx", guarded=True) as url:
        body = urllib.parse.urlencode({"q": "CREATE USER admin WITH PASSWORD 'top' WITH ALL PRIVILEGES"}).encode()
        urllib.request.urlopen(f"{url}/query", data=body, timeout=30).close()
        yield InfluxSettings(url, kind="1", user="admin", password=Secret("top"))


def _record() -> Record:
    samples = [Sample("device", (("device", "fw-1"),), {"sessions": 5}, _T)]
    return Record(1, tuple(make_blocks(samples)), 1, 0, encode(samples))


async def test_the_writer_can_only_write_and_the_reader_only_read(guarded: InfluxSettings, tmp_path: Path) -> None:
    steps = await asyncio.to_thread(set_up, guarded, None)
    assert ["made", "made", "made"] == [step.outcome for step in steps]
    writer = InfluxSettings(guarded.url, kind="1", user="hinomi_writer", password=steps[1].secret)
    reader = InfluxSettings(guarded.url, kind="1", user="hinomi_reader", password=steps[2].secret)
    for settings, may in ((writer, True), (reader, False)):
        sink = open_influx(settings, tmp_path)
        if may:
            await sink.write([_record()])
        else:
            with pytest.raises(StoreUnavailable) as caught:
                await sink.write([_record()])
            assert "refused" == caught.value.reason
        await sink.close()
    frame = open_influx_history(reader).read("device", ["sessions"], start_ns=_T, end_ns=_T + 1)
    assert [5] == frame["sessions"].to_list()
    with pytest.raises(HistoryError):
        open_influx_history(writer).read("device", ["sessions"], start_ns=_T, end_ns=_T + 1)


def test_a_second_setup_keeps_everything_and_makes_no_secret(guarded: InfluxSettings) -> None:
    set_up(guarded, 400)
    again = set_up(guarded, 30)
    assert [("kept", None)] * 3 == [(step.outcome, step.secret) for step in again]
    question = urllib.parse.urlencode({"q": "SHOW RETENTION POLICIES ON hinomi", "u": "admin", "p": "top"})
    with urllib.request.urlopen(f"{guarded.url}/query?{question}", timeout=30) as answer:
        assert "720h0m0s" in answer.read().decode()


def test_a_wrong_password_is_one_sentence(guarded: InfluxSettings) -> None:
    with pytest.raises(SetupRefused, match="HTTP 401"):
        set_up(InfluxSettings(guarded.url, kind="1", user="admin", password=Secret("wrong")), None)


def test_victoria_metrics_needs_no_setup() -> None:
    assert [] == set_up(InfluxSettings("http://127.0.0.1:1", kind="victoria"), None)


_ORG = "00000000000000aa"
_BODIES = {
    "buckets": {"name": str, "orgID": str, "retentionRules": list},
    "dbrps": {"bucketID": str, "database": str, "default": bool, "orgID": str, "retention_policy": str},
    "authorizations": {"orgID": str, "permissions": list},
}
"""What POST wants at least, by the reference of InfluxDB 2.7's API."""
_MORE = {"buckets": {"description", "rp", "schemaType"}, "dbrps": set(), "authorizations": {"description", "status"}}


class _Version2:
    """InfluxDB 2.x by its documented API: refuses what the reference does not allow, and says so."""

    def __init__(self) -> None:
        self.buckets: list[dict[str, object]] = []
        self.mappings: list[dict[str, object]] = []
        self.tokens: list[dict[str, object]] = []
        self.lines: list[str] = []

    @web.middleware
    async def authorized(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        writes = request.path.endswith("/write")
        known = [str(t["token"]) for t in self.tokens if not writes or "'write'" in str(t["permissions"])]
        if request.headers.get("Authorization") not in {f"Token {token}" for token in ["admin", *known]}:
            return web.json_response({"code": "unauthorized", "message": "unauthorized access"}, status=401)
        return await handler(request)

    async def get(self, request: web.Request) -> web.Response:
        kept = {
            "orgs": [{"id": _ORG, "name": "noc"}] if request.query.get("org") == "noc" else [],
            "buckets": [b for b in self.buckets if b["name"] == request.query.get("name")],
            "content": self.mappings,
            "authorizations": self.tokens,
        }
        return web.json_response(kept)

    async def post(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        kind = request.path.rpartition("/")[2]
        wrong = [n for n, t in _BODIES[kind].items() if not isinstance(wanted.get(n), t)]
        wrong += sorted(set(wanted) - _BODIES[kind].keys() - _MORE[kind])
        if wrong or wanted["orgID"] != _ORG:
            return web.json_response({"code": "invalid", "message": f"{kind}: {wrong} in {wanted}"}, status=400)
        if kind == "buckets":
            self.buckets.append(made := wanted | {"id": "00000000000000bb"})
        elif kind == "dbrps":
            self.mappings.append(made := wanted | {"id": "00000000000000cc", "virtual": False})
        else:
            self.tokens.append(
                made := wanted | {"id": f"{len(self.tokens):016x}", "token": f"secret-{len(self.tokens)}"}
            )
        return web.json_response(made, status=201)

    async def patch(self, request: web.Request) -> web.Response:
        self.buckets[0] |= await request.json()
        return web.json_response(self.buckets[0])

    async def write(self, request: web.Request) -> web.Response:
        where = {"org": "noc", "bucket": "hinomi", "precision": "ns"}
        if dict(request.query) != where or request.headers.get("Content-Encoding") != "gzip":
            text = f"wants {where} and gzip, got {dict(request.query)}"
            return web.json_response({"code": "invalid", "message": text}, status=400)
        self.lines += (await request.read()).decode().split("\n")
        return web.Response(status=204)


@pytest.fixture
async def version2() -> AsyncIterator[tuple[_Version2, InfluxSettings]]:
    fake = _Version2()
    application = web.Application(middlewares=[fake.authorized])
    application.router.add_post("/api/v2/write", fake.write)
    for name in ("orgs", "buckets", "dbrps", "authorizations"):
        application.router.add_get(f"/api/v2/{name}", fake.get)
        application.router.add_post(f"/api/v2/{name}", fake.post)
    application.router.add_patch("/api/v2/buckets/00000000000000bb", fake.patch)
    running = TestServer(application)
    await running.start_server()
    yield fake, InfluxSettings(str(running.make_url("")).rstrip("/"), org="noc", token=Secret("admin"))
    await running.close()


async def test_version_2_gets_bucket_mapping_and_two_narrow_tokens(version2: tuple[_Version2, InfluxSettings]) -> None:
    fake, settings = version2
    steps = await asyncio.to_thread(set_up, settings, 90)
    assert ["made"] * 4 == [step.outcome for step in steps]
    assert [Secret("secret-0"), Secret("secret-1")] == [step.secret for step in steps[2:]]
    assert [{"type": "expire", "everySeconds": 90 * 86_400}] == [
        {name: rule[name] for name in ("type", "everySeconds")}
        for rule in fake.buckets[0]["retentionRules"]  # type: ignore[attr-defined]
    ]
    assert ("hinomi", "00000000000000bb", True) == tuple(
        fake.mappings[0][name] for name in ("database", "bucketID", "default")
    )
    permissions = [token["permissions"] for token in fake.tokens]
    assert [("write", "00000000000000bb"), ("read", "00000000000000bb")] == [
        (p[0]["action"], p[0]["resource"]["id"]) for p in permissions
    ]  # type: ignore[index]


async def test_the_new_writing_token_writes_by_the_documented_request_and_the_reading_one_does_not(
    version2: tuple[_Version2, InfluxSettings], tmp_path: Path
) -> None:
    """POST /api/v2/write with org, bucket, precision, gzip and a token; the 401 of another token is told."""
    fake, settings = version2
    steps = await asyncio.to_thread(set_up, settings, 90)
    for secret, expected in ((steps[2].secret, None), (steps[3].secret, "refused")):
        sink = open_influx(replace(settings, token=secret), tmp_path)
        try:
            await sink.write([_record()])
            outcome = None
        except StoreUnavailable as error:
            outcome = error.reason
        await sink.close()
        assert expected == outcome
    assert [f"device,device=fw-1 sessions=5i {_T}"] == fake.lines


async def test_a_wrong_token_is_one_sentence(version2: tuple[_Version2, InfluxSettings]) -> None:
    with pytest.raises(SetupRefused, match="unauthorized access"):
        await asyncio.to_thread(set_up, replace(version2[1], token=Secret("wrong")), 90)


async def test_version_2_again_changes_only_the_retention(version2: tuple[_Version2, InfluxSettings]) -> None:
    fake, settings = version2
    await asyncio.to_thread(set_up, settings, 90)
    assert ["kept"] * 4 == [step.outcome for step in await asyncio.to_thread(set_up, settings, 90)]
    assert ["changed", "kept", "kept", "kept"] == [s.outcome for s in await asyncio.to_thread(set_up, settings, 30)]
    assert (1, 1, 2) == (len(fake.buckets), len(fake.mappings), len(fake.tokens))


async def test_an_organisation_that_is_unknown_is_named(version2: tuple[_Version2, InfluxSettings]) -> None:
    with pytest.raises(SetupRefused, match="no organisation other"):
        await asyncio.to_thread(set_up, InfluxSettings(version2[1].url, org="other", token=Secret("admin")), 90)


async def test_a_server_without_that_api_is_told_with_what_to_do_instead() -> None:
    """InfluxDB 3 Core has /api/v2/write, but neither organisations nor buckets."""
    running = TestServer(web.Application())
    await running.start_server()
    url = str(running.make_url("")).rstrip("/")
    with pytest.raises(SetupRefused, match="influxdb3 create database hinomi"):
        await asyncio.to_thread(set_up, InfluxSettings(url, token=Secret("admin")), 90)
    await running.close()


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.command("export")(export_command)
    app.command("replay")(replay_command)
    app.add_typer(influx_app, name="influx")
    return app


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """The example's configuration with an hour of one tenant's minutes in its store."""
    directory = tmp_path / "configuration"
    shutil.copytree(_EXAMPLE, directory, ignore=shutil.ignore_patterns("demo"))
    tags = (("tenant", "tsu"), ("line", "internet"))
    samples = [Sample("tenant", tags, {"in_octets": n, "coverage_ratio": 1.0}, _T + n * 60 * 10**9) for n in range(60)]
    store = ParquetStore(directory / "demo" / "store", now_ns=lambda: _T)
    store.write_now([Record(1, tuple(make_blocks(samples)), 60, 0, encode(samples))])
    return directory


def test_the_command_exports_in_the_organisations_time(command: typer.Typer, configuration: Path) -> None:
    wanted = ["tenant", "--from", "2024-10-04T09:10", "--to", "2024-10-04T09:20", "--tag", "tenant=tsu"]
    out = configuration / "out.csv"
    done = CliRunner().invoke(command, ["export", "-c", str(configuration), *wanted, "-o", str(out)])
    assert (0, 11) == (done.exit_code, len(out.read_text().splitlines()))
    assert "2024-10-04T00:10:00Z" in out.read_text()


def test_the_command_remakes_rollups(command: typer.Typer, configuration: Path) -> None:
    wanted = ["tenant", "--from", "2024-10-04T09:00", "--to", "2024-10-04T10:00"]
    done = CliRunner().invoke(command, ["replay", "-c", str(configuration), *wanted])
    assert (0, True) == (done.exit_code, "12 points of tenant_5m made anew" in done.output)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (["tenants", "--from", "2024-10-04", "--to", "2024-10-05"], "there is no measurement tenants"),
        (["tenant", "--from", "yesterday", "--to", "2024-10-05"], "write 2026-04-01"),
        (["tenant", "--from", "2024-10-05", "--to", "2024-10-04"], "later than --from"),
        (["tenant", "--from", "2024-10-04", "--to", "2024-10-05", "--tag", "tsu"], "NAME=VALUE"),
        (["tenant", "--from", "2024-10-04", "--to", "2024-10-05", "--tag", "town=tsu"], "has no tag town"),
    ],
)
def test_the_command_explains_what_it_cannot_do(
    command: typer.Typer, configuration: Path, wanted: list[str], sentence: str
) -> None:
    done = CliRunner().invoke(command, ["export", "-c", str(configuration), *wanted])
    assert (True, True) == (done.exit_code != 0, sentence in " ".join(done.output.replace("│", " ").split()))


def test_the_command_keeps_new_secrets_in_files_of_their_owner(
    command: typer.Typer, guarded: InfluxSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets are written for their owner and never printed (R76)."""
    monkeypatch.setenv("ADMIN_PASSWORD", "top")
    wanted = [
        "influx",
        "setup",
        "--url",
        guarded.url,
        "--kind",
        "1",
        "--user",
        "admin",
        "--password",
        "env:ADMIN_PASSWORD",
    ]
    done = CliRunner().invoke(command, [*wanted, "--secrets", str(tmp_path / "secrets"), "--json"])
    steps = json.loads(done.output)
    assert ["made", "made", "made"] == [step["outcome"] for step in steps]
    for step in steps[1:]:
        assert "0o100600" == oct(Path(step["secret"]).stat().st_mode)
        assert Path(step["secret"]).read_text().strip() not in done.output


def test_replay_says_what_the_server_refused(
    command: typer.Typer, configuration: Path, guarded: InfluxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field that the database knows as text takes no numbers: those rows are not in it."""
    set_up(guarded, None)
    line = f'tenant,tenant=tsu,line=internet in_octets="text" {_T + 1}'.encode()
    request = urllib.request.Request(f"{guarded.url}/write?db=hinomi&u=admin&p=top", data=line)
    urllib.request.urlopen(request, timeout=30).close()
    monkeypatch.setenv("ADMIN_PASSWORD", "top")
    wanted = ["tenant", "--from", "2024-10-04", "--to", "2024-10-05", "--url", guarded.url, "--kind", "1"]
    login = ["--user", "admin", "--password", "env:ADMIN_PASSWORD"]
    done = CliRunner().invoke(command, ["replay", "-c", str(configuration), *wanted, *login])
    assert (1, True) == (done.exit_code, f"{guarded.url} refused 60 of 60 rows" in done.stderr)
    (letters,) = (configuration / "demo" / "store" / "dead_letters").iterdir()
    assert 60 == len(letters.read_text().splitlines())
