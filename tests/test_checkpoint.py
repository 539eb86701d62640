"""The checkpoint: what was known is known again, and a damaged file is kept, not wiped."""

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

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


_NUMBERS = st.integers(-(2**63), 2**64 - 1)
_PLAIN = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text() | _NUMBERS, inner, max_size=20),
    max_leaves=60,
)


@given(_PLAIN, st.integers(0, 5))
def test_a_value_in_pieces_is_the_value(value: object, depth: int) -> None:
    assert msgspec.msgpack.decode(b"".join(checkpoint.pieces(value, depth))) == value


def test_a_large_container_is_never_one_piece() -> None:
    """What is saved is not in memory twice."""
    columns = [[f"sw-{number}", bytes(1000)] for number in range(70_000)]
    saved = {"pipeline": {"interface_rollups": {"windows": columns}}}
    pieces = list(checkpoint.pieces({"version": 1, "parts": saved}))
    assert max(map(len, pieces)) < 2000
    assert msgspec.msgpack.decode(b"".join(pieces)) == {"version": 1, "parts": saved}
