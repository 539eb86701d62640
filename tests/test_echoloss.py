"""Loss that chance does not explain."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.echoloss import LossWindow, chance_of, is_lossy


def test_the_chance_of_any_loss_is_that_of_not_losing_none() -> None:
    assert 1.0 == chance_of(0, 60, 0.01)
    assert pytest.approx(1 - 0.99**60) == chance_of(1, 60, 0.01)
    assert pytest.approx(0.01**3) == chance_of(3, 3, 0.01)


@given(st.integers(1, 360), st.floats(0.001, 0.2))
def test_the_chance_falls_with_every_loss(sent: int, loss: float) -> None:
    chances = [chance_of(lost, sent, loss) for lost in range(min(sent, 12))]
    assert chances == sorted(chances, reverse=True)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ([(12, 0)] * 30, False),
        ([(12, 1)], False),
        ([(12, 1)] + [(12, 0)] * 29, False),
        ([(12, 0)] * 25 + [(12, 1)] * 5, False),
        ([(12, 2)] * 5, True),
        ([(12, 1)] * 30, True),
        ([(0, 0)] * 30, False),
        ([], False),
    ],
)
def test_what_is_too_much(minutes: list[tuple[int, int]], expected: bool) -> None:  # noqa: FBT001 - a column
    assert expected is is_lossy(minutes)


def test_a_year_of_one_in_a_hundred_at_random_is_never_too_much() -> None:
    """(R37)"""
    chance = random.Random(7)
    window = LossWindow()
    lossy = sum(window.add(12, sum(chance.random() < 0.01 for _ in range(12))) for _ in range(20_000))
    assert 0 == lossy


def test_an_outage_that_was_told_leaves_no_loss_behind() -> None:
    window = LossWindow()
    assert window.add(12, 12)
    window.forget()
    assert not window.add(12, 0)
