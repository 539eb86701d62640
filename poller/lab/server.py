"""The lab as it runs: agents on loopback for every device of an estate, in this process and on its loop.

    async with Lab(estate, directory, LabOptions(port=0)) as lab:
        address, port = lab.address("fw-1")
        lab.fail_circuit("int-1")
        lab.silence("fw-1")

The clock is an argument, so that a test decides what time it is.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

from poller.estate import Device, Estate
from poller.lab.access import make_access
from poller.lab.agent import Agent
from poller.lab.ears import Ears, Peer
from poller.lab.notifications import Trap, cold_start, link_trap, storm_trap, trap_datagram
from poller.lab.replay import ReplayedBox
from poller.lab.scenario import Notifications, Scenario, Step, timeline
from poller.lab.services import Fault, LabServices
from poller.lab.world import World
from poller.profiles import Profiles, load_profiles

Clock = Callable[[], int]
"""UTC unix nanoseconds."""


class CannotSimulate(Exception):  # noqa: N818 - it says what is the matter
    """The estate is not one for the lab; the text says what to change."""


@dataclass(slots=True)
class _Conduct:
    """How an agent behaves beside what it knows."""

    silent: bool = False
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LabOptions:
    """What a lab may be told beside its estate.

    port: of every agent instead of the estate's; 0 for any free one.
    community: answered by every agent besides its own credentials.
    recordings: what devices replay instead of being simulated, by device id.
    profiles: what vendors' devices are like; the product's own unless given.
    notifications: where the notifications of simulated devices go; nowhere unless given.
    services: whether the estate's services are served too, at the addresses and ports that they name.
    """

    port: int | None = None
    community: str | None = None
    seed: int = 0
    recordings: Mapping[str, Path] | None = None
    profiles: Profiles | None = None
    notifications: Notifications | None = None
    services: bool = False


class Lab:
    """Agents for every device. Use it as an async context manager; nothing listens outside of it."""

    def __init__(
        self, estate: Estate, directory: Path, options: LabOptions | None = None, clock: Clock = time.time_ns
    ) -> None:
        self.estate = simulated(estate)
        self.options = options or LabOptions()
        self._clock = clock
        self.world = World(self.estate, self.options.profiles or load_profiles(), clock(), self.options.seed)
        self._conducts: dict[str, _Conduct] = {device: _Conduct() for device in self.estate.devices}
        self._ears: dict[int, Ears] = {}
        self._agents = {device.id: self._agent(device, directory) for device in self.estate.devices.values()}
        self._sent = 0
        self.services = LabServices(self.estate) if self.options.services else None
        self.problems: list[str] = []
        """What could not be served, a sentence each."""
        self._changing: set[asyncio.Task[None]] = set()
        self._at: dict[tuple[int, str], str] = {}
        """Device by port asked for and address."""

    def now(self) -> int:
        """What time it is in the lab."""
        return self._clock()

    @property
    def requests(self) -> int:
        """Requests heard since the start."""
        return sum(agent.requests for agent in self._agents.values())

    @property
    def ports(self) -> tuple[int, ...]:
        """UDP ports that are listened on."""
        return tuple(sorted(ears.port for ears in self._ears.values()))

    def address(self, device: str) -> Peer:
        """Where a device answers."""
        entry = self.estate.devices[device]
        return str(_address(entry)), self._ears[self._wanted_port(entry)].port

    # ---- what can be made to happen, at once

    def fail_circuit(self, circuit: str) -> None:
        """A circuit dies: its interface goes down, the group's next member carries its traffic."""
        self.world.fail_circuit(circuit, self.now())
        self._tell_link(circuit)

    def restore_circuit(self, circuit: str) -> None:
        """It is repaired; the preferred member carries again."""
        self.world.restore_circuit(circuit, self.now())
        self._tell_link(circuit)

    def set_interface(self, device: str, interface: str, *, up: bool) -> None:
        """An interface goes up or down, with its notification."""
        self.world.set_interface(device, interface, self.now(), up=up)
        self._tell(device, link_trap(self.world.box(device), interface))

    def multiply_tenant(self, tenant: str, factor: float, line: str | None = None) -> None:
        """A tenant uses so many times as much as usual; 1 is as usual."""
        self.world.multiply_tenant(tenant, factor, self.now(), line)

    def fill_cap(self, tenant: str, line: str, ratio: float) -> None:
        """A tenant takes this part of its cap on a line, at any hour, until it is multiplied again."""
        self.world.fill_cap(tenant, line, ratio, self.now())

    def fail_over(self, group: str, to: str | None = None) -> str:
        """Another device of a redundancy group takes over; returns its id."""
        return self.world.fail_over(group, self.now(), to)

    def reboot(self, device: str, *, reshuffle: bool = False) -> None:
        """A device starts anew, perhaps with other ifIndexes."""
        self.world.reboot(device, self.now(), reshuffle=reshuffle)
        self._tell(device, cold_start())

    def clear_counters(self, device: str, interface: str | None = None) -> None:
        """Somebody clears the counters of a device or of one interface."""
        self.world.clear_counters(device, self.now(), interface)

    def silence(self, device: str) -> None:
        """Its agent is dead: no answer until `wake`."""
        self._conduct(device).silent = True

    def wake(self, device: str) -> None:
        """It answers again, at once."""
        self._conduct(device).silent = False

    def delay(self, device: str, seconds: float) -> None:
        """Its agent takes that long for each answer; 0 is as usual."""
        self._conduct(device).delay_seconds = seconds

    def break_service(self, service: str, how: Fault) -> None:
        """A service is broken, until it is mended."""
        if self.services is not None:
            self._soon(self.services.fail(service, how))

    def mend_service(self, service: str) -> None:
        """It serves again."""
        if self.services is not None:
            self._soon(self.services.restore(service))

    def _soon(self, change: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(change)
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)

    async def settled(self) -> None:
        """Come back when every service is as it was last told to be."""
        await asyncio.gather(*self._changing)

    def notify(self, device: str, count: int) -> None:
        """It sends so many notifications at once."""
        box = self.world.box(device)
        for _ in range(count):
            self._tell(device, storm_trap(box, self._sent))

    @property
    def notifications_sent(self) -> int:
        """Since the start."""
        return self._sent

    async def play(self, scenario: Scenario, speed: float = 1.0, told: Callable[[Step], None] | None = None) -> None:
        """Let a scenario happen, its moments so many times sooner; returns after its last step, if it has one."""
        start_ns = self.now()
        for moment_ns, step in timeline(scenario.events, start_ns, scenario.loop):
            due_ns = start_ns + int((moment_ns - start_ns) / speed)
            await self._wait_until(due_ns)
            step.act(self)
            if told is not None and step.text:
                told(step)

    async def _wait_until(self, moment_ns: int) -> None:
        """Come back at that moment of the lab's clock, which may run otherwise than the loop's."""
        while (rest_ns := moment_ns - self.now()) > 0:  # noqa: ASYNC110 - nobody else knows when the clock gets there
            await asyncio.sleep(rest_ns / 10**9)

    async def __aenter__(self) -> Self:
        try:
            for device in self.estate.devices.values():
                self._listen(device)
        except CannotSimulate:
            self._close()
            raise
        if self.services is not None:
            self.problems = await self.services.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.services is not None:
            self.services.close()
        for ears in self._ears.values():
            ears.close()
        self._ears.clear()
        self._at.clear()

    def _tell_link(self, circuit: str) -> None:
        at = self.estate.circuits[circuit].measured_by
        self._tell(at.device, link_trap(self.world.box(at.device), at.interface))

    def _tell(self, device: str, trap: Trap) -> None:
        """Send a notification, where there is somebody to hear it."""
        to = self.options.notifications
        if to is None or not self._ears:
            return
        self._sent += 1
        uptime = self.world.box(device).uptime_ticks(self.now())
        entry = self.estate.devices[device]
        datagram = trap_datagram(trap, uptime, self._sent, to.community.encode())
        self._ears[self._wanted_port(entry)].send(datagram, str(_address(entry)), to.peer)

    def _wanted_port(self, device: Device) -> int:
        return self.options.port if self.options.port is not None else device.port or self.estate.polling.port

    def _listen(self, device: Device) -> None:
        port = self._wanted_port(device)
        if port not in self._ears:
            try:
                self._ears[port] = Ears(port, lambda datagram, address, peer: self._hear(port, datagram, address, peer))
            except OSError as error:
                raise CannotSimulate(f"the lab cannot listen on UDP port {port}: {error.strerror or error}") from error
        for address in device.addresses:
            if not address.is_loopback:
                text = f"device {device.id} has the address {address}: the lab answers on loopback only (127.0.0.0/8)"
                raise CannotSimulate(text)
            other = self._at.setdefault((port, str(address)), device.id)
            if other != device.id:
                raise CannotSimulate(f"devices {other} and {device.id} have the same address {address} and port")

    def _agent(self, device: Device, directory: Path) -> Agent:
        credentials = self.estate.credentials.get(device.credentials or "")
        access = make_access(credentials, directory, self.options.community)
        recording = (self.options.recordings or {}).get(device.id)
        if recording is not None:
            return Agent(ReplayedBox(recording, device.id, self._clock()), access)
        return Agent(self.world.boxes[device.id], access)

    def _conduct(self, device: str) -> _Conduct:
        self.world.box(device)
        return self._conducts[device]

    def _hear(self, port: int, datagram: bytes, address: str, peer: Peer) -> None:
        device = self._at.get((port, address))
        if device is None:
            return
        conduct = self._conducts[device]
        if conduct.silent:
            return
        answer = self._agents[device].receive(datagram, self._clock())
        if answer is None:
            return
        ears = self._ears[port]
        if conduct.delay_seconds > 0:
            asyncio.get_running_loop().call_later(conduct.delay_seconds, self._answer, port, answer, address, peer)
        else:
            ears.send(answer, address, peer)

    def _answer(self, port: int, datagram: bytes, address: str, peer: Peer) -> None:
        ears = self._ears.get(port)
        if ears is not None:
            ears.send(datagram, address, peer)


def _address(device: Device) -> IPv4Address:
    for address in device.addresses:
        if isinstance(address, IPv4Address):
            return address
    raise CannotSimulate(f"device {device.id} has no IPv4 address: the lab answers on 127.0.0.0/8")


def simulated(estate: Estate) -> Estate:
    """The estate without devices at 127.0.0.1, which is this machine itself and has an agent of its own."""
    return estate.model_copy(
        update={"devices": {key: one for key, one in estate.devices.items() if str(one.addresses[0]) != "127.0.0.1"}}
    )
