"""Live state: the last of everything, with its age, and nothing newer taken back by something older."""

from pathlib import Path

import pytest

from poller.config import load
from poller.sample import Sample
from poller.wall.flows import Flow
from poller.wall.live import LiveState

SECOND_NS = 10**9
NOON_NS = 1_795_230_000 * SECOND_NS
CONFIGURATION = """\
organisation: {name: Our network}
sites: {hall: {}}
credentials: {core: {version: "2c", community: "env:COMMUNITY"}}
devices:
  fw-1: {addresses: [192.0.2.1], role: firewall, site: hall, credentials: core}
  fw-2: {addresses: [192.0.2.2], role: firewall, site: hall, credentials: core}
circuits: {int-1: {kind: internet, ceiling_rate: 1G, measured_by: {device: fw-1, interface: wan1}}}
line_groups: {internet: {members: [int-1], ceiling_rate: 1G}}
tenants: {tsu: {name: {ja: 津市, en: Tsu}, attachments: [{line: internet, device: fw-1, interface: vlan1}]}}
"""


@pytest.fixture
def live(tmp_path: Path) -> LiveState:
    (tmp_path / "hinomi.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return LiveState(load(tmp_path, ()).estate)


def device(time_ns: int, key: str = "fw-1", **fields: float | str | bool) -> Sample:
    tags = (("device", key), ("role", "firewall"), ("site", "hall"))
    return Sample("device", tags, {"up": True, "quality": "observed", **fields}, time_ns)


def line_group(time_ns: int, rate: float) -> Sample:
    return Sample("line_group", (("line_group", "internet"),), {"in_bits_per_second": rate}, time_ns)


def test_before_the_first_reading_the_state_of_the_whole_is_unknown(live: LiveState) -> None:
    """R75: a wall that has seen nothing is not green."""
    assert "unknown" == live.whole(NOON_NS)["word"]


def test_a_reading_makes_it_normal_and_its_age_makes_it_unknown_again(live: LiveState) -> None:
    """R75: after two intervals without data nothing stays green."""
    live.observe([device(NOON_NS), device(NOON_NS, "fw-2")])
    assert "normal" == live.whole(NOON_NS + 60 * SECOND_NS)["word"]
    assert "unknown" == live.whole(NOON_NS + 300 * SECOND_NS)["word"]


def test_a_whole_of_which_little_is_known_is_not_called_normal(live: LiveState) -> None:
    """R75: one of two devices read is not a network that is well, and the wall says how many are missing."""
    live.observe([device(NOON_NS)])
    whole = live.whole(NOON_NS)
    assert ("unknown", "no data of 1 of 2 devices") == (whole["word"], whole["reason"]["en"])


def test_only_what_changed_is_sent(live: LiveState) -> None:
    version = live.snapshot(NOON_NS)["version"]
    live.observe([device(NOON_NS, cpu_ratio=0.31)])
    changed = live.snapshot(NOON_NS, since=version)
    assert {"devices", "version", "now_ns", "newest_ns", "whole", "notifications_per_minute"} == set(changed)
    assert [("fw-1", 0.31)] == [(entry["id"], entry["cpu"]) for entry in changed["devices"]]


def test_an_entry_that_did_not_change_is_not_sent_with_one_that_did(live: LiveState) -> None:
    live.observe([device(NOON_NS)])
    version = live.snapshot(NOON_NS)["version"]
    live.show_flows([Flow("tenant/tsu", 1e6, 1e6, NOON_NS)])
    live.show_states({"int-1": ("down", "no carrier")})
    changed = live.snapshot(NOON_NS, since=version)
    assert ["tsu"] == [entry["id"] for entry in changed["tenants"]]
    assert [("int-1", "down")] == [(entry["id"], entry["state"]) for entry in changed["circuits"]]
    assert "devices" not in changed
    assert ["fw-1", "fw-2"] == [entry["id"] for entry in live.snapshot(NOON_NS)["devices"]]


def test_notifications_are_counted_over_the_last_minute(live: LiveState) -> None:
    """Nothing is said before the first one; after a calm minute it is zero."""
    tags = (("device", "fw-1"), ("name", "linkDown"), ("severity", "notice"))
    assert None is live.snapshot(NOON_NS)["notifications_per_minute"]
    live.observe([Sample("notification", tags, {"text": "down"}, NOON_NS + k * SECOND_NS) for k in range(0, 30, 3)])
    assert 10 == live.snapshot(NOON_NS + 30 * SECOND_NS)["notifications_per_minute"]
    assert 0 == live.snapshot(NOON_NS + 120 * SECOND_NS)["notifications_per_minute"]


def test_unchanged_incidents_are_not_sent_again(live: LiveState) -> None:
    incident = {"id": "1", "severity": "minor", "title": {"ja": "断", "en": "down"}}
    live.show_incidents([incident])
    version = live.snapshot(NOON_NS)["version"]
    live.show_incidents([dict(incident)])
    assert "incidents" not in live.snapshot(NOON_NS, since=version)


def test_the_worst_incident_names_the_state_of_the_whole(live: LiveState) -> None:
    live.observe([device(NOON_NS)])
    live.show_incidents(
        [
            {"severity": "serious", "title": {"ja": "全断", "en": "all down"}},
            {"severity": "minor", "title": {"ja": "副断", "en": "backup down"}},
        ]
    )
    whole = live.whole(NOON_NS)
    assert ("serious", "all down", 1, 1) == (whole["word"], whole["reason"]["en"], whole["serious"], whole["minor"])


def test_a_slot_that_closes_late_does_not_take_back_a_newer_flow(live: LiveState) -> None:
    live.show_flows([Flow("line_group/internet", 5e8, 1e8, NOON_NS + 90 * SECOND_NS)])
    live.observe([line_group(NOON_NS, 4e8)])
    (entry,) = live.snapshot(NOON_NS)["line_groups"]
    assert (5e8, NOON_NS + 90 * SECOND_NS) == (entry["in"], entry["time_ns"])
    assert [4e8] == live.snapshot(NOON_NS)["history"]["internet"]["in"]


def test_an_amended_slot_replaces_its_point(live: LiveState) -> None:
    live.observe([line_group(NOON_NS, 4e8), line_group(NOON_NS, 4.5e8)])
    assert [4.5e8] == live.snapshot(NOON_NS)["history"]["internet"]["in"]


def test_the_line_does_not_run_over_what_nobody_saw(live: LiveState) -> None:
    """An hour without a watch is a gap in the picture."""
    live.remember("internet", [(NOON_NS - 3600 * SECOND_NS, 4e8, 1e8)])
    live.observe([line_group(NOON_NS, 5e8)])
    drawn = live.snapshot(NOON_NS)["history"]["internet"]
    noon = NOON_NS // SECOND_NS
    assert ([noon - 3600, noon - 3599, noon], [4e8, None, 5e8]) == (drawn["time"], drawn["in"])
