"""The checkpoint: what was known is known again, and a damaged file is kept, not wiped."""

from pathlib import Path

from poller import checkpoint


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    parts = {"rates": {"fw-1": [1, 2, 2**63]}, "slots": {"a": None}, "text": "三重県"}
    checkpoint.save(path, {"old": 1})
    checkpoint.save(path, parts)
    assert parts == checkpoint.load(path)
    assert [path] == list(tmp_path.iterdir())


def test_a_first_start_knows_nothing(tmp_path: Path) -> None:
    assert {} == checkpoint.load(tmp_path / "checkpoint")


def test_a_damaged_checkpoint_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    checkpoint.save(path, {"rates": {"fw-1": [1, 2, 3]}})
    damaged = path.read_bytes()[:-5]
    path.write_bytes(damaged)
    assert {} == checkpoint.load(path)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("checkpoint.damaged-")
    assert damaged == kept.read_bytes()


def test_an_unknown_version_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(b"\x82\xa7version\x63\xa5parts\x80")
    assert {} == checkpoint.load(path)
    assert not path.exists()
