"""Ask one device by the production path: discover it once, poll it by its plan, look again when it has changed.

first time, restart, new interfaces, daily -> discover -> plan -> prepare        (poller.discovery, poller.polling)
every time                                 -> poll -> DeviceReading or FailedPoll

A device that was silent costs one cheap question a minute until it answers; the session sees to that (R23).
"""

import asyncio
import logging
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import sub
from typing import Annotated, Final

import msgspec

from poller.discovery import (
    IF_TABLE_LAST_CHANGE,
    INDEXES_MOVED,
    SYS_UPTIME,
    Discovery,
    Question,
    Rediscovery,
    discover,
    needs_rediscovery,
)
from poller.estate import Device
from poller.log import tell
from poller.polling import OPER_STATUS, PollPlan, failed_poll, plan_poll, poll_device
from poller.profiles import BadProfile, Profiles
from poller.readings import DeviceReading, FailedPoll, PollCost
from poller.rounds import Answer
from probes.snmp import PreparedPoll, Snmp, SnmpError, SnmpTarget
from probes.snmp.device import LARGEST_PDU_VARBINDS

_log: Final = logging.getLogger(__name__)


TABLES_AT_ONCE: Final = 200
"""Devices whose tables are read at the same time: at a start with a thousand, all of them would be in memory."""


@dataclass(slots=True)
class _Watched:
    """What is known of one device between two polls."""

    device: Device
    target: SnmpTarget
    discovery: Discovery | None = None
    plan: PollPlan | None = None
    prepared: PreparedPoll | None = None
    before: DeviceReading | None = None
    look_again: str = ""
    """Why it is to be discovered anew with the next poll, although nothing in its answers says so."""
    saved: tuple[Discovery, int, bytes] | None = None
    """What was saved last, and of what: it seldom changes, and to encode all of them takes long.

    Compressed, because it is kept in memory and written every minute; older versions wrote plain JSON.
    """

    def save(self, request_size: int) -> bytes | None:
        """The discovery as a restart takes it up; None before the first."""
        if self.discovery is None:
            return None
        if self.saved is None or self.saved[0] is not self.discovery or self.saved[1] != request_size:
            kept = msgspec.json.encode(_Kept(self.discovery, request_size))
            self.saved = self.discovery, request_size, zlib.compress(kept, 1)
        return self.saved[2]


class _Kept(msgspec.Struct, frozen=True):
    """What a restart takes up of a device; request_size in varbinds."""

    discovery: Discovery
    request_size: Annotated[int, msgspec.Meta(ge=1, le=LARGEST_PDU_VARBINDS)]


class Asking:
    """Asks every device of an estate; implements rounds.Asker."""

    def __init__(
        self,
        snmp: Snmp,
        profiles: Profiles,
        targets: Mapping[str, tuple[Device, SnmpTarget]],
        *,
        interval_seconds: float = 60.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._snmp = snmp
        self._profiles = profiles
        self._clock_ns = clock_ns
        self._interval_seconds = interval_seconds
        self._watched: dict[str, _Watched] = {}
        self._reading_tables = asyncio.Semaphore(TABLES_AT_ONCE)
        self.follow(targets, interval_seconds)

    def follow(self, targets: Mapping[str, tuple[Device, SnmpTarget]], interval_seconds: float) -> set[str]:
        """Ask these devices and no others; the answer is who is asked in another way from now on.

        Who stays as it was keeps its session, its prepared requests and its last reading. With other credentials a
        device is still the same: what was discovered of it stays. At another address, or with another profile, it is
        met anew.
        """
        before, self._watched = self._watched, {}
        usual_before, self._interval_seconds = self._interval_seconds, interval_seconds
        changed = set()
        for key, (device, target) in targets.items():
            known = before.pop(key, None)
            if known is not None and known.target == target and known.device.profile == device.profile:
                self._watched[key] = known
                planned_by = known.device.interfaces, known.device.interval or usual_before
                known.device = device
                if planned_by != (device.interfaces, device.interval or interval_seconds):
                    self._plan(known)
                continue
            changed.add(key)
            self._watched[key] = watched = _Watched(device, target)
            if known is not None:
                self._meet_again(watched, known)
        for gone in before.values():
            self._snmp.forget(gone.target)
        return changed

    def _meet_again(self, watched: _Watched, known: _Watched) -> None:
        """A device with other settings: sessions begin anew; what was learned of it stays where it is the same box."""
        request_size = self._snmp.device(known.target).size.limit
        self._snmp.forget(known.target)
        here, there = (
            (each.target.address, each.target.port, each.target.context_name, each.device.profile)
            for each in (watched, known)
        )
        if here == there:
            self._snmp.device(watched.target).size.limit = request_size
            watched.discovery, watched.before = known.discovery, known.before
            self._plan(watched)

    async def ask(self, device: str, due_ns: int, deadline_seconds: float) -> Answer:
        """One poll, with what it cost; what takes longer than the deadline is given up (R5)."""
        watched = self._watched[device]
        agent, begun = self._snmp.device(watched.target), time.monotonic()
        before = agent.packets, agent.retries, agent.timeouts
        answer = await self._answer(watched, due_ns, deadline_seconds)
        packets, retries, timeouts = map(sub, (agent.packets, agent.retries, agent.timeouts), before)
        return replace(answer, cost=PollCost(time.monotonic() - begun, packets, retries, timeouts))

    async def _answer(self, watched: _Watched, due_ns: int, deadline_seconds: float) -> Answer:
        device = watched.device.id
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._ask(watched, due_ns)
        except TimeoutError:
            text = f"{watched.target} was not done after {deadline_seconds:.0f} s"
            return FailedPoll(device, due_ns, "deadline", text, answered=False)
        except SnmpError as error:
            return failed_poll(device, due_ns, error)
        except BadProfile as error:
            return FailedPoll(device, due_ns, "bad_profile", str(error), answered=None)

    async def look(self, device: str, interface: str, deadline_seconds: float) -> int | None:
        """The ifOperStatus of one interface as of now (1 up, 2 down, ...).

        None where only a poll can tell: the device does not answer, or its rows may have moved since the last poll.
        """
        watched = self._watched.get(device)
        if watched is None or watched.before is None or watched.plan is None:
            return None
        layout = watched.plan.layout
        if interface not in layout.names:
            return None
        if_index = layout.if_indexes[layout.names.index(interface)]
        wanted = (SYS_UPTIME, IF_TABLE_LAST_CHANGE, (*OPER_STATUS, if_index))
        try:
            async with asyncio.timeout(deadline_seconds):
                answers = await self._snmp.get(watched.target, wanted)
        except (TimeoutError, SnmpError):
            return None
        uptime, changed, status = (one.value if isinstance(one.value, int) else None for one in answers)
        earlier = watched.before.device_uptime_ticks
        if uptime is None or (earlier is not None and uptime < earlier):
            return None
        return status if changed == watched.before.if_table_last_change else None

    def rediscover(self, device: str, why: str) -> None:
        """Discover the device anew with its next poll: it said that it has changed."""
        watched = self._watched.get(device)
        if watched is not None:
            watched.look_again = why

    def interface_name(self, device: str, if_index: int) -> str | None:
        """The name of an interface as discovered; None where there is no such ifIndex."""
        watched = self._watched.get(device)
        if watched is None or watched.plan is None:
            return None
        layout = watched.plan.layout
        try:
            return layout.names[layout.if_indexes.index(if_index)]
        except ValueError:
            return None

    def uptime(self, device: str) -> tuple[int, int] | None:
        """The sysUpTime of the last poll in hundredths of a second, and when that was; None before one."""
        watched = self._watched.get(device)
        if watched is None or watched.before is None or watched.before.device_uptime_ticks is None:
            return None
        return watched.before.device_uptime_ticks, watched.before.device_received_ns

    def engine_clock(self, engine_id: bytes) -> tuple[int, int] | None:
        """EngineBoots and engineTime of an engine at this moment, by authenticated answers to our own polls.

        None where no device that is polled with authentication is that engine.
        """
        for watched in self._watched.values():
            target = watched.target
            if target.version != "3" or target.user is None or target.user.auth is None:
                continue
            engine = self._snmp.device(target).engine
            if engine is not None and engine.engine_id == engine_id and engine.is_set:
                return engine.read(self._snmp.clock())
        return None

    def save(self) -> dict[str, bytes]:
        """Every discovery, so that a restart polls at once, with the request size that the device has taught (R14)."""
        saved = {
            key: watched.save(self._snmp.device(watched.target).size.limit) for key, watched in self._watched.items()
        }
        return {key: kept for key, kept in saved.items() if kept is not None}

    def restore(self, saved: Mapping[str, bytes]) -> None:
        """Take up discoveries; one that cannot be read, or names a profile that is gone, is made anew."""
        for key, content in saved.items():
            watched = self._watched.get(key)
            if watched is None:
                continue
            try:
                plain = content if content.startswith(b"{") else zlib.decompress(content)
                found = msgspec.json.decode(plain, type=_Kept)
                self._snmp.device(watched.target).size.limit = found.request_size
                self._take(watched, found.discovery)
            except (msgspec.MsgspecError, zlib.error, BadProfile) as error:
                tell(_log, logging.INFO, "discovery_not_kept", device=key, reason=str(error))

    async def _ask(self, watched: _Watched, due_ns: int) -> Answer:
        if watched.discovery is None:
            await self._discover(watched, "first_contact", "")
        answer = await self._poll(watched, due_ns)
        if isinstance(answer, FailedPoll):
            return answer
        assert watched.discovery is not None
        need = needs_rediscovery(watched.discovery, answer, self._clock_ns(), watched.before)
        if need is not None and need.reason in INDEXES_MOVED:
            await self._discover(watched, need.reason, need.text)
            answer = await self._poll(watched, due_ns)
        elif need is not None or watched.look_again:
            await self._look_again(watched, need or Rediscovery("notified", watched.look_again))
        watched.look_again = ""
        watched.before = answer.without_rows() if isinstance(answer, DeviceReading) else None
        return answer

    async def _look_again(self, watched: _Watched, need: Rediscovery) -> None:
        """Discover beside a reading that stands: where that fails, the old discovery serves until the next poll."""
        try:
            await self._discover(watched, need.reason, need.text)
        except SnmpError as error:
            tell(
                _log, logging.WARNING, "rediscovery_failed", device=watched.device.id, why=need.reason, text=str(error)
            )

    async def _poll(self, watched: _Watched, due_ns: int) -> Answer:
        plan, prepared = watched.plan, watched.prepared
        assert plan is not None
        assert prepared is not None
        return await poll_device(lambda: self._snmp.poll(prepared), plan, due_ns, watched.before)

    async def _discover(self, watched: _Watched, reason: str, text: str) -> None:
        device = watched.device
        question = Question(device.id, device.profile, room=self._reading_tables)
        found = await discover(self._snmp, watched.target, question, self._profiles, self._clock_ns())
        self._take(watched, found)
        tell(
            *(_log, logging.INFO, "discovered"),
            device=device.id,
            why=reason,
            detail=text or None,
            profile=found.family,
            interfaces=len(found.interfaces),
        )

    def _plan(self, watched: _Watched) -> None:
        """Plan and prepare anew from what was discovered; where that does not fit any more, it is discovered anew."""
        found, watched.discovery = watched.discovery, None
        if found is not None:
            try:
                self._take(watched, found)
            except BadProfile as error:
                tell(_log, logging.INFO, "discovery_not_kept", device=watched.device.id, reason=str(error))

    def _take(self, watched: _Watched, found: Discovery) -> None:
        device = watched.device
        plan = plan_poll(
            found,
            self._profiles[found.family],
            device.interfaces,
            interval_seconds=device.interval or self._interval_seconds,
        )
        watched.discovery, watched.plan = found, plan
        watched.prepared = self._snmp.prepare(watched.target, plan.groups)
