"""The part about redundant circuits: who carried how much, what failed, when a standby took over. Pure."""

from collections.abc import Iterator

from poller.reports.document import Block, Cell, Column, Form, Heading, Mark, Paragraph, Table
from poller.reports.gather import Gathered
from poller.reports.telling import MOST_ROWS, Teller


def pair_blocks(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    """Redundant pairs of circuits: who carried how much, what failed, what is left."""
    say = teller.say
    groups: dict[str, list[str]] = {}
    for circuit in gathered.estate.circuits.values():
        if circuit.redundancy_group is not None:
            groups.setdefault(circuit.redundancy_group, []).append(circuit.id)
    pairs = {group: ids for group, ids in groups.items() if len(ids) > 1}
    if not pairs:
        return
    yield Heading(say("冗長構成の回線と切替え", "Redundant circuits and switch-overs"))
    rows: list[tuple[object, ...]] = []
    for group, ids in pairs.items():
        for id_ in ids:
            line = gathered.line(id_)
            outages = [
                incident
                for incident in gathered.incidents
                if any(alert.subject == f"circuit/{id_}" for alert in incident.alerts)
            ]
            lost = sum(incident.seconds(gathered.period.end_ns) for incident in outages)
            rows.append(
                (
                    gathered.estate.redundancy_groups[group].name.lang(teller.lang),
                    teller.line(id_),
                    _preferred(gathered.estate.circuits[id_].preferred, teller),
                    line.now.octets,
                    Cell(len(outages), mark=Mark.WARNING if outages else Mark.GOOD),
                    lost,
                )
            )
    yield Table(
        "pairs",
        say("冗長構成の回線", "Redundant circuits"),
        (
            Column(say("組", "pair"), wide=True),
            Column(say("回線", "circuit"), wide=True),
            Column(say("役割", "role")),
            Column(say("通信量", "volume"), Form.VOLUME),
            Column(say("障害", "faults"), Form.COUNT),
            Column(say("停止時間", "down for"), Form.DURATION),
        ),
        tuple(rows),
    )
    yield from _stand_ins(gathered, teller)


def _stand_ins(gathered: Gathered, teller: Teller) -> Iterator[Block]:
    say = teller.say
    if not gathered.stand_ins:
        yield Paragraph(
            say(
                "期間中、副回線が主回線に代わって通信を担ったことはありません。",
                "No standby carried traffic in place of its active circuit in this period.",
            )
        )
        return
    longest = sorted(gathered.stand_ins, key=lambda each: (-each.seconds, each.since_ns))
    shown = sorted(longest[:MOST_ROWS], key=lambda each: each.since_ns)
    more = len(longest) - len(shown)
    yield Table(
        "switch-overs",
        say("副回線が通信を担った時間（切替え）", "Switch-overs: when a standby carried the traffic"),
        (
            Column(say("開始", "since"), Form.MOMENT),
            Column(say("継続", "for"), Form.DURATION),
            Column(say("主回線", "active circuit"), wide=True),
            Column(say("通信を担った回線", "carried by"), wide=True),
            Column(say("通信量", "volume"), Form.VOLUME),
        ),
        tuple(
            (each.since_ns, each.seconds, teller.line(each.active), teller.line(each.standby), each.octets)
            for each in shown
        ),
        "" if more <= 0 else say(f"ほか{more}件。長いものを示しています。", f"{more} more; the longest are shown."),
    )


def _preferred(preferred: str, teller: Teller) -> str:
    return teller.say("主（Active）", "active") if preferred == "active" else teller.say("副（Standby）", "standby")
