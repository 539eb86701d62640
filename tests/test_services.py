"""Services as the daemon checks them: a real server that is stopped and started, on a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
import msgspec
import pytest
from typer.testing import CliRunner

from poller.alerts.engine import Alerting
from poller.alerts.records import AuditEntry
from poller.alerts.store import Store
from poller.cli import app
from poller.config import ConfigurationError, load
from poller.daemon import Daemon
from poller.estate import Estate, Maintenance
from poller.pipeline import Pipeline
from poller.questions import ask_service
from poller.rollups import WINDOW_NS
from poller.sample import Sample
from poller.schedule import offset_seconds
from poller.schema import SCHEMA
from poller.services import Services
from poller.wall.live import LiveState
from probes.result import ServiceState
from probes.services import PROBES

SECOND = 10**9
JST = ZoneInfo("Asia/Tokyo")
NOON = int(datetime(2026, 11, 20, 12, tzinfo=JST).timestamp()) * SECOND
CONFIGURATION = """\
organisation: {{name: {{ja: 試験, en: Test}}}}
sites: {{hall: {{}}}}
calendars: {{counter: {{name: counter, hours: {{fri: "08:30-{closing}"}}}}}}
contacts: {{desk: {{name: desk, role: operator, email: noc@example.jp, lang: {lang}}}}}
services:
  desk: {{name: {{ja: 窓口システム, en: Counter system}}, kind: tcp, target: "{target}", calendar: counter{more}}}
rules:
  service-down: {{name: 停止, on: service.up, equals: false, raise_for: 10s, severity: serious}}
"""


class Port:
    """A TCP server that is stopped and started again on the same port."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self.number = 0
        self.knocks = 0

    async def start(self) -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.knocks += 1
            writer.close()

        self._server = await asyncio.start_server(answer, "127.0.0.1", self.number)
        self.number = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await asyncio.sleep(0)


class World:
    """Services under a clock that moves a second at a time, when nobody is being asked."""

    def __init__(self, estate: Estate, folder: Path) -> None:
        self.now_ns = NOON
        self.samples: list[Sample] = []
        self.alerts = Store(folder / "alerts.sqlite")
        self.alerting = Alerting(estate, self.alerts)
        self.live = LiveState(estate)
        self.pipeline = Pipeline(estate, self.samples.extend, self.alerting, self.live)
        self.services = Services(estate, folder, self._publish, lambda: self.now_ns, self.alerting.resting)

    def _publish(self, samples: Sequence[Sample]) -> None:
        self.pipeline.publish(samples, self.now_ns)

    async def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_ns += SECOND
            self.services.wake()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            while self.services.checking:  # noqa: ASYNC110 - nobody tells when the last one ends
                await asyncio.sleep(0.001)
            self.pipeline.tick(self.now_ns)

    def first_mail(self) -> str:
        """The text of the first mail that waits to leave."""
        query = "SELECT message FROM outbox ORDER BY id LIMIT 1"
        (row,) = self.alerts.call(lambda db: db.execute(query).fetchall()).result()
        return message_from_bytes(row[0], policy=default).get_body(("plain",)).get_content()

    def told(self) -> list[tuple[int, object]]:
        """Seconds after noon and state of every check told."""
        return [
            ((sample.time_ns - NOON) // SECOND, sample.fields.get("up"))
            for sample in self.samples
            if sample.measurement == "service"
        ]


@asynccontextmanager
async def world(
    folder: Path, port: Port, lang: str = "ja", closing: str = "17:15", more: str = ""
) -> AsyncIterator[World]:
    await port.start()
    text = CONFIGURATION.format(target=f"127.0.0.1:{port.number}", lang=lang, closing=closing, more=more)
    (folder / "hinomi.yaml").write_text(text, encoding="utf-8")
    made = World(load(folder, ()).estate, folder)
    running = asyncio.create_task(made.services.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        made.alerts.close()
        await port.stop()


def last(samples: Sequence[Sample]) -> Sample:
    return [sample for sample in samples if sample.measurement == "service"][-1]


async def test_a_service_is_checked_at_its_own_second_of_every_interval(tmp_path):
    """Fixed rate (R2), the first time within five seconds."""
    async with world(tmp_path, Port()) as one:
        await one.pass_seconds(190)
    seconds = [at for at, _ in one.told()]
    assert seconds[0] <= 5
    assert [60, 60] == [after - before for before, after in zip(seconds[-3:], seconds[-2:], strict=False)]
    assert all(up is True for _, up in one.told())


async def test_an_outage_is_told_after_three_repeats_and_from_its_first_failed_check(tmp_path):
    """(R40)."""
    port = Port()
    async with world(tmp_path, port) as one:
        await one.pass_seconds(70)
        before = one.told()
        await port.stop()
        failing = before[-1][0] + 60 - 70
        await one.pass_seconds(failing + 14)
        assert before == one.told()
        await one.pass_seconds(2)
        first = before[-1][0] + 60
        assert [(first + late, False) for late in (0, 5, 10, 15)] == one.told()[len(before) :]
        sample = last(one.samples)
        assert (
            f"127.0.0.1:{port.number} は接続を拒否しました。このポートで待ち受けるプログラムがありません。"
            == sample.fields["text_ja"]
        )
        assert ("refused", "observed", True) == tuple(
            sample.fields[name] for name in ("reason", "quality", "in_service_hours")
        )
        assert set(sample.fields) <= {field.name for field in SCHEMA["service"].fields}


async def test_one_failed_check_changes_nothing(tmp_path):
    """(R40)."""
    port = Port()
    async with world(tmp_path, port) as one:
        await one.pass_seconds(10)
        await one.pass_seconds(due := offset_seconds("desk", 60) + 60 - 11)
        await port.stop()
        before = one.told()
        await one.pass_seconds(2)
        assert before == one.told()
        await port.start()
        await one.pass_seconds(5)
        assert [(due + 11, True), (due + 16, True)] == one.told()[len(before) :]
    assert {True} == {up for _, up in one.told()}
    assert "refused" in [sample.fields.get("reason") for sample in one.samples if sample.measurement == "service"]


async def test_a_service_that_is_being_worked_on_is_not_checked_and_is_judged_anew_afterwards(tmp_path):
    """Maintenance that stops polling (R55): nobody knocks, history says suppressed, and what is bad then is told."""
    port = Port()
    async with world(tmp_path, port) as one:
        await one.pass_seconds(130)
        window = Maintenance(
            id="works",
            name={"ja": "更新", "en": "update"},
            start="2026-11-20 12:03",
            end="2026-11-20 12:08",
            stop_polling=True,
            where={"services": ["desk"]},
        )
        planned = AuditEntry(one.now_ns, "当番A", "cli", "maintenance", "works", window.model_dump_json())
        one.alerting.carry_out(planned)
        await one.pass_seconds(60)
        await port.stop()
        knocks, before = port.knocks, len(one.samples)
        await one.pass_seconds(280)
        meanwhile = [sample for sample in one.samples[before:] if sample.measurement == "service"]
        assert {("suppressed", "maintenance", None)} == {
            (sample.fields["quality"], sample.fields["reason"], sample.fields.get("up")) for sample in meanwhile
        }
        assert [5, knocks] == [len(meanwhile), port.knocks]
        assert [] == one.alerting.open_incidents()
        await one.pass_seconds(120)
        assert ["service/desk"] == [incident.root[1] for incident in one.alerting.open_incidents()]


@pytest.mark.parametrize("lang", ["ja", "en"])
async def test_an_outage_becomes_an_incident_whose_mail_says_what_was_found(tmp_path, lang):
    """The sentence of the probe reaches the operator, in the operator's language (R57, R58)."""
    port = Port()
    async with world(tmp_path, port, lang) as one:
        await one.pass_seconds(10)
        await port.stop()
        await one.pass_seconds(90)
        (incident,) = one.alerting.open_incidents()
        assert {"ja": "窓口システム 利用不可", "en": "Counter system not usable"}[lang] == incident.title(lang)
        letter = one.first_mail()
        await port.start()
        await one.pass_seconds(240)
        assert [] == one.alerting.open_incidents()
    sentence = {
        "ja": f"127.0.0.1:{port.number} は接続を拒否しました。",
        "en": f"127.0.0.1:{port.number} refused the connection: nothing listens on that port.",
    }[lang]
    assert sentence in letter
    assert {"ja": "窓口システム　利用不可（", "en": "Counter system: not usable (since "}[lang] in letter


async def test_the_wall_shows_the_state_and_the_sentence(tmp_path):
    port = Port()
    async with world(tmp_path, port) as one:
        never = dict(one.live.entry("services", "desk"))
        await one.pass_seconds(10)
        up = dict(one.live.entry("services", "desk"))
        await port.stop()
        await one.pass_seconds(90)
        down = dict(one.live.entry("services", "desk"))
    assert (None, "never_seen", 0) == (never["up"], never["quality"], never["time_ns"])
    assert (True, None, True) == (up["up"], up["reason"], up["in_service_hours"])
    assert up["response_seconds"] > 0
    assert (False, None) == (down["up"], down["response_seconds"])
    assert f"127.0.0.1:{port.number} refused the connection: nothing listens on that port." == down["text"]["en"]


async def test_each_check_says_whether_it_lies_in_the_service_hours(tmp_path):
    """The raw material of the service level (R60a): the counter closes at 12:01."""
    async with world(tmp_path, Port(), closing="12:01") as one:
        await one.pass_seconds(130)
    hours = [
        ((sample.time_ns - NOON) // SECOND < 60, sample.fields["in_service_hours"])
        for sample in one.samples
        if sample.measurement == "service"
    ]
    assert {(True, True), (False, False)} == set(hours)


@pytest.mark.parametrize(
    ("seconds", "more", "told"),
    [
        (60, "", [True] * 4),  # it was down: its return is repeated until it counts, and dated from its first answer
        (2 * 3600, "", [True]),  # too long ago: what stood is known no more
        (60, ", family: ipv4", [True]),  # asked otherwise than before: another question, nothing known
    ],
)
async def test_what_stands_survives_a_restart_if_it_is_the_same_question_and_not_long_ago(
    tmp_path, seconds, more, told
):
    """(R40, R73)"""
    port = Port()
    async with world(tmp_path, port) as one:
        await port.stop()
        await one.pass_seconds(90)
        assert False is one.told()[-1][1]
        saved = msgspec.msgpack.decode(msgspec.msgpack.encode(one.services.save(one.now_ns)))
    async with world(tmp_path, port, more=more) as two:
        two.services.restore(saved, one.now_ns + seconds * SECOND)
        await two.pass_seconds(24)
        assert told == [up for _, up in two.told()][: len(told)]
        assert len(told) == len(two.told())


async def test_the_figures_of_the_watch_itself_count_checks_and_what_could_not_be_made(tmp_path):
    """(R74)"""
    (tmp_path / "hinomi.yaml").write_text(SERVICE % ("tls", "127.0.0.1:9", ", ca_file: none.pem"), encoding="utf-8")
    one = World(load(tmp_path, ()).estate, tmp_path)
    running = asyncio.create_task(one.services.run())
    await one.pass_seconds(70)
    running.cancel()
    await asyncio.wait([running])
    one.alerts.close()
    counted = one.services.statistics.take()
    assert (len(one.told()), len(one.told()), 0) == (counted.checked, counted.unknown, counted.missed)
    assert counted.checked > 1
    assert counted.seconds > 0.0 == one.services.statistics.seconds


async def test_the_checks_of_five_minutes_cover_them(tmp_path):
    async with world(tmp_path, Port()) as one:
        await one.pass_seconds(2 * WINDOW_NS // SECOND + 200)
    rolled = [sample for sample in one.samples if sample.measurement == "service_5m"]
    assert 1.0 == rolled[-1].fields["coverage_ratio"]
    assert rolled[-1].fields["response_seconds_max"] >= rolled[-1].fields["response_seconds_mean"] > 0


def test_every_kind_of_the_configuration_has_its_probe():
    kinds = Estate.model_fields["services"].annotation.__args__[1].model_fields["kind"].annotation.__args__
    assert list(PROBES) == list(kinds)


SERVICE = """\
organisation: {name: Our network}
services:
  one: {kind: %s, target: "%s"%s}
"""


@pytest.mark.parametrize(
    ("kind", "target", "more", "problem"),
    [
        ("dns", "192.0.2.1", "", "services.one: a DNS server is asked for a name: write it as query"),
        (
            *("dns", "192.0.2.1", ", query: a.example, record_type: ADDRESS"),
            "services.one.record_type: 'ADDRESS' is no type of DNS records, such as A, AAAA, MX",
        ),
        ("ntp", "192.0.2.1", ", expect: x", "services.one.expect: belongs to dns and http, and this is ntp"),
        ("tcp", "192.0.2.1:80", ", blocked: true", "services.one.blocked: belongs to http, and this is tcp"),
        (
            *("tcp", "192.0.2.1", ""),
            "services.one.target: '192.0.2.1' names no port, and there is no usual one: write HOST:PORT",
        ),
        (
            *("http", "www.example.jp", ""),
            "services.one.target: 'www.example.jp' is no URL: write http://HOST/ or https://HOST:PORT/PATH",
        ),
        (
            *("http", "http://www.example.jp/", ", proxy: 192.0.2.1:8080"),
            "services.one.proxy: '192.0.2.1:8080' is no URL: write http://HOST/ or https://HOST:PORT/PATH",
        ),
        ("tls", "192.0.2.1:99999", "", "services.one.target: port 99999 is not between 1 and 65535"),
        (
            *("smtp", "192.0.2.1", ", recipient: no body"),
            "services.one.recipient: 'no body' is no mail address",
        ),
        (
            *("tcp", "192.0.2.1:80", ", timeout: 90s"),
            "services.one.timeout: the timeout (90 s) must be shorter than the interval (60 s)",
        ),
        (
            *("tcp", "192.0.2.1:80", ", interval: 5s"),
            "services.one.interval: the timeout (10 s) must be shorter than the interval (5 s)",
        ),
        (
            "udp",
            "192.0.2.1:80",
            "",
            'services.one.kind: "udp" is not known; it is one of dns, http, smtp, ntp, tcp, tls',
        ),
    ],
)
def test_a_service_that_makes_no_sense_is_told_at_its_place(tmp_path, kind, target, more, problem):
    (tmp_path / "hinomi.yaml").write_text(SERVICE % (kind, target, more), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, ())
    (told,) = refusal.value.problems
    assert str(told).partition(": ")[2].startswith(problem)
    assert (3, "hinomi.yaml") == (told.place.line, told.place.file)


async def test_the_daemon_checks_the_services_of_its_configuration_and_its_wall_shows_them(tmp_path):
    port = Port()
    await port.start()
    text = CONFIGURATION.format(target=f"127.0.0.1:{port.number}", lang="ja", closing="17:15", more="")
    (tmp_path / "hinomi.yaml").write_text(f"{text}storage: {{directory: state}}\nwall: {{port: 0}}\n", encoding="utf-8")
    daemon = Daemon(load(tmp_path, ()))
    wall = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(daemon.run(wall.set_result))
    await asyncio.wait([wall, running], return_when=asyncio.FIRST_COMPLETED)
    async with aiohttp.ClientSession(await wall) as session:
        while not (service := await shown(session))["time_ns"]:  # noqa: ASYNC110 - a page that is asked again
            await asyncio.sleep(0.1)
    daemon.stop()
    await running
    await port.stop()
    assert ("desk", True) == (service["id"], service["up"])


async def shown(session: aiohttp.ClientSession) -> dict[str, object]:
    async with session.get("/api/v1/wall") as answer:
        (service,) = (await answer.json())["services"]
        return service


@pytest.mark.filterwarnings("ignore:.*(BasicAuth|proxy_auth).*:DeprecationWarning")
async def test_a_password_that_cannot_be_read_makes_a_service_unknown_and_not_down(tmp_path):
    """It is read at each check, so that a new one needs no restart; nothing of it is shown (R76)."""
    text = SERVICE % ("http", "http://127.0.0.1:9/", ', proxy: "http://127.0.0.1:9", proxy_user: a, %s')
    (tmp_path / "hinomi.yaml").write_text(text % 'proxy_password: "file:word"', encoding="utf-8")
    service = load(tmp_path, ()).estate.services["one"]
    without = await ask_service(service, tmp_path)
    (tmp_path / "word").write_text("hunter2\n")
    steps: list[str] = []
    read = await ask_service(service, tmp_path, steps.append)
    assert (ServiceState.UNKNOWN, ServiceState.DOWN) == (without.state, read.state)
    assert "監視サーバー側の理由で確認できませんでした（proxy_password: file:word を読めません）。" == without.sentence(
        "ja"
    )
    assert "hunter2" not in f"{read} {steps}"


def test_check_warns_of_an_authority_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing of the kind")
    text = SERVICE % ("tls", "127.0.0.1:9", "") + "  two: {kind: tls, target: '127.0.0.1:9', ca_file: empty.pem}\n"
    text += "  three: {kind: tls, target: '127.0.0.1:9', ca_file: none.pem}\n"
    (tmp_path / "hinomi.yaml").write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["check", "-c", str(tmp_path), "--lang", "en", "--quiet"])
    said = f"the authority's file {tmp_path}"
    assert (0, "") == (result.exit_code, result.stdout)
    assert [
        f"warning: hinomi.yaml:4:52: services.two.ca_file: {said}/empty.pem cannot be read: no certificate in it",
        f"warning: hinomi.yaml:5:54: services.three.ca_file: {said}/none.pem cannot be read: no such file or directory",
    ] == result.stderr.splitlines()
    japanese = CliRunner().invoke(app, ["check", "-c", str(tmp_path), "--lang", "ja", "--quiet"]).stderr
    assert f"認証局のファイル {tmp_path}/empty.pem に証明書がありません。" in japanese
