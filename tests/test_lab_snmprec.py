"""Recordings: every type, hexadecimal octets, order, and lines that cannot be read."""

import os
from pathlib import Path

import pytest

from poller.lab.snmprec import BadRecording, parse_line, parse_recording
from probes.snmp.values import VarBind

BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "devices" / "recordings"
RECORDINGS = Path(os.environ.get("HINOMI_RECORDINGS", BESIDE))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1.3.6.1.2.1.1.1.0|4|Cisco | IOS", VarBind((1, 3, 6, 1, 2, 1, 1, 1, 0), b"Cisco | IOS", 4)),
        (".1.3.6.1.2.1.1.2.0|6|.1.3.6.1.4.1.9.1", VarBind((1, 3, 6, 1, 2, 1, 1, 2, 0), (1, 3, 6, 1, 4, 1, 9, 1), 6)),
        ("1.3.6.1.2.1.2.2.1.6|4x|0012e2d8a8", VarBind((1, 3, 6, 1, 2, 1, 2, 2, 1, 6), b"\x00\x12\xe2\xd8\xa8", 4)),
        ("1.3.6.1.2.1.4.20.1.1.5|64|10.0.0.1", VarBind((1, 3, 6, 1, 2, 1, 4, 20, 1, 1, 5), b"\x0a\x00\x00\x01", 64)),
        ("1.3.6.1.2.1.4.20.1.1.5|64x|0a000001", VarBind((1, 3, 6, 1, 2, 1, 4, 20, 1, 1, 5), b"\x0a\x00\x00\x01", 64)),
        ("1.3.6.1.9|2|-5", VarBind((1, 3, 6, 1, 9), -5, 2)),
        ("1.3.6.1.9|2x|ff", VarBind((1, 3, 6, 1, 9), -1, 2)),
        ("1.3.6.1.9|66|4294967297", VarBind((1, 3, 6, 1, 9), 1, 66)),
        ("1.3.6.1.9|70|18446744073709551615", VarBind((1, 3, 6, 1, 9), 2**64 - 1, 70)),
        ("1.3.6.1.9|67:numeric|78707167", VarBind((1, 3, 6, 1, 9), 78707167, 67)),
        ("1.3.6.1.9|5|", VarBind((1, 3, 6, 1, 9), None, 5)),
    ],
)  # fmt: skip
def test_a_line_is_read_with_its_type(line: str, expected: VarBind) -> None:
    assert expected == parse_line(line)


@pytest.mark.parametrize(
    "line", ["1.3.6.1|4", "1.3.six|4|x", "1.3.6|99|x", "1.3.6|64|<private>", "1.3.6|4x|zz", "9.9|2|1"]
)
def test_a_line_that_is_no_object_is_refused(line: str) -> None:
    with pytest.raises(BadRecording):
        parse_line(line)


def test_objects_come_in_the_order_of_numbers_not_of_text() -> None:
    recording = parse_recording("1.3.6.10|2|1\r\n# comment\n\n1.3.6.9|2|2\n1.3.6.10|2|3\n1.3.6.8|64|<private>\n")
    assert (VarBind((1, 3, 6, 9), 2, 2), VarBind((1, 3, 6, 10), 3, 2)) == recording.objects
    assert 1 == len(recording.refused)
    assert recording.refused[0].startswith("line 6: ")


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings of real devices are not part of the project")
def test_recordings_of_real_devices_are_read_but_for_what_was_blackened() -> None:
    objects = refused = 0
    for path in RECORDINGS.glob("*.snmprec"):
        recording = parse_recording(path.read_text(encoding="utf-8"))
        objects += len(recording.objects)
        refused += len(recording.refused)
    assert 60_000 < objects
    assert refused < objects // 100
