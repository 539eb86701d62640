"""Pages for work: what is behind one tile of the wall, with its past. Every page has a link that can be mailed.

A page is the same file for every thing; it asks for the thing's last readings and for its past. The past is read from
the store in a thread, so that a long one delays neither polls nor walls.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import msgspec
import polars as pl
from aiohttp import web

from poller.storage.history import History
from poller.wall.live import LiveState
from poller.wall.related import related
from poller.wall.search import found
from poller.wall.stories import incident_words

_SECTIONS: Final = {
    "device": "devices",
    "circuit": "circuits",
    "line_group": "line_groups",
    "tenant": "tenants",
    "service": "services",
    "incident": "incidents",
}
KINDS: Final = tuple(_SECTIONS)
"""What has a page."""
_NS: Final = 10**9
_DAY: Final = 86_400
_FIVE_MINUTES_NS: Final = 300 * _NS
_JAPAN_NS: Final = -9 * 3_600 * _NS
"""Days of a graph begin at midnight in Japan."""


@dataclass(frozen=True, slots=True)
class Span:
    """How far back, from which measurement (raw or of five minutes), and in what steps."""

    seconds: int
    rolled_up: bool
    step_seconds: int | None


SPANS: Final = {
    "1h": Span(3_600, rolled_up=False, step_seconds=None),
    "6h": Span(6 * 3_600, rolled_up=False, step_seconds=None),
    "1d": Span(_DAY, rolled_up=True, step_seconds=None),
    "7d": Span(7 * _DAY, rolled_up=True, step_seconds=1_800),
    "31d": Span(31 * _DAY, rolled_up=True, step_seconds=7_200),
    "13mo": Span(396 * _DAY, rolled_up=True, step_seconds=_DAY),
}
"""What a page may ask for; at most some 400 points each."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One picture: fields of one unit; by: the tag that splits it into several."""

    unit: str
    fields: tuple[str, ...]
    by: str | None = None


GRAPHS: Final = {
    "device": (
        Graph("ratio", ("cpu_ratio", "memory_ratio", "sessions_ratio")),
        Graph("seconds", ("round_trip_delay_seconds",)),
    ),
    "circuit": (Graph("bits/s", ("in_bits_per_second", "out_bits_per_second")),),
    "line_group": (Graph("bits/s", ("in_bits_per_second", "out_bits_per_second")),),
    "tenant": (Graph("bits/s", ("in_bits_per_second", "out_bits_per_second"), by="line"),),
    "service": (Graph("seconds", ("response_seconds",)),),
}


def past(history: History, kind: str, key: str, span: Span, now_ns: int) -> list[dict[str, Any]]:
    """The graphs of one thing: unit, which (its splitting tag's value), time in unix seconds, series by field.

    A value that is not known is None, never zero. Of what is drawn raw, the time before the first raw reading is drawn
    from means of five minutes: those that were made before this daemon or its store began.
    """
    fields = [field for graph in GRAPHS[kind] for field in graph.fields]
    start_ns = now_ns - span.seconds * _NS

    def read(measurement: str, suffix: str) -> pl.DataFrame:
        frame = history.read(
            measurement,
            [f"{field}{suffix}" for field in fields],
            {kind: key},
            start_ns=start_ns,
            end_ns=now_ns,
            step_seconds=span.step_seconds,
            origin_ns=_JAPAN_NS,
        )
        return frame.rename({f"{field}{suffix}": field for field in fields if suffix}).with_columns(
            rolled_up=pl.lit(bool(suffix))
        )

    frame = read(f"{kind}_5m", "_mean")
    if not span.rolled_up:
        frame = pl.concat([frame, read(kind, "")], how="diagonal_relaxed")
    drawn: list[dict[str, Any]] = []
    for graph in GRAPHS[kind]:
        parts = (
            [(None, frame)]
            if graph.by is None
            else [(k[0], v) for k, v in frame.group_by(graph.by, maintain_order=True)]
        )
        drawn.extend(_drawn(graph, which, rows) for which, rows in parts)
    gap_seconds = 2.5 * (span.step_seconds or 300)
    return [_with_gaps(graph, gap_seconds) for graph in drawn if graph["time"]]


def _with_gaps(graph: dict[str, Any], gap_seconds: float) -> dict[str, Any]:
    """The graph with a point of nothing in every gap, so that no line runs over what nobody saw."""
    times: list[int] = graph["time"]
    ends = [row for row, (one, other) in enumerate(pairwise(times), 1) if other - one > gap_seconds]
    for row in reversed(ends):
        times.insert(row, times[row - 1] + 1)
        for values in graph["series"].values():
            values.insert(row, None)
    return graph


def _drawn(graph: Graph, which: object, rows: pl.DataFrame) -> dict[str, Any]:
    """One graph's columns; moments at which none of its fields is known are left out, and means once raw ones begin."""
    known = rows.filter(pl.any_horizontal(pl.col(field).is_not_null() for field in graph.fields)).sort("time_ns")
    raw_ns = min(known.filter(~pl.col("rolled_up"))["time_ns"], default=None)
    if raw_ns is not None:
        known = known.filter(~pl.col("rolled_up") | (pl.col("time_ns") <= raw_ns - _FIVE_MINUTES_NS))
    return {
        "unit": graph.unit,
        "which": which,
        "time": [time_ns // _NS for time_ns in known["time_ns"]],
        "series": {
            field: [None if value is None or math.isnan(value) else value for value in known[field]]
            for field in graph.fields
        },
    }


class Work:
    """The routes of the pages for work."""

    def __init__(
        self,
        live: LiveState,
        history: History | None,
        clock_ns: Callable[[], int],
        page: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> None:
        self._live = live
        self._history = history
        self._clock_ns = clock_ns
        self._page = page

    def routes(self) -> list[web.RouteDef]:
        """A page, the last readings and the past of every kind of thing."""
        kinds = "|".join(_SECTIONS)
        return [
            web.get("/api/v1/search", self._search),
            web.get(f"/{{kind:{kinds}}}/{{id}}", self._known_page),
            web.get(f"/api/v1/{{kind:{kinds}}}/{{id}}", self._entry),
            web.get(f"/api/v1/{{kind:{'|'.join(GRAPHS)}}}/{{id}}/history", self._past),
        ]

    async def _known_page(self, request: web.Request) -> web.StreamResponse:
        """The page; of an incident also when it is over, because its link was mailed."""
        if request.match_info["kind"] != "incident":
            self._find(request)
        return await self._page(request)

    async def _entry(self, request: web.Request) -> web.Response:
        kind, key, entry = request.match_info["kind"], request.match_info["id"], self._find(request)
        estate = self._live.estate
        more: dict[str, Any] = {"related": related(estate, kind, key)}
        if kind == "incident":
            more = {"words": incident_words(entry, estate)}
        elif kind == "tenant":
            lines = ((line, estate.line_groups.get(line) or estate.circuits.get(line)) for line in entry["lines"])
            more["lines"] = {id_: {"ja": each.name.ja, "en": each.name.en} for id_, each in lines if each is not None}
        return answer({"now_ns": self._clock_ns(), "entry": entry, **more})

    async def _search(self, request: web.Request) -> web.Response:
        return answer({"found": found(self._live.estate, self._live.incidents, request.query.get("q", ""))})

    async def _past(self, request: web.Request) -> web.Response:
        self._find(request)
        span = SPANS.get(request.query.get("span", "6h"))
        if span is None:
            return answer({"error": f"span is one of {', '.join(SPANS)}"}, status=400)
        if self._history is None:
            return answer({"error": "this daemon keeps no history"}, status=503)
        now_ns = self._clock_ns()
        kind, key = request.match_info["kind"], request.match_info["id"]
        graphs = await asyncio.to_thread(past, self._history, kind, key, span, now_ns)
        return answer({"from": now_ns // _NS - span.seconds, "to": now_ns // _NS, "graphs": graphs})

    def _find(self, request: web.Request) -> dict[str, Any]:
        found = self._live.entry(_SECTIONS[request.match_info["kind"]], request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound
        return found


def answer(content: dict[str, Any], status: int = 200) -> web.Response:
    """JSON; a rate that is not a number becomes null, which a page can read."""
    return web.Response(body=encode(content), content_type="application/json", status=status)


def encode(content: dict[str, Any]) -> bytes:
    """JSON in one line."""
    return msgspec.json.encode(content)
