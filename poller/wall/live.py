"""Live state: the last reading of everything that the wall shows, with its age. Pure; time is an argument (R70, R75).

Samples come in as they are made; snapshot() gives the entries that have changed since a version, by section, so that
fifty open walls cost one encoding and a thousand calm devices next to nothing. Nothing here is rounded or coloured: the
page does that, and greys what is old.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from poller.circuit_state import reason_ja
from poller.estate import Estate
from poller.sample import FieldValue, Sample
from poller.wall.entries import (
    CONFIGURED,
    DEVICE_FIELDS,
    SERVICE_FIELDS,
    SLOT_SECONDS,
    TENANT_FIELDS,
    TRAFFIC_FIELDS,
    Entry,
    entries_of,
    names,
    show_tenant,
)
from poller.wall.flows import Flow

HISTORY_SECONDS: Final = 6 * 3600
"""How much of each line group's past the wall draws."""
UNREAD_RATIO: Final = 0.05
"""Where more of the devices have no data, nobody knows whether all is well."""
_GAP_NS: Final = 660 * 10**9
"""More than two roll-ups of five minutes, which is what the past before the start may be made of."""
_TENTH_NS: Final = 6 * 10**9
"""Notifications are counted by tenths of a minute: enough for "per minute", whatever a trap storm brings."""


class LiveState:
    """What is known now. Sections are the keys of a snapshot; each has a version that grows when it changes."""

    def __init__(self, estate: Estate) -> None:
        self._version = 0
        self._versions: dict[str, int] = {}
        self._sections: dict[str, dict[str, Entry]] = {}
        self._changed: dict[str, dict[str, int]] = {}
        self._told: deque[tuple[int, int]] = deque(maxlen=10)
        self._history: dict[str, deque[tuple[int, float | None, float | None]]] = {}
        self._incidents: list[Entry] = []
        self._daemon: Entry = {}
        self._newest_ns = 0
        self.follow(estate)

    def follow(self, estate: Estate) -> None:
        """Show what this estate names and nothing else, with what is known of it; walls are told everything anew."""
        self._estate = estate
        before, self._sections = self._sections, entries_of(estate)
        for section, entries in self._sections.items():
            for key, entry in entries.items():
                known = before.get(section, {}).get(key, {})
                entry.update((word, value) for word, value in known.items() if word not in CONFIGURED)
        self._changed = {section: {} for section in self._sections}
        self._history = {
            group: self._history.get(group) or deque(maxlen=HISTORY_SECONDS // SLOT_SECONDS)
            for group in estate.line_groups
        }
        for section, entries in self._sections.items():
            for key in entries:
                self._touch(section, key)
        for section in (*self._sections, "history", "incidents", "daemon"):
            self._touch(section)
        self._renewed = self._version

    def observe(self, samples: Iterable[Sample]) -> None:
        """Take samples in; measurements that the wall does not show are passed over."""
        for sample in samples:
            take = _TAKERS.get(sample.measurement)
            if take is not None:
                take(self, sample)

    def remember(self, group: str, points: Sequence[tuple[int, float | None, float | None]]) -> None:
        """The past of a line group (time_ns, in and out in bits per second), oldest first, read once at the start."""
        self._history[group].extendleft(reversed(points))
        self._touch("history")

    def show_flows(self, flows: Iterable[Flow]) -> None:
        """Traffic of this moment, between the slots."""
        for flow in flows:
            kind, _, key = flow.account.partition("/")
            section = _SECTION_OF_ACCOUNT.get(kind)
            entry = self._sections[section].get(key) if section is not None else None
            if section is None or entry is None or flow.time_ns <= entry["time_ns"]:
                continue
            entry["in"], entry["out"] = flow.in_bits_per_second, flow.out_bits_per_second
            entry["time_ns"] = flow.time_ns
            self._newest_ns = max(self._newest_ns, flow.time_ns)
            self._touch(section, key)

    def show_states(self, states: Mapping[str, tuple[str, str]]) -> None:
        """The state of every circuit as known now, with the sentence behind it; unchanged ones cost nothing."""
        self.show("circuits", "state", {circuit: state for circuit, (state, _) in states.items()}.get, None)
        reasons = {circuit: {"ja": reason_ja(reason), "en": reason} for circuit, (_, reason) in states.items()}
        self.show("circuits", "reason", reasons.get, None)

    def show_faults(self, faults: Mapping[str, str]) -> None:
        """Whose fault the probe points say it is, by circuit; absent: no point is known."""
        for circuit, entry in self._sections["circuits"].items():
            if entry["fault"] != faults.get(circuit):
                entry["fault"] = faults.get(circuit)
                self._touch("circuits", circuit)

    def show_active(self, active: Mapping[str, bool]) -> None:
        """Which circuits carry their group's traffic; absent: not known. Unchanged ones cost nothing."""
        self.show("circuits", "active", active.get, None)

    def show(self, section: str, word: str, of: Callable[[str], Any], otherwise: Any) -> None:  # noqa: ANN401 - JSON
        """Put a further word into every entry of a section, of(id) or, where that is None, otherwise."""
        for key, entry in self._sections[section].items():
            value = of(key)
            value = otherwise if value is None else value
            if word not in entry or entry[word] != value:
                entry[word] = value
                self._touch(section, key)

    def show_caps(self, caps: Mapping[str, list[Entry]]) -> None:
        """Every cap of every tenant held against its use; unchanged ones cost nothing."""
        for tenant, entry in self._sections["tenants"].items():
            held = caps.get(tenant, [])
            if entry["caps"] != held:
                entry["caps"] = held
                show_tenant(entry)
                self._touch("tenants", tenant)

    def show_incidents(self, incidents: Sequence[Entry]) -> None:
        """The open incidents, as alerting tells them; unchanged lists cost nothing."""
        if list(incidents) != self._incidents:
            self._incidents = list(incidents)
            self._touch("incidents")

    def snapshot(self, now_ns: int, since: int = 0) -> Entry:
        """The entries that changed after version `since` (0: all), with the state of the whole and the clock.

        All of them too where another estate has been followed since.
        """
        since = since if since >= self._renewed else 0
        changed: Entry = {
            "version": self._version,
            "now_ns": now_ns,
            "newest_ns": self._newest_ns,
            "whole": self.whole(now_ns),
            "notifications_per_minute": self._notifications_per_minute(now_ns),
        }
        for section, entries in self._sections.items():
            if self._versions[section] > since:
                versions = self._changed[section]
                changed[section] = [entry for key, entry in entries.items() if versions[key] > since]
        if self._versions["history"] > since:
            changed["history"] = {group: _columns(points) for group, points in self._history.items()}
        if self._versions["incidents"] > since:
            changed["incidents"] = self._incidents
        if self._versions["daemon"] > since:
            changed["daemon"] = self._daemon
        if since == 0:
            changed["organisation"] = names(self._estate.organisation.name)
            changed["lang"] = self._estate.organisation.lang
        return changed

    @property
    def estate(self) -> Estate:
        """What is watched."""
        return self._estate

    @property
    def newest_ns(self) -> int:
        """When the newest reading was taken, in UTC unix nanoseconds; 0 before the first."""
        return self._newest_ns

    @property
    def incidents(self) -> Sequence[Entry]:
        """The open incidents, as they were shown last."""
        return self._incidents

    def entry(self, section: str, key: str) -> Entry | None:
        """One device, circuit, line group, tenant, service or open incident; None where there is none of that id."""
        if section == "incidents":
            return next((incident for incident in self._incidents if incident.get("id") == key), None)
        return self._sections[section].get(key)

    def whole(self, now_ns: int) -> Entry:
        """The state of the whole in one word (normal, notice, minor, serious, unknown), with the reason's figures."""
        counts = {"serious": 0, "minor": 0, "notice": 0}
        for incident in self._incidents:
            counts[incident["severity"]] = counts.get(incident["severity"], 0) + 1
        devices = self._sections["devices"].values()
        answering = asked = unread = 0
        for entry in devices:
            old = _old(entry, now_ns)
            answering += entry["up"] is True and not old
            if entry["asked"]:
                asked += 1
                unread += old
        word = next((severity for severity in ("serious", "minor", "notice") if counts[severity]), "normal")
        reason = next((incident["title"] for incident in self._incidents if incident["severity"] == word), None)
        if word == "normal" and (unread > UNREAD_RATIO * asked or self._newest_ns == 0):
            word = "unknown"
            reason = {
                "ja": f"{asked}台のうち{unread}台のデータがありません",
                "en": f"no data of {unread} of {asked} devices",
            }
        return {"word": word, "reason": reason, "answering": answering, "asked": asked, **counts}

    def _notifications_per_minute(self, now_ns: int) -> int | None:
        """None until the first one: no number may stand for a receiver that hears nothing."""
        if not self._told:
            return None
        return sum(count for tenth, count in self._told if tenth > now_ns // _TENTH_NS - 10)

    def _touch(self, section: str, key: str | None = None) -> None:
        self._version += 1
        self._versions[section] = self._version
        if key is not None:
            self._changed[section][key] = self._version

    def _put(self, section: str, key: str, sample: Sample, fields: Mapping[str, str]) -> None:
        entry = self._sections[section].get(key)
        if entry is None:
            return
        flowed = sample.time_ns < entry["time_ns"]
        for field, shown in fields.items():
            if not (flowed and shown in _FLOWING):
                entry[shown] = sample.fields.get(field)
        entry["time_ns"] = max(entry["time_ns"], sample.time_ns)
        self._newest_ns = max(self._newest_ns, sample.time_ns)
        self._touch(section, key)

    def _take_device(self, sample: Sample) -> None:
        entry = self._sections["devices"].get(sample.tags[0][1])
        if entry is None:
            return
        if "quality" not in sample.fields:
            for field in ("round_trip_delay_seconds", "round_trip_loss_ratio"):
                if field in sample.fields:
                    entry[field] = sample.fields[field]
            self._touch("devices", entry["id"])
            return
        self._put("devices", sample.tags[0][1], sample, DEVICE_FIELDS)

    def _take_circuit(self, sample: Sample) -> None:
        self._put("circuits", sample.tags[0][1], sample, TRAFFIC_FIELDS)

    def _take_line_group(self, sample: Sample) -> None:
        group = sample.tags[0][1]
        self._put("line_groups", group, sample, TRAFFIC_FIELDS)
        points = self._history.get(group)
        if points is None:
            return
        point = (sample.time_ns, _number(sample, "in_bits_per_second"), _number(sample, "out_bits_per_second"))
        if points and points[-1][0] == sample.time_ns:
            points[-1] = point
        elif not points or points[-1][0] < sample.time_ns:
            points.append(point)
        self._touch("history")

    def _take_tenant(self, sample: Sample) -> None:
        tenant, line = sample.tags[0][1], sample.tags[1][1]
        entry = self._sections["tenants"].get(tenant)
        if entry is None:
            return
        lines: dict[str, Entry] = entry["lines"]
        lines[line] = {"time_ns": sample.time_ns} | {name: sample.fields.get(name) for name in TENANT_FIELDS}
        show_tenant(entry)
        self._newest_ns = max(self._newest_ns, sample.time_ns)
        self._touch("tenants", tenant)

    def _take_service(self, sample: Sample) -> None:
        self._put("services", sample.tags[0][1], sample, SERVICE_FIELDS)
        entry = self._sections["services"].get(sample.tags[0][1])
        if entry is not None:
            entry["text"] = {lang: sample.fields.get(f"text_{lang}") for lang in ("ja", "en")}

    def _take_daemon(self, sample: Sample) -> None:
        self._daemon[sample.tags[1][1]] = {"time_ns": sample.time_ns, **sample.fields}
        self._touch("daemon")

    def _take_notification(self, sample: Sample) -> None:
        tenth = sample.time_ns // _TENTH_NS
        if self._told and self._told[-1][0] >= tenth:
            self._told[-1] = (self._told[-1][0], self._told[-1][1] + 1)
        else:
            self._told.append((tenth, 1))


_TAKERS: Final = {
    "device": LiveState._take_device,  # noqa: SLF001 - the table of this module's own methods
    "circuit": LiveState._take_circuit,  # noqa: SLF001
    "line_group": LiveState._take_line_group,  # noqa: SLF001
    "tenant": LiveState._take_tenant,  # noqa: SLF001
    "service": LiveState._take_service,  # noqa: SLF001
    "daemon": LiveState._take_daemon,  # noqa: SLF001
    "notification": LiveState._take_notification,  # noqa: SLF001
}
_FLOWING: Final = frozenset(("in", "out"))
"""Shown as of the last polls; a slot that closes later does not take them back."""
_SECTION_OF_ACCOUNT: Final = {"circuit": "circuits", "line_group": "line_groups", "tenant": "tenants"}


def _old(entry: Entry, now_ns: int) -> bool:
    """Older than two intervals (R75), with a little time for the reading to arrive."""
    return bool(now_ns - entry["time_ns"] > (2 * entry["interval"] + 5) * 1_000_000_000)


def _number(sample: Sample, field: str) -> float | None:
    value: FieldValue | None = sample.fields.get(field)
    return float(value) if isinstance(value, int | float) else None


def _columns(points: Iterable[tuple[int, float | None, float | None]]) -> Entry:
    columns: Entry = {"time": [], "in": [], "out": []}
    before_ns = None
    for time_ns, in_rate, out_rate in points:
        if before_ns is not None and time_ns - before_ns > _GAP_NS:  # a line must not run over what nobody saw
            columns["time"].append(before_ns // 1_000_000_000 + 1)
            columns["in"].append(None)
            columns["out"].append(None)
        before_ns = time_ns
        columns["time"].append(time_ns // 1_000_000_000)
        columns["in"].append(in_rate)
        columns["out"].append(out_rate)
    return columns
