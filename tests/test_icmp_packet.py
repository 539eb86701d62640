"""Echo requests, replies and refusals as bytes."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.icmp_packet import (
    SMALLEST_PAYLOAD,
    EchoRefusal,
    Framing,
    PreparedEcho,
    decode_refusal,
    decode_reply,
    decode_sent,
    token_of,
)

TOKEN = bytes.fromhex("0123456789abcdef")
SEQUENCES = st.integers(0, 2**32 - 1)
SIZES = st.integers(SMALLEST_PAYLOAD, 300)


def ones_complement_sum(octets: bytes) -> int:
    """RFC 1071 by the book: 0xFFFF where the checksum in the octets is right."""
    total = 0
    for index in range(0, len(octets) + len(octets) % 2, 2):
        total += int.from_bytes((octets + b"\0")[index : index + 2])
        total = (total & 0xFFFF) + (total >> 16)
    return total


def request(sequence: int, *, ipv6: bool = False, payload_octets: int = 56) -> bytes:
    echo = PreparedEcho(ipv6=ipv6, identifier=0xBEEF, token=TOKEN, payload_octets=payload_octets)
    return bytes(echo.numbered(sequence))


def ipv4(payload: bytes, *, options: bytes = b"") -> bytes:
    length = 20 + len(options)
    first = struct.pack("!BBHHHBBH", 0x40 | length // 4, 0, length + len(payload), 0, 0, 64, 1, 0)
    return first + IPv4Address("192.0.2.1").packed + IPv4Address("192.0.2.2").packed + options + payload


def ipv6_header(payload: bytes) -> bytes:
    ends = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed
    return struct.pack("!IHBB", 6 << 28, len(payload), 58, 64) + ends + payload


def reply_to(echo: bytes, *, ipv6: bool = False) -> bytes:
    return bytes([129 if ipv6 else 0]) + echo[1:]


@given(sequence=SEQUENCES, payload_octets=SIZES)
def test_the_checksum_of_every_request_is_right(sequence, payload_octets):
    assert ones_complement_sum(request(sequence, payload_octets=payload_octets)) == 0xFFFF


@given(sequences=st.lists(SEQUENCES, min_size=2, max_size=5))
def test_a_prepared_request_sent_again_differs_in_sequence_and_checksum_only(sequences):
    echo = PreparedEcho(ipv6=False, identifier=7, token=TOKEN, payload_octets=56)
    once = [bytes(echo.numbered(sequence)) for sequence in sequences]
    fresh = [
        bytes(PreparedEcho(ipv6=False, identifier=7, token=TOKEN, payload_octets=56).numbered(sequence))
        for sequence in sequences
    ]
    assert once == fresh
    assert len({octets[:2] + octets[4:6] + octets[8:16] + octets[20:] for octets in once}) == 1


@given(sequence=SEQUENCES, payload_octets=SIZES)
@pytest.mark.parametrize("framing", list(Framing))
def test_a_reply_brings_back_token_and_whole_sequence(framing, sequence, payload_octets):
    ipv6 = framing is Framing.IPV6
    answer = reply_to(request(sequence, ipv6=ipv6, payload_octets=payload_octets), ipv6=ipv6)
    datagram = ipv4(answer, options=bytes(8)) if framing is Framing.IPV4_RAW else answer
    assert decode_reply(datagram, framing) == (TOKEN, sequence)
    assert decode_refusal(datagram, framing) is None


@pytest.mark.parametrize(("kind", "code"), [(3, 1), (3, 13), (11, 0)])
def test_a_refusal_on_the_way_names_the_echo_it_quotes(kind, code):
    quoted = struct.pack("!BBHI", kind, code, 0, 0) + ipv4(request(70_000))
    assert decode_refusal(ipv4(quoted), Framing.IPV4_RAW) == EchoRefusal(TOKEN, 70_000, kind, code)


@pytest.mark.parametrize(("kind", "code"), [(1, 0), (1, 3), (3, 0)])
def test_a_refusal_over_ipv6_names_the_echo_it_quotes(kind, code):
    quoted = struct.pack("!BBHI", kind, code, 0, 0) + ipv6_header(request(70_000, ipv6=True))
    assert decode_refusal(quoted, Framing.IPV6) == EchoRefusal(TOKEN, 70_000, kind, code)


def test_a_refusal_that_quotes_eight_octets_only_is_not_believed():
    quoted = struct.pack("!BBHI", 3, 1, 0, 0) + ipv4(request(5)[:8])
    assert decode_refusal(ipv4(quoted), Framing.IPV4_RAW) is None


def test_our_own_request_looped_back_is_no_reply():
    assert decode_reply(ipv4(request(5)), Framing.IPV4_RAW) is None
    assert decode_refusal(ipv4(request(5)), Framing.IPV4_RAW) is None


@given(st.binary(max_size=120), st.sampled_from(list(Framing)))
def test_any_octets_are_decoded_or_refused_but_never_raise(datagram, framing):
    reply, refusal = decode_reply(datagram, framing), decode_refusal(datagram, framing)
    assert reply is None or refusal is None
    assert {8} >= {len(said[0]) for said in (reply, refusal) if said is not None}


@given(st.binary(max_size=60), SEQUENCES, st.integers(SMALLEST_PAYLOAD, 368))
def test_what_left_is_known_by_its_end_whatever_headers_stand_in_front(headers, sequence, payload_octets):
    echo = PreparedEcho(ipv6=False, identifier=1, token=TOKEN, payload_octets=payload_octets).numbered(sequence)
    assert decode_sent(headers + bytes(echo), payload_octets) == (TOKEN, sequence)
    assert decode_sent(bytes(echo)[-payload_octets:][1:], payload_octets) is None
    assert decode_sent(b"", payload_octets) is None


@given(cut=st.integers(0, 80))
def test_a_datagram_cut_short_is_never_read_beyond_its_end(cut):
    whole = ipv4(struct.pack("!BBHI", 3, 1, 0, 0) + ipv4(request(9)))
    said = decode_refusal(whole[:cut], Framing.IPV4_RAW)
    assert said in {None, EchoRefusal(TOKEN, 9, 3, 1)}


def test_a_token_depends_on_key_and_target():
    tokens = {token_of(key, target) for key in (b"k" * 16, b"l" * 16) for target in (b"fw-1", b"fw-2")}
    assert len(tokens) == 4
