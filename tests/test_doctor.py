"""`hinomi doctor`: verdicts from readings, probes against this machine and real servers, and the command itself."""

import asyncio
import fcntl
import json
import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP
from typer.testing import CliRunner

from poller.cli import app
from poller.config import load
from poller.config.problems import Place
from poller.config.secretcheck import SecretUse
from poller.diskroom import DiskRoom, disk_room
from poller.doctor import Check, Finding, Verdict, checks_of, examine
from poller.doctor.examination import names_of
from poller.doctor.finding import ok
from poller.doctor.judging import (
    Clock,
    Disk,
    Notifying,
    Port,
    judge_buffer,
    judge_clock,
    judge_disk,
    judge_echoes,
    judge_names,
    judge_notifying,
    judge_relay,
    judge_room,
    judge_wall,
)
from poller.doctor.machine import daemon_holds, read_buffer_limit, read_clock, try_disk, try_port
from poller.doctor.peers import ask_database, ask_wall, greet_broker, greet_relay, resolve
from poller.doctor.secretfiles import judge_secrets, look_at
from poller.sample import Sample
from poller.secrets import SecretReference
from poller.settings import InfluxDatabase, MqttBroker, Relay
from poller.storage.journal import Journal

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
GB = 10**9


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens: it is bound, so that nobody else begins to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def configuration_in(folder: Path, *lines: str) -> Path:
    text = ["organisation: {name: {ja: 試験網, en: Test network}}", "storage: {directory: state}", *lines]
    (folder / "hinomi.yaml").write_text("\n".join(text), encoding="utf-8")
    return folder


def verdicts(findings: list[Finding]) -> dict[str, Verdict]:
    return {finding.check: finding.verdict for finding in findings}


@pytest.mark.parametrize(
    ("clock", "verdict"),
    [
        (Clock(synchronised=True, off_seconds=0.002), OK),
        (Clock(synchronised=True, off_seconds=4.0), WARNING),
        (Clock(synchronised=False, off_seconds=16.0), WARNING),
        (Clock(synchronised=None, off_seconds=None), WARNING),
    ],
)
def test_a_clock_is_judged_by_the_kernels_own_word(clock: Clock, verdict: Verdict) -> None:
    assert verdict == judge_clock(clock).verdict


@pytest.mark.parametrize(("limit", "verdict"), [(8_000_000, OK), (7_999_999, WARNING), (None, WARNING)])
def test_a_receive_buffer_must_hold_the_largest_that_is_asked(limit: int | None, verdict: Verdict) -> None:
    finding = judge_buffer(limit, {"SNMP": 4_000_000, "traps": 8_000_000})
    assert verdict == finding.verdict
    assert (verdict is OK) == (finding.advice is None)
    assert finding.advice is None or "net.core.rmem_max = 8000000" in finding.advice.en


@pytest.mark.parametrize(
    ("refusals", "verdict"),
    [({}, OK), ({"IPv4": None}, OK), ({"IPv4": None, "IPv6": "not allowed"}, FAILED), ({"IPv4": "not"}, FAILED)],
)
def test_echoes_must_be_allowed_in_every_family_that_is_asked(refusals: dict[str, str], verdict: Verdict) -> None:
    assert verdict == judge_echoes(refusals).verdict


@pytest.mark.parametrize(
    ("way", "verdict"),
    [
        (Notifying(None, None, unit_active=True, daemon_runs=False), OK),
        (Notifying(None, None, unit_active=False, daemon_runs=False), WARNING),
        (Notifying("0.0.0.0:162", Port.FREE, unit_active=False, daemon_runs=False), OK),
        (Notifying("0.0.0.0:162", Port.TAKEN, unit_active=False, daemon_runs=True), OK),
        (Notifying("0.0.0.0:162", Port.TAKEN, unit_active=False, daemon_runs=False), FAILED),
        (Notifying("0.0.0.0:162", Port.FORBIDDEN, unit_active=False, daemon_runs=False), FAILED),
        (Notifying("192.0.2.1:162", Port.NO_SUCH_ADDRESS, unit_active=False, daemon_runs=False), FAILED),
    ],
)
def test_notifications_need_a_way_in(way: Notifying, verdict: Verdict) -> None:
    assert verdict == judge_notifying(way).verdict


@pytest.mark.parametrize(
    ("port", "answers", "runs", "verdict"),
    [
        (Port.TAKEN, None, True, OK),
        (Port.TAKEN, None, False, FAILED),  # another daemon's
        (Port.FREE, "refused", False, OK),
        (Port.FREE, "refused", True, FAILED),
        (Port.TAKEN, "HTTP 500", True, FAILED),
        (Port.TAKEN, "HTTP 404", False, FAILED),
        (Port.NO_SUCH_ADDRESS, "refused", False, FAILED),
    ],
)
def test_the_wall_is_served_or_can_be(port: Port, answers: str | None, *, runs: bool, verdict: Verdict) -> None:
    assert verdict == judge_wall("http://127.0.0.1:8480", port, answers, daemon_runs=runs).verdict


@pytest.mark.parametrize(
    ("refused", "seconds", "verdict"),
    [(None, 0.004, OK), (None, 0.3, WARNING), (None, 1.5, FAILED), ("Read-only file system", None, FAILED)],
)
def test_a_disk_must_take_a_sync_a_second(refused: str | None, seconds: float | None, verdict: Verdict) -> None:
    assert verdict == judge_disk(Disk("/var/lib/hinomi", refused, seconds)).verdict


@pytest.mark.parametrize(
    ("free", "days", "verdict"),
    [
        (50 * GB, None, OK),
        (50 * GB, 400.0, OK),
        (50 * GB, 20.0, WARNING),
        (50 * GB, 2.9, FAILED),
        (10**8, 90.0, FAILED),
    ],
)
def test_the_disk_must_last_for_days(free: int, days: float | None, verdict: Verdict) -> None:
    """Three days must be held where a store is down (R69)."""
    assert verdict == judge_room("/var/lib/hinomi", free, days).verdict


def test_one_relay_of_two_is_a_warning_and_none_a_failure() -> None:
    assert OK == judge_relay("a:25", None, others_answer=True).verdict
    assert WARNING == judge_relay("b:25", "refused", others_answer=True).verdict
    assert FAILED == judge_relay("b:25", "refused", others_answer=False).verdict


def test_names_that_are_lost_are_told_by_name() -> None:
    assert OK == judge_names([], {}).verdict
    assert OK == judge_names(["a"], {}).verdict
    lost = judge_names(["a", "b"], {"b": "Name or service not known"})
    assert (FAILED, "cannot be resolved: b (Name or service not known)") == (lost.verdict, lost.found.en)


def test_the_clock_of_this_machine_is_read_without_rights() -> None:
    """Against adjtimex by way of timedatectl where it runs; here at least the kernel answers."""
    clock = read_clock()
    assert clock.synchronised in {True, False}
    assert clock.off_seconds is not None
    assert 0 <= clock.off_seconds < 100


def test_the_buffer_limit_is_the_kernels(tmp_path: Path) -> None:
    told = subprocess.run(["cat", "/proc/sys/net/core/rmem_max"], capture_output=True, check=True, text=True)
    assert int(told.stdout) == read_buffer_limit()
    assert None is read_buffer_limit(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_is_free_taken_or_elsewhere(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            held.listen()
        assert Port.TAKEN == try_port(kind, "127.0.0.1", held.getsockname()[1])
    assert Port.FREE == try_port(kind, "127.0.0.1", 0)
    assert Port.NO_SUCH_ADDRESS == try_port(kind, "192.0.2.77", 0)


async def test_a_running_daemon_is_known_by_its_lock(tmp_path: Path) -> None:
    assert not daemon_holds(tmp_path)
    async with Journal(tmp_path / "journal.sqlite", ["parquet"]):
        assert daemon_holds(tmp_path)
    assert not daemon_holds(tmp_path)


def test_looking_for_the_daemon_takes_no_lock(tmp_path: Path) -> None:
    with (tmp_path / "journal.sqlite.lock").open("ab") as file:
        assert not daemon_holds(tmp_path)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_disk_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    disk = try_disk(tmp_path / "not" / "yet")
    assert disk.refused is None
    assert disk.sync_seconds is not None
    assert [] == list(tmp_path.iterdir())


def test_a_disk_that_refuses_says_why() -> None:
    """Nobody, root neither, makes files in /proc."""
    assert FAILED == judge_disk(try_disk(Path("/proc/self"))).verdict


async def test_the_journals_rate_tells_the_days_left(tmp_path: Path) -> None:
    """Two records an hour apart: what they hold comes in an hour."""
    async with Journal(tmp_path / "journal.sqlite", ["parquet"]) as journal:
        for _ in range(2):
            journal.append([Sample("device", (("device", "fw-1"),), {"up": True}, 10**18)])
            await journal.flush()
        octets = journal.state.octets
    assert None is disk_room(tmp_path).days_left  # within a moment: that says nothing about a day
    with sqlite3.connect(tmp_path / "journal.sqlite") as database:
        first = "(SELECT min(number) FROM record)"
        database.execute(f"UPDATE record SET written_ns = written_ns - 3600000000000 WHERE number = {first}")
    database.close()
    assert octets > 0
    assert disk_room(tmp_path).octets_per_day == pytest.approx(octets * 24, rel=0.01)


def test_an_emptied_journal_leaves_the_stores_last_whole_day(tmp_path: Path) -> None:
    for day, octets in (("2026-11-19", 5), ("2026-11-20", 700), ("2026-11-21", 11)):
        for measurement in ("device", "interface"):
            folder = tmp_path / "store" / measurement / f"day={day}"
            folder.mkdir(parents=True)
            (folder / "records-1-2.parquet").write_bytes(b"x" * octets)
    assert 1400 == disk_room(tmp_path).octets_per_day
    assert None is disk_room(tmp_path / "empty").days_left
    assert 5.0 == DiskRoom(50, 10.0).days_left


async def smtp_port() -> tuple[asyncio.Server, int]:
    def protocol() -> SMTP:
        return SMTP(object(), hostname="mail.example.jp")

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_a_real_relay_is_greeted_and_gets_no_mail(tmp_path: Path) -> None:
    """A handler without handle_DATA would be asked for it by a mail; EHLO asks nothing of it."""
    server, port = await smtp_port()
    async with server:
        assert None is await greet_relay(Relay(host="127.0.0.1", port=port, tls="none"), tmp_path)
        trouble = await greet_relay(Relay(host="127.0.0.1", port=port, tls="starttls"), tmp_path)
        assert trouble is not None
        assert "STARTTLS" in trouble.upper()


async def test_a_relay_that_is_not_there_is_told(tmp_path: Path, closed_port: int) -> None:
    trouble = await greet_relay(Relay(host="127.0.0.1", port=closed_port, tls="none"), tmp_path)
    assert f"127.0.0.1 refused the connection: no mail server listens on port {closed_port}" == trouble
    password = SecretReference.parse("file:nowhere")
    relay = Relay(host="127.0.0.1", port=closed_port, tls="none", username="hinomi", password=password)
    assert "nowhere" in str(await greet_relay(relay, tmp_path))


async def test_databases_and_walls_are_asked_over_http(closed_port: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status={"/ping": 204, "/health": 500, "/healthz": 401}.get(request.path, 404))

    application = web.Application()
    application.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    assert None is await ask_database(InfluxDatabase(url=url, kind="1"))
    assert "HTTP 500" == await ask_database(InfluxDatabase(url=url, kind="victoria"))
    assert "HTTP 404" == await ask_database(InfluxDatabase(url=f"{url}/elsewhere"))
    assert "HTTP 401" == await ask_wall(url)
    await runner.cleanup()
    assert "Cannot connect" in str(await ask_database(InfluxDatabase(url=f"http://127.0.0.1:{closed_port}")))


async def test_a_broker_that_is_not_there_is_told(tmp_path: Path, closed_port: int) -> None:
    assert None is not await greet_broker(MqttBroker(host="127.0.0.1", port=closed_port), tmp_path)


@pytest.mark.skipif(
    os.environ.get("CI") != "true" and shutil.which("mosquitto") is None, reason="Debian's mosquitto is missing"
)
async def test_a_real_broker_is_greeted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    running = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert running.poll() is None
        assert None is await greet_broker(MqttBroker(host="127.0.0.1", port=port), tmp_path)
    finally:
        running.terminate()
        running.wait()


async def test_names_are_resolved() -> None:
    assert None is await resolve("localhost")
    assert None is not await resolve("no-such-host.invalid")


def test_names_of_a_configuration_are_found_once_and_addresses_are_none(tmp_path: Path) -> None:
    configuration = load(
        configuration_in(
            tmp_path,
            "mail: {relays: [{host: mail.example.jp}, {host: 192.0.2.25}]}",
            "services:",
            "  dns: {kind: dns, target: 'ns.example.jp:53', query: www.example.jp}",
            "  web: {kind: http, target: 'https://www.example.jp/', proxy: 'http://proxy.example.jp:8080'}",
            "  relay: {kind: smtp, target: 'mail.example.jp:25'}",
        )
    )
    assert ["mail.example.jp", "ns.example.jp", "proxy.example.jp"] == names_of(configuration.estate)


def use(text: str) -> SecretUse:
    return SecretUse(Place("hinomi.yaml"), "credentials", SecretReference.parse(text))


@pytest.mark.parametrize(("mode", "verdict"), [(0o600, OK), (0o640, WARNING), (0o644, FAILED)])
def test_a_secret_is_for_its_reader_only(tmp_path: Path, mode: int, verdict: Verdict) -> None:
    """(R76)"""
    (tmp_path / "community").write_text("hush-hush\n")
    (tmp_path / "community").chmod(mode)
    findings = judge_secrets(look_at([use("file:community")], tmp_path))
    assert [verdict] == [finding.verdict for finding in findings]
    assert "hush-hush" not in str(findings)


def test_a_credential_is_looked_for_where_systemd_takes_it_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(R76)"""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "secrets").mkdir(mode=0o700)
    wanted = [use("credential:secret_core"), use("credential:secret_mail")]
    (tmp_path / "secrets" / "core").write_text("public\n")
    (tmp_path / "secrets" / "core").chmod(0o600)
    findings = judge_secrets(look_at(wanted, tmp_path))
    assert [FAILED] == [finding.verdict for finding in findings]
    assert "secrets/mail" in findings[0].found.en
    assert "secrets/core" not in findings[0].found.en


async def test_checks_run_at_the_same_time_and_a_broken_or_hanging_one_hides_none() -> None:
    """Each waits for the other to have begun; one after the other would never end."""
    begun = asyncio.Barrier(2)

    async def meet() -> list[Finding]:
        await begun.wait()
        return [ok("meeting", "会えた", "met")]

    async def hang() -> list[Finding]:
        await asyncio.Event().wait()
        raise AssertionError

    async def broken() -> list[Finding]:
        raise RuntimeError("no such thing")

    checks = [Check("one", meet), Check("two", meet), Check("hanging", hang), Check("broken", broken)]
    findings = await examine(checks, seconds=0.5)
    assert [OK, OK, FAILED, FAILED] == [finding.verdict for finding in findings]
    assert ["hanging", "broken"] == [finding.check for finding in findings[2:]]


async def test_a_small_configuration_is_examined_whole(tmp_path: Path, closed_port: int) -> None:
    server, port = await smtp_port()
    async with server:
        configuration = load(
            configuration_in(
                tmp_path,
                f"mail: {{relays: [{{host: 127.0.0.1, port: {closed_port}, tls: none}},"
                f" {{host: 127.0.0.1, port: {port}, tls: none}}]}}",
                "wall: {port: 0}",
                f"notifications: {{listen: 127.0.0.1, port: {closed_port}}}",
            )
        )
        findings = await examine(checks_of(configuration))
    assert [WARNING, OK] == [finding.verdict for finding in findings if finding.check == "mail"]
    found = verdicts(findings)
    assert {
        "clock",
        "receive_buffer",
        "icmp",
        "notifications",
        "wall",
        "disk_speed",
        "disk_room",
        "dns",
        "mail",
    } == set(found)
    assert (OK, OK, OK) == (found["disk_speed"], found["disk_room"], found["dns"])


def run_doctor(folder: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", "-c", str(folder), *options])
    return result.exit_code, result.output


def test_the_command_tells_what_to_do_in_both_languages_and_as_json(tmp_path: Path, closed_port: int) -> None:
    folder = configuration_in(
        tmp_path, f"mail: {{relays: [{{host: 127.0.0.1, port: {closed_port}, tls: none}}]}}", "wall: {port: 0}"
    )
    status, text = run_doctor(folder, "--lang", "ja")
    assert 1 == status
    assert "異常" in text
    assert "mail.relays" in text
    status, text = run_doctor(folder, "--json")
    plain = {entry["check"]: entry for entry in json.loads(text)}
    assert (1, "failed", "ok") == (status, plain["mail"]["verdict"], plain["configuration"]["verdict"])
    assert plain["mail"]["advice"]["en"].startswith("look at host, port and tls")
    assert all(entry["advice"] is None for entry in plain.values() if entry["verdict"] == "ok")


def test_a_machine_without_trouble_gives_exit_status_0(tmp_path: Path) -> None:
    assert 0 == run_doctor(configuration_in(tmp_path, "mail: {maildir: mails}", "wall: {port: 0}"))[0]


def test_a_broken_configuration_is_one_finding_and_ends_it(tmp_path: Path) -> None:
    status, text = run_doctor(configuration_in(tmp_path, "wall: {prot: 1}"), "--json")
    entries = json.loads(text)
    assert (1, ["configuration"]) == (status, [entry["check"] for entry in entries])
    assert "Did you mean 'port'?" in entries[0]["found"]["en"]
