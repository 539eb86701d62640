"""An invented past in the store's own form: five-minute roll-ups of circuits, lines, tenants, devices and services.

Octets come from the same curves that live agents count by, so that the past joins the present; sums over tenants and
parts agree with the lines to the octet. Made in pieces of some days, in columns, because 200 days are ten million rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

import polars as pl

from poller.estate import Circuit, Estate, LineGroup
from poller.lab.carried import Traffic, joined, nothing, rounded, total_of
from poller.lab.condition import device_frame, service_frame
from poller.lab.faultrecords import alert_frame, incident_frame
from poller.lab.network import Plan, circuit_of, handover_of, make_plan
from poller.lab.past import SLOT_NS, SLOT_SECONDS, SLOTS_A_DAY, Past, draw_past, sustained_caps
from poller.lab.traffic import Curve, minute_shares, pattern_number
from poller.schema import SCHEMA

SOURCE: Final = "invented"
"""The name of the past's files in the store."""
_DAYS_AT_ONCE: Final = 25
_WRITERS: Final = 2
"""Threads that write one piece while the next is made: sorting and compressing take longer than inventing."""
_JST_SLOTS: Final = 9 * 12
_EDGE_COVERAGE: Final = 0.4
"""Of the last slot of a gap, what was observed."""
_PACKET_OCTETS: Final = 750
_RATIO_PARTS: Final = 1000
"""Ratios to caps and contracts are kept in these parts of one; the rate stands beside them."""
_SHARES: Final = minute_shares()


class Store(Protocol):
    """What keeps the frames (poller.storage.parquet.ParquetStore)."""

    def write_frame(self, measurement: str, frame: pl.DataFrame, source: str = "bulk") -> int:
        """Keep many points of one measurement; returns how many. Called from threads, each for other measurements."""


@dataclass(slots=True)
class _Months:
    """Octets of the calendar month so far, by tenant and line, from one piece of the past to the next."""

    sums: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which past: so many days before a moment (UTC, unix nanoseconds; cut to the slot); the seed decides the rest."""

    days: int
    end_ns: int
    seed: int = 0


def invent(estate: Estate, store: Store, wish: Wish, progress: Callable[[int], None] | None = None) -> int:
    """Write a past; returns the rows written. The same wish gives the same rows. progress is told the days done."""
    plan = make_plan(estate, wish.seed)
    past = draw_past(estate, plan, wish.days, wish.end_ns, wish.seed)
    months = _Months()
    rows = store.write_frame("alert", alert_frame(estate, past), SOURCE)
    rows += store.write_frame("incident", incident_frame(estate, past), SOURCE)
    with ThreadPoolExecutor(_WRITERS) as pool:
        waiting: list[Future[int]] = []
        for span in _pieces(past.first, past.after):
            frames = list(_Piece(estate, plan, past, span, wish.seed).frames(months))
            rows += sum(done.result() for done in waiting)
            waiting = [pool.submit(store.write_frame, name, frame, SOURCE) for name, frame in frames]
            if progress is not None:
                progress((span[1] - past.first) // SLOTS_A_DAY)
        rows += sum(done.result() for done in waiting)
    return rows


def _pieces(first: int, after: int) -> Iterator[tuple[int, int]]:
    """Some whole days of UTC at a time, because the store keeps a file for each."""
    step = _DAYS_AT_ONCE * SLOTS_A_DAY
    while first < after:
        end = min(after, (first // SLOTS_A_DAY) * SLOTS_A_DAY + step)
        yield first, end
        first = end


class _Piece:
    """All frames of one span of slots."""

    def __init__(self, estate: Estate, plan: Plan, past: Past, span: tuple[int, int], seed: int) -> None:
        first, after = span
        self._seed = seed
        self._estate = estate
        self._plan = plan
        self._past = past
        self._first = first
        self._length = after - first
        self._slots = pl.int_range(first, after, eager=True)
        self._time_ns = self._slots * SLOT_NS
        self._coverage = self._gap_coverage()
        self._seen_at_all = self._coverage > 0
        self._unknown = pl.repeat(None, self._length, dtype=pl.Float64, eager=True)
        turns = self._length // len(_SHARES[0]) + 2
        self._shares = [pl.Series(values=shares * turns, dtype=pl.Float64) for shares in _SHARES]
        """By minute, the share of the slots that follow one with pattern 0; a curve begins at its own pattern."""
        self._streams = {name: self._stream(name) for name in plan.streams}

    def frames(self, months: _Months) -> Iterator[tuple[str, pl.DataFrame]]:
        """Measurement and frame, one each."""
        circuits = self._by_circuit()
        of_traffic = {
            "circuit_5m": [self._circuit(self._estate.circuits[key], one) for key, one in circuits.items()],
            "interface_5m": [self._interface(self._estate.circuits[key], one) for key, one in circuits.items()],
            "line_group_5m": [self._line_group(group, circuits) for group in self._estate.line_groups.values()],
            "tenant_5m": list(self._tenants(months)),
        }
        yield from ((name, pl.concat(frames)) for name, frames in of_traffic.items() if frames)
        slots = pl.DataFrame({"slot": self._slots, "time_ns": self._time_ns, "seen": self._coverage})
        if self._estate.devices:
            yield "device_5m", device_frame(self._estate, self._past, slots, self._seed)
        if self._estate.services:
            yield "service_5m", service_frame(self._estate, slots)

    # ---- traffic

    def _stream(self, name: str) -> Traffic:
        curve = self._plan.streams[name].curve
        octets = pl.Series(values=_slots_of(curve, self._first, self._length), dtype=pl.Int64)
        stream = self._plan.streams[name]
        for surge in self._past.surges:
            if surge.subject == stream.tenant and surge.line == stream.line:
                within = (self._slots >= surge.first) & (self._slots < surge.after)
                octets = pl.select(
                    pl.when(within).then(octets * surge.millionths // 10**6).otherwise(octets)
                ).to_series()
        number = pattern_number(curve, self._first + _JST_SLOTS)
        return Traffic(octets, [octets * shares.slice(number, self._length) for shares in self._shares])

    def _by_circuit(self) -> dict[str, tuple[Traffic, Traffic]]:
        """What each circuit carried in and out, segment by segment of who was down."""
        parts: dict[str, list[tuple[Traffic, Traffic]]] = {key: [] for key in self._estate.circuits}
        handover = {circuit.id for circuit in self._plan.handover}
        for begin, end, conditions in self._past.segments(self._first, self._first + self._length):
            at, length = begin - self._first, end - begin
            way: dict[str, list[str]] = {key: [] for key in self._estate.circuits}
            for stream in self._plan.streams.values():
                circuit = circuit_of(self._plan, conditions, stream)
                crossing = handover_of(self._plan, conditions, stream)
                for one in (circuit, crossing if circuit is not None else None):
                    if one is not None:
                        way[one.id].append(stream.name)
            for key, names in way.items():
                # towards the tenants is away from the estate where it is handed over to them
                into, out = (
                    self._sum(names, at, length, inward=(key in handover) != way_in) for way_in in (True, False)
                )
                parts[key].append((into, out))
        return {
            key: (joined([one for one, _ in some]), joined([one for _, one in some])) for key, some in parts.items()
        }

    def _sum(self, names: Sequence[str], at: int, length: int, *, inward: bool) -> Traffic:
        total = nothing(length)
        for name in names:
            if self._plan.streams[name].inward == inward:
                total = total.plus(self._streams[name].slice(at, length))
        return total

    # ---- roll-ups of traffic

    def _rates(self, into: Traffic, out: Traffic) -> dict[str, pl.Series]:
        """Rates as means and maxima; unknown where nothing was observed."""
        columns = {}
        for way, one in (("in", into), ("out", out)):
            columns[f"{way}_bits_per_second_mean"] = one.mean_rate()
            columns[f"{way}_bits_per_second_max"] = one.max_rate()
        return {name: column.zip_with(self._seen_at_all, self._unknown) for name, column in columns.items()}

    def _contracted(self, contract: Circuit | LineGroup, into: Traffic, out: Traffic) -> dict[str, pl.Series]:
        """Rates, octets and ratios to what was contracted."""
        columns = self._rates(into, out)
        for kind, limit in (("committed", contract.committed_rate), ("ceiling", contract.ceiling_rate)):
            if limit:
                for name in ("in", "out"):
                    for what in ("mean", "max"):
                        ratio = rounded(columns[f"{name}_bits_per_second_{what}"] / limit, _RATIO_PARTS)
                        columns[f"{name}_{kind}_ratio_{what}"] = ratio
        return columns | {"in_octets": into.octets, "out_octets": out.octets, "coverage_ratio": self._coverage}

    def _frame(self, measurement: str, tags: Mapping[str, str], columns: Mapping[str, pl.Series]) -> pl.DataFrame:
        """Columns of the schema alone, each in the schema's order, so that frames can be put together."""
        known = [entry.name for entry in SCHEMA[measurement].fields]
        kinds = {entry.name: pl.Int64 if entry.kind is int else pl.Float64 for entry in SCHEMA[measurement].fields}
        return pl.DataFrame({"time_ns": self._time_ns}).with_columns(
            *(pl.lit(value).alias(name) for name, value in tags.items()),
            *(
                columns[name].cast(kinds[name]).alias(name)
                if name in columns
                else pl.lit(None, kinds[name]).alias(name)
                for name in known
            ),
        )

    def _circuit(self, circuit: Circuit, traffic: tuple[Traffic, Traffic]) -> pl.DataFrame:
        group = next((key for key, one in self._estate.line_groups.items() if circuit.id in one.members), "")
        tags = {"circuit": circuit.id, "kind": str(circuit.kind), "line_group": group}
        return self._frame("circuit_5m", tags, self._contracted(circuit, *traffic))

    def _line_group(self, group: LineGroup, circuits: Mapping[str, tuple[Traffic, Traffic]]) -> pl.DataFrame:
        members = [circuits[key] for key in dict.fromkeys(_circuits_of(self._estate, group.id))]
        into, out = (total_of([one[side] for one in members]) for side in (0, 1))
        return self._frame("line_group_5m", {"line_group": group.id}, self._contracted(group, into, out))

    def _interface(self, circuit: Circuit, traffic: tuple[Traffic, Traffic]) -> pl.DataFrame:
        at = circuit.measured_by
        into, out = traffic if at.inward == "in" else (traffic[1], traffic[0])
        columns = self._rates(into, out)
        for way in ("in", "out"):
            for what in ("mean", "max"):
                rate = columns[f"{way}_bits_per_second_{what}"]
                columns[f"{way}_packets_per_second_{what}"] = rounded(rate / (8 * _PACKET_OCTETS), 1)
                columns[f"{way}_ratio_{what}"] = rounded(rate / max(circuit.ceiling_rate, 10**9), _RATIO_PARTS)
                columns[f"{way}_errors_per_second_{what}"] = rate * 0.0
                columns[f"{way}_discards_per_second_{what}"] = rate * 0.0
        down = pl.repeat(False, self._length, eager=True)
        for span in self._past.circuits:
            if span.subject == circuit.id:
                down |= (self._slots >= span.first) & (self._slots < span.after)
        columns |= {"oper_status_max": down.cast(pl.Int64) + 1, "coverage_ratio": self._coverage}
        return self._frame("interface_5m", {"device": at.device, "interface": at.interface}, columns)

    def _tenants(self, months: _Months) -> Iterator[pl.DataFrame]:
        limits = sustained_caps(self._estate)
        for tenant in self._estate.tenants.values():
            lines = dict.fromkeys(entry.line for entry in tenant.attachments)
            by_line = {line: self._of_tenant(tenant.id, line) for line in lines}
            if by_line:
                both = list(by_line.values())
                by_line["total"] = (total_of([one for one, _ in both]), total_of([one for _, one in both]))
            for line, (into, out) in by_line.items():
                columns = self._rates(into, out) | {"in_octets": into.octets, "out_octets": out.octets}
                for way in ("in", "out"):
                    limit = limits.get((tenant.id, line, way))
                    if limit:
                        ratio = rounded(columns[f"{way}_bits_per_second_mean"] / limit, _RATIO_PARTS)
                        columns |= {f"{way}_cap_ratio_mean": ratio, f"{way}_cap_ratio_max": ratio}
                month = self._month(months, (tenant.id, line), into.octets + out.octets)
                columns |= {"month_octets_max": month, "coverage_ratio": self._coverage}
                yield self._frame("tenant_5m", {"tenant": tenant.id, "line": line}, columns)

    def _of_tenant(self, tenant: str, line: str) -> tuple[Traffic, Traffic]:
        streams = [one for one in self._plan.streams.values() if (one.tenant, one.line) == (tenant, line)]
        into = total_of([self._streams[one.name] for one in streams if one.inward])
        return into, total_of([self._streams[one.name] for one in streams if not one.inward])

    def _month(self, months: _Months, key: tuple[str, str], octets: pl.Series) -> pl.Series:
        """Octets of the calendar month in Japan up to the end of each slot, going on from the piece before."""
        frame = pl.DataFrame({"octets": octets, "month": self._month_numbers()})
        month, before = months.sums.get(key, (-1, 0))
        total = frame.select(
            pl.col("octets").cum_sum().over("month")
            + pl.when(pl.col("month") == month).then(pl.lit(before)).otherwise(pl.lit(0))
        ).to_series()
        months.sums[key] = (int(frame["month"][-1]), int(total[-1]))
        return total

    def _month_numbers(self) -> pl.Series:
        local = pl.from_epoch(self._slots * SLOT_SECONDS + 9 * 3600, time_unit="s")
        return local.dt.year().cast(pl.Int64) * 12 + local.dt.month()

    def _gap_coverage(self) -> pl.Series:
        coverage = pl.repeat(1.0, self._length, eager=True)
        for gap in self._past.gaps:
            within = (self._slots >= gap.first) & (self._slots < gap.after)
            last = self._slots == gap.after
            coverage = pl.select(
                pl.when(within).then(0.0).when(last).then(_EDGE_COVERAGE).otherwise(coverage)
            ).to_series()
        return coverage


def _slots_of(curve: Curve, first: int, length: int) -> list[int]:
    """Octets of a curve's slots, counted in UTC."""
    day, at = divmod(first + _JST_SLOTS, SLOTS_A_DAY)
    octets: list[int] = []
    while len(octets) < at + length:
        octets += curve.slots(day)
        day += 1
    return octets[at : at + length]


def _circuits_of(estate: Estate, line: str) -> Iterator[str]:
    if line in estate.circuits:
        yield line
    else:
        for member in estate.line_groups[line].members:
            yield from _circuits_of(estate, member)
