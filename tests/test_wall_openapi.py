"""The description of the API is what the server answers: every route is in it, every answer fits it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.config import load
from poller.storage.history import open_history
from poller.wall.live import LiveState
from poller.wall.openapi import openapi
from poller.wall.people import People
from poller.wall.server import WallServer
from poller.wall.work import KINDS, SPANS

PREFECTURE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
IDS = {
    "device": "fw-1",
    "circuit": "int-1",
    "line_group": "outside",
    "tenant": "tsu",
    "service": "dns-internal-1",
    "incident": "2026-1121-001",
}
JSON_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
    "boolean": bool,
}


def misfits(value: object, schema: dict, place: str = "$") -> list[str]:
    """Where a value is not what a schema says; the part of JSON Schema that the description uses."""
    wanted = schema.get("type", [])
    types = [wanted] if isinstance(wanted, str) else wanted
    if types and not any(isinstance(value, JSON_TYPES[each]) for each in types):
        return [f"{place}: {type(value).__name__} is not {wanted}"]
    found = [] if value in schema.get("enum", [value]) else [f"{place}: {value} is none of {schema['enum']}"]
    if isinstance(value, dict):
        found += [f"{place}.{key} is missing" for key in schema.get("required", []) if key not in value]
        for key, each in value.items():
            below = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            found += misfits(each, below, f"{place}.{key}") if below else []
    if isinstance(value, list) and "items" in schema:
        for number, each in enumerate(value):
            found += misfits(each, schema["items"], f"{place}[{number}]")
    return found


@pytest.fixture
def live() -> LiveState:
    live = LiveState(load(PREFECTURE).estate)
    live.show_incidents([{"id": IDS["incident"], "severity": "minor", "title": {"ja": "断", "en": "down"}}])
    return live


@pytest.fixture
async def server(live: LiveState, tmp_path: Path) -> AsyncIterator[WallServer]:
    store = Store(tmp_path / "alerts.sqlite")
    estate = load(PREFECTURE).estate
    wall = WallServer(live, "127.0.0.1", 0, history=open_history(tmp_path))
    wall.serve_also(People(Alerting(estate, store), estate, tmp_path).routes())
    async with wall:
        yield wall
    store.close()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


def test_every_route_for_programs_is_described_and_no_other(server: WallServer) -> None:
    application = server._runner.app
    paths = {route.resource.canonical for route in application.router.routes() if route.resource is not None}
    programs = {path for path in paths if path.startswith("/api/") or re.fullmatch(r"/(healthz|readyz|metrics)", path)}
    assert programs == set(openapi()["paths"])


@pytest.mark.parametrize(
    "path", [path for path, each in openapi()["paths"].items() if "get" in each and path != "/api/v1/stream"]
)
async def test_every_answer_is_a_described_one(server: WallServer, client, path: str) -> None:
    operation = openapi()["paths"][path]
    parameters = {each["name"]: each["schema"] for each in operation.get("parameters", [])}
    kinds = parameters.get("kind", {}).get("enum", [""])
    spans = [*SPANS, "9y", ""] if "span" in parameters else [None]
    asked = [
        (path.format(kind=kind, id=key), span)
        for kind in kinds
        for key in (IDS.get(kind, ""), "none", "%00", "%E6%B4%A5", "a" * 2000)
        for span in spans
    ]
    for target, span in asked:
        query = "" if span is None else f"?span={span}"
        async with client.get(server.url.rstrip("/") + target + query) as answer:
            described = operation["get"]["responses"]
            assert str(answer.status) in described, (target, span)
            if answer.status == 200 and answer.content_type == "application/json":
                schema = described["200"]["content"]["application/json"]["schema"]
                assert [] == misfits(await answer.json(), schema)


async def test_the_kinds_are_those_that_have_pages(server: WallServer, client) -> None:
    for kind in KINDS:
        async with client.get(f"{server.url}{kind}/{IDS[kind]}") as answer:
            assert (200, "text/html") == (answer.status, answer.content_type)
