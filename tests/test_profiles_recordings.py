"""Real devices' recordings, replayed: detected, read, and every 64-bit octet counter as the agent gave it.

The recordings are not part of the project (their licence); they are read where HINOMI_RECORDINGS says, or beside the
checkout. What they must read as stands in their recordings.tsv, and is taken from its text here, by family.

Where we read otherwise than recordings.tsv says, on purpose:
- memory of net-snmp based devices (gaia, nios, dell-os10, linux_lsi, awplus) and of Arista: the table gives the raw
  ratio of hrStorageUsed; we take buffers and cache off, as devices.md asks for, which is the table's LibreNMS column.
- sgos: LibreNMS divides by system + available; the MIB says that "available" is the total, so we divide by it.
- ftd: of 18 cores the table gives average and maximum; we take the maximum.
- fortigate_1500d, fortigate_cluster-60f: no fgVdEntHaState was recorded; fgHaSystemMode 3 is a cluster, so "member".
- univerge is the negative case: a PBX, which is read as "any device, interfaces only".
- netvision-rfc: the table expects no CPU and memory of a UPS; LibreNMS reads those of its network card, we do not.
- windows, linux_lsi, junos_srx3600: recorded without ifHCInOctets; there is nothing 64-bit to compare.
"""

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from poller.discovery import Discovery, Question, discover
from poller.iftable import IF_X_ENTRY
from poller.polling import plan_poll, read_poll
from poller.profiles import load_profiles
from poller.readings import COUNTERS, DeviceReading
from poller.replay import RecordedAgent
from probes.snmp.target import SnmpTarget

NOW_NS = 1_795_000_000 * 10**9
TARGET = SnmpTarget("127.0.0.1", community=b"public")
PROFILES = load_profiles()


def _folder() -> Path | None:
    beside = [parent / "shared" / "devices" / "recordings" for parent in Path(__file__).resolve().parents]
    named = os.environ.get("HINOMI_RECORDINGS")
    for folder in [Path(named)] if named else beside:
        if (folder / "recordings.tsv").is_file():
            return folder
    return None


FOLDER = _folder()
ROWS = list(csv.DictReader((FOLDER / "recordings.tsv").open(), delimiter="\t")) if FOLDER else []
pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="no recordings here: HINOMI_RECORDINGS names no folder with them"
)


async def replay(name: str) -> tuple[RecordedAgent, Discovery, DeviceReading]:
    """What the production path makes of a recording."""
    assert FOLDER is not None
    agent = RecordedAgent.from_file(FOLDER / name)
    found = await discover(agent, TARGET, Question("replayed"), PROFILES, NOW_NS)
    plan = plan_poll(found, PROFILES[found.family])
    return agent, found, read_poll(plan, agent.poll(plan.groups, NOW_NS), NOW_NS)


def first(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text)
    return float(match[1]) if match else None


def percent(pattern: str) -> Callable[[str], float | None]:
    def read(text: str) -> float | None:
        number = first(pattern, text)
        return None if number is None else number / 100

    return read


def used_and_free(text: str) -> float | None:
    match = re.search(r"used (\d+) free (\d+)", text)
    return int(match[1]) / (int(match[1]) + int(match[2])) if match else None


def used_of_total(text: str) -> float | None:
    match = re.search(r"used (\d+) (?:of|total) (\d+)|alloc (\d+) of (\d+)", text)
    numbers = [int(group) for group in match.groups() if group] if match else []
    return numbers[0] / numbers[1] if match else None


def raw_storage(text: str) -> float | None:
    match = re.search(r"raw (\d+)/(\d+)", text)
    return int(match[1]) / int(match[2]) if match else None


def total_less_free(text: str) -> float | None:
    match = re.search(r"total (\d+) free (\d+)", text)
    return 1 - int(match[2]) / int(match[1]) if match else None


def system_of_available(text: str) -> float | None:
    match = re.search(r"available\(total\) (\d+) system (\d+)", text)
    return int(match[2]) / int(match[1]) if match else None


CPU = {
    "fortigate": percent(r"fgSysCpuUsage=(\d+)"),
    "panos": percent(r"data=(\d+)"),
    **dict.fromkeys(("cisco_ftd", "cisco_iosxe", "cisco_ios", "cisco_nxos"), percent(r"cpm5min .*?max=(\d+)")),
    "juniper_srx": percent(r"SPU cpu n=\d+ avg=[\d.]+ max=(\d+)"),
    "juniper_junos": percent(r"Routing Engine 0: cpu (\d+)"),
    "checkpoint_gaia": percent(r"(?:multiProcUsage|hrProcessorLoad) n=\d+ avg=([\d.]+)"),
    "a10_thunder": percent(r"avg=([\d.]+)"),
    "netscaler_adc": percent(r"max=(\d+)"),
    "proxysg": percent(r"avg=([\d.]+)"),
    "hpe_procurve": percent(r"hpSwitchCpuStat=(\d+)"),
    "hpe_comware": percent(r"cpu (\d+)"),
    "alliedware_plus": percent(r"member1=(\d+)"),
    "alaxala_ax": percent(r"CpuLoad1m=(\d+)"),
    "ruckus_icx": percent(r"slot 1 cpu 1=(\d+)"),
    "extreme_xos": percent(r"TotalUtilization=(\d+)"),
    **dict.fromkeys(
        (
            "f5_bigip", "infoblox_nios", "linux_netsnmp", "dell_networking", "windows", "vmware_esxi", "aruba_cx",
            "arista_eos",
        ),
        percent(r"hrProcessorLoad n=\d+ avg=([\d.]+)"),
    ),
}  # fmt: skip
"""By family, how the table's column expected_cpu says what we must read."""

MEMORY = {
    "fortigate": percent(r"fgSysMemUsage=(\d+)%"),
    "panos": raw_storage,
    **dict.fromkeys(("cisco_asa", "cisco_ftd", "cisco_iosxe", "cisco_ios", "cisco_nxos"), used_and_free),
    "juniper_srx": percent(r"SPU mem n=\d+ avg=[\d.]+ max=(\d+)"),
    "netscaler_adc": percent(r"resMemUsage=(\d+)%"),
    **dict.fromkeys(("f5_bigip", "a10_thunder", "alaxala_ax", "hpe_procurve"), used_of_total),
    "proxysg": system_of_available,
    **dict.fromkeys(("windows", "vmware_esxi", "alliedware_plus"), raw_storage),
    "aruba_cx": percent(r"member1 mem=(\d+)%"),
    "hpe_comware": percent(r"mem (\d+)%"),
    "extreme_xos": total_less_free,
}
"""By family, how expected_memory says it. junos_ex says it in expected_cpu."""

WITHOUT_CACHE = {
    "gaia.snmprec": "Physical memory",
    "gaia_1450.snmprec": "Physical memory",
    "nios.snmprec": "Physical memory",
    "linux_lsi.snmprec": "Physical memory",
    "dell-os10.snmprec": "Physical memory",
    "arista_eos.snmprec": "RAM",
}
"""Recordings whose memory is that of librenms_expected_mem: octets used, cache taken off, of octets."""

SESSIONS = {
    "fortigate": r"fgSysSesCount=(\d+)",
    "panos": r"active=(\d+)",
    "cisco_asa": r"currentInUse\(\.40\.6\)=(\d+)",
    "cisco_ftd": r"currentInUse\(\.40\.6\)=(\d+)",
    "juniper_srx": r"node1: flow sessions (\d+)",
    "checkpoint_gaia": r"fwNumConn=(\d+)",
    "f5_bigip": r"clientCur=(\d+)",
    "netscaler_adc": r"client=(\d+)",
}
ROLES = {
    "fortigate.snmprec": "active",
    "fortigate_1500d.snmprec": "member",
    "fortigate_cluster-60f.snmprec": "member",
    "panos.snmprec": "active",
    "asa.snmprec": "active",
    "junos_srx3600.snmprec": "member",
    "gaia_1450.snmprec": "alone",
    "f5_ve.snmprec": "active",
    "netscaler.snmprec": "standby",
    "nios.snmprec": "standby",
    "arubaos-cx_10.16.snmprec": "active",
}
"""As expected_session_ha tells in its words; every other recording tells no role."""

by_file = pytest.mark.parametrize("row", ROWS, ids=[row["file"].removesuffix(".snmprec") for row in ROWS])


@by_file
async def test_the_family_is_detected(row: dict[str, str]) -> None:
    expected = "if_mib" if "negative case" in row["family"] else row["family"]
    _, found, _ = await replay(row["file"])
    assert expected == found.family


@by_file
async def test_cpu_is_read(row: dict[str, str]) -> None:
    _, found, reading = await replay(row["file"])
    expected = CPU[found.family](row["expected_cpu"]) if found.family in CPU else None
    assert expected == (pytest.approx(reading.values["cpu_ratio"], abs=0.0001) if expected is not None else None)
    assert (expected is None) == ("cpu_ratio" not in reading.values)


@by_file
async def test_memory_is_read(row: dict[str, str]) -> None:
    _, found, reading = await replay(row["file"])
    if row["file"] in WITHOUT_CACHE:
        match = re.search(rf"{WITHOUT_CACHE[row['file']]} (\d+)/(\d+) B", row["librenms_expected_mem"])
        assert match is not None
        expected: float | None = int(match[1]) / int(match[2])
    elif found.family == "juniper_junos":
        expected = percent(r"mem% (\d+)")(row["expected_cpu"])
    else:
        expected = MEMORY[found.family](row["expected_memory"]) if found.family in MEMORY else None
    assert expected == (pytest.approx(reading.values["memory_ratio"], abs=0.0001) if expected is not None else None)
    assert (expected is None) == ("memory_ratio" not in reading.values)


@by_file
async def test_sessions_are_read(row: dict[str, str]) -> None:
    _, found, reading = await replay(row["file"])
    if found.family in SESSIONS:
        assert first(SESSIONS[found.family], row["expected_session_ha"]) == reading.values.get("sessions")
    rate = first(r"rate1=(\d+)", row["expected_session_ha"])
    if rate is not None:
        assert rate == reading.values["session_rate"]


@by_file
async def test_the_role_in_a_pair_is_read(row: dict[str, str]) -> None:
    _, _, reading = await replay(row["file"])
    assert ROLES.get(row["file"]) == reading.values.get("ha_role")


@pytest.mark.parametrize(
    ("name", "limit"), [("junos_srx3600.snmprec", 4_505_600), ("gaia_1450.snmprec", 149_900), ("panos.snmprec", None)]
)
async def test_limits_are_read(name: str, limit: int | None) -> None:
    _, _, reading = await replay(name)
    assert limit == reading.values.get("sessions_limit")


@by_file
async def test_every_64_bit_octet_counter_is_read_as_it_was_recorded(row: dict[str, str]) -> None:
    agent, found, reading = await replay(row["file"])
    width = len(COUNTERS)
    read = {
        (column, if_index): reading.counters[place * width + counter]
        for place, if_index in enumerate(reading.layout.if_indexes)
        for counter, column in ((0, 6), (1, 10))
        if reading.layout.wide[place]
    }
    recorded = {
        (oid[-2], oid[-1]): value
        for oid, value in agent.objects.items()
        if oid[: len(IF_X_ENTRY)] == IF_X_ENTRY and oid[-2] in {6, 10} and isinstance(value, int)
    }
    assert recorded == {key: value for key, value in read.items() if key in recorded}
    told = re.search(r"ifHC:(\d+)", row["holds"])
    assert (int(told[1]) if told else 0) == sum(interface.wide for interface in found.interfaces)


@by_file
async def test_names_of_interfaces_are_unique(row: dict[str, str]) -> None:
    _, found, _ = await replay(row["file"])
    names = [interface.name for interface in found.interfaces]
    assert sorted(set(names)) == sorted(names)
