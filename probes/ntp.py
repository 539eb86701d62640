"""NTP: does the server give the time, does it trust its own clock, and how far is that from ours (RFC 5905)."""

import secrets
import time
from typing import Final

from probes.connect import open_exchange
from probes.errors import RemoteError
from probes.ntp_packet import LARGEST_STRATUM, UNSYNCHRONISED, Malformed, NtpReply, decode_reply, encode_query
from probes.result import Found, Observation, Question
from probes.target import split_target
from probes.text import printable

PORT: Final = 123


async def ask_ntp(question: Question, observation: Observation) -> Found:
    """Ask once; the offset may be at most question.offset_seconds, either way."""
    host, port = split_target(question.target, PORT)
    nonce = secrets.randbits(64)
    async with open_exchange(host, port, observation) as exchange:
        observation.tell("asking for the time")
        sent = time.time()
        exchange.send(encode_query(nonce))
        while True:
            datagram = await exchange.receive()
            received = time.time()
            try:
                reply = decode_reply(datagram, received)
            except Malformed as error:
                raise RemoteError("malformed", peer=observation.peer, protocol="NTP", detail=str(error)) from None
            if reply.origin == nonce:
                break
            observation.tell("passed over an answer to somebody else's question")
    observation.finish()
    return judge(reply, reply.offset_seconds(sent, received), question, observation)


def check_ntp(question: Question) -> None:
    """Raise BadQuestion where there is no sense in asking."""
    split_target(question.target, PORT)


def judge(reply: NtpReply, offset_seconds: float, question: Question, observation: Observation) -> Found:
    """Whether the answer is one to set a clock by; raises RemoteError where it is not. Pure but for the evidence."""
    target = printable(question.target)
    observation.see("stratum", str(reply.stratum))
    observation.see("leap", str(reply.leap))
    if reply.kiss_code:
        raise RemoteError("ntp_kiss", target=target, code=printable(reply.kiss_code))
    observation.see("offset", f"{offset_seconds:+.6f} s")
    observation.see("root", f"delay {reply.root_delay_seconds:.6f} s, dispersion {reply.root_dispersion_seconds:.6f} s")
    if reply.leap == UNSYNCHRONISED or not 1 <= reply.stratum <= LARGEST_STRATUM:
        detail = f"leap {reply.leap}, stratum {reply.stratum}"
        raise RemoteError("ntp_unsynchronised", target=target, detail=detail)
    if abs(offset_seconds) > question.offset_seconds:
        limit = f"{question.offset_seconds:g}"
        raise RemoteError("ntp_offset", target=target, offset=f"{offset_seconds:+.3f}", limit=limit)
    facts = {"target": target, "offset": f"{offset_seconds:+.3f}", "stratum": str(reply.stratum)}
    return Found("ntp_answers", facts)
