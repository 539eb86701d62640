"""What the daemon found of circuits, lines and tenants, as the wall and the API show it: plain values, times in ns."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from poller.caps import CapStatus
from poller.circuits import Circuits
from poller.delivery import NotDelivered
from poller.redundancy import SwitchOver
from poller.tenants import FINDING_SHARE, Rest, Tenants
from poller.wall.live import LiveState

Entry: TypeAlias = dict[str, Any]
SHOWN_SWITCH_OVERS: Final = 20
"""Of each circuit, the latest."""


def show_findings(live: LiveState, circuits: Circuits, tenants: Tenants) -> None:
    """Put it into the entries of what it is about; what has not changed costs nothing."""
    held: dict[str, list[Entry]] = {}
    for status in tenants.caps():
        held.setdefault(status.tenant, []).append(cap_entry(status))
    live.show_caps(held)
    rests = {rest.line: rest_entry(rest) for rest in tenants.rests()}
    live.show("line_groups", "rest", rests.get, None)
    live.show("circuits", "rest", rests.get, None)
    found: dict[str, list[Entry]] = {}
    for (circuit, way), each in circuits.not_delivered().items():
        found.setdefault(circuit, []).append(delivery_entry(way, each))
    live.show("circuits", "not_delivered", found.get, [])
    over: dict[str, list[Entry]] = {}
    for switch in circuits.switch_overs():
        for circuit in {switch.before, switch.after}:
            over.setdefault(circuit, []).append(switch_over_entry(switch))
    live.show("circuits", "switch_overs", _latest(over), [])


def _latest(over: dict[str, list[Entry]]) -> Callable[[str], list[Entry] | None]:
    return {circuit: each[-SHOWN_SWITCH_OVERS:] for circuit, each in over.items()}.get


def cap_entry(status: CapStatus) -> Entry:
    """A cap held against the use; value and limit in bits per second, or octets where kind is monthly_volume."""
    return {
        "line": status.line,
        "kind": status.kind,
        "direction": status.direction,
        "value": status.value,
        "limit": status.limit,
        "ratio": status.ratio,
        "exceeded": status.exceeded,
        "projected": status.projected,
        "provisional": status.provisional,
    }


def rest_entry(rest: Rest) -> Entry:
    """What of a line's last hour no tenant accounts for, as a part of it; found: more than the finding's share."""
    return {
        "share": rest.share,
        "in_octets": rest.in_octets,
        "out_octets": rest.out_octets,
        "slots": rest.slots,
        "found": abs(rest.share) > FINDING_SHARE,
    }


def delivery_entry(way: str, found: NotDelivered) -> Entry:
    """A committed rate that is not delivered, with the evidence in a sentence of either language."""
    return {
        "direction": way,
        "since_ns": found.from_ns,
        "plateau": found.plateau_bits_per_second,
        "committed": found.committed_rate,
        "loss_ratio": found.loss_ratio,
        "delay_seconds": found.delay_seconds,
        "usual_delay_seconds": found.usual_delay_seconds,
        "signs": list(found.signs),
        "sentence": {lang: found.sentence(lang) for lang in ("ja", "en")},
    }


def switch_over_entry(switch: SwitchOver) -> Entry:
    """When the active member changed, from which to which, and why."""
    return {
        "group": switch.group,
        "at_ns": switch.at_ns,
        "before": switch.before,
        "after": switch.after,
        "reason": switch.reason,
    }
