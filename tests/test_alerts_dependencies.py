"""Who hangs on whom, and whom a fault reaches."""

from pathlib import Path

import pytest

from poller.alerts.dependencies import Dependencies
from poller.alerts.subjects import Subject
from poller.config import ConfigurationError, load
from poller.estate import Estate


def entry(id_, **more):
    return {"id": id_, "name": {"ja": id_, "en": id_}, **more}


def device(id_, number, **more):
    return entry(id_, addresses=[f"192.0.2.{number}"], role="switch", site="dc", **more)


def circuit(id_, device_, **more):
    return entry(id_, kind="internet", ceiling_rate="1G", measured_by={"device": device_, "interface": "wan0"}, **more)


ESTATE = Estate.model_validate(
    {
        "organisation": {"name": {"ja": "x", "en": "x"}},
        "sites": {"dc": entry("dc")},
        "redundancy_groups": {
            "core": entry("core", mode="shared"),
            "lines": entry("lines"),
            "three": entry("three", mode="shared", needed=2),
        },
        "devices": {
            d["id"]: d
            for d in (
                device("core-1", 1, redundancy_group="core"),
                device("core-2", 2, redundancy_group="core"),
                device("access", 3, parents=["core"]),
                device("leaf", 4, parents=["access"]),
                device("rt-1", 5, parents=["core"]),
                device("rt-2", 6, parents=["core"]),
                device("far", 7, parents=["lines"]),
                device("p-1", 8, redundancy_group="three"),
                device("p-2", 9, redundancy_group="three"),
                device("p-3", 10, redundancy_group="three"),
                device("round-1", 11, parents=["round-2"]),
                device("round-2", 12, parents=["round-1"]),
            )
        },
        "circuits": {
            "int-1": circuit("int-1", "rt-1", redundancy_group="lines"),
            "int-2": circuit("int-2", "rt-2", redundancy_group="lines", preferred="standby"),
        },
        "line_groups": {"internet": entry("internet", members=["int-1", "int-2"], ceiling_rate="2G")},
        "tenants": {
            "tsu": entry("tsu", attachments=[{"line": "internet", "device": "leaf", "interface": "v1"}]),
            "ise": entry(
                "ise",
                attachments=[
                    {"line": "internet", "device": "leaf", "interface": "v2"},
                    {"line": "internet", "device": "rt-1", "interface": "v2"},
                ],
            ),
        },
        "services": {
            "web": entry("web", kind="http", target="http://web", devices=["p-1", "p-2"]),
        },
    }
)
GRAPH = Dependencies(ESTATE)


@pytest.mark.parametrize(
    ("subject", "down", "inhibitor"),
    [
        ("device/leaf", {"device/leaf"}, None),
        ("device/leaf", {"device/leaf", "device/access"}, "device/access"),
        ("device/leaf", {"device/access", "device/core-1"}, "device/access"),
        ("device/leaf", {"device/access", "device/core-1", "device/core-2"}, "device/core-2"),
        ("device/leaf", {"device/core-1", "device/core-2"}, "device/core-2"),
        ("device/far", {"circuit/int-1"}, None),
        ("device/far", {"circuit/int-1", "circuit/int-2"}, "circuit/int-2"),
        ("circuit/int-1", {"device/rt-1"}, "device/rt-1"),
        ("circuit/int-2", {"device/rt-1"}, None),
        ("interface/rt-1/wan0", {"device/rt-1"}, "device/rt-1"),
        ("service/web", {"device/p-1"}, "device/p-1"),
        ("tenant/tsu/internet", {"device/leaf"}, None),
        ("device/leaf", {"daemon/self/isolation"}, "daemon/self/isolation"),
        ("daemon/self/isolation", {"daemon/self/isolation"}, None),
        ("device/round-1", {"device/round-2"}, "device/round-2"),
    ],
)
def test_the_highest_cause_inhibits(subject, down, inhibitor) -> None:
    """Essential parents and redundancy groups (R53)."""
    assert GRAPH.inhibitor(Subject.parse(subject), down) == inhibitor


@pytest.mark.parametrize(
    ("down", "serving"),
    [(set(), True), ({"device/p-1"}, True), ({"device/p-1", "device/p-3"}, False)],
)
def test_a_group_serves_while_it_has_the_members_it_needs(down, serving) -> None:
    """Redundancy left (R56)."""
    assert GRAPH.serves(ESTATE.redundancy_groups["three"], down) is serving


@pytest.mark.parametrize(
    ("subject", "anchor"),
    [
        ("circuit/int-1", "group/lines"),
        ("interface/rt-1/wan0", "group/lines"),
        ("interface/rt-1/lan0", "device/rt-1"),
        ("line_group/internet", "group/lines"),
        ("device/core-2", "group/core"),
        ("notification/leaf/linkDown", "device/leaf"),
        ("tenant/tsu/internet", "tenant/tsu"),
    ],
)
def test_what_comes_from_one_place_has_one_anchor(subject, anchor) -> None:
    assert GRAPH.anchor(Subject.parse(subject)) == anchor


@pytest.mark.parametrize(
    ("subject", "down", "tenants"),
    [
        ("circuit/int-1", {"circuit/int-1"}, ()),
        ("circuit/int-1", {"circuit/int-1", "circuit/int-2"}, ("tsu", "ise")),
        ("line_group/internet", {"line_group/internet", "circuit/int-1", "circuit/int-2"}, ("tsu", "ise")),
        ("device/leaf", {"device/leaf"}, ("tsu",)),
        ("device/access", {"device/access"}, ("tsu",)),
        ("device/core-1", {"device/core-1"}, ()),
        ("device/core-1", {"device/core-1", "device/core-2"}, ("tsu", "ise")),
        ("device/far", {"device/far"}, ()),
        ("tenant/ise/internet", set(), ("ise",)),
    ],
)
def test_a_tenant_is_affected_when_no_way_is_left(subject, down, tenants) -> None:
    """Affected tenants, through circuits and attachments (R58)."""
    assert GRAPH.affected([Subject.parse(subject)], down).tenants == tenants


def test_a_service_is_affected_when_none_of_its_devices_is_left() -> None:
    one, both = {"device/p-1"}, {"device/p-1", "device/p-2"}
    subjects = [Subject("device", "p-1"), Subject("device", "p-2")]
    assert GRAPH.affected(subjects, one).services == ()
    assert GRAPH.affected(subjects, both).services == ("web",)


def test_a_loop_ends_the_walk() -> None:
    assert GRAPH.ancestors(Subject("device", "round-1")) == ("device/round-2",)


@pytest.mark.parametrize("text", ["device/fw-1", "interface/sw-1/Gi1/0/24", "tenant/tsu/internet"])
def test_a_subject_reads_back_as_it_was_written(text) -> None:
    assert str(Subject.parse(text)) == text


def test_parents_in_a_circle_are_refused_when_the_configuration_is_loaded() -> None:
    """Cycles (R53), told with the whole circle."""
    with pytest.raises(ConfigurationError, match="runs in a circle: fw-1 -> sw-1 -> fw-1"):
        load(Path(__file__).parent / "broken" / "parents-in-a-circle", ())
