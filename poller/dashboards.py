"""The dashboards that come with the product, and how they are fitted to an estate. Pure, but for reading the files.

Files in dashboards/grafana are made by dashboards/build.py. What a configuration decides is put in here: thresholds
from its rules, choices (tenants, circuits, ...) from its entries with their names.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from poller.estate import Estate, Rule
from poller.schema import SCHEMA
from poller.share import share

Dashboard: TypeAlias = dict[str, Any]

_FROM: Final = re.compile(r'FROM "([a-z0-9_]+)"')
_QUOTED: Final = re.compile(r'"([A-Za-z0-9_]+)"')
_ENDING: Final = re.compile(r"_(mean|max)$")
_ZONE: Final = re.compile(r" tz\('[^']*'\)")
_COLOURS: Final = {"notice": "yellow", "minor": "orange", "serious": "red"}
_FINE: Final = "green"


def load_dashboards() -> list[Dashboard]:
    """Every dashboard in the order of their file names."""
    folder = share("dashboards/grafana")
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def panels(dashboard: Dashboard) -> Iterator[Dashboard]:
    """Every panel that shows something, those folded into rows too."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from (inner for inner in panel.get("panels") or () if inner["type"] != "row")


def names_used(query: str) -> tuple[str, set[str]]:
    """The measurement of an InfluxQL query and every tag or field that it names."""
    (measurement,) = _FROM.findall(query)
    return measurement, set(_QUOTED.findall(query)) - {measurement}


def fit(dashboard: Dashboard, estate: Estate) -> Dashboard:
    """The dashboard for an estate: its thresholds, its choices and where its days begin."""
    fitted = _fit_choices(fit_thresholds(dashboard, estate), estate)
    for panel in panels(fitted):
        for target in panel["targets"]:
            target["query"] = _ZONE.sub(f" tz('{estate.organisation.timezone}')", target["query"])
    return fitted


def fit_thresholds(dashboard: Dashboard, estate: Estate) -> Dashboard:
    """Each panel's thresholds where a rule raises on the field it shows, in the colour of the rule's severity."""
    fitted = copy.deepcopy(dashboard)
    for panel in panels(fitted):
        steps = _steps(panel, estate)
        if steps:
            panel["fieldConfig"]["defaults"]["thresholds"] = {"mode": "absolute", "steps": steps}
    return fitted


def _steps(panel: Dashboard, estate: Estate) -> list[dict[str, Any]]:
    if "service_level.availability_ratio" in _fields(panel):
        return _promises(estate)
    rules = [rule for field in _fields(panel) for rule in estate.rules.values() if rule.on == field]
    above = _worst({rule.above: rule for rule in sorted(rules, key=_rank) if rule.above is not None})
    if above:
        return [{"value": None, "color": _FINE}, *({"value": at, "color": c} for at, c in sorted(above.items()))]
    below = sorted(_worst({rule.below: rule for rule in sorted(rules, key=_rank) if rule.below is not None}).items())
    if not below:
        return []
    # what lies below the lowest level has its colour, and so on upwards; above the highest all is well
    edges = [None, *(at for at, _ in below)]
    return [{"value": at, "color": c} for at, c in zip(edges, [*(c for _, c in below), _FINE], strict=True)]


def _promises(estate: Estate) -> list[dict[str, Any]]:
    """Red below every availability that was promised, green where all are kept."""
    all_of_them = [each.availability for each in estate.services.values()]
    all_of_them += [each.availability for each in estate.circuits.values()]
    promised = sorted({each for each in all_of_them if each is not None})
    if not promised:
        return []
    steps = {None: _COLOURS["serious"], promised[0]: _COLOURS["minor"], promised[-1]: _FINE}
    return [{"value": at, "color": colour} for at, colour in steps.items()]


def _worst(rules: Mapping[float | None, Rule]) -> dict[float, str]:
    return {at: _COLOURS[rule.severity.value] for at, rule in rules.items() if at is not None}


def _rank(rule: Rule) -> int:
    return list(_COLOURS).index(rule.severity.value)


def _fields(panel: Dashboard) -> set[str]:
    """What a panel shows, as rules name it: "device.cpu_ratio"; of roll-ups the field they were made of."""
    found = set()
    for target in panel["targets"]:
        measurement, names = names_used(target["query"])
        raw = SCHEMA[measurement.removesuffix("_5m")]
        known = {field.name for field in raw.fields}
        for name in names:
            plain = name if name in known else _ENDING.sub("", name)
            if plain in known:
                found.add(f"{raw.name}.{plain}")
    return found


def _fit_choices(dashboard: Dashboard, estate: Estate) -> Dashboard:
    """Variables with the estate's entries by name, in their order, instead of a question to the database."""
    entries: dict[str, Mapping[str, Any]] = {
        "tenant": estate.tenants,
        "circuit": estate.circuits,
        "line_group": estate.line_groups,
        "device": estate.devices,
        "service": estate.services,
    }
    fitted = copy.deepcopy(dashboard)
    variables = fitted.get("templating", {}).get("list", [])
    for number, variable in enumerate(variables):
        known = entries.get(variable["name"])
        if known:
            variables[number] = _custom(variable, {id_: entry.name.lang("ja") for id_, entry in known.items()})
    return fitted


def _custom(variable: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    kept: dict[str, Any] = {
        key: variable[key] for key in ("name", "label", "multi", "includeAll", "allValue", "hide") if key in variable
    }
    options = [{"text": text, "value": id_, "selected": False} for id_, text in names.items()]
    several = bool(variable.get("multi"))
    current = {"text": ["All"], "value": ["$__all"], "selected": True} if several else {**options[0], "selected": True}
    if several:
        options.insert(0, {"text": "All", "value": "$__all", "selected": True})
    else:
        options[0]["selected"] = True
    # a colon parts text and value, a comma the entries: neither may be in a text
    pairs = (f"{re.sub('[,:]', ' ', text)} : {id_}" for id_, text in names.items())
    return {
        **kept,
        "type": "custom",
        "query": ",".join(pairs),
        "options": options,
        "current": current,
        "skipUrlSync": False,
    }
