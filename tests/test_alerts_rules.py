"""Which rules look at which series: what is remembered for many series must be true of each of them."""

from pathlib import Path

import pytest

from poller.alerts.rules import EstateFacts, RuleIndex, matches, split_on
from poller.alerts.subjects import subject_of
from poller.config import load
from poller.estate import Rule
from poller.sample import Sample

ESTATE = load(Path(__file__).parent.parent / "config" / "examples" / "prefecture").estate
SELECTORS = (
    {},
    {"devices": ["fw-*"]},
    {"interfaces": ["Gi0/1"]},
    {"interfaces": ["Gi0/*"], "devices": ["fw-1"]},
    {"roles": ["firewall"]},
    {"sites": ["dc"], "interfaces": ["*/2"]},
    {"kinds": ["breakout"]},
    {"line_groups": ["breakout"]},
    {"circuits": ["bo-1"]},
    {"tenants": ["mie*"]},
)


def rules(on: str) -> dict[str, Rule]:
    """One rule for each selector."""
    name = {"ja": "x", "en": "x"}
    return {
        f"r{at}": Rule.model_validate(
            {"id": f"r{at}", "name": name, "on": on, "above": 1, "severity": "minor", "where": where}
        )
        for at, where in enumerate(SELECTORS)
    }


def series() -> list[Sample]:
    """Interfaces of every device, every circuit, and every tenant on two lines; twice, for what is remembered."""
    tags = [
        *(
            ("interface", (("device", device), ("if_index", str(at)), ("interface", f"Gi0/{at}")))
            for device in (*ESTATE.devices, "stranger")
            for at in (1, 2)
        ),
        *(
            ("circuit", (("circuit", circuit.id), ("kind", circuit.kind.value), ("line_group", "")))
            for circuit in ESTATE.circuits.values()
        ),
        *(("tenant", (("tenant", id_), ("line", line))) for id_ in ESTATE.tenants for line in ESTATE.line_groups),
    ]
    return [Sample(measurement, each, {}, 0) for measurement, each in tags] * 2


@pytest.mark.parametrize("on", ["interface.in_errors_per_second", "circuit.in_committed_ratio", "tenant.in_cap_ratio"])
def test_the_index_answers_for_every_series_as_its_selectors_do(on) -> None:
    """48,000 interfaces share what a rule decides about a device; none may get another's answer."""
    estate = ESTATE.model_copy(update={"rules": rules(on)})
    index, facts = RuleIndex(estate), EstateFacts(estate)
    asked = [sample for sample in series() if sample.measurement == split_on(estate.rules["r0"])[0]]
    found = {}
    for sample in asked:
        subject = subject_of(sample)
        expected = [
            (id_, str(subject))
            for id_, rule in estate.rules.items()
            if matches(rule.where, facts.of(subject, sample.tags))
        ]
        assert expected == [watch.key for watch in index.watches(sample)]
        found[str(subject)] = tuple(id_ for id_, _ in expected)
    assert len(set(found.values())) > 1
