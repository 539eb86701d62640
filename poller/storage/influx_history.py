"""The rows of history out of InfluxDB, asked in InfluxQL: 1.x, 2.x (with its 1.x mapping) and 3.x answer it alike.

Only rows are asked for; the arithmetic is poller.storage.aggregate's, so Parquet and InfluxDB give the same answers.
"""

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from poller.schema import Measurement
from poller.storage.errors import HistoryError
from poller.storage.history import History
from poller.storage.influx import InfluxSettings, authorization
from poller.storage.layout import KEY, columns_of
from poller.storage.lines import to_unsigned

_CHUNK: Final = 20_000


class InfluxRows:
    """Rows of an InfluxDB database; blocking, one request a question, the answer read in chunks."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings

    def rows(
        self, entry: Measurement, columns: Sequence[str], where: Mapping[str, Sequence[str]], start_ns: int, end_ns: int
    ) -> pl.DataFrame:
        """See poller.storage.history.Rows; HistoryError where the server does not answer the question."""
        schema = {name: columns_of(entry)[name] for name in columns}
        fields = [name for name in columns if name != KEY and name not in entry.tags]
        frames = [
            _frame(entry, fields, series, schema)
            for series in self._series(_question(entry, fields, where, start_ns, end_ns))
        ]
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def _series(self, question: str) -> Iterator[dict[str, Any]]:
        parameters = {
            "db": self._settings.bucket,
            "epoch": "ns",
            "chunked": "true",
            "chunk_size": str(_CHUNK),
            "q": question,
        }
        request = urllib.request.Request(  # noqa: S310 - the operator's own URL
            f"{self._settings.url.rstrip('/')}/query",
            data=urllib.parse.urlencode(parameters).encode(),
            headers=authorization(self._settings),
        )
        try:
            with urllib.request.urlopen(request, timeout=self._settings.timeout_seconds) as answer:  # noqa: S310
                for line in answer:
                    yield from _results(line)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace").strip()
            raise HistoryError(f"{self._settings.url} answers HTTP {error.code}: {text}") from error
        except OSError as error:
            raise HistoryError(f"{self._settings.url} cannot be read: {error}") from error


def open_influx_history(settings: InfluxSettings, interval_seconds: float = 60.0) -> History:
    """The history in an InfluxDB database; the same questions and answers as the embedded store's."""
    return History(InfluxRows(settings), interval_seconds)


def _question(
    entry: Measurement, fields: Sequence[str], where: Mapping[str, Sequence[str]], start_ns: int, end_ns: int
) -> str:
    conditions = [f"time >= {start_ns}", f"time < {end_ns}"]
    for tag, values in where.items():
        alternatives = " OR ".join(f"{_name(tag)}::tag = {_text(value)}" for value in values)
        conditions.append(f"({alternatives})" if values else "time < 0")
    selected = ", ".join(f"{_name(field)}::field" for field in fields)
    grouped = ", ".join(map(_name, entry.tags))
    return f"SELECT {selected} FROM {_name(entry.name)} WHERE {' AND '.join(conditions)} GROUP BY {grouped}"  # noqa: S608 - quoted


def _name(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _results(line: bytes) -> Iterator[dict[str, Any]]:
    if not line.strip():
        return
    for result in msgspec.json.decode(line).get("results", ()):
        if "error" in result:
            raise HistoryError(f"InfluxDB answers: {result['error']}")
        yield from result.get("series", ())


def _frame(
    entry: Measurement, fields: Sequence[str], series: Mapping[str, Any], schema: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """One chunk of one series: values are rows of time and the fields in the order asked for."""
    tags = series.get("tags") or {}
    columns = list(zip(*series["values"], strict=True))
    count = len(columns[0])
    kinds = {field.name: field.kind for field in entry.fields}
    given: dict[str, Sequence[Any]] = {KEY: columns[0]}
    given |= {tag: [tags.get(tag) or None] * count for tag in entry.tags}
    for name, column in zip(fields, columns[1:], strict=True):
        given[name] = [n if n is None else to_unsigned(n) for n in column] if kinds[name] is int else column
    return pl.DataFrame([pl.Series(name, given[name], dtype, strict=False) for name, dtype in schema.items()])
