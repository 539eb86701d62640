"""Grafana made ready by its HTTP API: folder, data source, dashboards, playlist. Again is no change.

Newer versions of Grafana rewrite a dashboard when it is saved. So each is saved with a digest of what was sent as the
version's message: while the newest version has it, nobody has changed the dashboard since.

Sources: Grafana's HTTP API (frontend settings, folders, data sources, dashboards, their versions, playlists), the same
from version 10 to 13.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import grafana_client
from grafana_client.client import (
    GrafanaClientError,
    GrafanaException,
    GrafanaTimeoutError,
    GrafanaUnauthorizedError,
    TokenAuth,
)

from poller.dashboards import Dashboard
from poller.secrets import Secret

_api: Any = grafana_client  # without types
OLDEST: Final = 10
FOLDER_UID: Final = "hinomi"
FOLDER_TITLE: Final = "火の見"
DATASOURCE_UID: Final = "hinomi"
PLAYLIST: Final = "火の見"
_NOT_FOUND: Final = 404
_KEPT_BY_GRAFANA: Final = frozenset({"id", "version", "iteration"})
_SECONDS: Final = 30.0
Outcome = Literal["made", "changed", "kept", "fails"]


class PushRefused(Exception):  # noqa: N818 - the text is the outcome
    """Grafana cannot be used as it is; one sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """The data source: InfluxDB's address as Grafana's server sees it, and by whom it is read."""

    url: str
    database: str
    token: Secret | None = None
    user: str = ""
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that was looked after; "fails" where it is there but cannot do its work."""

    what: str
    outcome: Outcome


def push(url: str, token: Secret, dashboards: Sequence[Dashboard], source: Source | None) -> Iterator[Done]:
    """Make or change everything, and say each as it is done; PushRefused ends it.

    source None: the data source has to be there already.
    """
    with _explained(url):
        api = _api.GrafanaApi.from_url(url, credential=TokenAuth(token.reveal()), timeout=_SECONDS)  # type: ignore[no-untyped-call] # the client has no types here
        version = _version(api)
        major = version.partition(".")[0]
        if not major.isdigit() or int(major) < OLDEST:
            raise PushRefused(f"{url} is Grafana {version or 'of an unknown version'}: {OLDEST} or newer is needed")
        yield _folder(api)
        yield _datasource(api, url, source)
        for dashboard in dashboards:
            yield _dashboard(api, dashboard)
        yield _playlist(api, url, [dashboard["uid"] for dashboard in dashboards])
        yield from _trouble(api)


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except GrafanaUnauthorizedError as error:
        raise PushRefused(f"{url} does not know the token: make a service account with role Editor or Admin") from error
    except GrafanaTimeoutError as error:
        raise PushRefused(f"{url} did not answer within {_SECONDS:.0f} s") from error
    except GrafanaException as error:
        if error.status_code == 403:  # noqa: PLR2004 - forbidden
            text = "the token may not do this: the data source needs role Admin, the rest Editor"
            raise PushRefused(f"{url}: {text}") from error
        if "provisioned" in str(error.response):
            text = "the dashboards come from provisioning files there; use the files or push, not both"
            raise PushRefused(f"{url}: {text}") from error
        if not error.status_code:
            raise PushRefused(f"{url} cannot be reached: {error.message}") from error
        raise PushRefused(f"{url} answers HTTP {error.status_code}: {error.message}") from error
    except (OSError, ValueError) as error:
        raise PushRefused(f"{url} is no Grafana that can be asked: {error}") from error


def _version(api: Any) -> str:  # noqa: ANN401 - the client
    """As Grafana tells everybody who may log in; empty where it hides it. ValueError for another kind of server."""
    settings = api.client.GET("/frontend/settings")
    if not isinstance(settings, dict):
        raise ValueError("its answer is a page, not JSON")  # noqa: TRY004 - it is the answer that is wrong
    return str((settings.get("buildInfo") or {}).get("version") or "")


def _found(ask: Any, *arguments: object) -> Any:  # noqa: ANN401 - answers of the API as they are
    """What the API has, None where it has nothing by that name."""
    try:
        return ask(*arguments)
    except GrafanaClientError as error:
        if error.status_code == _NOT_FOUND:
            return None
        raise


def _folder(api: Any) -> Done:  # noqa: ANN401 - the client
    what = f"folder {FOLDER_TITLE}"
    found = _found(api.folder.get_folder, FOLDER_UID)
    if found is None:
        api.folder.create_folder(FOLDER_TITLE, FOLDER_UID)
        return Done(what, "made")
    if found["title"] == FOLDER_TITLE:
        return Done(what, "kept")
    api.folder.update_folder(FOLDER_UID, title=FOLDER_TITLE, version=found.get("version"), overwrite=True)
    return Done(what, "changed")


def _datasource(api: Any, url: str, source: Source | None) -> Done:  # noqa: ANN401 - the client
    what = f"data source {DATASOURCE_UID}"
    found = _found(api.datasource.get_datasource_by_uid, DATASOURCE_UID)
    if source is None:
        if found is None:
            raise PushRefused(
                f"{url} has no data source {DATASOURCE_UID!r} and the configuration has no storage.influx: "
                "name InfluxDB with --datasource-url, or provision dashboards/provisioning/datasources/hinomi.yaml"
            )
        if found.get("type") != "influxdb":
            raise PushRefused(f"{url}: the data source {DATASOURCE_UID!r} is {found.get('type')}, not influxdb")
        return Done(what, "kept")
    wanted, secrets = _wanted(source)
    if found is None:
        api.datasource.create_datasource({**wanted, "secureJsonData": secrets})
        return Done(what, "made")
    if found.get("readOnly"):
        return Done(f"{what} (provisioned by a file)", "kept")
    known = set(found.get("secureJsonFields") or {})
    same = all(found.get(key) == value for key, value in wanted.items()) and set(secrets) <= known
    if secrets or not same:  # a secret cannot be compared: it may be a new one
        api.datasource.update_datasource_by_uid(DATASOURCE_UID, {**wanted, "secureJsonData": secrets})
    return Done(what, "kept" if same else "changed")


def _trouble(api: Any) -> Iterator[Done]:  # noqa: ANN401 - the client
    """What Grafana itself says where it cannot read from the data source; nothing where it may not be asked."""
    try:
        answer = api.client.GET(f"/datasources/uid/{DATASOURCE_UID}/health")
    except GrafanaException as error:
        answer = error.response
        if not isinstance(answer, dict) or "status" not in answer:
            return
    if answer["status"] != "OK":
        yield Done(f"data source {DATASOURCE_UID}: Grafana cannot read from it: {answer.get('message')}", "fails")


def _wanted(source: Source) -> tuple[dict[str, Any], dict[str, str]]:
    """The data source, and its secrets, which Grafana never shows again."""
    about: dict[str, Any] = {
        "version": "InfluxQL",
        "dbName": source.database,
        "httpMode": "POST",
        "timeInterval": "60s",
    }
    secrets: dict[str, str] = {}
    if source.token is not None:
        about["httpHeaderName1"] = "Authorization"
        secrets["httpHeaderValue1"] = f"Token {source.token.reveal()}"
    if source.password is not None:
        secrets["password"] = source.password.reveal()
    wanted = {
        "uid": DATASOURCE_UID,
        "name": "Hinomi",
        "type": "influxdb",
        "access": "proxy",
        "url": source.url,
        "user": source.user,
        "jsonData": about,
    }
    return wanted, secrets


def _dashboard(api: Any, dashboard: Dashboard) -> Done:  # noqa: ANN401 - the client
    uid, what = dashboard["uid"], f"dashboard {dashboard['title']}"
    body = {key: value for key, value in dashboard.items() if key not in _KEPT_BY_GRAFANA}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    message = f"hinomi {digest[:16]}"
    found = _found(api.dashboard.get_dashboard, uid)
    if (
        found is not None
        and found["meta"].get("folderUid") == FOLDER_UID
        and (_same(found["dashboard"], dashboard) or _latest_message(api, uid) == message)
    ):
        return Done(what, "kept")
    wanted = {"dashboard": {**body, "id": None}, "folderUid": FOLDER_UID, "overwrite": True, "message": message}
    api.dashboard.update_dashboard(wanted)
    return Done(what, "made" if found is None else "changed")


def _latest_message(api: Any, uid: str) -> str | None:  # noqa: ANN401 - the client
    """What was said when the dashboard was last saved; the versions come newest first, bare before Grafana 11."""
    answer = _found(api.client.GET, f"/dashboards/uid/{uid}/versions?limit=1")
    versions = answer.get("versions") if isinstance(answer, dict) else answer
    return str(versions[0].get("message")) if versions else None


def _same(one: Dashboard, other: Dashboard) -> bool:
    keys = (one.keys() | other.keys()) - _KEPT_BY_GRAFANA
    return all(one.get(key) == other.get(key) for key in keys)


def _playlist(api: Any, url: str, uids: Sequence[str]) -> Done:  # noqa: ANN401 - the client
    """The round of the wall: the dashboards that people look at from afar; told with the address to open."""
    shown = [uid for uid in ("hinomi-wall", "hinomi-lines", "hinomi-tenants", "hinomi-services") if uid in uids]
    items = [{"type": "dashboard_by_uid", "value": uid, "order": order} for order, uid in enumerate(shown, 1)]
    wanted = {"name": PLAYLIST, "interval": "1m", "items": items}
    found = next((each for each in api.client.GET("/playlists") if each["name"] == PLAYLIST), None)
    outcome: Outcome = "kept"
    if found is None:
        found, outcome = api.client.POST("/playlists", json=wanted), "made"
    else:
        kept = api.client.GET(f"/playlists/{found['uid']}")
        if [each["value"] for each in kept.get("items", ())] != shown or kept.get("interval") != wanted["interval"]:
            api.client.PUT(f"/playlists/{found['uid']}", json=wanted)
            outcome = "changed"
    return Done(f"playlist {PLAYLIST} {url.rstrip('/')}/playlists/play/{found['uid']}?kiosk", outcome)
