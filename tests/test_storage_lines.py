"""Line protocol: exact, escaped, and typed by the schema."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from influxdb_client import Point

from poller.sample import FieldValue, Sample
from poller.storage.encoding import make_blocks
from poller.storage.lines import LineEncoder, to_unsigned


def _lines(*samples: Sample, texts: bool = True) -> list[str]:
    encoder = LineEncoder(texts=texts)
    return [line for block in make_blocks(samples) for line in encoder.lines(block)]


def _device(fields: dict[str, FieldValue], device: str = "fw-1") -> Sample:
    return Sample("device", (("device", device), ("role", "firewall")), fields, 1_800_000_000_000_000_001)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sessions": 12}, "sessions=12i"),
        ({"cpu_ratio": 0.25}, "cpu_ratio=0.25"),
        ({"cpu_ratio": 1}, "cpu_ratio=1"),
        ({"cpu_ratio": 1e22}, "cpu_ratio=1e22"),
        ({"up": True}, "up=True"),
        ({"up": False, "sessions": 0}, "up=False,sessions=0i"),
        ({"reason": 'a "quoted" \\ path, = b'}, r'reason="a \"quoted\" \\ path, = b"'),
        ({"sessions": 2**63 - 1}, "sessions=9223372036854775807i"),
        ({"sessions": 2**63}, "sessions=-9223372036854775808i"),
        ({"sessions": 2**64 - 1}, "sessions=-1i"),
    ],
)
def test_a_field_is_written_as_the_schema_types_it(fields: dict[str, FieldValue], expected: str) -> None:
    assert [f"device,device=fw-1,role=firewall {expected} 1800000000000000001"] == _lines(_device(fields))


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("a b", r"a\ b"),
        ("a,b=c", r"a\,b\=c"),
        ("Gi1/0/1", "Gi1/0/1"),
        ("a\nb", r"a\ b"),
        ("back\\", "back\\/"),
        ("東京", "東京"),
    ],
)
def test_tags_are_escaped(tag: str, expected: str) -> None:
    (line,) = _lines(_device({"sessions": 1}, tag))
    assert f"device,device={expected},role=firewall sessions=1i 1800000000000000001" == line


def test_an_empty_tag_is_left_out() -> None:
    assert ["device,role=firewall sessions=1i 1800000000000000001"] == _lines(_device({"sessions": 1}, ""))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "text", True])
def test_a_value_that_is_no_number_is_left_out_and_its_neighbours_stay(value: FieldValue) -> None:
    bad, good = _device({"cpu_ratio": value, "sessions": 1}), _device({"cpu_ratio": 0.5, "sessions": 2})
    head, time = "device,device=fw-1,role=firewall", "1800000000000000001"
    assert [f"{head} sessions=1i {time}", f"{head} cpu_ratio=0.5,sessions=2i {time}"] == _lines(bad, good)


def test_a_sample_without_a_field_that_can_be_written_has_no_line() -> None:
    assert [] == _lines(_device({"cpu_ratio": float("nan")}))


def test_finite_numbers_whose_sum_is_not_are_written() -> None:
    assert 2 == len(_lines(_device({"cpu_ratio": 1e308}), _device({"cpu_ratio": 1e308})))


def test_texts_can_be_left_out_for_a_store_of_numbers() -> None:
    sample = _device({"quality": "observed", "sessions": 1})
    assert ["device,device=fw-1,role=firewall sessions=1i 1800000000000000001"] == _lines(sample, texts=False)
    assert [] == _lines(_device({"quality": "observed"}), texts=False)


@given(st.integers(0, 2**64 - 1))
def test_every_counter_comes_back_as_it_was(value: int) -> None:
    """Two's complement in a signed field loses no bit (R34)."""
    (line,) = _lines(_device({"sessions": value}))
    written = int(line.split("sessions=")[1].split("i ")[0])
    assert -(2**63) <= written < 2**63
    assert value == to_unsigned(written)


_text = st.text(
    st.characters(min_codepoint=32, exclude_characters="\\\x7f", exclude_categories=("Cs",)), min_size=1, max_size=12
)


@given(
    tag=_text, reason=_text, ratio=st.floats(allow_nan=False, allow_infinity=False), sessions=st.integers(0, 2**63 - 1)
)
def test_a_line_says_the_same_as_the_clients_point(tag: str, reason: str, ratio: float, sessions: int) -> None:
    sample = Sample(
        "device", (("device", tag),), {"cpu_ratio": ratio, "reason": reason, "sessions": sessions, "up": True}, 7
    )
    point = (
        Point("device").tag("device", tag).field("cpu_ratio", ratio).field("reason", reason).field("sessions", sessions)
    )
    expected = point.field("up", True).time(7).to_line_protocol()
    (line,) = _lines(sample)
    assert _parsed(expected) == _parsed(line)


def _parsed(line: str) -> str:
    """The line with its float, which each side writes its own way, read as a number, and one word for true."""
    head, rest = line.split(" cpu_ratio=", 1)
    number, rest = rest.split(",", 1)
    return f"{head} {float(number)!r} {rest.replace('up=True', 'up=true')}"
