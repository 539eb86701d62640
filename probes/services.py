"""The probes of services: one table, and the one way to ask."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from probes.dns import ask_dns, check_dns
from probes.errors import BadQuestion, Fault, NotAsked, ProbeError
from probes.foreign import FOREIGN, Circumstance, mapped
from probes.http import ask_http, check_http
from probes.ntp import ask_ntp, check_ntp
from probes.result import Found, Observation, ProbeResult, Question, ServiceState, Trace
from probes.sentences import Said
from probes.smtp import ask_smtp, check_smtp
from probes.target import split_target
from probes.tcp import ask_tcp, check_tcp
from probes.text import printable
from probes.tls import ask_tls, check_tls

Ask: TypeAlias = Callable[[Question, Observation], Awaitable[Found]]


@dataclass(frozen=True, slots=True)
class Probe:
    """How a kind is asked.

    check: raises BadQuestion where the question makes no sense, without asking.
    options: the fields of Question that matter to the kind besides target and timeout_seconds.
    """

    ask: Ask
    check: Callable[[Question], object]
    options: frozenset[str]


PROBES: Final[Mapping[str, Probe]] = {
    "dns": Probe(ask_dns, check_dns, frozenset({"query", "record_type", "transport", "expect"})),
    "http": Probe(
        ask_http,
        check_http,
        frozenset({"expect", "status", "proxy", "proxy_user", "proxy_password", "blocked", "ca_file"}),
    ),
    "smtp": Probe(ask_smtp, check_smtp, frozenset({"sender", "recipient", "starttls", "server_name", "ca_file"})),
    "ntp": Probe(ask_ntp, check_ntp, frozenset({"offset_seconds"})),
    "tcp": Probe(ask_tcp, check_tcp, frozenset()),
    "tls": Probe(ask_tls, check_tls, frozenset({"server_name", "ca_file"})),
}
"""Every kind of service that can be asked."""

_FAMILIES: Final = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


async def probe_service(kind: str, question: Question, trace: Trace | None = None) -> ProbeResult:
    """Ask once, within question.timeout_seconds. A service that is down is a result and no error.

    Raises BadQuestion alone: what cannot be asked of anybody. KeyError for a kind that is not in PROBES.
    """
    ask = PROBES[kind].ask
    observation = Observation(question.target, trace, family=_FAMILIES[question.family])
    try:
        async with asyncio.timeout(question.timeout_seconds):
            found = await ask(question, observation)
    except BadQuestion:
        raise
    except (ProbeError, *FOREIGN) as error:
        circumstance = Circumstance(observation, question.server_name or host_of(question), question.timeout_seconds)
        return _failed(kind, question, observation, mapped(error, circumstance))
    return _result(kind, question, observation, (ServiceState.UP, found.reason, found.facts))


def host_of(question: Question) -> str:
    """The host in the target, whatever its form."""
    target = question.target
    if "://" in target:
        return urlsplit(target).hostname or target
    return split_target(target, 1)[0]


def _failed(kind: str, question: Question, observation: Observation, error: ProbeError) -> ProbeResult:
    observation.tell(f"{type(error).__name__}: {error}")
    if isinstance(error, Fault):
        return _result(kind, question, observation, (ServiceState.DOWN, error.reason, error.facts))
    if isinstance(error, NotAsked):
        return _result(kind, question, observation, (ServiceState.UNKNOWN, error.reason, error.facts))
    facts = {"detail": printable(str(error))}
    return _result(kind, question, observation, (ServiceState.UNKNOWN, "not_asked", facts))


def _result(
    kind: str, question: Question, observation: Observation, verdict: tuple[ServiceState, str, Mapping[str, Said]]
) -> ProbeResult:
    return ProbeResult(
        kind,
        question.target,
        *verdict[:1],
        response_seconds=observation.response_seconds,
        phases=dict(observation.phases),
        reason=verdict[1],
        facts=dict(verdict[2]),
        evidence=tuple(observation.evidence),
        certificate_days=observation.certificate_days,
    )
