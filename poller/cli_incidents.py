"""`hinomi incidents`, `incident`, `ack`, `comment`, `silence`, `test-mail`: what is wrong, who has it, is it told.

They work on the daemon's store file beside the running daemon; a command is a line in the audit log that the
daemon reads within a second, or when it starts.
"""

import asyncio
import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poller.alerts.asked import may_match
from poller.alerts.incidents import Incident
from poller.alerts.inquiry import Inquiry, NoStore, Story
from poller.alerts.mail import render_test
from poller.alerts.outbox import Outcome, QueuedMail, try_every_way
from poller.alerts.records import AuditEntry
from poller.alerts.states import SECOND
from poller.alerts.story import tell_story
from poller.alerts.subjects import subject_names
from poller.alerts.words import Times, duration_text, pick, scope_text, scope_word, severity_text
from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, load_or_exit
from poller.config import Configuration
from poller.config.problems import did_you_mean
from poller.units import parse_duration

IncidentArgument = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, such as 2026-1121-003.")]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="What you know or do.")]
WhoOption = Annotated[str | None, typer.Option("--who", help="Your name; else the name of your login.")]


def incidents(
    config: ConfigurationOption,
    closed: Annotated[int, typer.Option("--closed", min=0, help="Also this many of the latest closed ones.")] = 0,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """List open incidents, the worst and oldest first."""
    configuration = load_or_exit(config)
    with inquiry_of(configuration) as inquiry:
        found = inquiry.incidents(closed=closed)
    if as_json:
        typer.echo(json.dumps([_as_json(incident) for incident in found], ensure_ascii=False, indent=2))
        return
    words = language(lang)
    if not found:
        typer.echo(pick(words, "進行中のインシデントはありません。", "No open incidents."))
        return
    table = Table(box=None, pad_edge=False)
    titles = ("番号 重大度 内容 発生 経過 団体 範囲 確認", "id severity what since for tenants scope taken-by")
    for at, title in enumerate(pick(words, *titles).split()):
        table.add_column(title, overflow="fold", no_wrap=at == 0)  # an id broken in two cannot be copied
    times, now_ns = Times(configuration.estate), time.time_ns()
    for incident in found:
        until = incident.ended_ns or now_ns
        table.add_row(
            incident.id,
            severity_text(incident.severity, words),
            escape(incident.title(words)),
            times.day(incident.begun_ns, words),
            duration_text((until - incident.begun_ns) / SECOND, words),
            str(len(incident.affected.tenants)),
            scope_word(incident.scope, words),
            escape(incident.acknowledged_by or "-"),
        )
    Console().print(table)


def incident(
    id_: IncidentArgument, config: ConfigurationOption, as_json: JsonOption = False, lang: LangOption = None
) -> None:
    """Tell the whole story of one incident on one page."""
    configuration = load_or_exit(config)
    story = _story(configuration, id_)
    if as_json:
        whole = _as_json(story.incident) | {
            "transitions": msgspec.to_builtins(story.steps),
            "mails": msgspec.to_builtins(story.mails),
            "audit": msgspec.to_builtins(story.audit),
        }
        typer.echo(json.dumps(whole, ensure_ascii=False, indent=2))
        return
    typer.echo(tell_story(story, configuration.estate, language(lang)))


def ack(
    id_: IncidentArgument,
    config: ConfigurationOption,
    comment: CommentOption = "",
    who: WhoOption = None,
    lang: LangOption = None,
) -> None:
    """Take an incident: its repeats and escalation stop."""
    _command(load_or_exit(config), "acknowledge", id_, comment, who)
    typer.echo(pick(language(lang), f"{id_} を確認済みにします。", f"{id_} is acknowledged."))


def comment(
    id_: IncidentArgument,
    text: Annotated[str, typer.Argument(help="What you found out or did.")],
    config: ConfigurationOption,
    who: WhoOption = None,
    lang: LangOption = None,
) -> None:
    """Add a remark to an incident; it stands in its story and in the recovery mail."""
    if not text.strip():
        typer.echo(
            pick(language(lang), "記録する内容がありません。", "there is nothing to note: the text is empty"), err=True
        )
        raise typer.Exit(2)
    _command(load_or_exit(config), "comment", id_, text, who)
    typer.echo(pick(language(lang), f"{id_} に記録しました。", f"{id_}: noted."))


def silence(
    target: Annotated[str, typer.Argument(help="An incident's id, or a subject with * and ?: 'circuit/bo-*'.")],
    config: ConfigurationOption,
    duration: Annotated[str, typer.Option("--for", help='How long: "30m", "2h", "1d"; "0s" ends it now.')] = "2h",
    comment: CommentOption = "",
    who: WhoOption = None,
) -> None:
    """Mute the mails about something for a while; what is still bad at the end is told then."""
    configuration = load_or_exit(config)
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        typer.echo(f"--for: {error}", err=True)
        raise typer.Exit(2) from None
    if seconds and (complaint := _unmatched(target, configuration)):
        typer.echo(complaint, err=True)
        raise typer.Exit(2)
    now_ns = time.time_ns()
    until_ns = now_ns + int(seconds * SECOND)
    action = "silence" if seconds else "unsilence"
    entry = AuditEntry(now_ns, who or login(), origin(), action, target, comment, command=True, until_ns=until_ns)
    with inquiry_of(configuration) as inquiry:
        inquiry.command(entry)
    words, until = language(None), Times(configuration.estate).day(until_ns, language(None))
    if seconds:
        typer.echo(pick(words, f"{target} の通知を {until} まで止めます。", f"{target}: no mails until {until}."))
    else:
        typer.echo(pick(words, f"{target} の通知を再開します。", f"{target}: mails again."))


def send_test_mail(
    contact: Annotated[str, typer.Argument(help="The contact to write to, by its id.")],
    config: ConfigurationOption,
    as_json: JsonOption = False,
) -> None:
    """Send one test mail by every configured way, and say what each server answered; exit status 1 if none took it."""
    configuration = load_or_exit(config)
    estate = configuration.estate
    chosen = estate.contacts.get(contact)
    if chosen is None or chosen.email is None:
        typer.echo(f"contacts: there is no {contact!r} with an email address", err=True)
        raise typer.Exit(2)
    now_ns = time.time_ns()
    letter = render_test(chosen, estate, now_ns)
    mail = QueuedMail(0, letter.message_id, chosen.email, letter.write(), now_ns, 1)
    settings = estate.mail
    if settings.maildir is not None:
        settings = settings.model_copy(update={"maildir": str(configuration.state_directory / settings.maildir)})
    outcomes: list[Outcome] = asyncio.run(try_every_way(settings, configuration.directory, mail))
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(outcomes), ensure_ascii=False, indent=2))
    else:
        for outcome in outcomes:
            typer.echo(
                f"{outcome.relay or '-'}: {'accepted' if outcome.accepted else 'NOT accepted'}: {outcome.answer}"
            )
    if not any(outcome.accepted for outcome in outcomes):
        raise typer.Exit(1)


@contextmanager
def inquiry_of(configuration: Configuration) -> Iterator[Inquiry]:
    """The store to ask; where it cannot be asked one sentence and exit status 1."""
    try:
        yield Inquiry(configuration.state_directory)
    except NoStore as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _story(configuration: Configuration, id_: str) -> Story:
    with inquiry_of(configuration) as inquiry:
        story = inquiry.story(id_)
    if story is None:
        typer.echo(f"there is no incident {id_!r}; hinomi incidents lists those that are open", err=True)
        raise typer.Exit(1)
    return story


def _command(configuration: Configuration, action: str, id_: str, text: str, who: str | None) -> None:
    _story(configuration, id_)
    entry = AuditEntry(time.time_ns(), who or login(), origin(), action, id_, text, command=True)
    with inquiry_of(configuration) as inquiry:
        inquiry.command(entry)


def _unmatched(target: str, configuration: Configuration) -> str | None:
    """What is wrong with a silence's target: nothing of the estate and no incident is meant by it."""
    if "/" not in target and not target.startswith("*"):
        with inquiry_of(configuration) as inquiry:
            if inquiry.story(target) is not None:
                return None
    known = subject_names(configuration.estate)
    if any(may_match(target, name) for name in known):
        return None
    return f"{target!r} is neither an incident nor a subject of this configuration.{did_you_mean(target, known)}"


def login() -> str:
    """The name of whoever types, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def origin() -> str:
    """Where the command was given: this machine, or the address an ssh session came from."""
    remote = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return f"command line, {remote or socket.gethostname()}"


def _as_json(incident: Incident) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(incident)
    return found | {
        "title": {"ja": incident.title_ja, "en": incident.title_en},
        "scope_text": {"ja": scope_text(incident, "ja"), "en": scope_text(incident, "en")},
        "acknowledged_by": incident.acknowledged_by,
        "ended_ns": incident.ended_ns,
    }


COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "incidents": incidents,
    "incident": incident,
    "ack": ack,
    "comment": comment,
    "silence": silence,
    "test-mail": send_test_mail,
}
"""The commands of this module by the words people type."""
