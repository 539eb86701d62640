"""Where things go that no store will ever take: a file a day, one JSON object a line with its reason. Never deleted."""

import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

_NS = 10**9


class DeadLetters:
    """Appends to <directory>/<name>-<day>.jsonl; safe from any thread.

    total counts letters since the start; a letter that cannot be written itself (disk full) is still counted.
    """

    def __init__(self, directory: Path, name: str, now_ns: Callable[[], int]) -> None:
        self.directory = directory
        self.total = 0
        self.last_reason: str | None = None
        self._name = name
        self._now_ns = now_ns
        self._lock = threading.Lock()

    def add(self, reason: str, letters: Iterable[object]) -> None:
        """Keep the letters (anything json can say, else its repr); OSError where the disk does not take them."""
        moment = datetime.fromtimestamp(self._now_ns() / _NS, UTC)
        lines = [
            json.dumps({"at": moment.isoformat(), "reason": reason, "letter": letter}, default=repr, ensure_ascii=False)
            for letter in letters
        ]
        with self._lock:
            self.total += len(lines)
            self.last_reason = reason
            self.directory.mkdir(parents=True, exist_ok=True)
            with (self.directory / f"{self._name}-{moment:%Y-%m-%d}.jsonl").open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
