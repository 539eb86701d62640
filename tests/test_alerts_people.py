"""What people ask for, by HTTP and by command: acknowledged, muted, planned, noted, and counted."""

import json
import shutil
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import pytest
import typer
from typer.testing import CliRunner

from poller.alerts.asked import Person, Unfit, maintenance
from poller.alerts.engine import Alerting
from poller.alerts.inquiry import Inquiry
from poller.alerts.maintenance import Windows, covers
from poller.alerts.records import AuditEntry
from poller.alerts.rules import EstateFacts
from poller.alerts.servicereport import BadPeriod, parse_period, service_report
from poller.alerts.store import Store
from poller.alerts.subjects import Subject
from poller.cli_people import PEOPLE_COMMANDS, maintenance_app
from poller.config import Configuration, load
from poller.estate import Estate, Selector
from poller.sample import Sample
from poller.wall.live import LiveState
from poller.wall.people import People
from poller.wall.server import WallServer

SECOND = 10**9
EXAMPLE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
JST = ZoneInfo("Asia/Tokyo")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=JST).timestamp()) * SECOND


NOW = at("2026-11-21 03:12:00")


class Watched:
    """The example estate, whose internal DNS service went down at 03:12; a clock that tests move."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(EXAMPLE, folder / "config")
        self.configuration: Configuration = load(folder / "config")
        self.state = self.configuration.state_directory
        self.estate: Estate = self.configuration.estate
        self.store = Store(self.state / "alerts.sqlite")
        self.alerting = Alerting(self.estate, self.store)
        self.now_ns = NOW
        self.service(up=False)
        self.run(30)

    def service(self, *, up: bool) -> None:
        tags = (("service", "dns-internal-1"), ("kind", "dns"))
        self.alerting.observe([Sample("service", tags, {"up": up}, self.now_ns)], self.now_ns)

    def run(self, seconds: int, step: int = 1) -> None:
        for _ in range(0, seconds, step):
            self.now_ns += step * SECOND
            self.alerting.tick(self.now_ns)

    def settled(self) -> Inquiry:
        if self.alerting.committed is not None:
            self.alerting.committed.result()
        return Inquiry(self.state)


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    yield made
    made.store.close()


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def ask(self, path: str, **body: object) -> tuple[int, dict]:
        async with self.session.post(f"{self.url}api/v1/{path}", json=body) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else {}

    async def get(self, path: str) -> dict:
        async with self.session.get(f"{self.url}api/v1/{path}") as answer:
            assert 200 == answer.status
            return await answer.json()


@pytest.fixture
async def client(watched) -> AsyncIterator[Client]:
    server = WallServer(LiveState(watched.estate), "127.0.0.1", 0)
    people = People(watched.alerting, watched.estate, watched.state, clock_ns=lambda: watched.now_ns)
    server.serve_also(people.routes())
    async with server, aiohttp.ClientSession() as session:
        yield Client(session, server.url)


ID = "2026-1121-001"


async def test_what_is_asked_by_the_api_is_done_and_in_the_audit_log_before_it_is_answered(watched, client) -> None:
    """Acknowledge, comment and second notice with user, time and origin (R60, R60a)."""
    for action, text in (("acknowledge", ""), ("comment", "<b>電源</b>"), ("second_notice", "県へ電話")):
        status, answer = await client.ask(f"incident/{ID}/{action}", who="当番A", text=text)
        assert (200, action) == (status, answer["done"]["action"])
    story = await client.get(f"incident/{ID}/story")
    logged = [(entry["who"], entry["action"], entry["text"], entry["origin"]) for entry in story["audit"]]
    origin = "api, 127.0.0.1"
    assert [
        ("当番A", "acknowledge", "", origin),
        ("当番A", "comment", "<b>電源</b>", origin),
        ("当番A", "second_notice", "県へ電話", origin),
    ] == logged
    incident = watched.alerting.incident(ID)
    assert ("当番A", 3) == (incident.acknowledged_by, len(incident.remarks))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("incident/2026-1121-009/acknowledge", {"who": "a"}, 404),
        (f"incident/{ID}/acknowledge", {}, 422),
        (f"incident/{ID}/acknowledge", {"who": 7}, 422),
        (f"incident/{ID}/comment", {"who": "a", "text": " "}, 422),
        (f"incident/{ID}/comment", {"who": "a", "text": "x" * 2001}, 422),
        (f"incident/{ID}/exclude", {"who": "a", "text": "because"}, 422),
        ("silences", {"who": "a", "target": "device/nothing"}, 422),
        ("silences", {"who": "a", "target": "fw-1"}, 422),
        ("silences", {"who": "a", "target": "device/fw-1", "for": "long"}, 422),
        ("maintenance", {"who": "a", "id": "x", "start": "2026-11-21 22:00", "end": "2026-11-21 23:00"}, 422),
        ("maintenance/nothing/end", {"who": "a"}, 422),
        ("maintenance/failover-test/end", {"who": "a"}, 422),  # of the configuration: there it is changed
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_sentence(client, path, body, status) -> None:
    found, answer = await client.ask(path, **body)
    assert status == found
    assert status == 404 or len(answer["error"]) > 10


async def test_a_form_of_another_site_cannot_ask(client) -> None:
    body = json.dumps({"who": "a"})
    url = f"{client.url}api/v1/incident/{ID}/acknowledge"
    async with client.session.post(url, data=body, headers={"Content-Type": "text/plain"}) as answer:
        assert 415 == answer.status


async def test_maintenance_planned_by_the_api_mutes_survives_a_restart_and_ends_on_demand(watched, client) -> None:
    """Maintenance by people, what is still bad at its end is told within a minute (R55)."""
    window = {"id": "dns-works", "name": "DNS", "start": "2026-11-21 03:10", "end": "2026-11-21 06:00"}
    status, answer = await client.ask("maintenance", who="当番A", where=["service/dns-*", "device/dns-int-*"], **window)
    assert (200, "dns-works") == (status, answer["done"]["target"])
    listed = (await client.get("maintenance"))["maintenance"]
    assert {"dns-works": False, "failover-test": True}.items() <= {w["id"]: w["configured"] for w in listed}.items()
    before = len(watched.settled().story(ID).mails)
    watched.run(1800, 10)  # repeats would be due
    watched.store.close()
    watched.store = Store(watched.state / "alerts.sqlite")
    watched.alerting = Alerting(watched.estate, watched.store)
    watched.run(1800, 10)
    assert before == len(watched.settled().story(ID).mails)
    watched.alerting.carry_out(AuditEntry(watched.now_ns, "当番A", "api", "end_maintenance", "dns-works"))
    watched.run(60)
    assert before < len(watched.settled().story(ID).mails)


def test_a_window_covers_each_thing_that_it_names_and_only_at_the_places_it_says(watched) -> None:
    """Maintenance by pattern, tenant or line (R55)."""
    facts = EstateFacts(watched.estate)
    both = Selector(devices=("proxy-*",), services=("web-filter",))
    there = Selector(devices=("fw-*",), sites=("cloud",))
    wanted = {
        (both, "device/proxy-1"): True,
        (both, "interface/proxy-1/eth0"): True,
        (both, "service/web-filter"): True,
        (both, "device/fw-1"): False,
        (there, "device/fw-1"): False,
        (Selector(line_groups=("internet",)), "circuit/int-1"): True,
        (Selector(tenants=("tsu",)), "tenant/tsu/internet"): True,
        (Selector(), "device/fw-1"): True,
    }
    assert wanted == {case: covers(case[0], facts.of(Subject.parse(case[1]))) for case in wanted}


def test_stop_polling_names_the_window_and_ends_with_it(watched) -> None:
    """Maintenance that stops polling (R55)."""
    window = {"id": "off", "name": "off", "start": "2026-11-21 22:00", "end": "2026-11-21 23:00", "stop_polling": True}
    asked = maintenance(window | {"where": ["device/fw-1"]}, Person("a", "api", NOW), watched.estate)
    windows = Windows(watched.estate, [asked])
    moments = ("2026-11-21 21:59", "2026-11-21 22:00", "2026-11-21 22:59", "2026-11-21 23:00")
    assert [None, "off", "off", None] == [windows.stopped("fw-1", at(moment)) for moment in moments]
    assert windows.stopped("fw-2", at("2026-11-21 22:30")) is None
    assert windows.muting([Subject("device", "fw-1")], at("2026-11-21 22:30")) == "off"


def test_a_window_that_is_taken_back_never_was_and_one_that_is_ended_early_was_until_then(watched) -> None:
    window = {"id": "w", "name": "w", "start": "2026-11-21 04:00", "end": "2026-11-21 06:00", "where": ["device/fw-1"]}
    planned = maintenance(window, Person("a", "api", NOW), watched.estate)
    taken_back = Windows(watched.estate, [planned, AuditEntry(NOW, "a", "api", "end_maintenance", "w")])
    early = AuditEntry(at("2026-11-21 05:00"), "a", "api", "end_maintenance", "w")
    assert "w" not in taken_back.all()
    assert "2026-11-21 05:00" == Windows(watched.estate, [planned, early]).all()["w"].end


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": "failover-test"}, "window of the configuration"),
        ({"end": "2026-11-21 03:00"}, "end is not after start"),
        ({"start": "tonight"}, 'write "2026-11-21 22:00"'),
        ({"where": ["dns-1"]}, "write KIND/ID"),
        ({"where": ["device/dns-itn-1"]}, "Did you mean 'dns-int-1'?"),
        ({"contacts": ["nobody"]}, "there is no contact 'nobody'"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(watched, change, says) -> None:
    window = {"id": "w", "name": "w", "start": "2026-11-21 04:00", "end": "2026-11-21 06:00", "where": ["device/fw-1"]}
    with pytest.raises(Unfit) as refusal:
        maintenance(window | change, Person("a", "api", NOW), watched.estate)
    assert says in str(refusal.value)


@pytest.fixture
def hinomi(watched):
    app = typer.Typer()
    for name, command in PEOPLE_COMMANDS.items():
        app.command(name)(command)
    app.add_typer(maintenance_app, name="maintenance")
    directory = str(watched.configuration.directory)

    def invoke(*words: str):
        watched.settled()
        return CliRunner().invoke(app, [*words, "-c", directory])

    return invoke


def test_maintenance_and_notes_by_command_reach_the_daemon(watched, hinomi) -> None:
    planned = hinomi(
        *("maintenance", "plan", "dns-works", "--on", "service/dns-*", "--start", "2026-11-21 03:00", "--for", "2h"),
        *("--name", "DNS更新", "--stop-polling", "--who", "当番A", "--lang", "ja"),
    )
    assert (0, "計画作業 dns-works を登録しました（2026-11-21 03:00 - 2026-11-21 05:00）。\n") == (
        planned.exit_code,
        planned.output,
    )
    assert 0 == hinomi("second-notice", ID, "-m", "県へ", "--who", "当番A").exit_code
    assert 0 == hinomi("exclude", ID, "disaster", "-m", "落雷", "--who", "当番A").exit_code
    assert 2 == hinomi("exclude", ID, "whatever").exit_code
    assert 1 == hinomi("second-notice", "2026-1121-009").exit_code
    watched.run(2)
    assert watched.alerting.windows()["dns-works"].stop_polling
    assert ["second_notice", "exclude"] == [remark.kind for remark in watched.alerting.incident(ID).remarks]
    assert "DNS更新" in hinomi("maintenance", "list", "--lang", "ja").output
    assert 0 == hinomi("maintenance", "end", "dns-works").exit_code
    assert 2 == hinomi("maintenance", "end", "dns-wroks").exit_code
    assert "None" not in hinomi("dead-letters").output


async def test_the_service_level_of_a_month_tells_what_was_lost_what_is_left_and_whether_notices_were_in_time(
    watched, client
) -> None:
    """Availability with exclusions by reason, time to first and second notice (R60a)."""
    watched.run(3 * 3600 - 30, 10)
    watched.service(up=True)
    watched.run(60)
    watched.service(up=True)
    watched.run(60)
    watched.service(up=True)
    watched.run(10)
    watched.settled()
    found = await client.get("service-level?period=2026-11")
    (level,) = [each for each in found["levels"] if each["subject"] == "service/dns-internal-1"]
    month = 30 * 86400
    assert (3 * 3600.0, pytest.approx(0.999), pytest.approx(month * 0.001)) == (
        level["down_seconds"],
        level["target"],
        level["allowance_seconds"],
    )
    assert pytest.approx(month * 0.001 - 3 * 3600) == level["allowance_left_seconds"]
    elapsed = (watched.now_ns - at("2026-11-01 00:00")) / SECOND
    assert pytest.approx((elapsed - 3 * 3600) / elapsed) == level["availability"]
    (notice,) = found["notices"]
    assert (ID, True, None) == (notice["incident"], notice["second_due"], notice["second_seconds"])
    assert notice["first_seconds"] < 60
    await client.ask(f"incident/{ID}/exclude", who="県", text="disaster 落雷")
    after = await client.get("service-level?period=2026-11")
    (level,) = [each for each in after["levels"] if each["subject"] == "service/dns-internal-1"]
    assert (0.0, 3 * 3600.0) == (level["down_seconds"], level["excluded_seconds"]["disaster"])


def test_what_was_planned_by_people_is_left_out_as_planned(watched, hinomi) -> None:
    """Exclusions by reason (R60a)."""
    hinomi(*("maintenance", "plan", "w", "--on", "service/dns-*", "--start", "2026-11-21 03:00", "--for", "1h"))
    watched.run(3600, 10)
    report = service_report(
        watched.settled(), watched.estate, parse_period("2026-11", watched.estate, watched.now_ns), watched.now_ns
    )
    (level,) = [each for each in report.levels if each.subject == "service/dns-internal-1"]
    planned = (at("2026-11-21 04:00") - NOW) / SECOND
    assert (planned, 3600 + 30 - planned) == (level.excluded_seconds["planned"], level.down_seconds)
    assert "内部DNS 1号機" in hinomi("sla", "--period", "2026-11", "--lang", "ja").output
    assert 2 == hinomi("sla", "--period", "november").exit_code


@pytest.mark.parametrize(
    ("text", "span"),
    [
        (None, ("2026-11", "2026-11-01", "2026-12-01")),
        ("2026-12", ("2026-12", "2026-12-01", "2027-01-01")),
        ("2026", ("2026", "2026-01-01", "2027-01-01")),
        ("FY2026", ("FY2026", "2026-04-01", "2027-04-01")),
    ],
)
def test_a_period_is_local_time(text, span) -> None:
    estate = Estate.model_validate({"organisation": {"name": {"ja": "x", "en": "x"}}})
    period = parse_period(text, estate, NOW)
    assert (span[0], at(span[1]), at(span[2])) == (period.name, period.start_ns, period.end_ns)


@pytest.mark.parametrize("text", ["2026-13", "FY2026-04", "november", "26-11"])
def test_what_is_no_period_is_refused(text) -> None:
    estate = Estate.model_validate({"organisation": {"name": {"ja": "x", "en": "x"}}})
    with pytest.raises(BadPeriod):
        parse_period(text, estate, NOW)
