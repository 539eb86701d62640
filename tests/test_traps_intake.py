"""From datagrams to accepted notifications: captured senders, hostile octets, floods, strangers and relays."""

import random
from ipaddress import ip_address, ip_network

import pytest

from poller.share import share
from probes.snmp.message import CommunityMessage, Pdu, PduKind, TrapV1Pdu, encode_message
from probes.snmp.values import Tag, VarBind
from traps.catalogue import Catalogue, load_catalogue
from traps.flood import Flood, Limits
from traps.funnel import Drop
from traps.intake import Intake
from traps.notification import SYS_UPTIME, TRAP_OID
from traps.security import Security
from traps.sources import Identity, Sources
from traps.words import name_varbinds, text_of

NOON_NS = 1_763_694_000 * 10**9
LINK_DOWN = (1, 3, 6, 1, 6, 3, 1, 1, 5, 3)
AUTHENTICATION_FAILURE = (1, 3, 6, 1, 6, 3, 1, 1, 5, 5)
IF_ENTRY = (1, 3, 6, 1, 2, 1, 2, 2, 1)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(sorted((share("config") / "traps").glob("*.yaml")))


@pytest.fixture
def intake(catalogue: Catalogue) -> Intake:
    sources = Sources(
        devices={ip_address("192.0.2.1"): "fw-1", ip_address("192.0.2.2"): "fw-1", ip_address("192.0.2.9"): "sw-9"}
        | {ip_address(f"198.51.100.{n}"): f"sw-{n}" for n in range(1, 9)},
        relays=frozenset([ip_address("203.0.113.1")]),
        networks=(ip_network("10.9.0.0/16"),),
        identities={},
        shared=Identity(frozenset([b"public"])),
    )
    return Intake(sources, catalogue, Security(bytes.fromhex("80007ed90501020304"), 1, NOON_NS / 1e9), Flood(Limits()))


def trap(
    oid=LINK_DOWN, *varbinds: VarBind, request_id: int = 1, uptime: int = 1_000_000, community: bytes = b"public"
) -> bytes:
    frame = [VarBind(SYS_UPTIME, uptime, Tag.TIME_TICKS), VarBind(TRAP_OID, oid, Tag.OBJECT_IDENTIFIER)]
    return encode_message(CommunityMessage(1, community, Pdu(PduKind.TRAP_V2, request_id, [*frame, *varbinds])))


def link_down(index: int, request_id: int = 1) -> bytes:
    return trap(LINK_DOWN, VarBind((*IF_ENTRY, 1, index), index, Tag.INTEGER), request_id=request_id)


# Captured from net-snmp 5.9.3 (snmptrap), every one with its expectation: version, OID, name, severity, English text.
CAPTURED = [
    (
        "304502010104067075626c6963a73802041b23fd7a020100020100302a300f06082b06010201010300430301e2403017060a2b06010603010104010006092b0601060301010501",
        "2c",
        "1.3.6.1.6.3.1.1.5.1",
        "coldStart",
        "minor",
        "Agent restarted; configuration may have changed",
        [],
    ),
    (
        "30818f02010104067075626c6963a78181020448a021080201000201003073300f06082b06010201010300430301e2403017060a2b06010603010104010006092b0601060301010503300f060a2b060102010202010107020107300f060a2b060102010202010707020101300f060a2b0601020102020108070201023014060b2b060102011f010101010704054769302f37",
        "2c",
        "1.3.6.1.6.3.1.1.5.3",
        "linkDown",
        "minor",
        "Interface went down: Gi0/7",
        [["ifIndex", "7"], ["ifAdminStatus", "up(1)"], ["ifOperStatus", "down(2)"], ["ifName", "Gi0/7"]],
    ),
    (
        "307802010104067075626c6963a76b020458bd47c8020100020100305d300f06082b06010201010300430301e2403017060a2b06010603010104010006092b0601060301010504300f060a2b060102010202010107020107300f060a2b060102010202010707020101300f060a2b060102010202010807020101",
        "2c",
        "1.3.6.1.6.3.1.1.5.4",
        "linkUp",
        "clear",
        "Interface came up: 7",
        [["ifIndex", "7"], ["ifAdminStatus", "up(1)"], ["ifOperStatus", "up(1)"]],
    ),
    (
        "304502010104067075626c6963a73802047d9deac7020100020100302a300f06082b06010201010300430301e2403017060a2b06010603010104010006092b0601060301010505",
        "2c",
        "1.3.6.1.6.3.1.1.5.5",
        "authenticationFailure",
        "minor",
        "SNMP request failed authentication",
        [],
    ),
    (
        "30818702010104067075626c6963a77a020418c03e1a020100020100306c300f06082b06010201010300430301e2403016060a2b06010603010104010006082b060102010f00023016060e2b060102010f030107814000024d4004c000024d3014060e2b060102010f03010e814000024d040204003013060e2b060102010f030102814000024d020101",
        "2c",
        "1.3.6.1.2.1.15.0.2",
        "bgpBackwardTransNotification",
        "minor",
        "BGP session left a higher state (down): 192.0.2.77",
        [["bgpPeerRemoteAddr", "192.0.2.77"], ["bgpPeerLastError", "04:00"], ["bgpPeerState", "idle(1)"]],
    ),
    (
        "307702010104067075626c6963a76a02043447526b020100020100305c300f06082b06010201010300430301e2403016060a2b06010603010104010006082b06010201210201300f060a2b06010201210102030002012a300f060a2b060102012101020200020105300f060a2b060102012101090700020102",
        "2c",
        "1.3.6.1.2.1.33.2.1",
        "upsTrapOnBattery",
        "serious",
        "UPS is running on battery",
        [["upsEstimatedMinutesRemaining", "42"], ["upsSecondsOnBattery", "5"], ["upsConfigLowBattTime", "2"]],
    ),
    (
        "307c02010104067075626c6963a76f02041527f6030201000201003061300f06082b06010201010300430301e240301a060a2b060106030101040100060c2b06010401e04465020083113020060c2b06010401e04464010101000410464754363046544b3030303030303031301006082b06010201010500040466772d31",
        "2c",
        "1.3.6.1.4.1.12356.101.2.0.401",
        "fgTrapHaSwitch",
        "serious",
        "FortiGate HA failover: secondary became primary",
        [["fnSysSerial", "FGT60FTK00000001"], ["sysName", "fw-1"]],
    ),
    (
        "305d02010104067075626c6963a75002046125ded60201000201003042300f06082b06010201010300430301e2403019060a2b060106030101040100060b2b0601040109096a0200013014060f2b0601040109096a010201010f0301020106",
        "2c",
        "1.3.6.1.4.1.9.9.106.2.0.1",
        "cHsrpStateChange",
        "minor",
        "Cisco HSRP state change: active(6)",
        [["cHsrpGrpStandbyState", "active(6)"]],
    ),
    (
        "305f02010104067075626c6963a75202045113bc4a0201000201003044300f06082b06010201010300430301e2403019060a2b060106030101040100060b2b060104019a2f0204000f3016060c2b060104019a2f02040101000406616374697665",
        "2c",
        "1.3.6.1.4.1.3375.2.4.0.15",
        "bigipActive",
        "serious",
        "BIG-IP became active (failover): active",
        [["bigipNotifyObjMsg", "active"]],
    ),
    (
        "305d02010104067075626c6963a75002045e1ce7220201000201003042300f06082b06010201010300430301e2403018060a2b060106030101040100060a2b06010401944c040101301506102b06010401944c030108010102010000020102",
        "2c",
        "1.3.6.1.4.1.2636.4.1.1",
        "jnxPowerSupplyFailure",
        "minor",
        "Juniper power supply failure",
        [["jnxContentsContainerIndex", "2"]],
    ),
    (
        "303b02010004067075626c6963a42e06082b060104010901014004c0000201020102020100430301e2403011300f060a2b060102010202010103020103",
        "1",
        "1.3.6.1.6.3.1.1.5.3",
        "linkDown",
        "minor",
        "Interface went down: 3",
        [["ifIndex", "3"], ["snmpTrapEnterprise", "1.3.6.1.4.1.9.1.1"]],
    ),
    (
        "304f02010004067075626c6963a44206072b06010401823e4004c0000201020106020105430301e24030263024060b2b06010401823e0203030004155550533a204f6e206261747465727920706f776572",
        "1",
        "1.3.6.1.4.1.318.0.5",
        "upsOnBattery",
        "serious",
        "APC UPS on battery: UPS: On battery power",
        [["mtrapargsString", "UPS: On battery power"], ["snmpTrapEnterprise", "1.3.6.1.4.1.318"]],
    ),
    (
        "302b02010004067075626c6963a41e06092b06010401944c04014004c0000201020106020102430301e2403000",
        "1",
        "1.3.6.1.4.1.2636.4.1.0.2",
        "jnxFanFailure",
        "minor",
        "Juniper fan failure",
        [["snmpTrapEnterprise", "1.3.6.1.4.1.2636.4.1"]],
    ),
    (
        "302d02010004067075626c6963a420060b2b06010401943c018f50064004c0000201020106020101430301e2403000",
        "1",
        "1.3.6.1.4.1.2620.1.2000.6.0.1",
        "chkpntClusterMemberStateTrap",
        "serious",
        "Check Point cluster member state change",
        [["snmpTrapEnterprise", "1.3.6.1.4.1.2620.1.2000.6"]],
    ),
    (
        "307202010104067075626c6963a7650204322306f70201000201003057300f06082b06010201010300430301e2403018060a2b060106030101040100060a2b06010401a1120100093017060a2b06010401a112020100460900ffffffffffffffff3011060a2b06010401a112020200040300ff10",
        "2c",
        "1.3.6.1.4.1.4242.1.0.9",
        "1.3.6.1.4.1.4242.1.0.9",
        "notice",
        "1.3.6.1.4.1.4242.1.0.9 1.3.6.1.4.1.4242.2.1.0=18446744073709551615, 1.3.6.1.4.1.4242.2.2.0=00:ff:10",
        [["1.3.6.1.4.1.4242.2.1.0", "18446744073709551615"], ["1.3.6.1.4.1.4242.2.2.0", "00:ff:10"]],
    ),
]


@pytest.mark.parametrize("captured", CAPTURED, ids=lambda captured: captured[3])
def test_a_captured_notification_says_what_is_written_down(intake: Intake, captured: tuple) -> None:
    """R46: v1 and v2c, with and without the zero before the last number."""
    octets, version, number, name, severity, text, values = captured
    intake.take(bytes.fromhex(octets), ("192.0.2.1", 1), NOON_NS)
    (one,) = intake.accepted
    told = name_varbinds(one.notification, one.meaning, intake.catalogue)
    found = (one.version, ".".join(map(str, one.notification.oid)), one.meaning.name, one.meaning.severity.value)
    assert (version, number, name, severity) == found
    assert text == text_of(one.meaning, told, "en")
    assert values == [[each.name, each.value] for each in told]


def hostile() -> list[bytes]:
    good = link_down(4)
    chance = random.Random(7)
    made = [good[:size] for size in range(len(good))]
    made += [good + b"\0", good * 2, b"\x30\x84\xff\xff\xff\xff" + good, b"\x30\x80" + good[2:], bytes(65_507)]
    made += [b"\x30\x82\xff\xdf" + b"\x30\x82\xff\xdb" * 12_000, b"\x30\x80" * 30_000]
    made += [b"\x30" + bytes([0x80 | n]) + b"\xff" * n for n in range(1, 127)]
    for _ in range(3_000):
        changed = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        made.append(bytes(changed))
    return made


def test_hostile_datagrams_are_counted_and_change_nothing(intake: Intake) -> None:
    """Truncated, over-long, nested, with bad lengths, 64 kB: each ends in exactly one counter (R49, R77)."""
    intake.take(link_down(4), ("192.0.2.1", 1), NOON_NS)
    datagrams = hostile()
    for number, datagram in enumerate(datagrams):
        intake.take(datagram, ("192.0.2.1", 1), NOON_NS + number * 10**7)
    funnel = intake.funnel
    assert 1 + len(datagrams) == funnel.received == funnel.accepted + sum(funnel.dropped.values())
    assert funnel.accepted == funnel.told + funnel.summed
    assert funnel.dropped[Drop.MALFORMED] > 1_000
    intake.accepted.clear()
    later = NOON_NS + 3600 * 10**9
    intake.flood.close(later)
    intake.take(link_down(4), ("192.0.2.1", 1), later)
    assert "linkDown" == intake.accepted[0].meaning.name


def test_repeats_within_the_window_are_one_notification_with_a_count(intake: Intake) -> None:
    """R47."""
    for number in range(40):
        intake.take(link_down(4, request_id=number + 1), ("192.0.2.1", 1), NOON_NS + number * 10**8)
    intake.take(link_down(5), ("192.0.2.1", 1), NOON_NS)
    first, second = intake.accepted
    assert (40, 1) == (first.window.count, second.window.count)
    assert [40] == [window.count for window in intake.flood.close(NOON_NS + 6 * 10**9)]
    intake.take(link_down(4), ("192.0.2.1", 1), NOON_NS + 6 * 10**9)
    assert 3 == len(intake.accepted)


def test_a_source_is_limited_and_the_raw_count_is_exact(intake: Intake) -> None:
    """R47: 5,000 in a second; whatever is beyond is still counted, by what it is."""
    for number in range(5_000):
        intake.take(link_down(number % 100 + 1, number + 1), ("192.0.2.1", 1), NOON_NS + number)
    source = intake.known["192.0.2.1"]
    assert source is not None
    assert (5_000, 4_000) == (source.total, intake.funnel.dropped[Drop.LIMITED])
    assert 5_000 == sum(tally[0] for tally in source.tallies.values())


def test_a_storm_is_told_by_kind_and_from_whom_while_another_source_is_heard_at_once(intake: Intake) -> None:
    """R47: 10,000 in 2 s from three sources; one linkDown of a fourth among them."""
    chance = random.Random(1)
    for number in range(10_000):
        at_ns = NOON_NS + number * 200_000
        datagram = (
            trap(AUTHENTICATION_FAILURE, request_id=number + 1)
            if number % 4
            else link_down(chance.randrange(1, 99), number + 1)
        )
        intake.take(datagram, (f"198.51.100.{number % 3 + 1}", 1), at_ns)
        if number == 5_000:
            intake.take(link_down(4), ("192.0.2.9", 1), at_ns)
    heard = [one for one in intake.accepted if one.device == "sw-9"]
    assert [False] == [one.storm for one in heard]
    parts = intake.flood.storm()
    assert 10_000 == sum(part.count for part in parts)
    assert {"sw-1", "sw-2", "sw-3"} == {part.device for part in parts}
    assert 10_001 == intake.funnel.received
    assert len(intake.accepted) < 320
    assert len(intake.flood.open) < 320
    intake.flood.close(NOON_NS + 70 * 10**9)
    assert [] == intake.flood.storm()


def test_memory_is_bounded_whatever_a_source_invents(intake: Intake) -> None:
    """Every notification of another number, another length, another interface."""
    for number in range(20_000):
        oid = (1, 3, 6, 1, 4, 1, 99, number % 3_000, 0, number)
        varbind = VarBind((*IF_ENTRY, 1, number), b"x" * (number % 200), Tag.OCTET_STRING)
        intake.take(trap(oid, varbind), ("192.0.2.1", 1), NOON_NS + number * 50 * 10**6)
        if not number % 100:
            intake.accepted.clear()
            intake.flood.close(NOON_NS + number * 50 * 10**6)
    source = intake.known["192.0.2.1"]
    assert source is not None
    assert len(source.tallies) <= 66
    assert source.shapes_known <= 512
    assert len(intake.oddities.gaps) <= 1_025
    assert 20_000 == intake.oddities.unknown == sum(tally[0] for tally in source.tallies.values())


def test_an_unknown_notification_is_kept_by_its_number(intake: Intake) -> None:
    """R45."""
    intake.take(
        trap((1, 3, 6, 1, 4, 1, 99, 1, 0, 5), VarBind((1, 3, 6, 1, 4, 1, 99, 2, 0), b"bad", 4)),
        ("192.0.2.1", 1),
        NOON_NS,
    )
    (one,) = intake.accepted
    told = name_varbinds(one.notification, one.meaning, intake.catalogue)
    assert "1.3.6.1.4.1.99.1.0.5 1.3.6.1.4.1.99.2.0=bad" == text_of(one.meaning, told, "en")
    assert 1 == intake.oddities.unknown


def test_a_device_is_found_by_any_of_its_addresses(intake: Intake) -> None:
    """R46."""
    for address in ("192.0.2.1", "192.0.2.2", "::ffff:192.0.2.2"):
        intake.take(link_down(4), (address, 1), NOON_NS)
    assert ["fw-1"] * 3 == [one.device for one in intake.accepted]


def v1_from(address: str) -> bytes:
    pdu = TrapV1Pdu((1, 3, 6, 1, 4, 1, 9), ip_address(address).packed, 2, 0, 1_000_000, [])
    return encode_message(CommunityMessage(0, b"public", pdu))


def test_only_a_listed_relay_is_believed_about_whose_a_notification_is(intake: Intake) -> None:
    """R46: agent-addr from anybody else is noted, not believed (R50)."""
    intake.take(v1_from("192.0.2.9"), ("203.0.113.1", 1), NOON_NS)
    intake.take(v1_from("192.0.2.9"), ("192.0.2.1", 1), NOON_NS)
    intake.take(v1_from("192.0.2.9"), ("10.9.8.7", 1), NOON_NS)
    assert ["sw-9", "fw-1", "-"] == [one.device for one in intake.accepted]
    assert [None, "192.0.2.9", "192.0.2.9"] == [one.differs for one in intake.accepted]


def test_a_relay_that_passes_on_for_two_devices_makes_two_notifications(intake: Intake) -> None:
    intake.take(v1_from("192.0.2.9"), ("203.0.113.1", 1), NOON_NS)
    intake.take(v1_from("192.0.2.1"), ("203.0.113.1", 1), NOON_NS)
    assert ["sw-9", "fw-1"] == [one.device for one in intake.accepted]


def test_a_stranger_is_counted_and_what_it_claims_is_told(intake: Intake) -> None:
    """R50: a relay, or a device behind NAT, that nobody has listed."""
    intake.take(v1_from("192.0.2.9"), ("100.64.0.1", 1), NOON_NS)
    intake.take(v1_from("192.0.2.9"), ("100.64.0.1", 1), NOON_NS)
    stranger = intake.oddities.strangers["100.64.0.1"]
    assert (2, "sw-9") == (stranger.count, stranger.claims)
    assert ([], 2) == (intake.accepted, intake.funnel.dropped[Drop.STRANGER])


def test_strangers_are_bounded(intake: Intake) -> None:
    for number in range(1_000):
        intake.take(b"x", (f"100.64.{number // 250}.{number % 250}", 1), NOON_NS)
    assert 256 == len(intake.oddities.strangers)
    assert 1_000 == intake.funnel.dropped[Drop.STRANGER]
