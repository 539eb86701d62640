"""What was changed in contracts, caps, devices, services and rules since the report before. Pure.

    settled(estate) -> Settled                 what stands now; kept beside the report as JSON
    changes(before, now) -> list of Change     what is otherwise than it was then

A renamed interface is such a change: figures belong to circuits and tenants, so they go on under the new name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from poller.estate import Cap, Estate, LineGroup, Rule, Tenant
from poller.reports.document import Block, Column, Form, Heading, Paragraph, Table
from poller.reports.periods import Period
from poller.reports.telling import Teller

Value: TypeAlias = str | int | float
Settled: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Value]]]
"""Section, id, item, value; an item that is not set is absent."""

_NAMES: Final = ("name_ja", "name_en")
_SECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "circuits": ("回線", "circuit"),
    "line_groups": ("回線グループ", "line group"),
    "tenants": ("接続団体", "tenant"),
    "devices": ("機器", "device"),
    "services": ("サービス", "service"),
    "rules": ("監視ルール", "rule"),
}
_ITEMS: Final[Mapping[str, tuple[str, str, Form]]] = {
    "name_ja": ("名称", "name", Form.TEXT),
    "name_en": ("名称（英語）", "name, English", Form.TEXT),
    "committed_rate": ("帯域確保", "committed rate", Form.RATE),
    "ceiling_rate": ("上限", "ceiling rate", Form.RATE),
    "availability": ("稼働率の目標", "availability target", Form.LEVEL),
    "measured_by": ("測定するインターフェース", "interface it is measured by", Form.TEXT),
    "preferred": ("通常の役割", "usual role", Form.TEXT),
    "members": ("構成する回線", "members", Form.TEXT),
    "attachment": ("接続するインターフェース", "interface of the attachment", Form.TEXT),
    "sustained_rate": ("上限（5分平均）", "cap, five-minute average", Form.RATE),
    "burst_rate": ("上限（短時間）", "cap, burst", Form.RATE),
    "monthly_volume": ("上限（月間通信量）", "cap, volume of a month", Form.VOLUME),
    "percentile_95": ("上限（月の95パーセンタイル値）", "cap, 95th percentile of a month", Form.RATE),
    "addresses": ("アドレス", "addresses", Form.TEXT),
    "design_cpu_ratio": ("CPU使用率の設計値", "design CPU ratio", Form.RATIO),
    "sessions_limit": ("セッション上限", "sessions limit", Form.COUNT),
    "target": ("確認先", "target", Form.TEXT),
    "response_seconds": ("応答時間の目標", "response target", Form.SECONDS),
    "condition": ("条件", "condition", Form.TEXT),
    "raise_for": ("発報までの継続時間", "raised after", Form.DURATION),
    "severity": ("重要度", "severity", Form.TEXT),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One item that is otherwise; item "" where the whole entry is new (before is None) or gone (now is None)."""

    section: str
    id: str
    names: tuple[str, str]
    item: str
    before: Value | None
    now: Value | None


def settled(estate: Estate) -> Settled:
    """What a report tells changes of, as plain values."""
    return {
        "circuits": {
            key: _known(
                name_ja=each.name.ja,
                name_en=each.name.en,
                committed_rate=each.committed_rate,
                ceiling_rate=each.ceiling_rate,
                availability=each.availability,
                measured_by=f"{each.measured_by.device} {each.measured_by.interface}",
                preferred=each.preferred,
            )
            for key, each in estate.circuits.items()
        },
        "line_groups": {key: _line_group(each) for key, each in estate.line_groups.items()},
        "tenants": {key: _tenant(each) for key, each in estate.tenants.items()},
        "devices": {
            key: _known(
                name_ja=each.name.ja,
                name_en=each.name.en,
                addresses=", ".join(map(str, each.addresses)),
                design_cpu_ratio=each.design_cpu_ratio,
                sessions_limit=each.sessions_limit,
            )
            for key, each in estate.devices.items()
        },
        "services": {
            key: _known(
                name_ja=each.name.ja,
                name_en=each.name.en,
                target=each.target,
                response_seconds=each.response_seconds,
                availability=each.availability,
            )
            for key, each in estate.services.items()
        },
        "rules": {key: _rule(each) for key, each in estate.rules.items()},
    }


def _known(**items: Value | None) -> dict[str, Value]:
    return {key: value for key, value in items.items() if value is not None}


def _line_group(group: LineGroup) -> dict[str, Value]:
    return _known(
        name_ja=group.name.ja,
        name_en=group.name.en,
        committed_rate=group.committed_rate,
        ceiling_rate=group.ceiling_rate,
        members=", ".join(group.members),
    )


def _tenant(tenant: Tenant) -> dict[str, Value]:
    items = _known(name_ja=tenant.name.ja, name_en=tenant.name.en)
    places: dict[str, list[str]] = {}
    for each in tenant.attachments:
        places.setdefault(f"attachment:{each.line}", []).append(f"{each.device} {each.interface}")
    for cap in tenant.caps:
        items |= _cap(cap)
    return items | {key: ", ".join(found) for key, found in places.items()}


def _cap(cap: Cap) -> dict[str, Value]:
    where = f"{cap.line or 'total'}:{cap.direction}"
    rates = ("sustained_rate", "burst_rate", "monthly_volume", "percentile_95")
    return {f"{name}:{where}": value for name in rates if (value := getattr(cap, name)) is not None}


def _rule(rule: Rule) -> dict[str, Value]:
    tests = {"above": rule.above, "below": rule.below, "equals": rule.equals, "above_median": rule.above_median}
    said = [f"{name} {value}" for name, value in tests.items() if value is not None] or ["changes"]
    return _known(
        name_ja=rule.name.ja,
        name_en=rule.name.en,
        condition=f"{rule.on} {' '.join(said)}",
        raise_for=rule.raise_for,
        severity=rule.severity.value,
    )


def changes(before: Settled, now: Settled) -> list[Change]:
    """Everything that is otherwise, by section and id; what a later version keeps besides is no change."""
    return [
        change
        for section in _SECTIONS
        if section in before and section in now
        for key in dict.fromkeys((*now[section], *before[section]))
        for change in _of_entry(section, key, before[section].get(key), now[section].get(key))
    ]


def _of_entry(
    section: str, key: str, before: Mapping[str, Value] | None, now: Mapping[str, Value] | None
) -> Iterator[Change]:
    names = tuple(str((now or before or {}).get(name, key)) for name in _NAMES)
    if before is None or now is None:
        yield Change(
            section, key, (names[0], names[1]), "", None if before is None else key, None if now is None else key
        )
        return
    for item in dict.fromkeys((*now, *before)):
        if before.get(item) != now.get(item):
            yield Change(section, key, (names[0], names[1]), item, before.get(item), now.get(item))


def change_blocks(found: list[Change] | None, period: Period, teller: Teller) -> Iterator[Block]:
    """The part about changes; None where nothing is known of the report before."""
    say = teller.say
    yield Heading(say("前回の報告書からの変更", "Changes since the report before"))
    label = period.before.label(teller.lang)
    if found is None:
        yield Paragraph(
            say(
                f"前回（{label}）の報告書に設定の記録がないため、変更は次回の報告書からお示しします。",
                f"Nothing is on record of the report before ({label}); changes are told from the next one on.",
            )
        )
        return
    if not found:
        yield Paragraph(
            say(
                f"前回（{label}）の報告書のあと、回線・上限・機器・サービス・監視ルールに変更はありません。",
                f"Lines, caps, devices, services and rules are as they were in the report before ({label}).",
            )
        )
        return
    yield Table(
        "changes",
        say(f"前回（{label}）からの変更", f"Changed since {label}"),
        (
            Column(say("区分", "kind")),
            Column(say("対象", "subject"), wide=True),
            Column(say("項目", "item"), wide=True),
            Column(say("変更前", "before"), wide=True),
            Column(say("変更後", "now"), wide=True),
        ),
        tuple(_row(each, teller) for each in found),
        say(
            "インターフェースの名称が変わっても、通信量は回線・接続団体ごとに続けて集計しています。",
            "Traffic is counted by line and tenant, so it goes on where an interface has another name.",
        ),
    )


def _row(change: Change, teller: Teller) -> tuple[object, ...]:
    say = teller.say
    subject = change.names[teller.lang == "en"]
    if not change.item:
        new = change.before is None
        word = say("追加", "new") if new else say("廃止", "gone")
        return (say(*_SECTIONS[change.section]), subject, word, None if new else change.id, change.id if new else None)
    return (
        say(*_SECTIONS[change.section]),
        subject,
        _item(change.item, teller),
        _value(change.item, change.before, teller),
        _value(change.item, change.now, teller),
    )


def _item(item: str, teller: Teller) -> str:
    """An item's name; that of a cap or attachment with the line and direction it is for."""
    name, *rest = item.split(":")
    words = _ITEMS.get(name)
    said = name if words is None else teller.say(words[0], words[1])
    if not rest:
        return said
    where = [teller.line(rest[0])]
    if len(rest) > 1:
        where.append(teller.say("上り下りそれぞれ", "each way") if rest[1] == "each" else teller.short_way(rest[1]))
    return f"{said}（{' '.join(where)}）" if teller.lang == "ja" else f"{said} ({', '.join(where)})"


def _value(item: str, value: Value | None, teller: Teller) -> str | None:
    if value is None:
        return None
    words = _ITEMS.get(item.split(":", maxsplit=1)[0])
    return str(value) if words is None else teller.writer.value(value, words[2])
