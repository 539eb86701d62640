"""Rules, calendars and maintenance windows: what they name must exist, what they say must make sense."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from poller.alerts.rules import KINDS
from poller.alerts.subjects import IDENTITY
from poller.config.places import Path_
from poller.config.problems import did_you_mean
from poller.estate import Estate, Rule, Selector
from poller.schema import SCHEMA

if TYPE_CHECKING:
    from poller.config.loading import Tree

_HOURS: Final = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_CLOSED: Final = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_MOST_RATIO: Final = 10.0
"""Ten times a limit; what is above is a percentage without its sign."""
_NUMERIC: Final = frozenset({"above", "below", "above_median"})


def check_rules(estate: Estate, tree: "Tree") -> None:
    """Each rule watches a field of the schema with one fitting comparison, and its selectors find something."""
    for key, rule in estate.rules.items():
        path: Path_ = ("rules", key)
        _check_selector(estate, tree, (*path, "where"), rule.where)
        if _check_field(tree, path, rule):
            _check_levels(tree, path, rule)
        _check_told(tree, path, rule)


def _check_field(tree: "Tree", path: Path_, rule: Rule) -> bool:
    measurement, dot, field = rule.on.partition(".")
    if not dot or measurement not in SCHEMA:
        names = [f"{entry.name}.{known.name}" for entry in SCHEMA.values() for known in entry.fields]
        tree.add((*path, "on"), f"{rule.on!r} is no measurement.field of the schema.{did_you_mean(rule.on, names)}")
        return False
    if measurement not in IDENTITY:
        tree.add((*path, "on"), f"rules do not look at {measurement}; they look at {', '.join(IDENTITY)}")
        return False
    known = [entry.name for entry in SCHEMA[measurement].fields]
    if field not in known:
        hint = did_you_mean(field, known)
        tree.add(
            (*path, "on"),
            f"{measurement} has no field {field!r}{'.' + hint if hint else '; there are ' + ', '.join(known)}",
        )
        return False
    return True


def _check_levels(tree: "Tree", path: Path_, rule: Rule) -> None:
    given = [kind for kind in KINDS if getattr(rule, kind) is not None and (kind != "changes" or rule.changes)]
    if len(given) != 1:
        tree.add(path, f"needs exactly one of {', '.join(KINDS)}, and has {' and '.join(given) or 'none'}")
        return
    measurement, _, name = rule.on.partition(".")
    kind = SCHEMA[measurement].field(name).kind
    if given[0] in _NUMERIC and kind not in (int, float):
        tree.add((*path, given[0]), f"{rule.on} is {'true or false' if kind is bool else 'text'}: use equals")
    if given[0] == "equals" and not isinstance(rule.equals, kind):
        word = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}[kind]
        tree.add((*path, "equals"), f"{rule.on} is {word}, not {rule.equals!r}")
    _check_percent(tree, path, rule, SCHEMA[measurement].field(name).unit)
    if rule.changes and rule.raise_for:
        tree.add((*path, "raise_for"), "a change is over in a moment: with changes there is nothing to wait for")
    if rule.margin and rule.above_median is None:
        tree.add((*path, "margin"), "goes with above_median only")
    if rule.clear_median is not None and (rule.above_median is None or rule.clear_median > rule.above_median):
        tree.add((*path, "clear_median"), "must go with above_median and not be higher, or it would never clear")
    if rule.clear_below is not None and (rule.above is None or rule.clear_below > rule.above):
        tree.add((*path, "clear_below"), "must go with above and not be higher, or it would never clear")
    if rule.clear_above is not None and (rule.below is None or rule.clear_above < rule.below):
        tree.add((*path, "clear_above"), "must go with below and not be lower, or it would never clear")


def _check_told(tree: "Tree", path: Path_, rule: Rule) -> None:
    """Only a notification has a name and varbinds."""
    if rule.on.startswith("notification."):
        return
    for setting in ("notifications", "varbinds"):
        if getattr(rule.where, setting):
            tree.add((*path, "where", setting), f"goes with rules on notification.*, and this one is on {rule.on}")


def _check_percent(tree: "Tree", path: Path_, rule: Rule, unit: str) -> None:
    """A level of 80 on a ratio would never be reached: 80 % was meant."""
    for setting in ("above", "below", "clear_below", "clear_above"):
        level = getattr(rule, setting)
        if unit == "ratio" and level is not None and level > _MOST_RATIO:
            tree.add((*path, setting), f'{level:g} of a ratio is {level * 100:g} %. Did you mean "{level:g}%"?')


def _check_selector(estate: Estate, tree: "Tree", path: Path_, where: Selector) -> None:
    known: Mapping[str, Collection[str]] = {
        "sites": estate.sites,
        "devices": estate.devices,
        "circuits": estate.circuits,
        "line_groups": estate.line_groups,
        "tenants": estate.tenants,
        "services": estate.services,
        "kinds": {circuit.kind for circuit in estate.circuits.values()}
        | {service.kind for service in estate.services.values()},
    }
    for setting, names in known.items():
        for index, pattern in enumerate(getattr(where, setting)):
            if not any(fnmatchcase(name, pattern) for name in names):
                hint = did_you_mean(pattern, names)
                what = setting.replace("_", " ").removesuffix("s")
                tree.add((*path, setting, index), f"no {what} matches {pattern!r}{'.' + hint if hint else ''}")


def check_calendars(estate: Estate, tree: "Tree") -> None:
    """Hours are written 08:30-17:15 and closed days 12-29."""
    for key, calendar in estate.calendars.items():
        for day, hours in calendar.hours.items():
            match = _HOURS.fullmatch(hours)
            if match is None or not _minutes(match[1], match[2]) < _minutes(match[3], match[4]) <= 24 * 60:
                tree.add(("calendars", key, "hours", day), f'{hours!r} is no span of hours: write "08:30-17:15"')
        for index, day_text in enumerate(calendar.closed):
            if not _CLOSED.fullmatch(day_text):
                tree.add(("calendars", key, "closed", index), f'{day_text!r} is no day of the year: write "12-29"')


def _minutes(hour: str, minute: str) -> int:
    return int(hour) * 60 + int(minute)


def check_maintenance(estate: Estate, tree: "Tree") -> None:
    """A window has two local times in order, and concerns something that exists."""
    for key, window in estate.maintenance.items():
        path: Path_ = ("maintenance", key)
        _check_selector(estate, tree, (*path, "where"), window.where)
        times = list(_times(tree, path, {"start": window.start, "end": window.end}))
        if len(times) == 2 and times[0] >= times[1]:  # noqa: PLR2004 - start and end
            tree.add((*path, "end"), f"is not after the start at {tree.place((*path, 'start'))}")


def check_rotations(estate: Estate, tree: "Tree") -> None:
    """A rotation begins at a local time, and its swaps have two in order."""
    for key, rotation in estate.rotations.items():
        path: Path_ = ("rotations", key)
        list(_times(tree, path, {"start": rotation.start}))
        for index, swap in enumerate(rotation.swaps):
            place: Path_ = (*path, "swaps", index)
            times = list(_times(tree, place, {"start": swap.start, "end": swap.end}))
            if len(times) == 2 and times[0] >= times[1]:  # noqa: PLR2004 - start and end
                tree.add((*place, "end"), f"is not after the start at {tree.place((*place, 'start'))}")


def _times(tree: "Tree", path: Path_, texts: Mapping[str, str]) -> Iterable[datetime]:
    for setting, text in texts.items():
        try:
            yield datetime.strptime(text, "%Y-%m-%d %H:%M")  # noqa: DTZ007 - local time of the organisation
        except ValueError:
            tree.add((*path, setting), f'{text!r} is no time: write "2026-11-21 22:00"')
