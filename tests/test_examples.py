"""The two example estates say what the contracts behind them say, and every reference in them leads somewhere."""

import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from poller.config import load
from poller.estate import Circuit, CircuitKind, Device, Estate, Role
from poller.schema import SCHEMA
from poller.secrets import SecretReference

EXAMPLES: Final = Path(__file__).parent.parent / "config" / "examples"

CITIES: Final = [
    "津市",
    "四日市市",
    "伊勢市",
    "松阪市",
    "桑名市",
    "鈴鹿市",
    "名張市",
    "尾鷲市",
    "亀山市",
    "鳥羽市",
    "熊野市",
    "いなべ市",
    "志摩市",
    "伊賀市",
]
TOWNS: Final = [
    "木曽岬町",
    "東員町",
    "菰野町",
    "朝日町",
    "川越町",
    "多気町",
    "明和町",
    "大台町",
    "玉城町",
    "度会町",
    "大紀町",
    "南伊勢町",
    "紀北町",
    "御浜町",
    "紀宝町",
]
UNIONS: Final = ["紀北広域連合", "紀南介護保険広域連合", "三重県後期高齢者医療広域連合"]


@pytest.fixture(scope="module")
def prefecture() -> Estate:
    return load(EXAMPLES / "prefecture").estate


@pytest.fixture(scope="module")
def cityhall() -> Estate:
    return load(EXAMPLES / "cityhall").estate


@pytest.fixture(params=["prefecture", "cityhall"])
def name(request) -> str:
    return request.param


@pytest.fixture
def estate(name, prefecture, cityhall) -> Estate:
    return {"prefecture": prefecture, "cityhall": cityhall}[name]


def test_the_prefecture_connects_its_33_organisations_by_their_exact_names(prefecture):
    names = {kind: [t.name.ja for t in prefecture.tenants.values() if t.kind == kind] for kind in ("city", "town")}
    assert names == {"city": CITIES, "town": TOWNS}
    assert [t.name.ja for t in prefecture.tenants.values() if t.kind == "union"] == UNIONS
    assert [t.name.ja for t in prefecture.tenants.values() if t.kind == "prefecture"] == ["三重県"]
    assert len(prefecture.tenants) == 33


def test_the_internet_and_breakout_lines_have_1_gbps_committed_each_and_4_gbps_together(prefecture):
    groups = prefecture.line_groups
    assert groups["internet"].committed_rate == groups["breakout"].committed_rate == 10**9
    assert groups["outside"].members == ("internet", "breakout")
    assert groups["outside"].ceiling_rate == 4 * 10**9
    assert groups["internet"].ceiling_rate + groups["breakout"].ceiling_rate == 4 * 10**9
    for line, members in (("internet", ("int-1", "int-2")), ("breakout", ("bo-1", "bo-2"))):
        assert groups[line].members == members
        assert [prefecture.circuits[member].preferred for member in members] == ["active", "standby"]
        assert {prefecture.circuits[member].committed_rate for member in members} == {10**9}


def test_web_publishing_has_its_200_mbps_within_the_internet_line(prefecture):
    assert [(part.name.en, part.needed_rate) for part in prefecture.line_groups["internet"].parts] == [
        ("Web publishing", 200 * 10**6)
    ]


def test_the_closed_network_is_active_with_1_gbps_committed_and_standby_with_best_effort(prefecture):
    active, standby = prefecture.circuits["cloud-a"], prefecture.circuits["cloud-b"]
    assert (active.preferred, active.committed_rate, active.ceiling_rate) == ("active", 10**9, 10**9)
    assert (standby.preferred, standby.committed_rate, standby.ceiling_rate) == ("standby", None, 10**9)
    assert active.kind == standby.kind == CircuitKind.CLOSED_NETWORK
    assert active.redundancy_group == standby.redundancy_group


def test_two_10_gbps_interfaces_hand_over_to_the_prefectures_network(prefecture):
    handover = [circuit for circuit in prefecture.circuits.values() if circuit.redundancy_group == "handover"]
    assert [circuit.ceiling_rate for circuit in handover] == [10 * 10**9] * 2


def test_every_tenant_is_counted_on_both_members_of_the_pair_of_each_line(prefecture):
    for tenant in prefecture.tenants.values():
        counted = [(attachment.line, attachment.device) for attachment in tenant.attachments]
        expected = [("internet", "fw-1"), ("internet", "fw-2"), ("breakout", "bo-rt-1"), ("breakout", "bo-rt-2")]
        assert counted == expected
        vlan = {attachment.interface for attachment in tenant.attachments}
        assert len(vlan) == 2, "the same sub-interface on both members"


def test_larger_organisations_have_larger_caps_and_every_line_is_capped(prefecture):
    rate = {(tenant.id, cap.line): cap.sustained_rate for tenant in prefecture.tenants.values() for cap in tenant.caps}
    assert set(rate) == {(tenant, line) for tenant in prefecture.tenants for line in ("internet", "breakout")}
    for line in ("internet", "breakout"):
        by_size = [rate[tenant, line] for tenant in ("mie", "yokkaichi", "suzuka", "shima", "asahi", "kinan-kaigo")]
        assert all(larger > smaller for larger, smaller in pairwise(by_size))


def test_the_prefecture_has_every_kind_of_procured_device(prefecture):
    inside = Counter(device.role for device in prefecture.devices.values() if device.scope == "inside")
    assert inside[Role.FIREWALL] == 2
    assert inside[Role.NETWORK_DEVICE] == 4
    for role in (Role.ROUTER, Role.SWITCH, Role.PROXY, Role.DNS, Role.MAIL_RELAY, Role.NTP, Role.WAF, Role.LOG_STORE):
        assert inside[role] >= 2, role


def test_the_city_hall_has_44_sites_with_one_to_three_circuits_each(cityhall):
    circuits = Counter(circuit.site for circuit in cityhall.circuits.values())
    assert len(cityhall.sites) == 44
    assert circuits.keys() == cityhall.sites.keys()
    assert Counter(circuits.values()) == {1: 30, 2: 2, 3: 12}


def test_the_hall_and_the_data_centre_have_two_committed_1_gbps_circuits_and_others_100_or_10_mbps(cityhall):
    first = {
        site: [c.committed_rate for c in cityhall.circuits.values() if c.site == site and "-second-" not in c.id]
        for site in cityhall.sites
    }
    assert first.pop("hall") == first.pop("dc") == [10**9, 10**9]
    assert {tuple(rates) for rates in first.values()} == {(100 * 10**6,), (10 * 10**6,)}


def test_12_sites_have_a_second_network_with_10_mbps_committed_and_a_100_mbps_best_effort_backup(cityhall):
    def terms(circuit: Circuit) -> tuple[str, int | None, int]:
        return circuit.preferred, circuit.committed_rate, circuit.ceiling_rate

    seconds = [group for group in cityhall.line_groups.values() if group.id.endswith("-second")]
    assert len(seconds) == 12
    for group in seconds:
        main, backup = (cityhall.circuits[member] for member in group.members)
        assert terms(main) == ("active", 10 * 10**6, 10 * 10**6)
        assert terms(backup) == ("standby", None, 100 * 10**6)
        assert main.redundancy_group == backup.redundancy_group is not None


def test_every_circuit_of_the_city_hall_is_promised_for_99_9_percent(cityhall):
    promised = [circuit.availability for circuit in cityhall.circuits.values()]
    assert promised == pytest.approx([0.999] * 70)


def test_every_reference_of_a_device_leads_somewhere(estate):
    for device in estate.devices.values():
        assert device.site in estate.sites, device.id
        assert device.credentials in estate.credentials, device.id
        assert device.redundancy_group is None or device.redundancy_group in estate.redundancy_groups, device.id
        for parent in device.parents:
            assert parent in estate.devices or parent in estate.redundancy_groups, device.id


def test_every_reference_of_a_line_leads_somewhere(estate):
    for circuit in estate.circuits.values():
        assert circuit.measured_by.device in estate.devices, circuit.id
        assert circuit.site in estate.sites, circuit.id
        assert circuit.redundancy_group is None or circuit.redundancy_group in estate.redundancy_groups, circuit.id
        assert estate.contacts[circuit.provider or ""].role == "provider", circuit.id
    for group in estate.line_groups.values():
        assert set(group.members) <= estate.circuits.keys() | estate.line_groups.keys(), group.id
        assert all(part.measured_by is None or part.measured_by.device in estate.devices for part in group.parts)
    assert not estate.circuits.keys() & estate.line_groups.keys()


def test_every_reference_of_tenants_services_and_maintenance_leads_somewhere(estate):
    lines = estate.circuits.keys() | estate.line_groups.keys()
    for tenant in estate.tenants.values():
        assert {attachment.line for attachment in tenant.attachments} <= lines, tenant.id
        assert {attachment.device for attachment in tenant.attachments} <= estate.devices.keys(), tenant.id
        assert {cap.line for cap in tenant.caps} <= {attachment.line for attachment in tenant.attachments}, tenant.id
        assert set(tenant.contacts) <= estate.contacts.keys(), tenant.id
    for service in estate.services.values():
        assert set(service.devices) <= estate.devices.keys(), service.id
        assert service.calendar is None or service.calendar in estate.calendars, service.id
    for window in estate.maintenance.values():
        assert set(window.contacts) <= estate.contacts.keys(), window.id


def test_every_redundancy_group_has_more_members_than_it_needs(estate):
    members = Counter(d.redundancy_group for d in estate.devices.values())
    members.update(c.redundancy_group for c in estate.circuits.values())
    assert {group.id for group in estate.redundancy_groups.values() if members[group.id] <= group.needed} == set()


def test_no_device_is_its_own_ancestor(estate):
    def parents(device: Device) -> set[str]:
        direct = set(device.parents)
        return direct | {d.id for d in estate.devices.values() if d.redundancy_group in direct}

    seen = {device.id: parents(device) & estate.devices.keys() for device in estate.devices.values()}
    while reached := {device for device, above in seen.items() if not above & seen.keys()}:
        seen = {device: above for device, above in seen.items() if device not in reached}
    assert seen == {}


def test_every_octet_belongs_to_one_tenant_no_sub_interface_is_counted_twice(estate):
    counted = Counter((a.device, a.interface) for tenant in estate.tenants.values() for a in tenant.attachments)
    assert [place for place, times in counted.items() if times > 1] == []


def test_every_address_is_a_loopback_address_of_its_own_example_and_belongs_to_one_device(name, estate):
    network = ip_network({"prefecture": "127.16.0.0/16", "cityhall": "127.44.0.0/16"}[name])
    addresses = [address for device in estate.devices.values() for address in device.addresses]
    points = [
        point
        for circuit in estate.circuits.values()
        for point in (*circuit.probe.near, *circuit.probe.far, *circuit.probe.beyond)
    ]
    assert max(Counter(addresses).values()) == 1
    assert [address for address in addresses + points if address not in network] == []


def test_the_near_probe_point_is_the_device_that_measures_the_circuit(estate):
    for circuit in estate.circuits.values():
        if circuit.measured_by.device in estate.devices:
            assert set(circuit.probe.near) <= set(estate.devices[circuit.measured_by.device].addresses), circuit.id


def secrets_of(estate: Estate) -> Iterator[SecretReference]:
    """Every secret that the estate refers to."""
    for credentials in estate.credentials.values():
        for reference in (credentials.community, credentials.auth_password, credentials.priv_password):
            if reference is not None:
                yield reference


def test_every_secret_is_a_readable_file_that_says_it_is_for_the_lab_only_and_none_is_left_over(name, estate):
    directory = EXAMPLES / name
    references = list(secrets_of(estate))
    assert all(reference.read(directory).reveal().startswith("lab-only-") for reference in references)
    files = {f"secrets/{path.name}" for path in (directory / "secrets").iterdir() if path.name != "README.md"}
    assert files == {reference.name for reference in references}


def test_the_only_warnings_are_about_the_old_devices_without_snmpv3(name):
    warnings = [str(warning) for warning in load(EXAMPLES / name).warnings]
    assert [warning for warning in warnings if "SNMP version 2c sends the community in clear" not in warning] == []


def test_most_devices_speak_snmpv3_with_sha_256_and_aes_128_and_a_few_old_ones_v2c(estate):
    versions = Counter(estate.credentials[d.credentials or ""].version for d in estate.devices.values())
    assert set(versions) == {"3", "2c"}
    assert versions["2c"] < versions["3"] / 5
    strong = {(c.auth, c.priv) for c in estate.credentials.values() if c.version == "3"}
    assert strong == {("SHA-256", "AES-128")}


def test_every_rule_looks_at_a_field_that_exists_and_compares_it_with_a_value_of_its_kind(estate):
    for rule in estate.rules.values():
        measurement, _, field = rule.on.partition(".")
        kind = SCHEMA[measurement].field(field).kind
        given = [value for value in (rule.above, rule.below, rule.equals, rule.above_median) if value is not None]
        assert len(given) + rule.changes == 1, rule.id
        assert rule.changes or (kind is float if rule.equals is None else isinstance(rule.equals, kind)), rule.id


def test_a_rule_clears_at_some_distance_from_where_it_raises_and_says_what_to_do(estate):
    for rule in estate.rules.values():
        if rule.above is not None:
            assert rule.clear_below is not None, rule.id
            assert rule.clear_below < rule.above, rule.id
        if rule.below is not None:
            assert rule.clear_above is not None, rule.id
            assert rule.clear_above > rule.below, rule.id
        assert re.search(r"^手順 [RC]-\d\d .+\n1\. ", rule.runbook.ja), rule.id


def test_every_pattern_of_a_rule_or_window_matches_something(estate):
    known = {
        "devices": estate.devices,
        "circuits": estate.circuits,
        "services": estate.services,
        "sites": estate.sites,
        "line_groups": estate.line_groups,
        "tenants": estate.tenants,
    }
    selectors = [(entry.id, entry.where) for entry in (*estate.rules.values(), *estate.maintenance.values())]
    for owner, where in selectors:
        for section, ids in known.items():
            for pattern in getattr(where, section):
                assert any(fnmatchcase(key, pattern) for key in ids), f"{owner}: {pattern}"


def test_tenants_and_providers_are_never_mailed_alerts_by_themselves(estate):
    for contact in estate.contacts.values():
        if contact.role in {"tenant", "provider"}:
            assert contact.severities == (), contact.id


def test_the_wall_and_the_lab_need_no_privilege(estate):
    assert estate.wall.port == 8480
    assert estate.polling.port == 16161
    assert estate.mail.maildir is not None
    assert estate.wall.listen == IPv4Address("127.0.0.1")
