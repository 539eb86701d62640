"""Whole journeys on simulated time, each with the exact list of mails that must leave."""

import unicodedata
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.alerts.engine import Alerting
from poller.alerts.inquiry import Inquiry
from poller.alerts.mail import render_test
from poller.alerts.records import AuditEntry
from poller.alerts.store import Store
from poller.alerts.subjects import Subject
from poller.alerts.words import clean, subject_name
from poller.config import load
from poller.estate import Estate
from poller.pipeline import Pipeline
from poller.sample import Sample
from poller.settings import Name
from poller.wall.live import LiveState

SECOND = 1_000_000_000
PLAIN_HEADERS = [
    *("Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "X-Hinomi-Kind", "X-Hinomi-Reason"),
    *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
]
JST = ZoneInfo("Asia/Tokyo")
EXAMPLES = Path(__file__).parents[1] / "config" / "examples"


def named(ja, en):
    return {"ja": ja, "en": en}


def prefecture(**changes) -> Estate:
    """A small estate with everything an incident can touch."""
    sites = {"dc": {"id": "dc", "name": named("データセンター", "Data centre")}}

    def device(id_, role, ja, en, **more):
        return {
            "id": id_,
            "name": named(ja, en),
            "addresses": [more.pop("address")],
            "role": role,
            "site": "dc",
            **more,
        }

    devices = [
        device("fw-1", "firewall", "ファイアウォール1号機", "Firewall 1", address="192.0.2.1", redundancy_group="fw"),
        device("fw-2", "firewall", "ファイアウォール2号機", "Firewall 2", address="192.0.2.2", redundancy_group="fw"),
        device("bo-rt1", "router", "ブレイクアウトルータ1", "Breakout router 1", address="192.0.2.11"),
        device("bo-rt2", "router", "ブレイクアウトルータ2", "Breakout router 2", address="192.0.2.12"),
        device("sw-1", "switch", "集約スイッチ", "Aggregation switch", address="192.0.2.20"),
        device("dns-1", "dns", "内部DNS", "Internal DNS", address="192.0.2.30"),
        *(
            device(
                f"edge-{n:02}",
                "switch",
                f"団体側スイッチ{n}",
                f"Edge switch {n}",
                address=f"192.0.2.{100 + n}",
                parents=["sw-1"],
            )
            for n in range(1, 13)
        ),
    ]
    circuits = [
        {
            "id": f"bo-{n}",
            "name": named(f"ブレイクアウト接続回線（{'主' if n == 1 else '副'}）", f"Breakout line {n}"),
            "kind": "breakout",
            "provider": "provider-1",
            "contract_number": f"N12{n}",
            "committed_rate": "1G",
            "ceiling_rate": "4G",
            "measured_by": {"device": f"bo-rt{n}", "interface": "wan0"},
            "redundancy_group": "bo",
            "preferred": "active" if n == 1 else "standby",
        }
        for n in (1, 2)
    ]
    names = [("tsu", "津市", "Tsu"), ("yokkaichi", "四日市市", "Yokkaichi"), ("ise", "伊勢市", "Ise")]
    tenants = {
        id_: {
            "id": id_,
            "name": named(ja, en),
            "kind": "city",
            "attachments": [{"line": "breakout", "device": "sw-1", "interface": f"vlan-{id_}"}],
            "contacts": [f"{id_}-desk"] if id_ == "tsu" else [],
        }
        for id_, ja, en in names
    }
    contacts = [
        {"id": "noc", "name": named("監視センター", "NOC"), "role": "operator", "email": "noc@example.jp"},
        {"id": "oncall", "name": named("技術者", "On call"), "role": "engineer", "email": "oncall@example.jp",
         "lang": "en"},
        {"id": "second", "name": named("副当番", "Second on call"), "role": "engineer", "email": "second@example.jp",
         "severities": ["serious"]},
        {"id": "pref", "name": named("県担当者", "Officer"), "role": "officer", "email": "pref@example.jp",
         "severities": ["serious"]},
        {"id": "provider-1", "name": named("○○ネットワーク24時間窓口", "Example Networks 24h desk"), "role": "provider",
         "email": "desk@example.net", "phone": "0120-000-000"},
        {"id": "tsu-desk", "name": named("津市 情報政策課", "Tsu city"), "role": "tenant", "email": "it@tsu.example.jp",
         "severities": ["serious"]},
    ]  # fmt: skip
    rules = [
        {"id": "device-down", "name": named("機器応答なし", "Device down"), "on": "device.up", "equals": False,
         "severity": "serious", "clear_for": "60s",
         "runbook": {"ja": "機器の電源とランプを確認する\n保守窓口へ連絡する",
                     "en": "Check power and lamps of the device\nCall its supplier"}},
        {"id": "circuit-down", "name": named("回線断", "Circuit down"), "on": "circuit.state", "equals": "down",
         "severity": "serious", "clear_for": "60s",
         "runbook": {"ja": "回線事業者の窓口へ連絡する\n迂回の要否を判断する（手順 R-07-2）\n県担当者へ一次通知する",
                     "en": "Call the provider's desk\nDecide on the detour (R-07-2)\nTell the officer"}},
        {"id": "cpu-high", "name": named("CPU使用率", "CPU load"), "on": "device.cpu_ratio", "above": "80%",
         "clear_below": "70%", "raise_for": "3m", "clear_for": "2m", "severity": "minor"},
        {"id": "cap", "name": named("通信量上限超過", "Above its cap"), "on": "tenant.in_cap_ratio", "above": "100%",
         "clear_below": "90%", "raise_for": "3m", "clear_for": "3m", "severity": "serious",
         "runbook": {"ja": "ほかの団体への影響（回線の利用率）を確かめる\n団体の情報担当へ電話し、原因を確かめる",
                     "en": "Check whether others suffer (use of the line)\nCall the tenant's desk"}},
    ]  # fmt: skip
    whole = {
        "organisation": {"name": named("三重県情報セキュリティクラウド", "Mie security cloud")},
        "mail": {"sender": "hinomi@noc.example.jp", "wall_url": "https://noc.example.jp"},
        "sites": sites,
        "devices": {entry["id"]: entry for entry in devices},
        "redundancy_groups": {
            "fw": {"id": "fw", "name": named("ファイアウォール", "Firewall pair")},
            "bo": {"id": "bo", "name": named("ブレイクアウト接続回線", "Breakout line")},
        },
        "circuits": {entry["id"]: entry for entry in circuits},
        "line_groups": {
            "breakout": {
                "id": "breakout",
                "name": named("ブレイクアウト", "Breakout"),
                "members": ["bo-1", "bo-2"],
                "ceiling_rate": "4G",
            },
        },
        "tenants": tenants,
        "contacts": {entry["id"]: entry for entry in contacts},
        "rules": {entry["id"]: entry for entry in rules},
    }
    return Estate.model_validate(whole | changes)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=JST).timestamp()) * SECOND


class Play:
    """The pipeline with its alerting on simulated time; mails() is what left, as (local time, to, subject)."""

    def __init__(self, path: Path, estate: Estate, start: str) -> None:
        self.path = path
        self.estate = estate
        self.now_ns = at(start)
        self._begin()
        self.facts: dict[tuple[str, tuple[tuple[str, str], ...]], dict] = {}
        self.next_poll_ns = self.now_ns
        self.golden = None

    def _begin(self) -> None:
        self.store = Store(self.path)
        self.alerting = Alerting(self.estate, self.store)
        self.pipeline = Pipeline(self.estate, lambda _samples: None, self.alerting, LiveState(self.estate))

    def restart(self) -> None:
        self.store.close()
        self._begin()

    def set(self, measurement, *tags, **fields) -> None:
        """From now on polls say this; and one says it now."""
        self.facts.setdefault((measurement, tags), {}).update(fields)
        self._observe([Sample(measurement, tags, dict(self.facts[measurement, tags]), self.now_ns)])

    def device(self, *ids, **fields) -> None:
        for id_ in ids:
            role = self.estate.devices[id_].role.value
            self.set("device", ("device", id_), ("role", role), ("site", "dc"), **fields)

    def circuit(self, *ids, state) -> None:
        for id_ in ids:
            self.set("circuit", ("circuit", id_), ("kind", "breakout"), ("line_group", "breakout"), state=state)

    def run(self, seconds: float, step: int = 1) -> None:
        """Time passes, with a poll of everything once a minute."""
        end = self.now_ns + int(seconds * SECOND)
        while self.now_ns < end:
            self.now_ns = min(self.now_ns + step * SECOND, end)
            if self.now_ns >= self.next_poll_ns:
                self.next_poll_ns = self.now_ns + 60 * SECOND
                self._observe([Sample(m, t, dict(f), self.now_ns) for (m, t), f in self.facts.items()])
            self.pipeline.tick(self.now_ns)

    def until(self, moment: str, step: int = 60) -> None:
        self.run((at(moment) - self.now_ns) / SECOND, step)

    def _observe(self, samples) -> None:
        self.pipeline.publish(samples, self.now_ns)

    def rows(self):
        return self.store.call(
            lambda db: db.execute(
                "SELECT created_ns, recipient, subject, message FROM outbox WHERE state = 'waiting' ORDER BY id"
            ).fetchall()
        ).result()

    def mails(self, to: str | None = None) -> list[tuple[str, str, str]]:
        return [
            (f"{datetime.fromtimestamp(created // SECOND, JST):%m-%d %H:%M:%S}", recipient, subject)
            for created, recipient, subject, _ in self.rows()
            if to in {None, recipient}
        ]

    def cap(self, tenant, ratio) -> None:
        self.set("tenant", ("tenant", tenant), ("line", "breakout"), in_cap_ratio=ratio)

    def text(self, index: int) -> str:
        return self.message(index).get_body(("plain",)).get_content().replace("\r\n", "\n")

    def message(self, index: int):
        return message_from_bytes(self.rows()[index][3], policy=default)


def check_golden(scene: Play, index: int, name: str) -> None:
    """A mail as its reader sees it, against what people found good."""
    scene.golden(scene.message(index), name)


@pytest.fixture
def play(tmp_path, golden):
    plays = []

    def begin(start: str, estate: Estate | None = None) -> Play:
        plays.append(Play(tmp_path / "alerts.sqlite", estate or prefecture(), start))
        plays[-1].golden = golden
        return plays[-1]

    yield begin
    for one in plays:
        one.store.close()


def test_both_breakout_lines_down_is_one_serious_incident_and_one_recovery(play) -> None:
    """One incident, one thread; the recovery with duration, cause class and acknowledger (R56, R58, R60, R64a)."""
    scene = play("2026-11-21 03:12:00")
    scene.device("bo-rt1", "bo-rt2", "sw-1", up=True)
    scene.circuit("bo-1", "bo-2", state="up")
    scene.run(41)
    scene.circuit("bo-1", "bo-2", state="down")
    scene.run(600)
    scene.alerting.acknowledge("2026-1121-001", "当番A", "", scene.now_ns)
    scene.run(2400)
    scene.circuit("bo-1", "bo-2", state="up")
    scene.run(300)
    down = "ブレイクアウト接続回線 主・副とも断"
    outside = "／契約範囲外（回線事業者側）の可能性大"
    english = "Breakout line main and backup both down"
    doubt = "; probably outside our contract (provider's side)"
    assert scene.mails() == [
        ("11-21 03:12:44", "noc@example.jp", f"【重大・対応要】{down}（3:12〜）影響3団体{outside}"),
        ("11-21 03:12:44", "oncall@example.jp", f"[SERIOUS] {english} (since 3:12) affects 3 tenants{doubt}"),
        ("11-21 03:12:44", "desk@example.net", f"【重大】{down}（3:12〜）影響3団体{outside}"),
        ("11-21 03:12:44", "it@tsu.example.jp", f"【重大】{down}（3:12〜）影響 津市{outside}"),
        ("11-21 04:04:01", "noc@example.jp", f"【復旧】{down}（3:12〜4:02、50分）{outside}"),
        ("11-21 04:04:01", "oncall@example.jp", f"[Recovered] {english} (3:12-4:02, 50 min){doubt}"),
        ("11-21 04:04:01", "desk@example.net", f"【復旧】{down}（3:12〜4:02、50分）{outside}"),
        ("11-21 04:04:01", "it@tsu.example.jp", f"【復旧】{down}（3:12〜4:02、50分）{outside}"),
    ]
    assert [incident.id for incident in scene.alerting.open_incidents()] == []
    check_golden(scene, 0, "down.ja.txt")
    check_golden(scene, 1, "down.en.txt")
    check_golden(scene, 2, "down.provider.ja.txt")
    check_golden(scene, 3, "down.tenant.ja.txt")
    check_golden(scene, 4, "recovery.ja.txt")
    check_golden(scene, 5, "recovery.en.txt")


def test_a_firewall_that_is_taken_over_by_its_standby_waits_for_the_morning_digest(play) -> None:
    """A standby that took over is minor (R56, R57, R64a)."""
    scene = play("2026-11-20 18:00:00")  # a Friday; Monday is a public holiday (Labour Thanksgiving Day)
    scene.device("fw-1", "fw-2", up=True)
    scene.run(60)
    scene.device("fw-1", up=False)
    scene.until("2026-11-24 09:00:00")
    assert scene.mails() == [
        ("11-24 08:30:00", "noc@example.jp", "【軽微】まとめ：継続中1件、復旧済み0件"),
        ("11-24 08:30:00", "oncall@example.jp", "[Minor] Digest: 1 ongoing, 0 over"),
    ]
    check_golden(scene, 0, "digest.ja.txt")
    check_golden(scene, 1, "digest.en.txt")


def test_a_minor_fault_before_a_long_weekend_that_turns_serious_on_sunday_leaves_at_once(play) -> None:
    """Held, then serious (R56, R57)."""
    scene = play("2026-11-20 18:00:00")
    scene.device("fw-1", "fw-2", up=True)
    scene.run(60)
    scene.device("fw-1", up=False)
    scene.until("2026-11-22 03:00:00")
    scene.device("fw-2", up=False)
    scene.run(60)
    scene.device("fw-2", up=True)
    scene.until("2026-11-24 08:00:00")
    scene.device("fw-1", up=True)
    scene.until("2026-11-25 09:00:00")
    inside = "／契約範囲内（当方側）"
    assert scene.mails("noc@example.jp") == [
        (
            "11-22 03:00:00",
            "noc@example.jp",
            f"【重大に変更・対応要】ファイアウォール 2系統とも応答なし（11/20 18:01〜）{inside}",
        ),
        (
            "11-22 03:02:00",
            "noc@example.jp",
            f"【一部復旧・軽微】ファイアウォール1号機 応答なし（11/20 18:01〜）{inside}",
        ),
        ("11-24 08:30:00", "noc@example.jp", "【軽微】まとめ：継続中0件、復旧済み1件"),
    ]
    assert [len(scene.mails(to)) for to in ("oncall@example.jp", "pref@example.jp", "it@tsu.example.jp")] == [3, 0, 0]
    for index, name in enumerate(("weekend", "weekend-eased", "weekend-over")):
        check_golden(scene, 2 * index, f"{name}.ja.txt")
        check_golden(scene, 2 * index + 1, f"{name}.en.txt")


def test_a_fault_that_is_over_before_the_digest_is_told_as_over(play) -> None:
    """If it cleared, the digest says so (R57)."""
    scene = play("2026-11-20 18:00:00")
    scene.device("dns-1", up=True, cpu_ratio=0.2)
    scene.device("dns-1", cpu_ratio=0.93)
    scene.run(900)
    scene.device("dns-1", cpu_ratio=0.3)
    scene.until("2026-11-24 09:00:00")
    assert scene.mails("noc@example.jp") == [
        ("11-24 08:30:00", "noc@example.jp", "【軽微】まとめ：継続中0件、復旧済み1件")
    ]
    assert "・内部DNS CPU使用率 93%　11月20日(金) 18:00 から15分" in scene.text(0)
    check_golden(scene, 0, "held-over.ja.txt")
    check_golden(scene, 1, "held-over.en.txt")


def test_a_switch_with_twelve_children_is_one_incident_and_a_child_left_behind_is_told(play) -> None:
    """A child still down after its parent's recovery is told (R53)."""
    scene = play("2026-11-21 10:00:00")
    children = [f"edge-{n:02}" for n in range(1, 13)]
    scene.device("sw-1", "fw-1", "fw-2", "bo-rt1", "bo-rt2", "dns-1", *children, up=True)
    scene.run(60)
    scene.device(*children[:6], up=False)  # seen before their parent
    scene.run(1)
    scene.device("sw-1", *children[6:], up=False)
    scene.run(300)
    assert [incident.id for incident in scene.alerting.open_incidents()] == ["2026-1121-001"]
    scene.device("sw-1", *children[:11], up=True)
    scene.run(400)
    inside = "／契約範囲内（当方側）"
    down, left = "集約スイッチ 応答なし", "団体側スイッチ12 応答なし"
    check_golden(scene, 0, "switch.ja.txt")
    check_golden(scene, 1, "switch.en.txt")
    assert scene.mails("noc@example.jp") == [
        ("11-21 10:01:03", "noc@example.jp", f"【重大・対応要】{down}（10:01〜）影響3団体{inside}"),
        ("11-21 10:10:01", "noc@example.jp", f"【復旧】{down}（10:01〜10:06、5分01秒）{inside}"),
        ("11-21 10:10:04", "noc@example.jp", f"【重大・対応要】{left}（10:01〜）{inside}"),
    ]


def test_twenty_flaps_in_a_minute_are_told_once_and_their_end_once(play) -> None:
    """Flapping and its end, and the true state (R52)."""
    scene = play("2026-11-21 10:00:00")
    scene.device("dns-1", up=True)
    scene.run(10)
    for turn in range(20):
        scene.device("dns-1", up=turn % 2 == 1)
        scene.run(3)
    scene.alerting.acknowledge("2026-1121-001", "当番A", "", scene.now_ns)
    scene.run(1200)
    inside = "／契約範囲内（当方側）"
    assert scene.mails("noc@example.jp") == [
        ("11-21 10:00:13", "noc@example.jp", f"【重大・対応要】内部DNS 応答なし（10:00〜）{inside}"),
        ("11-21 10:00:25", "noc@example.jp", f"【重大・不安定】内部DNS 応答なし（10:00〜）{inside}"),
        ("11-21 10:12:01", "noc@example.jp", f"【復旧】内部DNS 応答なし（10:00〜10:01、57秒）{inside}"),
    ]
    turning = [index for index, row in enumerate(scene.rows()) if "不安定" in row[2] or "flapping" in row[2]]
    check_golden(scene, turning[0], "flapping.ja.txt")
    check_golden(scene, turning[1], "flapping.en.txt")


def test_a_tenant_over_its_cap_for_twenty_minutes(play) -> None:
    scene = play("2026-11-21 10:00:00")
    scene.cap("tsu", 0.5)
    scene.run(60)
    scene.cap("tsu", 1.12)
    scene.run(1200)
    scene.cap("tsu", 0.5)
    scene.run(600)
    over = "津市 ブレイクアウト 通信量上限超過 112%"
    assert scene.mails("noc@example.jp") == [
        ("11-21 10:04:03", "noc@example.jp", f"【重大・対応要】{over}（10:01〜）影響 津市"),
        ("11-21 10:19:03", "noc@example.jp", f"【重大・未確認 再通知1】{over}（10:01〜）影響 津市"),
        ("11-21 10:24:01", "noc@example.jp", f"【復旧】{over}（10:01〜10:21、20分）"),
    ]
    counts = {to: len(scene.mails(to)) for to in ("oncall@example.jp", "pref@example.jp", "it@tsu.example.jp")}
    assert counts == {"oncall@example.jp": 3, "pref@example.jp": 0, "it@tsu.example.jp": 2}
    check_golden(scene, 0, "cap.ja.txt")
    check_golden(scene, 1, "cap.en.txt")
    check_golden(scene, 2, "cap.tenant.ja.txt")


def test_nobody_acknowledging_is_repeated_every_quarter_of_an_hour_until_somebody_does(play) -> None:
    """Repeated until acknowledged, escalated (R57, R60)."""
    scene = play("2026-11-21 10:00:00")
    scene.device("dns-1", up=False)
    scene.run(1900)
    store = Inquiry(scene.path.parent)
    store.command(
        AuditEntry(scene.now_ns, "当番B", "command line", "acknowledge", "2026-1121-001", "対応中", command=True)
    )
    scene.run(3000)
    subject = "内部DNS 応答なし（10:00〜）／契約範囲内（当方側）"
    assert [(when, text) for when, _, text in scene.mails("noc@example.jp")] == [
        ("11-21 10:00:03", f"【重大・対応要】{subject}"),
        ("11-21 10:15:03", f"【重大・未確認 再通知1】{subject}"),
        ("11-21 10:30:03", f"【重大・未確認 再通知2】{subject}"),
    ]
    assert [when for when, _, _ in scene.mails("second@example.jp")] == ["11-21 10:15:03", "11-21 10:30:03"]
    assert [when for when, _, _ in scene.mails("pref@example.jp")] == ["11-21 10:30:03"]
    assert "10:15 に副当番にも再通知します" in scene.text(0)
    again = [index for index, row in enumerate(scene.rows()) if "再通知1" in row[2] or "unacknowledged, 1" in row[2]]
    check_golden(scene, again[0], "repeat.ja.txt")
    check_golden(scene, again[1], "repeat.en.txt")
    incident = scene.alerting.incident("2026-1121-001")
    assert incident is not None
    assert incident.acknowledged_by == "当番B"
    scene.device("dns-1", up=True)
    scene.run(120)
    recovered = [index for index, row in enumerate(scene.rows()) if row[2].startswith("【復旧】")]
    assert "当番B 対応中" in scene.text(recovered[0])


def test_those_who_must_write_the_second_notice_are_reminded_of_it_half_an_hour_before(play) -> None:
    """Second notice within 2 h (R60a): once, although acknowledged; not where it was noted."""
    scene = play("2026-11-21 10:00:00")
    scene.device("bo-rt1", "bo-rt2", "sw-1", up=True)
    scene.circuit("bo-1", "bo-2", state="up")
    scene.run(60)
    scene.circuit("bo-1", "bo-2", state="down")
    scene.run(60)
    scene.alerting.acknowledge("2026-1121-001", "当番A", "", scene.now_ns)
    scene.until("2026-11-21 15:00:00")
    title = "ブレイクアウト接続回線 主・副とも断（10:01〜）影響3団体／契約範囲外（回線事業者側）の可能性大"
    assert scene.mails("noc@example.jp")[1:] == [
        ("11-21 11:31:00", "noc@example.jp", f"【重大・二次通知の期限 12:01】{title}")
    ]
    reminders = [to for when, to, _ in scene.mails() if when == "11-21 11:31:00"]
    assert reminders == ["noc@example.jp", "oncall@example.jp"]
    index = next(index for index, row in enumerate(scene.rows()) if "二次通知の期限" in row[2])
    check_golden(scene, index, "second-due.ja.txt")
    check_golden(scene, index + 1, "second-due.en.txt")


def test_nobody_is_reminded_of_a_second_notice_that_was_noted(play) -> None:
    scene = play("2026-11-21 10:00:00")
    scene.device("dns-1", up=False)
    scene.run(60)
    for action in ("acknowledge", "second_notice"):
        scene.alerting.carry_out(AuditEntry(scene.now_ns, "当番A", "cli", action, "2026-1121-001", "県へ報告"))
    scene.until("2026-11-21 15:00:00")
    assert len(scene.mails("noc@example.jp")) == 1


def test_our_own_uplink_pulled_is_one_alarm_and_nothing_else(play) -> None:
    """Self-isolation (R54)."""
    scene = play("2026-11-21 10:00:00")
    everything = list(scene.estate.devices)
    scene.device(*everything, up=True)
    scene.circuit("bo-1", "bo-2", state="up")
    scene.run(60)
    scene.device(*everything, up=False)
    scene.run(2)
    scene.circuit("bo-1", "bo-2", state="down")
    scene.run(600)
    assert scene.alerting.isolated
    scene.device(*everything, up=True)
    scene.circuit("bo-1", "bo-2", state="up")
    scene.run(600)
    alone = "監視装置の孤立（監視対象の大半に到達不可）"
    assert [(when, text.split("／")[0]) for when, _, text in scene.mails("noc@example.jp")] == [
        ("11-21 10:01:03", f"【重大・対応要】{alone}（10:01〜）"),
        ("11-21 10:13:01", f"【復旧】{alone}（10:01〜10:11、10分03秒）"),
    ]
    assert not scene.alerting.isolated
    check_golden(scene, 0, "isolated.ja.txt")
    check_golden(scene, 1, "isolated.en.txt")


def test_maintenance_mutes_and_what_is_still_bad_at_its_end_is_told_within_a_minute(play) -> None:
    """Maintenance (R55)."""
    works = {
        "id": "works",
        "name": named("DNS更新", "DNS update"),
        "start": "2026-11-21 22:00",
        "end": "2026-11-21 23:00",
        "where": {"devices": ["dns-*"]},
    }
    scene = play("2026-11-21 21:59:00", prefecture(maintenance={"works": works}))
    scene.device("dns-1", "sw-1", up=True)
    scene.run(120)
    scene.device("dns-1", up=False)
    scene.until("2026-11-21 23:05:00", step=20)
    inside = "／契約範囲内（当方側）"
    assert scene.mails() == [
        ("11-21 23:00:00", "noc@example.jp", f"【重大・対応要】内部DNS 応答なし（22:01〜）{inside}"),
        (
            "11-21 23:00:00",
            "oncall@example.jp",
            "[SERIOUS] Internal DNS not answering (since 22:01); inside our contract",
        ),
    ]
    check_golden(scene, 0, "after-works.ja.txt")
    check_golden(scene, 1, "after-works.en.txt")


def test_what_began_and_ended_within_maintenance_is_not_told_at_all(play) -> None:
    works = {"id": "works", "name": named("更新", "x"), "start": "2026-11-19 22:00", "end": "2026-11-19 23:00"}
    scene = play("2026-11-19 22:05:00", prefecture(maintenance={"works": works}))
    scene.device("dns-1", up=False, cpu_ratio=0.95)
    scene.run(900)
    scene.device("dns-1", up=True, cpu_ratio=0.2)
    scene.until("2026-11-20 09:00:00")
    assert scene.mails() == []
    assert scene.alerting.open_incidents() == []


def test_planned_maintenance_is_announced_the_day_before_and_at_its_end_once(play) -> None:
    """Announced (R55)."""
    works = {
        "id": "works",
        "name": named("DNS更新", "DNS update"),
        "start": "2026-11-21 22:00",
        "end": "2026-11-21 23:00",
        "contacts": ["pref", "oncall"],
        "where": {"devices": ["dns-*"]},
    }
    scene = play("2026-11-20 21:50:00", prefecture(maintenance={"works": works}))
    scene.run(1200, step=30)
    scene.restart()
    scene.until("2026-11-22 12:00:00")
    span = "2026年11月21日(土) 22:00 〜 23:00"
    assert scene.mails("pref@example.jp") == [
        ("11-20 22:00:00", "pref@example.jp", f"【作業予告】DNS更新（{span}）"),
        ("11-21 23:00:00", "pref@example.jp", f"【作業終了】DNS更新（{span}）"),
    ]
    assert len(scene.mails("oncall@example.jp")) == 2
    for index, name in enumerate(("planned.ja.txt", "planned.en.txt", "ended.ja.txt", "ended.en.txt")):
        check_golden(scene, index, name)


def test_a_silence_by_command_mutes_until_it_ends(play) -> None:
    scene = play("2026-11-21 10:00:00")
    silence = AuditEntry(
        scene.now_ns,
        "当番A",
        "cli",
        "silence",
        "device/dns-*",
        "交換",
        command=True,
        until_ns=at("2026-11-21 11:00:00"),
    )
    Inquiry(scene.path.parent).command(silence)
    scene.run(5)
    scene.device("dns-1", up=False)
    scene.run(600)
    scene.restart()  # a silence survives it
    scene.until("2026-11-21 11:05:00", step=20)
    inside = "／契約範囲内（当方側）"
    assert scene.mails() == [
        ("11-21 11:00:05", "noc@example.jp", f"【重大・対応要】内部DNS 応答なし（10:00〜）{inside}"),
        (
            "11-21 11:00:05",
            "oncall@example.jp",
            "[SERIOUS] Internal DNS not answering (since 10:00); inside our contract",
        ),
    ]
    check_golden(scene, 0, "after-silence.ja.txt")
    check_golden(scene, 1, "after-silence.en.txt")


def test_the_main_line_goes_down_and_then_the_other_one_too(play) -> None:
    """A standby that carries is minor and waits; no redundancy left leaves at once; both are one thread (R56, R57)."""
    scene = play("2026-11-21 02:40:00")
    scene.device("bo-rt1", "bo-rt2", "sw-1", up=True)
    scene.circuit("bo-1", "bo-2", state="up")
    scene.run(60)
    scene.circuit("bo-1", state="down")
    scene.run(1800)
    assert scene.mails() == []
    scene.circuit("bo-2", state="down")
    scene.run(300)
    scene.alerting.acknowledge("2026-1121-001", "当番A", "回線事業者へ連絡済み", scene.now_ns)
    scene.run(2400)
    scene.circuit("bo-2", state="up")
    scene.run(300)
    outside = "／契約範囲外（回線事業者側）の可能性大"
    both = "ブレイクアウト接続回線 主・副とも断"
    assert scene.mails("noc@example.jp") == [
        ("11-21 03:11:00", "noc@example.jp", f"【重大に変更・対応要】{both}（2:41〜）影響3団体{outside}"),
        (
            "11-21 03:57:01",
            "noc@example.jp",
            f"【一部復旧・軽微】ブレイクアウト接続回線（主） 断（2:41〜）{outside}",
        ),
    ]
    check_golden(scene, 0, "worse.ja.txt")
    check_golden(scene, 1, "worse.en.txt")
    eased = [index for index, row in enumerate(scene.rows()) if "一部復旧" in row[2] or "Partly" in row[2]]
    check_golden(scene, eased[0], "eased.ja.txt")
    check_golden(scene, eased[1], "eased.en.txt")


def all_tenants_cut_off(play, *, english: bool = False) -> Play:
    """The prefecture's line to the Internet is down as a whole; tenants are mailed by themselves."""
    estate = load(EXAMPLES / "prefecture").estate
    contacts = {
        id_: contact.model_copy(update={"severities": ("serious",)}) if contact.role == "tenant" else contact
        for id_, contact in estate.contacts.items()
    }
    estate = estate.model_copy(update={"contacts": contacts})
    scene = play("2026-11-21 03:12:00", in_the_other_language(estate) if english else estate)
    other = {"state": "up", "in_bits_per_second": 212e6, "in_committed_ratio": 0.212}
    scene.set("line_group", ("line_group", "breakout"), **other)
    circuits = [circuit.id for circuit in estate.circuits.values() if circuit.kind.value == "internet"]
    for state in ("up", "down", "down"):
        for circuit in circuits:
            scene.set("circuit", ("circuit", circuit), ("kind", "internet"), ("line_group", "internet"), state=state)
        scene.set("line_group", ("line_group", "internet"), state=state)
        scene.run(41)
    scene.run(30)
    return scene


def test_all_tenants_cut_off_in_english(play) -> None:
    scene = all_tenants_cut_off(play, english=True)
    check_golden(scene, 0, "all-tenants.en.txt")
    check_golden(scene, index_of(scene, "ict@city.tsu.example.jp"), "all-tenants.tenant.en.txt")


def test_thirty_three_tenants_are_one_mail_to_the_operators_and_one_to_each_of_them(play) -> None:
    """One incident, capped by person and not by tenant; each tenant reads of itself alone (R58)."""
    scene = all_tenants_cut_off(play)
    estate = scene.estate
    contacts = estate.contacts
    mails = scene.mails()
    by_role = {
        role: [subject for _, to, subject in mails if to in {c.email for c in contacts.values() if c.role == role}]
        for role in ("operator", "engineer", "officer", "provider", "tenant")
    }
    assert {"operator": 1, "engineer": 1, "officer": 0, "provider": 0, "tenant": 33} == {
        role: len(subjects) for role, subjects in by_role.items()
    }
    assert "影響33団体" in by_role["operator"][0]
    names = {tenant.name.ja for tenant in estate.tenants.values()}
    assert names == {subject.partition("影響 ")[2].partition("／")[0] for subject in by_role["tenant"]}
    index = index_of(scene, "ict@city.tsu.example.jp")
    assert [name for name in names if name in scene.text(index) and name != "津市"] == ["三重県"]  # who writes
    check_golden(scene, 0, "all-tenants.ja.txt")
    check_golden(scene, index, "all-tenants.tenant.ja.txt")


def in_the_other_language(estate: Estate) -> Estate:
    """The estate with every contact's language exchanged."""
    turned = {"ja": "en", "en": "ja"}
    contacts = {
        id_: contact.model_copy(update={"lang": turned[contact.lang]}) for id_, contact in estate.contacts.items()
    }
    return estate.model_copy(update={"contacts": contacts})


def index_of(scene: Play, to: str) -> int:
    return next(index for index, row in enumerate(scene.rows()) if row[1] == to)


def test_providers_and_tenants_who_read_english_are_told_the_same(play) -> None:
    scene = play("2026-11-21 03:12:00", in_the_other_language(prefecture()))
    scene.device("bo-rt1", "bo-rt2", "sw-1", up=True)
    scene.circuit("bo-1", "bo-2", state="up")
    scene.run(41)
    scene.circuit("bo-1", "bo-2", state="down")
    scene.run(5)
    check_golden(scene, index_of(scene, "desk@example.net"), "down.provider.en.txt")
    check_golden(scene, index_of(scene, "it@tsu.example.jp"), "down.tenant.en.txt")


def test_a_tenant_above_its_cap_reads_of_it_in_english(play) -> None:
    scene = play("2026-11-21 10:00:00", in_the_other_language(prefecture()))
    scene.cap("tsu", 1.12)
    scene.run(240)
    check_golden(scene, index_of(scene, "it@tsu.example.jp"), "cap.tenant.en.txt")


def test_a_storm_is_ten_mails_in_ten_minutes_and_one_of_them_tells_the_rest(play) -> None:
    """The storm cap (R58)."""
    scene = play("2026-11-21 10:00:00")
    edges = [f"edge-{n:02}" for n in range(1, 13)]
    scene.device("sw-1", "fw-1", "fw-2", "bo-rt1", "bo-rt2", "dns-1", *edges, up=True)
    for circuit_free in [*edges, "dns-1"]:  # one after the other, each a fault of its own
        scene.device(circuit_free, up=False)
        scene.run(1)
        if circuit_free == "edge-08":
            scene.device(*edges[:8], up=True)  # so that it is no isolation
    scene.run(90)
    mails = scene.mails("noc@example.jp")
    assert len(mails) == 10
    assert [text for _, _, text in mails[-1:]] == ["【通知多数】4件をまとめてお知らせします"]
    stormy = [index for index, row in enumerate(scene.rows()) if "通知多数" in row[2] or "Many notices" in row[2]]
    check_golden(scene, stormy[0], "storm.ja.txt")
    check_golden(scene, stormy[1], "storm.en.txt")


def test_a_child_waits_for_a_parent_that_is_failing_but_not_yet_judged(play) -> None:
    """A child is not told before its parent is judged (R53)."""
    rules = {
        "down": {
            "id": "down",
            "name": named("応答なし", "Down"),
            "on": "device.up",
            "equals": False,
            "severity": "serious",
            "where": {"devices": ["edge-*"]},
        },
        "core": {
            "id": "core",
            "name": named("応答なし", "Down"),
            "on": "device.up",
            "equals": False,
            "severity": "serious",
            "raise_for": "20s",
            "where": {"devices": ["sw-*"]},
        },
    }
    scene = play("2026-11-21 10:00:00", prefecture(rules=rules))
    scene.device("fw-1", "fw-2", "bo-rt1", "bo-rt2", "dns-1", "sw-1", "edge-01", up=True)
    scene.device("edge-01", up=False)
    assert scene.alerting.take_suspects() == ("sw-1",)
    assert scene.alerting.take_suspects() == ()
    scene.device("sw-1", up=False)
    scene.run(60)
    inside = "／契約範囲内（当方側）"
    assert [(when, text) for when, _, text in scene.mails("noc@example.jp")] == [
        ("11-21 10:00:20", f"【重大・対応要】集約スイッチ 応答なし（10:00〜）影響3団体{inside}"),
    ]


def test_hundreds_of_faults_at_once_are_spread_over_the_seconds_and_capped(play) -> None:
    """The storm cap (R58)."""
    entry = {"name": named("x", "x"), "role": "switch", "site": "dc"}
    devices = {f"d{n}": entry | {"id": f"d{n}", "addresses": [f"10.0.{n // 200}.{n % 200}"]} for n in range(400)}
    bare = {"redundancy_groups": {}, "circuits": {}, "line_groups": {}, "tenants": {}}
    scene = play("2026-11-21 10:00:00", prefecture(devices=devices, **bare))
    samples = [
        Sample("device", (("device", id_), ("role", "switch"), ("site", "dc")), {"up": n >= 150}, scene.now_ns)
        for n, id_ in enumerate(devices)
    ]
    scene.alerting.observe(samples, scene.now_ns)
    scene.run(59)
    assert len(scene.alerting.open_incidents()) == 150
    assert all(incident.told.first_ns is not None for incident in scene.alerting.open_incidents())
    mails = scene.mails("noc@example.jp")
    assert (len(mails), mails[-1][2]) == (10, "【通知多数】141件をまとめてお知らせします")


def test_a_restart_neither_forgets_nor_tells_twice(play) -> None:
    """State survives (R73)."""
    scene = play("2026-11-21 10:00:00")
    scene.device("dns-1", up=False)
    scene.run(5)
    scene.restart()
    scene.run(600)
    scene.restart()
    scene.device("dns-1", up=True)
    scene.run(300)
    scene.restart()
    scene.run(300)
    scene.device("dns-1", up=False)
    scene.run(5)
    assert [(when, text[:4]) for when, _, text in scene.mails("noc@example.jp")] == [
        ("11-21 10:00:03", "【重大・"),
        ("11-21 10:12:01", "【復旧】"),
        ("11-21 10:20:08", "【重大・"),
    ]
    assert [incident.id for incident in scene.alerting.open_incidents()] == ["2026-1121-002"]


def test_every_mail_of_an_incident_is_in_one_thread_and_says_why_it_was_sent(play) -> None:
    """One thread (R58)."""
    scene = play("2026-11-21 10:00:00")
    scene.device("dns-1", up=False)
    scene.run(1000)
    messages = [scene.message(index) for index, row in enumerate(scene.rows()) if row[1] == "noc@example.jp"]
    root = "<2026-1121-001.1.noc@noc.example.jp>"
    assert [message["Message-ID"] for message in messages] == [root, "<2026-1121-001.2.noc@noc.example.jp>"]
    assert [message["References"] for message in messages] == [None, root]
    assert [message["X-Hinomi-Reason"] for message in messages] == ["new serious fault", "nobody has acknowledged it"]
    assert {message["X-Hinomi-Incident"] for message in messages} == {"2026-1121-001"}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_whatever_a_name_says_the_mail_has_our_headers_and_no_others(text) -> None:
    """Text is cleaned before a mail header (R77)."""
    devices = prefecture().model_dump(mode="json")["devices"]
    devices["dns-1"]["name"] = {"ja": text, "en": text}
    estate = prefecture(devices=devices)
    subject = clean(subject_name(Subject("device", "dns-1"), estate, "ja"))
    letter = render_test(estate.contacts["noc"].model_copy(update={"name": Name(ja=text, en=text)}), estate, 0)
    headers = message_from_bytes(letter.write(), policy=default).keys()
    assert not any(unicodedata.category(sign)[0] == "C" for sign in subject)
    assert sorted(headers) == sorted(PLAIN_HEADERS)


def test_text_from_the_network_cannot_add_a_header_or_a_line(play) -> None:
    """Text is cleaned before a mail header (R77)."""
    evil = "x\r\nBcc: everybody@example.com\r\n\r\nhello\u202e\x1b[31m"
    devices = prefecture().model_dump(mode="json")["devices"]
    devices["dns-1"]["name"] = named(evil, evil)
    scene = play("2026-11-21 10:00:00", prefecture(devices=devices))
    scene.device("dns-1", up=False)
    scene.run(5)
    message = scene.message(0)
    assert message["Bcc"] is None
    assert message["Subject"].startswith("【重大・対応要】x Bcc: everybody@example.com hello[31m 応答なし")
    assert not {"\u202e", "\x1b"} & set(message.as_string())
