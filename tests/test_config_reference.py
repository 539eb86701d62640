"""The documentation of the configuration holds what the models hold."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from poller.config.reference import models, reference

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"


def test_the_page_is_the_one_the_models_make() -> None:
    """Made anew by: python -m poller.config.reference > docs/configuration.md."""
    assert reference() == PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_setting_is_documented(model: type[BaseModel]) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {model.__name__}\n")[1].split("\n## ")[0]
    assert [] == [name for name in model.model_fields if name != "id" and f"| `{name}` |" not in section]


def test_models_within_models_are_found() -> None:
    assert {"Device", "LinePart", "Attachment", "Cap", "Selector", "Relay"} <= {model.__name__ for model in models()}
