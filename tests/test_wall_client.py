"""Commands that ask a running daemon's wall: its login, its own certificate, and who is not told the token."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from poller.cli import app
from poller.config import load
from poller.daemon import Daemon
from poller.lab.authority import Authority, Issued
from poller.secrets import Secret
from poller.wall.client import WallClient, WallRefused, own_certificate

NOW = datetime.now(UTC)
TOKEN = "t" * 40
CONFIGURATION = """\
organisation: {name: Our network}
storage: {directory: state}
wall: {port: 0, login: true, certificate: wall.pem, key: wall.key}
users:
  robot: {role: viewer, token: "file:robot.token"}
  town: {role: tenant, tenant: tsu, token: "file:town.token"}
tenants: {tsu: {}}
"""


def issued() -> Issued:
    """Of an authority that nobody knows, for a name that nobody here asks by."""
    return Authority("Our own", NOW).issue(["noc.example.jp"], NOW - timedelta(days=1), NOW + timedelta(days=1))


@dataclass
class Running:
    """A daemon of a configuration, and where its wall is."""

    folder: Path
    url: str

    async def traps(self, *options: str, env: dict[str, str | None] | None = None) -> Result:
        """`hinomi traps`, by somebody whose environment names no token."""
        arguments = ["traps", "-c", str(self.folder), "--url", self.url, *options]
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env={"HINOMI_TOKEN": None, **(env or {})})


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    certified = issued()
    (tmp_path / "hinomi.yaml").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "wall.pem").write_bytes(certified.certificate)
    (tmp_path / "wall.key").write_bytes(certified.key)
    (tmp_path / "robot.token").write_text(f"{TOKEN}\n", encoding="utf-8")
    (tmp_path / "town.token").write_text(f"{TOKEN[::-1]}town\n", encoding="utf-8")
    daemon = Daemon(load(tmp_path))
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(ready.set_result))
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    assert not task.done(), task.exception()
    yield Running(tmp_path, ready.result().rstrip("/"))
    daemon.stop()
    await task


async def test_a_command_passes_the_door_with_a_token_by_reference(running: Running) -> None:
    """R76: the token is named, and the wall's own certificate believed, though no authority of the system issued it."""
    assert running.url.startswith("https://")
    by_file = await running.traps("--json", "--token", f"file:{running.folder / 'robot.token'}")
    assert (0, "", "") == (by_file.exit_code, by_file.stdout, by_file.stderr)
    wall = WallClient(running.url, Secret(TOKEN), own_certificate(load(running.folder).estate.wall, running.folder))
    state = await asyncio.to_thread(wall.get, "/api/v1/wall")
    assert "Our network" == state["organisation"]["en"]
    by_name = await running.traps("--token", "env:MINE", env={"MINE": TOKEN})
    usual = await running.traps(env={"HINOMI_TOKEN": TOKEN})
    assert [(0, ""), (0, "")] == [(done.exit_code, done.stderr) for done in (by_name, usual)]


async def test_what_the_door_refuses_is_one_sentence(running: Running) -> None:
    wanted = "it asks for a login: name a user's token by --token or HINOMI_TOKEN (hinomi user token makes one)"
    town = (running.folder / "town.token").read_text(encoding="utf-8").strip()
    cases = {
        None: wanted,
        "x" * 40: "it knows no user with this token",
        town: "it answers 403: this login may not do that",
    }
    for token, sentence in cases.items():
        done = await running.traps(env={"HINOMI_TOKEN": token})
        assert (1, f"{running.url}: {sentence}\n") == (done.exit_code, done.output)


async def test_a_token_is_given_by_reference_only(running: Running) -> None:
    written = await running.traps("--token", TOKEN)
    assert (2, False) == (written.exit_code, TOKEN in written.output)
    missing = await running.traps("--token", "env:NOT_THERE")
    expected = "--token env:NOT_THERE: the environment has no variable of this name\n"
    assert (1, expected) == (missing.exit_code, missing.output)


async def test_who_shows_another_certificate_is_told_no_token(running: Running) -> None:
    """R76: neither ours nor one of the system's authorities: the connection ends before a word is said."""
    heard: list[bytes] = []
    over = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # whoever refuses us may end the connection in order, by an alert, or by a reset
            while some := await reader.read(4096):
                heard.append(some)
        writer.close()
        over.set()

    impostor = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=issued().context())
    url = f"https://127.0.0.1:{impostor.sockets[0].getsockname()[1]}"
    done = await Running(running.folder, url).traps(env={"HINOMI_TOKEN": TOKEN})
    sentence = (
        "its certificate is not trusted (unable to get local issuer certificate); that of wall.certificate is another"
    )
    assert (1, f"{url}: {sentence}\n") == (done.exit_code, done.output)
    async with asyncio.timeout(10):
        await over.wait()
    impostor.close()
    assert [] == heard
    (running.folder / "wall.pem").unlink()
    unknown = await running.traps(env={"HINOMI_TOKEN": TOKEN})
    assert unknown.output.endswith("; that of wall.certificate is not known here\n")


def own_address() -> str:
    """An address of this machine's that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = asking.getsockname()[0]
        return address


async def test_no_token_goes_in_the_clear_to_another_address_than_loopback() -> None:
    """R76."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    address = own_address()
    async with await asyncio.start_server(listen, address, 0) as server:
        wall = WallClient(f"http://{address}:{server.sockets[0].getsockname()[1]}", Secret(TOKEN))
        with pytest.raises(WallRefused, match="a token is sent by https only"):
            await asyncio.to_thread(wall.get, "/api/v1/wall")
        async with asyncio.timeout(10):
            while not heard:  # noqa: ASYNC110 - the end of a connection, which has no event
                await asyncio.sleep(0.01)
    assert [b""] == heard


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "127.0.0.1:8480", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(WallRefused):
        WallClient(url).get("/api/v1/wall")


async def test_whoever_is_no_wall_is_told_as_that() -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps([1]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        wall = WallClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Secret(TOKEN))
        with pytest.raises(WallRefused, match="it is no wall"):
            await asyncio.to_thread(wall.get, "/api/v1/wall")
