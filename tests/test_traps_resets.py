"""What is remembered of senders whose clock went back: bounded, and no longer than it matters."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from poller.alerts.inquiry import Inquiry
from poller.alerts.store import Store
from poller.cli import app
from traps.resets import FORGOTTEN_SECONDS, RESETS_MOST, Resets


def test_the_latest_word_counts_and_all_are_counted() -> None:
    resets = Resets()
    for time in (10, 20, 30):
        resets.note(b"engine", (1, time), (5, 1000), float(time))
    resets.name(b"engine", "fw-1", "192.0.2.1")
    resets.name(b"another", "fw-2", "192.0.2.2")
    (reset,) = resets
    assert (1, 30, 30.0, 3, "fw-1") == (reset.boots, reset.time, reset.at, reset.count, reset.device)


def test_one_that_is_not_heard_again_is_forgotten() -> None:
    resets = Resets()
    resets.note(b"engine", (1, 10), (5, 1000), 100.0)
    resets.forget(100.0 + FORGOTTEN_SECONDS)
    assert 1 == len(resets)
    resets.forget(100.1 + FORGOTTEN_SECONDS)
    assert 0 == len(resets)


def test_one_that_is_believed_again_is_gone() -> None:
    resets = Resets()
    resets.note(b"engine", (1, 10), (5, 1000), 100.0)
    resets.settle(b"engine")
    resets.settle(b"engine")
    assert [] == list(resets)


def test_memory_is_bounded() -> None:
    resets = Resets()
    for number in range(RESETS_MOST + 5):
        resets.note(b"%d" % number, (1, 10), (5, 1000), 100.0)
    assert RESETS_MOST == len(resets)
    assert b"5" == next(iter(resets)).engine_id


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A configuration whose daemon has run."""
    (tmp_path / "hinomi.yaml").write_text("organisation: {name: Ours}\nstorage: {directory: state}\n", encoding="utf-8")
    (tmp_path / "state").mkdir()
    Store(tmp_path / "state" / "alerts.sqlite").close()
    return tmp_path


def test_accepting_an_engine_is_a_command_in_the_audit(network: Path) -> None:
    done = CliRunner().invoke(app, ["traps", "-c", str(network), "--accept", "80001F88"])
    assert (0, "80001f88: its next authentic message sets its clock\n") == (done.exit_code, done.output)
    (entry,) = Inquiry(network / "state").audit(5)
    assert ("accept_engine", "80001f88") == (entry.action, entry.target)


@pytest.mark.parametrize("engine", ["80001f8", "engine", ""])
def test_what_is_no_engine_id_is_said_in_one_sentence(network: Path, engine: str) -> None:
    done = CliRunner().invoke(app, ["traps", "-c", str(network), "--accept", engine])
    said = f"{engine!r} is no engine id: write its hexadecimal digits as the page shows them\n"
    assert (2, said) == (done.exit_code, done.stderr)
