"""Write below each requirement which tests prove it: `python docs/prove.py`, or `--check` to fail when that is stale.

A test proves what its docstring names: (R26). The numbers of requirements are R and digits, with a letter where one was
added between two others.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "requirements.md"
_NUMBER: Final = re.compile(r"\bR\d{1,2}[a-z]?\b")
_PROMISE: Final = re.compile(r"- (R\d{1,2}[a-z]?) ")
_PROOF: Final = "  *Proven by:* "
_NO_PROOF: Final = "  *Not yet proven.*"


def proofs(tests: Path) -> dict[str, list[str]]:
    """Requirement number to `test_file::test_name`, in the order of files and lines."""
    found: dict[str, list[str]] = {}
    for path in sorted(tests.glob("test_*.py")):
        for name, docstring in _tests_of(path):
            for number in dict.fromkeys(_NUMBER.findall(docstring)):
                found.setdefault(number, []).append(f"{path.stem}::{name}")
    return found


def _tests_of(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""


def written(page: str, found: Mapping[str, list[str]]) -> str:
    """The page with its proof lines made anew."""
    lines: list[str] = []
    pending: str | None = None
    for line in page.splitlines():
        if line.startswith((_PROOF, _NO_PROOF)):
            continue
        if pending is not None and not line.startswith("  "):
            lines.append(_proof(found.get(pending)))
            pending = None
        match = _PROMISE.match(line)
        pending = match[1] if match else pending
        lines.append(line)
    if pending is not None:
        lines.append(_proof(found.get(pending)))
    return "\n".join(lines) + "\n"


def _proof(tests: list[str] | None) -> str:
    return _PROOF + ", ".join(f"`{test}`" for test in tests) if tests else _NO_PROOF


def main() -> int:
    """Write the page, or compare it."""
    page = PAGE.read_text(encoding="utf-8")
    fresh = written(page, proofs(ROOT / "tests"))
    if "--check" in sys.argv[1:]:
        if page != fresh:
            sys.stderr.write("docs/requirements.md is stale: run python docs/prove.py\n")
        return int(page != fresh)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
