"""Rules of every kind: what they raise on, and what the mail says about it in both languages."""

from pathlib import Path

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.headline import ending, headline, sentence
from poller.alerts.incidents import Incident
from poller.alerts.rules import KINDS
from poller.alerts.store import Store
from poller.config import load
from poller.estate import Rule
from poller.sample import Sample

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
ESTATE = load(Path(__file__).parents[1] / "config" / "examples" / "prefecture").estate
FIREWALL = (("device", "fw-1"), ("role", "firewall"), ("site", "dc"))
LEVEL = (("kind", "service"), ("subject", "dns-internal-1"))
INTERNET = (("line_group", "internet"), ("direction", "in"))


def rule(on: str, ja: str, en: str, **more) -> Rule:
    given = {"severity": "serious", "clear_for": "0s", **more}
    return Rule.model_validate({"id": "one", "name": {"ja": ja, "en": en}, "on": on, **given})


class Watched:
    """An alerting with one rule; see() hands it one sample, pass_time() lets the clock go on."""

    def __init__(self, path: Path, one: Rule) -> None:
        self.store = Store(path / "alerts.sqlite")
        self.estate = ESTATE.model_copy(update={"rules": {"one": one}})
        self.alerting = Alerting(self.estate, self.store)
        self.now_ns = NOW

    def see(self, measurement: str, tags, *, after_ns: int = MINUTE, late_ns: int = 0, **fields) -> None:
        self.now_ns += after_ns
        self.alerting.observe([Sample(measurement, tags, fields, self.now_ns - late_ns)], self.now_ns)

    def pass_time(self, nanoseconds: int) -> None:
        self.now_ns += nanoseconds
        self.alerting.tick(self.now_ns)

    def open(self) -> list[Incident]:
        return self.alerting.open_incidents()


@pytest.fixture
def watch(tmp_path):
    made = []

    def begin(one: Rule) -> Watched:
        made.append(Watched(tmp_path, one))
        return made[-1]

    yield begin
    for one in made:
        one.store.close()


NOTIFIED = {"text": "電源が故障した：PS1", "alarm": "powerFailed PS1", "raised": True}
SAID = [
    (
        rule("device.cpu_ratio", "CPU使用率", "CPU load", above="80%"),
        ("device", FIREWALL, {"cpu_ratio": 0.93}),
        ("ファイアウォール1号機 CPU使用率 93%", "Firewall 1: CPU load 93%"),
        (
            "ファイアウォール1号機で「CPU使用率」を検知しました。測定値は93%（しきい値 80% 超）です。",
            "Firewall 1: CPU load 93% (threshold above 80%).",
        ),
    ),
    (
        rule("service.certificate_days", "証明書の残り日数", "Days left to the certificate", below=14),
        ("service", (("service", "web-portal"), ("kind", "https")), {"certificate_days": 9.0}),
        None,
        (
            "「証明書の残り日数」を検知しました。測定値は9日（しきい値 14日 未満）です。",
            "9 days (threshold below 14 days).",
        ),
    ),
    (
        rule("device.up", "機器の応答なし", "Device does not answer", equals=False),
        ("device", FIREWALL, {"up": False}),
        ("ファイアウォール1号機 応答なし", "Firewall 1 not answering"),
        ("ファイアウォール1号機が応答していません。", "Firewall 1 not answering."),
    ),
    (
        rule("device.ha_role", "冗長の相手がいない", "Running without its partner", equals="alone"),
        ("device", FIREWALL, {"ha_role": "alone"}),
        ("ファイアウォール1号機 冗長の相手がいない", "Firewall 1 Running without its partner"),
        ("ファイアウォール1号機で「冗長の相手がいない」を検知しました。", "Firewall 1 Running without its partner."),
    ),
    (
        rule("tenant.in_cap_ratio", "上限超過", "Above its cap", above="100%"),
        ("tenant", (("tenant", "tsu"), ("line", "internet")), {"in_cap_ratio": 1.12}),
        ("津市 インターネット接続 上限超過 112%", "Tsu City Internet: Above its cap 112%"),
        ("津市 インターネット接続で「上限超過」を検知しました。測定値は112%（しきい値 100% 超）です。", "112%"),
    ),
    (
        rule("notification.raised", "電源故障の通知", "Power failure told", equals=True),
        ("notification", (("device", "fw-1"), ("name", "powerFailed"), ("severity", "serious")), NOTIFIED),
        (
            "ファイアウォール1号機 電源故障の通知（powerFailed PS1）",
            "Firewall 1: Power failure told (powerFailed PS1)",
        ),
        (
            "ファイアウォール1号機から「電源故障の通知」を受信しました（トラップ powerFailed PS1）。",
            "Firewall 1: Power failure told (powerFailed PS1).",
        ),
    ),
    (
        rule("forecast.days_to_80", "80％到達の見込み", "80 % expected", below=90, clear_above=100),
        ("forecast", INTERNET, {"days_to_80": 62.0, "days_used": 200}),
        ("インターネット接続 下り 80％到達の見込み あと62日", "Internet inward: 80 % expected in 62 days"),
        (
            "インターネット接続 下りは、この増え方が続くとあと62日で契約上限の80％に達する見込みです。",
            "Internet inward: 80 % expected in 62 days (threshold below 90 days).",
        ),
    ),
    (
        rule("service_level.availability_ratio", "今月の稼働率", "Availability this month", below="99.9%"),
        ("service_level", LEVEL, {"availability_ratio": 0.99861}),
        ("内部DNS 1号機 今月の稼働率 99.861%", "Internal DNS 1: Availability this month 99.861%"),
        (
            "内部DNS 1号機で「今月の稼働率」を検知しました。測定値は99.861%（しきい値 99.9% 未満）です。",
            "Internal DNS 1: Availability this month 99.861% (threshold below 99.9%).",
        ),
    ),
    (
        rule("daemon.trouble", "測定値を保存できない", "measurements cannot be kept", equals=True),
        ("daemon", (("node", "self"), ("part", "journal")), {"trouble": True}),
        ("測定値を保存できない（journal）", "measurements cannot be kept (journal)"),
        ("監視装置自身で「測定値を保存できない」を検知しました。", "measurements cannot be kept (journal)."),
    ),
]


@pytest.mark.parametrize(("one", "seen", "titles", "says"), SAID, ids=lambda each: getattr(each, "on", ""))
def test_a_rule_of_every_kind_is_told_in_words_of_both_languages(watch, one, seen, titles, says) -> None:
    """Rules on thresholds, states, caps, notifications, forecasts and service levels (R51, R58)."""
    scene = watch(one)
    measurement, tags, fields = seen
    scene.see(measurement, tags, **fields)
    (incident,) = scene.open()
    if titles is not None:
        assert titles == tuple(headline(incident, scene.estate, lang) for lang in ("ja", "en"))
    told = tuple(sentence(incident, scene.estate, lang) for lang in ("ja", "en"))
    assert [True, True] == [part in whole for part, whole in zip(says, told, strict=True)], told


def test_a_change_is_told_with_what_it_became(watch) -> None:
    scene = watch(rule("device.ha_role", "冗長系の切り替わり", "Failover", changes=True))
    scene.see("device", FIREWALL, ha_role="standby")
    assert [] == scene.open()
    scene.see("device", FIREWALL, ha_role="active")
    (incident,) = scene.open()
    told = "ファイアウォール1号機で「冗長系の切り替わり」を検知しました。現在は「稼働系」です。"
    assert (told, "Firewall 1: Failover -> active.") == tuple(
        sentence(incident, scene.estate, lang) for lang in ("ja", "en")
    )


def test_what_is_unusual_is_told_against_its_usual_value(watch) -> None:
    unusual = rule("device.round_trip_delay_seconds", "応答の遅れ", "Slow answers", above_median=3, clear_median=1.5)
    scene = watch(unusual)
    for _ in range(400):
        scene.see("device", FIREWALL, round_trip_delay_seconds=0.004)
    scene.see("device", FIREWALL, round_trip_delay_seconds=0.050)
    (incident,) = scene.open()
    told = "ファイアウォール1号機で「応答の遅れ」を検知しました。測定値は50 ms（平常値の3倍 超）です。"
    assert told == sentence(incident, scene.estate, "ja")
    assert "Firewall 1: Slow answers 50 ms (more than 3 times its usual value)." == sentence(
        incident, scene.estate, "en"
    )


def test_what_falls_silent_is_told_as_silence_and_not_as_the_level_that_nobody_measured(watch) -> None:
    """Absence: no-data policy "raise" (R51)."""
    scene = watch(rule("device.cpu_ratio", "CPU使用率 80％超", "CPU above 80 %", above="80%", no_data="raise"))
    scene.see("device", FIREWALL, cpu_ratio=0.2)
    for _ in range(5):
        scene.pass_time(MINUTE)
    (incident,) = scene.open()
    assert (
        "ファイアウォール1号機 測定値が届かない（CPU使用率 80％超）",
        "Firewall 1: no readings arrive (CPU above 80 %)",
    ) == (
        headline(incident, scene.estate, "ja"),
        headline(incident, scene.estate, "en"),
    )
    assert "ファイアウォール1号機の測定値が届いていません（CPU使用率 80％超）。" == sentence(
        incident, scene.estate, "ja"
    )
    scene.see("device", FIREWALL, cpu_ratio=0.3)
    assert [] == scene.open()


def test_the_end_is_told_in_words_too(watch) -> None:
    scene = watch(rule("device.up", "機器の応答なし", "Device does not answer", equals=False))
    scene.see("device", FIREWALL, up=False)
    (incident,) = scene.open()
    assert ("ファイアウォール1号機は復旧しました。", "Firewall 1 not answering: this is over.") == tuple(
        ending(incident, scene.estate, lang) for lang in ("ja", "en")
    )


def test_no_kind_of_rule_is_left_without_words() -> None:
    """Who adds a kind of rule must say here what it is called."""
    told = {kind for one, *_ in SAID for kind in KINDS if getattr(one, kind)} | {"equals", "changes", "above_median"}
    assert told == KINDS.keys()


def test_a_forecast_that_names_no_day_any_more_clears_and_silence_does_not(watch) -> None:
    """A forecast without a day says "not within three years": an answer; no forecast at all clears nothing (R51)."""
    scene = watch(rule("forecast.days_to_80", "80％到達の見込み", "80 % expected", below=90, clear_above=100))
    scene.see("forecast", INTERNET, after_ns=HOUR, late_ns=50 * MINUTE, days_to_80=62.0, days_used=200)
    assert 1 == len(scene.open())
    for _ in range(48):
        scene.pass_time(HOUR)
    assert 1 == len(scene.open())
    scene.see("forecast", INTERNET, after_ns=HOUR, trend_bits_per_second_per_day=-4.0, days_used=202)
    assert [] == scene.open()


def test_both_directions_of_a_line_are_one_incident_and_two_services_are_two(watch) -> None:
    scene = watch(rule("forecast.days_to_80", "80％到達の見込み", "80 % expected", below=90))
    scene.see("forecast", INTERNET, days_to_80=62.0)
    scene.see("forecast", (("line_group", "internet"), ("direction", "out")), days_to_80=12.0)
    assert [2] == [len(incident.members) for incident in scene.open()]


def test_the_levels_of_two_services_are_two_incidents(watch) -> None:
    other = watch(rule("service_level.allowance_left_ratio", "許容時間の残り", "Allowance left", below="25%"))
    other.see("service_level", LEVEL, allowance_left_ratio=0.1)
    other.see("service_level", (("kind", "service"), ("subject", "dns-internal-2")), allowance_left_ratio=-0.2)
    assert [1, 1] == [len(incident.members) for incident in other.open()]


@pytest.mark.parametrize(
    ("where", "tags", "expected"),
    [
        ({"line_groups": ["internet"]}, INTERNET, 1),
        ({"line_groups": ["breakout"]}, INTERNET, 0),
        ({"services": ["dns-*"]}, LEVEL, 1),
        ({"services": ["web-*"]}, LEVEL, 0),
        ({"services": ["*"]}, (("kind", "tenant"), ("subject", "tsu")), 0),
        ({"tenants": ["*"]}, (("kind", "tenant"), ("subject", "tsu")), 1),
        ({"sites": ["dc"]}, (("kind", "device"), ("subject", "fw-1")), 1),
        ({"kinds": ["internet"]}, (("kind", "circuit"), ("subject", "int-1")), 1),
    ],
)
def test_selectors_choose_among_forecasts_and_service_levels(watch, where, tags, expected: int) -> None:
    forecast = tags[0][0] == "line_group"
    on, field = ("forecast", "days_to_80") if forecast else ("service_level", "availability_ratio")
    scene = watch(rule(f"{on}.{field}", "x", "x", below=5 if forecast else "99%", where=where))
    scene.see(on, tags, **{field: 0.5})
    assert expected == len(scene.open())
