"""docs/measurements.md, made from the schema so that it cannot fall behind: `python -m poller.schema_page`."""

import sys
from typing import Final

from poller.schema import ROLLED_UP, SCHEMA, Field, Measurement

_INTRODUCTION: Final = """\
# Measurements

Made by `python -m poller.schema_page` from `poller/schema.py`; do not edit. The same names are used in the embedded
store (Parquet), in InfluxDB and VictoriaMetrics, in MQTT messages and in the dashboards.

- A tag is one of a bounded set of names; free text is a field. A field that is not known is absent, never a made-up
  zero.
- Ratios are 0 to 1, and above 1 where a limit is exceeded. Rates are per second; octet counters count to 2^64-1.
- Timestamps are UTC, aligned to the schedule or to the slot of a minute, so that writing again writes the same point.
- Raw measurements are kept 90 days unless `storage.raw_days` says otherwise; those that end in `_5m` are the roll-ups
  of five minutes and are kept for the life of the contract, and so are `alert`, `incident`, `notification`,
  `service_level` and `forecast`.
"""
_MEANINGS: Final = {
    "device": "One poll of one device, or one round of echoes to it.",
    "interface": "One interface of one poll: the counters as the device gave them, and the rates between two polls.",
    "circuit": "One minute of one contracted circuit.",
    "line_group": "One minute of several circuits together.",
    "tenant": "One minute of one connected organisation on one line, and on all of them (`line` is `total`).",
    "service": "One probe of one service.",
    "notification": "One trap or inform.",
    "echo": "One minute of echoes: to a device (`point` is `device`), a point of a circuit, or a gateway of ours.",
    "alert": "One change of one alert.",
    "incident": "One incident, under the moment it began; written again whenever it changes.",
    "forecast": "One day's forecast of one direction of one line group (R65).",
    "service_level": "One subject, the month so far, once an hour (R60a).",
    "daemon": "One minute of one part of the daemon itself.",
}
_KINDS: Final = {int: "whole number", float: "number", bool: "true or false", str: "text"}


def schema_page() -> str:
    """The whole page: a table of the measurements, then each with its tags and fields."""
    rows = ["## All of them\n", "| measurement | tags | what one sample is |", "|---|---|---|"]
    rows.extend(f"| [{each.name}](#{each.name}) | {_tags(each)} | {_meaning(each)} |" for each in SCHEMA.values())
    return "\n".join([_INTRODUCTION, *rows, *(_section(each) for each in SCHEMA.values())]) + "\n"


def _section(measurement: Measurement) -> str:
    rows = [
        f"\n## {measurement.name}\n",
        _meaning(measurement),
        f"\nTags: {_tags(measurement)}\n",
        "| field | kind | unit | meaning |",
        "|---|---|---|---|",
    ]
    rows.extend(_row(field) for field in measurement.fields)
    return "\n".join(rows)


def _row(field: Field) -> str:
    unit = "" if field.unit == "1" else field.unit
    return f"| `{field.name}` | {_KINDS[field.kind]} | {unit} | {field.meaning} |"


def _tags(measurement: Measurement) -> str:
    return ", ".join(f"`{tag}`" for tag in measurement.tags)


def _meaning(measurement: Measurement) -> str:
    rolled = measurement.name.removesuffix("_5m")
    if rolled != measurement.name and rolled in ROLLED_UP:
        return f"Five minutes of [{rolled}](#{rolled}): mean and highest of its numbers."
    return _MEANINGS[measurement.name]


if __name__ == "__main__":
    sys.stdout.write(schema_page())
