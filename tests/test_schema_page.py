"""The page of measurements holds what the schema holds."""

from pathlib import Path

import pytest

from poller.schema import SCHEMA
from poller.schema_page import schema_page

PAGE = Path(__file__).parent.parent / "docs" / "measurements.md"


def test_the_page_is_the_one_the_schema_makes() -> None:
    """Made anew by: python -m poller.schema_page > docs/measurements.md."""
    assert schema_page() == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(SCHEMA))
def test_every_tag_and_field_is_on_it(name: str) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {name}\n")[1].split("\n## ")[0]
    words = [*SCHEMA[name].tags, *(field.name for field in SCHEMA[name].fields)]
    assert [] == [word for word in words if f"`{word}`" not in section]
