"""How large a reply will be, before it is asked for: pure arithmetic (R15)."""

from collections.abc import Sequence
from functools import lru_cache

from probes.snmp.ber import encode_oid
from probes.snmp.device import FIRST_REPLY_OCTETS, Device
from probes.snmp.oid import Oid

MESSAGE_OCTETS = 64
"""Header of a v1 or v2c message with a community of common length."""

V3_MESSAGE_OCTETS = 160
VALUE_OCTETS = 8
"""A Counter64 below 2^63, which 100 Gbps reach after 23 years; strings may be longer, then the agent says tooBig."""

_ROW_HEADERS = 6


@lru_cache(maxsize=16384)
def reply_octets(oid: Oid) -> int:
    """Estimate of one varbind in a reply."""
    return len(encode_oid(oid)) + _ROW_HEADERS + VALUE_OCTETS


def room_for_varbinds(device: Device, *, v3: bool) -> int:
    """Octets of a reply that may be varbinds."""
    return min(FIRST_REPLY_OCTETS, device.max_size) - (V3_MESSAGE_OCTETS if v3 else MESSAGE_OCTETS)


def cut_to_size(oids: Sequence[Oid], places: Sequence[int], device: Device, *, v3: bool = False) -> list[Sequence[int]]:
    """Cut places into consecutive runs whose replies fit; oids[place] is what is asked at a place."""
    room, limit = room_for_varbinds(device, v3=v3), device.size.limit
    runs: list[Sequence[int]] = []
    run: list[int] = []
    used = 0
    for place in places:
        octets = reply_octets(oids[place])
        if run and (used + octets > room or len(run) >= limit):
            runs.append(run)
            run, used = [], 0
        run.append(place)
        used += octets
    if run:
        runs.append(run)
    return runs
