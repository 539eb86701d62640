"""The table of fault classes: complete, consistent with what an answer proves, and written down as it is."""

from itertools import product
from pathlib import Path

import pytest

from poller.faults import (
    INTERFACE_COLUMNS,
    SENTENCES,
    TABLE,
    Answer,
    Fault,
    FaultClass,
    Place,
    Vector,
    classify,
    gateway_answer,
)
from poller.faults_page import faults_page

UP, DOWN, UNKNOWN = Answer
PAGE = Path(__file__).parent.parent / "docs" / "faults.md"
COMBINATIONS = [Vector(*answers) for answers in product(Answer, repeat=4)]


def place_of(*answers: Answer) -> Place:
    return classify(Vector(*answers), "outside").place


def test_every_combination_has_its_place() -> None:
    """(R41)"""
    assert set(product(Answer, repeat=3)) == set(TABLE)
    assert set(INTERFACE_COLUMNS) == set(Answer)
    assert len(COMBINATIONS) == 81
    assert all(isinstance(classify(vector, "outside"), Fault) for vector in COMBINATIONS)


def test_a_place_is_only_named_where_answers_and_silences_bound_it() -> None:
    """Behind the far edge only where it answers, ours never where our edge answers, the circuit only between (R41)."""
    for vector in COMBINATIONS:
        place = classify(vector, "outside").place
        if place is Place.BEYOND:
            assert (vector.far, vector.beyond) == (UP, DOWN)
        if place is Place.OURS:
            assert vector.near is DOWN
        if place is Place.CIRCUIT:
            assert (vector.near, vector.far, vector.interface) == (UP, DOWN, UP)
            assert vector.beyond is not UP
        if place is Place.NOWHERE:
            assert vector.interface is not DOWN
            assert DOWN not in (vector.far, vector.beyond)


def test_an_interface_that_is_down_is_always_a_fault() -> None:
    assert all(
        classify(vector, "outside").fault_class is not FaultClass.NONE
        for vector in COMBINATIONS
        if vector.interface is DOWN
    )


@pytest.mark.parametrize(
    ("near", "far", "beyond", "interface", "expected"),
    [
        (UP, UP, UP, UP, Place.NOWHERE),
        (UP, UP, DOWN, UP, Place.BEYOND),
        (UP, DOWN, DOWN, UP, Place.CIRCUIT),
        (DOWN, DOWN, DOWN, UP, Place.OURS),
        (DOWN, DOWN, DOWN, UNKNOWN, Place.OURS),
        (UP, DOWN, DOWN, DOWN, Place.UNDETERMINED),
        (UP, DOWN, UP, UP, Place.UNDETERMINED),
        (UP, UP, UP, DOWN, Place.UNDETERMINED),
        (UNKNOWN, DOWN, DOWN, UP, Place.UNDETERMINED),
        (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, Place.NOWHERE),
    ],
)
def test_what_an_engineer_would_say(near, far, beyond, interface, expected) -> None:
    """(R41)"""
    assert expected is place_of(near, far, beyond, interface)


def test_a_fault_on_the_circuit_is_on_the_side_that_the_estate_says() -> None:
    vector = Vector(UP, DOWN, DOWN, UP)
    assert FaultClass.OUTSIDE is classify(vector, "outside").fault_class
    assert FaultClass.INSIDE is classify(vector, "inside").fault_class


def test_without_our_own_gateway_nothing_is_judged_and_with_one_of_two_everything_is() -> None:
    """(R54)"""
    for vector in COMBINATIONS:
        lost = Vector(vector.near, vector.far, vector.beyond, vector.interface, gateway=DOWN)
        assert FaultClass.ISOLATED is classify(lost, "outside").fault_class
    assert DOWN is gateway_answer({"a": DOWN, "b": DOWN})
    assert UP is gateway_answer({"a": DOWN, "b": UP})
    assert UNKNOWN is gateway_answer({"a": DOWN, "b": UNKNOWN})
    assert UNKNOWN is gateway_answer({})


def test_the_page_is_the_one_the_table_makes() -> None:
    """Made anew by: python -m poller.faults_page > docs/faults.md."""
    assert faults_page() == PAGE.read_text(encoding="utf-8")


def test_the_page_has_every_combination_with_its_class_and_every_place_in_both_languages() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith(("| u", "| d"))]
    written = {tuple(Answer(cell.split()[0]) for cell in row[:3]): row[3:] for row in rows if len(row) == 6}
    assert set(TABLE) == set(written)
    for points, cells in written.items():
        for state, cell in zip(INTERFACE_COLUMNS, cells, strict=True):
            fault = classify(Vector(*points, interface=state), "outside")
            assert fault.fault_class is (FaultClass.NONE if cell == "–" else FaultClass(cell.split()[0]))
    page = "\n".join(lines)
    assert all(japanese in page and english in page for japanese, english in SENTENCES.values())
