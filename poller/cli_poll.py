"""`hinomi poll`: one device, asked by the production path with the lid off."""

import asyncio
import json
import re
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poller.cli_options import JsonOption, load_or_exit
from poller.estate import Credentials, Device, Role
from poller.explain import Tracer, explain_statistics
from poller.polled import Polled, Request, poll_once, replay_once
from poller.profiles import AUTO, BadProfile, load_profiles
from poller.replay import RecordedAgent
from poller.secrets import SecretReference, SecretUnavailable
from poller.settings import Polling
from poller.targets import snmp_target
from poller.units import format_rate
from poller.variables import as_plain, read_variables
from probes.snmp import Snmp, SnmpError, SnmpTarget, parse_oid
from probes.snmp.errors import BadRequest, NoAnswer, Refused

T = TypeVar("T")
_BAD_INPUT: Final = 2
_NO_ANSWER: Final = 1
_LARGEST_PORT: Final = 65_535


class BadInput(Exception):  # noqa: N818 - it says what is the matter
    """What was asked for cannot be done; one sentence."""


CommunityOption = Annotated[str | None, typer.Option("--community", envvar="HINOMI_COMMUNITY", help="v1, v2c.")]
CommunityFileOption = Annotated[Path | None, typer.Option("--community-file", help="File with the community.")]
VersionOption = Annotated[str | None, typer.Option("--snmp-version", help="1, 2c or 3.")]
UserOption = Annotated[str | None, typer.Option("--v3-user", "--user", help="v3: security name.")]
AuthOption = Annotated[
    str | None, typer.Option("--v3-auth", "--auth", help="MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.")
]
AuthPasswordOption = Annotated[
    str | None, typer.Option("--v3-auth-password-file", "--auth-password-file", help="File, or env:NAME.")
]
PrivOption = Annotated[
    str | None, typer.Option("--v3-priv", "--priv", help="DES, AES-128, AES-192, AES-256, AES-192-C, AES-256-C.")
]
PrivPasswordOption = Annotated[
    str | None, typer.Option("--v3-priv-password-file", "--priv-password-file", help="File, or env:NAME.")
]


def poll(  # noqa: PLR0917 - a command has as many options as its users need
    address: Annotated[str, typer.Argument(help="ADDRESS[:PORT], [IPv6]:PORT, or with -c a device's id.")],
    community: CommunityOption = None,
    community_file: CommunityFileOption = None,
    version: VersionOption = None,
    user: UserOption = None,
    auth: AuthOption = None,
    auth_password_file: AuthPasswordOption = None,
    priv: PrivOption = None,
    priv_password_file: PrivPasswordOption = None,
    context: Annotated[str, typer.Option("--v3-context", "--context", help="v3: context name.")] = "",
    profile: Annotated[str, typer.Option("--profile", help="A family of config/profiles, or auto.")] = AUTO,
    interface: Annotated[list[str] | None, typer.Option("--interface", help="Expression on names; repeatable.")] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="Polls; two and more give rates.")] = 1,
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between polls.")] = 10.0,
    timeout: Annotated[float, typer.Option("--timeout", min=0.05, help="Seconds of the first try.")] = 1.5,
    tries: Annotated[int, typer.Option("--tries", min=1, max=10, help="Tries.")] = 3,
    unverified: Annotated[bool, typer.Option("--unverified", help="Use readings marked unverified too.")] = False,
    oid: Annotated[
        list[str] | None, typer.Option("--oid", help="Only this variable, or all below; repeatable.")
    ] = None,
    recording: Annotated[Path | None, typer.Option("--recording", help="Ask a .snmprec file instead.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Take a device from a configuration.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show detection, questions and datagrams.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Poll one device once, as the daemon would, and show what it says."""
    credentials: dict[str, Any] = {
        "version": version,
        "community": community,
        "community_file": community_file,
        "security_name": user,
        "auth": auth,
        "auth_password": auth_password_file,
        "priv": priv,
        "priv_password": priv_password_file,
        "context_name": context,
    }
    polling = Polling.model_construct(timeout=timeout, tries=tries)

    def make() -> Request:
        if config is not None:
            return replace(
                _configured(config, address), repeat=repeat, interval_seconds=interval, unverified=unverified
            )
        agent = None if recording is None else _recorded(recording)
        device = _device(address, profile, tuple(interface or ()))
        if agent is not None:
            target = SnmpTarget(str(device.addresses[0]), community=b"")
            return Request(device, target, repeat, interval, unverified, agent)
        target = _target(device, credentials, polling)
        return Request(device, target, repeat, interval, unverified)

    lid = _Lid(to_stderr=as_json)
    if oid:
        run_or_exit(lambda: _show_variables(make(), oid, lid if explain else None, as_json=as_json))
        return
    polled = run_or_exit(lambda: _poll(make(), lid if explain else None))
    if lid.reader_left:
        raise BrokenPipeError
    if as_json:
        typer.echo(json.dumps(polled.as_json(), ensure_ascii=False, indent=2))
    else:
        _print(polled)


class _Lid:
    """Where explanations go; a reader that left (`| head`) must not break the poll from within its callbacks."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._to_stderr = to_stderr
        self.reader_left = False

    def __call__(self, line: str) -> None:
        if self.reader_left:
            return
        try:
            typer.echo(line, err=self._to_stderr)
        except BrokenPipeError:
            self.reader_left = True


def _stderr(line: str) -> None:
    typer.echo(line, err=True)


def run_or_exit(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end; what goes wrong is one sentence on stderr, and exit status 2 (bad input) or 1 (no answer)."""
    try:
        return asyncio.run(start())
    except (BadInput, BadProfile, BadRequest, SecretUnavailable) as error:
        _stderr(str(error))
        raise typer.Exit(_BAD_INPUT) from None
    except SnmpError as error:
        _stderr(str(error))
        raise typer.Exit(_NO_ANSWER) from None


async def _poll(request: Request, explain: Callable[[str], None] | None) -> Polled:
    if request.agent is not None:
        return await replay_once(request, request.agent, explain)
    trace = Tracer(request.target, explain) if explain else None
    async with Snmp(trace=trace) as snmp:
        try:
            polled = await poll_once(snmp, request, load_profiles(), explain)
        except NoAnswer as error:
            if request.target.version == "3" or isinstance(error, Refused):
                raise
            raise NoAnswer(f"{error} A wrong community looks the same: agents do not answer it.") from None
        if explain:
            explain(explain_statistics(snmp.statistics))
        return polled


async def _show_variables(
    request: Request, texts: Sequence[str], explain: Callable[[str], None] | None, *, as_json: bool
) -> None:
    oids = [parse_oid(text) for text in texts]
    if request.agent is not None:
        raise BadInput("--oid asks a device, not a recording: grep the recording instead")
    async with Snmp(trace=Tracer(request.target, explain, every_varbind=True) if explain else None) as snmp:
        found = [as_plain(one) async for one in read_variables(snmp, request.target, oids)]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found:
        typer.echo(f"{one['oid']} = {'(does not exist)' if one['value'] is None else one['value']}")


# ---- from the command line to a request


def split_address(text: str) -> tuple[str, int | None]:
    """Host and port of "host", "host:port", "v6" or "[v6]:port"; raises BadInput."""
    match = re.fullmatch(
        r"\[([^\]]+)\](?::(\d+))?|([^:]+)(?::(\d+))?|([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[^\]]*)", text.strip()
    )
    if match is None:
        raise BadInput(f"'{text}' is not ADDRESS, ADDRESS:PORT or [IPv6]:PORT")
    host, port = match[1] or match[3] or match[5], match[2] or match[4]
    if port is not None and not 1 <= int(port) <= _LARGEST_PORT:
        raise BadInput(f"port {port} is not between 1 and {_LARGEST_PORT}")
    return host, int(port) if port else None


def _device(text: str, profile: str, interfaces: tuple[str, ...]) -> Device:
    host, port = split_address(text)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise BadInput(f"'{host}' is neither an address nor a name that can be resolved") from None
    for pattern in interfaces:
        try:
            re.compile(pattern)
        except re.error as error:
            raise BadInput(f"--interface {pattern!r} is not a regular expression: {error}") from None
    key = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")[:60] or "device"
    return Device.model_validate(
        {
            "id": key,
            "name": {"ja": host, "en": host},
            "addresses": [found[0][4][0]],
            "port": port,
            "role": Role.SERVER,
            "site": "none",
            "profile": profile,
            "interfaces": interfaces,
        }
    )


def _target(device: Device, given: dict[str, Any], polling: Polling) -> SnmpTarget:
    version = given["version"] or ("3" if given["security_name"] else "2c")
    if version not in {"1", "2c", "3"}:
        raise BadInput(f"--snmp-version is 1, 2c or 3, not {version!r}")
    if version != "3":
        return _by_community(device, version, given, polling)
    if not given["security_name"]:
        raise BadInput("SNMPv3 needs --v3-user")
    for what in ("auth", "priv"):
        if bool(given[what]) != bool(given[f"{what}_password"]):
            raise BadInput(f"--v3-{what} and --v3-{what}-password-file belong together")
    try:
        credentials = Credentials.model_validate(
            {
                "id": "command-line",
                "version": version,
                "security_name": given["security_name"],
                "auth": given["auth"],
                "auth_password": _reference(given["auth_password"]),
                "priv": given["priv"],
                "priv_password": _reference(given["priv_password"]),
                "context_name": given["context_name"],
            }
        )
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
        raise BadInput(f"--v3-{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return snmp_target(device, credentials, polling, Path.cwd())


def _by_community(device: Device, version: Any, given: dict[str, Any], polling: Polling) -> SnmpTarget:  # noqa: ANN401 - "1" or "2c"
    community, file = given["community"], given["community_file"]
    if community is None and file is None:
        raise BadInput("say how to ask: --community or --community-file, or --v3-user for SNMPv3")
    if file is not None:
        community = SecretReference("file", str(file)).read(Path.cwd()).reveal()
    return SnmpTarget(
        str(device.addresses[0]),
        device.port or polling.port,
        version,
        community.encode(),
        timeout_seconds=polling.timeout,
        tries=polling.tries,
    )


def _reference(text: str | None) -> SecretReference | None:
    if text is None:
        return None
    return SecretReference.parse(text if text.startswith(("env:", "file:", "credential:")) else f"file:{text}")


def _configured(directory: Path, key: str) -> Request:
    configuration = load_or_exit(directory)
    estate = configuration.estate
    if key not in estate.devices:
        raise BadInput(f"there is no device '{key}' in {directory}")
    device = estate.devices[key]
    if device.credentials is None:
        raise BadInput(f"devices.{key} has no credentials: it is not asked by SNMP")
    target = snmp_target(device, estate.credentials[device.credentials], estate.polling, configuration.directory)
    return Request(device, target)


def _recorded(path: Path) -> RecordedAgent:
    try:
        return RecordedAgent.from_file(path)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


# ---- for people


def _print(polled: Polled) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    device = polled.as_json()["device"]
    facts = Table(show_header=False, box=None, pad_edge=False)
    for name, value in device.items():
        if value not in ("", {}, None) and name not in {"up", "cannot_read", "could_not_ask"}:
            facts.add_row(name, escape(f"{value:.4g}" if isinstance(value, float) else str(value)))
    for name, reason in device["cannot_read"].items():
        facts.add_row(name, f"[dim]{escape(reason)}[/dim]")
    console.print(facts)
    rows = Table(box=None, pad_edge=False)
    for title in ("interface", "if_index", "speed", "bits", "state"):
        rows.add_column(title)
    for title in ("in octets", "out octets", "in", "out"):
        rows.add_column(title, justify="right")
    for one in polled.as_json()["interfaces"]:
        rows.add_row(
            escape(one["interface"]),
            str(one["if_index"]),
            format_rate(one["speed_bits_per_second"]) if one["speed_bits_per_second"] else "-",
            str(one["counter_bits"]),
            {1: "up", 2: "down"}.get(one.get("oper_status", 0), str(one.get("oper_status", "-"))),
            *(str(one.get(f"{way}_octets_total", "-")) for way in ("in", "out")),
            *(_rate(one.get(f"{way}_bits_per_second")) for way in ("in", "out")),
        )
    console.print(rows)


def _rate(bits_per_second: float | None) -> str:
    return "-" if bits_per_second is None else format_rate(bits_per_second)
