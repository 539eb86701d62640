"""Agents that replay a recording, for tests of profiles, discovery and walks.

async with serve_recording(Path("fortigate.snmprec")) as (address, port): ...
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from poller.lab.agent import Access, Agent
from poller.lab.ears import Ears, Peer
from poller.lab.mib import RecordedView
from poller.lab.snmprec import parse_recording
from poller.lab.world import engine_id_of

_ROOM = 65_000
"""A replayed agent sends as much as fits into a datagram."""


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
    path: Path, access: Access | None = None, address: str = "127.0.0.1", clock: Callable[[], int] = time.time_ns
) -> AsyncIterator[Peer]:
    """Replay a recording at an address and a free port, by default to the community "public"; gives both."""
    agent = Agent(
        ReplayedBox(path, path.stem, clock()), access or Access(communities=frozenset({b"public"})), room=_ROOM
    )
    heard: list[Ears] = []

    def hear(datagram: bytes, ours: str, peer: Peer) -> None:
        if ours == address and (answer := agent.receive(datagram, clock())) is not None:
            heard[0].send(answer, ours, peer)

    heard.append(Ears(0, hear))
    with contextlib.closing(heard[0]):
        yield address, heard[0].port
