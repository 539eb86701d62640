"""The lab as it runs: agents on loopback for every device of an estate, in this process and on its loop.

    async with Lab(estate, directory) as lab:
        lab.world.fail_circuit("int-1", lab.now())
        lab.silence("fw-1")

The clock is an argument, so that a test decides what time it is.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

from poller.estate import Credentials, Device, Estate
from poller.lab.agent import Access, Agent
from poller.lab.ears import Ears, Peer
from poller.lab.mib import RecordedView
from poller.lab.snmprec import parse_recording
from poller.lab.world import World, engine_id_of
from poller.profiles import Profiles, load_profiles
from poller.secrets import SecretReference
from probes.snmp.usm import AuthProtocol, PrivProtocol, UsmUser

Clock = Callable[[], int]
"""UTC unix nanoseconds."""

_AUTH: Mapping[str, AuthProtocol] = {
    "MD5": AuthProtocol.MD5,
    "SHA-1": AuthProtocol.SHA1,
    "SHA-224": AuthProtocol.SHA224,
    "SHA-256": AuthProtocol.SHA256,
    "SHA-384": AuthProtocol.SHA384,
    "SHA-512": AuthProtocol.SHA512,
}
_PRIV: Mapping[str, PrivProtocol] = {
    "DES": PrivProtocol.DES,
    "AES-128": PrivProtocol.AES128,
    "AES-192": PrivProtocol.AES192,
    "AES-256": PrivProtocol.AES256,
    "AES-192-C": PrivProtocol.AES192_REEDER,
    "AES-256-C": PrivProtocol.AES256_REEDER,
}


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
    """

    port: int | None = None
    community: str | None = None
    seed: int = 0
    recordings: Mapping[str, Path] | None = None
    profiles: Profiles | None = None


class Lab:
    """Agents for every device. Use it as an async context manager; nothing listens outside of it."""

    def __init__(
        self, estate: Estate, directory: Path, options: LabOptions | None = None, clock: Clock = time.time_ns
    ) -> None:
        self.estate = estate
        self.options = options or LabOptions()
        self._clock = clock
        self.world = World(estate, self.options.profiles or load_profiles(), clock(), self.options.seed)
        self._conducts: dict[str, _Conduct] = {device: _Conduct() for device in estate.devices}
        self._ears: dict[int, Ears] = {}
        self._agents = {device.id: self._agent(device, directory) for device in estate.devices.values()}
        self._at: dict[tuple[int, str], str] = {}
        """Device by port asked for and address."""

    def now(self) -> int:
        """What time it is in the lab."""
        return self._clock()

    @property
    def requests(self) -> int:
        """Requests heard since the start."""
        return sum(agent.requests for agent in self._agents.values())

    def address(self, device: str) -> Peer:
        """Where a device answers."""
        entry = self.estate.devices[device]
        return str(_address(entry)), self._ears[self._wanted_port(entry)].port

    def silence(self, device: str) -> None:
        """Its agent is dead: no answer until `wake`."""
        self._conduct(device).silent = True

    def wake(self, device: str) -> None:
        """It answers again, at once."""
        self._conduct(device).silent = False

    def delay(self, device: str, seconds: float) -> None:
        """Its agent takes that long for each answer; 0 is as usual."""
        self._conduct(device).delay_seconds = seconds

    def send_from(self, device: str, datagram: bytes, peer: Peer) -> None:
        """A datagram that a device sends by itself, such as a notification."""
        entry = self.estate.devices[device]
        self._ears[self._wanted_port(entry)].send(datagram, str(_address(entry)), peer)

    async def __aenter__(self) -> Self:
        try:
            for device in self.estate.devices.values():
                self._listen(device)
        except OSError as error:
            self._close()
            raise CannotSimulate(f"the lab cannot listen: {error.strerror or error}") from error
        except CannotSimulate:
            self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for ears in self._ears.values():
            ears.close()
        self._ears.clear()
        self._at.clear()

    def _wanted_port(self, device: Device) -> int:
        return self.options.port if self.options.port is not None else device.port or self.estate.polling.port

    def _listen(self, device: Device) -> None:
        port = self._wanted_port(device)
        if port not in self._ears:
            self._ears[port] = Ears(port, lambda datagram, address, peer: self._hear(port, datagram, address, peer))
        for address in device.addresses:
            if not address.is_loopback:
                raise CannotSimulate(
                    f"device {device.id} has the address {address}: the lab answers on loopback only (127.0.0.0/8)"
                )
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


class ReplayedBox:
    """A box that knows nothing but its recording."""

    def __init__(self, path: Path, name: str, start_ns: int) -> None:
        self.recording = parse_recording(path.read_text(encoding="utf-8", errors="replace"))
        self.view = RecordedView(self.recording.objects)
        self.engine_id = engine_id_of(name)
        self.engine_boots = 1
        self._start_ns = start_ns

    def engine_seconds(self, time_ns: int) -> int:
        """snmpEngineTime: since the start of the replay."""
        return (time_ns - self._start_ns) // 10**9


@asynccontextmanager
async def serve_recording(
    path: Path, access: Access | None = None, address: str = "127.0.0.1", clock: Clock = time.time_ns
) -> AsyncIterator[Peer]:
    """Replay a recording at an address and a free port, by default to the community "public"; gives both."""
    agent = Agent(
        ReplayedBox(path, path.stem, clock()), access or Access(communities=frozenset({b"public"})), room=65_000
    )
    heard: list[Ears] = []

    def hear(datagram: bytes, ours: str, peer: Peer) -> None:
        if ours == address and (answer := agent.receive(datagram, clock())) is not None:
            heard[0].send(answer, ours, peer)

    heard.append(Ears(0, hear))
    with contextlib.closing(heard[0]):
        yield address, heard[0].port


def make_access(credentials: Credentials | None, directory: Path, community: str | None = None) -> Access:
    """Who may ask a device that the poller asks with these credentials; raises SecretUnavailable.

    Without credentials and without another community it is "public".
    """
    communities = {community.encode()} if community is not None else set()
    if credentials is None:
        return Access(frozenset(communities or {b"public"}))
    if credentials.version == "3":
        user = usm_user(credentials, directory)
        return Access(frozenset(communities), {user.security_name.encode(): user})
    if credentials.community is not None:
        communities.add(credentials.community.read(directory).reveal().encode())
    return Access(frozenset(communities))


def usm_user(credentials: Credentials, directory: Path) -> UsmUser:
    """The v3 user of credentials; raises SecretUnavailable, BadRequest where an agent would refuse it."""

    def password(reference: SecretReference | None) -> bytes:
        return b"" if reference is None else reference.read(directory).reveal().encode()

    return UsmUser(
        credentials.security_name or "",
        _AUTH[credentials.auth] if credentials.auth else None,
        password(credentials.auth_password),
        _PRIV[credentials.priv] if credentials.priv else None,
        password(credentials.priv_password),
    )


def _address(device: Device) -> IPv4Address:
    for address in device.addresses:
        if isinstance(address, IPv4Address):
            return address
    raise CannotSimulate(f"device {device.id} has no IPv4 address: the lab answers on 127.0.0.0/8")
