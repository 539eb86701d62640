"""Writes dashboards/grafana/*.json from the boards: python dashboards/build.py [--check].

--check writes nothing and fails where a file is not what the boards say. Thresholds and, at `hinomi dashboards push`,
the variables come from a configuration; what is written here has those of the example prefecture.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

_ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT))

from dashboards.boards import BOARDS  # noqa: E402 - a script finds the product beside it
from dashboards.machinery import MACHINERY  # noqa: E402 - the same
from dashboards.parts import build  # noqa: E402 - the same
from poller.config import load  # noqa: E402 - the same
from poller.dashboards import fit_thresholds  # noqa: E402 - the same

_FOLDER: Final = _ROOT / "dashboards" / "grafana"
_ANNOTATIONS: Final = {
    "重大なアラート": {
        "query": 'SELECT "state", "incident", "rule", "subject" FROM "alert" '
        "WHERE $timeFilter AND \"severity\" = 'serious' AND \"state\" = 'firing'",
        "textColumn": "incident",
        "tagsColumn": "rule,subject",
    },
    "機器からの通知": {
        "query": 'SELECT "text", "device", "name" FROM "notification" '
        'WHERE $timeFilter AND "severity" =~ /^(minor|serious)$/',
        "textColumn": "text",
        "tagsColumn": "device,name",
    },
}
"""What is drawn over every graph, by its name in dashboards.parts."""


def texts() -> dict[str, str]:
    """Every file by its name."""
    estate = load(_ROOT / "config" / "examples" / "prefecture").estate
    files = {}
    for board in (*BOARDS, *MACHINERY):
        dashboard = json.loads(json.dumps(build(board), cls=JSONEncoder))
        _ask_for_annotations(dashboard)
        _keep_to_the_kind(dashboard)
        fitted = fit_thresholds(dashboard, estate)
        files[f"{board.uid}.json"] = json.dumps(fitted, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return files


def _ask_for_annotations(dashboard: dict[str, Any]) -> None:
    """The SDK has no query for InfluxDB's annotations."""
    for annotation in dashboard["annotations"]["list"]:
        annotation["target"] |= {"refId": "Anno", **_ANNOTATIONS[annotation["name"]], "fromAnnotations": True}


def _keep_to_the_kind(dashboard: dict[str, Any]) -> None:
    """The SDK has one class for all kinds of variables, and the style of old versions; Grafana's types have neither."""
    dashboard.pop("style", None)
    for variable in dashboard.get("templating", {}).get("list", []):
        for key in ("id", "auto", "auto_min", "auto_count"):
            variable.pop(key, None)


def main() -> int:
    """Write or check; 1 where a check found something stale."""
    wanted = texts()
    stale = [name for name, text in wanted.items() if not _holds(_FOLDER / name, text)]
    stray = [path for path in sorted(_FOLDER.glob("*.json")) if path.name not in wanted]
    if "--check" in sys.argv[1:]:
        for name in [*stale, *(path.name for path in stray)]:
            sys.stderr.write(f"dashboards/grafana/{name} is stale: run python dashboards/build.py\n")
        return 1 if stale or stray else 0
    _FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (_FOLDER / name).write_text(wanted[name], encoding="utf-8")
    for path in stray:
        path.unlink()
    return 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main())
