"""What is wrong, and where. All problems of a configuration are told at once, in the order of the files."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

_NEAR_ENOUGH: Final = 0.6


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A point in a file; line and column count from 1, 0 where a file as a whole is meant."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: its place, the dotted path of the setting, and a sentence."""

    place: Place
    path: str
    text: str

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        return f"{self.place}: {path}{self.text}"


class ConfigurationError(Exception):
    """The configuration cannot be used. problems: every one of them, in order; str() has one on each line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that ends a sentence about an unknown word, with a leading blank; empty where nothing is near.

    Upper and lower case are one. What begins with the word comes before what is merely alike ('AES': 'AES-128', not
    'DES'), and among equals the first known (of a set: the first by name).
    """
    meant, words = word.lower(), sorted(known) if isinstance(known, AbstractSet) else list(known)
    matcher = SequenceMatcher()
    matcher.set_seq2(meant)
    ranks: dict[str, tuple[bool, float]] = {}
    for candidate in words:
        matcher.set_seq1(candidate.lower())
        if (ratio := matcher.ratio()) >= _NEAR_ENOUGH:
            ranks[candidate] = (candidate.lower().startswith(meant), ratio)
    return f" Did you mean {max(ranks, key=ranks.__getitem__)!r}?" if ranks else ""
