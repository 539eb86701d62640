"""`hinomi check` reads every secret that the configuration names, because `run` would stop at one it cannot read."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poller.cli import app

EXAMPLES = Path(__file__).parents[1] / "config" / "examples"
V3 = """\
organisation: {name: Our network}
credentials:
  core:
    version: "3"
    security_name: u
    auth: SHA-256
    auth_password: REFERENCE
    priv: AES-128
    priv_password: "file:priv"
"""
SETTING = "hinomi.yaml:7:20: credentials.core.auth_password: "


def _written(folder: Path, reference: str, mode: int = 0o600) -> Path:
    (folder / "hinomi.yaml").write_text(V3.replace("REFERENCE", f'"{reference}"'), encoding="utf-8")
    (folder / "priv").write_text("very secret\n", encoding="utf-8")
    (folder / "priv").chmod(mode)
    return folder


def _warnings(folder: Path, lang: str = "en") -> list[str]:
    done = CliRunner().invoke(app, ["check", "-c", str(folder), "--quiet", "--lang", lang])
    assert 0 == done.exit_code
    return done.stderr.splitlines()


def test_a_secret_file_that_is_missing_is_warned_of(tmp_path: Path) -> None:
    expected = f"warning: {SETTING}the secret cannot be read: file:auth: {tmp_path}/auth: No such file or directory"
    assert [expected] == _warnings(_written(tmp_path, "file:auth"))


def test_a_secret_that_the_environment_has_not_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HINOMI_TEST_ABSENT", raising=False)
    reason = "env:HINOMI_TEST_ABSENT（この名前の環境変数がありません）"
    assert [f"注意: {SETTING}秘密情報を読めません：{reason}"] == _warnings(
        _written(tmp_path, "env:HINOMI_TEST_ABSENT"), "ja"
    )


def test_an_empty_secret_is_warned_of_in_json(tmp_path: Path) -> None:
    (tmp_path / "auth").touch(0o600)
    done = CliRunner().invoke(app, ["check", "-c", str(_written(tmp_path, "file:auth")), "--json"])
    assert [f"{SETTING}the secret cannot be read: file:auth is empty"] == json.loads(done.stdout)["warnings"]


def test_secrets_that_only_their_owner_reads_are_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HINOMI_TEST_PRESENT", "very secret")
    assert [] == _warnings(_written(tmp_path, "env:HINOMI_TEST_PRESENT"))


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_secret_file_that_others_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    text = f"file:priv is open to others than its owner (mode {mode:04o}); chmod 600 closes a file"
    expected = f"warning: hinomi.yaml:7:20: credentials.core.auth_password: {text}"
    assert [expected] == _warnings(_written(tmp_path, "file:priv", mode))


@pytest.mark.parametrize("example", ["prefecture", "cityhall"])
def test_the_lab_secrets_of_an_example_are_one_warning(example: str, tmp_path: Path) -> None:
    """They are committed for the demo, so most checkouts make them readable for all."""
    folder = shutil.copytree(EXAMPLES / example, tmp_path / example)
    for path in (folder / "secrets").iterdir():
        path.chmod(0o644)
    told = [line for line in _warnings(folder) if "open to others" in line]
    assert (1, True) == (len(told), " more secret files are open like it; chmod 600" in told[0])


def test_problems_are_counted_in_japanese(tmp_path: Path) -> None:
    (tmp_path / "hinomi.yaml").write_text("organisation: {}\nsite: {}\ndevice: {}\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["check", "-c", str(tmp_path), "--lang", "ja"])
    assert (2, f"{tmp_path}: 誤り 2件") == (done.exit_code, done.stderr.splitlines()[-1])
