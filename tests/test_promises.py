"""The repository checks its own promises: what the documents say is what is there."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from poller.config import load
from poller.schema import SCHEMA

ROOT = Path(__file__).resolve().parent.parent


def test_requirements_name_the_tests_that_prove_them() -> None:
    answer = subprocess.run(
        [sys.executable, "docs/prove.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ("", 0) == (answer.stderr, answer.returncode)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("hinomi-*.whl")
    return zipfile.ZipFile(built).namelist()


def test_the_wheel_holds_our_three_packages_and_nothing_else(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    expected = {"poller", "traps", "probes"}
    assert expected == {top for top in tops if not top.startswith("hinomi-")}


def test_the_wheel_carries_configuration_and_pages(wheel: list[str]) -> None:
    shared = ("config", "dashboards", "deploy")
    tracked = subprocess.run(["git", "ls-files", *shared], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    expected = ["poller/wall/static/wall.html", "share/hinomi/config/examples/prefecture/hinomi.yaml"]
    expected += [f"share/hinomi/{name}" for name in tracked.splitlines()]
    assert [] == [name for name in expected if not any(entry.endswith(name) for entry in wheel)]


def test_imports_run_downward_and_pure_modules_stay_pure() -> None:
    """The contracts of pyproject.toml; every module that they name is there."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    answer = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    expected = f"Contracts: {len(contracts)} kept, 0 broken."
    assert (0, expected) == (answer.returncode, answer.stdout.strip().splitlines()[-1])


def test_no_data_folder_is_a_package() -> None:
    folders = ("config", "dashboards", "deploy", "tests", "benchmarks", "docs")
    assert [] == [str(path) for folder in folders for path in (ROOT / folder).rglob("__init__.py")]


def test_every_lint_exception_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ruff = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.pydocstyle]")]
    entries = [line.strip() for line in ruff.splitlines() if line.startswith("  ")]
    assert [] == [entry for entry in entries if " # " not in entry]
    assert ["ALL"] == tomllib.loads(text)["tool"]["ruff"]["lint"]["select"]


def test_every_field_of_the_schema_has_unit_and_meaning() -> None:
    fields = [(name, field) for name, entry in SCHEMA.items() for field in entry.fields]
    assert [] == [(name, field.name) for name, field in fields if not field.unit or not field.meaning]
    assert len(fields) == len({(name, field.name) for name, field in fields})


def test_traffic_suffixes_tell_the_kind() -> None:
    """Counters end in _total and are integers; rates and ratios are floats (OpenMetrics suffixes)."""
    for entry in SCHEMA.values():
        for field in entry.fields:
            if field.name.endswith("_total"):
                assert field.kind is int, (entry.name, field.name)
            if field.name.endswith(("_ratio", "_per_second", "_seconds")):
                assert field.kind is float, (entry.name, field.name)


@pytest.mark.parametrize("page", ["README.md", "README.ja.md"])
def test_the_ten_lines_of_the_readme_are_a_configuration(page: str, tmp_path: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    assert len(example.splitlines()) <= 10
    (tmp_path / "hinomi.yaml").write_text(example, encoding="utf-8")
    estate = load(tmp_path).estate
    assert {"fw-1", "sw-1"} == set(estate.devices)
    assert "shift@example.jp" == estate.contacts["shift"].email


@pytest.mark.parametrize("page", sorted(path.name for path in ROOT.glob("*.md")))
def test_links_of_the_front_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [] == [link for link in links if not (ROOT / link).exists()]


def test_the_files_that_begin_first_are_there(pytestconfig: pytest.Config) -> None:
    plugin = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    names = [] if plugin is None else plugin._LONGEST_FIRST
    assert names
    assert [] == [name for name in names if not (ROOT / "tests" / f"{name}.py").exists()]
