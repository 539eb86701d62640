from dataclasses import replace
from pathlib import Path

import pytest

from poller.discovery import (
    IF_NUMBER,
    RENEW_SECONDS,
    SYS_UPTIME,
    Discovery,
    Question,
    discover,
    needs_rediscovery,
)
from poller.iftable import IF_ENTRY, IF_X_ENTRY, build_interfaces, unique_names
from poller.polling import plan_poll, read_poll
from poller.profiles import BadProfile, load_profiles
from poller.readings import DeviceReading
from poller.replay import RecordedAgent
from probes.snmp.errors import NoAnswer, NotIncreasing
from probes.snmp.oid import Oid, parse_oid
from probes.snmp.target import SnmpTarget
from probes.snmp.values import VarBind

RECORDINGS = Path(__file__).parent / "recordings"
PROFILES = load_profiles()
TARGET = SnmpTarget("127.0.0.1", community=b"public")
NOW_NS = 1_795_000_000 * 10**9
SECOND_NS = 10**9
DAY_SECONDS = 86_400


def agent_of(family: str) -> RecordedAgent:
    return RecordedAgent.from_file(RECORDINGS / f"{family}.snmprec")


async def found_on(agent: RecordedAgent, profile: str = "auto") -> Discovery:
    return await discover(agent, TARGET, Question("fw-1", profile), PROFILES, NOW_NS)


def read(agent: RecordedAgent, found: Discovery, now_ns: int) -> DeviceReading:
    plan = plan_poll(found, PROFILES[found.family])
    return read_poll(plan, agent.poll(plan.groups, now_ns), now_ns)


def add_row(agent: RecordedAgent, index: int, name: str, in_octets: int) -> None:
    agent.objects[*IF_X_ENTRY, 1, index] = name.encode()
    agent.objects[*IF_X_ENTRY, 6, index] = in_octets
    agent.objects[*IF_X_ENTRY, 10, index] = in_octets * 2


# ---- what is found


async def test_a_device_is_found_with_family_interfaces_and_what_its_profile_reads() -> None:
    found = await found_on(agent_of("fortigate"))
    assert ("fortigate", "fw-1", "fortigate-example") == (found.family, found.device, found.name)
    assert [("ex3", 3, 10**9, True)] == [(one.name, one.if_index, one.speed, one.wide) for one in found.interfaces]
    assert {} == found.missing
    assert not found.narrow_only


async def test_a_profile_named_in_the_configuration_is_used_without_asking_who_it_is() -> None:
    found = await found_on(agent_of("fortigate"), profile="linux_netsnmp")
    assert ("linux_netsnmp", "named in the configuration") == (found.family, found.family_reason)


async def test_an_unknown_profile_is_told_before_anything_is_asked() -> None:
    agent = agent_of("fortigate")
    with pytest.raises(BadProfile, match="no profile 'fortigaet'"):
        await found_on(agent, profile="fortigaet")
    assert 0 == agent.questions


async def test_a_table_that_loops_keeps_its_rows_and_is_named() -> None:
    class Looping(RecordedAgent):
        async def walk(self, target: SnmpTarget, root: Oid):
            async for one in super().walk(target, root):
                yield one
            if root == parse_oid("1.3.6.1.2.1.25.3.3.1.2"):
                raise NotIncreasing("127.0.0.1 answered 1.3 after 1.4: its OIDs do not increase.")

    found = await found_on(Looping(agent_of("linux_netsnmp").objects))
    assert ["hrProcessorLoad"] == list(found.failures)
    assert found.failures["hrProcessorLoad"].startswith("not_increasing: ")
    assert 0.06 == pytest.approx(read(Looping(agent_of("linux_netsnmp").objects), found, NOW_NS).values["cpu_ratio"])


async def test_silence_in_the_middle_ends_the_discovery() -> None:
    class Dying(RecordedAgent):
        async def walk(self, _target: SnmpTarget, root: Oid):
            raise NoAnswer("127.0.0.1 did not answer.")
            yield VarBind(root)

    with pytest.raises(NoAnswer):
        await found_on(Dying(agent_of("linux_netsnmp").objects))


# ---- interfaces


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1, "eth0", "Ethernet")], ["eth0"]),
        ([(1, "", "Ethernet")], ["Ethernet"]),
        ([(7, "", "")], ["if7"]),
        ([(1, "eth", "left"), (2, "eth", "right")], ["eth left", "eth right"]),
        ([(1, "eth", "eth"), (2, "eth", "eth")], ["eth~1", "eth~2"]),
        ([(1, "", "a"), (2, "a", "")], ["a~1", "a~2"]),
    ],
)
def test_names_are_unique(rows: list[tuple[int, str, str]], expected: list[str]) -> None:
    assert expected == unique_names(rows)


def columns(**given: dict[int, object]) -> dict[str, dict[int, object]]:
    names = (
        *("ifDescr", "ifType", "ifSpeed", "ifInOctets", "ifName", "ifHCInOctets", "ifHCInUcastPkts"),
        *("ifHCInMulticastPkts", "ifHighSpeed", "ifAlias", "ifCounterDiscontinuityTime"),
    )
    return {name: given.get(name, {}) for name in names}


def test_rows_are_joined_even_where_a_table_leaves_one_out() -> None:
    rows = build_interfaces(
        columns(
            ifDescr={1: b"loopback", 2: b"port 2"},
            ifInOctets={1: 5},
            ifName={2: b"2"},
            ifHCInOctets={2: 10},
            ifHCInUcastPkts={2: 1},
        )
    )
    assert [("loopback", False, "narrow"), ("2", True, "unicast")] == [
        (row.name, row.wide, row.packets) for row in rows
    ]


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [(10_000, 4_294_967_295, 10**10), (0, 100_000_000, 10**8), (None, 4_294_967_295, 0), (None, None, 0)],
)
def test_speed_is_what_the_device_can_say(high: int | None, low: int | None, expected: int) -> None:
    given = columns(ifDescr={1: b"x"}, ifHighSpeed={1: high}, ifSpeed={1: low})
    assert expected == build_interfaces(given)[0].speed


def test_text_from_the_network_is_cleaned() -> None:
    given = columns(ifName={1: b"ge\x1b[31m0\0"}, ifAlias={1: b"to \xe4\xb8\x89\xe9\x87\x8d\r\nBcc: x"})
    row = build_interfaces(given)[0]
    assert ("ge [31m0", "to 三重 Bcc: x") == (row.name, row.alias)


def test_a_counter_of_the_wrong_type_is_no_64_bit_counter() -> None:
    assert not build_interfaces(columns(ifDescr={1: b"x"}, ifHCInOctets={1: b"\x01\x02"}))[0].wide


# ---- does it still hold?


async def steady(seconds: float, *, ticks: int | None = None, **changes: object):
    """A discovery, and the reading made so many seconds later."""
    agent = agent_of("fortigate")
    agent.objects[IF_NUMBER] = 1
    found = await found_on(agent)
    assert found.uptime_ticks == 8_640_000
    later = NOW_NS + int(seconds * SECOND_NS)
    agent.objects[SYS_UPTIME] = 8_640_000 + int(seconds * 100) if ticks is None else ticks
    reading = read(agent, found, later)
    return found, replace(reading, **changes), later


async def reason_after(seconds: float, **changes: object) -> str | None:
    found, reading, later = await steady(seconds, **changes)
    need = needs_rediscovery(found, reading, later)
    return need.reason if need is not None else None


async def test_nothing_happened() -> None:
    assert await reason_after(60) is None


@pytest.mark.parametrize(
    ("ticks", "reason"),
    [
        (500, "restarted"),
        (8_640_000 + 30_000, None),  # five minutes, as expected
        (8_640_000 + 30_000 - 5_900, None),  # within the tolerance of 60 s
        (8_640_000 + 30_000 - 6_100, "restarted"),
        (8_640_000 + 40_000, None),  # ahead: a poor clock is no restart
    ],
)
async def test_a_smaller_uptime_than_expected_is_a_restart(ticks: int, reason: str | None) -> None:
    assert reason == await reason_after(300, ticks=ticks)


async def test_the_wrap_of_sysuptime_is_no_restart() -> None:
    """497.1 days: TimeTicks begin again (R29)."""
    found, reading, later = await steady(60, ticks=(2**32 - 3_000 + 6_000) % 2**32)
    found = replace(found, uptime_ticks=2**32 - 3_000)
    assert needs_rediscovery(found, reading, later) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"if_number": 2}, "interfaces_changed"),
        ({"if_number": None}, None),
        ({"if_table_last_change": 9}, None),  # unknown at discovery: proves nothing
    ],
)
async def test_a_changed_number_of_interfaces_calls_for_a_new_look(
    changes: dict[str, object], reason: str | None
) -> None:
    assert reason == await reason_after(60, **changes)


async def test_a_changed_table_time_calls_for_a_new_look() -> None:
    found, reading, later = await steady(60, if_table_last_change=9)
    need = needs_rediscovery(replace(found, if_table_last_change=8), reading, later)
    assert need is not None
    assert ("interfaces_changed", "ifTableLastChange was 8 and is 9") == (need.reason, need.text)


async def test_more_boots_of_the_engine_are_a_restart() -> None:
    found, reading, later = await steady(60, engine_boots=5)
    need = needs_rediscovery(replace(found, engine_boots=4), reading, later)
    assert need is not None
    assert ("restarted", "snmpEngineBoots was 4 and is 5") == (need.reason, need.text)


async def test_the_reading_before_is_believed_more_than_the_discovery() -> None:
    """A restart that was already dealt with is not found again."""
    found, reading, later = await steady(300, ticks=20_000)
    before = replace(reading, device_uptime_ticks=14_000, device_received_ns=later - 60 * SECOND_NS)
    assert needs_rediscovery(found, reading, later, before) is None


async def test_a_reading_without_its_rows_tells_the_same_of_a_restart() -> None:
    """By the device's own sysUpTime, or that of the first row that has one."""
    found, reading, later = await steady(60, ticks=20_000)
    known = (None, 14_000, 14_001, 14_002)
    several = replace(reading, uptime_ticks=known, received_ns=[later - n * SECOND_NS for n in (90, 60, 61, 62)])
    for before in (several, replace(several, device_uptime_ticks=None), replace(several, uptime_ticks=[None] * 4)):
        kept = before.without_rows()
        assert kept.counters == ()
        assert needs_rediscovery(found, reading, later, kept) == needs_rediscovery(found, reading, later, before)
    far = replace(several, device_uptime_ticks=None, uptime_ticks=(None, 2**31, 0, 0)).without_rows()
    need = needs_rediscovery(found, reading, later, far)
    assert need is not None
    assert need.reason == "restarted"


@pytest.mark.parametrize(("seconds", "reason"), [(60, None), (700, "rows_gone")])
async def test_rows_without_counters_are_looked_at_again_but_not_in_every_poll(
    seconds: int, reason: str | None
) -> None:
    assert reason == await reason_after(seconds, counters=[None] * 8)


@pytest.mark.parametrize(("days", "reason"), [(0.99, None), (1.1, "daily")])
async def test_a_discovery_is_renewed_daily(days: float, reason: str | None) -> None:
    assert reason == await reason_after(days * DAY_SECONDS)


def test_devices_renew_at_different_times() -> None:
    due = set()
    for number in range(20):
        found = Discovery(f"sw-{number}", NOW_NS, "if_mib", "")
        empty = DeviceReading(found.device, 0, plan_poll(found, PROFILES["if_mib"]).layout, [], [], [], [], [])
        minutes = (
            minute
            for minute in range(0, 180, 5)
            if needs_rediscovery(found, empty, NOW_NS + int((RENEW_SECONDS + minute * 60) * SECOND_NS))
        )
        due.add(next(minutes))
    assert len(due) > 5


async def test_what_a_young_agent_did_not_have_yet_is_asked_for_again() -> None:
    """Net-snmp has no hrProcessorLoad in its first minute."""
    agent = agent_of("linux_netsnmp")
    agent.objects = {
        oid: value for oid, value in agent.objects.items() if oid[:10] != parse_oid("1.3.6.1.2.1.25.3.3.1")
    }
    agent.objects[SYS_UPTIME] = 1_000
    found = await found_on(agent)
    assert "cpu_ratio" in found.missing
    agent.objects[SYS_UPTIME] = 1_000 + 20_000
    later = NOW_NS + 200 * SECOND_NS
    need = needs_rediscovery(found, read(agent, found, later), later)
    assert need is not None
    assert "agent_was_young" == need.reason
    old = replace(found, uptime_ticks=100_000)
    agent.objects[SYS_UPTIME] = 120_000
    assert needs_rediscovery(old, read(agent, old, later), later) is None


async def test_two_interfaces_that_swap_their_indexes_across_a_reboot_do_not_mix() -> None:
    """R30: counters follow the name."""
    agent = agent_of("if_mib")
    add_row(agent, 11, "wan", 1_000)
    add_row(agent, 12, "lan", 9_000_000)
    found = await found_on(agent)
    before = read(agent, found, NOW_NS)
    add_row(agent, 12, "wan", 10)
    add_row(agent, 11, "lan", 20)
    agent.objects[SYS_UPTIME] = 300
    later = NOW_NS + 60 * SECOND_NS
    crossed = read(agent, found, later)
    need = needs_rediscovery(found, crossed, later, before)
    assert need is not None
    assert "restarted" == need.reason
    again = await found_on(agent)
    after = read(agent, again, later)
    assert {"wan": 10, "lan": 20} == {
        name: after.counters[place * 8] for place, name in enumerate(after.layout.names) if name in {"wan", "lan"}
    }


async def test_an_agent_without_any_system_group_is_found_by_what_it_has() -> None:
    """Squid answers on its own port, with its own objects only."""
    objects = {oid: value for oid, value in agent_of("squid").objects.items() if oid[:7] == (1, 3, 6, 1, 4, 1, 3495)}
    found = await found_on(RecordedAgent(objects))
    assert "squid" == found.family
    assert 321 == read(RecordedAgent(objects), found, NOW_NS).values["sessions"]
    assert not [oid for oid in found.witnesses if oid[: len(IF_ENTRY)] == IF_ENTRY]
