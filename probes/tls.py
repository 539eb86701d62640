"""TLS: is the certificate trusted, for this name, and for how much longer."""

import ssl
import time
from typing import Final

from probes.certificates import context_for, distrust, see_certificate, verdict_facts
from probes.connect import Stream, open_stream
from probes.errors import RemoteError
from probes.result import Found, Observation, Question
from probes.target import split_target
from probes.text import printable

PORT: Final = 443


async def ask_tls(question: Question, observation: Observation) -> Found:
    """Shake hands as a client that verifies; where that fails, look at the certificate all the same."""
    host, port = split_target(question.target, PORT)
    name = question.server_name or host
    context = context_for(question.ca_file)
    async with open_stream(host, port, observation) as stream:
        try:
            await start_tls(stream, context, name, observation)
        except ssl.SSLCertVerificationError as error:
            distrusted = distrust(error, observation, name)
        else:
            observation.finish()
            shown = see_certificate(stream.writer.get_extra_info("ssl_object"), observation)
            if shown is None:
                detail = ("証明書がありません", "no certificate")
                raise RemoteError("tls_failed", peer=observation.peer, detail=detail)
            return Found(*verdict_facts(shown, printable(question.target), shown.days_left(time.time())))
    await _look(host, port, name, observation)
    raise distrusted


def check_tls(question: Question) -> None:
    """Raise BadQuestion where there is no sense in asking."""
    split_target(question.target, PORT)


async def start_tls(stream: Stream, context: ssl.SSLContext, name: str, observation: Observation) -> None:
    """Begin TLS on an open connection."""
    observation.enter("tls")
    observation.tell(f"TLS begins, for {name}")
    await stream.writer.start_tls(context, server_hostname=name)


async def _look(host: str, port: int, name: str, observation: Observation) -> None:
    """Read the certificate without trusting it: who is distrusted ought to be known."""
    try:
        unseen = Observation(observation.target, family=observation.family)
        async with open_stream(host, port, unseen) as stream:
            await start_tls(stream, context_for(None, verify=False), name, unseen)
            see_certificate(stream.writer.get_extra_info("ssl_object"), observation)
    except (OSError, EOFError) as error:
        observation.see("certificate", f"could not be read: {error}")
