"""What the dashboards are made of: questions to InfluxDB, panels, variables and links, as values; and how they look.

A question is asked in InfluxQL, because InfluxDB 1.x, 2.x and 3.x all answer it. Up to two days it reads the raw
measurement, beyond that the roll-up of five minutes: each panel has both queries, and a condition on ${__from} and
${__to}, which Grafana puts in as numbers, lets one of them answer. Nothing is derived here, rates come from the daemon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import bargauge, common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from poller.schema import ROLLED_UP, SCHEMA

DATASOURCE: Final = "hinomi"
RAW_RANGE_MS: Final = 2 * 86_400 * 1000
"""Longer ranges read the roll-ups."""
PERCENTILE: Final = 95
GAP_MS: Final = 660_000
"""Two polls of the slowest devices: what is missing for longer is shown as missing."""
NO_VALUE: Final = "データなし"
ZONE: Final = "Asia/Tokyo"
"""Where days begin; poller.dashboards puts in the configuration's."""
UNITS: Final = {
    "bits/s": "bps",
    "octets": "decbytes",
    "ratio": "percentunit",
    "s": "s",
    "days": "d",
    "packets/s": "pps",
    "errors/s": "pps",
    "discards/s": "pps",
    "sessions": "short",
    "sessions/s": "cps",
    "1": "short",
    "bits/s/day": "bps",
}
"""Grafana's name of each unit of the schema."""
Kind = Literal["graph", "number", "bars", "states", "table"]
STATES: Final = {
    "up": ("正常", "green"),
    "degraded": ("低下", "orange"),
    "down": ("断", "red"),
    "unknown": ("不明", "#808080"),
    "true": ("はい", "green"),
    "false": ("いいえ", "red"),
    "active": ("現用", "green"),
    "standby": ("待機", "blue"),
    "member": ("稼働", "green"),
    "alone": ("単独", "orange"),
    "ok": ("正常", "green"),
    "warning": ("注意", "orange"),
    "failed": ("故障", "red"),
    "firing": ("発生中", "red"),
    "pending": ("確認中", "orange"),
    "resolved": ("復旧", "green"),
}
"""What a word of a state is called, and its colour."""


@dataclass(frozen=True)
class Question:
    """One query: the measurement without _5m, what is asked of a field, by which tags, under which conditions.

    way: InfluxQL's function. span: its windows ("$__interval", "1d", "" for one value over the range). where: tag to
    pattern, mostly a variable. only: "raw" or "rollup" where only one of them has the field. also: further columns.
    """

    measurement: str
    name: str
    way: str = "mean"
    tags: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    span: str = "$__interval"
    alias: str = ""
    only: Literal["", "raw", "rollup"] = ""
    also: tuple[str, ...] = ()

    def queries(self) -> list[str]:
        """The raw one and the one of the roll-ups, as far as both are there; one alone answers for every range."""
        ways = [self.only] if self.only else (["raw", "rollup"] if self.measurement in ROLLED_UP else ["raw"])
        return [self._query(way, alone=len(ways) == 1) for way in ways]

    def _query(self, source: str, *, alone: bool) -> str:
        rollup = source == "rollup"
        measurement = f"{self.measurement}_5m" if rollup else self.measurement
        comparison = ">" if rollup else "<="
        conditions = [] if alone else [f"${{__to}} - ${{__from}} {comparison} {RAW_RANGE_MS}"]
        conditions.append("$timeFilter")
        conditions += [f'"{tag}" =~ /^{pattern}$/' for tag, pattern in self.where.items()]
        rank = f", {PERCENTILE}" if self.way == "percentile" else ""
        columns = [f'{self.way}("{self._field(rollup=rollup)}"{rank})']
        columns += [f'"{name}"' for name in self.also]
        grouped = ([f"time({self.span})"] if self.span else []) + [f'"{tag}"' for tag in self.tags]
        query = f'SELECT {", ".join(columns)} FROM "{measurement}" WHERE {" AND ".join(conditions)}'
        if grouped:
            query += f" GROUP BY {', '.join(grouped)}"
        days = f" tz('{ZONE}')" if self.span == "1d" else ""
        return f"{query} fill(null){days}" if self.span else query

    def _field(self, *, rollup: bool) -> str:
        """The field that answers: a mean of means, a highest of highest, a sum of sums."""
        known = {each.name for each in SCHEMA[f"{self.measurement}_5m"].fields} if rollup else set()
        if not rollup or self.name in known:
            return self.name
        wanted = f"{self.name}_max" if self.way == "max" else f"{self.name}_mean"
        return wanted if wanted in known else f"{self.name}_max"


@dataclass(frozen=True)
class Show:
    """One panel of 24 columns' width; unit "" is the schema's; link: the dashboard behind a series, by its tag.

    most: only so many, the highest first.
    """

    title: str
    description: str
    questions: Sequence[Question]
    kind: Kind = "graph"
    width: int = 12
    height: int = 8
    unit: str = ""
    link: tuple[str, str] | None = None
    range: str = ""
    format: Literal["time_series", "table"] = "time_series"
    top: float | None = None
    most: int = 0


@dataclass(frozen=True)
class Choice:
    """One variable: the tag of a measurement that people choose from; all and several unless single."""

    name: str
    label: str
    measurement: str
    tag: str
    single: bool = False


@dataclass(frozen=True)
class Board:
    """One dashboard: rows of panels, each row with its title."""

    uid: str
    title: str
    description: str
    rows: Sequence[tuple[str, Sequence[Show]]]
    choices: Sequence[Choice] = ()
    since: str = "now-6h"
    refresh: str = "1m"


class _Target(Dataquery):
    """A query as Grafana's InfluxDB data source keeps it."""

    def __init__(self, letter: str, query: str, alias: str, form: str) -> None:
        self._kept = {
            "refId": letter,
            "datasource": {"type": "influxdb", "uid": DATASOURCE},
            "query": query,
            "rawQuery": True,
            "resultFormat": form,
            "alias": alias,
        }

    def build(self) -> "_Target":
        """A builder of itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """As it stands in the file."""
        return self._kept


def build(board: Board) -> models.Dashboard:
    """The dashboard, laid out in rows without overlap."""
    made = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["hinomi"])
        .timezone("browser")
        .time(board.since, "now")
        .refresh(board.refresh)
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables([_variable(choice) for choice in board.choices])
        .annotation(_annotation("重大なアラート", "red"))
        .annotation(_annotation("機器からの通知", "orange"))
        .link(
            builders.DashboardLink("ほかの画面")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["hinomi"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(False)
            .icon("external link")
            .tooltip("期間を保ったまま移る")
            .url("")
        )
    )
    number = top = 0
    for title, shows in board.rows:
        number += 1
        made.with_row(builders.Row(title).id(number).grid_pos(models.GridPos(h=1, w=24, x=0, y=top)))
        top += 1
        left = lowest = 0
        for show in shows:
            if left + show.width > 24:  # noqa: PLR2004 - Grafana's columns
                top, left, lowest = top + lowest, 0, 0
            number += 1
            place = models.GridPos(h=show.height, w=show.width, x=left, y=top)
            made.with_panel(_panel(show).id(number).grid_pos(place))
            left, lowest = left + show.width, max(lowest, show.height)
        top += lowest
    return made.build()


def _annotation(name: str, colour: str) -> Any:  # noqa: ANN401 - a builder of the SDK
    """Drawn over every graph; the query is put in by dashboards.build."""
    target = builders.AnnotationTarget().limit(100).match_any(False).tags([]).type("tags")
    return builders.AnnotationQuery().name(name).datasource(_source()).enable(True).icon_color(colour).target(target)


def _source() -> models.DataSourceRef:
    return models.DataSourceRef(type_val="influxdb", uid=DATASOURCE)


def _variable(choice: Choice) -> Any:  # noqa: ANN401 - a builder of the SDK
    question = f'SHOW TAG VALUES FROM "{choice.measurement}" WITH KEY = "{choice.tag}"'
    made = builders.QueryVariable(choice.name).label(choice.label).datasource(_source()).query(question)
    made.refresh(models.VariableRefresh.ON_DASHBOARD_LOAD).sort(models.VariableSort.ALPHABETICAL_ASC)
    if choice.single:
        return made
    everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    return made.multi(True).include_all(True).all_value(".*").current(everything)


def _panel(show: Show) -> Any:  # noqa: ANN401 - one of the SDK's builders
    panel = _PANELS[show.kind]()
    panel.title(show.title).description(show.description).datasource(_source()).no_value(NO_VALUE)
    panel.unit(show.unit or _unit(show.questions[0])).min(0)
    panel.thresholds(_steps([(None, "green")])).mappings(_mappings())
    if show.kind != "states":
        panel.interval("60s")
    if show.top is not None:
        panel.max(show.top)
    if show.range:
        panel.time_from(show.range)
    if show.link is not None:
        uid, tag = show.link
        url = f"/d/{uid}?var-{tag}=${{__field.labels.{tag}}}&${{__url_time_range}}"
        panel.data_links([builders.DashboardLink("詳しく見る").url(url)])
    if show.most:
        _keep_the_highest(panel, show.most)
    letters = iter("ABCDEFGHIJKLMNOP")
    for question in show.questions:
        for query in question.queries():
            panel.with_target(_Target(next(letters), query, question.alias, show.format))
    return panel


def _graph() -> Any:  # noqa: ANN401 - a builder of the SDK
    return (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(10)
        .show_points(common_models.VisibilityMode.AUTO)
        .span_nulls(GAP_MS)
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.LINE))
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )


def _last() -> common.ReduceDataOptions:
    """The newest value of every field, words too, but for the time's own."""
    return common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/^(?!Time$)/").values(False)


def _keep_the_highest(panel: Any, count: int) -> None:  # noqa: ANN401 - a builder of the SDK
    """One row a series with its highest value, the highest rows first, and no more than count of them."""
    for name, options in (
        ("reduce", {"mode": "seriesToRows", "reducers": ["max"]}),
        ("sortBy", {"sort": [{"field": "Max", "desc": True}]}),
        ("limit", {"limitField": count}),
    ):
        panel.with_transformation(models.DataTransformerConfig(id_val=name, options=options))
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(True).limit(count))


_PANELS: Final[Mapping[str, Any]] = {
    "graph": _graph,
    "number": lambda: (
        stat.Panel()
        .reduce_options(_last())
        .color_mode(common_models.BigValueColorMode.BACKGROUND)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .text_mode(common_models.BigValueTextMode.VALUE_AND_NAME)
    ),
    "bars": lambda: (
        bargauge.Panel()
        .reduce_options(_last())
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
    ),
    "states": lambda: (
        statetimeline.Panel()
        .show_value(common_models.VisibilityMode.AUTO)
        .merge_values(True)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(False)
            .calcs([])
        )
    ),
    "table": lambda: table.Panel().show_header(True),
}


def _steps(steps: Sequence[tuple[float | None, str]]) -> builders.ThresholdsConfig:
    kept = [models.Threshold(value=value, color=color) for value, color in steps]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(kept)


def _mappings() -> list[models.ValueMapping]:
    words = {
        word: models.ValueMappingResult(text=text, color=color, index=index)
        for index, (word, (text, color)) in enumerate(STATES.items())
    }
    return [models.ValueMap(options=words)]


def _unit(question: Question) -> str:
    return UNITS[SCHEMA[question.measurement].field(question.name).unit]
