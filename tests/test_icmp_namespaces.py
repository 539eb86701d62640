"""The prober against other network namespaces: the kernel's own stack answers, nftables loses, a link of ours delays.

Where this is not permitted (no root, no ip or nft), everything here is skipped.
"""

import asyncio
import fcntl
import heapq
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

import pytest

from poller.lab.namespaces import Namespace, unique, why_not
from probes.icmp import EchoDown, EchoEvent, EchoPlan, EchoProber, EchoStatistics, EchoTarget, EchoUp
from probes.icmp_packet import Framing
from probes.icmp_socket import EchoSocket, open_echo_socket, open_ping_socket
from probes.icmp_track import Standing

T = TypeVar("T")
TUNSETIFF: Final = 0x400454CA
IFF_TUN_NO_PI: Final = 0x0001 | 0x1000

FAST = EchoPlan(interval_seconds=0.1, timeout_seconds=0.4, burst_interval_seconds=0.05, slot_seconds=0.5)


pytestmark = pytest.mark.skipif(bool(reason := why_not()), reason=reason or "permitted")


@dataclass
class Pair:
    """We are near; far has the targets."""

    near: Namespace
    far: Namespace

    def opener(self, how: Callable[[socket.AddressFamily], EchoSocket] = open_echo_socket):
        return lambda family: self.near.inside(lambda: how(family))

    @contextmanager
    def losing(self, chance_in_1000: int) -> Iterator[Callable[[], int]]:
        """The far side loses requests at random; what it lost is known exactly, once the loss is over."""
        self.far.run("nft", "add", "table", "inet", "loss")
        try:
            self.far.run("nft", "add counter inet loss lost")
            self.far.run("nft", "add chain inet loss in { type filter hook input priority 0; }")
            chance = f"numgen random mod 1000 < {chance_in_1000} " if chance_in_1000 < 1000 else ""
            for protocol in ("icmp", "icmpv6"):
                self.far.run(
                    "nft",
                    f"add rule inet loss in {protocol} type echo-request {chance}counter name lost drop",
                )
            yield self.lost
        finally:
            self.far.run("nft", "delete table inet loss")

    def lost(self) -> int:
        """End the loss and say how many requests it took."""
        self.far.run("nft", "flush chain inet loss in")
        listed = json.loads(self.far.run("nft", "-j", "list counter inet loss lost"))
        return next(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)


@pytest.fixture
def namespaces() -> Iterator[tuple[Namespace, Namespace]]:
    near, far = Namespace(unique("near")), Namespace(unique("far"))
    yield near, far
    near.delete()
    far.delete()


@pytest.fixture
def pair(namespaces) -> Pair:
    """Near 10.9.0.1 and fd09::1, far 10.9.0.2-.41 and fd09::2-29 (hexadecimal), one cable between them."""
    near, far = namespaces
    near.ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far.name)
    near.ip("address", "add", "10.9.0.1/24", "dev", "cable")
    near.ip("address", "add", "fd09::1/64", "dev", "cable", "nodad")
    for last in range(2, 42):
        far.ip("address", "add", f"10.9.0.{last}/24", "dev", "cable")
        far.ip("address", "add", f"fd09::{last:x}/64", "dev", "cable", "nodad")
    far.ip("link", "set", "cable", "up")
    near.ip("link", "set", "cable", "up")
    return Pair(near, far)


def targets(count: int, version: int = 4) -> list[EchoTarget]:
    first = IPv4Address("10.9.0.2") if version == 4 else IPv6Address("fd09::2")
    return [EchoTarget(f"t{index}", first + index) for index in range(count)]


class Told(list[EchoEvent]):
    """A listener that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def __call__(self, event: EchoEvent) -> None:
        self.append(event)
        self._changed.set()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self if isinstance(event, kind)]

    async def until(self, kind: type[T], count: int = 1) -> list[T]:
        async with asyncio.timeout(60):
            while len(found := self.of(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found

    async def slots(self, count: int) -> None:
        """Wait for so many more slots of every target."""
        each = len({event.target for event in self})
        await self.until(EchoStatistics, len(self.of(EchoStatistics)) + count * each)

    def total(self, name: str) -> int:
        return sum(getattr(event, name) for event in self.of(EchoStatistics))


@asynccontextmanager
async def probing(
    pair: Pair, wanted: list[EchoTarget], plan: EchoPlan = FAST, how=open_echo_socket
) -> AsyncIterator[Told]:
    told = Told()
    async with EchoProber(wanted, told, plan, open_socket=pair.opener(how)):
        await told.until(EchoUp, len(wanted))
        yield told


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("chance_in_1000", [0, 10, 100])
async def test_every_request_that_the_far_side_lost_is_counted_and_no_other(pair, version, chance_in_1000):
    """Lost is exactly what was dropped (R36); six in a row at 10 % is one in a million: nothing is declared down."""
    async with probing(pair, targets(40, version)) as told:
        with pair.losing(chance_in_1000) as end_loss:
            await told.slots(4)
            lost = end_loss()
        await told.slots(3)
    assert told.total("lost") == lost
    assert told.total("received") == told.total("sent") - lost
    assert (lost > 0) is (chance_in_1000 > 0)
    assert told.total("duplicates") == told.total("late") == told.total("send_failed") == 0
    assert told.of(EchoDown) == []


@pytest.mark.parametrize("version", [4, 6])
async def test_echoes_leave_from_the_source_address_of_their_target(pair, version):
    """The far side counts what comes from the second address of ours; the first would be the route's choice."""
    source = IPv4Address("10.9.0.200") if version == 4 else IPv6Address("fd09::200")
    pair.near.ip(
        "address", "add", f"{source}/{24 if version == 4 else 64}", "dev", "cable", *(["nodad"] * (version == 6))
    )
    pair.far.run("nft", "add table inet seen")
    pair.far.run("nft", "add counter inet seen from_source")
    pair.far.run("nft", "add chain inet seen in { type filter hook input priority 0; }")
    family, protocol = ("ip", "icmp") if version == 4 else ("ip6", "icmpv6")
    pair.far.run(
        "nft", f"add rule inet seen in {family} saddr {source} {protocol} type echo-request counter name from_source"
    )
    async with probing(pair, [replace(target, source_address=source) for target in targets(3, version)]) as told:
        await told.slots(3)
        listed = json.loads(pair.far.run("nft", "-j", "list counter inet seen from_source"))
    seen = next(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)
    assert seen >= told.total("sent") > 0
    assert told.total("lost") == 0


async def test_a_source_address_that_is_not_ours_is_a_failure_to_send(pair):
    told = Told()
    wanted = [EchoTarget("t0", IPv4Address("10.9.0.2"), IPv4Address("192.0.2.77"))]
    async with EchoProber(wanted, told, FAST, open_socket=pair.opener()):
        await told.until(EchoStatistics, 2)
    assert told.total("sent") == 0
    assert told.total("send_failed") > 0
    assert told.of(EchoDown) == []


async def test_a_dead_target_is_declared_down_within_15_s_by_the_default_plan_and_its_return_is_told(pair):
    """(R37)"""
    async with probing(pair, targets(3), EchoPlan()) as told:
        with pair.losing(1000):
            died_ns = time.time_ns()
            downs = await told.until(EchoDown, 3)
        await told.until(EchoUp, 6)
    assert {down.target for down in downs} == {"t0", "t1", "t2"}
    for down in downs:
        assert down.since_ns >= died_ns - 10**9
        assert down.declared_ns - died_ns <= 15 * 10**9
        assert (down.lost, down.refused) == (6, 0)


async def test_a_target_that_is_hurried_is_asked_at_once_and_a_sound_one_says_nothing(pair):
    """Two targets asked every half minute: a doubt is answered or told within seconds, not at their next turn."""
    plan = EchoPlan(interval_seconds=30, timeout_seconds=0.2, burst_interval_seconds=0.05, slot_seconds=0.5)
    told = Told()
    async with EchoProber((), told, plan, open_socket=pair.opener()) as prober:
        for target in targets(2):
            prober.add(target)
            prober._schedule(prober._targets[target.id], time.monotonic_ns())
        await told.until(EchoUp, 2)
        prober.hurry("t0")
        async with asyncio.timeout(10):
            while prober.standing("t0") is not Standing.UP:  # noqa: ASYNC110 - an answer to a doubt is not told
                await asyncio.sleep(0.01)
        with pair.losing(1000):
            prober.hurry("t1")
            (down,) = await told.until(EchoDown)
    assert "t1" == down.target
    assert (down.declared_ns - down.since_ns) / 1e9 < 5


async def test_a_target_removed_while_its_echoes_are_unanswered_is_asked_no_more(pair):
    """Its last echoes expire after the removal; the doubt they raise must not bring it back."""
    told = Told()
    async with EchoProber(targets(2), told, FAST, open_socket=pair.opener()) as prober:
        await told.until(EchoUp, 2)
        track = prober._targets["t0"].track
        with pair.losing(1000):
            async with asyncio.timeout(30):
                while not track.verdict.urgent:  # noqa: ASYNC110 - a doubt is not told
                    await asyncio.sleep(0.01)
            prober.remove("t0")
            sent = track.sequence
            await told.until(EchoDown)
            await told.slots(3)
    assert track.sequence == sent
    assert {event.target for event in told.of(EchoDown)} == {"t1"}


async def test_losing_everything_is_a_ratio_of_one(pair):
    async with probing(pair, targets(2)) as told:
        with pair.losing(1000):
            await told.until(EchoDown, 2)
            before = len(told)
            await told.slots(4)
        later = [event for event in told[before:] if isinstance(event, EchoStatistics)]
    assert later[-1].round_trip_loss_ratio == 1.0
    assert later[-1].delays is None


async def test_a_router_that_refuses_is_told_apart_from_silence(pair):
    """Lost and refused are two outcomes (R36). Linux refuses five in a row, and one a second from then on."""
    pair.far.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    pair.far.ip("route", "add", "unreachable", "10.10.0.0/24")
    pair.near.ip("route", "add", "10.10.0.0/24", "via", "10.9.0.2")
    told = Told()
    wanted = [EchoTarget("behind", IPv4Address("10.10.0.1"))]
    async with EchoProber(wanted, told, FAST, open_socket=pair.opener()):
        downs = await told.until(EchoDown)
        await told.until(EchoStatistics, 3)
    assert downs[0].lost == 6
    assert 0 < downs[0].refused <= 6
    assert told.total("refused") >= downs[0].refused
    assert told.total("refused") + told.total("lost") == told.total("sent")
    assert told.of(EchoUp) == []


async def test_our_own_cable_gone_is_a_failure_to_send_and_accuses_no_target(pair):
    """(R36)"""
    async with probing(pair, targets(2)) as told:
        pair.near.ip("link", "set", "cable", "down")
        await told.slots(6)
        down = told.of(EchoDown)
        last = told.of(EchoStatistics)[-1]
    assert down == []
    assert (last.sent, last.round_trip_loss_ratio) == (0, None)
    assert last.send_failed > 0
    assert last.send_error == "Network is unreachable"


@pytest.mark.parametrize(("version", "framing"), [(4, Framing.IPV4_PING), (6, Framing.IPV6)])
async def test_ping_sockets_do_as_well_where_the_group_range_allows_them(pair, version, framing):
    pair.near.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    opened = pair.near.inside(lambda: open_ping_socket(socket.AF_INET if version == 4 else socket.AF_INET6))
    assert (opened.framing, opened.socket.type) == (framing, socket.SOCK_DGRAM)
    assert opened.kernel_timestamps
    assert opened.send_timestamps
    opened.socket.close()
    async with probing(pair, targets(5, version), FAST, open_ping_socket) as told:
        with pair.losing(200) as end_loss:
            await told.slots(4)
            lost = end_loss()
        await told.slots(3)
    assert told.total("lost") == lost > 0


@dataclass
class Link(threading.Thread):
    """A link between two TUN interfaces that holds packets back: the kernel here has no netem.

    fate says of the packet with this number how long each of its copies takes, in seconds; an empty tuple loses it.
    held_seconds: what each copy really took, from being read on one side to being written on the other.
    """

    near: int
    far: int
    fate: Callable[[int], tuple[float, ...]]
    held_seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._stop_reading, self._stop_writing = os.pipe()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        waiting: list[tuple[float, int, float, bytes]] = []
        number = copies = 0
        while True:
            wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            ready, _, _ = select.select([self.near, self.far, self._stop_reading], [], [], wait)
            if self._stop_reading in ready:
                return
            now = time.monotonic()
            if self.far in ready:  # answers pass at once
                os.write(self.near, os.read(self.far, 2048))
            if self.near in ready:
                packet = os.read(self.near, 2048)
                for seconds in self.fate(number):
                    copies += 1
                    heapq.heappush(waiting, (now + seconds, copies, now, packet))
                number += 1
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, read_at, packet = heapq.heappop(waiting)
                self.held_seconds.append(time.monotonic() - read_at)
                os.write(self.far, packet)

    def stop(self) -> None:
        os.write(self._stop_writing, b".")
        self.join()
        for descriptor in (self.near, self.far, self._stop_reading, self._stop_writing):
            os.close(descriptor)


def open_tun() -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN_NO_PI))
    return descriptor


@pytest.fixture
def linked(namespaces) -> Iterator[Callable[[Callable[[int], tuple[float, ...]]], tuple[Pair, Link]]]:
    """Near 10.9.0.1 and far 10.9.0.2-.41 with a link of ours between them."""
    if not os.path.exists("/dev/net/tun"):  # noqa: PTH110 - a device
        pytest.skip("no /dev/net/tun")
    near, far = namespaces
    links: list[Link] = []

    def connect(fate: Callable[[int], tuple[float, ...]]) -> tuple[Pair, Link]:
        link = Link(near.inside(open_tun), far.inside(open_tun), fate)
        for namespace in (near, far):  # a new interface greets its neighbours over IPv6, and we count packets
            namespace.run("sysctl", "-qw", "net.ipv6.conf.cable.disable_ipv6=1")
        near.ip("address", "add", "10.9.0.1/24", "dev", "cable")
        for last in range(2, 42):
            far.ip("address", "add", f"10.9.0.{last}/24", "dev", "cable")
        near.ip("link", "set", "cable", "up")
        far.ip("link", "set", "cable", "up")
        link.start()
        links.append(link)
        return Pair(near, far), link

    yield connect
    for link in links:
        link.stop()


@pytest.mark.parametrize("seconds", [0.005, 0.1])
async def test_the_delay_is_that_of_the_link_within_a_millisecond(linked, seconds):
    """By the fastest echo: the others may have waited for a processor, which is no error of ours."""
    pair, link = linked(lambda _: (seconds,))
    async with probing(pair, targets(5)) as told:
        await told.slots(6)
    lowest = min(event.delays.min_seconds for event in told.of(EchoStatistics) if event.delays is not None)
    assert lowest >= seconds
    assert lowest == pytest.approx(min(link.held_seconds), abs=0.001)


async def test_every_duplicate_is_counted_and_none_is_taken_for_an_answer(linked):
    pair, _ = linked(lambda _: (0.0, 0.01, 0.02))
    async with probing(pair, targets(5)) as told:
        await told.slots(4)
    assert told.total("lost") == 0
    whole = [event for event in told.of(EchoStatistics) if event.sent]
    assert told.total("received") == told.total("sent")
    assert sum(event.duplicates for event in whole) == pytest.approx(2 * told.total("sent"), abs=2 * 5 * 2)


async def test_answers_out_of_order_are_all_received(linked):
    """Every second packet takes 60 ms, the others none, at an echo every 20 ms: answers overtake one another."""
    pair, _ = linked(lambda number: (0.06 * (number % 2),))
    async with probing(pair, targets(1), replace(FAST, interval_seconds=0.02)) as told:
        await told.slots(4)
    assert told.total("received") == told.total("sent") > 50
    assert told.total("duplicates") == told.total("late") == 0
    spread = [event.delays.variation_seconds for event in told.of(EchoStatistics) if event.delays is not None]
    assert max(value for value in spread if value is not None) > 0.02


async def test_answers_after_the_timeout_are_late_and_lost_but_the_target_is_not_declared_down(linked):
    pair, _ = linked(lambda _: (0.5,))
    told = Told()
    async with EchoProber(targets(2), told, FAST, open_socket=pair.opener()):
        await told.until(EchoStatistics, 12)
    assert told.total("received") == 0
    assert told.total("lost") == told.total("sent")
    assert told.total("late") > 0
