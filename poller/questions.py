"""What a probe is asked about a service of the estate. Pure."""

from pathlib import Path

from poller.estate import Service
from probes.result import Question


def question_of(service: Service, directory: Path) -> Question:
    """The question; directory is the configuration's, to which ca_file is relative."""
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
        blocked=service.blocked,
        sender=service.sender,
        recipient=service.recipient,
        starttls=service.starttls,
        server_name=service.server_name,
        ca_file=None if service.ca_file is None else str(directory / service.ca_file),
        offset_seconds=service.offset_seconds,
    )
