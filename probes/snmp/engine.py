"""The clock of a v3 engine as seen from here (RFC 3414, 2.2 and 3.2): pure, the time is an argument.

    unknown --discovery--> known, clock not set --authenticated message--> known, clock set
    any --unknownEngineIDs or another engine id--> unknown

The clock is set from authenticated messages only. A report notInTimeWindows that carries the msgID of our own request
is proof of the present, whatever its boots say, so that an agent whose boots were reset recovers at once (R9, R10).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from probes.snmp.errors import (
    MalformedMessage,
    NotInTimeWindow,
    OtherReport,
    UnknownEngine,
    UnknownUser,
    UnsupportedLevel,
    UsmReport,
    WrongPassword,
    WrongPrivacyPassword,
)
from probes.snmp.message import Pdu
from probes.snmp.oid import Oid, format_oid
from probes.snmp.usm import USM_STATS

TIME_WINDOW_SECONDS = 150
"""RFC 3414, 2.2.3."""

LARGEST_BOOTS = 0x7FFF_FFFF


@dataclass(slots=True)
class EngineClock:
    """engine_boots and engine_time of one engine, kept going by a local clock in seconds."""

    engine_id: bytes
    boots: int = 0
    time: int = 0
    latest_time: int = 0
    anchored_at: float = 0.0
    is_set: bool = False

    def read(self, now: float) -> tuple[int, int]:
        """Boots and time to write into a message sent now; zeros until the clock was set."""
        if not self.is_set:
            return 0, 0
        return self.boots, self.time + int(now - self.anchored_at)

    def set(self, boots: int, time: int, now: float) -> None:
        """Take over what an authenticated answer to our own request says."""
        self.boots, self.time, self.latest_time = boots, time, time
        self.anchored_at, self.is_set = now, True

    def check(self, boots: int, time: int, now: float) -> bool:
        """Whether an authenticated message is timely; a newer clock is taken over (RFC 3414, 3.2, step 7b)."""
        if not self.is_set or boots > self.boots or (boots == self.boots and time > self.latest_time):
            self.set(boots, time, now)
            return boots != LARGEST_BOOTS
        return boots == self.boots and time >= self.read(now)[1] - TIME_WINDOW_SECONDS


REPORTS: Final[Mapping[Oid, tuple[type[UsmReport], str]]] = {
    USM_STATS["unsupported_level"]: (
        UnsupportedLevel,
        "knows the user, but not with this security level: compare authentication and privacy on both sides",
    ),
    USM_STATS["not_in_time_window"]: (
        NotInTimeWindow,
        "finds our request outside its time window, again after its clock was read",
    ),
    USM_STATS["unknown_user"]: (UnknownUser, "does not know the user"),
    USM_STATS["unknown_engine"]: (UnknownEngine, "does not accept the engine id that it gave itself"),
    USM_STATS["wrong_password"]: (WrongPassword, "refuses the authentication password or protocol"),
    USM_STATS["wrong_privacy_password"]: (WrongPrivacyPassword, "refuses the privacy password or protocol"),
}
"""Each counter of SNMP-USER-BASED-SM-MIB: its error, and what to tell the operator."""


def read_report(report: Pdu, who: str) -> UsmReport:
    """Turn a report PDU into the error that it means (RFC 3414, 3.2; R12)."""
    if not report.varbinds:
        raise MalformedMessage(f"{who} sent a report without a reason.")
    oid = report.varbinds[0].oid
    known = REPORTS.get(oid)
    if known is None:
        return OtherReport(f"{who} answered with the report {format_oid(oid)} instead of values.")
    kind, sentence = known
    return kind(f"{who} {sentence}.")
