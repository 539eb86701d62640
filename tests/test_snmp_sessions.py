"""The sessions against scripted agents on loopback: each agent misbehaves in one way that was seen in the field."""

import asyncio
import contextlib
import gc
import itertools
import random
import socket
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

import probes.snmp
from probes.snmp import AuthProtocol, Missing, PrivProtocol, Snmp, SnmpTarget, UsmUser, VarBind
from probes.snmp.ber import decode_oid, encode_oid
from probes.snmp.engine import EngineClock
from probes.snmp.errors import (
    BadRequest,
    DeadlinePassed,
    ErrorStatus,
    NoAnswer,
    NotAsked,
    NotIncreasing,
    SendFailed,
    WalkTooLong,
)
from probes.snmp.message import CommunityMessage, Pdu, PduKind, ScopedPdu, answer, decode_message, encode_message
from probes.snmp.transport import BEHIND_SECONDS, FRESH_REQUESTS
from probes.snmp.usm import Envelope, localize_keys, seal
from probes.snmp.walk import WalkLimits

COLUMN = (1, 3, 6, 1, 2, 1, 2, 2, 1, 10)
OTHER = (1, 3, 6, 1, 2, 1, 2, 2, 1, 16)
UPTIME = (1, 3, 6, 1, 2, 1, 1, 3, 0)
ROWS = 30
MIB = {UPTIME: VarBind(UPTIME, 4711, 0x43)}
MIB |= {
    (*column, index): VarBind((*column, index), index << 33, 0x46)
    for column in (COLUMN, OTHER)
    for index in range(1, ROWS + 1)
}
NAMES = sorted(MIB)

Script = Callable[[Pdu], Pdu | None]


def successor(oid: tuple[int, ...]) -> VarBind:
    following = next((name for name in NAMES if name > oid), None)
    return VarBind(oid, Missing.END_OF_MIB_VIEW, 0x82) if following is None else MIB[following]


def behave(pdu: Pdu) -> Pdu:
    """A well-behaved v2c agent."""
    if pdu.kind is PduKind.GET:
        missing = Missing.NO_SUCH_INSTANCE
        return answer(pdu, [MIB.get(asked.oid, VarBind(asked.oid, missing, missing.value)) for asked in pdu.varbinds])
    if pdu.kind is PduKind.GET_NEXT:
        return answer(pdu, [successor(asked.oid) for asked in pdu.varbinds])
    rows: list[VarBind] = []
    last = list(pdu.varbinds)
    for _ in range(pdu.error_index):
        last = [successor(asked.oid) for asked in last]
        rows += last
    return answer(pdu, rows)


class Agent(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.script: Script = behave
        self.version = 1
        self.asked: list[Pdu] | deque[Pdu] = []
        self.last_address: tuple[str, int] = ("", 0)

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    @property
    def target(self) -> SnmpTarget:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return SnmpTarget(host, port, "2c" if self.version else "1", b"public", timeout_seconds=0.05)

    def datagram_received(self, datagram: bytes, address: tuple[str, int]) -> None:
        message = decode_message(datagram)
        self.asked.append(message.pdu)
        self.last_address = address
        reply = self.script(message.pdu)
        if reply is not None:
            self.send(reply)

    def send(self, pdu: Pdu) -> None:
        self.transport.sendto(encode_message(CommunityMessage(self.version, b"public", pdu)), self.last_address)


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Agent, local_addr=("127.0.0.1", 0))
    yield protocol
    transport.close()


@pytest.fixture
async def snmp() -> AsyncIterator[Snmp]:
    async with Snmp() as sessions:
        yield sessions


def groups() -> list[list[tuple[int, ...]]]:
    return [[(*column, index) for column in (COLUMN, OTHER)] for index in range(1, ROWS + 1)]


EXPECTED = [index << 33 for index in range(1, ROWS + 1) for _ in range(2)]


async def test_poll_gives_all_values_with_uptime_of_each_group(agent: Agent, snmp: Snmp) -> None:
    prepared = snmp.prepare(agent.target, groups())
    answers = [await snmp.poll(prepared) for _ in range(2)]
    assert [EXPECTED] * 2 == [one.values for one in answers]
    assert [4711] * ROWS == list(answers[0].uptime_ticks)
    assert all(pdu.varbinds[0].oid == UPTIME for pdu in agent.asked)
    assert len(agent.asked) == snmp.statistics.fast + snmp.statistics.in_order
    assert snmp.statistics.fast >= len(agent.asked) // 2


async def test_in_flight_requests_are_limited(agent: Agent, snmp: Snmp) -> None:
    """All that is asked of a device at once counts, polls and single questions alike (R22)."""
    held: list[Pdu] = []
    most = 0

    def hold(pdu: Pdu) -> None:
        nonlocal most
        held.append(pdu)
        most = max(most, len(held))
        asyncio.get_running_loop().call_later(0.005, lambda: agent.send(behave(held.pop(0))))

    agent.script = hold
    target = replace(agent.target, in_flight=3, timeout_seconds=5)
    prepared = snmp.prepare(target, [[oid] for oid in NAMES] * 8)
    await asyncio.gather(snmp.poll(prepared), snmp.poll(prepared), snmp.get(target, [UPTIME]))
    assert 1 < most <= 3


async def test_lost_requests_are_sent_again(agent: Agent, snmp: Snmp) -> None:
    dice = random.Random(1)
    agent.script = lambda pdu: behave(pdu) if dice.random() > 0.3 else None
    prepared = snmp.prepare(replace(agent.target, tries=9, timeout_seconds=0.01), groups())
    found = await snmp.poll(prepared)
    assert EXPECTED == found.values
    assert found.retries == snmp.statistics.retries > 0


async def test_late_answer_to_an_earlier_try_is_accepted(agent: Agent, snmp: Snmp) -> None:
    """Its round trip is that of the try which it answers (R13)."""

    def only_the_first_is_answered_late(_: Pdu) -> None:
        if len(agent.asked) == 2:
            agent.send(behave(agent.asked[0]))

    agent.script = only_the_first_is_answered_late
    values = await snmp.get(agent.target, [UPTIME])
    assert [MIB[UPTIME]] == values
    assert 1 == snmp.statistics.late_accepted
    assert (snmp.device(agent.target).round_trip_seconds or 0) >= agent.target.timeout_seconds
    prepared = snmp.prepare(agent.target, [[(*COLUMN, 1)]])
    agent.asked.clear()
    assert [1 << 33] == (await snmp.poll(prepared)).values
    assert 2 == snmp.statistics.late_accepted


async def test_too_big_is_split_and_learned(agent: Agent, snmp: Snmp) -> None:
    """The size at which it worked is used from the next poll on (R14)."""
    agent.script = lambda pdu: behave(pdu) if len(pdu.varbinds) <= 5 else answer(pdu, pdu.varbinds, 1, 0)
    prepared = snmp.prepare(agent.target, groups())
    assert EXPECTED == (await snmp.poll(prepared)).values
    before = len(agent.asked)
    found = await snmp.poll(prepared)
    assert EXPECTED == found.values
    assert 0 == found.fallbacks
    assert all(len(pdu.varbinds) <= 5 for pdu in agent.asked[before:])


async def test_large_replies_that_never_arrive_are_asked_smaller(agent: Agent, snmp: Snmp) -> None:
    """A path that drops fragments looks like a dead device to large questions only. (R14)"""
    agent.script = lambda pdu: behave(pdu) if len(pdu.varbinds) <= 12 else None
    prepared = snmp.prepare(replace(agent.target, tries=1), groups())
    assert EXPECTED == (await snmp.poll(prepared)).values
    assert 0 == (await snmp.poll(prepared)).fallbacks


async def test_size_grows_back_after_successes(agent: Agent, snmp: Snmp) -> None:
    """(R14)"""
    agent.script = lambda pdu: behave(pdu) if len(pdu.varbinds) <= 5 else answer(pdu, pdu.varbinds, 1, 0)
    prepared = snmp.prepare(agent.target, groups())
    await snmp.poll(prepared)
    agent.script = behave
    first = len(agent.asked)
    await snmp.poll(prepared)
    small = len(agent.asked) - first
    for _ in range(200):
        await snmp.poll(prepared)
    last = len(agent.asked)
    assert EXPECTED == (await snmp.poll(prepared)).values
    assert small > 2 * (len(agent.asked) - last)


async def test_v1_drops_only_the_named_varbind(agent: Agent, snmp: Snmp) -> None:
    """(R19)"""
    agent.version = 0
    gone = {(*COLUMN, 3), (*OTHER, 7)}

    def v1(pdu: Pdu) -> Pdu:
        bad = next((place for place, asked in enumerate(pdu.varbinds, 1) if asked.oid in gone), 0)
        return answer(pdu, pdu.varbinds, 2, bad) if bad else behave(pdu)

    agent.script = v1
    prepared = snmp.prepare(agent.target, groups())
    expected = [None if name in gone else MIB[name].value for group in groups() for name in group]
    for _ in range(2):
        found = await snmp.poll(prepared)
        assert expected == found.values
        assert {4, 13} == set(found.missing)
    assert 0 == found.fallbacks


async def test_what_was_missing_is_asked_for_again_some_day(agent: Agent, snmp: Snmp) -> None:
    absent = [(*COLUMN, 99)]
    prepared = snmp.prepare(agent.target, [absent])
    assert [0] == list((await snmp.poll(prepared)).missing)
    MIB[absent[0]] = VarBind(absent[0], 1, 0x46)
    try:
        found = [(await snmp.poll(prepared)).values for _ in range(31)]
    finally:
        del MIB[absent[0]]
    assert [None] == found[0]
    assert [1] == found[-1]


async def test_one_failing_varbind_does_not_spoil_the_rest(agent: Agent, snmp: Snmp) -> None:
    """Only that one has an error of its own (R20)."""
    bad = (*OTHER, 2)

    def failing(pdu: Pdu) -> Pdu:
        place = next((place for place, asked in enumerate(pdu.varbinds, 1) if asked.oid == bad), 0)
        return answer(pdu, pdu.varbinds, 5, place) if place else behave(pdu)

    agent.script = failing
    found = await snmp.poll(snmp.prepare(agent.target, groups()))
    assert [3] == list(found.failures)
    assert "genErr" in str(found.failures[3])
    assert 1 == found.values.count(None)
    with pytest.raises(ErrorStatus, match="genErr"):
        await snmp.get(agent.target, [UPTIME, bad])


@pytest.mark.parametrize("version", [0, 1])
async def test_walk_and_table_read_everything_once(agent: Agent, snmp: Snmp, version: int) -> None:
    agent.version = version
    walked = [varbind async for varbind in snmp.walk(agent.target, COLUMN)]
    assert [MIB[name] for name in NAMES if name[: len(COLUMN)] == COLUMN] == walked
    table = await snmp.table(agent.target, [COLUMN, OTHER, (1, 3, 6, 1, 3)])
    assert table.complete
    assert {(index,): {COLUMN: index << 33, OTHER: index << 33} for index in range(1, ROWS + 1)} == table.rows


async def test_looping_walk_stops_at_once_and_keeps_its_rows(agent: Agent, snmp: Snmp) -> None:
    """Within the first PDU, and the column is flagged (R16)."""

    def loop(pdu: Pdu) -> Pdu:
        good = behave(pdu)
        return answer(pdu, good.varbinds[:6] + good.varbinds[:6])

    agent.script = loop
    walk = snmp.walk(agent.target, COLUMN)
    seen = [(await anext(walk)).oid[-1] for _ in range(6)]
    with pytest.raises(NotIncreasing, match="do not increase"):
        await anext(walk)
    assert [1, 2, 3, 4, 5, 6] == seen
    assert 1 == len(agent.asked)
    table = await snmp.table(agent.target, [COLUMN, OTHER])
    assert not table.complete
    assert 3 == len(table.rows)
    assert "do not increase" in str(table.error)


async def test_truncated_row_is_asked_again(agent: Agent, snmp: Snmp) -> None:
    """(R18)"""

    def truncate(pdu: Pdu) -> Pdu:
        good = behave(pdu)
        return answer(pdu, good.varbinds[: max(2, len(good.varbinds) - 3)])

    agent.script = truncate
    table = await snmp.table(agent.target, [COLUMN, OTHER])
    assert table.complete
    assert {2} == {len(row) for row in table.rows.values()}
    assert ROWS == len(table.rows)


async def test_bulk_shrinks_on_timeout_and_on_too_big(agent: Agent, snmp: Snmp) -> None:
    """(R14)"""

    def picky(pdu: Pdu) -> Pdu | None:
        asked = len(pdu.varbinds) * pdu.error_index
        if asked > 10:
            return None
        return behave(pdu) if asked <= 4 else answer(pdu, pdu.varbinds, 1, 0)

    agent.script = picky
    walked = [varbind.oid[-1] async for varbind in snmp.walk(replace(agent.target, timeout_seconds=0.02), COLUMN)]
    assert list(range(1, ROWS + 1)) == walked
    assert 4 >= snmp.device(agent.target).size.limit


async def test_endless_walk_is_bounded(agent: Agent, snmp: Snmp) -> None:
    """(R17)"""

    def endless(pdu: Pdu) -> Pdu:
        oid, rows = pdu.varbinds[0].oid, []
        for _ in range(pdu.error_index):
            oid = (*oid[:-1], oid[-1] + 1) if len(oid) > len(COLUMN) else (*oid, 1)
            rows.append(VarBind(oid, 1, 2))
        return answer(pdu, rows)

    agent.script = endless
    with pytest.raises(WalkTooLong, match="100 variables"):
        [varbind async for varbind in snmp.walk(agent.target, COLUMN, limits=WalkLimits(varbinds=100))]
    table = await snmp.table(agent.target, [COLUMN], limits=WalkLimits(varbinds=100))
    assert 100 >= len(table.rows) > 50
    assert "100 variables" in str(table.error)


async def test_silent_device_gets_one_cheap_question_and_its_return_is_seen(agent: Agent) -> None:
    """Once a minute, so that its return is seen within that time (R23)."""
    now = [1000.0]
    agent.script = lambda _: None
    async with Snmp() as snmp:
        real = snmp.clock
        snmp.clock = lambda: now[0] + real()
        prepared = snmp.prepare(replace(agent.target, timeout_seconds=0.01), groups())
        with pytest.raises(NoAnswer, match="did not answer 3 requests"):
            await snmp.poll(prepared)
        with pytest.raises(NotAsked, match="once a minute"):
            await snmp.poll(prepared)
        agent.asked.clear()
        now[0] += 60
        with pytest.raises(NoAnswer, match="still"):
            await snmp.poll(prepared)
        assert [[UPTIME]] == [[asked.oid for asked in pdu.varbinds] for pdu in agent.asked]
        agent.script = behave
        now[0] += 60
        assert EXPECTED == (await snmp.poll(prepared)).values


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("patient_first", [False, True])
async def test_patient_request_holds_up_no_other_timeout(
    agent: Agent, snmp: Snmp, *, patient_first: bool, prepared: bool
) -> None:
    """One timer serves all: a later deadline must neither push back an earlier one nor hide one that comes after it."""
    agent.script = lambda _: None
    hasty = replace(agent.target, timeout_seconds=0.02, tries=1)
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("127.0.0.1", 0))

    async def ask_patiently() -> None:
        patient = replace(hasty, port=mute.getsockname()[1], timeout_seconds=60.0)
        with mute, contextlib.suppress(NoAnswer):
            await snmp.get(patient, [UPTIME], deadline=snmp.clock() + 2.0)

    async def ask_hastily() -> None:
        with pytest.raises(NoAnswer):
            await (snmp.poll(snmp.prepare(hasty, groups())) if prepared else snmp.get(hasty, [UPTIME]))

    first, second = (ask_patiently, ask_hastily) if patient_first else (ask_hastily, ask_patiently)
    tasks = [asyncio.ensure_future(first())]
    await asyncio.sleep(0)
    tasks.append(asyncio.ensure_future(second()))
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert {tasks[1 if patient_first else 0]} == done
    assert 1 == len(waiting)
    for task in waiting:
        task.cancel()


async def test_deadline_ends_all_tries(agent: Agent, snmp: Snmp) -> None:
    agent.script = lambda _: None
    target = replace(agent.target, timeout_seconds=30)
    with pytest.raises(DeadlinePassed):
        await snmp.get(target, [UPTIME], deadline=snmp.clock() + 0.02)
    with pytest.raises(DeadlinePassed):
        await snmp.poll(snmp.prepare(target, groups()), deadline=snmp.clock() + 0.02)


async def test_packets_per_second_are_spread(agent: Agent, snmp: Snmp) -> None:
    """A device that was given a pace is never asked faster (R22)."""
    target = replace(agent.target, packets_per_second=200.0, timeout_seconds=5)
    began = snmp.clock()
    await snmp.poll(snmp.prepare(target, groups() * 4))
    assert snmp.clock() - began >= (len(agent.asked) - 1) / 200.0 * 0.99


async def test_reply_from_another_address_counts_only_where_allowed(agent: Agent, snmp: Snmp) -> None:
    """(R21)"""
    side_door, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.2", 0)
    )

    def reply_from_elsewhere(pdu: Pdu) -> None:
        side_door.sendto(encode_message(CommunityMessage(1, b"public", behave(pdu))), agent.last_address)

    agent.script = reply_from_elsewhere
    with pytest.raises(NoAnswer):
        await snmp.get(replace(agent.target, tries=1), [UPTIME])
    assert 1 == snmp.statistics.unmatched
    allowed = replace(agent.target, reply_addresses=frozenset({"127.0.0.2"}))
    assert [MIB[UPTIME]] == await snmp.get(allowed, [UPTIME])
    side_door.close()


async def test_source_address_is_used(agent: Agent, snmp: Snmp) -> None:
    """(R24)"""
    await snmp.get(replace(agent.target, source_address="127.0.0.9"), [UPTIME])
    assert "127.0.0.9" == agent.last_address[0]


async def test_ipv6_agents_are_asked() -> None:
    """(R24)"""
    transport, agent = await asyncio.get_running_loop().create_datagram_endpoint(Agent, local_addr=("::1", 0))
    async with Snmp() as snmp:
        assert [MIB[UPTIME]] == await snmp.get(agent.target, [UPTIME])
        assert EXPECTED == (await snmp.poll(snmp.prepare(agent.target, groups()))).values
    transport.close()


async def test_what_the_system_does_not_send_is_told_apart(snmp: Snmp) -> None:
    with pytest.raises(SendFailed):
        await snmp.get(SnmpTarget("255.255.255.255", community=b"public"), [UPTIME])
    with pytest.raises(SendFailed):
        await snmp.poll(snmp.prepare(SnmpTarget("255.255.255.255", community=b"public"), [[UPTIME]]))


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_one_socket_serves_all_devices(snmp: Snmp) -> None:
    """Descriptors do not grow with the number of devices (R78)."""
    transport, agent = await asyncio.get_running_loop().create_datagram_endpoint(Agent, local_addr=("0.0.0.0", 0))
    agent.script = lambda _: None
    devices = [replace(agent.target, address=f"127.9.0.{last}", tries=1) for last in range(1, 201)]
    for device in devices[:2]:
        assert not await snmp.answers(device)
    before = count_descriptors()
    assert [False] * 200 == await asyncio.gather(*(snmp.answers(device) for device in devices))
    assert before == count_descriptors()
    assert 202 == len(agent.asked)
    transport.close()


async def test_silent_devices_take_no_place_from_the_others(agent: Agent, snmp: Snmp) -> None:
    """More of them than may be young at once: the one that answers does not wait for their timeouts (R4)."""
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("0.0.0.0", 0))
    silent = SnmpTarget("127.9.0.1", mute.getsockname()[1], community=b"public", timeout_seconds=60)
    asked = [
        asyncio.ensure_future(snmp.poll(snmp.prepare(replace(silent, address=f"127.9.{n // 250}.{n % 250}"), groups())))
        for n in range(1, 3 * FRESH_REQUESTS)
    ]
    await asyncio.sleep(0)
    assert EXPECTED == (await snmp.poll(snmp.prepare(agent.target, groups()))).values
    assert not any(task.done() for task in asked)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    mute.close()


async def test_requests_in_a_burst_are_few_at_once(snmp: Snmp) -> None:
    """As long as replies come, no more than are young at once are under way, and each is asked in its turn."""
    transport, agent = await asyncio.get_running_loop().create_datagram_endpoint(Agent, local_addr=("0.0.0.0", 0))
    most = 0

    def count(pdu: Pdu) -> Pdu:
        nonlocal most
        most = max(most, len(snmp.transport.pending))
        return behave(pdu)

    agent.script = count
    targets = [
        replace(agent.target, address=f"127.9.1.{last}", timeout_seconds=30, reply_addresses=frozenset({"127.0.0.1"}))
        for last in range(1, 4 * FRESH_REQUESTS)
    ]
    with_replies = [snmp.prepare(target, groups()) for target in targets]
    # The clock stands: nothing grows old, however slow this machine is.
    now = snmp.clock()
    snmp.transport.clock = lambda: now
    found = await asyncio.gather(*(snmp.poll(one) for one in with_replies))
    assert [EXPECTED] * len(targets) == [answer.values for answer in found]
    assert most <= FRESH_REQUESTS
    transport.close()


async def test_while_replies_wait_to_be_read_no_device_is_taken_for_a_slow_one(snmp: Snmp) -> None:
    """All have answered while we did something else, and more than are read at once: not they are what is slow."""
    room = 10 * FRESH_REQUESTS
    agents = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    agents.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    agents.bind(("0.0.0.0", 0))
    agents.setblocking(False)
    target = SnmpTarget("127.0.0.1", agents.getsockname()[1], community=b"public", timeout_seconds=60)
    now = snmp.clock()
    snmp.transport.clock = lambda: now
    snmp.transport.socket_for(target)
    snmp.transport._room = room
    asked = [
        asyncio.ensure_future(
            snmp.answers(
                replace(target, address=f"127.9.{n // 250}.{n % 250}", reply_addresses=frozenset({"127.0.0.1"}))
            )
        )
        for n in range(1, 2 * room)
    ]
    for _ in range(9):  # turns of the loop until what may leave has left
        await asyncio.sleep(0)
    for _ in range(room):
        datagram, address = agents.recvfrom(2048)
        pdu = decode_message(datagram).pdu
        agents.sendto(encode_message(CommunityMessage(1, b"public", behave(pdu))), address)
    snmp.transport.clock = lambda: now + BEHIND_SECONDS / 2
    snmp.transport._widen()
    assert FRESH_REQUESTS == snmp.transport._room
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    agents.close()


async def test_tries_are_three_and_their_timeouts_double(agent: Agent) -> None:
    """By default 1.5, 3 and 6 s; here a hundredth of it (R23)."""
    assert (1.5, 3) == (
        SnmpTarget("127.0.0.1", community=b"x").timeout_seconds,
        SnmpTarget("::1", community=b"x").tries,
    )
    agent.script = lambda _: None
    sent: list[float] = []
    async with Snmp(trace=lambda _direction, _address, _datagram, now: sent.append(now)) as snmp:
        target = replace(agent.target, timeout_seconds=0.015)
        prepared = snmp.prepare(target, groups()[:1])
        with pytest.raises(NoAnswer):
            await snmp.get(target, [UPTIME])
        with pytest.raises(NoAnswer):
            await snmp.poll(prepared)
    gaps = [after - before for before, after in itertools.pairwise(sent)]
    assert 6 <= len(sent) <= 7  # the poll ends with one small question, which tells a dead device from large replies
    for single, doubled in (gaps[:2], gaps[3:5]):
        assert single >= 0.015
        assert doubled >= 0.030


@pytest.mark.parametrize(
    "user", [None, UsmUser("u" * 32, AuthProtocol.SHA512, b"authentic", PrivProtocol.AES256, b"private-")]
)
async def test_replies_stay_under_1400_octets_at_first_contact(snmp: Snmp, user: UsmUser | None) -> None:
    """With the largest Counter64 that any line reaches, and with the longest outside of a message (R15)."""
    version = "3" if user else "2c"
    target = SnmpTarget("127.0.0.1", 161, version, None if user else b"c" * 32, user)
    columns = [
        [(1, 3, 6, 1, 2, 1, 31, 1, 1, 1, column, index) for column in range(6, 14)] for index in range(1000, 1100)
    ]
    prepared = snmp.prepare(target, columns)
    assert len(prepared.pdus) > 10
    for pdu in prepared.pdus:
        rows = [VarBind(oid, 2**63 - 1, 0x46) for oid in pdu.template.oids()]
        rows[0] = VarBind(UPTIME, 2**32 - 1, 0x43)
        reply = Pdu(PduKind.RESPONSE, 2**31 - 1, rows)
        engine_id = b"\x80" + b"e" * 16
        datagram = (
            seal(
                Envelope(2**31 - 1, engine_id, 2**31 - 1, 2**31 - 1, user.security_name.encode()),
                ScopedPdu(engine_id, b"", reply),
                localize_keys(user, engine_id),
                1,
            )
            if user
            else encode_message(CommunityMessage(1, b"c" * 32, reply))
        )
        assert len(datagram) < 1400


async def test_a_small_message_size_of_the_agent_is_honoured(snmp: Snmp) -> None:
    """An agent that says by msgMaxSize that it takes 484 octets is asked for no more (R15)."""
    target = SnmpTarget("127.0.0.1", 161, "3", user=UsmUser("watch"))
    usual = len(snmp.prepare(target, groups()).pdus)
    snmp.device(target).max_size = 484
    prepared = snmp.prepare(target, groups())
    assert len(prepared.pdus) > 2 * usual
    for pdu in prepared.pdus:
        rows = [VarBind(oid, 2**63 - 1, 0x46) for oid in pdu.template.oids()]
        assert 484 > 64 + len(encode_message(CommunityMessage(1, b"", Pdu(PduKind.RESPONSE, 2**31 - 1, rows))))


async def test_a_long_walk_keeps_nothing_of_what_it_has_told(agent: Agent, snmp: Snmp) -> None:
    """Memory does not grow with the length of a walk (R17); beside it there are caches of OIDs, which have an end."""
    caches = (encode_oid, decode_oid)
    assert all((cache.cache_info().maxsize or 10**9) < 20_000 for cache in caches)

    def endless(pdu: Pdu) -> Pdu:
        oid = pdu.varbinds[0].oid
        oid = oid if len(oid) > len(COLUMN) else (*oid, 0)
        return answer(pdu, [VarBind((*COLUMN, oid[-1] + step), b"x" * 20, 4) for step in range(1, pdu.error_index + 1)])

    agent.script = endless
    agent.asked = deque(maxlen=1)
    kept: list[int] = []
    tracemalloc.start()
    try:
        async for varbind in snmp.walk(replace(agent.target, timeout_seconds=5), COLUMN):
            if varbind.oid[-1] in {3000, 6000}:  # the interpreter's own free lists are full by the first
                for cache in caches:
                    cache.cache_clear()
                gc.collect()
                ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/probes/snmp/*")])
                kept.append(sum(trace.size for trace in ours.traces))
            if varbind.oid[-1] == 6000:
                break
    finally:
        tracemalloc.stop()
    assert kept[1] - kept[0] < 50_000


async def test_clocks_of_engines_are_kept_by_address_and_never_by_user(snmp: Snmp) -> None:
    """Two units behind one user have clocks of their own (R9)."""
    user = UsmUser("watch", AuthProtocol.SHA1, b"authentic-words")
    one, other = (SnmpTarget(f"127.0.0.{last}", 161, "3", user=user) for last in (1, 2))
    snmp.device(one).engine = EngineClock(b"one")
    assert snmp.device(other).engine is None
    again = replace(one, user=replace(user, security_name="other"), context_name="vlan-7")
    assert snmp.device(again).engine is snmp.device(one).engine


async def test_cancelled_requests_leave_nothing_behind(agent: Agent, snmp: Snmp) -> None:
    agent.script = lambda _: None
    target = replace(agent.target, timeout_seconds=30)
    tasks = [asyncio.ensure_future(snmp.get(target, [UPTIME])) for _ in range(3)]
    tasks.append(asyncio.ensure_future(snmp.poll(snmp.prepare(target, groups()))))
    while not agent.asked:  # noqa: ASYNC110 one turn of the loop after another, until the datagram has come
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    agent.script = behave
    assert [MIB[UPTIME]] == await snmp.get(target, [UPTIME])
    assert EXPECTED == (await snmp.poll(snmp.prepare(target, groups()))).values
    assert not snmp.transport.pending


async def test_trace_sees_every_datagram(agent: Agent) -> None:
    seen: list[tuple[str, bytes]] = []
    async with Snmp(trace=lambda direction, _address, datagram, _now: seen.append((direction, datagram))) as snmp:
        await snmp.get(agent.target, [UPTIME])
    assert ["sent", "received"] == [direction for direction, _ in seen]
    assert snmp.statistics.octets_sent == len(seen[0][1])


async def test_ten_thousand_mutated_datagrams_neither_crash_nor_stall(agent: Agent, snmp: Snmp) -> None:
    """And every one of them is counted (R77)."""
    dice = random.Random(7)
    count = 0

    def flood(pdu: Pdu) -> Pdu:
        nonlocal count
        good = encode_message(CommunityMessage(1, b"public", behave(pdu)))
        for _ in range(40):
            bad = bytearray(good)
            for _ in range(dice.randrange(1, 4)):
                bad[dice.randrange(len(bad))] = dice.randrange(256)
            if dice.random() < 0.3:
                del bad[dice.randrange(len(bad)) :]
            if bad and bytes(bad) != good:
                agent.transport.sendto(bytes(bad), agent.last_address)
                count += 1
        return behave(pdu)

    agent.script = flood
    target = replace(agent.target, timeout_seconds=5)
    prepared = snmp.prepare(target, groups())
    while count < 10_000:
        with_values = await snmp.poll(prepared)
        assert len(EXPECTED) == len(with_values.values)
        with contextlib.suppress(ErrorStatus):  # a mutation may well be a good message with an error status
            assert [UPTIME] == [varbind.oid for varbind in await snmp.get(target, [UPTIME])]
    agent.script = behave
    assert EXPECTED == (await snmp.poll(prepared)).values
    counted = snmp.statistics
    while counted.received < count + len(agent.asked):  # noqa: ASYNC110 until the socket has been read to its end
        await asyncio.sleep(0)
    assert 0 == counted.timeouts
    assert counted.malformed > 100
    # Each request was ended by one datagram; every other one is counted by what was wrong with it.
    strays = counted.malformed + counted.unmatched + counted.late + counted.not_authentic
    assert counted.received == counted.sent + strays


async def test_bad_addresses_and_versions_get_a_sentence() -> None:
    for fields in ({"address": "router"}, {"port": 0}, {"community": None}, {"version": "4"}, {"tries": 0}):
        with pytest.raises(BadRequest):
            SnmpTarget(**{"address": "127.0.0.1", "community": b"public", **fields})
    with pytest.raises(BadRequest, match="async with"):
        await Snmp().get(SnmpTarget("127.0.0.1", community=b"public"), [UPTIME])


def test_the_front_door_is_short() -> None:
    assert len(probes.snmp.__all__) < 15
    assert all(hasattr(probes.snmp, name) for name in probes.snmp.__all__)
