"""Whole journeys on simulated time, each with the exact list of mails that must leave."""

from datetime import datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.estate import Estate
from poller.sample import Sample

SECOND = 1_000_000_000
JST = ZoneInfo("Asia/Tokyo")
ONE = {"ja": "x", "en": "x"}


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
         "runbook": "機器の電源とランプを確認する\n保守窓口へ連絡する"},
        {"id": "circuit-down", "name": named("回線断", "Circuit down"), "on": "circuit.state", "equals": "down",
         "severity": "serious", "clear_for": "60s",
         "runbook": "回線事業者の窓口へ連絡する\n迂回の要否を判断する（手順 R-07-2）\n県担当者へ一次通知する"},
        {"id": "cpu-high", "name": named("CPU使用率", "CPU load"), "on": "device.cpu_ratio", "above": "80%",
         "clear_below": "70%", "raise_for": "3m", "clear_for": "2m", "severity": "minor"},
        {"id": "cap", "name": named("通信量上限超過", "Above its cap"), "on": "tenant.in_cap_ratio", "above": "100%",
         "clear_below": "90%", "raise_for": "3m", "clear_for": "3m", "severity": "serious"},
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
    """The alerting on simulated time; mails() is what left, as (local time, to, subject)."""

    def __init__(self, path: Path, estate: Estate, start: str) -> None:
        self.path = path
        self.estate = estate
        self.now_ns = at(start)
        self.store = Store(path)
        self.alerting = Alerting(estate, self.store)
        self.facts: dict[tuple[str, tuple[tuple[str, str], ...]], dict] = {}
        self.next_poll_ns = self.now_ns
        self.changes = []

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.path)
        self.alerting = Alerting(self.estate, self.store)

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
            self.changes += self.alerting.tick(self.now_ns)

    def until(self, moment: str, step: int = 60) -> None:
        self.run((at(moment) - self.now_ns) / SECOND, step)

    def _observe(self, samples) -> None:
        self.changes += self.alerting.observe(samples, self.now_ns)

    def rows(self):
        return self.store.call(
            lambda db: db.execute("SELECT created_ns, recipient, subject, message FROM outbox ORDER BY id").fetchall()
        ).result()

    def mails(self, to: str | None = None) -> list[tuple[str, str, str]]:
        return [
            (f"{datetime.fromtimestamp(created // SECOND, JST):%m-%d %H:%M:%S}", recipient, subject)
            for created, recipient, subject, _ in self.rows()
            if to in {None, recipient}
        ]

    def cap(self, tenant, ratio) -> None:
        self.set("tenant", ("tenant", tenant), ("line", "breakout"), in_cap_ratio=ratio)

    def message(self, index: int):
        return message_from_bytes(self.rows()[index][3], policy=default)


@pytest.fixture
def play(tmp_path):
    plays = []

    def begin(start: str, estate: Estate | None = None) -> Play:
        plays.append(Play(tmp_path / "alerts.db", estate or prefecture(), start))
        return plays[-1]

    yield begin
    for one in plays:
        one.store.close()


def test_both_breakout_lines_down_is_one_serious_incident_and_one_recovery(play) -> None:
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
        ("11-21 03:12:44", "desk@example.net", f"【重大・対応要】{down}（3:12〜）影響3団体{outside}"),
        ("11-21 03:12:44", "it@tsu.example.jp", f"【重大・対応要】{down}（3:12〜）影響 津市{outside}"),
        ("11-21 04:04:01", "noc@example.jp", f"【復旧】{down}（3:12〜4:02、50分）{outside}"),
        ("11-21 04:04:01", "oncall@example.jp", f"[Recovered] {english} (3:12-4:02, 50 min){doubt}"),
        ("11-21 04:04:01", "desk@example.net", f"【復旧】{down}（3:12〜4:02、50分）{outside}"),
        ("11-21 04:04:01", "it@tsu.example.jp", f"【復旧】{down}（3:12〜4:02、50分）{outside}"),
    ]
    assert [incident.id for incident in scene.alerting.open_incidents()] == []


def test_a_firewall_that_is_taken_over_by_its_standby_waits_for_the_morning_digest(play) -> None:
    scene = play("2026-11-20 18:00:00")  # a Friday; Monday is a holiday (Labour Thanksgiving Day)
    scene.device("fw-1", "fw-2", up=True)
    scene.run(60)
    scene.device("fw-1", up=False)
    scene.until("2026-11-24 09:00:00")
    print(scene.mails()); print(scene.message(0).get_content())


def test_the_second_firewall_going_down_makes_it_serious_at_once(play) -> None:
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
    for m in scene.mails(): print(m)
    for i in (0,2,len(scene.rows())-1): print(scene.message(i).get_content())


def test_a_switch_with_twelve_children_is_one_incident(play) -> None:
    scene = play("2026-11-21 10:00:00")
    children = [f"edge-{n:02}" for n in range(1, 13)]
    scene.device("sw-1", "fw-1", "fw-2", "bo-rt1", "bo-rt2", "dns-1", *children, up=True)
    scene.run(60)
    scene.device(*children[:6], up=False)
    scene.run(1)
    scene.device("sw-1", up=False)
    scene.device(*children[6:], up=False)
    scene.run(300)
    for m in scene.mails(): print(m)
    print(scene.message(0).get_content())
    print([i.id for i in scene.alerting.open_incidents()])
    scene.device("sw-1", *children[:11], up=True)
    scene.run(600)
    for m in scene.mails(): print(m)


def test_flap(play) -> None:
    scene = play("2026-11-21 10:00:00")
    scene.device("dns-1", up=True)
    scene.run(10)
    for n in range(20):
        scene.device("dns-1", up=n % 2 == 1)
        scene.run(3)
    scene.alerting.acknowledge("2026-1121-001", "当番A", "", scene.now_ns)
    scene.run(1200)
    for m in scene.mails("noc@example.jp"): print(m)


def test_cap(play) -> None:
    scene = play("2026-11-21 10:00:00")
    scene.cap("tsu", 0.5)
    scene.run(60)
    scene.cap("tsu", 1.12)
    scene.run(1200)
    scene.cap("tsu", 0.5)
    scene.run(600)
    for m in scene.mails(): print(m)
    print(scene.message(0).get_content())
