"""The journey of a measurement, in order. Read this first.

    schedule -> rounds -> asking -> DeviceReading or FailedPoll
        accept():  reading -> rates -> interface samples, device sample
                   rates -> slots (octets shared over aligned minutes)
                   oper status, also see_interface(), see_point(): states of circuits and line groups as of that moment
        publish(): notifications of devices come in here as samples (poller.notified)
        tick():    closed slots -> circuits, line groups, tenants (samples), 5-minute roll-ups
        publish(): every sample -> journal (durable, for the stores)
                                -> alerting (rules, incidents, mails)
                                -> live state (the wall)

Synchronous, called on the loop, and quick: whoever waits for disk or network stands behind the journal or the outbox.
Alerts and wall never read a database (R70).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo

from poller.accounts import SLOT_NS
from poller.alerts.changes import Change, alert_samples
from poller.alerts.engine import Alerting
from poller.alerts.records import AuditEntry
from poller.caps import PastUse
from poller.circuit_state import ProbeEvidence
from poller.circuits import Circuits
from poller.contracts import Contracts, contracts_of
from poller.device_samples import device_sample, failed_sample
from poller.estate import Estate
from poller.faults import Answer, gateway_answer
from poller.interfaces import interface_samples
from poller.log import tell
from poller.rates import Rates
from poller.readings import ISOLATED, DeviceReading, FailedPoll, PollCost
from poller.rollups import InterfaceRollups, Rollups
from poller.sample import Sample
from poller.slots import SlotLedger
from poller.storms import StormRemark
from poller.tenants import Tenants
from poller.wall.findings import show_findings
from poller.wall.flows import Flows
from poller.wall.incidents import incident_entry
from poller.wall.live import LiveState
from probes.path import Path

_log: Final = logging.getLogger(__name__)
ROLL_UP_NS: Final = 15 * 10**9
"""How often complete windows are looked for."""
Append = Callable[[Sequence[Sample]], None]


class Pipeline:
    """What happens to every answer, and every second. Holds the state between two readings; save() and restore() it."""

    def __init__(self, estate: Estate, append: Append, alerting: Alerting, live: LiveState) -> None:
        self.contracts: Contracts = contracts_of(estate)
        self._estate = estate
        self._append = append
        self._alerting = alerting
        self._live = live
        self._rates = Rates()
        self._ledger = SlotLedger(self.contracts.accounts())
        self._flows = Flows(self.contracts.accounts())
        self._circuits = Circuits(self.contracts)
        self._zone = ZoneInfo(estate.organisation.timezone)
        self._tenants = Tenants(self.contracts, self._zone)
        self._rollups = Rollups()
        self._interface_rollups = InterfaceRollups()
        self._rolled_ns = 0
        self._costs: dict[str, PollCost] = {}
        self._gateways: dict[str, Answer] = {}
        self._show_findings()

    def follow(self, estate: Estate, now_ns: int) -> None:
        """Go on with another estate; alerting and the wall follow it first.

        What hangs on contracts is built anew and takes over what its predecessor saves, which is the way of a restart
        too. Everything else stays.
        """
        self._estate = estate
        self._rates.keep_only(estate.devices.keys())
        self._costs = {key: each for key, each in self._costs.items() if key in estate.devices}
        gateways = {str(each) for each in estate.polling.gateways}
        self._gateways = {each: answer for each, answer in self._gateways.items() if each in gateways}
        contracts, zone = contracts_of(estate), ZoneInfo(estate.organisation.timezone)
        self.contracts, before = contracts, self.contracts
        if zone != self._zone or contracts.grounds() != before.grounds():
            saved = {"slots": self._ledger.save(), "circuits": self._circuits.save(), "tenants": self._tenants.save()}
            self._zone = zone
            self._ledger, self._circuits = SlotLedger(contracts.accounts()), Circuits(contracts)
            self._tenants = Tenants(contracts, zone)
            self._flows.follow(contracts.accounts())
            self.restore(saved)
            self._circuits.follow(now_ns)
        self._show_findings()

    def accept(self, answer: DeviceReading | FailedPoll, now_ns: int) -> None:
        """Take the answer of one poll."""
        device = self._estate.devices[answer.device]
        if answer.cost is not None:
            self._costs[answer.device] = answer.cost
        if isinstance(answer, FailedPoll):
            if self.isolated and answer.answered is False:  # history must say unknown, not down (R54)
                answer = replace(answer, reason=ISOLATED, answered=None)
            tell(_log, logging.WARNING, "poll_failed", device=answer.device, reason=answer.reason, text=answer.text)
            self._circuits.see_failure(answer)
            self.publish([failed_sample(device, answer)], now_ns)
            self._tell_states(answer.due_ns, self._circuits.on_device(answer.device), now_ns)
            return
        rates = self._rates.update(answer)
        if rates.restart:
            tell(_log, logging.WARNING, "device_restarted", device=answer.device, kind=rates.restart)
        self._circuits.see_reading(answer)
        self._ledger.add(rates)
        self._interface_rollups.add(answer, rates)
        self.publish([device_sample(device, answer), *interface_samples(answer, rates)], now_ns)
        self._tell_states(answer.due_ns, self._circuits.on_device(answer.device), now_ns)
        self._live.show_flows(self._flows.update(rates))

    def see_interface(self, device: str, interface: str, oper_status: int, now_ns: int) -> None:
        """Take the state of one interface that was asked for beside the polls (R48); its counters wait for the poll."""
        self._circuits.see_interface(device, interface, oper_status, now_ns)
        tags = (("device", device), ("interface", interface))
        self.publish([Sample("interface", tags, {"oper_status": oper_status}, now_ns)], now_ns)
        self._tell_states(now_ns, self._circuits.on_device(device), now_ns)

    def costs(self) -> dict[str, tuple[float, int, int, int]]:
        """What the last poll of every device cost: seconds, packets, retries, timeouts (R74)."""
        return {key: (each.seconds, each.packets, each.retries, each.timeouts) for key, each in self._costs.items()}

    def tick(self, now_ns: int) -> Sequence[str]:
        """Let time pass, once a second: close slots, raise and clear what time decides, show it.

        The answer is whom to ask at once, because something that hangs on them has failed (R53).
        """
        totals = self._ledger.close(now_ns)
        if totals:
            self.publish(
                [*self._circuits.samples(totals, now_ns), *self._tenants.update(totals, self._ledger.totals)], now_ns
            )
            self._show_findings()
        if now_ns - self._rolled_ns >= ROLL_UP_NS:
            self._rolled_ns = now_ns
            self._append([*self._rollups.close(now_ns), *self._interface_rollups.close(now_ns)])
        self._keep(self._alerting.tick(now_ns))
        self._see_isolation(now_ns)
        self._live.show_states(self._circuits.states(now_ns))
        self._live.show_faults({key: str(each.fault_class) for key, each in self._circuits.faults(now_ns).items()})
        self._live.show_active(self._circuits.active())
        self._live.show_incidents(
            [incident_entry(incident, self._estate) for incident in self._alerting.open_incidents()]
        )
        return self._alerting.take_suspects()

    def see_probe(self, circuit: str, evidence: ProbeEvidence, now_ns: int) -> None:
        """Take what echoes to a circuit's far edge say."""
        self._circuits.see_probe(circuit, evidence)
        self._tell_states(evidence.seen_ns, [circuit], now_ns)

    def see_point(self, circuit: str, point: str, answer: Answer, seen_ns: int) -> None:
        """Take the word of echoes to near, far or beyond of a circuit (R41); what is new is told at once."""
        if self._circuits.see_point(circuit, point, answer, seen_ns):
            self._tell_states(seen_ns, [circuit], seen_ns)

    def see_gateway(self, gateway: str, answer: Answer, now_ns: int) -> None:
        """Take what echoes to one of our own gateways say; when none answers, monitoring is isolated (R54)."""
        self._gateways[gateway] = answer
        self._alerting.see_gateways(gateway_answer(self._gateways), self._gateways, now_ns)
        self._see_isolation(now_ns)

    def _see_isolation(self, now_ns: int) -> None:
        if self._circuits.see_isolation(isolated=self.isolated):
            self._tell_states(now_ns, self._circuits.seen(), now_ns)

    def see_path(self, subject: str, path: Path, now_ns: int) -> None:
        """Keep how far packets still get as evidence of the subject's fault."""
        self._keep(self._alerting.see_path(subject, path, now_ns))

    def take_lost(self) -> Sequence[str]:
        """Circuits and devices that were declared down since the last call: somebody should look for the path."""
        return self._alerting.take_lost()

    def take_accepted_engines(self) -> list[tuple[str, str]]:
        """Engines of senders that a person wants believed again, and who; each is given once."""
        return self._alerting.take_accepted_engines()

    @property
    def isolated(self) -> bool:
        """Whether it is us: what cannot be reached now is unknown, and not down (R54)."""
        return self._alerting.cut_off or gateway_answer(self._gateways) is Answer.DOWN

    def publish(self, samples: Sequence[Sample], now_ns: int) -> None:
        """Hand samples on: durable first, then to those who decide and show."""
        self._append(samples)
        for sample in samples:
            if sample.measurement != "interface":  # rolled up in columns, there are so many
                self._rollups.add(sample, self._stands_for_ns(sample))
        self._keep(self._alerting.observe(samples, now_ns))
        self._live.observe(samples)

    def remark(self, remarks: Sequence[StormRemark], now_ns: int) -> None:
        """Write remarks of our own under the open incidents of their rules; without such an incident they are lost."""
        for remark in remarks:
            for incident in self._alerting.open_incidents():
                if any(member.rule == remark.rule for member in incident.members):
                    entry = AuditEntry(now_ns, "hinomi", "daemon", "comment", incident.id, remark.text)
                    self._alerting.carry_out(entry)

    def _stands_for_ns(self, sample: Sample) -> int:
        """The interval of whatever asks about the sample's subject."""
        subject = sample.tags[0][1]
        if sample.measurement == "service" and subject in self._estate.services:
            return int(self._estate.services[subject].interval * 10**9)
        return self.contracts.interval_ns.get(subject, SLOT_NS) if sample.measurement == "device" else SLOT_NS

    def _tell_states(self, at_ns: int, circuits: Sequence[str], now_ns: int) -> None:
        """States go into the journal and to alerting; the wall is shown them every second."""
        samples = self._circuits.state_samples(at_ns, circuits)
        for sample in samples:
            if "switch_over" in sample.fields:
                reason = sample.fields["switch_over"]
                tell(_log, logging.WARNING, "switch_over", circuit=sample.tags[0][1], reason=reason)
        if samples:
            self._append(samples)
            self._keep(self._alerting.observe(samples, now_ns))

    def _show_findings(self) -> None:
        """Caps, what of a line nobody accounts for, what is not delivered, who took over: with every closed slot."""
        show_findings(self._live, self._circuits, self._tenants)

    def _keep(self, changes: Sequence[Change]) -> None:
        samples = [*alert_samples(changes), *self._alerting.take_incident_samples()]
        if samples:
            self._append(samples)

    def save(self) -> dict[str, Any]:
        """What must survive a restart, as plain values."""
        return {
            "rates": self._rates.save(),
            "slots": self._ledger.save(),
            "circuits": self._circuits.save(),
            "tenants": self._tenants.save(),
            "rollups": self._rollups.save(),
            "interface_rollups": self._interface_rollups.save(),
            "alerting": self._alerting.save(),
        }

    def remember(self, past: Mapping[str, PastUse]) -> None:
        """What tenants used before the first start, by account."""
        self._tenants.remember(past)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what save() gave; parts that are absent begin anew."""
        parts: Mapping[str, Callable[[Any], None]] = {
            "rates": self._load_rates,
            "slots": self._ledger.restore,
            "circuits": self._circuits.restore,
            "tenants": self._tenants.restore,
            "rollups": self._load_rollups,
            "interface_rollups": self._load_interface_rollups,
            "alerting": self._alerting.restore,
        }
        for name, take in parts.items():
            try:
                if name in saved:
                    take(saved[name])
            except ValueError as error:  # of another version: nothing was taken over yet
                tell(_log, logging.WARNING, "state_not_restored", part=name, reason=str(error))
        self._show_findings()

    def _load_rates(self, saved: Mapping[str, Any]) -> None:
        self._rates = Rates.load(saved)
        self._rates.keep_only(self._estate.devices.keys())

    def _load_rollups(self, saved: Mapping[str, Any]) -> None:
        self._rollups = Rollups.load(saved)

    def _load_interface_rollups(self, saved: Mapping[str, Any]) -> None:
        self._interface_rollups = InterfaceRollups.load(saved)
