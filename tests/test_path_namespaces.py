"""The path probe through a chain of routers of our own, by its production process."""

import json
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from poller.lab.namespaces import Chain, unique, why_not
from probes.errors import LocalError
from probes.path import Path, PathQuestion, Said, Way, command_of, read_answer

pytestmark = pytest.mark.skipif(bool(reason := why_not()), reason=reason or "permitted")
BEYOND = {4: "10.8.4.2", 6: "fd08:4::2"}


@pytest.fixture
def chain() -> Iterator[Chain]:
    """us 10.8.1.1 -- gateway -- near -- far -- beyond 10.8.4.2."""
    chain = Chain(unique("path"), ("us", "gateway", "near", "far", "beyond"))
    yield chain
    chain.delete()


def trace(chain: Chain, address: str, **given: object) -> Path:
    question = PathQuestion(ip_address(address), **({"hops": 6, "timeout_seconds": 1.0} | given))
    command = chain.nodes[0].command(*command_of(question))
    ran = subprocess.run(command, capture_output=True, check=False)
    return read_answer(question, ran.stdout, ran.stderr)


def last(path: Path) -> dict[Way, tuple[int, str, Said] | None]:
    return {
        found.way: None if found.last is None else (found.last.ttl, found.last.address, found.last.said)
        for found in path.ways
    }


@pytest.mark.parametrize("version", [4, 6])
def test_every_way_reaches_a_target_that_is_there(chain, version) -> None:
    """(R41)"""
    path = trace(chain, BEYOND[version])
    assert dict.fromkeys(Way, (4, BEYOND[version], Said.REACHED)) == last(path)
    assert all(found.reached and [1, 2, 3, 4] == [hop.ttl for hop in found.hops] for found in path.ways)
    between = {4: ["10.8.1.2", "10.8.2.2", "10.8.3.2"], 6: ["fd08:1::2", "fd08:2::2", "fd08:3::2"]}[version]
    assert between == [hop.address for hop in path.ways[0].hops[:-1]]


@pytest.mark.parametrize("version", [4, 6])
def test_behind_a_pulled_cable_the_last_router_before_it_is_named(chain, version) -> None:
    """(R41)"""
    chain.pull(4)
    path = trace(chain, BEYOND[version])
    assert not any(found.reached for found in path.ways)
    before = {4: "10.8.3.2", 6: "fd08:3::2"}[version]
    assert {before} == {found.last.address for found in path.ways if found.last is not None}
    assert {3} <= {found.last.ttl for found in path.ways if found.last is not None}


def test_a_firewall_that_lets_only_the_service_through_shows_in_the_ways(chain) -> None:
    """ICMP and UDP die at the firewall, TCP to the service's port passes; another port does not."""
    far = chain.nodes[3]
    far.run("nft", "add table inet wall")
    far.run("nft", "add chain inet wall through { type filter hook forward priority 0; policy drop; }")
    far.run("nft", "add rule inet wall through tcp dport 8080 accept")
    far.run("nft", "add rule inet wall through tcp sport 8080 accept")
    found = last(trace(chain, BEYOND[4], tcp_port=8080))
    assert (4, BEYOND[4], Said.REACHED) == found[Way.TCP]
    assert (3, "10.8.3.2", Said.PASSED) == found[Way.ICMP] == found[Way.UDP]
    assert (3, "10.8.3.2", Said.PASSED) == last(trace(chain, BEYOND[4], tcp_port=8081))[Way.TCP]


def test_a_router_that_refuses_ends_the_path_and_says_so(chain) -> None:
    chain.nodes[2].ip("route", "del", "10.8.4.0/24")
    found = last(trace(chain, BEYOND[4], timeout_seconds=2.0))
    assert dict.fromkeys(Way, (2, "10.8.2.2", Said.REFUSED)) == found


def test_what_cannot_be_sent_at_all_is_our_fault_and_says_why(chain) -> None:
    chain.nodes[0].ip("route", "del", "10.8.4.0/24")
    with pytest.raises(LocalError, match="unreachable"):
        trace(chain, BEYOND[4])


def test_without_the_capability_one_sentence_says_what_to_give() -> None:
    question = PathQuestion(ip_address("127.0.0.1"), hops=1, timeout_seconds=0.1)
    command = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--reuid", "65534", "--clear-groups")
    ran = subprocess.run((*command, *command_of(question)), capture_output=True, check=False)
    with pytest.raises(LocalError, match="CAP_NET_RAW") as raised:
        read_answer(question, ran.stdout, ran.stderr)
    assert 1 == len(str(raised.value).splitlines())
    assert "Traceback" not in json.dumps(str(raised.value))
