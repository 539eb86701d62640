"""DNS as a client asks it: by UDP, and by TCP too, for a record or for its absence (RFC 1035, RFC 7766)."""

import secrets
import struct
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from dns.message import Message, QueryMessage

from probes.connect import open_exchange, open_stream
from probes.errors import BadQuestion, RemoteError
from probes.result import Found, Observation, Question
from probes.target import is_address, split_target
from probes.text import printable

PORT: Final = 53
ABSENT: Final = "NXDOMAIN"
_PAYLOAD: Final = 1232
_LENGTH: Final = struct.Struct("!H")


async def ask_dns(question: Question, observation: Observation) -> Found:
    """Ask for question.query; expect names the record, NXDOMAIN, or nothing (any record will do).

    An answer cut short by UDP is asked for by TCP, as clients do. The time told is that of the first whole answer.
    """
    host, port = split_target(question.target, PORT)
    query = make_query(question)
    answer = ""
    transports = {"both": ("udp", "tcp")}.get(question.transport, (question.transport,))
    truncated = False
    if "udp" in transports:
        observation.peer = f"{printable(question.target)} (UDP)"
        reply = await _by_udp(host, port, query, observation)
        truncated = bool(reply.flags & dns.flags.TC)
        if not truncated:
            observation.finish()
            answer = judge(reply, question, observation)
    if "tcp" in transports or truncated:
        observation.peer = f"{printable(question.target)} (TCP)"
        reply = await _by_tcp(host, port, query, observation)
        if observation.response_seconds is None:
            observation.finish()
        answer = judge(reply, question, observation)
    return Found("dns_answers", {"target": printable(question.target), "query": _name(question), "answer": answer})


def check_dns(question: Question) -> None:
    """Raise BadQuestion where there is no sense in asking."""
    split_target(question.target, PORT)
    make_query(question)


def make_query(question: Question) -> QueryMessage:
    """The query, with a random id, recursion desired and EDNS; raises BadQuestion."""
    if not question.query:
        raise BadQuestion("a DNS server is asked for a name: write it as query", "query")
    try:
        return dns.message.make_query(
            question.query, record_type_of(question), use_edns=0, payload=_PAYLOAD, id=secrets.randbits(16)
        )
    except (dns.exception.DNSException, UnicodeError) as error:
        raise BadQuestion(f"{question.query!r} cannot be asked of a DNS server: {error}", "query") from None


def record_type_of(question: Question) -> dns.rdatatype.RdataType:
    """The type that is given, else the one of the address expected, else A; raises BadQuestion."""
    word = question.record_type
    if word is None:
        expected_v6 = question.expect is not None and is_address(question.expect) and ":" in question.expect
        return dns.rdatatype.AAAA if expected_v6 else dns.rdatatype.A
    try:
        return dns.rdatatype.from_text(word)
    except (dns.exception.DNSException, ValueError):
        raise BadQuestion(f"{word!r} is no type of DNS records, such as A, AAAA, MX", "record_type") from None


def judge(reply: Message, question: Question, observation: Observation) -> str:
    """The answer as text where it is as expected; raises RemoteError where it is not. Pure but for the evidence."""
    wanted = record_type_of(question)
    answers = [printable(rdata.to_text(), 200) for rrset in reply.answer if rrset.rdtype == wanted for rdata in rrset]
    rcode = printable(dns.rcode.to_text(reply.rcode()))
    observation.see("rcode", rcode)
    if answers:
        observation.see("answer", ", ".join(answers[:8]))
    shown = printable(", ".join(answers[:4]))
    peer, query = observation.peer, _name(question)
    if question.expect == ABSENT:
        if rcode == ABSENT:
            return ABSENT
        if answers:
            raise RemoteError("dns_exists", peer=peer, query=query, answer=shown)
        raise RemoteError("dns_rcode", peer=peer, query=query, rcode=rcode, expect=ABSENT)
    if rcode != "NOERROR":
        raise RemoteError("dns_rcode", peer=peer, query=query, rcode=rcode, expect=question.expect or "NOERROR")
    if not answers:
        raise RemoteError("dns_no_record", peer=peer, query=query, record_type=dns.rdatatype.to_text(wanted))
    if question.expect is not None and _plain(question.expect) not in map(_plain, answers):
        raise RemoteError("dns_other_record", peer=peer, query=query, answer=shown, expect=question.expect)
    return shown


def _plain(record: str) -> str:
    """Records compare by meaning: addresses by value, names without case and last dot."""
    if is_address(record):
        return str(ip_address(record))
    return record.strip().rstrip(".").lower().replace('"', "")


def _name(question: Question) -> str:
    return printable(question.query or "")


def _decode(wire: bytes) -> Message:
    return dns.message.from_wire(wire, ignore_trailing=True)


async def _by_udp(host: str, port: int, query: QueryMessage, observation: Observation) -> Message:
    """The reply to our query; whatever else arrives is passed over (RFC 5452, 9.1), up to the deadline."""
    async with open_exchange(host, port, observation) as exchange:
        observation.tell(f"asking by UDP: {query.question[0]}")
        exchange.send(query.to_wire())
        while True:
            wire = await exchange.receive()
            if len(wire) < 2 or _LENGTH.unpack(wire[:2])[0] != query.id:  # noqa: PLR2004 - the id's octets
                observation.tell("passed over a datagram with another id")
                continue
            reply = _decode(wire)
            if query.is_response(reply):
                return reply
            observation.tell("passed over a datagram that answers another question")


async def _by_tcp(host: str, port: int, query: QueryMessage, observation: Observation) -> Message:
    wire = query.to_wire()
    async with open_stream(host, port, observation) as stream:
        observation.enter("first_byte")
        observation.tell(f"asking by TCP: {query.question[0]}")
        stream.writer.write(_LENGTH.pack(len(wire)) + wire)
        await stream.writer.drain()
        (length,) = _LENGTH.unpack(await stream.reader.readexactly(_LENGTH.size))
        observation.enter("rest")
        reply = _decode(await stream.reader.readexactly(length))
    if not query.is_response(reply):
        detail = ("別の質問への応答です", "it answers another question")
        raise RemoteError("malformed", peer=observation.peer, protocol="DNS", detail=detail)
    return reply
