"""`hinomi probe`: one question to one service, by the production path with the lid off."""

import asyncio
import json
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poller.cli_options import JsonOption, LangOption, language, load_or_exit
from poller.questions import ask_service
from poller.secrets import SecretReference, SecretUnavailable
from poller.service import Service
from probes.errors import BadQuestion
from probes.result import ProbeResult, Question, ServiceState
from probes.sentences import PHASES
from probes.services import PROBES, probe_service

_BAD_INPUT: Final = 2
_NOT_UP: Final = 1
_MARKS: Final = {
    ServiceState.UP: ("正常", "up", "green"),
    ServiceState.DOWN: ("利用不可", "down", "red"),
    ServiceState.UNKNOWN: ("不明", "unknown", "yellow"),
}
_TOTAL: Final = ("全体", "in all")
_DAYS: Final = ("証明書の残り日数", "days of the certificate")

_CHOICES: Final = {"transport": ("both", "udp", "tcp"), "family": ("any", "ipv4", "ipv6")}

KindArgument = Annotated[str, typer.Argument(help=f"{', '.join(PROBES)}; with -c a service's id alone.")]
TargetArgument = Annotated[str | None, typer.Argument(help="HOST[:PORT], [IPv6]:PORT, or for http a URL.")]
ProxyPasswordOption = Annotated[
    str | None, typer.Option("--proxy-password", help='http: where the password is: "file:PATH" or "env:NAME".')
]
TransportOption = Annotated[str | None, typer.Option("--transport", help="dns: both, udp or tcp.")]


def probe(  # noqa: PLR0917 - a command has as many options as its users need
    kind: KindArgument,
    target: TargetArgument = None,
    query: Annotated[str | None, typer.Option("--query", help="dns: the name to ask for.")] = None,
    record_type: Annotated[str | None, typer.Option("--type", help="dns: A, AAAA, MX ...")] = None,
    transport: TransportOption = None,
    expect: Annotated[str | None, typer.Option("--expect", help="dns: record or NXDOMAIN; http: text.")] = None,
    status: Annotated[int | None, typer.Option("--status", help="http: the status expected.")] = None,
    proxy: Annotated[str | None, typer.Option("--proxy", help="http: URL of the explicit proxy.")] = None,
    proxy_user: Annotated[str | None, typer.Option("--proxy-user", help="http: whom to log in to it as.")] = None,
    proxy_password: ProxyPasswordOption = None,
    blocked: Annotated[bool, typer.Option("--blocked", help="http: the filter must block it.")] = False,
    sender: Annotated[str | None, typer.Option("--sender", help="smtp: the sender, else the null sender.")] = None,
    recipient: Annotated[str | None, typer.Option("--recipient", help="smtp: go on to RCPT for it.")] = None,
    starttls: Annotated[bool, typer.Option("--starttls", help="smtp: TLS must be offered.")] = False,
    server_name: Annotated[str | None, typer.Option("--server-name", help="tls, smtp: name to verify.")] = None,
    ca_file: Annotated[Path | None, typer.Option("--ca-file", help="http, smtp, tls: authority to trust.")] = None,
    offset: Annotated[float | None, typer.Option("--offset", min=0, help="ntp: seconds it may be off.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.05, help="Seconds for the whole answer.")] = 10.0,
    family: Annotated[str | None, typer.Option("--family", help="any, ipv4 or ipv6, for a name with both.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Take a service from it.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show every step as it happens.")] = False,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Ask one service once, as the daemon would; exit status 0 up, 1 not up, 2 a question without sense."""
    speak = language(lang)
    options = {
        "query": query,
        "record_type": record_type,
        "transport": transport,
        "expect": expect,
        "status": status,
        "proxy": proxy,
        "proxy_user": proxy_user,
        "proxy_password": proxy_password,
        "blocked": blocked or None,
        "sender": sender,
        "recipient": recipient,
        "starttls": starttls or None,
        "server_name": server_name,
        "ca_file": None if ca_file is None else str(ca_file),
        "offset_seconds": offset,
        "family": family,
    }
    given = {name: value for name, value in options.items() if value is not None}
    try:
        trace = _Lid(to_stderr=as_json) if explain else None
        if config is not None:
            service, directory = _configured(config, kind, target, given)
            result = asyncio.run(ask_service(service, directory, trace))
        else:
            question = _question(kind, target, given | {"timeout_seconds": timeout})
            result = asyncio.run(probe_service(kind, question, trace))
    except BadQuestion as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_BAD_INPUT) from None
    if as_json:
        typer.echo(json.dumps(as_plain(result), ensure_ascii=False, indent=2))
    else:
        _print(result, speak)
    if result.state is not ServiceState.UP:
        raise typer.Exit(_NOT_UP)


class _Lid:
    """Where the steps go: beside the result, so that --json stays JSON."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._to_stderr = to_stderr

    def __call__(self, line: str) -> None:
        typer.echo(line, err=self._to_stderr)


def _question(kind: str, target: str | None, given: dict[str, Any]) -> Question:
    """The question on the command line; raises BadQuestion."""
    if kind not in PROBES:
        raise BadQuestion(f"{kind!r} is no kind of service; it is one of {', '.join(PROBES)}")
    if target is None:
        raise BadQuestion(f"say whom to ask: hinomi probe {kind} TARGET")
    for name in sorted(given.keys() - PROBES[kind].options - {"timeout_seconds", "family"}):
        kinds = " and ".join(one for one, probe in PROBES.items() if name in probe.options)
        raise BadQuestion(f"{_option(name)} belongs to {kinds}, and this is {kind}")
    for option, words in _CHOICES.items():
        if given.get(option, words[0]) not in words:
            raise BadQuestion(f"--{option} is {', '.join(words[:-1])} or {words[-1]}, not {given[option]!r}")
    if ("proxy_user" in given) != ("proxy_password" in given):
        raise BadQuestion("--proxy-user and --proxy-password go together")
    if "proxy_password" in given:
        given = given | {"proxy_password": _secret(given["proxy_password"])}
    question = replace(Question(target), **given)
    PROBES[kind].check(question)
    return question


def _secret(reference: str) -> str:
    """The secret, which is named on the command line and never written there; raises BadQuestion."""
    try:
        return SecretReference.parse(reference).read(Path()).reveal()
    except (ValueError, SecretUnavailable) as error:
        raise BadQuestion(f"--proxy-password: {error}") from None


def _configured(directory: Path, key: str, target: str | None, given: dict[str, Any]) -> tuple[Service, Path]:
    """A service of the configuration, asked exactly as the daemon does; raises BadQuestion."""
    if target is not None or given:
        raise BadQuestion("with -c name a service alone: everything else stands in the configuration")
    configuration = load_or_exit(directory)
    service = configuration.estate.services.get(key)
    if service is None:
        raise BadQuestion(f"there is no service {key!r} in {directory}")
    return service, configuration.directory


def _option(field: str) -> str:
    return {"record_type": "--type", "offset_seconds": "--offset"}.get(field, f"--{field.replace('_', '-')}")


def as_plain(result: ProbeResult) -> dict[str, Any]:
    """The result as plain values, with its sentences."""
    plain: dict[str, Any] = {
        field.name: getattr(result, field.name) for field in fields(result) if field.name not in {"facts", "evidence"}
    }
    evidence = [{"name": name, "text": text} for name, text in result.evidence]
    sentences = {f"text_{lang}": result.sentence(lang) for lang in ("ja", "en")}
    return plain | {"phases": dict(result.phases), "evidence": evidence} | sentences


def _print(result: ProbeResult, lang: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    *words, colour = _MARKS[result.state]
    column = 1 if lang == "en" else 0
    console.print(f"[{colour}]{words[column]}[/{colour}]  {escape(result.sentence(lang))}")
    rows = Table(show_header=False, box=None, pad_edge=False)
    for phase, seconds in result.phases.items():
        rows.add_row(PHASES[phase][column], f"{seconds * 1000:.2f} ms")
    if result.response_seconds is not None:
        rows.add_row(_TOTAL[column], f"{result.response_seconds * 1000:.2f} ms")
    if result.certificate_days is not None:
        rows.add_row(_DAYS[column], f"{result.certificate_days:.1f}")
    for name, text in result.evidence:
        rows.add_row(f"[dim]{escape(name)}[/dim]", escape(text))
    if rows.row_count:
        console.print(rows)
