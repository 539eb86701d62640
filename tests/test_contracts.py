"""The estate's contracts, mapped: capacity, direction, nesting."""

from dataclasses import replace

from poller.accounts import Account, Member
from poller.contracts import CapContract, contracts_of
from poller.estate import (
    Attachment,
    Cap,
    Circuit,
    CircuitKind,
    Estate,
    LineGroup,
    MeasuredBy,
    Name,
    Organisation,
    RedundancyGroup,
    Tenant,
)

NAME = Name(ja="名", en="name")


def circuit(id_: str, **more: object) -> Circuit:
    return Circuit(
        id=id_,
        name=NAME,
        kind=CircuitKind.INTERNET,
        ceiling_rate="2G",
        measured_by=MeasuredBy(device=f"rt-{id_}", interface="wan0", inward=more.pop("inward", "in")),
        **more,
    )


def estate() -> Estate:
    return Estate(
        organisation=Organisation(name=NAME),
        redundancy_groups={
            "pair": RedundancyGroup(id="pair", name=NAME),
            "boxes": RedundancyGroup(id="boxes", name=NAME),
        },
        circuits={
            "a": circuit("a", committed_rate="1G", redundancy_group="pair"),
            "b": circuit("b", inward="out", redundancy_group="pair", preferred="standby"),
        },
        line_groups={
            "all": LineGroup(id="all", name=NAME, members=("internet", "a"), ceiling_rate="4G"),
            "internet": LineGroup(id="internet", name=NAME, members=("a", "b"), ceiling_rate="3G"),
        },
        tenants={
            "tsu": Tenant(
                id="tsu",
                name=NAME,
                attachments=(
                    Attachment(line="internet", device="fw-1", interface="vlan1"),
                    Attachment(line="internet", device="fw-2", interface="vlan1"),
                    Attachment(line="a", device="rt-9", interface="x1", inward="in"),
                ),
                caps=(Cap(line="internet", sustained_rate="100M"),),
            )
        },
    )


def test_a_nested_group_holds_each_circuit_once_and_a_circuit_names_its_nearest_group() -> None:
    contracts = contracts_of(estate())
    assert set(contracts.line_groups["all"].circuits) == {"a", "b"}
    assert len(contracts.line_groups["all"].circuits) == 2
    assert contracts.circuits["b"].line_group == "internet"


def test_rates_direction_and_preference_come_from_the_contract() -> None:
    """(R61)"""
    contracts = contracts_of(estate())
    assert (contracts.circuits["a"].committed_rate, contracts.circuits["a"].ceiling_rate) == (10**9, 2 * 10**9)
    assert contracts.circuits["b"].member == Member("rt-b", "wan0", reversed=True)
    assert (contracts.circuits["a"].preferred_active, contracts.circuits["b"].preferred_active) == (True, False)


def test_groups_of_devices_alone_are_no_redundancy_of_circuits() -> None:
    assert {each.id: each.circuits for each in contracts_of(estate()).redundancy_groups.values()} == {
        "pair": ("a", "b")
    }


def test_accounts_sum_lines_groups_and_tenants_by_line_and_in_total() -> None:
    """(R62)"""
    accounts = {account.id: account for account in contracts_of(estate()).accounts()}
    assert set(accounts) == {
        "circuit/a",
        "circuit/b",
        "line_group/all",
        "line_group/internet",
        "tenant/tsu",
        "tenant/tsu/internet",
        "tenant/tsu/a",
    }
    tsu = (Member("fw-1", "vlan1", reversed=True), Member("fw-2", "vlan1", reversed=True))
    assert accounts["tenant/tsu/internet"] == Account("tenant/tsu/internet", tsu)
    assert accounts["tenant/tsu"].members == (*tsu, Member("rt-9", "x1"))


def test_an_account_waits_for_its_slowest_device() -> None:
    contracts = replace(contracts_of(estate()), interval_ns={"fw-2": 300 * 10**9})
    waits = {account.id: account.interval_ns // 10**9 for account in contracts.accounts()}
    assert (waits["tenant/tsu/internet"], waits["tenant/tsu/a"]) == (300, 60)


def test_caps_travel_whole() -> None:
    assert contracts_of(estate()).tenants["tsu"].caps == (CapContract(line="internet", sustained_rate=100_000_000),)


def test_a_line_is_a_group_or_a_circuit() -> None:
    contracts = contracts_of(estate())
    assert (contracts.line_account("internet"), contracts.line_account("a")) == ("line_group/internet", "circuit/a")
