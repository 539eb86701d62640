"""Flows: the sum of one moment, so that traffic that moves is not counted where it was and where it is."""

from poller.accounts import Account, Member
from poller.counting import WIDTH
from poller.devicerates import DeviceRates
from poller.readings import InterfaceLayout
from poller.sample import Quality
from poller.wall.flows import Flow, Flows

SECOND_NS = 10**9
LAYOUT = InterfaceLayout(("wan",), (1,), (10**9,), (True,))
PAIR = Account("tenant/tsu", (Member("fw-1", "wan"), Member("fw-2", "wan", reversed=True)))


def counted(device: str, from_s: int, to_s: int, into: float | None, out: float | None = 0.0) -> DeviceRates:
    rates = [into, out] + [None] * (WIDTH - 2)
    return DeviceRates(
        device,
        to_s * SECOND_NS,
        LAYOUT,
        rates,
        [Quality.OBSERVED],
        [""],
        [0],
        [0],
        [from_s * SECOND_NS],
        [to_s * SECOND_NS],
    )


def test_a_flow_is_known_once_every_member_has_been_read() -> None:
    flows = Flows([PAIR])
    assert [] == flows.update(counted("fw-1", 0, 10, 5e6, 1e6))
    assert [Flow("tenant/tsu", 5e6, 1e6, 8 * SECOND_NS)] == flows.update(counted("fw-2", 0, 8, 0.0))


def test_a_reversed_member_counts_the_other_way_round() -> None:
    flows = Flows([Account("tenant/tsu", (Member("fw-2", "wan", reversed=True),))])
    assert [Flow("tenant/tsu", 3e6, 7e6, 10 * SECOND_NS)] == flows.update(counted("fw-2", 0, 10, 7e6, 3e6))


def test_traffic_that_moves_to_the_other_unit_is_never_counted_twice() -> None:
    """The load of 8 Mbps moves from fw-1 to fw-2 at 20 s; both are polled every 10 s, out of step."""
    flows = Flows([PAIR])
    told: list[Flow] = []
    for device, from_s, to_s, rate in (
        ("fw-1", 0, 10, 8e6),
        ("fw-2", 5, 15, 0.0),
        ("fw-1", 10, 20, 8e6),
        ("fw-2", 15, 25, 4e6),
        ("fw-1", 20, 30, 0.0),
        ("fw-2", 25, 35, 8e6),
        ("fw-1", 30, 40, 0.0),
    ):
        rates = counted(device, from_s, to_s, rate) if device == "fw-1" else counted(device, from_s, to_s, 0.0, rate)
        told += flows.update(rates)
    assert max(flow.in_bits_per_second for flow in told) <= 8e6 * 1.5
    assert (8e6, 8e6) == (told[0].in_bits_per_second, told[-1].in_bits_per_second)
    assert sorted(flow.time_ns for flow in told) == [flow.time_ns for flow in told]


def test_a_member_that_falls_silent_holds_the_moment_back() -> None:
    flows = Flows([PAIR])
    flows.update(counted("fw-1", 0, 10, 5e6))
    flows.update(counted("fw-2", 0, 10, 0.0))
    assert [Flow("tenant/tsu", 5e6, 0.0, 10 * SECOND_NS)] == flows.update(counted("fw-1", 10, 20, 6e6))


def test_a_row_without_a_rate_is_passed_over() -> None:
    assert [] == Flows([PAIR]).update(counted("fw-1", 0, 10, None))
