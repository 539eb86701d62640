"""Echoes for the daemon: whom to ask by ICMP, and what their answers become (R36-R38, R41).

    every device that may be pinged, over each family it has an address of   -> its round trip; whether it is there
    near, far and beyond of every circuit, over each family too              -> evidence of the circuit, at once
    our own gateways                                                         -> whether it is us (R54)

An address that plays several parts is asked once. A minute's numbers become a sample "echo" for each part. Where echoes
are not permitted, or a family is missing, the daemon goes on without and says so once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol, TypeAlias

from poller.alerts.subjects import Subject
from poller.circuit_state import POINTS, ProbeEvidence, point_answer
from poller.echoloss import LossWindow
from poller.estate import Device, Estate
from poller.faults import Answer
from poller.log import tell
from poller.pipeline import Pipeline
from poller.sample import FieldValue, Sample
from probes.errors import LocalError
from probes.icmp import EchoEvent, EchoPlan, EchoProber, EchoTarget
from probes.icmp_statistics import EchoStatistics
from probes.icmp_track import EchoDown, EchoUnsent, EchoUp, Standing

_log: Final = logging.getLogger(__name__)
_SLOT_NS: Final = 60 * 10**9
_AGAIN_SECONDS: Final = 5.0
_DOUBTED: Final = frozenset({Standing.UNKNOWN, Standing.DOUBTFUL, Standing.DOWN})
_TURN_SECONDS: Final = 5.0
"""How often it is looked whom to ask: somebody may begin or end to work on it."""
Address: TypeAlias = IPv4Address | IPv6Address
Resting: TypeAlias = Callable[[Subject, int], str | None]
"""The window of maintenance because of which nothing is to be asked of a subject at a moment (R55), or None."""


@dataclass(frozen=True, slots=True)
class Part:
    """What an address is to us: a device (point "device"), a point of a circuit, or a gateway of ours.

    first: of a device, the address it is asked at, whose round trip is the device's own.
    """

    id: str
    point: str
    first: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """One address, from one address of ours, with all the parts that it plays."""

    target: EchoTarget
    parts: tuple[Part, ...]

    @property
    def family(self) -> str:
        """The family as the tag of the measurement: "ipv4" or "ipv6"."""
        return f"ipv{self.target.address.version}"


def echo_targets(estate: Estate) -> dict[str, Asked]:
    """Everybody to ask, by the target's id, which is the address (and ours, where one is given)."""
    found: dict[str, Asked] = {}
    for address, source, part in _parts(estate):
        key = str(address) if source is None else f"{address} from {source}"
        before = found[key].parts if key in found else ()
        found[key] = Asked(EchoTarget(key, address, source), (*before, part))
    return found


def _parts(estate: Estate) -> Iterator[tuple[Address, Address | None, Part]]:
    for gateway in estate.polling.gateways:
        yield gateway, None, Part(str(gateway), "gateway")
    for device in estate.devices.values():
        if device.ping:
            for address in family_addresses(device):
                source = device.source_address
                same_family = source is not None and source.version == address.version
                first = address == device.addresses[0]
                yield address, source if same_family else None, Part(device.id, "device", first)
    for circuit in estate.circuits.values():
        for point in POINTS:
            yield from ((address, None, Part(circuit.id, point)) for address in getattr(circuit.probe, point))


def at_rest(asked: Mapping[str, Asked], resting: Resting, now_ns: int) -> set[str]:
    """The targets all of whose parts are being worked on; our own gateways are asked for ever."""
    return {
        key
        for key, each in asked.items()
        if all(part.point != "gateway" and resting(_subject_of(part), now_ns) is not None for part in each.parts)
    }


def _subject_of(part: Part) -> Subject:
    return Subject("device" if part.point == "device" else "circuit", part.id)


def family_addresses(device: Device) -> list[Address]:
    """The first address of each family that a device has (R38), the one it is asked at in front."""
    by_family: dict[int, Address] = {}
    for address in device.addresses:
        by_family.setdefault(address.version, address)
    return list(by_family.values())


def echo_sample(part: Part, family: str, minute: EchoStatistics) -> Sample:
    """A minute of echoes as it is kept (R36)."""
    fields: dict[str, FieldValue] = {
        "sent": minute.sent,
        "received": minute.received,
        "lost": minute.lost,
        "refused": minute.refused,
        "send_failed": minute.send_failed,
        "duplicates": minute.duplicates,
        "late": minute.late,
    }
    if minute.round_trip_loss_ratio is not None:
        fields["round_trip_loss_ratio"] = minute.round_trip_loss_ratio
    if minute.delays is not None:
        fields["round_trip_min_seconds"] = minute.delays.min_seconds
        fields["round_trip_delay_seconds"] = minute.delays.median_seconds
        fields["round_trip_p95_seconds"] = minute.delays.percentile_95_seconds
        fields["round_trip_max_seconds"] = minute.delays.max_seconds
        if minute.delays.variation_seconds is not None:
            fields["round_trip_variation_seconds"] = minute.delays.variation_seconds
    return Sample(
        "echo", (("target", part.id), ("point", part.point), ("family", family)), fields, minute.slot_start_ns
    )


class Prober(Protocol):
    """What Echoes asks of the prober in return."""

    def standing(self, target_id: str) -> Standing:
        """What is known of a target now, doubts included."""
        ...

    def hurry(self, target_id: str) -> None:
        """Ask a target at once, and fast."""
        ...


class Echoes:
    """What the prober tells becomes samples and evidence; synchronous, no socket."""

    def __init__(
        self,
        estate: Estate,
        pipeline: Pipeline,
        asked: Mapping[str, Asked],
        clock_ns: Callable[[], int],
        ask_device: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._pipeline = pipeline
        self._clock_ns = clock_ns
        self._ask_device = ask_device
        self._answers: dict[str, Answer] = {}
        self._left: frozenset[str] = frozenset()
        self._ever: set[str] = set()
        self._losses: dict[str, LossWindow] = {}
        self.follow(estate, asked)

    def follow(self, estate: Estate, asked: Mapping[str, Asked]) -> None:
        """Take what comes from these targets for the parts that they play in this estate."""
        self._estate = estate
        self._asked = asked
        self._answers = {key: each for key, each in self._answers.items() if key in asked}
        self._ever &= asked.keys()
        self._losses = {key: each for key, each in self._losses.items() if key in asked}
        self._families = {device.id: len(family_addresses(device)) for device in estate.devices.values()}
        self._points = {
            (key, point): [str(address) for address in getattr(circuit.probe, point)]
            for key, circuit in estate.circuits.items()
            for point in POINTS
        }
        self._gateways = [key for key, each in asked.items() if any(part.point == "gateway" for part in each.parts)]

    def take(self, event: EchoEvent, prober: Prober) -> None:
        """Take what was told. Where one falls silent its neighbours are asked at once: their silence explains it."""
        asked = self._asked[event.target]
        if isinstance(event, EchoStatistics):
            self._take_minute(asked, event)
            return
        answer = {EchoDown: Answer.DOWN, EchoUp: Answer.UP, EchoUnsent: Answer.UNKNOWN}[type(event)]
        level = logging.INFO if answer is Answer.UP else logging.WARNING
        tell(
            *(_log, level, {Answer.UP: "echo_up", Answer.DOWN: "echo_down", Answer.UNKNOWN: "echo_unsent"}[answer]),
            target=event.target,
            parts=",".join(f"{part.point}:{part.id}" for part in asked.parts),
            reason=event.why if isinstance(event, EchoUnsent) else None,
        )
        self._answers[event.target] = answer
        if answer is Answer.UP:
            self._ever.add(event.target)
        never = answer is Answer.DOWN and event.target not in self._ever
        self._losses.pop(event.target, None)
        gateways = [prober.standing(key) for key in self._gateways if key in self._ever]
        blind = bool(gateways) and all(each in _DOUBTED for each in gateways)
        for part in asked.parts:
            self._take_answer(asked, part, answer, never=never, blind=blind)
        if answer is Answer.DOWN:
            for key in self._neighbours(asked):
                prober.hurry(key)

    def leave(self, keys: Collection[str]) -> None:
        """These targets are not asked for now: what was known of them becomes unknown, and not down."""
        for key in keys:
            self._answers.pop(key, None)
            self._losses.pop(key, None)
        self._left = frozenset(keys)

    def _neighbours(self, asked: Asked) -> set[str]:
        """Our gateways, and the other points of the circuits of which this is one."""
        points = [(part.id, point) for part in asked.parts if part.point in POINTS for point in POINTS]
        found = {key for each in points for key in self._points[each]}.union(self._gateways)
        return found - {asked.target.id} - self._left

    def _point_answer(self, part: Part) -> Answer:
        keys = (key for key in self._points[part.id, part.point] if key not in self._left)
        return point_answer({key: self._answers.get(key) for key in keys}, self._ever)

    def _is_measure(self, part: Part, target: str) -> bool:
        """Whether loss and delay of this target are the circuit's: at its far edge, the first address that answers."""
        keys = sorted(self._points[part.id, part.point], key=lambda key: self._answers.get(key) is not Answer.UP)
        return part.point == "far" and keys[:1] == [target]

    def _take_answer(self, asked: Asked, part: Part, answer: Answer, *, never: bool, blind: bool) -> None:
        now_ns = self._clock_ns()
        if part.point == "gateway":
            known = Answer.UNKNOWN if never else Answer.DOWN if answer is Answer.UNKNOWN else answer
            self._pipeline.see_gateway(part.id, known, now_ns)
        elif part.point in POINTS:  # a point that is lost together with our gateway is looked at again by the minute
            known = self._point_answer(part)
            told = Answer.UNKNOWN if blind and known is Answer.DOWN else known
            self._pipeline.see_point(part.id, part.point, told, now_ns)
        elif answer is not Answer.UNKNOWN:
            device = self._estate.devices[part.id]
            fields: dict[str, FieldValue] = {}
            if self._families[part.id] > 1 and not never and not (blind and answer is Answer.DOWN):
                fields[f"{asked.family}_up"] = answer is Answer.UP
            asked_by_snmp = device.credentials is not None
            if part.first and not (never and asked_by_snmp):
                if asked_by_snmp:  # what SNMP says next is the last word
                    self._ask_device(device.id)
                if not (blind or (asked_by_snmp and answer is Answer.UP)):
                    fields |= _up(answer is Answer.UP)
            if fields:
                self._pipeline.publish([_device_sample(device, fields, now_ns)], now_ns)

    def _take_minute(self, asked: Asked, minute: EchoStatistics) -> None:
        now_ns = self._clock_ns()
        loss, delays = minute.round_trip_loss_ratio, minute.delays
        window = self._losses.setdefault(minute.target, LossWindow())
        lossy = loss is not None and window.add(minute.sent, minute.sent - minute.received)
        seen_ns = minute.slot_start_ns + _SLOT_NS
        known = self._answers.get(minute.target)
        samples: list[Sample] = []
        for part in asked.parts:
            samples.append(echo_sample(part, asked.family, minute))
            if part.point == "gateway" and known is Answer.UP:
                self._pipeline.see_gateway(part.id, known, now_ns)
            elif self._pipeline.isolated:
                continue
            elif part.point in POINTS and known is not None:
                self._pipeline.see_point(part.id, part.point, self._point_answer(part), seen_ns)
                if self._is_measure(part, minute.target) and loss is not None and minute.received:
                    delay = delays.median_seconds if delays is not None else None
                    self._pipeline.see_probe(part.id, ProbeEvidence(seen_ns, loss, delay, lossy), now_ns)
            elif part.point == "device":
                samples += self._device_minute(asked, part, minute, known)
        self._pipeline.publish(samples, now_ns)

    def _device_minute(
        self, asked: Asked, part: Part, minute: EchoStatistics, known: Answer | None
    ) -> Iterator[Sample]:
        """The round trip of a device in one minute, and at its end whether it is there, where only echoes tell that."""
        device = self._estate.devices[part.id]
        if part.first and minute.round_trip_loss_ratio is not None:
            fields: dict[str, FieldValue] = {"round_trip_loss_ratio": minute.round_trip_loss_ratio}
            if minute.delays is not None:
                fields["round_trip_delay_seconds"] = minute.delays.median_seconds
            yield _device_sample(device, fields, minute.slot_start_ns)
        there: dict[str, FieldValue] = {}
        if self._families[device.id] > 1 and minute.target in self._ever and known is not Answer.UNKNOWN:
            there[f"{asked.family}_up"] = known is Answer.UP
        if part.first and device.credentials is None and known is not None:
            there |= _up(known is Answer.UP) if known is not Answer.UNKNOWN else {"quality": "unknown"}
        if there:
            yield _device_sample(device, there, minute.slot_start_ns + _SLOT_NS)


def _up(up: bool) -> dict[str, FieldValue]:  # noqa: FBT001 - the value of the field
    return {"up": True, "quality": "observed"} if up else {"up": False, "quality": "failed", "reason": "no_echo"}


def _device_sample(device: Device, fields: Mapping[str, FieldValue], time_ns: int) -> Sample:
    return Sample(
        "device", (("device", device.id), ("role", device.role.value), ("site", device.site)), fields, time_ns
    )


class EchoWatch:
    """Keeps echoes going to everybody whom an estate names; follow() changes whom, and leaves the others alone.

    resting says on what somebody works, so that it is not asked; it is asked itself every few seconds.
    """

    def __init__(
        self,
        estate: Estate,
        pipeline: Pipeline,
        clock_ns: Callable[[], int] = time.time_ns,
        ask_device: Callable[[str], None] = lambda _: None,
        resting: Resting = lambda _subject, _now_ns: None,
    ) -> None:
        self._asked: Mapping[str, Asked] = echo_targets(estate)
        self._interval_seconds = estate.polling.echo_interval
        self._echoes = Echoes(estate, pipeline, self._asked, clock_ns, ask_device)
        self._clock_ns = clock_ns
        self._resting = resting
        self._asking: dict[str, EchoTarget] = {}
        self._refused: dict[str, tuple[EchoTarget, str]] = {}
        self._rest: set[str] = set()
        self._prober: EchoProber | None = None
        self._changed = asyncio.Event()

    def follow(self, estate: Estate) -> None:
        """Ask those whom another estate names; only another interval begins everything anew."""
        self._asked = echo_targets(estate)
        self._echoes.follow(estate, self._asked)
        self._interval_seconds = estate.polling.echo_interval
        self._changed.set()
        if self._prober is not None:
            self._settle(self._prober)

    async def run(self) -> None:
        """Until cancelled; should probing itself break, it is told and begun anew."""
        while True:
            self._changed.clear()
            try:
                await self._probe()
            except LocalError as error:
                tell(_log, logging.WARNING, "no_echoes", reason=str(error))
                await self._changed.wait()
            except Exception:  # noqa: BLE001 - told with its trace; without echoes the watch is half blind
                _log.exception("echoes_broken")
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _probe(self) -> None:
        """Probe until that breaks, or must begin anew. LocalError where nobody at all can be asked."""
        interval_seconds = self._interval_seconds
        plan = EchoPlan(interval_seconds=interval_seconds)
        plan.check(len(self._asked))
        self._asking, self._refused = {}, {}
        async with EchoProber((), lambda event: self._echoes.take(event, prober), plan) as prober:
            self._settle(prober)
            if len(self._refused) == len(self._asked) > 0:
                raise LocalError(next(iter(self._refused.values()))[1])
            self._prober = prober
            try:
                while interval_seconds == self._interval_seconds:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_TURN_SECONDS):
                            await prober.wait()
                    self._settle(prober)
            finally:
                self._prober = None

    def _settle(self, prober: EchoProber) -> None:
        """Ask those who are to be asked now, and nobody else; those who stay do not notice."""
        rest = at_rest(self._asked, self._resting, self._clock_ns())
        if rest != self._rest:
            tell(_log, logging.INFO, "echoes_resting", targets=len(rest))
        self._rest = rest
        wanted = {key: each.target for key, each in self._asked.items() if key not in rest}
        for key in [key for key, target in self._asking.items() if wanted.get(key) != target]:
            prober.remove(key)
            del self._asking[key]
        self._refused = {key: each for key, each in self._refused.items() if wanted.get(key) == each[0]}
        reasons: dict[str, None] = {}
        for key in wanted.keys() - self._asking.keys() - self._refused.keys():
            try:
                prober.add(wanted[key])
                self._asking[key] = wanted[key]
            except LocalError as error:
                self._refused[key] = wanted[key], str(error)
                reasons.setdefault(str(error))
        for reason in reasons:
            tell(_log, logging.WARNING, "some_not_echoed", reason=reason)
        self._echoes.leave(self._asked.keys() - self._asking.keys())
