"""The repository checks its own promises: what the documents say is what is there."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import typer

from poller.cli import app
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


PAGES = sorted(
    str(path.relative_to(ROOT)) for folder in ("", "docs", "docs/decisions") for path in (ROOT / folder).glob("*.md")
)


def anchors(text: str) -> set[str]:
    """The places in a page that a link can name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """To a file that is there, and to a heading that it has."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            lost.append(link)
    assert [] == lost


def commands_in(text: str) -> list[list[str]]:
    """Words of every call of hinomi in backticks or in a line of its own, up to the comment or what follows a pipe."""
    calls = re.findall(r"`(?:[\w./]*/)?hinomi ([^`\n]+)`", text)
    calls += re.findall(r"^(?: {4}|\$ )?(?:sudo (?:-u \w+ )?)?(?:[\w./-]*/)?hinomi (.+)$", text, re.MULTILINE)
    return [re.split(r" #|  | \||;|&&", call)[0].split() for call in calls]


def unknown_in(words: list[str]) -> str | None:
    """What of a call the command line does not know: a command, or an option."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "get_command") and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        name = rest.pop(0)
        command = command.get_command(typer.Context(command), name)
        if command is None:
            return name
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    asked = [re.sub(r"[\[\],.…]", "", word).partition("=")[0] for word in rest if re.match(r"\[?--?[a-z]", word)]
    return next((option for option in asked if option not in known), None)


@pytest.mark.parametrize(
    ("call", "unknown"),
    [
        ("polll 192.0.2.1", "polll"),
        ("poll 192.0.2.1 --community-fil secret", "--community-fil"),
        ("lab histori -c DIR", "histori"),
        ("lab history [-c DIR] --days=200", None),
    ],
)
def test_a_command_or_option_that_is_not_there_is_found(call: str, unknown: str | None) -> None:
    (words,) = commands_in(f"Type `hinomi {call}`.")
    assert unknown == unknown_in(words)


@pytest.mark.parametrize("page", [page for page in PAGES if "decisions" not in page])
def test_every_command_that_a_page_names_is_there_with_its_options(page: str) -> None:
    calls = commands_in((ROOT / page).read_text(encoding="utf-8"))
    assert [] == [(words, unknown) for words in calls if (unknown := unknown_in(words)) is not None]
    assert calls or "README" not in page


def test_the_files_that_begin_first_are_there(pytestconfig: pytest.Config) -> None:
    plugin = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    names = [] if plugin is None else plugin._LONGEST_FIRST
    assert names
    assert [] == [name for name in names if not (ROOT / "tests" / f"{name}.py").exists()]
