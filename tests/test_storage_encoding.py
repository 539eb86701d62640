"""A record's bytes: nothing is changed on the way, and damage is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.sample import Quality, Sample
from poller.storage.encoding import block_samples, decode, encode, split_encodable
from poller.storage.errors import UnreadableRecord

_names = st.text(min_size=1, max_size=8)
_values = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), -1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(max_size=20),
)
_samples = st.builds(
    Sample,
    measurement=st.sampled_from(("interface", "device", "tenant")),
    tags=st.lists(st.tuples(_names, st.text(max_size=8)), max_size=3, unique_by=lambda pair: pair[0]).map(tuple),
    fields=st.dictionaries(_names, _values, max_size=4),
    time_ns=st.integers(0, 2**62),
)


def _decoded(body: bytes) -> list[Sample]:
    return [sample for block in decode(body) for sample in block_samples(block)]


def _typed(samples: list[Sample]) -> list[str]:
    return sorted(repr((s.measurement, s.tags, dict(s.fields), s.time_ns)) for s in samples)


@given(st.lists(_samples, max_size=20))
def test_what_goes_in_comes_out_with_the_same_types(samples: list[Sample]) -> None:
    assert _typed(samples) == _typed(_decoded(encode(samples)))


def test_a_series_keeps_its_order_of_arrival() -> None:
    samples = [Sample("device", (("device", "fw-1"),), {"sessions": n}, n) for n in (3, 1, 2)]
    assert samples == _decoded(encode(samples))


def test_a_quality_is_kept_as_its_word() -> None:
    body = encode([Sample("device", (), {"quality": Quality.FAILED}, 1)])
    assert [sample.fields for sample in _decoded(body)] == [{"quality": "failed"}]


def test_counters_reach_two_to_the_64() -> None:
    samples = [Sample("interface", (), {"in_octets_total": 2**64 - 1}, 1)]
    assert samples == _decoded(encode(samples))


@pytest.mark.parametrize("damage", [b"", b"HJ", b"XX\x01abc", b"HJ\x02abc", b"HJ\x01not zlib"])
def test_bytes_that_are_no_record_are_refused(damage: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        decode(damage)


@given(st.data())
def test_a_flipped_bit_never_yields_other_samples(data: st.DataObject) -> None:
    samples = [Sample("device", (("device", "fw-1"),), {"sessions": 7}, 5)]
    body = bytearray(encode(samples))
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = _decoded(bytes(body))
    except UnreadableRecord:
        return
    assert samples == found


def test_a_value_that_cannot_be_kept_is_told_apart_from_its_neighbours() -> None:
    good = Sample("device", (), {"sessions": 1}, 1)
    huge = Sample("device", (), {"sessions": 2**64}, 1)
    strange = Sample("device", (), {"sessions": object()}, 1)  # type: ignore[dict-item]
    kept, refused = split_encodable([huge, good, strange])
    assert ([good], [huge, strange]) == (kept, [sample for sample, _ in refused])
