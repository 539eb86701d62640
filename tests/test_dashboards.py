"""The dashboards as files: made of the schema, consistent among themselves, and fitted to a configuration."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import bargauge, dashboard, stat, statetimeline, table, timeseries

from poller.config import load
from poller.dashboards import fit, fit_thresholds, load_dashboards, names_used, panels
from poller.grafana import DATASOURCE_UID, FOLDER_TITLE, FOLDER_UID
from poller.schema import SCHEMA

ROOT = Path(__file__).parents[1]
DASHBOARDS = load_dashboards()
PANELS = [(each["uid"], panel) for each in DASHBOARDS for panel in panels(each)]
NAMES = [f"{uid} {panel['title']}" for uid, panel in PANELS]
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
OPTIONS = {
    "timeseries": (timeseries.Options, timeseries.FieldConfig),
    "stat": (stat.Options, None),
    "bargauge": (bargauge.Options, None),
    "state-timeline": (statetimeline.Options, statetimeline.FieldConfig),
    "table": (table.Options, None),
}
TYPES = """
import type { Dashboard } from "@grafana/schema";
// JSON has the values of enums, not their names; what a data source adds to an annotation's query only it knows
type Plain<T> = 0 extends 1 & T ? T
  : T extends string ? `${T}`
  : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: K extends "target" ? Plain<T[K]> & Record<string, unknown> : Plain<T[K]> }
  : T;
"""
GRAFANA_TYPES = ("@grafana/schema@13.2.3", "typescript@5.9.3")


def test_the_files_are_what_the_boards_say() -> None:
    answer = subprocess.run(
        [sys.executable, "dashboards/build.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ("", 0) == (answer.stderr, answer.returncode)


def test_a_file_that_is_not_what_the_boards_say_fails_the_check(tmp_path: Path) -> None:
    for name in ("dashboards", "config", "poller", "probes", "traps"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "demo"))
    (tmp_path / "dashboards" / "grafana" / "hinomi-wall.json").write_text("{}")
    (tmp_path / "dashboards" / "grafana" / "stray.json").write_text("{}")
    answer = subprocess.run(
        [sys.executable, "dashboards/build.py", "--check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert 1 == answer.returncode
    assert ["hinomi-wall.json is stale", "stray.json is stale"] == re.findall(r"[\w-]+\.json is stale", answer.stderr)


def test_every_dashboard_of_the_list_is_there() -> None:
    expected = "capacity daemon devices events interfaces lines service-level services tenant tenants wall"
    assert [f"hinomi-{name}" for name in expected.split()] == [each["uid"] for each in DASHBOARDS]


@pytest.mark.parametrize(("_uid", "panel"), PANELS, ids=NAMES)
def test_a_panel_explains_itself(_uid: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert JAPANESE.search(panel["title"])
    assert JAPANESE.search(panel["description"])
    assert (True, "データなし") == (bool(defaults["unit"]), defaults["noValue"])
    assert defaults["thresholds"]["steps"]
    assert {"type": "influxdb", "uid": "hinomi"} == panel["datasource"]


@pytest.mark.parametrize(("_uid", "panel"), PANELS, ids=NAMES)
def test_a_panel_names_only_what_the_schema_has_and_derives_nothing(_uid: str, panel: dict[str, Any]) -> None:
    """Rates are computed once, in the daemon; panels never derive (R67)."""
    for target in panel["targets"]:
        measurement, names = names_used(target["query"])
        entry = SCHEMA[measurement]
        assert names <= {*entry.tags, *(field.name for field in entry.fields)}
        assert not re.search(r"deriv|difference|elapsed|moving_|cumulative", target["query"], re.IGNORECASE)


@pytest.mark.parametrize(("_uid", "panel"), PANELS, ids=NAMES)
def test_a_panel_reads_rollups_for_long_ranges_and_raw_for_short_ones(_uid: str, panel: dict[str, Any]) -> None:
    """Where both have the figure, exactly one of two queries answers (R68)."""
    queries = [target["query"] for target in panel["targets"]]
    raw = [query for query in queries if "- ${__from} <= 172800000" in query]
    rollup = [query for query in queries if "- ${__from} > 172800000" in query]
    assert len(raw) == len(rollup)
    assert not any("_5m" in query for query in raw)
    assert all("_5m" in query for query in rollup)


@pytest.mark.parametrize("board", DASHBOARDS, ids=[each["uid"] for each in DASHBOARDS])
def test_no_panel_overlaps_another(board: dict[str, Any]) -> None:
    places = [each["gridPos"] for each in board["panels"]]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert all(0 <= place["x"] and place["x"] + place["w"] <= 24 for place in places)
    assert 1 == max(Counter(each["id"] for each in board["panels"]).values())


def test_uids_and_titles_are_unique_and_links_lead_somewhere_with_the_range() -> None:
    uids = [each["uid"] for each in DASHBOARDS]
    assert len(DASHBOARDS) == len(set(uids)) == len({each["title"] for each in DASHBOARDS})
    for board in DASHBOARDS:
        assert 1 == max(Counter(panel["title"] for panel in panels(board)).values()), board["uid"]
        (link,) = board["links"]
        assert ("dashboards", ["hinomi"], True) == (link["type"], link["tags"], link["keepTime"])
        assert "hinomi" in board["tags"]
        for panel in panels(board):
            for each in panel["fieldConfig"]["defaults"].get("links", ()):
                found = re.fullmatch(
                    r"/d/([\w-]+)\?var-(\w+)=\$\{__field\.labels\.(\w+)\}&\$\{__url_time_range\}", each["url"]
                )
                assert found, each
                (aim,) = [other for other in DASHBOARDS if other["uid"] == found[1]]
                assert found[2] in {variable["name"] for variable in aim["templating"]["list"]}
                assert all(f'"{found[3]}"' in target["query"] for target in panel["targets"])


@pytest.mark.parametrize(("_uid", "panel"), PANELS, ids=NAMES)
def test_a_panel_is_what_the_sdk_knows(_uid: str, panel: dict[str, Any]) -> None:
    """Through the foundation SDK's classes and back, options and custom fields too, nothing is lost or unknown."""
    kept = dashboard.Panel.from_json(panel)
    assert panel == json.loads(json.dumps(kept, cls=JSONEncoder))
    options, custom = OPTIONS[panel["type"]]
    assert panel["options"] == json.loads(json.dumps(options.from_json(panel["options"]), cls=JSONEncoder))
    given = panel["fieldConfig"]["defaults"].get("custom")
    if given is not None and custom is not None:
        assert given == json.loads(json.dumps(custom.from_json(given), cls=JSONEncoder))


def _types_folder() -> Path:
    """Grafana's schema and the compiler, installed once in the checkout's cache."""
    folder = ROOT / ".cache" / "npm" / "-".join(re.sub(r"[^\w.]", "_", name) for name in GRAFANA_TYPES)
    if not (folder / "node_modules" / "typescript").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--silent", *GRAFANA_TYPES], cwd=folder, check=True
        )
    return folder


@pytest.mark.skipif(os.environ.get("CI") != "true" and shutil.which("npm") is None, reason="npm is not installed")
def test_grafanas_own_types_accept_every_dashboard_and_refuse_a_wrong_one(tmp_path: Path) -> None:
    folder = _types_folder()
    work = folder / "check"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()

    def compile_all(boards: list[dict[str, Any]]) -> tuple[int, str]:
        lines = [TYPES]
        for number, board in enumerate(boards):
            lines.append(f"export const board{number}: Plain<Dashboard> = {json.dumps(board, ensure_ascii=False)};")
        (work / "dashboards.ts").write_text("\n".join(lines), encoding="utf-8")
        options = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext"]
        done = subprocess.run(
            ["node", str(folder / "node_modules" / "typescript" / "bin" / "tsc"), *options, "dashboards.ts"],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    assert (0, "") == compile_all(DASHBOARDS)
    wrong = json.loads(json.dumps(DASHBOARDS[0]))
    wrong["panels"][1]["gridPos"]["h"] = "eight"
    status, told = compile_all([wrong])
    assert (True, True) == (status != 0, "not assignable to type 'number'" in told)


def test_thresholds_are_those_of_the_rules_in_the_colour_of_their_severity() -> None:
    estate = load(ROOT / "config" / "examples" / "prefecture").estate
    steps = {panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"] for _, panel in PANELS}
    cpu = {rule.above: rule.severity.value for rule in estate.rules.values() if rule.on == "device.cpu_ratio"}
    colours = {"minor": "orange", "serious": "red", "notice": "yellow"}
    assert [(None, "green"), *((at, colours[cpu[at]]) for at in sorted(cpu))] == [
        (step["value"], step["color"]) for step in steps["CPU使用率"]
    ]
    certificate = [(step["value"], step["color"]) for step in steps["証明書の残り日数"]]
    assert [None, 7.0, 14.0, 30.0] == [value for value, _ in certificate]
    assert "green" == certificate[-1][1]


def test_another_configuration_brings_other_thresholds() -> None:
    estate = load(ROOT / "config" / "examples" / "prefecture").estate
    rules = {id_: rule for id_, rule in estate.rules.items() if rule.on != "device.cpu_ratio"}
    (id_,) = [id_ for id_, rule in estate.rules.items() if rule.on == "device.cpu_ratio" and rule.above == 0.8]
    changed = estate.model_copy(update={"rules": {**rules, id_: estate.rules[id_].model_copy(update={"above": 0.65})}})
    (board,) = [each for each in DASHBOARDS if each["uid"] == "hinomi-devices"]
    (panel,) = [each for each in panels(fit_thresholds(board, changed)) if each["title"] == "CPU使用率"]
    assert [None, 0.65] == [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_a_service_level_is_red_below_every_promise_and_green_where_all_are_kept() -> None:
    estate = load(ROOT / "config" / "examples" / "prefecture").estate
    first, *rest = estate.services
    promises = dict.fromkeys(rest) | {first: 0.999}
    services = {id_: each.model_copy(update={"availability": promises[id_]}) for id_, each in estate.services.items()}
    circuits = {id_: each.model_copy(update={"availability": 0.99}) for id_, each in estate.circuits.items()}
    changed = estate.model_copy(update={"services": services, "circuits": circuits})
    (board,) = [each for each in DASHBOARDS if each["uid"] == "hinomi-service-level"]
    (panel,) = [each for each in panels(fit_thresholds(board, changed)) if each["title"] == "月初からの稼働率"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(None, "red"), (0.99, "orange"), (0.999, "green")] == [(step["value"], step["color"]) for step in steps]


def test_days_begin_where_the_organisation_is() -> None:
    estate = load(ROOT / "config" / "examples" / "prefecture").estate
    there = estate.organisation.model_copy(update={"timezone": "Asia/Seoul"})
    queries = [
        target["query"]
        for board in DASHBOARDS
        for panel in panels(fit(board, estate.model_copy(update={"organisation": there})))
        for target in panel["targets"]
    ]
    of_days = [query for query in queries if "time(1d)" in query]
    assert of_days
    assert all(query.endswith("fill(null) tz('Asia/Seoul')") for query in of_days)
    assert not any("Asia/Tokyo" in query for query in queries)


def test_of_many_interfaces_the_twenty_with_the_highest_values_are_shown() -> None:
    (board,) = [each for each in DASHBOARDS if each["uid"] == "hinomi-interfaces"]
    bars = [panel for panel in panels(board) if panel["type"] == "bargauge"]
    assert 2 == len(bars)
    for panel in bars:
        steps = [(each["id"], each["options"]) for each in panel["transformations"]]
        assert [
            ("reduce", {"mode": "seriesToRows", "reducers": ["max"]}),
            ("sortBy", {"sort": [{"field": "Max", "desc": True}]}),
            ("limit", {"limitField": 20}),
        ] == steps
        assert (True, 20) == (panel["options"]["reduceOptions"]["values"], panel["options"]["reduceOptions"]["limit"])


def test_a_figure_is_never_the_time_itself() -> None:
    """Words and flags are figures too, so the fields are chosen by name: all but the time's."""
    chosen = {
        panel["options"]["reduceOptions"]["fields"]
        for _, panel in PANELS
        if "reduceOptions" in panel["options"] and not panel["options"]["reduceOptions"]["values"]
    }
    (pattern,) = chosen
    assert [False, True, True] == [
        bool(re.search(pattern.strip("/"), name)) for name in ("Time", "internet 受信", "Timeout")
    ]


def test_choices_are_the_configurations_entries_by_name() -> None:
    estate = load(ROOT / "config" / "examples" / "prefecture").estate
    (board,) = [each for each in DASHBOARDS if each["uid"] == "hinomi-tenant"]
    (variable,) = [each for each in fit(board, estate)["templating"]["list"] if each["name"] == "tenant"]
    assert ("custom", len(estate.tenants)) == (variable["type"], len(variable["options"]))
    assert {"text": "津市", "value": "tsu", "selected": False} in variable["options"]
    assert "津市 : tsu" in variable["query"]


def test_what_is_provisioned_by_files_is_what_push_makes() -> None:
    """The same data source, folder and dashboards either way, by the format of Grafana's provisioning files."""
    provisioning = ROOT / "dashboards" / "provisioning"
    sources, folders = (
        yaml.safe_load((provisioning / kind / "hinomi.yaml").read_text(encoding="utf-8"))
        for kind in ("datasources", "dashboards")
    )
    assert (1, 1) == (sources["apiVersion"], folders["apiVersion"])
    (source,), (folder,) = sources["datasources"], folders["providers"]
    assert (DATASOURCE_UID, "influxdb", "InfluxQL") == (source["uid"], source["type"], source["jsonData"]["version"])
    assert source["secureJsonData"]["httpHeaderValue1"].startswith("Token $")
    assert (FOLDER_UID, FOLDER_TITLE, "file") == (folder["folderUid"], folder["folder"], folder["type"])
    assert folder["options"]["path"].endswith("share/hinomi/dashboards/grafana")
    assert {DATASOURCE_UID} == {panel["datasource"]["uid"] for _, panel in PANELS}
