"""`hinomi check`: is the configuration right, and what does it say."""

import json
from collections import Counter
from importlib import resources
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poller.cli_check_live import check_live
from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, load_or_exit, told
from poller.config import Configuration
from poller.config.filecheck import check_authorities
from poller.config.problems import Problem
from poller.config.secretcheck import check_secrets
from poller.units import format_rate

_WORDS: Final = {
    "en": {
        "devices": "Devices",
        "sites": "Sites",
        "circuits": "Circuits",
        "line_groups": "Lines",
        "tenants": "Tenants",
        "services": "Services",
        "rules": "Rules",
        "contacts": "Contacts",
        "calendars": "Calendars",
        "maintenance": "Maintenance windows",
        "committed": "committed",
        "ceiling": "ceiling",
        "serious": "serious",
        "minor": "minor",
        "notice": "notice",
        "good": "The configuration holds together.",
        "warning": "warning",
    },
    "ja": {
        "devices": "機器",
        "sites": "拠点",
        "circuits": "回線",
        "line_groups": "回線グループ",
        "tenants": "接続団体",
        "services": "サービス",
        "rules": "監視ルール",
        "contacts": "連絡先",
        "calendars": "カレンダー",
        "maintenance": "保守作業",
        "committed": "帯域確保",
        "ceiling": "上限",
        "serious": "重大",
        "minor": "軽微",
        "notice": "通知",
        "good": "設定に誤りはありません。",
        "warning": "注意",
    },
}


def check(
    config: ConfigurationOption,
    as_json: JsonOption = False,
    lang: LangOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only problems and warnings.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask every device once, too.")] = False,
) -> None:
    """Check a configuration and summarise the estate; every problem at once, exit status 2."""
    words = language(lang)
    configuration = load_or_exit(config, words)
    if as_json and not live:
        typer.echo(json.dumps(summary(configuration), ensure_ascii=False, indent=2))
        return
    for warning in warnings_of(configuration):
        typer.echo(f"{_WORDS[words]['warning']}: {told(warning, words)}", err=True)
    if live:
        raise typer.Exit(check_live(configuration, as_json=as_json, lang=words))
    if not quiet:
        _print(configuration, words)


def warnings_of(configuration: Configuration) -> list[Problem]:
    """What works but should not stay so, and the secrets and authorities' files that cannot be read here and now."""
    secrets = check_secrets(configuration.secrets, configuration.directory)
    authorities = check_authorities(configuration.authorities, configuration.directory)
    return sorted((*configuration.warnings, *secrets, *authorities))


def summary(configuration: Configuration) -> dict[str, Any]:
    """What the configuration holds, as plain values: counts by section, devices by role, rates in bits per second."""
    estate = configuration.estate
    roles = Counter(device.role.value for device in estate.devices.values())
    return {
        "organisation": estate.organisation.name.model_dump(),
        "files": [str(path) for path in configuration.files],
        "devices": {"count": len(estate.devices), "roles": dict(sorted(roles.items()))},
        "circuits": {
            key: {
                "kind": circuit.kind.value,
                "committed_rate": circuit.committed_rate,
                "ceiling_rate": circuit.ceiling_rate,
            }
            for key, circuit in estate.circuits.items()
        },
        "line_groups": {
            key: {
                "members": list(group.members),
                "committed_rate": group.committed_rate,
                "ceiling_rate": group.ceiling_rate,
            }
            for key, group in estate.line_groups.items()
        },
        "tenants": list(estate.tenants),
        "rules": {key: rule.severity.value for key, rule in estate.rules.items()},
        **{name: len(getattr(estate, name)) for name in ("sites", "services", "contacts", "calendars", "maintenance")},
        "warnings": [str(warning) for warning in warnings_of(configuration)],
    }


def _print(configuration: Configuration, lang: str) -> None:
    words, estate = _WORDS[lang], configuration.estate
    console = Console()
    console.print(f"[bold]{escape(estate.organisation.name.lang(lang))}[/bold]")
    table = Table(show_header=False, box=None, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")  # Japanese has no blanks to break at
    roles = Counter(device.role.value for device in estate.devices.values())
    severities = Counter(rule.severity.value for rule in estate.rules.values())
    details = {
        "devices": ", ".join(f"{_role(role, lang)} {count}" for role, count in sorted(roles.items())),
        "circuits": ", ".join(estate.circuits),
        "rules": ", ".join(f"{words[severity]} {count}" for severity, count in sorted(severities.items())),
        "tenants": "、".join(tenant.name.lang(lang) for tenant in estate.tenants.values())
        if lang == "ja"
        else ", ".join(tenant.name.lang(lang) for tenant in estate.tenants.values()),
    }
    for section in ("sites", "devices", "circuits", "line_groups", "tenants", "services", "rules", "contacts"):
        table.add_row(words[section], str(len(getattr(estate, section))), escape(details.get(section, "")))
    for group in estate.line_groups.values():
        rates = f"{words['ceiling']} {format_rate(group.ceiling_rate)}"
        if group.committed_rate is not None:
            rates = f"{words['committed']} {format_rate(group.committed_rate)}, {rates}"
        table.add_row("", "", escape(f"{group.name.lang(lang)}: {rates}"))
    console.print(table)
    console.print(words["good"])


def _role(role: str, lang: str) -> str:
    """A role as the configuration writes it, in Japanese as the wall names it."""
    if lang != "ja":
        return role
    messages = json.loads((resources.files("poller.wall") / "static" / "messages.ja.json").read_text(encoding="utf-8"))
    return str(messages.get(f"role_{role}", role))
