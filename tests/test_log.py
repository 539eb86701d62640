"""The log: one line an event, and nothing from the network can forge a second one."""

from hypothesis import given
from hypothesis import strategies as st

from poller.log import clean, line


def test_an_event_is_one_line_of_names_and_values() -> None:
    fields: dict[str, object] = {"device": "fw-1", "outcome": "no_answer", "took": 6.0, "note": None}
    assert "poll device=fw-1 outcome=no_answer took=6" == line("poll", fields)


def test_text_with_blanks_and_quotes_is_quoted() -> None:
    assert r'alias text="to \"core\""' == line("alias", {"text": 'to "core"'})


@given(st.text())
def test_no_text_breaks_the_line(text: str) -> None:
    assert 1 == len(line("trap", {"text": text}).splitlines())
    assert clean(text).isprintable()
    assert len(clean(text)) <= 501
