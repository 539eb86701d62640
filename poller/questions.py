"""What a probe is asked about a service of the estate, and the one way to ask it as it is configured."""

from dataclasses import replace
from pathlib import Path

from poller.secrets import SecretUnavailable
from poller.service import Service
from probes.result import ProbeResult, Question, ServiceState, Trace
from probes.services import probe_service


def question_of(service: Service, directory: Path) -> Question:
    """The question without its secrets; directory is the configuration's, to which ca_file is relative. Pure."""
    return Question(
        target=service.target,
        timeout_seconds=service.timeout,
        family=service.family,
        query=service.query,
        record_type=service.record_type,
        transport=service.transport,
        expect=service.expect,
        status=service.status,
        proxy=service.proxy,
        proxy_user=service.proxy_user,
        blocked=service.blocked,
        sender=service.sender,
        recipient=service.recipient,
        starttls=service.starttls,
        server_name=service.server_name,
        ca_file=None if service.ca_file is None else str(directory / service.ca_file),
        offset_seconds=service.offset_seconds,
    )


async def ask_service(service: Service, directory: Path, trace: Trace | None = None) -> ProbeResult:
    """Ask once. Secrets are read each time, so that a new password needs no restart.

    One that cannot be read makes the service unknown, not down.
    """
    question = question_of(service, directory)
    reference = service.proxy_password
    if reference is not None:
        try:
            question = replace(question, proxy_password=reference.read(directory).reveal())
        except SecretUnavailable:
            return not_asked(
                service, f"proxy_password: {reference} を読めません", f"proxy_password: {reference} cannot be read"
            )
    return await probe_service(service.kind, question, trace)


def not_asked(service: Service, japanese: str, english: str) -> ProbeResult:
    """The result where something of ours kept us from asking."""
    facts = {"detail": (japanese, english)}
    return ProbeResult(service.kind, service.target, ServiceState.UNKNOWN, None, {}, "not_asked", facts)
