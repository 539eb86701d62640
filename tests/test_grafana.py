"""`hinomi dashboards push` against a server that answers as Grafana's HTTP API documents it, and refuses the rest.

Paths, methods, bodies and answers: grafana.com/docs, "HTTP API": other (settings), folder, data source, dashboard,
dashboard versions, playlist.
"""

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from poller.cli import app
from poller.dashboards import load_dashboards

CONFIGURATION = """\
organisation: {name: {ja: 試験網, en: Test network}}
storage: {directory: state}
mail: {sender: hinomi@example.jp}
contacts: {shift: {role: operator, email: shift@example.jp}}
sites: {hall: {}}
devices: {fw-1: {name: 本庁ファイアウォール, addresses: [192.0.2.1], role: firewall, site: hall}}
rules: {busy: {name: CPU使用率, on: device.cpu_ratio, above: 70%, severity: serious}}
"""
TOKEN = "glsa_test"
UIDS = [dashboard["uid"] for dashboard in load_dashboards()]
Answer = tuple[int, Any]


@dataclass
class Grafana:
    """What the server holds, and how it behaves.

    rewrites: saved dashboards are kept in another form, as newer versions do. page: it is something else, with a page
    for every address. unreadable: why it cannot read from the data source. provisioned: by files. asked:
    method and path of each request.
    """

    version: str = "12.1.0"
    rewrites: bool = False
    role: str = "Admin"
    page: str | None = None
    unreadable: str = ""
    provisioned: bool = False
    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)
    playlists: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, token: str | None, body: Any) -> Answer:
        """Status and body."""
        self.asked.append((method, path))
        if self.page is not None:
            return 200, self.page
        if token != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key"}
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", r"/api/frontend/settings", lambda: (200, {"buildInfo": {"version": self.version}})),
            ("GET", r"/api/folders/([\w-]+)", lambda uid: _one(self.folders, uid, "folder not found")),
            ("POST", r"/api/folders", lambda: self._make_folder(body)),
            ("PUT", r"/api/folders/([\w-]+)", lambda uid: self._change_folder(uid, body)),
            ("GET", r"/api/datasources/uid/([\w-]+)", lambda uid: _one(self.sources, uid, "Data source not found")),
            ("GET", r"/api/datasources/uid/hinomi/health", self._health),
            ("POST", r"/api/datasources", lambda: self._keep_source(body)),
            ("PUT", r"/api/datasources/uid/([\w-]+)", lambda _uid: self._keep_source(body)),
            ("GET", r"/api/dashboards/uid/([\w-]+)", lambda uid: _one(self.dashboards, uid, "Dashboard not found")),
            ("GET", r"/api/dashboards/uid/([\w-]+)/versions\?limit=1", self._versions),
            ("POST", r"/api/dashboards/db", lambda: self._save(body)),
            ("GET", r"/api/playlists", lambda: (200, [_without(each, "items") for each in self.playlists.values()])),
            ("POST", r"/api/playlists", lambda: self._keep_playlist("p1", body)),
            ("GET", r"/api/playlists/([\w-]+)", lambda uid: _one(self.playlists, uid, "Playlist not found")),
            ("PUT", r"/api/playlists/([\w-]+)", lambda uid: self._keep_playlist(uid, body)),
        ]
        for wanted, pattern, act in routes:
            found = re.fullmatch(pattern, path)
            if found and method == wanted:
                return act(*found.groups())
        raise AssertionError(f"Grafana's API has no {method} {path}")

    def _health(self) -> Answer:
        if self.unreadable:
            return 400, {"status": "ERROR", "message": self.unreadable}
        return 200, {"status": "OK", "message": "datasource is working. 12 measurements found"}

    def _make_folder(self, body: dict[str, Any]) -> Answer:
        assert {"uid", "title"} == body.keys()
        if body["uid"] in self.folders:
            return 409, {"message": "a folder with the same uid already exists"}
        self.folders[body["uid"]] = {"id": 1, "version": 1, **body}
        return 200, self.folders[body["uid"]]

    def _change_folder(self, uid: str, body: dict[str, Any]) -> Answer:
        held = self.folders[uid]
        if not body.get("overwrite") and body.get("version") != held["version"]:
            return 412, {"message": "the folder has been changed by someone else"}
        held |= {"title": body["title"], "version": held["version"] + 1}
        return 200, held

    def _keep_source(self, body: dict[str, Any]) -> Answer:
        if self.role != "Admin":
            return 403, {"message": "You'll need additional permissions"}
        assert {"name", "type", "access", "url"} <= body.keys()
        self.secrets |= body.get("secureJsonData", {})
        kept = _without(body, "secureJsonData")
        self.sources[body["uid"]] = {
            "id": 7,
            "readOnly": False,
            **kept,
            "secureJsonFields": dict.fromkeys(self.secrets, True),
        }
        return 200, {"datasource": self.sources[body["uid"]], "message": "ok"}

    def _save(self, body: dict[str, Any]) -> Answer:
        assert body["dashboard"]["id"] is None
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        if self.provisioned:
            return 400, {"message": "Cannot save provisioned dashboard"}
        uid = body["dashboard"]["uid"]
        version = len(self.messages.get(uid, ())) + 1
        kept = {**body["dashboard"], "id": 100, "version": version}
        if self.rewrites:
            kept |= {"schemaVersion": 42, "preload": False}
        self.dashboards[uid] = {"dashboard": kept, "meta": {"folderUid": body["folderUid"], "url": f"/d/{uid}/x"}}
        self.messages.setdefault(uid, []).append(body["message"])
        return 200, {"id": 100, "uid": uid, "status": "success", "version": version}

    def _versions(self, uid: str) -> Answer:
        versions = [{"version": number, "message": text} for number, text in enumerate(self.messages[uid], 1)][:0:-1]
        versions = versions or [{"version": 1, "message": self.messages[uid][0]}]
        bare = int(self.version.partition(".")[0]) < 11
        return 200, versions[:1] if bare else {"continueToken": "", "versions": versions[:1]}

    def _keep_playlist(self, uid: str, body: dict[str, Any]) -> Answer:
        assert {"name", "interval", "items"} == body.keys()
        assert all({"type", "value", "order"} == item.keys() for item in body["items"])
        self.playlists[uid] = {"uid": uid, **body}
        return 200, _without(self.playlists[uid], "items")


def _one(held: dict[str, dict[str, Any]], uid: str, missing: str) -> Answer:
    return (200, held[uid]) if uid in held else (404, {"message": missing})


def _without(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != name}


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    held = Grafana()

    class Asked(BaseHTTPRequestHandler):
        def _any(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if text:
                assert self.headers["Content-Type"].startswith("application/json")
            try:
                status, body = held.answer(
                    self.command, self.path, self.headers.get("Authorization"), json.loads(text or "null")
                )
            except AssertionError as error:
                status, body = 418, {"message": f"not as documented: {error}"}
            page = isinstance(body, str)
            data = body.encode() if page else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{'text/html' if page else 'application/json'}; charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - names of http.server

        def log_message(self, *_args: object) -> None:
            """The test says what went wrong."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    held.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield held
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def push(tmp_path: Path, grafana: Grafana) -> Callable[..., tuple[int, str]]:
    """The command as people call it; exit code, and what it said to either."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "configuration").mkdir()
    (tmp_path / "configuration" / "hinomi.yaml").write_text(CONFIGURATION, encoding="utf-8")

    def call(*more: str, url: str | None = None, token: str = "token") -> tuple[int, str]:
        command = ["dashboards", "push", "--config", str(tmp_path / "configuration"), "--url", url or grafana.url]
        command += ["--token-file", str(tmp_path / token)]
        done = CliRunner().invoke(app, [*command, *more])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return call


SOURCE = ("--datasource-url", "http://influx:8086")


def _outcomes(output: str) -> Counter[str]:
    return Counter(line.split()[0] for line in output.splitlines())


def test_an_empty_grafana_gets_folder_data_source_dashboards_and_playlist(
    grafana: Grafana, push: Callable[..., tuple[int, str]]
) -> None:
    code, output = push(*SOURCE)
    assert (0, {"made": len(UIDS) + 3}) == (code, _outcomes(output))
    assert "火の見" == grafana.folders["hinomi"]["title"]
    source = grafana.sources["hinomi"]
    assert ("influxdb", "http://influx:8086", "InfluxQL", "hinomi") == (
        source["type"],
        source["url"],
        source["jsonData"]["version"],
        source["jsonData"]["dbName"],
    )
    assert UIDS == sorted(grafana.dashboards)
    assert {"hinomi"} == {each["meta"]["folderUid"] for each in grafana.dashboards.values()}
    (playlist,) = grafana.playlists.values()
    assert "hinomi-wall" == playlist["items"][0]["value"]
    assert f"{grafana.url}/playlists/play/p1?kiosk" in output


@pytest.mark.parametrize(("version", "rewrites"), [("10.4.2", False), ("11.6.0", True), ("13.2.3", True)])
def test_again_is_no_change_even_where_grafana_rewrites_what_it_is_given(
    grafana: Grafana, push: Callable[..., tuple[int, str]], version: str, *, rewrites: bool
) -> None:
    grafana.version, grafana.rewrites = version, rewrites
    assert 0 == push(*SOURCE)[0]
    grafana.asked.clear()
    code, output = push(*SOURCE)
    assert (0, {"kept": len(UIDS) + 3}) == (code, _outcomes(output))
    assert {"GET"} == {method for method, _ in grafana.asked}


def test_what_somebody_changed_is_put_right_and_said(grafana: Grafana, push: Callable[..., tuple[int, str]]) -> None:
    grafana.rewrites = True
    push(*SOURCE)
    grafana.folders["hinomi"]["title"] = "renamed"
    grafana.sources["hinomi"]["url"] = "http://elsewhere:8086"
    grafana.dashboards["hinomi-wall"]["dashboard"]["title"] = "mine"
    grafana.messages["hinomi-wall"].append("a better title")
    grafana.dashboards["hinomi-lines"]["meta"]["folderUid"] = "general"
    grafana.playlists["p1"]["items"] = []
    code, output = push(*SOURCE)
    assert (0, {"changed": 5, "kept": len(UIDS) - 2}) == (code, _outcomes(output))
    assert ("火の見", "火の見 NOC監視") == (
        grafana.folders["hinomi"]["title"],
        grafana.dashboards["hinomi-wall"]["dashboard"]["title"],
    )
    assert {"kept": len(UIDS) + 3} == _outcomes(push(*SOURCE)[1])


def test_choices_and_thresholds_are_the_configurations(grafana: Grafana, push: Callable[..., tuple[int, str]]) -> None:
    push(*SOURCE)
    devices = grafana.dashboards["hinomi-devices"]["dashboard"]
    variables = {each["name"]: each for each in devices["templating"]["list"]}
    assert [("All", "$__all"), ("本庁ファイアウォール", "fw-1")] == [
        (option["text"], option["value"]) for option in variables["device"]["options"]
    ]
    (panel,) = [each for each in devices["panels"] if each["title"] == "CPU使用率"]
    assert [(None, "green"), (0.7, "red")] == [
        (step["value"], step["color"]) for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    ]


def test_a_new_secret_reaches_grafana_though_it_never_shows_the_old_one(
    grafana: Grafana, push: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Secrets come by reference and are never printed (R76)."""
    said = ""
    for secret in ("first-secret", "second-secret"):
        (tmp_path / "influx").write_text(secret)
        code, output = push(*SOURCE, "--datasource-token", f"file:{tmp_path / 'influx'}")
        assert 0 == code
        assert f"Token {secret}" == grafana.secrets["httpHeaderValue1"]
        said += output
    assert "kept     data source hinomi" in said
    assert "secret" not in said
    assert "Token" not in json.dumps(grafana.sources)


def test_a_data_source_that_a_file_provisions_is_left_alone(
    grafana: Grafana, push: Callable[..., tuple[int, str]]
) -> None:
    grafana.sources["hinomi"] = {"uid": "hinomi", "type": "influxdb", "readOnly": True, "url": "http://other"}
    code, output = push(*SOURCE)
    assert 0 == code
    assert "kept     data source hinomi (provisioned by a file)" in output
    assert "http://other" == grafana.sources["hinomi"]["url"]


def test_a_data_source_that_grafana_cannot_read_from_is_told_though_everything_is_there(
    grafana: Grafana, push: Callable[..., tuple[int, str]]
) -> None:
    grafana.unreadable = "InfluxDB returned error: unauthorized access"
    code, output = push(*SOURCE)
    assert (1, UIDS) == (code, sorted(grafana.dashboards))
    assert (
        "fails    data source hinomi: Grafana cannot read from it: InfluxDB returned error: unauthorized access"
        == output.splitlines()[-1]
    )


def test_json_lists_every_outcome(push: Callable[..., tuple[int, str]]) -> None:
    code, output = push(*SOURCE, "--json")
    assert 0 == code
    assert [{"what": "folder 火の見", "outcome": "made"}, {"what": "data source hinomi", "outcome": "made"}] == (
        json.loads(output)[:2]
    )


def _old(grafana: Grafana) -> None:
    grafana.version = "9.5.1"


def _nameless(grafana: Grafana) -> None:
    grafana.version = ""


def _page(grafana: Grafana) -> None:
    grafana.page = "<html>something else</html>"


def _files(grafana: Grafana) -> None:
    grafana.provisioned = True


def _editor(grafana: Grafana) -> None:
    grafana.role = "Editor"


def _other_source(grafana: Grafana) -> None:
    grafana.sources["hinomi"] = {"uid": "hinomi", "type": "prometheus"}


@pytest.mark.parametrize(
    ("prepare", "options", "sentence"),
    [
        (_old, SOURCE, "is Grafana 9.5.1: 10 or newer is needed"),
        (_nameless, SOURCE, "is Grafana of an unknown version: 10 or newer is needed"),
        (_page, SOURCE, "is no Grafana that can be asked: its answer is a page, not JSON"),
        (_files, SOURCE, "the dashboards come from provisioning files there; use the files or push, not both"),
        (_editor, SOURCE, "the token may not do this: the data source needs role Admin, the rest Editor"),
        (None, (), "has no data source 'hinomi' and the configuration has no storage.influx"),
        (_other_source, (), "the data source 'hinomi' is prometheus, not influxdb"),
    ],
    ids=["old", "nameless", "page", "files", "editor", "no source", "other source"],
)
def test_what_is_wrong_is_said_in_one_sentence(
    grafana: Grafana,
    push: Callable[..., tuple[int, str]],
    prepare: Callable[[Grafana], None] | None,
    options: tuple[str, ...],
    sentence: str,
) -> None:
    if prepare is not None:
        prepare(grafana)
    code, output = push(*options)
    assert 1 == code
    assert sentence in output.splitlines()[-1]
    assert {} == grafana.dashboards


def test_a_wrong_token_is_said_with_what_to_do(
    grafana: Grafana, push: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "wrong").write_text("glsa_other")
    expected = f"{grafana.url} does not know the token: make a service account with role Editor or Admin\n"
    assert (1, expected) == push(*SOURCE, token="wrong")


def test_a_token_file_that_is_not_there_is_said(push: Callable[..., tuple[int, str]]) -> None:
    code, output = push(*SOURCE, token="absent")
    assert 1 == code
    assert "absent" in output
    assert 1 == len(output.splitlines())


def test_a_server_that_is_not_there_is_said(push: Callable[..., tuple[int, str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    code, output = push(*SOURCE, url=url)
    assert 1 == code
    assert output.startswith(url)
    assert 1 == len(output.splitlines())


def test_an_address_that_is_none_is_refused(push: Callable[..., tuple[int, str]]) -> None:
    code, output = push(*SOURCE, url="localhost:3000")
    assert 2 == code
    assert "http://HOST:PORT" in output
