from pathlib import Path

import pytest
import yaml

from poller.profile_readings import Reading
from poller.profile_values import bind, evaluate, read_values
from poller.profiles import (
    BadProfile,
    Detection,
    ProbeNeeded,
    Profile,
    Profiles,
    SystemGroup,
    load_profiles,
    read_profile,
)
from poller.replay import RecordedAgent
from poller.schema import SCHEMA
from probes.snmp.oid import Oid, parse_oid

RECORDINGS = Path(__file__).parent / "recordings"
EXPECTED = yaml.safe_load((RECORDINGS / "expected.yaml").read_text())
PROFILES = load_profiles()


def detect(profiles: Profiles, objects: dict[Oid, object]) -> Detection:
    object_id, description = objects.get(parse_oid("1.3.6.1.2.1.1.2.0")), objects.get(parse_oid("1.3.6.1.2.1.1.1.0"))
    system = SystemGroup(object_id, description.decode() if isinstance(description, bytes) else "")
    probed: dict[Oid, str | None] = {}
    while isinstance(answer := profiles.detect(system, probed), ProbeNeeded):
        root = answer.probe.oid
        found = (value for oid, value in objects.items() if oid[: len(root)] == root)
        value = next(found, None)
        probed[root] = value.decode() if isinstance(value, bytes) else None if value is None else str(value)
    return answer


def column(oid: str, values: dict[str, object]) -> dict[Oid, object]:
    return {parse_oid(f"{oid}.{index}"): value for index, value in values.items()}


def reading(**text: object) -> Reading:
    return Reading.model_validate(text)


def value_of(way: Reading, values: dict[Oid, object]) -> object:
    return evaluate(bind("cpu_ratio", way, values), values)


def test_every_family_has_a_profile_a_recording_and_an_expectation() -> None:
    families = {profile.family for profile in PROFILES.ordered}
    assert families == set(EXPECTED)
    assert families == {path.stem for path in RECORDINGS.glob("*.snmprec")}


def test_every_family_that_we_know_devices_of_has_its_profile() -> None:
    families = {
        "fortigate", "panos", "cisco_iosxe", "cisco_ios", "cisco_nxos", "cisco_asa", "cisco_ftd", "juniper_srx",
        "juniper_junos", "checkpoint_gaia", "f5_bigip", "a10_thunder", "netscaler_adc", "proxysg", "squid",
        "infoblox_nios", "linux_netsnmp", "host_resources", "windows", "vmware_esxi", "yamaha_rtx", "nec_ix", "nec_qx",
        "alliedware_plus", "apresia", "alaxala_ax", "fitelnet", "hpe_comware", "aruba_cx", "hpe_procurve",
        "extreme_xos", "arista_eos", "ruckus_icx", "dell_networking", "ups_rfc1628", "if_mib",
    }  # fmt: skip
    assert families == {profile.family for profile in PROFILES.ordered}


@pytest.mark.parametrize("family", sorted(EXPECTED))
def test_recording_is_detected_and_reads_as_written_down(family: str) -> None:
    agent = RecordedAgent.from_file(RECORDINGS / f"{family}.snmprec")
    assert family == detect(PROFILES, agent.objects).family
    read = read_values(PROFILES[family], agent.objects).values
    read.pop("health_text", None)
    assert EXPECTED[family] == pytest.approx(read)


def test_every_field_of_every_profile_is_a_field_of_the_schema() -> None:
    known = {field.name for field in SCHEMA["device"].fields}
    assert {"health", "health_text"} <= known
    for profile in PROFILES.ordered:
        assert set(profile.fields) <= known


def test_no_two_profiles_share_their_place_in_the_order() -> None:
    orders = [profile.order for profile in PROFILES.ordered]
    assert sorted(set(orders)) == orders


def test_unverified_readings_are_used_only_where_asked_for() -> None:
    objects = RecordedAgent.from_file(RECORDINGS / "nec_qx.snmprec").objects
    assert {} == read_values(PROFILES["nec_qx"], objects).values
    assert {"cpu_ratio": 0.3, "memory_ratio": 0.44} == read_values(PROFILES["nec_qx"], objects, unverified=True).values


def test_a_counter_is_told_apart_from_a_value() -> None:
    read = read_values(PROFILES["f5_bigip"], RecordedAgent.from_file(RECORDINGS / "f5_bigip.snmprec").objects)
    assert {"session_rate": 123456} == read.totals
    assert "session_rate" not in read.values


def test_what_is_missing_says_why() -> None:
    read = read_values(PROFILES["fortigate"], {})
    assert "the device has no fgSysCpuUsage" == read.missing["cpu_ratio"]


def test_health_names_what_is_not_well() -> None:
    read = read_values(PROFILES["fortigate"], RecordedAgent.from_file(RECORDINGS / "fortigate.snmprec").objects)
    assert "fgHwSensorEntAlarmStatus 2 is 1" == read.values["health_text"]


# ---- detection


@pytest.mark.parametrize(
    ("object_id", "description", "family"),
    [
        ("1.3.6.1.4.1.5951.1", "", "netscaler_adc"),
        ("1.3.6.1.4.1.5951.10", "", "if_mib"),  # arc boundaries
        ("1.3.6.1.4.1.9.1.2404", "Cisco Adaptive Security Appliance Version 9.12", "cisco_asa"),  # an FTD's number
        ("1.3.6.1.4.1.9.1.2683", "Cisco IE3200", "cisco_iosxe"),  # no word of the system
        (None, "Cisco IOS Software, 1841 Software (C1841-IPBASE-M)", "cisco_ios"),  # no sysObjectID
        (None, "Juniper Networks, Inc. ex2200 , kernel JUNOS 12.3R12", "juniper_junos"),
        ("1.3.6.1.4.1.119.1.76.3", "NEC_SV9300_VFE", "if_mib"),  # a PBX is no UNIVERGE IX
        ("1.3.6.1.4.1.1916.2.230", "VSP-8284XSQ (8.1.1.0)", "if_mib"),  # shares the branch of EXOS
        ("1.3.6.1.4.1.12356.15", "Linux in the name of a FortiGate", "fortigate"),
        ("1.3.6.1.4.1.9.12.3.1.3.1163", "NX-OS(tm) ucs, Software (ucs-6100-k9-system)", "if_mib"),
    ],
)
def test_detection_by_object_id_and_description(object_id: str | None, description: str, family: str) -> None:
    objects: dict[Oid, object] = {parse_oid("1.3.6.1.2.1.1.1.0"): description.encode()}
    if object_id is not None:
        objects[parse_oid("1.3.6.1.2.1.1.2.0")] = parse_oid(object_id)
    assert family == detect(PROFILES, objects).family


def test_detection_gives_its_reason() -> None:
    found = PROFILES.detect(SystemGroup(parse_oid("1.3.6.1.4.1.12356.101.1.1041")), {})
    assert Detection("fortigate", "sysObjectID 1.3.6.1.4.1.12356.101.1.1041 is under 1.3.6.1.4.1.12356.101.1") == found


def test_net_snmp_is_asked_what_it_is_more_particularly_before_it_is_linux() -> None:
    system = SystemGroup(parse_oid("1.3.6.1.4.1.8072.3.2.10"), "Linux x")
    asked = []
    probed: dict[Oid, str | None] = {}
    while isinstance(answer := PROFILES.detect(system, probed), ProbeNeeded):
        asked.append(answer.probe.name)
        probed[answer.probe.oid] = None
    assert ["osName", "upsBatteryStatus", "cacheVersionId"] == asked
    assert "linux_netsnmp" == answer.family


def test_an_unknown_profile_is_told_with_those_that_there_are() -> None:
    with pytest.raises(BadProfile, match=r"no profile 'fortigat'; there are: a10_thunder, .*fortigate"):
        PROFILES["fortigat"]


# ---- operations


@pytest.mark.parametrize(
    ("way", "values", "expected"),
    [
        ({"as": "percent", "value": "a 1.3.9.1.0"}, {"1.3.9.1.0": 42}, 0.42),
        ({"as": "percent", "value": "a 1.3.9.1.0"}, {"1.3.9.1.0": b"42.5\0"}, 0.425),
        ({"as": "free_percent", "value": "a 1.3.9.1.0"}, {"1.3.9.1.0": 42}, 0.58),
        (
            {"as": "used_of_total", "used": "a 1.3.9.1.0", "total": "b 1.3.9.2.0"},
            {"1.3.9.1.0": 1, "1.3.9.2.0": 4},
            0.25,
        ),
        (
            {"as": "used_beside_free", "used": "a 1.3.9.1.0", "free": "b 1.3.9.2.0"},
            {"1.3.9.1.0": 1, "1.3.9.2.0": 3},
            0.25,
        ),
        (
            {"as": "free_of_total", "free": "a 1.3.9.1.0", "total": "b 1.3.9.2.0"},
            {"1.3.9.1.0": 1, "1.3.9.2.0": 4},
            0.75,
        ),
    ],
)
def test_operation(way: dict[str, object], values: dict[str, object], expected: float) -> None:
    assert expected == pytest.approx(value_of(reading(**way), {parse_oid(oid): value for oid, value in values.items()}))


@pytest.mark.parametrize(("rows", "expected"), [("max", 0.3), ("min", 0.1), ("avg", 0.2), ("sum", 0.6)])
def test_rows_become_one_value(rows: str, expected: float) -> None:
    values = column("1.3.9.1", {"1": 10, "2": 20, "3": 30})
    assert expected == pytest.approx(value_of(reading(**{"as": "percent", "value": "a 1.3.9.1", "rows": rows}), values))


def test_rows_are_summed_within_a_member_before_the_greatest_member_is_taken() -> None:
    way = reading(**{"as": "number", "value": "a 1.3.9.1", "rows": "max", "within": {"by": "b 1.3.9.2", "rows": "sum"}})
    values = column("1.3.9.1", {"1": 5, "2": 6, "3": 10}) | column("1.3.9.2", {"1": b"x", "2": b"x", "3": b"y"})
    assert 11 == value_of(way, values)


def test_a_total_of_nothing_is_no_division_by_zero() -> None:
    way = reading(**{"as": "used_of_total", "used": "a 1.3.9.1", "total": "b 1.3.9.2", "rows": "max"})
    values = column("1.3.9.1", {"1": 0, "2": 5}) | column("1.3.9.2", {"1": 0, "2": 10})
    assert 0.5 == value_of(way, values)
    alone = column("1.3.9.1", {"1": 0}) | column("1.3.9.2", {"1": 0})
    assert "a, b gave no usable value" == value_of(way, alone).reason


def test_an_empty_row_of_buffers_takes_nothing_off() -> None:
    way = reading(
        **{"as": "used_of_total", "used": "a 1.3.9.1", "total": "b 1.3.9.2", "rows": "max", "where": [{"index": "^1$"}],
           "less": [{"value": "a 1.3.9.1", "where": [{"index": "^[23]$"}]}]}
    )  # fmt: skip
    values = column("1.3.9.1", {"1": 60, "2": b"", "3": 10}) | column("1.3.9.2", {"1": 100})
    assert 0.5 == value_of(way, values)


def test_a_number_that_means_no_limit_is_no_limit() -> None:
    way = reading(**{"as": "number", "value": "a 1.3.9.1.0", "absent": [0]})
    assert "a gave no usable value" == value_of(way, {parse_oid("1.3.9.1.0"): 0}).reason


def test_a_condition_is_looked_at_in_every_poll() -> None:
    way = reading(
        **{"as": "word", "value": "state 1.3.9.1.0", "words": {"active": "active"},
           "where": [{"object": "started 1.3.9.2.0", "matches": "^yes$"}]}
    )  # fmt: skip
    values: dict[Oid, object] = {parse_oid("1.3.9.1.0"): b"Active", parse_oid("1.3.9.2.0"): b"yes"}
    bound = bind("ha_role", way, values)
    assert "active" == evaluate(bound, values)
    assert "started does not match ^yes$" == evaluate(bound, {**values, parse_oid("1.3.9.2.0"): b"no"}).reason
    assert parse_oid("1.3.9.2.0") in bound.oids


# ---- profile files


GOOD = "name: X\norder: 1\ndetect: [{object_id: [1.3.6.1.4.1.99999]}]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a list", "a profile is a mapping with name, order and detect"),
        ("name: [", "while parsing a flow node"),
        (GOOD + "fields: {cpu: []}", "fields.cpu.[key]: Input should be 'cpu_ratio'"),
        (GOOD + "fields: {cpu_ratio: [{as: percents, value: a 1.3.0}]}", "fields.cpu_ratio.0.as: Input should be"),
        (GOOD + "fields: {cpu_ratio: [{as: percent, value: '1.3.0'}]}", "write the object's name, a space and its OID"),
        (GOOD + "fields: {cpu_ratio: [{as: percent, value: a 1.x.0}]}", "fields.cpu_ratio.0.value.oid: '1.x.0' is not"),
        (GOOD + "fields: {cpu_ratio: [{as: percent, value: a 1.3.9}]}", "a column needs rows"),
        (
            GOOD + "fields: {cpu_ratio: [{as: used_of_total, used: a 1.3.0}]}",
            "'used_of_total' needs total, used; given",
        ),
        (GOOD + "fields: {ha_role: [{as: number, value: a 1.3.0}]}", "ha_role cannot be read as number"),
        (
            GOOD + "fields: {ha_role: [{as: word, value: a 1.3.0, words: {1: master}}]}",
            "ha_role: master is not one of active, alone, member, standby, unknown",
        ),
        (GOOD + "colour: red", "colour: Extra inputs are not permitted"),
        (GOOD.replace("detect", "detects"), "detect: Field required"),
        ("name: X\norder: 1\ndetect: [{description: '('}]\n", "'(' is not a regular expression"),
    ],
)
def test_a_broken_profile_is_told_with_file_and_path(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(BadProfile) as caught:
        read_profile(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert sentence in str(caught.value)


def test_a_later_directory_replaces_a_family_and_adds_one(tmp_path: Path) -> None:
    (tmp_path / "if_mib.yaml").write_text("name: ours\norder: 998\ndetect: [{}]\n")
    (tmp_path / "new.yaml").write_text(GOOD)
    (tmp_path / "first.yaml").write_text("name: first\norder: 2\ndetect: [{}]\n")
    profiles = load_profiles(tmp_path)
    assert ["new", "first", "if_mib"] == [profile.family for profile in profiles.ordered]
    assert "ours" == load_profiles(Path("config/profiles").resolve(), tmp_path)["if_mib"].name


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("[]")
    (tmp_path / "b.yaml").write_text(GOOD + "x: 1\ny: 2\n")
    with pytest.raises(BadProfile) as caught:
        load_profiles(tmp_path)
    assert 3 == len(str(caught.value).splitlines())


def test_profile_is_frozen() -> None:
    profile = PROFILES["fortigate"]
    assert isinstance(profile, Profile)
    with pytest.raises(Exception, match="frozen"):
        profile.order = 3  # type: ignore[misc]
