"""What the daemon does with notifications: samples, alerts, polls, acknowledgements, canary."""

import json
import socket
from email import message_from_bytes
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

import pytest

from poller.alerts.engine import Alerting
from poller.alerts.inquiry import Inquiry
from poller.alerts.notifications import ACCEPT_ENGINE
from poller.alerts.records import AuditEntry
from poller.alerts.store import Store
from poller.asking import Asking
from poller.config import load
from poller.estate import Rule
from poller.followup import Look
from poller.notified import Notified
from poller.pipeline import Pipeline
from poller.sample import Sample
from poller.settings import Name
from poller.share import share
from poller.storage.journal import Journal
from poller.wall.live import LiveState
from probes.snmp.engine import EngineClock
from probes.snmp.message import CommunityMessage, Pdu, PduKind, encode_message
from probes.snmp.values import Tag, VarBind
from traps.catalogue import load_catalogue
from traps.flood import Flood, Limits
from traps.intake import Intake
from traps.notification import SYS_UPTIME, TRAP_OID
from traps.security import Engine, Security
from traps.sources import Identity, Sources

NOON_NS = 1_763_694_000 * 10**9
SECOND_NS = 10**9
TRAPS = (1, 3, 6, 1, 6, 3, 1, 1, 5)
IF_ENTRY = (1, 3, 6, 1, 2, 1, 2, 2, 1)
FG_HA_SWITCH = (1, 3, 6, 1, 4, 1, 12356, 101, 2, 0, 401)
CATALOGUE = load_catalogue(sorted((share("config") / "traps").glob("*.yaml")))
FAILED = b"GigabitEthernet0/1"


class Place:
    """A Notified with everything behind it but the network; samples are kept beside the journal."""

    def __init__(self, tmp_path: Path, journal: Journal, *rules: Rule, lang: str = "ja") -> None:
        estate = load(share("config/examples/prefecture")).estate
        contacts = {key: each.model_copy(update={"lang": lang}) for key, each in estate.contacts.items()}
        self.estate = estate.model_copy(update={"rules": {rule.id: rule for rule in rules}, "contacts": contacts})
        self.samples: list[Sample] = []
        with_end = {one.alarm for one in CATALOGUE if one.has_end}
        self.store = Store(tmp_path / "alerts.sqlite")
        self.alerting = Alerting(self.estate, self.store, alarms_with_end=with_end)
        pipeline = Pipeline(self.estate, self._append, self.alerting, LiveState(self.estate))
        self.journal = journal
        self.asking = Asking(None, None, {})
        devices = {address: device.id for device in self.estate.devices.values() for address in device.addresses}
        sources = Sources(devices, shared=Identity(frozenset([b"public"])))
        self.intake = Intake(sources, CATALOGUE, Security(b"\x80\0\0\0\5abcd", 1, NOON_NS / 1e9), Flood(Limits()))
        self.notified = Notified(self.estate, self.intake, pipeline, journal, self.asking)
        self.looks: list[Look] = []
        self.notified.look = self.looks.append

    def _append(self, samples) -> None:
        self.samples += samples
        self.journal.append(samples)

    def told(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.measurement == "notification"]

    def send(self, device: str, oid, *varbinds: VarBind, at_ns: int = NOON_NS, uptime: int = 10**8) -> None:
        frame = [VarBind(SYS_UPTIME, uptime, Tag.TIME_TICKS), VarBind(TRAP_OID, oid, Tag.OBJECT_IDENTIFIER)]
        pdu = Pdu(PduKind.TRAP_V2, at_ns & 0x7FFFFFFF, [*frame, *varbinds])
        peer = (str(self.estate.devices[device].addresses[0]), 1)
        self.intake.take(encode_message(CommunityMessage(1, b"public", pdu)), peer, at_ns)
        accepted, self.intake.accepted = self.intake.accepted, []
        self.notified.deliver(accepted, [], None)

    def link(self, device: str, which: int, *, at_ns: int = NOON_NS, admin: int = 1, uptime: int = 10**8) -> None:
        index = [VarBind((*IF_ENTRY, 1, 7), 7, 2), VarBind((*IF_ENTRY, 7, 7), admin, 2)]
        name = VarBind((1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1, 7), FAILED, 4)
        self.send(device, (*TRAPS, which), *index, name, at_ns=at_ns, uptime=uptime)

    def mails(self) -> list[tuple]:
        """Recipient, time and message of every mail that waits to leave."""
        query = "SELECT recipient, created_ns, message FROM outbox WHERE state = 'waiting' ORDER BY id"
        rows = self.store.call(lambda db: db.execute(query).fetchall()).result()
        return [(to, at_ns, message_from_bytes(message, policy=default)) for to, at_ns, message in rows]

    def titles(self) -> list[str]:
        return [incident.title_en for incident in self.alerting.open_incidents()]


def rule(id_: str = "link-told", **where) -> Rule:
    return Rule(
        id=id_, name=Name(ja="リンク断の通知", en="link down told"), on="notification.raised", equals=True,
        where=where or {"notifications": ["linkDown"]}, clear_for="10s", severity="serious",
    )  # fmt: skip


@pytest.fixture
async def journal(tmp_path: Path):
    async with Journal(tmp_path / "journal.sqlite", ["nobody"]) as made:
        yield made


def test_a_notification_is_a_sample_with_names_text_and_what_it_is_about(tmp_path: Path, journal: Journal) -> None:
    place = Place(tmp_path, journal)
    place.link("fw-1", 3)
    (sample,) = place.told()
    assert (("device", "fw-1"), ("name", "linkDown"), ("severity", "minor")) == sample.tags
    assert "インターフェースがダウンした：GigabitEthernet0/1" == sample.fields["text"]
    assert ("linkDown GigabitEthernet0/1", True, 1) == tuple(sample.fields[key] for key in ("alarm", "raised", "count"))
    assert ["ifIndex", "7", "1.3.6.1.2.1.2.2.1.1.7", "7"] == json.loads(sample.fields["varbinds"])[0]


def test_link_notifications_poll_at_once_and_again_after_two_minutes(tmp_path: Path, journal: Journal) -> None:
    """R48: and nothing but a poll says what the state is."""
    place = Place(tmp_path, journal)
    place.link("fw-1", 3)
    assert [Look("fw-1")] == place.looks  # with the notification itself, not with the next beat
    place.link("fw-1", 4, at_ns=NOON_NS + SECOND_NS)
    asked = []
    for second in range(1, 300):
        before = len(place.looks)
        place.notified.tick(NOON_NS + second * SECOND_NS)
        asked += [second] * (len(place.looks) - before)
    assert [5, 121] == asked
    assert {"notification", "daemon"} == {sample.measurement for sample in place.samples}


def test_a_failover_told_by_one_member_asks_both(tmp_path: Path, journal: Journal) -> None:
    """R48."""
    place = Place(tmp_path, journal)
    place.send("fw-2", FG_HA_SWITCH)
    assert [Look("fw-1"), Look("fw-2")] == sorted(place.looks)


def test_a_rule_raises_with_the_beginning_and_clears_with_the_end(tmp_path: Path, journal: Journal) -> None:
    place = Place(tmp_path, journal, rule())
    place.link("fw-1", 3)
    assert ["Firewall 1: link down told (linkDown GigabitEthernet0/1)"] == place.titles()
    place.link("fw-1", 4, at_ns=NOON_NS + 5 * SECOND_NS)
    for second in range(6, 20):
        place.alerting.tick(NOON_NS + second * SECOND_NS)
    assert [] == place.alerting.alerts()


def test_an_alarm_without_an_end_is_over_when_it_is_not_repeated(tmp_path: Path, journal: Journal) -> None:
    place = Place(tmp_path, journal, rule(notifications=["fgTrapHaSwitch"]))
    place.send("fw-1", FG_HA_SWITCH)
    place.alerting.tick(NOON_NS + 9 * SECOND_NS)
    assert 1 == len(place.alerting.alerts())
    place.alerting.tick(NOON_NS + 10 * SECOND_NS)
    assert [] == place.alerting.alerts()


def test_a_beginning_with_an_end_waits_for_it(tmp_path: Path, journal: Journal) -> None:
    """R51: no data never clears."""
    place = Place(tmp_path, journal, rule())
    place.link("fw-1", 3)
    for hour in range(1, 50):
        place.alerting.tick(NOON_NS + hour * 3600 * SECOND_NS)
    assert 1 == len(place.alerting.alerts())


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"varbinds": ["ifName=Gigabit*"]}, 1),
        ({"varbinds": ["ifName=Ten*"]}, 0),
        ({"varbinds": ["ifIndex=7"], "devices": ["fw-*"], "notifications": ["link*"]}, 1),
        ({"notifications": ["1.3.6.1.6.3.1.1.5.3"]}, 1),
        ({"devices": ["sw-*"]}, 0),
        ({"roles": ["firewall"]}, 1),
    ],
)
def test_a_rule_matches_on_notification_device_and_varbind(
    tmp_path: Path, journal: Journal, where, expected: int
) -> None:
    place = Place(tmp_path, journal, rule(**where))
    place.link("fw-1", 3)
    assert expected == len(place.titles())


def test_soon_after_a_reboot_nothing_opens_an_incident(tmp_path: Path, journal: Journal) -> None:
    """R48: by the sender's own sysUpTime, or because it said coldStart."""
    place = Place(tmp_path, journal, rule())
    place.link("fw-1", 3, uptime=29_000)
    place.send("fw-2", (*TRAPS, 1))
    place.link("fw-2", 3, at_ns=NOON_NS + 290 * SECOND_NS)
    assert [] == place.titles()
    place.link("fw-2", 3, at_ns=NOON_NS + 301 * SECOND_NS)
    assert 1 == len(place.titles())


def test_what_was_switched_off_on_purpose_opens_no_incident(tmp_path: Path, journal: Journal) -> None:
    place = Place(tmp_path, journal, rule())
    place.link("fw-1", 3, admin=2)
    assert [] == place.titles()


def test_a_storm_is_one_incident_that_says_how_many_of_what_from_whom(tmp_path: Path, journal: Journal) -> None:
    """R47: 10,000 in 2 s from three sources; the linkDown of a fourth is an incident at once, and counted exactly."""
    place = Place(tmp_path, journal, rule())
    for number in range(10_000):
        at_ns = NOON_NS + number * 200_000
        source = ("sw-core-1", "sw-core-2", "sw-mgmt-1")[number % 3]
        place.send(source, (*TRAPS, 5), at_ns=at_ns)
        if number == 5_000:
            place.link("fw-1", 3, at_ns=at_ns)
            assert ["Firewall 1: link down told (linkDown GigabitEthernet0/1)"] == place.titles()
        if not number % 5_000:
            place.notified.tick(at_ns)
    for second in range(2, 90):
        place.notified.tick(NOON_NS + second * SECOND_NS)
        if second == 6:
            (storm,) = [one for one in place.alerting.open_incidents() if "storm" in one.title_en]
            assert "3か所から計10,000件" in storm.remarks[0].text
            assert "sw-core-1 authenticationFailure 3,334" in storm.remarks[0].text
    assert ["Firewall 1: link down told (linkDown GigabitEthernet0/1)"] == place.titles()
    funnel = place.intake.funnel
    assert 10_001 == funnel.received == funnel.accepted + sum(funnel.dropped.values())
    assert len(place.told()) < 40


def play_a_storm(place: Place) -> None:
    """From noon of the Friday before a long weekend to the morning after it; a linkDown in the middle of the storm."""
    for number in range(3_000):
        at_ns = NOON_NS + number * 1_000_000  # 1,000 a second
        place.send(("sw-core-1", "sw-core-2", "sw-mgmt-1")[number % 3], (*TRAPS, 5), at_ns=at_ns)
        if number == 1_500:
            place.link("fw-1", 3, at_ns=at_ns)
        if not number % 1_000:
            place.notified.tick(at_ns)
            place.alerting.tick(at_ns)
    for second in range(3, 600):
        place.notified.tick(NOON_NS + second * SECOND_NS)
        place.alerting.tick(NOON_NS + second * SECOND_NS)
        if second == 10:
            (told,) = [one for one in place.alerting.open_incidents() if "link" in one.title_en]
            place.alerting.acknowledge(told.id, "当番A", "", NOON_NS + second * SECOND_NS)
        if second == 120:
            place.link("fw-1", 4, at_ns=NOON_NS + second * SECOND_NS)
    for minute in range(10, 93 * 60):
        place.alerting.tick(NOON_NS + minute * 60 * SECOND_NS)


def test_a_storm_of_traps_keeps_no_mail_back_and_is_one_line_in_the_morning(
    tmp_path: Path, journal: Journal, golden
) -> None:
    """Storm (R47): the one that matters leaves 3 s after it came, at night; of the storm people read by day (R57)."""
    place = Place(tmp_path, journal, rule())
    play_a_storm(place)
    found = [(to, (at_ns - NOON_NS) // SECOND_NS, message["Subject"]) for to, at_ns, message in place.mails()]
    link = "ファイアウォール1号機 リンク断の通知（linkDown GigabitEthernet0/1）"
    assert [
        ("shift@noc.example.jp", 5, f"【重大・対応要】{link}（12:00〜）／契約範囲内（当方側）"),
        ("shift@noc.example.jp", 130, f"【復旧】{link}（12:00〜12:02、1分58秒）／契約範囲内（当方側）"),
        ("shift@noc.example.jp", 333_000, "【軽微】まとめ：継続中0件、復旧済み1件"),
    ] == [one for one in found if one[0] == "shift@noc.example.jp"]
    golden(place.mails()[0][2], "trap.ja.txt")
    golden(place.mails()[-1][2], "trap-storm.ja.txt")


def test_a_storm_is_told_in_english_too(tmp_path: Path, journal: Journal, golden) -> None:
    """The same faults in the words of whoever reads English (R57)."""
    place = Place(tmp_path, journal, rule(), lang="en")
    play_a_storm(place)
    mails = place.mails()
    assert mails[0][2]["Subject"].startswith("[SERIOUS")
    golden(mails[0][2], "trap.en.txt")
    golden(mails[-1][2], "trap-storm.en.txt")


def test_repeats_write_the_same_point_again_with_their_count(tmp_path: Path, journal: Journal) -> None:
    place = Place(tmp_path, journal)
    for number in range(7):
        place.link("fw-1", 3, at_ns=NOON_NS + number)
    place.notified.tick(NOON_NS + 6 * SECOND_NS)
    first, again = place.told()
    assert ((first.tags, first.time_ns), 7) == ((again.tags, again.time_ns), again.fields["count"])


async def test_what_was_accepted_is_committed_when_the_journal_has_it(tmp_path: Path, journal: Journal) -> None:
    """R49: the funnel's last counter moves only with the disk."""
    place = Place(tmp_path, journal)
    for number in range(7):
        place.link("fw-1", 3, at_ns=NOON_NS + number)
    assert 0 == place.intake.funnel.committed
    await place.notified.commit(lambda: NOON_NS)
    assert 1 == place.intake.funnel.committed
    place.notified.tick(NOON_NS + 6 * SECOND_NS)
    await place.notified.commit(lambda: NOON_NS)
    assert 7 == place.intake.funnel.committed == place.intake.funnel.accepted


async def test_two_missed_canaries_raise_an_alert_and_one_that_comes_through_clears_it(
    tmp_path: Path, journal: Journal
) -> None:
    """R49: the canary goes by the socket like everybody's."""
    place = Place(tmp_path, journal)
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))
    place.notified.listen([opened], lambda: NOON_NS)
    receiver = place.notified._receivers[0]
    receiver._loop.remove_reader(opened.fileno())
    for number in range(3):
        place.notified.tick(NOON_NS + number * 300 * SECOND_NS)
    assert ["notifications (traps) do not come through (notifications)"] == [
        title for title in place.titles() if "notifications" in title
    ]
    receiver._drain()
    await place.notified.commit(lambda: NOON_NS + 900 * SECOND_NS)
    assert 3 == place.intake.funnel.canaries
    place.notified.tick(NOON_NS + 901 * SECOND_NS)
    assert [] == place.titles()
    place.notified.close()


def test_every_address_of_the_estate_is_a_source(tmp_path: Path, journal: Journal) -> None:
    place = Place(tmp_path, journal)
    for device in place.estate.devices.values():
        for address in device.addresses:
            assert device.id == place.intake.sources.devices[ip_address(str(address))]


async def test_repeats_of_one_wake_up_are_committed_with_the_first(tmp_path: Path, journal: Journal) -> None:
    """R49: whatever is summed before it is delivered counts all the same."""
    place = Place(tmp_path, journal)
    for number in range(50):
        place.intake.take(link_down(number + 1), (str(place.estate.devices["fw-1"].addresses[0]), 1), NOON_NS + number)
    place.notified.deliver(place.intake.accepted, [], None)
    await place.notified.commit(lambda: NOON_NS)
    assert 50 == place.intake.funnel.committed == place.intake.funnel.accepted


def link_down(request_id: int) -> bytes:
    frame = [VarBind(SYS_UPTIME, 10**8, Tag.TIME_TICKS), VarBind(TRAP_OID, (*TRAPS, 3), Tag.OBJECT_IDENTIFIER)]
    index = VarBind((*IF_ENTRY, 1, 7), 7, 2)
    return encode_message(CommunityMessage(1, b"public", Pdu(PduKind.TRAP_V2, request_id, [*frame, index])))


async def test_a_sender_whose_clock_went_back_is_an_incident_until_a_person_accepts_it(
    tmp_path: Path, journal: Journal
) -> None:
    """R44: told after three minutes, by which a poll with SNMPv3 would have proved its clock."""
    place = Place(tmp_path, journal)
    security = place.intake.security
    for second in range(0, 200, 10):
        at_ns = NOON_NS + second * SECOND_NS
        security.resets.note(b"\x80\x00\x01", (1, second), (5, 1000), at_ns / 1e9)
        place.notified.tick(at_ns)
        place.alerting.tick(at_ns)
    assert ["an SNMPv3 sender is refused, its clock went back (notifications)"] == place.titles()
    place.notified.accept_engine("80FFFF", "suzuki")  # another one: nothing happens
    assert 1 == len(security.resets)
    command = AuditEntry(NOON_NS, "suzuki", "test", ACCEPT_ENGINE, "800001", "replaced", command=True)
    Inquiry(tmp_path).command(command)
    place.alerting.tick(NOON_NS + 201 * SECOND_NS)
    ((engine, who),) = place.alerting.take_accepted_engines()
    assert [] == place.alerting.take_accepted_engines()
    place.notified.accept_engine(engine, who)
    for second in range(202, 230):
        place.notified.tick(NOON_NS + second * SECOND_NS)
    assert (0, []) == (len(security.resets), place.titles())


def test_an_engine_whose_clock_our_own_poll_proved_is_believed_without_anybody(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, journal)
    resets = place.intake.security.resets
    clocks = {b"fits": (1, 20), b"later": (2, 20)}
    monkeypatch.setattr(place.asking, "engine_clock", clocks.get)
    for engine_id in (b"fits", b"later", b"unknown"):
        place.intake.security._engines[engine_id] = Engine(EngineClock(engine_id))
        resets.note(engine_id, (1, 10), (5, 1000), NOON_NS / 1e9)
    place.notified.tick(NOON_NS)
    assert [b"later", b"unknown"] == [reset.engine_id for reset in resets]
