"""A finding of the doctor: what is, and what to do about it, each one sentence in Japanese and English. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check came out; a warning works, but not well or not for long."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence in both languages."""

    ja: str
    en: str

    def lang(self, lang: str) -> str:
        """The sentence in "ja" or "en"."""
        return self.en if lang == "en" else self.ja


@dataclass(frozen=True, slots=True)
class Finding:
    """check: which one, an id for scripts. found: what is. advice: what to do, None where nothing is to be done."""

    check: str
    verdict: Verdict
    found: Words
    advice: Words | None = None


def ok(check: str, ja: str, en: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, Words(ja, en))


def warning(check: str, found: Words, advice: Words) -> Finding:
    """It works, but not well or not for long."""
    return Finding(check, Verdict.WARNING, found, advice)


def failed(check: str, found: Words, advice: Words) -> Finding:
    """Something that the configuration asks for does not work."""
    return Finding(check, Verdict.FAILED, found, advice)
