"""The commands for people, on the example estate, beside a store that a daemon wrote."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poller.alerts.engine import Alerting
from poller.alerts.inquiry import Step
from poller.alerts.states import Reason
from poller.alerts.store import Store
from poller.alerts.story import reason_text
from poller.cli_incidents import COMMANDS
from poller.config import load
from poller.estate import Rule
from poller.sample import Sample

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND
EXAMPLE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"


@pytest.fixture
def hinomi():
    app = typer.Typer()
    for name, command in COMMANDS.items():
        app.command(name)(command)
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])


@pytest.fixture
def watched(tmp_path):
    """A configuration whose daemon saw the breakout line go down, both ways."""
    shutil.copytree(EXAMPLE, tmp_path / "config")
    configuration = load(tmp_path / "config")
    state = tmp_path / "config" / "state"
    main = tmp_path / "config" / "hinomi.yaml"
    text = main.read_text(encoding="utf-8")
    before = configuration.estate.storage.directory
    main.write_text(text.replace(before, str(state)), encoding="utf-8")
    configuration = load(tmp_path / "config")
    assert configuration.state_directory == state
    store = Store(state / "alerts.sqlite")
    alerting = Alerting(configuration.estate, store)
    alerting.observe(
        [
            Sample(
                "circuit", (("circuit", id_), ("kind", "breakout"), ("line_group", "breakout")), {"state": "down"}, at
            )
            for at in (NOW, NOW + 60 * SECOND)
            for id_ in ("bo-1", "bo-2")
        ],
        NOW + 60 * SECOND,
    )
    alerting.tick(NOW + 64 * SECOND)
    yield tmp_path / "config", alerting, store
    store.close()


def test_incidents_lists_what_is_open(hinomi, watched) -> None:
    config, alerting, _ = watched
    alerting.committed.result()
    (incident,) = alerting.open_incidents()
    listed = hinomi("incidents", "-c", config, "--lang", "ja")
    assert listed.exit_code == 0, listed.output
    assert incident.id in listed.stdout
    told = json.loads(hinomi("incidents", "-c", config, "--json").stdout)
    assert [(entry["id"], entry["severity"], len(entry["affected"]["tenants"])) for entry in told] == [
        (incident.id, "serious", 33)
    ]


def test_incident_tells_the_whole_story(hinomi, watched) -> None:
    """The delivery result is visible (R59)."""
    config, alerting, _ = watched
    alerting.committed.result()
    (incident,) = alerting.open_incidents()
    page = hinomi("incident", incident.id, "-c", config, "--lang", "ja")
    assert page.exit_code == 0, page.output
    for part in ("接続団体 33", "■ 根拠", "■ 状態の変化", "■ 通知", "shift@noc.example.jp", "[送信待ち 0回]"):
        assert part in page.stdout
    whole = json.loads(hinomi("incident", incident.id, "-c", config, "--json").stdout)
    assert {"transitions", "mails", "audit", "title"} <= whole.keys()


def test_a_silence_may_name_an_incident_a_kind_or_what_lies_within_a_device(hinomi, watched) -> None:
    config, alerting, _ = watched
    alerting.committed.result()
    (incident,) = alerting.open_incidents()
    for target in (incident.id, "circuit/*", "*", "interface/*/Gi0/1"):
        done = hinomi("silence", target, "-c", config)
        assert done.exit_code == 0, done.output


def test_at_80_columns_an_id_stays_whole(hinomi, watched, monkeypatch) -> None:
    config, alerting, _ = watched
    alerting.committed.result()
    (incident,) = alerting.open_incidents()
    monkeypatch.setenv("COLUMNS", "80")
    for lang in ("ja", "en"):
        assert incident.id in hinomi("incidents", "-c", config, "--lang", lang).stdout


def test_the_japanese_story_is_japanese(hinomi, watched) -> None:
    """Only what the configuration or a protocol names may be in Latin letters."""
    config, alerting, _ = watched
    alerting.committed.result()
    (incident,) = alerting.open_incidents()
    for words in (("ack", incident.id, "--who", "当番A"), ("comment", incident.id, "連絡済み", "--who", "当番A")):
        assert hinomi(*words, "-c", config).exit_code == 0
    page = hinomi("incident", incident.id, "-c", config, "--lang", "ja").stdout
    for part in ("重大", "平常 -> 発生：値は「断」", "初報", "新しい重大な障害", "送信待ち 0回", "  確認  当番A"):
        assert part in page
    for word in ("serious", "pending", "firing", "raise level", "acknowledge", "waiting", "comment ", "new "):
        assert word not in page
    listed = hinomi("incidents", "-c", config, "--lang", "ja").stdout
    assert ("重大" in listed, "serious" in listed) == (True, False)


def test_the_story_of_a_state_says_what_the_reading_was(hinomi, watched) -> None:
    config, alerting, _ = watched
    alerting.committed.result()
    (incident,) = alerting.open_incidents()
    page = hinomi("incident", incident.id, "-c", config, "--lang", "en").stdout
    assert "inactive -> firing: the reading was 'down'" in page
    assert "raise level" not in page


@pytest.mark.parametrize(
    ("on", "equals", "value", "reason", "ja", "en"),
    [
        ("device.up", False, "False", Reason.RAISED, "値は「応答なし」", "the reading was 'not answering'"),
        ("device.up", False, "True", Reason.CLEARED, "「応答あり」が続いた", "the reading stayed 'answering'"),
        ("interface.oper_status", 2, "2", Reason.HELD, "「リンク down」が続いた", "the reading stayed 'link down'"),
        ("circuit.state", "down", None, Reason.NO_DATA, "値が得られない", Reason.NO_DATA.value),
    ],
)
def test_a_rule_on_a_state_tells_readings_and_not_levels(on, equals, value, reason, ja, en) -> None:  # noqa: PLR0917 - a table
    written = {"id": "r", "name": {"ja": "x", "en": "x"}, "on": on, "equals": equals, "severity": "minor"}
    rule, step = Rule.model_validate(written), Step(NOW, "r", "device/x", "a", "b", reason.value, value)
    assert (reason_text(step, rule, "ja"), reason_text(step, rule, "en")) == (ja, en)


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("nosuch.invalid", "the name nosuch.invalid cannot be resolved"),
        ("127.0.0.1", "127.0.0.1 refused the connection: no mail server listens on port"),
    ],
)
def test_a_test_mail_that_cannot_go_is_told_in_a_sentence(hinomi, watched, host, says) -> None:
    config, _, _ = watched
    with socket.socket() as taken:  # bound and not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        main = config / "hinomi.yaml"
        relay = f"  relays: [{{host: {host}, port: {port}, tls: none}}]\n  maildir:"
        main.write_text(main.read_text(encoding="utf-8").replace("  maildir:", relay), encoding="utf-8")
        done = hinomi("test-mail", "noc-shift", "-c", config)
    assert done.exit_code == 1, done.output
    assert says in done.output
    assert [word for word in ("SMTP", "Errno", "Error") if word in done.output] == []


def test_ack_comment_and_silence_reach_the_daemon(hinomi, watched) -> None:
    """With user and time (R60)."""
    config, alerting, _ = watched
    alerting.committed.result()
    (incident,) = alerting.open_incidents()
    for words in (
        ("ack", incident.id, "-m", "事業者へ連絡中", "--who", "当番A"),
        ("comment", incident.id, "受付番号 4711", "--who", "当番A"),
        ("silence", "circuit/bo-*", "--for", "30m", "--who", "当番A"),
    ):
        done = hinomi(*words, "-c", config)
        assert done.exit_code == 0, done.output
    alerting.tick(NOW + 70 * SECOND)
    now = alerting.incident(incident.id)
    assert [(remark.kind, remark.who, remark.text) for remark in now.remarks] == [
        ("acknowledge", "当番A", "事業者へ連絡中"),
        ("comment", "当番A", "受付番号 4711"),
    ]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("incident", "2020-0101-001"), 1, "there is no incident '2020-0101-001'"),
        (("ack", "2020-0101-001"), 1, "there is no incident '2020-0101-001'"),
        (("silence", "device/fw-1", "--for", "soon"), 2, "'soon' is not a duration"),
        (("silence", "circuit/nosuch*"), 2, "is neither an incident nor a subject of this configuration"),
        (("silence", "circuit/bo1"), 2, "Did you mean 'circuit/bo-1'?"),
        (("silence", "2020-0101-001"), 2, "is neither an incident nor"),
        (("comment", "2020-0101-001", "  "), 2, "the text is empty"),
        (("comment", "2020-0101-001", "", "--lang", "ja"), 2, "記録する内容がありません"),
        (("test-mail", "nobody"), 2, "there is no 'nobody' with an email address"),
    ],
)
def test_mistakes_are_told_with_their_status(hinomi, watched, words, status, says) -> None:
    done = hinomi(*words, "-c", watched[0])
    assert (done.exit_code, says in done.output) == (status, True)


def test_a_configuration_that_never_ran_says_so(hinomi, tmp_path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "config")
    main = tmp_path / "config" / "hinomi.yaml"
    before = load(tmp_path / "config").estate.storage.directory
    main.write_text(main.read_text(encoding="utf-8").replace(before, "empty"), encoding="utf-8")
    done = hinomi("incidents", "-c", tmp_path / "config")
    assert (done.exit_code, "the daemon has not run" in done.output) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("incidents",),
        ("incident", "2026-1121-001"),
        ("ack", "2026-1121-001"),
        ("comment", "2026-1121-001", "x"),
        ("silence", "circuit/bo-1"),
    ],
)
@pytest.mark.parametrize("content", [b"\xa5" * 8192, b""], ids=["damaged", "empty"])
def test_a_store_that_cannot_be_read_is_one_sentence(hinomi, watched, words, content) -> None:
    config, _, store = watched
    store.close()
    state = config / "state"
    for file in state.glob("alerts.sqlite*"):
        file.unlink()
    (state / "alerts.sqlite").write_bytes(content)
    done = hinomi(*words, "-c", config)
    lines = done.output.strip().splitlines()
    assert (done.exit_code, len(lines), isinstance(done.exception, SystemExit)) == (1, 1, True), done.output
    assert lines[0].startswith(str(state / "alerts.sqlite"))
