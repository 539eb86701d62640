"""`hinomi rehearse` as people run it: against the lab, whose circuits switch, and through a cable that is pulled."""

import asyncio
import json
import os
import shutil
import signal
import statistics
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
from poller.lab.namespaces import Chain, unique, why_not
from poller.lab.server import Lab
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


async def until_said(stream: asyncio.StreamReader, *words: str) -> None:
    """All of them, in any order."""
    missing = list(words)
    async with asyncio.timeout(150):
        while missing:
            line = (await stream.readline()).decode()
            assert line, f"{missing} was never said"
            missing = [each for each in missing if each not in line]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[tuple[Lab, Path]]:
    """The prefecture, simulated; and its configuration."""
    folder = tmp_path / "config"
    shutil.copytree(EXAMPLE, folder)
    port = free_port()
    settings = folder / "hinomi.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("16161", str(port)), encoding="utf-8")
    configuration = load(folder)
    async with Lab(configuration.estate, folder) as running:
        yield running, folder


@pytest.mark.timeout(300)
async def test_the_lab_switches_over_and_back_and_the_record_says_who_carried_when(lab: tuple[Lab, Path]) -> None:
    """By interface states, traffic and echoes, through the command itself; Ctrl-C ends it and writes the record."""
    running, folder = lab
    out = folder.parent / "record.html"
    command = (sys.executable, "-m", "poller.cli", "rehearse", "int-lines", "-c", str(folder), "--json")
    process = await start(*command, "--out", str(out), cwd=folder.parent)
    assert process.stderr is not None
    await until_said(process.stderr, "通信を運ぶもの： インターネット接続回線 主")
    running.fail_circuit("int-1")
    await until_said(process.stderr, "state インターネット接続回線 主: up -> down", "carrier インターネット接続回線 副")
    running.restore_circuit("int-1")
    await until_said(process.stderr, "state インターネット接続回線 主: down -> up", "carrier インターネット接続回線 主")
    process.send_signal(signal.SIGINT)
    written, complaints = await process.communicate()
    record = json.loads(written)
    assert (0, b"") == (process.returncode, complaints)
    assert ("int-1", "int-1") == (record["carrier_before"], record["carrier_after"])
    changes = [(each["what"], each["member"], each["after"]) for each in record["changes"]]
    assert [("state", "int-1", "down"), ("state", "int-1", "up")] == [each for each in changes if each[0] == "state"]
    assert [("carrier", "int-2", "int-2"), ("carrier", "int-1", "int-1")] == [
        each for each in changes if each[0] == "carrier"
    ]
    assert record["restored_ns"] is not None
    assert [[], []] == [way["breaks"] for way in record["ways"]]
    assert all(way["usual_bits_per_second"] > 1e6 for way in record["ways"])
    assert 6 == len(record["targets"])
    assert all(each["sent"] > 20 and each["lost"] == 0 for each in record["targets"])
    assert "インターネット接続回線（主・副）" in out.read_text(encoding="utf-8")


@pytest.fixture
def chain() -> Iterator[Chain]:
    if reason := why_not():
        pytest.skip(reason)
    chain = Chain(unique("over"), ("us", "gateway", "near", "far", "beyond"))
    yield chain
    chain.delete()


class Arrivals:
    """Echo requests that came to the end of the chain, counted by its kernel."""

    def __init__(self, chain: Chain) -> None:
        self._node = chain.nodes[-1]
        self._node.run("nft", "add table inet seen")
        self._node.run("nft", "add counter inet seen requests")
        self._node.run("nft", "add chain inet seen in { type filter hook input priority 0; }")
        self._node.run("nft", "add rule inet seen in icmp type echo-request counter name requests")

    def count(self) -> int:
        listed = json.loads(self._node.run("nft", "-j", "list counter inet seen requests"))
        return next(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)

    async def more(self, count: int) -> None:
        """Wait until so many more have come."""
        wanted = self.count() + count
        async with asyncio.timeout(60):
            while await asyncio.to_thread(self.count) < wanted:  # noqa: ASYNC110 - a kernel tells nobody
                await asyncio.sleep(0.05)


@pytest.mark.timeout(120)
async def test_the_length_of_a_real_break_is_measured_to_two_tenths_of_a_second(chain: Chain, tmp_path: Path) -> None:
    """Three breaks, and the median of what each moment is wrong by: one may meet a machine that has no time for us."""
    (tmp_path / "hinomi.yaml").write_text(PAIR, encoding="utf-8")
    arrivals = Arrivals(chain)
    command = (sys.executable, "-m", "poller.cli", "rehearse", "pair", "-c", str(tmp_path), "--target", "10.8.4.2")
    process = await start(*chain.nodes[0].command(*command, "--json"), cwd=tmp_path)
    moments: list[tuple[int, int]] = []
    for _ in range(3):
        await arrivals.more(10)
        for change in (chain.pull, chain.plug):
            begun_ns = time.time_ns()
            await asyncio.to_thread(change, 4)
            moments.append((begun_ns, time.time_ns()))
            await asyncio.sleep(1)  # the length of a break, and then time for an answer
    await arrivals.more(10)
    process.send_signal(signal.SIGINT)
    written, _ = await process.communicate()
    record = json.loads(written)
    found = [each[end] for each in record["breaks"] for end in ("start_ns", "end_ns")]
    assert len(moments) == len(found)
    wrong_ns = [max(0, begun - at, at - done) for at, (begun, done) in zip(found, moments, strict=True)]
    assert statistics.median(wrong_ns) <= 0.2 * SECOND
    for each in record["breaks"]:
        assert each["lost"] == pytest.approx((each["end_ns"] - each["start_ns"]) / 1e8, abs=3)
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
