"""What becomes of notifications: from the receiver into the pipeline, the journal, and back as acknowledgements.

    deliver()  accepted -> Sample -> pipeline.publish (journal, alerting, wall)      -> followup -> look (polls)
    run()      journal.flush -> informs are answered, the funnel's last counter moves (R44: durable first)
    tick()     once a second: sums of repeats, storms, canary, polls that are due

A notification never changes what the state of anything is: it makes the poller look (R48). Whether it may open an
incident is said by the field `raised`: absent in a storm, soon after a reboot, and for what was switched off on
purpose.
"""

import asyncio
import json
import logging
import secrets
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from poller.asking import Asking
from poller.estate import Estate
from poller.followup import Followup, Look
from poller.log import tell
from poller.pipeline import Pipeline
from poller.sample import FieldValue, Sample
from poller.settings import Notifications
from poller.storage.errors import JournalUnavailable
from poller.storage.journal import Journal
from poller.storms import StormStory
from poller.uptime import UPTIME_SPAN
from probes.snmp.message import V2C, CommunityMessage, Pdu, PduKind, encode_message
from probes.snmp.oid import Oid, format_oid
from probes.snmp.values import Tag, VarBind
from traps.catalogue import Catalogue, Does, Severity
from traps.flood import Limits, Window
from traps.intake import CANARY, Accepted, Answer, Intake
from traps.notification import SYS_UPTIME, TRAP_OID
from traps.receiver import Receiver, open_socket
from traps.resets import Reset
from traps.sources import Sources
from traps.words import Told, name_varbinds, subject_of, text_of

_log: Final = logging.getLogger(__name__)
RECENT_MOST: Final = 500
CANARY_OID: Final[Oid] = (1, 3, 6, 1, 4, 1, 32473, 7, 0, 1)
_SECOND_NS: Final = 10**9
_TELL_SECONDS: Final = 10
"""How often the state of the receiver is told to alerting while nothing changes."""
_WRAP_TOLERANCE_TICKS: Final = 6_000
_ADMIN_DOWN: Final = "down(2)"


@dataclass(slots=True)
class Entry:
    """One notification as the wall and the command line are shown it; number grows by one each."""

    number: int
    accepted: Accepted
    told: list[Told]
    about: str
    more: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Canary:
    """Our own notification: when it was sent, whether it came through to the disk, how often it did not lately."""

    community: bytes
    sent_ns: int = 0
    arrived: bool = False
    durable_ns: int = 0
    misses: int = 0


class Notified:
    """Everything that is done with notifications; see the module. One per daemon that receives."""

    def __init__(
        self,
        estate: Estate,
        intake: Intake,
        pipeline: Pipeline,
        journal: Journal,
        asking: Asking,
    ) -> None:
        self._estate = estate
        self.intake = intake
        self._pipeline = pipeline
        self._journal = journal
        self._asking = asking
        self._settings = estate.notifications
        self._followup = Followup(estate)
        self._receivers: list[Receiver] = []
        self._inherits = False
        self._pending: list[tuple[Receiver, Answer]] = []
        self._something = asyncio.Event()
        self._published = 0
        self._rebooted_ns: dict[str, int] = {}
        self._told_ns = 0
        self._node = socket.gethostname()
        self.look: Callable[[Look], None] = lambda _look: None
        """Is told what to ask now; nobody asks until somebody is set here."""
        self.storms = StormStory(estate.organisation.lang)
        self.canary = Canary(secrets.token_hex(16).encode())
        intake.canary = self.canary.community
        self.recent: deque[Entry] = deque(maxlen=RECENT_MOST)
        self._number = 0

    def follow(self, estate: Estate, sources: Sources, catalogue: Catalogue) -> None:
        """Take from those whom another estate names; who stays as it was keeps its counts, repeats and storm."""
        self._estate = estate
        self._settings = estate.notifications
        self._followup.follow(estate)
        self._rebooted_ns = {key: at_ns for key, at_ns in self._rebooted_ns.items() if key in estate.devices}
        self.storms.lang = estate.organisation.lang
        self.intake.flood.limits = flood_limits(estate.notifications)
        self.intake.follow(sources, catalogue)

    def begin(self, inherited: Sequence[socket.socket], clock_ns: Callable[[], int]) -> None:
        """Receive by sockets that were handed to us, else by one of our own where the settings say so. OSError."""
        self._inherits = bool(inherited)
        self.listen(inherited or self.open(self._settings, anew=True) or (), clock_ns)

    def open(self, wanted: Notifications, *, anew: bool = False) -> list[socket.socket] | None:
        """Sockets of our own for these settings, to be given to listen(); None where those in use serve. OSError."""
        place, other = ((each.listen, each.port) for each in (self._settings, wanted))
        if self._inherits or (place == other and not anew):
            return None
        return [] if wanted.listen is None else [open_socket(str(wanted.listen), wanted.port)]

    @property
    def receives(self) -> bool:
        """Whether there is any socket."""
        return bool(self._receivers)

    def listen(self, sockets: Sequence[socket.socket], clock_ns: Callable[[], int]) -> None:
        """Receive by these sockets and no others, on the running loop, until close()."""
        self.close()
        for opened in sockets:
            receiver = Receiver(
                opened,
                self.intake,
                self.deliver,
                buffer_octets=self._settings.receive_buffer,
                clock_ns=clock_ns,
            )
            self._receivers.append(receiver)
            if receiver.buffer.warning:
                tell(_log, logging.WARNING, "small_receive_buffer", text=receiver.buffer.warning)
            address, port = receiver.address
            tell(_log, logging.INFO, "receiving_notifications", address=address, port=port)

    async def finish(self, clock_ns: Callable[[], int]) -> None:
        """Read no more, make durable what was read, and answer it."""
        for receiver in self._receivers:
            receiver.stop()
        await self.commit(clock_ns)

    def close(self) -> None:
        """Stop receiving."""
        for receiver in self._receivers:
            receiver.close()
        self._receivers.clear()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [receiver.address for receiver in self._receivers]

    # What comes in

    def deliver(self, accepted: list[Accepted], answers: list[Answer], receiver: Receiver) -> None:
        """Take what one wake-up of a receiver brought."""
        samples = []
        for one in accepted:
            if one.device == CANARY:
                self.canary.arrived = True
                self._published += 1
            else:
                samples.append(self._take(one))
        if samples:
            self._pipeline.publish(samples, samples[-1].time_ns)
            self._look(samples[-1].time_ns)
        self._pending += [(receiver, answer) for answer in answers]
        self._something.set()

    def _take(self, one: Accepted) -> Sample:
        told = name_varbinds(one.notification, one.meaning, self.intake.catalogue)
        more = self._interface_of(one, told)
        about = subject_of(one.meaning, told, more)
        self._number += 1
        self.recent.append(Entry(self._number, one, told, about, more))
        self._published += one.window.count  # repeats of the same wake-up are in it already
        if one.device in self._estate.devices:
            self._act(one, told)
        return self._sample(one, told, about, more)

    def _act(self, one: Accepted, told: Sequence[Told]) -> None:
        does = one.meaning.does
        if does is Does.REDISCOVER:
            self._asking.rediscover(one.device, one.meaning.name)
            self._rebooted_ns[one.device] = one.time_ns
        interface = self._row_of(one, told) if does is Does.POLL else None
        self._followup.note(one.device, does, one.time_ns, interface)

    def _interface_of(self, one: Accepted, told: Sequence[Told]) -> dict[str, str]:
        """The interface's name from the discovery, where only its index was told."""
        if "ifIndex" not in one.meaning.varbinds or any(each.name == "ifName" and each.value for each in told):
            return {}
        name = self._row_of(one, told)
        return {"ifName": name} if name is not None else {}

    def _row_of(self, one: Accepted, told: Sequence[Told]) -> str | None:
        """The interface of ours that it is about, by the index it tells."""
        index = next((each.value for each in told if each.name == "ifIndex"), "")
        return self._asking.interface_name(one.device, int(index)) if index.isdecimal() else None

    def _sample(self, one: Accepted, told: Sequence[Told], about: str, more: dict[str, str]) -> Sample:
        meaning = one.meaning
        name = meaning.name if meaning.known or one.notification.oid in self.intake.oddities.gaps else "other"
        fields: dict[str, FieldValue] = {
            "text": text_of(meaning, told, self._estate.organisation.lang, more),
            "varbinds": json.dumps(told, ensure_ascii=False),
            "oid": format_oid(one.notification.oid),
            "source": one.sender.address,
            "version": one.version,
            "count": one.window.count,
            "alarm": f"{meaning.alarm} {about}".rstrip(),
        }
        if self._may_alarm(one, told):
            fields["raised"] = meaning.severity is not Severity.CLEAR
        one.window.told = one.window.count
        tags = (("device", one.device), ("name", name), ("severity", meaning.severity.value))
        return Sample("notification", tags, fields, one.time_ns)

    def _may_alarm(self, one: Accepted, told: Sequence[Told]) -> bool:
        """Not in a storm, not soon after a reboot, not for an interface that was switched off on purpose."""
        if one.storm or self._is_young(one):
            return False
        return not any(each.name == "ifAdminStatus" and each.value == _ADMIN_DOWN for each in told)

    def _is_young(self, one: Accepted) -> bool:
        """Whether the device was started within the grace time: by its own sysUpTime, or because it said so."""
        grace_ns = int(self._settings.reboot_grace * _SECOND_NS)
        rebooted_ns = self._rebooted_ns.get(one.device)
        if rebooted_ns is not None and one.time_ns - rebooted_ns < grace_ns:
            return True
        ticks = one.notification.uptime_ticks
        if ticks is None or ticks * 10_000_000 >= grace_ns:
            return False
        polled = self._asking.uptime(one.device)
        if polled is None:
            return True
        expected = polled[0] + (one.time_ns - polled[1]) // 10_000_000
        wrapped = expected >= UPTIME_SPAN and abs(expected % UPTIME_SPAN - ticks) < _WRAP_TOLERANCE_TICKS
        return not wrapped  # after 497 days sysUpTime begins anew without a reboot (R29)

    # Time

    def tick(self, now_ns: int) -> None:
        """Let time pass, once a second."""
        flood = self.intake.flood
        sums = [self._resum(window) for window in flood.close(now_ns)]
        if sums:
            self._pipeline.publish(sums, now_ns)
            self._something.set()
        self.intake.security.forget(now_ns / 1e9)
        self._recover(now_ns)
        changed = self.storms.see(flood.storm(), self.intake.catalogue, now_ns)
        if self._receivers and now_ns - self.canary.sent_ns >= self._settings.canary * _SECOND_NS:
            self._send_canary(now_ns)
            changed = True
        if changed or now_ns - self._told_ns >= _TELL_SECONDS * _SECOND_NS:
            self._told_ns = now_ns
            self._pipeline.publish([self._state(now_ns)], now_ns)
        self._pipeline.remark(self.storms.take_remarks(), now_ns)
        self._look(now_ns)

    def _recover(self, now_ns: int) -> None:
        """Believe engines again whose clock our own polls have proved: they were reset, nobody replays."""
        security = self.intake.security
        for reset in security.resets:
            clock = self._asking.engine_clock(reset.engine_id)
            if clock is not None and clock[0] == reset.boots:
                security.prove(reset.engine_id, *clock, now_ns / 1e9)
                self._tell_accepted(reset, "poll")

    def accept_engine(self, engine_id: str, who: str) -> None:
        """Believe what an engine says of its clock next; engine_id in hexadecimal digits, asked for by a person."""
        for reset in self.intake.security.resets:
            if reset.engine_id.hex() == engine_id.lower():
                self.intake.security.accept_anew(reset.engine_id)
                self._tell_accepted(reset, who)
                return
        tell(_log, logging.WARNING, "engine_not_refused", engine=engine_id, who=who)

    def _tell_accepted(self, reset: Reset, by: str) -> None:
        engine = reset.engine_id.hex()
        tell(_log, logging.INFO, "engine_accepted", device=reset.device, engine=engine, boots=reset.boots, by=by)

    def _look(self, now_ns: int) -> None:
        for look in self._followup.due(now_ns):
            self.look(look)

    def _resum(self, window: Window) -> Sample:
        """The row of a notification once more, with the count that it has by now: the same point, written again."""
        one: Accepted = window.subject
        told = name_varbinds(one.notification, one.meaning, self.intake.catalogue)
        self._published += window.count - window.told
        more = self._interface_of(one, told)
        sample = self._sample(one, told, subject_of(one.meaning, told, more), more)
        return Sample(
            sample.measurement, sample.tags, {k: v for k, v in sample.fields.items() if k != "raised"}, one.time_ns
        )

    def _state(self, now_ns: int) -> Sample:
        funnel = self.intake.funnel
        fields: dict[str, FieldValue] = {
            "storm": bool(self.intake.flood.storming),
            "canary_misses": self.canary.misses,
            "refused_engines": len(self.intake.security.resets),
            "done_total": funnel.committed,
            "accepted_total": funnel.accepted,
            "drops_total": sum(funnel.dropped.values()),
            "queue_depth": len(self._pending) + sum(receiver.waiting for receiver in self._receivers),
        }
        return Sample("daemon", (("node", self._node), ("part", "notifications")), fields, now_ns)

    def _send_canary(self, now_ns: int) -> None:
        """A notification of our own by the same socket as everybody's; what became of the last one is judged first."""
        canary = self.canary
        if canary.sent_ns:
            canary.misses = 0 if canary.durable_ns >= canary.sent_ns else canary.misses + 1
            if canary.misses:
                tell(_log, logging.WARNING, "canary_missed", times=canary.misses)
        canary.sent_ns, canary.arrived = now_ns, False
        host, port = self._receivers[0].address
        target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        varbinds = [VarBind(SYS_UPTIME, 0, Tag.TIME_TICKS), VarBind(TRAP_OID, CANARY_OID, Tag.OBJECT_IDENTIFIER)]
        pdu = Pdu(PduKind.TRAP_V2, now_ns & 0x7FFF_FFFF, varbinds)
        try:
            with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(encode_message(CommunityMessage(V2C, canary.community, pdu)), (target, port))
        except OSError as error:
            tell(_log, logging.WARNING, "canary_not_sent", reason=str(error))

    # Durable first

    async def run(self, clock_ns: Callable[[], int]) -> None:
        """Make durable what was delivered, then answer the informs among it; until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            await self.commit(clock_ns)

    async def commit(self, clock_ns: Callable[[], int]) -> None:
        """Flush the journal once; informs stay unanswered where it cannot be, so that they come again."""
        pending, self._pending = self._pending, []
        grown = {id(answer.window): answer.window for _, answer in pending if answer.window is not None}
        sums = [self._resum(window) for window in grown.values() if window.count > window.told]
        if sums:
            self._pipeline.publish(sums, clock_ns())
        published, arrived = self._published, self.canary.arrived
        try:
            await self._journal.flush()
        except JournalUnavailable as error:
            tell(_log, logging.WARNING, "notifications_not_durable", informs=len(pending), reason=str(error))
            return
        funnel = self.intake.funnel
        funnel.committed = published
        if arrived:
            self.canary.durable_ns = clock_ns()
        for receiver, answer in pending:
            funnel.acknowledged += receiver.send([answer])

    def save(self, now_ns: int) -> dict[str, Any]:
        """What must survive a restart: the clocks of the senders' engines, against replays."""
        return {"engines": self.intake.security.save(now_ns / 1e9)}

    def restore(self, saved: dict[str, Any], now_ns: int) -> None:
        """Go on from what save() gave."""
        self.intake.security.restore(saved.get("engines", ()), now_ns / 1e9)


def flood_limits(settings: Notifications) -> Limits:
    """What one source may send, by the settings."""
    return Limits(settings.per_second, settings.storm_per_second, settings.sum_within, settings.storm_calm)
