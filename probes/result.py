"""What a probe of a service asks and what it found; the observation that is made in between."""

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from probes.sentences import PHASES, Said, sentence
from probes.text import printable

Trace: TypeAlias = Callable[[str], None]
"""Called with a line for each step, where somebody wants to watch."""
_MOST_EVIDENCE: Final = 24


class ServiceState(StrEnum):
    """Whether a service serves as a user would need it; unknown where we could not ask."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one service; PROBES says which of these matter to a kind.

    target: "host", "host:port" or "[IPv6]:port", a URL for HTTP.
    family: by which of its addresses a name is asked, where it has both (R38).
    expect: DNS: the record, or NXDOMAIN; HTTP: text in the page, with `blocked` in the block page.
    proxy: URL of the explicit proxy; blocked: the filter must not let it through.
    proxy_user, proxy_password: its login where it wants one (Basic, RFC 7617); the password does not print.
    recipient: SMTP goes as far as RCPT for this address; nothing is delivered.
    server_name: the name that the certificate must have, where it is not the target's host.
    ca_file: authority to trust instead of the system's.
    """

    target: str
    timeout_seconds: float = 10.0
    family: Literal["any", "ipv4", "ipv6"] = "any"
    query: str | None = None
    record_type: str | None = None
    transport: Literal["both", "udp", "tcp"] = "both"
    expect: str | None = None
    status: int | None = None
    proxy: str | None = None
    proxy_user: str | None = None
    proxy_password: str | None = field(default=None, repr=False)
    blocked: bool = False
    sender: str = ""
    recipient: str | None = None
    starttls: bool = False
    server_name: str | None = None
    ca_file: str | None = None
    offset_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe found.

    response_seconds: to the whole answer; None where there was none.
    phases: seconds of resolve, connect, tls and first_byte, as far as each was gone through.
    reason, facts: the sentence behind the state; evidence: what was seen, name and text, cleaned.
    certificate_days: days until the certificate ends, negative once it has; None where none was shown.
    """

    kind: str
    target: str
    state: ServiceState
    response_seconds: float | None
    phases: Mapping[str, float]
    reason: str
    facts: Mapping[str, Said]
    evidence: tuple[tuple[str, str], ...] = ()
    certificate_days: float | None = None

    def sentence(self, lang: str) -> str:
        """What was found, in "ja" or "en"."""
        return sentence(self.reason, self.facts, lang)


@dataclass(frozen=True, slots=True)
class Found:
    """Why a service is up: a reason of the table with its facts."""

    reason: str
    facts: Mapping[str, Said] = field(default_factory=dict)


class Observation:
    """One probe in the making: which phase it is in, what each took, what was seen; survives the failure of the probe.

    family: of the addresses that a name may be asked by.
    peer: whom we speak to at the moment, for sentences: the target, a proxy, the target by TCP.
    """

    def __init__(
        self,
        target: str,
        trace: Trace | None = None,
        clock: Callable[[], float] = time.perf_counter,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> None:
        self.target = target
        self.family = family
        self.peer: Said = printable(target)
        self.phase = ""
        self.phases: dict[str, float] = {}
        self.evidence: list[tuple[str, str]] = []
        self.certificate_days: float | None = None
        self.response_seconds: float | None = None
        self._trace = trace
        self._clock = clock
        self._begun = self._entered = clock()

    def enter(self, phase: str) -> None:
        """The phase that was is over, the next begins; a phase entered again goes on where it was."""
        now = self._clock()
        self._leave(now)
        self.phase, self._entered = phase, now

    def finish(self) -> None:
        """The answer is whole; what is looked at afterwards takes no time of the service's."""
        now = self._clock()
        self._leave(now)
        self._entered = now
        self.phase = "rest"
        self.response_seconds = now - self._begun

    def see(self, name: str, text: str) -> None:
        """Keep something that was seen, as evidence."""
        shown = printable(text)
        if len(self.evidence) < _MOST_EVIDENCE:
            self.evidence.append((name, shown))
        self.tell(f"{name}: {shown}")

    def tell(self, line: str) -> None:
        """Tell whoever watches what happens, with the time since the begin."""
        if self._trace is not None:
            self._trace(f"{self._clock() - self._begun:9.6f} s  {printable(line, 400)}")

    def _leave(self, now: float) -> None:
        took = now - self._entered
        if self.phase not in {"", "rest"}:
            self.phases[self.phase] = self.phases.get(self.phase, 0.0) + took

    def phase_name(self) -> tuple[str, str]:
        """The present phase, Japanese and English."""
        return PHASES[self.phase or "connect"]
