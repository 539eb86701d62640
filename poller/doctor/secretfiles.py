"""Secrets of a configuration: whether the daemon can read them, and nobody else."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from poller.config.secretcheck import SecretUse
from poller.doctor.finding import Finding, Words, failed, ok, warning
from poller.secrets import SecretReference, SecretUnavailable

_EVERYBODY: Final = 0o007
_GROUP: Final = 0o070
_PREFIX: Final = "secret_"
"""Of the names that LoadCredential=secret:FOLDER gives to the files in the folder."""


@dataclass(frozen=True, slots=True)
class SecretState:
    """trouble: why it cannot be read. mode: of its file, None where it is in no file."""

    reference: SecretReference
    trouble: str | None
    mode: int | None


def look_at(uses: Iterable[SecretUse], directory: Path) -> list[SecretState]:
    """Every secret once. Outside of systemd a credential is looked for where systemd takes it from."""
    return [_look(reference, directory) for reference in dict.fromkeys(use.reference for use in uses)]


def _look(reference: SecretReference, directory: Path) -> SecretState:
    source = _source_of(reference, directory)
    try:
        source.read(directory)
        path = source.path(directory)
        return SecretState(reference, None, None if path is None else path.stat().st_mode & 0o777)
    except SecretUnavailable as error:
        return SecretState(reference, str(error), None)


def _source_of(reference: SecretReference, directory: Path) -> SecretReference:
    if reference.scheme == "credential" and reference.name.startswith(_PREFIX):
        name = reference.name.removeprefix(_PREFIX)
        try:
            reference.path(directory)
        except SecretUnavailable:
            return SecretReference("file", f"secrets/{name}")
    return reference


def judge_secrets(states: Iterable[SecretState]) -> list[Finding]:
    """One finding for all that are well, one for each kind of trouble."""
    known = list(states)
    unread = [state for state in known if state.trouble is not None]
    open_to_all = [str(state.reference) for state in known if (state.mode or 0) & _EVERYBODY]
    open_to_group = [str(state.reference) for state in known if (state.mode or 0) & (_EVERYBODY | _GROUP) & ~_EVERYBODY]
    findings: list[Finding] = []
    if unread:
        told = "; ".join(str(state.trouble) for state in unread)
        findings.append(
            failed(
                "secrets",
                Words(f"秘密情報を読めません：{told}", f"secrets cannot be read: {told}"),
                Words(
                    "1行のファイルで /etc/hinomi/secrets に置き、credential:secret_名前 と書いてください"
                    "（docs/operation.md）",
                    "put each as a file of one line into /etc/hinomi/secrets and name it credential:secret_NAME "
                    "(docs/operation.md)",
                ),
            )
        )
    if open_to_all:
        told = ", ".join(open_to_all)
        advice = Words("chmod 600 で閉じてください", "close them by chmod 600")
        findings.append(
            failed("secrets", Words(f"だれでも読める秘密情報があります：{told}", f"everybody can read {told}"), advice)
        )
    elif open_to_group:
        told = ", ".join(open_to_group)
        advice = Words("グループの範囲を確かめるか、chmod 600 で閉じてください", "be sure of the group, or chmod 600")
        findings.append(
            warning(
                "secrets", Words(f"グループが読める秘密情報があります：{told}", f"the group can read {told}"), advice
            )
        )
    if findings or not known:
        return findings
    count = len(known)
    return [
        ok(
            "secrets",
            f"秘密情報 {count}件を読め、他人には読めません",
            f"all {count} secrets can be read, by nobody else",
        )
    ]
