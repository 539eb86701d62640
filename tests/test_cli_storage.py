"""`export`, `replay` and `influx setup`, asked for what cannot be: one sentence, and no success that was none."""

import os
import pty
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poller.cli import app
from poller.sample import Sample
from poller.storage.encoding import encode, make_blocks
from poller.storage.parquet import ParquetStore
from poller.storage.reader import Record

EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "prefecture"
DAY = ["tenant", "--from", "2024-10-04", "--to", "2024-10-05"]
_T = 20_000 * 86_400 * 10**9


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """The example's configuration with three minutes of one tenant in its store."""
    directory = shutil.copytree(EXAMPLE, tmp_path / "configuration", ignore=shutil.ignore_patterns("demo"))
    tags = (("tenant", "tsu"), ("line", "internet"))
    samples = [Sample("tenant", tags, {"in_octets": n}, _T + n * 60 * 10**9) for n in range(3)]
    store = ParquetStore(directory / "demo" / "store", now_ns=lambda: _T)
    store.write_now([Record(1, tuple(make_blocks(samples)), 3, 0, encode(samples))])
    return directory


@pytest.fixture
def dead_url() -> str:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def _told(*words: str) -> tuple[int, str]:
    """Exit status, and what stands on standard error as one line without the frame that typer draws."""
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "300"})
    return done.exit_code, " ".join(done.stderr.replace("│", " ").split())


def test_export_into_a_folder_that_is_not_there_names_the_folder(configuration: Path, tmp_path: Path) -> None:
    status, told = _told("export", "-c", str(configuration), *DAY, "-o", str(tmp_path / "nowhere" / "x.csv"))
    assert (2, True, False) == (status, f"there is no folder {tmp_path}/nowhere" in told, "Errno" in told)


def test_export_onto_a_folder_is_refused_before_work(configuration: Path, tmp_path: Path) -> None:
    status, told = _told("export", "-c", str(configuration), *DAY, "-o", str(tmp_path))
    assert (2, True) == (status, f"{tmp_path} is a folder; name a file in it" in told)
    assert [configuration] == list(tmp_path.iterdir())


def test_export_of_parquet_to_a_terminal_is_refused(configuration: Path) -> None:
    main, terminal = pty.openpty()
    words = ["export", "-c", str(configuration), *DAY, "--format", "parquet"]
    code = f"from poller.cli import app; app({words!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=EXAMPLE.parents[2],
    )
    os.close(terminal)
    os.close(main)
    assert (2, True) == (done.returncode, "no text for a terminal" in done.stderr)


def test_export_of_a_tag_that_nothing_has_says_so(configuration: Path) -> None:
    expected = (0, "0 rows: tenant has no rows with tenant=nobody in this period")
    assert expected == _told("export", "-c", str(configuration), *DAY, "--tag", "tenant=nobody")


def test_replay_to_a_dead_server_is_no_success(configuration: Path, dead_url: str) -> None:
    status, told = _told("replay", "-c", str(configuration), *DAY, "--url", dead_url)
    assert (1, True, False) == (status, told.startswith("unreachable: "), "given" in told)


def test_replay_of_nothing_is_no_success(configuration: Path, dead_url: str) -> None:
    """No server was asked, so nothing can be said of it."""
    told = f"nothing was given to {dead_url}: tenant has no rows with tenant=nobody in this period"
    words = ("replay", "-c", str(configuration), *DAY, "--url", dead_url, "--tag", "tenant=nobody")
    assert (1, told) == _told(*words)


@pytest.mark.parametrize("url", ["nonsense", "localhost:8086", "http://", "ftp://127.0.0.1", "http://127.0.0.1:no"])
@pytest.mark.parametrize("kind", ["1", "2", "victoria"])
def test_a_url_of_no_server_is_told_in_one_sentence(url: str, kind: str, configuration: Path) -> None:
    for words in (["influx", "setup"], ["replay", "-c", str(configuration), *DAY]):
        status, told = _told(*words, "--url", url, "--kind", kind)
        assert (2, True) == (status, f"--url is http://HOST:PORT, not {url!r}" in told)
