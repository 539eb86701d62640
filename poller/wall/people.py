"""The API for people: acknowledge, comment, silence, plan maintenance; and what only the alerts' store knows.

Thin: what may be asked is judged in poller.alerts.asked, carried out by Alerting, and answered once it is on disk. A
request must be JSON by its content type, which no other site's form can send without asking this server first.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web

from poller.alerts import asked
from poller.alerts.asked import Person, Unfit
from poller.alerts.engine import Alerting
from poller.alerts.inquiry import Inquiry, NoStore
from poller.alerts.records import AuditEntry
from poller.alerts.servicereport import BadPeriod, parse_period, service_report
from poller.alerts.subjects import Subject
from poller.alerts.words import subject_name
from poller.estate import Estate
from poller.units import parse_duration
from poller.wall.login import address_of
from poller.wall.stories import closed_entries, told_story
from poller.wall.work import answer

Body: TypeAlias = Mapping[str, Any]
_LATEST: Final = 500
"""Entries of the audit log, and incidents that are over, that are told."""
_REMARKS: Final = "acknowledge|comment|second_notice|exclude"


class People:
    """The routes; identify says who asks, by the request and its body; without it, whom the body names."""

    def __init__(
        self,
        alerting: Alerting,
        estate: Estate,
        state_directory: Path,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        identify: Callable[[web.Request, Body], str] | None = None,
    ) -> None:
        self._alerting = alerting
        self._estate = estate
        self._state = state_directory
        self._clock_ns = clock_ns
        self._identify = identify or _named_in_the_body

    def follow(self, estate: Estate) -> None:
        """Judge by another estate what people ask for."""
        self._estate = estate

    def routes(self) -> list[web.RouteDef]:
        """Everything that people may ask for."""
        return [
            web.post(f"/api/v1/incident/{{id}}/{{action:{_REMARKS}}}", self._remark),
            web.get("/api/v1/incident/{id}/story", self._story),
            web.get("/api/v1/incidents", self._over),
            web.post("/api/v1/silences", self._silence),
            web.get("/api/v1/maintenance", self._windows),
            web.post("/api/v1/maintenance", self._plan),
            web.post("/api/v1/maintenance/{id}/end", self._end),
            web.get("/api/v1/dead-letters", self._dead_letters),
            web.get("/api/v1/service-level", self._service_level),
            web.get("/api/v1/audit", self._audit),
        ]

    async def _remark(self, request: web.Request) -> web.Response:
        async def ask(body: Body, person: Person) -> AuditEntry:
            id_ = request.match_info["id"]
            if self._alerting.incident(id_) is None:
                raise web.HTTPNotFound
            return asked.remark(request.match_info["action"], id_, _text(body), person)

        return await self._carry_out(request, ask)

    async def _silence(self, request: web.Request) -> web.Response:
        async def ask(body: Body, person: Person) -> AuditEntry:
            try:
                seconds = parse_duration(body.get("for", "2h"))
            except ValueError as error:
                raise Unfit(f"for: {error}") from None
            target = str(body.get("target", ""))
            if "/" not in target and self._alerting.incident(target) is None:
                raise Unfit(f"{target!r} is neither an incident nor a subject such as circuit/bo-1")
            return asked.silence(target, seconds, _text(body), person, self._estate)

        return await self._carry_out(request, ask)

    async def _plan(self, request: web.Request) -> web.Response:
        async def ask(body: Body, person: Person) -> AuditEntry:
            window = {key: value for key, value in body.items() if key not in {"who", "text"}}
            return asked.maintenance(window, person, self._estate)

        return await self._carry_out(request, ask)

    async def _end(self, request: web.Request) -> web.Response:
        async def ask(body: Body, person: Person) -> AuditEntry:
            planned = {k: w for k, w in self._alerting.windows().items() if k not in self._estate.maintenance}
            return asked.end_maintenance(request.match_info["id"], _text(body), person, planned)

        return await self._carry_out(request, ask)

    async def _carry_out(
        self, request: web.Request, ask: Callable[[Body, Person], Awaitable[AuditEntry]]
    ) -> web.Response:
        """Judge, do, and answer when it is on disk."""
        if request.content_type != "application/json":
            return answer({"error": "send JSON, with the content type application/json"}, status=415)
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, Any])
            origin = f"api, {address_of(request)}"
            person = Person(self._identify(request, body), origin, self._clock_ns())
            entry = await ask(body, person)
            self._alerting.carry_out(entry)
        except msgspec.DecodeError:
            return answer({"error": "the body is no JSON object"}, status=400)
        except Unfit as error:
            return answer({"error": str(error)}, status=422)
        if self._alerting.committed is not None:
            await asyncio.wrap_future(self._alerting.committed)
        return answer({"done": {"action": entry.action, "target": entry.target, "who": entry.who}})

    async def _story(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]

        def read() -> dict[str, Any] | None:
            story = Inquiry(self._state).story(id_)
            if story is None:
                return None
            return dict(msgspec.to_builtins(story)) | told_story(story, self._estate) | {"now_ns": self._clock_ns()}

        return await self._read(read)

    async def _over(self, _request: web.Request) -> web.Response:
        def read() -> dict[str, Any]:
            over = [each for each in Inquiry(self._state).incidents(closed=_LATEST) if each.closed_ns is not None]
            return {"now_ns": self._clock_ns(), "closed": closed_entries(over)}

        return await self._read(read)

    async def _dead_letters(self, _request: web.Request) -> web.Response:
        return await self._read(lambda: {"mails": msgspec.to_builtins(Inquiry(self._state).dead_letters())})

    async def _audit(self, _request: web.Request) -> web.Response:
        return await self._read(lambda: {"entries": [asdict(each) for each in Inquiry(self._state).audit(_LATEST)]})

    async def _windows(self, _request: web.Request) -> web.Response:
        windows = self._alerting.windows()
        found = [
            {**window.model_dump(mode="json"), "configured": id_ in self._estate.maintenance}
            for id_, window in windows.items()
        ]
        return answer({"maintenance": found})

    async def _service_level(self, request: web.Request) -> web.Response:
        now_ns = self._clock_ns()
        try:
            period = parse_period(request.query.get("period"), self._estate, now_ns)
        except BadPeriod as error:
            return answer({"error": str(error)}, status=400)

        def read() -> dict[str, Any]:
            report = service_report(Inquiry(self._state), self._estate, period, now_ns)
            names = {each.subject: _names(Subject.parse(each.subject), self._estate) for each in report.levels}
            return dict(msgspec.to_builtins(report)) | {"names": names}

        return await self._read(read)

    async def _read(self, read: Callable[[], dict[str, Any] | None]) -> web.Response:
        """Ask the store off the loop."""
        try:
            found = await asyncio.to_thread(read)
        except NoStore as error:
            return answer({"error": str(error)}, status=503)
        if found is None:
            raise web.HTTPNotFound
        return answer(found)


def _names(subject: Subject, estate: Estate) -> dict[str, str]:
    return {lang: subject_name(subject, estate, lang) for lang in ("ja", "en")}


def _text(body: Body) -> str:
    text = body.get("text", "")
    if not isinstance(text, str):
        raise Unfit("text: must be a text")
    return text


def _named_in_the_body(_request: web.Request, body: Body) -> str:
    who = body.get("who", "")
    if not isinstance(who, str):
        raise Unfit("who: must be a text")
    return who
