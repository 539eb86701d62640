"""Simulated vendors: each profile recognises its own device and reads from it what is true."""

import re

import pytest

from poller.lab.examples_of import NoExample, example_of
from poller.lab.mib import View
from poller.lab.vendor import Truth, likeness, vendor_columns
from poller.profile_values import read_values
from poller.profiles import Detection, SystemGroup, load_profiles
from probes.snmp.oid import Oid
from probes.snmp.values import Missing, Value

PROFILES = load_profiles()
TRUTH = Truth(
    {
        "cpu_ratio": lambda _now: 0.37,
        "memory_ratio": lambda _now: 0.61,
        "sessions": lambda _now: 12_345,
        "sessions_limit": lambda _now: 50_000,
        "session_rate": lambda _now: 88.0,
    },
    opened=lambda _now: 987_654.0,
    ha_role=lambda: "standby",
)


def _walk(view: View) -> dict[Oid, Value]:
    found: dict[Oid, Value] = {}
    entry = view.next((0,), 0)
    while not isinstance(entry.value, Missing):
        found[entry.oid] = entry.value
        entry = view.next(entry.oid, 0)
    return found


@pytest.mark.parametrize("family", [profile.family for profile in PROFILES])
def test_a_profile_recognises_the_device_that_was_made_from_it(family: str) -> None:
    look = likeness(PROFILES[family])
    values = _walk(View(vendor_columns(PROFILES[family], TRUTH)))
    probed: dict[Oid, str | None] = {}
    while True:
        found = PROFILES.detect(SystemGroup(look.object_id, look.description, "x"), probed)
        if isinstance(found, Detection):
            break
        under = [value for oid, value in values.items() if oid[: len(found.probe.oid)] == found.probe.oid]
        answer = under[0] if under else None
        probed[found.probe.oid] = (
            answer.decode() if isinstance(answer, bytes) else None if answer is None else str(answer)
        )
    assert found.family == family


@pytest.mark.parametrize("family", [profile.family for profile in PROFILES])
def test_a_profile_reads_the_truth_from_the_device_that_was_made_from_it(family: str) -> None:
    profile = PROFILES[family]
    read = read_values(profile, _walk(View(vendor_columns(profile, TRUTH))))
    true = {"cpu_ratio": 0.37, "memory_ratio": 0.61, "sessions": 12_345, "sessions_limit": 50_000, "session_rate": 88.0}
    for name, value in read.values.items():
        if name == "ha_role":
            assert value in {"standby", "member"}
        elif name == "health":
            assert value == "ok"
        else:
            assert value == pytest.approx(true[name], rel=0.01)
    assert set(read.totals.values()) <= {987_654}
    for name, readings in profile.fields.items():
        if any(not reading.unverified for reading in readings):
            assert name not in read.missing


def test_an_example_of_an_expression_is_found_by_it() -> None:
    for text in (r"^(FITELnet )?F\d+\s", r"AW\+|Software \(AlliedWare Plus\)", "^[1-9]", r"\.60$", "(?i)^yes", "a.*b+"):
        assert re.search(text, example_of(re.compile(text)))
    with pytest.raises(NoExample):
        example_of(re.compile(r"(?=x)y\b"))
