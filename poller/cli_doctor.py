"""`hinomi doctor`: is this machine fit for the configuration, and what is to be done."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poller.cli_options import ConfigurationOption, JsonOption, LangOption, language, told
from poller.config import ConfigurationError, load
from poller.doctor import Finding, Verdict, Words, checks_of, examine
from poller.doctor.finding import failed, ok

_MARKS: Final = {
    Verdict.OK: ("[green]", "正常", "ok"),
    Verdict.WARNING: ("[yellow]", "注意", "warning"),
    Verdict.FAILED: ("[red]", "異常", "failed"),
}


def doctor(config: ConfigurationOption, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Check this machine: clock, buffers, rights, ports, secrets, disk, DNS, mail, database; status 1 if any failed."""
    words = language(lang)
    try:
        configuration = load(config)
    except ConfigurationError as error:
        first = error.problems[0]
        count = len(error.problems)
        findings = [
            failed(
                "configuration",
                Words(
                    f"設定に誤りが {count}件あります：{told(first, 'ja')}",
                    f"{count} problems, first {told(first, 'en')}",
                ),
                Words(
                    f"hinomi check -c {config} で全部を見て直してください",
                    f"see them all by hinomi check -c {config}",
                ),
            )
        ]
    else:
        devices = len(configuration.estate.devices)
        good = ok(
            "configuration",
            f"設定を読めます（機器 {devices}台）",
            f"the configuration holds together: {devices} devices",
        )
        findings = [good, *asyncio.run(examine(checks_of(configuration)))]
    if as_json:
        typer.echo(json.dumps([as_plain(finding) for finding in findings], ensure_ascii=False, indent=2))
    else:
        _print(findings, words)
    raise typer.Exit(1 if any(finding.verdict is Verdict.FAILED for finding in findings) else 0)


def as_plain(finding: Finding) -> dict[str, object]:
    """For scripts: check, verdict, found and advice in both languages."""
    advice = finding.advice
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "found": {"ja": finding.found.ja, "en": finding.found.en},
        "advice": None if advice is None else {"ja": advice.ja, "en": advice.en},
    }


def _print(findings: Sequence[Finding], lang: str) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        colour, ja, en = _MARKS[finding.verdict]
        table.add_row(f"{colour}{ja if lang == 'ja' else en}[/]", escape(finding.found.lang(lang)))
        if finding.advice is not None:
            table.add_row("", escape(f"→ {finding.advice.lang(lang)}"))
    Console().print(table)
    failed_count, warned = (
        sum(finding.verdict is verdict for finding in findings) for verdict in (Verdict.FAILED, Verdict.WARNING)
    )
    if lang == "ja":
        typer.echo(f"確認 {len(findings)}件、異常 {failed_count}件、注意 {warned}件")
    else:
        typer.echo(f"{len(findings)} findings: {failed_count} failed, {warned} warnings")
