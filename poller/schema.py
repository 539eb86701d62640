"""The one list of what is kept: measurements, their tags and their fields, with unit and meaning.

Code, documentation, dashboards and tests all read this list; nothing else may name a measurement.
Tags are bounded sets; free text is a field. Ratios are 0..1 (above 1 where a limit is exceeded), times are seconds,
rates are per second, octet counters are integers to 2^64-1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Field:
    """One field: kind is int, float, bool or str; unit is a word for people (octets, bits/s, ratio, s, 1)."""

    name: str
    kind: type
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement with its tags in their fixed order."""

    name: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """The field of that name; KeyError where there is none."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(f"{self.name} has no field {name}")


def _traffic(capacity: str) -> tuple[Field, ...]:
    return (
        Field("in_bits_per_second", float, "bits/s", "traffic towards the estate, mean of the slot"),
        Field("out_bits_per_second", float, "bits/s", "traffic away from the estate, mean of the slot"),
        Field("in_octets", int, "octets", "octets of the slot towards the estate"),
        Field("out_octets", int, "octets", "octets of the slot away from the estate"),
        Field("in_committed_ratio", float, "ratio", f"in against the {capacity}'s committed rate"),
        Field("out_committed_ratio", float, "ratio", f"out against the {capacity}'s committed rate"),
        Field("in_ceiling_ratio", float, "ratio", f"in against the {capacity}'s ceiling rate"),
        Field("out_ceiling_ratio", float, "ratio", f"out against the {capacity}'s ceiling rate"),
        Field("coverage_ratio", float, "ratio", "part of the slot that was observed"),
    )


_INTERFACE_COUNTERS: Final = tuple(
    Field(f"{way}_{what}_total", int, unit, f"{what} counted by the device, raw")
    for what, unit in (("octets", "octets"), ("packets", "packets"), ("errors", "packets"), ("discards", "packets"))
    for way in ("in", "out")
)
_INTERFACE_RATES: Final = tuple(
    Field(f"{way}_{what}_per_second", float, f"{what}/s", f"{what} per second between two readings")
    for what in ("bits", "packets", "errors", "discards")
    for way in ("in", "out")
)

_MEASUREMENTS: Final = (
    Measurement(
        "device",
        ("device", "role", "site"),
        (
            Field("up", bool, "1", "the device answered"),
            Field("cpu_ratio", float, "ratio", "CPU in use"),
            Field("memory_ratio", float, "ratio", "memory in use"),
            Field("sessions", int, "sessions", "sessions or connections now"),
            Field("sessions_limit", int, "sessions", "limit, read or configured"),
            Field("sessions_ratio", float, "ratio", "sessions against the limit"),
            Field("session_rate", float, "sessions/s", "new sessions per second"),
            Field("uptime_seconds", float, "s", "time since the agent started, wraps taken out"),
            Field("ha_role", str, "1", "active, standby, member, alone or unknown"),
            Field("health", str, "1", "ok, warning or failed: fans, power supplies, sensors, the worst of all"),
            Field("health_text", str, "1", "what is not ok"),
            Field("round_trip_delay_seconds", float, "s", "median echo delay (RFC 2681)"),
            Field("round_trip_loss_ratio", float, "ratio", "echoes lost (RFC 6673)"),
            Field("ipv4_up", bool, "1", "answers echoes over IPv4; where both families are asked"),
            Field("ipv6_up", bool, "1", "answers echoes over IPv6; where both families are asked"),
            Field("poll_seconds", float, "s", "time the poll took"),
            Field("poll_packets", int, "1", "datagrams the poll sent, retries included"),
            Field("poll_retries", int, "1", "datagrams it sent again"),
            Field("poll_timeouts", int, "1", "datagrams nobody answered in time"),
            Field("quality", str, "1", "worth of this reading"),
            Field("reason", str, "1", "why it is not observed"),
        ),
    ),
    Measurement(
        "interface",
        ("device", "interface"),
        (
            *_INTERFACE_COUNTERS,
            *_INTERFACE_RATES,
            Field("in_ratio", float, "ratio", "in against the interface's speed"),
            Field("out_ratio", float, "ratio", "out against the interface's speed"),
            Field("oper_status", int, "1", "ifOperStatus: 1 up, 2 down, 3 testing ... (IF-MIB)"),
            Field("quality", str, "1", "worth of the rates"),
            Field("reason", str, "1", "why there is no rate"),
        ),
    ),
    Measurement(
        "circuit",
        ("circuit", "kind", "line_group"),
        (
            *_traffic("circuit"),
            Field("state", str, "1", "up, degraded, down or unknown; a point of its own, when it was seen"),
            Field("active", bool, "1", "this member carries the traffic of its redundancy group; beside state"),
            Field("near", str, "1", "our edge answers echoes: up, down or unknown; beside state"),
            Field("far", str, "1", "the far edge of the contract, as near"),
            Field("beyond", str, "1", "a place beyond the far edge, as near"),
            Field("fault", str, "1", "none, inside, outside, undetermined or isolated (docs/faults.md); beside state"),
            Field("standby_carries", bool, "1", "the standby has taken over; beside state, of standbys alone"),
            Field("switch_over", str, "1", "why this member has begun to carry, or the last one has ceased to"),
            Field("committed_delivered", bool, "1", "nothing says that the committed rate is not delivered"),
            Field("text_ja", str, "1", "what says that it is not delivered, Japanese"),
            Field("text_en", str, "1", "the same in English"),
        ),
    ),
    Measurement("line_group", ("line_group",), (*_traffic("line group"), Field("state", str, "1", "as circuit"))),
    Measurement(
        "tenant",
        ("tenant", "line"),
        (
            Field("in_octets", int, "octets", "octets of the slot towards the tenant"),
            Field("out_octets", int, "octets", "octets of the slot away from the tenant"),
            Field("in_bits_per_second", float, "bits/s", "mean of the slot towards the tenant"),
            Field("out_bits_per_second", float, "bits/s", "mean of the slot away from the tenant"),
            Field("in_cap_ratio", float, "ratio", "in against the sustained cap, mean of 5 minutes"),
            Field("out_cap_ratio", float, "ratio", "out against the sustained cap, mean of 5 minutes"),
            Field("burst_cap_ratio", float, "ratio", "the last slot against the burst cap, the worse direction"),
            Field("volume_cap_ratio", float, "ratio", "octets of the calendar month so far against the monthly cap"),
            Field("volume_cap_projected_ratio", float, "ratio", "octets expected at the month's end against that cap"),
            Field("percentile_95_cap_ratio", float, "ratio", "95th percentile of the month so far against its cap"),
            Field("cap_exceeded", bool, "1", "one of the caps is exceeded"),
            Field("rest_ratio", float, "ratio", "of unattributed: part of the line's last hour; negative: too much"),
            Field("adds_up", bool, "1", "of unattributed: the tenants add up to the line within 2 %"),
            Field("month_octets", int, "octets", "octets of the calendar month so far, both directions"),
            Field("coverage_ratio", float, "ratio", "part of the slot that was observed"),
        ),
    ),
    Measurement(
        "service",
        ("service", "kind"),
        (
            Field("up", bool, "1", "served as a user would need it"),
            Field("response_seconds", float, "s", "time to the whole answer"),
            Field("resolve_seconds", float, "s", "of that, resolving the name"),
            Field("connect_seconds", float, "s", "of that, connecting"),
            Field("tls_seconds", float, "s", "of that, setting up TLS"),
            Field("first_byte_seconds", float, "s", "of that, waiting for the first answer"),
            Field("certificate_days", float, "days", "days until the certificate ends"),
            Field("in_service_hours", bool, "1", "the check fell within the service hours"),
            Field("quality", str, "1", "worth of this reading"),
            Field("reason", str, "1", "why it is down, or what else is to be told; a word"),
            Field("text_ja", str, "1", "the same as a sentence, Japanese"),
            Field("text_en", str, "1", "the same as a sentence, English"),
        ),
    ),
    Measurement(
        "notification",
        ("device", "name", "severity"),
        (
            Field("text", str, "1", "what it says, for people"),
            Field("varbinds", str, "1", "all varbinds as JSON: name, instance, OID, value"),
            Field("oid", str, "1", "its number (snmpTrapOID)"),
            Field("source", str, "1", "address it came from"),
            Field("version", str, "1", "SNMP version that carried it"),
            Field("count", int, "1", "notifications that this one stands for: repeats within seconds are summed"),
            Field("alarm", str, "1", "what begins or ends with it: the beginning's name, and what it is about"),
            Field("raised", bool, "1", "it begins (or ends); absent where it should open no incident"),
        ),
    ),
    Measurement(
        "echo",
        ("target", "point", "family"),
        (
            Field("sent", int, "echoes", "echoes sent"),
            Field("received", int, "echoes", "answered in time"),
            Field("lost", int, "echoes", "not answered in time"),
            Field("refused", int, "echoes", "a router said that it cannot deliver them"),
            Field("send_failed", int, "echoes", "could not be sent: says nothing of the target"),
            Field("duplicates", int, "echoes", "answers to what was answered"),
            Field("late", int, "echoes", "answers after the timeout; stay lost"),
            Field("round_trip_loss_ratio", float, "ratio", "lost and refused of sent (RFC 6673)"),
            Field("round_trip_min_seconds", float, "s", "shortest round trip (RFC 2681)"),
            Field("round_trip_delay_seconds", float, "s", "median round trip"),
            Field("round_trip_p95_seconds", float, "s", "95th percentile of the round trips, by ceiling rank"),
            Field("round_trip_max_seconds", float, "s", "longest round trip"),
            Field("round_trip_variation_seconds", float, "s", "mean difference of neighbours (RFC 5481, 4.1)"),
        ),
    ),
    Measurement(
        "alert",
        ("rule", "subject", "severity"),
        (
            Field("state", str, "1", "pending, firing or resolved"),
            Field("incident", str, "1", "id of its incident"),
            Field("reason", str, "1", "why the state changed"),
        ),
    ),
    Measurement(
        "incident",
        ("subject",),
        (
            Field("incident", str, "1", "its id"),
            Field("open", bool, "1", "it is not over yet"),
            Field("severity", str, "1", "the worst it was: serious, minor or notice"),
            Field("scope", str, "1", "inside, outside or undetermined; none where nothing failed"),
            Field("rule", str, "1", "the rule of the alert that is its cause"),
            Field("title_ja", str, "1", "what was broken and how, Japanese"),
            Field("title_en", str, "1", "the same in English"),
            Field("tenants", str, "1", "ids of the tenants it reached, with blanks between"),
            Field("excluded", str, "1", "why the service level leaves it out: other_party, disaster, unknown; or none"),
            Field("duration_seconds", float, "s", "how long it lasted, so far"),
            Field("first_notice_seconds", float, "s", "from its confirmation to the first notice"),
            Field("second_notice_seconds", float, "s", "from its confirmation to the second notice"),
            Field("acknowledged_by", str, "1", "who took it first"),
            Field("merged_into", str, "1", "the incident that it turned out to be part of"),
        ),
    ),
    Measurement(
        "forecast",
        ("line_group", "direction"),
        (
            Field(
                "days_to_80", float, "days", "days until 80 % of the ceiling are expected; absent: not in three years"
            ),
            Field("days_to_100", float, "days", "days until the ceiling is expected; absent: not in three years"),
            Field("trend_bits_per_second_per_day", float, "bits/s/day", "growth of the daily 95th percentile"),
            Field("days_used", int, "days", "days of data that it rests on; below 30 it is provisional"),
        ),
    ),
    Measurement(
        "service_level",
        ("kind", "subject"),
        (
            Field("availability_ratio", float, "ratio", "of the calendar month so far, within the service hours"),
            Field("target_ratio", float, "ratio", "what was promised"),
            Field("allowance_left_ratio", float, "ratio", "of the month's allowance, what is left; below 0: missed"),
            Field("down_seconds", float, "s", "time lost in the month so far, exclusions taken out"),
            Field("excluded_seconds", float, "s", "time down in the month so far that does not count"),
        ),
    ),
    Measurement(
        "daemon",
        ("node", "part"),
        (
            Field("lag_seconds", float, "s", "start delay of polls, largest of the minute"),
            Field("lag_p99_seconds", float, "s", "start delay that 99 of 100 polls of the minute did not exceed"),
            Field("stall_seconds", float, "s", "longest time the loop did not turn"),
            Field("duration_seconds", float, "s", "time this part took, sum of the minute"),
            Field("queue_depth", int, "1", "waiting for this part"),
            Field("drops_total", int, "1", "lost by this part since the start"),
            Field("done_total", int, "1", "done by this part since the start"),
            Field("failed_total", int, "1", "failed in this part since the start"),
            Field("retries_total", int, "1", "requests sent again since the start"),
            Field("timeouts_total", int, "1", "requests not answered in time since the start"),
            Field("memory_octets", int, "octets", "resident memory of the daemon"),
            Field("memory_ratio", float, "ratio", "of what this machine, or its control group, allows"),
            Field("free_octets", int, "octets", "room on the disk of the state directory"),
            Field("days_left", float, "d", "until that disk is full, at the present rate"),
            Field("isolated", bool, "1", "most of what is watched cannot be reached: it is us, not them"),
            Field("busy_ratio", float, "ratio", "CPU time of the loop's thread against the clock"),
            Field("trouble", bool, "1", "this part cannot do its work at the moment"),
            Field("disk_full", bool, "1", "measurements wait in memory, because the disk has no room for them"),
            Field("not_durable", bool, "1", "measurements wait in memory for another reason"),
            Field("undelivered", bool, "1", "this store does not take what it is given; it waits in the journal"),
            Field("refused", bool, "1", "the configuration read last is wrong; the one before it is in force"),
            Field("reason", str, "1", "why, where one of these is true"),
            Field("overruns_total", int, "1", "polls still running when the next was due"),
            Field("accepted_total", int, "1", "notifications accepted since the start, repeats included"),
            Field("storm", bool, "1", "notifications come in a storm; they are summed"),
            Field("refused_engines", int, "1", "SNMPv3 senders refused because their clock went back"),
            Field("canary_misses", int, "1", "canaries in a row that did not come through"),
        ),
    ),
)


def _rollup(measurement: Measurement) -> Measurement:
    """The *_5m form: every numeric field as mean and max, octets as sum, and the coverage of the five minutes."""
    fields: list[Field] = []
    for entry in measurement.fields:
        if entry.name.endswith("_octets") and entry.name != "month_octets":
            fields.append(entry)
        elif entry.kind is float and entry.name != "coverage_ratio":
            fields.append(Field(f"{entry.name}_mean", float, entry.unit, f"{entry.meaning}: mean of 5 minutes"))
            fields.append(Field(f"{entry.name}_max", float, entry.unit, f"{entry.meaning}: highest of 5 minutes"))
        elif entry.kind is int and not entry.name.endswith("_total"):
            fields.append(Field(f"{entry.name}_max", int, entry.unit, f"{entry.meaning}: highest of 5 minutes"))
    if measurement.name == "interface":
        ways = (("in", "towards the device"), ("out", "away from it"))
        fields += [Field(f"{way}_octets", int, "octets", f"octets of the 5 minutes {what}") for way, what in ways]
    fields.append(Field("coverage_ratio", float, "ratio", "part of the 5 minutes that was observed"))
    return Measurement(f"{measurement.name}_5m", measurement.tags, tuple(fields))


ROLLED_UP: Final = ("device", "interface", "circuit", "line_group", "tenant", "service")

SCHEMA: Final[Mapping[str, Measurement]] = {
    measurement.name: measurement
    for measurement in (*_MEASUREMENTS, *(_rollup(m) for m in _MEASUREMENTS if m.name in ROLLED_UP))
}
"""Every measurement by its name."""
