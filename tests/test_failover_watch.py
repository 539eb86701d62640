"""`hinomi rehearse` as people run it: against the lab, whose circuits switch, and through a cable that is pulled."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from poller.config import load
from poller.estate import Estate
from poller.failover import Break, Change, FailoverRecord, TargetRecord, WayRecord
from poller.failover_page import FailoverPage
from poller.failover_watch import Member, NothingToWatch, member_readings, name_of, named_addresses, wish_of
from poller.free_ports import free_port
from poller.lab.namespaces import Chain, Namespace, why_not
from poller.readings import DeviceReading, InterfaceLayout
from probes.errors import LocalError

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "config" / "examples" / "prefecture"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "LANG": "ja_JP.UTF-8"}
SECOND = 10**9
START = 1_800_000_000 * SECOND
PAIR = """\
organisation: {name: {ja: 試験網, en: Test network}}
sites: {hall: {}}
devices: {rt-1: {addresses: [10.8.2.2], role: router, site: hall, ping: false}}
redundancy_groups: {pair: {name: {ja: 回線（主・副）, en: Pair}}}
circuits:
  line-1:
    name: {ja: 回線1, en: Line 1}
    kind: internet
    ceiling_rate: 1G
    measured_by: {device: rt-1, interface: eth0}
    probe: {near: 10.8.2.2, far: 10.8.3.2}
    redundancy_group: pair
  line-2:
    name: {ja: 回線2, en: Line 2}
    kind: internet
    ceiling_rate: 1G
    measured_by: {device: rt-1, interface: eth1}
    probe: {far: 10.8.4.2}
    redundancy_group: pair
"""


@pytest.fixture(scope="module")
def estate() -> Estate:
    return load(EXAMPLE).estate


async def start(*command: str, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=ENVIRONMENT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def until_said(stream: asyncio.StreamReader, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in (line := (await stream.readline()).decode()):
            assert line, f"{words!r} was never said"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Path]:
    """The prefecture, simulated; its main internet circuit breaks after nine seconds for five. The configuration."""
    port = free_port()
    folder = tmp_path / "config"
    shutil.copytree(EXAMPLE, folder)
    settings = folder / "hinomi.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("16161", str(port)), encoding="utf-8")
    (tmp_path / "scenario.yaml").write_text("events: [{do: fail_circuit, circuit: int-1, at: 9s, for: 5s}]\n")
    command = (sys.executable, "-m", "poller.cli", "lab", "-c", str(folder), "-s", str(tmp_path / "scenario.yaml"))
    process = await start(*command, cwd=tmp_path)
    assert process.stdout is not None
    await until_said(process.stdout, "lab ready")
    yield folder
    process.send_signal(signal.SIGINT)
    await process.wait()


@pytest.mark.timeout(120)
async def test_the_lab_switches_over_and_back_and_the_record_says_who_carried_when(lab: Path) -> None:
    """By interface states, traffic and echoes, through the command itself; Ctrl-C ends it and writes the record."""
    out = lab.parent / "record.html"
    command = (sys.executable, "-m", "poller.cli", "rehearse", "int-lines", "-c", str(lab), "--json", "--out", str(out))
    process = await start(*command, cwd=lab.parent)
    assert process.stderr is not None
    for change in (
        "carrier インターネット接続回線 副",
        "state インターネット接続回線 主: down",
        "carrier インターネット接続回線 主",
    ):
        await until_said(process.stderr, change)
    await asyncio.sleep(2)
    process.send_signal(signal.SIGINT)
    written, complaints = await process.communicate()
    record = json.loads(written)
    assert (0, b"") == (process.returncode, complaints)
    assert ("int-1", "int-1") == (record["carrier_before"], record["carrier_after"])
    changes = [(each["what"], each["member"], each["after"]) for each in record["changes"]]
    assert [
        ("state", "int-1", "down"),
        ("carrier", "int-2", "int-2"),
        ("state", "int-1", "up"),
        ("carrier", "int-1", "int-1"),
    ] == sorted(changes, key=changes.index)
    assert record["restored_ns"] is not None
    assert [[], []] == [way["breaks"] for way in record["ways"]]
    assert all(way["usual_bits_per_second"] > 1e6 for way in record["ways"])
    assert 6 == len(record["targets"])
    assert all(each["sent"] > 50 and each["lost"] == 0 for each in record["targets"])
    assert "インターネット接続回線（主・副）" in out.read_text(encoding="utf-8")


@pytest.fixture
def chain() -> Iterator[Chain]:
    if reason := why_not():
        pytest.skip(reason)
    chain = Chain(f"over-{os.getpid()}-{time.monotonic_ns() % 10**6}", ("us", "gateway", "near", "far", "beyond"))
    yield chain
    chain.delete()


async def until_asked(node: Namespace, echoes: int) -> None:
    """Until so many more echo requests have come to a machine (icmpInEchos of RFC 1213)."""

    async def asked() -> int:
        process = await start(*node.command("cat", "/proc/net/snmp"), cwd=ROOT)
        lines = [line.split() for line in (await process.communicate())[0].decode().splitlines()]
        names, values = (line for line in lines if line[0] == "Icmp:")
        return int(values[names.index("InEchos")])

    before = await asked()
    async with asyncio.timeout(60):
        while await asked() < before + echoes:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.05)


@pytest.mark.timeout(120)
async def test_the_length_of_a_real_break_is_measured_to_two_tenths_of_a_second(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "hinomi.yaml").write_text(PAIR, encoding="utf-8")
    command = (sys.executable, "-m", "poller.cli", "rehearse", "pair", "-c", str(tmp_path), "--target", "10.8.4.2")
    begun_ns = time.time_ns()
    process = await start(*chain.nodes[0].command(*command, "--json"), cwd=tmp_path)
    await until_asked(chain.nodes[4], 10)
    pulling_ns = time.time_ns()
    await asyncio.to_thread(chain.pull, 4)
    pulled_ns = time.time_ns()
    await asyncio.sleep(1.5)  # the length of the break
    plugging_ns = time.time_ns()
    await asyncio.to_thread(chain.plug, 4)
    plugged_ns = time.time_ns()
    await until_asked(chain.nodes[4], 20)
    process.send_signal(signal.SIGINT)
    written, _ = await process.communicate()
    record = json.loads(written)
    (found,) = record["breaks"]
    assert begun_ns < record["started_ns"] < pulling_ns
    assert pulling_ns - 0.2 * SECOND < found["start_ns"] < pulled_ns + 0.2 * SECOND
    assert plugging_ns - 0.2 * SECOND < found["end_ns"] < plugged_ns + 0.2 * SECOND
    assert found["lost"] == pytest.approx((found["end_ns"] - found["start_ns"]) / 1e8, abs=2)
    by_target = {each["target"]: each for each in record["targets"]}
    assert 0 == by_target["line-1.near"]["lost"] == by_target["line-1.far"]["lost"]
    assert record["restored_ns"] is not None


def test_what_is_watched_of_a_group_of_circuits_and_of_one_of_devices(estate: Estate) -> None:
    lines = wish_of(estate, "int-lines")
    assert [
        Member("int-1", "int-rt-1", "TenGigabitEthernet0/0/0"),
        Member("int-2", "int-rt-2", "TenGigabitEthernet0/0/0"),
    ] == list(lines.members)
    assert frozenset({"int-1.beyond", "int-2.beyond"}) == lines.watched
    firewalls = wish_of(estate, "fw", named_addresses(["192.0.2.1"]))
    assert ["fw-1", "fw-2"] == [member.device for member in firewalls.members]
    assert (frozenset({"192.0.2.1"}), True) == (firewalls.watched, firewalls.named)
    assert {"192.0.2.1", "fw-1", "fw-2"} == set(firewalls.targets)


def test_what_cannot_be_watched_is_one_sentence(estate: Estate) -> None:
    with pytest.raises(NothingToWatch, match="no redundancy group 'nobody'"):
        wish_of(estate, "nobody")
    with pytest.raises(LocalError, match="--target fw is not an IPv4 or IPv6 address"):
        named_addresses(["fw"])


def test_names_of_members_points_and_places(estate: Estate) -> None:
    assert "インターネット接続回線 主 契約の向こう端" == name_of(estate, "ja", "int-1.far")
    assert "Internet circuit, main beyond" == name_of(estate, "en", "int-1.beyond")
    assert "192.0.2.1" == name_of(estate, "ja", "192.0.2.1")


LAYOUT = InterfaceLayout(("eth0", "TenGigabitEthernet0/0/0"), (1, 2), (10**10,) * 2, (True,) * 2)


def reading(second: int, octets: int, role: str = "active", status: int = 1) -> DeviceReading:
    return DeviceReading(
        device="int-rt-1",
        due_ns=START + second * SECOND,
        layout=LAYOUT,
        received_ns=[START + second * SECOND] * 2,
        uptime_ticks=[second * 100] * 2,
        counters=[octets * 5, octets * 6, 0, 0, 0, 0, 0, 0, octets, octets * 2, 0, 0, 0, 0, 0, 0],
        oper_status=[1, status],
        discontinuity_ticks=[None] * 2,
        values={"ha_role": role},
    )


def test_a_member_s_rates_are_those_of_its_interface_turned_towards_the_estate(estate: Estate) -> None:
    member = Member("int-1", "int-rt-1", "TenGigabitEthernet0/0/0", "out")
    (found,) = member_readings(estate, [member], reading(0, 0), reading(2, 250_000, status=2), START)
    assert (2e6, 1e6) == (found.in_bits_per_second, found.out_bits_per_second)
    assert (False, "active") == (found.up, found.role)


def test_a_device_counts_where_circuits_end_on_it(estate: Estate) -> None:
    (found,) = member_readings(estate, [Member("int-rt-1", "int-rt-1")], reading(0, 0), reading(1, 125_000), START)
    assert (1e6, 2e6) == (found.in_bits_per_second, found.out_bits_per_second)


def test_counters_that_fell_and_devices_that_are_silent_say_nothing(estate: Estate) -> None:
    member = Member("int-1", "int-rt-1", "TenGigabitEthernet0/0/0")
    (fell,) = member_readings(estate, [member], reading(0, 500), reading(1, 0), START)
    assert (None, None) == (fell.in_bits_per_second, fell.out_bits_per_second)
    (silent,) = member_readings(estate, [member], reading(0, 500), None, START)
    assert (None, None, None) == (silent.up, silent.role, silent.in_bits_per_second)


RECORD = FailoverRecord(
    group="int-lines",
    members=("int-1", "int-2"),
    started_ns=START,
    ended_ns=START + 60 * SECOND,
    breaks=(Break(START + 10 * SECOND, START + 12 * SECOND + 3 * SECOND // 10, 23),),
    targets=(TargetRecord("int-1.beyond", 600, 23, (Break(START + 10 * SECOND, START + 12 * SECOND, 23),)),),
    ways=(WayRecord("in", 8e8, (Break(START + 10 * SECOND, START + 13 * SECOND),)), WayRecord("out", None, ())),
    changes=(Change(START + 12 * SECOND, "carrier", "int-2", "int-1", "int-2"),),
    carrier_before="int-1",
    carrier_after="int-2",
    restored_ns=None,
)


@pytest.mark.parametrize(
    ("lang", "lines"),
    [
        (
            "ja",
            [
                "| 通信断 | 17:00:10.0 〜 17:00:12.3（2.3秒） |",
                "| 通信断 下り（受信） | 17:00:10.0 〜 17:00:13.0（約3秒） |",
                "| 通信断 上り（送信） | 判定できない（通信量が少ないか、計数がない） |",
                "| 試験前に運んでいた | インターネット接続回線 主 |",
                "| 試験後に運んでいる | インターネット接続回線 副 |",
                "| 試験前の状態に戻った時刻 | 試験の終わりまでに戻っていない |",
                "| インターネット接続回線 主 その先 | 600 | 23 (3.8%) | 1 | 2.0秒 |",
            ],
        ),
        (
            "en",
            [
                "| break | 17:00:10.0 to 17:00:12.3 (2.3 s) |",
                "| break, inbound | 17:00:10.0 to 17:00:13.0 (about 3 s) |",
                "| carried before | Internet circuit, main |",
                "| as before since | not within this rehearsal |",
            ],
        ),
    ],
)
def test_the_page_says_what_people_sign(estate: Estate, lang: str, lines: list[str]) -> None:
    page = FailoverPage(RECORD, estate, lang, lambda key: name_of(estate, lang, key))
    written = page.markdown()
    assert [] == [line for line in lines if line not in written]
    html = page.html()
    assert html.startswith("<!doctype html>")
    assert all(cell.strip() in html for line in lines for cell in line.strip("| ").split("|"))


def test_a_rehearsal_without_any_change_says_so(estate: Estate) -> None:
    calm = replace(RECORD, breaks=(), targets=(), ways=(), changes=(), carrier_after="int-1")
    assert "変化は観測されなかった" in FailoverPage(calm, estate, "ja", str).markdown()


def test_addresses_of_both_families_are_taken() -> None:
    assert [ip_address("192.0.2.1"), ip_address("2001:db8::1")] == named_addresses(["192.0.2.1", "2001:db8::1"])
