from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.discovery import SYS_NAME, Discovery, Question, discover
from poller.iftable import Interface
from poller.polling import (
    Block,
    PollPlan,
    choose_interfaces,
    device_rates,
    plan_poll,
    poll_device,
    read_poll,
    read_rows,
    row_oids,
)
from poller.profiles import BadProfile, load_profiles
from poller.readings import COUNTERS, DeviceReading, FailedPoll, InterfaceLayout
from poller.replay import RecordedAgent
from probes.snmp.errors import ErrorStatus, NoAnswer, SendFailed, SnmpError, WrongPassword
from probes.snmp.oid import format_oid
from probes.snmp.target import SnmpTarget

RECORDINGS = Path(__file__).parent / "recordings"
PROFILES = load_profiles()
TARGET = SnmpTarget("127.0.0.1", community=b"public")
DUE_NS = 1_795_000_000 * 10**9


def interface(name: str, index: int, **changes: object) -> Interface:
    usual: dict[str, object] = {"speed": 10**9, "wide": True, "packets": "casts", "discontinuity": True}
    return Interface(name, index, **{**usual, **changes})  # type: ignore[arg-type]


def plan_of(*interfaces: Interface, family: str = "if_mib", patterns: Sequence[str] = ()) -> PollPlan:
    return plan_poll(Discovery("sw-1", DUE_NS, family, "", interfaces=interfaces), PROFILES[family], patterns)


@dataclass
class Answer:
    """What the session would bring, made by hand."""

    values: list[object]
    uptime_ticks: list[int | None]
    received_ns: list[int | None]
    failures: dict[int, SnmpError] = field(default_factory=dict)


def answer(plan: PollPlan, values: Sequence[object], **changes: object) -> Answer:
    count = len(plan.groups)
    return Answer(
        list(values), [100 * (at + 1) for at in range(count)], [DUE_NS + at for at in range(count)], **changes
    )  # type: ignore[arg-type]


# ---- the plan


def test_an_interface_is_asked_in_one_group_for_all_of_its_counters() -> None:
    asked = [format_oid(oid) for oid in row_oids(interface("ge0", 7))]
    x, row = "1.3.6.1.2.1.31.1.1.1", "1.3.6.1.2.1.2.2.1"
    assert [
        f"{x}.6.7", f"{x}.10.7",
        f"{x}.7.7", f"{x}.8.7", f"{x}.9.7", f"{x}.11.7", f"{x}.12.7", f"{x}.13.7",
        f"{row}.14.7", f"{row}.20.7", f"{row}.13.7", f"{row}.19.7", f"{row}.8.7", f"{x}.19.7",
    ] == asked  # fmt: skip


def test_a_row_with_32_bits_is_asked_for_32_bits_only() -> None:
    asked = [
        format_oid(oid) for oid in row_oids(interface("ge0", 7, wide=False, packets="narrow", discontinuity=False))
    ]
    row = "1.3.6.1.2.1.2.2.1"
    assert [f"{row}.{column}.7" for column in (10, 16, 11, 17, 14, 20, 13, 19, 8)] == asked


def test_rows_of_one_shape_stand_together() -> None:
    plan = plan_of(interface("a", 1), interface("b", 2, wide=False, packets="narrow"), interface("c", 3))
    assert ("a", "c", "b") == plan.layout.names
    assert (True, True, False) == plan.layout.wide
    assert (Block(2, 14, 3, discontinuity=True), Block(1, 10, 1, discontinuity=True)) == plan.blocks


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), ["port1", "port10", "wan"]),
        (("port1",), ["port1"]),
        (("port.*",), ["port1", "port10"]),
        (("wan", "port10"), ["port10", "wan"]),
        (("lan",), []),
    ],
)
def test_the_expressions_of_a_device_match_whole_names(patterns: tuple[str, ...], expected: list[str]) -> None:
    rows = [interface(name, index) for index, name in enumerate(["port1", "port10", "wan"])]
    assert expected == [row.name for row in choose_interfaces(rows, patterns)]


def test_a_device_of_which_nothing_is_known_is_asked_for_its_name() -> None:
    assert ((SYS_NAME,),) == plan_of().groups


async def test_equal_discoveries_make_equal_plans() -> None:
    agent = RecordedAgent.from_file(RECORDINGS / "panos.snmprec")
    found = await discover(agent, TARGET, Question("fw-1"), PROFILES, DUE_NS)
    assert plan_poll(found, PROFILES["panos"]) == plan_poll(found, PROFILES["panos"])


async def test_a_discovery_from_before_a_change_of_its_profile_is_not_polled_by() -> None:
    agent = RecordedAgent.from_file(RECORDINGS / "panos.snmprec")
    found = await discover(agent, TARGET, Question("fw-1"), PROFILES, DUE_NS)
    changed = PROFILES["panos"].model_copy(update={"health": ()})
    with pytest.raises(BadProfile, match="the profile panos has changed since fw-1 was discovered"):
        plan_poll(found, changed)


async def test_texts_that_only_choose_rows_are_not_asked_for_again() -> None:
    agent = RecordedAgent.from_file(RECORDINGS / "panos.snmprec")
    found = await discover(agent, TARGET, Question("fw-1"), PROFILES, DUE_NS)
    asked = {format_oid(oid) for group in plan_poll(found, PROFILES["panos"]).groups for oid in group}
    assert not [oid for oid in asked if oid.startswith(("1.3.6.1.2.1.25.3.2.1.3.", "1.3.6.1.2.1.25.2.3.1.2."))]
    assert "1.3.6.1.2.1.25.3.3.1.2.2" in asked
    assert "1.3.6.1.2.1.25.3.3.1.2.1" not in asked  # the management plane


# ---- the reading


def test_values_as_asked_become_columns() -> None:
    plan = plan_of(interface("a", 1), interface("b", 2, wide=False, packets="narrow", discontinuity=False))
    first = [10, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 1, 77]
    second = [100, 200, 30, 40, 70, 80, 90, 110, 2]
    reading = read_poll(plan, answer(plan, [b"name", *first, *second]), DUE_NS)
    assert [10, 20, 6, 15, 7, 8, 9, 11, 100, 200, 30, 40, 70, 80, 90, 110] == reading.counters
    assert [1, 2] == reading.oper_status
    assert [77, None] == reading.discontinuity_ticks
    assert [200, 300] == reading.uptime_ticks
    assert [DUE_NS + 1, DUE_NS + 2] == reading.received_ns
    assert (100, DUE_NS) == (reading.device_uptime_ticks, reading.device_received_ns)
    assert {} == reading.failures


def test_a_sum_without_one_of_its_parts_is_unknown_and_not_smaller() -> None:
    plan = plan_of(interface("a", 1), interface("b", 2))
    whole = [1, 1, 5, 5, 5, 6, 6, 6, 0, 0, 0, 0, 1, 0]
    torn = [1, 1, 5, None, 5, 6, 6, 6, 0, 0, 0, 0, 1, 0]
    reading = read_poll(plan, answer(plan, [b"name", *whole, *torn]), DUE_NS)
    assert [15, 18] == reading.counters[2:4]
    assert [None, 18] == reading.counters[10:12]


def test_octets_where_a_number_belongs_are_no_number() -> None:
    plan = plan_of(interface("a", 1))
    odd = [b"12", 20, b"1", b"2", b"3", 4, 5, 6, 7, 8, 9, 11, 1, 77]
    assert [None, 20, None, 15, 7, 8, 9, 11] == read_poll(plan, answer(plan, [b"name", *odd]), DUE_NS).counters


def test_an_interface_without_64_bit_packets_gives_octets_alone() -> None:
    plan = plan_of(interface("a", 1, packets="none", discontinuity=False))
    assert [1, 2, None, None, 3, 4, 5, 6] == read_poll(plan, answer(plan, [b"n", 1, 2, 3, 4, 5, 6, 1]), DUE_NS).counters


def test_partial_success_is_kept_and_the_rest_named() -> None:
    """R20."""
    plan = plan_of(interface("a", 1), interface("b", 2))
    row = [1, 1, 5, 5, 5, 6, 6, 6, 0, 0, 0, 0, 1, 0]
    error = ErrorStatus("10.0.0.1 answered genErr.", 5, 0)
    failed = answer(plan, [b"name", *row, *[None] * 14], failures={15 + at: error for at in range(14)})
    failed.uptime_ticks[2], failed.received_ns[2] = None, None
    reading = read_poll(plan, failed, DUE_NS)
    assert {"interfaces": "1 of 2, b first: 10.0.0.1 answered genErr."} == reading.failures
    assert 1 == reading.counters[0]
    assert [None] * 8 == reading.counters[8:]
    assert [200, None] == reading.uptime_ticks
    assert [DUE_NS + 1, DUE_NS] == reading.received_ns


@given(st.data())
def test_any_block_reads_as_its_rows_one_by_one(data: st.DataObject) -> None:
    rows, casts, discontinuity = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 3)), data.draw(st.booleans())
    width = 2 + 2 * casts + 5 + discontinuity
    counter = st.none() | st.integers(0, 2**64 - 1)
    flat = data.draw(st.lists(counter, min_size=rows * width, max_size=rows * width))
    counters, status, ticks = read_rows([Block(rows, width, casts, discontinuity)], flat)
    for row in range(rows):
        one = flat[row * width : (row + 1) * width]
        inward, outward = one[2 : 2 + casts], one[2 + casts : 2 + 2 * casts]
        sums = [sum(part) if part and None not in part else None for part in (inward, outward)]
        rest = one[2 + 2 * casts :]
        assert [*one[:2], *sums, *rest[:4]] == counters[row * 8 : row * 8 + 8]
        assert (rest[4] or 0) == status[row]
        assert (rest[5] if discontinuity else None) == ticks[row]
    assert rows * len(COUNTERS) == len(counters)


async def test_condition_and_value_are_read_in_the_same_poll() -> None:
    agent = RecordedAgent.from_file(RECORDINGS / "checkpoint_gaia.snmprec")
    found = await discover(agent, TARGET, Question("fw-1"), PROFILES, DUE_NS)
    plan = plan_poll(found, PROFILES["checkpoint_gaia"])
    assert "standby" == read_poll(plan, agent.poll(plan.groups, DUE_NS), DUE_NS).values["ha_role"]
    agent.objects = {
        oid: b"no" if format_oid(oid) == "1.3.6.1.4.1.2620.1.5.5.0" else value for oid, value in agent.objects.items()
    }
    after = read_poll(plan, agent.poll(plan.groups, DUE_NS), DUE_NS)
    assert "ha_role" not in after.values
    assert "haStarted does not match (?i)^yes" == after.failures["ha_role"]


# ---- rates of device-level counters


def counted(total: int, ticks: int | None) -> DeviceReading:
    layout = InterfaceLayout((), (), (), ())
    return DeviceReading(
        "px-1", 0, layout, [], [], [], [], [], totals={"session_rate": total}, device_uptime_ticks=ticks
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (counted(100, 1_000), counted(700, 7_000), {"session_rate": 10.0}),
        (counted(100, 2**32 - 3_000), counted(700, 3_000), {"session_rate": 10.0}),  # sysUpTime wrapped
        (counted(700, 1_000), counted(100, 7_000), {}),  # reset, or Counter32 wrapped
        (counted(100, 1_000), counted(700, 1_000), {}),
        (counted(100, 9_000_000), counted(700, 500), {}),  # restarted
        (counted(100, None), counted(700, 1_000), {}),
        (None, counted(700, 1_000), {}),
    ],
)
def test_rate_of_new_sessions(before: DeviceReading | None, after: DeviceReading, expected: dict[str, float]) -> None:
    assert expected == device_rates(before, after)


async def test_two_polls_of_a_proxy_give_its_rate() -> None:
    agent = RecordedAgent.from_file(RECORDINGS / "squid.snmprec")
    found = await discover(agent, TARGET, Question("px-1"), PROFILES, DUE_NS)
    plan = plan_poll(found, PROFILES["squid"])
    first = read_poll(plan, agent.poll(plan.groups, DUE_NS), DUE_NS)
    assert "session_rate" not in first.values
    for oid, value in list(agent.objects.items()):
        if format_oid(oid) in {"1.3.6.1.4.1.3495.1.3.2.1.1.0", "1.3.6.1.2.1.1.3.0"}:
            agent.objects[oid] = value + 6_000
    second = read_poll(plan, agent.poll(plan.groups, DUE_NS + 60 * 10**9), DUE_NS, first)
    assert 100.0 == second.values["session_rate"]


# ---- outcomes


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (NoAnswer("10.0.0.1 did not answer."), False),
        (WrongPassword("10.0.0.1 refuses the authentication password."), True),
        (SendFailed("10.0.0.1: network is unreachable."), None),
    ],
)
async def test_a_failed_poll_says_who_is_to_blame(error: SnmpError, answered: object) -> None:
    async def fail() -> Answer:
        raise error

    assert FailedPoll("sw-1", DUE_NS, error.reason, str(error), answered) == await poll_device(fail, plan_of(), DUE_NS)


async def test_a_poll_is_read_with_the_interval_and_the_time_of_its_discovery() -> None:
    plan = replace(plan_of(interface("a", 1)), interval_ns=300 * 10**9)

    async def poll() -> Answer:
        return answer(plan, [b"name", *[1] * 14])

    reading = await poll_device(poll, plan, DUE_NS)
    assert isinstance(reading, DeviceReading)
    assert (300 * 10**9, DUE_NS) == (reading.interval_ns, reading.layout.discovered_ns)


def test_devices_with_equal_interfaces_share_what_is_asked() -> None:
    """Equal OIDs of a thousand devices would be most of what a plan weighs."""
    one, other = plan_of(interface("ge0", 7)), plan_of(interface("eth1", 7, speed=10**8))
    assert one.groups[-1] is other.groups[-1]
    assert one.groups[-1] is not plan_of(interface("ge0", 8)).groups[-1]
