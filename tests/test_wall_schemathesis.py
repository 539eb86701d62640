"""The API against its own description, by a stranger's tool: schemathesis makes requests, right ones and wrong ones.

With a login: `schemathesis run URL/api/v1/openapi.json --header "Authorization: Bearer TOKEN" --exclude-path
/api/v1/stream` does the same from outside, for as long as wanted.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from poller.alerts.engine import Alerting
from poller.alerts.store import Store
from poller.config import load
from poller.sample import Sample
from poller.storage.history import open_history
from poller.wall.incidents import incident_entry
from poller.wall.live import LiveState
from poller.wall.openapi import openapi
from poller.wall.people import People
from poller.wall.server import WallServer

PREFECTURE = Path(__file__).parent.parent / "config" / "examples" / "prefecture"
NOON_NS = 1_795_230_000 * 10**9
CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)
EXAMPLES = 12
"""Of each operation and mode; enough to hit every kind of wrong value, and seconds in all."""
NAMES = [(path, method) for path, item in openapi()["paths"].items() for method in item if method in {"get", "post"}]
ENDLESS = ("/api/v1/stream", "get")

load_all_checks()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WallServer]:
    estate = load(PREFECTURE).estate
    live, store = LiveState(estate), Store(tmp_path / "alerts.sqlite")
    alerting = Alerting(estate, store)
    tags = (("service", "dns-internal-1"), ("kind", "dns"))
    alerting.observe([Sample("service", tags, {"up": False}, NOON_NS)], NOON_NS)
    for second in range(1, 31):
        alerting.tick(NOON_NS + second * 10**9)
    live.show_incidents([incident_entry(each, estate) for each in alerting.open_incidents()])
    wall = WallServer(live, "127.0.0.1", 0, history=open_history(tmp_path))
    wall.serve_also(People(alerting, estate, tmp_path).routes())
    async with wall:
        yield wall
    store.close()


def described() -> dict:
    """The description, with ids that exist among those that are tried: else nearly every answer would be 404."""
    description = openapi()
    known = ["fw-1", "int-1", "tsu", "dns-internal-1", "outside", "2026-1121-001"]
    for item in description["paths"].values():
        for parameter in item.get("parameters", []):
            if parameter["name"] == "id":
                parameter["schema"] = {"anyOf": [{"enum": known}, {"type": "string"}]}
    return description


def try_it(url: str, name: tuple[str, str]) -> int:
    """Every request that is made of one operation; raises where an answer is not a described one."""
    path, method = name
    operation = schemathesis.openapi.from_dict(described())[path][method.upper()]
    tried = 0
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @seed(20261121)
        @settings(
            max_examples=EXAMPLES,
            phases=(Phase.generate,),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            nonlocal tried
            tried += 1
            answer = requests.request(**case.as_transport_kwargs(base_url=url), timeout=20)
            assert answer.status_code < 500 or answer.status_code == 503  # which is described where it can be
            case.validate_response(answer, checks=list(CHECKS))

        with suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):  # no text is a wrong id
            ask()
    return tried


@pytest.mark.parametrize("name", [name for name in NAMES if name != ENDLESS], ids=" ".join)
async def test_no_request_is_answered_but_as_described(server: WallServer, name: tuple[str, str]) -> None:
    """R76, R77: no 5xx, nothing undocumented, whatever is sent."""
    assert await asyncio.to_thread(try_it, server.url.rstrip("/"), name) >= 1
