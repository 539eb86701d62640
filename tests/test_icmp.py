"""The prober on this machine's loopback: real sockets, real answers, the kernel's clock."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
import uvloop

from probes.errors import LocalError
from probes.icmp import EchoEvent, EchoPlan, EchoProber, EchoStatistics, EchoTarget, EchoUp
from probes.icmp_plan import begins_slot
from probes.icmp_socket import NOT_PERMITTED, EchoSocket, _no_socket, kernel_time_ns, open_echo_socket

ROOT = Path(__file__).parent.parent
FAST = EchoPlan(interval_seconds=0.1, timeout_seconds=0.2, slot_seconds=0.5)


def permitted(family: socket.AddressFamily) -> bool:
    try:
        open_echo_socket(family).socket.close()
    except LocalError:
        return False
    return True


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not permitted(socket.AF_INET), reason="neither CAP_NET_RAW nor ping_group_range")
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def loopback(count: int) -> list[EchoTarget]:
    return [EchoTarget(f"t{index}", IPv4Address("127.77.0.1") + index) for index in range(count)]


class Told(list[EchoEvent]):
    """A listener that keeps what it is told and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def __call__(self, event: EchoEvent) -> None:
        self.append(event)
        self._changed.set()

    def of(self, kind: type[EchoEvent], target: str | None = None) -> list[EchoEvent]:
        return [event for event in self if isinstance(event, kind) and target in {None, event.target}]

    async def until(self, kind: type[EchoEvent], count: int = 1, target: str | None = None) -> list[EchoEvent]:
        async with asyncio.timeout(30):
            while len(found := self.of(kind, target)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found


@asynccontextmanager
async def probing(targets: list[EchoTarget], plan: EchoPlan = FAST) -> AsyncIterator[tuple[EchoProber, Told]]:
    told = Told()
    async with EchoProber(targets, told, plan) as prober:
        yield prober, told


async def test_every_target_answers_and_its_minutes_add_up():
    async with probing(loopback(20)) as (prober, told):
        minutes = await told.until(EchoStatistics, 60)
        assert prober.kernel_timestamps
    assert {event.target for event in told.of(EchoUp)} == {f"t{index}" for index in range(20)}
    for minute in minutes:
        assert minute.slot_start_ns % (5 * 10**8) == 0
        assert (minute.received, minute.lost, minute.refused, minute.duplicates) == (minute.sent, 0, 0, 0)
        assert minute.delays is None or 0 < minute.delays.min_seconds <= minute.delays.max_seconds < 0.2
    assert sum(minute.sent for minute in minutes) >= 20 * 5


def test_uvloop_does_as_well_as_the_loop_of_the_standard_library():
    async def probe() -> list[EchoEvent]:
        async with probing(loopback(5)) as (_, told):
            return await told.until(EchoStatistics, 10)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        minutes = runner.run(probe())
    assert all(minute.received == minute.sent for minute in minutes)
    assert sum(minute.sent for minute in minutes) > 0


async def test_minutes_of_one_target_follow_one_another_without_gap():
    async with probing(loopback(1)) as (_, told):
        minutes = await told.until(EchoStatistics, 3)
    starts = [minute.slot_start_ns for minute in minutes]
    assert [start - starts[0] for start in starts] == [0, 5 * 10**8, 10**9]


@needs_ipv6
async def test_both_families_of_one_device_are_probed_apart():
    """(R38)"""
    both = [EchoTarget("fw-1", IPv4Address("127.0.0.1")), EchoTarget("fw-1-v6", IPv6Address("::1"))]
    async with probing(both) as (_, told):
        await told.until(EchoUp, 2)
        assert {event.target for event in told.of(EchoUp)} == {"fw-1", "fw-1-v6"}
        minutes = await told.until(EchoStatistics, 4)
    assert all(minute.received == minute.sent for minute in minutes)


async def test_a_target_can_come_and_go_while_the_others_go_on():
    async with probing(loopback(1)) as (prober, told):
        await told.until(EchoUp)
        prober.add(EchoTarget("late", IPv4Address("127.77.1.1")))
        await told.until(EchoUp, target="late")
        prober.remove("late")
        before = len(told.of(EchoStatistics, "late"))
        await told.until(EchoStatistics, len(told.of(EchoStatistics, "t0")) + 3, target="t0")
        assert len(told.of(EchoStatistics, "late")) == before


async def test_a_target_removed_while_it_is_told_about_does_no_harm():
    prober: EchoProber

    def leave(event: EchoEvent) -> None:
        told.append(event)
        if event.target == "t0":
            prober.remove("t0")
        if len(told) >= 3:
            enough.set()

    told: list[EchoEvent] = []
    enough = asyncio.Event()
    async with EchoProber(loopback(2), leave, FAST) as prober, asyncio.timeout(30):
        await enough.wait()
    assert [event.target for event in told if event.target == "t0"] == ["t0"]


@needs_ipv6
async def test_a_listener_may_add_the_first_target_of_another_family():
    told = Told()

    def grow(event: EchoEvent) -> None:
        told(event)
        if event == told[0]:
            prober.add(EchoTarget("v6", IPv6Address("::1")))

    async with EchoProber(loopback(1), grow, FAST) as prober:
        await told.until(EchoUp, target="v6")


async def test_what_ends_the_probing_reaches_who_waits_for_it():
    class BrokenSocketError(Exception):
        pass

    async with probing(loopback(1)) as (prober, told):
        await told.until(EchoUp)

        def broken(_: int) -> bool:
            raise BrokenSocketError

        prober._send_due = broken  # the loop shall meet a mistake of ours
        with pytest.raises(BrokenSocketError):
            await prober.wait()
        with pytest.raises(BrokenSocketError):
            await prober.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("start", "present", "begins"),
    [(60, 60, False), (120, 60, True), (600, 60, True), (0, 60, False), (0, 120, True), (60, 3600, True)],
)
def test_a_slot_begins_when_the_clock_enters_another_but_not_when_it_is_set_back_a_little(start, present, begins):
    assert begins_slot(start, present, 60) is begins


async def test_a_listener_that_fails_does_not_stop_the_probing(caplog):
    told: list[EchoEvent] = []
    enough = asyncio.Event()

    def fail(event: EchoEvent) -> None:
        told.append(event)
        if len(told) == 3:
            enough.set()
        raise ValueError("listener")

    async with EchoProber(loopback(1), fail, FAST), asyncio.timeout(30):
        await enough.wait()
    assert "icmp listener failed" in caplog.text


async def test_an_address_without_a_route_is_a_failure_to_send_and_no_loss():
    """Broadcast is refused by the kernel to a socket that did not ask for it: the send itself fails."""
    async with probing([EchoTarget("nowhere", IPv4Address("255.255.255.255"))]) as (_, told):
        minutes = await told.until(EchoStatistics, 2)
    assert minutes[1].send_failed > 0
    assert (minutes[1].sent, minutes[1].lost, minutes[1].round_trip_loss_ratio) == (0, 0, None)
    assert minutes[1].send_error == "Permission denied"
    assert told.of(EchoUp) == []


async def test_echoes_that_fell_due_together_keep_to_the_limit_of_packets_per_second():
    """After a second of standstill all 200 are due at once; their answers are spread over the second it takes."""
    plan = replace(FAST, interval_seconds=1.0, packets_per_second=200.0)
    async with probing(loopback(200), plan) as (_, told):
        time.sleep(1.0)  # noqa: ASYNC251 - the loop shall stand still
        first = [event.since_ns for event in await told.until(EchoUp, 200) if isinstance(event, EchoUp)]
    assert max(first) - min(first) >= 0.9 * 10**9


async def test_answers_keep_their_true_delay_while_the_loop_stands_still():
    """The loop sleeps; the kernel's stamps say when the answers came all the same."""
    async with probing(loopback(50)) as (_, told):
        for _ in range(10):
            time.sleep(0.15)  # noqa: ASYNC251 - a busy loop is what is tested
            await asyncio.sleep(0)
        minutes = await told.until(EchoStatistics, 100)
    medians = sorted(minute.delays.median_seconds for minute in minutes if minute.delays is not None)
    assert medians[len(medians) // 2] < 0.01


async def test_without_the_kernels_stamps_delays_come_from_our_clock_and_that_is_said():
    def unstamped(family: socket.AddressFamily) -> EchoSocket:
        opened = open_echo_socket(family)
        opened.socket.setsockopt(socket.SOL_SOCKET, 35, 0)  # SO_TIMESTAMPNS off again
        return replace(opened, kernel_timestamps=False, send_timestamps=False)

    told = Told()
    async with EchoProber(loopback(3), told, FAST, open_socket=unstamped) as prober:
        minutes = await told.until(EchoStatistics, 9)
        assert not prober.kernel_timestamps
    assert all(minute.received == minute.sent for minute in minutes)


class SlowToSend(EchoSocket):
    """Something always happens between our look at the clock and the sending."""

    def sender(self, source):
        send = super().sender(source)

        def late(octets, address):
            time.sleep(0.02)
            return send(octets, address)

        return late


def slow_to_send(family: socket.AddressFamily, *, stamped: bool) -> EchoSocket:
    opened = open_echo_socket(family)
    return SlowToSend(
        opened.socket, opened.framing, opened.identifier, opened.kernel_timestamps, opened.send_timestamps and stamped
    )


@pytest.mark.parametrize("address", [IPv4Address("127.77.0.1"), pytest.param(IPv6Address("::1"), marks=needs_ipv6)])
async def test_a_delay_begins_when_the_kernel_sends_and_not_when_we_ask_it_to(address):
    """(R36)"""
    lowest = {}
    for stamped in (True, False):
        told = Told()
        opener = partial(slow_to_send, stamped=stamped)
        async with EchoProber([EchoTarget("t0", address)], told, FAST, open_socket=opener):
            minutes = await told.until(EchoStatistics, 4)
        lowest[stamped] = min(minute.delays.min_seconds for minute in minutes if minute.delays is not None)
    assert lowest[True] < 0.02 <= lowest[False]


async def test_two_probers_on_one_machine_do_not_take_each_others_answers():
    async with probing(loopback(5)) as (_, one), probing(loopback(5)) as (_, other):
        minutes = [*await one.until(EchoStatistics, 15), *await other.until(EchoStatistics, 15)]
    assert all((minute.received, minute.duplicates) == (minute.sent, 0) for minute in minutes)


async def test_a_limit_that_the_targets_exceed_is_refused_with_figures():
    plan = EchoPlan(interval_seconds=1.0, packets_per_second=10.0)
    with pytest.raises(LocalError, match="11 targets every 1 s need 11 echoes a second, more than the limit of 10"):
        async with probing(loopback(11), plan):
            pass


async def test_an_id_that_is_taken_is_refused():
    async with probing(loopback(1)) as (prober, _):
        with pytest.raises(LocalError, match="two echo targets have the id 't0'"):
            prober.add(EchoTarget("t0", IPv4Address("127.0.0.9")))


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (EchoPlan(interval_seconds=0), "positive times"),
        (EchoPlan(burst_echoes=0), "at least one echo"),
        (EchoPlan(payload_octets=11), "12 to 368 octets"),
        (EchoPlan(payload_octets=369), "12 to 368 octets"),
    ],
)
async def test_a_plan_that_cannot_be_kept_is_refused_at_the_start(plan, sentence):
    with pytest.raises(LocalError, match=sentence):
        async with probing([], plan):
            pass


@pytest.mark.parametrize("payload_octets", [12, 13, 368])
async def test_echoes_of_any_allowed_size_come_back(payload_octets):
    async with probing(loopback(1), replace(FAST, payload_octets=payload_octets)) as (_, told):
        minutes = await told.until(EchoStatistics, 2)
    assert minutes[1].received == minutes[1].sent > 0


NOBODY = 65534

ASK = f"""
import os, socket
from probes.errors import LocalError
from probes.icmp_socket import open_echo_socket
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
try:
    print(open_echo_socket(socket.AF_INET).framing.name)
except LocalError as error:
    print(error)
"""


def ping_groups() -> tuple[int, int]:
    with open("/proc/sys/net/ipv4/ping_group_range", encoding="ascii") as file:  # noqa: PTH123 - a value of the kernel
        low, high = map(int, file.read().split())
    return low, high


def test_without_capability_and_ping_group_the_sentence_names_both_remedies():
    low, high = ping_groups()
    if low <= NOBODY <= high:
        pytest.skip("ping_group_range admits everybody here")
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True, cwd=ROOT)
    assert asked.stdout.strip() == NOT_PERMITTED


def test_the_kernels_stamp_is_read_from_the_ancillary_data():
    assert kernel_time_ns(
        [(socket.SOL_SOCKET, 35, (5).to_bytes(8, sys.byteorder) + (7).to_bytes(8, sys.byteorder))]
    ) == (5 * 10**9 + 7)
    assert kernel_time_ns([(socket.SOL_IP, 35, bytes(16))]) is None
    assert kernel_time_ns([]) is None


def test_a_family_that_the_machine_lacks_is_named():
    lacking = _no_socket(socket.AF_INET6, OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"))
    assert str(lacking) == "this machine has no IPv6: the IPv6 targets cannot be probed"


def test_any_other_refusal_of_a_socket_keeps_the_kernels_word():
    refused = _no_socket(socket.AF_INET, OSError(errno.EMFILE, "Too many open files"))
    assert str(refused) == "no IPv4 socket for ICMP echoes: Too many open files"
