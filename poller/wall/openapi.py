"""The description of the API (OpenAPI 3.1), served at /api/v1/openapi.json; a test holds it against the routes."""

from typing import Any, Final

from poller.wall.access import Route, is_open
from poller.wall.work import GRAPHS, KINDS, SPANS

_NULLABLE_NUMBER: Final = {"type": ["number", "null"]}
_TIME_NS: Final = {"type": "integer", "description": "UTC, unix nanoseconds"}


def openapi() -> dict[str, Any]:
    """The whole description."""
    described = _description()
    for path, item in described["paths"].items():
        for method in item.keys() & {"get", "post"}:
            refusals = _refusals((method.upper(), path))
            item[method] = item[method] | {"responses": item[method]["responses"] | refusals}
    return described


def _refusals(route: Route) -> dict[str, Any]:
    """What the door answers."""
    refusals = {"403": {"description": "this login may not do that, or not from there"}}
    if not is_open(route):
        refusals["401"] = {"description": "there is no login, or it is over"}
    return refusals


def _description() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hinomi",
            "version": "1",
            "description": "What the wall shows. Rates are bits per second, ratios 0 to 1; what is not known is null.",
        },
        "paths": {
            "/api/v1/wall": {"get": _operation("Everything the wall shows", _json(_snapshot()))},
            "/api/v1/stream": {
                "get": _operation(
                    "Server-sent events: everything first, then the entries that changed, twice a second",
                    {"text/event-stream": {"schema": {"type": "string"}}},
                )
            },
            "/api/v1/openapi.json": {"get": _operation("This description", _json({"type": "object"}))},
            "/api/v1/{kind}/{id}": {
                "parameters": [_path("kind", KINDS), _path("id")],
                "get": _operation(
                    "The last readings of one thing",
                    _json({"type": "object", "required": ["now_ns", "entry"], "properties": _ENTRY}),
                    {"404": "there is no such thing, or the incident is not open"},
                ),
            },
            "/api/v1/{kind}/{id}/history": {
                "parameters": [_path("kind", tuple(GRAPHS)), _path("id"), _span()],
                "get": _operation(
                    "The past of one thing, as its page draws it",
                    _json({"type": "object", "required": ["from", "to", "graphs"], "properties": _PAST}),
                    {"400": "no such span", "404": "there is no such thing", "503": "no history is kept"},
                ),
            },
            "/api/v1/search": {
                "parameters": [{"name": "q", "in": "query", "schema": {"type": "string", "default": ""}}],
                "get": _operation(
                    "What has every word of q in its name, id, address, number or kind; at most 100",
                    _json(_listing("found")),
                ),
            },
            "/api/v1/notifications": {
                "parameters": [{"name": "since", "in": "query", "schema": {"type": "integer", "default": 0}}],
                "get": _operation(
                    "What devices told lately: the funnel, the latest after a number, sources, strangers, gaps",
                    _json({"type": "object", "required": ["now_ns", "receiving", "latest", "number"]}),
                    {"400": "since is no number"},
                ),
            },
            **_PEOPLE,
            **_DOOR,
            "/healthz": {"get": _operation("The daemon runs", _json({"type": "object"}))},
            "/readyz": {
                "get": _operation(
                    "Something was measured lately", _json({"type": "object"}), {"503": "nothing measured lately"}
                )
            },
            "/metrics": {
                "get": _operation("Prometheus' text format", {"text/plain": {"schema": {"type": "string"}}}),
            },
        },
    }


_ENTRY: Final = {"now_ns": _TIME_NS, "entry": {"type": "object", "required": ["id"]}}
_PAST: Final = {
    "from": {"type": "integer", "description": "unix seconds"},
    "to": {"type": "integer", "description": "unix seconds"},
    "graphs": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["unit", "which", "time", "series"],
            "properties": {
                "unit": {"enum": ["ratio", "seconds", "bits/s"]},
                "which": {"type": ["string", "null"], "description": "the line, where there is a graph for each"},
                "time": {"type": "array", "items": {"type": "integer"}, "description": "unix seconds"},
                "series": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": _NULLABLE_NUMBER},
                },
            },
        },
    },
}


def _snapshot() -> dict[str, Any]:
    entries = {"type": "array", "items": {"type": "object", "required": ["id", "time_ns", "interval"]}}
    properties = {
        "version": {"type": "integer"},
        "now_ns": _TIME_NS,
        "newest_ns": {**_TIME_NS, "description": "of the newest reading; 0 before the first"},
        "whole": {
            "type": "object",
            "required": ["word", "reason", "answering", "asked", "serious", "minor", "notice"],
            "properties": {"word": {"enum": ["normal", "notice", "minor", "serious", "unknown"]}},
        },
        "notifications_per_minute": {"type": ["integer", "null"]},
        **dict.fromkeys(("devices", "circuits", "line_groups", "tenants", "services"), entries),
        "incidents": {"type": "array", "items": {"type": "object"}},
        "history": {"type": "object"},
        "daemon": {"type": "object"},
        "organisation": {"type": "object"},
        "lang": {"type": "string"},
    }
    return {"type": "object", "required": sorted(properties), "properties": properties}


def _operation(summary: str, content: dict[str, Any], others: dict[str, str] | None = None) -> dict[str, Any]:
    refusals = {status: {"description": meaning} for status, meaning in (others or {}).items()}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}, **refusals}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path(name: str, choices: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"} | ({"enum": list(choices)} if choices else {})
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _span() -> dict[str, Any]:
    return {"name": "span", "in": "query", "schema": {"enum": list(SPANS), "default": "6h"}}


def _asking(summary: str, properties: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    """A request of a person: JSON in, what was done out."""
    who = {
        "who": {"type": "string", "description": "who asks, for the audit log; with a login it is the user"},
        "text": {"type": "string"},
    }
    body = {"type": "object", "properties": who | properties}
    done = {"type": "object", "required": ["done"], "properties": {"done": {"type": "object"}}}
    refusals = {
        "400": "the body is no JSON object",
        "404": "there is no such incident",
        "415": "the content type is not application/json",
        "422": "it cannot be done; the error says why",
    }
    operation = _operation(summary, _json(done), refusals) | {"requestBody": {"content": _json(body)}}
    return {"parameters": list(parameters), "post": operation}


_STORE: Final = {"503": "the store of alerts cannot be read"}
_WINDOW: Final = {
    "id": {"type": "string"},
    "name": {"description": "a text, or ja and en"},
    "start": {"type": "string", "description": 'local time, "2026-11-21 22:00"'},
    "end": {"type": "string"},
    "repeat": {"enum": ["weekly", "monthly", None]},
    "where": {"type": "array", "items": {"type": "string"}, "description": "subjects: device/dns-*, tenant/tsu"},
    "mute_mails": {"type": "boolean"},
    "stop_polling": {"type": "boolean"},
    "exclude_from_service_level": {"type": "boolean"},
    "contacts": {"type": "array", "items": {"type": "string"}},
}


def _listing(key: str) -> dict[str, Any]:
    entries = {"type": "array", "items": {"type": "object"}}
    return {"type": "object", "required": [key], "properties": {key: entries}}


_PEOPLE: Final[dict[str, Any]] = {
    "/api/v1/incident/{id}/{action}": _asking(
        "Take an incident, comment it, note its second notice, or say why it is left out of the service level",
        {},
        _path("id"),
        _path("action", ("acknowledge", "comment", "second_notice", "exclude")),
    ),
    "/api/v1/incident/{id}/story": {
        "parameters": [_path("id")],
        "get": _operation(
            "Everything that is known of an incident, also when it is over",
            _json({"type": "object", "required": ["entry", "words", "timeline", "mails", "audit"]}),
            {"404": "there is no such incident", **_STORE},
        ),
    },
    "/api/v1/incidents": {
        "get": _operation("The latest 500 incidents that are over, the latest first", _json(_listing("closed")), _STORE)
    },
    "/api/v1/silences": _asking(
        "No mails about something for a while",
        {"target": {"type": "string"}, "for": {"type": "string", "description": '"2h"; "0s" ends it'}},
    ),
    "/api/v1/maintenance": {
        **_asking("Plan maintenance", _WINDOW),
        "get": _operation("The windows of maintenance", _json(_listing("maintenance"))),
    },
    "/api/v1/maintenance/{id}/end": _asking("End maintenance that people planned", {}, _path("id")),
    "/api/v1/dead-letters": {"get": _operation("What nobody would take", _json(_listing("mails")), _STORE)},
    "/api/v1/service-level": {
        "parameters": [{"name": "period", "in": "query", "schema": {"type": "string"}}],
        "get": _operation(
            "Availability, exclusions by reason, what remains of the allowance, and notices in time",
            _json({"type": "object", "required": ["period", "until_ns", "levels", "notices"]}),
            {"400": "no such period", **_STORE},
        ),
    },
    "/api/v1/audit": {
        "get": _operation("Who did what: the latest 500, the newest first", _json(_listing("entries")), _STORE)
    },
}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_PROOF: Final = {
    "type": "object",
    "required": ["user", "password"],
    "properties": {name: {"type": "string"} for name in ("user", "password", "code")},
}
_ME: Final = {
    "type": "object",
    "required": ["login", "user", "name", "role", "tenant", "token"],
    "properties": {
        "login": {"type": "boolean", "description": "whether a login is asked for"},
        "role": {"enum": ["wall", "viewer", "noc", "tenant", "administrator"]},
        **dict.fromkeys(("user", "tenant", "token"), _TEXT_OR_NULL),
    },
}
_NO_LOGIN: Final = {
    "400": "the body is not of that form",
    "401": "the user, the password or the code is wrong",
    "404": "no login is asked for",
    "415": "the content type is not application/json",
    "429": "too many tries; Retry-After says for how many seconds",
}
_ENTERED: Final = {"type": "object", "required": ["user", "role", "home"]}
_DOOR: Final[dict[str, Any]] = {
    "/api/v1/login": {
        "post": _operation("Log in; the answer sets a cookie", _json(_ENTERED), _NO_LOGIN)
        | {"requestBody": {"required": True, "content": _json(_PROOF)}}
    },
    "/api/v1/logout": {"post": _operation("Log out", _json({"type": "object", "required": ["done"]}))},
    "/api/v1/me": {
        "get": _operation("Who is logged in, and the token that changes carry as X-Hinomi-Token", _json(_ME)),
    },
}
