"""Circuits and line groups: traffic of a slot against the contract, state by interface and probes, who is active.

    Circuits.see_reading, see_failure, see_probe,
             see_point, see_isolation                what is known between slots
    Circuits.state_samples(at, circuits)             what that evidence says, stamped with its moment: state, active
    Circuits.samples(totals, now)                    one Sample a closed slot of a circuit or line group: traffic
    Circuits.not_delivered(), switch_overs()         what was found on the way, for the wall

Capacity is the contract's, never ifSpeed (R61). A line group's traffic is summed per slot over its members first (R62).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from poller.accounts import SlotTotals
from poller.circuit_state import STALE_NS, Evidence, PointEvidence, ProbeEvidence, judge_circuit, judge_group
from poller.contracts import CircuitContract, Contracts, LineGroupContract, circuit_account, line_group_account
from poller.delivery import DeliveryWatch, LineSlot, NotDelivered
from poller.faults import Answer, Fault, FaultClass, classify
from poller.readings import DeviceReading, FailedPoll
from poller.redundancy import RedundancyTracker, RedundancyView, State, SwitchOver
from poller.sample import FieldValue, Sample

VERSION: Final = 2
"""Of the saved form."""
_WAYS_JA: Final = {"in": "下り", "out": "上り"}
_INTERFACE_UP: Final[Mapping[int, bool]] = {1: True, 2: False, 3: False, 6: False, 7: False}
"""ifOperStatus (IF-MIB): up, down, testing, notPresent, lowerLayerDown; unknown and dormant say nothing."""


class Circuits:
    """Everything between slots and the samples of circuits and line groups."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._evidence = {
            each.id: Evidence(
                stale_ns=max(STALE_NS, contracts.interval_ns.get(each.member.device, 0) * 5 // 2), scope=each.scope
            )
            for each in contracts.circuits.values()
        }
        self._on_device: dict[str, list[tuple[str, str]]] = {}
        for each in contracts.circuits.values():
            self._on_device.setdefault(each.member.device, []).append((each.member.interface, each.id))
        self._trackers = {
            group.id: RedundancyTracker(group, contracts.circuits) for group in contracts.redundancy_groups.values()
        }
        self._views: dict[str, RedundancyView] = {}
        self._untold: list[SwitchOver] = []
        self._watches = {
            (each.id, way): DeliveryWatch(each.committed_rate)
            for each in contracts.circuits.values()
            if each.committed_rate
            for way in ("in", "out")
        }
        self._told_ns: dict[tuple[str, str], int] = {}
        self._answered: set[tuple[str, str]] = set()
        self._isolated = False

    def see_reading(self, reading: DeviceReading) -> None:
        """Take the interfaces' states from a poll."""
        for interface, circuit in self._on_device.get(reading.device, ()):
            evidence = self._evidence[circuit]
            evidence.interface_ns, evidence.interface_up = reading.due_ns, None
            if interface in reading.layout.names:
                row = reading.layout.names.index(interface)
                evidence.interface_up = _INTERFACE_UP.get(reading.oper_status[row])

    def see_interface(self, device: str, interface: str, oper_status: int, at_ns: int) -> None:
        """Take the state of one interface, from a look beside the polls; what is known from later stays."""
        for name, circuit in self._on_device.get(device, ()):
            evidence = self._evidence[circuit]
            if name == interface and at_ns >= evidence.interface_ns:
                evidence.interface_ns, evidence.interface_up = at_ns, _INTERFACE_UP.get(oper_status)

    def see_failure(self, failed: FailedPoll) -> None:
        """A device that cannot be asked says nothing of its circuits: not up, and not down either."""
        for _, circuit in self._on_device.get(failed.device, ()):
            self._evidence[circuit].interface_up = None

    def see_probe(self, circuit: str, probe: ProbeEvidence) -> None:
        """Take a minute of echoes; circuits that are not known are passed over."""
        if circuit in self._evidence:
            self._evidence[circuit].probe = probe

    def see_point(self, circuit: str, point: str, answer: Answer, seen_ns: int) -> bool:
        """Take the word of echoes to near, far or beyond; True where it changed what is known.

        A point that has never answered is unknown and not down: it may not be allowed to answer.
        """
        if circuit not in self._evidence:
            return False
        if answer is Answer.UP:
            self._answered.add((circuit, point))
        elif (circuit, point) not in self._answered:
            answer = Answer.UNKNOWN
        points = self._evidence[circuit].points
        before = points.get(point)
        points[point] = PointEvidence(answer, seen_ns)
        if point == "far" and answer is Answer.UP and before is not None and before.answer is Answer.DOWN:
            self._evidence[circuit].probe = None  # a minute of the outage says nothing of now
        return before is None or before.answer is not answer

    def has_answered(self, circuit: str, point: str) -> bool:
        """Whether the point has ever answered, restarts included."""
        return (circuit, point) in self._answered

    def see_isolation(self, *, isolated: bool) -> bool:
        """While monitoring is isolated every circuit is unknown (R54); True where this is new."""
        changed = isolated is not self._isolated
        self._isolated = isolated
        return changed

    def seen(self) -> list[str]:
        """The circuits of which anything was ever known."""
        return [
            circuit
            for circuit, each in self._evidence.items()
            if each.interface_ns or each.points or each.probe is not None
        ]

    def states(self, at_ns: int) -> dict[str, tuple[State, str]]:
        """Every circuit's state at a moment, with its reason."""
        return {
            circuit: judge_circuit(evidence, at_ns, isolated=self._isolated)
            for circuit, evidence in self._evidence.items()
        }

    def fault(self, circuit: str, at_ns: int) -> Fault:
        """Where the circuit's fault is, and whose it is, by what is known at a moment (R41)."""
        evidence = self._evidence[circuit]
        return classify(evidence.vector(at_ns, isolated=self._isolated), evidence.scope)

    def faults(self, at_ns: int) -> dict[str, Fault]:
        """The same of every circuit of which a probe point is known."""
        found = {circuit: self.fault(circuit, at_ns) for circuit in self._evidence}
        return {circuit: fault for circuit, fault in found.items() if fault.vector.probed}

    def follow(self, at_ns: int) -> list[RedundancyView]:
        """Update every redundancy group to a moment: call when a state may have changed."""
        states = {circuit: state for circuit, (state, _) in self.states(at_ns).items()}
        traffic = {circuit: each.bits_per_second for circuit, each in self._evidence.items()}
        for group, tracker in self._trackers.items():
            before = tracker.history[-1:]
            self._views[group] = tracker.update(at_ns, states, traffic)
            if tracker.history[-1:] != before:
                self._untold.append(tracker.history[-1])
        return list(self._views.values())

    def switch_overs(self) -> list[SwitchOver]:
        """All that are remembered, oldest first."""
        found = [each for tracker in self._trackers.values() for each in tracker.history]
        return sorted(found, key=lambda each: each.at_ns)

    def samples(self, totals: Iterable[SlotTotals], now_ns: int) -> list[Sample]:
        """Traffic of closed and amended slots of circuits and line groups; other accounts are passed over."""
        by_account: dict[str, list[SlotTotals]] = {}
        for each in totals:
            by_account.setdefault(each.account, []).append(each)
        for circuit, evidence in self._evidence.items():
            for each in by_account.get(circuit_account(circuit), ()):
                if each.start_ns >= evidence.slot_ns:
                    evidence.slot_ns, evidence.bits_per_second = each.start_ns, _both_ways(each)
                    self._watch(circuit, evidence, each)
        self.follow(now_ns)
        delivery = self._delivery()
        samples = []
        for contract in self._contracts.circuits.values():
            for each in by_account.get(circuit_account(contract.id), ()):
                fields = traffic_fields(contract, each)
                if each.start_ns == self._evidence[contract.id].slot_ns and each.observed_ns:
                    fields |= delivery.get(contract.id, {})
                samples.append(Sample("circuit", _circuit_tags(contract), fields, each.start_ns))
        samples += [
            Sample("line_group", (("line_group", group.id),), traffic_fields(group, each), each.start_ns)
            for group in self._contracts.line_groups.values()
            for each in by_account.get(line_group_account(group.id), ())
        ]
        return samples

    def on_device(self, device: str) -> list[str]:
        """The circuits that are measured on a device."""
        return [circuit for _, circuit in self._on_device.get(device, ())]

    def state_samples(self, at_ns: int, circuits: Collection[str]) -> list[Sample]:
        """State of the circuits and of the line groups over them: call after evidence of them was seen.

        at_ns is the moment of the evidence. Where a later moment was told already, because answers do not come in the
        order of their questions, the sample replaces the one of that moment: what is older would be ignored.
        """
        concerned = set(circuits) & self._evidence.keys()
        if not concerned:
            return []
        self.follow(at_ns)
        switched = {each.after or each.before: each.reason for each in self._untold}
        self._untold.clear()
        concerned |= switched.keys()
        states = {circuit: state for circuit, (state, _) in self.states(at_ns).items()}
        active = self.active()
        samples: list[Sample] = []
        for contract in self._contracts.circuits.values():
            if contract.id in concerned:
                fields: dict[str, FieldValue] = {"state": str(states[contract.id])}
                if contract.id in active:
                    fields["active"] = active[contract.id]
                    if not contract.preferred_active and self._is_standby(contract):
                        fields["standby_carries"] = active[contract.id]
                if contract.id in switched:
                    fields["switch_over"] = switched[contract.id]
                fields |= self._fault_fields(contract.id, at_ns)
                samples.append(self._stamped("circuit", _circuit_tags(contract), fields, at_ns))
        for group in self._contracts.line_groups.values():
            if not concerned.isdisjoint(group.circuits):
                known: dict[str, FieldValue] = {"state": str(judge_group(states[each] for each in group.circuits))}
                samples.append(self._stamped("line_group", (("line_group", group.id),), known, at_ns))
        return samples

    def _fault_fields(self, circuit: str, at_ns: int) -> dict[str, FieldValue]:
        """The points that are probed and the class that follows; nothing where none is."""
        points: dict[str, FieldValue] = {}
        fault = self.fault(circuit, at_ns)
        for point in self._evidence[circuit].points:
            points[point] = "unknown" if self._isolated else str(getattr(fault.vector, point))
        if fault.vector.probed or (points and fault.fault_class is FaultClass.ISOLATED):
            points["fault"] = str(fault.fault_class)
        return points

    def _stamped(
        self, measurement: str, tags: tuple[tuple[str, str], ...], fields: Mapping[str, FieldValue], at_ns: int
    ) -> Sample:
        told_ns = self._told_ns.get((measurement, tags[0][1]), 0)
        if at_ns < told_ns <= at_ns + STALE_NS:  # further off it is the clock that was set back
            at_ns = told_ns
        self._told_ns[measurement, tags[0][1]] = at_ns
        return Sample(measurement, tags, fields, at_ns)

    def _is_standby(self, contract: CircuitContract) -> bool:
        tracker = self._trackers.get(contract.redundancy_group or "")
        return tracker is not None and tracker.contract.mode == "active_standby"

    def active(self) -> dict[str, bool]:
        """Who carries the traffic of its redundancy group, as last followed; absent while that is unknown."""
        return {
            circuit: circuit in view.active
            for view in self._views.values()
            if view.active or State.UNKNOWN not in view.states.values()
            for circuit in view.states
        }

    def _watch(self, circuit: str, evidence: Evidence, totals: SlotTotals) -> None:
        probe = evidence.probe
        if probe is not None and abs(probe.seen_ns - totals.start_ns) > STALE_NS:
            probe = None
        loss, delay = (None, None) if probe is None else (probe.loss_ratio, probe.delay_seconds)
        for way, rate in (("in", totals.in_bits_per_second), ("out", totals.out_bits_per_second)):
            if (circuit, way) in self._watches:
                self._watches[circuit, way].add(LineSlot(totals.start_ns, rate, loss, delay))

    def not_delivered(self) -> dict[tuple[str, str], NotDelivered]:
        """By circuit and direction ("in", "out"): the committed rate is not delivered, with the evidence."""
        found = {key: watch.judge() for key, watch in self._watches.items()}
        return {key: each for key, each in found.items() if each is not None}

    def _delivery(self) -> dict[str, dict[str, FieldValue]]:
        """Of every circuit with a committed rate, whether it is delivered, and the evidence where it is not."""
        found: dict[str, dict[str, FieldValue]] = {
            circuit: {"committed_delivered": True} for circuit, way in self._watches if way == "in"
        }
        for (circuit, way), each in self.not_delivered().items():
            before = found[circuit]
            ja, en = f"{_WAYS_JA[way]}：{each.sentence('ja')}", f"{way}: {each.sentence('en')}"
            found[circuit] = {
                "committed_delivered": False,
                "text_ja": f"{before['text_ja']}。{ja}" if "text_ja" in before else ja,
                "text_en": f"{before['text_en']}; {en}" if "text_en" in before else en,
            }
        return found

    def save(self) -> dict[str, Any]:
        """What is known, as plain JSON types: evidence, switch-overs, and the hours of the lines."""
        return {
            "version": VERSION,
            "groups": {group: tracker.save() for group, tracker in self._trackers.items()},
            "watches": [[circuit, way, watch.save()] for (circuit, way), watch in self._watches.items()],
            "slots": {circuit: each.slot_ns for circuit, each in self._evidence.items()},
            "answered": sorted(self._answered),
            "evidence": {circuit: each.save() for circuit, each in self._evidence.items()},
            "told": [[*key, at_ns] for key, at_ns in self._told_ns.items()],
            "isolated": self._isolated,
            "untold": [[each.group, each.at_ns, each.before, each.after, each.reason] for each in self._untold],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what save gave, for the groups that still exist; ValueError for another version."""
        if saved["version"] != VERSION:
            raise ValueError(f"circuits of version {saved['version']} cannot be read, only {VERSION}")
        self._answered.update((circuit, point) for circuit, point in saved.get("answered", ()))
        self._isolated = saved.get("isolated", False)
        self._told_ns = {(measurement, id_): at_ns for measurement, id_, at_ns in saved.get("told", ())}
        for circuit, entry in saved.get("evidence", {}).items():
            if circuit in self._evidence:
                self._evidence[circuit].restore(entry)
        for group, entry in saved["groups"].items():
            if group in self._trackers:
                self._trackers[group].restore(entry)
        for circuit, way, entry in saved["watches"]:
            if (circuit, way) in self._watches:
                self._watches[circuit, way].restore(entry)
        for circuit, slot_ns in saved["slots"].items():
            if circuit in self._evidence:
                self._evidence[circuit].slot_ns = slot_ns
        self._untold = [SwitchOver(*each) for each in saved["untold"] if each[3] in self._evidence]


def _both_ways(totals: SlotTotals) -> float | None:
    into, out = totals.in_bits_per_second, totals.out_bits_per_second
    return None if into is None or out is None else into + out


def _circuit_tags(contract: CircuitContract) -> tuple[tuple[str, str], ...]:
    return (("circuit", contract.id), ("kind", contract.kind), ("line_group", contract.line_group))


def traffic_fields(contract: CircuitContract | LineGroupContract, totals: SlotTotals) -> dict[str, FieldValue]:
    """The traffic fields of the schema; rates and ratios are absent where nothing was observed."""
    fields: dict[str, FieldValue] = {
        "in_octets": totals.in_octets,
        "out_octets": totals.out_octets,
        "coverage_ratio": totals.coverage_ratio,
    }
    if not totals.observed_ns and not totals.in_octets and not totals.out_octets:
        del fields["in_octets"], fields["out_octets"]
    for way, rate in (("in", totals.in_bits_per_second), ("out", totals.out_bits_per_second)):
        if rate is None:
            continue
        fields[f"{way}_bits_per_second"] = rate
        fields[f"{way}_ceiling_ratio"] = rate / contract.ceiling_rate
        if contract.committed_rate:
            fields[f"{way}_committed_ratio"] = rate / contract.committed_rate
    return fields
