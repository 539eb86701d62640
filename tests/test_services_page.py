"""The page of services holds what the probes can be asked and what they say."""

from pathlib import Path

import pytest

from poller.services_page import services_page
from probes.sentences import SENTENCES
from probes.services import PROBES

PAGE = Path(__file__).parent.parent / "docs" / "services.md"


def test_the_page_is_the_one_the_probes_make() -> None:
    """Made anew by: python -m poller.services_page > docs/services.md."""
    assert services_page() == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", PROBES)
def test_every_kind_is_on_it_with_each_of_its_settings(kind: str) -> None:
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    assert 1 == len([row for row in rows if row.startswith(f"| `{kind}` |")])
    for option in PROBES[kind].options:
        (row,) = [row for row in rows if row.startswith(f"| `{option}` |")]
        assert f"`{kind}`" in row.split("|")[2]


def test_every_sentence_is_on_it_in_both_languages() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [] == [
        reason for reason, (japanese, english) in SENTENCES.items() if f"| {japanese} | {english} |" not in text
    ]
