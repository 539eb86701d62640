"""From a datagram to an accepted notification, and to what is answered. Pure: time is an argument.

    datagram -> sender -> remembered shape, or codec and security -> notification -> limit -> repeats -> Accepted

take() is called for every datagram and is as quick as it must be at 40,000 a second; what it accepted lies in
`accepted` until the caller takes it away, what must be answered in `answers`.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from probes.snmp.errors import MalformedMessage
from probes.snmp.message import (
    V1,
    CommunityMessage,
    Pdu,
    ScopedPdu,
    V3Message,
    answer,
    decode_message,
    decode_scoped_pdu,
    encode_message,
)
from probes.snmp.prepared import find_pdu, find_scoped_pdu
from traps.catalogue import Catalogue, Meaning
from traps.flood import UNREAD, Flood, Source, Window
from traps.funnel import Drop, Funnel
from traps.layout import Shape
from traps.notification import Kind, Notification, read_pdu
from traps.oddities import Informs, Oddities
from traps.security import Opened, Refused, Security
from traps.sources import Sender, Sources

Peer: TypeAlias = tuple[Any, ...]
"""Who sent a datagram, as the socket says it: address, port, and more for IPv6."""
SOURCES_MOST: Final = 65_536
CANARY: Final = "canary"
"""Device of our own canary."""


class Accepted(NamedTuple):
    """One notification, for whoever makes use of it.

    time_ns: when it was received, UTC unix nanoseconds; strictly increasing, so it names the notification.
    device: whose it is, "-" for nobody in the estate. window.count is how many it stands for by now.
    storm: its source is storming: it opens no incident of its own. differs: by its own words it is from elsewhere.
    """

    time_ns: int
    device: str
    sender: Sender
    version: str
    notification: Notification
    meaning: Meaning
    window: Window
    storm: bool = False
    differs: str | None = None


class Answer(NamedTuple):
    """A datagram to send. window: of an inform, which is answered only when that is durable; None: at once."""

    peer: Peer
    datagram: bytes
    window: Window | None = None


class _Arrival(NamedTuple):
    datagram: bytes
    peer: Peer
    time_ns: int


class _Read(NamedTuple):
    """What the codec made of an arrival; response: the answer to an inform."""

    shape: Shape
    octets: bytes
    notification: Notification
    response: bytes | None = None


_new: Final = tuple.__new__
"""Makes a named tuple without the call of its own __new__."""


@dataclass(slots=True)
class Intake:
    """Everything between the socket and the pipeline; one per receiver.

    canary: the community of our own canary, which may come from anywhere; empty for none.
    """

    sources: Sources
    catalogue: Catalogue
    security: Security
    flood: Flood = field(default_factory=Flood)
    canary: bytes = b""
    funnel: Funnel = field(default_factory=Funnel)
    oddities: Oddities = field(default_factory=Oddities)
    accepted: list[Accepted] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    known: dict[str, Source | None] = field(default_factory=dict)
    _informs: Informs = field(default_factory=Informs)

    def follow(self, sources: Sources, catalogue: Catalogue) -> None:
        """Believe these sources, and read by this catalogue; what was counted of a sender who may still send stays."""
        self.sources, self.catalogue = sources, catalogue
        known, self.known = self.known, {}
        for address, source in known.items():
            sender = sources.find(address)
            if source is not None and sender is not None:
                source.follow(sender)
                self.known[address] = source

    def take(self, datagram: bytes, peer: Peer, time_ns: int) -> None:
        """Take one datagram in. Never raises, whatever the octets are."""
        funnel = self.funnel
        funnel.received += 1
        try:
            source = self.known[peer[0]]
        except KeyError:
            source = self._meet(peer[0])
        if source is None:
            self._turn_away(_Arrival(datagram, peer, time_ns))
            return
        shapes = source.shapes.get(len(datagram))
        if shapes is not None:
            number = int.from_bytes(datagram, "big")
            for shape in shapes:
                if number & shape.mask == shape.fixed:
                    funnel.decoded += 1
                    self._sort(source, shape, datagram, time_ns)
                    return
        try:
            self._decode(source, _Arrival(datagram, peer, time_ns))
        except MalformedMessage:
            self._drop(source, Drop.MALFORMED)

    def _sort(
        self, source: Source, shape: Shape, octets: bytes, time_ns: int, notification: Notification | None = None
    ) -> Window | None:
        """Count it, and tell it if it is the first of its key; None where it is beyond the limit."""
        flood = self.flood
        source.total += 1
        source.last_ns = time_ns
        within = flood.count(source, time_ns)
        shape.tally[0] += 1
        if shape.gap is not None:
            shape.gap.note(time_ns)
        if not within:
            self.funnel.dropped[Drop.LIMITED] += 1
            return None
        self.funnel.accepted += 1
        key = shape.head if flood.is_coarse(source) else shape.key(octets)
        window = flood.window(source, key, time_ns)
        if window is not None:
            self.funnel.summed += 1
            return window
        return self._tell(source, shape, key, time_ns, notification or shape.read(octets))

    def _tell(self, source: Source, shape: Shape, key: bytes, time_ns: int, notification: Notification) -> Window:
        sender = source.sender
        device, differs = sender.device, None
        if notification.agent_address is not None:
            device = self.sources.owner(sender, notification.agent_address)
            differs = self._differing(source, notification.agent_address)
        window = self.flood.begin(source, key, time_ns)
        storm = source.calm_after_ns is not None
        told: Accepted = _new(
            Accepted, (time_ns, device, sender, shape.version, notification, shape.meaning, window, storm, differs)
        )
        window.subject = told
        self.funnel.told += 1
        self.accepted.append(told)
        return window

    def _differing(self, source: Source, agent_address: bytes) -> str | None:
        """The address a notification names as its own, where that is neither the sender's nor unset; counted."""
        if source.sender.relay or not any(agent_address):
            return None
        told = ".".join(map(str, agent_address))
        if told == source.sender.address or self.sources.claimed(agent_address) == source.sender.device:
            return None
        source.differing += 1
        source.differs = told
        return told

    # The way of what has no remembered shape

    def _decode(self, source: Source, arrival: _Arrival) -> None:
        if self.flood.is_beyond(source, arrival.time_ns):
            self._pass_over(source, arrival.time_ns)
            return
        message = decode_message(arrival.datagram)
        if isinstance(message, V3Message):
            self._decode_v3(source, message, arrival)
            return
        notification = read_pdu(message.pdu)
        self.funnel.decoded += 1
        if message.community not in source.sender.identity.communities:
            if self.canary and message.community == self.canary:
                self._take_canary(source.sender, notification, arrival)
            else:
                self._drop(source, Drop.WRONG_COMMUNITY)
            return
        version = "1" if message.version == V1 else "2c"
        octets = arrival.datagram
        shape = self._shape(source, Shape(octets, find_pdu(octets), notification, self.catalogue), len(octets), version)
        response = None
        if notification.kind is Kind.INFORM and isinstance(message.pdu, Pdu):
            pdu = answer(message.pdu, message.pdu.varbinds)
            response = encode_message(CommunityMessage(message.version, message.community, pdu))
        self._accept(source, _Read(shape, octets, notification, response), arrival)

    def _decode_v3(self, source: Source, message: V3Message, arrival: _Arrival) -> None:
        now = arrival.time_ns / 1e9
        opened = self.security.open(arrival.datagram, message, source.sender.identity.users, now)
        if isinstance(opened, Refused):
            if opened.report is not None:
                self.answers.append(Answer(arrival.peer, opened.report))
            if opened.reason is Drop.NOT_IN_TIME_WINDOW:
                self.security.resets.name(message.security.engine_id, source.sender.device, source.sender.address)
            self._drop(source, opened.reason)
            return
        octets = opened.scoped
        which = (opened.user.security_name, opened.user.flags, len(octets))
        if not opened.own:
            number = int.from_bytes(octets, "big")
            for shape in source.shapes.get(which, ()):
                if number & shape.mask == shape.fixed:
                    self.funnel.decoded += 1
                    self._sort(source, shape, octets, arrival.time_ns)
                    return
        scoped = _read_scoped(opened)
        if scoped is None:
            self._drop(source, Drop.WRONG_PRIVACY_PASSWORD)
            return
        notification = read_pdu(scoped.pdu)
        self.funnel.decoded += 1
        if notification.kind is Kind.INFORM and not opened.own:
            self._drop(source, Drop.UNKNOWN_ENGINE)
            return
        shape = self._shape(source, Shape(octets, find_scoped_pdu(octets), notification, self.catalogue), which, "3")
        response = None
        if notification.kind is Kind.INFORM and isinstance(scoped.pdu, Pdu):
            pdu = answer(scoped.pdu, scoped.pdu.varbinds)
            inside = ScopedPdu(scoped.context_engine_id, scoped.context_name, pdu)
            response = self.security.acknowledge(message, opened, inside, now)
        self._accept(source, _Read(shape, octets, notification, response), arrival)

    def _shape(self, source: Source, shape: Shape, which: object, version: str) -> Shape:
        """The shape of what was just read, with what it needs of its source; remembered for its likes."""
        shape.version = version
        shape.tally = source.tally(shape.oid)
        if not shape.meaning.known:
            shape.gap = self.oddities.gap(shape.oid, source.sender.device)
        source.remember(which, shape)
        return shape

    def _accept(self, source: Source, read: _Read, arrival: _Arrival) -> None:
        if read.response is None:
            self._sort(source, read.shape, read.octets, arrival.time_ns, read.notification)
            return
        self.funnel.informs += 1
        # An inform sent again is the same in its PDU, and in v3 in nothing else.
        key = (arrival.peer[:2], read.octets[-len(read.octets) * 3 // 4 :])
        window = self._informs.before(key, arrival.time_ns)
        if window is not None:
            self.funnel.repeated_informs += 1
        else:
            window = self._sort(source, read.shape, read.octets, arrival.time_ns, read.notification)
            if window is None:  # beyond the limit: not acknowledged, so that it comes again when there is room
                return
            self._informs.remember(key, window, arrival.time_ns)
        self.answers.append(Answer(arrival.peer, read.response, window))

    # What is counted and told beside

    def _pass_over(self, source: Source, time_ns: int) -> None:
        """Beyond the limit, and of no known shape: counted, not decoded, so that a flood of new shapes costs little."""
        source.total += 1
        source.last_ns = time_ns
        self.flood.count(source, time_ns)
        source.tally(UNREAD)[0] += 1
        self.funnel.dropped[Drop.LIMITED] += 1

    def _meet(self, address: str) -> Source | None:
        sender = self.sources.find(address)
        if len(self.known) >= SOURCES_MOST:
            self.known = {key: value for key, value in self.known.items() if value is not None}
        source = Source(sender) if sender is not None else None
        self.known[address] = source
        return source

    def _turn_away(self, arrival: _Arrival) -> None:
        """A stranger's datagram, unless it is our own canary; what it claims is read once (R46)."""
        known = arrival.peer[0] in self.oddities.strangers
        if not known or (self.canary and self.canary in arrival.datagram):
            message, notification = _read_plain(arrival.datagram)
            if message is not None and notification is not None and message.community == self.canary != b"":
                self.funnel.decoded += 1
                self._take_canary(Sender(arrival.peer[0], CANARY), notification, arrival)
                return
            if notification is not None and not known:
                stranger = self.oddities.stranger(arrival.peer[0], arrival.time_ns)
                stranger.claims = self.sources.claimed(notification.agent_address)
                stranger.count -= 1
        self.oddities.stranger(arrival.peer[0], arrival.time_ns)
        self.funnel.dropped[Drop.STRANGER] += 1

    def _take_canary(self, sender: Sender, notification: Notification, arrival: _Arrival) -> None:
        self.funnel.accepted += 1
        self.funnel.told += 1
        self.funnel.canaries += 1
        window = Window(arrival.datagram, arrival.time_ns, arrival.time_ns)
        meaning = self.catalogue.meaning(notification.oid)
        window.subject = told = Accepted(arrival.time_ns, CANARY, sender, "2c", notification, meaning, window)
        self.accepted.append(told)

    def _drop(self, source: Source, reason: Drop) -> None:
        source.dropped += 1
        self.funnel.dropped[reason] += 1


def _read_scoped(opened: Opened) -> ScopedPdu | None:
    """The scoped PDU; None where what was decrypted makes no sense, MalformedMessage where nothing was encrypted."""
    try:
        return decode_scoped_pdu(opened.scoped)
    except MalformedMessage:
        if opened.keys.priv is None:
            raise
        return None


def _read_plain(datagram: bytes) -> tuple[CommunityMessage, Notification] | tuple[None, None]:
    """A v1 or v2c notification; None for everything else."""
    try:
        message = decode_message(datagram)
        return (None, None) if isinstance(message, V3Message) else (message, read_pdu(message.pdu))
    except MalformedMessage:
        return None, None
