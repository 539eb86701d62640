"""Makes the files of reports: reads once, builds each document, renders it, and puts everything in place at the end.

Nothing is half-written: files are made in a folder beside and moved into place when all are done. A manifest lists
every file with its checksum.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from poller.estate import Estate
from poller.reports.changes import Settled, changes, settled
from poller.reports.document import Document
from poller.reports.gather import gather, gather_shared
from poller.reports.network import network_report
from poller.reports.periods import Kind, Period
from poller.reports.raw import raw_tables
from poller.reports.reading import Records
from poller.reports.rendering import render
from poller.reports.telling import Teller
from poller.reports.tenantfigures import TenantFigures, in_parts, tenant_figures
from poller.reports.tenants import TenantReport, incidents_by_tenant, tenant_report

_WORKERS: Final = 2


class NoReport(Exception):  # noqa: N818 - it says what is the matter
    """No report can be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. tenants: ids; network: the report about all as well. raw: five-minute rows in XLSX and CSV."""

    period: Period
    tenants: Sequence[str]
    network: bool
    formats: tuple[str, ...]
    out: Path
    lang: str
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """One file that was made; path is relative to the order's folder."""

    path: str
    sha256: str
    octets: int
    tenant: str


def make(
    estate: Estate, records: Records, order: Order, progress: Callable[[str, int, int], None] = lambda *_: None
) -> list[Made]:
    """Make all files of the order and its manifest; returns them in order of their names.

    progress is told what is being done, how many documents are done, and of how many. Raises NoReport where there are
    no data, OSError where the folder cannot be written.
    """
    period = order.period
    if not records.has_rows((period.start_ns, period.end_ns)):
        raise NoReport(f"the store has no data of {period.span('en')}")
    order.out.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".hinomi-report-", dir=order.out))
    try:
        made = _make_in(beside, estate, records, order, progress)
        for each in made:
            os.replace(beside / each.path, order.out / each.path)  # noqa: PTH105 - onto what may be there
        manifest = beside / "manifest"
        manifest.write_text(_manifest(order, made), encoding="utf-8")
        manifest.replace(order.out / manifest_name(order))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return made


def manifest_name(order: Order) -> str:
    """The name of the list of files of one order's period."""
    return f"manifest-{order.period.kind}-{order.period.key}.json"


def settled_name(period: Period) -> str:
    """What stood in the configuration when a network's report was made: what the next one tells changes of."""
    return f"settled-{period.kind}-{period.key}.json"


def read_settled(path: Path) -> Settled | None:
    """What stood in an earlier report; None where there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _manifest(order: Order, made: list[Made]) -> str:
    files = [{"file": each.path, "sha256": each.sha256, "octets": each.octets, "tenant": each.tenant} for each in made]
    content = {"kind": order.period.kind, "period": order.period.key, "lang": order.lang, "files": files}
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _make_in(
    folder: Path, estate: Estate, records: Records, order: Order, progress: Callable[[str, int, int], None]
) -> list[Made]:
    total = len(order.tenants) + order.network
    documents = _documents(estate, records, order, progress)
    if total == 1:  # a process of its own would only cost its start
        names = {name: tenant for tenant, document in documents for name in render(document, order.formats, folder)}
    else:
        names = _render_side_by_side(documents, order, folder, lambda done: progress("rendering", done, total))
    if order.network:
        name = settled_name(order.period)
        content = json.dumps(settled(estate), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        (folder / name).write_text(content, encoding="utf-8")
        names[name] = ""
    return [_made(folder, name, names[name]) for name in sorted(names)]


def _render_side_by_side(
    documents: Iterator[tuple[str, Document]], order: Order, folder: Path, progress: Callable[[int], None]
) -> dict[str, str]:
    """Render in as many processes as there are cores to gain by, never holding more than a few documents."""
    waiting: list[tuple[str, Future[list[str]]]] = []
    names: dict[str, str] = {}
    begun = 0
    with ProcessPoolExecutor(_WORKERS, mp_context=get_context("spawn")) as pool:
        for tenant, document in documents:
            waiting.append((tenant, pool.submit(render, document, order.formats, folder)))
            begun += 1
            while len(waiting) > 2 * _WORKERS:
                _collect(waiting, names)
                progress(begun - len(waiting))
        while waiting:
            _collect(waiting, names)
            progress(begun - len(waiting))
    return names


def _collect(waiting: list[tuple[str, Future[list[str]]]], names: dict[str, str]) -> None:
    tenant, future = waiting.pop(0)
    names.update(dict.fromkeys(future.result(), tenant))


def _made(folder: Path, name: str, tenant: str) -> Made:
    content = (folder / name).read_bytes()
    return Made(name, hashlib.sha256(content).hexdigest(), len(content), tenant)


def _documents(
    estate: Estate, records: Records, order: Order, progress: Callable[[str, int, int], None]
) -> Iterator[tuple[str, Document]]:
    period = order.period

    def tell(what: str) -> None:
        progress(what, 0, len(order.tenants) + order.network)

    shared = gather_shared(estate, records, period, tell)
    tell("tenants")
    everybody = list(estate.tenants) if order.network else list(order.tenants)
    touched = incidents_by_tenant(shared.incidents, estate)
    all_figures: list[TenantFigures] = []
    for ids in in_parts(everybody, period):
        figures = tenant_figures(estate, records, period, ids, with_before=order.network)
        all_figures += figures
        for tenant in [each for each in ids if each in order.tenants]:
            own = [each for each in figures if each.tenant == tenant]
            report = TenantReport(estate, period, tenant, own, shared.services, touched[tenant])
            yield tenant, _with_raw(tenant_report(report, order.lang), tenant, estate, records, order)
    if order.network:
        before = read_settled(order.out / settled_name(period.before))
        changed = None if before is None else changes(before, settled(estate))
        document = network_report(gather(shared, records, all_figures, tell), order.lang, changed)
        yield "", _with_raw(document, "", estate, records, order)


def _with_raw(document: Document, tenant: str, estate: Estate, records: Records, order: Order) -> Document:
    if not order.raw:
        return document
    span = (order.period.start_ns, order.period.end_ns)
    if tenant:
        by_line = {line: series for (_, line), series in sorted(records.tenants([tenant], span).items())}
    else:
        by_line = records.traffic("line_group_5m", "line_group", list(estate.line_groups), span)
    return replace(document, raw=raw_tables(by_line, order.period, Teller(estate, order.lang)))


def tenants_of(estate: Estate, asked: Sequence[str], kind: Kind) -> tuple[list[str], bool]:
    """Which tenants, and whether the whole network too: "all", "none", or ids. NoReport for one that is not there."""
    everybody = list(estate.tenants)
    if not asked:
        return ([], True) if kind in {Kind.MONTHLY, Kind.QUARTERLY} else (everybody, True)
    if "all" in asked:
        return everybody, True
    if list(asked) == ["none"]:
        return [], True
    for each in asked:
        if each not in estate.tenants:
            raise NoReport(f"there is no tenant {each!r} in this configuration")
    return list(asked), False
